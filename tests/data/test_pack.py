"""Packing: every image once, small enough, the same bytes however it was made; kills and broken files."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import data
from alexnet.data import PackOptions
from alexnet.data.pack import pack
from alexnet.errors import UserError

SMALL = PackOptions(short_px=32, shard_images=4)


def photo(width: int, height: int, seed: int, kind: str = "JPEG", **options: object) -> bytes:
    random = np.random.default_rng(seed)
    rough = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of five images in train/, two in test/: JPEGs of three sizes, a PNG, and one to be turned."""
    folder = tmp_path / "photos"
    sizes = [(60, 45), (30, 40), (32, 32), (100, 33), (40, 64)]
    for split, count in (("train", 5), ("test", 2)):
        for c, name in enumerate(("ant", "bee")):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                (folder / split / name / f"{i}.jpg").write_bytes(photo(*sizes[i], seed=10 * c + i, quality=95))
    (folder / "train" / "ant" / "5.png").write_bytes(photo(64, 48, 50, "PNG"))
    turned = Image.Exif()
    turned[0x0112] = 6
    (folder / "train" / "bee" / "5.jpg").write_bytes(photo(30, 20, 51, exif=turned))
    return folder


def members(out: Path, pattern: str = "train-*.tar") -> dict[str, dict[str, bytes]]:
    """Content of each sample, by the file it was packed from."""
    found = {}
    for shard in sorted(out.glob(pattern)):
        with tarfile.open(shard) as tar:
            contents = {member.name: tar.extractfile(member).read() for member in tar}
        for key in sorted({name.partition(".")[0] for name in contents}):
            sample = {kind: contents[f"{key}.{kind}"] for kind in ("jpg", "cls", "json")}
            found[json.loads(sample["json"])["filename"]] = sample
    return found


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_every_image_is_there_once_and_small(photos, tmp_path):
    report = pack(photos, tmp_path / "out", options=SMALL, processes=1)
    assert report.images == {"train": 12, "test": 4}
    assert report.shards == {"train": 3, "test": 1}
    assert report.bad == ()
    assert report.bytes == sum(path.stat().st_size for path in (tmp_path / "out").glob("*.tar"))
    found = members(tmp_path / "out")
    names = [f"train/{name}/{i}.jpg" for name in ("ant", "bee") for i in range(5)]
    assert sorted(found) == sorted([*names, "train/ant/5.png", "train/bee/5.jpg"])
    assert list(found) != sorted(found)  # shuffled, for readers that go from front to back
    sizes = {}
    for file, sample in found.items():
        assert sample["cls"] == (b"0" if "/ant/" in file else b"1")
        with Image.open(io.BytesIO(sample["jpg"])) as image:
            sizes[file] = image.size
            assert image.format == "JPEG"
            assert not image.getexif()
        about = json.loads(sample["json"])
        assert (about["label"], about["width"], about["height"]) == (int(sample["cls"]), *sizes[file])
    assert [sizes[f"train/ant/{i}.jpg"] for i in range(5)] == [(42, 32), (30, 40), (32, 32), (96, 32), (32, 51)]
    assert sizes["train/ant/5.png"] == (42, 32)
    assert sizes["train/bee/5.jpg"] == (20, 30)  # upright
    for i in (1, 2):  # nothing to reduce: the very bytes
        assert found[f"train/ant/{i}.jpg"]["jpg"] == (photos / f"train/ant/{i}.jpg").read_bytes()


def test_a_reduced_image_is_the_resized_one(photos, tmp_path):
    pack(photos, tmp_path / "out", options=PackOptions(short_px=32, quality=95), processes=1)
    for file in ("train/ant/0.jpg", "train/ant/5.png"):
        with Image.open(photos / file) as image:
            expected = np.asarray(image.resize((42, 32), Image.Resampling.BILINEAR)).astype(int)
        with Image.open(io.BytesIO(members(tmp_path / "out")[file]["jpg"])) as image:
            assert np.abs(np.asarray(image) - expected).mean() < 3


