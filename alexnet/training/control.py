"""When the loop reports, saves and stops: the clock, and signals."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_REPORT_EVERY_S = 0.5  # how often the loop synchronises with the device, to report the loss


_SYNC_EVERY_S = 0.25  # how often several processes agree on what is due


_SYNC_STEPS = 100  # the most steps between


class Clock:
    """Seconds of one epoch, and what is due."""

    def __init__(self, elapsed_before_s: float, images_before: int, checkpoint_every_s: float) -> None:
        self._before_s, self._images_before = elapsed_before_s, images_before
        self._checkpoint_every_s = checkpoint_every_s
        self._started = self._reported = self._saved = self._synced = time.monotonic()
        self._sync_steps = 1

    def elapsed_s(self) -> float:
        """Seconds of training in all, earlier epochs included."""
        return self._before_s + time.monotonic() - self._started

    def report_due(self) -> bool:
        """Whether progress should be reported after this step."""
        now = time.monotonic()
        if now - self._reported < _REPORT_EVERY_S:
            return False
        self._reported = now
        return True

    def checkpoint_due(self) -> bool:
        """Whether a checkpoint should be saved after this step."""
        now = time.monotonic()
        if now - self._saved < self._checkpoint_every_s:
            return False
        self._saved = now
        return True

    def steps_until_sync(self) -> int:
        """Steps that take about as long as ranks may go without agreeing on what is due."""
        now = time.monotonic()
        step_s = (now - self._synced) / self._sync_steps
        self._synced, self._sync_steps = now, min(max(int(_SYNC_EVERY_S / max(step_s, 1e-9)), 1), _SYNC_STEPS)
        return self._sync_steps

    def seconds(self) -> float:
        """Of this epoch, since it began or was continued."""
        return max(time.monotonic() - self._started, 1e-9)

    def images_per_s(self, images: int) -> float:
        """Throughput since the epoch began or was resumed; `images` counts the whole epoch."""
        return (images - self._images_before) / self.seconds()


@dataclass
class StopRequest:
    """The signal that asked the run to stop; 0: none."""

    signal: int = 0


@dataclass(frozen=True)
class Due:
    """What is due after a step."""

    report: bool = False
    checkpoint: bool = False
    stop: StopRequest = field(default_factory=StopRequest)


@contextmanager
def stop_signals(*, once: bool) -> Iterator[StopRequest]:
    """Turn Ctrl-C or SIGTERM into a wish the loop reads between steps.

    Where `once`, the second acts at once. Otherwise torchrun and a job's manager may both send one, and what must
    end at once is killed by them.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, _frame: object) -> None:
        stop.signal = number
        if once:
            signal.signal(number, before[signal.Signals(number)])

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number in numbers:
            signal.signal(number, before[number])
