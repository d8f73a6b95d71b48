// The network: its operations in order, over tensors, with channels that can be switched off.

import { LAYERS, outputSide } from "./layers.js";
import { createProduct } from "./product.js";

/** A generator of numbers in [0, 1) that gives the same ones for the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The sides of every operation's output, found without computing: [{ c, h, w }]. */
export function shapesOf(ops, input) {
  const shapes = [];
  let shape = input;
  for (const op of ops) {
    shape = shapeAfter(op, shape);
    shapes.push(shape);
  }
  return shapes;
}

function shapeAfter(op, { c, h, w }) {
  const side = (i, from) =>
    outputSide(from, op.kernel[i], op.stride[i], op.padding[i], op.dilation?.[i] ?? 1, op.ceil ?? false);
  if (op.op === "conv") return { c: op.out, h: side(0, h), w: side(1, w) };
  if (op.op === "max_pool" || op.op === "mean_pool") return { c, h: side(0, h), w: side(1, w) };
  if (op.op === "adaptive_pool") return { c, h: op.out[0] ?? h, w: op.out[1] ?? w };
  if (op.op === "pad") return { c, h: h + op.top + op.bottom, w: w + op.left + op.right };
  if (op.op === "dense") return { c: op.out, h: 1, w: 1 };
  if (op.op === "flatten") return { c: c * h * w, h: 1, w: 1 };
  return { c, h, w };
}

/**
 * A network ready to compute.
 *
 * ops: as the page's description has them. tensors: Float32Arrays that ops name by position. input: { c, h, w }.
 * plain: compute without WebAssembly.
 */
export function createNetwork({ ops, tensors, input, plain = false }) {
  const shapes = shapesOf(ops, input);
  const convolutions = new Map();
  let floats = 0;
  const room = (n) => {
    const at = floats;
    floats += Math.ceil(n / 4) * 4; // so that all begin at 16 bytes
    return at;
  };
  let [mostPatches, mostOutputs] = [0, 0];
  ops.forEach((op, i) => {
    if (op.op !== "conv") return;
    const { c } = i === 0 ? input : shapes[i - 1];
    const { groups, kernel, out } = op;
    const [depth, rows, area] = [(c / groups) * kernel[0] * kernel[1], out / groups, shapes[i].h * shapes[i].w];
    const [blocks, panels] = [Math.ceil(rows / 4), Math.ceil(area / 8)];
    const parts = Array.from({ length: groups }, () => ({ w: room(4 * blocks * depth), b: room(4 * blocks) }));
    convolutions.set(op, { parts, depth, rows, area, blocks, panels });
    mostPatches = Math.max(mostPatches, 8 * panels * depth);
    mostOutputs = Math.max(mostOutputs, 32 * blocks * panels);
  });
  const [patches, outputs] = [room(mostPatches), room(mostOutputs)];
  const { heap, multiply, kind } = createProduct(floats, plain);
  for (const [op, plan] of convolutions) placeWeights(op, plan, tensors, heap);

  function convolve(op, value) {
    const { parts, depth, rows, area, blocks, panels } = convolutions.get(op);
    const shape = shapeAfter(op, value);
    const out = new Float32Array(op.out * area);
    parts.forEach((part, group) => {
      gatherPatches(op, value, group, shape, depth, heap, patches);
      multiply(part.w, patches, outputs, part.b, blocks, panels, depth);
      for (let row = 0; row < rows; row++) {
        const at = outputs + 8 * row * panels;
        out.set(heap.subarray(at, at + area), (group * rows + row) * area);
      }
    });
    return { ...shape, data: out };
  }

  /**
   * All operations' outputs for an input [c, h, w].
   *
   * off: Map from the position of an operation to the channels of its output that are switched off.
   * dropoutSeed: a number where dropout's masks are on, else null.
   */
  function forward(data, { off = new Map(), dropoutSeed = null } = {}) {
    const random = dropoutSeed === null ? null : seeded(dropoutSeed);
    let value = { ...input, data };
    return ops.map((op, i) => {
      value = op.op === "conv" ? convolve(op, value) : LAYERS[op.op](op, value, tensors, random);
      const channels = off.get(i);
      if (channels?.size) {
        value = { ...value, data: value.data.slice() };
        const area = value.h * value.w;
        for (const channel of channels) value.data.fill(0, channel * area, (channel + 1) * area);
      }
      return value;
    });
  }

  return { forward, shapes, kind };
}

function placeWeights(op, { parts, depth, rows }, tensors, heap) {
  const [weights, bias] = [tensors[op.weight], op.bias === null ? null : tensors[op.bias]];
  parts.forEach((part, group) => {
    for (let row = 0; row < rows; row++) {
      const from = (group * rows + row) * depth;
      const to = part.w + (row >> 2) * 4 * depth + (row & 3);
      for (let k = 0; k < depth; k++) heap[to + 4 * k] = weights[from + k];
      if (bias) heap[part.b + row] = bias[group * rows + row];
    }
  });
}

/** Patches of one group's maps as [panels][depth][8]: what each of eight places sees, side by side. */
function gatherPatches(op, value, group, shape, depth, heap, at) {
  const { h, w, data } = value;
  const [high, wide] = op.kernel;
  const [sy, sx] = op.stride;
  const [py, px] = op.padding;
  const [dy, dx] = op.dilation;
  const maps = value.c / op.groups;
  let k = 0;
  for (let map = 0; map < maps; map++) {
    const begin = (group * maps + map) * h * w;
    for (let v = 0; v < high; v++) {
      for (let u = 0; u < wide; u++, k++) {
        let to = at + 8 * k;
        let lane = 0;
        for (let oy = 0; oy < shape.h; oy++) {
          const y = oy * sy + v * dy - py;
          const row = begin + y * w;
          const inside = y >= 0 && y < h;
          for (let ox = 0, x = u * dx - px; ox < shape.w; ox++, x += sx) {
            heap[to + lane] = inside && x >= 0 && x < w ? data[row + x] : 0;
            if (++lane === 8) {
              lane = 0;
              to += 8 * depth;
            }
          }
        }
      }
    }
  }
}
