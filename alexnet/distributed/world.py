"""The processes that train together, and how they synchronise."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from alexnet.distributed import watch
from alexnet.errors import UserError

_T = TypeVar("_T")
_NO_NAME = "none"  # what torchrun calls a launch that was given no name


@dataclass(frozen=True)
class World:
    """The processes of one run, as one of them (a rank) sees them.

    A process by itself is a world of one, in which all that is here costs nothing and changes nothing. In larger ones
    each method that communicates must be called by all ranks, in the same order. What they send goes
    over the CPU's network (gloo), so no rank waits for its GPU.
    """

    rank: int = 0
    """This process, from 0 on; rank 0 alone writes and speaks."""
    size: int = 1
    """How many there are."""
    local_rank: int = 0
    """This process among those of its host."""
    local_size: int = 1
    """How many of them are on this host."""
    launch: str | None = None
    """Name of torchrun's launch, the same after its restarts; None: started otherwise."""
    restarts: int = 0
    """How often torchrun has started the processes again."""

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes files and reports."""
        return self.rank == 0

    @property
    def is_restarted(self) -> bool:
        """Whether this launch may have trained before: its processes, or all of it under the name it was given."""
        return self.restarts > 0 or self.launch not in (None, _NO_NAME)

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """First and last (exclusive) of this rank's part of `start` to `stop`; sizes differ by one at most."""
        n = stop - start
        return start + n * self.rank // self.size, start + n * (self.rank + 1) // self.size

    def at(self, where: str, limit_s: float = 0.0) -> None:
        """Report this rank's position to the watchdog.

        Args:
            where: what is being done, such as `epoch 2, step 17`.
            limit_s: seconds that this may take, where that is more than the watch allows otherwise.
        """
        if self.size > 1:
            watch.moved(where, limit_s)

    def sum(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Each of `values`, scalars of at most fp64's precision, summed over all ranks; on the CPU."""
        if self.size == 1:
            return [value.cpu() for value in values]
        import torch.distributed as dist

        total = torch.stack([value.detach().double() for value in values]).cpu()
        dist.all_reduce(total)
        return [part.to(value.dtype) for part, value in zip(total.unbind(), values, strict=True)]

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of `tensors`, of floating point, with its mean over all ranks."""
        if self.size == 1 or not tensors:
            return
        import torch.distributed as dist

        flat = torch.cat([t.detach().flatten().double() for t in tensors]).cpu()
        dist.all_reduce(flat)
        means = torch.split(flat / self.size, [t.numel() for t in tensors])
        for t, mean in zip(tensors, means, strict=True):
            t.copy_(mean.view_as(t))

    def largest(self, values: Sequence[int]) -> list[int]:
        """The largest of each of `values` over all ranks."""
        if self.size == 1:
            return list(values)
        import torch.distributed as dist

        most = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        return most.tolist()

    def gather(self, value: _T) -> list[_T]:
        """The `value` of each rank, plain or tensors on the CPU."""
        if self.size == 1:
            return [value]
        data = _to_bytes(value)
        sizes = self.gather_rows(torch.tensor([[len(data)]])).flatten().tolist()
        rows = self.gather_rows(data[:, None]).flatten()
        return [_from_bytes(row) for row in torch.split(rows, sizes)]

    def gather_rows(self, x_NK: Tensor) -> Tensor:
        """The rows of all ranks, in the ranks' order; a rank without rows need not know K.

        Returns:
            [N of all ranks together, K] on the device of `x_NK`.
        """
        if self.size == 1:
            return x_NK
        import torch.distributed as dist

        shapes = [torch.empty(2, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(shapes, torch.tensor(x_NK.shape))
        counts = [int(shape[0]) for shape in shapes]
        most, K = max(counts), max(int(shape[1]) for shape in shapes)
        padded = torch.zeros((most, K), dtype=x_NK.dtype)
        padded[: len(x_NK), : x_NK.shape[1]] = x_NK.cpu()
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)]).to(x_NK.device)

    def from_main(self, make: Callable[[], _T]) -> _T:
        """What `make` gives on rank 0, which alone calls it; its `UserError` is raised on all ranks."""
        if self.size == 1:
            return make()
        data = _to_bytes(_outcome(make)) if self.is_main else torch.empty(0, dtype=torch.uint8)
        import torch.distributed as dist

        (length,) = self.largest([len(data)])
        data = data if self.is_main else torch.empty(length, dtype=torch.uint8)
        dist.broadcast(data, 0)
        value, error = _from_bytes(data)
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self.largest([0])

    @contextmanager
    def first_on_host(self) -> Iterator[None]:
        """Do the block on one rank of each host, then on the others: they find what the first left in the cache."""
        if self.local_rank != 0:
            self.barrier()
        try:
            yield
        except UserError:  # which the others meet too
            if self.local_rank == 0:
                self.barrier()
            raise
        if self.local_rank == 0:
            self.barrier()


def _outcome(make: Callable[[], _T]) -> tuple[_T | None, UserError | None]:
    try:
        return make(), None
    except UserError as error:
        return None, error


def _to_bytes(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)


def _from_bytes(data: Tensor) -> Any:
    return pickle.loads(data.numpy().tobytes())


def from_environment(environment: Mapping[str, str] = os.environ) -> World:
    """The world that torchrun, or a job of Kubernetes, describes to its processes; else a world of one.

    Raises:
        UserError: a value is no number, or the numbers do not fit together.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return World()
    world = World(
        rank=_number(environment, "RANK"),
        size=_number(environment, "WORLD_SIZE"),
        local_rank=_number(environment, "LOCAL_RANK", 0),
        local_size=_number(environment, "LOCAL_WORLD_SIZE", 1),
        launch=environment.get("TORCHELASTIC_RUN_ID"),
        restarts=_number(environment, "TORCHELASTIC_RESTART_COUNT", 0),
    )
    if not (0 <= world.rank < world.size and 0 <= world.local_rank < world.local_size <= world.size):
        raise UserError(
            f"RANK {world.rank} of WORLD_SIZE {world.size}, LOCAL_RANK {world.local_rank} of LOCAL_WORLD_SIZE "
            f"{world.local_size} do not fit together: let torchrun set them, or unset RANK to train in one process"
        )
    return world


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UserError(f"{name} is {text!r} where a number is due: let torchrun set it, or unset it")
    return int(text)


def own_share(amount: int) -> int:
    """Of an `amount` that a host has (CPUs, bytes of memory), what each rank on it may take; 1 or more."""
    return max(1, amount // from_environment().local_size)
