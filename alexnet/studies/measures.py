"""Measurements that several studies share, from the files of a run folder and the network in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alexnet.config import Recipe
from alexnet.studies.study import Measured, Run

if TYPE_CHECKING:
    from torch import Tensor

    from alexnet.data import AnyImages
    from alexnet.evaluation import Evaluation


def result(run: Run) -> dict[str, Any]:
    """The values of result.json."""
    values: dict[str, Any] = json.loads(run.folder.result.read_text(encoding="utf-8"))
    return values


def error(run: Run) -> float:
    """Share of wrong answers on the images the result is of: the test split, or those held out."""
    values = result(run)
    return 1.0 - float(values[f"{values['split']}_top1"])


def history(run: Run, key: str) -> tuple[list[float], list[float]]:
    """A column of metrics.jsonl over the epochs.

    Training figures are means over an epoch while the network changes, so they stand at the epoch's middle; those on
    held-out images are taken at its end.
    """
    rows = run.folder.read_metrics()
    shift = 0.5 if key.startswith("train_") else 0.0
    return [row["epoch"] - shift for row in rows], [float(row[key]) for row in rows]


def error_curve(run: Run, key: str) -> tuple[list[float], list[float]]:
    """1 minus a top-1 of metrics.jsonl over the epochs."""
    x, y = history(run, key)
    return x, [1 - value for value in y]


def first_below(x: Sequence[float], y: Sequence[float], level: float) -> float | None:
    """Where the line through the points first comes down to `level`; None if it never does."""
    for i, value in enumerate(y):
        if value <= level:
            if i == 0:
                return float(x[0])
            share = (y[i - 1] - level) / (y[i - 1] - value)
            return float(x[i - 1] + share * (x[i] - x[i - 1]))
    return None


class Trained:
    """A finished network with the images it was trained on and those held out."""

    def __init__(self, run: Run) -> None:
        from alexnet import data, evaluation

        assert isinstance(run.recipe, Recipe), "a baseline has no layers"
        dataset = data.load(
            run.data, root=run.root, image_px=run.recipe.image_px, val_fraction=run.recipe.val_fraction
        )
        dataset = data.with_train_images(dataset, run.recipe.train_images, run.recipe.seed)
        assert dataset.val is not None, "studies hold images out"
        self.train, self.val = dataset.train, dataset.val
        self.classifier = evaluation.load(run.folder.path, device="cpu")
        self.model = self.classifier.model

    def evaluate(self, images: AnyImages) -> Evaluation:
        """Metrics on some images, dropout off, from one view."""
        from alexnet.evaluation.evaluate import evaluate

        card = self.classifier.card
        return evaluate(self.model, images, card.class_names, card.preprocessing, self.classifier.runtime)

    def inputs(self, images: AnyImages, n: int) -> tuple[Tensor, Tensor]:
        """Input of the network [N, C, H, W] for `n` images evenly spread (or all there are), and their labels [N]."""
        import torch

        from alexnet.data.transforms.augment import Normalizer

        some = evenly_spread(images, n)
        normalize = Normalizer(self.classifier.card.preprocessing, torch.device("cpu"), torch.float32)
        return torch.cat([normalize(part) for part in some.parts(500)]), some.labels_N


def evenly_spread(images: AnyImages, n: int) -> AnyImages:
    """`n` of the images, evenly spread, or all there are."""
    import torch

    n = min(n, len(images))
    return images.take(torch.arange(n) * len(images) // n)


def final_errors(run: Run) -> Measured:
    """`test_error`; `train_error` of the finished network on its training images, as they are; and their `gap`.

    The curve `val_error` is that on the held-out images.
    """
    trained = Trained(run)
    test_error, train = error(run), trained.evaluate(trained.train)
    train_error = 1.0 - train.top1
    return {
        "figures": {
            "test_error": test_error,
            "train_error": train_error,
            "gap": test_error - train_error,
            "train_loss": train.loss,
        },
        "curves": {"val_error": error_curve(run, "val_top1")},
    }
