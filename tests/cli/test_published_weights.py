"""The tutorial's published weights give the accuracy an independent implementation measured for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_convert_and_evaluate(alexnet, test_data: Path, cifar10_jpeg: Path, tmp_path: Path) -> None:
    done = alexnet(
        "convert",
        test_data / "TinyAlex.params",
        tmp_path / "tiny.safetensors",
        "--model",
        "tiny_alexnet",
        "--classes",
        "cifar10",
    )
    assert done.returncode == 0, done.stderr
    measured = alexnet("evaluate", tmp_path / "tiny.safetensors", "--data", cifar10_jpeg, "--json")
    assert measured.returncode == 0, measured.stderr
    values = json.loads(measured.stdout)
    assert values["n"] == 10_000
    assert values["top1"] == 0.7147
    assert round(values["loss"], 4) == 1.6504
