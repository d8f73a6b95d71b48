"""Limits that cannot be, and packages that are missing, are named before anything starts."""

from __future__ import annotations

import importlib.util

import pytest

from alexnet import serving
from alexnet.errors import UserError
from alexnet.serving import Settings


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"top": 0}, "--top"),
        ({"accept": 1.5}, "--accept"),
        ({"accept": float("nan")}, "--accept"),
        ({"max_batch": 0}, "--max-batch"),
        ({"max_waiting": 0}, "--max-waiting"),
        ({"threads": 0}, "--threads"),
        ({"upload_s": 0}, "--upload-s"),
        ({"answer_s": float("nan")}, "--answer-s"),
        ({"max_body_mib": 300}, "--max-memory-mib"),
        ({"token": "short"}, "16 or more"),
        ({"token": "x" * 20 + "\n"}, "printable"),
    ],
)
def test_limits(values, word):
    with pytest.raises(UserError, match=word):
        Settings(**values)


def test_missing_packages_are_named(monkeypatch, tiny_file):
    from alexnet.evaluation import load
    from alexnet.serving import onnx_backend

    def find(name):
        return None if name in ("fastapi", "onnxruntime") else importlib.util.find_spec(name)

    monkeypatch.setattr(serving, "find_spec", find)
    with pytest.raises(UserError, match=r"serving takes fastapi: pip install 'alexnet\[serve\]'"):
        serving.check_installed()
    monkeypatch.setattr(onnx_backend, "find_spec", find)
    with pytest.raises(UserError, match=r"takes onnxruntime.*: pip install 'alexnet\[export,serve\]'"):
        onnx_backend.OnnxBackend(load(tiny_file, device="cpu"), 1)
