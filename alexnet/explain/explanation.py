"""What is found out about a network, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from alexnet.data import AnyImages
from alexnet.explain.ablation import Ablation
from alexnet.explain.channels import Collected
from alexnet.explain.filters import Filters
from alexnet.explain.images import Explained, Shown
from alexnet.explain.neighbours import Neighbours
from alexnet.explain.sanity import Sanity
from alexnet.explain.subject import Subject
from alexnet.explain.visualisation import Visualised


@dataclass(frozen=True)
class Nearest:
    """A page of test images with their answers, and the training images nearest to each (paper, Figure 4)."""

    index_Q: Tensor
    """int64, positions among the images that were collected."""
    found: Neighbours | None
    """None where the training images could not be read."""
    pixels_QTHWC: Tensor | None
    """uint8, of the nearest."""
    names_QT: list[list[str]]
    """Their classes."""
    reason: str = ""
    """Why there are none."""


@dataclass(frozen=True)
class Mapped:
    """Images on a map of what the last layer is given."""

    index_M: Tensor
    """int64, positions among the images that were collected."""
    places_M2: NDArray[Any]


@dataclass(frozen=True)
class Dropped:
    """One image, many masks."""

    shown: Shown
    p_TK: Tensor
    """Probabilities with T masks."""
    off_K: Tensor
    """With dropout switched off."""
    layers: dict[str, float]
    """Share that each layer drops."""


@dataclass
class Explanation:
    """All that was found out about a network. Parts that were not asked for or cannot be are None or empty."""

    subject: Subject
    model_name: str
    data_name: str | None = None
    split: str = "test"
    images: AnyImages | None = None
    labels_known: bool = True
    """Whether the data's classes are the network's; if not, its own answers stand in for them."""
    collected: Collected | None = None
    filters: Filters | None = None
    ablations: list[Ablation] = field(default_factory=list)
    visualised: list[Visualised] = field(default_factory=list)
    explained: list[Explained] = field(default_factory=list)
    sanity: Sanity | None = None
    nearest: Nearest | None = None
    mapped: Mapped | None = None
    dropped: Dropped | None = None
    has_gradients: bool = True
    command: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """What each part took; parts found in the cache take next to nothing."""
