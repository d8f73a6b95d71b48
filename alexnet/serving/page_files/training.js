// Photographs into class folders, and training on them; only where the service allows it.

import { ask } from "./api.js";

const POLL_MS = 1000;

/** The form that saves the image at hand into a class' folder. */
export function createLabels({ form, words, onProblem }) {
  const [select, save, done] = ["label", "label-save", "label-done"].map((id) => form.querySelector(`#${id}`));
  let image = null;
  let said = null;

  function show() {
    done.textContent = said ? words.t(said.key, said.values) : "";
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!image) return;
    save.disabled = true;
    try {
      const query = new URLSearchParams({ class: select.value });
      const options = { method: "POST", body: image.blob, type: "application/octet-stream", name: image.name };
      const added = await ask(`v1/labels?${query}`, options);
      const key = added.moved_from ? "serve.label_moved" : added.is_new ? "serve.label_saved" : "serve.label_known";
      said = { key, values: { name: select.value, before: added.moved_from } };
      show();
    } catch (problem) {
      onProblem(problem);
    }
    save.disabled = image === null;
  });
  words.onChange(show);

  return {
    allow(classes) {
      form.hidden = false;
      select.replaceChildren(...classes.map((name) => new Option(name)));
    },
    /** The image that would be saved, and the class it is likeliest in; null: none. */
    offer(chosen, likeliest = null) {
      if (chosen?.blob !== image?.blob) said = null;
      image = chosen;
      save.disabled = image === null;
      if (likeliest !== null && [...select.options].some((option) => option.value === likeliest)) select.value = likeliest;
      show();
    },
  };
}

/** The form that trains. onDone(): the model was replaced. */
export function createTraining({ form, words, onDone, onProblem }) {
  const ids = ["minutes", "retrain-start", "retrain-stop", "retrain-progress", "retrain-state"];
  const [minutes, start, stop, progress, state] = ids.map((id) => form.querySelector(`#${id}`));
  let facts = { state: "none" };
  let watching = false;

  function show() {
    const running = facts.state === "running";
    start.hidden = minutes.disabled = running;
    stop.hidden = progress.hidden = !running;
    if (facts.epochs > 0) progress.value = facts.epoch / facts.epochs;
    else progress.removeAttribute("value");
    state.textContent = sentence();
  }

  function sentence() {
    switch (facts.state) {
      case "running": return facts.epochs ? words.t("serve.retrain_epoch", { epoch: facts.epoch, epochs: facts.epochs }) : words.t("serve.retrain_begins");
      case "done": return facts.top1 === undefined ? words.t("serve.retrain_replaced") : words.t("serve.retrain_done", { top1: words.percent(facts.top1) });
      case "failed": return words.t("serve.retrain_failed", { reason: facts.lines.at(-1) ?? "" });
      case "stopped": return words.t("serve.retrain_stopped");
      default: return "";
    }
  }

  async function watch() {
    if (watching) return;
    watching = true;
    try {
      for (;;) {
        const before = facts.state;
        facts = await ask("v1/retraining");
        show();
        if (facts.state !== "running") {
          if (before === "running" && facts.state === "done") onDone();
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    } catch (problem) {
      onProblem(problem);
    }
    watching = false;
  }

  async function send(method, options = {}) {
    try {
      facts = await ask("v1/retraining", { method, ...options });
      show();
      await watch();
    } catch (problem) {
      onProblem(problem);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send("POST", { body: JSON.stringify({ minutes: Number(minutes.value) }), type: "application/json" });
  });
  stop.addEventListener("click", () => send("DELETE"));
  words.onChange(show);
  return {
    allow() {
      form.hidden = false;
      show();
      watch();
    },
  };
}
