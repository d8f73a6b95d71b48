"""All formats but ONNX, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from alexnet import load
from alexnet.errors import UserError
from alexnet.export import export
from alexnet.export.images import find_images
from alexnet.export.torchvision import NAMES


def test_names_are_those_of_torchvision():
    from torchvision.models import alexnet as theirs

    from alexnet.models import alexnet_owt

    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in theirs().state_dict().items()}
        ours = {name: tensor.shape for name, tensor in alexnet_owt().state_dict().items()}
    renamed = {f"{NAMES[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": shape for name, shape in ours.items()}
    assert renamed == expected


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_computes_the_same(make, tmp_path, suffix):
    from torchvision.models import alexnet as theirs

    classifier = make("alexnet_owt", image_px=64)
    path = tmp_path / f"net{suffix}"
    written = export(classifier, path, to="torchvision")
    assert written.record["compared"][0]["agrees"]
    net = theirs(num_classes=10).eval()
    net.load_state_dict(load_file(path) if suffix == ".safetensors" else torch.load(path, weights_only=True))
    x_NCHW = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(net(x_NCHW), classifier.model(x_NCHW))


def test_torchvision_has_one_alexnet(lenet, tmp_path):
    with pytest.raises(UserError, match="torchvision's alexnet is alexnet_owt, and this is a lenet"):
        export(lenet, tmp_path / "net.pth", to="torchvision")
    assert not list(tmp_path.iterdir())


def test_safetensors(lenet, lenet_file, tmp_path):
    written = export(lenet_file, tmp_path / "net.safetensors", to="safetensors", data="digits")
    assert written.record["compared"][0]["greatest_difference"] == 0
    again = load(tmp_path / "net.safetensors")
    assert again.card == load(lenet_file).card


def test_the_hubs_layout(lenet, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    written = export(lenet, tmp_path / "net", to="hf", data="digits")
    assert {file.name for file in written.path.iterdir()} == {
        "README.md",
        "config.json",
        "export.json",
        "model.safetensors",
    }
    config = json.loads((tmp_path / "net" / "config.json").read_text())
    assert config["architecture"] == "lenet"
    assert config["pretrained_cfg"]["input_size"] == [1, 20, 20]
    assert config["pretrained_cfg"]["crop_pct"] == pytest.approx(20 / 24)
    page = (tmp_path / "net" / "README.md").read_text()
    assert f"top-1 {written.record['top1']:.4f} on 359 test images of digits" in page
    assert hub.ModelCard(page).data.pipeline_tag == "image-classification"
    from alexnet.export.hub_model import HubModel

    again = HubModel.from_pretrained(str(tmp_path / "net"), local_files_only=True).to_classifier()
    image = find_images(lenet.card, None, None).pixels_at(3)
    assert again.predict(image) == lenet.predict(image)


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_pt2(lenet, tmp_path, plain):
    written = export(lenet, tmp_path / "net.pt2", to="pt2", data="digits", plain=plain)
    assert written.record["compared"][0]["batch_sizes"] == [1, 7, 64]
    facts = {"alexnet.json": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=facts).module()
    assert json.loads(facts["alexnet.json"])["classes"] == list(lenet.class_names)
    if not plain:
        squares = find_images(lenet.card, "digits", None).squares(lenet.card.preprocessing).pixels_NHWC[:3]
        expected = [dict(p.classes) for p in lenet.predict(list(squares.numpy()), top=10)]
        for row, classes in zip(program(squares.expand(3, 24, 24, 3)).tolist(), expected, strict=True):
            assert dict(zip(lenet.class_names, row, strict=True)) == pytest.approx(classes, abs=1e-5)


def test_entries_of_other_files_stay_in_the_record(lenet, tmp_path):
    export(lenet, tmp_path / "a.safetensors", to="safetensors")
    written = export(lenet, tmp_path / "b.params", to="mxnet")
    assert set(json.loads((tmp_path / "export.json").read_text())) == {"a.safetensors", "b.params"}
    assert not written.record["on_test_images"]
    assert "crops of two photographs" in written.record["on"]


def test_what_cannot_be_written_is_refused_before_anything_is_computed(lenet, tmp_path):
    there = tmp_path / "there.onnx"
    there.write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    for out, to, message in (
        (tmp_path / "net.pt", "onnx", "should end in .onnx"),
        (tmp_path / "net", "torchvision", "should end in .safetensors or .pth"),
        (tmp_path / "net.onnx", "caffe", "there is no format 'caffe': choose one of onnx"),
        (there, "onnx", "exists: name another place, or pass --overwrite"),
        (tmp_path / "folder", "hf", "exists: name another place"),
        (there, "hf", "is a file"),
    ):
        with pytest.raises(UserError, match=message):
            export(lenet, out, to=to)
    assert there.read_text() == "mine"


def test_options_of_other_formats_are_refused(lenet, tmp_path):
    for option in ("plain", "decompose", "int8"):
        with pytest.raises(UserError, match=f"--{option} belongs to"):
            export(lenet, tmp_path / "net.params", to="mxnet", **{option: True})


def test_data_with_other_classes_give_no_accuracy(lenet, tmp_path):
    from dataclasses import replace

    from alexnet.evaluation import Classifier

    other = Classifier(lenet.model, replace(lenet.card, class_names=tuple("abcdefghij")), lenet.runtime)
    written = export(other, tmp_path / "net.safetensors", to="safetensors", data="digits")
    assert written.record["top1"] is None
