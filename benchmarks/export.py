"""What exports are worth: differences, sizes, int8's accuracy, and speed beside PyTorch.

    python benchmarks/export.py MODEL=DATA ... [--mxnet PYTHON] [--photographs FOLDER] [--out ...results/export.json]

MODEL is a run folder, a .safetensors file or the name of weights that ship; DATA a source or folder whose test images
all exports are compared on. PYTHON is that of an environment with MXNet 1.9.1, which then loads what was written for
it and computes. Times are CPU time on one thread, the median of turns taken one after the other, as the machine may
have other work; from normalised tensors to logits, and for the whole graph from squares of bytes to probabilities.
FOLDER holds full-size JPEGs: for each MODEL the whole graph, given all pixels, beside `predict` given the same pixels
and given the file, which is decoded at a fraction of its size; then the graph is given those pixels.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from alexnet import runtime
from alexnet.data import decode_image
from alexnet.errors import UserError
from alexnet.evaluation import Classifier, load
from alexnet.export import export, network
from alexnet.export.images import find_images
from alexnet.files import write_json

TURNS, LEAST_S, BATCH = 5, 0.3, 64
FORMATS = {
    "onnx": "net.onnx",
    "pt2": "net.pt2",
    "hf": "hub",
    "mxnet": "net.params",
    "safetensors": "net.safetensors",
    "torchvision": "net.pth",
}
MXNET = """
import json, sys
import mxnet, numpy
record, params, given, found = sys.argv[1:]
scope = {}
exec(json.load(open(record))["net.params"]["gluon"], scope)
scope["net"].load_parameters(params)
numpy.save(found, scope["net"](mxnet.nd.array(numpy.load(given))).asnumpy())
print(mxnet.__version__)
"""


def measure(model: str, data: str, mxnet: str | None, photographs: Path | None, folder: Path) -> dict[str, Any]:
    classifier = load(model, device="cpu")
    found: dict[str, Any] = {"network": classifier.card.model, "classes": len(classifier.class_names)}
    for to, name in FORMATS.items():
        with contextlib.suppress(UserError) if to == "torchvision" else contextlib.nullcontext():
            record = export(
                classifier, folder / name, to=to, data=data, int8=has_classes(classifier, data) and to == "onnx"
            ).record
            found[to] = {key: record[key] for key in ("bytes", "compared", "on", "top1", "int8") if key in record}
            print(model, to, record["compared"], flush=True)
    export(classifier, folder / "plain.onnx", to="onnx", data=data, plain=True)
    images = find_images(classifier.card, data, None)
    few = images.squares(classifier.card.preprocessing).take(torch.arange(BATCH))
    if mxnet:
        found["mxnet"]["read_by_mxnet"] = by_mxnet(mxnet, folder, classifier, network.normalized(classifier, few))
    if photographs:
        found["photographs"] = on_photographs(classifier, photographs, folder / "net.onnx")
    found["cpu_ms_per_image"] = speeds(classifier, few, folder)
    return found


def on_photographs(classifier: Classifier, folder: Path, graph: Path) -> dict[str, Any]:
    """Greatest differences of probabilities, and first answers."""
    run, K = session(graph).run, len(classifier.class_names)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
    found: dict[str, Any] = {"n": len(files)}
    side_px = classifier.card.preprocessing.square_px
    for what in ("pixels", "file", "file, both decoded at a fraction"):
        differences, others = [], 0
        for file in files:
            image_px = side_px if what.endswith("fraction") else None
            pixels_HWC = np.asarray(decode_image(file, image_px=image_px).convert("RGB"))
            p_K = run(None, {"image": pixels_HWC[None]})[0][0]
            classes = dict(classifier.predict(pixels_HWC if what == "pixels" else file, top=K).classes)
            expected_K = np.array([classes[name] for name in classifier.class_names])
            differences.append(float(np.abs(p_K - expected_K).max()))
            others += int(p_K.argmax() != expected_K.argmax())
        found[f"given the {what}"] = {
            "greatest_difference": max(differences),
            "mean_difference": statistics.fmean(differences),
            "other_first_answers": others,
        }
    return found


def has_classes(classifier: Classifier, data: str) -> bool:
    return find_images(classifier.card, data, None).labels_N is not None


def by_mxnet(python: str, folder: Path, classifier: Classifier, x_NCHW: torch.Tensor) -> dict[str, Any]:
    np.save(folder / "x.npy", x_NCHW.numpy())
    words = [folder / "export.json", folder / "net.params", folder / "x.npy", folder / "y.npy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", MXNET, *map(str, words)], check=True, capture_output=True, text=True, env=environment
    )
    expected, y_NK = network.logits(classifier, x_NCHW), torch.from_numpy(np.load(folder / "y.npy"))
    return {
        "mxnet": done.stdout.strip(),
        "n": len(x_NCHW),
        "greatest_difference": float((y_NK - expected).abs().max()),
        "other_first_answers": int((y_NK.argmax(1) != expected.argmax(1)).sum()),
    }


def speeds(classifier: Classifier, few: Any, folder: Path) -> dict[str, Any]:
    x_NCHW = network.normalized(classifier, few)
    last_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
    pixels_NHWC = few.pixels_NHWC.expand(*few.pixels_NHWC.shape[:3], 3).contiguous().numpy()
    plain, whole = session(folder / "plain.onnx"), session(folder / "net.onnx")
    contenders: dict[str, Callable[[int], Any]] = {
        "torch, logits": lambda n: classifier.model(last_NCHW[:n]),
        "onnxruntime, logits": lambda n: plain.run(None, {"x": x_NCHW[:n].numpy()}),
        "torch, probabilities": lambda n: network.probabilities(classifier, few if n > 1 else one),
        "onnxruntime, probabilities": lambda n: whole.run(None, {"image": pixels_NHWC[:n]}),
    }
    one = few.take(torch.arange(1))
    if (folder / "net.int8.onnx").exists():
        small = session(folder / "net.int8.onnx")
        contenders["onnxruntime int8, probabilities"] = lambda n: small.run(None, {"image": pixels_NHWC[:n]})
    turns: dict[str, list[float]] = {}
    with torch.inference_mode():
        for batch in (1, BATCH):
            for turn in range(TURNS + 1):
                for name, run in contenders.items():
                    took = cpu_ms(run, batch)
                    if turn:  # the first warms up
                        turns.setdefault(f"{name}, batch {batch}", []).append(took)
    return {name: {"median": statistics.median(each), "turns": each} for name, each in turns.items()}


def cpu_ms(run: Callable[[int], Any], batch: int) -> float:
    begin, count = time.process_time(), 0
    while time.process_time() - begin < LEAST_S:
        run(batch)
        count += batch
    return 1000 * (time.process_time() - begin) / count


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="MODEL=DATA")
    parser.add_argument("--mxnet", metavar="PYTHON")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "export.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    values: dict[str, Any] = {
        "command": "python benchmarks/export.py MODEL=DATA ... --mxnet PYTHON",
        "environment": {**runtime.environment(runtime.choose("cpu", "fp32")), "threads": 1},
        "onnxruntime": onnxruntime.__version__,
        "networks": {},
    }
    if args.out.exists():
        values["networks"] = json.loads(args.out.read_text(encoding="utf-8"))["networks"]
    for case in args.cases:
        model, _, data = case.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            found = measure(model, data, args.mxnet, args.photographs, Path(folder))
        name = Path(model).name.removesuffix(".safetensors")
        found["data"] = Path(data).name
        values["networks"][name] = json.loads(json.dumps(found).replace(data, Path(data).name))
        write_json(args.out, values)


if __name__ == "__main__":
    main()
