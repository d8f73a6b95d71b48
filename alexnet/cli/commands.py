"""The commands. Each returns its exit status.

torch is imported inside the commands that need it, so help and mistakes in arguments are answered at once.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from alexnet import baseline as baselines
from alexnet import bench as benchmark
from alexnet import recipes, studies
from alexnet.cli import show
from alexnet.config import HANG_TIMEOUT_S, Activation, ModelName, Precision
from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.system import usable_cores

_OK, _SOME_FAILED = 0, 1

app = tyro.extras.SubcommandApp()

_AnyRecipe: Any = tyro.extras.subcommand_type_from_defaults(
    {name: recipes.get(name) for name in recipes.names()},
    {name: recipes.summary(name) for name in recipes.names()},
    prefix_names=False,
)
_AnyBaseline: Any = tyro.extras.subcommand_type_from_defaults(
    {name: baselines.get(name) for name in baselines.names()},
    {name: baselines.summary(name) for name in baselines.names()},
    prefix_names=False,
)
_OptionalPath = Annotated[Path | None, arg(metavar="PATH")]
_Streaming = Literal["auto", "always", "never"]


@app.command
def train(
    recipe: Annotated[_AnyRecipe, arg(name="")] = recipes.get(recipes.DEFAULT),  # noqa: B008 - a frozen value
    *,
    root: _OptionalPath = None,
    out: _OptionalPath = None,
    resume: _OptionalPath = None,
    overwrite: bool = False,
    stream: _Streaming = "auto",
    track: bool = False,
    processes: int | None = None,
    max_restarts: int | None = None,
    hang_timeout_s: float = HANG_TIMEOUT_S,
) -> int:
    """Train a network and write its run folder: alexnet train [RECIPE] --data SRC.

    Flags follow the recipe's name; `alexnet train RECIPE --help` lists all of them.

    Args:
        recipe: What to do; every value of it can be changed by a flag.
        root: Folder with the source's files, where they are not in the default place.
        out: Run folder to write; default: runs/<recipe>-<time>.
        resume: Continue this interrupted run; everything else comes from it.
        overwrite: Replace an earlier run in --out.
        stream: Read images from disk while training: always, never, or where memory would be short (auto). The result
            is the same.
        track: Also write TensorBoard scalars into the run folder (needs the extra alexnet[track]).
        processes: Train in so many processes of this host together, one a GPU or sharing the CPUs; each takes a share
            of every batch. Over several hosts: torchrun ... -m alexnet train ....
        max_restarts: With --processes: how often they are started again, from the last checkpoint, when one of them
            ends; default: 0.
        hang_timeout_s: Of several processes: seconds without a step after which the one that keeps the others waiting
            is named, and all end.
    """
    other = (recipe != recipes.get(recipes.DEFAULT), root, out, overwrite, stream != "auto")
    if resume is not None and any(other):
        raise UserError("--resume takes everything from the run: drop the recipe and all other flags but --track")
    if processes is not None:
        from alexnet.cli import launch

        chosen = launch.Chosen(recipe, root, out, resume, overwrite, stream, track, hang_timeout_s)
        return launch.train(chosen, processes, max_restarts or 0)
    if max_restarts is not None:
        raise UserError("--max-restarts goes with --processes; torchrun has one of its own")
    if hang_timeout_s != HANG_TIMEOUT_S and "RANK" not in os.environ:
        raise UserError("--hang-timeout-s is for several processes: add --processes N, or start them with torchrun")
    from alexnet import training
    from alexnet.cli.progress import observe
    from alexnet.distributed import from_environment

    observer = observe(track=track)
    if resume is not None:
        folder = training.resume(resume, observer=observer, hang_timeout_s=hang_timeout_s)
    else:
        where: Any = {"root": root, "out": out, "overwrite": overwrite, "stream": stream}
        folder = training.train(recipe, **where, observer=observer, hang_timeout_s=hang_timeout_s)
    if from_environment().is_main:  # the run folder may be on its host alone
        show.result(training.RunFolder(folder))
    return _OK


@app.command
def baseline(
    recipe: Annotated[_AnyBaseline, arg(name="")],
    *,
    root: _OptionalPath = None,
    out: _OptionalPath = None,
    overwrite: bool = False,
) -> int:
    """Fit a classifier to hand-made features, as was done before AlexNet: alexnet baseline NAME --data SRC.

    Flags follow the name; `alexnet baseline NAME --help` lists all of them. The run folder is like that of a network:
    `alexnet evaluate` and `alexnet predict` take it.

    Args:
        recipe: What to do; every value of it can be changed by a flag.
        root: Folder with the source's files, where they are not in the default place.
        out: Run folder to write; default: runs/<name>-<time>.
        overwrite: Replace an earlier run in --out.
    """
    from alexnet.cli.progress import observe_baseline
    from alexnet.run_folder import RunFolder

    folder = baselines.fit(recipe, root=root, out=out, overwrite=overwrite, observer=observe_baseline())
    show.result(RunFolder(folder))
    return _OK


@app.command
def evaluate(
    model: Positional[tuple[Path, ...]],
    *,
    data: str,
    root: _OptionalPath = None,
    split: Literal["test", "val", "train"] = "test",
    views: int | Literal["dense"] = 1,
    resize_px: int | None = None,
    stream: _Streaming = "auto",
    device: str = "auto",
    precision: Precision = "fp32",
    json: bool = False,
) -> int:
    """Measure a trained network on one split of a data set, or several together.

    The probabilities of several networks are averaged; they must know the same classes.

    Args:
        model: Run folder or .safetensors file, or several of them.
        data: Name of a source (cifar10, cifar100, fashion_mnist, mnist, digits) or a folder of class folders.
        root: Folder with the source's files, where they are not in the default place.
        split: Images to measure on.
        views: Views averaged for each image: 1; 2 (and mirrored); 5 (four corners and centre); 10 (these and
            mirrored); dense (a grid of 25 crops, and mirrored).
        resize_px: Side that images are brought to before views are cut; default: the network's own, or what it was
            trained with; 8/7 of it for 5, 10 and dense views of a network that was trained without room for crops.
        stream: Read images from disk one after the other: always, never, or where memory would be short (auto).
        device: auto, cpu, cuda, cuda:N or mps.
        precision: Numbers to compute in; fp32 gives the same figures everywhere.
        json: Print one JSON object on standard output and nothing else.
    """
    from alexnet import runtime
    from alexnet.evaluation import Ensemble, load
    from alexnet.evaluation.views import check_views

    if not model:
        raise UserError("name at least one run folder or .safetensors file")
    check_views(views)
    runtime.start(device, precision)
    ensemble = Ensemble([load(path, device=device, precision=precision) for path in model])
    found = ensemble.evaluate(data, root=root, split=split, views=views, resize_px=resize_px, stream=stream)
    alone = len(model) == 1
    if json:
        values = found.to_json()
        members = values.pop("members")
        if not alone:
            values["members"] = [{"model": str(path), **own} for path, own in zip(model, members, strict=True)]
        show.json_object(values)
        return _OK
    of_what = f"on {data}, {split} split, {views} view(s)"
    if not alone:
        show.members(list(zip(map(str, model), found.members, strict=True)))
    show.evaluation(found.together, f"{model[0] if alone else f'{len(model)} networks together'} {of_what}")
    return _OK


@app.command
def predict(
    model: Positional[Path],
    files: Positional[tuple[str, ...]],
    *,
    top: int = 5,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Name what is in image files, of any size and mode.

    A file that cannot be read is named, the others go on, and the exit status is 1.

    Args:
        model: Run folder or .safetensors file.
        files: Images, folders (searched through) or patterns such as 'photos/*.jpg'.
        top: Classes to name for each image.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object a line, one line an image, on standard output.
    """
    from alexnet import runtime
    from alexnet.evaluation import Failure, load

    images = _find_images(files)
    runtime.start(device, "fp32")
    classifier = load(model, device=device)
    failed = 0
    for answer in classifier.predict_files(images, top):
        if isinstance(answer, Failure):
            failed += 1
            show.complaint(answer.reason)
        elif json:
            show.json_object(answer.to_json(), indent=None)
        else:
            classes = "  ".join(f"{name} {p:.1%}" for name, p in answer.classes)
            show.line(f"{answer.file}: {classes}")
    return _SOME_FAILED if failed else _OK


