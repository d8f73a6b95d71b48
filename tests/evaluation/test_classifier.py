"""Predictions on files and pixels."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet import models, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.errors import UserError
from alexnet.evaluation import Classifier, Failure, Prediction, load
from alexnet.evaluation import classifier as module
from alexnet.runtime import Runtime

FP32 = Runtime(torch.device("cpu"), torch.float32, 1)
NAMES = ("ant", "bee", "cat", "dog")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def classifier_of(in_channels: int) -> Classifier:
    options = {"num_classes": 4, "in_channels": in_channels, "image_px": 16}
    net = models.tiny_alexnet(**options)
    models.initialize(net, "kaiming", torch.Generator().manual_seed(0))
    how = Preprocessing(image_px=16, in_channels=in_channels, mean=MEAN[:in_channels], std=STD[:in_channels])
    card = ModelCard(model="tiny_alexnet", options=options, class_names=NAMES, preprocessing=how)
    return Classifier(net, card, FP32)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return classifier_of(3)


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=shape or (16, 16, 3), dtype=np.uint8)


def expected(classifier: Classifier, x_HWC: np.ndarray) -> dict[str, float]:
    """Class probabilities of an image that has the network's size, by the definition."""
    x_CHW = torch.from_numpy((x_HWC / 255 - MEAN) / STD).permute(2, 0, 1).float()
    with torch.inference_mode():
        p_K = classifier.model(x_CHW[None])[0].softmax(0)
    return dict(zip(NAMES, p_K.tolist(), strict=True))


def near(got: Prediction, want: Prediction | dict[str, float]) -> None:
    wanted = want if isinstance(want, dict) else dict(want.classes)
    assert dict(got.classes) == pytest.approx(wanted, abs=1e-5)


def write(path: Path, x: np.ndarray) -> Path:
    Image.fromarray(x).save(path)
    return path


def test_pixels(classifier):
    got = classifier.predict(pixels(0))
    near(got, expected(classifier, pixels(0)))
    assert got.file is None
    assert len(got.classes) == 4
    p = [p for _, p in got.classes]
    assert p == sorted(p, reverse=True)
    assert sum(p) == pytest.approx(1, abs=1e-6)
    assert got.label == got.classes[0][0] == max(expected(classifier, pixels(0)).items(), key=lambda c: c[1])[0]


def test_a_file_by_path_or_name(classifier, tmp_path):
    file = write(tmp_path / "cat.png", pixels(1))
    for name in (file, str(file)):
        got = classifier.predict(name)
        near(got, expected(classifier, pixels(1)))
        assert got.file == str(file)


def test_a_list_may_mix_files_and_pixels(classifier, tmp_path):
    file = write(tmp_path / "a.png", pixels(2))
    got = classifier.predict([pixels(3), file, pixels(4)])
    assert [prediction.file for prediction in got] == [None, str(file), None]
    for prediction, seed in zip(got, (3, 2, 4), strict=True):
        near(prediction, expected(classifier, pixels(seed)))
    assert classifier.predict([]) == []
    assert len(classifier.predict((file,))) == 1


def test_top(classifier):
    everything = classifier.predict(pixels(5), top=4).classes
    assert classifier.predict(pixels(5), top=2).classes == everything[:2]
    assert classifier.predict(pixels(5), top=1).classes == everything[:1]
    assert classifier.predict(pixels(5), top=100).classes == everything  # no more than there are
    for top in (0, -1):
        with pytest.raises(UserError, match=f"top must be 1 or more, not {top}"):
            classifier.predict(pixels(5), top=top)


def test_to_json(classifier):
    got = classifier.predict(pixels(5), top=1)
    name, p = got.classes[0]
    assert json.loads(json.dumps(got.to_json())) == {
        "file": None,
        "classes": [{"name": name, "probability": p}],
        "answer": name,
    }


def test_a_large_image_is_brought_to_size(classifier, tmp_path):
    flat = np.full((48, 48, 3), (200, 30, 90), np.uint8)
    near(classifier.predict(write(tmp_path / "flat.png", flat)), expected(classifier, flat[:16, :16]))


@pytest.mark.parametrize(("height", "width"), [(16, 40), (40, 16), (17, 16)])
def test_the_centre_square_is_seen(classifier, height, width):
    image = pixels(6, height, width, 3)
    top, left = (height - 16) // 2, (width - 16) // 2
    near(classifier.predict(image), expected(classifier, image[top : top + 16, left : left + 16]))


def test_the_whole_picture_is_seen_where_training_saw_it(classifier):
    image = pixels(6, 4, 32, 3)
    how = replace(classifier.card.preprocessing, fit="squash")
    squashing = Classifier(classifier.model, replace(classifier.card, preprocessing=how), FP32)
    x_1CHW = torch.from_numpy(image).permute(2, 0, 1)[None]
    squashed = torch.nn.functional.interpolate(x_1CHW, (16, 16), mode="bilinear", antialias=True)
    near(squashing.predict(image), expected(classifier, squashed[0].permute(1, 2, 0).numpy()))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (301, 200), (3, 500)])
