from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.errors import UserError
from alexnet.export import export, network
from alexnet.export.images import find_images
from alexnet.export.mxnet import write_params
from alexnet.weights import convert
from alexnet.weights.mxnet import read_params

GOLDEN = Path(__file__).parents[1] / "golden"

LOAD = """
import json, sys
import mxnet, numpy
record, params, given, found = sys.argv[1:]
scope = {}
exec(json.load(open(record))["net.params"]["gluon"], scope)
scope["net"].load_parameters(params)
numpy.save(found, scope["net"](mxnet.nd.array(numpy.load(given))).asnumpy())
"""


def test_the_file_is_what_mxnet_itself_writes(tmp_path):
    theirs = GOLDEN / "mxnet191-gluon.params"
    write_params(tmp_path / "ours.params", read_params(theirs))
    assert (tmp_path / "ours.params").read_bytes() == theirs.read_bytes()


def test_what_the_file_cannot_hold_is_refused(tmp_path):
    for array in (np.float32(1.0), np.zeros((0, 3), np.float32)):
        with pytest.raises(ValueError, match="cannot hold"):
            write_params(tmp_path / "x.params", {"w": np.asarray(array)})


def test_tiny_alexnet_goes_out_and_comes_back(make, tmp_path):
    classifier = make("tiny_alexnet", image_px=32)
    written = export(classifier, tmp_path / "net.params", to="mxnet")
    names = list(read_params(tmp_path / "net.params"))
    assert names == [f"{i}.{kind}" for i in (0, 2, 3, 5, 7, 9) for kind in ("weight", "bias")]  # the tutorial's
    assert written.record["compared"][0]["greatest_difference"] == 0
    model, _ = convert(tmp_path / "net.params", "tiny_alexnet", classifier.class_names)
    for name, tensor in classifier.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_names_of_batch_norm(make, tmp_path):
    classifier = make("cifar_alexnet", image_px=32)
    export(classifier, tmp_path / "net.params", to="mxnet")
    arrays = read_params(tmp_path / "net.params")
    ours = classifier.model.state_dict()
    position = list(dict(classifier.model.features.named_children())).index("norm2")
    np.testing.assert_array_equal(arrays[f"{position}.gamma"], ours["features.norm2.weight"].numpy())
    np.testing.assert_array_equal(arrays[f"{position}.running_var"], ours["features.norm2.running_var"].numpy())
    assert len(arrays) == sum("num_batches" not in name for name in ours)


def test_pooling_that_gluon_lacks_is_named(make, tmp_path):
    classifier = make("alexnet_owt", image_px=63)  # maps of 1 px, pooled to 6
    with pytest.raises(UserError, match="Gluon has no pooling like avgpool for maps of 1 px"):
        export(classifier, tmp_path / "net.params", to="mxnet")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "image_px", "options"),
    [
        ("tiny_alexnet", 32, {}),
        ("lenet", 28, {"in_channels": 1}),
        ("cifar_alexnet", 32, {}),
        ("convnet_2012", 32, {}),
        ("alexnet_owt", 224, {}),
        ("alexnet_2012", 96, {"variant": "source"}),
        ("alexnet_2012", 96, {"variant": "bvlc_alexnet"}),
    ],
)
def test_mxnet_itself_computes_the_same(make, tmp_path, name, image_px, options):
    python = os.environ.get("ALEXNET_MXNET_PYTHON")
    if not python:
        pytest.skip("needs MXNet 1.9.1: set ALEXNET_MXNET_PYTHON to the python of an environment that has it")
    classifier = make(name, image_px=image_px, **options)
    export(classifier, tmp_path / "net.params", to="mxnet")
    squares = find_images(classifier.card, None, None).squares(classifier.card.preprocessing)
    x_NCHW = network.normalized(classifier, squares.take(torch.arange(8)))
    np.save(tmp_path / "x.npy", x_NCHW.numpy())
    words = [tmp_path / "export.json", tmp_path / "net.params", tmp_path / "x.npy", tmp_path / "y.npy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, "-c", LOAD, *map(str, words)], check=True, env=environment, capture_output=True)
    expected = network.logits(classifier, x_NCHW)
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "y.npy")), expected, rtol=1e-4, atol=1e-4)
    assert json.loads(words[0].read_text())["net.params"]["compared"]
