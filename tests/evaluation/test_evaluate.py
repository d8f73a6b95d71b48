"""Scores over a split against plain sums over single images."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import Tensor, nn

from alexnet import models
from alexnet.card import Preprocessing
from alexnet.data import Images
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import align_labels, evaluate, log_probabilities, summarize
from alexnet.runtime import Runtime

FP32 = Runtime(torch.device("cpu"), torch.float32, 1)
BF16 = Runtime(torch.device("cpu"), torch.bfloat16, 1)
HOW = Preprocessing(image_px=16, in_channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))
NAMES = ("ant", "bee", "cat")


@pytest.fixture
def net() -> models.ConvNet:
    net = models.tiny_alexnet(num_classes=3, image_px=16)
    models.initialize(net, "kaiming", torch.Generator().manual_seed(0))
    return net


@pytest.fixture
def images() -> Images:
    generator = torch.Generator().manual_seed(1)
    x_NHWC = torch.randint(256, (23, 16, 16, 3), dtype=torch.uint8, generator=generator)
    return Images(x_NHWC, torch.randint(3, (23,), generator=generator))


def probabilities(net: nn.Module, x_HWC: Tensor) -> Tensor:
    """Of one image, by the definition."""
    mean, std = torch.tensor(HOW.mean), torch.tensor(HOW.std)
    x_1CHW = ((x_HWC / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        scores_K = net.eval()(x_1CHW)[0].double()
    return scores_K.exp() / scores_K.exp().sum()


def test_probabilities_of_one_view(net, images):
    expected = torch.stack([probabilities(net, x_HWC) for x_HWC in images.pixels_NHWC])
    got = log_probabilities(net, images, HOW, FP32)
    assert got.dtype == torch.float32
    assert got.shape == (23, 3)
    assert expected.std() > 0.05
    torch.testing.assert_close(got.exp().double(), expected, rtol=1e-4, atol=1e-6)


def test_two_views_average_the_probabilities(net, images):
    expected = torch.stack(
        [(probabilities(net, x_HWC) + probabilities(net, x_HWC.flip(1))) / 2 for x_HWC in images.pixels_NHWC]
    )
    got = log_probabilities(net, images, HOW, FP32, views=2).exp()
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-6)


def test_ten_views_average_the_probabilities(net, images):
    def crops(x_HWC: Tensor) -> list[Tensor]:
        padded = torch.zeros(20, 20, 3, dtype=torch.uint8)  # 16 px and a border of 2
        padded[2:18, 2:18] = x_HWC
        cut = [
            padded[row : row + 16, column : column + 16] for row, column in [(0, 0), (0, 4), (2, 2), (4, 0), (4, 4)]
        ]
        return [*cut, *(crop.flip(1) for crop in cut)]

    expected = torch.stack(
        [sum(probabilities(net, crop) for crop in crops(x_HWC)) / 10 for x_HWC in images.pixels_NHWC]
    )
    got = log_probabilities(net, images, HOW, FP32, views=10).exp()
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-6)


def test_five_and_dense_views_of_larger_images_by_hand(net, images):
    """16 px cut from images of 20: corners at 0 and 4, the centre at 2; the grid is 0, 1, 2, 3, 4."""
    generator = torch.Generator().manual_seed(2)
    x_NHWC = torch.randint(256, (3, 20, 20, 3), dtype=torch.uint8, generator=generator)
    larger = Images(x_NHWC, torch.zeros(3, dtype=torch.int64))

    def mean(places: list[tuple[int, int]], mirrored: bool) -> Tensor:
        rows = []
        for x_HWC in x_NHWC:
            crops = [x_HWC[top : top + 16, left : left + 16] for top, left in places]
            crops += [crop.flip(1) for crop in crops] if mirrored else []
            rows.append(sum(probabilities(net, crop) for crop in crops) / len(crops))
        return torch.stack(rows)

    five = log_probabilities(net, larger, HOW, FP32, views=5).exp().double()
    expected = mean([(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)], mirrored=False)
    torch.testing.assert_close(five, expected, rtol=1e-4, atol=1e-6)
    dense = log_probabilities(net, larger, HOW, FP32, views="dense").exp().double()
    expected = mean([(top, left) for top in range(5) for left in range(5)], mirrored=True)
    torch.testing.assert_close(dense, expected, rtol=1e-4, atol=1e-6)


class Peephole(nn.Module):
    """Certain of class 1 where the top left pixel is bright, else of class 0."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return torch.stack([-x_NCHW[:, 0, 0, 0], x_NCHW[:, 0, 0, 0]], dim=1) * 1000


