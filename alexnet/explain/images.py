"""The images that are looked at one by one: the user's own, or some of the data that show something."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.data import AnyImages, decode_image, fit_image
from alexnet.explain.attribution import Windows, grad_cam, integrated_gradients, occlusion
from alexnet.explain.channels import Collected
from alexnet.explain.layers import Layer
from alexnet.explain.maps import Maps, maps_of
from alexnet.explain.subject import Subject

_OCCLUSION_MACS = 4e9
METHODS = ("grad_cam", "occlusion", "integrated_gradients")


@dataclass(frozen=True)
class Shown:
    """An image to look at."""

    name: str
    """Its file, or its number in the split."""
    x_HWC: Tensor
    """uint8, of the preprocessing's size."""
    truth: int | None
    """Its class, where that is known."""


@dataclass(frozen=True)
class Explained:
    """What the network makes of one image."""

    shown: Shown
    p_K: Tensor
    """Probabilities, 0..1."""
    explained: int
    """The class that is explained: the first answer."""
    maps: Sequence[Maps]
    attributions: dict[str, Tensor]
    """By method, [H, W]; methods that this network does not allow are left out."""
    windows: Windows
    """The squares that occlusion covered."""
    missing: float
    """How far integrated gradients are from adding up to the difference of scores, as a share of it; 0 is exact."""


def from_files(files: Sequence[str | os.PathLike[str]], preprocessing: Preprocessing) -> list[Shown]:
    """Read image files; raises `UserError` for one that cannot be read."""
    how = preprocessing
    shown = []
    for file in files:
        pixels = fit_image(decode_image(Path(file), image_px=how.square_px), how.square_px, how.in_channels, how.fit)
        shown.append(Shown(Path(file).name, torch.from_numpy(pixels), None))
    return shown


def chosen(images: AnyImages, collected: Collected, known: bool, most: int = 3) -> list[Shown]:
    """Images that show something: correct and sure ones of different classes, then the surest mistake.

    Args:
        images: those that were collected.
        collected: what the network answered to them.
        known: whether their classes are known to the network.
        most: how many.
    """
    p_N, answer_N = collected.log_p_NK.exp().max(1)
    right_N = answer_N == collected.labels_N
    picked: list[int] = []
    seen: set[int] = set()
    wrong = torch.where(right_N, -1.0, p_N)
    mistakes = 1 if known and bool((~right_N).any()) and most > 1 else 0
    for i in torch.where(right_N, p_N, -1.0).argsort(descending=True, stable=True).tolist():
        if len(picked) == most - mistakes:
            break
        if bool(right_N[i]) and int(answer_N[i]) not in seen:
            picked.append(i)
            seen.add(int(answer_N[i]))
    if mistakes:
        picked.append(int(wrong.argmax()))
    return [
        Shown(_name(images, i), images.pixels_at(i), int(collected.labels_N[i]) if known else None) for i in picked
    ]


def _name(images: AnyImages, i: int) -> str:
    files = getattr(images, "files", None)
    return f"#{i}" if files is None else str(files[i])


def last_convolution(subject: Subject) -> Layer | None:
    """The layer whose maps Grad-CAM weighs."""
    return next((layer for layer in reversed(subject.hidden) if layer.kind == "conv"), None)


def has_gradients(subject: Subject) -> bool:
    """Whether scores can be differentiated by pixels; hand-made features cut that way off."""
    side, channels = subject.image_px, subject.classifier.card.preprocessing.in_channels
    generator = torch.Generator().manual_seed(0)
    x_HWC = torch.randint(0, 256, (side, side, channels), generator=generator, dtype=torch.uint8)
    with torch.enable_grad():
        x_NCHW = subject.input(x_HWC[None]).requires_grad_()
        try:
            (gradient,) = torch.autograd.grad(subject.model(x_NCHW).sum(), x_NCHW, allow_unused=True)
        except RuntimeError:
            return False
    return gradient is not None


def look(subject: Subject, shown: Shown, by_gradients: bool) -> Explained:
    """Maps and attributions of one image."""
    x_NCHW = subject.input(shown.x_HWC[None])
    with torch.inference_mode():
        p_K = subject.log_p(subject.model(x_NCHW)).exp()[0].cpu()
    answer = int(p_K.argmax())
    class_N = torch.tensor([answer], device=subject.device)
    windows = Windows.of(subject.image_px, subject.macs, _OCCLUSION_MACS)
    attributions = {}
    missing = 0.0
    layer = last_convolution(subject)
    if by_gradients and layer is not None:
        attributions["grad_cam"] = grad_cam(subject.model, x_NCHW, class_N, layer)[0].cpu()
    attributions["occlusion"] = occlusion(subject.model, x_NCHW, class_N, windows.window_px, windows.stride_px)[
        0
    ].cpu()
    if by_gradients:
        each_NHW, off_N = integrated_gradients(subject.model, x_NCHW, class_N)
        attributions["integrated_gradients"] = each_NHW[0].cpu()
        missing = float(off_N[0].abs() / (each_NHW.sum() - off_N[0]).abs().clamp(min=1e-6))
    return Explained(shown, p_K, answer, maps_of(subject, shown.x_HWC), attributions, windows, missing)
