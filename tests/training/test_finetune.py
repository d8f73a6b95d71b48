"""Training that begins with trained weights: what is taken over, what stays frozen, how fast each layer learns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from alexnet import models, training, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe
from alexnet.data import Dataset
from alexnet.errors import UserError
from alexnet.training.finetune import class_weights, group_by_layer, set_frozen
from alexnet.training.optim.build import build_optimizers
from alexnet.training.optim.schedule import set_lr
from alexnet.training.trainer import Trainer

Data = Callable[..., Dataset]
KNOWN = Preprocessing(image_px=16, in_channels=1, mean=(0.3,), std=(0.2,))
CLASSES = ("dark", "light", "striped")


def trained(path: Path, class_names: tuple[str, ...] = ("a", "b", "c", "d"), name: str = "lenet") -> Path:
    """A weights file of a network that no training here would give."""
    options = {"num_classes": len(class_names), "in_channels": 1, "image_px": 16}
    model = models.create(name, **options)
    models.initialize(model, "kaiming", torch.Generator().manual_seed(77))
    card = ModelCard(model=name, options=options, class_names=class_names, preprocessing=KNOWN)
    weights.save(path, model, card)
    return path


def recipe(init: Path | str | None, **changes: Any) -> Recipe:
    base = Recipe(
        name="finetune",
        data="striped",
        epochs=2,
        batch_size=16,
        precision="fp32",
        threads=1,
        open_test=False,
        pretrained=None if init is None else str(init),
        model=ModelConfig(name="lenet"),
        augment=AugmentConfig(),
        optimizer=OptimizerConfig(lr=0.05),
    )
    return replace(base, **changes)


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return weights.load(path)[0].state_dict()


def changed(before: Path, after: Path) -> dict[str, bool]:
    """Which layers' weights are others, but for the last layer where its shape differs."""
    old, new = state_of(before), state_of(after)
    return {name: not torch.equal(old[name], new[name]) for name in old if old[name].shape == new[name].shape}


@pytest.mark.parametrize("freeze", ["features", "body"])
def test_frozen_layers_keep_the_weights_to_the_bit(small_data: Data, tmp_path: Path, freeze) -> None:
    data = small_data(n_val=6)
    before = trained(tmp_path / "known.safetensors")
    run = training.train(recipe(before, freeze=freeze, ema_decay=0.9), data, out=tmp_path / "run")
    for name, moved in changed(before, run).items():
        open_to_learning = name.startswith("classifier") and freeze == "features"
        assert moved == open_to_learning, name
    values = json.loads((run / "recipe.json").read_text())
    assert values["pretrained"] == {
        "file": str(before),
        "sha256": weights.pretrained.sha256_of(before),
        "last_layer": "new",
    }


