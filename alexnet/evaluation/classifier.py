"""A trained network ready to look at pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet import runtime as runtimes
from alexnet import weights
from alexnet.card import ModelCard
from alexnet.config import CropBorder, Precision
from alexnet.data import AnyImages, DataLike, Images, Streaming, decode_image, fit_image, load_split
from alexnet.data.dataset import SplitName
from alexnet.errors import UserError
from alexnet.evaluation.calibrate import DEFAULT_ACCEPT, answers, score, with_temperature
from alexnet.evaluation.evaluate import align_labels, log_probabilities, summarize
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.views import Views, check_views, crops_larger_images
from alexnet.models import ConvNet
from alexnet.runtime import Runtime
from alexnet.text import html_table

_FILES_AT_ONCE = 64
_ROOM_FOR_CROPS = 8 / 7  # images of 256 px for views of 224 (Krizhevsky 2012, 4.1)

FileName = str | os.PathLike[str]
Image = FileName | NDArray[np.uint8] | Tensor | PIL.Image.Image
"""A file, uint8 pixels [H, W, 3] or [H, W], a uint8 tensor [C, H, W], or a picture of Pillow."""


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image, best first."""

    file: str | None
    """The image's path; None for pixels."""
    classes: tuple[tuple[str, float], ...]
    """Names and probabilities, 0..1; calibrated where the network's weights carry a calibration."""
    answer: str
    """The likeliest class; `unsure` where its probability is too low; `none` where the image lies far from all
    classes."""

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[0][0]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        classes = [{"name": name, "probability": p} for name, p in self.classes]
        return {"file": self.file, "classes": classes, "answer": self.answer}

    def _repr_html_(self) -> str:
        """A table for notebooks: the answer, and the likeliest classes."""
        rows = [(name, f"{p:.4f}") for name, p in self.classes]
        return html_table(("class", "probability"), rows, title=f"answer: {self.answer}")


@dataclass(frozen=True)
class Failure:
    """A file that could not be looked at."""

    file: str
    reason: str


class Classifier:
    """A network, what its outputs are called and how its input is made; see `load`."""

    def __init__(self, model: nn.Module, card: ModelCard, runtime: Runtime) -> None:
        laid_out = model.to(memory_format=torch.channels_last) if isinstance(model, ConvNet) else model
        self.model = laid_out.to(runtime.device).eval()
        self.card = card
        self.runtime = runtime

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each output."""
        return self.card.class_names

    @overload
    def predict(self, images: Image, top: int = 5, *, accept: float = ...) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, images: Sequence[Image], top: int = 5, *, accept: float = ...) -> list[Prediction]: ...

    def predict(
        self, images: Image | Sequence[Image], top: int = 5, *, accept: float = DEFAULT_ACCEPT
    ) -> Prediction | list[Prediction]:
        """Classify images of any size and mode.

        Args:
            images: a file's path, uint8 pixels [H, W, 3] or [H, W], a uint8 tensor [C, H, W] or a picture of Pillow;
                or a sequence of these.
            top: how many classes to name; fewer where the network has fewer.
            accept: share of the given answers that are to be right, by the images held out in training: below the
                probability that takes, the answer is `unsure`. Not used where none were held out.

        Returns:
            A `Prediction`, or a list of them for a sequence.

        Raises:
            UserError: a file is no image that can be read.
        """
        if isinstance(images, str | os.PathLike | PIL.Image.Image) or getattr(images, "ndim", 4) < 4:
            return self._classify([images], top, accept)[0]  # type: ignore[list-item]
        return self._classify(list(images), top, accept)

    def predict_files(
        self, files: Sequence[FileName], top: int = 5, *, accept: float = DEFAULT_ACCEPT
    ) -> Iterator[Prediction | Failure]:
        """Classify files one after the other, in order; a bad one gives a `Failure` and the rest go on."""
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(files), _FILES_AT_ONCE):
                some = files[start : start + _FILES_AT_ONCE]
                pixels = list(pool.map(self._try_to_read, some))
                good = [(file, x) for file, x in zip(some, pixels, strict=True) if not isinstance(x, Failure)]
                names = [str(file) for file, _ in good]
                predictions = iter(self._name_classes(names, [x for _, x in good], top, accept))
                yield from (x if isinstance(x, Failure) else next(predictions) for x in pixels)

    def _try_to_read(self, file: FileName) -> NDArray[np.uint8] | Failure:
        try:
            return self._read(file)
        except UserError as error:
            return Failure(str(file), str(error))

    def _read(self, image: Image) -> NDArray[np.uint8]:
        how = self.card.preprocessing
        if isinstance(image, str | os.PathLike):
            return fit_image(
                decode_image(Path(image), image_px=how.square_px), how.square_px, how.in_channels, how.fit
            )
        return fit_image(_pixels(image), how.square_px, how.in_channels, how.fit)

    def _classify(self, images: list[Image], top: int, accept: float) -> list[Prediction]:
        files = [str(image) if isinstance(image, str | os.PathLike) else None for image in images]
        return self._name_classes(files, [self._read(image) for image in images], top, accept)

    def _name_classes(
        self, files: Sequence[str | None], pixels: list[NDArray[np.uint8]], top: int, accept: float
    ) -> list[Prediction]:
        if top < 1:
            raise UserError(f"top must be 1 or more, not {top}")
        if not 0 <= accept <= 1:
            raise UserError(f"accept must lie in 0..1, not {accept}")
        if not pixels:
            return []
        x_NHWC = torch.from_numpy(np.stack(pixels))
        images = Images(x_NHWC, torch.zeros(len(pixels), dtype=torch.int64))
        calibration = self.card.calibration
        log_p_NK, features_ND = score(self.model, images, self.card.preprocessing, self.runtime)
        if not log_p_NK.isfinite().all():
            raise UserError("the network answers NaN or infinity: its weights are damaged, or its training failed")
        log_p_NK = with_temperature(log_p_NK, calibration)
        p_NT, index_NT = (t.tolist() for t in log_p_NK.exp().topk(min(top, len(self.class_names)), dim=1))
        return [
            Prediction(
                file,
                tuple((self.class_names[i], p) for i, p in zip(index_T, p_T, strict=True)),
                answer if isinstance(answer, str) else self.class_names[answer],
            )
            for file, index_T, p_T, answer in zip(
                files, index_NT, p_NT, answers(log_p_NK, features_ND, calibration, accept), strict=True
            )
        ]

    def evaluate(
        self,
        source: DataLike,
        *,
        root: FileName | None = None,
        split: SplitName = "test",
        views: Views = 1,
        resize_px: int | None = None,
        stream: Streaming = "auto",
    ) -> Evaluation:
        """Metrics over one split of a data set.

        Args:
            source: a source's name, a folder or data in memory, as `alexnet.data.load` takes it.
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
        source: DataLike,
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
            fit=how.fit,
            stream=stream,
        )
        images = align_labels(images, names, self.class_names)
        return log_probabilities(self.model, images, how, self.runtime, views, border_px, border), images


