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

from alexnet import distributed, models, weights
from alexnet import runtime as runtimes
from alexnet.config import HANG_TIMEOUT_S, ModelCard, Preprocessing, Recipe, to_dict
from alexnet.data import AnyImages, Dataset, Streaming, channel_statistics, with_train_images
from alexnet.data import load as load_data
from alexnet.data.loading.plan import seed_for
from alexnet.data.transforms.augment import Normalizer
from alexnet.distributed import World
from alexnet.errors import UserError
from alexnet.run_folder import RunFolder, begun_by, check_overwrite, new_run, write_recipe
from alexnet.runtime import Runtime
from alexnet.training import checkpoint
from alexnet.training.finish import finish
from alexnet.training.observer import Observer
from alexnet.training.trainer import Trainer
from alexnet.weights import PretrainedWeights

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
    hang_timeout_s: float = HANG_TIMEOUT_S,
) -> Path:
    """Train a network and write its run folder.

    In a process that torchrun started, train together with the others: each takes its share of every batch, rank 0
    writes. Processes that torchrun starts again continue the run.

    Args:
        recipe: what to do, see `alexnet.recipes`.
        data: a source's name or a folder of class folders; None: the recipe's own source.
        root: where the source's files are, where they are not in the default place.
        out: the run folder; None: `runs/<recipe>-<time>` here.
        overwrite: replace an earlier run at `out`.
        stream: read images from disk while training, as `alexnet.data.load` takes it; the result is the same.
        observer: told of progress; in rank 0 alone.
        hang_timeout_s: with several processes: seconds without a step after which the one that the others wait for
            is named and all end.

    Returns:
        The run folder, with `model.safetensors`, `result.json` and `report.html`.

    Raises:
        UserError: recipe, data and network do not fit together, or training failed; the message says what to do.
        Interrupted: Ctrl-C or SIGTERM; `resume` continues.
        PeerLostError: another process ended.
    """
    world = distributed.from_environment()

    def begun_before() -> RunFolder | None:
        begun = begun_by(world.launch, out, recipe) if world.is_restarted else None
        if begun is None:
            check_overwrite(out, overwrite=overwrite)
        return begun

    with distributed.connected(world, hang_timeout_s), _watched(observer, world) as watching:
        begun = world.from_main(begun_before)
        if begun is not None:
            return _resume(begun, world, watching)
        runtime = runtimes.start(recipe.device, recipe.precision, recipe.threads, world)
        recipe = replace(recipe, data=_absolute(data or recipe.data))
        with world.first_on_host():
            recipe = (
                recipe
                if recipe.pretrained is None
                else replace(recipe, pretrained=weights.find_pretrained(recipe.pretrained))
            )
        pretrained = _read_pretrained(recipe)
        dataset = _load(recipe, pretrained, root, watching, stream, world)
        model, card = _build(recipe, dataset, pretrained, world)
        folder = world.from_main(lambda: new_run(out, recipe, overwrite=overwrite))
        trainer = Trainer(recipe, dataset, model, card.preprocessing, runtime, folder, watching)
        fingerprint = _fingerprint(dataset, world)
        if world.is_main:
            described = _describe(recipe, dataset, card, root, runtimes.environment(runtime), fingerprint)
            write_recipe(folder, described | _describe_rest(trainer, pretrained))
            folder.write_metrics([])
        return _run(trainer, dataset, model, card)


def resume(run: FileName, *, observer: Observer | None = None, hang_timeout_s: float = HANG_TIMEOUT_S) -> Path:
    """Continue an interrupted run from its checkpoint; the result is that of a run that was never stopped.

    A finished run is left as it is. In several processes as `train` says; where they are not as many as they were,
    dropout draws other numbers from there on.

    Args:
        run: the run folder.
        observer: told of progress; in rank 0 alone.
        hang_timeout_s: as in `train`.

    Returns:
        The run folder.

    Raises:
        UserError: no such run, nothing to continue from, or the data changed since.
    """
    world = distributed.from_environment()
    with distributed.connected(world, hang_timeout_s), _watched(observer, world) as watching:
        return _resume(RunFolder(Path(run)), world, watching)


