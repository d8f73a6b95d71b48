from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexnet import data
from alexnet.data.sources import cifar, download, registry
from alexnet.data.sources.idx import read_idx
from alexnet.errors import UserError

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Nothing is downloaded, no data folder but the test's own is seen; lists the addresses asked for."""
    asked: list[str] = []

    def refuse(url: str, folder: str, name: str, md5: str) -> None:
        asked.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr(download, "download_url", refuse)
    monkeypatch.setattr(registry, "_DEBIAN_FOLDERS", {})
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    return asked


# --- digits ------------------------------------------------------------------------------------------------------


def test_digits_are_split_for_ever() -> None:
    dataset = data.load("digits", val_fraction=0)
    test = dataset.open_test()
    assert (len(dataset.train), len(test)) == (1438, 359)
    assert dataset.train.pixels_NHWC.shape == (1438, 32, 32, 1)
    assert dataset.class_names == tuple("0123456789")
    per_class = torch.bincount(test.labels_N)
    assert per_class.tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert hashlib.sha256(test.labels_N.numpy().tobytes()).hexdigest()[:8] == "7d108ee8"
    assert test.pixels_NHWC.max() == 255


def test_digits_are_brightened_and_enlarged() -> None:
    from sklearn.datasets import load_digits

    dataset = data.load("digits", image_px=8, val_fraction=0)
    shipped = torch.from_numpy(load_digits().images)
    seen = torch.cat([dataset.train.pixels_NHWC, dataset.open_test().pixels_NHWC])[..., 0]
    assert seen.double().mean().item() == pytest.approx(shipped.mean().item() * 255 / 16, abs=0.05)  # rounding
    assert set(seen.unique().tolist()) == {int(v * 255 / 16 + 0.5) for v in range(17)}


def test_digits_have_no_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="drop --root"):
        data.load("digits", root=tmp_path)


# --- IDX ---------------------------------------------------------------------------------------------------------


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, *, zipped: bool = False, separator: str = "-") -> None:
    """20 train and 10 test images of 28 px, each of the shade of its position, labelled in turn 0 to 9."""
    folder.mkdir(parents=True)
    for stem, count in (("train", 20), ("t10k", 10)):
        shades = np.arange(count, dtype=np.uint8)
        images = np.broadcast_to(shades[:, None, None], (count, 28, 28))
        for kind, array in ((f"images{separator}idx3", images), (f"labels{separator}idx1", shades % 10)):
            content = idx(np.ascontiguousarray(array))
            path = folder / f"{stem}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("fashion_mnist", "."),
        ("fashion_mnist", "FashionMNIST/raw"),
        ("fashion_mnist", "fashion-mnist"),
        ("mnist", "MNIST/raw"),
        ("mnist", "raw"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_found_and_read(tmp_path: Path, name: str, below: str, zipped: bool) -> None:
    write_idx(tmp_path / "root" / below, zipped=zipped)
    dataset = data.load(name, root=tmp_path / "root", val_fraction=0)
    assert dataset.train.pixels_NHWC.shape == (20, 28, 28, 1)
    assert dataset.train.pixels_NHWC[:, 27, 0, 0].tolist() == list(range(20))
    assert dataset.train.labels_N.tolist() == [*range(10), *range(10)]
    assert len(dataset.open_test()) == 10
    assert dataset.class_names[0] == ("T-shirt/top" if name == "fashion_mnist" else "0")
    assert data.load(name, root=tmp_path / "root", in_channels=3, image_px=14).train.pixels_NHWC.shape[1:] == (
        14,
        14,
        3,
    )


def test_a_dot_in_the_name_is_known(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist", separator=".")
    assert len(data.load("mnist", root=tmp_path, val_fraction=0).train) == 20


def test_debians_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "debian", zipped=True)
    monkeypatch.setattr(registry, "_DEBIAN_FOLDERS", {"fashion_mnist": tmp_path / "debian"})
    assert len(data.load("fashion_mnist", val_fraction=0).train) == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file"),
        (b"\0\0\x08\x01\0\0\0\x02ab", "is not an IDX file of unsigned bytes with 3 dimensions"),
        (b"\0\0\x0d\x03" + struct.pack(">3I", 1, 1, 1) + b"a", "is not an IDX file"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + b"1234567", "does not hold the 8 bytes"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + b"123456789", "does not hold the 8 bytes"),
        (gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + b"12345678", mtime=0)[:-9], "cannot read"),
    ],
)
def test_a_broken_idx_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"images.*{message}|{message}.*images"):
        read_idx(path, 3)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist/train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"has no train-labels-idx1-ubyte"):
        data.load("mnist", root=tmp_path)


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist/train-labels-idx1-ubyte").write_bytes(idx(np.arange(20, dtype=np.uint8)))
    with pytest.raises(UserError, match="a train label is 19, but mnist has 10 classes"):
        data.load("mnist", root=tmp_path)
    (tmp_path / "mnist/train-labels-idx1-ubyte").write_bytes(idx(np.zeros(7, np.uint8)))
    with pytest.raises(UserError, match="20 train images, but 7 labels"):
        data.load("mnist", root=tmp_path)


