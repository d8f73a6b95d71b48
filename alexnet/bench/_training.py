"""Images a second in training, and what share of the machine that is.

Training goes through `Trainer` as it is, with its own loader, progress and checkpoints; an observer looks at the
clock and ends the run. Share of the matrix rate (MFU): operations a second over those of a product of two square
matrices in the same dtype, timed in the same process before and after. Operations of an image are counted as
2 x 3 x the multiply-adds of its forward pass: once forward, and once each for the gradients of inputs and weights.
The first layer's input gradient, which nobody needs, is counted; element-wise work and the optimiser are not.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet import models, recipes
from alexnet.bench._images import dataset, in_memory, preprocessing, random_dataset, write_photos
from alexnet.bench.tasks import WARMUP_STEPS, Setting
from alexnet.config import ModelConfig, ModelName, Recipe, ScheduleConfig
from alexnet.data import Dataset, load, pack
from alexnet.data.loading.from_memory import Loader
from alexnet.data.loading.plan import EpochPlan
from alexnet.run_folder import new_run
from alexnet.runtime import Runtime
from alexnet.training.observer import Observer, Progress
from alexnet.training.trainer import Trainer

_GEMM_SIDE = {"cpu": 2048, "cuda": 8192}  # large enough to fill the device
_GEMM_S, _GEMM_TIMES = 0.5, 5
_224_CLASSES = 1_000  # 61,100,840 parameters
_224_A_CLASS = 4  # so many images that no epoch, with its checkpoint of half a GB, ends while the clock runs


def tiny(setting: Setting, runtime: Runtime, *, batch_size: int, fixed_batch: bool = False) -> dict[str, Any]:
    """TinyAlexNet by the recipe tiny_cifar10 (crops, flips, SGD with momentum, label smoothing, clipped gradients).

    Only its dropout is the tutorial's 0.5, as the peers have it.
    """
    return train("tiny_alexnet", dataset(setting), batch_size, setting, runtime, fixed_batch=fixed_batch)


def alexnet_224(setting: Setting, runtime: Runtime, *, fixed_batch: bool = False) -> dict[str, Any]:
    """AlexNet with one tower, as torchvision has it, by the same recipe on random images in memory, batch 64."""
    images = random_dataset(224, num_classes=_224_CLASSES, n_train=_224_CLASSES * _224_A_CLASS, n_test=1)
    return train("alexnet_owt", images, 64, setting, runtime, fixed_batch=fixed_batch)


def alexnet_224_files(setting: Setting, runtime: Runtime, *, packed: bool = False) -> dict[str, Any]:
    """The same from JPEG files of 500 x 375 pixels, decoded and made small as they are needed.

    `packed`: from shards that `alexnet data pack` made of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photos"
        write_photos(source, num_classes=_224_CLASSES, a_class=_224_A_CLASS)
        if packed:
            source = Path(pack(source, Path(folder) / "shards").path)
        images = load(source, image_px=224, val_fraction=0.0, stream="always")
        return train("alexnet_owt", images, 64, setting, runtime)


def train(
    network: ModelName,
    images: Dataset,
    batch_size: int,
    setting: Setting,
    runtime: Runtime,
    *,
    fixed_batch: bool = False,
    compiled: bool = False,
) -> dict[str, Any]:
    """Train `network` on `images` with the batch size, on the clock of `setting`."""
    recipe = replace(_recipe(network, batch_size, setting.threads), compile=compiled)
    model = models.create(
        network,
        num_classes=len(images.class_names),
        in_channels=images.in_channels,
        image_px=images.image_px,
        dropout=0.5,
    )
    models.initialize(model, recipe.model.init, torch.Generator().manual_seed(0))
    flops_per_image = 2 * 3 * models.count_macs(model, images.in_channels, images.image_px)
    with tempfile.TemporaryDirectory() as out:
        watch = _Watch(setting, len(images.train), batch_size)
        folder = new_run(Path(out) / "run", recipe)
        trainer = Trainer(recipe, images, model, preprocessing(network), runtime, folder, watch)
        if fixed_batch:
            trainer.train_loader = FixedBatch(trainer)
        gemm_before = gemm_flops_per_s(runtime)
        images_per_s = watch.time(trainer)
    gemm = (gemm_before + gemm_flops_per_s(runtime)) / 2
    return {
        "images_per_s": images_per_s,
        "parameters": models.count_parameters(model),
        "flops_per_image": flops_per_image,
        "gemm_flops_per_s": gemm,
        "mfu": images_per_s * flops_per_image / gemm,
    }


