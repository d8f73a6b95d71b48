"""`benchmarks/tiny_imagenet.py`: its jobs, the images it draws, and a whole run on a few images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import recipes

CLASSES = ("lion", "snail")


@pytest.fixture
def tiny(script):
    return script("tiny_imagenet.py")


def write_folder(folder: Path, px: int) -> Path:
    """12 training images and 3 others of each of two classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3)):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 128, (px, px, 3), dtype=np.uint8) + np.uint8(100 * label)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.JPEG")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images as large as Tiny ImageNet's."""
    return write_folder(tmp_path / "tiny", 64)


def test_jobs_differ_in_what_they_are_to_show_alone(tiny) -> None:
    jobs = [job for seed in (0, 1) for make in tiny._JOBS.values() for job in make(seed)]
    assert len({job.name for job in jobs}) == len(jobs) == 2 * (5 + 1 + 2 + 1 + 9)
    assert {job.needs for job in jobs} == {None, "cifar10-tiny_alexnet-0", "cifar10-tiny_alexnet-1"}
    assert all(job.needs is None or job.needs.endswith(f"-{job.recipe.seed}") for job in jobs)
    for per_class in tiny.PER_CLASS:
        arms = [job.recipe for job in jobs if job.part == "finetune" and job.per_class == per_class]
        assert len({(r.epochs, r.batch_size, r.image_px, r.augment, r.model.name) for r in arms}) == 1
    varied = [job.recipe for job in jobs if job.part == "variation" and job.recipe.seed == 0]
    assert len({(r.epochs, r.batch_size, r.image_px, r.optimizer, r.model) for r in varied}) == 1
    assert len({r.augment for r in varied}) == 5
    unchanged = [job.recipe for job in jobs if job.part == "recipes" and job.recipe.seed == 0]
    assert unchanged == [recipes.tiny_cifar10(), recipes.cifar_alexnet_fast()]


def test_images_are_drawn_for_each_seed_and_the_test_split_is_whole(tiny, folder: Path, tmp_path: Path) -> None:
    drawn = [tiny.draw_images(folder, 5, seed, tmp_path / f"images-{seed}") for seed in (0, 0, 1)]
    kept = [{path.relative_to(place) for path in place.glob("train/*/*")} for place in drawn]
    assert kept[0] == kept[1] != kept[2]
    for place in drawn:
        assert [len(list((place / "train" / name).iterdir())) for name in CLASSES] == [5, 5]
        assert len(list(place.glob("test/*/*.JPEG"))) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", "images-0", "images-1"}


def test_a_short_run_of_fine_tuning(tiny, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, one epoch: from the first network to the table."""
    monkeypatch.setattr(tiny, "PER_CLASS", {4: 1})
    monkeypatch.setattr(tiny, "HERE", tmp_path)
    cifar10 = write_folder(tmp_path / "cifar10", 32)
    arguments = ["--data", folder, "--cifar10", cifar10, "--work", tmp_path / "work", "--parts", "finetune"]
    jobs = [job for job in tiny.finetune_jobs(0) if job.arm != "dense layers"]
    given = tiny.parse_arguments([*map(str, arguments), "--device", "cpu", "--epochs", "1", "--threads", "1"])
    for job in jobs:
        run = tiny.run(job, given)
        assert json.loads((run / "recipe.json").read_text())["recipe"]["epochs"] == 1
    before = (given.work / jobs[0].name / "result.json").stat().st_mtime_ns
    assert tiny.run(jobs[0], given) == given.work / jobs[0].name  # finished: not trained again
    assert (given.work / jobs[0].name / "result.json").stat().st_mtime_ns == before
    result = tiny.collect("finetune", jobs[1:], given.work)
    scratch, tuned = result["arms"]
    assert (scratch["arm"], scratch["recipe"]["init"]) == ("from scratch", None)
    assert (tuned["arm"], tuned["recipe"]["init"]) == ("all layers", "cifar10-tiny_alexnet-0")
    assert (tuned["n_train"], tuned["images_per_class"]) == (8, 4)
    assert tuned["seeds"][0]["n_test"] == 6
    (tmp_path / "results").mkdir()
    (tmp_path / "results/tiny_imagenet-finetune.json").write_text(json.dumps(result))
    top1 = tuned["seeds"][0]["test_top1"]
    assert f"| all layers | 4 | 1 | {top1:.4f} | 1 |" in tiny.table()


def test_processes_may_draw_the_same_images_at_once(
    tiny, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has made the folder by the time that this one has its own."""
    rename, drawn = Path.rename, tmp_path / "drawn"

    def come_second(path: Path, target: Path) -> Path:
        rename(path, target)
        path.mkdir()
        return rename(path, target / "train")  # which is there, and not empty

    monkeypatch.setattr(Path, "rename", come_second)
    assert tiny.draw_images(folder, 5, 0, drawn) == drawn
    assert len(list(drawn.glob("train/lion/*"))) == 5
