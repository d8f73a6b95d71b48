from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alexnet import data
from alexnet.data.images import cache, decode

WriteImages = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, write_images: WriteImages) -> Path:
    write_images(tmp_path / "set", *(f"train/{c}/{i}.png" for c in "ab" for i in range(5)), "test/a/1.png")
    return tmp_path / "set"


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of each image that is decoded for keeping."""
    names: list[str] = []
    for function in ("decode_into", "decode_exactly_into"):
        monkeypatch.setattr(decode, function, functools.partial(_counted, getattr(decode, function), names))
    return names


def _counted(decoding: Callable[..., object], names: list[str], out: np.ndarray, data: bytes, *rest: str) -> object:
    names.append(rest[0])
    return decoding(out, data, *rest)


def pixels(folder: Path, **options: object) -> list[int]:
    shades: list[int] = data.load(folder, val_fraction=0, **options).train.pixels_NHWC[:, 0, 0, 0].tolist()
    return shades


def test_a_second_load_decodes_nothing(folder: Path, decodes: list[str], decoded_cache: Path) -> None:
    first = pixels(folder)
    assert len(decodes) == 10
    assert pixels(folder) == first
    assert len(decodes) == 10
    # Nor does a load that names the size the images have, as evaluation does.
    assert pixels(folder, image_px=4) == first
    assert len(decodes) == 10
    assert len(list(decoded_cache.iterdir())) == 1


def test_resized_images_are_kept_too(folder: Path, decodes: list[str], decoded_cache: Path) -> None:
    assert pixels(folder, image_px=3) == pixels(folder, image_px=3)
    assert len(decodes) == 10


def test_the_key_is_the_content(folder: Path, decodes: list[str], decoded_cache: Path, tmp_path: Path) -> None:
    pixels(folder)
    moved = folder.rename(tmp_path / "moved")
    for path in moved.rglob("*.png"):
        os.utime(path, (1, 1))
    pixels(moved)
    assert len(decodes) == 10
    # Two files of one size change places, and their dates do not tell.
    sizes: dict[int, list[Path]] = {}
    for path in sorted(moved.glob("train/a/*.png")):
        sizes.setdefault(path.stat().st_size, []).append(path)
    first, second = next(paths for paths in sizes.values() if len(paths) > 1)[:2]
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    os.utime(first, (1, 1))
    os.utime(second, (1, 1))
    assert pixels(moved)[int(first.stem)] == int(second.stem)
    assert len(decodes) == 20


def test_size_and_channels_have_entries_of_their_own(folder: Path, decoded_cache: Path) -> None:
    for options in ({}, {"image_px": 2}, {"image_px": 2, "in_channels": 1}):
        pixels(folder, **options)
    assert len(list(decoded_cache.iterdir())) == 3


def test_cached_pixels_may_be_written_to_and_stay_as_they_were(folder: Path, decoded_cache: Path) -> None:
    first = pixels(folder)
    dataset = data.load(folder, val_fraction=0)
    dataset.train.pixels_NHWC.fill_(7)
    assert pixels(folder) == first


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text", "longer"])
def test_a_damaged_entry_is_made_again(
    folder: Path, decodes: list[str], decoded_cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = pixels(folder)
    (entry,) = decoded_cache.iterdir()
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    damaged = {
        "flip": bytes(flipped),
        "cut": whole[:-100],
        "empty": b"",
        "text": b"not an array" * 20,
        "longer": whole + b"x",
    }[damage]
    entry.write_bytes(damaged)
    assert pixels(folder) == first
    assert len(decodes) == 20
    assert "is damaged" in caplog.text
    assert entry.read_bytes() == whole


def test_what_cannot_be_kept_is_only_warned_of(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert pixels(folder) == list(range(10))
    assert "decoded images are not kept for next time" in caplog.text


def test_a_full_disk_leaves_nothing_behind(
    folder: Path, decoded_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, array: object) -> None:
        path.write_bytes(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    assert pixels(folder) == list(range(10))
    assert "No space left" in caplog.text
    assert list(decoded_cache.iterdir()) == []


def test_old_leftovers_are_removed(folder: Path, decoded_cache: Path) -> None:
    decoded_cache.mkdir(parents=True)
    ages_days = {".old.npy.1.tmp": 2, ".new.npy.1.tmp": 0.5, "unused.npy": 100, "used.npy": 50}
    for name, days in ages_days.items():
        path = decoded_cache / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    pixels(folder)
    left = {path.name for path in decoded_cache.iterdir()}
    assert left & set(ages_days) == {".new.npy.1.tmp", "used.npy"}


def test_a_file_that_changes_while_it_is_read_is_kept_under_what_was_decoded(
    folder: Path, decoded_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alexnet.data.sources import folder as folders

    original = folders.hash_files
    before = (folder / "train/a/0.png").read_bytes()

    def change_after(root: Path, paths: tuple[str, ...]) -> str:
        content = original(root, paths)
        (folder / "train/a/0.png").write_bytes((folder / "train/b/4.png").read_bytes())
        return content

    with monkeypatch.context() as patch:
        patch.setattr(folders, "hash_files", change_after)
        assert pixels(folder)[0] == 9
    (folder / "train/a/0.png").write_bytes(before)
    assert pixels(folder)[0] == 0


def test_the_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALEXNET_CACHE", "/somewhere")
    assert cache.directory() == Path("/somewhere/decoded")
    monkeypatch.delenv("ALEXNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.directory() == Path("/xdg/alexnet/decoded")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory() == tmp_path / ".cache/alexnet/decoded"


# Stores and reads the same entry until it is stopped.
PROCESS = """
import numpy as np
from alexnet.data.images import cache
array = np.arange(3_000_000, dtype=np.uint8).reshape(-1, 10, 10, 3)
print("ready", flush=True)
while True:
    cache.put("entry", array)
    kept = cache.get("entry")
    assert kept is not None and (kept == array).all()
