"""A data set in memory as a folder of image files, for what works on files."""

from __future__ import annotations

import zlib
from pathlib import Path

from PIL import Image

from alexnet.data.dataset import AnyImages, Dataset, SplitName
from alexnet.data.sources.layout import Files, Folder

_IMAGES = 256  # at a time


def write_files(dataset: Dataset, out: Path) -> Folder:
    """Write the images of all splits of `dataset` below `out` as PNG files.

    A file's name holds a check sum of its pixels, so other images have other names.

    Returns:
        The folder as `layout.scan` would find it, with the data set's own class names.
    """
    parts: dict[SplitName, AnyImages] = {"train": dataset.train, "test": dataset.split("test")}
    if dataset.val is not None:
        parts["val"] = dataset.val
    splits: dict[SplitName, Files] = {name: _write(images, out, name) for name, images in parts.items()}
    rule = str(dataset.origin.get("split", "as given"))
    return Folder(out, dataset.class_names, splits, rule, 0, (), ())


def _write(images: AnyImages, out: Path, split: SplitName) -> Files:
    paths: list[str] = []
    labels = images.labels_N.tolist()
    for part_NHWC in images.parts(_IMAGES):
        for pixels_HWC in part_NHWC.cpu().numpy():
            label = labels[len(paths)]
            path = f"{split}/{label:05d}/{len(paths):08d}-{zlib.crc32(pixels_HWC.tobytes()):08x}.png"
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            grey = pixels_HWC.shape[2] == 1
            Image.fromarray(pixels_HWC[..., 0] if grey else pixels_HWC).save(out / path)
            paths.append(path)
    order = sorted(range(len(paths)), key=lambda i: (labels[i], paths[i]))
    return Files(tuple(paths[i] for i in order), tuple(labels[i] for i in order))
