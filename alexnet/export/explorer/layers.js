// Layers but for convolutions. A value is { c, h, w, data }: maps in rows, fp32; flat vectors have h = w = 1.

/** Outputs along a side, as torch counts them. */
export function outputSide(side, kernel, stride, padding, dilation = 1, ceil = false) {
  const reach = side + 2 * padding - dilation * (kernel - 1) - 1;
  let outputs = (ceil ? Math.ceil(reach / stride) : Math.floor(reach / stride)) + 1;
  if (ceil && (outputs - 1) * stride >= side + padding) outputs -= 1; // a window must begin inside
  return outputs;
}

function valueOf(c, h, w) {
  return { c, h, w, data: new Float32Array(c * h * w) };
}

function mapped(value, change) {
  const out = valueOf(value.c, value.h, value.w);
  const { data } = value;
  for (let i = 0; i < data.length; i++) out.data[i] = change(data[i]);
  return out;
}

// Abramowitz and Stegun 1964, 7.1.26: within 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const rest = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  const size = 1 - rest * Math.exp(-x * x);
  return x < 0 ? -size : size;
}

export const ACTIVATIONS = {
  relu: () => (x) => (x > 0 ? x : 0),
  tanh: () => Math.tanh,
  sigmoid: () => (x) => 1 / (1 + Math.exp(-x)),
  elu: ({ alpha }) => (x) => (x > 0 ? x : alpha * Math.expm1(x)),
  leaky_relu: ({ slope }) => (x) => (x >= 0 ? x : slope * x),
  gelu: () => (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
};

function activation(op, value) {
  return mapped(value, ACTIVATIONS[op.kind](op));
}

function pad(op, value) {
  const { c, h, w, data } = value;
  const out = valueOf(c, h + op.top + op.bottom, w + op.left + op.right);
  for (let channel = 0; channel < c; channel++) {
    for (let y = 0; y < h; y++) {
      const to = (channel * out.h + y + op.top) * out.w + op.left;
      for (let x = 0; x < w; x++) out.data[to + x] = data[(channel * h + y) * w + x];
    }
  }
  return out;
}

function maxPool(op, value) {
  const { c, h, w, data } = value;
  const [high, wide] = op.kernel;
  const [dy, dx] = op.dilation;
  const out = valueOf(
    c,
    outputSide(h, high, op.stride[0], op.padding[0], dy, op.ceil),
    outputSide(w, wide, op.stride[1], op.padding[1], dx, op.ceil),
  );
  let to = 0;
  for (let channel = 0; channel < c; channel++) {
    for (let oy = 0; oy < out.h; oy++) {
      const top = oy * op.stride[0] - op.padding[0];
      for (let ox = 0; ox < out.w; ox++) {
        const left = ox * op.stride[1] - op.padding[1];
        let most = -Infinity;
        for (let v = 0, y = top; v < high; v++, y += dy) {
          if (y < 0 || y >= h) continue;
          const row = (channel * h + y) * w;
          for (let u = 0, x = left; u < wide; u++, x += dx) {
            if (x >= 0 && x < w && data[row + x] > most) most = data[row + x];
          }
        }
        out.data[to++] = most;
      }
    }
  }
  return out;
}

function meanPool(op, value) {
  const { c, h, w, data } = value;
  const [high, wide] = op.kernel;
  const [py, px] = op.padding;
  const out = valueOf(c, outputSide(h, high, op.stride[0], py, 1, op.ceil), outputSide(w, wide, op.stride[1], px, 1, op.ceil));
  let to = 0;
  for (let channel = 0; channel < c; channel++) {
    for (let oy = 0; oy < out.h; oy++) {
      const top = oy * op.stride[0] - py;
      for (let ox = 0; ox < out.w; ox++) {
        const left = ox * op.stride[1] - px;
        const [bottom, right] = [Math.min(top + high, h + py), Math.min(left + wide, w + px)];
        const [y0, x0, y1, x1] = [Math.max(top, 0), Math.max(left, 0), Math.min(bottom, h), Math.min(right, w)];
        let total = 0;
        for (let y = y0; y < y1; y++) {
          for (let x = x0; x < x1; x++) total += data[(channel * h + y) * w + x];
        }
        const counted = op.count_padding ? (bottom - top) * (right - left) : (y1 - y0) * (x1 - x0);
        out.data[to++] = total / counted;
      }
    }
  }
  return out;
}

function adaptivePool(op, value) {
  const { c, h, w, data } = value;
  const [high, wide] = [op.out[0] ?? h, op.out[1] ?? w];
  const out = valueOf(c, high, wide);
  let to = 0;
  for (let channel = 0; channel < c; channel++) {
    for (let oy = 0; oy < high; oy++) {
      const [y0, y1] = [Math.floor((oy * h) / high), Math.ceil(((oy + 1) * h) / high)];
      for (let ox = 0; ox < wide; ox++) {
        const [x0, x1] = [Math.floor((ox * w) / wide), Math.ceil(((ox + 1) * w) / wide)];
        let [total, most] = [0, -Infinity];
        for (let y = y0; y < y1; y++) {
          for (let x = x0; x < x1; x++) {
            const v = data[(channel * h + y) * w + x];
            total += v;
            if (v > most) most = v;
          }
        }
        out.data[to++] = op.kind === "max" ? most : total / ((y1 - y0) * (x1 - x0));
      }
    }
  }
  return out;
}

function affine(op, value, tensors) {
  const { c, h, w, data } = value;
  const [scale, shift] = [tensors[op.scale], tensors[op.shift]];
  const out = valueOf(c, h, w);
  for (let i = 0; i < data.length; i++) {
    const channel = Math.floor(i / (h * w));
    out.data[i] = data[i] * scale[channel] + shift[channel];
  }
  return out;
}

/** x / (k + alpha * sum of squares of `size` neighbouring maps) ** beta, each of `parts` parts of the maps by itself. */
function responseNorm(op, value) {
  const { c, h, w, data } = value;
  const [area, part] = [h * w, c / op.parts];
  const [before, after] = [Math.floor(op.size / 2), Math.floor((op.size - 1) / 2)];
  const out = valueOf(c, h, w);
  for (let channel = 0; channel < c; channel++) {
    const begin = Math.floor(channel / part) * part;
    const [low, high] = [Math.max(begin, channel - before), Math.min(begin + part - 1, channel + after)];
    for (let i = 0; i < area; i++) {
      let total = 0;
      for (let other = low; other <= high; other++) total += data[other * area + i] ** 2;
      out.data[channel * area + i] = data[channel * area + i] * (op.k + op.alpha * total) ** -op.beta;
    }
  }
  return out;
}

/** x / (1 + alpha * sum of squares of size x size places of the same map) ** beta. */
function withinNorm(op, value) {
  const { c, h, w, data } = value;
  const reach = Math.floor(op.size / 2);
  const out = valueOf(c, h, w);
  let to = 0;
  for (let channel = 0; channel < c; channel++) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        let total = 0;
        for (let v = Math.max(0, y - reach); v <= Math.min(h - 1, y + reach); v++) {
          for (let u = Math.max(0, x - reach); u <= Math.min(w - 1, x + reach); u++) total += data[(channel * h + v) * w + u] ** 2;
        }
        out.data[to] = data[to] * (1 + op.alpha * total) ** -op.beta;
        to += 1;
      }
    }
  }
  return out;
}

