"""From a trained network to the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alexnet.data import DataLike
from alexnet.errors import UserError
from alexnet.evaluation import Classifier, load
from alexnet.export.explorer import gallery
from alexnet.export.explorer.describe import Description, describe
from alexnet.export.explorer.pack import WeightType
from alexnet.export.explorer.page import Shown, render
from alexnet.export.explorer.patches import OnProgress
from alexnet.files import atomic_write
from alexnet.models import count_parameters

LARGEST_PARAMETERS = {"int16": 16_000_000, "int8": 24_000_000}
"""More would make a page of over 40 MB, which takes a telephone long to open."""
_TWO = 2


@dataclass(frozen=True)
class Written:
    """A page that was written."""

    path: Path
    bytes: int
    images: int
    """Images that patches were chosen from; 0 without data."""


def export_explorer(
    model: str | Path | Classifier,
    path: str | Path,
    *,
    data: DataLike | None = None,
    root: str | Path | None = None,
    compare: str | Path | Classifier | None = None,
    weights: WeightType = "int16",
    title: str | None = None,
    on_progress: OnProgress | None = None,
) -> Written:
    """Write one HTML file that shows a network at work, and needs no other file and no network connection.

    Args:
        model: run folder, `.safetensors` file, name of shipped weights, or what `alexnet.load` returned.
        path: file to write, ending in `.html`.
        data: where example images and the patches that excite channels come from; None: the page has none.
        root: where the files of a named source are.
        compare: a second network for the same images, shown at a switch; for example one with sigmoids beside one
            with ReLUs.
        weights: `int16`, or `int8` for half the size and coarser answers.
        title: heading of the page; None: the model's name.
        on_progress: called with passes over images done and their total.

    Raises:
        UserError: the network is too large for a page, is no convolutional network of ours, or the two networks take
            different images; or the data cannot be read.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"the explorer is one HTML file: call it {path.with_suffix('.html')}")
    given = [model] if compare is None else [model, compare]
    classifiers = [each if isinstance(each, Classifier) else load(each, device="cpu") for each in given]
    found = [_described(each, weights) for each in classifiers]
    if len(classifiers) == _TWO:
        _check_same_images(*classifiers)
    names = [_name(each) for each in given]
    shown = None if data is None else gallery.choose(data, root, classifiers[0].card.preprocessing)
    networks = []
    for i, (classifier, description) in enumerate(zip(classifiers, found, strict=True)):
        content = None
        if shown is not None:
            card = classifier.card
            part_done = _part(on_progress, i, len(found))
            content = gallery.content(description, shown, card.preprocessing, card.class_names, part_done)
        label, key = _label(description, found, names[i], i)
        networks.append(Shown(classifier, description, label, key, content))
    page = render(title or names[0], networks, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(page, encoding="utf-8")
    return Written(path, len(page.encode()), 0 if shown is None else len(shown.pixels_NHWC))


def _described(classifier: Classifier, weights: WeightType) -> Description:
    number = count_parameters(classifier.model)
    largest = LARGEST_PARAMETERS[weights]
    if number > largest:
        smaller = " or pass --int8" if weights == "int16" and number <= LARGEST_PARAMETERS["int8"] else ""
        raise UserError(
            f"{classifier.card.model} has {number / 1e6:.1f} million weights, and a page holds {largest // 10**6} "
            f"million at most: export a smaller network, for example cifar_alexnet or small_alexnet{smaller}; "
            "`alexnet predict` and `alexnet evaluate` take it at any size"
        )
    return describe(classifier.model)


def _check_same_images(first: Classifier, second: Classifier) -> None:
    ours, theirs = first.card.preprocessing, second.card.preprocessing
    for name in ("image_px", "square_px", "in_channels", "fit"):
        if getattr(ours, name) != getattr(theirs, name):
            raise UserError(
                f"both networks of a page must take the same images, but their {name} are {getattr(ours, name)} and "
                f"{getattr(theirs, name)}: compare networks that were trained alike"
            )
    if first.class_names != second.class_names:
        raise UserError(
            "both networks of a page must know the same classes: compare networks trained on the same data"
        )


def _name(model: str | Path | Classifier) -> str:
    if isinstance(model, Classifier):
        return model.card.model
    path = Path(model)
    return (path.resolve().name if path.is_dir() else path.stem) or str(model)


def _label(own: Description, found: list[Description], name: str, i: int) -> tuple[str, str | None]:
    """What the switch says: the activation where the networks differ in it, else the model's name."""
    kinds = [next((op["kind"] for op in each.ops if op["op"] == "activation"), None) for each in found]
    if len(set(kinds)) == _TWO and None not in kinds:
        return name, f"op.{kinds[i]}"
    return name, None


def _part(on_progress: OnProgress | None, i: int, of: int) -> OnProgress | None:
    if on_progress is None:
        return None

    def scaled(done: int, total: int) -> None:
        on_progress(i * total + done, of * total)

    return scaled
