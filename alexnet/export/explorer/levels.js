// The net as a row of levels: a card each, with all its maps or units as tiles.

import { arrange, brightest, colourOf, paintImage, paintMaps } from "./paint.js";

/**
 * Cards of all levels of a model in `list`.
 *
 * choose(level, channel, place): a tile was clicked, at { y, x } or null. hover(level, channel, place | null, event):
 * the pointer is over a unit, or over none. toggle(level, channel): switch a channel off or on by the keyboard.
 * Returns { show(outputs, state), model }.
 */
export function createLevels(list, model, { words, choose, hover, toggle, filters }) {
  list.replaceChildren();
  const cards = model.levels.map((level, i) => createCard(level, i));
  let last = null;

  function createCard(level, i) {
    const item = document.createElement("li");
    item.className = "level";
    item.style.setProperty("--order", i);
    const head = item.appendChild(document.createElement("header"));
    const name = head.appendChild(document.createElement("h3"));
    name.textContent = level.name;
    const shape = head.appendChild(document.createElement("span"));
    shape.className = "shape muted small number";
    const canvas = item.appendChild(document.createElement("canvas"));
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "slider");
    canvas.setAttribute("aria-valuemin", "1");
    const steps = item.appendChild(document.createElement("p"));
    steps.className = "steps muted";
    const card = { item, canvas, shape, steps, level, i, layout: null, value: null, cursor: 0, filters: false };
    if (i === 0 && filters) {
      const flip = item.appendChild(document.createElement("button"));
      flip.type = "button";
      flip.className = "flip";
      flip.setAttribute("aria-pressed", "false");
      flip.addEventListener("click", () => {
        card.filters = !card.filters;
        flip.setAttribute("aria-pressed", String(card.filters));
        show(last.outputs, last.state);
      });
      card.flip = flip;
    }
    canvas.addEventListener("pointermove", (event) => {
      const at = unitAt(card, event);
      hover(i, at?.channel ?? null, at?.place ?? null, event);
    });
    canvas.addEventListener("pointerleave", (event) => hover(i, null, null, event));
    canvas.addEventListener("click", (event) => {
      const at = unitAt(card, event);
      if (at) choose(i, at.channel, at.place);
    });
    canvas.addEventListener("keydown", (event) => onKey(card, event));
    list.append(item);
    return card;
  }

  function unitAt({ canvas, layout, value }, event) {
    if (!layout || !value) return null;
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) * canvas.width) / box.width;
    const y = ((event.clientY - box.top) * canvas.height) / box.height;
    const column = Math.floor(x / (layout.tile + layout.gap));
    const row = Math.floor(y / (layout.tall + layout.gap));
    const channel = row * layout.columns + column;
    if (x < 0 || y < 0 || column >= layout.columns || channel >= value.c) return null;
    const inside = (at, size, n) => Math.min(n - 1, Math.max(0, Math.floor((at * n) / size)));
    return {
      channel,
      place: {
        y: inside(y - row * (layout.tall + layout.gap), layout.tall, value.h),
        x: inside(x - column * (layout.tile + layout.gap), layout.tile, value.w),
      },
    };
  }

  function onKey(card, event) {
    const { layout, value, i } = card;
    if (!layout) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: layout.columns, ArrowUp: -layout.columns };
    if (event.key in steps) card.cursor += steps[event.key];
    else if (event.key === "Home") card.cursor = 0;
    else if (event.key === "End") card.cursor = value.c - 1;
    else if (event.key === "Delete" || event.key === "Backspace" || event.key === "x") toggle(i, card.cursor);
    else if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    card.cursor = Math.min(value.c - 1, Math.max(0, card.cursor));
    choose(i, card.cursor, null, true);
  }

  function show(outputs, state) {
    last = { outputs, state };
    const accent = getComputedStyle(document.documentElement).getPropertyValue("--bar").trim();
    const ratio = Math.min(2, globalThis.devicePixelRatio || 1);
    for (const card of cards) {
      const { level, i, canvas } = card;
      const value = outputs[level.shown];
      card.value = value;
      const isChosen = state.level === i;
      if (isChosen) card.cursor = state.channel;
      card.item.classList.toggle("chosen", isChosen);
      const off = state.off.get(level.shown);
      const style = getComputedStyle(card.item);
      const room = card.item.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      const shown = card.filters ? filters.value : value;
      card.layout = arrange(value.c, shown.w, shown.h, Math.floor(room * ratio));
      const chosen = isChosen ? state.channel : null;
      if (card.filters) paintFilters(canvas, card.layout, filters, chosen, accent, ratio);
      else paintMaps(canvas, value, { layout: card.layout, most: brightest(value, off), off, chosen, accent, ratio });
      canvas.style.width = `${card.layout.width / ratio}px`;
      describe(card, off);
    }
  }

  function describe(card, off) {
    const { level, canvas, value, cursor, shape, steps, flip } = card;
    const isMaps = level.kind === "maps";
    shape.textContent = isMaps ? `${value.c} × ${value.h} × ${value.w}` : String(value.c);
    shape.title = words.t(isMaps ? "explorer.shape_maps" : "explorer.shape_units", value);
    steps.textContent = level.steps.map((op) => opWords(op, words)).join(" → ");
    if (flip) flip.textContent = words.t("explorer.filters");
    canvas.setAttribute("aria-valuemax", String(value.c));
    canvas.setAttribute("aria-valuenow", String(cursor + 1));
    canvas.setAttribute("aria-label", words.t("explorer.level_label", { level: level.name }));
    const state = words.t(off?.has(cursor) ? "explorer.is_off" : "explorer.is_on");
    canvas.setAttribute("aria-valuetext", words.t("explorer.channel_of", { n: cursor + 1, of: value.c, state }));
  }

  /** Let the maps light up one level after the other, as the image passes. */
  function flow() {
    list.classList.remove("flowing");
    void list.offsetWidth; // restarts the animation
    list.classList.add("flowing");
  }

  return { show, flow, model, card: (i) => cards[i].item, repaint: () => last && show(last.outputs, last.state) };
}