function dense(op, value, tensors) {
  const [weights, bias, x] = [tensors[op.weight], op.bias === null ? null : tensors[op.bias], value.data];
  const out = valueOf(op.out, 1, 1);
  const n = x.length;
  for (let o = 0, at = 0; o < op.out; o++) {
    let [a, b, c, d] = [0, 0, 0, 0];
    let i = 0;
    for (; i + 3 < n; i += 4, at += 4) {
      a += weights[at] * x[i];
      b += weights[at + 1] * x[i + 1];
      c += weights[at + 2] * x[i + 2];
      d += weights[at + 3] * x[i + 3];
    }
    for (; i < n; i++, at++) a += weights[at] * x[i];
    out.data[o] = a + b + c + d + (bias ? bias[o] : 0);
  }
  return out;
}

function flatten(op, value) {
  return { c: value.data.length, h: 1, w: 1, data: value.data };
}

/** random: draws in [0, 1) where masks are on, null where they are off. */
function dropout(op, value, tensors, random) {
  if (!random) return op.masking ? mapped(value, (x) => x * (1 - op.p)) : value;
  const kept = op.masking ? 1 : 1 / (1 - op.p);
  const { c, h, w } = value;
  if (!op.whole_maps) return mapped(value, (x) => (random() < op.p ? 0 : x * kept));
  const out = valueOf(c, h, w);
  for (let channel = 0; channel < c; channel++) {
    const times = random() < op.p ? 0 : kept;
    for (let i = channel * h * w; i < (channel + 1) * h * w; i++) out.data[i] = value.data[i] * times;
  }
  return out;
}

/** By the name of an operation: (op, value, tensors, random) -> value. */
export const LAYERS = {
  activation, pad, dense, flatten, dropout, affine,
  max_pool: maxPool,
  mean_pool: meanPool,
  adaptive_pool: adaptivePool,
  response_norm: responseNorm,
  within_norm: withinNorm,
};

export function softmax(scores, temperature = 1) {
  let most = -Infinity;
  for (const score of scores) most = Math.max(most, score);
  let total = 0;
  const out = new Float64Array(scores.length);
  for (let i = 0; i < out.length; i++) total += out[i] = Math.exp((scores[i] - most) / temperature);
  for (let i = 0; i < out.length; i++) out[i] /= total;
  return out;
}
