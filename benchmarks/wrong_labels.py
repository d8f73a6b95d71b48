"""How many planted wrong labels `alexnet data clean` ranks among the first tenth of the photographs.

    python benchmarks/wrong_labels.py TINY_IMAGENET_20 [--seeds 0 1 2]

Of each class of TINY_IMAGENET_20/train 100 images are copied, five of them into another class's folder. Result:
benchmarks/results/wrong_labels.json.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from alexnet import cleaning, runtime
from alexnet.files import write_json

OUT = Path(__file__).parent / "results" / "wrong_labels.json"
PER_CLASS, PLANTED = 100, 5


def plant(source: Path, out: Path, seed: int) -> set[str]:
    """Copy the images into `out`; returns the files that lie in the wrong class."""
    rng, wrong = random.Random(seed), set()
    classes = sorted(folder.name for folder in source.iterdir())
    for name in classes:
        files = sorted((source / name).iterdir())
        rng.shuffle(files)
        for i, file in enumerate(files[:PER_CLASS]):
            to = rng.choice([other for other in classes if other != name]) if i < PLANTED else name
            (out / to).mkdir(exist_ok=True)
            shutil.copy(file, out / to / file.name)
            if to != name:
                wrong.add(f"{to}/{file.name}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory() as place:
            wrong = plant(chosen.source / "train", Path(place), seed)
            began = time.monotonic()
            found = cleaning.find(place)
            seconds = time.monotonic() - began
        first = {suspect.file for suspect in found.suspects[: len(found.suspects) // 10]}
        likely = {suspect.file for suspect in found.likely_wrong()}
        rows.append(
            {
                "seed": seed,
                "images": found.images,
                "planted": len(wrong),
                "in_first_tenth": len(wrong & first) / len(wrong),
                "likely_wrong": len(likely),
                "likely_wrong_planted": len(wrong & likely),
                "seconds": round(seconds, 1),
            }
        )
        print(rows[-1], flush=True)
    write_json(
        OUT, {"model": "small", "environment": runtime.environment(runtime.choose("cpu", "auto")), "runs": rows}
    )


if __name__ == "__main__":
    main()
