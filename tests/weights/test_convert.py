from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from alexnet import models
from alexnet.errors import UserError
from alexnet.weights import convert, load, read_class_names, save
from alexnet.weights._choose import infer_px

TEN = tuple("0123456789")

# Layers of the tutorial's nets as Gluon's Sequential numbers its children: pooling and dropout take numbers too.
GLUON_NUMBERS = {
    "lenet": (0, 2, 4, 5, 6),
    "tiny_alexnet": (0, 2, 3, 5, 7, 9),
    "alexnet": (0, 2, 4, 5, 6, 8, 10, 12),
}


def numbered(net, stems, dtype=np.float32):
    """The tensors of `net` under the names of `stems`, weight then bias."""
    names = [f"{stem}{part}" for stem in stems for part in ("weight", "bias")]
    tensors = net.state_dict().values()
    return {name: tensor.numpy().astype(dtype) for name, tensor in zip(names, tensors, strict=True)}


def assert_same(ours, net):
    for name, tensor in net.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


@pytest.mark.parametrize("name", ["lenet", "tiny_alexnet"])
@pytest.mark.parametrize("style", ["numbers", "gluon prefixes", "module"])
def test_sequential_nets_by_order(tmp_path, write_params, name, style):
    torch.manual_seed(0)
    net = models.create(name)
    layers = len(GLUON_NUMBERS[name])
    convolutions = sum(p.ndim == 4 for p in net.parameters())
    stems = {
        "numbers": [f"{number}." for number in GLUON_NUMBERS[name]],
        "gluon prefixes": [f"net0_conv{i}_" for i in range(convolutions)]
        + [f"net0_dense{i}_" for i in range(layers - convolutions)],
        "module": [f"arg:conv{i}_" for i in range(convolutions)]
        + [f"arg:fc{i}_" for i in range(convolutions, layers)],
    }[style]
    path = write_params(tmp_path / "net.params", numbered(net, stems))
    ours, card = convert(path, name, TEN)
    assert_same(ours, net)
    facts = models.facts(name)
    assert models.count_parameters(ours) == facts.parameters
    assert card.model == name
    assert card.class_names == TEN
    assert card.options["num_classes"] == 10
    assert card.preprocessing.image_px == card.options["image_px"] == facts.native_px
    assert card.preprocessing.in_channels == card.options["in_channels"] == facts.native_channels
    assert card.preprocessing.mean == (0,) * facts.native_channels  # ToTensor alone
    assert card.preprocessing.std == (1,) * facts.native_channels
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.source == f"net.params (MXNet NDArray, sha256 {digest})"


def test_the_tutorials_alexnet_in_half_precision(tmp_path, write_params):
    """At 67 px, the smallest, for a smaller file; every layer has a value of its own."""
    with torch.device("meta"):
        shapes = [tuple(p.shape) for p in models.alexnet(num_classes=3, image_px=67).parameters()]
    names = [f"{n}.{part}" for n in GLUON_NUMBERS["alexnet"] for part in ("weight", "bias")]
    arrays = {name: np.full(shape, i, np.float16) for i, (name, shape) in enumerate(zip(names, shapes, strict=True))}
    ours, card = convert(write_params(tmp_path / "net.params", arrays), "alexnet", ["a", "b", "c"])
    assert card.options["image_px"] == 67
    for i, parameter in enumerate(ours.parameters()):
        assert parameter.dtype == torch.float32
        assert parameter.min() == parameter.max() == i


def test_numbers_in_names_count_as_numbers(tmp_path, write_params):
    torch.manual_seed(0)
    net = models.lenet()
    arrays = numbered(net, ["conv9_", "conv10_", "dense9_", "dense10_", "dense100_"])
    for names in (sorted(arrays), sorted(arrays, reverse=True)):
        path = write_params(tmp_path / "net.params", {name: arrays[name] for name in names})
        assert_same(convert(path, "lenet", TEN)[0], net)


def test_a_classifier_named_before_the_features_stays_last(tmp_path):
    net = models.lenet()
    tensors = dict(sorted(net.state_dict().items()))
    assert next(iter(tensors)).startswith("classifier")
    torch.save(tensors, tmp_path / "net.pth")
    assert_same(convert(tmp_path / "net.pth", "lenet", TEN)[0], net)


