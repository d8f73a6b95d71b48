// The page's side of the engine: a worker, or the same script in the page.

import { Problem } from "./words.js";

function startWorker(source) {
  return new Promise((resolve, reject) => {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(address);
    const waiting = new Map();
    let last = 0;
    worker.onerror = (event) => {
      event.preventDefault();
      const error = new Error(event.message || "the worker stopped");
      for (const { refuse } of waiting.values()) refuse(error);
      waiting.clear();
      reject(error);
    };
    worker.onmessage = ({ data }) => {
      if (data.id === "here") {
        URL.revokeObjectURL(address);
        resolve({ ask, where: "worker" });
        return;
      }
      const { keep, refuse } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) refuse(new Error(data.error));
      else keep(data.found);
    };
    function ask(message, buffers = []) {
      return new Promise((keep, refuse) => {
        last += 1;
        waiting.set(last, { keep, refuse });
        worker.postMessage({ ...message, id: last }, buffers);
      });
    }
  });
}

function startInPage(source) {
  const script = document.createElement("script");
  script.textContent = source;
  document.head.append(script);
  const answer = globalThis.alexnetEngine;
  if (!answer) throw new Error("scripts of this page may not run");
  return { ask: async (message) => (await answer(message)).found, where: "page" };
}

/**
 * The engine with all networks of the page in it.
 *
 * source: the script of the engine. models: [{ model, weights }].
 * Returns { forward(which, x, { off, dropoutSeed }), tensor(which, index, from, to), loaded, where }.
 */
export async function startEngine(source, models) {
  if (typeof DecompressionStream === "undefined") throw new Problem("problem.old_browser");
  let engine;
  try {
    engine = await startWorker(source);
  } catch {
    engine = startInPage(source); // no workers for files here, or a policy against them
  }
  const loaded = [];
  for (const { model, weights } of models) loaded.push(await engine.ask({ type: "load", model, weights }));
  return {
    loaded,
    where: engine.where,
    forward: (which, x, { off = new Map(), dropoutSeed = null } = {}) =>
      engine.ask({ type: "forward", which, x, off, dropoutSeed }),
    tensor: async (which, index, from, to) => (await engine.ask({ type: "tensor", which, index, from, to })).values,
  };
}
