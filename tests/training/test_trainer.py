"""The loop against a plain one written here, and what it does when training goes wrong."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet import models, runtime, training, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.data import Dataset, Images
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import evaluate
from alexnet.run_folder import new_run
from alexnet.training import checks, control
from alexnet.training import trainer as trainers
from alexnet.training.steps import plan_steps
from alexnet.training.trainer import Trainer

CLASSES = ("dark", "light", "striped")
PREPROCESSING = Preprocessing(image_px=16, in_channels=1, mean=(0.5,), std=(0.25,))


def striped_dataset(n: int = 50, val: Images | None = None) -> Dataset:
    """16 px images of three easy classes; opening the test split is an error."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    pixels = rng.integers(0, 60, (n, 16, 16, 1), dtype=np.uint8) + (labels * 80).astype(np.uint8)[:, None, None, None]
    pixels[labels == 2, ::2] = 0

    def no_test() -> Images:
        raise AssertionError("training opened the test split")

    images = Images(torch.from_numpy(pixels), torch.from_numpy(labels))
    return Dataset("striped", CLASSES, images, val, no_test, {})


def recipe(**changes: Any) -> Recipe:
    base = Recipe(
        name="digits",
        data="striped",
        epochs=2,
        batch_size=16,
        val_fraction=0.0,
        precision="fp32",
        model=ModelConfig(name="lenet", dropout=0.0),
        augment=AugmentConfig(crop_padding_px=1, flip="random"),
        optimizer=OptimizerConfig(lr=0.05, weight_decay=1e-3, momentum=0.9, nesterov=True),
        schedule=ScheduleConfig(name="constant"),
    )
    return replace(base, **changes)


def trainer(ours: Recipe, tmp_path: Path, dataset: Dataset | None = None, **observed: Any) -> Trainer:
    options = {"num_classes": 3, "in_channels": 1, "image_px": 16, "dropout": ours.model.dropout or 0.0}
    model = models.create(ours.model.name, **options)
    models.initialize(model, "xavier", torch.Generator().manual_seed(1))
    folder = new_run(tmp_path / "run", ours)
    folder.write_metrics([])
    where = runtime.start("cpu", ours.precision, 1)
    return Trainer(ours, dataset or striped_dataset(), model, PREPROCESSING, where, folder, training.Observer())


def test_equals_a_plain_loop(tmp_path: Path) -> None:
    ours = recipe(label_smoothing=0.1, ema_decay=0.9)
    dataset = striped_dataset()
    run = trainer(ours, tmp_path, dataset)
    plans = [run.train_loader.plan(ours.seed, epoch) for epoch in range(2)]
    rows = run.run()

    model = models.lenet(num_classes=3, image_px=16)
    models.initialize(model, "xavier", torch.Generator().manual_seed(1))
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 1e-3}, {"params": free}], lr=0.05, momentum=0.9, nesterov=True
    )
    average = [p.detach().clone() for p in model.parameters()]
    step, losses = 0, []
    for plan in plans:
        total = 0.0
        for start in range(0, 50, 16):
            which = plan.order_N[start : start + 16].tolist()
            batch = []
            for place, i in enumerate(which, start):
                padded = np.pad(dataset.train.pixels_NHWC[i, :, :, 0].numpy(), 1)
                top, left = int(plan.top_N[place]), int(plan.left_N[place])
                image = padded[top : top + 16, left : left + 16]
                batch.append(image[:, ::-1] if plan.mirrored_N[place] else image)
            x = torch.from_numpy((np.stack(batch)[:, None] / 255 - 0.5) / 0.25).float()
            y = dataset.train.labels_N[which]
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1, reduction="sum")
            optimizer.zero_grad()
            (loss / 16).backward()
            optimizer.step()
            total += loss.item()
            step += 1
            decay = min(0.9, (1 + step) / (10 + step))
            for kept, p in zip(average, model.parameters(), strict=True):
                kept.mul_(decay).add_(p.detach(), alpha=1 - decay)
        losses.append(total / 50)

    assert [row["train_loss"] for row in rows] == pytest.approx(losses, rel=1e-5)
    for p, expected in zip(run.model.parameters(), average, strict=True):
        torch.testing.assert_close(p.detach(), expected, rtol=1e-4, atol=1e-6)
    assert not run.model.training