def _pixels(image: NDArray[np.uint8] | Tensor | PIL.Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W] or [H, W, 3] of a picture in memory."""
    if isinstance(image, PIL.Image.Image):
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))
    is_chw = isinstance(image, Tensor) and image.ndim == 3
    pixels = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if pixels.dtype != np.uint8:
        raise UserError(f"an image is {pixels.dtype}, but must be uint8 in 0..255: (255 * image).round() for 0..1")
    return pixels.transpose(1, 2, 0) if is_chw else pixels


def _trained_border(recipe: dict[str, Any]) -> tuple[int | None, CropBorder]:
    """Width (None: there was none) and kind of the border that training crops were cut with."""
    augment = recipe.get("augment", {})
    return augment.get("crop_padding_px") or None, augment.get("crop_border", "black")


def load(
    path: FileName, *, model: nn.Module | None = None, device: str = "auto", precision: Precision = "fp32"
) -> Classifier:
    """Read a trained network from a run folder or a `.safetensors` file, or one that comes with the package.

    The process stays as it is: PyTorch's number of threads and its flags are the caller's.

    Args:
        path: the run folder, the file, or a name such as `small`, see `alexnet models`.
        model: for weights of the user's own module: that module, which takes their values; None: a network of ours.
        device: `auto`, or a device's name.
        precision: compute dtype; fp32 gives the same scores on every device.

    Raises:
        UserError: there are no weights at `path`, or they do not fit the network.
    """
    runtime = runtimes.choose(device, precision)
    network, card = weights.load(Path(path), model)
    return Classifier(network, card, runtime)


def evaluate(
    model: FileName | Classifier,
    data: DataLike,
    *,
    root: FileName | None = None,
    split: SplitName = "test",
    views: Views = 1,
    resize_px: int | None = None,
    stream: Streaming = "auto",
) -> Evaluation:
    """Metrics of a trained network over one split of a data set.

    Args:
        model: a run folder, a `.safetensors` file, or what `load` returned.
        data: a source's name, a folder or data in memory; it and the rest as `Classifier.evaluate` takes them.
        root: see there.
        split: see there.
        views: see there.
        resize_px: see there.
        stream: see there.

    Raises:
        UserError: the weights or the data cannot be read, or do not fit each other.
    """
    classifier = model if isinstance(model, Classifier) else load(model)
    return classifier.evaluate(data, root=root, split=split, views=views, resize_px=resize_px, stream=stream)
