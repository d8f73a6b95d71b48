"""Which rank keeps the others waiting: each reports to a store now and then that it runs, and its position."""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

_BEAT_S = 0.25
_GONE_S = 6 * _BEAT_S  # without a beat for so long, a process whose connections broke has ended
_STORE_TIMEOUT_S = 10.0
_FAILED = 1


@dataclass(frozen=True)
class Place:
    """A rank's last report."""

    rank: int
    host: str
    pid: int
    beats: int
    """Signs of life so far."""
    moves: int
    """How often it reported its position."""
    where: str

    def __str__(self) -> str:
        return f"rank {self.rank} (host {self.host}, pid {self.pid})"


class Watch:
    """A thread that reports this rank's position and, when it has stood there for too long, which rank is behind.

    Then it ends the process, however deep that waits: torchrun starts all ranks again, or gives up.

    Args:
        store: c10d's, of this thread alone.
        rank: this process.
        size: number of processes.
        timeout_s: longest time without a move.
    """

    def __init__(self, store: Any, rank: int, size: int, timeout_s: float) -> None:
        self._store, self._rank, self._size, self._timeout_s = store, rank, size, timeout_s
        self._host, self._pid = platform.node(), os.getpid()
        self._beats, self._moves, self._where = 0, 0, "the start"
        self._moved, self._limit_s = time.monotonic(), timeout_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def moved(self, where: str, limit_s: float) -> None:
        """This rank has come to `where`, and may stay there for `limit_s`, or as long as everywhere."""
        self._where, self._limit_s = where, max(limit_s, self._timeout_s)
        self._moves += 1
        self._moved = time.monotonic()

    def stop(self) -> None:
        """The run is over."""
        self._done.set()
        self._thread.join(_STORE_TIMEOUT_S)

    def gone(self) -> list[Place]:
        """Ranks that give no sign of life: those that ended. Takes a moment."""
        before = self._places()
        time.sleep(_GONE_S)
        return unmoved(before, self._places())

    def say_once(self, text: str) -> bool:
        """Whether no rank has said `text` before."""
        return int(self._store.add(f"said {text}", 1)) == 1

    def _run(self) -> None:
        seen: list[Place] = []
        try:
            while not self._done.wait(_BEAT_S):
                self._beat()
                quiet_s = time.monotonic() - self._moved
                if quiet_s < self._limit_s / 2:
                    seen = []
                elif not seen:
                    seen = self._places()
                elif quiet_s > self._limit_s:
                    self._give_up(seen, quiet_s)
        except RuntimeError:  # the store went with the process that kept it: torchrun ends this one too
            return

    def _beat(self) -> None:
        self._beats += 1
        place = [self._host, self._pid, self._beats, self._moves, self._where]
        self._store.set(str(self._rank), json.dumps(place))

    def _places(self) -> list[Place]:
        """Positions of all ranks that have reported."""
        names = [str(rank) for rank in range(self._size)]
        known = [name for name in names if self._store.check([name])]
        return [Place(int(name), *json.loads(self._store.get(name))) for name in known]

    def _give_up(self, before: Sequence[Place], quiet_s: float) -> None:
        text = describe(before, self._places(), quiet_s)
        if self.say_once("who is waited for"):
            log.error("%s", text)
        else:
            time.sleep(_BEAT_S)  # for the one that speaks
        os._exit(_FAILED)


def unmoved(before: Sequence[Place], now: Sequence[Place]) -> list[Place]:
    """Ranks that gave no sign of life between two looks."""
    beats = {place.rank: place.beats for place in before}
    return [place for place in now if beats.get(place.rank) == place.beats]


def describe(before: Sequence[Place], now: Sequence[Place], quiet_s: float) -> str:
    """Which ranks the others wait for.

    Args:
        before: where all ranks stood some seconds ago.
        now: where they stand.
        quiet_s: seconds that this rank has waited.
    """
    stopped = unmoved(before, now)
    fewest = min(place.moves for place in now)
    behind = stopped or [place for place in now if place.moves == fewest]
    waiting = [place for place in now if place not in behind]
    named = "; ".join(f"{place} has not moved since {place.where}, {quiet_s:.0f} s ago" for place in behind)
    if not waiting:
        return f"all ranks are stalled: {named}"
    state = " (the process does not run)" if stopped else ""
    ranks = ", ".join(str(place.rank) for place in waiting)
    verb = f"rank {ranks} waits" if len(waiting) == 1 else f"ranks {ranks} wait"
    return f"{named}{state}; {verb} at {waiting[0].where}"


_watch: Watch | None = None


def begin(store: Any, rank: int, size: int, timeout_s: float) -> Watch:
    """Watch over this process from now on."""
    global _watch  # a process is in one world at a time
    _watch = Watch(store, rank, size, timeout_s)
    return _watch


def end() -> None:
    """Watch no longer."""
    global _watch
    if _watch is not None:
        _watch.stop()
    _watch = None


def moved(where: str, limit_s: float) -> None:
    """Report to the watchdog, where there is one, that this rank has reached `where`."""
    if _watch is not None:
        _watch.moved(where, limit_s)
