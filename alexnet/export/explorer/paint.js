// Numbers as light: dark is 0, amber positive, blue negative.

const ZERO = [21, 22, 27];
const WARM = [[96, 33, 14], [206, 92, 34], [255, 176, 108], [255, 244, 226]];
const COLD = [[16, 51, 84], [40, 122, 190], [136, 203, 250], [236, 249, 255]];

function ramp(stops) {
  const all = [ZERO, ...stops];
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (all.length - 1);
    const low = Math.min(Math.floor(at), all.length - 2);
    return all[low].map((value, c) => Math.round(value + (at - low) * (all[low + 1][c] - value)));
  });
}

const [warm, cold] = [ramp(WARM), ramp(COLD)];

/** The colour of a value where `most` is the brightest. */
export function colourOf(value, most) {
  if (!(most > 0) || !Number.isFinite(value)) return ZERO;
  const step = Math.round(255 * Math.min(1, Math.abs(value) / most) ** 0.7);
  return (value < 0 ? cold : warm)[step];
}

/** The largest size among the values of the channels that are on; one in a thousand may be larger. */
export function brightest({ c, h, w, data }, off) {
  const area = h * w;
  const step = Math.max(1, Math.floor(data.length / 4000));
  const sizes = [];
  for (let i = 0; i < data.length; i += step) {
    if (!off?.has(Math.floor(i / area))) sizes.push(Math.abs(data[i]));
  }
  sizes.sort((a, b) => a - b);
  return sizes[Math.floor(0.998 * (sizes.length - 1))] || sizes.at(-1) || 0;
}

/** One map as a picture of its own size. */
export function mapImage({ h, w, data }, channel, most) {
  const image = new ImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    const colour = colourOf(data[channel * h * w + i], most);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = colour[c];
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** How `count` tiles of w x h lie best in a width of `room` pixels: { columns, tile (width), tall, gap, width, height }. */
export function arrange(count, w, h, room) {
  const columns = Math.max(1, Math.min(count, Math.ceil(Math.sqrt((count * h) / w))));
  const gap = room / columns > 14 ? 2 : 1;
  const tile = Math.max(1, Math.floor((room - gap * (columns - 1)) / columns));
  const tall = Math.max(1, Math.round((tile * h) / w));
  const rows = Math.ceil(count / columns);
  return { columns, tile, tall, gap, rows, width: columns * (tile + gap) - gap, height: rows * (tall + gap) - gap };
}

const scratch = typeof document === "undefined" ? null : document.createElement("canvas");

/** Paint a picture into a rectangle of a canvas, its pixels kept sharp. */
export function paintImage(context, image, x, y, width, height) {
  [scratch.width, scratch.height] = [image.width, image.height];
  scratch.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = image.width > width;
  context.drawImage(scratch, x, y, width, height);
}

/** Paint all maps of a value as tiles; `off` channels are crossed out, `chosen` is framed. */
export function paintMaps(canvas, value, { layout, most, off, chosen, accent, ratio }) {
  const { columns, tile, tall, gap, width, height } = layout;
  const { c, h, w, data } = value;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const sheet = new ImageData(w, h * c);
  for (let i = 0; i < data.length; i++) {
    const colour = colourOf(data[i], most);
    sheet.data[4 * i] = colour[0];
    sheet.data[4 * i + 1] = colour[1];
    sheet.data[4 * i + 2] = colour[2];
    sheet.data[4 * i + 3] = 255;
  }
  [scratch.width, scratch.height] = [w, h * c];
  scratch.getContext("2d").putImageData(sheet, 0, 0);
  context.imageSmoothingEnabled = w > tile;
  for (let channel = 0; channel < c; channel++) {
    const x = (channel % columns) * (tile + gap);
    const y = Math.floor(channel / columns) * (tall + gap);
    context.drawImage(scratch, 0, channel * h, w, h, x, y, tile, tall);
    if (off?.has(channel)) crossOut(context, x, y, tile, tall, ratio);
  }
  if (chosen !== null && chosen < c) {
    context.strokeStyle = accent;
    context.lineWidth = Math.max(2, Math.round(2 * ratio));
    const inset = context.lineWidth / 2;
    const x = (chosen % columns) * (tile + gap);
    const y = Math.floor(chosen / columns) * (tall + gap);
    context.strokeRect(x - gap / 2 + inset / 2, y - gap / 2 + inset / 2, tile + gap - inset, tall + gap - inset);
  }
}

function crossOut(context, x, y, width, height, ratio) {
  context.fillStyle = "#15161b";
  context.fillRect(x, y, width, height);
  context.strokeStyle = "#8d9199";
  context.lineWidth = Math.max(1, ratio);
  context.beginPath();
  context.moveTo(x + width * 0.25, y + height * 0.25);
  context.lineTo(x + width * 0.75, y + height * 0.75);
  context.moveTo(x + width * 0.75, y + height * 0.25);
  context.lineTo(x + width * 0.25, y + height * 0.75);
  context.stroke();
}

/** The channel with the largest mean. */
export function liveliest({ c, h, w, data }) {
  const total = (channel) => data.subarray(channel * h * w, (channel + 1) * h * w).reduce((sum, value) => sum + value, 0);
  return Array.from({ length: c }, (_, channel) => total(channel)).reduce((best, value, i, all) => (value > all[best] ? i : best), 0);
}
