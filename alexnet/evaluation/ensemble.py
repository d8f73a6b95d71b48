"""Several networks asked together (Krizhevsky 2012, section 6.1 averages five, and seven)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alexnet.data import DataLike, Streaming
from alexnet.data.dataset import SplitName
from alexnet.errors import UserError
from alexnet.evaluation.classifier import Classifier
from alexnet.evaluation.evaluate import align_labels, measure
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.views import Views, averaged


@dataclass(frozen=True)
class EnsembleEvaluation:
    """One pass of several networks over a labelled split; all figures name the classes in the same order."""

    together: Evaluation
    """Of the mean of their probabilities."""
    members: tuple[Evaluation, ...]
    """Of each network alone, in the order they were given."""

    def to_json(self) -> dict[str, Any]:
        """Plain values: those of `together`, and `members`."""
        return {**self.together.to_json(), "members": [member.to_json() for member in self.members]}


class Ensemble:
    """Networks whose probabilities are averaged.

    They must know the same classes, in any order; their kind, size and preprocessing may differ.

    Args:
        classifiers: one or more, see `evaluation.load`.

    Raises:
        UserError: there are none, or they know different classes.
    """

    def __init__(self, classifiers: Sequence[Classifier]) -> None:
        if not classifiers:
            raise UserError("an ensemble needs one network or more")
        self.classifiers = tuple(classifiers)
        self.class_names = self.classifiers[0].class_names
        for place, classifier in enumerate(self.classifiers[1:], start=2):
            differing = sorted(set(classifier.class_names) ^ set(self.class_names))
            if differing:
                shown = ", ".join(differing[:5]) + (" ..." if len(differing) > 5 else "")
                raise UserError(
                    f"network 1 and network {place} do not know the same classes; only one of them knows: {shown}"
                )

    def evaluate(
        self,
        source: DataLike,
        *,
        root: str | os.PathLike[str] | None = None,
        split: SplitName = "test",
        views: Views = 1,
        resize_px: int | None = None,
        stream: Streaming = "auto",
    ) -> EnsembleEvaluation:
        """Metrics over one split of a data set, of each network and of all together.

        The images are read once for each network, as it needs them; arguments are those of `Classifier.evaluate`.

        Raises:
            UserError: as there; or the networks were trained with different cuts of the validation images, and
                `split` is val or train.
        """
        found = [
            self._score(each, source, root=root, split=split, views=views, resize_px=resize_px, stream=stream)
            for each in self.classifiers
        ]
        labels_N = found[0].labels_N
        for other in found[1:]:
            if not found[0].shows_what(other):
                raise UserError(
                    f"the networks were trained with different validation images, so their {split} splits differ: "
                    "evaluate them on --split test"
                )
        members = tuple(measure(each.log_p_NK, labels_N, self.class_names) for each in found)
        together = measure(averaged(each.log_p_NK for each in found), labels_N, self.class_names)
        return EnsembleEvaluation(together, members)

    def _score(self, classifier: Classifier, source: DataLike, **how: Any) -> _Scores:
        """What one network makes of the images, which are let go of afterwards."""
        log_p_NK, images = classifier.score(source, **how)
        images = align_labels(images, classifier.class_names, self.class_names)
        column_of = {name: column for column, name in enumerate(classifier.class_names)}
        columns_K = torch.tensor([column_of[name] for name in self.class_names], device=log_p_NK.device)
        files = None if images.files is None else tuple(images.files)
        return _Scores(log_p_NK[:, columns_K].cpu(), images.labels_N, files)


@dataclass(frozen=True)
class _Scores:
    """Scores of one network and which images they are of; classes in the ensemble's order."""

    log_p_NK: Tensor
    labels_N: Tensor
    files: tuple[str, ...] | None

    def shows_what(self, other: _Scores) -> bool:
        """Whether both are of the same images in the same order, as far as is known."""
        same_files = None in (self.files, other.files) or self.files == other.files
        return same_files and torch.equal(self.labels_N, other.labels_N)
