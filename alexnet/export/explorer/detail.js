// The panel of one channel or unit: its map, the sum behind a number, what excites it, and its switch.

import { brightest, colourOf, mapImage } from "./paint.js";
import { convolutionParts, denseParts, layerOf, readable } from "./arithmetic.js";
import { placeBehind } from "./fields.js";
import { opWords } from "./levels.js";

const PARTS_SHOWN = 3;
const INPUTS_SHOWN = 6;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function button(text, onClick, className) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

/**
 * The panel in `panel`.
 *
 * on: { choose(level, channel, place), toggle(level, channel), point(level op, place | null), close() }.
 * gallery: of the page, see `createGallery`. tensor(index, from, to): values of the network's tensors.
 */
export function createDetail(panel, { words, on, gallery, tensor }) {
  let turn = 0;
  let stage = null; // position of the operation whose output the map shows

  async function show(model, outputs, input, state) {
    const mine = ++turn;
    const level = model.levels[state.level];
    const { ops } = model;
    const layer = layerOf(ops, level);
    if (stage === null || stage < layer || stage > level.last) stage = level.shown;
    const op = ops[layer];
    const given = layer === 0 ? input : outputs[layer - 1];
    const rowLength = op.op === "conv" ? (given.c / op.groups) * op.kernel[0] * op.kernel[1] : given.data.length;
    const { channel } = state;
    const weights = await tensor(op.weight, channel * rowLength, (channel + 1) * rowLength);
    const bias = op.bias === null ? 0 : (await tensor(op.bias, channel, channel + 1))[0];
    if (mine !== turn) return; // the visitor has gone on
    const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.part : null;
    const scrolled = panel.scrollTop;
    const parts = [head(model, level, state), switchFor(level, state)];
    const place = placeOf(outputs[stage], channel, state.place);
    const context = { model, level, layer, op, given, weights, bias, outputs, state, place };
    if (level.kind === "maps") {
      const pair = element("div", "pair");
      pair.append(mapView(context), best(level, state));
      parts.push(stages(context), pair, sums(context));
    } else {
      parts.push(best(level, state), unitSum(context));
    }
    panel.replaceChildren(...parts);
    panel.scrollTop = scrolled;
    if (focused) panel.querySelector(`[data-part="${focused}"]`)?.focus();
  }

  /** The place that was chosen, or else the strongest one. */
  function placeOf({ h, w, data }, channel, place) {
    if (place) return { y: Math.min(place.y, h - 1), x: Math.min(place.x, w - 1) };
    let best = 0;
    for (let i = 1; i < h * w; i++) if (data[channel * h * w + i] > data[channel * h * w + best]) best = i;
    return { y: Math.floor(best / w), x: best % w };
  }

  function head(model, level, { level: i, channel }) {
    const header = element("header");
    const title = element("h2", "", words.t(level.kind === "maps" ? "detail.channel" : "detail.unit", { level: level.name, n: channel + 1 }));
    title.id = "detail-title";
    const count = model.ops[layerOf(model.ops, level)].out;
    const back = button("‹", () => on.choose(i, (channel + count - 1) % count, null));
    const next = button("›", () => on.choose(i, (channel + 1) % count, null));
    const close = button("×", on.close, "close");
    [back.dataset.part, next.dataset.part] = ["back", "next"];
    back.setAttribute("aria-label", words.t("detail.previous"));
    next.setAttribute("aria-label", words.t("detail.next"));
    close.setAttribute("aria-label", words.t("page.close"));
    header.append(title, back, next, close);
    return header;
  }

  function switchFor(level, { level: i, channel, off }) {
    const isOn = !off.get(level.shown)?.has(channel);
    const control = button("", () => on.toggle(i, channel), "switch");
    control.dataset.part = "switch";
    control.setAttribute("role", "switch");
    control.setAttribute("aria-checked", String(isOn));
    control.append(element("span", "knob"), element("span", "", words.t(isOn ? "detail.on" : "detail.off")));
    return control;
  }

  function stages({ model, level, layer, state }) {
    const chips = element("div", "chips");
    chips.setAttribute("role", "group");
    chips.setAttribute("aria-label", words.t("detail.stage"));
    for (let i = layer; i <= level.last; i++) {
      if (["flatten", "dropout"].includes(model.ops[i].op)) continue;
      const chip = button(opWords(model.ops[i], words), () => {
        stage = i;
        on.choose(state.level, state.channel, null);
      });
      chip.dataset.part = `stage-${i}`;
      chip.setAttribute("aria-pressed", String(i === stage));
      chips.append(chip);
    }
    return chips;
  }

  function mapView({ level, outputs, state, place }) {
    const view = element("section", "stage");
    view.append(element("h3", "", words.t("detail.map")));
    const value = outputs[stage];
    const big = element("div", "big");
    const canvas = big.appendChild(element("canvas", "pixels"));
    [canvas.width, canvas.height] = [value.w, value.h];
    canvas.tabIndex = 0;
    canvas.dataset.part = "map";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words.t("detail.map_label", { h: value.h, w: value.w }));
    canvas.getContext("2d").putImageData(mapImage(value, state.channel, brightest(value, state.off.get(level.shown))), 0, 0);
    const cross = big.appendChild(element("div", "cross"));
    Object.assign(cross.style, {
      left: `${(100 * place.x) / value.w}%`, top: `${(100 * place.y) / value.h}%`,
      width: `${100 / value.w}%`, height: `${100 / value.h}%`,
    });
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      if (!box.width) return place; // a newer panel has taken this one's place
      const inside = (share, n) => Math.min(n - 1, Math.max(0, Math.floor(share * n)));
      return { y: inside((event.clientY - box.top) / box.height, value.h), x: inside((event.clientX - box.left) / box.width, value.w) };
    };
    const move = (event) => {
      const to = at(event);
      if (to.y !== place.y || to.x !== place.x) on.choose(state.level, state.channel, to);
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      const to = { y: Math.min(value.h - 1, Math.max(0, place.y + step[0])), x: Math.min(value.w - 1, Math.max(0, place.x + step[1])) };
      on.choose(state.level, state.channel, to);
    });
    view.append(big, element("p", "muted small", words.t("detail.map_hint")));
    return view;
  }

  function sums(context) {
    const { model, level, layer, op, given, weights, bias, outputs, state, place } = context;
    const view = element("section", "sums");
    view.append(element("h3", "", words.t("detail.sum")));
    const from = placeBehind(model.ops, outputs, layer, stage, state.channel, place.y, place.x);
    if (!from) {
      view.append(element("p", "muted small", words.t("detail.sum_many")));
      on.point(stage, place);
      return view;
    }
    on.point(layer, from);
    const parts = convolutionParts(op, given, weights, state.channel, from.y, from.x);
    const shown = parts.slice(0, PARTS_SHOWN);
    const previous = layer === 0 ? null : [...model.levels].reverse().find((other) => other.last < layer);
    const mostInput = Math.max(...shown.flatMap((part) => part.patch.map(Math.abs)), 1e-9);
    const mostWeight = Math.max(...shown.flatMap((part) => part.weights.map(Math.abs)), 1e-9);
    for (const part of shown) {
      const row = element("div", "sum");
      const name = previous
        ? words.t("detail.from_map", { level: previous.name, n: part.map + 1 })
        : words.t(given.c === 3 ? `detail.colour_${part.map}` : "detail.grey");
      const title = element("div", "head");
      title.append(element("span", "", name), element("span", "number", `Σ = ${readable(part.sum)}`));
      row.append(title, numbers(part.patch, op.kernel, mostInput, part.outside), numbers(part.weights, op.kernel, mostWeight));
      row.append(element("span", "muted small", words.t(previous ? "detail.patch" : "detail.patch_pixels")), element("span", "muted small", words.t("detail.kernel")));
      view.append(row);
    }
    const rest = parts.slice(PARTS_SHOWN).reduce((total, part) => total + part.sum, 0);
    view.append(chain(context, shown.map((part) => part.sum), parts.length - shown.length, rest, bias, from));
    return view;
  }

  function chain({ model, layer, level, outputs, state, place }, terms, others, rest, bias, from) {
    const line = element("p", "chain");
    let text = terms.map((term) => readable(term)).join(" + ").replaceAll("+ −", "− ");
    if (others > 0) text += ` + ${words.t("detail.others", { n: others, sum: readable(rest) })}`;
    text += ` + ${words.t("detail.bias", { value: readable(bias) })}`;
    line.append(`${text} = `);
    const at = (i, { y, x }) => outputs[i].data[(state.channel * outputs[i].h + y) * outputs[i].w + x];
    line.append(element("b", "", readable(at(layer, from))));
    if (stage === layer) return line;
    const onlyPlaces = [];
    for (let i = layer + 1; i <= stage; i++) onlyPlaces.push(opWords(model.ops[i], words));
    const off = state.off.get(level.shown)?.has(state.channel) && stage === level.shown;
    line.append(` → ${onlyPlaces.join(" → ")} → `, element("b", "", off ? words.t("detail.zero") : readable(at(stage, place))));
    return line;
  }

  function numbers(values, [, wide], most, outside) {
    const grid = element("div", `grid ${outside ? "outside" : ""}`);
    grid.style.gridTemplateColumns = `repeat(${wide}, 1fr)`;
    grid.setAttribute("aria-hidden", "true");
    values.forEach((value, i) => {
      const cell = element("span", outside?.[i] ? "out" : "", wide > 7 ? "" : readable(value, wide > 3 ? 1 : 2));
      const colour = colourOf(value, most);
      cell.style.background = `rgb(${colour.join(" ")})`;
      cell.style.color = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 120 ? "#15161b" : "#f4f1ec";
      grid.append(cell);
    });
    return grid;
  }

  function unitSum({ model, level, layer, given, weights, bias, outputs, state }) {
    const view = element("section", "sums");
    on.point(null, null);
    view.append(element("h3", "", words.t("detail.sum")));
    const list = element("ol", "inputs");
    const previous = [...model.levels].reverse().find((other) => other.last < layer);
    const source = previous ? outputs[previous.shown] : null;
    for (const part of denseParts(weights, given.data, INPUTS_SHOWN)) {
      const row = element("li");
      const isMap = previous && source.h * source.w > 1 && source.data.length === given.data.length;
      const number = isMap ? Math.floor(part.index / (source.h * source.w)) : part.index;
      const key = isMap || previous?.kind === "maps" ? "detail.from_map" : "detail.from_unit";
      const name = previous ? words.t(key, { level: previous.name, n: number + 1 }) : words.t("detail.pixel", { n: part.index + 1 });
      row.append(element("span", "", name), element("span", "", `${readable(part.input)} × ${readable(part.weight, 3)} = ${readable(part.product)}`));
      list.append(row);
    }
    const line = element("p", "chain");
    const others = Math.max(0, weights.length - INPUTS_SHOWN);
    line.append(`Σ ${words.t("detail.inputs", { n: others + Math.min(INPUTS_SHOWN, weights.length) })} + ${words.t("detail.bias", { value: readable(bias) })} = `);
    line.append(element("b", "", readable(outputs[layer].data[state.channel])));
    if (level.shown > layer) {
      const after = model.ops.slice(layer + 1, level.shown + 1).map((op) => opWords(op, words)).join(" → ");
      line.append(` → ${after} → `, element("b", "", readable(outputs[level.shown].data[state.channel])));
    }
    view.append(list, line);
    return view;
  }

  function best(level, { level: i, channel, which }) {
    const view = element("section", "stage");
    view.append(element("h3", "", words.t(level.kind === "maps" ? "detail.best_patches" : "detail.best_images")));
    const found = gallery.best(which, i, channel, level.kind);
    if (!found) {
      view.append(element("p", "muted small", words.t("detail.no_patches")));
      return view;
    }
    const nine = element("div", "nine");
    nine.setAttribute("role", "img");
    nine.setAttribute("aria-label", words.t("detail.best_label", { n: found.n }));
    for (let k = 0; k < found.n; k++) {
      const canvas = nine.appendChild(element("canvas", "pixels"));
      [canvas.width, canvas.height] = [found.px, found.px];
      found.paint(canvas.getContext("2d"), k);
    }
    view.append(nine, element("p", "muted small", words.t(level.kind === "maps" ? "detail.best_patches_hint" : "detail.best_images_hint", found)));
    return view;
  }

  return { show, forgetStage() { stage = null; } };
}
