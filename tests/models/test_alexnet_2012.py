"""The net of 2012 against the paper's figures, and its variant against the authors' code, written as plain loops."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet import models
from alexnet.errors import UserError
from alexnet.models._source_2012 import MaskingDropout, TowersNorm, WithinMapNorm

VARIANTS = ("paper", "source")
SMALLEST_PX = {"paper": 63, "source": 64}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def shapes_only(**options: object) -> models.ConvNet:
    with torch.device("meta"):
        return models.alexnet_2012(**options)


def small_features(variant: str) -> nn.Sequential:
    """The convolutional part, its weights large enough that normalisation shows."""
    features = shapes_only(variant=variant).features.to_empty(device="cpu")
    models.initialize(features, "kaiming", torch.Generator().manual_seed(0))
    return features


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@each_variant
def test_units_of_each_layer_and_parameters(variant):
    """Section 3.5 counts 253440-186624-64896-64896-43264-4096-4096-1000; of the first, see below."""
    net = shapes_only(variant=variant)
    units: dict[str, int] = {}
    for path, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            name = path.rpartition(".")[2]
            layer.register_forward_hook(lambda _m, _i, out, name=name: units.update({name: out[0].numel()}))
    net(torch.empty(1, 3, 224, 224, device="meta"))
    assert units == {
        "conv1": 55 * 55 * 96,
        "conv2": 186_624,
        "conv3": 64_896,
        "conv4": 64_896,
        "conv5": 43_264,
        "fc6": 4096,
        "fc7": 4096,
        "fc8": 1000,
    }
    assert models.count_parameters(net) == 60_965_224
    shapes = [tuple(net.get_parameter(f"features.conv{i}.weight").shape) for i in range(1, 6)]
    assert shapes == [(96, 3, 11, 11), (256, 48, 5, 5), (384, 256, 3, 3), (384, 192, 3, 3), (256, 192, 3, 3)]


def test_the_papers_count_of_the_first_layer_fits_no_size():
    """253,440 is no multiple of the 96 maps' places: 2640 is no square. 55 px, its figure 2, makes 290,400."""
    assert 253_440 / 96 == 2640
    assert math.isqrt(2640) ** 2 != 2640
    assert 55 * 55 * 96 == 290_400
    assert (224 - 11) % 4 != 0  # 224 px without padding do not give 55: 227 px do
    assert (227 - 11) // 4 + 1 == 55


@each_variant
def test_rounding_makes_no_difference_at_224_px(variant):
    """Their pools count places up, 1 + ceil((in - 3) / 2); torch's count down."""
    features = shapes_only(variant=variant).features
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    assert features(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 256, 6, 6)


def test_both_variants_take_each_others_weights():
    states = [shapes_only(variant=variant).state_dict() for variant in VARIANTS]
    assert {k: v.shape for k, v in states[0].items()} == {k: v.shape for k, v in states[1].items()}


def test_an_unknown_variant_is_refused():
    with pytest.raises(UserError, match="unknown variant 'caffe': choose paper, source, bvlc_alexnet"):
        models.alexnet_2012(variant="caffe")
    with pytest.raises(UserError, match="alexnet takes no option variant"):
        models.create("alexnet", variant="source")


@each_variant
def test_smallest_size(variant):
    px = SMALLEST_PX[variant]
    assert shapes_only(image_px=px, variant=variant)(torch.empty(1, 3, px, px, device="meta")).shape == (1, 1000)
    with pytest.raises(UserError, match=f"at least {px} px, not {px - 1}"):
        models.alexnet_2012(image_px=px - 1, variant=variant)


