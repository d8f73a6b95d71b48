"""int8 by static quantisation with ONNX Runtime."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BATCH = 32


def quantized(proto: Any, x_NCHW: NDArray[np.float32]) -> Any:
    """The plain graph with int8 weights, a scale a channel, and uint8 activations.

    Args:
        proto: the ONNX model, whose input is `x`.
        x_NCHW: images that the activations' ranges are taken from.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts: Iterator[NDArray[np.float32]] = iter(
                [x_NCHW[i : i + _BATCH] for i in range(0, len(x_NCHW), _BATCH)]
            )

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            part = next(self._parts, None)
            return None if part is None else {"x": part}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises on the root logger
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
            source.write_bytes(proto.SerializeToString())
            quantization.quantize_static(
                str(source),
                str(target),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                # Without instructions for it, 8-bit sums of the processor saturate; 7 bits never do.
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            return onnx.load(str(target))
    finally:
        root.setLevel(level)
