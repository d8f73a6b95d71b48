"""`alexnet train` as a process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file


def test_the_run_folder_is_whole(digits_run: Path) -> None:
    names = {str(path.relative_to(digits_run)) for path in digits_run.rglob("*") if path.is_file()}
    assert names == {
        "recipe.json",
        "metrics.jsonl",
        "checkpoint/state.pt",
        "model.safetensors",
        "result.json",
        "report.html",
    }
    result = json.loads((digits_run / "result.json").read_text())
    assert {"test_top1", "test_top5", "test_loss", "n_test", "params", "train_s", "epochs", "seed"} <= result.keys()
    assert result["n_test"] == 359
    assert result["epochs"] == 4
    assert result["test_top1"] > 0.9
    rows = [json.loads(line) for line in (digits_run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert {"train_loss", "train_top1", "val_top1", "images_per_s", "elapsed_s", "lr"} <= rows[0].keys()
    recipe = json.loads((digits_run / "recipe.json").read_text())
    assert recipe["recipe"]["name"] == "digits"
    assert recipe["recipe"]["seed"] == 0
    assert {"torch", "alexnet", "python", "cpu"} <= recipe["environment"].keys()
    with safe_open(digits_run / "model.safetensors", "pt") as weights:
        assert "class_names" in str(weights.metadata())


def test_it_ends_by_naming_run_and_report(alexnet, tmp_path: Path) -> None:
    done = alexnet("train", "digits", "--epochs", 1, "--seed", 3, "--batch-size", 100, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *_, run, report = done.stdout.splitlines()
    assert first.startswith("test top-1 0.")
    assert run.startswith("run folder: runs/digits-")
    assert report == f"report:     {run.removeprefix('run folder: ')}/report.html"
    assert (tmp_path / report.removeprefix("report:     ")).is_file()
    assert "epoch   1  train loss" in done.stderr  # one line an epoch where there is no terminal


def test_an_existing_run_is_not_lost(alexnet, digits_run: Path) -> None:
    before = (digits_run / "model.safetensors").read_bytes()
    done = alexnet("train", "digits", "--out", digits_run)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"alexnet: {digits_run} is not empty: continue that run with `alexnet train --resume {digits_run}`, "
        "replace it with --overwrite, or name another --out"
    ]
    assert (digits_run / "model.safetensors").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_resumed(alexnet, tmp_path: Path, number: int, status: int) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "alexnet", "train", "digits", "--epochs", "200", "--out", str(run)]
    training = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert training.stderr is not None
    for line in training.stderr:
        if line.startswith("epoch "):
            break
    training.send_signal(number)
    said = training.stderr.read()
    training.stderr.close()
    assert training.wait() == status
    assert f"continue with: alexnet train --resume {run}" in said
    assert "Traceback" not in said
    done_epochs = len((run / "metrics.jsonl").read_text().splitlines())
    assert 1 <= done_epochs < 200

    again = subprocess.Popen([*command[:4], "--resume", str(run)], stderr=subprocess.PIPE, text=True)
    assert again.stderr is not None
    lines = [line for line in (again.stderr.readline() for _ in range(2)) if line.startswith("epoch ")]
    again.kill()
    again.wait()
    again.stderr.close()
    assert lines[0].split()[1] == str(done_epochs + 1)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--epochs", "0"], "epochs must be 1 or more, not 0"),
        (["--optimizer.lr", "-1"], "optimizer.lr must be positive"),
        (["--model.name", "alexnet"], "alexnet needs images of at least 67 px, not 32: enlarge them with --image-px"),
        (["--data", "no/such/folder"], "neither the name of a source"),
        (["--device", "cuda:99"], "device cuda:99 asked for"),
        (["--resume", "nowhere"], "drop the recipe and all other flags"),
        (["--optimizer.name", "adamw", "--optimizer.momentum", "0.9"], "optimizer.momentum is not used by adamw"),
        (["--model.pool-px", "-1"], "alexnet: model.pool_px must be 2 or 3, not -1"),
        (["--optimizer.lr", "nan"], "alexnet: optimizer.lr must be finite and at most 1e+12, not nan"),
        (["--learning-rate", "1"], "Unrecognized options: --learning-rate"),
    ],
)
def test_mistakes_are_answered_in_a_line_or_two(alexnet, tmp_path: Path, flags: list[str], says: str) -> None:
    done = alexnet("train", "digits", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_debug_shows_where(alexnet, tmp_path: Path) -> None:
    done = alexnet("train", "--resume", tmp_path, "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_scalars_for_tensorboard(alexnet, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra alexnet[track] is not installed")
    done = alexnet("train", "digits", "--epochs", 1, "--track", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_recipe_of_another_name_keeps_it_and_is_repeated_from_its_file(alexnet, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('name = "of_mine"\ndata = "digits"\nepochs = 1\ntrain_images = 64\nthreads = 1')
    done = alexnet("train", "my.toml", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = re.sub("</?span>", "", (tmp_path / "run/report.html").read_text())
    assert "alexnet train run/recipe.json --data digits" in report
    done = alexnet("train", "run/recipe.json", "--data", "digits", "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "again/recipe.json").read_text())["recipe"]["name"] == "of_mine"
    again, run = (load_file(tmp_path / name / "model.safetensors") for name in ("again", "run"))
    assert all(torch.equal(again[name], run[name]) for name in run)
