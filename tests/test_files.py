from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest

from alexnet.files import atomic_write, socket_timeout, write_json


def test_the_file_appears_whole(tmp_path):
    target = tmp_path / "weights"
    with atomic_write(target) as part:
        assert part.parent == tmp_path  # a rename is atomic within one file system only
        part.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def _fail_while_writing(target: Path, error: type[BaseException]) -> None:
    with atomic_write(target) as part:
        part.write_bytes(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path, error):
    target = tmp_path / "weights"
    target.write_bytes(b"old")
    with pytest.raises(error):
        _fail_while_writing(target, error)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def _die_while_writing(target: Path) -> None:
    with atomic_write(target) as part:
        part.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_leaves_the_old_file(tmp_path):
    target = tmp_path / "weights"
    target.write_bytes(b"old")
    process = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(target,))
    process.start()
    process.join(900)
    assert process.exitcode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


def test_two_writers_of_one_file_do_not_share_a_part(tmp_path):
    target = tmp_path / "weights"
    with atomic_write(target) as first, atomic_write(target) as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert target.read_bytes() == b"first"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "file"):
        pass


def test_files_have_the_permissions_of_ordinary_ones(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with atomic_write(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == ordinary.stat().st_mode


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"top1": 0.5, "names": ["貓"]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "top1": 0.5,\n  "names": [\n    "貓"\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert json.loads(text) == json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))


def test_socket_timeout_holds_in_its_block_only():
    before = socket.getdefaulttimeout()
    inside = []

    def fail():
        with socket_timeout(1.5):
            inside.append(socket.getdefaulttimeout())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [1.5]
    assert socket.getdefaulttimeout() == before
