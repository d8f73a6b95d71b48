"""Tensors as bytes: fp16 or int8 for weights, fp32 for the few numbers of biases and norms."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from torch import Tensor

WeightType = Literal["fp16", "int8"]
_SMALL = 4096
"""Values up to which a tensor stays fp32."""


def pack(tensors: list[Tensor], weights: WeightType) -> tuple[bytes, list[dict[str, Any]]]:
    """All tensors one after the other, and what the page has to know of each: see `tensors.js`.

    fp16 values are divided by a power of two first, so that none overflows and small ones keep their digits. int8
    values have one scale for each row, which is an output of the layer.
    """
    data, about = bytearray(), []
    for tensor in tensors:
        values = tensor.numpy()
        if values.ndim == 1 and values.size <= _SMALL:
            about.append(_append(data, values.astype("<f4"), "f32"))
        elif weights == "int8":
            about.append(_append_int8(data, values.reshape(len(values), -1)))
        else:
            about.append(_append_fp16(data, values))
    return bytes(data), about


def _append(data: bytearray, values: np.ndarray[Any, Any], dtype: str, **more: Any) -> dict[str, Any]:
    at = len(data)
    data += values.tobytes()
    return {"dtype": dtype, "at": at, "n": values.size, **more}


def _append_fp16(data: bytearray, values: np.ndarray[Any, Any]) -> dict[str, Any]:
    largest = float(np.abs(values).max(initial=0.0))
    exponent = math.frexp(largest)[1] - 15 if largest > 0 else 0  # the largest value then lies below 2 ** 15
    scaled = np.ldexp(values.astype(np.float64), -exponent).astype("<f2")
    return _append(data, scaled, "f16", scale=2.0**exponent)


def _append_int8(data: bytearray, rows: np.ndarray[Any, Any]) -> dict[str, Any]:
    scales = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / 127
    whole = np.rint(rows / scales[:, None]).astype(np.int8)
    scales_about = _append(data, scales.astype("<f4"), "f32")
    return _append(data, whole, "i8", row=rows.shape[1], scales=scales_about)
