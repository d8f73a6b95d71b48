"""ONNX files written by the onnx package."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet.errors import UserError
from alexnet.weights._read import read_foreign

onnx = pytest.importorskip("onnx")


def write(tmp_path, model):
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "net.onnx"


@pytest.fixture
def model(golden):
    return onnx.load(golden / "onnx-caffe2.onnx")


@pytest.mark.parametrize("name", ["onnx-caffe2", "onnx-numbers"])
def test_weights_as_bytes_or_as_numbers(golden, check_weights, name):
    net = read_foreign(golden / f"{name}.onnx")
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
    assert dict(net.steps[3].settings) == {"kernel": 3, "stride": 2, "before": 0, "after": 1, "ceil": 0}
    assert net.steps[2].settings["alpha"] == pytest.approx(2e-5)
    assert net.image_px == 8
    assert net.pixels is None  # its first convolution has padding: no net of Caffe's


def test_half_precision_and_metadata(tmp_path, model):
    for tensor in model.graph.initializer[:6]:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    model.metadata_props.add(key="classes", value='["a", "b", "c", "d", "貓"]')
    net = read_foreign(write(tmp_path, model))
    assert net.class_names == ("a", "b", "c", "d", "貓")
    assert net.layers[0].weight.dtype.is_floating_point


def test_weights_beside_the_file(tmp_path, model, check_weights):
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    check_weights(read_foreign(path))
    (tmp_path / "net.data").write_bytes((tmp_path / "net.data").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"net\.data is truncated"):
        read_foreign(path)
    (tmp_path / "net.data").unlink()
    with pytest.raises(UserError, match="which is not there: put it beside this file"):
        read_foreign(path)


def test_weights_elsewhere_are_not_read(tmp_path, model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(UserError, match="no file in the same folder"):
        read_foreign(write(tmp_path, model))


def test_matmul_with_a_bias_added_and_transposed_constants(tmp_path, model, check_weights):
    graph = model.graph
    gemm = next(node for node in graph.node if node.op_type == "Gemm")
    at = list(graph.node).index(gemm)
    made = [
        onnx.helper.make_node("Transpose", [gemm.input[1]], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", [gemm.input[0], "turned"], ["product"]),
        onnx.helper.make_node("Add", [gemm.input[2], "product"], [gemm.output[0]]),
    ]
    nodes = [*graph.node[:at], *made, *graph.node[at + 1 :]]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    check_weights(read_foreign(write(tmp_path, model)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda nodes: setattr(nodes[1], "op_type", "QLinearConv"), "quantised net: convert the fp32 one"),
        (lambda nodes: setattr(nodes[1], "op_type", "Selu"), r"\(Selu\) is none AlexNet has"),
        (lambda nodes: nodes[0].attribute.append(onnx.helper.make_attribute("dilations", [2, 2])), "is dilated"),
        (
            lambda nodes: nodes[3].attribute.append(onnx.helper.make_attribute("strides", [2, 1])),
            "AlexNet's are square",
        ),
        (lambda nodes: nodes[4].input.__setitem__(1, "nowhere"), "from no constant"),
    ],
)
def test_other_nets_are_refused_by_name(tmp_path, model, change, problem):
    change(model.graph.node)
    with pytest.raises(UserError, match=problem):
        read_foreign(write(tmp_path, model))


def test_branches_are_refused(tmp_path, model):
    model.graph.node.append(onnx.helper.make_node("Relu", ["conv1_1"], ["elsewhere"]))
    with pytest.raises(UserError, match="AlexNet's layers follow one another"):
        read_foreign(write(tmp_path, model))


def test_an_absurd_shape(tmp_path, model):
    model.graph.initializer[0].dims[0] = 1 << 60
    with pytest.raises(UserError, match="has the shape 1152921504606846976x3x3x3 and 432 bytes"):
        read_foreign(write(tmp_path, model))
