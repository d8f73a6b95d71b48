"""`alexnet convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath
from alexnet.config import Activation, Fit, ModelName, Variant
from alexnet.errors import UserError

_IMAGENET = "imagenet"


def convert(
    src: Positional[Path],
    dst: Positional[Path],
    *,
    model: ModelName | None = None,
    classes: str | None = None,
    activation: Activation | None = None,
    variant: Variant | None = None,
    mean: Annotated[tuple[str, ...] | None, arg(metavar="FILE|NUMBERS")] = None,
    std: tuple[float, ...] | None = None,
    resize_px: int | None = None,
    fit: Fit | None = None,
    channels: Literal["rgb", "bgr"] | None = None,
    prototxt: OptionalPath = None,
    overwrite: bool = False,
) -> int:
    """Turn another framework's weights into a .safetensors file of ours (see docs/old-weights.md).

    Read are MXNet's .params, PyTorch's .pth, Caffe's .caffemodel, ONNX, Keras's .keras and .h5, MatConvNet's .mat.

    Args:
        src: File to read; its format is recognised from its content.
        dst: .safetensors file to write.
        model: Network the weights belong to; default: the one that fits.
        classes: Names of the classes, in the order of the outputs: a source (cifar10, ...), imagenet for the 1000
            of 2012, or a file with one name a line or a JSON list; default: those in the file, or numbers.
        activation: Activation the weights were trained with, where the file does not say; default: the network's
            own.
        variant: Form of alexnet_2012, where the file does not say.
        mean: Channel means, pixels in 0..1, subtracted from inputs; or Caffe's mean image, a .binaryproto or .npy;
            default: what the file says, ImageNet's for Caffe and torchvision, 0 for Keras and the tutorial's nets of
            MXNet.
        std: Channel standard deviations that inputs are divided by, likewise (1/255 for Caffe, 1 for Keras and
            MXNet).
        resize_px: Side that images are brought to before the centre is cut out for the network; default: 256 for
            Caffe's nets, the network's own otherwise.
        fit: What becomes of images that are not square; default: squash for Caffe's nets, as Caffe did, crop
            otherwise.
        channels: Order of colours the weights take; default: bgr for Caffe's nets, rgb otherwise.
        prototxt: Caffe's description of the net, where it is not in the .caffemodel.
        overwrite: Replace an existing file.
    """
    from alexnet import weights

    if dst.suffix != ".safetensors":
        raise UserError(f"{dst} should end in .safetensors")
    if dst.exists() and not overwrite:
        raise UserError(f"{dst} exists: name another file, or pass --overwrite")
    options = {name: value for name, value in (("activation", activation), ("variant", variant)) if value is not None}
    how: Any = {
        "std": std,
        "resize_px": resize_px,
        "fit": fit,
        "channels": channels,
        "prototxt": prototxt,
        **_mean(mean),
    }
    names = None if classes is None else _class_names(classes)
    network, card = weights.convert(src, model, names, options=options, **how)
    weights.save(dst, network, card)
    form = f" ({card.options['variant']})" if card.options.get("variant", "paper") != "paper" else ""
    show.line(f"{dst}: {card.model}{form}, {len(card.class_names)} classes, {card.preprocessing.image_px} px")
    show.line(f"from {card.source}")
    return OK


def _mean(given: tuple[str, ...] | None) -> dict[str, Any]:
    """The numbers or the file that `--mean` names."""
    if given is None:
        return {}
    try:
        numbers = tuple(float(each) for each in given)
    except ValueError:
        if len(given) > 1:
            raise UserError("--mean takes one file, or a number for each channel") from None
        return {"mean_image": Path(given[0])}
    if max(numbers, default=0) > 1:
        levels = " ".join(f"{number / 255:.4f}" for number in numbers)
        raise UserError(f"--mean is of pixels in 0..1, red first: divide by 255, --mean {levels}")
    return {"mean": numbers}


def _class_names(classes: str) -> tuple[str, ...]:
    from alexnet import data, weights

    if Path(classes).is_file():
        return weights.read_class_names(Path(classes))
    return weights.imagenet_class_names() if classes == _IMAGENET else data.class_names(classes)
