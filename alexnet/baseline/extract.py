"""Features of a data set's training images, kept in the user's cache.

Shapes: N images, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet import system
from alexnet.card import Preprocessing
from alexnet.data import AnyImages, Dataset
from alexnet.data.images import cache
from alexnet.data.transforms.augment import Normalizer
from alexnet.errors import UserError

_VERSION = 1  # of the features' definitions: raise it when their values change
_BATCH_PIXELS = 500 * 32 * 32


@dataclass(frozen=True)
class Table:
    """Features of the images to fit, then of those held out."""

    x_ND: Tensor
    """fp32 or uint8, on the device."""
    labels_N: Tensor
    """int64, on the device."""
    n_train: int
    num_classes: int
    from_cache: bool

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """Features and labels of the images to fit."""
        return self.x_ND[: self.n_train], self.labels_N[: self.n_train]

    @property
    def val(self) -> tuple[Tensor, Tensor]:
        """Features and labels of the images held out."""
        return self.x_ND[self.n_train :], self.labels_N[self.n_train :]


def extract(
    features: nn.Module,
    dataset: Dataset,
    preprocessing: Preprocessing,
    device: torch.device,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Table:
    """The features of all training and held-out images; those found in the cache are not computed.

    Args:
        features: module from pixels in 0..1, [N, C, H, W], to [N, D], on the device.
        dataset: data with a validation split; the test split is not opened.
        preprocessing: how pixels become the input of `features`.
        device: where features are computed and kept.
        on_batch: called with the number of images done and their total.

    Raises:
        UserError: the features would not fit into the memory that is free.
    """
    assert dataset.val is not None
    splits: tuple[AnyImages, AnyImages] = (dataset.train, dataset.val)
    key = _key(features, splits)
    stored = cache.get(key)
    if stored is None:
        x_ND = _compute(features, splits, preprocessing, device, on_batch)
        cache.put(key, x_ND.cpu().numpy())
    else:
        x_ND = torch.from_numpy(stored).to(device)
    return Table(
        x_ND=x_ND,
        labels_N=torch.cat([images.labels_N for images in splits]).to(device),
        n_train=len(dataset.train),
        num_classes=len(dataset.class_names),
        from_cache=stored is not None,
    )


def _compute(
    features: nn.Module,
    splits: tuple[AnyImages, ...],
    preprocessing: Preprocessing,
    device: torch.device,
    on_batch: Callable[[int, int], None],
) -> Tensor:
    normalize = Normalizer(preprocessing, device, torch.float32)
    batch_size = max(1, _BATCH_PIXELS // preprocessing.image_px**2)
    total = sum(map(len, splits))
    x_ND: Tensor | None = None
    done = 0
    for images in splits:
        for pixels_NHWC in images.parts(batch_size):
            part_ND = features(normalize(pixels_NHWC.to(device)))
            if x_ND is None:  # made once, as large as it will be: features can fill half the memory
                _check_memory(total * part_ND[0].nbytes, total)
                x_ND = part_ND.new_empty(total, part_ND.shape[1])
            x_ND[done : done + len(part_ND)] = part_ND
            done += len(part_ND)
            on_batch(done, total)
    assert x_ND is not None
    return x_ND


def _check_memory(wanted_bytes: int, images: int) -> None:
    free_bytes = system.available_bytes()
    if free_bytes is not None and wanted_bytes > free_bytes:
        raise UserError(
            f"the features of {images:,} images take {wanted_bytes / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB of "
            "memory are free: set --words lower where there are words, or use fewer images"
        )


def _key(features: nn.Module, splits: tuple[AnyImages, ...]) -> str:
    """Name of what the cache keeps: it changes with the images, the features, and a dictionary's numbers."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((_VERSION, torch.__version__, features, [images.fingerprint() for images in splits])).encode())
    digest.update(repr([(module.__class__.__name__, _settings(module)) for module in features.modules()]).encode())
    for name, tensor in features.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return f"features-{digest.hexdigest()}"


def _settings(module: nn.Module) -> list[tuple[str, object]]:
    return sorted((name, value) for name, value in vars(module).items() if isinstance(value, int | bool))
