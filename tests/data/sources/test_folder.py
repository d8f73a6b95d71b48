from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import data
from alexnet.data import Streaming
from alexnet.errors import UserError

WriteImages = Callable[..., None]

pytestmark = pytest.mark.usefixtures("decoded_cache")


def test_train_and_test_as_found(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path / "pets", "train/dog/1.png", "train/dog/2.png", "train/cat/1.png", "train/cat/2.png")
    write_images(tmp_path / "pets", "test/dog/9.png", "test/cat/8.png")
    dataset = data.load(tmp_path / "pets", val_fraction=0)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.files == ("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "train/dog/2.png")
    assert dataset.train.labels_N.tolist() == [0, 0, 1, 1]
    assert dataset.train.pixels_NHWC[:, 0, 0, 0].tolist() == [2, 3, 0, 1]
    assert dataset.train.pixels_NHWC.shape == (4, 4, 4, 3)
    assert dataset.train.pixels_NHWC.dtype == torch.uint8
    assert dataset.val is None
    test = dataset.open_test()
    assert test.files == ("test/cat/8.png", "test/dog/9.png")
    assert test.pixels_NHWC[:, 3, 3, 2].tolist() == [1, 0]
    assert dataset.open_test() is test
    assert dataset.origin == json.loads(json.dumps(dataset.origin))
    assert dataset.origin["files"] == {"train": 4, "test": 2}
    assert dataset.origin["images"] == {"train": 4, "val": 0}
    assert dataset.origin["channels"] == 3


def test_val_is_cut_from_train(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, *(f"train/{name}/{i}.png" for name in "ab" for i in range(10)), "test/a/1.png")
    dataset = data.load(tmp_path, val_fraction=0.2, val_seed=3)
    again = data.load(tmp_path, val_fraction=0.2, val_seed=3)
    assert dataset.val is not None
    assert again.val is not None
    assert dataset.val.labels_N.tolist() == [0, 0, 1, 1]
    assert dataset.val.files == again.val.files
    assert dataset.train.files is not None
    assert dataset.val.files is not None
    assert len(set(dataset.train.files) | set(dataset.val.files)) == 20


def test_a_val_folder_beside_test_is_val(tmp_path: Path, write_images: WriteImages) -> None:
    names = [f"{split}/{name}/{i}.png" for split in ("train", "val", "test") for name in "ab" for i in (1, 2)]
    write_images(tmp_path, *names)
    dataset = data.load(tmp_path)
    assert dataset.val is not None
    assert dataset.val.files == ("val/a/1.png", "val/a/2.png", "val/b/1.png", "val/b/2.png")
    assert len(dataset.train) == 4
    unused = data.load(tmp_path, val_fraction=0)
    assert unused.val is None
    assert len(unused.train) == 4


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_val_folder_alone_is_the_test_split(tmp_path: Path, write_images: WriteImages, name: str) -> None:
    write_images(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(10)), f"{name}/a/1.png")
    dataset = data.load(tmp_path)
    assert dataset.open_test().files == (f"{name}/a/1.png",)
    assert dataset.val is not None
    assert len(dataset.val) == 2
    assert f"{name}/ serves as the test split" in dataset.origin["split"]


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_without_a_test_folder_one_is_made(tmp_path: Path, write_images: WriteImages, prefix: str) -> None:
    write_images(tmp_path / "set", *(f"{prefix}{c}/{i}.png" for c in "ab" for i in range(25)))
    before = data.load(tmp_path / "set", val_fraction=0)
    test = set(before.open_test().files or ())
    assert 2 <= len(test) <= 20
    assert not test & set(before.train.files or ())
    assert len(before.train) + len(test) == 50
    assert "SHA-256" in before.origin["split"]
    assert before.origin["files"] == {"train": 50 - len(test), "test": len(test)}
    write_images(tmp_path / "set", f"{prefix}a/new.png", f"{prefix}c/1.png", f"{prefix}c/2.png")
    after = data.load(tmp_path / "set", val_fraction=0)
    assert test <= set(after.open_test().files or ())
    assert set(before.train.files or ()) <= set(after.train.files or ())


def test_images_below_a_class_count_and_other_files_do_not(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, *(f"train/{c}/deep/{i}.PNG" for c in "ab" for i in range(3)), "test/a/1.png")
    for stray in ("train/a/Thumbs.db", "train/a/.hidden.png", "train/a/notes.txt", "train/list.csv"):
        (tmp_path / stray).write_text("no image")
    (tmp_path / "docs").mkdir()
    dataset = data.load(tmp_path, val_fraction=0)
    assert len(dataset.train) == 6
    assert dataset.origin["ignored_files"] == 4
    assert dataset.origin["ignored_folders"] == ["docs"]


def test_small_square_images_keep_their_size(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(3)), "test/a/1.png", px=48)
    assert data.load(tmp_path).image_px == 48
    assert data.load(tmp_path, image_px=20).image_px == 20
    assert data.load(tmp_path, image_px=20).open_test().pixels_NHWC.shape == (1, 20, 20, 3)


@pytest.mark.parametrize("odd", [(40, 40), (48, 40), (65, 65)])
def test_images_of_several_sizes_take_the_default(
    tmp_path: Path, write_images: WriteImages, odd: tuple[int, int]
) -> None:
    write_images(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(3)), "test/a/1.png", px=48)
    write_images(tmp_path, "train/b/9.png", px=odd)
    assert data.load(tmp_path).image_px == 32
    assert data.load(tmp_path, default_px=24).image_px == 24


