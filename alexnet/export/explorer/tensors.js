// Tensors as the page holds them: deflated bytes in base64; whole numbers times a scale, or fp32.

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

/** What zlib compressed. */
export async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** fp32 values of fp16 numbers that lie one after the other. */
export function halvesOf(bytes) {
  const table = halfTable();
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => table[bytes[2 * i] | (bytes[2 * i + 1] << 8)]);
}

/**
 * The values of one tensor, row by row.
 *
 * about: { dtype: "f32" | "i16" | "i8", at: first byte, n: values }; of whole numbers also `scales`, the tensor of
 * what they are multiplied by, one for each row of `row` values. i16: all low bytes, then all high ones; the lowest
 * bit is the sign.
 */
export function tensorOf(bytes, about) {
  const { dtype, at, n, row } = about;
  if (dtype === "f32") return new Float32Array(bytes.slice(at, at + 4 * n).buffer);
  const values = new Float32Array(n);
  const scales = tensorOf(bytes, about.scales);
  for (let i = 0, r = 0; i < n; r++) {
    const scale = scales[r];
    for (const end = i + row; i < end; i++) {
      if (dtype === "i8") {
        values[i] = ((bytes[at + i] << 24) >> 24) * scale;
      } else {
        const folded = bytes[at + i] | (bytes[at + n + i] << 8);
        values[i] = ((folded >> 1) ^ -(folded & 1)) * scale;
      }
    }
  }
  return values;
}
