"""Files made by other software, and what is in them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from alexnet.weights.foreign.net import ForeignNet

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def made() -> Iterator[ModuleType]:
    """The script that made the files in `golden`."""
    sys.path.insert(0, str(GOLDEN))
    yield importlib.import_module("make_foreign")
    sys.path.remove(str(GOLDEN))


@pytest.fixture
def check_weights(made: ModuleType) -> Callable[..., None]:
    def check(net: ForeignNet, *, ceil: bool = True) -> None:
        """Assert that the layers have the values that the script gave them."""
        for layer, (weight, bias) in zip(net.layers, made.weights(ceil=ceil).values(), strict=True):
            assert np.array_equal(layer.weight.numpy(), weight), layer.weight_name
            assert np.array_equal(layer.bias.numpy(), bias), layer.bias_name

    return check
