from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_export_compares_on_what_the_run_was_trained_with(alexnet, digits_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    done = alexnet("export", digits_run, tmp_path / "net.onnx", "--to", "onnx")
    assert done.returncode == 0, done.stderr
    assert "net.onnx: " in done.stdout
    assert "359 of 359 first answers the same, on 359 test images of digits" in done.stdout
    result = json.loads((digits_run / "result.json").read_text())
    assert f"top-1 {result['test_top1']:.4f} on 359 test images of digits" in done.stdout


def test_export_says_where_test_images_are_missing(alexnet, tmp_path: Path) -> None:
    done = alexnet("export", "lenet_fashion", tmp_path / "net.params", "--to", "mxnet", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["on_test_images"] is False
    done = alexnet("export", "lenet_fashion", tmp_path / "net.params", "--to", "mxnet")
    assert done.returncode == 2
    assert "exists: name another place, or pass --overwrite" in done.stderr
