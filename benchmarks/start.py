"""`alexnet start` on folders of few photographs, beside hand-made features and the same network from scratch.

    python benchmarks/start.py TINY_IMAGENET_20 [--per-class 20 100 500] [--seeds 0 1 2] [--minutes 1.4]

TINY_IMAGENET_20 holds train/CLASS/* and val/CLASS/*: 20 classes of Tiny ImageNet that no pretraining saw, with 500
training and 50 test images each. Of each class the first images in an order drawn with the seed are linked into a
folder, and everything is run on that folder, as a newcomer would. Results: benchmarks/results/start.json, written
after each run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from alexnet.files import write_json

OUT = Path(__file__).parent / "results" / "start.json"
SCRATCH = ["--pretrained", "None", "--no-probe", "--epochs", "40", "--optimizer.lr", "0.1"]


def ways(minutes: float) -> dict[str, list[str]]:
    """Name of each contender, and the command that is given a folder and a run folder."""
    return {
        "start": ["start", "FOLDER", "--no-open", "--minutes", str(minutes), "--out", "RUN"],
        "from_scratch": ["train", "photos", "--data", "FOLDER", "--out", "RUN", *SCRATCH],
        "hog_color_linear": ["baseline", "hog_color_linear", "--data", "FOLDER", "--out", "RUN"],
    }


def subset(source: Path, out: Path, per_class: int, seed: int) -> None:
    """Links to `per_class` training images of each class, and to all test images."""
    for folder in sorted((source / "train").iterdir()):
        files = sorted(folder.iterdir())
        random.Random(f"{seed} {folder.name}").shuffle(files)
        _link(files[:per_class], out / "train" / folder.name)
        _link(sorted((source / "val" / folder.name).iterdir()), out / "test" / folder.name)


def _link(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file.resolve())


def measure(command: list[str], source: Path, per_class: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder, run = Path(place) / "photographs", Path(place) / "run"
        subset(source, folder, per_class, seed)
        words = [{"FOLDER": str(folder), "RUN": str(run)}.get(word, word) for word in command]
        env = {**os.environ, "ALEXNET_CACHE": f"{place}/cache"}  # cold: nothing was decoded before
        began = time.monotonic()
        flags = [] if words[0] == "start" else ["--seed", str(seed)]
        subprocess.run(
            [sys.executable, "-m", "alexnet", *words, *flags], check=True, env=env, stdout=subprocess.DEVNULL
        )
        seconds = time.monotonic() - began
        result = json.loads((run / "result.json").read_text())
        values = json.loads((run / "recipe.json").read_text())
    kept = {key: value for key, value in result.items() if key.startswith("test_") or key in ("train_s", "epochs")}
    recipe = {**values["recipe"], "data": source.name}
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        **kept,
        "recipe": recipe,
        "environment": values["environment"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--per-class", type=int, nargs="+", default=[20, 100, 500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=1.4)
    parser.add_argument("--ways", nargs="+", default=list(ways(1)))
    chosen = parser.parse_args()
    rows = json.loads(OUT.read_text())["runs"] if OUT.exists() else []
    for per_class in chosen.per_class:
        for seed in chosen.seeds:
            for way in chosen.ways:
                rows = [row for row in rows if (row["way"], row["per_class"], row["seed"]) != (way, per_class, seed)]
                row = measure(ways(chosen.minutes)[way], chosen.source, per_class, seed)
                rows.append({"way": way, "per_class": per_class, **row})
                print(
                    f"{way}, {per_class} a class, seed {seed}: {row['test_top1']:.4f} in {row['seconds']} s",
                    flush=True,
                )
                write_json(OUT, {"summary": _summary(rows), "runs": rows})


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for way, per_class in sorted({(row["way"], row["per_class"]) for row in rows}):
        own = [row for row in rows if (row["way"], row["per_class"]) == (way, per_class)]
        top1 = [row["test_top1"] for row in own]
        found.append(
            {
                "way": way,
                "per_class": per_class,
                "n": len(own),
                "top1_mean": statistics.mean(top1),
                "top1_std": statistics.stdev(top1) if len(top1) > 1 else None,
                "seconds_mean": statistics.mean(row["seconds"] for row in own),
            }
        )
    return found


if __name__ == "__main__":
    main()
