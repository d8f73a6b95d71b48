"""PyTorch's `.pth` files: torchvision's published weights, state dicts and checkpoints that hold one."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch
from torch import Tensor

from alexnet import checksum
from alexnet.errors import UserError


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a state dict on the CPU, by name, in the file's order and dtypes.

    The dict may lie in a checkpoint under `state_dict`, `model` (as torchvision's reference scripts write it),
    `model_state_dict` or `net`, and its names may begin with `module.`, as those of `DataParallel` do. No code in the
    file is run.

    Raises:
        UserError: the file is damaged, or holds something other than a state dict.
    """
    path = Path(path)
    content = _load(path)
    for key in ("state_dict", "model", "model_state_dict", "net"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{path} holds no state dict: save the network with torch.save(net.state_dict(), FILE)")
    names = [str(name) for name in content]
    if all(name.startswith("module.") for name in names):
        names = [name.removeprefix("module.") for name in names]
    return dict(zip(names, content.values(), strict=True))


def _load(path: Path) -> object:
    damage = checksum.damage_of_zip(path) if checksum.is_zip(path) else None
    if damage is not None:
        raise UserError(f"{path} is damaged ({damage}): copy it again")
    try:
        # torchvision's reference scripts keep their arguments beside the weights: a Namespace runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles, which fail below or hold tensors all the same
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle or zip fails in any way; none of them is ours
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} is damaged, or holds more than tensors: {reason}\n"
            "Save the network's state dict alone: torch.save(net.state_dict(), FILE)"
        ) from None
    return content
