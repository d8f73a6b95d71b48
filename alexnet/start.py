"""From a folder of photographs to a trained network and its report, in one call."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alexnet import cleaning, lock, models, recipes, training
from alexnet.cleaning import Suspect
from alexnet.config import OptimizerConfig, Recipe, ScheduleConfig
from alexnet.data import duplicates
from alexnet.data.dataset import SplitName
from alexnet.data.sources.folder import source_of
from alexnet.data.sources.layout import Files, Folder, scan
from alexnet.data.sources.source import BadFile, OnProgress, Source
from alexnet.errors import Interrupted, TrainingFailedError, UserError
from alexnet.evaluation import report
from alexnet.export.explorer import export_explorer
from alexnet.run_folder import RunFolder
from alexnet.runtime import preserved
from alexnet.runtime import start as start_runtime
from alexnet.training import Observer

DEFAULT_MINUTES = 5.0

_VAL_SHARE = 0.125  # of the images that are not for testing: a tenth of all
_UNEVEN = 1.5  # times as many images in the largest class as in the smallest
_FEWEST_EPOCHS = 5
_FEWEST_TO_FINE_TUNE = 3000  # photographs to train on
_MOST_JUDGED = 5000  # photographs whose labels are judged
_MOST_NAMED = 60  # of each kind of finding, in the report
_SHARE_FOR_STEPS = 0.85  # of the time; the rest goes to reading, evaluation and the report


@dataclass(frozen=True)
class Look:
    """What was found in a folder of photographs."""

    folder: Folder
    """The images that can be used, in splits that share no picture."""
    bad: tuple[BadFile, ...]
    """Files that cannot be read; they are left out."""
    groups: tuple[tuple[tuple[str, ...], bool], ...]
    """Files that show one picture, and whether they have the same bytes."""
    moved: tuple[str, ...]
    """Files that changed sides so that no picture is on two."""
    suspects: tuple[Suspect, ...] = ()
    """Those whose label looks wrong, the most suspicious first."""

    def counts(self) -> dict[str, int]:
        """Images of each class, over all splits."""
        found: Counter[int] = Counter()
        for files in self.folder.splits.values():
            found.update(files.labels)
        return {name: found[label] for label, name in enumerate(self.folder.class_names)}

    def leaks(self) -> list[tuple[str, ...]]:
        """Groups whose files lie in two classes: one picture cannot be both."""
        return [files for files, _ in self.groups if len({Path(file).parent for file in files}) > 1]


def look(path: str | os.PathLike[str], on_progress: OnProgress | None = None) -> Look:
    """List the photographs in a folder, find broken files, duplicates and suspected wrong labels, and split them.

    Where the folder has `train/` and `test/` (or `val/`), these stay as they are, and pictures that lie in both are
    only listed. Otherwise a fifth of the images, by the hash of their paths, is for testing and a tenth is held out;
    files that show one picture stay together, on the side of training where they would be apart.

    Args:
        path: a folder of class folders.
        on_progress: called with the number of files read and their total.

    Raises:
        UserError: there is no such folder, or it has not two classes with images; says what to do.
    """
    folder = scan(Path(path).expanduser().resolve())
    if folder.problems:
        raise UserError(f"{folder.problems[0].path}: {folder.problems[0].reason}")
    files = [file for split in folder.splits.values() for file in split.paths]
    groups, bad = duplicates.find(folder.path, files, on_progress)
    broken = {str(Path(each.path).relative_to(folder.path)) for each in bad}
    named = tuple((tuple(files[i] for i in group.members), group.is_exact) for group in groups)
    is_given = any((folder.path / name).is_dir() for name in ("train", "test", "val"))
    splits = {name: _without(split, broken) for name, split in folder.splits.items()}
    moved: tuple[str, ...] = ()
    if not is_given:
        splits, moved = _apart(splits, [group for group, _ in named])
    for label, name in enumerate(folder.class_names):
        if label not in splits["train"].labels:
            raise UserError(
                f"{folder.path}: the class {name} has no image to train on; add some, or remove its folder"
            )
    rule = folder.split_rule if is_given else f"{folder.split_rule}; another tenth is held out; duplicates together"
    folder = replace(folder, splits=splits, split_rule=rule)
    return Look(folder, tuple(bad), named, moved, _suspects(folder, named))


def _suspects(folder: Folder, groups: Sequence[tuple[tuple[str, ...], bool]]) -> tuple[Suspect, ...]:
    """Photographs that another class fits at least ten times better; none of more than can be judged in a minute."""
    paths = tuple(path for files in folder.splits.values() for path in files.paths)
    labels = tuple(label for files in folder.splits.values() for label in files.labels)
    if len(paths) > _MOST_JUDGED:
        return ()
    judged = cleaning.suspect_labels(folder, Files(paths, labels), [files for files, _ in groups])
    return tuple(suspect for suspect in judged if suspect.is_likely)


def _without(files: Files, left_out: set[str]) -> Files:
    kept = [i for i, path in enumerate(files.paths) if path not in left_out]
    return Files(tuple(files.paths[i] for i in kept), tuple(files.labels[i] for i in kept))


def _apart(
    splits: dict[SplitName, Files], groups: Sequence[Sequence[str]]
) -> tuple[dict[SplitName, Files], tuple[str, ...]]:
    """Train, val and test so that the files of a group are on one side; and those that changed theirs for it."""
    labels = {path: label for files in splits.values() for path, label in zip(files.paths, files.labels, strict=True)}
    side: dict[str, SplitName] = {path: name for name, files in splits.items() for path in files.paths}
    in_train = Counter(labels[path] for path, name in side.items() if name == "train")
    for path in sorted(labels):
        share = int.from_bytes(hashlib.sha256(b"val/" + os.fsencode(path)).digest()[:8], "big") / 2**64
        if side[path] == "train" and share < _VAL_SHARE and in_train[labels[path]] > 2:
            side[path] = "val"
            in_train[labels[path]] -= 1
    moved = []
    for group in groups:
        known = [path for path in group if path in side]
        if len({side[path] for path in known}) > 1:
            moved += [path for path in known if side[path] != "train"]
            side.update(dict.fromkeys(known, "train"))

    def files(name: SplitName) -> Files:
        paths = sorted((path for path in labels if side[path] == name), key=lambda path: (labels[path], path))
        return Files(tuple(paths), tuple(labels[path] for path in paths))

    order: tuple[SplitName, ...] = ("train", "val", "test")
    return {name: files(name) for name in order if name != "val" or "val" in side.values()}, tuple(moved)


@dataclass(frozen=True)
class Plan:
    """How the network is going to be trained."""

    recipe: Recipe
    seconds: float
    """What the training is expected to take."""
    balanced: bool
    """Whether classes of uneven size are shown equally often."""

    @property
    def fine_tunes(self) -> bool:
        """Whether all layers learn; otherwise the last one alone, as a linear probe."""
        return self.recipe.freeze == "none"


def plan(found: Look, minutes: float = DEFAULT_MINUTES, pretrained: str = "small", device: str = "auto") -> Plan:
    """A recipe that takes about so many minutes on this machine, measured on a few steps.

    Of few photographs only the last layer learns: fine-tuning all layers takes longer and has not been more accurate.

    Args:
        found: the photographs.
        minutes: what training may take.
        pretrained: what it begins with: a name of `weights.shipped`, or the run folder of an earlier start.
        device: as in a recipe.

    Raises:
        UserError: `minutes` is not positive.
    """
    if not minutes > 0:
        raise UserError(f"minutes must be positive, not {minutes}")
    counts = Counter(found.folder.splits["train"].labels)
    base = replace(recipes.photos(), device=device)
    n = counts.total()
    batch_size = min(base.batch_size, max(2, n // 4))
    images_per_s = _speed(base, len(found.folder.class_names), batch_size)
    epochs = int(60 * minutes * _SHARE_FOR_STEPS * images_per_s / n)
    if n < _FEWEST_TO_FINE_TUNE:
        base = _probe_alone(base)
    balanced = max(counts.values()) > _UNEVEN * min(counts.values())
    recipe = replace(
        base,
        data=str(found.folder.path),
        pretrained=pretrained,
        epochs=min(base.epochs, max(_FEWEST_EPOCHS, epochs)),
        batch_size=batch_size,
        balance="sampling" if balanced else "none",
        # Of splits that were given a tenth is held out here, where the classes are large enough.
        val_fraction=base.val_fraction if "val" in found.folder.splits or min(counts.values()) >= 10 else 0.0,
    )
    return Plan(recipe, recipe.epochs * n / images_per_s, balanced)


def _probe_alone(recipe: Recipe) -> Recipe:
    """The same with all layers frozen but the last, which keeps what the probe fitted."""
    return replace(
        recipe,
        freeze="body",
        epochs=1,
        model=replace(recipe.model, dropout=0.0),
        optimizer=OptimizerConfig(name="sgd", lr=1e-5, weight_decay=0.0),
        schedule=ScheduleConfig(name="constant"),
        label_smoothing=0.0,
        ema_decay=None,
    )


def _speed(recipe: Recipe, classes: int, batch_size: int) -> float:
    """Images a second of training steps, from the second and third of three."""
    with preserved():
        runtime = start_runtime(recipe.device, recipe.precision, recipe.threads)
        model = models.create(recipe.model.name, num_classes=classes).to(runtime.device)
        px = models.facts(recipe.model.name).native_px
        x_NCHW = torch.zeros(batch_size, 3, px, px, device=runtime.device).contiguous(
            memory_format=torch.channels_last
        )
        for step in range(3):
            if step == 1:
                began = time.monotonic()
            with runtime.autocast():
                loss = model(x_NCHW).float().sum()
            loss.backward()
            loss.item()
    return 2 * batch_size / max(time.monotonic() - began, 1e-6)


def default_out(path: str | os.PathLike[str]) -> Path:
    """Where the run of a folder goes: `runs/<its name>`."""
    return Path("runs") / Path(path).expanduser().resolve().name


def begun(out: Path) -> str | None:
    """`finished` or `interrupted`: what `out` holds of an earlier start; None: nothing.

    Raises:
        UserError: it holds something else.
    """
    folder = RunFolder(out)
    if not out.exists() or all(below.name == lock.NAME for below in out.iterdir()):
        return None
    if not folder.recipe.is_file():
        raise UserError(f"{out} is not empty and no run folder: name another with --out")
    return "finished" if folder.result.is_file() else "interrupted"


def _write_explorer(run: Path, source: Source, title: str) -> None:
    """The page of the network at work, beside the report, which links to it."""
    page = run / report.EXPLORER
    if not page.is_file():
        export_explorer(run, page, data=source, title=title)
    report.add_links(run / RunFolder(run).report.name)


def _train(recipe: Recipe, source: Source, part: Path, observer: Observer | None, *, goes_on: bool) -> None:
    """Continue what `part` holds of a run on the same photographs where it `goes_on`; otherwise begin."""
    if goes_on and RunFolder(part).has_checkpoint():
        try:
            training.resume(part, data=source, observer=observer)
            return
        except TrainingFailedError:
            raise
        except UserError:  # other photographs than then
            pass
    training.train(recipe, source, out=part, overwrite=True, observer=observer)


def is_known(found: Look, out: Path) -> bool:
    """Whether the finished run `out` was trained on just these files, as far as names and sizes tell."""
    return bool(_listing(found) == RunFolder(out).read_values()["data"]["origin"].get("listing"))


def findings(found: Look) -> dict[str, Any]:
    """What to look at in the folder, as plain JSON values; the report shows it."""
    return {
        "unreadable": [{"path": each.path, "reason": each.reason} for each in found.bad[:_MOST_NAMED]],
        "duplicates": [{"files": list(files), "exact": exact} for files, exact in found.groups[:_MOST_NAMED]],
        "suspects": [
            {"file": each.file, "label": each.label, "suggested": each.suggested}
            for each in found.suspects[:_MOST_NAMED]
        ],
    }


def _listing(found: Look) -> str:
    """Hash of the names, classes, splits and sizes of the files."""
    digest = hashlib.sha256(repr(found.folder.class_names).encode())
    for name, files in found.folder.splits.items():
        for path, label in zip(files.paths, files.labels, strict=True):
            size = (found.folder.path / path).stat().st_size
            digest.update(f"{name} {label} {size} {path}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def train(found: Look, chosen: Plan, out: Path, observer: Observer | None = None) -> Path:
    """Train as planned and write the run folder `out`; an earlier run there is replaced when the new one is whole.

    An interrupted run of the same photographs and plan is continued. The earlier run is kept beside the new one as
    `<out>.previous`.

    Raises:
        UserError: the photographs cannot be used, or the training fails.
        Interrupted: Ctrl-C or SIGTERM; the same call continues.
    """
    source, part = source_of(found.folder), out.resolve().with_name(f"{out.resolve().name}.part")
    command = shlex.join(["alexnet", "start", str(found.folder.path)])
    origin = {
        **source.origin,
        "command": command,
        "listing": _listing(found),
        "changed_sides": found.moved,
        "findings": findings(found),
    }
    source = replace(source, name=str(found.folder.path), origin=origin)
    with lock.hold(part, "the run of a folder"):
        state = begun(part)
        if state is not None:
            kept = RunFolder(part).read_recipe()[0]
            if (kept.data, kept.freeze) != (chosen.recipe.data, chosen.recipe.freeze):
                state = None
        try:
            if state != "finished":
                _train(chosen.recipe, source, part, observer, goes_on=state == "interrupted")
        except Interrupted as stop:
            raise Interrupted("stopped; run the same command again to go on", stop.signal) from None
        _write_explorer(part, source, out.name)
        if out.exists() and any(out.iterdir()):
            previous = out.with_name(f"{out.name}.previous")
            shutil.rmtree(previous, ignore_errors=True)
            out.rename(previous)
        elif out.exists():
            out.rmdir()
        part.rename(out)
        lock.release_moved(out)
        return out
