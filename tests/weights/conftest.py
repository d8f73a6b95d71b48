"""MXNet files made by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

FLAGS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}


def _params_file(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write `arrays` to `path` as MXNet 1.9 does (V2 headers)."""
    with path.open("wb") as file:
        file.write(struct.pack("<QQQ", 0x112, 0, len(arrays)))
        for array in arrays.values():
            file.write(struct.pack("<IiI", 0xF993FAC9, 0, array.ndim) + struct.pack(f"<{array.ndim}q", *array.shape))
            file.write(struct.pack("<iii", 1, 0, FLAGS[array.dtype.name]) + array.tobytes())
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            file.write(struct.pack("<Q", len(name)) + name.encode())
    return path


@pytest.fixture(scope="session")
def write_params() -> Callable[[Path, dict[str, np.ndarray]], Path]:
    return _params_file
