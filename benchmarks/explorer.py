"""The explorer beside Python: answers on 1,000 test images, size and speed, in Chromium.

    python benchmarks/explorer.py CIFAR10_FOLDER tiny=RUNS/TINY cifar=RUNS/CIFAR [--images 1000]

Each run folder is exported with its data set; the page is opened from its file, and test images are given to
`window.alexnet.classify` as the files they are. Probabilities are set beside those of `alexnet predict`. A pass is
timed in a worker of its own, made of the page's engine. Result: benchmarks/results/explorer.json.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

import alexnet
from alexnet import runtime
from alexnet.export.explorer import export_explorer
from alexnet.files import write_json

OUT = Path(__file__).parent / "results" / "explorer.json"
GUIDE = Path(__file__).parents[1] / "docs" / "explorer.md"
PASSES = 200

CLASSIFY = """async (files) => {
  const answers = [];
  for (const file of files) {
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    answers.push(await window.alexnet.classify(new Blob([bytes], { type: "image/jpeg" })));
  }
  return answers;
}"""

TIME = """async (passes) => {
  const model = JSON.parse(document.getElementById("content").textContent).models[0];
  const { image_px: side, in_channels: c } = model.preprocessing;
  const source = document.getElementById("engine").textContent;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const next = () => new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
  await next();
  const ask = async (message) => {
    const answer = next();
    worker.postMessage({ id: 1, ...message });
    return (await answer).found;
  };
  const weights = document.getElementById("weights-0").textContent.trim();
  const input = { c, h: side, w: side };
  const { kind } = await ask({ type: "load", model: { ops: model.ops, tensors: model.tensors, input }, weights });
  const x = Float32Array.from({ length: c * side * side }, (_, i) => Math.sin(i));
  const times = [];
  for (let i = 0; i < passes; i++) {
    times.push((await ask({ type: "forward", which: 0, x, off: new Map(), dropoutSeed: null })).milliseconds);
  }
  worker.terminate();
  return { kind, times };
}"""


def measure(page: Page, folder: Path, files: list[Path], html: Path, size: int) -> dict[str, Any]:
    """One network: its page against Python."""
    page.goto(html.as_uri())
    page.evaluate("window.alexnet.ready")
    contents = [base64.b64encode(file.read_bytes()).decode() for file in files]
    theirs = []
    for i in range(0, len(contents), 50):
        theirs += page.evaluate(CLASSIFY, contents[i : i + 50])
    classifier = alexnet.load(folder, device="cpu")
    ours = list(classifier.predict_files(files, top=len(classifier.class_names)))
    differences, same = [], 0
    for our, their in zip(ours, theirs, strict=True):
        assert isinstance(our, alexnet.Prediction)
        found = {each["name"]: each["probability"] for each in their}
        differences.append(max(abs(found[name] - p) for name, p in our.classes))
        same += their[0]["name"] == our.label
    timed = page.evaluate(TIME, PASSES)
    recipe = classifier.card.recipe or {}
    return {
        "network": classifier.card.model,
        "recipe": {key: recipe.get(key) for key in ("name", "epochs", "seed")},
        "bytes": size,
        "images": len(files),
        "same_first_answer": same,
        "largest_difference": max(differences),
        "engine": timed["kind"],
        "passes": PASSES,
        "milliseconds": {
            "first": round(timed["times"][0], 2),
            "median": round(statistics.median(timed["times"]), 2),
            "p95": round(sorted(timed["times"])[int(0.95 * PASSES)], 2),
        },
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as the guide shows them."""
    head = [
        "| network | file | one pass, median | same first answer | largest difference of a probability |",
        "|---|---|---|---|---|",
    ]
    rows = [
        f"| `{found['network']}` | {found['bytes'] / 1e6:.2f} MB | {found['milliseconds']['median']:.1f} ms "
        f"| {found['same_first_answer']:,} of {found['images']:,} | {found['largest_difference']:.5f} |"
        for found in results.values()
    ]
    return "\n".join(head + rows)


def show_in_guide() -> None:
    """Write the table of the recorded results into the guide."""
    results = json.loads(OUT.read_text(encoding="utf-8"))["networks"]
    text = GUIDE.read_text(encoding="utf-8")
    head, _, rest = text.partition("<!-- explorer: begin -->")
    _, _, tail = rest.partition("<!-- explorer: end -->")
    block = f"<!-- explorer: begin -->\n{table(results)}\n<!-- explorer: end -->"
    GUIDE.write_text(head + block + tail, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--images", type=int, default=1000)
    chosen = parser.parse_args()
    files = sorted(chosen.data.glob("test/*/*"))
    random.Random(0).shuffle(files)
    files = files[: chosen.images]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "needs Chromium"
    results = {}
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        version = browser.version
        for run in chosen.runs:
            name, _, folder = run.partition("=")
            html = Path(place) / f"{name}.html"
            written = export_explorer(folder, html, data=chosen.data)
            page = browser.new_page()
            results[name] = measure(page, Path(folder), files, html, written.bytes)
            page.close()
            print(name, results[name])
        browser.close()
    environment = {**runtime.environment(runtime.choose("cpu", "fp32")), "browser": f"Chromium {version}"}
    write_json(
        OUT,
        {
            "command": "python benchmarks/explorer.py",
            "environment": environment,
            "data": "cifar10, test",
            "networks": results,
        },
    )
    show_in_guide()


if __name__ == "__main__":
    main()
