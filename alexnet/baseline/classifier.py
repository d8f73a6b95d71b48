"""From features to a classifier: settings are chosen on the held-out images, then all images are fitted.

Shapes: N images, D features, K classes, M landmarks, E kept eigenvectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.baseline.extract import Table
from alexnet.baseline.linear import Linear, Scaling, calibrate, fit_linear
from alexnet.baseline.recipe import BaselineRecipe, KernelRecipe, LinearRecipe
from alexnet.models.pipelines import NearestNeighbors, RbfKernel, nearest, rbf_kernel

NEIGHBORS = (1, 3, 5, 7, 10, 15, 20, 30)
CS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Tried upwards until two in a row are no better than the best."""
GAMMAS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Times 1 / (mean squared distance of two images), which makes exp(-gamma * d**2) neither all 0 nor all 1."""
_PATIENCE = 2
_GAMMA_IMAGES, _GAMMA_LANDMARKS = 10_000, 1_000  # gamma is chosen on a part: it hardly depends on their number
_QUERIES = 500
_ROWS = 8192
_SMALLEST_EIGENVALUE = 1e-6  # of the largest: below, fp32 kernels hold rounding alone

Tried = Callable[[dict[str, Any], float], None]
"""Called with a setting and its top-1 on the held-out images."""
OnProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the number of steps done and their total, 0 where it is not known."""


@dataclass(frozen=True)
class Fitted:
    """A classifier of features."""

    layers: nn.Sequential
    options: dict[str, Any]
    """What `features.create` needs to build its like."""
    chosen: dict[str, Any]
    """The settings taken."""


@dataclass(frozen=True)
class _Choice:
    linear: Linear
    c: float
    val_top1: float


def fit_classifier(
    recipe: BaselineRecipe, table: Table, generator: torch.Generator, tried: Tried, on_progress: OnProgress
) -> Fitted:
    """Choose the settings of the recipe's classifier, and fit it.

    Where the recipe leaves the test split closed, the held-out images are not fitted, as the result is measured on
    them.

    Args:
        recipe: what to fit.
        table: features and labels.
        generator: draws landmarks.
        tried: called with each setting.
        on_progress: called as fitting proceeds.
    """
    if isinstance(recipe, KernelRecipe):
        return _fit_kernel(recipe, table, generator, tried, on_progress)
    if isinstance(recipe, LinearRecipe):
        choice = _choose_c(recipe, table, tried, on_progress)
        linear = _refit(recipe, table, choice, on_progress)
        return Fitted(nn.Sequential(_layer(linear)), {}, {"c": choice.c})
    return _fit_neighbors(recipe, table, tried, on_progress)


def _fit_neighbors(recipe: BaselineRecipe, table: Table, tried: Tried, on_progress: OnProgress) -> Fitted:
    (x_ND, labels_N), (x_VD, labels_V) = table.train, table.val
    counts = [count for count in NEIGHBORS if count <= len(x_ND)]
    near = []
    for start in range(0, len(x_VD), _QUERIES):
        near.append(nearest(x_VD[start : start + _QUERIES], x_ND, counts[-1]))
        on_progress("measuring distances", min(start + _QUERIES, len(x_VD)), len(x_VD))
    votes_VK = nn.functional.one_hot(labels_N[torch.cat(near)], table.num_classes).cumsum(1)
    top1 = {count: _share(votes_VK[:, count - 1].argmax(1) == labels_V) for count in counts}
    for count in counts:
        tried({"neighbors": count}, top1[count])
    neighbors = max(counts, key=top1.__getitem__)
    kept_RD, labels_R = (table.x_ND, table.labels_N) if recipe.open_test else table.train
    layer = NearestNeighbors(len(kept_RD), kept_RD.shape[1], table.num_classes, neighbors)
    layer.kept_RD, layer.labels_R = kept_RD.clone(), labels_R.clone()
    return Fitted(nn.Sequential(layer), {"kept": len(kept_RD), "neighbors": neighbors}, {"neighbors": neighbors})


def _choose_c(
    recipe: LinearRecipe,
    table: Table,
    tried: Tried,
    on_progress: OnProgress,
    setting: dict[str, Any] | None = None,
) -> _Choice:
    """The best C of `CS`, found by going up, each fit beginning from the last."""
    (x_ND, labels_N), (x_VD, labels_V) = table.train, table.val
    scaling = Scaling.of(x_ND)
    best: _Choice | None = None
    linear: Linear | None = None
    worse = 0
    for c in CS:
        steps = _Steps(f"fitting, c = {c:g}", on_progress)
        linear = fit_linear(
            x_ND, labels_N, table.num_classes, c=c, loss=recipe.loss, scaling=scaling, start=linear, on_step=steps
        )
        top1 = _share(linear(x_VD).argmax(1) == labels_V)
        tried({**(setting or {}), "c": c}, top1)
        if best is None or top1 > best.val_top1:
            best, worse = _Choice(linear, c, top1), 0
        else:
            worse += 1
            if worse == _PATIENCE:
                break
    assert best is not None
    return best


def _refit(recipe: LinearRecipe, table: Table, choice: _Choice, on_progress: OnProgress) -> Linear:
    """The chosen classifier, fitted to the held-out images too and scaled to give probabilities."""
    factor = calibrate(choice.linear(table.val[0]), table.val[1])
    if not recipe.open_test:
        return choice.linear.scaled(factor)
    steps = _Steps("fitting all images", on_progress)
    linear = fit_linear(
        table.x_ND,
        table.labels_N,
        table.num_classes,
        c=choice.c,
        loss=recipe.loss,
        start=choice.linear,
        on_step=steps,
    )
    return linear.scaled(factor)


