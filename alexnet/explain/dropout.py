"""Dropout at work: the same image again and again, each time with other units switched off."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexnet.explain.subject import Subject
from alexnet.models._source_2012 import MaskingDropout

_KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout, MaskingDropout)


def dropout_layers(model: nn.Module) -> dict[str, float]:
    """Path and share dropped of each dropout layer that drops anything."""
    return {path: float(m.p) for path, m in model.named_modules() if isinstance(m, _KINDS) and m.p > 0}


def with_masks(subject: Subject, x_HWC: Tensor, times: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Probabilities with dropout on, and with it off; all else is as in eval mode.

    Args:
        subject: the network.
        x_HWC: uint8, one image of the preprocessing's size.
        times: passes, each with its own masks.
        seed: decides the masks; torch's random state is as before afterwards.

    Returns:
        [times, K] with masks on, and [K] with them off.
    """
    layers = [m for m in subject.model.modules() if isinstance(m, _KINDS)]
    devices = [subject.device] if subject.device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        off_K = subject.log_p(subject.model(subject.input(x_HWC[None]))).exp()[0].cpu()
        for layer in layers:
            layer.train()
        try:
            parts = [
                subject.log_p(subject.model(subject.input(x_HWC.expand(len(some), *x_HWC.shape)))).exp().cpu()
                for some in torch.split(torch.arange(times), subject.batch_size)
            ]
        finally:
            for layer in layers:
                layer.eval()
    return torch.cat(parts), off_K
