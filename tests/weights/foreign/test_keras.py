"""Files of Keras 3, with h5py's own for damage."""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile

import pytest

from alexnet.errors import UserError
from alexnet.weights._read import read_foreign
from alexnet.weights.foreign import keras
from alexnet.weights.foreign.keras_config import describe

h5py = pytest.importorskip("h5py")

STEPS = ["convolution", "activation", "max pooling", "convolution", "activation", "dense"]


@pytest.mark.parametrize("name", ["keras3.keras", "keras3-legacy.h5", "keras3.weights.h5"])
def test_each_kind_of_file(golden, check_weights, name):
    net = read_foreign(golden / name)
    check_weights(net, ceil=False)
    if name == "keras3.weights.h5":  # weights alone
        assert (net.steps, net.image_px, net.pixels) == (None, None, None)
        return
    assert [step.kind for step in net.steps] == STEPS
    assert net.image_px == 8
    assert net.pixels.scale == pytest.approx(1 / 127.5)
    assert net.pixels.mean == pytest.approx((127.5,) * 3)  # x / 127.5 - 1


def test_without_h5py_the_extra_is_named(golden, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'alexnet\[keras\]'"):
        keras.read_keras(golden / "keras3-legacy.h5")


def test_links_to_other_files_are_not_followed(tmp_path, golden):
    path = tmp_path / "net.weights.h5"
    path.write_bytes((golden / "keras3.weights.h5").read_bytes())
    with h5py.File(path, "a") as file:
        file["layers"]["dense_9"] = h5py.ExternalLink(str(golden / "keras3.weights.h5"), "/layers/dense")
    with pytest.raises(UserError, match="a link to elsewhere, 'dense_9', which is not followed"):
        read_foreign(path)


def test_an_array_that_stores_nothing_is_not_allocated(tmp_path):
    path = tmp_path / "net.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", shape=(1 << 30, 1 << 28), dtype="f4", chunks=(1024, 1024))
    with pytest.raises(UserError, match=r"claims 1,152,921,504,606,846,976 bytes .* and stores 0"):
        read_foreign(path)


def test_a_file_that_leads_in_circles_ends(tmp_path, golden):
    path = tmp_path / "net.weights.h5"
    path.write_bytes((golden / "keras3.weights.h5").read_bytes())
    with h5py.File(path, "a") as file:
        file["layers"]["again"] = file["layers"]  # a hard link to what holds it
    with pytest.raises(UserError, match="more than 32 deep"):
        read_foreign(path)


def test_other_archives(tmp_path, golden):
    with zipfile.ZipFile(golden / "keras3.keras") as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    config["config"]["layers"].append({"class_name": "BatchNormalization", "config": {"name": "bn"}})
    with zipfile.ZipFile(tmp_path / "bn.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(UserError, match="layer 'bn' is a BatchNormalization, which no AlexNet has"):
        read_foreign(tmp_path / "bn.keras")
    content = (golden / "keras3.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        read_foreign(tmp_path / "cut.keras")


def layers(*described):
    return {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": kind, "config": c} for kind, c in described]},
    }


def test_same_padding_is_worked_out_from_the_sides():
    """224 px, kernel 11, stride 4: 56 maps' sides take 55 * 4 + 11 = 231 px, 3 more before and 4 after."""
    config = layers(
        ("InputLayer", {"batch_shape": [None, 224, 224, 3]}),
        (
            "Conv2D",
            {"name": "c", "kernel_size": [11, 11], "strides": [4, 4], "padding": "same", "activation": "relu"},
        ),
        ("MaxPooling2D", {"name": "p", "pool_size": [3, 3], "strides": None, "padding": "valid"}),
    )
    found = describe(io, config)
    assert dict(found.steps[0].settings) == {"kernel": 11, "stride": 4, "before": 3, "after": 4, "groups": 1}
    assert dict(found.steps[2].settings) == {"kernel": 3, "stride": 3, "before": 0, "after": 0}
    assert found.image_px == 224


def test_a_lambda_is_never_run_and_hides_what_it_does():
    config = layers(("Lambda", {"name": "lrn", "function": ["4wAAAA==", None, None]}))
    assert describe(io, config).hides_something


@pytest.mark.parametrize("config", [None, [], {}, {"config": 3}, {"config": {"layers": [1]}}, layers((1, {}))])
def test_damaged_descriptions(config):
    with pytest.raises(UserError, match=r"descri(bes|ption)"):
        describe(io, config)
