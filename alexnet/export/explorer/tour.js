// Eight steps through the visitor's own net.

const STEPS = 8;

/**
 * The tour in `panel`.
 *
 * stepOf(n): for step 1..8 { target: element | null, values, key? }: what it shows, after whatever it takes to be
 * seen; `key` replaces the words `tour.N_text`.
 */
export function createTour(panel, starter, { words, stepOf }) {
  const part = (name) => panel.querySelector(`#tour-${name}`);
  let step = 0;
  let target = null;

  function show(n) {
    target?.classList.remove("toured");
    step = n;
    const { target: found, values = {}, key } = stepOf(n);
    target = found;
    part("count").textContent = words.t("tour.count", { n, of: STEPS });
    part("title").textContent = words.t(`tour.title_${n}`);
    part("text").textContent = words.t(key ?? `tour.text_${n}`, values);
    part("next").textContent = words.t(n === STEPS ? "tour.finish" : "tour.next");
    part("back").disabled = n === 1;
    panel.hidden = false;
    if (target) {
      target.classList.add("toured");
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      target.scrollIntoView({ block: innerWidth < 760 ? "start" : "nearest", behavior: calm ? "auto" : "smooth" });
    }
    part("next").focus({ preventScroll: true });
  }

  function end() {
    if (step === 0) return;
    step = 0;
    panel.hidden = true;
    target?.classList.remove("toured");
    target = null;
    starter.focus({ preventScroll: true });
  }

  const next = () => (step === STEPS ? end() : show(step + 1));
  const back = () => step > 1 && show(step - 1);
  starter.addEventListener("click", () => show(1));
  part("next").addEventListener("click", next);
  part("back").addEventListener("click", back);
  part("end").addEventListener("click", end);
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") end();
    else if (event.key === "ArrowRight") next();
    else if (event.key === "ArrowLeft") back();
  });
  words.onChange(() => step > 0 && show(step));
  return { end };
}
