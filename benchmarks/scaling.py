"""How much faster several processes train than one, and what they must send each other for it.

    python benchmarks/scaling.py --data cifar/ [--processes 1 2] [--reps 3] [--out benchmarks/results/scaling.json]

DATA holds images of 32 px in class folders. Each process has one thread, so two processes use two cores where one
uses one: efficiency is the speed of N processes over N times that of one. Runs take turns, each in processes of its
own, and images/s is that of the last epoch, whose reading of the data and first steps are over. `threads` is one
process with N threads: what the same cores do without a second process. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from alexnet import models, runtime
from alexnet.config import ModelConfig
from alexnet.files import write_json

SETTINGS: dict[str, list[str]] = {
    "tiny_alexnet, 32 px, batch 256": ["--batch-size", "256", "--train-images", "6000"],
    "tiny_alexnet, 32 px, batch 64": ["--batch-size", "64", "--train-images", "3000"],
    "cifar_alexnet, 32 px, batch 256": [
        *("--model.name", "cifar_alexnet", "--batch-size", "256", "--train-images", "3000"),
    ],
    "alexnet, 224 px, batch 64": [
        *("--model.name", "alexnet", "--image-px", "224", "--batch-size", "64", "--train-images", "320"),
    ],
}
SHARED = ["--epochs", "2", "--stop-at-chance-epochs", "0", "--no-open-test", "--val-fraction", "0.001"]


def images_per_s(data: Path, words: list[str], processes: int, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "alexnet", "train", "tiny_cifar10", "--data", str(data), "--out", str(run)]
        command += [*SHARED, *words, "--threads", str(threads), "--processes", str(processes)]
        subprocess.run(command, check=True, capture_output=True)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return float(rows[-1]["images_per_s"])


def measure(data: Path, words: list[str], processes: list[int], reps: int) -> dict[str, Any]:
    ways = {f"{n} process(es) of 1 thread": (n, 1) for n in processes}
    ways |= {f"1 process of {n} threads": (1, n) for n in processes if n > 1}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(reps):
        for name, (n, threads) in ways.items():
            speeds[name].append(images_per_s(data, words, n, threads))
    one = speeds["1 process(es) of 1 thread"]
    found: dict[str, Any] = {"images_per_s": speeds, "efficiency": {}}
    for n in processes:
        ratios = [many / alone / n for many, alone in zip(speeds[f"{n} process(es) of 1 thread"], one, strict=True)]
        found["efficiency"][str(n)] = {"median": statistics.median(ratios), "each": ratios}
    return found


def volumes() -> dict[str, Any]:
    """Bytes that each rank sends a step: a ring moves 2 (W - 1) / W of the gradients, 4 bytes a parameter."""
    found = {}
    for name in models.names():
        size = 4 * models.facts(ModelConfig(name=name).name).parameters
        found[name] = {"gradient_bytes": size, **{f"sent_by_{W}": round(2 * (W - 1) / W * size) for W in (2, 8, 64)}}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    before = os.getloadavg()
    found = {
        name: {"flags": SETTINGS[name], **measure(options.data, SETTINGS[name], options.processes, options.reps)}
        for name in options.settings
    }
    result = {
        "environment": runtime.environment(runtime.start(threads=1)),
        "n": options.reps,
        "load_before": before[0],
        "settings": found,
        "communication": volumes(),
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
