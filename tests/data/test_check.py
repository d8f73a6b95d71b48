from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import data
from alexnet.errors import UserError

WriteImages = Callable[..., None]


def test_a_sound_folder_has_nothing_bad(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png")
    told: list[tuple[int, int]] = []
    report = data.check(tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert report == data.CheckReport({"train": 2, "test": 1}, 0, ())
    assert told == [(3, 3)]


def test_each_bad_file_is_named_with_its_reason(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png")
    picture = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture, "JPEG")
    (tmp_path / "train/a/cut.jpg").write_bytes(picture.getvalue()[:-500])
    (tmp_path / "train/a/text.jpg").write_text("not a picture")
    (tmp_path / "train/a/zero.png").touch()
    (tmp_path / "train/a/dangling.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "test/a/notes.txt").write_text("ignored")
    (tmp_path / "train/empty").mkdir()
    report = data.check(tmp_path)
    reasons = {str(Path(bad.path).relative_to(tmp_path)): bad.reason for bad in report.bad}
    assert sorted(reasons) == [
        "test/c",
        "train/a/cut.jpg",
        "train/a/dangling.png",
        "train/a/text.jpg",
        "train/a/zero.png",
        "train/empty",
    ]
    assert "truncated" in reasons["train/a/cut.jpg"]
    assert reasons["train/a/zero.png"] == "the file is empty"
    assert "not an image" in reasons["train/a/text.jpg"]
    assert reasons["train/a/dangling.png"] == "no such file or directory"
    assert "no image" in reasons["train/empty"]
    assert "train/ does not have" in reasons["test/c"]
    assert report.ignored_files == 1


def test_named_sources_are_checked_too(tmp_path: Path) -> None:
    assert data.check("digits") == data.CheckReport({"train": 1438, "test": 359}, 0, ())
    with pytest.raises(UserError, match="`alexnet data download cifar10` fetches it"):
        data.check("cifar10", root=tmp_path)
    raw = tmp_path / "mnist"
    raw.mkdir()
    (raw / "train-images-idx3-ubyte").write_bytes(b"torn")
    report = data.check("mnist", root=tmp_path)
    assert [bad.path for bad in report.bad] == [str(raw), str(raw)]
    assert "train-images-idx3-ubyte is not an IDX file" in report.bad[0].reason


def test_a_folder_is_described(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/1.png", px=(6, 4))
    Image.new("L", (3, 3)).save(tmp_path / "train/b/2.png")
    described = data.describe(tmp_path)
    assert described == json.loads(json.dumps(described))
    assert described["available"] is True
    assert described["classes"] == ["a", "b"]
    assert described["images"] == {"train": 4, "test": 1}
    assert described["images_per_class"] == {"train": {"a": 2, "b": 2}, "test": {"a": 1, "b": 0}}
    assert described["sizes"] == {"6x4": 4, "3x3": 1}
    assert described["modes"] == {"RGB": 4, "L": 1}


def test_every_named_source_is_described_without_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    monkeypatch.setattr("alexnet.data.sources.registry._DEBIAN_FOLDERS", {})
    for name, facts in data.SOURCES.items():
        described = data.describe(name)
        assert described["images"] == {"train": facts.train_images, "test": facts.test_images}
        assert described["available"] == (name == "digits")
        assert described == json.loads(json.dumps(described))


def test_the_facts_of_digits_are_true() -> None:
    dataset = data.load("digits", val_fraction=0)
    facts = data.SOURCES["digits"]
    assert (len(dataset.train), len(dataset.open_test())) == (facts.train_images, facts.test_images)
    assert len(dataset.class_names) == facts.classes


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("command", ["check", "info", "train", "pack"])
def test_pipes_and_devices_are_no_images(tmp_path: Path, command: str) -> None:
    """None of the commands waits for a pipe that nobody writes to, or reads a device without end."""
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (16, 16), (40 * i, 0, 0)).save(tmp_path / "pets" / name / f"{i}.png")
    os.mkfifo(tmp_path / "pets/cat/pipe.jpg")
    (tmp_path / "pets/dog/zero.jpg").symlink_to("/dev/zero")
    words = {
        "check": ["data", "check", "pets"],
        "info": ["data", "info", "pets"],
        "train": ["train", "photos", "--data", "pets", "--epochs", "1", "--image-px", "16", "--out", "run"],
        "pack": ["data", "pack", "pets", "out"],
    }[command]
    done = subprocess.run(
        [sys.executable, "-m", "alexnet", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # only a hang takes as long
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert done.returncode == {"check": 1, "info": 0, "train": 2, "pack": 2}[command], said
    if command == "check":
        assert "pipe.jpg: not a regular file" in said
        assert "zero.jpg: not a regular file" in said
    elif command != "info":
        assert "not a regular file" in said
