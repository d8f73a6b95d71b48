"""Images of a data set in the page: examples to begin with, the gallery, and the patches that excite channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.data import DataLike, load_split
from alexnet.errors import UserError
from alexnet.export.explorer import patches, pictures
from alexnet.export.explorer.describe import Description, levels, trace
from alexnet.export.explorer.patches import OnProgress

_EXAMPLES = 24
_GALLERY = 100
_GALLERY_PX = 32
_LOOKED_AT = 2000
"""Images that patches are chosen from, at most."""


@dataclass(frozen=True)
class Shown:
    """Images of one split, spread evenly over its classes, in turn."""

    pixels_NHWC: Tensor
    labels: list[str]


def choose(source: DataLike, root: str | Path | None, preprocessing: Preprocessing) -> Shown:
    """Up to 2,000 images of the test split.

    Raises:
        UserError: the data cannot be read.
    """
    how = preprocessing
    images, names = load_split(
        source, "test", root=root, image_px=how.square_px, in_channels=how.in_channels, fit=how.fit
    )
    if not len(images):
        raise UserError(f"{source} has no images: name a data set that has some")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    rank: dict[int, int] = {}
    turns = []
    for i in order.tolist():
        label = int(images.labels_N[i])
        rank[label] = rank.get(label, -1) + 1
        turns.append((rank[label], label, i))
    index_N = torch.tensor([i for _, _, i in sorted(turns)[:_LOOKED_AT]])
    some = images.take(index_N)
    pixels_NHWC = torch.cat(list(some.parts(256)))
    return Shown(pixels_NHWC, [names[int(label)] for label in some.labels_N])


def content(
    found: Description,
    shown: Shown,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """What the page holds of the images, as plain JSON values; see `gallery.js`."""
    few = shown.pixels_NHWC[:_GALLERY]
    seen_NHWC, input_NCHW = patches.network_input(few, preprocessing)
    units = {
        str(i): patches.best_units(found, input_NCHW, i).tolist()
        for i, level in enumerate(levels(found.ops))
        if level["kind"] == "units"
    }
    best = patches.best_patches(found, shown.pixels_NHWC, preprocessing, on_progress)
    return {
        "first": _first(found, input_NCHW[:_EXAMPLES], shown.labels[:_EXAMPLES], class_names),
        "looked_at": len(shown.pixels_NHWC),
        "examples": [
            {"label": label, "src": pictures.webp(pixels_HWC.numpy(), lossless=True)}
            for label, pixels_HWC in zip(shown.labels[:_EXAMPLES], shown.pixels_NHWC[:_EXAMPLES], strict=True)
        ],
        "gallery": {"src": _gallery(seen_NHWC), "px": _GALLERY_PX, "n": len(few), "units": units},
        "patches": {
            str(one.level): {
                "src": pictures.sprite(one.tiles_CPHWC),
                "px": one.tile_px,
                "n": one.tiles_CPHWC.shape[1],
                "field": list(one.field_px),
            }
            for one in best
        },
    }


def _first(found: Description, input_NCHW: Tensor, labels: Sequence[str], class_names: Sequence[str]) -> int:
    """Position of the example that the page begins with: the one whose own class is likeliest."""
    p_NK = trace(found, input_NCHW)[-1].softmax(1)
    own = [float(p_NK[i, class_names.index(name)]) if name in class_names else 0.0 for i, name in enumerate(labels)]
    return max(range(len(own)), key=own.__getitem__)


def _gallery(seen_NHWC: Tensor) -> str:
    from PIL import Image

    tiles = []
    for pixels_HWC in seen_NHWC.numpy():
        image = Image.fromarray(pixels_HWC if pixels_HWC.shape[2] == 3 else pixels_HWC[..., 0])
        small = np.asarray(image.resize((_GALLERY_PX, _GALLERY_PX), Image.Resampling.BILINEAR))
        tiles.append(small.reshape(_GALLERY_PX, _GALLERY_PX, -1))
    return pictures.sprite(np.stack(tiles)[None])