def _find_images(patterns: Sequence[str]) -> list[Path]:
    from alexnet.data import image_files

    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = image_files(path)
            if not inside:
                raise UserError(f"no images in the folder {path}")
            found += inside
        elif path.exists() or not glob.has_magic(pattern):
            found.append(path)
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
            if not matches:
                raise UserError(f"no file matches {pattern}")
            found += map(Path, matches)
    if not found:
        raise UserError("name at least one image file, folder or pattern")
    return found


@app.command
def convert(
    src: Positional[Path],
    dst: Positional[Path],
    *,
    model: ModelName,
    classes: str,
    activation: Activation | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize_px: int | None = None,
    overwrite: bool = False,
) -> int:
    """Turn foreign weights (MXNet .params, torchvision's AlexNet .pth) into a .safetensors file of ours.

    Args:
        src: File to read; its kind is told from its content.
        dst: .safetensors file to write.
        model: Network the weights belong to.
        classes: Names of the classes, in the order of the outputs: a source (cifar10, ...) or a file with one
            name a line or a JSON list.
        activation: Activation the weights were trained with, which foreign files do not say; default: the
            network's own.
        mean: Channel means, pixels in 0..1, that inputs were freed of; default: 0 for MXNet's files (the tutorial
            scales to 0..1 and no more), ImageNet's for torchvision's.
        std: Channel deviations that inputs were divided by, likewise.
        resize_px: Side that images are brought to before the centre is cut out for the network, for example 256;
            default: the network's own.
        overwrite: Replace an existing file.
    """
    from alexnet import weights

    if dst.suffix != ".safetensors":
        raise UserError(f"{dst} should end in .safetensors")
    if dst.exists() and not overwrite:
        raise UserError(f"{dst} exists: name another file, or pass --overwrite")
    options = {} if activation is None else {"activation": activation}
    how: Any = {"mean": mean, "std": std, "resize_px": resize_px}
    network, card = weights.convert(src, model, _class_names(classes), options=options, **how)
    weights.save(dst, network, card)
    show.line(f"{dst}: {model}, {len(card.class_names)} classes, {card.preprocessing.image_px} px")
    return _OK


