"""What becomes of accuracy when one channel is switched off: its answer set to 0 everywhere.

Nothing is trained or built again. Where the network is a chain of layers, all that lies before the channel is
computed once, and what it adds to the next layer is taken away from that layer's sums (a linear map of a sum is the
sum of its parts); only the rest is computed for each channel.

Shapes: B images of a batch, C channels, U channels at once, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.data import AnyImages
from alexnet.explain.cache import Cache
from alexnet.explain.layers import Layer
from alexnet.explain.reading import key_of, reading
from alexnet.explain.subject import OnProgress, Subject
from alexnet.models import ConvNet

_NUMBERS_AT_ONCE = 2**23  # of the tensors made for several channels together
_FEWEST_IMAGES = 200
_MOST_IMAGES = 4000  # more would tell little: two standard errors are then below 0.7 points for 4% changed answers
_PASSES_THROUGH = (nn.Dropout, nn.Dropout2d, nn.Identity)  # in eval mode

_Step = tuple[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Ablation:
    """One layer's channels, each switched off by itself."""

    layer: Layer
    n: int
    """Images it was measured on."""
    top1: float
    """Share of these classified correctly with all channels, 0..1."""
    loss: float
    """Mean loss with all channels, nats."""
    channel_U: Tensor
    """int64, the channels that were tried; all of them unless that would take too long."""
    top1_change_U: Tensor
    """Change of that share when the channel is off: negative where the network gets worse."""
    loss_change_U: Tensor
    """Change of the mean loss, nats: positive where the network gets worse."""
    top1_error_U: Tensor
    """Standard error of that change, from the answers that became right and those that became wrong."""
    by_class_UK: Tensor
    """Change of each class's recall; NaN for a class without images."""

    def order(self) -> Tensor:
        """Rows, the channel that is missed most first: by accuracy, then by loss."""
        by_loss = self.loss_change_U.argsort(descending=True, stable=True)
        return by_loss[self.top1_change_U[by_loss].argsort(stable=True)]

    def is_missed(self) -> Tensor:
        """bool [U]: whether accuracy falls by more than two standard errors."""
        return self.top1_change_U < -2 * self.top1_error_U

    def hurt(self, row: int) -> tuple[int, float] | None:
        """The class that loses most, and the change of its recall; None where none loses."""
        change_K = self.by_class_UK[row].nan_to_num(0.0)
        worst = int(change_K.argmin())
        return (worst, float(change_K[worst])) if change_K[worst] < 0 else None


