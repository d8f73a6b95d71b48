"""Commands of the README, the tutorial and the page of networks run as they stand, on stand-ins for their data.

The studies have tests of their own; that their commands parse is tested with those of all pages, in tests/docs.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from alexnet import cli
from alexnet.weights import pretrained

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


CHAPTERS = sorted(
    (ROOT / "docs" / "tutorial").glob("*.md"),
    key=lambda page: int(page.stem.partition("-")[0] or 0) if page.stem != "index" else 0,
)
PAGES = [README, (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")]
PAGES += [page.read_text(encoding="utf-8") for page in CHAPTERS]
ON_WHOLE_DATA = ("alexnet study ", "alexnet train tiny_cifar10 --data cifar10 --train-images ")
"""Commands that a few stand-ins cannot serve; `alexnet study --list` needs none."""


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks("sh", page) for line in block.splitlines()]
    lines = [line for line in lines if "--list" in line or not line.startswith(ON_WHOLE_DATA)]
    found = [
        line.removeprefix(".venv/bin/") for line in lines if line.removeprefix(".venv/bin/").startswith("alexnet ")
    ]
    assert len(found) >= 25
    return list(dict.fromkeys(found))


def draw(path: Path, label: int, seed: int, px: int = 32) -> None:
    """An image whose colour tells its class, so that a network has something to learn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    colour = np.random.default_rng(1000 + label).integers(30, 226, 3)
    pixels = colour + rng.integers(-25, 26, (px, px, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all the files the README speaks of."""
    desk = tmp_path_factory.mktemp("desk")
    for label, kind in enumerate(("cat", "dog")):
        for i in range(20):
            draw(desk / "pets" / kind / f"{i:04}.jpg", label, seed=i, px=60 + i)
    draw(desk / "new" / "1.jpg", label=0, seed=1, px=300)
    draw(desk / "cat.jpg", label=0, seed=2, px=200)
    for split, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(CIFAR10):
            for i in range(count):
                draw(desk / "cifar" / split / name / f"{i}.png", label, seed=10 * label + i)
    torch.save(torchvision.models.alexnet().state_dict(), desk / "alexnet-owt-7be5be79.pth")
    (desk / "imagenet_classes.txt").write_text("".join(f"class {i}\n" for i in range(1000)))
    return desk


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("ALEXNET_DATA", str(desk / "cifar"))
    monkeypatch.setattr("webbrowser.open", lambda *_: True)
    return desk


@pytest.fixture
def published_weights(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of torchvision's layout where its published weights would be kept, under its own check sum."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    kept.parent.mkdir(parents=True)
    kept.symlink_to(desk / kept.name)
    entry = pretrained._PUBLISHED["IMAGENET1K_V1"]
    monkeypatch.setitem(
        pretrained._PUBLISHED, "IMAGENET1K_V1", replace(entry, sha256_begins=pretrained.sha256_of(kept)[:8])
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_command(command: str, at_desk: Path, request: pytest.FixtureRequest) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words[:2] == ["train", "digits"] and "--out" in words:
        words += ["--epochs", "2"]  # each of them is the demo with one setting changed
    if "TinyAlex.params" in words or "tiny.safetensors" in words:
        (at_desk / "TinyAlex.params").write_bytes(
            (request.getfixturevalue("test_data") / "TinyAlex.params").read_bytes()
        )
    if "torchvision:IMAGENET1K_V1" in words:
        request.getfixturevalue("published_weights")
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0


@pytest.mark.slow
def test_python(at_desk: Path) -> None:
    (block,) = blocks("python")
    names: dict[str, object] = {}
    exec(block, names)
    assert (at_desk / str(names["run"]) / "report.html").is_file()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_two_screens() -> None:
    assert len(README.splitlines()) <= 110


def test_the_verdicts_are_counted_right() -> None:
    verdicts = [json.loads(path.read_text(encoding="utf-8"))["verdict"] for path in ROOT.glob("studies/*/study.json")]
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    holds, fails, open_ = (words[verdicts.count(v)] for v in ("holds", "does not hold here", "undecided"))
    assert f"{holds} claims of the paper hold here, {fails} do\nnot, {open_} stay undecided" in README
