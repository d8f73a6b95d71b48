"""`benchmarks/photographs.py`: the folders it makes, and a run on three photographs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photographs(script):
    return script("photographs.py")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photographs, and a text that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(("n01_fish", "n02_fox", "n03_ship")):
        Image.fromarray(np.full((24, 32, 3), 80 * i, np.uint8)).save(folder / f"{name}.JPEG")
    (folder / "gallery.md").write_text("# Photographs")
    return folder


def test_each_photograph_is_a_class_of_both_splits(photographs, photos: Path, tmp_path: Path) -> None:
    for _ in range(2):  # what is there stays
        assert photographs.class_folders(photos, tmp_path / "images") == 3
    made = sorted(str(path.relative_to(tmp_path / "images")) for path in tmp_path.glob("images/*/*/*"))
    assert made == [
        f"{split}/{name}/{name}.JPEG" for split in ("test", "train") for name in ("n01_fish", "n02_fox", "n03_ship")
    ]


def test_a_short_run(photographs, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = photographs.recipe

    def smaller(seed: int, epochs: int, device: str):
        recipe = small(seed, epochs, device)
        model, schedule = replace(recipe.model, name="tiny_alexnet"), replace(recipe.schedule, warmup_epochs=0)
        return replace(recipe, model=model, schedule=schedule, image_px=16, resize_px=20, threads=1)

    monkeypatch.setattr(photographs, "recipe", smaller)
    monkeypatch.setattr(photographs, "RESULT", tmp_path / "result.json")
    words = ["--photos", photos, "--work", tmp_path / "work", "--seeds", 0, 1, "--epochs", 1, "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["photographs.py", *map(str, words)])
    photographs.main()
    result = json.loads((tmp_path / "result.json").read_text())
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    for run in result["runs"]:
        assert run["n_train"] == 3
        assert 0 <= run["train_top1"] <= 1
        assert 0 <= run["train_top1_10_views"] <= 1
    assert result["recipe"]["batch_size"] == 11
