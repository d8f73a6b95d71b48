"""Broken files, duplicates and suspected wrong labels in a folder of class folders."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from alexnet import runtime as runtimes
from alexnet import weights
from alexnet.data import Images, duplicates
from alexnet.data.images import cache
from alexnet.data.sources.folder import hash_files, source_of
from alexnet.data.sources.layout import Files, Folder, scan
from alexnet.data.sources.source import BadFile, ImageSpec, OnProgress
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import log_probabilities
from alexnet.models import ConvNet
from alexnet.training.probe import solve

_FOLDS = 5
_PENALTY = 0.1
_TEN_TIMES = math.log(10)


@dataclass(frozen=True)
class Suspect:
    """A photograph that looks like another class than the one it lies in."""

    file: str
    label: str
    suggested: str
    """The likeliest other class."""
    margin: float
    """Log of how many times likelier its own class is than the suggested one; negative: less likely."""

    @property
    def is_likely(self) -> bool:
        """Whether another class fits it at least ten times better."""
        return self.margin < -_TEN_TIMES


@dataclass(frozen=True)
class Findings:
    """What was found; files are relative to the folder."""

    path: Path
    images: int
    bad: tuple[BadFile, ...]
    groups: tuple[tuple[tuple[str, ...], bool], ...]
    """Files that show one picture, and whether they have the same bytes."""
    suspects: tuple[Suspect, ...]
    """All photographs that can be read, the most suspicious first."""

    def likely_wrong(self) -> list[Suspect]:
        """Those that another class fits at least ten times better."""
        return [suspect for suspect in self.suspects if suspect.is_likely]


def find(
    path: str | os.PathLike[str], model: str | os.PathLike[str] = "small", on_progress: OnProgress | None = None
) -> Findings:
    """Look at every photograph in a folder.

    A label is suspected by a linear classifier on the features of `model` that was fitted to the other four fifths of
    the photographs (out-of-fold, Northcutt 2021); duplicates are in the same fifth.

    Args:
        path: folder of class folders, with or without `train/` and `test/`.
        model: a network of ours whose features are used: a run folder, a file, or a name of `weights.shipped`.
        on_progress: called with the number of files read and their total.

    Raises:
        UserError: there is no such folder, or `model` is not a network of ours.
    """
    folder = scan(Path(path).expanduser().resolve())
    files = [file for split in folder.splits.values() for file in split.paths]
    labels = [label for split in folder.splits.values() for label in split.labels]
    groups, bad = duplicates.find(folder.path, files, on_progress)
    named = tuple((tuple(files[i] for i in group.members), group.is_exact) for group in groups)
    broken = {str(Path(each.path).relative_to(folder.path)) for each in bad}
    kept = [i for i, file in enumerate(files) if file not in broken]
    good = Files(tuple(files[i] for i in kept), tuple(labels[i] for i in kept))
    suspects = suspect_labels(folder, good, [members for members, _ in named], model)
    return Findings(folder.path, len(files), tuple(bad) + folder.problems, named, suspects)


def suspect_labels(
    folder: Folder, files: Files, same: Sequence[Sequence[str]], model: str | os.PathLike[str] = "small"
) -> tuple[Suspect, ...]:
    """All of `files`, the most suspicious first.

    Args:
        folder: where they are, and the names of their classes.
        files: photographs that can be read.
        same: files that show one picture.
        model: see `find`.

    Raises:
        UserError: `model` is not a network of ours, or a file cannot be read.
    """
    place = {path: i for i, path in enumerate(files.paths)}
    groups = [tuple(place[path] for path in group if path in place) for group in same]
    labels_N = torch.tensor(files.labels)
    if len(torch.unique(labels_N)) < 2:
        return ()
    features_ND = _features(folder, files, model)
    log_p_NK = out_of_fold(features_ND, labels_N, len(folder.class_names), groups)
    own_N = log_p_NK.gather(1, labels_N[:, None]).flatten()
    best_N, other_N = log_p_NK.scatter(1, labels_N[:, None], -torch.inf).max(1)
    margin_N = own_N - best_N
    return tuple(
        Suspect(
            files.paths[i],
            folder.class_names[files.labels[i]],
            folder.class_names[int(other_N[i])],
            float(margin_N[i]),
        )
        for i in margin_N.argsort(stable=True).tolist()
    )


def out_of_fold(features_ND: Tensor, labels_N: Tensor, classes: int, groups: list[tuple[int, ...]]) -> Tensor:
    """Log-probabilities [N, K] of each image, by a classifier that has seen neither it nor its duplicates."""
    fold_N = torch.empty(len(labels_N), dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    for label in torch.unique(labels_N):
        members = (labels_N == label).nonzero().flatten()
        fold_N[members[torch.randperm(len(members), generator=generator)]] = torch.arange(len(members)) % _FOLDS
    for group in filter(None, groups):
        fold_N[list(group)] = fold_N[group[0]].clone()
    mean_D, std_D = features_ND.mean(0), features_ND.std(0).clamp(min=1e-3)
    scaled_ND = (features_ND - mean_D) / std_D
    log_p_NK = torch.empty(len(labels_N), classes)
    for fold in range(_FOLDS):
        is_out = fold_N == fold
        weight_KD, bias_K = solve(scaled_ND[~is_out], labels_N[~is_out], classes, _PENALTY)
        log_p_NK[is_out] = (scaled_ND[is_out] @ weight_KD.T + bias_K).log_softmax(1)
    return log_p_NK


def _features(folder: Folder, files: Files, model: str | os.PathLike[str]) -> Tensor:
    """What the first and the last dense layer are given, [N, D]."""
    network, card = weights.load(Path(model))
    how = card.preprocessing
    key = f"features {hash_files(folder.path, files.paths)} {_hash_of(network)} {how}"
    key = hashlib.sha256(key.encode()).hexdigest()[:40]
    known = cache.get(key)
    if known is not None:
        return torch.from_numpy(known)
    whole = Folder(folder.path, folder.class_names, {"train": files}, "", 0, (), ())
    images = source_of(whole).read("train", ImageSpec(how.image_px, how.image_px, how.in_channels, fit=how.fit))
    assert isinstance(images, Images)
    if not isinstance(network, ConvNet):
        raise UserError(
            f"{model} is a {card.model}: labels are judged by the features of a network with dense layers"
        )
    dense = [layer for layer in network.classifier if isinstance(layer, nn.Linear)]
    seen: dict[int, list[Tensor]] = {0: [], len(dense) - 1: []}
    hooks = [
        dense[i].register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs[0].float()))
        for i, kept in seen.items()
    ]
    try:
        log_probabilities(network, images, how, runtimes.choose("cpu", "auto"))
    finally:
        for hook in hooks:
            hook.remove()
    features_ND = torch.cat([torch.cat(parts) for parts in seen.values()], dim=1)
    cache.put(key, features_ND.numpy())
    return features_ND


def _hash_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
