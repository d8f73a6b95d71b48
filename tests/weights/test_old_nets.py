"""Whole AlexNets as other software writes them, converted, against that software or plain torch functions.

At 67 px, the smallest that Caffe's layers take, for files of 90 MB instead of 240.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import alexnet
from alexnet import models, weights
from alexnet.errors import UserError
from alexnet.weights import _choose
from alexnet.weights.foreign import net as foreign

GOLDEN = Path(__file__).parents[1] / "golden"
PX, CLASSES = 67, 7
CONVOLUTIONS = {  # weight, stride, padding, groups
    "conv1": ((96, 3, 11, 11), 4, 0, 1),
    "conv2": ((256, 48, 5, 5), 1, 2, 2),
    "conv3": ((384, 256, 3, 3), 1, 1, 1),
    "conv4": ((384, 192, 3, 3), 1, 1, 2),
    "conv5": ((256, 192, 3, 3), 1, 1, 2),
}
DENSE = {"fc6": (4096, 256), "fc7": (4096, 4096), "fc8": (CLASSES, 4096)}


@pytest.fixture(scope="module")
def values() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each layer, such that maps neither vanish nor grow."""
    rng = np.random.default_rng(0)
    shapes = {**{name: shape for name, (shape, *_) in CONVOLUTIONS.items()}, **DENSE}
    made = {}
    for name, shape in shapes.items():
        std = np.sqrt(2 / np.prod(shape[1:])) / (60 if name == "conv1" else 1)  # pixels are in 0..255
        made[name] = rng.normal(0, std, shape).astype(np.float32), rng.normal(0, 0.1, shape[0]).astype(np.float32)
    return made


@pytest.fixture(scope="module")
def schema():
    pytest.importorskip("google.protobuf")
    sys.path.insert(0, str(GOLDEN))
    yield importlib.import_module("caffe_schema").schema()
    sys.path.remove(str(GOLDEN))


def caffemodel(schema, values, order: str, px: int = PX) -> bytes:
    net = schema.NetParameter(name="AlexNet")

    def weighted(name: str, kind: str):
        layer = net.layer.add(name=name, type=kind)
        for array in values[name]:
            blob = layer.blobs.add()
            blob.data.extend(array.ravel().tolist())
            blob.shape.dim.extend(array.shape)
        return layer

    net.layer.add(name="data", type="Data").transform_param.crop_size = px
    for number, (name, (shape, stride, padding, groups)) in enumerate(CONVOLUTIONS.items(), 1):
        settings = weighted(name, "Convolution").convolution_param
        settings.num_output, settings.group = shape[0], groups
        settings.kernel_size.append(shape[2])
        settings.stride.append(stride)
        settings.pad.append(padding)
        net.layer.add(name=f"relu{number}", type="ReLU")
        for kind in {1: order, 2: order, 5: ["Pooling"]}.get(number, []):
            layer = net.layer.add(name=f"{kind}{number}", type=kind)
            if kind == "LRN":
                layer.lrn_param.local_size, layer.lrn_param.alpha, layer.lrn_param.beta = 5, 1e-4, 0.75
            else:
                layer.pooling_param.pool, layer.pooling_param.kernel_size, layer.pooling_param.stride = 0, 3, 2
    for name in DENSE:
        weighted(name, "InnerProduct")
        if name != "fc8":
            net.layer.add(name=f"relu_{name}", type="ReLU")
            net.layer.add(name=f"drop_{name}", type="Dropout")
    net.layer.add(name="loss", type="SoftmaxWithLoss")
    content: bytes = net.SerializeToString()
    return content


def caffe_scores(values, x_NCHW: torch.Tensor, order: list[str]) -> torch.Tensor:
    """What Caffe computes for mean-subtracted inputs of blue, green and red in 0..255."""

    def normalised_and_pooled(x_NCHW):
        for kind in order:
            if kind == "LRN":
                x_NCHW = F.local_response_norm(x_NCHW, 5, alpha=1e-4, beta=0.75, k=1.0)
            else:
                x_NCHW = F.max_pool2d(x_NCHW, 3, 2, ceil_mode=True)
        return x_NCHW

    def part(name):
        return (torch.from_numpy(array) for array in values[name])

    for number, (name, (_, stride, padding, groups)) in enumerate(CONVOLUTIONS.items(), 1):
        x_NCHW = F.conv2d(x_NCHW, *part(name), stride=stride, padding=padding, groups=groups).relu()
        if number < 3:
            x_NCHW = normalised_and_pooled(x_NCHW)
    x_ND = F.max_pool2d(x_NCHW, 3, 2, ceil_mode=True).flatten(1)
    return F.linear(F.linear(F.linear(x_ND, *part("fc6")).relu(), *part("fc7")).relu(), *part("fc8"))


