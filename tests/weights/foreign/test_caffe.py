"""Caffe's files, written by Google's protobuf under a schema of the same field numbers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from alexnet.errors import UserError
from alexnet.weights._read import read_foreign
from alexnet.weights.foreign import caffe_net
from alexnet.weights.foreign.caffe import read_description, read_mean

STEPS = [
    ("convolution", {"kernel": 3, "stride": 1, "before": 1, "after": 1, "groups": 1}),
    ("activation", {"function": "relu"}),
    ("normalisation", {"maps": 5, "alpha": pytest.approx(2e-5), "beta": 0.75, "k": 1}),
    ("max pooling", {"kernel": 3, "stride": 2, "before": 0, "after": 0, "ceil": 1}),
    ("convolution", {"kernel": 3, "stride": 1, "before": 0, "after": 0, "groups": 2}),
    ("activation", {"function": "relu"}),
    ("dense", {}),
]


def steps(net):
    return [(step.kind, dict(step.settings)) for step in net.steps]


@pytest.mark.parametrize("form", ["new", "double", "v1", "v0"])
def test_every_form_of_layers_and_blobs(golden, check_weights, form):
    net = read_foreign(golden / f"caffe-{form}.caffemodel")
    check_weights(net)
    assert steps(net) == STEPS
    assert net.image_px == 8  # what crops were cut to
    assert net.pixels.bgr
    assert net.pixels.scale == 0.5
    assert net.pixels.mean == (None if form == "v0" else (30, 20, 10))  # red first
    assert net.published is None


def test_the_description_may_be_a_text(golden, check_weights):
    net = read_foreign(golden / "caffe-v1.caffemodel", prototxt=golden / "caffe-deploy.prototxt")
    check_weights(net)
    assert steps(net) == STEPS
    assert net.image_px == 8


def test_inputs_of_descriptions(tmp_path):
    for text in (
        'input_shape { dim: 1 dim: 3 dim: 227 dim: 227 } layer { name: "a" type: "ReLU" }',
        'layer { name: "data" type: "Input" input_param { shape: { dim: 10 dim: 3 dim: 227 dim: 227 } } }',
        'input: "data" input_dim: [1, 3, 227, 227] layers { name: "a" type: RELU }',
    ):
        (tmp_path / "x").write_text(text)
        assert read_description(tmp_path / "x").image_px == 227


def test_a_layer_without_weights_is_named(golden, tmp_path):
    text = (golden / "caffe-deploy.prototxt").read_text().replace('"conv2"', '"conv-2"')
    (tmp_path / "deploy.prototxt").write_text(text)
    with pytest.raises(UserError, match=r"layer 'conv-2' \(Convolution\) has no weights in .*conv1, conv2, fc3"):
        read_foreign(golden / "caffe-new.caffemodel", prototxt=tmp_path / "deploy.prototxt")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('type: "ReLU"', 'type: "Eltwise"', r"'relu1' \(Eltwise\) is of a type that no AlexNet has"),
        ("pool: MAX", "pool: AVE", "'pool1' .* takes means"),
        ("ACROSS_CHANNELS", "WITHIN_CHANNEL", "'norm1' .* within each map"),
        ("kernel_w: 3", "kernel_w: 5", r"kernel_size of \[3, 5\]: AlexNet's are square"),
        ("kernel_size: 3", "kernel_size: 5", "'conv1' .* has weights of 3x3 px and a kernel_size of 5"),
        ("group: 2", "group: many", "'conv2' .* has a group of many"),
        ("alpha: 1e-4", "alpha: nan", "'norm1' .* has a alpha of nan"),
    ],
)
def test_layers_of_other_nets_are_named(golden, tmp_path, old, new, problem):
    text = (golden / "caffe-deploy.prototxt").read_text()
    assert old in text
    (tmp_path / "deploy.prototxt").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=problem):
        read_foreign(golden / "caffe-new.caffemodel", prototxt=tmp_path / "deploy.prototxt")


def test_mean_images(golden, tmp_path):
    mean = read_mean(golden / "caffe-mean.binaryproto")
    assert mean.shape == (3, 10, 10)
    assert mean.ravel().tolist() == list(range(300))
    np.save(tmp_path / "mean.npy", mean.astype(np.float64))
    assert np.array_equal(read_mean(tmp_path / "mean.npy"), mean)
    net = read_foreign(golden / "caffe-new.caffemodel", mean=tmp_path / "mean.npy")
    assert np.array_equal(net.pixels.mean_image, mean[::-1])  # red first
    np.save(tmp_path / "flat.npy", np.zeros(5))
    with pytest.raises(UserError, match=r"shape \(5,\), no mean image"):
        read_mean(tmp_path / "flat.npy")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match="is damaged"):  # a pickle, which is not run
        read_mean(tmp_path / "objects.npy")


def test_published_figures_belong_to_the_published_file_alone(golden, monkeypatch):
    sha1 = "0" * 40
    assert all(len(each) == 40 for each in caffe_net._PUBLISHED)
    path = golden / "caffe-new.caffemodel"
    monkeypatch.setattr(
        caffe_net.hashlib, "sha1", lambda *_args, **_kw: type("H", (), {"hexdigest": lambda _: sha1})()
    )
    assert read_foreign(path).published is None
    monkeypatch.setitem(caffe_net._PUBLISHED, sha1, "This net: top-1 57.1%")
    assert read_foreign(path).published == "This net: top-1 57.1%; published by its authors, not measured here"


def test_absurd_shapes_allocate_nothing(made, tmp_path):
    schema = __import__("caffe_schema").schema()
    net = schema.NetParameter()
    blob = net.layer.add(name="conv1", type="Convolution").blobs.add()
    blob.shape.dim.extend([1 << 20, 1 << 20, 1 << 20])
    blob.data.append(1)
    (tmp_path / "net.caffemodel").write_bytes(net.SerializeToString())
    tracemalloc.start()
    try:
        with pytest.raises(
            UserError, match="layer 'conv1', blob 0 has the shape 1048576x1048576x1048576 and 1 values"
        ):
            read_foreign(tmp_path / "net.caffemodel")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_description_or_mean_in_the_weights_place_is_explained(golden):
    with pytest.raises(UserError, match=r"name its \.caffemodel and add --prototxt"):
        read_foreign(golden / "caffe-deploy.prototxt")
    with pytest.raises(UserError, match=r"is no \.caffemodel: drop --prototxt"):
        read_foreign(golden / "onnx-caffe2.onnx", prototxt=golden / "caffe-deploy.prototxt")