def test_frozen_layers_open_after_their_epochs(small_data: Data, tmp_path: Path) -> None:
    data = small_data(n_val=6)
    before = trained(tmp_path / "known.safetensors")
    seen: list[list[bool]] = []
    plain = Trainer._finish_epoch

    def watched(self: Trainer) -> None:
        now, old = self.model.state_dict(), state_of(before)
        seen.append([not torch.equal(now[name], old[name]) for name in old if name.startswith("features")])
        plain(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_finish_epoch", watched)
        training.train(recipe(before, freeze="body", freeze_epochs=2, epochs=4), data, out=tmp_path / "run")
    assert [any(moved) for moved in seen] == [False, False, True, True]
    assert all(seen[-1])


def test_pixels_are_scaled_as_the_weights_know_them(small_data: Data, tmp_path: Path) -> None:
    data = small_data(n_val=6)
    before = trained(tmp_path / "known.safetensors")
    run = training.train(recipe(before, freeze="features"), data, out=tmp_path / "run")
    _, card = weights.load(run)
    assert (card.preprocessing.mean, card.preprocessing.std) == ((0.3,), (0.2,))
    again = training.train(recipe(run), data, out=tmp_path / "again")  # a run folder is as good as a file
    assert weights.load(again)[1].preprocessing == card.preprocessing
    fresh = training.train(recipe(None), data, out=tmp_path / "fresh")
    assert weights.load(fresh)[1].preprocessing.mean != (0.3,)


@pytest.mark.parametrize(
    ("class_names", "keeps"), [(CLASSES, True), (("dark", "light", "plain"), False), (("a", "b"), False)]
)
def test_the_last_layer_is_kept_for_the_same_classes_alone(tmp_path: Path, class_names, keeps) -> None:
    initial = weights.read_pretrained(str(trained(tmp_path / "known.safetensors", class_names)), "lenet")
    model = models.lenet(num_classes=3, in_channels=1, image_px=16)
    head = model.classifier[-1].weight.clone()
    assert initial.fill(model, CLASSES) == keeps
    for name, tensor in model.state_dict().items():
        if keeps or not name.startswith("classifier.fc5"):
            assert torch.equal(tensor, initial.model.state_dict()[name]), name
    assert torch.equal(model.classifier[-1].weight, head) != keeps


def test_weights_without_names_keep_the_last_layer_for_as_many_classes(tmp_path: Path) -> None:
    torch.save(models.tiny_alexnet(num_classes=3).state_dict(), tmp_path / "net.pth")
    initial = weights.read_pretrained(str(tmp_path / "net.pth"), "tiny_alexnet")
    assert initial.fits_head(CLASSES)
    assert not initial.fits_head(("a", "b"))


def test_resumed_is_uninterrupted_and_other_weights_are_refused(small_data: Data, tmp_path: Path) -> None:
    data = small_data(n_val=6)
    before = trained(tmp_path / "known.safetensors")
    ours = recipe(before, freeze="features", freeze_epochs=2, layer_decay=0.5, epochs=4, balance="sampling")
    ours = replace(ours, augment=AugmentConfig(pca_color=0.1, mixup=0.2, cutmix=1.0, flip="random"))

    class PowerCutError(Exception):
        """The power goes."""

    class PowerCut(training.Observer):
        def on_epoch(self, row: dict[str, Any]) -> None:
            if row["epoch"] == 3:
                raise PowerCutError

    whole = training.train(ours, data, out=tmp_path / "whole")
    with pytest.raises(PowerCutError):
        training.train(ours, data, out=tmp_path / "cut", observer=PowerCut())
    kept = before.read_bytes()
    trained(before, ("a", "b", "c", "e"))
    with pytest.raises(UserError, match=r"known\.safetensors is not the file .*cut began with: put that back"):
        training.resume(tmp_path / "cut", data=data)
    before.write_bytes(kept)
    resumed = training.resume(tmp_path / "cut", data=data)
    for name, tensor in state_of(whole).items():
        assert torch.equal(tensor, state_of(resumed)[name]), name


def test_shifts_of_colour_are_stored_with_the_run(small_data: Data, tmp_path: Path) -> None:
    data = small_data(n_val=6, channels=3)
    ours = recipe(None, augment=AugmentConfig(pca_color=0.1), epochs=1)
    run = training.train(ours, data, out=tmp_path / "run")
    colors = json.loads((run / "recipe.json").read_text())["colors"]
    x_NC = data.train.pixels_NHWC.reshape(-1, 3).double() / 255
    values = torch.linalg.eigvalsh(torch.cov(x_NC.T, correction=0)).flip(0)
    assert colors["eigenvalues"] == pytest.approx(values.tolist(), rel=1e-9)
    assert "pretrained" not in json.loads((run / "recipe.json").read_text())


def test_a_larger_side_is_cut_in_training_and_evaluation(small_data: Data, tmp_path: Path) -> None:
    data = replace(small_data(n_val=6, px=20), crop_px=16)
    run = training.train(recipe(None, resize_px=20, image_px=16), data, out=tmp_path / "run")
    model, card = weights.load(run)
    assert (card.preprocessing.image_px, card.preprocessing.resize_px, card.preprocessing.square_px) == (16, 20, 20)
    x_NHWC = data.val.pixels_NHWC[:, 2:18, 2:18].float() / 255
    x_NCHW = ((x_NHWC - card.preprocessing.mean[0]) / card.preprocessing.std[0]).permute(0, 3, 1, 2)
    with torch.no_grad():
        loss = F.cross_entropy(model.eval()(x_NCHW), data.val.labels_N).item()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["val_loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_each_layer_learns_at_its_own_rate(optimizer) -> None:
    model = models.lenet(num_classes=3, in_channels=1, image_px=16)
    optimizers = build_optimizers(model, OptimizerConfig(name=optimizer, lr=0.8))
    group_by_layer(optimizers, model, 0.5)
    set_lr(optimizers, 0.25)
    rates = {p: group["lr"] for found in optimizers for group in found.param_groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [rates[layer.weight] for layer in layers] == [0.2 * 0.5**above for above in (4, 3, 2, 1, 0)]
    assert [rates[layer.bias] for layer in layers] == [0.2 * 0.5**above for above in (4, 3, 2, 1, 0)]


def test_decay_of_weights_and_biases_outlives_the_split_into_layers() -> None:
    model = models.lenet(num_classes=3, in_channels=1, image_px=16)
    (optimizer,) = build_optimizers(model, OptimizerConfig(weight_decay=0.25))
    group_by_layer([optimizer], model, 0.5)
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.25}


def test_a_norm_goes_with_the_layer_before_it_and_keeps_its_statistics_when_frozen() -> None:
    model = models.cifar_alexnet(num_classes=3, image_px=16)
    (optimizer,) = build_optimizers(model, OptimizerConfig(lr=1.0))
    group_by_layer([optimizer], model, 0.5)
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert rates[names["features.norm3.weight"]] == rates[names["features.conv3.weight"]]
    model.train()
    set_frozen(model, "features")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.randn(8, 3, 16, 16))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert not [name for name in moved if name.startswith("features")]
    model.train()
    set_frozen(model, "none")
    model(torch.randn(8, 3, 16, 16))
    assert not torch.equal(model.state_dict()["features.norm3.running_mean"], before["features.norm3.running_mean"])


def test_class_weights_make_all_classes_count_alike() -> None:
    labels_N = torch.tensor([0] * 6 + [2] * 2)
    weights_K = class_weights(labels_N, 3)
    assert weights_K[[0, 2]].tolist() == pytest.approx([8 / 12, 2.0])
    assert weights_K[labels_N].mean() == pytest.approx(1)
    assert (weights_K[0] * 6).item() == pytest.approx((weights_K[2] * 2).item())


def test_weighted_loss_is_that_of_a_plain_loop(small_data: Data, tmp_path: Path) -> None:
    """One step over all images: the loss of the first epoch is that of the first weights."""
    data = small_data(n=33, n_val=6)
    before = trained(tmp_path / "known.safetensors", CLASSES)
    ours = recipe(before, balance="weights", batch_size=33, epochs=1)
    run = training.train(ours, data, out=tmp_path / "run")
    model, _ = weights.load(before)
    x_NCHW = (data.train.pixels_NHWC.float().permute(0, 3, 1, 2) / 255 - 0.3) / 0.2
    with torch.no_grad():
        each_N = F.cross_entropy(model(x_NCHW), data.train.labels_N, reduction="none")
    counts_K = torch.bincount(data.train.labels_N)
    expected = (each_N * 33 / (3 * counts_K[data.train.labels_N])).mean().item()
    (row,) = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert row["train_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrained": "nowhere.safetensors"}, r"nowhere\.safetensors"),
        (
            {"model": ModelConfig(name="tiny_alexnet")},
            "holds the weights of lenet, not of tiny_alexnet: set --model.na",
        ),
        (
            {"pretrained": "torchvision:IMAGENET1K_V9"},
            "publishes no AlexNet weights called 'IMAGENET1K_V9': name torchvis",
        ),
        ({"pretrained": "torchvision:IMAGENET1K_V1"}, "are weights of alexnet_owt: set --model.name alexnet_owt"),
    ],
)
def test_weights_that_do_not_fit_leave_no_run_behind(small_data: Data, tmp_path: Path, changes, message) -> None:
    data = small_data(n_val=6)
    ours = replace(recipe(trained(tmp_path / "known.safetensors")), **changes)
    with pytest.raises(UserError, match=message):
        training.train(ours, data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_sides_than_the_weights_were_trained_on_are_explained(small_data: Data, tmp_path: Path) -> None:
    data = small_data(n_val=6, px=24)
    ours = recipe(trained(tmp_path / "known.safetensors"), image_px=24)
    with pytest.raises(UserError, match=r"other shapes .* give it images of the side .* --image-px 16\n(?s:.*)fc3"):
        training.train(ours, data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