@pytest.mark.parametrize(
    ("views", "border_px", "share"),
    [(1, None, 0), (2, None, 0), (5, 1, 1 / 5), (10, 1, 1 / 10), ("dense", 2, 1 / 50)],
)
def test_the_share_of_views_that_see_it(views, border_px, share):
    """One bright pixel, as far from the corner as the border is wide, on black: one view begins with it."""
    x_NHWC = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    place = {5: (1, 1), 10: (1, 1), "dense": (2, 2)}.get(views, (4, 4))
    x_NHWC[0, place[0], place[1]] = 255
    how = Preprocessing(image_px=8, in_channels=3, mean=(0.5,) * 3, std=(1.0,) * 3)
    images = Images(x_NHWC, torch.zeros(1, dtype=torch.int64))
    p_K = log_probabilities(Peephole(), images, how, FP32, views, border_px).exp()[0]
    assert p_K.tolist() == pytest.approx([1 - share, share], abs=1e-6)


@pytest.mark.parametrize("views", [1, 10])
@pytest.mark.parametrize("batch_size", [1, 5, 22, 23])
def test_batches_leave_no_trace(net, images, monkeypatch, batch_size, views):
    whole = log_probabilities(net, images, HOW, FP32, views)
    sizes: list[int] = []
    net.features.conv1.register_forward_hook(lambda _m, _i, out: sizes.append(len(out)))
    monkeypatch.setattr(sys.modules[evaluate.__module__], "_BATCH_PIXELS", batch_size * 16 * 16)
    torch.testing.assert_close(log_probabilities(net, images, HOW, FP32, views), whole, rtol=1e-4, atol=1e-6)
    assert max(sizes) == batch_size
    assert sum(sizes) == 23 * views


def test_large_images_still_come_at_least_one_at_a_time(net, images, monkeypatch):
    monkeypatch.setattr(sys.modules[evaluate.__module__], "_BATCH_PIXELS", 1)
    assert len(log_probabilities(net, images, HOW, FP32)) == 23


def test_the_network_is_left_in_its_mode(net, images):
    for training in (True, False):
        net.train(training)
        log_probabilities(net, images, HOW, FP32)
        assert all(m.training == training for m in net.modules())


def test_the_mode_is_put_back_after_a_failure(net, images):
    net.train()
    grey = Images(images.pixels_NHWC[..., :1].contiguous(), images.labels_N)
    with pytest.raises(RuntimeError):
        log_probabilities(net, grey, HOW, FP32)
    assert net.training


def test_dropout_is_off_and_no_gradient_is_kept(net, images):
    net.train()
    first = log_probabilities(net, images, HOW, FP32)
    assert torch.equal(first, log_probabilities(net, images, HOW, FP32))
    assert not first.requires_grad


def test_bf16_is_near_fp32(net, images):
    fp32, bf16 = (log_probabilities(net, images, HOW, runtime) for runtime in (FP32, BF16))
    assert bf16.dtype == torch.float32
    assert not torch.equal(fp32, bf16)
    torch.testing.assert_close(bf16.exp(), fp32.exp(), rtol=0, atol=0.03)


def test_evaluate_counts_what_the_probabilities_say(net, images):
    p_NK = torch.stack([probabilities(net, x_HWC) for x_HWC in images.pixels_NHWC])
    right = sum(int(p_K.argmax() == label) for p_K, label in zip(p_NK, images.labels_N, strict=True))
    assert 0 < right < 23
    got = evaluate(net, images, NAMES, HOW, FP32)
    assert got.n == 23
    assert got.top1 == right / 23
    assert got.loss == pytest.approx(
        -sum(math.log(p_K[label]) for p_K, label in zip(p_NK, images.labels_N, strict=True)) / 23, rel=1e-5
    )
    assert [c.name for c in got.classes] == list(NAMES)
    assert summarize(log_probabilities(net, images, HOW, FP32), images, NAMES) == got


def images_of(*labels: int) -> Images:
    pixels_NHWC = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Images(pixels_NHWC, torch.tensor(labels), tuple(f"{i}.png" for i in range(len(labels))))


def test_labels_are_counted_in_the_networks_classes():
    got = align_labels(images_of(0, 1, 2, 2), ("cat", "ant", "bee"), NAMES)
    assert got.labels_N.tolist() == [2, 0, 1, 1]
    assert got.labels_N.dtype == torch.int64
    assert got.pixels_NHWC.flatten().tolist() == [0, 1, 2, 3]
    assert got.files == ("0.png", "1.png", "2.png", "3.png")


def test_data_may_have_fewer_classes_than_the_network():
    assert align_labels(images_of(1, 0), ("bee", "cat"), NAMES).labels_N.tolist() == [2, 1]


def test_the_same_names_need_no_change():
    images = images_of(2, 0)
    assert align_labels(images, list(NAMES), NAMES) is images


def test_classes_the_network_does_not_know_are_named():
    with pytest.raises(
        UserError, match=r"2 class\(es\) the model does not know: dog, eel\. It knows: ant, bee, cat$"
    ):
        align_labels(images_of(0), ("eel", "cat", "dog"), NAMES)
    many = [f"class{i:02}" for i in range(20)]
    with pytest.raises(UserError, match=r"20 .*: class00, .*class04 \.\.\.\. It knows: ant"):
        align_labels(images_of(0), many, NAMES)
    with pytest.raises(UserError, match=r"It knows: class00, .*class09 \.\.\.$"):
        align_labels(images_of(0), NAMES, many)