def affordable(subject: Subject, layer: Layer, n: int, budget_macs: float) -> tuple[int, int]:
    """How many images and how many channels `budget_macs` multiply-adds suffice for, fewer images first."""
    behind = subject.layers[subject.layers.index(layer) + 1 :]
    # The next layer costs what one channel adds to it, if it is next in a chain; otherwise all is computed again.
    in_chain = _chain(subject.model) is not None
    one = (
        max(1, sum(other.macs for other in behind[1:]) + behind[0].macs // layer.channels)
        if in_chain
        else subject.macs
    )
    n = min(n, _MOST_IMAGES)
    images = int(budget_macs / (one * layer.channels))
    if images >= min(_FEWEST_IMAGES, n):
        return min(n, images), layer.channels
    images = min(_FEWEST_IMAGES, n)
    return images, max(1, min(layer.channels, int(budget_macs / (one * images))))


def ablate(
    subject: Subject,
    layer: Layer,
    images: AnyImages,
    labels_N: Tensor,
    channels: Tensor | None = None,
    cache: Cache | None = None,
    on_progress: OnProgress | None = None,
) -> Ablation:
    """Switch each channel of `layer` off in turn.

    Args:
        subject: the network.
        layer: a hidden layer of it.
        images: as its preprocessing takes them.
        labels_N: int64 [N], what counts as correct.
        channels: int64 [U], those to try; None: all.
        cache: what was found before is taken from here.
        on_progress: called after each batch.
    """
    cache, channels = cache or Cache(None, ""), torch.arange(layer.channels) if channels is None else channels
    step = f"ablation-{layer.name}-{len(images)}-{len(channels)}"
    sums = cache.load(step)
    if sums is None:
        sums = _sums(subject, layer, images, labels_N, channels, on_progress)
        cache.save(step, sums)
    n = len(labels_N)
    of_class_K = sums["of_class"]
    change_U = (sums["correct_off"].sum(1) - sums["correct"].sum()) / n
    # Of paired answers (McNemar): only those that changed vary.
    error_U = ((sums["flipped"] / n - change_U.square()).clamp(min=0) / n).sqrt()
    return Ablation(
        layer=layer,
        n=n,
        top1=float(sums["correct"].sum() / n),
        loss=float(sums["loss"] / n),
        channel_U=sums["channels"],
        top1_change_U=change_U.float(),
        loss_change_U=((sums["loss_off"] - sums["loss"]) / n).float(),
        top1_error_U=error_U.float(),
        by_class_UK=((sums["correct_off"] - sums["correct"]) / of_class_K).float(),
    )


def _sums(
    subject: Subject,
    layer: Layer,
    images: AnyImages,
    labels_N: Tensor,
    channels: Tensor,
    on_progress: OnProgress | None,
) -> dict[str, Tensor]:
    K, U = len(subject.class_names), len(channels)
    correct_K, loss = torch.zeros(K, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    correct_off_UK, loss_off_U = torch.zeros(U, K, dtype=torch.float64), torch.zeros(U, dtype=torch.float64)
    flipped_U = torch.zeros(U, dtype=torch.float64)
    done = 0
    with torch.inference_mode():
        for x_NHWC in images.parts(subject.batch_size):
            labels_B = labels_N[done : done + len(x_NHWC)].to(subject.device)
            at = -1
            for scores_UBK in without_channels(subject, layer, subject.input(x_NHWC), channels):
                log_p = subject.log_p(scores_UBK.flatten(0, 1)).view_as(scores_UBK)
                losses_UB = -log_p.gather(2, labels_B[None, :, None].expand(len(log_p), -1, 1))[..., 0]
                right_UB = log_p.argmax(2) == labels_B
                right_UK = torch.zeros(len(log_p), K, dtype=torch.float64, device=subject.device).index_add_(
                    1, labels_B, right_UB.double()
                )
                if at < 0:  # the first part has all channels on
                    correct_K += right_UK[0].cpu()
                    loss += losses_UB[0].double().sum().cpu()
                    right_on_B, at = right_UB[0], 0
                    continue
                off = slice(at, at + len(right_UK))
                correct_off_UK[off] += right_UK.cpu()
                loss_off_U[off] += losses_UB.double().sum(1).cpu()
                flipped_U[off] += (right_UB != right_on_B).double().sum(1).cpu()
                at += len(right_UK)
            done += len(x_NHWC)
            if on_progress is not None:
                on_progress(f"ablation {layer.name}", done, len(images))
    return {
        "channels": channels,
        "of_class": torch.bincount(labels_N, minlength=K).double(),
        "correct": correct_K,
        "loss": loss,
        "correct_off": correct_off_UK,
        "loss_off": loss_off_U,
        "flipped": flipped_U,
    }


def without_channels(subject: Subject, layer: Layer, x_BCHW: Tensor, channels: Tensor) -> Iterator[Tensor]:
    """Scores [U, B, K] in parts: [1, B, K] with all channels of `layer` on, then with each one off.

    Args:
        subject: the network.
        layer: a hidden layer of it.
        x_BCHW: its input.
        channels: int64, which to switch off, one at a time.
    """
    chain = _chain(subject.model)
    place = None if chain is None else next((i for i, (path, _) in enumerate(chain) if path == layer.read), None)
    if chain is None or place is None or layer.call:
        yield from _by_masking(subject.model, layer, x_BCHW, channels)
        return
    answer = x_BCHW
    for _, step in chain[: place + 1]:
        answer = step(answer)
    behind = [step for path, step in chain[place + 1 :]]
    while behind and isinstance(behind[0], _PASSES_THROUGH):
        behind.pop(0)
    yield _run(behind, answer)[None]
    if behind and isinstance(behind[0], nn.Conv2d) and behind[0].padding_mode == "zeros":
        yield from _without_maps(behind[0], behind[1:], answer, channels)
    elif len(behind) > 1 and behind[0] is _flatten and _is_dense(behind[1:]):
        rest = [step for step in behind[1:] if not isinstance(step, _PASSES_THROUGH)]
        yield from _without_units(rest[0], rest[1:], answer.flatten(2), channels)
    elif _is_dense(behind) and answer.ndim == 2:
        yield from _without_units(behind[0], behind[1:], answer[:, :, None], channels)
    else:
        for some in torch.split(channels, max(1, _NUMBERS_AT_ONCE // answer.numel())):
            yield _several(behind, _masked(answer, some))


def _by_masking(model: nn.Module, layer: Layer, x_BCHW: Tensor, channels: Tensor) -> Iterator[Tensor]:
    """The whole network for each channel, its answer masked on the way."""
    off: list[int] = []

    def mask(_key: Any, answer: Tensor) -> Tensor | None:
        if not off:
            return None
        answer = answer.clone()
        answer[:, off] = 0
        return answer

    with reading(model, [key_of(layer)], mask):
        yield model(x_BCHW)[None]
        for channel in channels.tolist():
            off[:] = [channel]
            yield model(x_BCHW)[None]


def _without_maps(conv: nn.Conv2d, behind: list[Any], answer: Tensor, channels: Tensor) -> Iterator[Tensor]:
    """Take what a map adds to the sums of the convolution that reads it away from them."""
    sums = conv(answer)
    inputs, outputs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    for channel in channels.tolist():
        group, within = divmod(channel, inputs)
        reads = slice(group * outputs, (group + 1) * outputs)
        added = F.conv2d(
            answer[:, channel : channel + 1],
            conv.weight[reads, within : within + 1],
            None,
            conv.stride,
            conv.padding,
            conv.dilation,
        )
        rest = sums.clone()
        rest[:, reads] -= added
        yield _run(behind, rest)[None]


def _without_units(dense: Any, behind: list[Any], answer_BCP: Tensor, channels: Tensor) -> Iterator[Tensor]:
    """Likewise for a dense layer, which reads each of the C channels at P places."""
    _, C, P = answer_BCP.shape
    sums_BD = dense(answer_BCP.flatten(1))
    weight_DCP = dense.weight.view(-1, C, P)
    for some in torch.split(channels, max(1, _NUMBERS_AT_ONCE // sums_BD.numel())):
        some = some.to(answer_BCP.device)
        added_UBD = torch.einsum("bup,dup->ubd", answer_BCP[:, some], weight_DCP[:, some])
        yield _several(behind, sums_BD - added_UBD)


def _masked(answer: Tensor, some: Tensor) -> Tensor:
    """`answer` [B, C, ...] once for each of `some` channels, with that one 0: [U, B, C, ...]."""
    several = answer[None].repeat(len(some), *([1] * answer.ndim))
    several[torch.arange(len(some)), :, some] = 0
    return several


def _several(behind: list[Any], inputs_UB: Tensor) -> Tensor:
    U, B = inputs_UB.shape[:2]
    return _run(behind, inputs_UB.flatten(0, 1)).view(U, B, -1)


def _run(steps: list[Any], x: Tensor) -> Tensor:
    for step in steps:
        x = step(x)
    return x


def _is_dense(steps: list[Any]) -> bool:
    first = next((step for step in steps if not isinstance(step, _PASSES_THROUGH)), None)
    return isinstance(first, nn.Linear)


def _flatten(maps: Tensor) -> Tensor:
    return maps.flatten(1)


def _chain(model: nn.Module) -> list[_Step] | None:
    """The layers of a network that is one after the other, with their paths; None for any other."""
    if isinstance(model, ConvNet) and type(model).forward is ConvNet.forward:
        parts = _chain(model.features), _chain(model.classifier)
        if parts[0] is None or parts[1] is None:
            return None
        return [
            *((f"features.{path}", step) for path, step in parts[0]),
            ("", _flatten),
            *((f"classifier.{path}", step) for path, step in parts[1]),
        ]
    if type(model) is not nn.Sequential:
        return None
    steps: list[_Step] = []
    for name, child in model.named_children():
        if isinstance(child, nn.Flatten) and (child.start_dim, child.end_dim) == (1, -1):
            steps.append((name, _flatten))
        elif type(child) is nn.Sequential:
            inner = _chain(child)
            assert inner is not None
            steps += [(f"{name}.{path}", step) for path, step in inner]
        else:
            steps.append((name, child))
    return steps
