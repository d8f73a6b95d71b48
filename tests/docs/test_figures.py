"""The tutorial's figures are those of the files it cites, to as many digits as it gives."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@cache
def study(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((ROOT / "studies" / name / "study.json").read_text(encoding="utf-8"))
    return values


@cache
def result(name: str) -> dict[str, Any]:
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def arm(name: str, which: str, *figures: str, times: float = 100) -> list[float]:
    """Means of figures of one arm; in per cent."""
    [found] = [each for each in study(name)["arms"] if each["name"] == which]
    return [times * found["figures"][figure]["mean"] for figure in figures]


def compared(name: str, at: int, times: float = 100) -> list[float]:
    """Mean and interval of a comparison; in percentage points."""
    row = study(name)["comparisons"][at]
    return [times * value for value in (row["mean"], *row["interval"])]


def top1(name: str) -> list[float]:
    return [result(name).get("test_top1_mean") or result(name)["top1"]]


def baseline(name: str) -> list[float]:
    return [result(f"baseline-{name}")["result"]["test_top1"]]


def first(values: list[float]) -> list[float]:
    return values[:1]


# What stands in a row of a table or in a sentence, up to the numbers, and what the numbers must be.
FIGURES: list[tuple[str, str, list[float]]] = [
    ("1-features", "difference of", compared("features", 0)),
    ("1-features", "the network's error is", arm("features", "net-45000", "error")),
    ("1-features", "that of HOG and colours", arm("features", "hog-color-linear-45000", "error")),
    ("1-features", "other way round,", arm("features", "net-500", "error")),
    ("1-features", "for the network and", arm("features", "hog-color-linear-500", "error")),
    *(
        ("1-features", f"| {row} |", baseline(name))
        for row, name in (
            ("the pixels, nearest neighbour", "pixels_knn"),
            ("HOG, linear SVM", "hog_linear"),
            ("HOG and colours, linear SVM", "hog_color_linear"),
            ("HOG and colours, SVM with a Gaussian kernel", "hog_rbf"),
            ("visual words, linear SVM", "visual_words"),
            ("k-means features, linear SVM", "kmeans_features"),
        )
    ),
    *(
        ("2-hierarchy", f"| {row} |", arm("hierarchy", "net", key))
        for row, key in (
            ("the pixels", "pixels"),
            ("convolution 1", "conv1"),
            ("convolution 2", "conv2"),
            ("convolution 3", "conv3"),
            ("dense layer 4", "fc4"),
            ("dense layer 5", "fc5"),
        )
    ),
    ("2-hierarchy", "to\nedges:", compared("hierarchy", 0)),
    *(
        ("3-networks", f"| {row} |", arm("depth", name, "test_error"))
        for row, name in (
            ("LeNet", "lenet"),
            ("TinyAlexNet", "tiny"),
            ("eight layers", "whole"),
            ("eight layers, without conv2", "conv2"),
            ("without conv3", "conv3"),
            ("without conv4", "conv4"),
            ("without conv5", "conv5"),
        )
    ),
    ("3-networks", "higher, by", [*first(compared("depth", 3)), *first(compared("depth", 2))]),
    *(
        ("4-cost", f"| {row} |", arm("cost", name, "parameters", "macs", "ms", "memory_mib", times=1))
        for row, name in (
            ("LeNet", "lenet"),
            ("TinyAlexNet", "tiny-alexnet"),
            ("AlexNet, the tutorial's", "alexnet"),
            ("AlexNet, the paper's", "alexnet-2012"),
        )
    ),
    ("4-cost", "at 224 pixels\ntakes", compared("cost", 0, times=1)),
    *(
        (
            "5-relu",
            f"| {row} |",
            [*arm("saturation", f"relu-{name}", "error"), *arm("saturation", f"sigmoid-{name}", "error")],
        )
        for row, name in (("deviation 0.01", "gaussian"), ("Glorot's", "xavier"), ("He's", "kaiming"))
    ),
    *(
        ("5-relu", f"| {name} |", arm("activation", name.lower(), "epochs", times=1))
        for name in ("ELU", "tanh", "ReLU")
    ),
    ("5-relu", "tanh needs", compared("activation", 0, times=1)),
    ("5-relu", "learning rate of 1,", arm("saturation", "lr-1", "dead")),
    ("6-dropout", "again and again:\n", compared("dropout", 2)),
    *(
        (
            "6-dropout",
            f"| {row} |",
            [*arm("dropout", "none", key, times=times), *arm("dropout", "half", key, times=times)],
        )
        for row, key, times in (
            ("test error", "test_error", 100),
            ("training error", "train_error", 100),
            ("test minus training error", "gap", 100),
            ("epochs to converge", "epochs", 1),
        )
    ),
    ("6-dropout", "the gap by", compared("dropout", 0)),
    ("6-dropout", "price is time:", compared("dropout", 1, times=1)),
    *(
        ("7-augmentation", f"| {row} |", arm("augmentation", name, "test_error", "train_error", "gap"))
        for row, name in (
            ("none", "none"),
            ("flips", "flips"),
            ("crops", "crops"),
            ("crops and flips", "both"),
            ("crops, flips and colours", "all"),
        )
    ),
    ("7-augmentation", "Crops take\n", compared("augmentation", 0)),
    ("7-augmentation", "off that (9.3 to 11.4), flips", compared("augmentation", 1)),
    ("7-augmentation", "Shifts of colour add", compared("augmentation", 2)),
    *(
        ("8-data", f"| {row} |", arm("data", name, "error"))
        for row, name in (("500", "n500"), ("2,000", "n2000"), ("8,000", "n8000"), ("45,000", "n45000"))
    ),
    ("8-data", "the difference is", compared("towers", 0)),
    ("8-data", "errs less than both:", [*arm("towers", "one", "test_error"), *arm("towers", "two", "test_error")]),
    ("9-cifar", "| `tutorial_tiny`: the tutorial's code | 10 |", top1("tutorial_tiny")),
    ("9-cifar", "| `tutorial_tiny_momentum`: the author's longer run | 100 |", top1("tutorial_tiny_momentum")),
    ("9-cifar", "| the author's published weights | |", top1("published_weights")),
    ("9-cifar", "| `tiny_cifar10`: the same network | 10 |", top1("tiny_cifar10")),
    ("9-cifar", "| `tiny_cifar10_best`: the same network at its best | 110 |", top1("tiny_cifar10_best")),
    ("9-cifar", "| `cifar_alexnet_best`: eight layers | 52 |", top1("cifar_alexnet_best")),
    (
        "9-cifar",
        "three epochs, and",
        [result("time_to_accuracy")["wall_s_median"]],
    ),
    ("9-cifar", "comes out at", [result("time_to_accuracy")["test_top1_mean"]]),
    (
        "10-later",
        "`normalisation` finds",
        [*arm("normalisation", "response", "test_error"), *arm("normalisation", "none", "test_error")],
    ),
    ("10-later", "of 2015, reaches", arm("normalisation", "batch", "test_error")),
    (
        "10-later",
        "It **holds**:",
        arm("weight_decay", "paper", "train_error"),
    ),
    ("10-later", "with 0.0005,", arm("weight_decay", "none", "train_error")),
    ("10-later", "without, a difference of", compared("weight_decay", 0)),
    ("10-later", "so short a training,", arm("weight_decay", "more", "train_error")),
    ("10-later", "windows of 2: a difference of", compared("pooling", 0)),
    ("10-later", "one network errs on", arm("views", "net", "views_1")),
    ("10-later", "mirror image", arm("views", "net", "views_2")),
    ("10-later", "with ten views", arm("views", "net", "views_10")),
    ("10-later", "networks bring", arm("views", "net", "ensemble")),
]


@pytest.mark.parametrize(("chapter", "before", "values"), FIGURES)
def test_a_figure_is_that_on_file(chapter: str, before: str, values: list[float]) -> None:
    text = (ROOT / "docs" / "tutorial" / f"{chapter}.md").read_text(encoding="utf-8")
    _, found, after = text.partition(before)
    assert found, f"nothing says {before!r}"
    said = re.findall(r"-?\d[\d,]*(?:\.\d+)?", after)[: len(values)]
    for shown, value in zip(said, values, strict=True):
        digits = len(shown.partition(".")[2])
        half = 0.5 * 10**-digits if digits or value < 500 else 0.5
        assert abs(float(shown.replace(",", "")) - value) <= half * 1.001, (shown, value)
