"""The whole, on small data: the page, the values and the pictures."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import alexnet
from alexnet import baseline
from alexnet.data import from_arrays
from alexnet.errors import UserError
from alexnet.explain import explain, write
from alexnet.explain.words import WORDS
from tests.explain.conftest import classifier_of


def dataset(names: tuple[str, ...], px: int = 32, n: int = 40, channels: int = 3):
    generator = np.random.default_rng(0)
    shape = (n, px, px, channels) if channels == 3 else (n, px, px)
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(n) % len(names)
    return from_arrays(pixels, labels, names, test=(pixels[: n // 2], labels[: n // 2]))


@pytest.fixture
def tiny(make):
    return make("tiny_alexnet", dropout=0.5).classifier


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr("alexnet.explain.run._MOST_STEPS", 2)
    monkeypatch.setattr("alexnet.explain.run._FEWEST_STEPS", 2)
    monkeypatch.setattr("alexnet.explain.images._OCCLUSION_MACS", 1e8)
    monkeypatch.setattr("alexnet.explain.run._SANITY_MACS", 1e9)


pytestmark = pytest.mark.usefixtures("fast")


def test_all_of_it(tiny, tmp_path):
    parts: list[str] = []
    found = explain(
        tiny,
        data=dataset(tiny.class_names),
        cache=tmp_path / ".cache",
        on_progress=lambda part, *_: parts.append(part),
    )
    page = write(found, tmp_path, "en")
    values = json.loads((tmp_path / "explain.json").read_text(encoding="utf-8"))
    html = page.read_text(encoding="utf-8")
    assert {"channels", "ablation conv1", "features", "map", "visualisation", "images", "sanity check"} <= set(parts)
    assert values["images"] == 20
    assert [layer["name"] for layer in values["layers"]] == ["conv1", "conv2", "conv3", "fc4", "fc5", "fc6"]
    assert values["layers"][0]["receptive_field"] == {"size_px": [6, 6], "first_px": [-2, -2], "step_px": [2, 2]}
    assert [len(channels) for channels in values["channels"].values()] == [32, 32, 32, 256, 256]
    assert {name: len(table["channels"]) for name, table in values["ablation"].items()} == {
        "conv1": 32, "conv2": 32, "conv3": 32, "fc4": 256, "fc5": 256
    }  # fmt: skip
    assert values["neighbours"]["training_images"] == 35  # 5 of 40 are held out
    assert values["dropout"]["passes"] == 100
    for file in values["files"]:
        assert (tmp_path / file).stat().st_size > 0
    for file in tmp_path.glob("*.png"):
        Image.open(file).verify()
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)  # nothing from elsewhere
    assert "<script" not in html
    assert html.count("<figure>") > 100


def test_again_from_the_cache_is_the_same(tiny, tmp_path):
    data = dataset(tiny.class_names)
    first = explain(tiny, data=data, cache=tmp_path)
    second = explain(tiny, data=data, cache=tmp_path)
    assert first.collected is not None
    assert second.collected is not None
    assert torch.equal(first.collected.log_p_NK, second.collected.log_p_NK)
    assert [m.pixels_NHWC.tolist() for m in first.visualised] == [m.pixels_NHWC.tolist() for m in second.visualised]
    assert str(first.sanity) == str(second.sanity)  # NaN where nothing was asked


def test_without_data_only_what_needs_none(tiny, tmp_path):
    file = tmp_path / "<b>cat.png"
    Image.new("RGB", (50, 40), "green").save(file)
    found = explain(tiny, [file])
    assert found.collected is None
    assert len(found.explained) == 1
    assert set(found.explained[0].attributions) == {"grad_cam", "occlusion", "integrated_gradients"}
    html = write(found, tmp_path / "out", "en").read_text(encoding="utf-8")
    assert "Needs images" in html
    assert "&lt;b&gt;cat" in html
    assert "<b>cat" not in html
    nothing = explain(tiny)
    assert nothing.explained == []
    assert "Needs an image" in write(nothing, tmp_path / "none", "en").read_text(encoding="utf-8")


def test_other_classes_than_the_networks(tiny, tmp_path):
    found = explain(tiny, data=dataset(("x", "y")))
    assert not found.labels_known
    assert found.collected is not None
    assert found.collected.top1 == 1.0  # its own answers
    assert "classes that this network does not know" in write(found, tmp_path, "en").read_text(encoding="utf-8")


def test_the_model_is_left_as_it_was(tiny):
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    tiny.model.train()
    explain(tiny, data=dataset(tiny.class_names))
    assert tiny.model.training
    assert all(p.requires_grad and p.grad is None for p in tiny.model.parameters())
    assert all(torch.equal(before[name], value) for name, value in tiny.model.state_dict().items())


def test_a_module_of_one_s_own(tmp_path):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
            self.head = nn.Linear(8 * 64, 2)

        def forward(self, x):
            return self.head(self.body(x).view(len(x), -1))

    found = explain(classifier_of(Own(), 16, ("a", "b")), data=dataset(("a", "b"), 16))
    assert [layer.name for layer in found.subject.layers] == ["0", "head"]
    assert found.ablations[0].n == 20
    assert found.nearest is not None
    assert found.nearest.found is not None
    write(found, tmp_path)


def test_hand_made_features_say_what_they_lack(tmp_path):
    data = dataset(("a", "b"), 32, 60)
    for name, methods in (("hog_linear", {"occlusion", "integrated_gradients"}), ("pixels_knn", {"occlusion"})):
        run = baseline.fit(baseline.get(name), data, out=tmp_path / name)
        found = explain(run, data=data)
        html = write(found, tmp_path / f"{name}-page", "en").read_text(encoding="utf-8")
        assert found.has_gradients == ("integrated_gradients" in methods)
        assert set(found.explained[0].attributions) == methods
        assert "features are made by hand" in html
        assert ("cannot be differentiated" in html) == (not found.has_gradients)


def test_a_folder_of_other_things_is_left_alone(tiny, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    found = explain(tiny)
    with pytest.raises(UserError, match="holds other files: name a new folder with --out"):
        write(found, tmp_path)
    with pytest.raises(UserError, match="is a file: name a folder"):
        write(found, tmp_path / "thesis.tex")
    with pytest.raises(UserError, match="most_images must be 1 or more"):
        explain(tiny, most_images=0)


def test_both_languages_say_the_same_things(tiny, tmp_path):
    fields = {key: [set(re.findall(r"\{(\w+)\}", text)) for text in texts] for key, texts in WORDS.items()}
    assert [key for key, (en, zh) in fields.items() if en != zh] == []
    tags = {key: [re.findall(r"</?\w+>", text) for text in texts] for key, texts in WORDS.items()}
    assert [key for key, (en, zh) in tags.items() if sorted(en) != sorted(zh)] == []
    html = write(explain(tiny), tmp_path, "zh-TW").read_text(encoding="utf-8")
    assert 'lang="zh-Hant-TW"' in html
    assert "一層一層看" in html


def test_the_room_is_public():
    assert alexnet.explain.explain is explain
