"""Trained weights that another training begins with: where they are, and what of them fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alexnet import models
from alexnet.card import ModelCard
from alexnet.errors import UserError
from alexnet.files import socket_timeout
from alexnet.models import ConvNet
from alexnet.weights import native, shipped
from alexnet.weights._files import detect, sha256_of
from alexnet.weights._fit import entries, mismatches
from alexnet.weights.convert import convert

_TORCHVISION = "torchvision:"


@dataclass(frozen=True)
class _Published:
    """Weights that torchvision publishes."""

    model: str
    url: str
    sha256_begins: str
    resize_px: int


# torchvision 0.29, models/alexnet.py: AlexNet_Weights.IMAGENET1K_V1, evaluated at 256 px cut to 224.
_PUBLISHED = {
    "IMAGENET1K_V1": _Published(
        "alexnet_owt", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79", 256
    )
}


@dataclass(frozen=True)
class PretrainedWeights:
    """A trained network to begin with."""

    model: ConvNet
    """On the CPU."""
    card: ModelCard
    file: Path
    sha256: str
    has_names: bool
    """Whether the card's class names are its own; otherwise they are numbers."""

    def fits_head(self, class_names: Sequence[str]) -> bool:
        """Whether the last layer answers for these classes: the same names, or as many where it has none."""
        if not self.has_names:
            return len(self.card.class_names) == len(class_names)
        return tuple(class_names) == self.card.class_names

    def fill(self, model: ConvNet, class_names: Sequence[str]) -> bool:
        """Copy the weights into `model`, but for the last layer where the classes are others.

        Args:
            model: a network of the same name; its last layer keeps its weights where the classes are others.
            class_names: name of each of its outputs.

        Returns:
            Whether the last layer was copied too.

        Raises:
            UserError: the layers' shapes differ.
        """
        keeps_head = self.fits_head(class_names)
        source, target = self.model.state_dict(), model.state_dict()
        shared = [name for name in target if keeps_head or not name.startswith(_head(model))]
        table = mismatches(*(entries((name, state[name]) for name in shared) for state in (target, source)))
        if table:
            raise UserError(
                f"the layers of {self.file} have other shapes than the network needs: give it images of the side it "
                f"was trained on, --image-px {self.card.preprocessing.image_px}\n{table}"
            )
        model.load_state_dict({name: source[name] for name in shared}, strict=False)
        return keeps_head

    def to_json(self) -> dict[str, Any]:
        """Where the weights came from, as plain JSON values."""
        return {"file": str(self.file), "sha256": self.sha256}


def find_pretrained(source: str) -> str:
    """`source` such that it means the same from any folder: a file's full path, a name as it is."""
    path = Path(source).expanduser()
    is_name = source.startswith(_TORCHVISION) or (source in shipped.names() and not path.exists())
    return source if is_name else str(path.resolve())


def read_pretrained(source: str, model_name: str) -> PretrainedWeights:
    """The weights `source` for the network `model_name`.

    Args:
        source: `torchvision:IMAGENET1K_V1`, downloaded once to torch's own cache; the name of weights that come with
            the package, see `weights.shipped`; a run folder; or a file: a `.safetensors`, or any that `convert`
            reads.
        model_name: a name of `alexnet.models`.

    Raises:
        UserError: there is no such file and it cannot be downloaded, it is damaged, or it is of another network.
    """
    if source.startswith(_TORCHVISION):
        return _read_published(source, model_name)
    path = native.weights_file(Path(source).expanduser())
    is_ours = detect(path) == "safetensors" and native.is_native(path)
    model, card = native.load(path) if is_ours else convert(path, model_name, None)
    if card.model != model_name:
        known = card.model in models.names()
        how = f"set --model.name {card.model}" if known else "name the weights of a network"
        raise UserError(f"{path} holds the weights of {card.model}, not of {model_name}: {how}")
    return PretrainedWeights(model, card, path, sha256_of(path), has_names=is_ours)


def _read_published(source: str, model_name: str) -> PretrainedWeights:
    name = source.removeprefix(_TORCHVISION)
    if name not in _PUBLISHED:
        known = ", ".join(_TORCHVISION + each for each in _PUBLISHED)
        raise UserError(f"torchvision publishes no AlexNet weights called {name!r}: name {known}")
    published = _PUBLISHED[name]
    if model_name != published.model:
        raise UserError(f"{source} are weights of {published.model}: set --model.name {published.model}")
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
    if not path.is_file():
        _download(published, path)
    digest = sha256_of(path)
    if not digest.startswith(published.sha256_begins):
        raise UserError(f"{path} is not what {published.url} holds (its SHA-256 begins otherwise): remove the file")
    model, card = convert(path, model_name, None, resize_px=published.resize_px)
    return PretrainedWeights(model, card, path, digest, has_names=False)


def _download(published: _Published, path: Path) -> None:
    """Fetch the file; it appears at `path` whole and with its check sum, or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with socket_timeout():
            torch.hub.download_url_to_file(published.url, str(path), published.sha256_begins, progress=False)
    except (OSError, RuntimeError) as error:  # RuntimeError: a wrong check sum
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{published.url} cannot be downloaded ({reason}), and there is no {path}: put the file there, or name "
            "your own copy with --pretrained FILE"
        ) from error


def _head(model: ConvNet) -> str:
    """What the names of the last layer's tensors begin with."""
    last, _ = list(model.classifier.named_children())[-1]
    return f"classifier.{last}."
