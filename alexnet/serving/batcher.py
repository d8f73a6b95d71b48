"""Images of many requests to the network together, in bounded queues.

Threads decode what waits, a few images at a time; one thread takes all that is decoded, up to the largest batch, and
runs the network. Nothing waits for a batch to fill: while one is computed, the next gathers. Whatever becomes of an
image is the matter of that image alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alexnet.serving.engine import Engine, Pixels, Scores
from alexnet.serving.problems import Problem, busy, unavailable

_DECODED_TOGETHER = 16

_LATE = unavailable("too-slow", "no answer in time: the service is busy, try again later")

_log = logging.getLogger("alexnet.serving")


class _Request:
    """Images that came together; `future` is done when all have their result."""

    def __init__(self, count: int, future: asyncio.Future[None], deadline: float) -> None:
        self.results: list[Scores | Problem | None] = [None] * count
        self.left = count
        self.future = future
        self.deadline = deadline


@dataclass(slots=True, eq=False)
class _Job:
    request: _Request
    place: int
    image: bytes | Pixels
    name: str
    pixels: Pixels | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more, or its time has passed."""
        return self.request.future.done() or self.request.deadline < time.monotonic()


OnBatch = Callable[[int, float], None]
"""Called with the number of images of a batch and the seconds it took."""


class Batcher:
    """The queues and threads of one network. Its methods are called on the event loop.

    Args:
        engine: the network.
        max_batch: images that go through it together.
        max_waiting: images that may wait or be at work.
        decoders: threads that decode.
        on_batch: called from the computing thread.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch: int,
        max_waiting: int,
        decoders: int,
        on_batch: OnBatch | None = None,
    ) -> None:
        self.engine = engine
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._waiting = 0  # counted on the event loop alone
        self._raw: deque[_Job] = deque()
        self._decoded: deque[_Job] = deque()
        self._lock = threading.Lock()
        self._has_raw, self._has_decoded = threading.Condition(self._lock), threading.Condition(self._lock)
        self._closing = False
        self._decoders = decoders
        self._decoding = decoders  # threads that may still add to `_decoded`
        self._threads = [
            threading.Thread(target=self._decode, name=f"decode-{i}", daemon=True) for i in range(decoders)
        ]
        self._threads.append(threading.Thread(target=self._compute, name="compute", daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait or are at work."""
        return self._waiting

    async def score(self, images: Sequence[tuple[bytes | Pixels, str]], answer_s: float) -> list[Scores | Problem]:
        """What the network says of each image, given with its name, or the problem with it; the order is kept.

        Raises:
            Problem: 429, more images wait than may.
        """
        if self._waiting + len(images) > self._max_waiting:
            raise busy(f"{self._waiting} images are waiting; at most {self._max_waiting} may: try again later")
        future: asyncio.Future[None] = self._loop.create_future()
        request = _Request(len(images), future, time.monotonic() + answer_s)
        jobs = [_Job(request, place, image, name) for place, (image, name) in enumerate(images)]
        self._waiting += len(jobs)
        with self._lock:
            self._raw.extend(jobs)
            self._has_raw.notify(min(len(jobs), self._decoders))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(answer_s):
                await future
        late = unavailable("too-slow", f"no answer within {answer_s:g} s: the service is busy, try again later")
        return [late if result is None else result for result in request.results]

    def close(self) -> None:
        """Take no more, finish what waits, and end the threads; blocks until then. Called from any thread."""
        with self._lock:
            self._closing = True
            self._has_raw.notify_all()
            self._has_decoded.notify_all()
        for thread in self._threads:
            thread.join()

    def _decode(self) -> None:
        while True:
            with self._lock:
                while not self._raw and not self._closing:
                    self._has_raw.wait()
                if not self._raw:
                    self._decoding -= 1
                    self._has_decoded.notify_all()
                    return
                share = min(-(-len(self._raw) // self._decoders), _DECODED_TOGETHER)
                jobs = [self._raw.popleft() for _ in range(share)]
            good, bad = [], []
            for job in jobs:
                problem = self._try_to_read(job)
                if problem is None:
                    good.append(job)
                else:
                    bad.append((job, problem))
            if bad:
                self._deliver(bad)
            if good:
                with self._lock:
                    self._decoded.extend(good)
                    self._has_decoded.notify()

    def _try_to_read(self, job: _Job) -> Problem | None:
        if job.is_over:
            return _LATE
        try:
            job.pixels = self.engine.read(job.image, job.name)
        except Problem as problem:
            return problem
        except MemoryError:
            return Problem(413, "too-many-pixels", f"{job.name} takes more memory than there is: make it smaller")
        except Exception:
            _log.exception("reading %s", job.name)
            return Problem(422, "broken-image", f"{job.name} cannot be decoded")
        job.image = b""  # what came in is no longer needed
        return None

    def _compute(self) -> None:
        while True:
            with self._lock:
                while not self._decoded and self._decoding > 0:
                    self._has_decoded.wait()
                if not self._decoded:
                    return
                jobs = [self._decoded.popleft() for _ in range(min(len(self._decoded), self._max_batch))]
            if late := [job for job in jobs if job.is_over]:
                self._deliver([(job, _LATE) for job in late])
                jobs = [job for job in jobs if job not in late]
            if jobs:
                self._deliver(self._score(jobs))

    def _score(self, jobs: list[_Job]) -> list[tuple[_Job, Scores | Problem]]:
        began = time.perf_counter()
        try:
            scores = self.engine.score([job.pixels for job in jobs if job.pixels is not None])
            if self._on_batch is not None:
                self._on_batch(len(jobs), time.perf_counter() - began)
            return list(zip(jobs, scores, strict=True))
        except Exception:
            if len(jobs) > 1:  # one image's failure must not be that of its neighbours
                return [pair for job in jobs for pair in self._score([job])]
            _log.exception("classifying %s", jobs[0].name)
            return [(jobs[0], Problem(500, "failed", f"{jobs[0].name} could not be classified; the log says why"))]

    def _deliver(self, results: Sequence[tuple[_Job, Scores | Problem]]) -> None:
        """Wake the requests, all in one turn of the event loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._resolve, results)

    def _resolve(self, results: Sequence[tuple[_Job, Scores | Problem]]) -> None:
        self._waiting -= len(results)
        for job, result in results:
            request = job.request
            request.results[job.place] = result
            request.left -= 1
            if request.left == 0 and not request.future.done():
                request.future.set_result(None)