def _resume(folder: RunFolder, world: World, watching: Observer) -> Path:
    recipe, values = world.from_main(folder.read_recipe)
    if world.from_main(folder.result.is_file):
        return folder.path
    runtime = _runtime_of(recipe, values["environment"], world)
    streamed = values["data"]["origin"].get("streamed", False)
    pretrained = _read_pretrained(recipe)
    if pretrained is not None and pretrained.sha256 != (values.get("pretrained") or values["init"])["sha256"]:
        raise UserError(f"{pretrained.file} is not the file {folder.path} began with: put that back, or start anew")
    dataset = _load(recipe, pretrained, values["data"]["root"], watching, "always" if streamed else "never", world)
    if _fingerprint(dataset, world) != values["data"]["fingerprint"]:
        raise UserError(
            f"the images of {recipe.data} are not those {folder.path} was trained on: put them back, "
            "or start a new run"
        )
    model, card = _build(recipe, dataset, pretrained, world)
    trainer = Trainer(recipe, dataset, model, card.preprocessing, runtime, folder, watching)
    state = world.from_main(lambda: checkpoint.load(folder.checkpoint) if folder.checkpoint.is_file() else None)
    if state is not None:
        trainer.restore(state)
    elif world.is_main:  # killed within the first epoch: begin again
        folder.write_metrics([])
    return _run(trainer, dataset, model, card)


def _runtime_of(recipe: Recipe, began: dict[str, Any], world: World) -> Runtime:
    """Device, number type and threads that a run began with; in other numbers of processes they take their own."""
    if began.get("processes", 1) == world.size == 1:
        return runtimes.start(began["device"], began["precision"], began["threads"])
    kind = began["device"].partition(":")[0]
    return runtimes.start(kind, began["precision"], recipe.threads, world)


def _fingerprint(dataset: Dataset, world: World) -> str:
    """Of the training images, which all hosts must have alike."""
    world.at("the images' fingerprint", distributed.LOADING_S)
    own = dataset.train.fingerprint() if world.local_rank == 0 else ""
    found = {one for one in world.gather(own) if one}
    if len(found) > 1:
        raise UserError(f"the hosts hold different images of {dataset.name}: give all the same")
    return found.pop()


@contextmanager
def _watched(observer: Observer | None, world: World) -> Iterator[Observer]:
    watching = observer if observer is not None and world.is_main else Observer()
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


def _read_pretrained(recipe: Recipe) -> PretrainedWeights | None:
    return None if recipe.pretrained is None else weights.read_pretrained(recipe.pretrained, recipe.model.name)


def _load(
    recipe: Recipe,
    pretrained: PretrainedWeights | None,
    root: FileName | None,
    observer: Observer,
    stream: Streaming,
    world: World,
) -> Dataset:
    """The images; on each host one rank decodes them first, and the others then find them in the cache."""
    image_px, resize_px, in_channels = recipe.image_px, recipe.resize_px, None
    if pretrained is not None:  # images as the trained layers know them, unless the recipe says otherwise
        known = pretrained.card.preprocessing
        in_channels = known.in_channels
        resize_px = resize_px or (known.resize_px if image_px is None else None)
        image_px = image_px or known.image_px

    def on_progress(done: int, total: int) -> None:
        world.at(f"reading images, {done} of {total}", distributed.LOADING_S)
        observer.on_load(done, total)

    world.at("reading images", distributed.LOADING_S)
    with world.first_on_host():
        dataset = load_data(
            recipe.data,
            root=root,
            image_px=image_px,
            default_px=models.facts(recipe.model.name).native_px,
            resize_px=resize_px,
            in_channels=in_channels,
            val_fraction=recipe.val_fraction,
            stream=stream,
            on_progress=on_progress,
        )
    return with_train_images(dataset, recipe.train_images, recipe.seed)


