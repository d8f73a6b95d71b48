"""Training on an NVIDIA GPU: what needs one to be seen. `test_device.py` proves without one what can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from alexnet import models, recipes, training
from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Precision, ScheduleConfig
from alexnet.data import Dataset, Images
from alexnet.distributed import World
from alexnet.errors import Interrupted, UserError
from alexnet.evaluation import load
from alexnet.run_folder import RunFolder, new_run
from alexnet.runtime import start
from alexnet.training.control import StopRequest
from alexnet.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
N = 96

BASE = replace(
    recipes.tiny_cifar10(),
    epochs=3,
    batch_size=32,
    device="cuda",
    precision="fp32",
    augment=AugmentConfig(crop_padding_px=2, flip="random"),
    optimizer=OptimizerConfig(name="sgd", lr=0.005),
    schedule=ScheduleConfig(name="cosine"),
    grad_clip_norm=None,
    label_smoothing=0.0,
    stop_at_chance_epochs=0,
)
RECIPES = {
    "sgd": replace(BASE, grad_clip_norm=2.0, label_smoothing=0.1, ema_decay=0.9),
    "muon": replace(
        BASE,
        model=ModelConfig(name="cifar_alexnet"),
        augment=AugmentConfig(crop_padding_px=2, crop_border="reflect", flip="alternating", cutout_px=8),
        optimizer=OptimizerConfig(name="muon"),
        train_px=(24, 32),
    ),
    "adamw": replace(BASE, accumulate_steps=2, optimizer=OptimizerConfig(name="adamw", lr=1e-3)),
    "mixed": replace(BASE, augment=AugmentConfig(mixup=0.2, cutmix=1.0, pca_color=0.1)),
}


def losses(run: Path) -> list[float]:
    return [row["train_loss"] for row in RunFolder(run).read_metrics()]


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", RECIPES)
def test_steps_do_not_wait_for_the_gpu(
    name: str,
    precision: Precision,
    small_data: Callable[..., Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = small_data(N, px=32, channels=3)
    preprocessing = Preprocessing(image_px=32, in_channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    recipe = RECIPES[name]
    model = models.create(recipe.model.name, num_classes=3, in_channels=3, image_px=32)
    run = new_run(tmp_path / "run", recipe)
    trainer = Trainer(recipe, dataset, model, preprocessing, start("cuda", precision, 1), run, training.Observer())
    monkeypatch.setattr(Trainer, "_report", lambda self, clock: None)  # reads the loss, twice a second
    update = trainer._update_weights
    steps: list[int] = []

    def update_and_watch() -> None:
        update()
        steps.append(trainer.step)
        torch.cuda.set_sync_debug_mode("error")  # from the second step on: the first makes what later ones keep

    monkeypatch.setattr(trainer, "_update_weights", update_and_watch)
    try:
        trainer._train_epoch(StopRequest())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert steps == [0, 1, 2]


@pytest.mark.parametrize("name", RECIPES)
def test_the_gpu_learns_what_the_cpu_does(name: str, small_data: Callable[..., Dataset], tmp_path: Path) -> None:
    data = small_data(N, n_val=32, px=32, channels=3)
    recipe = replace(RECIPES[name], val_fraction=0.2, open_test=False)
    runs = {
        device: training.train(replace(recipe, device=device), data, out=tmp_path / device)
        for device in ("cpu", "cuda")
    }
    assert losses(runs["cuda"]) == pytest.approx(losses(runs["cpu"]), rel=0.02, abs=0.01)
    assert json.loads((runs["cuda"] / "recipe.json").read_text())["environment"]["gpu"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_short_numbers_learn_too(precision: Precision, small_data: Callable[..., Dataset], tmp_path: Path) -> None:
    data = small_data(N, n_val=32, px=32, channels=3)
    optimizer = OptimizerConfig(name="sgd", lr=0.02)
    recipe = replace(BASE, epochs=8, precision=precision, val_fraction=0.2, open_test=False, optimizer=optimizer)
    run = training.train(recipe, data, out=tmp_path / "run")
    assert losses(run)[-1] < 0.7 * losses(run)[0]
    weights = load_file(run / "model.safetensors")
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}


class _StopOnce(training.Observer):
    """Ends the run after its second epoch, as Ctrl-C would."""

    def on_epoch(self, row: dict[str, object]) -> None:
        if row["epoch"] == 2:
            raise Interrupted("stopped", 2)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_run_goes_on_where_it_stopped(
    precision: Precision, small_data: Callable[..., Dataset], tmp_path: Path
) -> None:
    """With dropout, whose random numbers the GPU draws: without its state the losses would be others."""
    data = small_data(N, n_val=32, px=32, channels=3)
    recipe = replace(
        BASE, epochs=4, precision=precision, val_fraction=0.2, open_test=False, model=ModelConfig(name="tiny_alexnet")
    )
    assert recipe.model.dropout != 0
    whole = training.train(recipe, data, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        training.train(recipe, data, out=tmp_path / "run", observer=_StopOnce())
    run = training.resume(tmp_path / "run", data=data)
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3)


def test_images_from_files_arrive_as_those_in_memory(
    small_data: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned memory and a copy that nobody waits for."""
    dataset = small_data(N, px=40, channels=3)
    assert isinstance(dataset.train, Images)
    pixels_NHWC = np.asarray(dataset.train.pixels_NHWC)
    monkeypatch.undo()
    for i, label in enumerate(dataset.train.labels_N.tolist()):
        inside = tmp_path / "photos" / dataset.class_names[label]
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels_NHWC[i]).save(inside / f"{i:03d}.png")
    recipe = replace(BASE, val_fraction=0.2, open_test=False)
    runs = {
        stream: training.train(recipe, str(tmp_path / "photos"), out=tmp_path / stream, stream=stream)
        for stream in ("never", "always")
    }
    assert losses(runs["always"]) == pytest.approx(losses(runs["never"]), rel=1e-3)


@pytest.mark.filterwarnings("ignore")  # what the compiler has to say of itself
def test_a_compiled_network_learns_the_same(small_data: Callable[..., Dataset], tmp_path: Path) -> None:
    data = small_data(N, n_val=32, px=32, channels=3)
    recipe = replace(BASE, val_fraction=0.2, open_test=False)
    runs = [
        training.train(replace(recipe, compile=compiled), data, out=tmp_path / str(compiled))
        for compiled in (False, True)
    ]
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=0.01)


def test_a_network_trained_on_the_gpu_judges_alike_on_the_cpu(
    small_data: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = small_data(N, n_val=32, px=32, channels=3)
    run = training.train(replace(BASE, val_fraction=0.2, open_test=False), dataset, out=tmp_path / "run")
    assert isinstance(dataset.val, Images)
    images = list(np.asarray(dataset.val.pixels_NHWC))
    on_cpu, on_gpu = (
        [dict(found.classes) for found in load(run, device=device).predict(images)] for device in ("cpu", "cuda")
    )
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_more_processes_than_gpus_are_refused() -> None:
    gpus = torch.cuda.device_count()
    world = World(rank=0, size=gpus + 1, local_rank=0, local_size=gpus + 1)
    with pytest.raises(UserError, match=rf"{gpus + 1} processes on this host, but it has {gpus} GPU"):
        start("cuda", world=world)


def test_the_gpu_of_a_number_is_taken() -> None:
    runtime = start("cuda:0", "auto", 1)
    assert runtime.device == torch.device("cuda:0")
    assert runtime.precision in ("bf16", "fp16")
