// Resizing to the last bit as training did it: antialiased bilinear in 16-bit integers, columns before rows, as
// torch's `interpolate(mode="bilinear", antialias=True)` computes bytes (and Pillow, but for its wider weights).

/**
 * For each of `outputs` places along a side of `inputs` pixels: the first pixel it takes and its integer weights.
 *
 * Returns { first: Int32Array, weights: Int16Array[], precision }: sums are divided by 2 ** precision.
 */
export function resizeWeights(inputs, outputs) {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const first = new Int32Array(outputs);
  const shares = [];
  let largest = 0;
  for (let i = 0; i < outputs; i++) {
    const centre = scale * (i + 0.5);
    const begin = Math.max(Math.trunc(centre - stretch + 0.5), 0);
    const end = Math.min(Math.trunc(centre + stretch + 0.5), inputs);
    const share = new Float64Array(end - begin);
    let total = 0;
    for (let j = 0; j < share.length; j++) {
      const distance = Math.abs((j + begin - centre + 0.5) / stretch);
      share[j] = distance < 1 ? 1 - distance : 0;
      total += share[j];
    }
    for (let j = 0; j < share.length; j++) {
      share[j] /= total;
      largest = Math.max(largest, share[j]);
    }
    first[i] = begin;
    shares.push(share);
  }
  let precision = 0;
  while (precision < 22 && Math.trunc(0.5 + largest * 2 ** (precision + 1)) < 2 ** 15) precision += 1;
  const weights = shares.map((share) => Int16Array.from(share, (value) => Math.trunc(0.5 + value * 2 ** precision)));
  return { first, weights, precision };
}

/** Round half to even, as Python does. */
export function roundHalfEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

/**
 * How a picture becomes a square of `side` pixels, by `fit`: "crop", its centre once its short side has that length
 * (more than 16 times longer than wide, it is cut to that first); "pad", all of it between black bars; "squash", all
 * of it, distorted.
 *
 * Returns, in pixels: the part taken (left, top, width, height); its size when resized (wide, high); the corner of
 * what is cut out of that (x, y) and its size (across, down); and where it lies in the square (toX, toY).
 */
export function fitting(width, height, side, fit) {
  const whole = { left: 0, top: 0, width, height, x: 0, y: 0 };
  if (fit === "squash" && width !== height) {
    return { ...whole, wide: side, high: side, across: side, down: side, toX: 0, toY: 0 };
  }
  if (fit === "pad" && width !== height) {
    const long = Math.max(width, height);
    const [wide, high] = [width, height].map((each) => Math.max(1, Math.floor((side * each) / long)));
    const [toX, toY] = [wide, high].map((each) => Math.floor((side - each) / 2));
    return { ...whole, wide, high, across: wide, down: high, toX, toY };
  }
  const longest = 16 * Math.min(width, height);
  const top = Math.floor(Math.max(0, height - longest) / 2);
  const left = Math.floor(Math.max(0, width - longest) / 2);
  const part = { left, top, width: width - 2 * left, height: height - 2 * top };
  const short = Math.min(part.width, part.height);
  const wide = Math.floor((side * part.width) / short);
  const high = Math.floor((side * part.height) / short);
  const [x, y] = [roundHalfEven((wide - side) / 2), roundHalfEven((high - side) / 2)];
  return { ...part, wide, high, x, y, across: side, down: side, toX: 0, toY: 0 };
}

/**
 * Rows of a picture at 1/times of its size: each pixel is the mean of a square block, at the far edges of a part of
 * one. Close to what a JPEG decoder gives that is asked for a fraction of the size.
 */
export function shrunk(source, times) {
  if (times === 1) return source;
  const width = Math.ceil(source.width / times);
  const height = Math.ceil(source.height / times);
  function read(begin, rows) {
    const last = Math.min((begin + rows) * times, source.height);
    const from = source.read(begin * times, last - begin * times);
    const out = new Uint8ClampedArray(rows * width * 4);
    for (let y = 0; y < rows; y++) {
      const high = Math.min(times, last - (begin + y) * times);
      for (let x = 0; x < width; x++) {
        const wide = Math.min(times, source.width - x * times);
        let [red, green, blue] = [0, 0, 0];
        for (let v = 0; v < high; v++) {
          let at = ((y * times + v) * source.width + x * times) * 4;
          for (let u = 0; u < wide; u++, at += 4) {
            red += from[at];
            green += from[at + 1];
            blue += from[at + 2];
          }
        }
        const [to, n] = [(y * width + x) * 4, high * wide];
        out[to] = red / n;
        out[to + 1] = green / n;
        out[to + 2] = blue / n;
        out[to + 3] = 255;
      }
    }
    return out;
  }
  return { width, height, read };
}

/**
 * A picture as a square of `side` pixels, see `fitting`.
 *
 * source: { width, height, read(y, rows) } whose rows are opaque RGBA bytes. channels: 3, or 1 for grey by ITU-R 601
 * luma, taken before resizing. Returns Uint8Array [side, side, channels]. Rows are read once, some at a time.
 */
export function squareOf(source, side, channels, fit = "crop") {
  const part = fitting(source.width, source.height, side, fit);
  const across = resizeWeights(part.width, part.wide);
  const down = resizeWeights(part.height, part.high);
  const firstRow = down.first[part.y];
  const bottom = part.y + part.down - 1;
  const lastRow = down.first[bottom] + down.weights[bottom].length; // rows outside do not reach into the square
  const rowLength = part.across * channels;
  const narrow = new Uint8Array((lastRow - firstRow) * rowLength);
  const stripRows = Math.max(1, Math.floor(2 ** 20 / source.width));
  for (let row = firstRow; row < lastRow; row += stripRows) {
    const rows = Math.min(stripRows, lastRow - row);
    const rgba = source.read(part.top + row, rows);
    for (let y = 0; y < rows; y++) {
      const from = (y * source.width + part.left) * 4;
      narrowRow(rgba, from, across, part.x, part.across, channels, narrow, (row - firstRow + y) * rowLength);
    }
  }
  const out = new Uint8Array(side * side * channels);
  const half = 2 ** down.precision / 2;
  for (let y = 0; y < part.down; y++) {
    const weights = down.weights[part.y + y];
    const begin = (down.first[part.y + y] - firstRow) * rowLength;
    const to = ((part.toY + y) * side + part.toX) * channels;
    for (let i = 0; i < rowLength; i++) {
      let sum = half;
      for (let j = 0, at = begin + i; j < weights.length; j++, at += rowLength) sum += weights[j] * narrow[at];
      out[to + i] = byte(sum, down.precision);
    }
  }
  return out;
}

function narrowRow(rgba, begin, across, x, width, channels, out, to) {
  const half = 2 ** across.precision / 2;
  for (let i = 0; i < width; i++) {
    const weights = across.weights[x + i];
    let at = begin + across.first[x + i] * 4;
    let [red, green, blue] = [half, half, half];
    for (let j = 0; j < weights.length; j++, at += 4) {
      const weight = weights[j];
      if (channels === 1) {
        red += weight * ((19595 * rgba[at] + 38470 * rgba[at + 1] + 7471 * rgba[at + 2] + 0x8000) >> 16);
      } else {
        red += weight * rgba[at];
        green += weight * rgba[at + 1];
        blue += weight * rgba[at + 2];
      }
    }
    out[to++] = byte(red, across.precision);
    if (channels === 3) {
      out[to++] = byte(green, across.precision);
      out[to++] = byte(blue, across.precision);
    }
  }
}

function byte(sum, precision) {
  return Math.min(255, sum >> precision);
}
