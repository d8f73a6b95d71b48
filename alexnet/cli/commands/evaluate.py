"""`alexnet evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath, Streaming
from alexnet.config import Precision
from alexnet.errors import UserError


def evaluate(
    model: Positional[tuple[Path, ...]],
    *,
    data: str,
    root: OptionalPath = None,
    split: Literal["test", "val", "train"] = "test",
    views: int | Literal["dense"] = 1,
    resize_px: int | None = None,
    stream: Streaming = "auto",
    device: str = "auto",
    precision: Precision = "fp32",
    json: bool = False,
) -> int:
    """Measure a trained network on one split of a data set, or several together.

    The probabilities of several networks are averaged; they must know the same classes.

    Args:
        model: Run folder or .safetensors file, or several of them.
        data: Name of a source (cifar10, cifar100, fashion_mnist, mnist, digits) or a folder of class folders.
        root: Folder with the source's files, where they are not in the default place.
        split: Images to measure on.
        views: Views averaged for each image: 1; 2 (and mirrored); 5 (four corners and centre); 10 (these and
            mirrored); dense (a grid of 25 crops, and mirrored).
        resize_px: Side that images are brought to before views are cut; default: the network's own, or what it was
            trained with; 8/7 of it for 5, 10 and dense views of a network that was trained without room for crops.
        stream: Read images from disk one after the other: always, never, or where memory would be short (auto).
        device: auto, cpu, cuda, cuda:N or mps.
        precision: Numbers to compute in; fp32 gives the same figures everywhere.
        json: Print one JSON object on standard output and nothing else.
    """
    from alexnet import runtime
    from alexnet.evaluation import Ensemble, load
    from alexnet.evaluation.views import check_views

    if not model:
        raise UserError("name at least one run folder or .safetensors file")
    check_views(views)
    runtime.start(device, precision)
    ensemble = Ensemble([load(path, device=device, precision=precision) for path in model])
    found = ensemble.evaluate(data, root=root, split=split, views=views, resize_px=resize_px, stream=stream)
    alone = len(model) == 1
    if json:
        values = found.to_json()
        members = values.pop("members")
        if not alone:
            values["members"] = [{"model": str(path), **own} for path, own in zip(model, members, strict=True)]
        show.json_object(values)
        return OK
    of_what = f"on {data}, {split} split, {views} view(s)"
    if not alone:
        show.members(list(zip(map(str, model), found.members, strict=True)))
    show.evaluation(found.together, f"{model[0] if alone else f'{len(model)} networks together'} {of_what}")
    return OK
