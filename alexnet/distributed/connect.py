"""Joining the other processes, and leaving them."""

from __future__ import annotations

import functools
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch

from alexnet.distributed import watch
from alexnet.distributed.world import World, from_environment
from alexnet.errors import PeerLostError, UserError

_PATIENCE = timedelta(days=1)  # of torch's own: the watch is faster, and names the rank
_MEETING = timedelta(minutes=10)
_LOOK_S = 0.02  # between two looks at who has come
_STORE_PATIENCE = timedelta(seconds=10)
# What broken connections are called by gloo, NCCL and the store.
_SIGNS_OF_LOSS = ("gloo", "Connection", "connection", "NCCL", "Socket", "socket")
LOADING_S = 3600.0
"""Seconds that images may take to be read, which one rank of a host does while the others wait."""
_store: Any = None  # of the whole launch, its restarts included; None: not connected


@contextmanager
def connected(world: World, hang_timeout_s: float) -> Iterator[None]:
    """Be connected with the other ranks within the block: gloo between CPUs, and NCCL between GPUs where there are.

    Args:
        world: this process and the others; in a world of one nothing happens.
        hang_timeout_s: seconds without a step after which the rank that is waited for is named and this process ends.

    Raises:
        UserError: the ranks do not find each other.
        PeerLostError: another rank ended within the block.
    """
    if world.size == 1:
        yield
        return
    _check(hang_timeout_s)
    looking = _join(world, hang_timeout_s)
    import torch.distributed as dist

    try:
        yield
        world.at("the end")
        world.barrier()  # whoever goes on finds the run folder whole
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise
        raise PeerLostError(_loss(looking, error)) from error
    else:
        dist.destroy_process_group()
    finally:
        watch.end()
        if dist.is_initialized() and not _between_gpus():  # with NCCL this could wait for a rank that has exited
            dist.destroy_process_group()


def _between_gpus() -> bool:
    import torch.distributed as dist

    return torch.cuda.is_available() and dist.is_nccl_available()


def _check(hang_timeout_s: float) -> None:
    if hang_timeout_s < 1:
        raise UserError(f"hang_timeout_s must be 1 or more, not {hang_timeout_s:g}")
    if not {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise UserError(
            "WORLD_SIZE names several processes, but MASTER_ADDR and MASTER_PORT not where they meet: start them "
            "with torchrun, or unset RANK and WORLD_SIZE to train in one process"
        )


def _join(world: World, hang_timeout_s: float) -> watch.Watch:
    """Meet the others, and begin to watch over them."""
    global _store  # a process is in one world at a time
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if _between_gpus() else "gloo"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        launch, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=_MEETING))
        # Its own connection for the watch: torch may hold the other while it waits.
        _store = dist.TCPStore(  # type: ignore[attr-defined]
            address, port, is_master=False, timeout=_STORE_PATIENCE
        )
        name = meet(_store, world, _MEETING.total_seconds())
        ours, own = _prefixed(f"{name} torch", launch), _prefixed(f"{name} watch", _store)
        dist.init_process_group(backend, store=ours, rank=world.rank, world_size=world.size, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the {world.size} processes do not find each other at {address}:{port}: {error}") from error
    return watch.begin(own, world.rank, world.size, hang_timeout_s)


def _prefixed(name: str, store: Any) -> Any:
    import torch.distributed as dist

    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


def meet(store: Any, world: World, timeout_s: float) -> str:
    """A name for this meeting of all ranks, which no earlier one had.

    torchrun keeps its store when it starts processes again, and what the ones before left there must not be taken
    for news. So each rank comes with its own number, and is given the name under that number by rank 0, which
    goes on once all have taken it.

    Raises:
        RuntimeError: not all came in `timeout_s`.
    """
    number = secrets.token_hex(8)
    deadline_s = time.monotonic() + timeout_s
    if not world.is_main:
        store.set(f"come {world.rank}", number)
        _wait_until(lambda: store.check([f"name for {number}"]), deadline_s)
        name: str = store.get(f"name for {number}").decode()
        store.set(f"taken {name} {world.rank}", "")
        return name
    for rank in range(1, world.size):
        _wait_until(functools.partial(_has_taken, store, number, rank), deadline_s)
    return number


def _has_taken(store: Any, name: str, rank: int) -> bool:
    """Whether `rank` knows the name of this meeting, which it receives as soon as it joins."""
    if store.check([f"taken {name} {rank}"]):
        return True
    if store.check([f"come {rank}"]):
        store.set(f"name for {store.get(f'come {rank}').decode()}", name)
    return False


def _wait_until(is_so: Callable[[], bool], deadline_s: float) -> None:
    while not is_so():
        if time.monotonic() > deadline_s:
            raise RuntimeError("not all of them came in time")
        time.sleep(_LOOK_S)


def _loss(looking: watch.Watch, error: RuntimeError) -> str:
    """Which ranks exited, as far as can be seen."""
    try:
        with _undisturbed():
            gone = looking.gone()
    except RuntimeError:  # the store went too
        gone = []
    if not gone:
        return f"the connection to another process broke: {str(error).splitlines()[0]}"
    return "; ".join(f"{place} ended at {place.where}" for place in gone)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Finish the block though torchrun ends all processes once one has ended; it waits longer than this takes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def may_speak(text: str) -> bool:
    """Whether this process is the one to print `text`, an error that many may meet at once or one alone.

    Connected ranks print it once a launch. Before they are connected, errors reach all ranks of a host.
    """
    world = from_environment()
    if _store is not None:
        try:
            return int(_store.add(f"alexnet said {text}", 1)) == 1
        except RuntimeError:
            return world.is_main
    return world.local_rank == 0 and world.restarts == 0
