// From a file, a picture, a canvas or a video to the pixels that a network was trained on.

import { Problem } from "./words.js";
import { shrunk, squareOf } from "./resize.js";

const LARGEST_PIXELS = 178_956_970; // as where files are read for training
const ROOM = 2; // a JPEG is decoded smaller while its short side stays at twice what is asked for

/** The kind of file that `bytes` begin; null for one we have no special words for. */
export function kindOf(bytes) {
  const text = String.fromCharCode(...bytes.subarray(0, 16));
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  if (text.startsWith("\x89PNG")) return "png";
  if (text.startsWith("GIF8")) return "gif";
  if (text.startsWith("II*\0") || text.startsWith("MM\0*")) return "tiff";
  if (text.slice(4, 8) === "ftyp") {
    if (["heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"].includes(text.slice(8, 12))) return "heic";
    if (["avif", "avis"].includes(text.slice(8, 12))) return "avif";
    return "video";
  }
  if (text.startsWith("%PDF")) return "pdf";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "webp";
  return null;
}

/** Rows of anything that a canvas can draw, as opaque RGBA bytes on white, without a copy of the whole. */
function rowsOf(drawable, width, height) {
  const canvas = document.createElement("canvas");
  let context = null;
  function read(y, rows) {
    if (canvas.width !== width || canvas.height < rows) {
      [canvas.width, canvas.height] = [width, rows];
      context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingEnabled = false;
    }
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, rows);
    context.drawImage(drawable, 0, y, width, rows, 0, 0, width, rows);
    return context.getImageData(0, 0, width, rows).data;
  }
  return { width, height, read };
}

function rowsOfPixels(image) {
  const { width, height, data } = image;
  function read(y, rows) {
    const part = data.slice(y * width * 4, (y + rows) * width * 4);
    for (let i = 0; i < part.length; i += 4) {
      const alpha = part[i + 3];
      if (alpha === 255) continue;
      for (let c = 0; c < 3; c++) part[i + c] = Math.round((part[i + c] * alpha + 255 * (255 - alpha)) / 255);
      part[i + 3] = 255;
    }
    return part;
  }
  return { width, height, read };
}

async function decode(blob) {
  const name = blob.name || "image";
  const head = new Uint8Array(await blob.slice(0, 16).arrayBuffer());
  if (head.length === 0) throw new Problem("problem.empty", { name });
  const kind = kindOf(head);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    if (kind === "heic" || kind === "tiff") throw new Problem("problem.other_format", { name, format: kind.toUpperCase() });
    throw new Problem(kind === null || kind === "pdf" || kind === "video" ? "problem.no_image" : "problem.damaged", { name });
  }
  return { bitmap, kind };
}

/**
 * The square of pixels that a network's input is cut from.
 *
 * source: a Blob or File, ImageData, or what a canvas can draw (<img>, <video>, <canvas>, ImageBitmap).
 * preprocessing: { image_px, resize_px, in_channels, fit } of the network's card.
 * Returns Uint8Array [side, side, in_channels], side being resize_px or else image_px. Throws a Problem.
 */
export async function readSquare(source, preprocessing) {
  const side = preprocessing.resize_px ?? preprocessing.image_px;
  let rows;
  let bitmap = null;
  let isJpeg = false;
  if (source instanceof ImageData) {
    rows = rowsOfPixels(source);
  } else if (source instanceof Blob) {
    const decoded = await decode(source);
    bitmap = decoded.bitmap;
    isJpeg = decoded.kind === "jpeg";
    rows = rowsOf(bitmap, bitmap.width, bitmap.height);
  } else if (source instanceof HTMLImageElement) {
    await source.decode();
    rows = rowsOf(source, source.naturalWidth, source.naturalHeight);
  } else if (source instanceof HTMLVideoElement) {
    rows = rowsOf(source, source.videoWidth, source.videoHeight);
  } else if (source && source.width > 0 && source.height > 0) {
    rows = rowsOf(source, source.width, source.height);
  } else {
    throw new Problem("problem.not_a_source");
  }
  try {
    const { width, height } = rows;
    if (width * height > LARGEST_PIXELS) {
      throw new Problem("problem.too_many_pixels", { megapixels: Math.round((width * height) / 1e6), limit: Math.floor(LARGEST_PIXELS / 1e6) });
    }
    const times = Math.floor(Math.min(width, height) / (ROOM * side));
    const reduction = isJpeg ? ([8, 4, 2].find((part) => times >= part) ?? 1) : 1;
    return squareOf(shrunk(rows, reduction), side, preprocessing.in_channels, preprocessing.fit);
  } finally {
    bitmap?.close();
  }
}