def test_mnist_is_not_taken_for_fashion(tmp_path: Path) -> None:
    write_idx(tmp_path / "raw")
    labels = np.array([5, 0, 4, 1, 9, 2, 1, 3, 1, 4] * 2, np.uint8)  # how MNIST begins
    (tmp_path / "raw/train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(UserError, match="are those of mnist, not of fashion_mnist"):
        data.load("fashion_mnist", root=tmp_path)
    assert len(data.load("mnist", root=tmp_path, val_fraction=0).train) == 20


# --- CIFAR -------------------------------------------------------------------------------------------------------


def write_cifar10(folder: Path, *, python3: bool = False) -> None:
    """Five train batches and a test batch of 20 images; red is the label, green the batch, blue the column."""
    folder.mkdir(parents=True)

    def key(text: str) -> Any:
        return text if python3 else text.encode()

    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        labels = [i % 10 for i in range(20)]
        planes = np.zeros((20, 3, 32, 32), np.uint8)
        planes[:, 0] = np.array(labels)[:, None, None]
        planes[:, 1] = number
        planes[:, 2] = np.arange(32)
        content = {key("data"): planes.reshape(20, -1), key("labels"): labels, key("batch_label"): key("x")}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    names = {key("label_names"): [key(name) for name in CIFAR10]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))


