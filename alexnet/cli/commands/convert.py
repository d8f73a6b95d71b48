"""`alexnet convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK
from alexnet.config import Activation, ModelName
from alexnet.errors import UserError


def convert(
    src: Positional[Path],
    dst: Positional[Path],
    *,
    model: ModelName,
    classes: str,
    activation: Activation | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize_px: int | None = None,
    overwrite: bool = False,
) -> int:
    """Turn foreign weights (MXNet .params, torchvision's AlexNet .pth) into a .safetensors file of ours.

    Args:
        src: File to read; its format is recognised from its content.
        dst: .safetensors file to write.
        model: Network the weights belong to.
        classes: Names of the classes, in the order of the outputs: a source (cifar10, ...) or a file with one
            name a line or a JSON list.
        activation: Activation the weights were trained with, which foreign files do not say; default: the
            network's own.
        mean: Channel means, pixels in 0..1, subtracted from inputs; default: 0 for MXNet's files (the tutorial
            scales to 0..1 and no more), ImageNet's for torchvision's.
        std: Channel standard deviations that inputs are divided by, likewise.
        resize_px: Side that images are brought to before the centre is cut out for the network, for example 256;
            default: the network's own.
        overwrite: Replace an existing file.
    """
    from alexnet import weights

    if dst.suffix != ".safetensors":
        raise UserError(f"{dst} should end in .safetensors")
    if dst.exists() and not overwrite:
        raise UserError(f"{dst} exists: name another file, or pass --overwrite")
    options = {} if activation is None else {"activation": activation}
    how: Any = {"mean": mean, "std": std, "resize_px": resize_px}
    network, card = weights.convert(src, model, _class_names(classes), options=options, **how)
    weights.save(dst, network, card)
    show.line(f"{dst}: {model}, {len(card.class_names)} classes, {card.preprocessing.image_px} px")
    return OK


def _class_names(classes: str) -> tuple[str, ...]:
    from alexnet import data, weights

    return weights.read_class_names(Path(classes)) if Path(classes).is_file() else data.class_names(classes)
