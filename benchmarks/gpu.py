"""How fast a GPU trains the networks.

    python benchmarks/gpu.py [--seconds 2]

Rates are those of the whole loop with images in the GPU's memory: noise with labels by chance, so many that no epoch
ends while the clock runs. Writes benchmarks/results/gpu_training.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alexnet import models, runtime
from alexnet.bench import _images, _training
from alexnet.bench.tasks import Setting
from alexnet.config import ModelName, Precision
from alexnet.data import Dataset, Images
from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.system import usable_cores

RESULT = Path(__file__).parent / "results" / "gpu_training.json"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to count")
    given = parser.parse_args()
    try:
        environment = runtime.environment(runtime.start("cuda"))
    except UserError as error:
        sys.exit(str(error))
    result = {
        "what": "images/s of the whole training loop, images in the GPU's memory, one run each",
        "command": "python benchmarks/gpu.py",
        "seconds": given.seconds,
        "environment": environment,
    }
    rates: list[dict[str, Any]] = []
    for image_px in IMAGES:
        images = dataset(image_px)
        for case in CASES:
            if models.facts(case.network).native_px == image_px:
                rates.append(rate(case, images, given.seconds))
                print(json.dumps(rates[-1]), flush=True)
                write_json(RESULT, {**result, "training": rates})  # compiling takes minutes; what is known is kept


if __name__ == "__main__":
    main()
