from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteImages = Callable[..., None]


@pytest.fixture
def decoded_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty decoded cache for one test; the folder appears with the first entry."""
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


@pytest.fixture
def write_images() -> WriteImages:
    """Writes grey-valued PNGs: `write(folder, "a/1.png", "b/2.png", px=4)`, each image of one shade of its own."""

    def write(folder: Path, *names: str, px: int | tuple[int, int] = 4) -> None:
        size = (px, px) if isinstance(px, int) else px
        for shade, name in enumerate(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((size[1], size[0], 3), shade % 256, np.uint8)
            Image.fromarray(pixels).save(path)

    return write
