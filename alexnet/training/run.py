"""From a recipe and data to a finished run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from alexnet import distributed, lock, models, weights
from alexnet import runtime as runtimes
from alexnet.card import ModelCard
from alexnet.config import HANG_TIMEOUT_S, Recipe
from alexnet.data import DataLike, Dataset, Streaming, source_name, with_train_images
from alexnet.data import load as load_data
from alexnet.distributed import World
from alexnet.errors import UserError
from alexnet.files import reason_of
from alexnet.run_folder import RunFolder, begun_by, check_overwrite, default_path, new_run, write_recipe
from alexnet.runtime import Runtime
from alexnet.training import checkpoint
from alexnet.training.build import build, check_options, class_name
from alexnet.training.describe import describe, describe_rest
from alexnet.training.finish import finish
from alexnet.training.observer import Observer
from alexnet.training.probe import fit_last_layer
from alexnet.training.trainer import Trainer
from alexnet.weights import PretrainedWeights

FileName = str | os.PathLike[str]

_RUN = "a run folder"


def train(
    recipe: Recipe,
    data: DataLike | None = None,
    *,
    model: nn.Module | None = None,
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
        data: a source's name, a folder of class folders, `alexnet.data.from_arrays(...)`, a `Dataset`, or a map-style
            `torch.utils.data.Dataset` of (PIL image or uint8 tensor, int); None: the recipe's own source.
        model: a network of your own, which turns [N, C, H, W] into scores [N, K] and keeps the weights it has; it is
            trained in place. The recipe's `model` is not used then. None: the network that the recipe names.
        root: where the source's files are, where they are not in the default place.
        out: the run folder; None: `runs/<recipe>-<time>` here.
        overwrite: replace an earlier run at `out`.
        stream: read images from disk while training, as `alexnet.data.load` takes it; the result is the same.
        observer: its methods are called as the run proceeds; in rank 0 alone.
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
            if out is not None:
                lock.check_free(out, _RUN)
            check_overwrite(out, overwrite=overwrite)
        return begun

    def begin() -> RunFolder:
        path = Path(out) if out is not None else default_path(recipe)
        held.enter_context(_held(path))
        return new_run(path, recipe, overwrite=overwrite)

    check_options(recipe, model)
    with (
        runtimes.preserved(),
        distributed.connected(world, hang_timeout_s),
        _watched(observer, world) as watching,
        ExitStack() as held,
    ):
        begun = world.from_main(begun_before)
        if begun is not None:
            return _resume(begun, world, watching, data, model)
        runtime = runtimes.start(recipe.device, recipe.precision, recipe.threads, world)
        data = recipe.data if data is None else data
        recipe = replace(recipe, data=source_name(data))
        with world.first_on_host():
            recipe = (
                recipe
                if recipe.pretrained is None
                else replace(recipe, pretrained=weights.find_pretrained(recipe.pretrained))
            )
        pretrained = _read_pretrained(recipe)
        dataset = _load(recipe, data, pretrained, root, watching, stream, world)
        _check_test(recipe, dataset)
        network, card = build(recipe, dataset, pretrained, world, model)
        _fit_head(recipe, dataset, network, card, pretrained, runtime)
        folder = world.from_main(begin)
        trainer = Trainer(recipe, dataset, network, card.preprocessing, runtime, folder, watching)
        fingerprint = _fingerprint(dataset, world)
        if world.is_main:
            described = describe(recipe, dataset, card, root, runtimes.environment(runtime), fingerprint)
            described["data"]["in_memory"] = not isinstance(data, str | os.PathLike)
            write_recipe(folder, described | describe_rest(trainer, card, pretrained))
            folder.write_metrics([])
        if model is not None:
            trainer.save()  # the first weights are the caller's, and no seed makes them again
        return _run(trainer, dataset, network, card)


def resume(
    run: FileName,
    *,
    data: DataLike | None = None,
    model: nn.Module | None = None,
    observer: Observer | None = None,
    hang_timeout_s: float = HANG_TIMEOUT_S,
) -> Path:
    """Continue an interrupted run from its checkpoint; the result is that of a run that was never stopped.

    A finished run is left as it is. In several processes as `train` says; where they are not as many as they were,
    dropout draws other numbers from there on.

    Args:
        run: the run folder.
        data: the images again, for a run on images in memory.
        model: your module again, for a run that trains one; the weights it has do not matter.
        observer: its methods are called as the run proceeds; in rank 0 alone.
        hang_timeout_s: as in `train`.

    Returns:
        The run folder.

    Raises:
        UserError: no such run, nothing to continue from, or the data changed since.
    """
    world = distributed.from_environment()
    with runtimes.preserved(), distributed.connected(world, hang_timeout_s), _watched(observer, world) as watching:
        return _resume(RunFolder(Path(run)), world, watching, data, model)


def _resume(
    folder: RunFolder, world: World, watching: Observer, data: DataLike | None, model: nn.Module | None
) -> Path:
    recipe, values = world.from_main(folder.read_recipe)
    if world.from_main(folder.result.is_file):
        return folder.path
    with ExitStack() as held:
        world.from_main(lambda: held.enter_context(_held(folder.path)))
        if world.is_main:
            folder.remove_parts()
        return _resume_held(folder, recipe, values, world, watching, data, model)


def _resume_held(
    folder: RunFolder,
    recipe: Recipe,
    values: dict[str, Any],
    world: World,
    watching: Observer,
    data: DataLike | None,
    model: nn.Module | None,
) -> Path:
    _check_given(folder, values, data, model)
    runtime = _runtime_of(recipe, values["environment"], world)
    streamed = values["data"]["origin"].get("streamed", False)
    pretrained = _read_pretrained(recipe)
    if pretrained is not None and pretrained.sha256 != (values.get("pretrained") or values["init"])["sha256"]:
        raise UserError(
            f"{pretrained.file} is not the file {folder.path} began with: put that back, or use --overwrite"
        )
    stream: Streaming = "always" if streamed else "never"
    data = recipe.data if data is None else data
    dataset = _load(recipe, data, pretrained, values["data"]["root"], watching, stream, world)
    if _fingerprint(dataset, world) != values["data"]["fingerprint"]:
        raise UserError(
            f"the images of {recipe.data} are not those {folder.path} was trained on: put them back, "
            "or start a new run"
        )
    network, card = build(recipe, dataset, pretrained, world, model)
    state = world.from_main(lambda: checkpoint.load(folder.checkpoint) if folder.has_checkpoint() else None)
    if state is None:
        _fit_head(recipe, dataset, network, card, pretrained, runtime)
    trainer = Trainer(recipe, dataset, network, card.preprocessing, runtime, folder, watching)
    if state is not None:
        _restore(trainer, state)
    elif world.is_main:  # killed within the first epoch: start over
        folder.write_metrics([])
    return _run(trainer, dataset, network, card)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep other processes out of a run folder."""
    with ExitStack() as held:
        try:
            held.enter_context(lock.hold(path, _RUN))
        except OSError as error:
            raise UserError(
                f"cannot create the run folder {path.name} in {path.parent}: {reason_of(error)}: choose another --out"
            ) from error
        yield


