"""Broken files, duplicates and wrong labels of a folder, and moving them aside and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import cleaning, models, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.cleaning.find import out_of_fold
from alexnet.errors import UserError

find_module = sys.modules["alexnet.cleaning.find"]  # the package has a function of that name


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of random weights: enough to tell colours apart."""
    options = {"num_classes": 2, "in_channels": 3, "image_px": 16}
    net = models.create("tiny_alexnet", **options)
    models.initialize(net, "kaiming", torch.Generator().manual_seed(0))
    how = Preprocessing(image_px=16, in_channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    file = tmp_path_factory.mktemp("weights") / "net.safetensors"
    weights.save(
        file, net, ModelCard(model="tiny_alexnet", options=options, class_names=("a", "b"), preprocessing=how)
    )
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Red and blue noise, with one of each in the other's folder, a copy and a broken file."""
    rng = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (tmp_path / name).mkdir()
        for i in range(20):
            pixels = rng.integers(0, 60, (24, 30, 3), dtype=np.uint8)
            pixels[..., channel if i else 2 - channel] += 160
            Image.fromarray(pixels).save(tmp_path / name / f"{i:02d}.png")
    (tmp_path / "red/copy.png").write_bytes((tmp_path / "red/05.png").read_bytes())
    (tmp_path / "blue/broken.png").write_bytes(b"no image")
    return tmp_path


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_features_are_computed_once(folder: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cleaning.find(folder, network)
    monkeypatch.setattr(find_module, "log_probabilities", None)
    assert cleaning.find(folder, network) == first
    (folder / "red/06.png").write_bytes((folder / "blue/06.png").read_bytes())
    with pytest.raises(TypeError):
        cleaning.find(folder, network)


def test_what_is_wrong_is_found_moved_and_put_back(folder: Path, network: Path, tmp_path_factory) -> None:
    before = files_of(folder)
    found = cleaning.find(folder, network)
    assert found.images == 42
    assert [Path(each.path).name for each in found.bad] == ["broken.png"]
    assert [set(files) for files, is_exact in found.groups if is_exact] == [{"red/05.png", "red/copy.png"}]
    assert {each.file for each in found.suspects[:2]} == {"red/00.png", "blue/00.png"}
    assert {each.file for each in found.likely_wrong()} >= {"red/00.png", "blue/00.png"}

    out = tmp_path_factory.mktemp("out")
    cleaning.write_page(out / "clean.html", found)
    page = (out / "clean.html").read_text()
    assert page.count("data:image") >= 40
    assert "red/00.png" in page
    assert "http" not in page.replace("http-equiv", "")

    moves = cleaning.proposed(found)
    moves["moves"] = [move for move in moves["moves"] if not move["file"].startswith("blue/00")]
    (out / "moves.json").write_text(json.dumps(moves))
    gone = {move["file"] for move in moves["moves"]}
    assert {"red/00.png", "blue/broken.png"} <= gone
    assert len({"red/05.png", "red/copy.png"} & gone) == 1
    assert cleaning.apply(out / "moves.json", folder) == len(gone)
    assert cleaning.apply(out / "moves.json", folder) == 0
    assert files_of(folder) - {"_set_aside/moved.json"} == (before - gone) | {f"_set_aside/{name}" for name in gone}
    assert cleaning.find(folder, network).images == 42 - len(gone)  # what is aside is not looked at
    assert cleaning.undo(folder) == len(gone)
    assert files_of(folder) == before
    assert not (folder / "_set_aside").exists()
    with pytest.raises(UserError, match=r"nothing .* was set aside"):
        cleaning.undo(folder)


def test_a_file_that_took_a_place_is_not_lost(folder: Path, tmp_path_factory) -> None:
    moves = tmp_path_factory.mktemp("out") / "moves.json"
    names = ["red/01.png", "red/02.png"]
    moves.write_text(json.dumps({"folder": str(folder), "moves": [{"file": name, "why": ""} for name in names]}))
    cleaning.apply(moves, folder)
    (folder / "red/01.png").write_bytes(b"another")
    with pytest.raises(UserError, match=r"red/01.png exists, so it was not put back"):
        cleaning.undo(folder)
    assert (folder / "red/01.png").read_bytes() == b"another"
    assert (folder / "_set_aside/red/01.png").is_file()
    assert (folder / "red/02.png").is_file()
    (folder / "red/01.png").unlink()
    assert cleaning.undo(folder) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read the moves"),
        ('{"folder": "/elsewhere", "moves": []}', "is for /elsewhere, not for"),
        (
            '{"folder": "FOLDER", "moves": [{"file": "red/01.png"}, {"file": "../x"}]}',
            r"names \.\./x, which is not in",
        ),
        ('{"folder": "FOLDER", "moves": [{"file": "/etc/passwd"}]}', "names /etc/passwd"),
    ],
)
def test_moves_that_are_not_safe_are_refused_whole(folder: Path, tmp_path_factory, text: str, says: str) -> None:
    moves = tmp_path_factory.mktemp("out") / "moves.json"
    moves.write_text(text.replace("FOLDER", str(folder)))
    before = files_of(folder)
    with pytest.raises(UserError, match=says):
        cleaning.apply(moves, folder)
    assert files_of(folder) == before


def test_out_of_fold_answers_know_neither_the_image_nor_its_duplicates() -> None:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(100) % 2
    features_ND = torch.randn(100, 400, generator=generator)  # nothing to learn but by heart
    features_ND[50:] = features_ND[:50]
    groups = [(i, i + 50) for i in range(50)]
    apart = out_of_fold(features_ND, labels_N, 2, groups)
    together = out_of_fold(features_ND, labels_N, 2, [])
    assert (apart.argmax(1) == labels_N).double().mean() < 0.7
    assert (together.argmax(1) == labels_N).double().mean() > 0.75
