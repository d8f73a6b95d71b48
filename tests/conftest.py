"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images and weights that ALEXNET_TEST_DATA names; the test is skipped without it."""
    folder = os.environ.get("ALEXNET_TEST_DATA")
    if not folder:
        pytest.skip(
            "needs real data: set ALEXNET_TEST_DATA to a folder with TinyAlex.params, cifar10-jpeg.tar.xz, ..."
        )
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"ALEXNET_TEST_DATA names {folder}, which is no folder")
    return path
