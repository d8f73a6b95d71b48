"""Channels switched off: the same as a network whose weights are zeroed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from alexnet.data import Images
from alexnet.explain import Subject, ablate
from alexnet.explain.ablation import affordable, without_channels
from alexnet.explain.cache import Cache
from alexnet.explain.reading import key_of, reading
from tests.explain.conftest import COLOURS, classifier_of, colour_net
from tests.explain.test_layers import Own


def images_of(px: int, channels: int = 3, n: int = 6, classes: int = 5) -> Images:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (n, px, px, channels), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(n) % classes)


def zeroed(model: nn.Module, path: str, channel: int) -> nn.Module:
    """The network again, with the weights of one channel set to 0."""
    other = copy.deepcopy(model)
    layer = dict(other.named_modules())[path]
    with torch.no_grad():
        layer.weight[channel] = 0
        if layer.bias is not None:
            layer.bias[channel] = 0
    return other


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tiny_alexnet", {}),
        ("lenet", {}),
        ("alexnet_2012", {"image_px": 63}),
        ("alexnet_owt", {"image_px": 63}),
        ("convnet_2012", {}),
    ],
)
def test_switching_off_equals_zeroed_weights(make, name, options):
    subject = make(name, **options)
    images = images_of(subject.image_px, subject.classifier.card.preprocessing.in_channels, n=2)
    x = subject.input(images.pixels_NHWC)
    for layer in subject.hidden:
        channels = torch.tensor([0, layer.channels // 2, layer.channels - 1])
        with torch.inference_mode():
            parts = list(without_channels(subject, layer, x, channels))
            torch.testing.assert_close(parts[0][0], subject.model(x), rtol=1e-4, atol=1e-5)
            off = torch.cat(parts[1:])
            for scores, channel in zip(off, channels.tolist(), strict=True):
                expected = zeroed(subject.model, layer.path, channel)(x)
                torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["cifar_alexnet", "small_alexnet"])
def test_behind_norms_it_is_the_answer_that_is_zeroed(make, name):
    subject = make(name)
    x = subject.input(images_of(subject.image_px, n=2).pixels_NHWC)
    for layer in subject.hidden:

        def mask(_key: object, answer: torch.Tensor) -> torch.Tensor:
            answer = answer.clone()
            answer[:, 1] = 0
            return answer

        with torch.inference_mode():
            (off,) = list(without_channels(subject, layer, x, torch.tensor([1])))[1:]
            with reading(subject.model, [key_of(layer)], mask):
                torch.testing.assert_close(off[0], subject.model(x), rtol=1e-3, atol=1e-4)


def test_a_module_of_one_s_own_is_masked():
    torch.manual_seed(0)
    subject = Subject(classifier_of(Own(), 32, ("a", "b", "c")))
    x = subject.input(images_of(32, n=4).pixels_NHWC)
    for layer, path in zip(subject.hidden[1:], ("inner", "down"), strict=True):
        with torch.inference_mode():
            (off,) = list(without_channels(subject, layer, x, torch.tensor([2])))[1:]
            torch.testing.assert_close(off[0], zeroed(subject.model, path, 2)(x))


def test_a_colour_that_is_switched_off_is_no_longer_recognised():
    """Two red, two green and one blue image; without the green channel all scores are 0 and red, the first, wins."""
    subject = Subject(classifier_of(colour_net(), 8, COLOURS))
    pixels = torch.zeros(5, 8, 8, 3, dtype=torch.uint8)
    labels = torch.tensor([0, 0, 1, 1, 2])
    for i, c in enumerate(labels.tolist()):
        pixels[i, ..., c] = 255
    done = ablate(subject, subject.hidden[0], Images(pixels, labels), labels)
    assert done.top1 == 1.0
    assert done.top1_change_U.tolist() == pytest.approx([0.0, -0.4, -0.2])  # red still wins the tie
    assert done.hurt(1) == (1, -1.0)
    assert done.hurt(2) == (2, -1.0)
    assert done.hurt(0) is None
    assert done.order().tolist() == [1, 2, 0]
    # 2 of 5 answers changed, all for the worse: variance 0.4 - 0.4^2 over 5 images.
    assert done.top1_error_U[1].item() == pytest.approx(((0.4 - 0.16) / 5) ** 0.5)
    assert done.is_missed().tolist() == [False, False, False]  # five images prove nothing


def test_what_was_measured_is_kept(make, tmp_path):
    subject = make("tiny_alexnet")
    images, layer = images_of(32), subject.hidden[-1]
    cache = Cache(tmp_path, "key")
    first = ablate(subject, layer, images, images.labels_N, cache=cache)
    calls: list[int] = []
    again = ablate(subject, layer, images, images.labels_N, cache=cache, on_progress=lambda *_: calls.append(1))
    assert not calls
    assert torch.equal(first.loss_change_U, again.loss_change_U)


def test_what_can_be_afforded(make):
    subject = make("tiny_alexnet")
    conv1 = subject.hidden[0]
    one = 2_359_296 // 32 + 2_359_296 + 524_288 + 65_536 + 256 * 5  # what one map adds to conv2, then all behind it
    assert affordable(subject, conv1, 10_000, 1e15) == (4000, 32)
    assert affordable(subject, conv1, 10_000, one * 32 * 1000) == (1000, 32)
    assert affordable(subject, conv1, 10_000, one * 200 * 10) == (200, 10)
    assert affordable(subject, conv1, 50, 1.0) == (50, 1)
