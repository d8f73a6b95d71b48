// The sum behind one number: which inputs, times which weights, plus which bias.

/** Position of the convolution or dense layer that a level begins with. */
export function layerOf(ops, level) {
  for (let i = level.first; i <= level.last; i++) if (ops[i].op === "conv" || ops[i].op === "dense") return i;
  return level.first;
}

/**
 * The parts of a convolution's sum at one place, an input map each, the largest contribution first.
 *
 * op: the convolution; given: its input; kernel: [maps of a group, h, w] of one output, flat.
 * Each part: { map, sum, patch, weights, outside }: numbers in rows, and whether each lies outside of the map.
 */
export function convolutionParts(op, given, kernel, channel, y, x) {
  const [high, wide] = op.kernel;
  const maps = given.c / op.groups;
  const first = Math.floor(channel / (op.out / op.groups)) * maps;
  const parts = [];
  for (let m = 0; m < maps; m++) {
    const part = { map: first + m, sum: 0, patch: [], weights: [], outside: [] };
    for (let v = 0; v < high; v++) {
      for (let u = 0; u < wide; u++) {
        const row = y * op.stride[0] - op.padding[0] + v * op.dilation[0];
        const column = x * op.stride[1] - op.padding[1] + u * op.dilation[1];
        const inside = row >= 0 && row < given.h && column >= 0 && column < given.w;
        const value = inside ? given.data[((first + m) * given.h + row) * given.w + column] : 0;
        const weight = kernel[(m * high + v) * wide + u];
        part.patch.push(value);
        part.weights.push(weight);
        part.outside.push(!inside);
        part.sum += value * weight;
      }
    }
    parts.push(part);
  }
  return parts.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
}

/** The largest products of a dense unit's sum: [{ index, input, weight, product }]. */
export function denseParts(weights, given, most) {
  const parts = Array.from(weights, (weight, index) => ({ index, input: given[index], weight, product: weight * given[index] }));
  return parts.sort((a, b) => Math.abs(b.product) - Math.abs(a.product)).slice(0, most);
}

/** A number for reading: three digits that count, a real minus sign. */
export function readable(value, digits = 2) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const text = size >= 1000 ? size.toFixed(0) : size >= 100 ? size.toFixed(1) : size.toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}