def gradient_of_half(features: nn.Sequential, layer: str, half: int) -> Tensor:
    """Size of the gradient of one half of a layer's maps, at each of the maps that it is given."""
    given: list[Tensor] = []
    made: list[Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        inputs[0].retain_grad()
        given.append(inputs[0])
        made.append(output)

    handle = features.get_submodule(layer).register_forward_hook(keep)
    features(noise(1, 3, 64, 64).requires_grad_())
    handle.remove()
    made[0].chunk(2, dim=1)[half].square().sum().backward()
    assert given[0].grad is not None
    return given[0].grad.abs().sum((0, 2, 3))


@each_variant
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("layer", ["conv2", "conv3", "conv4", "conv5"])
def test_kernels_see_their_own_half_of_the_maps_but_for_conv3(layer, half, variant):
    """Section 3.5: conv2, conv4 and conv5 are connected to maps on the same GPU alone, conv3 to all."""
    halves = gradient_of_half(small_features(variant), layer, half).chunk(2)
    own, other = halves[half], halves[1 - half]
    assert own.sum() > 0
    assert (other.sum() > 0) == (layer == "conv3")


def test_the_papers_normalisation_crosses_the_halves_and_the_codes_does_not():
    """Maps 46 to 49 of conv1 are neighbours in the paper's formula, and on two GPUs in its code."""
    x_1C11 = noise(1, 96, 1, 1).requires_grad_()
    for variant, crosses in (("paper", True), ("source", False)):
        norm = shapes_only(variant=variant).features.norm1
        (gradient,) = torch.autograd.grad(norm(100 * x_1C11)[:, :48].sum(), x_1C11)
        assert (gradient[0, 48:].abs().sum() > 0) == crosses
        assert gradient[0, :48].abs().min() > 0


def response_norm(a_NCHW: NDArray[np.float64], k: float, alpha: float) -> NDArray[np.float64]:
    """Section 3.3 with n = 5 and beta = 0.75, map by map."""
    b_NCHW = np.empty_like(a_NCHW)
    C = a_NCHW.shape[1]
    for i in range(C):
        total = sum(a_NCHW[:, j] ** 2 for j in range(max(0, i - 2), min(C - 1, i + 2) + 1))
        b_NCHW[:, i] = a_NCHW[:, i] / (k + alpha * total) ** 0.75
    return b_NCHW


def test_the_papers_alpha_is_that_of_the_formula_and_the_codes_a_fifth_of_it():
    a_NCHW = (100 * noise(2, 12, 3, 4)).double().numpy()
    paper = shapes_only().features.norm1(torch.from_numpy(a_NCHW)).numpy()
    np.testing.assert_allclose(paper, response_norm(a_NCHW, k=2, alpha=1e-4), rtol=1e-6)
    code = TowersNorm()(torch.from_numpy(a_NCHW)).numpy()
    halves = [response_norm(half, k=2, alpha=1e-4 / 5) for half in (a_NCHW[:, :6], a_NCHW[:, 6:])]
    np.testing.assert_allclose(code, np.concatenate(halves, 1), rtol=1e-6)
    assert np.abs(paper - code).max() > 1


def test_normalisation_within_maps_against_loops():
    a_NCHW = (100 * noise(2, 3, 7, 6)).double().numpy()
    expected = np.empty_like(a_NCHW)
    for y in range(7):
        for x in range(6):
            window = a_NCHW[:, :, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            total = (window**2).sum((2, 3))
            expected[:, :, y, x] = a_NCHW[:, :, y, x] / (1 + 0.001 / 25 * total) ** 0.75
    np.testing.assert_allclose(WithinMapNorm()(torch.from_numpy(a_NCHW)).numpy(), expected, rtol=1e-6)


def test_order_of_layers():
    """Section 3.5: normalisation follows the activation, pooling follows it. layers-145.cfg: as below."""
    paper = [name for name, _ in shapes_only().features.named_children()]
    assert paper[:8] == ["conv1", "act1", "norm1", "pool1", "conv2", "act2", "norm2", "pool2"]
    code = [name for name, _ in shapes_only(variant="source").features.named_children()]
    assert code[:5] == ["pad1", "conv1", "norm1", "pool1", "act1"]
    assert code[5:10] == ["conv2", "act2", "norm2", "within2", "pool2"]
    assert paper[8:] == code[10:]


def test_the_authors_features_in_plain_steps():
    """layers/layers-145.cfg from top to bottom, each GPU's half by itself, in fp64."""
    features = small_features("source").double().eval()
    weight = dict(features.named_parameters())
    x = 50 * noise(2, 3, 64, 64).double()

    def conv(x: Tensor, layer: str, half: int, **options: int) -> Tensor:
        own = [weight[f"{layer}.{what}"].chunk(2)[half] for what in ("weight", "bias")]
        return F.conv2d(x, *own, **options)

    def cmrnorm(x: Tensor) -> Tensor:
        return torch.from_numpy(response_norm(x.numpy(), k=2, alpha=2e-5))

    towers = []
    with torch.inference_mode():
        for half in (0, 1):
            beyond = torch.zeros(2, 3, 67, 67, dtype=torch.float64)  # 1 + ceil((64 - 11) / 4) = 15 places: 67 px
            beyond[:, :, :64, :64] = x
            h = F.max_pool2d(cmrnorm(conv(beyond, "conv1", half, stride=4)), 3, 2).clamp(min=0)
            h = cmrnorm(conv(h, "conv2", half, padding=2).clamp(min=0))
            towers.append(F.max_pool2d(WithinMapNorm()(h), 3, 2))
        both = torch.cat(towers, 1)
        ends = []
        for half in (0, 1):
            h = conv(both, "conv3", half, padding=1).clamp(min=0)
            h = conv(h, "conv4", half, padding=1).clamp(min=0)
            ends.append(F.max_pool2d(conv(h, "conv5", half, padding=1), 3, 2).clamp(min=0))
        expected = torch.cat(ends, 1)
        assert expected.std() > 1e-3
        torch.testing.assert_close(features(x), expected, rtol=1e-9, atol=1e-9)


def test_the_authors_kernels_reach_over_the_far_edges_alone():
    """modulesX = 1 + ceil((224 - 11) / 4) = 55, the last place at 216: it covers up to pixel 226, beyond the 224."""
    assert 1 + math.ceil((224 - 11) / 4) == 55
    net = shapes_only(variant="source", in_channels=1)
    conv1 = nn.Sequential(net.features.pad1, net.features.conv1.to_empty(device="cpu"))
    nn.init.constant_(conv1[1].weight, 1.0)
    nn.init.constant_(conv1[1].bias, 0.0)
    places = conv1(torch.ones(1, 1, 224, 224))[0, 0]
    assert places.shape == (55, 55)
    assert places[0, 0] == places[53, 53] == 121
    assert places[54, 0] == places[0, 54] == 11 * 8
    assert places[54, 54] == 8 * 8


def test_dropout_of_the_paper_scales_at_test_time():
    """Section 4.2: zeroed with probability 0.5 in training, all outputs multiplied by 0.5 at test time."""
    net = shapes_only(variant="source", dropout=0.25)
    assert [type(net.classifier.get_submodule(name)) for name in ("drop6", "drop7")] == [MaskingDropout] * 2
    assert net.classifier.drop6.p == 0.25
    layer, ones = MaskingDropout(0.25), torch.ones(100_000)
    torch.manual_seed(0)
    masked = layer.train()(ones)
    assert masked.unique().tolist() == [0, 1]
    assert masked.mean().item() == pytest.approx(0.75, abs=0.0055)  # four deviations, sqrt(0.25 * 0.75 / 1e5) each
    assert layer.eval()(ones).unique().tolist() == [0.75]


def test_torchs_dropout_is_the_papers_with_other_weights_in_the_next_layer():
    """Ours divides by 1 - p in training: halving fc7's weights makes the two the same at p = 0.5, in both modes."""
    ours, theirs = nn.Dropout(0.5), MaskingDropout(0.5)
    fc7 = nn.Linear(50, 4, bias=False)
    halved = nn.Linear(50, 4, bias=False)
    with torch.no_grad():
        halved.weight.copy_(fc7.weight / 2)
        x_ND = noise(6, 50)
        for training in (True, False):
            torch.manual_seed(3)
            expected = fc7(theirs.train(training)(x_ND))
            torch.manual_seed(3)
            torch.testing.assert_close(halved(ours.train(training)(x_ND)), expected)


def test_the_tests_that_the_documentation_names_are_there():
    tests = Path(__file__).parent.parent
    page = tests.parent / "docs" / "alexnet-2012.md"
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page.read_text(encoding="utf-8")))
    defined = {
        name for file in tests.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    assert len(named) > 20
    assert named <= defined


@pytest.mark.parametrize("variant", ["bvlc_alexnet", "caffenet", "imgclsmob"])
@pytest.mark.parametrize("px", [224, 227])
def test_rebuilt_nets_make_maps_of_6_px_at_caffes_and_the_papers_size(variant, px):
    """Poolings reach over the edge: 54 or 55 px maps become 27, 27 become 13, 13 become 6."""
    net = shapes_only(variant=variant, image_px=px)
    assert net.features(torch.empty(1, 3, px, px, device="meta")).shape == (1, 256, 6, 6)
    assert models.count_parameters(net) == (62_378_344 if variant == "imgclsmob" else 60_965_224)
    names = [name for name, _ in net.features.named_children()][2:4]
    assert names == (["pool1", "norm1"] if variant == "caffenet" else ["norm1", "pool1"])


def test_a_mean_image_is_subtracted_and_is_none_of_the_usual_weights():
    assert not any("mean_image" in name for name in shapes_only().state_dict())
    net = models.alexnet_2012(image_px=67, num_classes=2, variant="caffenet", mean_image=True).eval()
    x_NCHW, image_CHW = noise(2, 3, 67, 67), noise(3, 67, 67)
    with torch.no_grad():
        without = net(x_NCHW)  # zeros until weights bring one
        net.features.mean_image.image.copy_(image_CHW)
        assert torch.allclose(net(x_NCHW + image_CHW), without, atol=1e-5)