def _recipe(network: ModelName, batch_size: int, threads: int) -> Recipe:
    base = recipes.get("tiny_cifar10")
    return replace(
        base,
        model=ModelConfig(name=network, dropout=0.5),
        # An even, small rate that nothing diverges at; random labels cannot be learned.
        optimizer=replace(base.optimizer, lr=0.01),
        schedule=ScheduleConfig(name="constant"),
        stop_at_chance_epochs=0,
        batch_size=batch_size,
        epochs=1_000_000,  # the clock ends it
        threads=threads,
    )


class FixedBatch(Loader):
    """A loader that makes one batch and hands it out again and again: the loop without its data."""

    def __init__(self, trainer: Trainer) -> None:
        runtime, images = trainer.runtime, in_memory(trainer.dataset.train)
        super().__init__(images, trainer.preprocessing, runtime.device, runtime.dtype, trainer.recipe.augment)
        self._plan = super().plan(0, 0)
        self._batches: dict[int, tuple[Tensor, Tensor]] = {}

    def plan(self, seed: int, epoch: int, train_px: int | None = None) -> EpochPlan:
        """The same for every epoch."""
        return self._plan

    def batch(self, plan: EpochPlan, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The same for every place; the last, short batch of an epoch is another."""
        size = stop - start
        if size not in self._batches:
            self._batches[size] = super().batch(plan, start, stop)
        return self._batches[size]


class _Done(Exception):  # noqa: N818 - an event, not an error
    pass


@dataclass(frozen=True)
class _Mark:
    time_s: float
    images: int


class _Watch(Observer):
    """Counts images from the end of the warm-up on, and ends the run in time."""

    def __init__(self, setting: Setting, n_train: int, batch_size: int) -> None:
        self._setting, self._n_train, self._batch_size = setting, n_train, batch_size
        self._began_s = 0.0
        self._first: _Mark | None = None
        self._images_per_s = 0.0

    def time(self, trainer: Trainer) -> float:
        """Train until the clock ends it; returns images a second."""
        self._began_s = time.perf_counter()
        try:
            trainer.run()
        except _Done:
            return self._images_per_s
        raise AssertionError("the run ended before the clock")

    def on_progress(self, progress: Progress) -> None:
        """Look at the clock; the loop has just waited for the device."""
        in_epoch = min(progress.step * self._batch_size, self._n_train)
        now = _Mark(time.perf_counter(), progress.epoch * self._n_train + in_epoch)
        if self._first is None:
            steps = progress.epoch * progress.steps + progress.step
            if now.time_s - self._began_s >= self._setting.warmup_s and steps >= WARMUP_STEPS:
                self._first = now
        elif now.time_s - self._first.time_s >= self._setting.seconds:
            self._images_per_s = (now.images - self._first.images) / (now.time_s - self._first.time_s)
            raise _Done


def gemm_flops_per_s(runtime: Runtime) -> float:
    """The machine's operations a second in a product of two square matrices; median of half a second's products."""
    side = _GEMM_SIDE.get(runtime.device.type, 2048)
    a, b = (torch.randn(side, side, device=runtime.device, dtype=runtime.dtype) for _ in range(2))
    times_s: list[float] = []
    began_s = time.perf_counter()
    while len(times_s) < _GEMM_TIMES or time.perf_counter() - began_s < _GEMM_S:
        start_s = time.perf_counter()
        a @ b
        if runtime.device.type == "cuda":
            torch.cuda.synchronize(runtime.device)
        times_s.append(time.perf_counter() - start_s)
    return 2 * side**3 / statistics.median(times_s)
