// A pad to draw on, with a finger, a pen or the mouse.

/**
 * Let the visitor draw on `canvas`, white strokes on black as digits have them; `onChange()` after each stroke.
 *
 * ink, paper: CSS colours. width: of a stroke, as a share of the canvas' side.
 */
export function createPad(canvas, { onChange, ink = "#fff", paper = "#000", width = 0.08 }) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;
  let pointer = null;
  let empty = true;

  function clear() {
    context.fillStyle = paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
    empty = true;
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  }

  function line(from, to) {
    context.strokeStyle = ink;
    context.lineWidth = width * canvas.width;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    empty = false;
  }

  canvas.style.touchAction = "none";
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button > 0) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    last = place(event);
    line(last, last);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) {
      const next = place(part);
      line(last, next);
      last = next;
    }
    onChange();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      onChange();
    });
  }
  clear();
  return {
    clear,
    get empty() { return empty; },
  };
}