def test_large_images_take_the_default(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png", px=65)
    assert data.load(tmp_path, default_px=60, val_fraction=0).image_px == 60


def test_the_size_does_not_depend_on_the_test_split(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", px=48)
    write_images(tmp_path, "test/a/1.png", px=(80, 50))
    dataset = data.load(tmp_path, val_fraction=0)
    assert dataset.image_px == 48
    assert dataset.open_test().pixels_NHWC.shape == (1, 48, 48, 3)


def test_channels_are_converted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "train" / name / "1.png")
        Image.new("L", (8, 8), 9).save(tmp_path / "train" / name / "2.png")
    dataset = data.load(tmp_path / "train", in_channels=1, val_fraction=0)
    assert dataset.in_channels == 1
    assert {76, 9} >= set(dataset.train.pixels_NHWC.flatten().tolist())
    assert data.load(tmp_path / "train", val_fraction=0).in_channels == 3


def test_progress_is_told(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(200)), "test/a/1.png")
    told: list[tuple[int, int]] = []
    data.load(tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (400, 400)
    assert told == sorted(told)


def test_the_test_split_is_not_read_before_it_is_asked_for(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png")
    (tmp_path / "test/a/2.png").write_text("broken")
    dataset = data.load(tmp_path, val_fraction=0)
    with pytest.raises(UserError, match=r"1 image cannot be read: .*test/a/2\.png"):
        dataset.open_test()


def test_broken_images_are_listed(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(4)), "test/a/1.png")
    for i in range(7):
        (tmp_path / f"train/b/x{i}.jpg").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        data.load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"7 images cannot be read: {tmp_path}/train/b/x0.jpg (the file is empty); ")
    assert "x4.jpg" in message
    assert "x5.jpg" not in message
    assert f"and 2 more. `alexnet data check {tmp_path}` lists all" in message


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"], r"test/c: a class that train/ does not"),
        (["train/a/1.png", "train/b/1.png", "val/z/1.png"], r"val/z: a class that train/ does not"),
        (["train/a/1.png", "train/b/notes.txt", "test/a/1.png"], r"train/b: no image in this class"),
        (["a/1.png", "b/notes.txt"], r"b: no image in this class"),
        (["train/a/1.png", "test/a/1.png"], "one class only, a"),
        (["a/1.png"], "one class only, a"),
        (["1.png", "2.png"], "no folders of images"),
        (["test/a/1.png", "test/b/1.png"], "there is test/ but no train/"),
    ],
)
def test_a_folder_of_another_layout_is_explained(
    tmp_path: Path, write_images: WriteImages, files: list[str], message: str
) -> None:
    write_images(tmp_path, *(name for name in files if name.endswith(".png")))
    for name in files:
        if name.endswith(".txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match=message):
        data.load(tmp_path)


def test_one_image_a_class_can_only_be_trained_on(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path / "set", "a/1.png", "b/1.png")
    with pytest.raises(UserError, match="none to hold out: set val_fraction to 0"):
        data.load(tmp_path / "set")
    dataset = data.load(tmp_path / "set", val_fraction=0)
    assert len(dataset.train) == 2
    with pytest.raises(UserError, match="has no test images"):
        dataset.open_test()


def test_a_set_larger_than_memory_is_refused(
    tmp_path: Path, write_images: WriteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "set", "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    monkeypatch.setattr("alexnet.data.images.arrays.total_bytes", lambda: 100_000)
    assert data.load(tmp_path / "set", val_fraction=0).image_px == 4
    with pytest.raises(UserError, match="choose a smaller --image-px"):
        data.load(tmp_path / "set", val_fraction=0, image_px=224, stream="never")


def test_statistics_are_those_of_the_pixels() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (9, 5, 5, 3), dtype=np.uint8)
    images = data.Images(torch.from_numpy(pixels), torch.zeros(9, dtype=torch.int64))
    mean, std = data.channel_statistics(images)
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 1, 2)))
    np.testing.assert_allclose(std, (pixels / 255).std((0, 1, 2)))


@pytest.mark.parametrize("stream", ["never", "always"])
def test_the_whole_of_a_wide_image_is_taken_where_it_is_asked_for(tmp_path: Path, stream: Streaming) -> None:
    # White, with a black edge to the left that only the whole picture shows.
    pixels = np.full((8, 32, 3), 255, np.uint8)
    pixels[:, :8] = 0
    for name in ("train/a/1.png", "train/b/1.png", "test/a/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    seen = {}
    for fit in ("crop", "pad", "squash"):
        dataset = data.load(tmp_path, image_px=8, val_fraction=0, fit=fit, stream=stream)
        assert dataset.fit == fit
        seen[fit] = dataset.train.pixels_at(0)[:, :, 0]
        assert torch.equal(dataset.split("test").pixels_at(0)[:, :, 0], seen[fit])
    assert (seen["crop"] == 255).all()
    assert (seen["squash"][:, 0] == 0).all()
    assert (seen["squash"][:, 3:] == 255).all()
    assert seen["pad"].float().mean(1).round().tolist() == [
        0,
        0,
        0,
        *[seen["pad"][3].float().mean().round()] * 2,
        0,
        0,
        0,
    ]
    with pytest.raises(UserError, match="by squash, not pad: load it with fit=pad"):
        data.load(dataset, fit="pad")
