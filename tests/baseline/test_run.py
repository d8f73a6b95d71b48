"""From a name and images to a run folder that everything else takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from alexnet import baseline, weights
from alexnet.baseline import extract
from alexnet.baseline.finish import repeat_command
from alexnet.card import Preprocessing
from alexnet.data import Dataset, Images
from alexnet.errors import UserError
from alexnet.evaluation import load
from alexnet.models import pipelines

SMALL: dict[str, dict[str, int]] = {
    "hog_rbf": {"landmarks": 20},
    "visual_words": {"words": 6},
    "kmeans_features": {"words": 6},
}


def draw(folder: Path, count: int, seed: int) -> None:
    """Images of stripes: upright in one class, level in the other, each of its own colour."""
    rng = np.random.default_rng(seed)
    for name, colour in (("upright", (200, 80, 60)), ("level", (60, 80, 200))):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            wave = np.sin(np.arange(20) * rng.uniform(0.8, 1.6) + rng.uniform(0, 6))
            stripes = np.broadcast_to(wave if name == "upright" else wave[:, None], (20, 20))[..., None]
            pixels = np.array(colour) + 50 * stripes + rng.normal(0, 12, (20, 20, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{i}.png")


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stripes")
    draw(folder / "train", 40, seed=0)
    draw(folder / "test", 15, seed=1)
    return folder


def recipe_of(name: str, **changes: Any) -> baseline.BaselineRecipe:
    return replace(baseline.get(name), **SMALL.get(name, {}), threads=1, device="cpu", **changes)


@pytest.mark.parametrize("name", baseline.names())
def test_every_baseline_from_images_to_predictions(name, stripes, tmp_path):
    run = baseline.fit(recipe_of(name), stripes, out=tmp_path / "run")
    assert {path.name for path in run.iterdir()} == {
        "recipe.json",
        "metrics.jsonl",
        "model.safetensors",
        "result.json",
        "report.html",
    }
    result = json.loads((run / "result.json").read_text())
    assert result["test_top1"] >= 0.9
    assert result["n_test"] == 30
    assert {"params", "train_s", "epochs", "seed", "chosen", "features"} <= result.keys()

    classifier = load(run, device="cpu")
    evaluation = classifier.evaluate(str(stripes))
    assert evaluation.top1 == result["test_top1"]
    assert evaluation.loss == pytest.approx(result["test_loss"], rel=1e-6)
    assert classifier.predict(stripes / "test" / "upright" / "0.png").label == "upright"
    assert f"{name} on" in (run / "report.html").read_text(encoding="utf-8")


def test_it_is_saved_as_plain_arrays(stripes, tmp_path):
    run = baseline.fit(recipe_of("pixels_knn"), stripes, out=tmp_path / "run")
    with safe_open(run / "model.safetensors", "pt") as file:
        assert file.get_tensor("classifier.0.kept_RD").dtype == torch.uint8
        assert file.get_tensor("classifier.0.labels_R").dtype == torch.int64
    for path in run.iterdir():
        if path.suffix != ".safetensors":
            path.read_text(encoding="utf-8")  # the others are text


def test_saved_and_read_again_it_is_the_same(stripes, tmp_path):
    run = baseline.fit(recipe_of("kmeans_features"), stripes, out=tmp_path / "run")
    first, card = weights.load(run)
    weights.save(tmp_path / "copy.safetensors", first, card)
    second, other_card = weights.load(tmp_path / "copy.safetensors")
    assert isinstance(second, pipelines.Pipeline)
    assert card == other_card
    x = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x), second(x))


def test_the_same_seed_gives_the_same_weights(stripes, tmp_path):
    recipe = recipe_of("kmeans_features")
    runs = [baseline.fit(recipe, stripes, out=tmp_path / str(i)) for i in range(2)]
    first, second = (weights.load(run)[0].state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = weights.load(baseline.fit(replace(recipe, seed=1), stripes, out=tmp_path / "other"))[0].state_dict()
    assert not torch.equal(first["features.0.words_MP"], other["features.0.words_MP"])


def test_the_test_split_can_stay_closed(stripes, tmp_path, monkeypatch):
    def opened(*_: object) -> None:
        raise AssertionError("the test split was opened")

    real = Dataset.split
    monkeypatch.setattr(Dataset, "split", lambda self, name: opened() if name == "test" else real(self, name))
    run = baseline.fit(recipe_of("hog_linear", open_test=False), stripes, out=tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "val"
    assert result["n_val"] == 8
    assert not any(key.startswith("test") for key in result)


def test_a_closed_test_split_is_measured_as_the_settings_were(stripes, tmp_path):
    """Nothing is fitted to the held-out images, so the result is the best trial's."""
    run = baseline.fit(recipe_of("hog_color_linear", open_test=False), stripes, out=tmp_path / "run")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert json.loads((run / "result.json").read_text())["val_top1"] == max(row["val_top1"] for row in rows)


