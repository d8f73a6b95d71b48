"""Preprocessing in the graph beside the package's own, which trains and predicts: equal to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet.card import Preprocessing
from alexnet.data import fit_image

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from alexnet.export.onnx_image import OPSET, Builder, add_preprocessing  # noqa: E402

SIZES = [(32, 32), (33, 47), (100, 61), (17, 23), (5, 200), (301, 200), (2, 3), (1, 1), (900, 31)]


def session(how: Preprocessing) -> onnxruntime.InferenceSession:
    g = Builder()
    C, px = how.in_channels, how.image_px
    add_preprocessing(g, "image", "x", how, [1.0] * C, [0.0] * C)
    graph = helper.make_graph(
        g.nodes,
        "image",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", C, px, px])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize(("channels", "resize_px", "image_px"), [(3, 32, 32), (1, 28, 28), (3, 71, 64)])
def test_pixels_are_those_of_training(fit, channels, resize_px, image_px):
    how = Preprocessing(
        image_px=image_px,
        resize_px=resize_px,
        in_channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        fit=fit,
    )
    graph = session(how)
    begin = (resize_px - image_px) // 2
    for H, W in SIZES:
        pixels_NHWC = np.random.default_rng(H * W).integers(0, 256, (2, H, W, 3), np.uint8)
        found_NCHW = graph.run(None, {"image": pixels_NHWC})[0]
        for pixels, found in zip(pixels_NHWC, found_NCHW, strict=True):
            square = fit_image(pixels, resize_px, channels, fit)
            expected = square[begin : begin + image_px, begin : begin + image_px].transpose(2, 0, 1)
            np.testing.assert_array_equal(found, expected.astype(np.float32), err_msg=f"{H} x {W}")


def test_levels_are_scaled_and_shifted_channel_by_channel():
    how = Preprocessing(image_px=1, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    g = Builder()
    add_preprocessing(g, "image", "x", how, [1.0, 0.5, 2.0], [0.0, 1.0, -3.0])
    graph = helper.make_graph(
        g.nodes,
        "image",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 1, 1])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run
    found = run(None, {"image": np.array([[[[10, 20, 30]]]], np.uint8)})[0]
    assert found.ravel().tolist() == [10, 11, 57]
