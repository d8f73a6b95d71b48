"""ImageNet as it comes: validation images in one folder with their classes in a list, classes named by synsets.

Known lists of classes: Tiny ImageNet's `val_annotations.txt`, Kaggle's `LOC_val_solution.csv`, and the development
kit's `ILSVRC2012_validation_ground_truth.txt`, whose numbers its `meta.mat` explains. Known names: Kaggle's
`LOC_synset_mapping.txt`, Caffe's `synset_words.txt`, Tiny ImageNet's `words.txt`, and `meta.mat`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from alexnet.errors import UserError
from alexnet.files import reason_of

CLASS_LISTS = ("val_annotations.txt", "LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt")
"""Files that say the classes of validation images, in the order they are looked for."""

_NAME_LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt", "meta.mat")
_SYNSET = re.compile(r"n\d{8}")
# Where the lists lie: with the images, or above them; Kaggle's archive holds ILSVRC/Data/CLS-LOC/val.
_PARENTS = 5
_BESIDE = ("", "ILSVRC2012_devkit_t12/data", "devkit/data", "data")


def flat_classes(folder: Path, images: Sequence[str]) -> dict[str, str] | None:
    """Class of each image in a folder without class folders; None where no list says them.

    Args:
        folder: that of the images.
        images: their paths.

    Returns:
        Class (a synset) by path.

    Raises:
        UserError: a list was found, but cannot be read, or lacks an image.
    """
    found = _find(folder, CLASS_LISTS)
    if found is None:
        return None
    if found.name == CLASS_LISTS[2]:
        return _by_rank(found, images)
    by_name = _read(found, _annotations if found.name == CLASS_LISTS[0] else _solution)
    classes: dict[str, str] = {}
    for image in images:
        path = PurePosixPath(image)
        known = by_name.get(path.name) or by_name.get(path.stem)
        if known is None:
            raise UserError(f"{found} does not say the class of {image}: remove the image, or add its line")
        classes[image] = known
    return classes


def readable(class_names: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Names people use for classes called by synsets, where a list in `folder` or above has them all.

    The first of a synset's words is taken; where two synsets share it, both carry their own number too.
    """
    if not class_names or not all(_SYNSET.fullmatch(name) for name in class_names):
        return tuple(class_names)
    found = _find(folder, _NAME_LISTS)
    titles = {} if found is None else _titles(found)
    if not set(class_names) <= set(titles):
        return tuple(class_names)
    first = {name: titles[name].split(",")[0].strip() for name in class_names}
    times = Counter(first.values())
    return tuple(title if times[title] == 1 else f"{title} ({name})" for name, title in first.items())


def numbered(count: int, folder: Path) -> tuple[str, ...]:
    """Names of classes known by number alone: those of a list in `folder` of just so many synsets, else the numbers.

    ImageNet's classes are numbered by the order of their synsets.
    """
    found = _find(folder, _NAME_LISTS[:2], parents=1)
    synsets = [] if found is None else sorted(_titles(found))
    return readable(synsets, folder) if len(synsets) == count else tuple(map(str, range(count)))


def _find(folder: Path, names: Sequence[str], parents: int = _PARENTS) -> Path | None:
    """The first of `names` that is in or above `folder`."""
    folder = folder.resolve()
    places = [above / beside for above in (folder, *folder.parents)[:parents] for beside in _BESIDE]
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def _read(path: Path, lines: Callable[[Path], Iterator[tuple[str, str]]]) -> dict[str, str]:
    try:
        return dict(lines(path))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from error


def _titles(path: Path) -> dict[str, str]:
    if path.name == "meta.mat":
        return dict(_read_meta(path).values())
    return _read(path, _words)


def _words(path: Path) -> Iterator[tuple[str, str]]:
    """`n01440764 tench, Tinca tinca`, after a space or a tab."""
    for line in path.read_text(encoding="utf-8").splitlines():
        synset, title = line.split(maxsplit=1)
        yield synset, title


def _annotations(path: Path) -> Iterator[tuple[str, str]]:
    """`val_0.JPEG<tab>n03444034<tab>` and a box."""
    for line in path.read_text(encoding="utf-8").splitlines():
        file, synset = line.split("\t")[:2]
        yield file, synset


def _solution(path: Path) -> Iterator[tuple[str, str]]:
    """`ILSVRC2012_val_00048981,n03995372 85 1 499 272`, below a head."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["ImageId"], row["PredictionString"].split()[0]


def _by_rank(path: Path, images: Sequence[str]) -> dict[str, str]:
    """The n-th line of the ground truth is the class of the n-th image by name."""
    meta = _find(path.parent, ["meta.mat"])
    if meta is None:
        raise UserError(
            f"{path} needs meta.mat of the same development kit beside it, which says what its numbers mean"
        )
    synsets = _read_meta(meta)
    try:
        numbers = [int(line) for line in path.read_text(encoding="ascii").split()]
        ranked = [synsets[number][0] for number in numbers]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read with {meta}: {reason_of(error)}") from error
    if len(ranked) != len(images):
        raise UserError(
            f"{path} has {len(ranked):,} lines for {len(images):,} images: they go by rank, so all must be there"
        )
    in_order = sorted(images, key=lambda image: PurePosixPath(image).name)
    return dict(zip(in_order, ranked, strict=True))


def _read_meta(path: Path) -> Mapping[int, tuple[str, str]]:
    """Synset and words by the development kit's number; those without children are the classes."""
    from scipy.io import loadmat

    try:
        rows = loadmat(path, squeeze_me=True)["synsets"]
        return {
            int(row["ILSVRC2012_ID"]): (str(row["WNID"]), str(row["words"]))
            for row in rows
            if int(row["num_children"]) == 0
        }
    except Exception as error:  # scipy lets many kinds escape on broken files
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from error
