"""`hf:owner/name` on small data sets in folders of that name, which the library reads without a network."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import data
from alexnet.errors import UserError


def png(shade: int, px: int = 24) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((px, px, 3), shade, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `pets` of an owner: nothing is fetched, and the library keeps its files here too."""
    library = pytest.importorskip("datasets", reason="the extra alexnet[hub] is not installed")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    return tmp_path / "pets"


def write(folder: Path, name: str, shades: list[int], labels: list[int], broken: bytes | None = None) -> None:
    """One set of rows as a parquet file; the labels' names lie in its metadata, as the hub has them."""
    import datasets

    (folder / name).mkdir(exist_ok=True)
    kinds = datasets.Features({"img": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog", "newt"])})
    images = [{"bytes": png(shade), "path": None} for shade in shades]
    if broken is not None:
        images[-1]["bytes"] = broken
    rows = datasets.Dataset.from_dict({"img": images, "kind": labels}, features=kinds)
    rows.to_parquet(folder / name / f"{'validation' if name == 'val' else name}-0.parquet")


@pytest.mark.parametrize("stream", ["never", "always"])
def test_splits_classes_and_pixels(owner: Path, stream: data.Streaming) -> None:
    (owner / "dogs").mkdir()
    write(owner / "dogs", "train", [10, 20, 30, 40], [0, 1, 2, 1])
    write(owner / "dogs", "test", [50, 60], [2, 0])
    dataset = data.load("hf:pets/dogs", val_fraction=0, stream=stream)
    assert dataset.class_names == ("cat", "dog", "newt")
    assert dataset.image_px == 24  # their own
    assert dataset.train.labels_N.tolist() == [0, 1, 2, 1]
    assert [int(dataset.train.pixels_at(i)[5, 6, 2]) for i in range(4)] == [10, 20, 30, 40]
    assert [int(dataset.open_test().pixels_at(i).min()) for i in range(2)] == [50, 60]
    assert data.load("hf:pets/dogs", val_fraction=0, image_px=16, stream=stream).train.image_px == 16
    test, _ = data.load_split("hf:pets/dogs", "test", image_px=24, in_channels=3)
    assert test.labels_N.tolist() == [2, 0]


def test_validation_serves_where_test_labels_are_secret(owner: Path) -> None:
    (owner / "dogs").mkdir()
    write(owner / "dogs", "train", [10, 20], [0, 1])
    write(owner / "dogs", "val", [30], [1])
    write(owner / "dogs", "test", [40], [-1])
    dataset = data.load("hf:pets/dogs", val_fraction=0)
    assert dataset.open_test().labels_N.tolist() == [1]
    assert "validation serves as the test split" in dataset.origin["split"]


def test_it_is_checked_and_described(owner: Path) -> None:
    (owner / "dogs").mkdir()
    write(owner / "dogs", "train", [10, 20, 30], [0, 1, 1], broken=b"no picture")
    write(owner / "dogs", "test", [40], [1])
    report = data.check("hf:pets/dogs")
    assert report.images == {"train": 3, "test": 1}
    assert [(bad.path, bad.reason) for bad in report.bad] == [
        ("hf:pets/dogs train row 2", "not an image in a format that Pillow knows")
    ]
    with pytest.raises(UserError, match="cannot read the image hf:pets/dogs train row 2: not an image"):
        data.load("hf:pets/dogs", val_fraction=0, image_px=24)
    described = data.describe("hf:pets/dogs")
    assert described["images_per_class"]["train"] == {"cat": 1, "dog": 2, "newt": 0}


def test_what_cannot_be_used_is_explained(owner: Path) -> None:
    with pytest.raises(UserError, match=r"hf:nobody/nothing cannot be loaded: .*HF_HUB_OFFLINE=1 only what was fet"):
        data.load("hf:nobody/nothing")
    (owner / "alone").mkdir()
    write(owner / "alone", "train", [10, 20], [0, 1])
    with pytest.raises(UserError, match=r"hf:pets/alone has the splits train: a labelled train and test .* are need"):
        data.load("hf:pets/alone")
    (owner / "text").mkdir()
    (owner / "text" / "train.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="hf:pets/text has 0 columns of images, and one is needed; it has a, b"):
        data.load("hf:pets/text")
    with pytest.raises(UserError, match="drop --root"):
        data.load("hf:pets/alone", root=owner)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"hf:owner/name needs the library datasets: pip install 'alexnet\[hub\]'"):
        data.load("hf:owner/name")
