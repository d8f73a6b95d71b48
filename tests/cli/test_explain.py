"""`alexnet explain`, by the command line's entry, on a network that comes with the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import runtime
from alexnet.cli import main

pytestmark = pytest.mark.usefixtures("fast")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Coarse pictures, and the process as it was afterwards."""
    monkeypatch.setattr("alexnet.explain.run._MOST_STEPS", 2)
    monkeypatch.setattr("alexnet.explain.run._FEWEST_STEPS", 2)
    monkeypatch.setattr("alexnet.explain.run._SANITY_MACS", 1e7)
    monkeypatch.setattr("alexnet.explain.images._OCCLUSION_MACS", 1e7)
    with runtime.preserved():
        yield


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of noise, called bags and coats."""
    folder, generator = tmp_path_factory.mktemp("clothes"), np.random.default_rng(0)
    for split, n in (("train", 12), ("test", 6)):
        for name in ("Bag", "Coat"):
            (folder / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = generator.integers(0, 256, (28, 28), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, words)))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_a_page(capsys, clothes, tmp_path):
    words = ("explain", "lenet_fashion", "--data", clothes, "--out", tmp_path / "page", "--language")
    status, out, err = run(capsys, *words, "en")
    assert status == 0, err
    values = json.loads((tmp_path / "page" / "explain.json").read_text(encoding="utf-8"))
    assert f"page: {tmp_path / 'page' / 'explain.html'}" in out
    assert "12 images, 226 channels switched off in turn" in out
    assert "correlation with shuffled weights" in out
    assert "nearest of 22 training images" in out  # one of each class is held out
    assert values["labels_known"]
    assert {name: len(table["channels"]) for name, table in values["ablation"].items()} == {
        "conv1": 6, "conv2": 16, "fc3": 120, "fc4": 84
    }  # fmt: skip
    assert "ablation conv1 (12)" in err
    assert "Level by level" in (tmp_path / "page" / "explain.html").read_text(encoding="utf-8")
    status, _, err = run(capsys, *words, "zh-TW")
    assert status == 0, err
    assert "ablation" not in err  # it was kept
    assert "一層一層看" in (tmp_path / "page" / "explain.html").read_text(encoding="utf-8")


def test_one_image_without_data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (40, 30), 200).save("grey.png")
    status, _, err = run(capsys, "explain", "lenet_fashion", "grey.png")
    assert status == 0, err
    values = json.loads(Path("explain-lenet_fashion/explain.json").read_text(encoding="utf-8"))
    assert values["explained"][0]["image"] == "grey.png"
    assert values["ablation"] == {}


def test_wrong_use_is_said_in_a_line(capsys, tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    (tmp_path / "broken.png").write_bytes(b"no image")
    page = ("--out", tmp_path / "page")
    for words, said in (
        (("nosuch", *page), "nosuch"),
        (("lenet_fashion", "--out", tmp_path), "holds other files: name a new folder with --out"),
        (("lenet_fashion", tmp_path / "broken.png", *page), "broken.png"),
        (("lenet_fashion", "--data", tmp_path / "nowhere", *page), "nowhere"),
        (("lenet_fashion", "--most-images", 0, *page), "most_images must be 1 or more"),
    ):
        status, _, err = run(capsys, "explain", *words)
        assert status == 2, words
        assert said in err
        assert len(err.strip().splitlines()) <= 2, err
    assert not (tmp_path / "page" / "explain.html").exists()
