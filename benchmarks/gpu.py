"""What a GPU makes of the training loop: how fast the networks train, and what `tiny_fast` learns by number type.

    python benchmarks/gpu.py --data CIFAR10 [--seconds 2]

Rates are those of the whole loop, images in the GPU's memory: noise with labels by chance, as many that no epoch ends
while the clock runs. `tiny_fast` is trained on 45,000 images and measured on the 5,000 held out; the test split stays
closed. Writes benchmarks/results/gpu.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alexnet import models, recipes, runtime, training
from alexnet.bench import _images, _training
from alexnet.bench.tasks import Setting, usable_cores
from alexnet.config import ModelName, Precision
from alexnet.data import Dataset, Images
from alexnet.files import write_json
from alexnet.run_folder import RunFolder

RESULT = Path(__file__).parent / "results" / "gpu.json"
DIFFERENT = 2_000  # images made anew; the others repeat them
IMAGES = {32: 1_000_000, 224: 40_000}
"""How many there are of each side, in pixels."""


@dataclass(frozen=True)
class Case:
    network: ModelName
    batch_size: int
    precision: Precision = "bf16"
    compiled: bool = False


CASES = (
    Case("tiny_alexnet", 256),
    Case("tiny_alexnet", 2048),
    Case("alexnet_owt", 128),
    Case("alexnet_owt", 512),
    Case("alexnet_owt", 512, "fp32"),
    Case("alexnet_2012", 128),
    Case("alexnet_2012", 512),
    Case("alexnet_2012", 512, compiled=True),
)


def dataset(image_px: int) -> Dataset:
    """Random images."""
    times = IMAGES[image_px] // DIFFERENT
    few = _images.random_dataset(image_px, num_classes=1_000, n_train=DIFFERENT, n_test=1)
    made = _images.in_memory(few.train)
    many = Images(made.pixels_NHWC.repeat(times, 1, 1, 1), made.labels_N.repeat(times))
    return replace(few, train=many)


def rate(case: Case, images: Dataset, seconds: float) -> dict[str, Any]:
    """How fast one network trains."""
    chosen = runtime.start("cuda", case.precision)
    setting = Setting(data=None, root=None, threads=usable_cores(), seconds=seconds)
    torch.cuda.reset_peak_memory_stats()
    found = _training.train(case.network, images, case.batch_size, setting, chosen, compiled=case.compiled)
    memory = torch.cuda.max_memory_allocated() - _images.in_memory(images.train).pixels_NHWC.nbytes
    torch.cuda.empty_cache()
    return {**asdict(case), **found, "peak_mib_without_images": round(memory / 2**20)}


def accuracy(data: str, precision: Precision, out: Path) -> dict[str, Any]:
    """What `tiny_fast` learns in one number type."""
    recipe = replace(recipes.tiny_fast(), device="cuda", precision=precision, val_fraction=0.1, open_test=False)
    run = training.train(recipe, data, out=out / precision)
    result = json.loads((run / "result.json").read_text())
    rows = RunFolder(run).read_metrics()
    return {
        "precision": precision,
        "seed": recipe.seed,
        "val_top1": result["val_top1"],
        "train_s": result["train_s"],
        "images_per_s": statistics.median(row["images_per_s"] for row in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's folder, or its name")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to count")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        learned = [accuracy(given.data, precision, Path(out)) for precision in ("bf16", "fp16", "fp32")]
    rates = []
    for image_px in IMAGES:
        images = dataset(image_px)
        for case in CASES:
            if models.facts(case.network).native_px == image_px:
                rates.append(rate(case, images, given.seconds))
                print(json.dumps(rates[-1]), flush=True)
    environment = runtime.environment(runtime.start("cuda"))
    command = "python benchmarks/gpu.py --data CIFAR10"
    write_json(RESULT, {"command": command, "environment": environment, "tiny_fast": learned, "training": rates})


if __name__ == "__main__":
    main()
