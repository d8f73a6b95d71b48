"""The native format: `.safetensors` whose metadata holds the `ModelCard`.

Metadata of a safetensors file maps strings to strings. Ours has these keys: `format` = "pt" (what other readers
expect of torch tensors), `alexnet.format_version` and `alexnet.card`, the card as JSON; and a fourth,
`alexnet.checksum`, over the card and over the tensors, which files of earlier versions lack.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from alexnet import checksum
from alexnet.card import ModelCard
from alexnet.errors import UserError
from alexnet.files import atomic_write
from alexnet.models import ConvNet
from alexnet.plain import from_dict, to_dict
from alexnet.weights import shipped
from alexnet.weights._files import detect
from alexnet.weights._fit import empty_net, entries, mismatches

FORMAT_VERSION = 1
_VERSION_KEY = "alexnet.format_version"
_CARD_KEY = "alexnet.card"
_CHECKSUM_KEY = "alexnet.checksum"

CUSTOM = "custom"
"""What a card calls a network that the user built."""


def save(path: str | Path, model: nn.Module, card: ModelCard, *, half: bool = False) -> None:
    """Write the weights of `model` and `card` to `path`, atomically, contiguous, as fp32 (counts as integers).

    Args:
        path: a file ending in `.safetensors`; its folder is made where it is missing.
        model: network whose tensors have the names and shapes that `card` describes, on any device.
        card: what the weights are.
        half: write fp16, half the bytes; weights are fp32 again when they are read.

    Raises:
        UserError: `path` has another suffix, or `model` is not the network that `card` describes.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"weights are written as .safetensors: call the file {path.with_suffix('.safetensors')}")
    tensors = {name: _plain(tensor) for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    if card.model == CUSTOM:
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}  # tied weights are written twice
    else:
        _check_fit(empty_net(card.model, card.options), tensors, "this network", card)
    told = json.dumps(to_dict(card), ensure_ascii=False, allow_nan=False)
    metadata = {
        "format": "pt",
        _VERSION_KEY: str(FORMAT_VERSION),
        _CARD_KEY: told,
        _CHECKSUM_KEY: f"{checksum.of_bytes(told.encode())} {_sum_of(tensors)}",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        mode = part.stat().st_mode
        save_file(tensors, part, metadata)
        part.chmod(mode)  # the library leaves a file that only its owner can read


@overload
def load(path: str | Path) -> tuple[ConvNet, ModelCard]: ...


@overload
def load(path: str | Path, own: nn.Module | None) -> tuple[nn.Module, ModelCard]: ...


def load(path: str | Path, own: nn.Module | None = None) -> tuple[nn.Module, ModelCard]:
    """The network of a `.safetensors` file or a run folder, in eval mode on the CPU, and its card.

    Args:
        path: the file or the run folder.
        own: for weights of a module that the user built: that module, which takes their values; None: one of
            `alexnet.models`.

    Raises:
        UserError: there is no such file, the run is unfinished, the file is damaged or was not written by `save`,
            or its tensors do not fit the network its card names.
    """
    path = weights_file(Path(path))
    metadata, tensors = _read(path, with_tensors=True)
    card = _parse_card(path, metadata)
    if (card.model == CUSTOM) != (own is not None):
        name = card.options.get("class", "a module")
        raise UserError(
            f"{path} holds the weights of your own {name}: build it and pass it, alexnet.load(RUN, model=module)"
            if own is None
            else f"{path} holds the weights of {card.model}, which alexnet builds: drop model"
        )
    if own is not None:
        _check_fit(own, tensors, str(path), card)
        own.load_state_dict(tensors)
        return own.eval(), card
    try:
        model = empty_net(card.model, card.options)
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # options that are not numbers, or negative ones
        raise UserError(f"{path} describes a {card.model} that cannot be built: {error}") from None
    _check_fit(model, tensors, str(path), card)
    model.load_state_dict({name: _plain(tensor) for name, tensor in tensors.items()}, assign=True)
    return model.eval(), card


def read_card(path: str | Path) -> ModelCard:
    """The card of a `.safetensors` file or a run folder, without reading the weights; errors as `load`."""
    path = weights_file(Path(path))
    return _parse_card(path, _read(path, with_tensors=False)[0])


def is_native(path: Path) -> bool:
    """Whether the safetensors file at `path` carries a card, readable or not."""
    return _CARD_KEY in _read(path, with_tensors=False)[0]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of the safetensors file at `path`, ours or not; raises `UserError` for a damaged file."""
    return _read(path, with_tensors=True)[1]


def _plain(tensor: Tensor) -> Tensor:
    """`tensor` on the CPU, in fp32 unless it counts, contiguous (safetensors refuses channels_last)."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype).contiguous()


def weights_file(path: Path) -> Path:
    """The weights of a run folder, a file itself, or those that come with the package under the name `path`.

    Raises:
        UserError: the folder holds none.
    """
    if not path.is_dir():
        return shipped.get(str(path)).file if not path.exists() and str(path) in shipped.names() else path
    file = path / "model.safetensors"
    if file.is_file():
        return file
    if (path / "checkpoint").exists():
        raise UserError(f"{path} holds an unfinished run: finish it with `alexnet train --resume {path}`")
    raise UserError(f"{path} has no model.safetensors: name a run folder or a .safetensors file")


def _read(path: Path, *, with_tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    kind = detect(path)
    if kind in ("mxnet", "torch"):
        raise UserError(
            f"{path} is a file of {'MXNet' if kind == 'mxnet' else 'PyTorch'}, not .safetensors:\n"
            f"convert it first with `alexnet convert {path} NEW.safetensors --model NAME --classes FILE`"
        )
    if kind is None:
        raise UserError(f"{path} is not a .safetensors file, or it is damaged")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Cloned, as a tensor of safe_open is a view of the file, which may be replaced while the net lives.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is truncated or damaged: copy or make it again\n({error})") from None
    _check_sums(path, metadata, tensors if with_tensors else None)
    return metadata, tensors


def _sum_of(tensors: dict[str, Tensor]) -> str:
    # As bytes, for numpy has no bfloat16.
    return checksum.of_arrays(
        {
            f"{name} {tensor.dtype} {list(tensor.shape)}": tensor.reshape(-1).view(torch.uint8).numpy()
            for name, tensor in tensors.items()
        }
    )


def _check_sums(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor] | None) -> None:
    """Raise `UserError` unless the card, and the tensors where they were read, are those that were written."""
    if _CHECKSUM_KEY not in metadata:
        return
    of_card, _, of_tensors = metadata[_CHECKSUM_KEY].partition(" ")
    sound = checksum.of_bytes(metadata.get(_CARD_KEY, "").encode()) == of_card
    if not sound or (tensors is not None and _sum_of(tensors) != of_tensors):
        what = "weights" if sound else "class names and settings"
        raise UserError(f"{path} is damaged: its {what} differ from what was written; copy or make it again")


def _parse_card(path: Path, metadata: dict[str, str]) -> ModelCard:
    if _CARD_KEY not in metadata:
        raise UserError(
            f"{path} does not say which network it is for:\n"
            f"add that with `alexnet convert {path} NEW.safetensors --model NAME --classes FILE`"
        )
    version = metadata.get(_VERSION_KEY)
    if version != str(FORMAT_VERSION):
        raise UserError(
            f"{path} has format version {version}, this program reads {FORMAT_VERSION}: use the alexnet that wrote it"
        )
    try:
        return from_dict(ModelCard, json.loads(metadata[_CARD_KEY]))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (TypeError, ValueError, AttributeError) as error:  # a key is missing, or is not what it should be
        raise UserError(f"{path} has a damaged description of its network ({error}): make it again") from None


def _check_fit(model: nn.Module, tensors: dict[str, Tensor], what: str, card: ModelCard) -> None:
    """Raise `UserError` unless `tensors` have the names and shapes of `model`, and `card` a name for each output."""
    expected = dict(entries(model.state_dict().items()))
    found = dict(entries(tensors.items()))
    both = sorted(expected.keys() | found.keys())
    table = mismatches(
        [(name, expected[name]) if name in expected else None for name in both],
        [(name, found[name]) if name in found else None for name in both],
    )
    if table:
        name = card.options.get("class", card.model) if card.model == CUSTOM else card.model
        raise UserError(f"{what} is not a {name} with {card.options}:\n{table}")
    outputs = card.options.get("num_classes", len(card.class_names))
    if len(card.class_names) != outputs:
        raise UserError(f"{what} has {outputs} outputs and {len(card.class_names)} class names: they must agree")
