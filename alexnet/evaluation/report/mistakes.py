"""Which images to show among the mistakes."""

from __future__ import annotations

from torch import Tensor

from alexnet.data import AnyImages
from alexnet.evaluation.report.page import Mistake

_MISTAKES = 24


def worst_mistakes(log_p_NK: Tensor, images: AnyImages, class_names: tuple[str, ...]) -> list[Mistake]:
    """The images given to a wrong class with the most confidence, worst first."""
    confidence_N, predicted_N = log_p_NK.cpu().max(1)
    wrong_M = (predicted_N != images.labels_N.cpu()).nonzero().flatten()
    order_M = confidence_N[wrong_M].argsort(descending=True, stable=True)[:_MISTAKES]
    return [
        Mistake(
            pixels_HWC=images.pixels_at(i).numpy(),
            truth=class_names[int(images.labels_N[i])],
            predicted=class_names[int(predicted_N[i])],
            confidence=float(confidence_N[i].exp()),
            truth_probability=float(log_p_NK[i, images.labels_N[i]].exp()),
            file=images.files[i] if images.files else None,
        )
        for i in wrong_M[order_M].tolist()
    ]
