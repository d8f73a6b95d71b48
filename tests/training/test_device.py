"""What an epoch asks of a device: proved on torch's meta device, which computes shapes and holds no values.

Reading a value, which is what waiting for a GPU is for, raises there; copies from and to the CPU can be counted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from alexnet import models, training
from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.data import Dataset, Images
from alexnet.run_folder import new_run
from alexnet.runtime import Runtime
from alexnet.training.control import StopRequest
from alexnet.training.trainer import Trainer

META = torch.device("meta")


class Crossings(TorchDispatchMode):
    """Counts, by name, operations with tensors of the CPU and of the device among arguments and result."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {value.device.type for value in (*args, result) if isinstance(value, Tensor) and value.ndim}
        if len(devices) > 1:
            self.names[str(func)] += 1
        return result


def meta_trainer(folder: Path, recipe: Recipe, px: int, steps: int) -> Trainer:
    n = recipe.batch_size * steps
    labels = torch.arange(n) % 10
    train = Images(torch.zeros(1, 1, 1, 3, dtype=torch.uint8).expand(n, px, px, 3), labels)
    dataset = Dataset("none", tuple("abcdefghij"), train, None, lambda: train, {})
    preprocessing = Preprocessing(image_px=px, in_channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    with META:
        model = models.create(recipe.model.name, num_classes=10, in_channels=3, image_px=px)
    run = new_run(folder / f"run-{steps}", recipe)
    return Trainer(recipe, dataset, model, preprocessing, Runtime(META, torch.float32, 1), run, training.Observer())


def crossings_of_an_epoch(
    recipe: Recipe, px: int, steps: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Counter[str]:
    trainer = meta_trainer(folder, recipe, px, steps)
    monkeypatch.setattr(Trainer, "_report", lambda self, clock: None)  # reads the loss, twice a second
    with Crossings() as crossings:
        trainer._train_epoch(StopRequest())
    assert trainer.step == steps
    return crossings.names


RECIPES = {
    "muon": Recipe(
        name="muon",
        epochs=2,
        batch_size=1024,
        model=ModelConfig(name="cifar_alexnet"),
        augment=AugmentConfig(crop_padding_px=2, crop_border="reflect", flip="alternating", cutout_px=8),
        optimizer=OptimizerConfig(name="muon"),
        train_px=(24, 32),
        image_px=32,
    ),
    "sgd": Recipe(
        name="sgd",
        batch_size=1024,
        model=ModelConfig(name="tiny_alexnet"),
        augment=AugmentConfig(crop_padding_px=4, flip="random"),
        grad_clip_norm=2.0,
        label_smoothing=0.1,
        ema_decay=0.99,
    ),
    "mixed": Recipe(
        name="mixed",
        batch_size=1024,
        model=ModelConfig(name="lenet"),
        augment=AugmentConfig(mixup=0.2, cutmix=1.0),
    ),
    "adamw": Recipe(
        name="adamw",
        batch_size=1024,
        accumulate_steps=2,
        model=ModelConfig(name="lenet"),
        optimizer=OptimizerConfig(name="adamw"),
        schedule=ScheduleConfig(name="cosine"),
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_steps_neither_wait_for_the_device_nor_copy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches of 1,024. What the epoch's plan moves does not depend on the number of steps, so steps move nothing.
    few = crossings_of_an_epoch(RECIPES[name], 32, 2, tmp_path, monkeypatch)
    many = crossings_of_an_epoch(RECIPES[name], 32, 5, tmp_path, monkeypatch)
    assert many == few


def test_reading_a_value_would_be_noticed() -> None:
    with pytest.raises(RuntimeError):
        torch.zeros((), device=META).item()
    with Crossings() as crossings:
        torch.zeros(3).to(META)
    assert crossings.names == {"aten._to_copy.default": 1}


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012", "alexnet_owt"])
def test_large_networks_fit_together_at_batch_1024(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(name=name, batch_size=1024, model=ModelConfig(name=name), augment=AugmentConfig(flip="random"))
    crossings_of_an_epoch(recipe, 224, 1, tmp_path, monkeypatch)