def _build(
    recipe: Recipe, dataset: Dataset, pretrained: PretrainedWeights | None, world: World
) -> tuple[models.ConvNet, ModelCard]:
    """The network with its first weights, and the card that will travel with them."""
    chosen = {name: getattr(recipe.model, name) for name in _MODEL_OPTIONS}
    options = {
        **({} if pretrained is None else pretrained.card.options),
        "num_classes": len(dataset.class_names),
        "in_channels": dataset.in_channels,
        "image_px": dataset.image_px,
        **{name: value for name, value in chosen.items() if value is not None},
    }
    model = models.create(recipe.model.name, **options)
    _check_fit(recipe, dataset, model)
    _check_shares(recipe, dataset, model, world)
    models.initialize(model, recipe.model.init, torch.Generator().manual_seed(seed_for(recipe.seed, "weights")))
    if pretrained is not None:
        pretrained.fill(model, dataset.class_names)
        mean, std = pretrained.card.preprocessing.mean, pretrained.card.preprocessing.std
    elif recipe.augment.normalize:
        mean, std = world.from_main(lambda: channel_statistics(dataset.train))
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


def _check_shares(recipe: Recipe, dataset: Dataset, model: models.ConvNet, world: World) -> None:
    """Raise `UserError` where a rank would have too few images of a batch, or of each part it is computed in."""
    part_size = -(-min(recipe.batch_size, len(dataset.train)) // recipe.accumulate_steps)
    if part_size < world.size:
        part = "a batch" if recipe.accumulate_steps == 1 else "a part of a batch"
        raise UserError(
            f"{world.size} processes cannot share the {part_size} image(s) of {part}: start {part_size} or fewer, or "
            f"set --batch-size to {world.size * recipe.accumulate_steps} or more"
        )
    if part_size < 2 * world.size and models.has_batch_norm(model):
        images = "two images" if world.size == 1 else f"{2 * world.size} images, two for each process,"
        raise UserError(
            f"{recipe.model.name} norms over the images it is given at once, and here each is alone: set "
            f"--batch-size to {2 * world.size * recipe.accumulate_steps} or more, and train on {images} or more"
        )


def _sample(images: AnyImages, preprocessing: Preprocessing, seed: int) -> Tensor:
    """Some training images, as the network is given them: enough to know the statistics of their patches."""
    order_N = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_for(seed, "whiten")))
    normalize = Normalizer(preprocessing, torch.device("cpu"), torch.float32)
    some = images.take(order_N[: max(1, _WHITENING_PIXELS // images.image_px**2)])
    return normalize(next(some.parts(len(some))))


def _describe_rest(trainer: Trainer, pretrained: PretrainedWeights | None) -> dict[str, Any]:
    """What recipe.json says beside `_describe`, of runs that torchrun starts, begin trained, or shift colours."""
    found: dict[str, Any] = {}
    if trainer.world.launch is not None:
        found["launch"] = trainer.world.launch
    if pretrained is not None:
        keeps_head = pretrained.fits_head(trainer.dataset.class_names)
        found["pretrained"] = {**pretrained.to_json(), "last_layer": "kept" if keeps_head else "new"}
    if trainer.colors is not None:
        found["colors"] = trainer.colors.to_json()
    return found


def _describe(
    recipe: Recipe,
    dataset: Dataset,
    card: ModelCard,
    root: FileName | None,
    environment: dict[str, object],
    fingerprint: str,
) -> dict[str, Any]:
    """The values of recipe.json."""
    return {
        "recipe": to_dict(recipe),
        "data": {
            "root": None if root is None else str(Path(root).resolve()),
            "class_names": list(dataset.class_names),
            "n_train": len(dataset.train),
            "n_val": 0 if dataset.val is None else len(dataset.val),
            "fingerprint": fingerprint,
            "origin": dataset.origin,
        },
        "preprocessing": to_dict(card.preprocessing),
        "environment": environment,
    }
