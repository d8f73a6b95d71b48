"""Images that come as whole arrays, brought to the requested size and channels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet.data.dataset import Images
from alexnet.data.images.decode import fit_image
from alexnet.data.sources.source import ImageSpec
from alexnet.errors import UserError
from alexnet.system import total_bytes

_PROGRESS_IMAGES = 1024


def fit_array(pixels_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], own_px: int, spec: ImageSpec) -> Images:
    """`Images` of the array's pictures; the array itself, uncopied, where it has the requested form already.

    Args:
        pixels_NHWC: uint8 [N, H, W, C], C = 1 or 3.
        labels_N: positions in the source's class names.
        own_px: side where none is requested.
        spec: form to bring the images to.
    """
    N, H, W, C = pixels_NHWC.shape
    px = spec.image_px or own_px
    labels = torch.from_numpy(np.ascontiguousarray(labels_N, dtype=np.int64))
    if (px, px, spec.in_channels) == (H, W, C):
        return Images(torch.from_numpy(pixels_NHWC), labels)
    fitted = allocate((N, px, px, spec.in_channels))
    for i in range(N):
        fitted[i] = fit_image(pixels_NHWC[i], px, spec.in_channels, spec.fit)
        if spec.on_progress is not None and ((i + 1) % _PROGRESS_IMAGES == 0 or i + 1 == N):
            spec.on_progress(i + 1, N)
    return Images(torch.from_numpy(fitted), labels)


def allocate(shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """An array for decoded images, if the machine can hold it; raises `UserError` if not."""
    needed = int(np.prod(shape, dtype=np.int64))
    total = total_bytes()
    if total is not None and needed > 0.9 * total:
        raise UserError(
            f"{shape[0]:,} images of {shape[1]} px take {needed / 2**30:.1f} GiB, more than this machine's memory of "
            f"{total / 2**30:.1f} GiB: stream them, or choose a smaller --image-px, or fewer images"
        )
    return np.empty(shape, np.uint8)