def _class_names(classes: str) -> tuple[str, ...]:
    from alexnet import data, weights

    return weights.read_class_names(Path(classes)) if Path(classes).is_file() else data.class_names(classes)


@app.command(name="data")
def _data(
    action: Positional[Literal["info", "check", "download", "pack"]],
    source: Positional[str],
    out: Positional[Path | None] = None,
    *,
    root: _OptionalPath = None,
    short_px: int | None = None,
    quality: int | None = None,
    shard_images: int | None = None,
    on_bad: Literal["stop", "skip"] | None = None,
    processes: int | None = None,
    json: bool = False,
) -> int:
    """Look at a data set, or make it ready: alexnet data (info | check | download | pack) SRC.

    Args:
        action: info: classes, counts and sizes. check: decode every file and name each bad one; exit 1 if any.
            download: fetch the source's files into --root. pack: write a folder's images, made small once, as
            shards into OUT; run again after a stop to go on.
        source: Name of a source (cifar10, cifar100, fashion_mnist, mnist, digits), a folder of class folders, or a
            folder of shards.
        out: pack: Folder to write.
        root: Folder with the source's files, where they are not in the default place.
        short_px: pack: Short side that larger images are reduced to (default 256).
        quality: pack: Quality of the JPEGs written, 1..95 (default 90).
        shard_images: pack: Images a shard (default 1000).
        on_bad: pack: Broken files end it (stop, the default), or are left out and listed (skip).
        processes: pack: Processes at a time (default: one a CPU).
        json: Print one JSON object.
    """
    for_pack = {
        "OUT": out,
        "--short-px": short_px,
        "--quality": quality,
        "--shard-images": shard_images,
        "--on-bad": on_bad,
        "--processes": processes,
    }
    if action == "pack":
        options = {"short_px": short_px, "quality": quality, "shard_images": shard_images}
        chosen = {name: value for name, value in options.items() if value is not None}
        return _data_pack(source, out, root, chosen, on_bad or "stop", processes, json)
    unused = [name for name, value in for_pack.items() if value is not None]
    if unused:
        raise UserError(f"data {action} does not use {', '.join(unused)}: drop it (it belongs to data pack)")
    return {"info": _data_info, "check": _data_check, "download": _data_download}[action](source, root, json)


