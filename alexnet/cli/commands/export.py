"""`alexnet export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath
from alexnet.cli.commands.explorer import export_to_explorer
from alexnet.errors import UserError


def export(
    model: Positional[Path],
    out: Positional[Path],
    *,
    to: Literal["onnx", "pt2", "hf", "mxnet", "torchvision", "safetensors", "explorer"],
    data: str | None = None,
    root: OptionalPath = None,
    plain: bool = False,
    decompose: bool = False,
    int8: bool = False,
    compare: OptionalPath = None,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write a trained network in another form, after comparing its answers with this package's own.

    A form that answers differently is refused and removed. What was compared, on which images, with what result,
    stands in export.json beside the file.

    Args:
        model: Run folder, .safetensors file, or the name of a network that comes with alexnet.
        out: File to write; for hf a folder.
        to: onnx (from a picture of any size to calibrated probabilities); pt2 (a program for PyTorch alone); hf (a
            folder for the Hugging Face hub); mxnet (.params); torchvision (its names, for alexnet_owt); safetensors;
            explorer (one HTML file that opens from disk, computes in the page and shows the net at work).
        data: Source or folder whose test images the two are compared on, all of them; default: those the network was
            trained with, where they are at hand, else crops of two photographs. For explorer: where its examples and
            patches come from.
        root: Folder with the source's files, where they are not in the default place.
        plain: For onnx and pt2: from the normalised tensor to logits instead.
        decompose: For onnx: response normalisation as convolutions and roots, for runtimes without the operator LRN.
        int8: For onnx: write NAME.int8.onnx too, with its accuracy beside fp32's; takes --data. For explorer: weights
            of 8 bits, half the size and coarser answers.
        compare: For explorer: a second network for the same images, shown at a switch.
        overwrite: Replace what is there.
        json: Print what stands in export.json on standard output and nothing else.
    """
    if to == "explorer":
        _refuse_unused({"--plain": plain, "--decompose": decompose, "--json": json}, "explorer")
        return export_to_explorer(model, out, data=data, root=root, compare=compare, int8=int8, overwrite=overwrite)
    _refuse_unused({"--compare": compare is not None}, to)
    from alexnet import runtime
    from alexnet.export import export as write

    runtime.start("cpu", "fp32")
    written = write(
        model,
        out,
        to=to,
        data=data,
        root=root,
        plain=plain,
        decompose=decompose,
        int8=int8,
        overwrite=overwrite,
    )
    if json:
        show.json_object(written.record)
    else:
        _print(written.path, written.bytes, written.record)
    return OK


def _refuse_unused(flags: dict[str, bool], to: str) -> None:
    """Raise `UserError` for a flag that is set and means nothing to the format."""
    for flag, is_set in flags.items():
        if is_set:
            raise UserError(f"{flag} is not for --to {to}: drop it")


def _print(path: Path, size: int, record: dict[str, Any]) -> None:
    show.line(f"{path}: {size / 1e6:.2f} MB")
    for found in record["compared"]:
        same = found["n"] - found["other_first_answers"] - found["ties"]
        show.line(
            f"{found['what']}: greatest difference {found['greatest_difference']:.1e}, {same:,} of {found['n']:,} "
            f"first answers the same, on {found['images']}"
        )
    if record.get("top1") is not None:
        show.line(f"top-1 {record['top1']:.4f} on {record['on']}")
    if "int8" in record:
        small = record["int8"]
        top1 = f"top-1 {small['top1']:.4f} (fp32 {small['top1_fp32']:.4f})"
        show.line(f"{small['file']}: {small['bytes'] / 1e6:.2f} MB, {top1}")
    if not record["on_test_images"]:
        show.complaint("compared on photographs that are no test images of this network: add --data for all of those")
