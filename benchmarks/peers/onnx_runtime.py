# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "onnx", "onnxscript", "onnxruntime"]
#
# [[tool.bench]]
# name = "ONNX Runtime, fp32"
# tasks = ["evaluate_memory", "latency"]
# ///
"""ONNX Runtime on the CPU, with the network exported by `torch.onnx.export(dynamo=True)`.

After PyTorch's "Export a PyTorch model to ONNX" and ONNX Runtime's notes on threads and graph optimisation (all of
them, its default). Scaling is part of the exported graph, which takes uint8 pixels [N, H, W, C] as they lie in
memory, so that it, too, is optimised. fp32, as trained.
"""

import io

import numpy as np
import onnxruntime as ort
import torch
from _common import MEAN, STD, Clock, arguments, images_per_s, latency_ms, report
from _tiny_alexnet import tiny_alexnet
from torch import nn

BATCH = 500


class FromPixels(nn.Module):
    """TinyAlexNet with its scaling before it and softmax behind."""

    def __init__(self):
        super().__init__()
        self.model = tiny_alexnet()
        self.register_buffer("scale_C", 1 / (255 * torch.tensor(STD)))
        self.register_buffer("shift_C", -torch.tensor(MEAN) / torch.tensor(STD))

    def forward(self, pixels_NHWC):
        x = pixels_NHWC.float() * self.scale_C + self.shift_C
        return self.model(x.permute(0, 3, 1, 2)).softmax(1)


def session(threads):
    example = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)  # two, or the number of images would be fixed
    program = torch.onnx.export(
        FromPixels().eval(), (example,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False
    )
    file = io.BytesIO()
    program.save(file)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])


def evaluation_passes(classify, x_NHWC, y_N):
    while True:
        correct, loss = 0, 0.0
        for start in range(0, len(y_N), BATCH):
            p_NK, y = classify(x_NHWC[start : start + BATCH]), y_N[start : start + BATCH]
            loss -= float(np.log(p_NK[np.arange(len(y)), y]).sum())
            correct += int((p_NK.argmax(1) == y).sum())
        yield len(y_N)


def main():
    args = arguments()
    images = np.load(args.arrays)
    x_NHWC, y_N = images["x_test"], images["y_test"]
    run = session(args.threads)
    name = run.get_inputs()[0].name

    def classify(pixels_NHWC):
        return run.run(None, {name: pixels_NHWC})[0]

    if args.task == "latency":
        figure = {"latency_ms": latency_ms(lambda: classify(x_NHWC[:1])[0].argsort()[::-1][:5], args.seconds)}
    else:
        figure = {"images_per_s": images_per_s(evaluation_passes(classify, x_NHWC, y_N), Clock(args.seconds))}
    report(["onnxruntime", "onnx", "onnxscript", "torch", "numpy"], **figure)


if __name__ == "__main__":
    main()
