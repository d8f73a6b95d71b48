"""What every export is given, and what it shares with the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from alexnet.data.dataset import Images
from alexnet.errors import UserError
from alexnet.evaluation import Classifier
from alexnet.export import network
from alexnet.export.compare import Comparison
from alexnet.export.images import CheckImages

MOST_PLAIN = 1000
"""Images whose normalised input is compared as well, at most; more would fill memory."""


@dataclass
class Job:
    """One network, the images it is checked on, and the options of the command."""

    classifier: Classifier
    images: CheckImages
    target: str
    """What messages call the file."""
    name: str = ""
    """What the user called the network."""
    plain: bool = False
    decompose: bool = False
    comparisons: list[Comparison] = field(default_factory=list)

    @cached_property
    def squares(self) -> Images:
        """The images as the package prepares them, uint8."""
        return self.images.squares(self.classifier.card.preprocessing)

    @cached_property
    def probabilities(self) -> Tensor:
        """The package's answers to them, [N, K]."""
        return network.probabilities(self.classifier, self.squares)

    @cached_property
    def x(self) -> Tensor:
        """The first of them, normalised, [N, C, H, W]."""
        return network.normalized(
            self.classifier, self.squares.take(torch.arange(min(MOST_PLAIN, len(self.squares))))
        )

    @cached_property
    def logits(self) -> Tensor:
        """The network's answers to these, [N, K]."""
        return network.logits(self.classifier, self.x)

    @property
    def images_of_x(self) -> str:
        """What `x` is, for people."""
        some = "" if len(self.x) == len(self.images) else f"the first {len(self.x):,} of "
        return some + self.images.what

    def check(self, comparison: Comparison) -> None:
        """Keep the comparison for the record; raises `UserError` where the outputs differ."""
        self.comparisons.append(comparison)
        comparison.check(self.target)

    def refuse(self, **unused: bool) -> None:
        """Raise `UserError` for an option that this format does not have."""
        for name, given in unused.items():
            if given:
                raise UserError(f"--{name} belongs to --to onnx: drop it")


def require(extra: str, *packages: str) -> None:
    """Raise `UserError` where an optional package is missing, naming the extra that brings it."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(f"this takes {', '.join(missing)}: pip install 'alexnet[{extra}]'")


def batched(run: Any, x: Tensor, sizes: tuple[int, ...]) -> list[tuple[int, Tensor]]:
    """`run` over all of `x`, in batches of each of `sizes`."""
    with torch.inference_mode():
        return [(size, torch.cat([run(part) for part in torch.split(x, size)])) for size in sizes]
