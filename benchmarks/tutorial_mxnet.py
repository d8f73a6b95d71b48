"""The tutorial's training run in the framework it was written for, to set beside `alexnet train tutorial_tiny`.

MXNet 1.9.1 needs numpy below 1.24, so it has an environment of its own (Python 3.11):

    python -m venv .venv-mxnet
    .venv-mxnet/bin/pip install mxnet==1.9.1 numpy==1.23.5 pillow
    .venv-mxnet/bin/python benchmarks/tutorial_mxnet.py --data cifar10-jpeg --recipe tutorial_tiny --out mxnet.json

`--data` is a folder of images, `train/<class>/*` and `test/<class>/*`, all of one size. Nothing of the package
`alexnet` is imported: what is compared here must not share code.

The arithmetic is the tutorial's. Each loss is a sum over the batch: `backward` on the vector of losses adds their
gradients up, and `trainer.step(batch_size)` divides by the batch size. The last batch of an epoch is short and
still divided by the full size (50,000 = 781 x 64 + 16). Weight decay is added to the gradient of every parameter,
biases too. Pixels are scaled to 0..1 and nothing else. One thing is done another way, with the same result: batches
are taken from arrays in memory instead of through Gluon's `DataLoader`, which converts image by image; `train_s`
therefore flatters MXNet rather than the other side.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path

import mxnet as mx
import numpy as np
import PIL
from mxnet import autograd, gluon, init, nd
from PIL import Image


@dataclass(frozen=True)
class Settings:
    """What the tutorial's two runs differ in."""

    epochs: int
    batch_size: int
    lr: float
    wd: float
    momentum: float


RECIPES = {
    "tutorial_tiny": Settings(epochs=10, batch_size=64, lr=0.03, wd=0.001, momentum=0.0),
    "tutorial_tiny_momentum": Settings(epochs=100, batch_size=256, lr=0.01, wd=0.001, momentum=0.9),
}


def tiny_alexnet(classes: int) -> gluon.nn.Sequential:
    """TinyAlexNet, its weights from Gluon's Xavier (uniform, variance 2 / (fan_in + fan_out)) and biases 0."""
    net = gluon.nn.Sequential()
    net.add(
        gluon.nn.Conv2D(32, kernel_size=5, padding=2, activation="relu"),
        gluon.nn.MaxPool2D(pool_size=2, strides=2),
        gluon.nn.Conv2D(32, kernel_size=3, padding=1, activation="relu"),
        gluon.nn.Conv2D(32, kernel_size=3, padding=1, activation="relu"),
        gluon.nn.MaxPool2D(pool_size=2, strides=2),
        gluon.nn.Dense(256, activation="relu"),
        gluon.nn.Dropout(0.5),
        gluon.nn.Dense(256, activation="relu"),
        gluon.nn.Dropout(0.5),
        gluon.nn.Dense(classes),
    )
    net.initialize(init.Xavier())
    return net


def train_epoch(net, trainer, x_NCHW, y_N, batch_size: int, order_N) -> float:
    """One pass over the images in the order given; returns the mean loss met on the way."""
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    total_loss = 0.0
    for start in range(0, len(order_N), batch_size):
        index_B = order_N[start : start + batch_size]
        x_BCHW, y_B = nd.array(x_NCHW[index_B]), nd.array(y_N[index_B])
        with autograd.record():
            loss_B = loss(net(x_BCHW), y_B)
        loss_B.backward()
        trainer.step(batch_size)
        total_loss += float(loss_B.sum().asscalar())
    return total_loss / len(order_N)


def evaluate(net, x_NCHW, y_N, batch_size: int = 500) -> tuple[float, float]:
    """Top-1 and mean cross-entropy, dropout off."""
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    hits, total_loss = 0, 0.0
    for start in range(0, len(y_N), batch_size):
        y_B = y_N[start : start + batch_size]
        scores_BK = net(nd.array(x_NCHW[start : start + batch_size]))
        hits += int((scores_BK.asnumpy().argmax(1) == y_B).sum())
        total_loss += float(loss(scores_BK, nd.array(y_B)).sum().asscalar())
    return hits / len(y_N), total_loss / len(y_N)


def read_split(folder: Path, limit: int | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The images of `folder`/<class>/* as fp32 [N, 3, H, W] in 0..1, their labels as fp32 [N], and the class names.

    Classes take turns, so that the first `limit` images are of all classes.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    by_class = [[(path, label) for path in sorted((folder / name).iterdir())] for label, name in enumerate(names)]
    turns = [item for item in chain.from_iterable(zip_longest(*by_class)) if item is not None][:limit]
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(_read_image, (path for path, _ in turns)))
    x_NCHW = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32, order="C") / np.float32(255)
    return x_NCHW, np.array([label for _, label in turns], np.float32), names


def _read_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def cpu_model() -> str:
    """The processor's name, as Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/<class>/* and test/<class>/*")
    parser.add_argument("--recipe", choices=RECIPES, default="tutorial_tiny")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="first images of each split, for a quick check")
    parser.add_argument("--out", type=Path, required=True, help="JSON file, rewritten after each epoch")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings = RECIPES[arguments.recipe]
    epochs = arguments.epochs or settings.epochs
    mx.random.seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    x_train, y_train, names = read_split(arguments.data / "train", arguments.limit)
    x_test, y_test, test_names = read_split(arguments.data / "test", arguments.limit)
    if names != test_names:
        sys.exit(f"{arguments.data}: train and test hold different classes")
    net = tiny_alexnet(len(names))
    optimizer = {"learning_rate": settings.lr, "wd": settings.wd, "momentum": settings.momentum}
    trainer = gluon.Trainer(net.collect_params(), "sgd", optimizer)
    result = {
        "command": f"python benchmarks/tutorial_mxnet.py --data DATA --recipe {arguments.recipe} "
        f"--seed {arguments.seed} --epochs {epochs} --out OUT",
        "recipe": arguments.recipe,
        "settings": asdict(settings) | {"epochs": epochs},
        "seed": arguments.seed,
        "n_train": len(y_train),
        "n_test": len(y_test),
        "versions": {
            "python": platform.python_version(),
            "mxnet": mx.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        },
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "epochs": [],
    }
    for epoch in range(1, epochs + 1):
        start_s = time.perf_counter()
        order_N = rng.permutation(len(y_train))
        train_loss = train_epoch(net, trainer, x_train, y_train, settings.batch_size, order_N)
        train_s = time.perf_counter() - start_s  # evaluation left out
        test_top1, test_loss = evaluate(net, x_test, y_test)  # to draw the curve; nothing is chosen by it
        row = {
            "epoch": epoch,
            "train_loss": round(train_loss, 6),
            "test_top1": test_top1,
            "test_loss": round(test_loss, 6),
            "train_s": round(train_s, 3),
            "images_per_s": round(len(y_train) / train_s, 1),
        }
        result["epochs"].append(row)
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