def _data_pack(
    source: str,
    out: Path | None,
    root: Path | None,
    options: dict[str, int],
    on_bad: Literal["stop", "skip"],
    processes: int | None,
    as_json: bool,
) -> int:
    from alexnet import data
    from alexnet.cli.progress import counting

    if out is None:
        raise UserError("name the folder to write: alexnet data pack SRC OUT")
    with counting("packing") as on_progress:
        packed = data.pack(
            source,
            out,
            root=root,
            options=data.PackOptions(**options),
            on_bad=on_bad,
            processes=processes,
            on_progress=on_progress,
        )
    for bad in packed.bad:
        show.complaint(f"left out {bad.path}: {bad.reason}")
    show.mapping(
        {
            "path": packed.path,
            "images": packed.images,
            "shards": packed.shards,
            "bytes": packed.bytes,
            "left_out": len(packed.bad),
        },
        as_json,
    )
    return _SOME_FAILED if packed.bad else _OK


def _data_info(source: str, root: Path | None, as_json: bool) -> int:
    from alexnet import data

    show.mapping(data.describe(source, root=root), as_json)
    return _OK


def _data_check(source: str, root: Path | None, as_json: bool) -> int:
    from alexnet import data

    found = data.check(source, root=root)
    checked = sum(found.images.values())
    if as_json:
        show.json_object({"checked": checked, "bad": [{"path": bad.path, "reason": bad.reason} for bad in found.bad]})
    else:
        for bad in found.bad:
            show.line(f"{bad.path}: {bad.reason}")
        show.line(f"{checked} files checked, {len(found.bad)} bad")
    return _SOME_FAILED if found.bad else _OK


def _data_download(source: str, root: Path | None, as_json: bool) -> int:
    from alexnet import data

    show.mapping({"source": source, "path": str(data.download(source, root=root))}, as_json)
    return _OK


@app.command
def study(
    name: Positional[studies.StudyName | None] = None,
    *,
    data: str | None = None,
    root: _OptionalPath = None,
    out: _OptionalPath = None,
    seeds: int | None = None,
    processes: int | None = None,
    quick: bool = False,
    all: bool = False,
    list: bool = False,
) -> int:
    """Test a claim of the paper or the tutorial: alexnet study NAME --data SRC.

    Trains what the claim compares with several seeds and writes study.json, a plot and a page that says whether it
    held. Run it again after a stop to go on.

    Args:
        name: The study, see --list.
        data: Name of a source (cifar10 is what they are made for) or a folder of images of 32 px.
        root: Folder with the source's files, where they are not in the default place.
        out: Folder of the studies, each in a folder of its own; default: studies, with --quick studies-quick.
        seeds: Runs of each thing compared; default: the study's own, 3 or more; with --quick 1.
        processes: Runs at a time, each on one thread; default: one a CPU.
        quick: A preview in three minutes on two cores, without a verdict.
        all: Every study in order, and a page with the whole story; without --data the page alone, from what has been
            run.
        list: Name the studies, and how long they take.
    """
    folder = out or Path("studies-quick" if quick else "studies")
    if list:
        if name or all or data:
            raise UserError("--list names the studies and runs none: drop everything else")
        show.studies([studies.get(each, quick=quick) for each in studies.NAMES])
        return _OK
    if (name is None) != all:
        raise UserError(f"name one study, or pass --all: {', '.join(studies.NAMES)}")
    if data is None and not all:
        raise UserError("name the images: --data cifar10, or a folder")
    if data is not None:
        from alexnet.cli.progress import observe_study

        for each in studies.NAMES if name is None else (name,):
            done = studies.run(
                studies.get(each, quick=quick),
                data,
                root=root,
                out=folder / each,
                seeds=seeds,
                processes=processes,
                observer=observe_study(),
            )
            show.study(done)
    show.line(f"all studies: {studies.write_index(folder)}")
    return _OK


