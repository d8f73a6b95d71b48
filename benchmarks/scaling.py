"""How much faster several processes train than one, and what they must send each other for it.

    python benchmarks/scaling.py --data cifar/ [--processes 1 2] [--reps 3] [--out benchmarks/results/scaling.json]

DATA holds images of 32 px in class folders. Each process has one thread, so two processes use two cores where one
uses one: efficiency is the speed of N processes over N times that of one. Runs take turns, each in processes of its
own, and images/s is that of the last epoch, whose reading of the data and first steps are over. One process with N
threads shows what the same cores do without a second process. Nothing else should run on the machine for this.

CPU time, of all processes and threads together, hardly depends on what else runs: it is what two further epochs take.
Where N processes take as much of it as one, nothing but waiting for each other is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
EPOCHS = 3
SHARED = ["--stop-at-chance-epochs", "0", "--no-open-test", "--val-fraction", "0.001"]


def cpu_s() -> float:
    """Of children that ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train(data: Path, words: list[str], epochs: int) -> tuple[float, float, int]:
    """Images/s of the last epoch, CPU seconds of the run, and its training images."""
    with tempfile.TemporaryDirectory() as folder:
        run, began_s = Path(folder) / "run", cpu_s()
        command = [sys.executable, "-m", "alexnet", "train", "tiny_cifar10", "--data", str(data), "--out", str(run)]
        command += [*SHARED, *words, "--epochs", str(epochs)]
        subprocess.run(command, check=True, capture_output=True)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        n = json.loads((run / "recipe.json").read_text())["data"]["n_train"]
        return float(rows[-1]["images_per_s"]), cpu_s() - began_s, n


def measure(data: Path, words: list[str], processes: list[int], reps: int) -> dict[str, Any]:
    ways = {f"{n} x 1 thread": (n, 1) for n in processes} | {f"1 x {n} threads": (1, n) for n in processes if n > 1}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    cpu_ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(reps):
        for name, (n, threads) in ways.items():
            how = [*words, "--processes", str(n), "--threads", str(threads)]
            _, short_s, _ = train(data, how, 1)
            speed, long_s, images = train(data, how, EPOCHS)
            speeds[name].append(speed)
            cpu_ms[name].append(round(1000 * (long_s - short_s) / (images * (EPOCHS - 1)), 4))
    one, efficiency = speeds[f"{processes[0]} x 1 thread"], {}
    for n in processes:
        ratios = [many / alone / n for many, alone in zip(speeds[f"{n} x 1 thread"], one, strict=True)]
        efficiency[str(n)] = {"median": statistics.median(ratios), "each": ratios}
    return {"images_per_s": speeds, "efficiency": efficiency, "cpu_ms_per_image": cpu_ms}


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
