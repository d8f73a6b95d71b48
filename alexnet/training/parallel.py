"""One network in several processes: each learns from its share of a batch, all take the same step."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

from torch import Tensor, nn

from alexnet.distributed import World


def replicate(network: nn.Module, world: World, accumulate_steps: int) -> nn.Module:
    """`network` with gradients that are summed over all ranks while it goes backward; itself in a world of one.

    Parameters that do not learn now are left out, so it is rebuilt when that changes.
    """
    if world.size == 1:
        return network
    from torch.nn.parallel import DistributedDataParallel

    known = inspect.signature(DistributedDataParallel).parameters
    sync_buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # its old name
    options: dict[str, Any] = {sync_buffers: False, "gradient_as_bucket_view": True}
    # A graph that never changes saves work, but torch 2.14 fails where its first backward pass is not summed.
    replica = DistributedDataParallel(network, static_graph=accumulate_steps == 1, **options)
    replica.register_comm_hook(None, _sum)
    return replica


def _sum(_state, bucket):  # type: ignore[no-untyped-def]  # torch refuses annotations that are text
    """Sum a bucket's gradients: the loss is divided by the whole batch already, so nothing is left to average."""
    import torch.distributed as dist

    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def synchronizing(replica: nn.Module, *, now: bool) -> contextlib.AbstractContextManager[object]:
    """Context of a forward and backward pass whose gradients are summed over the ranks, or kept for a later one."""
    if now or not hasattr(replica, "no_sync"):
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[object] = replica.no_sync()  # type: ignore[operator]
    return context


def batch_statistics(model: nn.Module, like: list[Tensor] | None = None) -> list[Tensor]:
    """Running means and variances of batch norm, which each rank takes from its own images.

    Args:
        model: the network.
        like: as many tensors as its state has of floating point, such as their moving average, to pick from instead.
    """
    buffers = {name for name, _ in model.named_buffers()}
    state = [(name, t) for name, t in model.state_dict().items() if t.is_floating_point()]
    values = [t for _, t in state] if like is None else like
    return [t for (name, _), t in zip(state, values, strict=True) if name in buffers]
