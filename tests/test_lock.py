"""One process at a time in a folder, and whoever comes second learns who the first is."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import platform
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from alexnet import lock
from alexnet.errors import UserError


def hold_until_told(folder: str, line: Any) -> None:
    with lock.hold(folder):
        line.send("held")
        line.recv()


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that holds `tmp_path / "run"`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold_until_told, args=(str(tmp_path / "run"), theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "held"
    yield process
    with contextlib.suppress(OSError):  # a pipe, unlike an event, does not wait for a process that was killed
        ours.send("go")
    process.join(900)


def test_the_second_learns_who_and_where(holder: Any, tmp_path: Path) -> None:
    pattern = rf"run is in use by process {holder.pid} on host {platform.node()} \(since 20.*: wait for it to end"
    with pytest.raises(UserError, match=pattern):
        lock.hold(tmp_path / "run", "a run folder").__enter__()
    with pytest.raises(UserError, match=pattern):
        lock.check_free(tmp_path / "run")
    assert json.loads((tmp_path / "run/.lock").read_text())["pid"] == holder.pid


def test_a_killed_holder_leaves_nothing_that_matters(holder: Any, tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(900)
    assert (tmp_path / "run/.lock").exists()
    lock.check_free(tmp_path / "run")
    with lock.hold(tmp_path / "run"):
        assert json.loads((tmp_path / "run/.lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "run").exists()  # nothing but the lock was in it


def test_blocks_within_a_block(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with lock.hold(folder):
        with lock.hold(folder):
            lock.check_free(folder)
        assert (folder / ".lock").exists()
        (folder / "kept").touch()
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_other_threads_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_WAIT_S", 0.0)
    found: list[BaseException] = []

    def try_it() -> None:
        try:
            lock.hold(tmp_path / "run").__enter__()
        except UserError as error:
            found.append(error)

    with lock.hold(tmp_path / "run"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert f"process {os.getpid()} " in str(found[0])


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There what the file says decides: a process that has exited does not count, one of another host does."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(lock.errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "_WAIT_S", 0.0)
    tmp_path.joinpath(".lock").write_text(json.dumps({"pid": 2**22 + 1, "host": platform.node()}))
    (tmp_path / "kept").touch()
    with lock.hold(tmp_path):
        pass
    for pid, host in ((os.getppid(), platform.node()), (1, "elsewhere")):
        (tmp_path / ".lock").write_text(json.dumps({"pid": pid, "host": host}))
        with pytest.raises(UserError, match=f"process {pid} on host {host}"):
            lock.hold(tmp_path).__enter__()


def test_a_folder_that_is_renamed(tmp_path: Path) -> None:
    with lock.hold(tmp_path / "part"):
        (tmp_path / "part/model").touch()
        (tmp_path / "part").rename(tmp_path / "run")
        lock.release_moved(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]
    assert not (tmp_path / "part").exists()