def _fit_kernel(
    recipe: KernelRecipe, table: Table, generator: torch.Generator, tried: Tried, on_progress: OnProgress
) -> Fitted:
    gamma = _choose_gamma(recipe, table, generator, tried, on_progress)
    landmarks_MD = _draw(table.train[0], recipe.landmarks, generator)
    mixing_ME = nystroem(landmarks_MD, gamma)
    mapped = _mapped(table, landmarks_MD, mixing_ME, gamma, on_progress)
    choice = _choose_c(recipe, mapped, tried, on_progress, {"gamma": gamma})
    linear = _refit(recipe, mapped, choice, on_progress)
    # One matrix product less for each image to come: the mixing becomes part of the weights.
    folded = Linear((linear.weight_KD.double() @ mixing_ME.double().T).float(), linear.bias_K)
    kernel = RbfKernel(len(landmarks_MD), landmarks_MD.shape[1], gamma)
    kernel.landmarks_MD.data = landmarks_MD.clone()
    return Fitted(
        nn.Sequential(kernel, _layer(folded)),
        {"landmarks": len(landmarks_MD), "gamma": gamma},
        {"gamma": gamma, "c": choice.c},
    )


def _choose_gamma(
    recipe: KernelRecipe, table: Table, generator: torch.Generator, tried: Tried, on_progress: OnProgress
) -> float:
    """The gamma of `GAMMAS`, going up, whose best C does best on a part of the images; it stops when it falls."""
    (x_ND, labels_N), (x_VD, labels_V) = table.train, table.val
    part_N = torch.randperm(len(x_ND), generator=generator)[:_GAMMA_IMAGES].to(x_ND.device)
    x_SD = x_ND[part_N]
    part = Table(
        torch.cat([x_SD, x_VD]), torch.cat([labels_N[part_N], labels_V]), len(x_SD), table.num_classes, False
    )
    landmarks_MD = _draw(x_SD, min(recipe.landmarks, _GAMMA_LANDMARKS), generator)
    unit = 1 / mean_squared_distance(x_SD)
    best_gamma, best_top1 = 0.0, -1.0
    for factor in GAMMAS:
        gamma = factor * unit
        mapped = _mapped(part, landmarks_MD, nystroem(landmarks_MD, gamma), gamma, on_progress)
        where = {"gamma": gamma, "images": len(x_SD), "landmarks": len(landmarks_MD)}
        top1 = _choose_c(recipe, mapped, tried, on_progress, where).val_top1
        if top1 < best_top1:
            break
        best_gamma, best_top1 = gamma, top1
    return best_gamma


def mean_squared_distance(x_ND: Tensor) -> float:
    """Of two rows drawn at random: twice the sum of the variances."""
    return 2 * float(x_ND.var(0, correction=0).sum()) or 1.0


def nystroem(landmarks_MD: Tensor, gamma: float) -> Tensor:
    """Matrix [M, E] that turns kernels with the landmarks into features whose products are the kernel.

    `k(x, landmarks) @ matrix` has the products `k(x, l) pinv(k(l, l)) k(l, y)` (Williams and Seeger 2001), exact for
    x and y among the landmarks, near it elsewhere.
    """
    kernel_MM = rbf_kernel(landmarks_MD.double(), landmarks_MD.double(), gamma)
    value_M, axes_MM = torch.linalg.eigh(kernel_MM)
    kept = value_M > _SMALLEST_EIGENVALUE * value_M[-1]
    mixing_ME: Tensor = axes_MM[:, kept] * value_M[kept].rsqrt()
    return mixing_ME.float()


def _mapped(table: Table, landmarks_MD: Tensor, mixing_ME: Tensor, gamma: float, on_progress: OnProgress) -> Table:
    """The table with Nystroem's features in place of the original ones."""
    z_NE = table.x_ND.new_empty(len(table.x_ND), mixing_ME.shape[1])
    for start in range(0, len(z_NE), _ROWS):
        rows = slice(start, start + _ROWS)
        z_NE[rows] = rbf_kernel(table.x_ND[rows], landmarks_MD, gamma) @ mixing_ME
        on_progress("comparing with landmarks", min(start + _ROWS, len(z_NE)), len(z_NE))
    return Table(z_NE, table.labels_N, table.n_train, table.num_classes, False)


def _draw(x_ND: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return x_ND[torch.randperm(len(x_ND), generator=generator)[:count].to(x_ND.device)]


def _layer(linear: Linear) -> nn.Linear:
    layer = nn.Linear(linear.weight_KD.shape[1], len(linear.bias_K), device=linear.bias_K.device)
    layer.weight.data, layer.bias.data = linear.weight_KD, linear.bias_K
    return layer


def _share(right_N: Tensor) -> float:
    return int(right_N.sum()) / len(right_N)


class _Steps:
    """Reports a solver's steps, whose total is not known."""

    def __init__(self, stage: str, on_progress: OnProgress) -> None:
        self._stage, self._on_progress, self._done = stage, on_progress, 0

    def __call__(self) -> None:
        self._done += 1
        self._on_progress(self._stage, self._done, 0)
