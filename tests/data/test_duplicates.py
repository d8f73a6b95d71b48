"""Files that show the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.data import duplicates


def photo(seed: int, px: int = 96) -> Image.Image:
    """Smooth waves: like photographs, most of it lies in low frequencies."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:96j, 0:1:96j]
    waves = sum(
        random.normal() * np.cos(2 * np.pi * (a * x + b * y) + random.uniform(0, 6))
        for a in range(4)
        for b in range(4)
    )
    low, high = waves.min(), waves.max()
    image = Image.fromarray((255 * (waves - low) / (high - low)).astype(np.uint8)).convert("RGB")
    return image.resize((px, px))


def test_copies_sizes_and_qualities_are_found_and_nothing_else(tmp_path: Path) -> None:
    for i in range(40):
        photo(i).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "03.png").read_bytes())
    photo(5, 300).save(tmp_path / "large.jpg", quality=60)
    photo(5, 40).save(tmp_path / "small.webp")
    (tmp_path / "broken.png").write_bytes((tmp_path / "07.png").read_bytes()[:100])
    for name in ("flat", "flat2"):
        Image.new("RGB", (50, 50), (90, 90, 91 if name == "flat" else 92)).save(tmp_path / f"{name}.png")
    paths = sorted(path.name for path in tmp_path.iterdir())
    seen = []
    groups, bad = duplicates.find(tmp_path, paths, lambda done, total: seen.append((done, total)))
    assert [(Path(each.path).name, "truncated" in each.reason) for each in bad] == [("broken.png", True)]
    named = {tuple(paths[i] for i in group.members): group.is_exact for group in groups}
    assert named == {("03.png", "copy.png"): True, ("05.png", "large.jpg", "small.webp"): False}
    assert seen[-1] == (len(paths), len(paths))


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(tmp_path: Path, n: int) -> None:
    photo(0).save(tmp_path / "0.png")
    assert duplicates.find(tmp_path, ["0.png"][:n]) == ([], [])
