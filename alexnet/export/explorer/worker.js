// The engine behind messages: in a worker, or in the page itself where no worker may run.

import { bytesOf, inflated, tensorOf } from "./tensors.js";
import { createNetwork } from "./network.js";

const networks = [];

const ANSWERS = {
  /** A network: its description and its weights in base64. */
  async load({ model, weights, plain }) {
    const bytes = await inflated(bytesOf(weights));
    const tensors = model.tensors.map((about) => tensorOf(bytes, about));
    const network = createNetwork({ ...model, tensors, plain });
    network.forward(new Float32Array(model.input.c * model.input.h * model.input.w)); // the first pass also compiles
    networks.push({ network, tensors });
    return { kind: network.kind, shapes: network.shapes };
  },
  /** Every operation's output for an input. */
  forward({ which, x, off, dropoutSeed }) {
    const begin = performance.now();
    const outputs = networks[which].network.forward(x, { off, dropoutSeed });
    return { outputs, milliseconds: performance.now() - begin };
  },
  /** Some values of a tensor. */
  tensor({ which, index, from, to }) {
    return { values: networks[which].tensors[index].slice(from, to) };
  },
};

/** What a message is answered with, and the buffers that go with it. */
export async function answer(message) {
  const found = await ANSWERS[message.type](message);
  const buffers = new Set((found.outputs ?? []).map((value) => value.data.buffer));
  if (found.values) buffers.add(found.values.buffer);
  return { found, buffers: [...buffers] };
}

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) {
  self.onmessage = async ({ data }) => {
    try {
      const { found, buffers } = await answer(data);
      self.postMessage({ id: data.id, found }, buffers);
    } catch (error) {
      self.postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  };
  self.postMessage({ id: "here" });
} else {
  globalThis.alexnetEngine = answer;
}
