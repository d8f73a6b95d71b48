// Which pixels a unit sees. A window is { top, bottom, left, right }, the last row and column excluded.

/** What the places in `window` of an operation's output take from its input of sides `h` and `w`. */
export function windowBefore(op, window, { h, w }) {
  const { top, bottom, left, right } = window;
  if (op.kernel) {
    const [dy, dx] = op.dilation ?? [1, 1];
    const [sy, sx] = op.stride;
    const [py, px] = op.padding;
    return {
      top: top * sy - py,
      bottom: (bottom - 1) * sy - py + dy * (op.kernel[0] - 1) + 1,
      left: left * sx - px,
      right: (right - 1) * sx - px + dx * (op.kernel[1] - 1) + 1,
    };
  }
  if (op.op === "adaptive_pool") {
    const [high, wide] = [op.out[0] ?? h, op.out[1] ?? w];
    return {
      top: Math.floor((top * h) / high),
      bottom: Math.ceil((bottom * h) / high),
      left: Math.floor((left * w) / wide),
      right: Math.ceil((right * w) / wide),
    };
  }
  if (op.op === "pad") return { top: top - op.top, bottom: bottom - op.top, left: left - op.left, right: right - op.left };
  if (op.op === "within_norm") {
    const reach = Math.floor(op.size / 2);
    return { top: top - reach, bottom: bottom + reach, left: left - reach, right: right + reach };
  }
  if (op.op === "dense" || op.op === "flatten") return { top: 0, bottom: h, left: 0, right: w };
  return window;
}

/** What a window of the output of operation `op` sees of the image; shapes: of all outputs, input: of the image. */
export function windowInImage(ops, shapes, input, op, window) {
  for (let i = op; i >= 0; i--) window = windowBefore(ops[i], window, i === 0 ? input : shapes[i - 1]);
  return window;
}

/**
 * The place in the output of operation `first` behind one place after operation `last`, through pools of maxima the
 * one that gave the maximum; null where several places share in it.
 */
export function placeBehind(ops, outputs, first, last, channel, y, x) {
  let window = { top: y, bottom: y + 1, left: x, right: x + 1 };
  for (let i = last; i > first; i--) {
    const value = outputs[i - 1];
    window = windowBefore(ops[i], window, value);
    const isMax = ops[i].op === "max_pool" || (ops[i].op === "adaptive_pool" && ops[i].kind === "max");
    if (isMax) window = largestIn(value, channel, window, ops[i].dilation ?? [1, 1]);
    else if (ops[i].op === "within_norm") window = { top: y, bottom: y + 1, left: x, right: x + 1 };
    if (window.bottom - window.top !== 1 || window.right - window.left !== 1) return null;
    [y, x] = [window.top, window.left];
  }
  return { y, x };
}

function largestIn({ h, w, data }, channel, { top, bottom, left, right }, [dy, dx]) {
  let best = null;
  for (let y = top; y < bottom; y += dy) {
    for (let x = left; x < right; x += dx) {
      if (y < 0 || y >= h || x < 0 || x >= w) continue;
      const value = data[(channel * h + y) * w + x];
      if (best === null || value > best.value) best = { y, x, value };
    }
  }
  return { top: best.y, bottom: best.y + 1, left: best.x, right: best.x + 1 };
}
