// The page: what is shown, and what happens when something is touched.

import { createWords } from "./words.js";
import { attachTheme } from "./theme.js";
import { readSquare } from "./read_image.js";
import { showAnswer, className } from "./answer.js";
import { startEngine } from "./client.js";
import { asImage, centreOf, disturbed, normalised } from "./pixels.js";
import { createJudge } from "./judge.js";
import { createLevels, filterImages } from "./levels.js";
import { createDetail } from "./detail.js";
import { createGallery } from "./gallery.js";
import { createPanel } from "./panel.js";
import { createTour } from "./tour.js";
import { tourStep } from "./steps.js";
import { readable } from "./arithmetic.js";
import { windowInImage } from "./fields.js";
import { liveliest } from "./paint.js";
import { createMessages } from "./messages.js";

const byId = (id) => document.getElementById(id);
const content = JSON.parse(byId("content").textContent);
const words = createWords(content.words);
const models = content.models;
for (const model of models) {
  for (const level of model.levels) {
    level.steps = model.ops.slice(level.first, level.last + 1).filter((op) => op.op !== "flatten");
  }
}
const { preprocessing } = models[0];
const side = preprocessing.image_px;
const channels = preprocessing.in_channels;
const squareSide = preprocessing.resize_px ?? side;
const judges = models.map(createJudge);
const { tell, clear } = createMessages(byId("messages"), words);
const wide = matchMedia("(min-width: 1180px)");

const state = {
  which: 0, level: 0, channel: null, place: null, open: wide.matches,
  off: models.map(() => new Map()), dropoutSeed: null, about: null, square: null,
};
let engine = null;
let result = null; // of the last pass: { outputs, input, pixels }
let running = null;
let again = false;
let filters = models.map(() => null);
let levels = null;

/** Compute and show what is asked for now; calls that come meanwhile are answered by one more pass. */
function refresh() {
  again = true;
  running ??= (async () => {
    try {
      while (again) {
        again = false;
        await pass();
      }
    } finally {
      running = null;
    }
  })();
  return running;
}

async function pass() {
  if (!state.square || !engine) return;
  const { which } = state;
  const pixels = disturbed(centreOf(state.square, squareSide, side, channels), side, channels, panel.effects);
  const data = normalised(pixels, side, models[which].preprocessing);
  const asked = { off: state.off[which], dropoutSeed: state.dropoutSeed };
  const { outputs, milliseconds } = await engine.forward(which, data.slice(), asked);
  if (which !== state.which) {
    again = true;
    return;
  }
  result = { outputs, input: { c: channels, h: side, w: side, data }, pixels, milliseconds };
  state.channel ??= liveliest(outputs[models[which].levels[state.level].shown]);
  draw();
}

function draw() {
  if (!result) return;
  const { outputs, pixels, milliseconds } = result;
  const { which } = state;
  const image = byId("image");
  [image.width, image.height] = [side, side];
  image.getContext("2d").putImageData(asImage(pixels, side, channels), 0, 0);
  const answer = judges[which](outputs);
  showAnswer({ verdict: byId("verdict"), why: byId("why"), bars: byId("bars") }, answer, words);
  const { about } = state;
  byId("source").textContent = about.name();
  byId("picture").setAttribute("aria-label", words.t("explorer.image_label", { name: about.name(), px: side }));
  byId("truth").hidden = about.label === null;
  byId("truth").textContent = about.label === null ? "" : words.t("explorer.truth", { name: className(about.label, words) });
  levels.show(outputs, shownState());
  byId("speed").textContent = words.t("explorer.speed", {
    milliseconds: milliseconds.toFixed(1),
    kind: words.t(`explorer.kind_${engine.loaded[which].kind}`),
  });
  const count = [...state.off[which].values()].reduce((total, off) => total + off.size, 0);
  byId("all-on").hidden = count === 0;
  byId("all-on").textContent = words.t("explorer.all_on", { n: count });
  drawDetail();
}

