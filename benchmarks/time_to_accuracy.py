"""How long it takes from the start of a process to the accuracy of the tutorial's own weights.

    python benchmarks/time_to_accuracy.py --data cifar10-jpeg [--recipe tiny_fast] [--seeds 5] [--mxnet FILE]

The tutorial's published weights reach 0.7147 on the test images of the JPEG CIFAR-10, one view. Each seed is one
`alexnet train RECIPE` in a process of its own, timed by the clock on the wall from its start to its end: loading
PyTorch and the images, training, evaluation and the report. The images are decoded once before, as after any first
use. `--mxnet` names the result of `benchmarks/tutorial_mxnet.py` on the same machine; its time is that of its epochs
up to the first past the mark, with neither start-up nor evaluation. Writes benchmarks/results/time_to_accuracy.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from alexnet import recipes
from alexnet.data import load
from alexnet.files import write_json
from alexnet.plain import to_dict

RESULTS = Path(__file__).parent / "results"
MARK = json.loads((RESULTS / "published_weights.json").read_text())["top1"]


def run_once(recipe: str, data: str, seed: int, out: Path) -> dict[str, Any]:
    """One training; its wall time and its figures."""
    command = [
        sys.executable,
        "-m",
        "alexnet",
        "train",
        recipe,
        "--data",
        data,
        "--seed",
        str(seed),
        "--out",
        str(out),
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - started
    result = json.loads((out / "result.json").read_text())
    values = json.loads((out / "recipe.json").read_text())
    return {
        "seed": seed,
        "test_top1": result["test_top1"],
        "past": result["test_top1"] >= MARK,
        "wall_s": round(wall_s, 2),
        "train_s": result["train_s"],
        "environment": values["environment"],
    }


def mxnet_time(file: Path) -> dict[str, Any]:
    """Epochs and seconds MXNet needs to the mark."""
    values = json.loads(file.read_text())
    rows = values["epochs"]
    first = next((row["epoch"] for row in rows if row["test_top1"] >= MARK), None)
    if first is None:
        sys.exit(f"{file}: no epoch of {len(rows)} is past {MARK}")
    return {
        "command": values["command"],
        "versions": values["versions"],
        "cores": values["cores"],
        "epochs": first,
        "train_s": round(sum(row["train_s"] for row in rows[:first]), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the JPEG CIFAR-10")
    parser.add_argument("--recipe", default="tiny_fast")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mxnet", type=Path)
    given = parser.parse_args()
    load(given.data, val_fraction=0.0).split("test")  # decoded images are kept for the runs
    with tempfile.TemporaryDirectory() as folder:
        runs = [run_once(given.recipe, given.data, seed, Path(folder) / str(seed)) for seed in range(given.seeds)]
    environments = [run.pop("environment") for run in runs]
    top1, walls = [run["test_top1"] for run in runs], [run["wall_s"] for run in runs]
    values = {
        "command": f"alexnet train {given.recipe} --data SRC --seed S",
        "mark": MARK,
        "recipe": to_dict(recipes.get(given.recipe)),
        "environment": environments[0],
        "n": len(runs),
        "every_seed_past": all(run["past"] for run in runs),
        "test_top1_mean": statistics.mean(top1),
        "test_top1_sd": statistics.stdev(top1) if len(top1) > 1 else None,
        "wall_s_median": statistics.median(walls),
        "runs": runs,
    }
    if given.mxnet:
        values["mxnet"] = mxnet_time(given.mxnet)
        values["times_faster"] = round(values["mxnet"]["train_s"] / values["wall_s_median"], 1)
    write_json(RESULTS / "time_to_accuracy.json", values)
    print(json.dumps({key: values[key] for key in values if key not in ("recipe", "environment")}, indent=2))


if __name__ == "__main__":
    main()
