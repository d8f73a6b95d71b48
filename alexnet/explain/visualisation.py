"""Images made for a channel: what it would like to see most, found by climbing its gradient.

As Olah 2017 (Distill, "Feature Visualization"): the image is a sum of waves, whose amplitudes are what is optimised,
scaled so that coarse and fine ones are learned as fast; its colours are decorrelated; and it is shifted a little at
each step, so that what is drawn does not hang on single pixels.

Shapes: N images (one a channel), C colour channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet.card import Preprocessing
from alexnet.explain.fields import ACTIVATIONS
from alexnet.explain.layers import Layer
from alexnet.explain.reading import key_of, reading
from alexnet.models import ConvNet

# Square root of the covariance of colours in photographs, normalised (Olah 2017, lucid's color_correlation_svd_sqrt).
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
_LONGEST = 0.41
_LR = 0.05


@dataclass(frozen=True)
class Visualised:
    """Images that excite channels of one layer."""

    layer: Layer
    channels: tuple[int, ...]
    pixels_NHWC: Tensor
    """uint8, one a channel."""
    answer_N: Tensor
    """What each channel answers to its image: the largest value of its map."""


def visualise(
    model: nn.Module,
    layer: Layer,
    channels: Sequence[int],
    preprocessing: Preprocessing,
    generator: torch.Generator,
    steps: int = 128,
) -> Visualised:
    """Make an image for each of some channels of `layer`.

    Args:
        model: the network, in eval mode.
        layer: one of its layers.
        channels: of that layer.
        preprocessing: how pixels become the network's input.
        generator: decides the first image and the shifts.
        steps: of Adam.
    """
    side, N = preprocessing.image_px, len(channels)
    device = next(model.parameters()).device
    colors = preprocessing.in_channels
    waves = torch.randn(N, colors, side, side // 2 + 1, 2, generator=generator).mul_(0.01).to(device).requires_grad_()
    mean_C11, std_C11 = (
        torch.tensor(v, device=device)[:, None, None] for v in (preprocessing.mean, preprocessing.std)
    )
    optimizer = torch.optim.Adam([waves], lr=_LR)
    reach = max(1, side // 16)
    index_N = torch.tensor(channels, device=device)

    def answers(image_NCHW: Tensor, *, optimised: bool) -> tuple[Tensor, Tensor]:
        x_NCHW = (image_NCHW - mean_C11) / std_C11
        layout = torch.channels_last if isinstance(model, ConvNet) else torch.contiguous_format
        with _before_activation(model, layer) as given, reading(model, [key_of(layer)]) as seen:
            model(x_NCHW.contiguous(memory_format=layout))
        answer = given[layer.call] if optimised and given else seen[key_of(layer)]
        own = answer.gather(1, index_N.view(-1, 1, *([1] * (answer.ndim - 2))).expand(-1, 1, *answer.shape[2:]))
        flat = own.flatten(1)
        return flat.mean(1), flat.amax(1)

    with torch.enable_grad():
        for _ in range(steps):
            shift = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
            mean_N, most_N = answers(image_of(waves, side).roll(shift, dims=(2, 3)), optimised=True)
            # The mean fills the image with the pattern; a little of the largest starts a channel that is silent.
            loss = -(mean_N + 0.1 * most_N).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.inference_mode():
        image_NCHW = image_of(waves, side)
        pixels_NHWC = image_NCHW.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()
        answer_N = answers(pixels_NHWC.to(device).permute(0, 3, 1, 2).float() / 255, optimised=False)[1].cpu()
    return Visualised(layer, tuple(channels), pixels_NHWC, answer_N)


@contextmanager
def _before_activation(model: nn.Module, layer: Layer) -> Iterator[list[Tensor]]:
    """What the activation of `layer` is given, a call each: behind a ReLU a silent channel has no gradient."""
    given: list[Tensor] = []
    module = dict(model.named_modules())[layer.read]
    hooks = []
    if isinstance(module, ACTIVATIONS):
        hooks.append(module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])))
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


def image_of(waves: Tensor, side: int) -> Tensor:
    """Amplitudes [N, C, side, side // 2 + 1, 2] of waves to an image [N, C, side, side] in 0..1."""
    rows = torch.fft.fftfreq(side, device=waves.device)[:, None]
    columns = torch.fft.rfftfreq(side, device=waves.device)[None]
    frequency = (rows.square() + columns.square()).sqrt().clamp(min=1 / side)
    spectrum = torch.view_as_complex(waves.contiguous()) * (side / frequency)
    plain_NCHW = torch.fft.irfft2(spectrum, s=(side, side)) / 4
    if waves.shape[1] == 3:
        matrix = torch.tensor(_COLOURS, device=waves.device) / _LONGEST
        plain_NCHW = torch.einsum("nchw,dc->ndhw", plain_NCHW, matrix)
    image_NCHW: Tensor = plain_NCHW.sigmoid()
    return image_NCHW
