// The product of weights and patches, and the memory both lie in.

import { simdModule } from "./simd.js";

const PAGE_FLOATS = 2 ** 14; // of WebAssembly's memory: 64 KiB

/**
 * Memory for `floats` numbers with a product over it.
 *
 * Returns { heap: Float32Array, multiply(w, x, y, b, blocks, panels, depth), kind }: see `simdModule`, but addresses
 * are positions in the heap. Where WebAssembly or its SIMD is missing or forbidden, plain JavaScript computes.
 */
export function createProduct(floats, plain = false) {
  if (!plain) {
    try {
      const memory = new WebAssembly.Memory({ initial: Math.ceil(floats / PAGE_FLOATS) + 1 });
      const module = new WebAssembly.Module(simdModule());
      const { multiply } = new WebAssembly.Instance(module, { page: { memory } }).exports;
      return {
        heap: new Float32Array(memory.buffer),
        multiply: (w, x, y, b, ...sizes) => multiply(4 * w, 4 * x, 4 * y, 4 * b, ...sizes),
        kind: "simd",
      };
    } catch {
      // no WebAssembly, no SIMD, or a policy against it
    }
  }
  const heap = new Float32Array(floats);
  return { heap, multiply: (...sizes) => multiplyPlain(heap, ...sizes), kind: "plain" };
}

function multiplyPlain(heap, w, x, y, b, blocks, panels, depth) {
  const row = 8 * panels;
  for (let block = 0; block < blocks; block++) {
    const bias = b + 4 * block;
    for (let column = 0; column < row; column += 2) {
      let wAt = w + 4 * block * depth;
      let xAt = x + 8 * (column >> 3) * depth + (column & 7);
      let [a0, a1, a2, a3] = [heap[bias], heap[bias + 1], heap[bias + 2], heap[bias + 3]];
      let [c0, c1, c2, c3] = [a0, a1, a2, a3];
      for (let k = 0; k < depth; k++, wAt += 4, xAt += 8) {
        const [left, right] = [heap[xAt], heap[xAt + 1]];
        const [w0, w1, w2, w3] = [heap[wAt], heap[wAt + 1], heap[wAt + 2], heap[wAt + 3]];
        a0 += w0 * left; c0 += w0 * right;
        a1 += w1 * left; c1 += w1 * right;
        a2 += w2 * left; c2 += w2 * right;
        a3 += w3 * left; c3 += w3 * right;
      }
      const at = y + 4 * block * row + column;
      heap[at] = a0; heap[at + 1] = c0;
      heap[at + row] = a1; heap[at + row + 1] = c1;
      heap[at + 2 * row] = a2; heap[at + 2 * row + 1] = c2;
      heap[at + 3 * row] = a3; heap[at + 3 * row + 1] = c3;
    }
  }
}