function shownState() {
  const { which, level, channel, place } = state;
  return { which, level: state.open || wide.matches ? level : null, channel, place, off: state.off[which] };
}

function drawDetail() {
  const panelElement = byId("detail");
  const shown = Boolean(result) && (state.open || wide.matches);
  panelElement.hidden = !shown;
  document.body.classList.toggle("sheet-open", shown && !wide.matches);
  if (!shown) {
    showField(null, null);
    return;
  }
  detail.show(models[state.which], result.outputs, result.input, { ...shownState(), level: state.level }).catch(tell);
}

/** Frame, on the image, what a place in the output of an operation sees. */
function showField(op, place, alone = false) {
  const field = byId("field");
  if (op === null || place === null) {
    field.hidden = true;
    return;
  }
  const model = models[state.which];
  const one = { top: place.y, bottom: place.y + 1, left: place.x, right: place.x + 1 };
  const input = { c: channels, h: side, w: side };
  const window = windowInImage(model.ops, engine.loaded[state.which].shapes, input, op, one);
  const clip = (value) => Math.min(side, Math.max(0, value));
  const [top, bottom, left, right] = [window.top, window.bottom, window.left, window.right].map(clip);
  field.hidden = false;
  field.classList.toggle("alone", alone);
  Object.assign(field.style, {
    left: `${(100 * left) / side}%`, top: `${(100 * top) / side}%`,
    width: `${(100 * (right - left)) / side}%`, height: `${(100 * (bottom - top)) / side}%`,
  });
}

function choose(level, channel, place, quietly = false) {
  if (state.level !== level) detail.forgetStage();
  Object.assign(state, { level, channel, place });
  if (!quietly || wide.matches) {
    if (!state.open && !wide.matches) requestAnimationFrame(() => levels.card(level).scrollIntoView({ block: "start" }));
    state.open = true;
  }
  if (result) {
    levels.show(result.outputs, shownState());
    drawDetail();
  }
}

function closeDetail() {
  state.open = false;
  draw();
  levels.card(state.level).querySelector("canvas").focus({ preventScroll: true });
}

function toggle(level, channel) {
  const off = state.off[state.which];
  const { shown } = models[state.which].levels[level]; // before maps are flattened, so that a channel is a whole one
  const channelsOff = off.get(shown) ?? off.set(shown, new Set()).get(shown);
  if (!channelsOff.delete(channel)) channelsOff.add(channel);
  refresh().catch(tell);
}

function hover(level, channel, place, event) {
  const tip = byId("tip");
  if (channel === null || !result || event.pointerType === "touch") {
    tip.hidden = true;
    if (channel === null && result) drawPointed();
    return;
  }
  const about = models[state.which].levels[level];
  const value = result.outputs[about.shown];
  const number = value.data[(channel * value.h + place.y) * value.w + place.x];
  const key = about.kind === "maps" ? "explorer.tip_map" : "explorer.tip_unit";
  const name = level === models[state.which].levels.length - 1 ? className(models[state.which].class_names[channel] ?? "", words) : "";
  tip.textContent = words.t(key, { level: about.name, n: channel + 1, y: place.y, x: place.x, value: readable(number) }) + (name ? ` · ${name}` : "");
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 4))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  if (about.kind === "maps") showField(about.shown, place, true);
}

let pointed = { op: null, place: null };
function drawPointed() {
  showField(pointed.op, pointed.place);
}

const gallery = createGallery(models.map((model) => model.data));
const detail = createDetail(byId("detail"), {
  words,
  gallery,
  tensor: (index, from, to) => engine.tensor(state.which, index, from, to),
  on: {
    choose,
    toggle,
    point(op, place) {
      pointed = { op, place };
      drawPointed();
    },
    close: closeDetail,
  },
});

async function take(source, about) {
  const square = await readSquare(source, preprocessing);
  clear();
  Object.assign(state, { square, about });
  await refresh();
  if (!about.live) levels.flow();
}

const panel = createPanel({
  content: { models, data: models[0].data },
  words,
  take,
  disturb: () => refresh().catch(tell),
  problem: tell,
});

