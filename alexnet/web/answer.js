// The bars of an answer, and the words for one that is withheld.

const SHOWN = 5;

/**
 * Show an answer.
 *
 * answer: { classes: [{ name, probability }] best first, kind: "class" | "unsure" | "none", least: the least
 * probability of an answer, or null; calibrated: number of held-out images, or null }.
 * verdict, why, bars: elements; words: of `createWords`. A class's name may have a word of its own, `class.NAME`.
 */
export function showAnswer({ verdict, why, bars }, answer, words) {
  const best = answer.classes[0];
  verdict.classList.toggle("withheld", answer.kind !== "class");
  verdict.textContent = answer.kind === "class" ? className(best.name, words) : words.t(`answer.${answer.kind}`);
  why.textContent = reason(answer, words);
  while (bars.children.length > Math.min(SHOWN, answer.classes.length)) bars.lastChild.remove();
  answer.classes.slice(0, SHOWN).forEach(({ name, probability }, i) => {
    const row = bars.children[i] ?? bars.appendChild(newRow());
    row.querySelector(".name").textContent = className(name, words);
    row.querySelector(".name").title = className(name, words);
    row.querySelector(".share").textContent = words.percent(probability);
    row.querySelector(".track i").style.width = `${100 * probability}%`;
  });
}

/** A class as the visitor calls it. */
export function className(name, words) {
  const key = `class.${name}`;
  return words.has(key) ? words.t(key) : name.replaceAll("_", " ");
}

function reason(answer, words) {
  if (answer.calibrated === null) return words.t("answer.not_calibrated");
  if (answer.kind === "none") return words.t("answer.none_why", { share: "95%" });
  if (answer.kind === "unsure" && answer.least > 1) return words.t("answer.unsure_always");
  if (answer.kind === "unsure") {
    return words.t("answer.unsure_why", {
      probability: words.percent(answer.classes[0].probability),
      least: words.percent(answer.least),
    });
  }
  return words.t("answer.calibrated", { n: answer.calibrated.toLocaleString(words.language) });
}

function newRow() {
  const row = document.createElement("li");
  for (const name of ["name", "share", "track"]) {
    const part = document.createElement("span");
    part.className = name;
    row.append(part);
  }
  row.lastChild.append(document.createElement("i"));
  row.lastChild.setAttribute("aria-hidden", "true");
  return row;
}