ORDERS = {"bvlc_alexnet": ["LRN", "Pooling"], "caffenet": ["Pooling", "LRN"]}


@pytest.fixture(scope="module")
def caffemodels(schema, values) -> dict[str, bytes]:
    return {variant: caffemodel(schema, values, order) for variant, order in ORDERS.items()}


@pytest.mark.parametrize("variant", ORDERS)
def test_a_prediction_is_caffes_without_a_flag(tmp_path, schema, caffemodels, values, variant):
    """From pixels to probabilities: the mean image's centre is subtracted, colours are blue, green, red."""
    rng = np.random.default_rng(1)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodels[variant])
    mean_CHW = rng.uniform(80, 150, (3, 80, 80)).astype(np.float32)
    blob = schema.BlobProto(num=1, channels=3, height=80, width=80)
    blob.data.extend(mean_CHW.ravel().tolist())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())

    net, card = weights.convert(path, class_names=list("abcdefg"), mean_image=tmp_path / "mean.binaryproto")
    assert (card.model, card.options["variant"], card.options["mean_image"]) == ("alexnet_2012", variant, True)
    assert (card.preprocessing.image_px, card.preprocessing.resize_px) == (PX, 80)
    assert card.preprocessing.std == (1 / 255,) * 3
    assert card.preprocessing.fit == "squash"
    weights.save(tmp_path / "net.safetensors", net, card)
    pixels_HWC = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    found = dict(alexnet.load(tmp_path / "net.safetensors").predict(pixels_HWC, top=CLASSES).classes)

    x_CHW = pixels_HWC[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) - mean_CHW
    cut = (80 - PX) // 2
    x_1CHW = torch.from_numpy(np.ascontiguousarray(x_CHW[None, :, cut : cut + PX, cut : cut + PX]))
    expected = caffe_scores(values, x_1CHW, ORDERS[variant]).softmax(1)[0].tolist()
    assert [found[name] for name in "abcdefg"] == pytest.approx(expected, abs=2e-6)
    assert max(expected) - min(expected) > 0.05  # no test of equal numbers


def test_without_a_mean_image_imagenets_mean_is_assumed_and_said(tmp_path, caffemodels, values):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodels["caffenet"])
    _, card = weights.convert(path)
    levels = [255 * value for value in card.preprocessing.mean]
    assert levels == pytest.approx([122.679, 116.669, 104.007], abs=1e-3)  # red first
    assert card.source is not None
    assert card.source.endswith("ImageNet's mean assumed)")
    assert card.class_names == tuple("0123456")
    net, card = weights.convert(path, mean=[0.5] * 3, channels="rgb")
    assert (card.preprocessing.mean, card.preprocessing.fit) == ((0.5,) * 3, "squash")
    assert weights.convert(path, fit="crop")[1].preprocessing.fit == "crop"
    assert np.array_equal(net.features.conv1.weight.detach().numpy(), values["conv1"][0])  # taken as it is


def test_a_training_goes_on_from_it(tmp_path, caffemodels, values):
    from alexnet.weights import read_pretrained

    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodels["bvlc_alexnet"])
    found = read_pretrained(str(path), "alexnet_2012")
    model = models.create("alexnet_2012", **{**found.card.options, "num_classes": 3})
    assert not found.fill(model, ["a", "b", "c"])
    assert torch.equal(model.features.conv1.weight, torch.from_numpy(values["conv1"][0]).flip(1))


