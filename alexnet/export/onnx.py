"""ONNX: a graph from pictures to calibrated probabilities, or from normalised tensors to logits.

The whole graph: `image`, uint8 [N, H, W, 3], RGB of any size -> `probabilities`, float32 [N, K]. The plain one: `x`,
float32 [N, C, H, W] of the network's size -> `logits`, float32 [N, K]. Class names are the metadata `classes`, JSON.
"""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexnet.export import network
from alexnet.export.compare import accuracy, compare
from alexnet.export.images import BATCH_SIZES, CheckImages, calibration_images
from alexnet.export.job import Job, Run, exporting, require
from alexnet.export.onnx_image import OPSET, Builder, add_preprocessing

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_IR_VERSION = 10


def write(job: Job, out: Path) -> dict[str, Any]:
    """Write the graph to `out`, and compare it with the package on all images.

    Raises:
        UserError: a package is missing, or the graph's answers differ.
    """
    require("export", *_PACKAGES)
    import onnx

    plain = plain_graph(job)
    if job.plain:
        _save(plain, out)
        found_NK = job.compare_logits("logits", _runner(out, "x"), BATCH_SIZES)
        top1 = accuracy(found_NK, job.images.labels_N)
        return {"graph": "plain", "opset": OPSET, "response_norm": _norm(job), "top1": top1}
    _save(whole_graph(job, plain), out)
    found = check_whole(job, out)
    onnx.checker.check_model(str(out))
    return {
        "graph": "whole",
        "opset": OPSET,
        "response_norm": _norm(job),
        "top1": accuracy(found, job.images.labels_N),
        "top1_here": accuracy(job.probabilities, job.images.labels_N),
    }


def write_int8(job: Job, fp32: Path, out: Path) -> dict[str, Any]:
    """Write an int8 form of the same graph to `out`; its accuracy stands beside that of fp32.

    Weights and activations are quantised statically, calibrated on images that are none of the test images.

    Args:
        job: as of `write`.
        fp32: what `write` wrote.
        out: the file.

    Raises:
        UserError: the images are no labelled data set's.
    """
    from alexnet.export.quantize import quantized

    x_NCHW = network.normalized(job.classifier, calibration_images(job.classifier.card, job.images))
    plain = quantized(plain_graph(job), x_NCHW.numpy())
    _save(plain if job.plain else whole_graph(job, plain), out)
    expected_NK = job.probabilities
    if job.plain:
        run, parts = _runner(out, "x"), job.images.parts(job.classifier.card.preprocessing)
        found_NK = torch.cat([run(network.normalized(job.classifier, part)).softmax(1) for part in parts])
    else:
        found_NK = run_whole(out, job.images, 64)
    return {
        "bytes": out.stat().st_size,
        "calibrated_on": f"{len(x_NCHW)} images that are none of those",
        "images": job.images.what,
        "top1": accuracy(found_NK, job.images.labels_N),
        "top1_fp32": accuracy(expected_NK, job.images.labels_N),
        "same_first_answers": float((found_NK.argmax(1) == expected_NK.argmax(1)).double().mean()),
        "greatest_difference": float((found_NK - expected_NK).abs().max()),
        "fp32_bytes": fp32.stat().st_size,
    }


def plain_graph(job: Job) -> Any:
    """The network alone as an ONNX model."""
    import onnx

    model = network.prepared(job.classifier, operators=not job.decompose)
    with warnings.catch_warnings(), _quiet(), exporting("ONNX"):
        warnings.simplefilter("ignore")  # the exporter's, about its own parts
        program = torch.onnx.export(
            model,
            (network.example_input(job.classifier),),
            dynamo=True,
            input_names=["x"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto: Any = program.model_proto
    proto.ir_version = _IR_VERSION
    for node in proto.graph.node:  # where in the source each came from
        del node.metadata_props[:]
        node.doc_string = ""
    del proto.graph.metadata_props[:]
    _describe(job, proto)
    onnx.checker.check_model(proto)
    return proto


def whole_graph(job: Job, plain: Any) -> Any:
    """Preprocessing, the network `plain` and the calibrated softmax as one ONNX model."""
    import onnx
    from onnx import TensorProto, helper

    how = job.classifier.card.preprocessing
    g = Builder()
    scale, shift = network.scale_and_shift(job.classifier)
    add_preprocessing(g, "image", "x", how, scale, shift)
    before = list(g.nodes)
    g.nodes.clear()
    temperature = network.facts(job.classifier)["temperature"]
    g("Softmax", g("Div", "logits", g.constant(temperature, np.float32)), name="probabilities", axis=-1)
    graph = helper.make_graph(
        [*before, *plain.graph.node, *g.nodes],
        "alexnet",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(job.classifier.class_names)])],
        [*plain.graph.initializer, *g.constants],
        value_info=list(plain.graph.value_info),
    )
    proto = helper.make_model(
        graph,
        opset_imports=list(plain.opset_import),
        ir_version=plain.ir_version,
        functions=list(plain.functions),
    )
    _describe(job, proto)
    onnx.checker.check_model(proto)
    return proto


def check_whole(job: Job, out: Path) -> Tensor:
    """Compare probabilities of pictures in their own sizes at every batch size, and of resized ones.

    Returns:
        Probabilities [N, K] of all images.

    Raises:
        UserError: they differ.
    """
    found = [(size, run_whole(out, job.images, size)) for size in BATCH_SIZES]
    job.check(compare("probabilities", job.images.what, job.probabilities, found))
    if job.images.have_one_size():
        others = job.images.in_other_shapes()
        expected_NK = network.probabilities(job.classifier, others.squares(job.classifier.card.preprocessing))
        job.check(compare("probabilities", others.what, expected_NK, [(7, run_whole(out, others, 7))]))
    return found[0][1]


def run_whole(path: Path, images: CheckImages, batch_size: int) -> Tensor:
    """Probabilities [N, K] by ONNX Runtime, in the images' order."""
    run = _runner(path, "image")
    parts, places = [], []
    for positions, pixels_NHWC in images.batches(batch_size):
        places += positions
        parts.append(run(torch.from_numpy(pixels_NHWC)))
    outputs_NK = torch.cat(parts)
    return torch.empty_like(outputs_NK).index_copy_(0, torch.tensor(places), outputs_NK)


def _runner(path: Path, name: str) -> Run:
    """A function from one batch to the first output of the graph at `path`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def _describe(job: Job, proto: Any) -> None:
    from onnx import helper

    from alexnet import __version__

    values = network.facts(job.classifier)
    proto.producer_name, proto.producer_version = "alexnet", __version__
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
    }
    helper.set_model_props(proto, texts)


def _norm(job: Job) -> str | None:
    if not network.has_response_norm(job.classifier):
        return None
    return "decomposed" if job.decompose else "LRN"


def _save(proto: Any, out: Path) -> None:
    out.write_bytes(proto.SerializeToString())


class _quiet:  # noqa: N801 - used as a context
    """The exporter's remarks about its passes are kept back; errors are not."""

    def __enter__(self) -> None:
        self._loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
