"""From a baseline's recipe and data to a finished run folder."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from alexnet import lock
from alexnet import runtime as runtimes
from alexnet.baseline.classifier import Fitted, fit_classifier
from alexnet.baseline.dictionary import learn_dictionary
from alexnet.baseline.extract import Table, extract
from alexnet.baseline.finish import finish
from alexnet.baseline.recipe import BaselineRecipe, WordsRecipe
from alexnet.card import ModelCard, Preprocessing
from alexnet.data import DataLike, Dataset, source_name, with_train_images
from alexnet.data import load as load_data
from alexnet.data.loading.plan import seed_for
from alexnet.errors import UserError
from alexnet.models import pipelines
from alexnet.plain import to_dict
from alexnet.run_folder import RunFolder, check_overwrite, default_path, new_run, write_recipe
from alexnet.runtime import Runtime

FileName = str | os.PathLike[str]
_DEFAULT_PX = 64  # of photographs: gradients need more of them than 32 px hold


class Observer:
    """Callbacks of a run; override any of them."""

    def on_load(self, done: int, total: int) -> None:
        """So many image files are decoded; not called where they were before."""

    def on_start(self, folder: RunFolder, recipe: BaselineRecipe, dataset: Dataset) -> None:
        """The images are read."""

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Some steps of a stage are done; their total is 0 where it is not known."""

    def on_trial(self, row: dict[str, Any]) -> None:
        """A setting was measured on the held-out images; `row` is its line of metrics.jsonl."""

    def on_end(self) -> None:
        """The run is over, whatever the reason."""