def test_the_models_zoos_onnx_against_onnxruntime(tmp_path, values):
    """As bvlcalexnet-9: no padding but at the ends of poolings, and a Reshape before the first Gemm."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    node, tensors, nodes, last = onnx.helper.make_node, [], [], "data_0"

    def weighted(op, name, **settings):
        nonlocal last
        for part, array in zip("wb", values[name], strict=True):
            tensors.append(onnx.numpy_helper.from_array(array, f"{name}_{part}_0"))
        nodes.append(node(op, [last, f"{name}_w_0", f"{name}_b_0"], [f"{name}_1"], **settings))
        last = f"{name}_1"

    def then(op, name, **settings):
        nonlocal last
        nodes.append(node(op, [last, *(["shape"] if op == "Reshape" else [])], [name], **settings))
        last = name

    side = (PX - 11) // 4 + 1
    for number, (name, (shape, stride, padding, groups)) in enumerate(CONVOLUTIONS.items(), 1):
        weighted("Conv", name, strides=[stride] * 2, pads=[padding] * 4, group=groups, kernel_shape=list(shape[2:]))
        then("Relu", f"{name}_2")
        if number < 3:
            then("LRN", f"norm{number}_1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
        if number in (1, 2, 5):
            end = (side - 3) % 2
            then("MaxPool", f"pool{number}_1", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, end, end])
            side = (side + end - 3) // 2 + 1
    tensors.append(onnx.numpy_helper.from_array(np.array([-1, 256], np.int64), "shape"))
    then("Reshape", "OC2_DUMMY_0")
    for name in DENSE:
        weighted("Gemm", name, transB=1)
        if name != "fc8":
            then("Relu", f"{name}_2")
            then("Dropout", f"{name}_3")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "AlexNet", [value("data_0", 1, [1, 3, PX, PX])], [value(last, 1, [1, CLASSES])], tensors
    )
    model = onnx.helper.make_model(
        graph, producer_name="onnx-caffe2", opset_imports=[onnx.helper.make_opsetid("", 9)]
    )
    model.ir_version = 4
    path = tmp_path / "net.onnx"
    onnx.save(model, path)

    net, card = weights.convert(path)
    assert (card.model, card.options["variant"]) == ("alexnet_2012", "bvlc_alexnet")
    assert card.options["image_px"] == PX
    x_1CHW = np.random.default_rng(2).uniform(-120, 130, (1, 3, PX, PX)).astype(np.float32)
    expected = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"data_0": x_1CHW})[
        0
    ]
    with torch.no_grad():
        found = net(torch.from_numpy(x_1CHW).flip(1))  # ours takes red first
    assert np.allclose(found.numpy(), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of the exporter
def test_torchs_export_of_torchvisions_net(tmp_path):
    """By torch.onnx, with its weights in a file beside."""
    pytest.importorskip("onnxscript")
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.alexnet(num_classes=5).eval()
    x_NCHW = torch.randn(2, 3, 224, 224)
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        net, (x_NCHW,), path, dynamo=True, external_data=True, dynamic_shapes=({0: "n"},), verbose=False
    )
    assert (tmp_path / "net.onnx.data").is_file()
    ours, card = weights.convert(path)
    assert card.model == "alexnet_owt"
    assert card.preprocessing.mean == (0.485, 0.456, 0.406)
    with torch.no_grad():
        assert torch.equal(ours(x_NCHW), net(x_NCHW))


def test_matconvnets_caffe_alex(tmp_path, values):
    """Against Caffe's own computation; its mean image is as large as the input, and its colours red first."""
    import scipy.io

    def cell(*given):
        made = np.empty((1, len(given)), object)
        for index, each in enumerate(given):
            made[0, index] = each
        return made

    def weighted(name, filters_OIHW, padding, stride):
        filters = filters_OIHW.transpose(2, 3, 1, 0)
        filters = filters[:, :, ::-1] if name == "conv1" else filters
        return {"name": name, "type": "conv", "weights": cell(filters, values[name][1][None]),
                "pad": np.array([[padding] * 4], float), "stride": np.array([[stride] * 2], float)}  # fmt: skip

    layers = []
    side = (PX - 11) // 4 + 1
    for number, (name, (_, stride, padding, _groups)) in enumerate(CONVOLUTIONS.items(), 1):
        layers.append(weighted(name, values[name][0], padding, stride))
        layers.append({"name": f"relu{number}", "type": "relu"})
        if number < 3:
            layers.append({"name": f"norm{number}", "type": "lrn", "param": np.array([[5, 1, 2e-5, 0.75]])})
        if number in (1, 2, 5):
            pads = np.array([[0, (side - 3) % 2] * 2], float)
            layers.append({"name": f"pool{number}", "type": "pool", "method": "max", "pool": np.array([[3.0, 3]]),
                           "stride": np.array([[2.0, 2]]), "pad": pads})  # fmt: skip
            side = (side + (side - 3) % 2 - 3) // 2 + 1
    for name in DENSE:
        layers.append(weighted(name, values[name][0][:, :, None, None], 0, 1))
        layers.append({"name": f"relu{name}", "type": "relu"} if name != "fc8" else {"name": "p", "type": "softmax"})
    mean_HWC = np.random.default_rng(3).uniform(80, 150, (PX, PX, 3)).astype(np.float32)
    meta = {"normalization": {"imageSize": np.array([[PX, PX, 3.0]]), "averageImage": mean_HWC},
            "classes": {"description": cell(*"abcdefg")}}  # fmt: skip
    path = tmp_path / "imagenet-caffe-alex.mat"
    scipy.io.savemat(path, {"layers": cell(*layers), "meta": meta}, oned_as="row")

    net, card = weights.convert(path)
    assert (card.model, card.options["variant"], card.class_names) == (
        "alexnet_2012",
        "bvlc_alexnet",
        tuple("abcdefg"),
    )
    weights.save(tmp_path / "net.safetensors", net, card)
    pixels_HWC = np.random.default_rng(4).integers(0, 256, (PX, PX, 3), dtype=np.uint8)
    found = dict(alexnet.load(tmp_path / "net.safetensors").predict(pixels_HWC, top=CLASSES).classes)
    x_1CHW = torch.from_numpy((pixels_HWC - mean_HWC)[:, :, ::-1].transpose(2, 0, 1)[None].copy())
    expected = caffe_scores(values, x_1CHW, ORDERS["bvlc_alexnet"]).softmax(1)[0].tolist()
    assert [found[name] for name in "abcdefg"] == pytest.approx(expected, abs=2e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras, under numpy 2.4
def test_keras_against_keras(tmp_path, monkeypatch):
    """The tutorial's AlexNet in Keras, whose maps are flattened height, width, channels: 2x2 here."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    L, px = keras.layers, 100
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            L.Input((px, px, 3)),
            L.Conv2D(96, 11, 4, activation="relu"),
            L.MaxPooling2D(3, 2),
            L.ZeroPadding2D(2),
            L.Conv2D(256, 5, activation="relu"),
            L.MaxPooling2D(3, 2),
            L.Conv2D(384, 3, padding="same", activation="relu"),
            L.Conv2D(384, 3, padding="same", activation="relu"),
            L.Conv2D(256, 3, padding="same", activation="relu"),
            L.MaxPooling2D(3, 2),
            L.Flatten(),
            L.Dense(4096, activation="relu"),
            L.Dropout(0.5),
            L.Dense(4096, activation="relu"),
            L.Dense(CLASSES),
        ]
    )
    side = models._build.maps_px(models.alexnet(image_px=px).features, px)
    if side == 1:
        pytest.fail("flattening would not show")
    net.save(tmp_path / "net.keras")
    ours, card = weights.convert(tmp_path / "net.keras")
    assert (card.model, card.options["image_px"]) == ("alexnet", px)
    assert (card.preprocessing.mean, card.preprocessing.std) == ((0,) * 3, (1,) * 3)
    x_NHWC = np.random.default_rng(0).uniform(0, 1, (2, px, px, 3)).astype(np.float32)
    expected = net.predict(x_NHWC, verbose=0)
    with torch.no_grad():
        found = ours(torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)).numpy()
    assert np.allclose(found, expected, atol=1e-4 * np.abs(expected).max())


IMGCLSMOB = {  # names by structure, as save_parameters of Gluon writes them
    **{f"features.{stage}.{unit}.conv": None for stage, unit in ((0, 0), (1, 0), (2, 0), (2, 1), (2, 2))},
    "output.1.fc1.fc": None,
    "output.1.fc2.fc": None,
    "output.1.fc3": None,
}


@pytest.mark.parametrize(
    ("name", "options"),
    [("alexnet_owt", {"image_px": 64}), ("alexnet_2012", {"image_px": 67, "variant": "imgclsmob"})],
)
def test_mxnets_model_zoos(tmp_path, write_params, name, options):
    """Zipped, as imgclsmob publishes them; trained on ImageNet, with its mean and standard deviation."""
    import zipfile

    with torch.device("meta"):
        shapes = [tuple(p.shape) for p in models.create(name, num_classes=CLASSES, **options).parameters()]
    names = [f"{stem}.{part}" for stem in IMGCLSMOB for part in ("weight", "bias")]
    arrays = {key: np.full(shape, i, np.float16) for i, (key, shape) in enumerate(zip(names, shapes, strict=True))}
    path = write_params(tmp_path / "net.params", arrays)
    with zipfile.ZipFile(tmp_path / "net.params.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "alexnet.params")
    given = {} if "variant" not in options else {"variant": options["variant"]}
    net, card = weights.convert(tmp_path / "net.params.zip", name, options=given)
    assert [p.min().item() for p in net.parameters()] == list(range(16))
    facts = models.facts(name)
    assert (card.preprocessing.mean, card.preprocessing.std) == (facts.mean, facts.std)
    if name == "alexnet_owt":
        assert weights.convert(path)[1].model == name  # nothing else has such layers
    else:
        with pytest.raises(UserError, match="has the shapes of alexnet and alexnet_2012: say which it is"):
            weights.convert(path)


def test_imgclsmobs_layers_against_torch_functions():
    """LRN of MXNet: k 2 and alpha 1e-4 over 5 maps; poolings reach over the edge: 54 px maps become 27."""
    net = models.alexnet_2012(variant="imgclsmob", num_classes=3).eval()
    x_NCHW = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    conv1, conv2 = net.features.conv1, net.features.conv2
    with torch.no_grad():
        conv1.weight.mul_(50)  # so that normalisation shows
        maps = F.conv2d(x_NCHW, conv1.weight, conv1.bias, stride=4).relu()
        assert maps.shape[2] == 54
        maps = F.max_pool2d(F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=2.0), 3, 2, ceil_mode=True)
        assert maps.shape[2] == 27
        expected = F.conv2d(maps, conv2.weight, conv2.bias, padding=2)
        found = net.features[:5](x_NCHW)
    assert torch.allclose(found, expected, atol=1e-4 * expected.abs().max().item())


def test_state_dicts_of_hand_written_nets(tmp_path):
    """Layers whose names sort otherwise than they follow one another go in the file's order."""
    net = models.tiny_alexnet()
    layers = ["first", "second", "conv_c", "hidden_b", "a_hidden", "output"]
    names = [f"net.{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    state = dict(zip(names, net.state_dict().values(), strict=True))
    torch.save({"epoch": 3, "model_state_dict": state, "optimizer_state_dict": {"lr": 0.1}}, tmp_path / "net.pt")
    ours, card = weights.convert(tmp_path / "net.pt")
    assert card.model == "tiny_alexnet"
    for name, tensor in net.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def step(kind, **settings):
    return foreign.Step(kind, kind, settings)


def test_a_net_that_computes_otherwise_is_refused_with_both_sides(tmp_path, schema, caffemodels):
    """Caffe's orders are swapped by half: one norm before its pooling, one after."""
    path = tmp_path / "net.caffemodel"
    net = schema.NetParameter.FromString(caffemodels["bvlc_alexnet"])
    at = [layer.name for layer in net.layer].index("LRN2")
    norm = schema.LayerParameter()
    norm.CopyFrom(net.layer[at])
    net.layer[at].CopyFrom(net.layer[at + 1])
    net.layer[at + 1].CopyFrom(norm)
    path.write_bytes(net.SerializeToString())
    with pytest.raises(UserError) as caught:
        weights.convert(path)
    lines = str(caught.value).splitlines()
    assert "has the shapes of alexnet_2012 (" in lines[0]
    assert lines[0].endswith("but computes otherwise:")
    assert lines[1].split() == ["expected", "found"]
    assert len(lines) == 4
    assert "Pooling2: max pooling" in lines[2] + lines[3]


def test_padding_and_activations_are_compared():
    with torch.device("meta"):
        model = models.alexnet_2012(variant="bvlc_alexnet", image_px=227)
    from alexnet.weights._structure import differences, steps_of

    ours = steps_of(model)
    assert ours is not None
    assert differences(ours, ours, 227) == []
    with torch.device("meta"):
        others = steps_of(models.alexnet_2012(variant="paper"))
    rows = differences(ours, others, 227)
    assert any("before 0" in left and "before 2" in right for left, right in rows)
    assert steps_of(models.convnet_2012()) is None  # pools by means: no AlexNet


def test_what_fits_nothing_is_summed_up(tmp_path):
    torch.save({"a.weight": torch.zeros(3, 4), "a.bias": torch.zeros(3)}, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"fits no network of alexnet: it has weights of 3x4\n.*--model"):
        weights.convert(tmp_path / "net.pth")
    assert _choose.infer_px("alexnet_2012", 9216, "bvlc_alexnet") == 227
    assert _choose.infer_px("alexnet_2012", 9216, "bvlc_alexnet", 224) == 224  # the model zoo's
