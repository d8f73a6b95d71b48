"""The other commands as processes: what they print, where, and their exit status."""

from __future__ import annotations

import html
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow


def test_help_needs_no_torch(alexnet) -> None:
    done = alexnet("--help")
    assert done.returncode == 0
    for command in ("train", "evaluate", "predict", "convert", "data", "recipes", "models"):
        assert command in done.stdout
    probe = "import sys\ntry:\n alexnet.cli.main(['train', '--help'])\nfinally:\n print('torch' in sys.modules)"
    import subprocess

    lines = subprocess.run(
        [sys.executable, "-c", f"import alexnet.cli\n{probe}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert lines[-1] == "False"


def test_version(alexnet) -> None:
    import alexnet as package

    assert alexnet("--version").stdout == f"alexnet {package.__version__}\n"


def test_evaluate_json_is_alone_on_stdout_and_repeats_the_result(alexnet, digits_run: Path) -> None:
    done = alexnet("evaluate", digits_run, "--data", "digits", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    result = json.loads((digits_run / "result.json").read_text())
    assert values["n"] == result["n_test"]
    assert values["top1"] == result["test_top1"]
    assert values["top5"] == result["test_top5"]
    assert values["loss"] == pytest.approx(result["test_loss"], rel=1e-6)
    assert {"ece", "classes", "confusion", "top1_interval"} <= values.keys()
    assert [c["name"] for c in values["classes"]] == list("0123456789")


def test_evaluate_for_people_and_more_views(alexnet, digits_run: Path) -> None:
    done = alexnet("evaluate", digits_run / "model.safetensors", "--data", "digits", "--views", "2", "--split", "val")
    assert done.returncode == 0, done.stderr
    assert "145 images: top-1 0." in done.stdout
    assert "precision" in done.stdout


def test_evaluate_refuses_strange_classes(alexnet, digits_run: Path, pets: Path) -> None:
    done = alexnet("evaluate", digits_run, "--data", pets)
    assert done.returncode == 2
    assert "the data has 2 class(es) the model does not know: cat, dog" in done.stderr


def test_evaluate_refuses_a_number_of_views(alexnet, digits_run: Path) -> None:
    done = alexnet("evaluate", digits_run, "--data", "digits", "--views", "3")
    assert done.returncode == 2
    assert "views must be 1, 2" in done.stderr


def test_evaluate_several_places_of_each_image(alexnet, digits_run: Path) -> None:
    for views in ("5", "dense"):
        done = alexnet("evaluate", digits_run, "--data", "digits", "--views", views, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["n"] == 359


def test_evaluate_several_networks_together(alexnet, digits_run: Path, tmp_path: Path) -> None:
    weights = tmp_path / "other name.safetensors"
    weights.write_bytes((digits_run / "model.safetensors").read_bytes())
    alone = json.loads(alexnet("evaluate", digits_run, "--data", "digits", "--json").stdout)
    done = alexnet("evaluate", digits_run, weights, "--data", "digits", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    members = values.pop("members")
    assert [member.pop("model") for member in members] == [str(digits_run), str(weights)]
    assert members == [alone, alone]
    assert values["top1"] == alone["top1"]
    assert values["loss"] == pytest.approx(alone["loss"], rel=1e-6)
    told = alexnet("evaluate", digits_run, weights, "--data", "digits")
    assert "2 networks together on digits, test split, 1 view(s)" in told.stdout
    assert f"{weights}: top-1 0." in told.stdout


def test_evaluate_needs_a_network(alexnet) -> None:
    done = alexnet("evaluate", "--data", "digits")
    assert done.returncode == 2


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for i in range(8):
            pixels = rng.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name} [{i}].png")
    return folder


def test_predict_goes_on_after_a_bad_file(alexnet, digits_run: Path, pets: Path) -> None:
    bad = pets.parent / "not a picture.jpg"
    bad.write_text("hello")
    done = alexnet("predict", digits_run, bad, pets / "cat", f"{pets}/dog/dog ?[1-3]].png", "--top", 2, "--json")
    assert done.returncode == 1
    assert str(bad) in done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 8 + 3
    assert answers[0]["file"] == str(pets / "cat" / "cat [0].png")
    for answer in answers:
        first, second = answer["classes"]
        assert 1 >= first["probability"] >= second["probability"] >= 0


def test_predict_for_people(alexnet, digits_run: Path, pets: Path) -> None:
    file = pets / "cat" / "cat [0].png"
    done = alexnet("predict", digits_run, file, "--top", 3)
    assert done.returncode == 0
    path, answer = done.stdout.rstrip("\n").rsplit(": ", 1)
    assert path == str(file)
    assert answer.count("%") == 3


@pytest.mark.parametrize("words", [["no-such-run", "x.png"], ["."], [".", "*.nothing"]])
def test_predict_mistakes(alexnet, words: list[str], tmp_path: Path) -> None:
    done = alexnet("predict", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_train_on_a_folder_of_photographs(alexnet, pets: Path, tmp_path: Path) -> None:
    """Mixed sizes, no split made by hand: the default recipe takes them as they are."""
    done = alexnet("train", "--data", pets, "--epochs", 1, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    origin = json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["origin"]
    assert origin["image_px"] == 32
    again = alexnet("evaluate", tmp_path / "run", "--data", pets, "--json")
    assert json.loads(again.stdout)["n"] == json.loads((tmp_path / "run" / "result.json").read_text())["n_test"]


def test_data_check_names_each_bad_file(alexnet, pets: Path, tmp_path: Path) -> None:
    good = alexnet("data", "check", pets)
    assert (good.returncode, good.stdout) == (0, "16 files checked, 0 bad\n")
    broken = tmp_path / "pets" / "cat"
    broken.mkdir(parents=True)
    (tmp_path / "pets" / "dog").mkdir()
    whole = (pets / "cat" / "cat [0].png").read_bytes()
    (broken / "cut.png").write_bytes(whole[: len(whole) // 2])
    (broken / "text.jpg").write_text("no image")
    (tmp_path / "pets" / "dog" / "fine.png").write_bytes(whole)
    done = alexnet("data", "check", tmp_path / "pets")
    assert done.returncode == 1
    assert "cut.png" in done.stdout
    assert "text.jpg" in done.stdout
    assert "fine.png" not in done.stdout


def test_data_info(alexnet, pets: Path) -> None:
    assert json.loads(alexnet("data", "info", "digits", "--json").stdout)["classes"] == list("0123456789")
    assert "cat, dog" in alexnet("data", "info", pets).stdout


def test_convert_refuses_what_it_cannot_do(alexnet, tmp_path: Path) -> None:
    (tmp_path / "w.params").write_bytes(b"nonsense")
    flags = ("--model", "tiny_alexnet", "--classes", "cifar10")
    for words in (("w.params", "out.bin"), ("w.params", "out.safetensors"), ("missing.params", "out.safetensors")):
        done = alexnet("convert", *words, *flags, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("alexnet: ")
        assert not (tmp_path / words[1]).exists()


def test_convert_finds_the_network_and_says_where_weights_came_from(alexnet, tmp_path: Path) -> None:
    import torch

    from alexnet import models, weights

    torch.save(models.tiny_alexnet().state_dict(), tmp_path / "net.pt")
    done = alexnet("convert", "net.pt", "net.safetensors", "--mean", 0.5, 0.5, 0.5, "--std", 1, 1, 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "net.safetensors: tiny_alexnet, 10 classes, 32 px"
    assert second.startswith("from net.pt (PyTorch state dict, sha256 ")
    card = weights.read_card(tmp_path / "net.safetensors")
    assert card.class_names == tuple("0123456789")
    assert card.preprocessing.mean == (0.5,) * 3


def test_convert_explains_a_mean_it_does_not_take(alexnet, tmp_path: Path) -> None:
    import torch

    from alexnet import models

    torch.save(models.tiny_alexnet().state_dict(), tmp_path / "net.pt")
    for mean, problem in (
        ((104, 117, 123), "in 0..1, red first: divide by 255, --mean 0.4078 0.4588 0.4824"),
        (("a", "b"), "takes one file, or a number for each channel"),
        (("mean.npy",), "is no .caffemodel: drop --mean mean.npy"),
    ):
        done = alexnet("convert", "net.pt", "net.safetensors", "--mean", *mean, cwd=tmp_path)
        assert done.returncode == 2
        assert problem in done.stderr


def test_lists(alexnet) -> None:
    recipes = json.loads(alexnet("recipes", "--json").stdout)
    assert {
        "digits",
        "tutorial_tiny",
        "tutorial_tiny_momentum",
        "tiny_cifar10",
        "tiny_cifar10_best",
    } <= recipes.keys()
    models = json.loads(alexnet("models", "--networks", "--json").stdout)
    assert models["alexnet_2012"]["parameters"] == 60_965_224
    assert "tiny_cifar10_best" in alexnet("recipes").stdout
    assert "60,965,224" in alexnet("models").stdout


def test_start_twice(alexnet, pets: Path, tmp_path: Path) -> None:
    begin = ("start", pets, "--no-open", "--out", tmp_path / "run")
    done = alexnet(*begin, "--minutes", 0.0001)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "found 16 images of 2 classes: 8 of each"
    assert lines[1].startswith("split: ")
    assert any(line.startswith("plan: a linear classifier on the features of small, fitted to ") for line in lines)
    assert f"  alexnet predict {tmp_path / 'run'} PHOTO ..." in done.stdout
    report = (tmp_path / "run/report.html").read_text().replace("<span>", "").replace("</span>", "")
    assert f"alexnet start {shlex.quote(str(pets))}" in html.unescape(report)
    again = alexnet(*begin)
    assert again.returncode == 0, again.stderr
    assert f"nothing is new since {tmp_path / 'run'} was trained" in again.stdout
    longer = alexnet(*begin, "--minutes", 0.0001)
    assert f"on the features of {tmp_path / 'run'}, fitted to" in longer.stdout
    assert (tmp_path / "run.previous/result.json").is_file()


def test_clean_moves_nothing_by_itself(alexnet, pets: Path, tmp_path: Path) -> None:
    before = sorted(pets.rglob("*"))
    done = alexnet("data", "clean", pets, tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 16
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clean.html", "moves.json"}
    assert sorted(pets.rglob("*")) == before
    wrong = alexnet("data", "clean", pets, "--undo")
    assert (wrong.returncode, wrong.stderr.count("nothing of")) == (2, 1)
    unused = alexnet("data", "info", pets, "--undo")
    assert (unused.returncode, unused.stderr.count("data info does not use --undo")) == (2, 1)