def check_cifar10(dataset: data.Dataset) -> None:
    assert dataset.class_names == CIFAR10
    assert dataset.train.pixels_NHWC.shape == (100, 32, 32, 3)
    red, green, blue = dataset.train.pixels_NHWC.unbind(3)
    assert red[:, 5, 6].tolist() == dataset.train.labels_N.tolist() == [i % 10 for i in range(100)]
    assert green[:, 31, 31].tolist() == [i // 20 for i in range(100)]
    assert blue[50, 3].tolist() == list(range(32))
    assert dataset.open_test().pixels_NHWC[:, 0, 0, 1].tolist() == [5] * 20


@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize("python3", [False, True])
def test_an_unpacked_cifar_is_read(tmp_path: Path, below: str, python3: bool) -> None:
    write_cifar10(tmp_path / "root" / below, python3=python3)
    check_cifar10(data.load("cifar10", root=tmp_path / "root", val_fraction=0))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive like the published one, its members in no order, its check sum taken for the right one."""
    write_cifar10(tmp_path / "cifar-10-batches-py")
    path = tmp_path / "root" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as packed:
        for name in ("data_batch_4", "batches.meta", "test_batch", *(f"data_batch_{i}" for i in (3, 5, 2, 1))):
            packed.add(tmp_path / "cifar-10-batches-py" / name, f"cifar-10-batches-py/{name}")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    layout = cifar.LAYOUTS["cifar10"]
    monkeypatch.setitem(cifar.LAYOUTS, "cifar10", type(layout)(**{**vars(layout), "md5": md5}))
    return path


@pytest.mark.parametrize("by_file", [False, True])
def test_a_cifar_archive_is_read(archive: Path, by_file: bool) -> None:
    check_cifar10(data.load("cifar10", root=archive if by_file else archive.parent, val_fraction=0))


def test_a_damaged_archive_is_named(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz is damaged or incomplete .*remove it"):
        data.load("cifar10", root=archive.parent)


def test_cifar100_takes_the_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    names = [f"class {i:02}".encode() for i in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": names}, protocol=2))
    for split in ("train", "test"):
        content = {b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [99, 0], b"coarse_labels": [19, 1]}
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    dataset = data.load("cifar100", root=tmp_path, val_fraction=0)
    assert dataset.train.labels_N.tolist() == [99, 0]
    assert dataset.class_names[99] == "class 99"


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code of the pickle's author has run",)


def test_a_pickle_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py/data_batch_2").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match=r"data_batch_2: it asks for builtins\.print, which is not allowed"):
        data.load("cifar10", root=tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({b"labels": [1]}, "has no entry 'data'"),
        ({b"data": np.zeros((1, 3), np.uint8), b"labels": [1]}, "does not hold uint8 pixels of 1 images"),
        ({b"data": np.zeros((1, 3072), np.float32), b"labels": [1]}, "does not hold uint8"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [12]}, "labels run to 12"),
        ([1, 2], "it holds list, not a dictionary"),
    ],
)
def test_a_wrong_batch_is_named(tmp_path: Path, content: Any, message: str) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match=message):
        data.load("cifar10", root=tmp_path)


def test_a_folder_of_images_serves_as_cifar10(tmp_path: Path, write_images: Any, decoded_cache: Path) -> None:
    write_images(tmp_path, *(f"{split}/{name}/1.png" for split in ("train", "test") for name in CIFAR10), px=32)
    dataset = data.load("cifar10", root=tmp_path, val_fraction=0)
    assert dataset.class_names == CIFAR10
    assert dataset.name == "cifar10"
    assert len(dataset.open_test()) == 10


def test_a_folder_of_other_classes_does_not(tmp_path: Path, write_images: Any) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png")
    with pytest.raises(UserError, match="holds 2 classes, but cifar10 has 10"):
        data.load("cifar10", root=tmp_path)


# --- names and downloads -----------------------------------------------------------------------------------------


def test_without_network_the_error_says_what_to_do(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        data.load("cifar10")
    message = str(caught.value)
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in message
    assert str(tmp_path / "data" / "cifar-10-python.tar.gz") in message
    assert "no route to host" in message
    assert "`--data digits`" in message
    assert "train/CLASS" in message
    assert len(message.splitlines()) == 2
    assert no_network == ["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]
    assert list((tmp_path / "data").iterdir()) == []


def test_every_mirror_is_tried(no_network: list[str]) -> None:
    with pytest.raises(UserError, match="mnist is not in"):
        data.load("mnist")
    assert no_network == [
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
        "http://yann.lecun.com/exdb/mnist/train-images-idx3-ubyte.gz",
    ]


def test_a_download_is_used_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "web", zipped=True)
    fetched: list[str] = []

    def fetch(url: str, folder: str, name: str, md5: str) -> None:
        fetched.append(name)
        (Path(folder) / name).write_bytes((tmp_path / "web" / name).read_bytes())

    monkeypatch.setattr(download, "download_url", fetch)
    assert data.download("mnist", tmp_path / "root") == tmp_path / "root/MNIST/raw"
    assert len(fetched) == 4
    assert data.download("mnist", tmp_path / "root") == tmp_path / "root/MNIST/raw"
    assert len(data.load("mnist", root=tmp_path / "root", val_fraction=0).train) == 20
    assert len(fetched) == 4
    assert len(list((tmp_path / "root/MNIST/raw").iterdir())) == 4


def test_check_sums_and_addresses_are_torchvisions() -> None:
    from torchvision import datasets

    for name, theirs in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        (ours,) = download.FILES[name]
        assert (ours.urls, ours.path, ours.md5) == ((theirs.url,), theirs.filename, theirs.tgz_md5)
    for name, mnist in (("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)):
        assert [(Path(file.path).name, file.md5) for file in download.FILES[name]] == mnist.resources
        assert {url.rpartition("/")[0] + "/" for file in download.FILES[name] for url in file.urls} == set(
            mnist.mirrors
        )


def test_unknown_names_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither the name of a source \(cifar10, .*did you mean fashion_mnist\?"):
        data.load("fashion-mnist")
    with pytest.raises(UserError, match=r"nowhere does not exist$"):
        data.load(tmp_path / "nowhere")
    (tmp_path / "file.tar").write_text("x")
    with pytest.raises(UserError, match=r"file\.tar is a file"):
        data.load(tmp_path / "file.tar")
    with pytest.raises(UserError, match="nothing to download"):
        data.download("digits")
    with pytest.raises(UserError, match="'imagenet' is not known"):
        data.download("imagenet")


def test_a_relative_folder_starts_from_root(tmp_path: Path, write_images: Any, decoded_cache: Path) -> None:
    write_images(tmp_path / "pets", "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    assert data.load("pets", root=tmp_path, val_fraction=0).class_names == ("a", "b")


@pytest.mark.parametrize(
    "options",
    [{"image_px": 0}, {"default_px": 0}, {"in_channels": 2}, {"val_fraction": 1.0}, {"val_fraction": -0.1}],
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        data.load("digits", **options)
