"""What is written, and what is refused."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import alexnet
from alexnet import data, models
from alexnet.card import ModelCard, Preprocessing
from alexnet.errors import UserError
from alexnet.evaluation import Classifier
from alexnet.export.explorer import export_explorer, gallery
from alexnet.export.explorer.describe import describe
from alexnet.export.explorer.pack import pack
from alexnet.export.explorer.patches import best_patches, best_units
from alexnet.models.pipelines.pipeline import Pipeline
from alexnet.runtime import choose

RGB = Preprocessing(image_px=32, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)


def wrap(name="tiny_alexnet", names=("a", "b"), how=RGB, **options):
    options = {"num_classes": len(names), **options}
    card = ModelCard(model=name, options=options, class_names=names, preprocessing=how)
    return Classifier(models.create(name, **options), card, choose("cpu", "fp32"))


def content_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.DOTALL)[1])


def test_a_page_asks_for_nothing(tmp_path):
    written = export_explorer(wrap(), tmp_path / "new" / "net.html")
    text = written.path.read_text(encoding="utf-8")
    assert written.bytes == len(text.encode()) == written.path.stat().st_size
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "@import" not in text
    assert "fetch(" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"@[A-Z]+@", text)


def test_names_cannot_end_the_script(tmp_path):
    export_explorer(wrap(names=("</script><script>alert(1)</script>", "b")), tmp_path / "net.html")
    text = (tmp_path / "net.html").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert content_of(tmp_path / "net.html")["models"][0]["class_names"][0].startswith("</script>")


@pytest.mark.parametrize("source", ["folder", "memory"])
def test_images_come_from_the_test_split(tmp_path, source):
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), np.uint8)
    if source == "folder":
        for i, pixels in enumerate(images):
            folder = tmp_path / "data" / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i}.png")
        given, n = tmp_path / "data", 6  # a fifth of each class is the test split
    else:
        labels = np.arange(30) % 2
        given, n = data.from_arrays(images, labels, class_names=("a", "b"), test=(images[:12], labels[:12])), 12
    written = export_explorer(wrap(), tmp_path / "net.html", data=given)
    shown = content_of(tmp_path / "net.html")["models"][0]["data"]
    assert written.images == shown["looked_at"] == n
    assert [each["label"] for each in shown["examples"][:4]] == ["a", "b", "a", "b"]
    assert len(shown["gallery"]["units"]["3"]) == 256


def spots(places):
    """Black images with a white pixel each, uint8 [N, 16, 16, 1]."""
    images = np.zeros((len(places), 16, 16, 1), np.uint8)
    for i, (y, x) in enumerate(places):
        images[i, y, x] = 255 - i  # the first one is the brightest
    return torch.from_numpy(images)


def test_patches_are_what_excites_a_channel_most():
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 1] = 1.0  # answers to a bright pixel
        conv.weight[1, 0, 0, 0] = 1.0  # to one up and left of it
    found = describe(nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2)))
    how = Preprocessing(image_px=16, in_channels=1, mean=(0.0,), std=(1.0,))
    places = [(5, 6), (2, 2), (9, 13), (0, 7)]
    (best,) = best_patches(found, spots(places), how)
    assert best.field_px == (3, 3)
    assert best.tiles_CPHWC.shape == (2, 4, 3, 3, 1)
    for rank in range(3):
        expected = np.zeros((3, 3))
        expected[1, 1] = 255 - rank
        assert np.array_equal(best.tiles_CPHWC[0, rank, :, :, 0], expected)
        expected = np.zeros((3, 3))
        expected[0, 0] = 255 - rank
        assert np.array_equal(best.tiles_CPHWC[1, rank, :, :, 0], expected)
    edge = best.tiles_CPHWC[0, 3, :, :, 0]  # the last image's pixel lies in the first row
    assert edge[1, 1] == 252
    assert (edge[0] == 128).all()  # outside of the image


def test_the_best_images_of_units():
    dense = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, -1.0]]))
    found = describe(nn.Sequential(nn.Flatten(), dense))
    input_NCHW = torch.tensor([[0.1, 0, 0, 3], [0.7, 0, 0, 2], [0.4, 0, 0, 1]]).view(3, 1, 2, 2)
    assert best_units(found, input_NCHW, 0).tolist() == [[1, 2, 0], [2, 1, 0]]


def test_the_page_begins_with_the_surest_right_example():
    found = describe(nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False)))
    with torch.no_grad():
        found.tensors[0].copy_(torch.tensor([[1.0], [-1.0]]))
        found.modules[1].weight.copy_(found.tensors[0])
    x_NCHW = torch.tensor([5.0, -3.0, 1.0, 9.0]).view(4, 1, 1, 1)
    assert gallery._first(found, x_NCHW, ["b", "b", "a", "other"], ("a", "b")) == 1


def test_whole_numbers_are_close_and_small():
    weights = torch.randn(8, 50, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 6, 8)[:, None]
    for kind, size, within in (("int16", 2, 2**-15), ("int8", 1, 2**-8)):
        packed, (about,) = pack([weights], kind)
        assert len(packed) == weights.numel() * size + 4 * 8
        raw = np.frombuffer(packed, np.uint8)[about["at"] : about["at"] + weights.numel() * size]
        if kind == "int16":
            folded = raw.reshape(2, -1)[0].astype(int) + 256 * raw.reshape(2, -1)[1].astype(int)
            whole = (folded >> 1) ^ -(folded & 1)
        else:
            whole = raw.view(np.int8).astype(int)
        scales = np.frombuffer(packed, "<f4", count=8, offset=about["scales"]["at"])
        values = whole.reshape(8, 50) * scales[:, None]
        largest = weights.abs().amax(1).numpy()
        assert (np.abs(values - weights.numpy()).max(1) <= 1.01 * within * largest).all()


def test_rows_of_zeros_stay_zeros():
    packed, (about,) = pack([torch.zeros(2, 3)], "int16")
    assert packed[about["at"] :] == bytes(12)


def test_what_does_not_fit_a_page_is_refused(tmp_path):
    grey = Preprocessing(image_px=32, in_channels=1, mean=(0.0,), std=(1.0,))
    small = Preprocessing(image_px=24, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    for arguments, message in (
        ({"path": "net.htm.txt"}, r"call it .*net.htm.html"),
        ({"compare": wrap(in_channels=1, how=grey)}, "same images, but their in_channels are 3 and 1"),
        ({"compare": wrap(image_px=24, how=small)}, "same images, but their image_px are 32 and 24"),
        ({"compare": wrap(names=("a", "c"))}, "same classes"),
    ):
        path = tmp_path / arguments.pop("path", "net.html")
        with pytest.raises(UserError, match=message):
            export_explorer(wrap(), path, **arguments)
        assert not list(tmp_path.iterdir())


def test_a_large_network_is_refused_with_what_to_do(tmp_path):
    with torch.device("meta"):
        model = models.create("alexnet_2012")
    how = Preprocessing(image_px=224, in_channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    large = wrap()
    large.model = model
    large.card = ModelCard(model="alexnet_2012", options={}, class_names=("a",), preprocessing=how)
    with pytest.raises(UserError, match=r"61.0 million weights, and a page holds 16 million at most.*cifar_alexnet"):
        export_explorer(large, tmp_path / "net.html")


def test_hand_made_features_are_refused(tmp_path):
    model = Pipeline(nn.Sequential(), nn.Sequential())
    card = ModelCard(model="hog_linear", options={}, class_names=("a",), preprocessing=RGB)
    with pytest.raises(UserError, match="hand-made features have no levels"):
        export_explorer(Classifier(model, card, choose("cpu", "fp32")), tmp_path / "net.html")


def test_the_command(tmp_path, capsys):
    from alexnet.cli.app import main

    out = tmp_path / "fashion.html"
    with pytest.raises(SystemExit) as status:
        main(["export", "lenet_fashion", "--to", "explorer", str(out)])
    assert status.value.code == 0
    assert "without a data set (--data adds it); open it in a browser" in capsys.readouterr().out
    assert content_of(out)["models"][0]["network"] == "lenet"
    with pytest.raises(SystemExit) as status:
        main(["export", "lenet_fashion", "--to", "explorer", str(out)])
    assert status.value.code == 2
    assert "exists: name another file, or pass --overwrite" in capsys.readouterr().err


def test_shipped_networks_become_pages(tmp_path):
    for name in ("small", "lenet_fashion"):
        written = export_explorer(name, tmp_path / f"{name}.html", weights="int8")
        assert written.bytes < 5e6
    assert alexnet.load("small").class_names[0] in content_of(tmp_path / "small.html")["models"][0]["class_names"]
