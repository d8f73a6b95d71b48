"""Makes the small files of Caffe, ONNX, Keras and MatConvNet here, with those formats' own software.

    KERAS_BACKEND=torch python tests/golden/make_foreign.py

Every net is the same: inputs 3x8x8, convolution of 4 maps (3x3, padding 1), ReLU, normalisation where the format has
it, max pooling (3, stride 2), convolution of 2 maps (3x3, two groups), ReLU, dense 5. `weights` gives their values.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
PX = 8


def weights(*, ceil: bool = True) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each layer, in torch's order of axes; `ceil`: whether the pooling reaches over the edge."""
    side = 2 if ceil else 1  # 8 px pooled to 4 or 3, less 2
    shapes = {"conv1": (4, 3, 3, 3), "conv2": (2, 2, 3, 3), "fc3": (5, 2 * side * side)}
    made = {}
    for number, (name, shape) in enumerate(shapes.items()):
        count = int(np.prod(shape))
        values = ((np.arange(count) * 7 + number) % 64 / 32 - 1).astype(np.float32)
        made[name] = values.reshape(shape), (np.arange(shape[0]) / 4 - number).astype(np.float32)
    return made


def _blob(blob: Any, array: np.ndarray, form: str) -> None:
    if form == "double":
        blob.double_data.extend(array.ravel().tolist())
    else:
        blob.data.extend(array.ravel().tolist())
    if form in ("new", "double"):
        blob.shape.dim.extend(array.shape)
    else:
        shape = (1,) * (4 - array.ndim) + array.shape
        blob.num, blob.channels, blob.height, blob.width = shape


def caffe(form: str, *, packed: bool) -> bytes:
    """A `.caffemodel`; `form`: new, double (new, with 64-bit blobs), v1 or v0."""
    from caffe_schema import schema

    net = schema(packed=packed).NetParameter(name="small")
    kinds = {"Convolution": (4, "conv"), "ReLU": (18, "relu"), "LRN": (15, "lrn"), "Pooling": (17, "pool"),
             "InnerProduct": (14, "innerproduct"), "SoftmaxWithLoss": (21, "softmax_loss"),
             "Data": (5, "data")}  # fmt: skip
    is_v0 = form == "v0"

    def layer(name: str, kind: str) -> Any:
        number, word = kinds[kind]
        if form in ("new", "double"):
            return net.layer.add(name=name, type=kind)
        made = net.layers.add(bottom=["x"], top=["x"])
        if is_v0:
            made.layer.name, made.layer.type = name, word
            return made.layer
        made.name, made.type = name, number
        return made

    data = layer("data", "Data")
    if is_v0:
        data.scale, data.cropsize = 0.5, PX
    else:
        data.transform_param.scale, data.transform_param.crop_size = 0.5, PX
        data.transform_param.mean_value.extend([10, 20, 30])

    def convolution(name: str, pad: int, group: int) -> None:
        made = layer(name, "Convolution")
        weight, bias = weights()[name]
        if is_v0:
            if pad:  # the first form pads by a layer of its own
                net.layers.remove(net.layers[-1])
                padding = net.layers.add()
                padding.layer.name, padding.layer.type, padding.layer.pad = f"pad_{name}", "padding", pad
                made = layer(name, "Convolution")
            made.num_output, made.kernelsize, made.group, made.stride = weight.shape[0], 3, group, 1
        else:
            settings = made.convolution_param
            settings.num_output, settings.group = weight.shape[0], group
            settings.kernel_size.append(3)
            settings.pad.append(pad)
        _blob(made.blobs.add(), weight, form)
        _blob(made.blobs.add(), bias, form)

    convolution("conv1", 1, 1)
    layer("relu1", "ReLU")
    norm = layer("norm1", "LRN")
    norm = norm if is_v0 else norm.lrn_param
    norm.local_size, norm.alpha, norm.beta = 5, 1e-4, 0.75
    pool = layer("pool1", "Pooling")
    if is_v0:
        pool.pool, pool.kernelsize, pool.stride = 0, 3, 2
    else:
        pool.pooling_param.pool, pool.pooling_param.kernel_size, pool.pooling_param.stride = 0, 3, 2
    convolution("conv2", 0, 2)
    layer("relu2", "ReLU")
    dense = layer("fc3", "InnerProduct")
    (dense if is_v0 else dense.inner_product_param).num_output = 5
    for part in weights()["fc3"]:
        _blob(dense.blobs.add(), part, form)
    layer("loss", "SoftmaxWithLoss")
    content: bytes = net.SerializeToString()
    return content


def mean_image() -> bytes:
    """A `mean.binaryproto` of 3x10x10: 0, 1, 2, ... in blue, then green, then red."""
    from caffe_schema import schema

    blob = schema().BlobProto(num=1, channels=3, height=10, width=10)
    blob.data.extend(range(300))
    content: bytes = blob.SerializeToString()
    return content