def test_odd_sizes_are_taken(classifier, tmp_path, height, width):
    file = write(tmp_path / "odd.png", pixels(7, height, width, 3))
    got = classifier.predict(file)
    assert sum(p for _, p in got.classes) == pytest.approx(1, abs=1e-6)


def test_grey_is_seen_as_three_equal_channels(classifier, tmp_path):
    grey_HW = pixels(8, 16, 16)
    want = expected(classifier, np.stack([grey_HW] * 3, axis=2))
    near(classifier.predict(grey_HW), want)
    near(classifier.predict(grey_HW[:, :, None]), want)
    near(classifier.predict(write(tmp_path / "grey.png", grey_HW)), want)


def test_other_modes(classifier, tmp_path):
    rgb = Image.fromarray(pixels(9))
    palette, alpha = rgb.quantize(16), rgb.convert("RGBA")
    palette.save(tmp_path / "palette.png")
    alpha.save(tmp_path / "alpha.png")
    near(classifier.predict(tmp_path / "palette.png"), expected(classifier, np.asarray(palette.convert("RGB"))))
    near(classifier.predict(tmp_path / "alpha.png"), expected(classifier, pixels(9)))


def test_cmyk(classifier, tmp_path):
    # Full cyan ink takes away all red: a flat image survives JPEG but for a level or two.
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / "print.jpg", quality=100)
    near(
        classifier.predict(tmp_path / "print.jpg"),
        expected(classifier, np.full((16, 16, 3), (0, 255, 255), np.uint8)),
    )


def test_a_grey_network_takes_colour(tmp_path):
    grey = classifier_of(1)
    image = pixels(10)
    luma_HW = np.asarray(Image.fromarray(image).convert("L"))
    near(grey.predict(image), grey.predict(luma_HW))
    red, green, blue = (int(v) for v in image[0, 0])
    assert luma_HW[0, 0] == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue, abs=1)