def test_packed_and_unpacked_images_are_the_same_where_nothing_is_reduced(photos, tmp_path):
    (photos / "train" / "ant" / "5.png").unlink()  # becomes a JPEG
    (photos / "train" / "bee" / "5.jpg").unlink()  # is encoded again
    pack(photos, tmp_path / "out", options=PackOptions(short_px=100), processes=1)
    loose = data.load(photos, image_px=24, val_fraction=0)
    for stream in ("never", "always"):
        packed = data.load(tmp_path / "out", image_px=24, val_fraction=0, stream=stream)
        assert packed.class_names == ("ant", "bee")
        assert packed.origin["split"] == "train/ and test/ as found"
        for split in ("train", "test"):
            here, there = loose.split(split), packed.split(split)
            place = {file: i for i, file in enumerate(there.files)}
            order = torch.tensor([place[file] for file in here.files])
            assert torch.equal(next(there.take(order).parts(99)), here.pixels_NHWC)
            assert torch.equal(there.labels_N[order], here.labels_N)


def test_the_manifest_counts_pixels_exactly(photos, tmp_path):
    pack(photos, out := tmp_path / "out", options=SMALL, processes=1)
    manifest = json.loads((out / "manifest.json").read_text())
    squares = []
    for sample in members(out).values():
        with Image.open(io.BytesIO(sample["jpg"])) as image:
            short = min(image.size)
            left, top = round((image.width - short) / 2), round((image.height - short) / 2)
            squares.append(np.asarray(image.crop((left, top, left + short, top + short))).reshape(-1, 3).astype(int))
    pixels = np.concatenate(squares)
    rgb = manifest["splits"]["train"]["rgb"]
    assert rgb["pixels"] == len(pixels)
    assert rgb["sums"] == pixels.sum(0).tolist()
    assert rgb["products"] == (pixels.T @ pixels).tolist()
    np.testing.assert_allclose(rgb["mean"], (pixels / 255).mean(0), rtol=1e-12)
    np.testing.assert_allclose(rgb["covariance"], np.cov(pixels.T / 255, bias=True), rtol=1e-9)
    images = data.load(out, image_px=32, val_fraction=0, stream="always").train
    assert data.channel_statistics(images) == (tuple(rgb["mean"]), tuple(rgb["std"]))
    assert images.take(torch.arange(5)).moments is None  # of a part they are not known
    assert manifest["splits"]["train"]["shard_lengths"] == [4, 4, 4]
    info = json.loads((out / "_info.json").read_text())["splits"]["train"]  # what timm's reader needs
    assert info == {
        "name": "train",
        "num_samples": 12,
        "filenames": [f"train-00000{i}.tar" for i in range(3)],
        "shard_lengths": [4, 4, 4],
    }


def test_small_square_images_keep_their_size(tmp_path, write_images):
    write_images(tmp_path / "set", "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", px=12)
    pack(tmp_path / "set", tmp_path / "out", processes=1)
    assert data.load(tmp_path / "out", default_px=64, val_fraction=0, stream="always").image_px == 12
    assert data.load(tmp_path / "out", default_px=64, val_fraction=0, stream="never").image_px == 12


def test_processes_make_the_same_bytes(photos, tmp_path):
    for processes in (1, 2):
        pack(photos, tmp_path / str(processes), options=SMALL, processes=processes)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert not (tmp_path / "2" / ".parts").exists()


def test_broken_files_stop_it_or_are_left_out(photos, tmp_path):
    bad = photos / "train" / "bee" / "3.jpg"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:300])
    (photos / "train" / "ant" / "9.jpg").write_bytes(b"words")
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"(9|3)\.jpg \(.*run the same command again .*--on-bad skip"):
        pack(photos, out, options=SMALL, processes=1)
    assert not (out / "manifest.json").exists()
    report = pack(photos, out, options=SMALL, on_bad="skip", processes=1)
    assert sorted(Path(file.path).name for file in report.bad) == ["3.jpg", "9.jpg"]
    assert report.images == {"train": 11, "test": 4}
    assert len(data.load(out, image_px=32, val_fraction=0).train) == 11
    listed = json.loads((out / "manifest.json").read_text())["splits"]["train"]["bad"]
    assert {file["path"] for file in listed} == {str(bad), str(photos / "train" / "ant" / "9.jpg")}


