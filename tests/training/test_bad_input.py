"""What folders hold that cannot be trained on: each is named, and no half-written run or cache stays behind."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import data, recipes, training
from alexnet.config import ModelConfig, Recipe
from alexnet.errors import UserError

SIZE = 40


def photograph(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE + 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sound photographs of two classes, in all three splits; the decoded cache is empty."""
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(count):
                (tmp_path / "pets" / split / name / f"{i}.jpg").write_bytes(photograph(i))
    return tmp_path / "pets"


def recipe() -> Recipe:
    return Recipe(name="photos", epochs=1, image_px=32, batch_size=4, threads=1, model=ModelConfig(name="lenet"))


def empty_class(folder: Path) -> str:
    (folder / "train/fish").mkdir()
    return "train/fish: no image in this class's folder; add some, or remove the folder"


def one_class(folder: Path) -> str:
    for path in folder.glob("*/dog/*"):
        path.unlink()
    for path in folder.glob("*/dog"):
        path.rmdir()
    return "train: one class only, cat; put the images of each of two or more classes into its own folder"


def truncated(folder: Path) -> str:
    (folder / "train/cat/cut.jpg").write_bytes(photograph(9)[:-300])
    return "1 image cannot be read: {folder}/train/cat/cut.jpg (image file is truncated"


def text(folder: Path) -> str:
    (folder / "train/dog/text.jpg").write_text("a list of photographs to take")
    return "{folder}/train/dog/text.jpg (not an image in a format that Pillow knows)"


def huge(folder: Path) -> str:
    Image.new("1", (20_000, 20_000)).save(folder / "train/dog/huge.png")  # 50 kB, 1.2 GB as RGB
    return "{folder}/train/dog/huge.png (too large to decode: "


def class_of_val_alone(folder: Path) -> str:
    os.rename(folder / "val/dog", folder / "val/fish")  # noqa: PTH104 - the names say it all
    return "val/fish: a class that train/ does not have; remove it, or add it there"


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize("spoil", [empty_class, one_class, truncated, text, huge, class_of_val_alone])
def test_what_cannot_be_used_is_named_and_nothing_is_written(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], str], stream: data.Streaming
) -> None:
    message = spoil(folder).replace("{folder}", str(folder))
    with pytest.raises(UserError) as caught:
        training.train(recipe(), str(folder), out=tmp_path / "run", stream=stream)
    if stream == "never" or "(" not in message:
        assert message in str(caught.value)
    else:  # streamed, the first bad file ends it, in words of its own
        path, reason = message[message.index(str(folder)) :].split(" (")
        assert f"cannot read the image {path}: {reason.rstrip(')')}" in str(caught.value)
    assert not (tmp_path / "run").exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [str(bad.path) for bad in data.check(folder).bad]


def test_a_shard_cut_short_is_named_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    data.pack(folder, tmp_path / "packed")
    shard = next((tmp_path / "packed").glob("train-*.tar"))
    shard.write_bytes(shard.read_bytes()[:-2000])
    with pytest.raises(
        UserError, match=f"the shard {shard} is cut short: .* bytes instead of .*; copy or pack it ag"
    ):
        training.train(recipe(), str(tmp_path / "packed"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stream", ["never", "always"])
def test_odd_sizes_that_can_be_used_are(folder: Path, tmp_path: Path, stream: data.Streaming) -> None:
    """A single pixel is enlarged; a JPEG of 20,000 x 20,000 is decoded at an eighth of its side."""
    Image.new("RGB", (1, 1), (9, 9, 9)).save(folder / "train/cat/pixel.png")
    Image.new("L", (20_000, 20_000), 128).save(folder / "train/cat/huge.jpg")
    run = training.train(recipe(), str(folder), out=tmp_path / "run", stream=stream)
    assert (run / "result.json").is_file()
    dataset = data.load(folder, image_px=32)
    shown = {Path(path).name: dataset.train.pixels_at(i) for i, path in enumerate(dataset.train.files)}
    assert shown["pixel.png"].unique().tolist() == [9]
    assert shown["huge.jpg"].unique().tolist() == [128]
    assert not data.check(folder).bad


def test_the_recipe_for_photographs_is_refused_alike(folder: Path, tmp_path: Path) -> None:
    truncated(folder)
    with pytest.raises(UserError, match=r"cut\.jpg"):
        training.train(recipes.photos(), str(folder), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
