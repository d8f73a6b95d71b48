"""Shards made elsewhere: found, indexed and read at random; broken ones are named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import data
from alexnet.data.sources import tar_index
from alexnet.errors import UserError


def jpeg(shade: int, px: int = 16) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (px, px), (shade, shade, shade)).save(out, "JPEG", quality=95)
    return out.getvalue()


def write_shard(path: Path, samples: list[dict[str, bytes]], *, first: int = 0, pax: bool = False) -> None:
    """`samples` by the members' endings; with `pax`, as webdataset's writer does it: times with fractions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT if pax else tarfile.USTAR_FORMAT) as tar:
        for i, sample in enumerate(samples, start=first):
            for kind, content in sample.items():
                info = tarfile.TarInfo(f"n{i % 3:08}_{i}.{kind}")
                info.size = len(content)
                info.mtime = 1.5 if pax else 0
                tar.addfile(info, io.BytesIO(content))


def sample(i: int, label: int) -> dict[str, bytes]:
    """The kinds in webdataset's own order, which is the alphabet's."""
    about = {"label": label, "filename": f"train/n{i % 3:08}_{i}.JPEG", "width": 16, "height": 16}
    return {"cls": str(label).encode(), "jpg": jpeg(10 * i), "json": json.dumps(about).encode()}


@pytest.fixture
def timm(tmp_path: Path, decoded_cache: Path) -> Path:
    """Shards named and laid out as those of timm/imagenet-1k-wds: 2 + 1, with 7 + 3 images of 3 classes."""
    folder = tmp_path / "imagenet-1k-wds"
    write_shard(folder / "imagenet1k-train-0000.tar", [sample(i, i % 3) for i in range(4)], pax=True)
    write_shard(folder / "imagenet1k-train-0001.tar", [sample(i, i % 3) for i in range(4, 7)], first=4, pax=True)
    write_shard(folder / "imagenet1k-validation-00.tar", [sample(i, i % 3) for i in range(20, 23)], first=20)
    splits = {
        "train": {"filenames": ["imagenet1k-train-0000.tar", "imagenet1k-train-0001.tar"], "shard_lengths": [4, 3]},
        "validation": {"filenames": ["imagenet1k-validation-00.tar"], "shard_lengths": [3]},
    }
    (folder / "_info.json").write_text(json.dumps({"splits": splits}))
    return folder


@pytest.mark.parametrize("stream", ["never", "always"])
def test_shards_of_timm_are_read(timm: Path, stream: data.Streaming) -> None:
    dataset = data.load(timm, image_px=16, val_fraction=0, stream=stream)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.train.labels_N.tolist() == [0, 1, 2, 0, 1, 2, 0]
    x_NHWC = torch.cat(list(dataset.train.parts(3)))
    assert x_NHWC.float().mean((1, 2, 3)).tolist() == pytest.approx([10 * i for i in range(7)], abs=1)
    assert list(dataset.train.files or ()) == [f"train/n{i % 3:08}_{i}.JPEG" for i in range(7)]
    test = dataset.open_test()
    assert test.labels_N.tolist() == [2, 0, 1]
    assert float(test.pixels_at(1).float().mean()) == pytest.approx(210, abs=1)
    assert "val serves as the test split" in dataset.origin["split"]


def test_images_are_read_in_any_order(timm: Path) -> None:
    images = data.load(timm, image_px=16, val_fraction=0, stream="always").train
    order = torch.tensor([6, 0, 3, 5, 1])
    assert next(images.take(order).parts(5)).float().mean((1, 2, 3)).tolist() == pytest.approx(
        (10 * order).tolist(), abs=1
    )


def test_members_may_come_in_any_order_and_with_others(tmp_path: Path, decoded_cache: Path) -> None:
    first = {"json": b"{}", "seg.png": b"no image of ours", "jpeg": jpeg(100), "cls": b"1\n"}
    second = {"png": _png(50), "cls": b"0"}
    write_shard(tmp_path / "train" / "000.tar", [first, second])
    write_shard(tmp_path / "test" / "000.tar", [second])
    dataset = data.load(tmp_path, image_px=16, val_fraction=0, stream="always")
    assert dataset.train.labels_N.tolist() == [1, 0]
    assert [int(dataset.train.pixels_at(i)[0, 0, 0]) for i in range(2)] == [100, 50]
    assert "train/000.tar (image at byte" in dataset.train.files[0]  # type: ignore[index]


def _png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (16, 16), shade).save(out, "PNG")
    return out.getvalue()


