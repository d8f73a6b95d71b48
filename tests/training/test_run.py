"""A run from end to end on a few images: what is refused before it begins, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from alexnet import cli, models, training, weights
from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe
from alexnet.data import Dataset
from alexnet.data.split import drawn
from alexnet.data.transforms.augment import Normalizer
from alexnet.distributed import World
from alexnet.errors import UserError
from alexnet.training import build as build_module
from alexnet.training import finish as finish_module
from alexnet.training.build import build

Data = Callable[..., Dataset]


def recipe(**changes: Any) -> Recipe:
    base = Recipe(
        name="digits",
        data="striped",
        epochs=2,
        batch_size=16,
        val_fraction=0.1,
        precision="fp32",
        threads=1,
        model=ModelConfig(name="lenet"),
        augment=AugmentConfig(),
        optimizer=OptimizerConfig(lr=0.05),
    )
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("network", "train_px", "message"),
    [
        (
            "lenet",
            (16, 20, 24),
            "lenet made for images of 24 px cannot be given images of 16 px: drop --train-px, or take a network for "
            "any side, as cifar_alexnet is from 9 px on",
        ),
        ("tiny_alexnet", (20, 24), "tiny_alexnet made for images of 24 px cannot be given images of 20 px: drop"),
        ("cifar_alexnet", (24, 8), "cifar_alexnet made for images of 24 px cannot be given images of 8 px: drop"),
        ("cifar_alexnet", (24, 32), r"train_px must lie in 1..24, the images' side, but holds 32"),
    ],
)
def test_sides_that_do_not_fit_are_refused_at_once(small_data: Data, tmp_path, network, train_px, message):
    data = small_data(n_val=6, px=24)
    ours = recipe(train_px=train_px, epochs=3, model=ModelConfig(name=network))
    with pytest.raises(UserError, match=message):
        training.train(ours, data, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("n", "changes", "advice"),
    [
        (33, {"batch_size": 1}, "set --batch-size to 2 or more"),
        (33, {"batch_size": 4, "accumulate_steps": 4}, "set --batch-size to 8 or more"),
        (1, {"batch_size": 4}, "train on two images or more"),
    ],
)
def test_batch_norm_of_single_images_is_refused_at_once(small_data: Data, tmp_path, n, changes, advice):
    data = small_data(n, n_val=6)
    with pytest.raises(UserError, match=f"cifar_alexnet uses batch norm, which needs two images .*{advice}"):
        training.train(recipe(model=ModelConfig(name="cifar_alexnet"), **changes), data, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_border_too_wide_to_reflect_leaves_no_run_behind(small_data: Data, tmp_path):
    data = small_data(n_val=6)
    ours = recipe(augment=AugmentConfig(crop_padding_px=16, crop_border="reflect"), open_test=False)
    with pytest.raises(UserError, match=r"crop_padding_px \(16\) must be less than the images' side \(16\)"):
        training.train(ours, data, out=tmp_path / "run")
    training.train(replace(ours, augment=AugmentConfig()), data, out=tmp_path / "run")


FIGURES = ("top1", "top1_interval", "top5", "loss", "ece")


def test_the_test_split_stays_closed_where_the_recipe_says_so(small_data: Data, tmp_path):
    """Opening it raises: see `small_data`."""
    data = small_data(n_val=12)
    run = training.train(recipe(open_test=False), data, out=tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "val"
    assert result["n_val"] == 12
    assert {f"val_{figure}" for figure in FIGURES} <= result.keys()
    assert not [key for key in result if "test" in key]
    last = training.RunFolder(run).read_metrics()[-1]
    assert result["val_top1"] == last["val_top1"]
    assert result["val_loss"] == pytest.approx(last["val_loss"], rel=1e-5)
    page = (run / "report.html").read_text()
    assert "Top-1, validation split" in page
    assert "12 images of the validation split." in page
    assert "played no part in training" not in page
    assert "33 train, 12 val, the test split left closed" in page
    assert "Top-1, test split" not in page


def test_the_test_split_is_opened_once_at_the_end(small_data: Data, tmp_path, monkeypatch):
    data = small_data(n_val=12)
    opened = []

    def open_test() -> Any:
        opened.append(training.RunFolder(tmp_path / "run").read_metrics()[-1]["epoch"])
        return data.val

    opening = replace(data, open_test=open_test)
    result = json.loads((training.train(recipe(), opening, out=tmp_path / "run") / "result.json").read_text())
    assert opened == [2]
    assert (result["split"], result["n_test"]) == ("test", 12)
    assert {f"test_{figure}" for figure in FIGURES} <= result.keys()
    assert "val_top1" not in result
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Top-1, test split" in page
    assert "33 train, 12 val, 12 test images" in page
    assert "which played no part in training" in page


def test_the_command_line_says_which_split_its_figure_is_of(tmp_path, capsys):
    words = "train digits --model.name lenet --epochs 1 --no-open-test --val-fraction 0.25 --train-images 200 --out"
    with pytest.raises(SystemExit) as left:
        cli.main([*words.split(), str(tmp_path / "run")])
    assert left.value.code == 0
    first, *_ = capsys.readouterr().out.splitlines()
    top1 = json.loads((tmp_path / "run" / "result.json").read_text())["val_top1"]
    assert first.startswith(f"val top-1 {top1:.4f} (95% interval ")
    assert " on 362 images; 1 epoch in " in first


class FirstWeights(training.Observer):
    """Keeps the first convolution as it is when training begins."""

    def on_start(self, folder: Any, recipe: Any, dataset: Any, model: Any) -> None:
        self.weight = model.features.conv1.weight.detach().clone()


def test_whitened_filters_are_those_of_the_training_images(small_data: Data, tmp_path):
    data = small_data(40, n_val=6, channels=3)
    seen = FirstWeights()
    ours = recipe(epochs=1, open_test=False, model=ModelConfig(name="cifar_alexnet", whiten=True))
    training.train(ours, data, out=tmp_path / "run", observer=seen)
    assert torch.equal(seen.weight[12:], -seen.weight[:12])
    how = json.loads((tmp_path / "run" / "recipe.json").read_text())["preprocessing"]
    mean, std = torch.tensor(how["mean"]), torch.tensor(how["std"])
    x_NCHW = ((data.train.pixels_NHWC / 255 - mean) / std).permute(0, 3, 1, 2)
    answers_DH = F.conv2d(x_NCHW, seen.weight[:12]).transpose(1, 3).flatten(0, 2)
    covariance_HH = answers_DH.T @ answers_DH / len(answers_DH)
    spread = covariance_HH.diagonal()
    assert spread.max() < 1.001
    assert spread[0] > 0.99
    assert (covariance_HH - spread.diag()).abs().max() < 1e-3
    plain = FirstWeights()
    training.train(
        replace(ours, model=ModelConfig(name="cifar_alexnet")), data, out=tmp_path / "plain", observer=plain
    )
    assert not torch.equal(plain.weight[12:], -plain.weight[:12])


@pytest.mark.parametrize(("pixels", "n"), [(10 * 16 * 16, 10), (1, 1), (10**9, 33)])
def test_whitening_looks_at_so_many_pixels(small_data: Data, monkeypatch, pixels, n):
    monkeypatch.setattr(build_module, "_WHITENING_PIXELS", pixels)
    data = small_data(33)
    how = Preprocessing(image_px=16, in_channels=1, mean=(0.0,), std=(1.0,))
    x_NCHW = build_module._sample(data.train, how, seed=3)
    assert x_NCHW.shape == (n, 1, 16, 16)
    assert torch.equal(x_NCHW, build_module._sample(data.train, how, seed=3))
    shown = {image.numpy().tobytes() for image in (255 * x_NCHW).round().byte()}
    assert len(shown) == n  # each image once
    assert shown <= {image.permute(2, 0, 1).numpy().tobytes() for image in data.train.pixels_NHWC}


def test_the_recipe_kept_with_a_run_can_be_read_again(small_data: Data, tmp_path):
    data = small_data(n_val=6)
    ours = recipe(
        train_px=(9, 16),
        open_test=False,
        model=ModelConfig(name="cifar_alexnet", whiten=True),
        augment=AugmentConfig(crop_padding_px=2, crop_border="reflect", flip="alternating", cutout_px=4),
        optimizer=OptimizerConfig(name="muon", lr=0.05, other_lr=0.02, normalize=True),
    )
    run = training.train(ours, data, out=tmp_path / "run")
    kept, _ = training.RunFolder(run).read_recipe()
    assert kept == ours


def test_a_part_of_the_images_is_trained_on_and_goes_on_after_a_stop(small_data: Data, tmp_path):
    data = small_data(33, n_val=6)
    ours = recipe(train_images=20, seed=3, open_test=False)
    run = training.train(ours, data, out=tmp_path / "run")
    kept = json.loads((run / "recipe.json").read_text())["data"]
    assert (kept["n_train"], kept["n_val"]) == (20, 6)
    assert kept["fingerprint"] == data.train.take(drawn(data.train.labels_N, 20, 3)).fingerprint()
    (run / "result.json").unlink()
    training.resume(run, data=data)
    assert (run / "result.json").is_file()


def test_options_go_to_the_network_that_takes_them(small_data: Data, tmp_path):
    data = small_data(n_val=6)
    ours = recipe(model=ModelConfig(name="convnet_2012", norm="none", pool_px=2), open_test=False)
    model, card = weights.load(training.train(ours, data, out=tmp_path / "run"))
    assert (card.options["norm"], card.options["pool_px"]) == ("none", 2)
    assert model.features.pool2.kernel_size == 2
    with pytest.raises(UserError, match="lenet takes no option norm"):
        training.train(recipe(model=ModelConfig(name="lenet", norm="none")), data, out=tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "std"),
    [({"raw_pixels": True}, 1 / 255), ({"raw_pixels": True, "normalize": False}, 1 / 255), ({"normalize": False}, 1)],
)
def test_pixels_on_their_own_scale(small_data: Data, changes: dict[str, Any], std: float) -> None:
    """What the network sees of raw pixels are levels of 0..255, less the mean level where they are normalised."""
    data = small_data(channels=3, px=64)
    _, card = build(
        recipe(model=ModelConfig(name="tiny_alexnet"), augment=AugmentConfig(**changes)), data, None, World(), None
    )
    how = card.preprocessing
    assert how.std == pytest.approx((std,) * 3)
    levels_NHWC = data.train.pixels_NHWC.double()
    mean_C = levels_NHWC.mean((0, 1, 2)) if changes.get("normalize", True) else torch.zeros(3)
    expected_NCHW = ((levels_NHWC - mean_C) / 255 / std).permute(0, 3, 1, 2)
    got_NCHW = Normalizer(how, torch.device("cpu"), torch.float32)(data.train.pixels_NHWC)
    torch.testing.assert_close(got_NCHW.double(), expected_NCHW, rtol=1e-5, atol=1e-4)


def test_the_variant_reaches_the_network_and_its_card(small_data: Data) -> None:
    data = small_data(channels=3, px=64)
    for variant, first in ((None, "conv1"), ("paper", "conv1"), ("source", "pad1")):
        model, card = build(
            recipe(model=ModelConfig(name="alexnet_2012", variant=variant)), data, None, World(), None
        )
        assert next(iter(model.features.named_children()))[0] == first
        assert card.options.get("variant") == variant


@pytest.mark.parametrize(("network", "towers"), [("alexnet_2012", 2), ("alexnet", 1), ("tiny_alexnet", 1)])
def test_towers_of_the_first_layer(network: str, towers: int) -> None:
    with torch.device("meta"):
        assert finish_module._towers(models.create(network)) == towers
