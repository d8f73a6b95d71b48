"""What every export is given, and what it shares with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec

import torch
from torch import Tensor

from alexnet.errors import UserError
from alexnet.evaluation import Classifier
from alexnet.export import network
from alexnet.export.compare import Comparison, compare
from alexnet.export.images import CheckImages

Run = Callable[[Tensor], Tensor]
"""From one batch to outputs [N, K]."""


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
    def probabilities(self) -> Tensor:
        """The package's answers to the images, [N, K]."""
        parts = self.images.parts(self.classifier.card.preprocessing)
        return torch.cat([network.probabilities(self.classifier, part) for part in parts])

    def compare_logits(self, what: str, run: Run, sizes: tuple[int, ...]) -> Tensor:
        """Compare the logits that `run` gives for normalised images [N, C, H, W] with the network's own.

        Returns:
            Those of `run`, [N, K], at the first of the batch `sizes`.

        Raises:
            UserError: they differ.
        """
        expected: list[Tensor] = []
        found: dict[int, list[Tensor]] = {size: [] for size in sizes}
        with torch.inference_mode():
            for part in self.images.parts(self.classifier.card.preprocessing):
                x_NCHW = network.normalized(self.classifier, part)
                expected.append(network.logits(self.classifier, x_NCHW))
                for size in sizes:
                    found[size] += [run(batch_NCHW) for batch_NCHW in torch.split(x_NCHW, size)]
        outputs = [(size, torch.cat(parts)) for size, parts in found.items()]
        self.check(compare(what, self.images.what, torch.cat(expected), outputs, logits=True))
        return outputs[0][1]

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


@contextmanager
def exporting(form: str) -> Iterator[None]:
    """Within the block, what torch's exporters raise of a network they cannot write becomes a `UserError`."""
    try:
        yield
    except Exception as error:  # many kinds, some of them long reports
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"torch cannot write this network as {form}: {reason}") from error
