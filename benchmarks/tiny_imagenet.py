"""Twenty classes of Tiny ImageNet: from scratch, what each kind of variation gives, and what fine-tuning gives.

    python benchmarks/tiny_imagenet.py --data TINY --cifar10 CIFAR [--device cuda] [--processes 4] [--parts ...]
    python benchmarks/tiny_imagenet.py --table        put the results into benchmarks/RESULTS.md

TINY is a folder of train/CLASS/* and val/CLASS/*, 64 px; CIFAR that of CIFAR-10, or the name cifar10. Parts:

- `variation`: TinyAlexNet without variation, with random crops, with flips, with both, and with shifts of colour too;
- `best`: CifarAlexNet by Muon, with all that helps;
- `recipes`: two recipes made for CIFAR-10, as they are, at 32 px;
- `finetune`: TinyAlexNet trained on CIFAR-10, then on 20, 100 and 500 images a class at 32 px: all layers, or the
  dense ones alone, beside training from scratch for as many epochs.

Each run is an ordinary run folder under --work; finished ones are kept, so a stopped command goes on. The images of a
class are drawn anew for each seed. The val/ images are the test split, opened once a run; with --held-out they stay
closed, a fifth of the training images is measured instead, and nothing is written to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alexnet import recipes
from alexnet.config import AugmentConfig, ModelConfig, Recipe
from alexnet.data.sources.layout import image_files
from alexnet.files import write_json

HERE = Path(__file__).parent
PARTS = ("variation", "best", "recipes", "finetune")
PER_CLASS = {20: 120, 100: 80, 500: 40}
"""Images a class, and the epochs that all arms take on them."""
ENVIRONMENT = ("alexnet", "commit", "python", "torch", "numpy", "cpu", "gpu", "device", "precision", "threads")
BEGIN = "<!-- tiny imagenet: begin (benchmarks/tiny_imagenet.py --table) -->"
END = "<!-- tiny imagenet: end -->"

_VARIATIONS = {
    "none": AugmentConfig(),
    "crop": AugmentConfig(crop_padding_px=8),
    "flip": AugmentConfig(flip="random"),
    "crop + flip": AugmentConfig(crop_padding_px=8, flip="random"),
    "crop + flip + colour": AugmentConfig(crop_padding_px=8, flip="random", pca_color=0.1),
}


@dataclass(frozen=True)
class Job:
    """One run."""

    part: str
    arm: str
    per_class: int | None
    """Images a class to train on; None: all."""
    recipe: Recipe
    needs: str | None = None
    """Name of the job whose weights it begins with."""

    @property
    def name(self) -> str:
        count = "" if self.per_class is None else f"-{self.per_class}"
        return f"{self.part}-{re.sub('[^a-z0-9]+', '_', self.arm)}{count}-{self.recipe.seed}"


def _photos() -> Recipe:
    """TinyAlexNet on some hundred photographs from scratch: the recipe `photos` of version 0.2.0."""
    base = recipes.tiny_cifar10()
    return replace(
        base,
        name="photos",
        data="photos",
        image_px=64,
        epochs=60,
        batch_size=32,
        val_fraction=0.1,
        model=replace(base.model, dropout=0.3),
        augment=AugmentConfig(crop_padding_px=8, flip="random"),
        optimizer=replace(base.optimizer, lr=0.02),
        grad_clip_norm=1.0,
    )


def variation_jobs(seed: int) -> Iterable[Job]:
    """The same network and epochs with more and more variation."""
    base = replace(_photos(), batch_size=64, epochs=24, optimizer=replace(_photos().optimizer, lr=0.05))
    for arm, augment in _VARIATIONS.items():
        yield Job("variation", arm, None, replace(base, seed=seed, augment=augment))


def best_jobs(seed: int) -> Iterable[Job]:
    """The best of what the package has for small images."""
    base = recipes.cifar_alexnet_fast()
    augment = replace(base.augment, crop_padding_px=6, cutout_px=16)
    sides: dict[str, Any] = {"image_px": 64, "train_px": (32, 48, 64)}
    yield Job(
        "best", "cifar_alexnet", None, replace(base, seed=seed, augment=augment, epochs=36, batch_size=250, **sides)
    )


def recipe_jobs(seed: int) -> Iterable[Job]:
    """What was made for CIFAR-10, with nothing changed."""
    for recipe in (recipes.tiny_cifar10(), recipes.cifar_alexnet_fast()):
        yield Job("recipes", recipe.name, None, replace(recipe, seed=seed))


def finetune_jobs(seed: int) -> Iterable[Job]:
    """Training on CIFAR-10 first, and then three ways to learn from few images."""
    first = Job("cifar10", "tiny_alexnet", None, replace(recipes.tiny_cifar10(), epochs=30, seed=seed))
    yield first
    augment = AugmentConfig(crop_padding_px=4, flip="random")
    scratch, tuned = _photos(), replace(recipes.finetune(), model=ModelConfig(name="tiny_alexnet"))
    for per_class, epochs in PER_CLASS.items():
        shared: dict[str, Any] = {"seed": seed, "epochs": epochs, "augment": augment, "image_px": 32}
        yield Job("finetune", "from scratch", per_class, replace(scratch, **shared))
        yield Job("finetune", "all layers", per_class, replace(tuned, **shared), first.name)
        yield Job("finetune", "dense layers", per_class, replace(tuned, **shared, freeze="features"), first.name)


_JOBS = {"variation": variation_jobs, "best": best_jobs, "recipes": recipe_jobs, "finetune": finetune_jobs}


def draw_images(source: Path, per_class: int, seed: int, folder: Path) -> Path:
    """A folder of links to `per_class` training images of each class, and to the val/ images as its test split."""
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        part = Path(made) / "part"
        for number, below in enumerate(sorted(path for path in (source / "train").iterdir() if path.is_dir())):
            files = image_files(below)
            chosen = np.random.default_rng([seed, number]).permutation(len(files))[:per_class]
            (part / "train" / below.name).mkdir(parents=True)
            for i in chosen:
                (part / "train" / below.name / files[i].name).symlink_to(files[i].resolve())
        (part / "test").symlink_to((source / "val").resolve())
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same images
                raise
    return folder


def run(job: Job, given: argparse.Namespace) -> Path:
    """Train, unless that was done before; returns the run folder."""
    from alexnet import training

    out = given.work / job.name
    if (out / "result.json").is_file():
        return out
    recipe = replace(job.recipe, device=given.device, threads=given.threads, val_fraction=0.0)
    if job.part == "cifar10":
        data = str(given.cifar10)
    elif job.per_class is None:
        data = str(given.data)
    else:
        place = given.work / f"images-{job.per_class}-{recipe.seed}"
        data = str(draw_images(given.data, job.per_class, recipe.seed, place))
    if job.needs is not None:
        recipe = replace(recipe, pretrained=str(given.work / job.needs))
    if given.held_out and job.part != "cifar10":
        recipe = replace(recipe, val_fraction=0.2, open_test=False)
    if given.epochs is not None:
        recipe = replace(recipe, epochs=given.epochs, schedule=_shortened(recipe, given.epochs))
    return training.train(recipe, data, out=out, overwrite=True)


def _shortened(recipe: Recipe, epochs: int) -> Any:
    """The schedule with a warm-up that fits into so few epochs."""
    warmup = recipe.schedule.warmup_epochs
    return replace(recipe.schedule, warmup_epochs=None if warmup is None else min(warmup, epochs / 4))


def run_all(jobs: Sequence[Job], given: argparse.Namespace) -> None:
    """Run `jobs`, several at a time; those that others begin with come first."""
    needed = {job.needs for job in jobs}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=context) as pool:
        for turn in ([j for j in jobs if j.name in needed], [j for j in jobs if j.name not in needed]):
            for job, future in [(job, pool.submit(run, job, given)) for job in turn]:
                result = json.loads((future.result() / "result.json").read_text())
                top1 = result["val_top1" if "val_top1" in result else "test_top1"]
                print(f"{job.name:<40} top-1 {top1:.4f}  {result['train_s']:7.1f} s", flush=True)


def collect(part: str, jobs: Sequence[Job], work: Path) -> dict[str, Any]:
    """The published result of one part."""
    arms: dict[tuple[str, int | None], list[Job]] = {}
    for job in jobs:
        arms.setdefault((job.arm, job.per_class), []).append(job)
    found = []
    for (arm, per_class), members in arms.items():
        recipes_read = [json.loads((work / job.name / "recipe.json").read_text()) for job in members]
        results = [json.loads((work / job.name / "result.json").read_text()) for job in members]
        top1 = [result["test_top1"] for result in results]
        found.append(
            {
                "arm": arm,
                "images_per_class": per_class,
                "test_top1_mean": statistics.mean(top1),
                "test_top1_sd": statistics.stdev(top1) if len(top1) > 1 else None,
                "seeds": {
                    job.recipe.seed: {key: result[key] for key in ("test_top1", "test_loss", "n_test", "train_s")}
                    for job, result in zip(members, results, strict=True)
                },
                "recipe": {**recipes_read[0]["recipe"], "seed": None, "data": None, "init": members[0].needs},
                "n_train": recipes_read[0]["data"]["n_train"],
                "environment": {key: recipes_read[0]["environment"][key] for key in ENVIRONMENT},
            }
        )
    images = "20 classes of Tiny ImageNet, top-1 on 50 images a class"
    if part == "cifar10":
        images = "what finetune begins with, top-1 on CIFAR-10's test images"
    return {"what": f"{part}: {images}, one view", "arms": found}


def table() -> str:
    """The tables of all results that are there."""
    blocks = []
    for part, title in (
        ("best", "network"),
        ("recipes", "recipe"),
        ("variation", "variation"),
        ("finetune", "learns"),
    ):
        path = HERE / "results" / f"tiny_imagenet-{part}.json"
        if not path.is_file():
            continue
        arms = json.loads(path.read_text())["arms"]
        rows = [f"| {title} | images a class | epochs | test top-1 | seeds |", "|---|---|---|---|---|"]
        for arm in arms:
            spread = "" if arm["test_top1_sd"] is None else f" ± {arm['test_top1_sd']:.4f}"
            count = arm["images_per_class"] or arm["n_train"] // 20
            rows.append(
                f"| {arm['arm']} | {count} | {arm['recipe']['epochs']} | {arm['test_top1_mean']:.4f}{spread} | "
                f"{len(arm['seeds'])} |"
            )
        where = arms[0]["environment"]
        rows += ["", f"[Every seed](results/{path.name}); {where['gpu'] or where['cpu']}, {where['precision']}."]
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's arguments, checked, with the folder for runs made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of Tiny ImageNet's 20 classes")
    parser.add_argument("--cifar10", default="cifar10", help="folder of CIFAR-10, or the name")
    parser.add_argument("--work", type=Path, default=Path("runs/tiny_imagenet"), help="where the runs go")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, help="of each; default: the CPUs shared out evenly")
    parser.add_argument("--epochs", type=int, help="of every run, to try the command; nothing is written then")
    parser.add_argument("--held-out", action="store_true", help="leave the test split closed")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args(words)
    if given.table:
        return given
    if given.data is None or not (given.data / "train").is_dir():
        sys.exit("name the folder of Tiny ImageNet's 20 classes, with train/ and val/ in it: --data TINY")
    given.threads = given.threads or max(1, (os.cpu_count() or 1) // given.processes)
    given.work.mkdir(parents=True, exist_ok=True)
    given.work = given.work.resolve()
    return given


def main() -> None:
    given = parse_arguments()
    if given.table:
        page = HERE / "RESULTS.md"
        block = "\n".join([BEGIN, table(), END])
        pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
        page.write_text(re.sub(pattern, lambda _: block, page.read_text(), flags=re.DOTALL))
        return
    jobs = [job for part in given.parts for seed in given.seeds for job in _JOBS[part](seed)]
    run_all(jobs, given)
    if given.held_out or given.epochs is not None:
        return
    for part in dict.fromkeys(job.part for job in jobs):
        result = collect(part, [job for job in jobs if job.part == part], given.work)
        command = f"python benchmarks/tiny_imagenet.py --data TINY --cifar10 CIFAR --parts {' '.join(given.parts)}"
        how = {"command": command, "device": given.device, "processes": given.processes}
        write_json(HERE / "results" / f"tiny_imagenet-{part}.json", {**how, **result})
    print(table())


if __name__ == "__main__":
    main()
