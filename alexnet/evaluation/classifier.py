"""A trained network ready to look at pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet import runtime as runtimes
from alexnet import weights
from alexnet.config import CropBorder, ModelCard, Precision
from alexnet.data import AnyImages, Images, Streaming, decode_image, fit_image, load_split
from alexnet.data.dataset import SplitName
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import align_labels, log_probabilities, summarize
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.views import Views, check_views, crops_larger_images
from alexnet.models import ConvNet
from alexnet.runtime import Runtime

_FILES_AT_ONCE = 64
_ROOM_FOR_CROPS = 8 / 7  # images of 256 px for views of 224 (Krizhevsky 2012, 4.1)

FileName = str | os.PathLike[str]
Image = FileName | NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image, best first."""

    file: str | None
    """The image's path; None for pixels."""
    classes: tuple[tuple[str, float], ...]
    """Names and probabilities, 0..1."""

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[0][0]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"file": self.file, "classes": [{"name": name, "p": p} for name, p in self.classes]}


@dataclass(frozen=True)
class Failure:
    """A file that could not be looked at."""

    file: str
    reason: str


class Classifier:
    """A network, what its outputs are called and how its input is made; see `load`."""

    def __init__(self, model: ConvNet, card: ModelCard, runtime: Runtime) -> None:
        self.model = model.to(memory_format=torch.channels_last).to(runtime.device).eval()
        self.card = card
        self.runtime = runtime

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each output."""
        return self.card.class_names

    @overload
    def predict(self, images: Image, top: int = 5) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, images: Sequence[Image], top: int = 5) -> list[Prediction]: ...

    def predict(self, images: Image | Sequence[Image], top: int = 5) -> Prediction | list[Prediction]:
        """Classify images of any size and mode.

        Args:
            images: a file's path or uint8 pixels [H, W, 3] or [H, W]; or a sequence of these.
            top: how many classes to name; fewer where the network has fewer.

        Returns:
            A `Prediction`, or a list of them for a sequence.

        Raises:
            UserError: a file is no image that can be read.
        """
        if isinstance(images, str | os.PathLike | np.ndarray):
            return self._classify([images], top)[0]
        return self._classify(list(images), top)

    def predict_files(self, files: Sequence[FileName], top: int = 5) -> Iterator[Prediction | Failure]:
        """Classify files one after the other, in order; a bad one gives a `Failure` and the rest go on."""
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(files), _FILES_AT_ONCE):
                some = files[start : start + _FILES_AT_ONCE]
                pixels = list(pool.map(self._try_to_read, some))
                good = [(file, x) for file, x in zip(some, pixels, strict=True) if not isinstance(x, Failure)]
                predictions = iter(self._name_classes([str(file) for file, _ in good], [x for _, x in good], top))
                yield from (x if isinstance(x, Failure) else next(predictions) for x in pixels)

    def _try_to_read(self, file: FileName) -> NDArray[np.uint8] | Failure:
        try:
            return self._read(file)
        except UserError as error:
            return Failure(str(file), str(error))

    def _read(self, image: Image) -> NDArray[np.uint8]:
        how = self.card.preprocessing
        pixels = image if isinstance(image, np.ndarray) else decode_image(Path(image), image_px=how.square_px)
        return fit_image(pixels, how.square_px, how.in_channels)

    def _classify(self, images: list[Image], top: int) -> list[Prediction]:
        files = [None if isinstance(image, np.ndarray) else str(image) for image in images]
        return self._name_classes(files, [self._read(image) for image in images], top)

    def _name_classes(
        self, files: Sequence[str | None], pixels: list[NDArray[np.uint8]], top: int
    ) -> list[Prediction]:
        if top < 1:
            raise UserError(f"top must be 1 or more, not {top}")
        if not pixels:
            return []
        x_NHWC = torch.from_numpy(np.stack(pixels))
        images = Images(x_NHWC, torch.zeros(len(pixels), dtype=torch.int64))
        log_p_NK = log_probabilities(self.model, images, self.card.preprocessing, self.runtime)
        p_NT, index_NT = (t.tolist() for t in log_p_NK.exp().topk(min(top, len(self.class_names)), dim=1))
        return [
            Prediction(file, tuple((self.class_names[i], p) for i, p in zip(index_T, p_T, strict=True)))
            for file, index_T, p_T in zip(files, index_NT, p_NT, strict=True)
        ]

    def evaluate(
        self,
        source: str,
        *,
        root: FileName | None = None,
        split: SplitName = "test",
        views: Views = 1,
        resize_px: int | None = None,
        stream: Streaming = "auto",
    ) -> Evaluation:
        """Metrics over one split of a data set.

        Args:
            source: a source's name or a folder, as `alexnet.data.load` takes it.
            root: where the source's files are.
            split: test, val or train.
            views: 1; 2 (and mirrored); 5 (four corners and centre); 10 (these and mirrored); or dense (a grid of 25
                crops, and mirrored). Their probabilities are averaged.
            resize_px: side that images are brought to before views are cut; None: what they were in training, or
                8/7 of the network's side where several places are cut and training cut none. A border that training
                put around the images is put around them here too, where several places are cut.
            stream: read images from disk when they are needed, as `alexnet.data.load` takes it.

        Raises:
            UserError: the data cannot be read, or has classes the network does not know.
        """
        log_p_NK, images = self.score(source, root=root, split=split, views=views, resize_px=resize_px, stream=stream)
        return summarize(log_p_NK, images, self.class_names)

    def score(
        self,
        source: str,
        *,
        root: FileName | None = None,
        split: SplitName = "test",
        views: Views = 1,
        resize_px: int | None = None,
        stream: Streaming = "auto",
    ) -> tuple[Tensor, AnyImages]:
        """Log-probabilities [N, K] over one split, and its images, whose labels count in this network's classes.

        Arguments and errors are those of `evaluate`.
        """
        check_views(views)
        how, recipe = self.card.preprocessing, self.card.recipe or {}
        trained_px, border = _trained_border(recipe)
        if resize_px is None:
            has_room = how.square_px > how.image_px or trained_px is not None
            needs_room = crops_larger_images(views) and not has_room
            resize_px = round(_ROOM_FOR_CROPS * how.image_px) if needs_room else how.square_px
        if resize_px < how.image_px:
            raise UserError(f"resize_px ({resize_px}) must be at least the network's input, {how.image_px}")
        border_px = trained_px if resize_px == how.image_px else None
        images, names = load_split(
            source,
            split,
            root=root,
            image_px=resize_px,
            in_channels=how.in_channels,
            val_fraction=recipe.get("val_fraction", 0.1),
            stream=stream,
        )
        images = align_labels(images, names, self.class_names)
        return log_probabilities(self.model, images, how, self.runtime, views, border_px, border), images


def _trained_border(recipe: dict[str, Any]) -> tuple[int | None, CropBorder]:
    """Width (None: there was none) and kind of the border that training crops were cut with."""
    augment = recipe.get("augment", {})
    return augment.get("crop_padding_px") or None, augment.get("crop_border", "black")


def load(
    path: FileName, *, device: str = "auto", precision: Precision = "fp32", threads: int | None = None
) -> Classifier:
    """Read a trained network from a run folder or a `.safetensors` file.

    Args:
        path: the run folder or the file.
        device: `auto`, or a device's name.
        precision: numbers to compute in; fp32 gives the same figures everywhere.
        threads: threads of the CPU; None: all.

    Raises:
        UserError: there are no weights at `path`, or they do not fit.
    """
    runtime = runtimes.start(device, precision, threads)  # first: it decides how memory is taken
    model, card = weights.load(Path(path))
    return Classifier(model, card, runtime)