"""


@pytest.mark.slow
def test_processes_share_it_and_kills_do_not_hurt_it(decoded_cache: Path) -> None:
    expected = np.arange(3_000_000, dtype=np.uint8).reshape(-1, 10, 10, 3)
    command = [sys.executable, "-c", PROCESS]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE) as second,
    ):
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        time.sleep(0.4)
        first.kill()
        assert first.wait() == -signal.SIGKILL
        kept = cache.get("entry")
        assert kept is not None
        np.testing.assert_array_equal(kept, expected)
        assert second.poll() is None
        second.kill()
    cache.put("entry", expected)
    kept = cache.get("entry")
    assert kept is not None
    np.testing.assert_array_equal(kept, expected)


LOADER = """
import sys
from alexnet import data
def tell(done, total):
    print(done, flush=True)
print(len(data.load(sys.argv[1], val_fraction=0, on_progress=tell).train), flush=True)
"""


def test_a_killed_load_leaves_a_usable_cache(tmp_path: Path, write_images: WriteImages, decoded_cache: Path) -> None:
    folder = tmp_path / "many"
    write_images(folder, *(f"train/{c}/{i}.png" for c in "ab" for i in range(600)), "test/a/1.png")
    with subprocess.Popen([sys.executable, "-c", LOADER, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"256\n"
        process.kill()
    expected = [i % 256 for i in sorted(range(600), key=str)] + [(600 + i) % 256 for i in sorted(range(600), key=str)]
    assert pixels(folder) == expected
    assert pixels(folder) == expected


def test_another_fit_is_another_entry(tmp_path: Path, write_images: WriteImages, decodes: list[str]) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/2.png", px=(16, 8))
    for fit in ("crop", "pad", "squash", "crop", "pad", "squash"):
        data.load(tmp_path, image_px=4, val_fraction=0, fit=fit)
    assert len(decodes) == 6
