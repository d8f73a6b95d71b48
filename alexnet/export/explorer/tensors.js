// Tensors as the page holds them: bytes in base64, fp16 or int8 with a scale, or fp32.

let halves = null;

/** fp32 values of all 65,536 fp16 numbers. */
function halfTable() {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size =
      exponent === 0 ? fraction * 2 ** -24
      : exponent === 31 ? (fraction ? NaN : Infinity)
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    halves[bits] = bits & 0x8000 ? -size : size;
  }
  return halves;
}

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/**
 * The values of one tensor, row by row.
 *
 * about: { dtype: "f16" | "i8" | "f32", at: first byte, n: values, scale: number (f16), or where one scale a row of
 * `about.row` values lies (i8) }.
 */
export function tensorOf(bytes, about) {
  const { dtype, at, n } = about;
  if (dtype === "f32") return new Float32Array(bytes.slice(at, at + 4 * n).buffer);
  const values = new Float32Array(n);
  if (dtype === "f16") {
    const table = halfTable();
    const { scale } = about;
    for (let i = 0, b = at; i < n; i++, b += 2) values[i] = table[bytes[b] | (bytes[b + 1] << 8)] * scale;
    return values;
  }
  const scales = tensorOf(bytes, about.scales);
  for (let i = 0; i < n; i++) values[i] = ((bytes[at + i] << 24) >> 24) * scales[Math.floor(i / about.row)];
  return values;
}
