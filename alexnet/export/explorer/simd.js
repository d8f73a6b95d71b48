// The one loop that takes the time, as WebAssembly with 128-bit SIMD, assembled here byte by byte.

const I32 = 0x7f;
const V128 = 0x7b;
const [BLOCK, LOOP, END, BR, BR_IF] = [0x02, 0x03, 0x0b, 0x0c, 0x0d];
const [GET, SET, I32_CONST, I32_ADD, I32_SUB, I32_MUL, I32_EQZ, I32_SHL] = [0x20, 0x21, 0x41, 0x6a, 0x6b, 0x6c, 0x45, 0x74];
const VOID = 0x40;

function leb(value) {
  const bytes = [];
  let more = true;
  while (more) {
    const low = value & 0x7f;
    value >>= 7;
    more = !((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40));
    bytes.push(more ? low | 0x80 : low);
  }
  return bytes;
}

function unsigned(value) {
  const bytes = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    bytes.push(value ? low | 0x80 : low);
  } while (value);
  return bytes;
}

const sized = (bytes) => [...unsigned(bytes.length), ...bytes];
const section = (id, bytes) => [id, ...sized(bytes)];
const text = (word) => sized([...word].map((letter) => letter.charCodeAt(0)));
const get = (i) => [GET, ...unsigned(i)];
const set = (i) => [SET, ...unsigned(i)];
const number = (n) => [I32_CONST, ...leb(n)];
const add = (i, n) => [...get(i), ...number(n), I32_ADD, ...set(i)];
const load = (offset) => [0xfd, 0x00, 4, ...unsigned(offset)];
const loadSplat = (offset) => [0xfd, 0x09, 2, ...unsigned(offset)];
const store = (offset) => [0xfd, 0x0b, 4, ...unsigned(offset)];
const MUL = [0xfd, 0xe6, 0x01];
const ADD = [0xfd, 0xe4, 0x01];

/**
 * The bytes of a module with one function, `multiply(w, x, y, b, blocks, panels, depth)`; addresses are in bytes.
 *
 * y[o][p] = b[o] + the sum over k of w[o][k] x[k][p], for 4 * blocks rows and 8 * panels columns, where w lies as
 * [blocks][depth][4], x as [panels][depth][8] and y in rows of 8 * panels. depth is 1 or more.
 */
export function simdModule() {
  const [w, x, y, b, blocks, panels, depth] = [0, 1, 2, 3, 4, 5, 6];
  const [panel, k, wAt, xAt, yAt, rowBytes] = [7, 8, 9, 10, 11, 12];
  const [left, right] = [13, 14]; // v128: eight columns of x
  const sums = [15, 16, 17, 18, 19, 20, 21, 22]; // v128: two for each of four rows
  const clear = sums.flatMap((sum, i) => [...get(b), ...loadSplat(4 * (i >> 1)), ...set(sum)]);
  const accumulate = [0, 1, 2, 3].flatMap((row) =>
    [left, right].flatMap((half, i) => [
      ...get(sums[2 * row + i]), ...get(wAt), ...loadSplat(4 * row), ...get(half), ...MUL, ...ADD, ...set(sums[2 * row + i]),
    ]),
  );
  const keep = [0, 1, 2, 3].flatMap((row) => [
    ...get(yAt), ...get(sums[2 * row]), ...store(0),
    ...get(yAt), ...get(sums[2 * row + 1]), ...store(16),
    ...get(yAt), ...get(rowBytes), I32_ADD, ...set(yAt),
  ]);
  const body = [
    ...get(panels), ...number(5), I32_SHL, ...set(rowBytes),
    BLOCK, VOID, LOOP, VOID, // rows, four at a time
    ...get(blocks), I32_EQZ, BR_IF, 1,
    ...get(x), ...set(xAt), ...number(0), ...set(panel),
    BLOCK, VOID, LOOP, VOID, // columns, eight at a time
    ...get(panel), ...get(panels), I32_SUB, I32_EQZ, BR_IF, 1,
    ...clear, ...get(w), ...set(wAt), ...get(depth), ...set(k),
    LOOP, VOID,
    ...get(xAt), ...load(0), ...set(left), ...get(xAt), ...load(16), ...set(right),
    ...accumulate,
    ...add(wAt, 16), ...add(xAt, 32), ...get(k), ...number(1), I32_SUB, ...set(k), ...get(k), BR_IF, 0,
    END,
    ...get(y), ...get(panel), ...number(5), I32_SHL, I32_ADD, ...set(yAt),
    ...keep,
    ...add(panel, 1), BR, 0, END, END,
    ...get(w), ...get(depth), ...number(16), I32_MUL, I32_ADD, ...set(w),
    ...get(y), ...get(rowBytes), ...number(4), I32_MUL, I32_ADD, ...set(y),
    ...add(b, 16), ...get(blocks), ...number(1), I32_SUB, ...set(blocks),
    BR, 0, END, END,
    END,
  ];
  const locals = [2, ...unsigned(6), I32, ...unsigned(10), V128];
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, ...sized([I32, I32, I32, I32, I32, I32, I32]), 0]),
    ...section(2, [1, ...text("page"), ...text("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("multiply"), 0, 0]),
    ...section(10, [1, ...sized([...locals, ...body])]),
  ]);
}