@app.command(name="recipes")
def _recipes(*, json: bool = False) -> int:
    """List the recipes.

    Args:
        json: Print every value of every recipe as one JSON object.
    """
    from alexnet.config import to_dict

    if json:
        show.json_object({name: to_dict(recipes.get(name)) for name in recipes.names()})
        return _OK
    for name in recipes.names():
        recipe = recipes.get(name)
        show.line(f"{name}: {recipe.model.name} on {recipe.data}, {recipe.epochs} epochs")
        show.line(f"    {recipes.summary(name)}")
    return _OK


@app.command(name="models")
def _models(*, json: bool = False) -> int:
    """List the networks.

    Args:
        json: Print one JSON object.
    """
    from dataclasses import asdict

    from alexnet import models

    facts = {name: models.facts(name) for name in models.names()}
    if json:
        show.json_object({name: asdict(fact) for name, fact in facts.items()})
        return _OK
    show.table(
        ("network", "input", "parameters", "lr", "source"),
        [
            (n, f"{f.native_px} px x {f.native_channels}", f"{f.parameters:,}", f"{f.lr:g}", f.source)
            for n, f in facts.items()
        ],
    )
    return _OK


@app.command
def bench(
    tasks: Positional[tuple[benchmark.TaskName, ...]] = (),
    *,
    data: str | None = None,
    root: _OptionalPath = None,
    reps: int | None = None,
    seconds: float | None = None,
    threads: int | None = None,
    quick: bool = False,
    out: _OptionalPath = None,
    json: bool = False,
    once: benchmark.MeasureName | None = None,
) -> int:
    """Measure this software on this machine: training, evaluation, latency, memory, start-up.

    Everything is measured in a process of its own, in turns. Set-up and a warm-up are left out of the figures. Beside
    other software it is measured by `make bench` in the project's repository.

    Args:
        tasks: What to measure; default: everything.
        data: Name of a source or a folder of images of 32 px; default: random images, which evaluate_files and
            memory cannot use.
        root: Folder with the source's files, where they are not in the default place.
        reps: How often everything is measured; default 3, with --quick 1.
        seconds: How long each measurement counts, after a quarter of that to warm up; default 8, with --quick 1.
        threads: Cores to use; default: as many as this process may run on.
        quick: A short check that everything runs; the figures are rough.
        out: JSON file to write the result to.
        json: Print the result as one JSON object on standard output.
        once: Measure this alone, once and in this process, and print one JSON object on one line: what the runs are
            made of.
    """
    if seconds is None:
        seconds = 1.0 if quick else 8.0
    cores = usable_cores()
    how = benchmark.Setting(data=data, root=root, threads=cores if threads is None else threads, seconds=seconds)
    if once is not None:
        if tasks or out or json or reps is not None:
            raise UserError("--once measures one thing and prints JSON: drop the tasks, --reps, --out and --json")
        from alexnet.bench.measure import measure

        show.json_object(measure(once, how), indent=None)
        return _OK
    if reps is None:
        reps = 1 if quick else 3
    contenders = benchmark.own_contenders(tasks or tuple(benchmark.TASKS), how)
    outcomes = benchmark.run(contenders, reps=reps, on_run=show.bench_run)
    result = benchmark.summarize(outcomes, {"reps": reps, **how.to_json()})
    if out is not None:
        write_json(out, result)
    if json:
        show.json_object(result)
    else:
        show.bench(result)
    return _SOME_FAILED if any(outcome.failure for outcome in outcomes) else _OK
