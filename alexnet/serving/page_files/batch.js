// Many images: a table of their answers, to look at and to download.

import { className } from "./answer.js";
import { predict } from "./api.js";

const AT_ONCE = 4;
const SHOWN = 500;
const CLASSES = 5;

/** A table as CSV: quotes doubled, and no cell that a spreadsheet would take for a formula. */
export function toCsv(rows) {
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };
  return "\ufeff" + rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** The part of the page for many images. onChoose(file): one of them is to be looked at. */
export function createBatch({ section, words, onChoose }) {
  const find = (id) => section.querySelector(`#${id}`);
  const body = find("rows");
  let entries = [];
  let abort = null;
  let model = null;

  function say() {
    const done = entries.filter((entry) => entry.prediction || entry.problem).length;
    const failed = entries.filter((entry) => entry.problem).length;
    const parts = [words.t("serve.batch_progress", { done, total: entries.length })];
    if (failed > 0) parts.push(words.t("serve.batch_failed", { failed }));
    find("batch-progress").textContent = parts.join(" · ");
    find("batch-more").textContent = entries.length > SHOWN ? words.t("serve.batch_more", { shown: SHOWN, total: entries.length }) : "";
  }

  function addRow(entry) {
    const row = body.insertRow();
    const picture = document.createElement("img");
    picture.alt = "";
    picture.loading = "lazy";
    picture.src = URL.createObjectURL(entry.file);
    row.insertCell().append(picture);
    const name = row.insertCell();
    name.className = "name";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = entry.file.name;
    button.addEventListener("click", () => onChoose(entry.file));
    name.append(button);
    for (let i = 0; i < 3; i += 1) row.insertCell();
    row.cells[4].className = "figure";
    entry.row = row;
  }

  function show(entry) {
    if (!entry.row) return;
    const [, , answer, likeliest, share] = entry.row.cells;
    answer.className = likeliest.className = "";
    if (entry.problem) {
      answer.className = "failed";
      answer.textContent = words.explain(entry.problem);
      return;
    }
    if (!entry.prediction) return;
    const best = entry.prediction.classes[0];
    const withheld = entry.prediction.answer !== best.name;
    if (withheld) answer.className = "withheld";
    answer.textContent = withheld ? words.t(`answer.${entry.prediction.answer}`) : className(best.name, words);
    likeliest.textContent = className(best.name, words);
    share.textContent = words.percent(best.probability);
  }

  async function work(mine) {
    for (let entry; !mine.signal.aborted && (entry = entries.find((each) => !each.begun)); ) {
      entry.begun = true;
      try {
        entry.prediction = await predict(model, entry.file, entry.file.name, mine.signal);
      } catch (problem) {
        if (problem.name === "AbortError") return;
        entry.problem = problem;
      }
      show(entry);
      say();
    }
  }

  async function start(files, chosen) {
    abort?.abort();
    for (const picture of body.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
    body.replaceChildren();
    model = chosen;
    entries = files.map((file) => ({ file, begun: false, prediction: null, problem: null, row: null }));
    entries.slice(0, SHOWN).forEach(addRow);
    section.hidden = false;
    say();
    const mine = (abort = new AbortController());
    find("batch-stop").hidden = false;
    await Promise.all(Array.from({ length: AT_ONCE }, () => work(mine)));
    if (abort === mine) find("batch-stop").hidden = true;
  }

  function table() {
    const head = ["file", "model", "answer"];
    for (let i = 1; i <= CLASSES; i += 1) head.push(`class_${i}`, `probability_${i}`);
    const rows = entries.map(({ file, prediction, problem }) => {
      const row = [file.webkitRelativePath || file.name, model, prediction?.answer];
      for (let i = 0; i < CLASSES; i += 1) row.push(prediction?.classes[i]?.name, prediction?.classes[i]?.probability);
      return [...row, problem ? words.explain(problem) : ""];
    });
    return [[...head, "error"], ...rows];
  }

  find("batch-stop").addEventListener("click", () => {
    abort?.abort();
    find("batch-stop").hidden = true;
  });
  find("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([toCsv(table())], { type: "text/csv" }));
    link.download = "alexnet.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  words.onChange(() => {
    entries.forEach(show);
    say();
  });
  return { start };
}