@pytest.mark.parametrize(
    ("name", "px", "expected_px"),
    [
        ("tiny_alexnet", 64, 64),
        ("tiny_alexnet", 33, 32),  # 32 to 35 px all give 8 px maps: the native 32
        ("tiny_alexnet", 47, 44),  # 44 to 47 px all give 11 px maps: the smallest
        ("lenet", 32, 32),
    ],
)
def test_image_size_from_the_first_dense_layer(tmp_path, write_params, name, px, expected_px):
    net = models.create(name, num_classes=7, in_channels=1, image_px=px)
    path = write_params(tmp_path / "net.params", numbered(net, [f"{n}." for n in GLUON_NUMBERS[name]]))
    ours, card = convert(path, name, list("abcdefg"))
    assert_same(ours, net)
    assert card.preprocessing.image_px == card.options["image_px"] == expected_px
    assert card.preprocessing.in_channels == card.options["in_channels"] == 1
    assert convert(path, name, list("abcdefg"), options={"image_px": px})[1].preprocessing.image_px == px


@pytest.mark.parametrize(
    ("name", "inputs"), [("alexnet", 6400), ("alexnet_2012", 9216), ("alexnet_owt", 9216), ("lenet", 256)]
)
def test_the_native_image_size_is_preferred_to_the_smallest(name, inputs):
    assert infer_px(name, inputs) == models.facts(name).native_px


def test_options_that_weights_do_not_tell(tmp_path, write_params):
    path = write_params(tmp_path / "net.params", numbered(models.lenet(), [f"{n}." for n in GLUON_NUMBERS["lenet"]]))
    net, card = convert(path, "lenet", TEN, options={"activation": "sigmoid"})
    assert isinstance(net.features.act1, torch.nn.Sigmoid)
    assert card.options == {
        "num_classes": 10,
        "in_channels": 1,
        "image_px": 28,
        "dropout": 0.0,
        "activation": "sigmoid",
    }
    with pytest.raises(UserError, match="no option colour"):
        convert(path, "lenet", TEN, options={"colour": 1})
    with pytest.raises(UserError, match="unknown model 'vgg'"):
        convert(path, "vgg", TEN)


def test_scaling_can_be_told(tmp_path, write_params):
    path = write_params(tmp_path / "net.params", numbered(models.lenet(), [f"{n}." for n in GLUON_NUMBERS["lenet"]]))
    _, card = convert(path, "lenet", TEN, mean=[0.5], std=[0.25])
    assert (card.preprocessing.mean, card.preprocessing.std) == ((0.5,), (0.25,))
    with pytest.raises(UserError, match="both mean and std"):
        convert(path, "lenet", TEN, mean=[0.5])
    with pytest.raises(UserError, match="1 values"):
        convert(path, "lenet", TEN, mean=[0.5] * 3, std=[1] * 3)


def test_torch_weights_of_other_channels_need_their_scaling(tmp_path):
    torch.save(models.tiny_alexnet(in_channels=1).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UserError, match="give the mean and std of the 1 channels"):
        convert(tmp_path / "net.pth", "tiny_alexnet", TEN)
    assert convert(tmp_path / "net.pth", "tiny_alexnet", TEN, mean=[0], std=[1])


def test_wrong_shapes_are_listed_side_by_side(tmp_path, write_params):
    arrays = numbered(models.lenet(), ["0.", "2.", "4.", "5.", "6."])
    arrays["2.weight"] = np.zeros((16, 6, 3, 3), np.float32)
    arrays["5.bias"] = np.zeros(85, np.float32)
    path = write_params(tmp_path / "net.params", arrays)
    with pytest.raises(UserError) as caught:
        convert(path, "lenet", TEN)
    assert str(caught.value).splitlines() == [
        f"{path} does not fit lenet: shapes differ",
        "  expected                        found",
        "  features.conv2.weight 16x6x5x5  2.weight 16x6x3x3",
        "  classifier.fc4.bias 84          5.bias 85",
    ]