/** An operation in a few words. */
export function opWords(op, words) {
  if (op.op === "conv") return words.t("op.conv", { size: op.kernel.join("×") });
  if (op.op === "max_pool" || op.op === "mean_pool") return words.t(`op.${op.op}`, { size: op.kernel.join("×") });
  if (op.op === "adaptive_pool") return words.t(`op.adaptive_${op.kind}`, { size: op.out.join("×") });
  if (op.op === "activation") return words.t(`op.${op.kind}`);
  return words.t(`op.${op.op}`);
}

function paintFilters(canvas, layout, { images }, chosen, accent, ratio) {
  const { columns, tile, tall, gap, width, height } = layout;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  images.forEach((image, i) => {
    const [x, y] = [(i % columns) * (tile + gap), Math.floor(i / columns) * (tall + gap)];
    paintImage(context, image, x, y, tile, tall);
    if (i !== chosen) return;
    context.strokeStyle = accent;
    context.lineWidth = 2 * ratio;
    context.strokeRect(x + ratio, y + ratio, tile - 2 * ratio, tall - 2 * ratio);
  });
}

/**
 * Filters of the first convolution as pictures: in colour where they see three channels, as signed light where one.
 *
 * weights: [out, c, h, w], flat.
 */
export function filterImages(weights, { out, c, h, w }) {
  const area = h * w;
  const images = [];
  for (let o = 0; o < out; o++) {
    const own = weights.subarray(o * c * area, (o + 1) * c * area);
    let most = 1e-12;
    for (const value of own) most = Math.max(most, Math.abs(value));
    const image = new ImageData(w, h);
    for (let i = 0; i < area; i++) {
      const grey = colourOf(own[i], most);
      for (let k = 0; k < 3; k++) {
        image.data[4 * i + k] = c === 3 ? Math.round(127.5 + (127.5 * own[k * area + i]) / most) : grey[k];
      }
      image.data[4 * i + 3] = 255;
    }
    images.push(image);
  }
  return { images, value: { c: out, h, w } };
}