def _check_test(recipe: Recipe, dataset: Dataset) -> None:
    """Raise `UserError` where the result is to be measured on a test split that is known to be empty."""
    counts = dataset.origin.get("files")
    if recipe.open_test and isinstance(counts, dict) and counts.get("test", 1) == 0:
        raise UserError(f"{dataset.name} has no test images ({dataset.origin['split']}): add some")


def _restore(trainer: Trainer, state: checkpoint.TrainingState) -> None:
    """Let `trainer` go on from `state`; raises `UserError` where the one does not fit the other."""
    try:
        if state.epoch > trainer.recipe.epochs or state.step > trainer.steps:
            raise ValueError(f"it is of epoch {state.epoch}, step {state.step}")
        trainer.restore(state)
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the checkpoint {trainer.folder.checkpoint} is of another run: {reason}. Put back the run's own, or "
            "start again with --overwrite"
        ) from error


def _check_given(folder: RunFolder, values: dict[str, Any], data: DataLike | None, model: nn.Module | None) -> None:
    """Raise `UserError` unless the caller gives again what no file holds: images in memory, a module."""
    if values["data"].get("in_memory") and data is None:
        raise UserError(
            f"{folder.path} was trained on images in memory: give them again, alexnet.resume(RUN, data=...)"
        )
    own = values.get("module")
    if own is not None and model is None:
        raise UserError(f"{folder.path} trains your own {own}: pass it again, alexnet.resume(RUN, model=module)")
    if model is not None and own != class_name(model):
        raise UserError(f"{folder.path} trains {own or values['recipe']['model']['name']}, not {class_name(model)}")


def _runtime_of(recipe: Recipe, began: dict[str, Any], world: World) -> Runtime:
    """Device, dtype and threads that a run began with; another number of processes chooses its own."""
    if began.get("processes", 1) == world.size == 1:
        return runtimes.start(began["device"], began["precision"], began["threads"])
    kind = began["device"].partition(":")[0]
    return runtimes.start(kind, began["precision"], recipe.threads, world)


def _fingerprint(dataset: Dataset, world: World) -> str:
    """Of the training images, which must be the same on all hosts."""
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


def _run(trainer: Trainer, dataset: Dataset, model: nn.Module, card: ModelCard) -> Path:
    folder, recipe = trainer.folder, trainer.recipe
    trainer.observer.on_start(folder, recipe, dataset, model)
    rows = trainer.run()
    finish(folder, recipe, dataset, model, card, trainer.runtime, rows)
    return folder.path


def _fit_head(
    recipe: Recipe,
    dataset: Dataset,
    model: nn.Module,
    card: ModelCard,
    pretrained: PretrainedWeights | None,
    runtime: Runtime,
) -> None:
    is_alone = recipe.freeze == "body"  # then nothing but the last layer can learn of these images
    if recipe.probe and pretrained is not None and (is_alone or not pretrained.fits_head(dataset.class_names)):
        assert isinstance(model, models.ConvNet)
        runtime.world.at("the linear probe", distributed.LOADING_S)
        mirrored = recipe.augment.flip != "none"
        fit_last_layer(model, dataset.train, card.preprocessing, runtime, mirrored=mirrored)


def _read_pretrained(recipe: Recipe) -> PretrainedWeights | None:
    return None if recipe.pretrained is None else weights.read_pretrained(recipe.pretrained, recipe.model.name)


def _load(
    recipe: Recipe,
    data: DataLike,
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
            data,
            root=root,
            image_px=image_px,
            default_px=models.facts(recipe.model.name).native_px,
            resize_px=resize_px,
            in_channels=in_channels,
            val_fraction=recipe.val_fraction,
            fit=recipe.fit,
            stream=stream,
            on_progress=on_progress,
        )
    return with_train_images(dataset, recipe.train_images, recipe.seed)
