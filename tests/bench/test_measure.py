"""The clocks count what they should; nothing here depends on how fast the machine is."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from alexnet import models, recipes, runtime
from alexnet.bench import Setting, _inference, _process, _training
from alexnet.bench._images import preprocessing, random_dataset, write_photos
from alexnet.bench.measure import measure
from alexnet.data import load
from alexnet.errors import UserError
from alexnet.training.observer import Progress
from alexnet.training.trainer import Trainer

SETTING = Setting(data=None, root=None, threads=1, seconds=8)  # 2 s of warm-up


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (_training, _inference):
        monkeypatch.setattr(module, "time", clock)
    return clock


def progress(epoch: int, step: int) -> Progress:
    return Progress(epoch=epoch, epochs=9, step=step, steps=3, loss=1.0, images_per_s=0.0, lr=0.1)


def test_training_counts_images_after_the_warm_up(clock: Clock) -> None:
    watch = _training._Watch(SETTING, n_train=25, batch_size=10)  # steps of 10, 10 and 5 images

    def train() -> None:
        times = [(1, 0, 1), (2, 0, 2), (3, 0, 3), (7, 2, 3), (11, 3, 2)]  # seconds since the start, epoch, step
        for after_s, epoch, step in times:
            clock.now_s = 100.0 + after_s
            watch.on_progress(progress(epoch, step))

    # Warm at 3 s with 25 images (at 2 s it was two steps); at 11 s there were 3 x 25 + 20.
    assert watch.time(SimpleNamespace(run=train)) == (95 - 25) / (11 - 3)


def test_calls_count_after_the_warm_up(clock: Clock) -> None:
    durations_s = [0.5, 0.5, 0.5, 0.25, 0.25, 3.0, 4.0, 2.0, 1.0]
    calls = iter(durations_s)

    def work() -> None:
        clock.now_s += next(calls)

    # Three calls and 2 s to warm up, then 8 s or more.
    assert _inference._times_s(work, SETTING) == [3.0, 4.0, 2.0]


def trainer_of(n_train: int, batch_size: int, tmp_path) -> Trainer:
    images = random_dataset(32, num_classes=10, n_train=n_train, n_test=1)
    recipe = _training._recipe("tiny_alexnet", batch_size, threads=1)
    folder = _training.new_run(tmp_path / "run", recipe)
    how = preprocessing("tiny_alexnet")
    where = runtime.start(device="cpu", precision="fp32", threads=1)
    return Trainer(recipe, images, models.create("tiny_alexnet"), how, where, folder, _training.Observer())


def test_a_fixed_batch_is_made_once(tmp_path) -> None:
    trainer = trainer_of(25, 10, tmp_path)
    loader = _training.FixedBatch(trainer)
    assert len(loader) == 25
    assert loader.plan(0, 0) is loader.plan(1, 5)
    plan = loader.plan(0, 0)
    (first, labels), (second, _), (last, _) = loader.batches(plan, [(0, 10), (10, 20), (20, 25)])
    assert first is second
    assert (first.shape, labels.shape, last.shape) == ((10, 3, 32, 32), (10,), (5, 3, 32, 32))


def test_the_trainer_trains_on_the_fixed_batch(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop asks its loader for batches in a way that `FixedBatch` answers."""
    made = []
    make = _training.Loader.batch
    monkeypatch.setattr(_training.Loader, "batch", lambda *words: made.append(words[2:]) or make(*words))
    trainer = trainer_of(40, 10, tmp_path)
    trainer.recipe = _training.replace(trainer.recipe, epochs=3)
    trainer.train_loader = _training.FixedBatch(trainer)
    before = trainer.model.features.conv1.weight.detach().clone()
    trainer.run()
    assert len(made) == 1  # of 3 epochs with 4 steps
    assert not torch.equal(trainer.model.features.conv1.weight, before)


def test_a_training_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_training._GEMM_SIDE, "cpu", 64)
    monkeypatch.setattr(_training, "_GEMM_S", 0.0)
    monkeypatch.setattr(_training, "dataset", lambda _: random_dataset(32, num_classes=10, n_train=100, n_test=1))
    where = runtime.start(device="cpu", precision="fp32", threads=1)
    quick = Setting(data=None, root=None, threads=1, seconds=0.05)
    measured = _training.tiny(quick, where, batch_size=50)
    assert measured["parameters"] == 613_834
    # 3 x 2 x multiply-adds: 32*32 places x 75 x 32, twice 16*16 x 288 x 32, and the dense layers' weights.
    macs = 1024 * 75 * 32 + 2 * 256 * 288 * 32 + 2048 * 256 + 256 * 256 + 256 * 10
    assert measured["flops_per_image"] == 6 * macs
    rate, gemm = measured["images_per_s"], measured["gemm_flops_per_s"]
    assert measured["mfu"] == pytest.approx(rate * 6 * macs / gemm)


def test_photos_are_streamed(tmp_path) -> None:
    write_photos(tmp_path, num_classes=2, a_class=3)
    images = load(tmp_path, image_px=224, val_fraction=0.0, stream="always")
    assert (len(images.train), len(images.open_test()), images.image_px) == (6, 2, 224)
    size = (tmp_path / "train" / "0001" / "002.jpg").stat().st_size
    assert 50_000 < size < 200_000  # ImageNet's average is about 110 kB


def test_the_recipe_is_that_of_the_package_but_for_what_ends_it() -> None:
    recipe, base = _training._recipe("tiny_alexnet", 256, threads=1), recipes.get("tiny_cifar10")
    assert recipe.augment == base.augment
    assert recipe.label_smoothing == base.label_smoothing
    assert recipe.optimizer.momentum == base.optimizer.momentum
    assert recipe.grad_clip_norm == base.grad_clip_norm


def test_peak_memory_is_read() -> None:
    assert _process._peak_bytes("VmPeak:\t  999 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 1 kB\n") == 2048 * 1024


def test_startup_leaves_the_first_out() -> None:
    quick = Setting(data=None, root=None, threads=1, seconds=0.01)
    measured = _process.startup(quick, runtime.start(device="cpu", threads=1), words=("-c", "pass"))
    assert measured["starts"] >= 3
    assert measured["seconds"] > 0


@pytest.mark.parametrize("name", ["memory", "evaluate_files"])
def test_what_needs_images_says_so(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} needs images: name them with --data"):
        measure(name, SETTING)


def test_evaluation_and_latency_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inference, "dataset", lambda _: random_dataset(32, num_classes=10, n_train=8, n_test=30))
    quick = Setting(data=None, root=None, threads=1, seconds=0.02)
    evaluated = measure("evaluate_memory", quick)
    assert (evaluated["images"], evaluated["parameters"], evaluated["precision"]) == (30, 613_834, "fp32")
    timed = measure("latency", quick)
    assert 0 < timed["latency_ms"] <= timed["p95_ms"]
    assert timed["versions"]["torch"] == torch.__version__
    assert timed["machine"]["threads"] == 1


def test_scheduling_does_not_wait_for_torch() -> None:
    code = "import alexnet.bench, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
