"""What every kind of source looks like once it is found, before images are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from alexnet.config import Fit
from alexnet.data.dataset import Images, SplitName
from alexnet.data.images.streamed import StreamedImages

OnProgress = Callable[[int, int], None]
"""Called with the number of images done and their total."""
LARGEST_OWN_PX = 64
"""Square images of one size up to this side are taken as they are."""


@dataclass(frozen=True)
class BadFile:
    """A file or folder that cannot be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSpec:
    """The form images are to be brought to."""

    image_px: int | None
    """Side of the square; None: the images' own if they are square and share one of at most 64 px."""
    default_px: int
    """Side where `image_px` is None and the images have none of their own."""
    in_channels: int
    on_progress: OnProgress | None = None
    fit: Fit = "crop"
    """How an image that is not square becomes one."""


@dataclass(frozen=True)
class Source:
    """A source whose files were found; reading them is left to `read`."""

    class_names: tuple[str, ...]
    in_channels: int
    """1 or 3: what its images are by nature."""
    read: Callable[[SplitName, ImageSpec], Images]
    """Read one split."""
    splits: tuple[SplitName, ...]
    """Those the source has; train and test always."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where it is and how it was split, as plain JSON values."""
    stream: Callable[[SplitName, ImageSpec], StreamedImages] | None = None
    """Index one split without reading its images; None: it is one array, which must be read."""
    n_images: int = 0
    """Images of all splits, where they can be streamed."""
    name: str = ""
    """What reports and messages call it; empty where the user named the source."""