def test_a_wrong_number_of_layers_is_listed_side_by_side(tmp_path, write_params):
    path = write_params(tmp_path / "net.params", numbered(models.tiny_alexnet(), [f"{i}." for i in range(6)]))
    with pytest.raises(UserError) as caught:
        convert(path, "lenet", TEN)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} does not fit lenet: it has 6 layers, not 5"
    assert lines[1].split() == ["expected", "found"]
    assert lines[2].split() == ["features.conv1.weight", "6x3x5x5", "0.weight", "32x3x5x5"]
    assert [line.split() for line in lines[-2:]] == [["none", "5.weight", "10x256"], ["none", "5.bias", "10"]]
    assert len(lines) == 2 + 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.gamma": np.ones(6, np.float32)}, "'1.gamma' is neither a weight nor a bias"),
        ({"2.bias": None}, "'2' has no bias"),
        ({"2.weight": None}, "'2' has no weight"),
        ({"2.weight": np.ones((16, 6, 5, 5), np.int8)}, "quantised"),
    ],
)
def test_nets_of_other_layers_are_refused(tmp_path, write_params, change, message):
    arrays = numbered(models.lenet(), ["0.", "2.", "4.", "5.", "6."]) | change
    path = write_params(tmp_path / "net.params", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(UserError, match=message):
        convert(path, "lenet", TEN)


def test_class_names_must_be_as_many_as_outputs(tmp_path, write_params):
    path = write_params(tmp_path / "net.params", numbered(models.lenet(), ["0.", "2.", "4.", "5.", "6."]))
    with pytest.raises(UserError, match="10 outputs, and 3 class names"):
        convert(path, "lenet", ["a", "b", "c"])
    with pytest.raises(UserError, match="not one string"):
        convert(path, "lenet", "0123456789")


def test_the_format_is_told_by_content(tmp_path, write_params):
    net = models.lenet()
    expected = convert(write_params(tmp_path / "a.pth", numbered(net, ["0.", "2.", "4.", "5.", "6."])), "lenet", TEN)
    torch.save(net.state_dict(), tmp_path / "b.params")
    save_file(net.state_dict(), tmp_path / "c.bin")
    for name in ("b.params", "c.bin"):
        assert_same(convert(tmp_path / name, "lenet", TEN)[0], expected[0])
    (tmp_path / "d.params").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="neither an MXNet"):
        convert(tmp_path / "d.params", "lenet", TEN)


def test_a_native_file_needs_no_conversion(tmp_path, write_params):
    net, card = convert(
        write_params(tmp_path / "a.params", numbered(models.lenet(), ["0.", "2.", "4.", "5.", "6."])), "lenet", TEN
    )
    save(tmp_path / "a.safetensors", net, card)
    loaded, loaded_card = load(tmp_path / "a.safetensors")
    assert loaded_card == card
    assert_same(loaded, net)
    with pytest.raises(UserError, match="native format already"):
        convert(tmp_path / "a.safetensors", "lenet", TEN)


def test_class_name_files(tmp_path):
    path = tmp_path / "names"
    path.write_text("\ufeffcat\r\n big dog \n\n貓\n", encoding="utf-8")
    assert read_class_names(path) == ("cat", "big dog", "貓")
    path.write_text(json.dumps(["a", "b"]))
    assert read_class_names(path) == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no class"),
        (b"[]", "names no class"),
        (b"[1]", "list of strings"),
        (b'{"a": 1}', "list of strings"),
        (b"[", "not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_class_name_files_that_name_nothing(tmp_path, content, message):
    (tmp_path / "names").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_class_names(tmp_path / "names")


def test_the_tutorials_own_weights(test_data):
    net, card = convert(test_data / "TinyAlex.params", "tiny_alexnet", TEN)
    assert models.count_parameters(net) == 613_834
    assert card.options["image_px"] == 32
    assert card.preprocessing.mean == (0, 0, 0)


def test_the_net_of_this_package_has_no_foreign_weights(tmp_path, write_params):
    path = write_params(
        tmp_path / "net.params", {"0.weight": np.zeros((32, 3, 3, 3), np.float32), "0.bias": np.zeros(32, np.float32)}
    )
    with pytest.raises(UserError, match="cifar_alexnet is this package's own network"):
        convert(path, "cifar_alexnet", TEN)
