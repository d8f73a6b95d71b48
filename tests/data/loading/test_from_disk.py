"""Streamed images: the same as in memory, whatever the number of threads, within bounded memory."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import data
from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data import Images, StreamedImages
from alexnet.data.images.streamed import FileStore
from alexnet.data.loading.from_disk import StreamLoader, open_loader
from alexnet.data.loading.from_memory import Loader
from alexnet.data.transforms.color import color_components
from alexnet.errors import UserError

CPU = torch.device("cpu")
THREADS = "alexnet.data.images.streamed.usable_cores"


def jpeg(width: int, height: int, seed: int) -> bytes:
    """A photograph of sorts: waves and noise, each seed's of its own."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    waves = np.stack([np.sin(across + seed), np.cos(down - seed), np.sin(across + down)], axis=2)
    pixels = np.clip(128 + 90 * waves + random.normal(0, 8, waves.shape), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve photographs of four sizes in train/, six in test/."""
    folder = tmp_path_factory.mktemp("photos")
    sizes = [(60, 45), (45, 60), (40, 40), (90, 41)]
    for split, count in (("train", 12), ("test", 3)):
        for c, name in enumerate(("ant", "bee")):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                (folder / split / name / f"{i:02}.jpg").write_bytes(jpeg(*sizes[i % 4], seed=100 * c + i))
    return folder


def how(image_px: int, in_channels: int = 3) -> Preprocessing:
    return Preprocessing(
        image_px=image_px, in_channels=in_channels, mean=(0.4,) * in_channels, std=(0.2,) * in_channels
    )


def both(folder: Path, **options: object) -> tuple[Images, StreamedImages]:
    options = {"val_fraction": 0, "image_px": 32, **options}
    here = data.load(folder, stream="never", **options).train
    there = data.load(folder, stream="always", **options).train
    assert isinstance(here, Images)
    assert isinstance(there, StreamedImages)
    return here, there


BOUNDS = [(3, 10), (10, 11), (11, 24), (0, 2)]


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize(
    ("augment", "resize_px"),
    [
        (None, None),
        (AugmentConfig(flip="random"), None),
        (AugmentConfig(flip="random", crop_padding_px=3), None),
        (AugmentConfig(flip="random"), 40),  # crops of 32 from 40, as the paper's 224 from 256
        (AugmentConfig(crop_padding_px=2), 40),
        (AugmentConfig(flip="alternating", cutout_px=9), 40),
        (AugmentConfig(flip="random", pca_color=0.1), 40),  # all that the paper does (Krizhevsky 2012, 4.1)
    ],
)
def test_streamed_batches_are_those_from_memory(photos, augment, resize_px, in_channels):
    here, there = both(photos, resize_px=resize_px, in_channels=in_channels)
    loaders = [
        open_loader(
            images,
            how(32, in_channels),
            CPU,
            torch.float32,
            augment,
            colors=color_components(images, augment or AugmentConfig()),
            balanced=resize_px is None,
        )
        for images in (here, there)
    ]
    assert [type(loader) for loader in loaders] == [Loader, StreamLoader]
    assert len(loaders[0]) == len(loaders[1]) == 24
    shrunk = [loader.batch(loader.plan(3, 1, 24), 3, 10)[0] for loader in loaders]
    assert shrunk[0].shape == (7, in_channels, 24, 24)
    assert torch.equal(*shrunk)
    made = [list(loader.batches(loader.plan(3, 1), BOUNDS)) for loader in loaders]
    for (x_NCHW, y_N), (expected_NCHW, expected_N), (start, stop) in zip(*made[::-1], BOUNDS, strict=True):
        assert x_NCHW.shape == (stop - start, in_channels, 32, 32)
        assert torch.equal(x_NCHW, expected_NCHW)
        assert torch.equal(y_N, expected_N)
        assert x_NCHW.stride() == expected_NCHW.stride()
    for first, second in zip(loaders[1].batch(loaders[1].plan(3, 1), 3, 10), made[1][0], strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_do_not_change_what_comes_out(photos, threads, monkeypatch):
    _, there = both(photos, resize_px=40)
    loader = StreamLoader(there, how(32), CPU, torch.float32, AugmentConfig(flip="random"))
    bounds = [(i, i + 2) for i in range(0, 24, 2)]
    expected = list(loader.batches(loader.plan(0, 0), bounds))
    monkeypatch.setattr(THREADS, lambda: threads)
    for got, wanted in zip(loader.batches(loader.plan(0, 0), bounds), expected, strict=True):
        assert torch.equal(got[0], wanted[0])
        assert torch.equal(got[1], wanted[1])


def test_reflected_borders_are_refused(photos):
    _, there = both(photos)
    with pytest.raises(UserError, match=r"black borders: use augment\.crop_border black"):
        StreamLoader(there, how(32), CPU, torch.float32, AugmentConfig(crop_padding_px=2, crop_border="reflect"))


def test_an_epoch_continues_from_any_bound(photos):
    _, there = both(photos)
    loader = StreamLoader(there, how(32), CPU, torch.float32, AugmentConfig(flip="random", crop_padding_px=2))
    bounds = [(i, i + 4) for i in range(0, 24, 4)]
    whole = list(loader.batches(loader.plan(7, 2), bounds))
    rest = list(loader.batches(loader.plan(7, 2), bounds[2:]))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(whole[2:], rest, strict=True))


def test_parts_files_and_single_images_are_those_in_memory(photos):
    here, there = both(photos)
    assert torch.equal(torch.cat(list(there.parts(5))), here.pixels_NHWC)
    assert [len(part) for part in there.parts(5)] == [5, 5, 5, 5, 4] == [len(part) for part in here.parts(5)]
    assert torch.equal(there.pixels_at(7), here.pixels_at(7))
    assert list(there.files) == list(here.files)
    assert there.files[0] == "train/ant/00.jpg"
    assert (there.image_px, there.in_channels, len(there)) == (here.image_px, here.in_channels, len(here))
    some = torch.tensor([5, 1])
    assert torch.equal(torch.cat(list(there.take(some).parts(2))), here.take(some).pixels_NHWC)
    assert there.with_labels(torch.arange(24)).labels_N.tolist() == list(range(24))


def test_the_same_images_are_held_out(photos):
    splits = [data.load(photos, stream=how, image_px=32, val_fraction=0.25) for how in ("never", "always")]
    for name in ("train", "val", "test"):
        here, there = (dataset.split(name) for dataset in splits)
        assert torch.equal(torch.cat(list(there.parts(64))), here.pixels_NHWC), name
        assert torch.equal(there.labels_N, here.labels_N), name
    assert [dataset.origin["streamed"] for dataset in splits] == [False, True]
    test, names = data.load_split(photos, "test", image_px=32, in_channels=3, stream="always")
    assert isinstance(test, StreamedImages)
    assert torch.equal(next(test.parts(9)), splits[0].open_test().pixels_NHWC)
    assert names == ("ant", "bee")


def test_statistics_are_the_same(photos):
    here, there = both(photos)
    np.testing.assert_allclose(data.channel_statistics(there), data.channel_statistics(here), rtol=1e-12)
    pixels = here.pixels_NHWC.numpy().reshape(-1, 3) / 255
    for images in (here, there):
        np.testing.assert_allclose(data.moments(images).covariance, np.cov(pixels.T, bias=True), rtol=1e-10)


def test_statistics_of_many_streamed_images_are_sampled_evenly(photos, monkeypatch):
    _, there = both(photos)
    monkeypatch.setattr("alexnet.data.dataset._SAMPLED_IMAGES", 6)
    assert data.moments(there) == data.moments(there.take(torch.arange(0, 24, 4)))


def test_images_own_size_does_not_depend_on_where_they_are(tmp_path, write_images, photos):
    write_images(tmp_path / "small", "a/1.png", "a/2.png", "b/1.png", "b/2.png", px=12)
    write_images(tmp_path / "mixed", "train/a/1.png", "train/b/1.png", "test/a/1.png", px=12)
    write_images(tmp_path / "mixed", "train/b/2.png", px=13)
    for folder, expected in ((tmp_path / "small", 12), (tmp_path / "mixed", 20), (photos, 20)):
        for stream in ("never", "always"):
            assert data.load(folder, default_px=20, val_fraction=0, stream=stream).image_px == expected, folder


def test_streaming_begins_where_half_the_free_memory_ends(photos, monkeypatch):
    decoded = 30 * 32 * 32 * 3  # all splits
    for free, streamed in ((2 * decoded, False), (2 * decoded - 1, True)):
        monkeypatch.setattr("alexnet.system.available_bytes", lambda free=free: free)
        dataset = data.load(photos, image_px=32)
        assert dataset.origin["streamed"] is streamed
        assert isinstance(dataset.open_test(), StreamedImages) is streamed
    dataset = data.load(photos, image_px=24, resize_px=32)  # what is kept counts, not what the network sees
    assert dataset.origin["streamed"]
    assert (dataset.image_px, dataset.train.image_px) == (24, 32)


def test_what_is_an_array_cannot_be_streamed():
    with pytest.raises(UserError, match=r"load_digits is read as a whole and cannot be streamed"):
        data.load("digits", stream="always")
    assert isinstance(data.load("digits").train, Images)


def test_a_network_larger_than_its_images_is_refused(photos):
    with pytest.raises(UserError, match=r"resize_px \(30\) must be at least the network's input, 32"):
        data.load(photos, image_px=32, resize_px=30)


def test_a_broken_image_is_named_and_threads_end(photos, tmp_path):
    (tmp_path / "a").mkdir()
    names = [f"a/{i}.jpg" for i in range(40)]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(jpeg(40, 40, i))
    whole = (tmp_path / names[9]).read_bytes()
    images = StreamedImages(FileStore(tmp_path, names), torch.arange(40), torch.zeros(40, dtype=torch.int64), 32, 3)
    before = threading.active_count()
    for content in (whole[: len(whole) // 2], b"words", b""):
        (tmp_path / names[9]).write_bytes(content)
        parts = images.parts(4)
        assert torch.equal(next(parts)[1], images.pixels_at(1))
        assert len(next(parts)) == 4
        with pytest.raises(UserError, match=r"a/9\.jpg: .*alexnet data check"):
            next(parts)
        assert threading.active_count() == before
    (tmp_path / names[9]).unlink()
    with pytest.raises(UserError, match=r"cannot read .*a/9\.jpg: no such file"):
        list(images.parts(4))


def test_a_reader_that_leaves_ends_the_threads(photos):
    _, there = both(photos)
    loader = StreamLoader(there, how(32), CPU, torch.float32)
    before = threading.active_count()
    batches = loader.batches(loader.plan(0, 0), [(i, i + 1) for i in range(24)])
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before
    for _ in loader.batches(loader.plan(0, 0), [(i, i + 1) for i in range(24)]):
        break
    gc.collect()
    assert threading.active_count() == before


def test_decoding_stays_a_little_ahead(photos, monkeypatch):
    _, there = both(photos)
    read = []
    monkeypatch.setattr(there.store, "read", lambda i, read_file=there.store.read: read.append(i) or read_file(i))
    monkeypatch.setattr(THREADS, lambda: 1)
    loader = StreamLoader(there, how(32), CPU, torch.float32)
    batches = loader.batches(loader.plan(0, 0), [(i, i + 1) for i in range(24)])
    next(batches)
    assert len(read) <= 5  # one given out, four turns of the only thread
    assert len(list(batches)) == 23
    assert sorted(read) == list(range(24))


def test_waiting_is_counted(photos, monkeypatch):
    import time

    _, there = both(photos)
    monkeypatch.setattr(THREADS, lambda: 1)
    monkeypatch.setattr(there.store, "read", lambda i, read_file=there.store.read: time.sleep(0.01) or read_file(i))
    loader = StreamLoader(there, how(32), CPU, torch.float32)
    assert loader.wait_s == 0
    list(loader.batches(loader.plan(0, 0), [(0, 12)]))
    assert 0.12 <= loader.wait_s < 2


def test_the_fingerprint_follows_names_sizes_and_labels(photos, tmp_path):
    _, there = both(photos)
    _, again = both(photos)
    assert there.fingerprint() == again.fingerprint()
    assert there.take(torch.arange(23)).fingerprint() != there.fingerprint()
    assert there.with_labels(there.labels_N.flip(0)).fingerprint() != there.fingerprint()
    for i in range(2):
        (tmp_path / f"{i}.jpg").write_bytes(b"x" * (i + 1))
    sizes = FileStore(tmp_path, ["0.jpg", "1.jpg"]).fingerprint()
    assert FileStore(tmp_path, ["1.jpg", "0.jpg"]).fingerprint() != sizes
    (tmp_path / "0.jpg").write_bytes(b"xxx")
    assert FileStore(tmp_path, ["0.jpg", "1.jpg"]).fingerprint() != sizes


MEMORY = """
    import sys, torch
    from pathlib import Path
    from alexnet.card import Preprocessing
    from alexnet.config import AugmentConfig
    from alexnet.data.loading.from_disk import StreamLoader
    from alexnet.data.images.streamed import FileStore, StreamedImages

    def peak_mib():
        return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) / 1024

    for times in (5, 100):  # decoded, 12 and 240 MiB
        N = 64 * times
        images = StreamedImages(
            FileStore(Path(sys.argv[1]), ["a.jpg"] * N), torch.arange(N), torch.zeros(N).long(), 128, 3
        )
        how = Preprocessing(image_px=112, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
        loader = StreamLoader(images, how, torch.device("cpu"), torch.float32, AugmentConfig(flip="random"))
        for x, y in loader.batches(loader.plan(0, 0), [(i, i + 32) for i in range(0, N, 32)]):
            pass
        print(peak_mib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_data(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(170, 128, 0))
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), str(tmp_path)]
    first, last = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert last - first < 40, (first, last)
