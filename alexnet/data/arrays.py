"""Images that come as whole arrays, brought to the wanted size and channels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet.data.dataset import Images
from alexnet.data.decode import fit_image
from alexnet.data.source import Wanted

_PROGRESS_IMAGES = 1024


def fit_array(pixels_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], own_px: int, wanted: Wanted) -> Images:
    """`Images` of the array's pictures; the array itself, uncopied, where it has the wanted form already.

    Args:
        pixels_NHWC: uint8 [N, H, W, C], C = 1 or 3.
        labels_N: positions in the source's class names.
        own_px: side taken where none is wanted.
        wanted: form to bring the images to.
    """
    N, H, W, C = pixels_NHWC.shape
    px = wanted.image_px or own_px
    labels = torch.from_numpy(np.ascontiguousarray(labels_N, dtype=np.int64))
    if (px, px, wanted.in_channels) == (H, W, C):
        return Images(torch.from_numpy(pixels_NHWC), labels)
    fitted = np.empty((N, px, px, wanted.in_channels), np.uint8)
    for i in range(N):
        fitted[i] = fit_image(pixels_NHWC[i], px, wanted.in_channels)
        if wanted.on_progress is not None and ((i + 1) % _PROGRESS_IMAGES == 0 or i + 1 == N):
            wanted.on_progress(i + 1, N)
    return Images(torch.from_numpy(fitted), labels)