def onnx_net(*, raw: bool) -> bytes:
    """An ONNX file as Caffe2 wrote them; `raw`: whether tensors are bytes, as today, or lists of numbers."""
    import onnx
    from onnx import helper, numpy_helper

    tensors = []
    for name, (weight, bias) in weights().items():
        for part, array in (("w", weight), ("b", bias)):
            made = (
                numpy_helper.from_array(array, f"{name}_{part}_0")
                if raw
                else helper.make_tensor(
                    f"{name}_{part}_0", onnx.TensorProto.FLOAT, array.shape, array.ravel().tolist()
                )
            )
            tensors.append(made)
    tensors.append(numpy_helper.from_array(np.array([1, 8], np.int64), "shape"))
    node = helper.make_node
    nodes = [
        node("Conv", ["data_0", "conv1_w_0", "conv1_b_0"], ["conv1_1"], "", strides=[1, 1], pads=[1, 1, 1, 1],
             kernel_shape=[3, 3]),
        node("Relu", ["conv1_1"], ["conv1_2"]),
        node("LRN", ["conv1_2"], ["norm1_1"], size=5, alpha=1e-4, beta=0.75, bias=1.0),
        node("MaxPool", ["norm1_1"], ["pool1_1"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        node("Conv", ["pool1_1", "conv2_w_0", "conv2_b_0"], ["conv2_1"], kernel_shape=[3, 3], group=2),
        node("Relu", ["conv2_1"], ["conv2_2"]),
        node("Reshape", ["conv2_2", "shape"], ["OC2_DUMMY_0"]),
        node("Gemm", ["OC2_DUMMY_0", "fc3_w_0", "fc3_b_0"], ["fc3_1"], transB=1),
        node("Softmax", ["fc3_1"], ["prob_1"]),
    ]  # fmt: skip
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "small", [value("data_0", 1, [1, 3, PX, PX])], [value("prob_1", 1, [1, 5])], tensors
    )
    model = helper.make_model(graph, producer_name="onnx-caffe2", opset_imports=[helper.make_opsetid("", 9)])
    model.ir_version = 4
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def keras_nets(folder: Path) -> None:
    """`keras3.keras`, `keras3-legacy.h5` and `keras3.weights.h5`."""
    import keras

    layers = keras.layers
    net = keras.Sequential(
        [
            layers.Input((PX, PX, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.ZeroPadding2D(1),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(2, 3, groups=2, name="second"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax", name="last"),
        ]
    )
    given = weights(ceil=False)
    for name, ours in (("first", "conv1"), ("second", "conv2")):
        weight, bias = given[ours]
        net.get_layer(name).set_weights([weight.transpose(2, 3, 1, 0), bias])
    weight, bias = given["fc3"]  # maps of 1x1: flattened alike in either order
    net.get_layer("last").set_weights([weight.T, bias])
    net.save(folder / "keras3.keras")
    net.save(folder / "keras3-legacy.h5")
    net.save_weights(folder / "keras3.weights.h5")


def matconvnet(path: Path) -> None:
    """A net as utils/import-caffe.py of MatConvNet writes it."""
    import scipy.io

    given = weights()

    def cell(*values: Any) -> np.ndarray:
        made = np.empty((1, len(values)), object)
        for index, value in enumerate(values):
            made[0, index] = value
        return made

    def row(*numbers: float) -> np.ndarray:
        return np.array([numbers], float)

    def conv(name: str, pad: int, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
        weight, bias = given[name]
        filters = (weight if shape is None else weight.reshape(shape)).transpose(2, 3, 1, 0)
        return {"name": name, "type": "conv", "weights": cell(filters, bias.reshape(1, -1)),
                "pad": row(*[pad] * 4), "stride": row(1, 1)}  # fmt: skip

    layers = cell(
        conv("conv1", 1),
        {"name": "relu1", "type": "relu"},
        {"name": "norm1", "type": "normalize", "param": row(5, 1, 2e-5, 0.75)},
        {"name": "pool1", "type": "pool", "method": "max", "pool": row(3, 3), "stride": row(2, 2),
         "pad": row(0, 1, 0, 1)},
        conv("conv2", 0),
        {"name": "relu2", "type": "relu"},
        conv("fc3", 0, (5, 2, 2, 2)),
        {"name": "prob", "type": "softmax"},
    )  # fmt: skip
    normalisation = {
        "imageSize": row(PX, PX, 3),
        "averageImage": np.arange(192, dtype=np.float32).reshape(8, 8, 3),
        "keepAspect": False,
    }
    names = cell("tench, Tinca tinca", "goldfish", "shark", "ray", "cock")
    net = {"layers": layers, "normalization": normalisation, "classes": {"description": names}}
    scipy.io.savemat(path, net, oned_as="row", do_compression=True)


def main() -> None:
    sys.path.insert(0, str(HERE))
    (HERE / "caffe-new.caffemodel").write_bytes(caffe("new", packed=True))
    (HERE / "caffe-double.caffemodel").write_bytes(caffe("double", packed=False))
    (HERE / "caffe-v1.caffemodel").write_bytes(caffe("v1", packed=True))
    (HERE / "caffe-v0.caffemodel").write_bytes(caffe("v0", packed=False))
    (HERE / "caffe-mean.binaryproto").write_bytes(mean_image())
    (HERE / "onnx-caffe2.onnx").write_bytes(onnx_net(raw=True))
    (HERE / "onnx-numbers.onnx").write_bytes(onnx_net(raw=False))
    matconvnet(HERE / "matconvnet.mat")
    keras_nets(HERE)


if __name__ == "__main__":
    main()
