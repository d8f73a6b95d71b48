// The square of pixels, disturbed as the visitor likes, and the network's input made of it.

import { seeded } from "./network.js";

const OCCLUDER = 128;
let noise = null;

/** The centre [side, side, C] of a square of bytes. */
export function centreOf(square, squareSide, side, channels) {
  if (squareSide === side) return square.slice();
  const begin = Math.floor((squareSide - side) / 2);
  const out = new Uint8Array(side * side * channels);
  for (let y = 0; y < side; y++) {
    const from = ((begin + y) * squareSide + begin) * channels;
    out.set(square.subarray(from, from + side * channels), y * side * channels);
  }
  return out;
}

/** Draws of a normal distribution, the same ones each time, so that a slider's picture does not flicker. */
function normalDraws(n) {
  if (noise?.length >= n) return noise;
  const random = seeded(2012);
  noise = Float32Array.from({ length: n }, () =>
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
  return noise;
}

/**
 * Pixels with brightness added (-1..1), noise of a standard deviation (0..1), and a grey square of a share of the
 * side (0..1) around a place (x, y: 0..1).
 */
export function disturbed(pixels, side, channels, { brightness, noise: strength, occluder, x, y }) {
  if (!brightness && !strength && !occluder) return pixels;
  const out = new Uint8ClampedArray(pixels.length);
  const draws = strength ? normalDraws(pixels.length) : null;
  for (let i = 0; i < out.length; i++) out[i] = pixels[i] + 255 * (brightness + (draws ? strength * draws[i] : 0));
  const size = Math.round(occluder * side);
  const [left, top] = [Math.round(x * side - size / 2), Math.round(y * side - size / 2)];
  for (let row = Math.max(0, top); row < Math.min(side, top + size); row++) {
    const [from, to] = [Math.max(0, left), Math.min(side, left + size)];
    if (to > from) out.fill(OCCLUDER, (row * side + from) * channels, (row * side + to) * channels);
  }
  return new Uint8Array(out.buffer);
}

/** The network's input, [C, side, side]: (pixels / 255 - mean) / std. */
export function normalised(pixels, side, { in_channels: channels, mean, std }) {
  const area = side * side;
  const out = new Float32Array(channels * area);
  for (let c = 0; c < channels; c++) {
    const [scale, shift] = [Math.fround(1 / (255 * std[c])), Math.fround(-mean[c] / std[c])];
    for (let i = 0; i < area; i++) out[c * area + i] = pixels[i * channels + c] * scale + shift;
  }
  return out;
}

/** Bytes [side, side, C] as a picture. */
export function asImage(pixels, side, channels) {
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  return image;
}
