"""Tensors as bytes: 16 or 8 bits for weights, fp32 for the few numbers of biases and norms."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from torch import Tensor

WeightType = Literal["int16", "int8"]
_SMALL = 4096
"""Values up to which a tensor stays fp32."""
# With 15 of the 16 bits a row's values are finer than in fp16 where it counts, at the large ones: probabilities of
# cifar_alexnet differ by 2e-4 from fp32's at most, against 3e-3, in a file of about the same size.
_LEVELS = {"int16": 2**14 - 1, "int8": 2**7 - 1}


def pack(tensors: list[Tensor], weights: WeightType) -> tuple[bytes, list[dict[str, Any]]]:
    """All tensors one after the other, and what the page has to know of each: see `tensors.js`.

    Weights are whole numbers times one scale for each row, which is an output of the layer.
    """
    data, about = bytearray(), []
    for tensor in tensors:
        values = tensor.numpy()
        if values.ndim == 1 and values.size <= _SMALL:
            about.append(_append(data, values.astype("<f4"), "f32"))
        else:
            about.append(_append_rows(data, values.reshape(len(values), -1), weights))
    return bytes(data), about


def _append(data: bytearray, values: np.ndarray[Any, Any], dtype: str, **more: Any) -> dict[str, Any]:
    at = len(data)
    data += values.tobytes()
    return {"dtype": dtype, "at": at, "n": values.size, **more}


def _append_rows(data: bytearray, rows: np.ndarray[Any, Any], weights: WeightType) -> dict[str, Any]:
    largest = np.abs(rows).max(axis=1).astype(np.float64)
    scales = np.where(largest > 0, largest / _LEVELS[weights], 1.0).astype("<f4")
    whole = np.rint(rows / scales[:, None].astype(np.float64)).astype(np.int32)
    row = {"row": rows.shape[1], "scales": _append(data, scales, "f32")}
    if weights == "int8":
        return _append(data, whole.astype(np.int8), "i8", **row)
    # Signs go to the lowest bit, and low bytes lie apart from high ones, which then deflate well.
    folded = ((whole << 1) ^ (whole >> 31)).astype("<u2")
    planes = np.ascontiguousarray(folded.reshape(-1).view(np.uint8).reshape(-1, 2).T)
    return {**_append(data, planes, "i16", **row), "n": rows.size}
