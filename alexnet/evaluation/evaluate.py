"""Scores of a network over a whole split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from alexnet.card import Preprocessing
from alexnet.config import CropBorder
from alexnet.data import AnyImages
from alexnet.data.transforms.augment import Normalizer
from alexnet.errors import UserError
from alexnet.evaluation.metrics import Evaluation, Metrics
from alexnet.evaluation.views import Views, averaged, image_views
from alexnet.models import ConvNet
from alexnet.runtime import Runtime

_BATCH_PIXELS = 250 * 32 * 32  # images a batch: 250 of 32 px, 5 of 224 px; more is no faster and takes memory


def _input(x_NCHW: Tensor, model: nn.Module) -> Tensor:
    """`x_NCHW` in the layout that `model` takes: other modules may call view, which needs the usual one."""
    return x_NCHW if isinstance(model, ConvNet) else x_NCHW.contiguous()


def log_probabilities(
    model: nn.Module,
    images: AnyImages,
    preprocessing: Preprocessing,
    runtime: Runtime,
    views: Views = 1,
    border_px: int | None = None,
    border: CropBorder = "black",
) -> Tensor:
    """Log of the class probabilities of every image, averaged over its views.

    Ranks of one world score a share of the images each, and all get the scores of all.

    Args:
        model: the network, on the runtime's device; its mode (train or eval) is put back afterwards.
        images: the split, of the preprocessing's channels and of its size or larger, in memory or streamed.
        preprocessing: how pixels become the network's input.
        runtime: device, compute dtype, and the processes at work.
        views: 1, 2, 5, 10 or dense, see `views.image_views`; made and scored one after the other, in batches.
        border_px: border of images that several places are cut from, see there.
        border: what it shows.

    Returns:
        fp32 [N, K] on the runtime's device, in the split's order.
    """
    normalize = Normalizer(preprocessing, runtime.device, runtime.dtype)
    batch_size = max(1, _BATCH_PIXELS // preprocessing.image_px**2)
    world = runtime.world
    if world.size > 1:
        images = images.take(torch.arange(*world.share(0, len(images))))
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), runtime.autocast():
            parts: list[Tensor] = []
            for x_NHWC in (part.to(runtime.device) for part in images.parts(batch_size)):
                world.at(f"evaluation, part {len(parts) + 1}")
                views_NK = (
                    model(_input(normalize(view_NHWC), model)).float().log_softmax(1)
                    for view_NHWC in image_views(x_NHWC, views, preprocessing.image_px, border_px, border)
                )
                parts.append(averaged(views_NK))
    finally:
        model.train(was_training)
    return world.gather_rows(torch.cat(parts) if parts else torch.empty(0, 0, device=runtime.device))


@contextmanager
def last_features(model: ConvNet) -> Iterator[list[Tensor]]:
    """Within the block, what the last layer is given, [N, D] a forward pass, is added to the list."""
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].float())

    hook = list(model.classifier)[-1].register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def evaluate(
    model: nn.Module,
    images: AnyImages,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    runtime: Runtime,
    views: Views = 1,
) -> Evaluation:
    """Metrics of `model` over `images`, whose labels are positions in `class_names`, the network's outputs."""
    log_p_NK = log_probabilities(model, images, preprocessing, runtime, views)
    return summarize(log_p_NK, images, class_names)


def summarize(log_p_NK: Tensor, images: AnyImages, class_names: Sequence[str]) -> Evaluation:
    """Metrics of scores made before."""
    return measure(log_p_NK, images.labels_N, class_names)


def measure(log_p_NK: Tensor, labels_N: Tensor, class_names: Sequence[str]) -> Evaluation:
    """Metrics of scores whose images are no longer there."""
    metrics = Metrics(len(class_names))
    metrics.update(log_p_NK, labels_N.to(log_p_NK.device))
    return metrics.result(class_names)


def align_labels(images: AnyImages, data_names: Sequence[str], model_names: Sequence[str]) -> AnyImages:
    """`images` with labels that count in the network's classes instead of the data set's.

    Raises:
        UserError: the data set has classes the network does not know.
    """
    if tuple(data_names) == tuple(model_names):
        return images
    unknown = sorted(set(data_names) - set(model_names))
    if unknown:
        shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise UserError(
            f"the data has {len(unknown)} class(es) the model does not know: {shown}. "
            f"It knows: {', '.join(model_names[:10])}{' ...' if len(model_names) > 10 else ''}"
        )
    position = torch.tensor([list(model_names).index(name) for name in data_names])
    return images.with_labels(position[images.labels_N])
