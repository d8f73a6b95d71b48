// The page of the service: one image and its answer, many and their table, and training where it is allowed.

import { showAnswer } from "./answer.js";
import { ask, predict, recallToken, setToken } from "./api.js";
import { createBatch } from "./batch.js";
import { createCamera } from "./camera.js";
import { attachInput } from "./input.js";
import { attachTheme } from "./theme.js";
import { createLabels, createTraining } from "./training.js";
import { createWords, Problem } from "./words.js";

const SHOT_PX = 640; // side of a camera's frame that is sent, at most

const find = (id) => document.getElementById(id);
const words = createWords(await (await fetch(new URL("words.json", import.meta.url))).json());
const answerParts = { verdict: find("verdict"), why: find("why"), bars: find("bars") };

let models = [];
let limits = { body_bytes: Infinity };
let image = null; // { blob, name }
let prediction = null;
let turn = 0;

function complain(problem) {
  if (problem?.code === "token") {
    find("token-form").hidden = false;
    find("token").focus();
  }
  const message = document.createElement("p");
  message.className = "message";
  message.append(words.explain(problem));
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.textContent = "×";
  close.setAttribute("aria-label", words.t("page.close"));
  close.addEventListener("click", () => message.remove());
  message.append(close);
  find("messages").replaceChildren(message);
}

const calm = () => find("messages").replaceChildren();
const model = () => models.find(({ name }) => name === find("model").value) ?? models[0];

function showFacts() {
  const facts = model();
  find("facts").textContent = facts
    ? words.t("serve.facts", { network: facts.name === facts.network ? facts.name : `${facts.name} (${facts.network})`, classes: facts.classes.length, pixels: facts.image_px })
    : "";
}

function showPrediction() {
  if (!prediction || !model()) return;
  const best = prediction.classes[0].name;
  const kind = prediction.answer === best ? "class" : prediction.answer;
  const { least_probability: least, calibrated_on: calibrated } = model();
  showAnswer(answerParts, { classes: prediction.classes, kind, least, calibrated }, words);
}

function forget() {
  prediction = null;
  answerParts.verdict.textContent = answerParts.why.textContent = "";
  answerParts.verdict.classList.remove("withheld");
  answerParts.bars.replaceChildren();
}

/** Ask about an image; false where a newer one was asked about meanwhile. */
async function look(blob, name) {
  const mine = (turn += 1);
  if (blob.size > limits.body_bytes) {
    throw new Problem("problem.large_file", { name, megabytes: (blob.size / 2 ** 20).toFixed(1), limit: Math.floor(limits.body_bytes / 2 ** 20) });
  }
  if (!model()) await load();
  const found = await predict(model().name, blob, name);
  if (mine !== turn) return false;
  prediction = found;
  image = { blob, name };
  labels.offer(image, found.classes[0].name);
  showPrediction();
  return true;
}

async function lookAtFile(file) {
  stopCamera();
  calm();
  forget();
  showPicture(file);
  labels.offer(null);
  find("source").textContent = words.t("serve.looking");
  const name = file.name || words.t("input.own");
  try {
    await look(file, name);
  } catch (problem) {
    complain(problem);
  }
  find("source").textContent = name;
}

function showPicture(file) {
  const picture = find("image");
  if (picture.src) URL.revokeObjectURL(picture.src);
  picture.hidden = file === null;
  find("empty").toggleAttribute("hidden", file !== null);
  if (file === null) {
    picture.removeAttribute("src");
    return;
  }
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name || words.t("input.own");
}

find("image").addEventListener("error", () => {
  find("image").hidden = true; // the service may read what this browser cannot show
  find("empty").removeAttribute("hidden");
});

const canvas = document.createElement("canvas");
const camera = createCamera({
  video: find("video"),
  async onFrame(video) {
    const scale = Math.min(1, SHOT_PX / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.max(1, Math.round(scale * video.videoWidth));
    canvas.height = Math.max(1, Math.round(scale * video.videoHeight));
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    if (blob && camera.running) await look(blob, words.t("input.camera"));
  },
  onProblem(problem) {
    stopCamera();
    complain(problem);
  },
});

function showCamera() {
  const running = camera.running;
  find("camera").setAttribute("aria-pressed", String(running));
  find("camera-word").textContent = words.t(running ? "input.camera_stop" : "input.camera");
}

function stopCamera() {
  if (camera.running) {
    camera.stop();
    turn += 1;
  }
  find("video").hidden = true;
  if (!find("image").getAttribute("src")) find("empty").removeAttribute("hidden");
  showCamera();
}

find("camera").addEventListener("click", async () => {
  if (camera.running) {
    stopCamera();
    return;
  }
  calm();
  forget();
  showPicture(null);
  find("empty").setAttribute("hidden", "");
  find("source").textContent = "";
  find("video").hidden = false;
  if (!(await camera.start())) stopCamera();
  showCamera();
});

const batch = createBatch({ section: find("batch"), words, onChoose: lookAtFile });
const labels = createLabels({ form: find("label-form"), words, onProblem: complain });
const training = createTraining({ form: find("retrain-form"), words, onProblem: complain, onDone: load });

attachInput({
  zone: find("zone"),
  chooser: find("file"),
  onFile: lookAtFile,
  onFiles(files) {
    calm();
    lookAtFile(files[0]);
    if (model()) batch.start(files, model().name);
  },
  onProblem: complain,
});
attachTheme(find("theme"));

find("language").addEventListener("click", () => {
  const other = words.languages.find((code) => code !== words.language);
  words.setLanguage(other);
});
find("model").addEventListener("change", async () => {
  showFacts();
  if (!image || camera.running) return;
  try {
    await look(image.blob, image.name);
  } catch (problem) {
    complain(problem);
  }
});
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(find("token").value.trim());
  find("token-form").hidden = true;
  calm();
  load();
});

async function load() {
  try {
    const known = await ask("v1/models");
    const chosen = find("model").value;
    [models, limits] = [known.models, known.limits];
    find("model").replaceChildren(...models.map(({ name }) => new Option(name)));
    if (models.some(({ name }) => name === chosen)) find("model").value = chosen;
    find("model-label").hidden = models.length < 2;
    showFacts();
    const allowed = await ask("v1/labels");
    if (allowed.allowed) {
      labels.allow(allowed.classes);
      training.allow();
    }
  } catch (problem) {
    complain(problem);
  }
}

function inWords() {
  find("zone").dataset.dropping = words.t("input.dropping");
  document.title = `alexnet · ${words.t("serve.title")}`;
  showFacts();
  showPrediction();
  showCamera();
}

words.onChange(inWords);
words.apply();
inWords();
recallToken();
await load();
document.documentElement.dataset.ready = "yes";
