"""From a folder of photographs to a run folder."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet import start
from alexnet.errors import Interrupted, UserError
from alexnet.run_folder import RunFolder


def photo(seed: int, hue: int) -> Image.Image:
    """Smooth waves, brighter in one channel."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:80j, 0:1:90j]
    waves = np.zeros((80, 90))
    for a, b in np.ndindex(4, 4):
        waves += random.normal() * np.cos(2 * np.pi * (a * x + b * y) + random.uniform(0, 6))
    grey = 40 + 150 * (waves - waves.min()) / (waves.max() - waves.min())
    pixels = np.repeat(grey[..., None], 3, axis=2)
    pixels[..., hue] += 60
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two colours, 30 and 60 photographs, with a broken file and some copies."""
    root = tmp_path / "colours"
    for name, hue, n in (("red", 0, 30), ("blue", 2, 60)):
        (root / name).mkdir(parents=True)
        for i in range(n):
            photo(100 * hue + i, hue).save(root / name / f"{i:02d}.JPG", quality=90)
    (root / "red/broken.jpeg").write_bytes(b"\xff\xd8\xff no image")
    for i in range(8):
        photo(200 + i, 2).resize((45, 40)).save(root / "blue" / f"{i:02d}-small.jpg", quality=80)
    return root


def sides(found: start.Look) -> dict[str, str]:
    return {path: name for name, files in found.folder.splits.items() for path in files.paths}


def test_splits_share_no_picture_and_broken_files_are_left_out(folder: Path) -> None:
    found = start.look(folder)
    assert [Path(each.path).name for each in found.bad] == ["broken.jpeg"]
    assert found.counts() == {"blue": 68, "red": 30}
    assert {frozenset(files) for files, _ in found.groups} == {
        frozenset((f"blue/{i:02d}.JPG", f"blue/{i:02d}-small.jpg")) for i in range(8)
    }
    side = sides(found)
    for files, is_exact in found.groups:
        assert not is_exact
        assert len({side[file] for file in files}) == 1
    sizes = {name: len(files.paths) for name, files in found.folder.splits.items()}
    assert sum(sizes.values()) == 98
    assert min(sizes.values()) >= 4
    assert all(side[file] == "train" for file in found.moved)
    assert "red/broken.jpeg" not in side


def test_the_report_shows_what_to_look_at(folder: Path, tmp_path: Path) -> None:
    (folder / "red/05.JPG").rename(folder / "blue/planted.jpg")
    found = start.look(folder)
    assert [(each.file, each.suggested) for each in found.suspects][:1] == [("blue/planted.jpg", "red")]
    report = (quick(found, tmp_path / "run") / "report.html").read_text()
    section = report[report.index("Photographs to look at") :]
    for text in ("blue/planted.jpg", "blue/03-small.jpg", "red/broken.jpeg"):
        assert text in section
    assert section.count('src="data:image') >= 1 + 2 * 8
    assert '<a href="explorer.html">See the network at work</a>' in report
    assert (tmp_path / "run/explorer.html").stat().st_size > 1_000_000


def test_of_very_many_photographs_labels_are_not_judged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_MOST_JUDGED", 10)
    (folder / "red/05.JPG").rename(folder / "blue/planted.jpg")
    assert start.look(folder).suspects == ()


def test_more_photographs_move_none_of_the_others_out_of_training(folder: Path) -> None:
    before = sides(start.look(folder))
    for i in range(60, 90):
        photo(500 + i, 0).save(folder / "red" / f"{i}.jpg")
    after = sides(start.look(folder))
    assert all(after[path] == side for path, side in before.items())


def test_splits_that_are_given_are_respected(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "given"
    for split, names in (("train", range(0, 20)), ("test", range(20, 30))):
        for hue in ("red", "blue"):
            (root / split / hue).mkdir(parents=True)
            for i in names:
                (root / split / hue / f"{i}.jpg").write_bytes((folder / hue / f"{i:02d}.JPG").read_bytes())
    (root / "test/red/leak.jpg").write_bytes((root / "train/red/3.jpg").read_bytes())
    found = start.look(root)
    assert sides(found)["test/red/leak.jpg"] == "test"
    assert found.moved == ()
    assert (("train/red/3.jpg", "test/red/leak.jpg"), True) in found.groups


@pytest.mark.parametrize("classes", [[], ["only"]])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, classes: list[str]) -> None:
    for name in classes:
        (tmp_path / name).mkdir()
        photo(0, 0).save(tmp_path / name / "0.jpg")
    with pytest.raises(UserError, match="put the images of each of two or more classes"):
        start.look(tmp_path)


def quick(found: start.Look, out: Path, **changes: object) -> Path:
    chosen = start.plan(found, 1)
    return start.train(found, replace(chosen, recipe=replace(chosen.recipe, epochs=2, threads=1, **changes)), out)


def test_the_run_folder_is_an_ordinary_one_and_a_second_start_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs/colours"
    found = start.look(folder)
    assert start.begun(out) is None
    assert start.plan(found, 1).balanced
    run = quick(found, out)
    assert run == out
    assert start.begun(out) == "finished"
    assert start.is_known(found, out)
    assert RunFolder(out).result.is_file()
    classifier = alexnet.load(out)
    assert classifier.predict(folder / "red/03.JPG").label == "red"
    assert alexnet.evaluate(out, folder).top1 > 0.9

    photo(999, 0).save(folder / "red/new.jpg")
    again = start.look(folder)
    assert not start.is_known(again, out)
    quick(again, out, pretrained=str(out))
    assert (
        RunFolder(out).read_values()["data"]["n_train"]
        >= RunFolder(Path(f"{out}.previous")).read_values()["data"]["n_train"]
    )
    assert not Path(f"{out}.part").exists()


def test_few_photographs_are_probed_and_many_fine_tuned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = start.look(folder)
    few = start.plan(found, 1)
    assert (few.fine_tunes, few.recipe.freeze, few.recipe.probe, few.recipe.epochs) == (False, "body", True, 1)
    monkeypatch.setattr(start, "_FEWEST_TO_FINE_TUNE", 10)
    many = start.plan(found, 1)
    assert (many.fine_tunes, many.recipe.freeze) == (True, "none")
    assert many.recipe.epochs >= 5


def test_a_second_start_learns_from_what_was_added(folder: Path, tmp_path: Path) -> None:
    """Of the same classes too: here the new photographs say that the names were wrong."""
    found, out = start.look(folder), tmp_path / "run"
    start.train(found, start.plan(found, 1), out)
    for side in ("red", "blue"):
        (folder / side).rename(folder / f"_{side}")
    (folder / "_red").rename(folder / "blue")
    (folder / "_blue").rename(folder / "red")
    again = start.look(folder)
    start.train(again, start.plan(again, 1, pretrained=str(out)), out)
    assert alexnet.load(out).predict(folder / "red/20.JPG").label == "red"


def test_two_photographs_a_class_are_enough(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "few"
    for hue in ("red", "blue"):
        (root / hue).mkdir(parents=True)
        for i in range(2):
            (root / hue / f"{i}.jpg").write_bytes((folder / hue / f"{10 + i}.JPG").read_bytes())
    run = quick(start.look(root), tmp_path / "run")
    assert alexnet.load(run).class_names == ("blue", "red")


def test_a_folder_that_is_no_run_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(UserError, match="no run folder: name another with --out"):
        start.begun(tmp_path)
    with pytest.raises(UserError, match="minutes must be positive"):
        start.plan(None, 0)  # type: ignore[arg-type]


def test_an_interrupted_start_goes_on_and_says_how(folder: Path, tmp_path: Path) -> None:
    class StopAfterOne(alexnet.Observer):
        def on_epoch(self, row: dict[str, object]) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    found, out = start.look(folder), tmp_path / "run"
    chosen = start.plan(found, 1)
    chosen = replace(chosen, recipe=replace(chosen.recipe, epochs=2, threads=1))
    with pytest.raises(Interrupted, match="run the same command again to go on"):
        start.train(found, chosen, out, StopAfterOne())
    assert start.begun(out) is None
    assert start.begun(tmp_path / "run.part") == "interrupted"
    start.train(found, chosen, out)
    rows = RunFolder(out).read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]
    whole = start.train(found, chosen, tmp_path / "whole")
    assert [row["train_loss"] for row in RunFolder(whole).read_metrics()] == [row["train_loss"] for row in rows]


def test_a_finished_part_of_another_folder_is_not_taken(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name, hue in (("green", 1), ("blue", 2)):
        (other / name).mkdir(parents=True)
        for i in range(6):
            photo(700 + 10 * hue + i, hue).save(other / name / f"{i}.jpg")
    quick(start.look(other), tmp_path / "run").rename(tmp_path / "run.part")  # as a kill leaves it
    run = quick(start.look(folder), tmp_path / "run")
    assert alexnet.load(run).class_names == ("blue", "red")
