from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from alexnet.errors import UserError
from alexnet.weights.mxnet import read_params

GOLDEN = Path(__file__).parents[1] / "golden"

CPU = struct.pack("<ii", 1, 0)
VALUES = struct.pack("<6f", 1.0, -2.0, 0.5, 4.0, 0.0, -0.125)
EXPECTED = np.array([[1.0, -2.0, 0.5], [4.0, 0.0, -0.125]], np.float32)


def params(*arrays: bytes, names: tuple[bytes, ...] = (b"w",)) -> bytes:
    """A file of `arrays`, each with its header."""
    named = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(names)) + named


def v2(shape: tuple[int, ...], flag: int, values: bytes, magic: int = 0xF993FAC9) -> bytes:
    dims = struct.pack(f"<{len(shape)}q", *shape)
    return struct.pack("<Iii", magic, 0, len(shape)) + dims + CPU + struct.pack("<i", flag) + values


HEADERS = {
    "legacy": struct.pack("<I2I", 2, 2, 3),
    "v1": struct.pack("<Ii2q", 0xF993FAC8, 2, 2, 3),
    "v2": struct.pack("<Iii2q", 0xF993FAC9, 0, 2, 2, 3),
    "v3": struct.pack("<Iii2q", 0xF993FACA, 0, 2, 2, 3),
}


def read(tmp_path: Path, content: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "net.params"
    path.write_bytes(content)
    return read_params(path)


@pytest.mark.parametrize("version", HEADERS)
def test_every_header_version(tmp_path, version):
    found = read(tmp_path, params(HEADERS[version] + CPU + struct.pack("<i", 0) + VALUES))
    assert list(found) == ["w"]
    assert found["w"].dtype == np.float32
    np.testing.assert_array_equal(found["w"], EXPECTED)
    found["w"][0, 0] = 9  # writable, and not a view of the file's bytes


@pytest.mark.parametrize(
    ("flag", "values", "expected"),
    [
        (0, struct.pack("<2f", 1.5, -2), np.array([1.5, -2], np.float32)),
        (1, struct.pack("<2d", 1e300, -2), np.array([1e300, -2], np.float64)),
        (2, struct.pack("<2e", 65504, -0.5), np.array([65504, -0.5], np.float16)),
        (3, bytes([0, 255]), np.array([0, 255], np.uint8)),
        (4, struct.pack("<2i", -(2**31), 7), np.array([-(2**31), 7], np.int32)),
        (5, struct.pack("<2b", -128, 127), np.array([-128, 127], np.int8)),
        (6, struct.pack("<2q", 2**62, -1), np.array([2**62, -1], np.int64)),
    ],
)
def test_every_number_type(tmp_path, flag, values, expected):
    found = read(tmp_path, params(v2((2,), flag, values)))["w"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_arrays_saved_from_a_gpu(tmp_path):
    gpu = struct.pack("<ii", 2, 3)
    found = read(tmp_path, params(HEADERS["v2"] + gpu + struct.pack("<i", 0) + VALUES))
    np.testing.assert_array_equal(found["w"], EXPECTED)


def test_a_v3_scalar(tmp_path):
    found = read(tmp_path, params(v2((), 0, struct.pack("<f", 2.5), magic=0xF993FACA)))
    assert found["w"].shape == ()
    assert found["w"] == 2.5


def test_prefixes_are_dropped_and_the_order_kept(tmp_path):
    one = v2((1,), 3, b"\x01")
    found = read(tmp_path, params(one, one, one, names=(b"arg:z_weight", b"aux:mean", b"a.bias")))
    assert list(found) == ["z_weight", "mean", "a.bias"]


def test_a_name_under_both_prefixes_is_refused(tmp_path):
    one = v2((1,), 3, b"\x01")
    with pytest.raises(UserError, match="'x' occurs twice"):
        read(tmp_path, params(one, one, names=(b"arg:x", b"aux:x")))


def test_arrays_without_names_are_numbered(tmp_path):
    one = v2((1,), 3, b"\x01")
    assert list(read(tmp_path, params(one, one, names=()))) == ["0", "1"]


@pytest.mark.parametrize("name", ["mxnet191-dtypes.params", "mxnet191-npshape.params"])
def test_truncation_anywhere_names_file_and_byte(tmp_path, name):
    whole = (GOLDEN / name).read_bytes()
    for size in range(len(whole)):
        with pytest.raises(UserError, match=r"net\.params is truncated or damaged at byte \d+: "):
            read(tmp_path, whole[:size])
    with pytest.raises(UserError, match=rf"at byte {len(whole)}: the file goes on"):
        read(tmp_path, whole + b"\0")


@pytest.mark.parametrize("version", HEADERS)
def test_damage_to_any_byte_is_read_or_refused(tmp_path, version):
    whole = params(HEADERS[version] + CPU + struct.pack("<i", 0) + VALUES)
    for offset in range(len(whole)):
        for byte in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            try:
                found = read(tmp_path, whole[:offset] + bytes([byte]) + whole[offset + 1 :])
            except UserError:
                continue
            assert all(array.size <= 24 for array in found.values())  # 24 bytes of values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            params(v2((2**31, 2**31), 0, VALUES)),
            r"at byte 64: the values of array 0, .* 18,446,744,073,709,551,616 bytes",
        ),
        (params(struct.pack("<Iii", 0xF993FAC9, 0, 2**30)), r"at byte 32: the shape of array 0 has 1073741824 dim"),
        (params(struct.pack("<I", 2**32 - 1)), r"at byte 24: .* 4294967295 dimensions"),
        (struct.pack("<QQQ", 0x112, 0, 2**64 - 1), r"at byte 24: the header of array 0 needs 4 bytes and 0 are left"),
        (params(v2((1,), 3, b"\1"), names=(b"a", b"b")), "2 names for 1 arrays"),
        (
            params(v2((1,), 3, b"\1"))[:-9] + struct.pack("<Q", 2**63) + b"w",
            r"name 0 needs 9,223,\S+ bytes and 1 are",
        ),
        (params(v2((1,), 3, b"\1"), names=(b"\xff",)), "name 0 is not UTF-8"),
        (params(v2((1,), 99, b"\1")), "unknown dtype 99"),
    ],
)
def test_absurd_headers_are_refused_without_memory(tmp_path, content, message):
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message):
            read(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 1e6  # bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("storage", "name"), [(1, "row_sparse"), (2, "csr")])
def test_sparse_arrays_are_refused_by_name(tmp_path, storage, name):
    sparse = struct.pack("<Iiiq", 0xF993FAC9, storage, 1, 4)
    with pytest.raises(UserError, match=f"{name}.*tostype"):
        read(tmp_path, params(sparse))


def test_an_unknown_storage_type_is_damage(tmp_path):
    with pytest.raises(UserError, match="at byte 28: array 0 has the unknown storage type 7"):
        read(tmp_path, params(struct.pack("<Ii", 0xF993FAC9, 7)))


@pytest.mark.parametrize(
    "array",
    [
        struct.pack("<Iii", 0xF993FAC9, 0, 0),  # V2: not initialised
        struct.pack("<Iii", 0xF993FACA, 0, -1),  # V3: unknown number of dimensions
        v2((4, 0), 0, b""),  # inputs of a dense layer not yet known
        v2((4, -1), 0, b"", magic=0xF993FACA),
        struct.pack("<I", 0),  # legacy
    ],
)
def test_arrays_without_values_are_refused(tmp_path, array):
    with pytest.raises(UserError, match="no values"):
        read(tmp_path, params(array))


def test_bfloat16_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="bfloat16"):
        read(tmp_path, params(v2((1,), 12, b"\0\0")))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="not an MXNet NDArray file"):
        read(tmp_path, b"PK\x03\x04" + bytes(100))
    with pytest.raises(UserError, match="there is no file"):
        read_params(tmp_path / "none.params")
    with pytest.raises(UserError, match="is a folder"):
        read_params(tmp_path)


