"""A last layer that begins as a linear probe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from alexnet import models, training, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe
from alexnet.data import Images, from_arrays
from alexnet.errors import UserError
from alexnet.run_folder import RunFolder
from alexnet.runtime import Runtime
from alexnet.training import probe


def blobs(n: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(n) % classes
    centres_KD = 2 * torch.randn(classes, 12, generator=generator)
    return centres_KD[labels_N] * torch.linspace(0.1, 9, 12) + torch.randn(n, 12, generator=generator) + 5, labels_N


def test_the_regression_is_scikit_learns() -> None:
    features_ND, labels_N = blobs(90, 3)
    scaled_ND = (features_ND - features_ND.mean(0)) / features_ND.std(0)
    weight_KD, bias_K = probe.solve(scaled_ND, labels_N, 3, penalty=0.1)
    other = LogisticRegression(C=1 / (0.1 * 90), tol=1e-8, max_iter=1000).fit(scaled_ND.numpy(), labels_N.numpy())
    np.testing.assert_allclose(weight_KD.numpy(), other.coef_, atol=2e-3)
    np.testing.assert_allclose(
        (bias_K - bias_K.mean()).numpy(), other.intercept_ - other.intercept_.mean(), atol=2e-3
    )


@pytest.mark.parametrize("n", [6, 300])
def test_the_layer_takes_features_as_they_are(n: int) -> None:
    features_ND, labels_N = blobs(n, 3)
    weight_KD, bias_K = probe.fit(features_ND[None], labels_N, 3)
    assert ((features_ND @ weight_KD.T + bias_K).argmax(1) == labels_N).all()


def test_views_of_an_image_are_held_out_together() -> None:
    """Of features that say nothing of the labels, a twin that was seen would make the probe sure of itself."""
    features_ND = torch.randn(200, 60, generator=torch.Generator().manual_seed(0))
    weight_KD, bias_K = probe.fit(torch.stack([features_ND, features_ND]), torch.arange(200) % 4, 4)
    others_ND = torch.randn(500, 60, generator=torch.Generator().manual_seed(1))
    assert float((others_ND @ weight_KD.T + bias_K).softmax(1).amax(1).mean()) < 0.4


def random_images(n: int, px: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, px, px, 3), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(n) % 3)


@contextmanager
def given_to(layer: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    yield seen
    hook.remove()


def pretrained_on_stripes(folder: Path) -> Path:
    net = models.create("tiny_alexnet", num_classes=5, image_px=16)
    models.initialize(net, "kaiming", torch.Generator().manual_seed(0))
    how = Preprocessing(image_px=16, in_channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    options = {"num_classes": 5, "in_channels": 3, "image_px": 16}
    card = ModelCard(model="tiny_alexnet", options=options, class_names=tuple("abcde"), preprocessing=how)
    weights.save(folder / "net.safetensors", net, card)
    return folder / "net.safetensors"


def test_a_run_begins_with_the_probe(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 120, (120, 16, 16, 3)).astype(np.uint8)
    images[labels == 1, ::4] += 100
    source = from_arrays(images, labels, ["plain", "striped"])
    recipe = Recipe(
        name="probe",
        pretrained=str(pretrained_on_stripes(tmp_path)),
        probe=True,
        epochs=1,
        batch_size=120,
        val_fraction=0.0,
        threads=1,
        model=ModelConfig(name="tiny_alexnet", dropout=0.0),
        augment=AugmentConfig(flip="random"),
        optimizer=OptimizerConfig(name="sgd", lr=1e-9, weight_decay=0.0),
    )
    run = training.train(recipe, source, out=tmp_path / "probe")
    assert RunFolder(run).read_metrics()[0]["train_top1"] > 0.95
    unfitted = training.train(replace(recipe, probe=False), source, out=tmp_path / "random")
    assert RunFolder(unfitted).read_metrics()[0]["train_top1"] < 0.9


def test_a_probe_needs_pretrained_weights() -> None:
    with pytest.raises(UserError, match="probe fits the last layer to pretrained features"):
        Recipe(name="probe", probe=True)


def test_the_last_hidden_layer_passes_on_what_it_is_given() -> None:
    """Features of the layer before it come out standardised and moved up, whatever the layer had learned."""
    images = random_images(40, 64)
    net = models.create("small_alexnet", num_classes=3)
    models.initialize(net, "kaiming", torch.Generator().manual_seed(0))
    how = Preprocessing(image_px=64, in_channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    runtime = Runtime(torch.device("cpu"), torch.float32, 1)
    with given_to(net.classifier.fc7) as before, given_to(net.classifier.fc8) as after:
        probe.fit_last_layer(net, images, how, runtime, mirrored=False)
    features_ND = before[-1]  # of the scores that the last layer is fitted to
    standard_ND = (features_ND - features_ND.mean(0)) / features_ND.var(0).add(1e-5).sqrt()
    torch.testing.assert_close(after[-1], torch.nn.functional.gelu(standard_ND + 2), atol=1e-4, rtol=1e-4)


def test_a_hidden_layer_that_cannot_pass_it_on_stays() -> None:
    for name, options in (("lenet", {}), ("tiny_alexnet", {"activation": "tanh"})):
        net = models.create(name, num_classes=3, **options)
        before = [value.clone() for value in net.state_dict().values()]
        probe._pass_through(net, random_images(4, 32), None, None)  # type: ignore[arg-type]
        assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True)), name