def test_the_index_is_made_once_and_anew_when_shards_change(timm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> data.AnyImages:
        return data.load(timm, image_px=16, val_fraction=0, stream="always").train

    first = load()

    def refuse(*args: object) -> None:
        raise AssertionError("scanned again")

    with monkeypatch.context() as patch:
        patch.setattr(tar_index, "scan", refuse)
        assert load().fingerprint() == first.fingerprint()
        assert torch.equal(load().pixels_at(5), first.pixels_at(5))
    write_shard(timm / "imagenet1k-train-0001.tar", [sample(i, 2) for i in range(4, 6)], first=4)
    assert load().labels_N.tolist() == [0, 1, 2, 0, 2, 2]
    assert load().fingerprint() != first.fingerprint()


def test_an_image_takes_20_bytes_in_the_index() -> None:
    assert tar_index.ENTRY.itemsize == 20


def test_missing_shards_are_named(timm: Path) -> None:
    (timm / "imagenet1k-train-0001.tar").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of 2 train shards, imagenet1k-train-0001\.tar first"):
        data.load(timm, image_px=16)
    (timm / "imagenet1k-train-0000.tar").unlink()  # without any, the others can still be evaluated on
    test, names = data.load_split(timm, "test", image_px=16, in_channels=3)
    assert len(test) == 3
    assert len(names) == 3
    with pytest.raises(UserError, match="has no train shards, only test"):
        data.load(timm, image_px=16)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5])
def test_a_shard_cut_short_is_named(timm: Path, part: float) -> None:
    shard = timm / "imagenet1k-train-0001.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"imagenet1k-train-0001\.tar"):
        data.load(timm, image_px=16)


def test_a_shard_cut_at_any_block_is_noticed(tmp_path: Path) -> None:
    shard = tmp_path / "train-0.tar"
    write_shard(shard, [sample(i, 0) for i in range(2)])
    content = shard.read_bytes()
    with tarfile.open(shard) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + last.size
    for cut in range(1, -(-end // 512) + 1):
        shard.write_bytes(content[: 512 * cut])
        with pytest.raises(UserError, match=r"train-0\.tar cannot be read"):
            tar_index.scan(shard)


def test_what_was_cut_after_it_was_indexed_is_named(timm: Path) -> None:
    images = data.load(timm, image_px=16, val_fraction=0, stream="always").train
    shard = timm / "imagenet1k-train-0001.tar"
    shard.write_bytes(shard.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"imagenet1k-train-0001\.tar \(image at byte \d+\): the shard is cut short"):
        list(images.parts(7))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"jpg": b"x"}, r"n00000000_0 has no \.cls member with its label"),
        ({"jpg": b"x", "cls": b"ant"}, r"a \.cls member is no number"),
        ({"jpg": b"x", "cls": b"-1"}, "has the label -1"),
        ({"txt": b"words"}, "has no images in its shards"),
    ],
)
def test_samples_that_cannot_be_used_are_named(
    members: dict[str, bytes], reason: str, tmp_path: Path, decoded_cache: Path
) -> None:
    write_shard(tmp_path / "train-0.tar", [members])
    with pytest.raises(UserError, match=reason):
        data.load(tmp_path, image_px=16)


def test_a_shard_of_no_split_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "photos.tar", [sample(0, 0)])
    with pytest.raises(UserError, match=r"photos\.tar does not say which split it is of"):
        data.load(tmp_path)


def test_a_broken_image_in_a_shard_is_named(timm: Path) -> None:
    good, bad = sample(30, 0), {**sample(31, 1), "jpg": jpeg(9)[:200]}
    write_shard(timm / "imagenet1k-validation-00.tar", [good, bad], first=30)
    with pytest.raises(UserError, match=r"validation-00\.tar \(image at byte \d+\): .*alexnet data check"):
        list(data.load(timm, image_px=16, val_fraction=0).open_test().parts(2))
    found = data.check(timm)
    assert found.images == {"train": 7, "test": 2}
    assert len(found.bad) == 1
    assert "validation-00.tar (image at byte" in found.bad[0].path


def test_describing_shards_reads_no_image(timm: Path) -> None:
    described = data.describe(timm)
    assert described["images"] == {"train": 7, "test": 3}
    assert described["images_per_class"]["train"] == {"0": 3, "1": 2, "2": 2}
    assert described["shards"] == {"train": 2, "test": 1}
    assert described["classes"] == ["0", "1", "2"]


def test_slices_of_files(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(10_000)
    (tmp_path / "f").write_bytes(content)
    assert tar_index.read_slice(tmp_path / "f", 123, 4000) == content[123:4123]
    with pytest.raises(OSError, match="cut short"):
        tar_index.read_slice(tmp_path / "f", 9000, 1001)
