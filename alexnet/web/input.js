// How an image comes in: dropped, pasted, or chosen from a dialog.

import { Problem } from "./words.js";

const LARGEST_BYTES = 100 * 2 ** 20;

/** What was dropped or pasted; a Problem where there is no file. */
function filesOf(transfer) {
  const files = [...(transfer?.files ?? [])];
  if (files.length === 0) {
    for (const item of transfer?.items ?? []) {
      const file = item.kind === "file" ? item.getAsFile() : null;
      if (file) files.push(file);
    }
  }
  if (files.length === 0) throw new Problem("problem.nothing");
  return files;
}

/** The first image among files, or else the first of them. */
function firstImage(files) {
  return files.find((file) => file.type.startsWith("image/")) ?? files[0];
}

/** Refuse what cannot be an image before it is read. */
export function checkFile(file) {
  const name = file.name || "image";
  if (file.size === 0) throw new Problem("problem.empty", { name });
  if (file.size > LARGEST_BYTES) {
    throw new Problem("problem.large_file", { name, megabytes: Math.round(file.size / 2 ** 20), limit: LARGEST_BYTES / 2 ** 20 });
  }
  return file;
}

/**
 * Take images from everywhere on the page.
 *
 * zone: element that images are dropped on; it has the class "dropping" while one hovers above it.
 * chooser: an <input type="file">, or null.
 * onFile(file): a File that may be an image.
 * onFiles(files): several at once, unchecked; without it the first image of several is taken.
 * onProblem(problem): a Problem; nothing is thrown.
 */
export function attachInput({ zone, chooser, onFile, onFiles, onProblem }) {
  const take = (find) => {
    try {
      const files = find();
      if (onFiles && files.length > 1) onFiles(files);
      else onFile(checkFile(firstImage(files)));
    } catch (problem) {
      onProblem(problem);
    }
  };
  let depth = 0; // dragenter and dragleave also come from children
  const mark = () => zone.classList.toggle("dropping", depth > 0);
  zone.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    mark();
  });
  zone.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    mark();
  });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    take(() => filesOf(event.dataTransfer));
  });
  // A file dropped beside the zone must not replace the page.
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
    take(() => filesOf(event.clipboardData));
  });
  chooser?.addEventListener("change", () => {
    if (chooser.files.length > 0) take(() => [...chooser.files]);
    chooser.value = ""; // so that the same file can be chosen again
  });
}