def test_a_mended_file_completes_what_was_stopped(photos, tmp_path):
    bad = photos / "train" / "bee" / "3.jpg"
    whole = bad.read_bytes()
    pack(photos, tmp_path / "expected", options=SMALL, processes=1)
    bad.write_bytes(b"")
    with pytest.raises(UserError, match=r"3\.jpg \(the file is empty\)"):
        pack(photos, tmp_path / "out", options=SMALL, processes=1)
    bad.write_bytes(whole)
    pack(photos, tmp_path / "out", options=SMALL, processes=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_a_finished_pack_is_left_as_it_is(photos, tmp_path):
    first = pack(photos, out := tmp_path / "out", options=SMALL, processes=1)
    stamps = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert pack(photos, out, options=SMALL, processes=1) == first
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == stamps
    with pytest.raises(UserError, match="holds shards of other images or options"):
        pack(photos, out, options=PackOptions(short_px=16), processes=1)


def test_a_folder_with_other_things_is_refused(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("words")
    with pytest.raises(UserError, match="is not empty"):
        pack(photos, tmp_path / "out", processes=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="pack takes folders of images"):
        pack("cifar10", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [{"short_px": 0}, {"quality": 96}, {"quality": 0}, {"shard_images": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UserError, match=f"{next(iter(options))} must"):
        PackOptions(**options)


def test_damaged_shards_are_noticed(photos, tmp_path):
    pack(photos, out := tmp_path / "out", options=SMALL, processes=1)
    shard = out / "train-000001.tar"
    content = shard.read_bytes()
    assert data.check(out).bad == ()
    shard.write_bytes(content[:700] + b"\0\0\0\0" + content[704:])
    assert data.check(out).bad[0].path == str(shard)
    shard.write_bytes(content[:-512])
    with pytest.raises(UserError, match=r"train-000001\.tar is cut short: .* copy or pack it again"):
        data.load(out, image_px=32)
    shard.unlink()
    with pytest.raises(UserError, match=r"train-000001\.tar cannot be read: no such file"):
        data.load(out, image_px=32)


PACK = """
import sys
from alexnet.data import PackOptions, pack
if __name__ == "__main__":
    options = PackOptions(short_px=32, shard_images=4)
    pack(sys.argv[1], sys.argv[2], options=options, processes=int(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL and /proc")
def test_a_worker_that_dies_is_told(photos, tmp_path):
    (tmp_path / "script.py").write_text(PACK.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, tmp_path / "script.py", photos, tmp_path / "out", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "UserError: a packing process died" in done.stderr


@pytest.mark.slow
def test_kill_9_loses_no_finished_shard_and_leaves_no_process(photos, tmp_path):
    for i in range(300):  # enough to be in the midst of when the first shards are there
        (photos / "train" / "ant" / f"more{i}.jpg").write_bytes(photo(400, 300, i % 7))
    (tmp_path / "pack.py").write_text(PACK)
    out = tmp_path / "out"
    run = subprocess.Popen([sys.executable, tmp_path / "pack.py", photos, out, "2"])
    deadline = time.monotonic() + 900  # only a hang takes as long
    while len(records := list(out.glob(".parts/*.json"))) < 3:
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    workers = _children(run.pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert len(workers) >= 2
    while any(Path(f"/proc/{worker}").exists() for worker in workers):  # none works on without its parent
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (out / "manifest.json").exists()
    with pytest.raises(UserError, match="packed only in part"):
        data.load(out, image_px=32)
    records = list(out.glob(".parts/*.json"))
    stamps = {path: path.stat().st_mtime_ns for record in records if (path := out / record.stem).exists()}
    assert len(stamps) == len(records) >= 3
    pack(photos, out, options=SMALL, processes=1)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    pack(photos, tmp_path / "expected", options=SMALL, processes=1)
    assert contents(out) == contents(tmp_path / "expected")


def _children(pid: int) -> list[int]:
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            children.append(int(stat.parent.name))
    return children


def test_data_in_memory_are_packed_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (50, 12, 12, 3), dtype=np.uint8), np.arange(50) % 2
    source = data.from_arrays(pixels, labels, ["a/b", "貓"], name="mine")
    options = PackOptions(short_px=12, quality=95, shard_images=20)
    report = pack(source, tmp_path / "out", options=options, processes=1)
    assert report.images == {"train": 40, "test": 10}
    packed, own = data.load(tmp_path / "out", val_fraction=0), data.load(source, val_fraction=0)
    assert packed.class_names == ("a/b", "貓")
    for split in ("train", "test"):
        assert sorted(packed.split(split).labels_N.tolist()) == sorted(own.split(split).labels_N.tolist())
    levels = [set_.train.pixels_NHWC.double().mean((1, 2, 3)).sort().values for set_ in (packed, own)]
    torch.testing.assert_close(*levels, rtol=0, atol=2.0)  # JPEG
    assert pack(source, tmp_path / "out", options=options, processes=1) == report
    with pytest.raises(UserError, match="holds shards of other images"):
        pack(data.from_arrays(255 - pixels, labels, ["a/b", "貓"]), tmp_path / "out", options=options, processes=1)
