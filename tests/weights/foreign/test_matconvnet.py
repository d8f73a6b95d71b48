"""`.mat` files written by scipy, and those it reads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

from alexnet.errors import UserError
from alexnet.weights._read import read_foreign
from alexnet.weights.foreign.matlab import read_mat


def test_a_net_as_matconvnet_imports_caffes(golden, check_weights):
    net = read_foreign(golden / "matconvnet.mat")
    check_weights(net)
    kinds = [step.kind for step in net.steps]
    assert kinds == [
        "convolution",
        "activation",
        "normalisation",
        "max pooling",
        "convolution",
        "activation",
        "dense",
    ]
    assert dict(net.steps[3].settings) == {"kernel": 3, "stride": 2, "before": 0, "after": 1}
    assert net.steps[4].settings["groups"] == 2
    assert net.class_names == ("tench, Tinca tinca", "goldfish", "shark", "ray", "cock")
    assert net.image_px == 8
    assert net.pixels.mean_image.shape == (3, 8, 8)
    assert net.pixels.mean_image[2, 1, 0] == 8 * 3 + 2  # [height, width, channel] counted up in that order
    assert not net.pixels.bgr
    assert net.pixels.squashes  # keepAspect is false


@pytest.mark.parametrize("compressed", [False, True])
def test_values_as_scipy_reads_them(tmp_path, compressed):
    rng = np.random.default_rng(0)
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = "text", np.arange(6, dtype=np.uint8).reshape(2, 3)
    given = {
        "double": rng.normal(size=(2, 3, 4)),
        "single": rng.normal(size=(3, 1)).astype(np.float32),
        "whole": np.array([[-5, 70000]], np.int32),
        "tiny": np.array([[1.0]]),
        "text": "a long text, of more than four letters",
        "cells": cells,
        "struct": {"a": np.eye(2), "name": "b", "deep": {"c": 1.0}},
        "empty": np.zeros((0, 0)),
    }
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, given, do_compression=compressed)
    found = read_mat(path, path.read_bytes())
    for name in ("double", "single", "whole", "tiny", "empty"):
        assert np.array_equal(found[name], given[name]), name
    assert found["double"].dtype == np.float64
    assert found["single"].dtype == np.float32
    assert found["text"] == given["text"]
    assert found["cells"][0] == "text"
    assert np.array_equal(found["cells"][1], cells[0, 1])
    assert np.array_equal(found["struct"]["a"], np.eye(2))
    assert found["struct"]["name"] == "b"
    assert found["struct"]["deep"]["c"].item() == 1


def test_what_is_no_net(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"a": 1})
    with pytest.raises(UserError, match="holds no 'layers'"):
        read_foreign(path)
    with pytest.raises(UserError, match="truncated or damaged"):
        read_mat(path, path.read_bytes()[:150])
    with pytest.raises(UserError, match="header"):
        read_mat(path, b"MATLAB 5.0 MAT-file")


def test_an_absurd_length(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"a": np.ones(3)}, do_compression=False)
    content = bytearray(path.read_bytes())
    content[132:136] = b"\xff\xff\xff\x7f"
    with pytest.raises(UserError, match=r"an element of 2,147,483,647 bytes, and \d+ are left"):
        read_mat(path, bytes(content))
