"""The networks against the paper's figures, hand arithmetic, plain functional code and torchvision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from alexnet import models
from alexnet.errors import UserError
from alexnet.models._build import _Flatten
from alexnet.models._response_norm import ResponseNorm

PARAMETERS = {
    "tiny_alexnet": 613_834,
    "cifar_alexnet": 2_837_954,
    "small_alexnet": 3_279_504,
    "convnet_2012": 32 * 76 + 32 * 801 + 64 * 801 + 10 * 1025,  # each map or unit: its weights and a bias
    "alexnet": 50_844_008,
    "alexnet_2012": 60_965_224,
    "alexnet_owt": 61_100_840,
    "lenet": 44_426,
}
SMALLEST_PX = {
    "tiny_alexnet": 4,
    "cifar_alexnet": 9,
    "small_alexnet": 18,
    "convnet_2012": 8,
    "alexnet": 67,
    "alexnet_2012": 63,
    "alexnet_owt": 63,
    "lenet": 16,
}
LAYERS = {
    "tiny_alexnet": ["conv1", "conv2", "conv3", "fc4", "fc5", "fc6"],
    "cifar_alexnet": ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"],
    "small_alexnet": ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"],
    "convnet_2012": ["conv1", "conv2", "conv3", "fc4"],
    "alexnet": ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"],
    "alexnet_2012": ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"],
    "alexnet_owt": ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"],
    "lenet": ["conv1", "conv2", "fc3", "fc4", "fc5"],
}
NORMED = ("cifar_alexnet", "small_alexnet")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: x.clamp(min=0),
    "tanh": lambda x: 2 / (1 + torch.exp(-2 * x)) - 1,
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "elu": lambda x: torch.where(x > 0, x, torch.exp(x) - 1),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
}

each_name = pytest.mark.parametrize("name", models.names())
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def shapes_only(name: str, **options: object) -> models.ConvNet:
    """The network without numbers, so that even the largest is there at once."""
    with torch.device("meta"):
        return models.create(name, **options)


def with_numbers(module: nn.Module, init: str = "kaiming") -> nn.Module:
    module.to_empty(device="cpu")
    models.initialize(module, init, torch.Generator().manual_seed(0))
    return module


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=models.names())
def small(request: pytest.FixtureRequest) -> tuple[str, models.ConvNet]:
    """Each network at the smallest size it takes, with three classes."""
    name = request.param
    return name, with_numbers(shapes_only(name, num_classes=3, image_px=SMALLEST_PX[name]))


def small_images(name: str, n: int = 4) -> Tensor:
    return noise(n, models.facts(name).native_channels, SMALLEST_PX[name], SMALLEST_PX[name])


def test_names():
    assert set(models.names()) == set(PARAMETERS)


@each_name
def test_parameter_count_at_the_native_input(name):
    facts = models.facts(name)
    net = shapes_only(name)
    explicit = shapes_only(
        name, num_classes=facts.native_classes, in_channels=facts.native_channels, image_px=facts.native_px
    )
    assert models.count_parameters(net) == PARAMETERS[name] == facts.parameters
    assert models.count_parameters(explicit) == PARAMETERS[name]


@each_name
@pytest.mark.parametrize("in_channels", [1, 3])
def test_output_has_a_score_for_each_class(name, in_channels):
    px = models.facts(name).native_px
    net = shapes_only(name, num_classes=7, in_channels=in_channels)
    assert net.features.conv1.in_channels == in_channels
    assert net(torch.empty(2, in_channels, px, px, device="meta")).shape == (2, 7)


@each_name
def test_layer_names(name):
    net = shapes_only(name)
    layers = [(path, m) for path, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [path.rpartition(".")[2] for path, _ in layers] == LAYERS[name]
    for path, layer in layers:
        assert path.startswith("features.conv" if isinstance(layer, nn.Conv2d) else "classifier.fc")


@each_name
def test_smallest_size(name):
    px = SMALLEST_PX[name]
    channels = models.facts(name).native_channels
    assert shapes_only(name, image_px=px)(torch.empty(2, channels, px, px, device="meta")).shape[0] == 2
    with pytest.raises(UserError, match=f"{name} needs images of at least {px} px, not {px - 1}") as caught:
        models.create(name, image_px=px - 1)
    assert ("use tiny_alexnet" in str(caught.value)) == (name != "tiny_alexnet")


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012", "alexnet_owt"])
def test_images_of_cifar10_are_answered_with_the_network_made_for_them(name):
    with pytest.raises(UserError, match=f"at least {SMALLEST_PX[name]} px, not 32: .*or use tiny_alexnet"):
        models.create(name, image_px=32)


def test_maps_of_the_2012_net():
    net = shapes_only("alexnet_2012")
    sides: dict[str, int] = {}
    for name, layer in net.features.named_children():
        layer.register_forward_hook(lambda _m, _i, out, name=name: sides.update({name: out.shape[2]}))
    net(torch.empty(1, 3, 224, 224, device="meta"))
    assert [sides[name] for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")] == [55, 27, 13, 13, 13, 6]


def test_inputs_of_the_first_dense_layer():
    assert shapes_only("alexnet").classifier.fc6.in_features == 6_400
    assert shapes_only("alexnet_2012").classifier.fc6.in_features == 9_216
    assert shapes_only("tiny_alexnet").classifier.fc4.in_features == 2_048
    assert shapes_only("lenet").classifier.fc3.in_features == 256
    assert shapes_only("cifar_alexnet").classifier.fc6.in_features == 1_536


def test_every_parameter_is_learned(small):
    name, net = small
    net.train()
    net.zero_grad()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    F.cross_entropy(net(small_images(name)), torch.tensor([0, 1, 2, 0])).backward()
    for path, parameter in net.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.count_nonzero() > 0, path
    net.zero_grad()


def test_scores_do_not_depend_on_the_rest_of_the_batch(small):
    name, net = small
    net.eval()
    x_NCHW = small_images(name, 3)
    with torch.inference_mode():
        together = net(x_NCHW)
        alone = torch.cat([net(x_1CHW) for x_1CHW in x_NCHW.split(1)])
    assert together.std() > 1e-3
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_dropout_is_off_in_eval_and_keeps_the_mean_in_train(small):
    name, net = small
    x_NCHW = small_images(name, 2)
    layers = [m for m in net.modules() if isinstance(m, nn.Dropout)]
    assert len(layers) == (1 if name == "convnet_2012" else 2)
    for layer in layers:
        layer.p = 0.4
    with torch.inference_mode():
        net.eval()
        assert torch.equal(net(x_NCHW), net(x_NCHW))
        net.train()
        torch.manual_seed(0)
        assert not torch.equal(net(x_NCHW), net(x_NCHW))
        for layer in layers:
            out = layer(torch.ones(100_000))
            assert out.mean().item() == pytest.approx(1, abs=0.0104)  # four deviations, sqrt(0.4 / 0.6 / 1e5) each
            assert out[out != 0].unique().tolist() == pytest.approx([1 / 0.6])


@each_name
def test_dropout_share_is_as_asked(name):
    default = 0.0 if name in ("lenet", "cifar_alexnet", "small_alexnet", "convnet_2012") else 0.5
    for options, share in (({}, default), ({"dropout": 0.25}, 0.25)):
        net = shapes_only(name, **options)
        assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} == {share}


@each_name
def test_nothing_is_changed_in_place(name):
    assert not any(getattr(m, "inplace", False) for m in shapes_only(name).modules())


@each_name
def test_default_activation(name):
    kind = {"lenet": nn.Tanh, **dict.fromkeys(NORMED, nn.GELU)}.get(name, nn.ReLU)
    layers = [m for path, m in shapes_only(name).named_modules() if path.rpartition(".")[2].startswith("act")]
    assert len(layers) == len(LAYERS[name]) - 1
    assert all(isinstance(m, kind) for m in layers)


def reference_features(name: str, features: nn.Sequential, x: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
    """The convolutional part as the sources print it: convolution, activation, normalisation, pooling."""

    def conv(layer: str, x: Tensor, **options: int) -> Tensor:
        return F.conv2d(x, features.get_submodule(layer).weight, features.get_submodule(layer).bias, **options)

    if name == "tiny_alexnet":
        x = F.max_pool2d(act(conv("conv1", x, padding=2)), 2, 2)
        x = act(conv("conv2", x, padding=1))
        return F.max_pool2d(act(conv("conv3", x, padding=1)), 2, 2)
    if name in NORMED:
        x = act(conv("conv1", x, stride=2 if name == "small_alexnet" else 1))
        for i in range(2, 6):
            x = plain_norm(conv(f"conv{i}", x, padding=1), features.get_submodule(f"norm{i}"))
            x = act(x if i == 4 else F.max_pool2d(x, 2, 2))
        return F.adaptive_max_pool2d(x, 2)
    if name == "convnet_2012":
        x = paper_response_norm(F.max_pool2d(act(conv("conv1", x, padding=2)), 3, 2, ceil_mode=True), 1e-4 * 64**2)
        x = paper_response_norm(mean_pool(act(conv("conv2", x, padding=2))), 1e-4 * 64**2)
        return mean_pool(act(conv("conv3", x, padding=2)))
    if name == "lenet":
        x = F.max_pool2d(act(conv("conv1", x)), 2, 2)
        return F.max_pool2d(act(conv("conv2", x)), 2, 2)
    if name == "alexnet":
        x = F.max_pool2d(act(conv("conv1", x, stride=4)), 3, 2)
        x = F.max_pool2d(act(conv("conv2", x, padding=2)), 3, 2)
        x = act(conv("conv3", x, padding=1))
        x = act(conv("conv4", x, padding=1))
        return F.max_pool2d(act(conv("conv5", x, padding=1)), 3, 2)
    if name == "alexnet_2012":
        x = F.max_pool2d(paper_response_norm(act(conv("conv1", x, stride=4, padding=2))), 3, 2)
        x = F.max_pool2d(paper_response_norm(act(conv("conv2", x, padding=2, groups=2))), 3, 2)
        x = act(conv("conv3", x, padding=1))
        x = act(conv("conv4", x, padding=1, groups=2))
        return F.max_pool2d(act(conv("conv5", x, padding=1, groups=2)), 3, 2)
    x = F.max_pool2d(act(conv("conv1", x, stride=4, padding=2)), 3, 2)
    x = F.max_pool2d(act(conv("conv2", x, padding=2)), 3, 2)
    x = act(conv("conv3", x, padding=1))
    x = act(conv("conv4", x, padding=1))
    x = F.max_pool2d(act(conv("conv5", x, padding=1)), 3, 2)
    return F.adaptive_avg_pool2d(x, 6)


def plain_norm(x: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
    """Ioffe 2015, algorithm 2: by the statistics kept, for images never seen."""
    per_map = [t.view(-1, *[1] * (x.ndim - 2)) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)]
    mean, var, scale, shift = per_map
    return (x - mean) / (var + 1e-5) ** 0.5 * scale + shift


@torch.no_grad()
def with_statistics(net: nn.Module) -> nn.Module:
    """Norms as training may leave them; scales stay positive, so that norm and max-pool can change places."""
    generator = torch.Generator().manual_seed(2)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.running_mean.normal_(generator=generator)
            norm.bias.normal_(generator=generator)
            norm.running_var.uniform_(0.5, 2, generator=generator)
            norm.weight.uniform_(0.5, 2, generator=generator)
    return net


def mean_pool(x_NCHW: Tensor) -> Tensor:
    """Means of 3x3 windows 2 px apart; a window that reaches over the edge counts the pixels it covers."""
    places = range(0, x_NCHW.shape[2] - 1, 2)
    rows = [torch.stack([x_NCHW[:, :, i : i + 3, j : j + 3].mean((2, 3)) for j in places], -1) for i in places]
    return torch.stack(rows, -2)


def paper_response_norm(a_NCHW: Tensor, alpha: float = 1e-4) -> Tensor:
    """Section 3.3: b_i = a_i / (k + alpha * sum of a_j^2 over the n maps around i) ** beta."""
    k, n, beta = 2.0, 5, 0.75
    C = a_NCHW.shape[1]
    b_NCHW = torch.empty_like(a_NCHW)
    for i in range(C):
        total = torch.zeros_like(a_NCHW[:, 0])
        for j in range(max(0, i - n // 2), min(C - 1, i + n // 2) + 1):
            total += a_NCHW[:, j] ** 2
        b_NCHW[:, i] = a_NCHW[:, i] / (k + alpha * total) ** beta
    return b_NCHW


@pytest.mark.parametrize(
    ("name", "activation"),
    # GELU falls before it rises, so that order matters: only the net made for it is defined with pooling first.
    [(name, act) for name in models.names() for act in ACTIVATIONS if act != "gelu" or name in NORMED],
)
def test_activation_after_pooling_equals_activation_before_it(name, activation):
    features = with_numbers(shapes_only(name, image_px=SMALLEST_PX[name], activation=activation).features)
    with_statistics(features).eval()
    x_NCHW = 3 * small_images(name, 1)
    with torch.inference_mode():
        expected = reference_features(name, features, x_NCHW, ACTIVATIONS[activation])
        assert expected.std() > 1e-3
        torch.testing.assert_close(features(x_NCHW), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["tiny_alexnet", "lenet"])
@each_activation
def test_dense_layers_against_plain_matrix_products(name, activation):
    net = with_numbers(shapes_only(name, image_px=SMALLEST_PX[name], activation=activation)).eval()
    x_NCHW = small_images(name)
    first, second, last = (net.classifier.get_submodule(layer) for layer in LAYERS[name][-3:])
    act = ACTIVATIONS[activation]
    with torch.inference_mode():
        h = net.features(x_NCHW).reshape(len(x_NCHW), -1)
        h = act(h @ first.weight.T + first.bias)
        h = act(h @ second.weight.T + second.bias)
        torch.testing.assert_close(net(x_NCHW), h @ last.weight.T + last.bias, rtol=1e-4, atol=1e-5)


@each_activation
def test_dense_layers_with_norms_against_plain_matrix_products(activation):
    net = with_statistics(with_numbers(shapes_only("cifar_alexnet", image_px=9, activation=activation))).eval()
    x_NCHW, act, dense = noise(4, 3, 9, 9), ACTIVATIONS[activation], net.classifier
    with torch.inference_mode():
        h = net.features(x_NCHW).reshape(4, 1_536)
        h = act(plain_norm(h @ dense.fc6.weight.T, dense.norm6))
        h = act(plain_norm(h @ dense.fc7.weight.T, dense.norm7))
        torch.testing.assert_close(net(x_NCHW), h @ dense.fc8.weight.T + dense.fc8.bias, rtol=1e-4, atol=1e-5)


def test_norms_and_biases_of_the_net_for_cifar():
    net = shapes_only("cifar_alexnet")
    assert [name for name, _ in net.named_modules() if "norm" in name] == [
        *(f"features.norm{i}" for i in range(2, 6)),
        "classifier.norm6",
        "classifier.norm7",
    ]
    biased = [name for name, m in net.named_modules() if getattr(m, "bias", None) is not None and "norm" not in name]
    assert biased == ["features.conv1", "classifier.fc8"]  # a norm has a bias of its own


@pytest.mark.parametrize("in_channels", [1, 3])
def test_the_net_for_cifar_takes_any_side_from_9_px_on(in_channels):
    net = shapes_only("cifar_alexnet", in_channels=in_channels)
    for px in (9, 10, 15, 24, 31, 32, 33, 64, 224):
        assert models.takes_images(net, in_channels, px)
        assert net(torch.empty(2, in_channels, px, px, device="meta")).shape == (2, 10)
    assert not models.takes_images(net, in_channels, 8)


def test_which_networks_take_another_side():
    assert not models.takes_images(shapes_only("lenet"), 1, 32)
    assert not models.takes_images(models.tiny_alexnet(), 3, 24)
    assert models.takes_images(models.tiny_alexnet(), 3, 33)  # 33 // 2 // 2 is 8 as well
    assert models.takes_images(shapes_only("alexnet_owt"), 3, 128)  # its maps are pooled to 6 px
    assert not models.takes_images(shapes_only("alexnet_owt"), 3, 62)


def test_looking_for_a_side_leaves_the_network_alone():
    net = models.cifar_alexnet().train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    models.takes_images(net, 3, 16)
    assert net.training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())


@each_name
def test_which_networks_norm_over_the_batch(name):
    assert models.has_batch_norm(shapes_only(name)) == (name in NORMED)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_maps_are_flattened_and_their_gradient_keeps_their_layout(layout):
    maps_NCHW = noise(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    gradients = []
    maps_NCHW.register_hook(gradients.append)
    weights_ND = noise(2, 60)
    flat_ND = _Flatten.apply(maps_NCHW)
    assert torch.equal(flat_ND, maps_NCHW.flatten(1))
    (flat_ND * weights_ND).sum().backward()
    assert torch.equal(maps_NCHW.grad, weights_ND.view(2, 3, 4, 5))  # C, H, W order
    assert gradients[0].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", ["tiny_alexnet", "lenet"])
def test_gradients_reach_the_convolutions_in_the_layout_of_their_maps(name):
    net = with_numbers(shapes_only(name)).to(memory_format=torch.channels_last)
    px, channels = models.facts(name).native_px, models.facts(name).native_channels
    layouts = []
    net.features[-1].register_full_backward_hook(lambda _m, _i, out: layouts.append(out[0]))
    net(noise(2, channels, px, px).contiguous(memory_format=torch.channels_last)).sum().backward()
    assert layouts[0].shape[2] > 1
    assert layouts[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("pool_px", "px", "expected"),
    [(3, 32, [16, 8, 4]), (2, 32, [16, 8, 4]), (3, 33, [16, 8, 4]), (2, 33, [17, 9, 5])],
)
def test_maps_of_the_four_layer_net(pool_px, px, expected):
    net = shapes_only("convnet_2012", pool_px=pool_px, image_px=px)
    sides: list[int] = []
    for name in ("pool1", "pool2", "pool3"):
        net.features.get_submodule(name).register_forward_hook(lambda _m, _i, out: sides.append(out.shape[2]))
    net(torch.empty(1, 3, px, px, device="meta"))
    assert sides == expected
    assert net.features.pool1.kernel_size == net.features.pool3.kernel_size == pool_px


@pytest.mark.parametrize(
    ("norm", "kind"), [("response", ResponseNorm), ("batch", nn.BatchNorm2d), ("none", nn.Identity)]
)
def test_norms_of_the_four_layer_net(norm, kind):
    net = shapes_only("convnet_2012", norm=norm)
    assert isinstance(net.features.norm1, kind)
    assert isinstance(net.features.norm2, kind)
    assert models.has_batch_norm(net) == (norm == "batch")


def test_options_of_the_four_layer_net_are_checked():
    with pytest.raises(UserError, match=r"model.pool_px must be 2 or 3, not 4"):
        models.convnet_2012(pool_px=4)
    with pytest.raises(UserError, match="unknown norm 'layer': choose response, batch or none"):
        models.convnet_2012(norm="layer")


def test_fast_response_norm_equals_torchs_and_its_gradient():
    a_NCHW = 3 * noise(2, 9, 3, 4)
    ours, theirs = ResponseNorm(0.41), nn.LocalResponseNorm(5, alpha=5 * 0.41, beta=0.75, k=2.0)
    results = []
    for norm in (ours, theirs):
        x_NCHW = a_NCHW.clone().requires_grad_()
        b_NCHW = norm(x_NCHW)
        (b_NCHW * noise(9, 3, 4)).sum().backward()
        results.append((b_NCHW, x_NCHW.grad))
    assert (results[1][0] / a_NCHW).std() > 0.05
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)
    assert ours(a_NCHW.bfloat16()).dtype == torch.float32


DENSE = (1536 * 256 + 512) + (256 * 256 + 512) + (256 * 10 + 10)  # of cifar_alexnet


@pytest.mark.parametrize(
    ("towers", "parameters"),
    [
        # conv1; conv2 to conv5, fc6 and fc7 with norms; fc8
        ("one", 312 + 9 * (24 * 64 + 64 * 256 + 256 * 384 + 384 * 384) + 2 * 1088 + DENSE),
        ("two", 312 + 9 * (12 * 64 + 64 * 256 + 128 * 384 + 192 * 384) + 2 * 1088 + DENSE),
        ("half", 156 + 9 * (12 * 32 + 32 * 128 + 128 * 192 + 192 * 384) + 2 * 736 + DENSE),
    ],
)
def test_towers_have_so_many_parameters(towers, parameters):
    net = shapes_only("cifar_alexnet", towers=towers)
    assert models.count_parameters(net) == parameters
    groups = [net.features.get_submodule(f"conv{i}").groups for i in range(1, 6)]
    assert groups == ([1, 2, 1, 2, 2] if towers == "two" else [1] * 5)


@pytest.mark.parametrize("layer", ["conv2", "conv3", "conv4", "conv5"])
def test_a_convolution_can_be_left_out(layer):
    whole, net = shapes_only("cifar_alexnet"), shapes_only("cifar_alexnet", without=layer)
    left_out = {layer, layer.replace("conv", "norm"), layer.replace("conv", "act")}
    assert [n for n, _ in net.features.named_children()] == [
        n for n, _ in whole.features.named_children() if n not in left_out
    ]
    assert net(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)


def test_options_of_the_net_for_cifar_are_checked():
    with pytest.raises(UserError, match="unknown towers 'three': choose one, two or half"):
        models.cifar_alexnet(towers="three")
    with pytest.raises(UserError, match="'conv1' cannot be left out: choose conv2"):
        models.cifar_alexnet(without="conv1")


@pytest.mark.parametrize("layer", ["norm1", "norm2"])
def test_response_normalisation_is_the_papers(layer):
    norm = shapes_only("alexnet_2012").features.get_submodule(layer)
    a_NCHW = 100 * noise(2, 9, 3, 4)  # large, so that alpha shows
    expected = paper_response_norm(a_NCHW.double())
    assert (expected / a_NCHW).std() > 0.05
    torch.testing.assert_close(norm(a_NCHW).double(), expected, rtol=1e-5, atol=1e-5)


def test_response_normalisation_of_one_active_map():
    norm = shapes_only("alexnet_2012").features.norm1
    a_1C11 = torch.zeros(1, 8, 1, 1)
    a_1C11[0, 4] = 1000.0  # k + alpha * 1000^2 = 2 + 100
    assert norm(a_1C11)[0, 4].item() == pytest.approx(1000 / 102**0.75, rel=1e-5)


def test_response_normalisation_stands_between_activation_and_pooling():
    order = [name for name, _ in shapes_only("alexnet_2012").features.named_children()]
    assert order[:8] == ["conv1", "act1", "norm1", "pool1", "conv2", "act2", "norm2", "pool2"]


@pytest.mark.parametrize(
    ("layer", "connected"), [("conv2", False), ("conv3", True), ("conv4", False), ("conv5", False)]
)
@pytest.mark.parametrize("half", [0, 1])
def test_halves_of_the_2012_net_meet_in_conv3_alone(layer, connected, half):
    conv = with_numbers(shapes_only("alexnet_2012").features.get_submodule(layer))
    x_NCHW = noise(1, conv.in_channels, 5, 5).requires_grad_()
    conv(x_NCHW).chunk(2, dim=1)[half].square().sum().backward()
    own, other = x_NCHW.grad.chunk(2, dim=1)[:: 1 if half == 0 else -1]
    assert own.abs().min() > 0
    assert (other.abs().max() > 0) == connected


def test_owt_equals_torchvision():
    theirs = torchvision.models.alexnet(num_classes=5).eval()
    ours = shapes_only("alexnet_owt", num_classes=5).eval()
    ours.load_state_dict(
        dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)), strict=True, assign=True
    )
    x_NCHW = noise(1, 3, 224, 224)
    with torch.inference_mode():
        expected = theirs(x_NCHW)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(x_NCHW), expected, rtol=1e-5, atol=1e-6)
    kinds = [type(m) for m in theirs.modules() if isinstance(m, nn.Dropout | nn.Linear)]
    assert [type(m) for m in ours.modules() if isinstance(m, nn.Dropout | nn.Linear)] == kinds


def test_multiply_adds():
    # conv: out_px^2 * maps * kernel^2 * in_channels; dense: in * out
    tiny = 32**2 * 32 * 25 * 3 + 2 * (16**2 * 32 * 9 * 32) + 2048 * 256 + 256 * 256 + 256 * 10
    assert tiny == 7_768_576
    assert models.count_macs(shapes_only("tiny_alexnet"), 3, 32) == tiny
    assert models.count_macs(shapes_only("alexnet_owt"), 3, 224) == 714_188_480
    # The 2012 net, whose groups halve the inputs of conv2, conv4 and conv5.
    convs = 55**2 * 96 * 363 + 27**2 * 256 * 25 * 48 + 13**2 * 9 * (384 * 256 + 384 * 192 + 256 * 192)
    assert models.count_macs(shapes_only("alexnet_2012"), 3, 224) == convs + 9216 * 4096 + 4096**2 + 4096 * 1000


def test_counting_leaves_the_network_alone():
    net = models.lenet().train()
    models.count_macs(net, 1, 28)
    assert net.training
    assert {p.device.type for p in net.parameters()} == {"cpu"}


@each_name
def test_named_functions_and_create_agree(name):
    with torch.device("meta"):
        direct = getattr(models, name)(num_classes=4)
    made = shapes_only(name, num_classes=4)
    assert {k: v.shape for k, v in direct.state_dict().items()} == {k: v.shape for k, v in made.state_dict().items()}


@each_name
def test_facts_fit_the_native_input(name):
    facts = models.facts(name)
    assert len(facts.mean) == len(facts.std) == facts.native_channels
    assert all(0 < value < 1 for value in (*facts.mean, *facts.std, facts.lr))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"unknown model 'vgg': choose one of .*tiny_alexnet"):
        models.create("vgg")
    with pytest.raises(UserError, match="unknown model 'vgg'"):
        models.facts("vgg")
    with pytest.raises(UserError, match="lenet takes no option depth, width"):
        models.create("lenet", width=3, depth=2)
    with pytest.raises(
        UserError, match=r"unknown activation 'swish': choose one of relu, tanh, sigmoid, elu, leaky_relu"
    ):
        models.create("lenet", activation="swish")