@pytest.fixture
def bad_files(tmp_path) -> list[Path]:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    whole = write(tmp_path / "whole.png", pixels(0, 64, 64, 3)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.png").mkdir()
    return [tmp_path / name for name in ("text.jpg", "empty.png", "half.png", "folder.png", "missing.png")]


def test_a_bad_file_is_named(classifier, bad_files):
    for file in bad_files:
        with pytest.raises(UserError, match=file.name):
            classifier.predict([pixels(0), file])


def test_bad_files_do_not_stop_the_others(classifier, bad_files, tmp_path):
    good = {write(tmp_path / f"{seed}.png", pixels(seed)): seed for seed in range(70)}
    files = list(good)
    for place, bad in zip((0, 1, 40, 64, 74), bad_files, strict=True):  # both ends, and about the 64 read at once
        files.insert(place, bad)
    assert len(files) == 75
    answers = list(classifier.predict_files(files, top=4))
    assert [answer.file for answer in answers] == [str(file) for file in files]
    for file, answer in zip(files, answers, strict=True):
        if file in good:
            near(answer, expected(classifier, pixels(good[file])))
        else:
            assert isinstance(answer, Failure)
            assert str(file) in answer.reason


def test_nothing_but_bad_files(classifier, bad_files):
    assert all(isinstance(answer, Failure) for answer in classifier.predict_files(bad_files))
    assert list(classifier.predict_files([])) == []


def test_the_network_is_in_eval_mode_from_the_start():
    net = models.tiny_alexnet(num_classes=4, image_px=16).train()
    card = classifier_of(3).card
    classifier = Classifier(net, card, FP32)
    assert not net.training
    assert classifier.predict(pixels(0)) == classifier.predict(pixels(0))
    assert classifier.class_names == NAMES


def test_a_mode_chosen_by_hand_is_kept(classifier):
    classifier.model.train()
    try:
        assert classifier.predict(pixels(0)) == classifier.predict(pixels(0))
        assert classifier.model.training
    finally:
        classifier.model.eval()


def test_a_loaded_classifier_predicts_the_same(classifier, tmp_path):
    weights.save(tmp_path / "net.safetensors", classifier.model, classifier.card)
    threads = torch.get_num_threads()
    try:
        loaded = load(tmp_path / "net.safetensors", device="cpu")
    finally:
        torch.set_num_threads(threads)
    assert loaded.card == classifier.card
    assert loaded.predict(pixels(0)) == classifier.predict(pixels(0))


def write_split(root: Path, split: str, names: dict[str, int]) -> None:
    for name, label in names.items():
        (root / split / name).mkdir(parents=True)
        for i in range(3):
            write(root / split / name / f"{i}.png", pixels(100 * label + i + (50 if split == "test" else 0)))


def test_evaluate_on_a_folder_whose_classes_stand_in_another_order(classifier, tmp_path):
    root = tmp_path / "pets"
    names = {"bee": 1, "dog": 3}  # labels 0 and 1 in the folder, 1 and 3 of the network
    for split in ("train", "test"):
        write_split(root, split, names)
    got = classifier.evaluate(str(root))
    right = sum(
        classifier.predict(root / "test" / name / f"{i}.png").label == name for name in names for i in range(3)
    )
    assert got.n == 6
    assert got.top1 == right / 6
    assert [c.n for c in got.classes] == [0, 3, 0, 3]


def test_evaluate_refuses_classes_the_network_does_not_know(classifier, tmp_path):
    for split in ("train", "test"):
        write_split(tmp_path / "pets", split, {"bee": 1, "yak": 2})
    with pytest.raises(UserError, match="does not know: yak"):
        classifier.evaluate(str(tmp_path / "pets"))


@pytest.fixture
def halves(tmp_path) -> str:
    """Images of 16 and of 40 px a side, of two classes the network knows."""
    root = tmp_path / "pets"
    for split in ("train", "test"):
        for label, name in enumerate(("bee", "dog")):
            (root / split / name).mkdir(parents=True)
            for i, px in enumerate((16, 40)):
                write(root / split / name / f"{i}.png", pixels(100 * label + i, px, px, 3))
    return str(root)


def views_asked_for(classifier: Classifier, monkeypatch: pytest.MonkeyPatch, source: str, **options) -> tuple:
    """Side of the images, width and kind of the border that `evaluate` scores with."""
    asked: list[tuple] = []

    def note(model, images, how, runtime, views, border_px, border):
        asked.append((images.image_px, border_px, border))
        return torch.zeros(len(images), len(NAMES))

    monkeypatch.setattr("alexnet.evaluation.classifier.log_probabilities", note)
    classifier.evaluate(source, **options)
    return asked[0]


def trained_by(classifier: Classifier, **augment) -> Classifier:
    recipe = {"val_fraction": 0.1, "augment": {"crop_padding_px": 0, "crop_border": "black", **augment}}
    return Classifier(classifier.model, replace(classifier.card, recipe=recipe), FP32)


@pytest.mark.parametrize("views", [5, 10, "dense"])
def test_several_places_are_cut_from_larger_images(classifier, halves, monkeypatch, views):
    plain = trained_by(classifier)
    for one in (classifier, plain):  # converted weights have no recipe
        assert views_asked_for(one, monkeypatch, halves, views=views) == (18, None, "black")  # 16 * 8 / 7
        assert views_asked_for(one, monkeypatch, halves, views=views, resize_px=20) == (20, None, "black")


@pytest.mark.parametrize("views", [5, 10, "dense"])
def test_several_places_are_cut_with_the_border_of_the_training(classifier, halves, monkeypatch, views):
    for kind in ("black", "reflect"):
        bordered = trained_by(classifier, crop_padding_px=3, crop_border=kind)
        assert views_asked_for(bordered, monkeypatch, halves, views=views) == (16, 3, kind)
        assert views_asked_for(bordered, monkeypatch, halves, views=views, resize_px=20) == (20, None, kind)


@pytest.mark.parametrize("views", [1, 5, 10, "dense"])
def test_views_are_cut_from_the_images_that_training_cut_from(classifier, halves, monkeypatch, views):
    how = replace(classifier.card.preprocessing, resize_px=24)
    card = replace(classifier.card, preprocessing=how)
    zoomed = trained_by(Classifier(classifier.model, card, FP32))
    assert views_asked_for(zoomed, monkeypatch, halves, views=views) == (24, None, "black")
    assert views_asked_for(zoomed, monkeypatch, halves, views=views, resize_px=20) == (20, None, "black")


@pytest.mark.parametrize("views", [1, 2])
def test_one_place_needs_no_larger_images(classifier, halves, monkeypatch, views):
    assert views_asked_for(classifier, monkeypatch, halves, views=views)[0] == 16
    assert views_asked_for(classifier, monkeypatch, halves, views=views, resize_px=24)[0] == 24


def test_256_px_are_cut_for_a_network_of_224():
    assert round(module._ROOM_FOR_CROPS * 224) == 256


def test_ten_crops_of_a_file_by_hand(classifier, tmp_path):
    """Read at 18 px, scored at the four corners, the centre and their mirrors."""
    x_HWC = pixels(11, 18, 18, 3)
    root = tmp_path / "one"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            write(root / split / name / "0.png", x_HWC)
    crops = [x_HWC[top : top + 16, left : left + 16] for top, left in [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]]
    crops += [crop[:, ::-1].copy() for crop in crops]
    p_cat, p_dog = (sum(expected(classifier, crop)[name] for crop in crops) / 10 for name in ("cat", "dog"))
    loss = -(math.log(p_cat) + math.log(p_dog)) / 2
    assert classifier.evaluate(str(root), views=10).loss == pytest.approx(loss, rel=1e-4)


def test_images_smaller_than_the_network_are_refused(classifier, halves):
    with pytest.raises(UserError, match=r"resize_px \(15\) must be at least the network's input, 16"):
        classifier.evaluate(halves, resize_px=15)
    with pytest.raises(UserError, match="views must be 1, 2"):
        classifier.evaluate(halves, views=3)