def test_parts_of_a_batch_give_the_whole_batch(tmp_path: Path) -> None:
    whole = trainer(recipe(), tmp_path / "a")
    parts = trainer(recipe(accumulate_steps=3), tmp_path / "b")
    for row, other in zip(whole.run(), parts.run(), strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert row["train_top1"] == other["train_top1"]
    for p, q in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def test_same_seed_same_weights_other_seed_others(tmp_path: Path) -> None:
    def weights(seed: int, name: str) -> torch.Tensor:
        ours = recipe(seed=seed, model=ModelConfig(name="lenet", dropout=0.5))
        run = trainer(ours, tmp_path / name)
        run.run()
        return torch.cat([p.detach().flatten() for p in run.model.parameters()])

    assert torch.equal(weights(1, "a"), weights(1, "b"))
    assert not torch.equal(weights(1, "c"), weights(2, "d"))


def test_rows_and_validation(tmp_path: Path) -> None:
    val = striped_dataset(30).train
    run = trainer(recipe(epochs=3), tmp_path, striped_dataset(val=val))
    rows = run.run()
    assert rows == run.folder.read_metrics()
    keys = [
        "epoch",
        "train_loss",
        "train_top1",
        "val_loss",
        "val_top1",
        "images_per_s",
        "data_wait",
        "elapsed_s",
        "lr",
    ]
    assert [list(row) for row in rows] == [keys] * 3
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    with torch.no_grad():
        x = (val.pixels_NHWC.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        top1 = (run.model(x).argmax(1) == val.labels_N).float().mean().item()
    assert rows[-1]["val_top1"] == pytest.approx(top1)


def test_the_share_of_time_without_images_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(recipe(epochs=2), tmp_path, striped_dataset())
    assert [row["data_wait"] for row in run.run()] == [0.0, 0.0]  # they are in memory
    run = trainer(recipe(epochs=2), tmp_path / "waiting", striped_dataset())
    waited_s = iter([1.0, 3.0, 3.0, 8.0])  # before and after each epoch
    monkeypatch.setattr(type(run.train_loader), "wait_s", property(lambda _: next(waited_s)))
    monkeypatch.setattr(control.Clock, "seconds", lambda _: 10.0)
    assert [row["data_wait"] for row in run.run()] == [0.2, 0.5]


def test_large_checkpoints_are_written_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, saved = [0.0], []
    run = trainer(recipe(epochs=8), tmp_path, striped_dataset())

    def write() -> None:
        saved.append(run.epoch)
        now_s[0] += 2.0  # a tenth of 20 s

    def epoch(_stop: object) -> None:
        now_s[0] += 7.0
        run.totals.add(torch.ones(()), torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
        run._images_per_s, run._data_wait = 1.0, 0.0

    monkeypatch.setattr(trainers.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(run, "_write_checkpoint", write)
    monkeypatch.setattr(run, "_train_epoch", epoch)
    run.run()
    assert saved == [1, 4, 7, 8]  # how long it takes is known after the first; the last epoch's always


def test_more_images_in_a_batch_than_there_are(tmp_path: Path) -> None:
    """The step is that of the mean over all images, not of a mostly empty batch."""
    small, large = trainer(recipe(batch_size=50), tmp_path / "a"), trainer(recipe(batch_size=5000), tmp_path / "b")
    assert small.run()[-1]["train_loss"] == large.run()[-1]["train_loss"]


@pytest.mark.parametrize(
    ("n", "batch_size", "accumulate_steps", "smallest", "parts"),
    [
        (7, 3, 1, 1, [[(0, 3)], [(3, 6)], [(6, 7)]]),
        (7, 3, 1, 2, [[(0, 3)], [(3, 7)]]),  # the last image joins the batch before
        (8, 3, 1, 2, [[(0, 3)], [(3, 6)], [(6, 8)]]),
        (6, 3, 1, 2, [[(0, 3)], [(3, 6)]]),
        (9, 5, 2, 1, [[(0, 3), (3, 5)], [(5, 8), (8, 9)]]),
        (9, 5, 2, 2, [[(0, 3), (3, 5)], [(5, 9)]]),  # and the part before
        (11, 5, 2, 2, [[(0, 3), (3, 5)], [(5, 8), (8, 11)]]),
        (7, 7, 3, 2, [[(0, 3), (3, 7)]]),
        (2, 2, 1, 2, [[(0, 2)]]),
        (1, 1, 1, 1, [[(0, 1)]]),
    ],
)
def test_parts_of_an_epoch(n, batch_size, accumulate_steps, smallest, parts):
    assert plan_steps(n, batch_size, accumulate_steps, smallest) == parts


def test_no_part_is_too_small_and_every_image_is_in_one():
    for n in range(2, 24):
        for batch_size in range(2, n + 1):
            for accumulate_steps in range(1, batch_size):
                for smallest in (1, 2):
                    steps = plan_steps(n, batch_size, accumulate_steps, smallest)
                    parts = [part for step in steps for part in step]
                    assert [i for start, stop in parts for i in range(start, stop)] == list(range(n))
                    if smallest == 1 or -(-batch_size // accumulate_steps) > 1:
                        assert min(stop - start for start, stop in parts) >= smallest


def inputs_of(run: Trainer) -> list[tuple[bool, int, int]]:
    """What the network is given from now on: whether it trains, how many images, of which side."""
    seen: list[tuple[bool, int, int]] = []
    run.model.register_forward_pre_hook(lambda m, x: seen.append((m.training, len(x[0]), x[0].shape[2])))
    return seen


def test_batch_norm_is_never_given_one_image(tmp_path: Path) -> None:
    """33 images in batches of 16 leave one over, which torch would refuse."""
    ours = recipe(model=ModelConfig(name="cifar_alexnet"), epochs=1)
    normed, plain = (
        trainer(r, tmp_path / r.model.name, striped_dataset(33)) for r in (ours, recipe(epochs=1, batch_size=16))
    )
    sizes = [inputs_of(run) for run in (normed, plain)]
    (row,) = normed.run()
    plain.run()
    assert [n for _, n, _ in sizes[0]] == [16, 17]
    assert [n for _, n, _ in sizes[1]] == [16, 16, 1]
    assert row["train_top1"] * 33 == pytest.approx(round(row["train_top1"] * 33))  # of all 33
    assert normed.model.features.norm2.num_batches_tracked == 2


@pytest.mark.parametrize(
    ("train_px", "epochs", "sides"),
    [
        ((9, 12, 16), 8, [9, 9, 9, 12, 12, 12, 16, 16]),
        ((9, 12, 16), 3, [9, 12, 16]),
        ((12, 16), 5, [12, 12, 12, 16, 16]),
        ((10,), 2, [10, 10]),
        (None, 2, [16, 16]),
    ],
)
def test_each_side_for_an_equal_share_of_the_epochs(tmp_path: Path, train_px, epochs, sides) -> None:
    val = striped_dataset(5).train
    ours = recipe(train_px=train_px, epochs=epochs, batch_size=8, model=ModelConfig(name="cifar_alexnet"))
    run = trainer(ours, tmp_path, striped_dataset(8, val))
    seen = inputs_of(run)
    run.run()
    assert [side for training, _, side in seen if training] == sides
    assert [side for training, _, side in seen if not training] == [16] * epochs  # evaluation at the network's own


def test_statistics_of_batch_norm_are_averaged_kept_and_used(tmp_path: Path) -> None:
    val = striped_dataset(20).train
    ours = recipe(ema_decay=0.7, model=ModelConfig(name="cifar_alexnet"))
    run = trainer(ours, tmp_path, striped_dataset(val=val))
    network = run.model.state_dict()
    names = ("classifier.norm6.running_var", "features.norm3.running_mean", "features.norm3.weight")
    expected = {name: network[name].double().clone() for name in names}
    take_in = run.average.update

    def watched(step: int) -> None:
        take_in(step)
        decay = min(0.7, (1 + step) / (10 + step))
        for name in names:
            expected[name].mul_(decay).add_(network[name].double(), alpha=1 - decay)

    run.average.update = watched
    rows = run.run()
    steps = 2 * math.ceil(50 / 16)
    for name in names:
        torch.testing.assert_close(network[name].double(), expected[name], rtol=1e-5, atol=1e-6)
    assert network["features.norm3.num_batches_tracked"] == steps
    card = ModelCard(
        model="cifar_alexnet",
        options={"num_classes": 3, "in_channels": 1, "image_px": 16},
        class_names=CLASSES,
        preprocessing=PREPROCESSING,
    )
    weights.save(tmp_path / "net.safetensors", run.model, card)
    again, _ = weights.load(tmp_path / "net.safetensors")
    measured = [
        evaluate(net, val, CLASSES, PREPROCESSING, run.runtime)
        for net in (run.model, again.to(memory_format=torch.channels_last))
    ]
    assert measured[0] == measured[1]
    assert (measured[0].loss, measured[0].top1) == (rows[-1]["val_loss"], rows[-1]["val_top1"])


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    run = trainer(recipe(optimizer=OptimizerConfig(lr=1e9)), tmp_path)
    with pytest.raises(UserError, match=r"loss became (nan|inf) in epoch \d+: lower --optimizer\.lr \(now 1e\+09"):
        run.run()


def test_a_net_stuck_at_guessing_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = recipe(epochs=9, optimizer=OptimizerConfig(lr=1e-12), stop_at_chance_epochs=3)
    monkeypatch.setattr(checks, "FEW_STEPS", 12)  # three epochs of four steps
    run = trainer(stuck, tmp_path / "a")
    for layer in run.model.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.zeros_(layer.weight)
    with pytest.raises(UserError, match=r"after 3 epochs the loss is 1\.0\d+, chance level"):
        run.run()
    unwatched = trainer(replace(stuck, stop_at_chance_epochs=0), tmp_path / "b")
    assert len(unwatched.run()) == 9


def test_few_images_are_given_time(tmp_path: Path) -> None:
    """120 steps at guessing, as with 20 images a class of 20: too few to judge by."""
    slow = recipe(epochs=30, optimizer=OptimizerConfig(lr=1e-12), stop_at_chance_epochs=5)
    run = trainer(slow, tmp_path)
    for layer in run.model.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.zeros_(layer.weight)
    assert len(run.run()) == 30


def test_a_compiled_network_trains_on_after_its_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    runs = [trainer(recipe(compile=compiled), tmp_path / str(compiled)) for compiled in (False, True)]
    rows = [run.run() for run in runs]
    assert len(rows[1]) > 1
    assert [row["train_loss"] for row in rows[1]] == [row["train_loss"] for row in rows[0]]


def test_the_loop_does_not_wait_for_the_device_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a tensor's value makes a GPU's host wait: the count must not grow with the steps."""
    reads = {"n": 0}
    for name in ("item", "tolist", "__float__", "__int__", "__bool__", "cpu", "numpy"):
        original = getattr(torch.Tensor, name)

        def counted(self: torch.Tensor, *args: Any, _original: Any = original, **kwargs: Any) -> Any:
            reads["n"] += 1
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)

    def reads_of_an_epoch(n: int, name: str) -> int:
        run = trainer(recipe(epochs=1, batch_size=10), tmp_path / name, striped_dataset(n))
        reads["n"] = 0
        run.run()
        return reads["n"]

    monkeypatch.setattr(control, "_REPORT_EVERY_S", 3600.0)
    assert reads_of_an_epoch(400, "a") == reads_of_an_epoch(20, "b") > 0
