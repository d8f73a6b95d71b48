"""From a recipe and data to a finished run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet import models, weights
from alexnet import runtime as runtimes
from alexnet.config import ModelCard, Preprocessing, Recipe, UserError, to_dict
from alexnet.data import AnyImages, Dataset, Streaming, channel_statistics, with_train_images
from alexnet.data import load as load_data
from alexnet.data.augment import Normalizer
from alexnet.data.loader import seed_for
from alexnet.run_folder import RunFolder, new_run, refuse_to_lose, write_recipe
from alexnet.training import checkpoint
from alexnet.training.finish import finish
from alexnet.training.loop import Observer, Trainer
from alexnet.weights import InitialWeights

FileName = str | os.PathLike[str]
_MODEL_OPTIONS = ("activation", "dropout", "norm", "pool_px", "towers", "variant", "without")
_WHITENING_PIXELS = 2000 * 32 * 32  # 2000 images of 32 px, 40 of 224 px


def train(
    recipe: Recipe,
    data: str | None = None,
    *,
    root: FileName | None = None,
    out: FileName | None = None,
    overwrite: bool = False,
    stream: Streaming = "auto",
    observer: Observer | None = None,
) -> Path:
    """Train a network and write its run folder.

    Args:
        recipe: what to do, see `alexnet.recipes`.
        data: a source's name or a folder of class folders; None: the recipe's own source.
        root: where the source's files are, where they are not in the default place.
        out: the run folder; None: `runs/<recipe>-<time>` here.
        overwrite: replace an earlier run at `out`.
        stream: read images from disk while training, as `alexnet.data.load` takes it; the result is the same.
        observer: told of progress.

    Returns:
        The run folder, with `model.safetensors`, `result.json` and `report.html`.

    Raises:
        UserError: recipe, data and network do not fit together, or training failed; the message says what to do.
        Interrupted: Ctrl-C or SIGTERM; `resume` continues.
    """
    refuse_to_lose(out, overwrite=overwrite)
    runtime = runtimes.start(recipe.device, recipe.precision, recipe.threads)
    recipe = replace(recipe, data=_absolute(data or recipe.data))
    recipe = recipe if recipe.init is None else replace(recipe, init=weights.find_initial(recipe.init))
    with _watched(observer) as watching:
        initial = _read_initial(recipe)
        dataset = _load(recipe, initial, root, watching, stream)
        model, card = _build(recipe, dataset, initial)
        folder = new_run(out, recipe, overwrite=overwrite)
        trainer = Trainer(recipe, dataset, model, card.preprocessing, runtime, folder, watching)
        described = _describe(recipe, dataset, card, root, runtimes.environment(runtime))
        write_recipe(folder, described | _describe_rest(trainer, initial))
        folder.write_metrics([])
        return _run(trainer, dataset, model, card)


def resume(run: FileName, *, observer: Observer | None = None) -> Path:
    """Continue an interrupted run from its checkpoint; the result is that of a run that was never stopped.

    A finished run is left as it is.

    Args:
        run: the run folder.
        observer: told of progress.

    Returns:
        The run folder.

    Raises:
        UserError: no such run, nothing to continue from, or the data changed since.
    """
    folder = RunFolder(Path(run))
    recipe, values = folder.read_recipe()
    if folder.result.is_file():
        return folder.path
    began = values["environment"]
    runtime = runtimes.start(began["device"], began["precision"], began["threads"])
    with _watched(observer) as watching:
        streamed = values["data"]["origin"].get("streamed", False)
        initial = _read_initial(recipe)
        if initial is not None and initial.sha256 != values["init"]["sha256"]:
            raise UserError(f"{initial.file} is not the file {folder.path} began with: put that back, or start anew")
        dataset = _load(recipe, initial, values["data"]["root"], watching, "always" if streamed else "never")
        if dataset.train.fingerprint() != values["data"]["fingerprint"]:
            raise UserError(
                f"the images of {recipe.data} are not those {folder.path} was trained on: put them back, "
                "or start a new run"
            )
        model, card = _build(recipe, dataset, initial)
        trainer = Trainer(recipe, dataset, model, card.preprocessing, runtime, folder, watching)
        if folder.checkpoint.is_file():
            trainer.restore(checkpoint.load(folder.checkpoint))
        else:  # killed within the first epoch: begin again
            folder.write_metrics([])
        return _run(trainer, dataset, model, card)


@contextmanager
def _watched(observer: Observer | None) -> Iterator[Observer]:
    watching = observer or Observer()
    try:
        yield watching
    finally:
        watching.on_end()


def _run(trainer: Trainer, dataset: Dataset, model: models.ConvNet, card: ModelCard) -> Path:
    folder, recipe = trainer.folder, trainer.recipe
    trainer.observer.on_start(folder, recipe, dataset, model)
    rows = trainer.run()
    finish(folder, recipe, dataset, model, card, trainer.runtime, rows)
    return folder.path


def _absolute(source: str) -> str:
    """A folder's full path, so that the run can be continued from anywhere; a source's name as it is."""
    return str(Path(source).resolve()) if Path(source).is_dir() else source


def _read_initial(recipe: Recipe) -> InitialWeights | None:
    return None if recipe.init is None else weights.read_initial(recipe.init, recipe.model.name)


def _load(
    recipe: Recipe, initial: InitialWeights | None, root: FileName | None, observer: Observer, stream: Streaming
) -> Dataset:
    image_px, resize_px, in_channels = recipe.image_px, recipe.resize_px, None
    if initial is not None:  # images as the trained layers know them, unless the recipe says otherwise
        known = initial.card.preprocessing
        in_channels = known.in_channels
        resize_px = resize_px or (known.resize_px if image_px is None else None)
        image_px = image_px or known.image_px
    dataset = load_data(
        recipe.data,
        root=root,
        image_px=image_px,
        default_px=models.facts(recipe.model.name).native_px,
        resize_px=resize_px,
        in_channels=in_channels,
        val_fraction=recipe.val_fraction,
        stream=stream,
        on_progress=observer.on_load,
    )
    return with_train_images(dataset, recipe.train_images, recipe.seed)


def _build(recipe: Recipe, dataset: Dataset, initial: InitialWeights | None) -> tuple[models.ConvNet, ModelCard]:
    """The network with its first weights, and the card that will travel with them."""
    chosen = {name: getattr(recipe.model, name) for name in _MODEL_OPTIONS}
    options = {
        **({} if initial is None else initial.card.options),
        "num_classes": len(dataset.class_names),
        "in_channels": dataset.in_channels,
        "image_px": dataset.image_px,
        **{name: value for name, value in chosen.items() if value is not None},
    }
    model = models.create(recipe.model.name, **options)
    _check_fit(recipe, dataset, model)
    models.initialize(model, recipe.model.init, torch.Generator().manual_seed(seed_for(recipe.seed, "weights")))
    if initial is not None:
        initial.fill(model, dataset.class_names)
        mean, std = initial.card.preprocessing.mean, initial.card.preprocessing.std
    elif recipe.augment.normalize:
        mean, std = channel_statistics(dataset.train)
        std = tuple(max(value, 1 / 255) for value in std)  # a channel that never varies is left as it is
    else:
        mean, std = (0.0,) * dataset.in_channels, (1.0,) * dataset.in_channels
    if recipe.augment.raw_pixels:
        std = (1 / 255,) * dataset.in_channels
    preprocessing = Preprocessing(
        image_px=dataset.image_px,
        in_channels=dataset.in_channels,
        mean=mean,
        std=std,
        resize_px=dataset.train.image_px if dataset.train.image_px > dataset.image_px else None,
    )
    if recipe.model.whiten:
        models.whiten(model, _sample(dataset.train, preprocessing, recipe.seed))
    card = ModelCard(
        model=recipe.model.name,
        options=options,
        class_names=dataset.class_names,
        preprocessing=preprocessing,
        recipe=to_dict(recipe),
    )
    return model, card


def _check_fit(recipe: Recipe, dataset: Dataset, model: models.ConvNet) -> None:
    """Raise `UserError` where training would fail for what recipe, data and network are."""
    px = dataset.image_px
    for side in sorted(set(recipe.train_px or ()) - {px}):
        if side > px:
            raise UserError(f"train_px must lie in 1..{px}, the images' side, but holds {side}")
        if not models.takes_images(model, dataset.in_channels, side):
            raise UserError(
                f"{recipe.model.name} made for images of {px} px cannot be given images of {side} px: "
                "drop --train-px, or take a network for any side, as cifar_alexnet is from 9 px on"
            )
    part_size = -(-min(recipe.batch_size, len(dataset.train)) // recipe.accumulate_steps)
    if part_size == 1 and models.has_batch_norm(model):
        raise UserError(
            f"{recipe.model.name} norms over the images it is given at once, and here each is alone: "
            f"set --batch-size to {2 * recipe.accumulate_steps} or more, and train on two images or more"
        )


def _sample(images: AnyImages, preprocessing: Preprocessing, seed: int) -> Tensor:
    """Some training images, as the network is given them: enough to know the statistics of their patches."""
    order_N = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_for(seed, "whiten")))
    normalize = Normalizer(preprocessing, torch.device("cpu"), torch.float32)
    some = images.take(order_N[: max(1, _WHITENING_PIXELS // images.image_px**2)])
    return normalize(next(some.parts(len(some))))


def _describe_rest(trainer: Trainer, initial: InitialWeights | None) -> dict[str, Any]:
    """What recipe.json says beside `_describe`, of runs that begin with trained weights or shift colours."""
    found: dict[str, Any] = {}
    if initial is not None:
        keeps_head = initial.fits_head(trainer.dataset.class_names)
        found["init"] = {**initial.to_json(), "last_layer": "kept" if keeps_head else "new"}
    if trainer.colors is not None:
        found["colors"] = trainer.colors.to_json()
    return found


def _describe(
    recipe: Recipe,
    dataset: Dataset,
    card: ModelCard,
    root: FileName | None,
    environment: dict[str, object],
) -> dict[str, Any]:
    """The values of recipe.json."""
    return {
        "recipe": to_dict(recipe),
        "data": {
            "root": None if root is None else str(Path(root).resolve()),
            "class_names": list(dataset.class_names),
            "n_train": len(dataset.train),
            "n_val": 0 if dataset.val is None else len(dataset.val),
            "fingerprint": dataset.train.fingerprint(),
            "origin": dataset.origin,
        },
        "preprocessing": to_dict(card.preprocessing),
        "environment": environment,
    }
