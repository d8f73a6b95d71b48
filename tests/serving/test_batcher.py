"""Images of many requests go through the network together, in order, and never more than may."""

from __future__ import annotations

import asyncio
import threading

import numpy as np

from alexnet.serving.batcher import Batcher
from alexnet.serving.engine import Scores
from alexnet.serving.problems import Problem


class Counting:
    """In place of an engine: an image is its number, and its score is that number."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.started = threading.Event()

    def read(self, image, name):
        if image == b"bad":
            raise Problem(415, "not-an-image", name)
        return np.array(int(image))

    def score(self, images):
        self.started.set()
        assert self.gate.wait(30)
        self.batches.append([int(image) for image in images])
        return [Scores(np.array([float(image)], np.float32), False) for image in images]


def test_what_waits_goes_together():
    async def run() -> Counting:
        engine = Counting()
        seen: list[int] = []
        batcher = Batcher(
            engine, max_batch=4, max_waiting=100, decoders=2, on_batch=lambda count, seconds: seen.append(count)
        )
        first = asyncio.create_task(batcher.score([(b"0", "a")], 30))
        await asyncio.to_thread(engine.started.wait, 30)
        # While the first is computed, ten requests come.
        others = [asyncio.create_task(batcher.score([(b"%d" % i, "a")], 30)) for i in range(1, 11)]
        mixed = asyncio.create_task(batcher.score([(b"11", "x"), (b"bad", "y"), (b"12", "z")], 30))
        while len(batcher._decoded) < 12:
            await asyncio.sleep(0.01)
        assert batcher.waiting == 13
        engine.gate.set()
        results = [await task for task in (first, *others)]
        assert [[float(s.p_K[0]) for s in result] for result in results] == [[float(i)] for i in range(11)]
        one, bad, two = await mixed
        assert (float(one.p_K[0]), bad.status, float(two.p_K[0])) == (11.0, 415, 12.0)
        assert batcher.waiting == 0
        assert seen == [len(batch) for batch in engine.batches]
        await asyncio.to_thread(batcher.close)
        return engine

    engine = asyncio.run(run())
    assert [len(batch) for batch in engine.batches] == [1, 4, 4, 4]
    assert sorted(i for batch in engine.batches for i in batch) == list(range(13))


def test_closing_finishes_what_waits():
    async def run() -> None:
        engine = Counting()
        batcher = Batcher(engine, max_batch=2, max_waiting=100, decoders=3)
        tasks = [asyncio.create_task(batcher.score([(b"%d" % i, "a")], 30)) for i in range(9)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        engine.gate.set()
        results = await asyncio.gather(*tasks)
        assert [float(result[0].p_K[0]) for result in results] == [float(i) for i in range(9)]
        await closing
        assert not any(thread.is_alive() for thread in batcher._threads)

    asyncio.run(run())
