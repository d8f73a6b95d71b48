"""A network that scores batches: from the bytes of images to answers, apart from queues and HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alexnet.card import Calibration, Preprocessing
from alexnet.data.images.decode import BadImageError, decode_into, fit_image, image_size
from alexnet.data.transforms.augment import Normalizer
from alexnet.evaluation.calibrate import NONE, UNSURE, FeatureMeans, means_of, threshold
from alexnet.evaluation.classifier import Classifier
from alexnet.evaluation.evaluate import last_features
from alexnet.models import ConvNet
from alexnet.serving.problems import Problem

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_SMALL_PX = 64
_HEAD = 512  # bytes in which <svg or <!doctype is looked for, so that the reason can be named


class Backend(Protocol):
    """What computes: uint8 [N, H, W, C] of the network's own square to scores before softmax."""

    def __call__(self, x_NHWC: Pixels) -> tuple[Floats, Floats | None]:
        """Scores [N, K], and what the last layer was given, [N, D], or None where it is not known."""


class TorchBackend:
    """The network itself, on its device."""

    def __init__(self, classifier: Classifier) -> None:
        self._model: nn.Module = classifier.model
        self._runtime = classifier.runtime
        self._how = classifier.card.preprocessing
        self._normalize = Normalizer(self._how, self._runtime.device, self._runtime.dtype)

    def __call__(self, x_NHWC: Pixels) -> tuple[Floats, Floats | None]:
        """See `Backend`."""
        cut = centre_cut(x_NHWC, self._how)
        with torch.inference_mode(), self._runtime.autocast():
            x_NCHW = self._normalize(torch.from_numpy(cut).to(self._runtime.device))
            if not isinstance(self._model, ConvNet):
                return self._model(x_NCHW.contiguous()).float().cpu().numpy(), None
            with last_features(self._model) as seen:
                scores_NK = self._model(x_NCHW)
        return scores_NK.float().cpu().numpy(), seen[0].cpu().numpy()


def centre_cut(x_NHWC: Pixels, how: Preprocessing) -> Pixels:
    """The network's own input out of the square that images are brought to."""
    first = (how.square_px - how.image_px) // 2
    last = first + how.image_px
    return np.ascontiguousarray(x_NHWC[:, first:last, first:last])


@dataclass(frozen=True)
class Scores:
    """What a network says of one image."""

    p_K: Floats
    """Probabilities of all classes; calibrated where the network is."""
    is_far: bool
    """Whether the image lies far from all classes."""


class Engine:
    """A network, what it is called and how its images are read."""

    def __init__(self, name: str, classifier: Classifier, max_pixels: int, backend: Backend | None = None) -> None:
        self.name = name
        self.card = classifier.card
        self.class_names = classifier.class_names
        self._max_pixels = max_pixels
        self._backend = backend or TorchBackend(classifier)
        self._calibration: Calibration | None = self.card.calibration
        judged = self._calibration is not None and self._calibration.limit is not None
        self._means: FeatureMeans | None = means_of(self._calibration) if judged and self._calibration else None
        self._least: dict[float, float] = {}
        side, C = self.card.preprocessing.square_px, self.card.preprocessing.in_channels
        self.input_shape = (side, side, C)
        on_cpu = classifier.runtime.device.type == "cpu"
        is_small = self.card.preprocessing.image_px <= _SMALL_PX
        # Beyond this, activations leave a CPU's cache: an image then takes longer, not less.
        self.fastest_batch = (32 if is_small else 8) if on_cpu else 64

    def read(self, image: bytes | Pixels, name: str) -> Pixels:
        """uint8 of `input_shape` from the bytes of a file, or from pixels [H, W, 3] or [H, W] of any size.

        Raises:
            Problem: 400 it is empty; 413 it has too many pixels; 415 it is no image; 422 it is broken.
        """
        if isinstance(image, np.ndarray):
            side, _, C = self.input_shape
            return fit_image(image, side, C, self.card.preprocessing.fit)
        self._check(image, name)
        pixels = np.empty(self.input_shape, np.uint8)
        try:
            decode_into(pixels, image, name, self.card.preprocessing.fit)
        except BadImageError as error:
            raise Problem(422, "broken-image", f"{name}: {error.reason}") from error
        return pixels

    def _check(self, data: bytes, name: str) -> None:
        if not data:
            raise Problem(400, "empty-image", f"{name} is empty")
        width, height = _size_of(data, name)
        if width * height > self._max_pixels:
            raise Problem(
                413,
                "too-many-pixels",
                f"{name} has {width} x {height} pixels; at most {self._max_pixels / 1e6:g} megapixels are taken: "
                "make it smaller",
            )

    def score(self, images: Sequence[Pixels]) -> list[Scores]:
        """What the network says of a batch; the order is kept."""
        scores_NK, features_ND = self._backend(np.stack(images))
        temperature = self._calibration.temperature if self._calibration else 1.0
        p_NK = torch.from_numpy(scores_NK).log_softmax(1).div_(temperature).softmax(1).numpy()
        far = [False] * len(images)
        limit = self._calibration.limit if self._calibration else None
        if self._means is not None and features_ND is not None and limit is not None:
            far = (self._means.distance(torch.from_numpy(features_ND)) > limit).tolist()
        return [Scores(p_K, is_far) for p_K, is_far in zip(p_NK, far, strict=True)]

    def answer(self, scores: Scores, top: int, accept: float) -> dict[str, Any]:
        """The likeliest `top` classes, best first, and the answer: a class, `unsure` or `none`."""
        p_K = scores.p_K
        best = np.argsort(-p_K, kind="stable")[:top].tolist()
        classes = [{"name": self.class_names[i], "probability": float(p_K[i])} for i in best]
        return {"classes": classes, "answer": self._name(scores, best[0], accept)}

    def _name(self, scores: Scores, best: int, accept: float) -> str:
        if self._calibration is None:
            return self.class_names[best]
        if scores.is_far:
            return NONE
        return UNSURE if float(scores.p_K[best]) < self.least(accept) else self.class_names[best]

    def least(self, accept: float) -> float:
        """The least probability of an answer; 0 where the network was not calibrated."""
        if self._calibration is None:
            return 0.0
        if accept not in self._least:
            if len(self._least) > 100:
                self._least.clear()
            self._least[accept] = threshold(self._calibration, accept)
        return self._least[accept]

    def facts(self, accept: float) -> dict[str, Any]:
        """What `GET /v1/models` says of it; `accept`: share of the answers that are to be right."""
        how, calibration = self.card.preprocessing, self._calibration
        return {
            "name": self.name,
            "network": self.card.model,
            "classes": list(self.class_names),
            "image_px": how.image_px,
            "in_channels": how.in_channels,
            "calibrated_on": calibration.n if calibration else None,
            "least_probability": self.least(accept) if calibration else None,
            "says_none": self._means is not None,
        }


def _size_of(data: bytes, name: str) -> tuple[int, int]:
    """Width and height by the file's head.

    Raises:
        Problem: 415, it is no image; 413, it is beyond what can be decoded; 422, its head is broken.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return image_size(data, name)
    except BadImageError as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            raise Problem(413, "too-many-pixels", f"{name}: {error.reason}") from error
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise Problem(422, "broken-image", f"{name}: {error.reason}") from error
    head = data[:_HEAD].lower()
    kind = "an SVG drawing" if b"<svg" in head else "a page" if b"<html" in head or b"<!doctype" in head else None
    reason = f"is {kind}, not an image of pixels" if kind else "is not an image in a format that Pillow knows"
    raise Problem(415, "not-an-image", f"{name} {reason}; send JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF")