def test_gluon_parameters_as_mxnet_wrote_them():
    found = read_params(GOLDEN / "mxnet191-gluon.params")
    assert list(found) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    np.testing.assert_array_equal(found["0.weight"], np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2) / 8)
    np.testing.assert_array_equal(found["0.bias"], np.array([0.5, -0.25], np.float32))
    np.testing.assert_array_equal(found["2.weight"], np.arange(24, dtype=np.float32).reshape(3, 8) / 4 - 2)
    np.testing.assert_array_equal(found["2.bias"], np.array([1, 2, 3], np.float32))


def test_number_types_as_mxnet_wrote_them():
    found = read_params(GOLDEN / "mxnet191-dtypes.params")
    expected = {
        "f4": np.array([1.5, -2], np.float32),
        "f8": np.array([1e300], np.float64),
        "f2": np.array([[0.5, 65504]], np.float16),
        "u1": np.array([255, 0], np.uint8),
        "i4": np.array([-(2**31)], np.int32),
        "i1": np.array([-128], np.int8),
        "i8": np.array([2**62], np.int64),
    }
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_numpy_shapes_as_mxnet_wrote_them():
    found = read_params(GOLDEN / "mxnet191-npshape.params")
    assert found["scalar"].shape == ()
    assert found["scalar"] == 2.5
    np.testing.assert_array_equal(found["vector"], np.array([1, 2, 3], np.float32))


def test_many_names_and_one_of_them_twice(tmp_path):
    """Each is looked up once, not compared with all others."""
    one = v2((1,), 3, b"\x07")
    names = [f"{i}".encode() for i in range(40_000)]
    assert len(read(tmp_path, params(*[one] * 40_000, names=tuple(names)))) == 40_000
    names[-1] = b"39998"
    with pytest.raises(UserError, match="'39998' occurs twice"):
        read(tmp_path, params(*[one] * 40_000, names=tuple(names)))
