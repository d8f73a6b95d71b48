"""Networks without values, and whether given tensors fit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from alexnet import models
from alexnet.models import ConvNet, pipelines

Entry = tuple[str, tuple[int, ...]]  # name and shape of a tensor


def empty_net(name: str, options: dict[str, Any]) -> ConvNet:
    """The network or pipeline on the meta device: shapes without memory, and no random number drawn."""
    create = pipelines.create if name in pipelines.NAMES else models.create
    with torch.device("meta"):
        return create(name, **options)


def entries(tensors: Iterable[tuple[str, Tensor]]) -> list[Entry]:
    """Name and shape of each tensor, in order."""
    return [(name, tuple(tensor.shape)) for name, tensor in tensors]


def mismatches(expected: Sequence[Entry | None], found: Sequence[Entry | None]) -> str:
    """Table of the entries whose shapes differ, matched by position: expected on the left, found on the right.

    An entry that the other side lacks stands beside "none". Where one side is longer, all entries are listed, to
    show where they part. Empty where all shapes agree.
    """
    rows = [
        (_describe(left), _describe(right))
        for left, right in zip_longest(expected, found)
        if left is None or right is None or left[1] != right[1] or len(expected) != len(found)
    ]
    if not rows:
        return ""
    rows.insert(0, ("expected", "found"))
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"  {left:<{width}}  {right}" for left, right in rows)


def _describe(entry: Entry | None) -> str:
    if entry is None:
        return "none"
    name, shape = entry
    return f"{name} {'x'.join(map(str, shape)) or 'scalar'}"