def fit(
    recipe: BaselineRecipe,
    data: DataLike | None = None,
    *,
    root: FileName | None = None,
    out: FileName | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Path:
    """Extract features, fit a classifier to them and write the run folder.

    A run that was stopped is begun again with `overwrite`; its features are taken from the cache.

    Args:
        recipe: what to do, see `alexnet.baseline.names`.
        data: a source's name, a folder of class folders, or data in memory; None: the
            recipe's own source.
        root: where the source's files are, where they are not in the default place.
        out: the run folder; None: `runs/<name>-<time>` here.
        overwrite: replace an earlier run at `out`.
        observer: receives progress callbacks.

    Returns:
        The run folder, with `model.safetensors`, `result.json` and `report.html`.

    Raises:
        UserError: recipe and data do not fit together; the message says what to do.
    """
    check_overwrite(out, overwrite=overwrite)
    with runtimes.preserved():
        return _fit(recipe, recipe.data if data is None else data, root, out, overwrite, observer or Observer())


def _fit(
    recipe: BaselineRecipe,
    data: DataLike,
    root: FileName | None,
    out: FileName | None,
    overwrite: bool,
    watching: Observer,
) -> Path:
    runtime = _start(recipe)
    recipe = replace(recipe, data=source_name(data))
    try:
        dataset = load_data(
            data,
            root=root,
            image_px=recipe.image_px,
            default_px=_DEFAULT_PX,
            val_fraction=recipe.val_fraction,
            on_progress=watching.on_load,
        )
        dataset = with_train_images(dataset, recipe.train_images, recipe.seed)
        if dataset.val is None or len(dataset.class_names) < 2:
            raise UserError(f"{recipe.data} has one class: a classifier needs two or more")
        extractor = _extractor(recipe, dataset).to(runtime.device)
        path = Path(out) if out is not None else default_path(recipe)
        with lock.hold(path, "a run folder"):
            folder = new_run(path, recipe, overwrite=overwrite)
            write_recipe(folder, _describe(recipe, dataset, root, runtimes.environment(runtime)))
            folder.write_metrics([])
            watching.on_start(folder, recipe, dataset)
            with torch.no_grad():
                pipeline, card, facts = _build(recipe, dataset, extractor, runtime, folder, watching)
            finish(folder, recipe, dataset, pipeline, card, runtime, facts)
            return folder.path
    finally:
        watching.on_end()


def _start(recipe: BaselineRecipe) -> Runtime:
    device = "cpu" if recipe.device == "auto" and not torch.cuda.is_available() else recipe.device
    if device == "mps":
        raise UserError("device mps has no fp64, which fitting a baseline needs: use --device cpu")
    return runtimes.start(device, "fp32", recipe.threads)


def _build(
    recipe: BaselineRecipe,
    dataset: Dataset,
    extractor: nn.Module,
    runtime: Runtime,
    folder: RunFolder,
    watching: Observer,
) -> tuple[pipelines.Pipeline, ModelCard, dict[str, Any]]:
    """The pipeline with all its numbers, its card, and the facts of its fit."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()

    def elapsed_s() -> float:
        return round(time.perf_counter() - began_s, 2)

    def tried(setting: dict[str, Any], val_top1: float) -> None:
        row = {**setting, "val_top1": val_top1, "elapsed_s": elapsed_s()}
        folder.append_metrics(row)
        watching.on_trial(row)

    generator = torch.Generator().manual_seed(seed_for(recipe.seed, "baseline"))
    if isinstance(extractor, pipelines.VisualWords | pipelines.KMeansFeatures):
        learn_dictionary(extractor, dataset.train, generator, watching.on_progress)
    ready_s = elapsed_s()
    table = _extract(extractor, dataset, runtime, watching)
    extracted_s = elapsed_s()
    fitted = fit_classifier(recipe, table, generator, tried, watching.on_progress)
    facts = {
        "train_s": elapsed_s(),
        "cpu_s": round(time.process_time() - began_cpu_s, 2),
        "features": table.x_ND.shape[1],
        "images_per_s": None if table.from_cache else round(len(table.x_ND) / max(extracted_s - ready_s, 1e-9), 1),
        "chosen": fitted.chosen,
    }
    return pipelines.Pipeline(nn.Sequential(extractor), fitted.layers), _card(recipe, dataset, fitted), facts


def _extractor(recipe: BaselineRecipe, dataset: Dataset) -> nn.Module:
    words = recipe.words if isinstance(recipe, WordsRecipe) else None
    return pipelines.extractor(recipe.name, dataset.in_channels, dataset.image_px, words)


def _extract(extractor: nn.Module, dataset: Dataset, runtime: Runtime, watching: Observer) -> Table:
    def on_batch(done: int, total: int) -> None:
        watching.on_progress("extracting features", done, total)

    return extract(extractor, dataset, _preprocessing(dataset), runtime.device, on_batch)


def _preprocessing(dataset: Dataset) -> Preprocessing:
    """Pixels in 0..1, no more."""
    C = dataset.in_channels
    return Preprocessing(image_px=dataset.image_px, in_channels=C, mean=(0.0,) * C, std=(1.0,) * C)


def _card(recipe: BaselineRecipe, dataset: Dataset, fitted: Fitted) -> ModelCard:
    words = {"words": recipe.words} if isinstance(recipe, WordsRecipe) else {}
    return ModelCard(
        model=recipe.name,
        options={
            "num_classes": len(dataset.class_names),
            "in_channels": dataset.in_channels,
            "image_px": dataset.image_px,
            **words,
            **fitted.options,
        },
        class_names=dataset.class_names,
        preprocessing=_preprocessing(dataset),
        recipe=to_dict(recipe),
    )


def _describe(
    recipe: BaselineRecipe, dataset: Dataset, root: FileName | None, environment: dict[str, object]
) -> dict[str, Any]:
    """The values of recipe.json."""
    return {
        "kind": "baseline",
        "recipe": to_dict(recipe),
        "data": {
            "root": None if root is None else str(Path(root).resolve()),
            "class_names": list(dataset.class_names),
            "n_train": len(dataset.train),
            "n_val": 0 if dataset.val is None else len(dataset.val),
            "fingerprint": dataset.train.fingerprint(),
            "origin": dataset.origin,
        },
        "preprocessing": to_dict(_preprocessing(dataset)),
        "environment": environment,
    }
