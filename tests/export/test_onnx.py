from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.errors import UserError
from alexnet.export import Exported, export, network

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def run(path: Path, **inputs: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)[0]


@pytest.fixture(scope="module")
def whole(lenet, tmp_path_factory) -> Exported:
    return export(lenet, tmp_path_factory.mktemp("whole") / "net.onnx", to="onnx", data="digits", int8=True)


def test_the_contract_of_the_whole_graph(whole, lenet):
    graph = onnx.load(whole.path)
    (given,), (answer,) = graph.graph.input, graph.graph.output
    assert (given.name, given.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["N", "H", "W", 3]
    assert (answer.name, answer.type.tensor_type.elem_type) == ("probabilities", onnx.TensorProto.FLOAT)
    assert [d.dim_param or d.dim_value for d in answer.type.tensor_type.shape.dim] == ["N", 10]
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(metadata["classes"]) == list(lenet.class_names)
    assert metadata["temperature"] == "1.7"


def test_pictures_of_any_size_get_the_packages_answers(whole, lenet):
    for H, W in ((24, 24), (50, 31), (9, 200)):
        pixels_NHWC = np.random.default_rng(H).integers(0, 256, (3, H, W, 3), np.uint8)
        found_NK = run(whole.path, image=pixels_NHWC)
        for pixels, found_K in zip(pixels_NHWC, found_NK, strict=True):
            expected = dict(lenet.predict(pixels, top=10).classes)
            assert dict(zip(lenet.class_names, found_K.tolist(), strict=True)) == pytest.approx(expected, abs=1e-5)


def test_the_record_says_what_was_compared(whole):
    record = json.loads((whole.path.parent / "export.json").read_text())["net.onnx"]
    assert record == json.loads(json.dumps(whole.record))
    on_digits, resized = record["compared"]
    assert (on_digits["n"], on_digits["batch_sizes"], on_digits["images"]) == (
        359,
        [1, 7, 64],
        "359 test images of digits",
    )
    assert on_digits["agrees"]
    assert on_digits["other_first_answers"] == 0
    assert 0 < on_digits["greatest_difference"] < 1e-5
    assert resized["n"] == 80
    assert record["on_test_images"]
    assert record["top1"] == record["top1_here"]


def test_int8_stands_beside_fp32(whole):
    small = whole.record["int8"]
    path = whole.path.parent / small["file"]
    assert path.name == "net.int8.onnx"
    assert path.stat().st_size == small["bytes"]
    kinds = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    assert small["top1_fp32"] == whole.record["top1"]
    assert 0 <= small["top1"] <= 1
    assert small["same_first_answers"] > 0.5


def test_the_plain_graph(lenet, tmp_path):
    export(lenet, tmp_path / "net.onnx", to="onnx", plain=True)
    x_NCHW = torch.rand(5, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    found_NK = run(tmp_path / "net.onnx", x=x_NCHW.numpy())
    torch.testing.assert_close(torch.from_numpy(found_NK), network.logits(lenet, x_NCHW), rtol=1e-4, atol=1e-5)
    assert [value.name for value in onnx.load(tmp_path / "net.onnx").graph.output] == ["logits"]


@pytest.mark.parametrize("decompose", [False, True])
def test_response_norm_as_operator_and_decomposed(make, tmp_path, decompose):
    classifier = make("convnet_2012", image_px=16)
    export(classifier, tmp_path / "net.onnx", to="onnx", decompose=decompose)
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert operators.count("LRN") == (0 if decompose else 2)


def test_an_export_that_differs_is_refused_and_removed(lenet, tmp_path, monkeypatch):
    true = network.scale_and_shift(lenet)
    monkeypatch.setattr(network, "scale_and_shift", lambda _: (true[0], [true[1][0] + 0.1]))
    with pytest.raises(UserError, match=r"net.onnx was not written: its probabilities differ from this package's"):
        export(lenet, tmp_path / "net.onnx", to="onnx")
    assert not list(tmp_path.iterdir())


def test_int8_needs_images_to_calibrate_on(lenet, tmp_path):
    with pytest.raises(UserError, match="add --data"):
        export(lenet, tmp_path / "net.onnx", to="onnx", int8=True)


def test_a_module_of_the_users_own(tmp_path, lenet):
    from dataclasses import replace

    from alexnet.evaluation import Classifier

    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(400, 10))
    card = replace(lenet.card, model="custom", options={"class": "Sequential"})
    written = export(Classifier(own, card, lenet.runtime), tmp_path / "net.onnx", to="onnx")
    assert written.record["compared"][0]["agrees"]


class Branching(torch.nn.Module):
    """What it computes depends on values, which no exporter follows."""

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        sums_N = x_NCHW.sum((1, 2, 3))
        return torch.ones(len(x_NCHW), 10) if float(sums_N.max()) > 0 else torch.zeros(len(x_NCHW), 10)


def test_a_module_that_cannot_be_exported_is_answered_in_a_line(tmp_path, lenet):
    from dataclasses import replace

    from alexnet.evaluation import Classifier

    card = replace(lenet.card, model="custom", options={"class": "Branching"})
    with pytest.raises(UserError, match=r"^torch cannot write this network as ONNX: .*$"):
        export(Classifier(Branching(), card, lenet.runtime), tmp_path / "net.onnx", to="onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "source", "bvlc_alexnet", "caffenet"])
def test_alexnet_2012(make, tmp_path, variant):
    classifier = make("alexnet_2012", image_px=67, resize_px=80, variant=variant, mean_image=variant == "caffenet")
    written = export(classifier, tmp_path / "net.onnx", to="onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [node.op_type for node in graph.node].count("LRN") == (4 if variant == "source" else 2)
    assert written.record["compared"][0]["agrees"]
