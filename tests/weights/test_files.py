from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from alexnet.weights._files import detect


@pytest.mark.parametrize("header_bytes", [0x112, 0x280, 0x380, 0x480, 0x580, 4096])
def test_a_header_whose_length_reads_as_another_format(tmp_path, header_bytes):
    """Lengths that begin as an MXNet list (0x112) or as pickles of protocol 2 to 5 (0x80, then 2 to 5)."""
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(header_bytes)
    content = struct.pack("<Q", header_bytes) + header + struct.pack("<f", 0.5)
    assert load(content)["w"].item() == 0.5  # a sound file
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert detect(path) == "safetensors"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_told_from_safetensors(tmp_path, protocol):
    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({"w": 1}, protocol=protocol))
    assert detect(path) == "torch"


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch(tmp_path, zipped):
    path = tmp_path / "net.pth"
    torch.save({"{": torch.zeros(1)}, path, _use_new_zipfile_serialization=zipped)
    assert detect(path) == "torch"


def test_mxnet_lists_and_others(tmp_path):
    path = tmp_path / "file"
    for content, kind in [
        (struct.pack("<QQQ", 0x112, 0, 1), "mxnet"),
        (b"hello, world: no weights", None),
        (b"{}", None),
    ]:
        path.write_bytes(content)
        assert detect(path) == kind


GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("*.caffemodel", "caffe"),
        ("*.onnx", "onnx"),
        ("*.mat", "mat"),
        ("*.h5", "hdf5"),
        ("*.keras", "keras"),
        ("*.params", "mxnet"),
        ("*.prototxt", "text"),
        ("*.binaryproto", None),
    ],
)
def test_files_of_other_frameworks_under_any_name(tmp_path, pattern, kind):
    files = sorted(GOLDEN.glob(pattern))
    assert files
    for file in files:
        (tmp_path / "renamed.bin").write_bytes(file.read_bytes())
        assert detect(tmp_path / "renamed.bin") == kind, file.name


def test_an_archive_of_something(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.params", b"")
    assert detect(path) == "zip"
    path.write_bytes(path.read_bytes()[:20])
    assert detect(path) == "torch"  # whose reader says that it is damaged