function buildLevels() {
  const hooks = { words, choose, hover, toggle, filters: filters[state.which] };
  levels = createLevels(byId("levels"), models[state.which], hooks);
}

function switchTo(which) {
  if (which === state.which) return;
  Object.assign(state, { which, level: Math.min(state.level, models[which].levels.length - 1), channel: null, place: null });
  detail.forgetStage();
  buildLevels();
  showTools();
  result = null;
  refresh().catch(tell);
}

function showTools() {
  const model = models[state.which];
  byId("facts").textContent = words.t("explorer.facts", {
    network: model.network,
    parameters: model.parameters.toLocaleString(words.language),
    classes: model.class_names.length,
    px: side,
  });
  const group = byId("compare");
  group.hidden = models.length < 2;
  group.replaceChildren(
    ...models.map((each, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(i === state.which));
      button.textContent = each.label_key ? words.t(each.label_key) : each.label;
      button.addEventListener("click", () => switchTo(i));
      return button;
    }),
  );
  const drops = model.ops.some((op) => op.op === "dropout");
  byId("dropout").hidden = !drops;
  byId("dropout").setAttribute("aria-pressed", String(state.dropoutSeed !== null));
  byId("mask").hidden = !drops || state.dropoutSeed === null;
}

byId("dropout").addEventListener("click", () => {
  state.dropoutSeed = state.dropoutSeed === null ? 1 : null;
  showTools();
  refresh().catch(tell);
});
byId("mask").addEventListener("click", () => {
  state.dropoutSeed += 1;
  refresh().catch(tell);
});
byId("all-on").addEventListener("click", () => {
  state.off[state.which].clear();
  refresh().catch(tell);
});
byId("language").addEventListener("click", () => {
  const { language, languages } = words;
  words.setLanguage(languages[(languages.indexOf(language) + 1) % languages.length]);
});
words.onChange(() => {
  showTools();
  draw();
});
attachTheme(byId("theme"));
wide.addEventListener("change", () => draw());
let settled = null;
addEventListener("resize", () => {
  clearTimeout(settled);
  settled = setTimeout(() => levels?.repaint(), 120);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && byId("tour").hidden && !wide.matches && state.open) closeDetail();
});

createTour(byId("tour"), byId("tour-start"), {
  words,
  stepOf(n) {
    const model = models[state.which];
    if (n === 2 && model.levels[0].kind === "maps" && wide.matches) choose(0, state.level === 0 ? state.channel : 0, null);
    return tourStep(n, model, { words, card: (level) => levels.card(level) });
  },
});

async function classify(source) {
  await ready;
  const square = await readSquare(source, preprocessing);
  const data = normalised(centreOf(square, squareSide, side, channels), side, preprocessing);
  const { outputs } = await engine.forward(0, data);
  return judges[0](outputs).classes;
}

async function start() {
  const weights = models.map((_, i) => byId(`weights-${i}`).textContent.trim());
  engine = await startEngine(byId("engine").textContent, models.map((model, i) => ({
    model: { ops: model.ops, tensors: model.tensors, input: { c: channels, h: side, w: side } },
    weights: weights[i],
  })));
  filters = await Promise.all(models.map(async (model, which) => {
    const op = model.ops.find((each) => each.op === "conv");
    if (!op || model.ops.indexOf(op) > 1 || op.kernel[0] < 3) return null;
    const values = await engine.tensor(which, op.weight, 0, undefined);
    const c = channels / op.groups;
    return filterImages(values, { out: op.out, c, h: op.kernel[0], w: op.kernel[1] });
  }));
  await gallery.ready;
  buildLevels();
  await panel.first();
}

words.apply();
byId("size").textContent = `${side} × ${side}`;
showTools();
byId("verdict").textContent = words.t("answer.waiting");
const ready = start();
ready.catch(tell);
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  tell(event.reason);
});
window.alexnet = {
  ready,
  classify,
  language: (code) => words.setLanguage(code),
};
