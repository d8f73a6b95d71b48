"""Work that was done before, kept beside the page: one `.safetensors` file a step, with a checksum."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexnet.files import atomic_write

FORMAT = 1
"""Raise it when what is kept changes its meaning."""

_log = logging.getLogger(__name__)


class Cache:
    """Tensors of finished steps, by name.

    Args:
        folder: where the files are; made when the first is written. None: nothing is kept.
        key: what the tensors depend on: network, images, settings. Files of another key are not read.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder, self._key = folder, f"{FORMAT}:{key}"

    def load(self, step: str) -> dict[str, Tensor] | None:
        """What `step` left; None where it was not done, was done for another key, or its file is damaged."""
        file = self._file(step)
        if file is None or not file.is_file():
            return None
        try:
            with safe_open(file, "pt") as opened:
                metadata = opened.metadata() or {}
                if metadata.get("key") != self._key:
                    return None
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, ValueError) as error:
            _log.warning("%s is damaged and is made anew: %s", file, error)
            return None
        if metadata.get("sha256") != checksum(tensors):
            _log.warning("%s is damaged and is made anew: its checksum does not fit", file)
            return None
        return tensors

    def save(self, step: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep what `step` made."""
        file = self._file(step)
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with atomic_write(file) as part:
            save_file(plain, part, {"key": self._key, "sha256": checksum(plain)})

    def _file(self, step: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{step.replace('/', '-')}.safetensors"


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, dtypes and values of tensors on any device."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
