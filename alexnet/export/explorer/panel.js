// The panel where images come in: examples, files, camera, drawing, and what disturbs them.

import { attachInput } from "./input.js";
import { createCamera } from "./camera.js";
import { createPad } from "./draw.js";
import { className } from "./answer.js";

const byId = (id) => document.getElementById(id);

/** Pictures to begin with where the page has no data: { name, source: ImageData }. */
function patterns(side) {
  const draw = (name, value) => {
    const image = new ImageData(side, side);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) image.data.set([...value(x / side, y / side), 255], 4 * (y * side + x));
    }
    return { pattern: name, source: image };
  };
  const disc = (x, y) => (Math.hypot(x - 0.5, y - 0.5) < 0.3 ? [214, 92, 40] : [238, 232, 220]);
  const stripes = (x, y) => Array(3).fill(Math.floor((x + y) * 6) % 2 ? 230 : 30);
  const edge = (x) => (x < 0.5 ? [24, 28, 40] : [240, 236, 228]);
  const checks = (x, y) => ((Math.floor(x * 6) + Math.floor(y * 6)) % 2 ? [40, 110, 180] : [245, 210, 90]);
  return [draw("disc", disc), draw("stripes", stripes), draw("edge", edge), draw("checks", checks)];
}

async function imageOf(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}

/**
 * Wire the panel.
 *
 * take(source, { name, label, live }): a new image; resolves when it has been looked at. disturb(): a slider moved.
 * problem(error): to be shown.
 */
export function createPanel({ content, words, take, disturb, problem }) {
  const { preprocessing } = content.models[0];
  const effects = { brightness: 0, noise: 0, occluder: 0, x: 0.5, y: 0.5 };
  const examples = content.data?.examples ?? patterns(preprocessing.resize_px ?? preprocessing.image_px);
  const first = content.data?.first ?? 0;
  const thumbs = byId("examples");
  byId("no-data").hidden = Boolean(content.data);
  byId("draw").hidden = preprocessing.in_channels !== 1;

  const buttons = examples.map((example) => {
    const button = thumbs.appendChild(document.createElement("button"));
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const image = button.appendChild(document.createElement(example.src ? "img" : "canvas"));
    image.className = "pixels";
    if (example.src) {
      image.src = example.src;
      image.alt = "";
    } else {
      [image.width, image.height] = [example.source.width, example.source.height];
      image.getContext("2d").putImageData(example.source, 0, 0);
    }
    button.addEventListener("click", () => pick(example, button));
    return button;
  });

  function nameOf(example) {
    return example.label === undefined ? words.t(`explorer.pattern_${example.pattern}`) : className(example.label, words);
  }

  function mark(chosen) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
  }

  async function pick(example, button) {
    leaveOthers();
    mark(button);
    const strip = thumbs.getBoundingClientRect();
    const own = button.getBoundingClientRect();
    if (own.left < strip.left || own.right > strip.right) thumbs.scrollLeft += own.left - strip.left - strip.width / 2;
    try {
      const source = example.source ?? (await imageOf(example.src));
      await take(source, { name: () => nameOf(example), label: example.label ?? null, live: false });
    } catch (error) {
      problem(error);
    }
  }

  const camera = createCamera({
    video: byId("video"),
    onFrame: (video) => take(video, { name: () => words.t("input.camera"), label: null, live: true }),
    onProblem: (error) => {
      showCamera();
      problem(error);
    },
  });

  function showCamera() {
    byId("camera").setAttribute("aria-pressed", String(camera.running));
    byId("camera-word").textContent = words.t(camera.running ? "input.camera_stop" : "input.camera");
    byId("video").hidden = !camera.running;
  }

  byId("camera").addEventListener("click", async () => {
    if (camera.running) {
      camera.stop();
    } else {
      leaveOthers();
      mark(null);
      await camera.start();
    }
    showCamera();
  });

  const drawn = () => take(byId("pad"), { name: () => words.t("input.draw"), label: null, live: true }).catch(problem);
  const pad = createPad(byId("pad"), { onChange: drawn });

  function showPad(open) {
    byId("pad").hidden = !open;
    byId("zone").classList.toggle("drawing", open);
    byId("clear").hidden = !open;
    byId("draw").setAttribute("aria-pressed", String(open));
  }

  byId("draw").addEventListener("click", () => {
    const open = byId("pad").hidden;
    leaveOthers();
    showPad(open);
    if (!open) return;
    mark(null);
    drawn();
  });
  byId("clear").addEventListener("click", () => {
    pad.clear();
    drawn();
  });

  function leaveOthers() {
    camera.stop();
    showCamera();
    showPad(false);
  }

  attachInput({
    zone: byId("zone"),
    chooser: byId("file"),
    onFile: async (file) => {
      leaveOthers();
      mark(null);
      try {
        await take(file, { name: () => file.name || words.t("input.own"), label: null, live: false });
      } catch (error) {
        problem(error);
      }
    },
    onProblem: problem,
  });

  for (const name of ["brightness", "noise", "occluder"]) {
    byId(name).addEventListener("input", () => {
      effects[name] = Number(byId(name).value);
      showEffects();
      disturb();
    });
  }
  byId("undisturb").addEventListener("click", () => {
    Object.assign(effects, { brightness: 0, noise: 0, occluder: 0, x: 0.5, y: 0.5 });
    for (const name of ["brightness", "noise", "occluder"]) byId(name).value = "0";
    showEffects();
    disturb();
  });

  function showEffects() {
    for (const name of ["brightness", "noise", "occluder"]) {
      byId(name).parentElement.querySelector(".amount").textContent = `${Math.round(100 * effects[name])}%`;
    }
    byId("picture").classList.toggle("occluded", effects.occluder > 0);
    byId("occluder-hint").hidden = !effects.occluder;
    byId("undisturb").hidden = !effects.brightness && !effects.noise && !effects.occluder;
  }

  const picture = byId("picture");
  const moveTo = (x, y) => {
    Object.assign(effects, { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) });
    disturb();
  };
  const follow = (event) => {
    if (!effects.occluder) return;
    if (event.type === "pointermove" && event.buttons === 0) return;
    const box = picture.getBoundingClientRect();
    moveTo((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  picture.addEventListener("pointerdown", follow);
  picture.addEventListener("pointermove", follow);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!step || !effects.occluder) return;
    event.preventDefault();
    moveTo(effects.x + step[0] / preprocessing.image_px, effects.y + step[1] / preprocessing.image_px);
  });

  function speak() {
    buttons.forEach((button, i) => {
      const label = words.t("input.example", { name: nameOf(examples[i]) });
      button.setAttribute("aria-label", label);
      button.title = nameOf(examples[i]);
    });
    byId("zone").dataset.dropping = words.t("input.dropping");
    byId("pad").setAttribute("aria-label", words.t("input.draw_here"));
    showCamera();
  }

  words.onChange(speak);
  speak();
  showEffects();
  return { effects, first: () => pick(examples[first], buttons[first]) };
}