def test_the_command_repeats_the_run(stripes):
    recipe = recipe_of("kmeans_features", loss="logistic", data="pets", open_test=False)
    flags = "--no-open-test --device cpu --threads 1 --loss logistic --words 6"
    assert repeat_command(recipe, None) == f"alexnet baseline kmeans_features --data pets {flags}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"val_fraction": 0.0}, "chooses its settings on held-out images"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"words": 0}, "words must be 1 or more"),
        ({"landmarks": 0}, "landmarks must be 1 or more"),
    ],
)
def test_values_out_of_range(changes, says):
    name = "hog_rbf" if "landmarks" in changes else "visual_words"
    with pytest.raises(UserError, match=says):
        replace(baseline.get(name), **changes)


def test_mps_is_refused(tmp_path):
    with pytest.raises(UserError, match="mps has no fp64"):
        baseline.fit(replace(baseline.get("hog_linear"), device="mps"), "digits", out=tmp_path / "run")


def test_unknown_names():
    with pytest.raises(UserError, match="unknown baseline 'hog': choose one of pixels_knn, hog_linear"):
        baseline.get("hog")
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        baseline.train  # noqa: B018


def small_dataset(seed: int = 0) -> Dataset:
    def images(count: int) -> Images:
        x = torch.randint(0, 256, (count, 16, 16, 3), generator=torch.Generator().manual_seed(seed))
        return Images(x.byte(), torch.arange(count) % 2)

    return Dataset("small", ("a", "b"), images(10), images(4), open_test=lambda: images(4), origin={})


HOW = Preprocessing(image_px=16, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)


def test_features_are_computed_once(monkeypatch):
    layer = pipelines.extractor("hog_linear", 3, 16)
    first = extract.extract(layer, small_dataset(), HOW, torch.device("cpu"))
    assert not first.from_cache
    monkeypatch.setattr(extract, "_compute", lambda *_: pytest.fail("computed again"))
    again = extract.extract(layer, small_dataset(), HOW, torch.device("cpu"))
    assert again.from_cache
    assert torch.equal(first.x_ND, again.x_ND)
    assert torch.equal(again.train[0], layer(small_dataset().train.pixels_NHWC.permute(0, 3, 1, 2) / 255))
    assert len(again.val[0]) == 4


def test_features_that_do_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr(extract.system, "available_bytes", lambda: 14 * 1764 * 4 - 1)
    with pytest.raises(UserError, match=r"features of 14 images take 0\.0 GB"):
        extract.extract(pipelines.extractor("hog_linear", 3, 16), small_dataset(seed=5), HOW, torch.device("cpu"))


def test_other_images_or_other_features_are_not_taken_from_the_cache():
    layers = [pipelines.extractor("hog_linear", 3, 16), pipelines.extractor("hog_color_linear", 3, 16)]
    words = pipelines.VisualWords(16, 3)
    words.words_MP.data[0, 0] = 1
    layers += [pipelines.VisualWords(16, 3), words]
    keys = [
        extract._key(layer, (data.train, data.val))
        for layer in layers
        for data in (small_dataset(), small_dataset(1))
        if data.val is not None
    ]
    assert len(set(keys)) == 8
