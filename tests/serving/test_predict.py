"""Answers of the service are those of `predict`, by whichever door an image comes in."""

from __future__ import annotations

import base64
import importlib.util
import io
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet import weights
from alexnet.serving.engine import Engine


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def expected(model: str | Path, data: bytes, folder: Path, **options: Any) -> dict[str, Any]:
    """What `alexnet predict --json` says of the file."""
    file = folder / "image"
    file.write_bytes(data)
    values = alexnet.load(model, device="cpu").predict(file, **options).to_json()
    del values["file"]
    return values


def assert_same(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert got["error"] is None
    assert got["answer"] == wanted["answer"]
    assert [c["name"] for c in got["classes"]] == [c["name"] for c in wanted["classes"]]
    for mine, theirs in zip(got["classes"], wanted["classes"], strict=True):
        assert mine["probability"] == pytest.approx(theirs["probability"], abs=2e-6)


FILES = {
    "jpeg": {"kind": "JPEG"},
    "large jpeg": {"kind": "JPEG", "size": (900, 1300)},
    "png": {"kind": "PNG"},
    "webp": {"kind": "WEBP"},
    "gif": {"kind": "GIF"},
    "bmp": {"kind": "BMP"},
    "tiff": {"kind": "TIFF"},
    "wide": {"kind": "PNG", "size": (400, 12)},
}


@pytest.mark.parametrize("name", FILES)
def test_raw_body(service, photo, tmp_path, name):
    data = photo(**FILES[name])
    answer = service.ask("POST", "/v1/predict", data, {"Content-Type": "image/jpeg"})
    assert answer.status == 200
    values = answer.json()
    assert values["model"] == "small"
    (prediction,) = values["predictions"]
    assert_same(prediction, expected("small", data, tmp_path))


def test_rotated_and_transparent_and_grey(service, photo, tmp_path):
    turned = Image.open(io.BytesIO(photo(3)))
    exif = turned.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "JPEG", exif=exif)
    files = [out.getvalue()]
    for mode, kind in (("RGBA", "PNG"), ("L", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG")):
        out = io.BytesIO()
        Image.open(io.BytesIO(photo(4))).convert(mode).save(out, kind)
        files.append(out.getvalue())
    for data in files:
        answer = service.ask("POST", "/v1/predict", data)
        assert_same(answer.json()["predictions"][0], expected("small", data, tmp_path))


@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_images_that_are_not_square(fit, tiny_file, photo, tmp_path):
    """Fitted as the weights remember."""
    model, card = weights.load(tiny_file)
    file = tmp_path / "fitted.safetensors"
    weights.save(file, model, replace(card, preprocessing=replace(card.preprocessing, fit=fit)))
    engine = Engine("x", alexnet.load(file, device="cpu"), 10**7)
    for data in (photo(1, (200, 50)), photo(2, (50, 120), "PNG")):
        (scores,) = engine.score([engine.read(data, "x")])
        assert_same({**engine.answer(scores, 5, 0.95), "error": None}, expected(file, data, tmp_path))


def test_a_grey_network(photo, tmp_path):
    """Colour is turned to grey as `predict` turns it."""
    engine = Engine("x", alexnet.load("lenet_fashion", device="cpu"), 10**7)
    for seed in range(4):
        (scores,) = engine.score([engine.read(photo(seed), "x")])
        assert_same(
            {**engine.answer(scores, 5, 0.95), "error": None}, expected("lenet_fashion", photo(seed), tmp_path)
        )


def test_several_models_and_options(service, photo, tiny_file, tmp_path):
    data = photo(5)
    answer = service.ask("POST", "/v1/predict?model=tiny&top=3", data).json()
    assert answer["model"] == "tiny"
    assert len(answer["predictions"][0]["classes"]) == 3
    assert_same(answer["predictions"][0], expected(tiny_file, data, tmp_path, top=3))
    answer = service.ask("POST", "/v1/predict?top=1000&accept=0", data).json()
    assert_same(answer["predictions"][0], expected("small", data, tmp_path, top=1000, accept=0.0))


def test_answers_are_withheld_as_predict_withholds_them(service, photo, calibrated_file, tmp_path):
    kinds = set()
    for seed in range(16):
        for accept in (0.4, 0.95, 1.0):
            path = f"/v1/predict?model=calibrated&accept={accept}"
            answer = service.ask("POST", path, photo(seed)).json()["predictions"][0]
            assert_same(answer, expected(calibrated_file, photo(seed), tmp_path, accept=accept))
            kinds.add(answer["answer"] if answer["answer"] in ("unsure", "none") else "class")
    assert kinds == {"unsure", "none", "class"}


def test_a_form_keeps_its_order_and_a_bad_image_stands_alone(service, photo, tmp_path):
    files = [photo(1), b"no image at all", photo(2, kind="PNG")]
    parts = [("image", f"{i}.jpg", data) for i, data in enumerate(files)]
    answer = service.post_form("/v1/predict", [("top", None, b"2"), *parts])
    assert answer.status == 207
    first, bad, last = answer.json()["predictions"]
    assert [p["name"] for p in (first, bad, last)] == ["0.jpg", "1.jpg", "2.jpg"]
    assert_same(first, expected("small", files[0], tmp_path, top=2))
    assert_same(last, expected("small", files[2], tmp_path, top=2))
    assert bad["classes"] == []
    assert bad["answer"] is None
    assert "1.jpg is not an image" in bad["error"]
    assert (bad["status"], bad["code"]) == (415, "not-an-image")
    assert service.post_form("/v1/predict", [*parts[:1], *parts[2:]]).status == 200
    all_bad = service.post_form("/v1/predict", [parts[1], parts[1]])
    assert all_bad.status == 415
    assert len(all_bad.json()["predictions"]) == 2
    mixed = service.post_form("/v1/predict", [parts[1], ("image", "e.jpg", b"")])
    assert mixed.status == 422


def test_json(service, photo, tmp_path):
    data = photo(6)
    one = service.post_json("/v1/predict", {"image": b64(data), "top": 2})
    assert_same(one.json()["predictions"][0], expected("small", data, tmp_path, top=2))
    url = {"name": "x.png", "data": "data:image/png;base64," + b64(photo(7, kind="PNG"))}
    several = service.post_json("/v1/predict", {"images": [b64(data), url], "model": "small"})
    assert several.status == 200
    assert several.json()["predictions"][1]["name"] == "x.png"


def test_models(service):
    values = service.ask("GET", "/v1/models").json()
    small, tiny, calibrated = values["models"]
    assert (small["name"], len(small["classes"]), small["image_px"]) == ("small", 144, 64)
    assert (calibrated["says_none"], calibrated["calibrated_on"]) == (True, 80)
    assert (tiny["name"], tiny["classes"], tiny["calibrated_on"]) == ("tiny", list("abcdefghij"), None)
    assert values["limits"] == {"body_bytes": 2 * 2**20, "pixels": 4_000_000, "images": 4}


def test_inference_protocol(service, photo, tmp_path):
    pixels = np.asarray(Image.open(io.BytesIO(photo(8))))
    tensor = {"name": "image", "shape": [1, *pixels.shape], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    answer = service.post_json("/v2/models/small/infer", {"id": "7", "inputs": [tensor]})
    assert answer.status == 200, answer.body
    values = answer.json()
    assert (values["id"], values["model_name"]) == ("7", "small")
    outputs = {output["name"]: output for output in values["outputs"]}
    assert outputs["probabilities"]["shape"] == [1, 144]
    best = alexnet.load("small", device="cpu").predict(pixels)
    assert max(outputs["probabilities"]["data"]) == pytest.approx(best.classes[0][1], abs=2e-6)
    assert outputs["answer"]["data"] == [best.answer]
    nested = {**tensor, "shape": [2, *pixels.shape], "data": [pixels.tolist()] * 2}
    asked = {"inputs": [nested], "outputs": [{"name": "answer"}]}
    values = service.post_json("/v2/models/small/infer", asked).json()
    assert values["outputs"] == [{"name": "answer", "datatype": "BYTES", "shape": [2], "data": [best.answer] * 2}]
    files = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64(photo(8))]}
    values = service.post_json("/v2/models/tiny/infer", {"inputs": [files]}).json()
    assert sum(values["outputs"][0]["data"]) == pytest.approx(1, abs=1e-5)
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready"):
        assert service.ask("GET", path).status == 200
    facts = service.ask("GET", "/v2/models/tiny").json()
    assert facts["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert facts["outputs"][0]["shape"] == [-1, 10]


def test_metrics_count(service, photo):
    def read() -> dict[str, float]:
        lines = service.ask("GET", "/metrics").body.decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}

    before = read()
    for _ in range(3):
        service.ask("POST", "/v1/predict?model=tiny", photo())
    service.ask("POST", "/v1/predict?model=tiny", b"nothing")
    service.ask("GET", "/v1/" + "x" * 20)
    after = read()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown('alexnet_requests_total{path="/v1/predict",status="200"}') == 3
    assert grown('alexnet_requests_total{path="/v1/predict",status="415"}') == 1
    assert grown('alexnet_requests_total{path="other",status="404"}') == 1
    assert grown('alexnet_images_total{model="tiny",outcome="answered"}') == 3
    assert grown('alexnet_images_total{model="tiny",outcome="failed"}') == 1
    assert grown('alexnet_batch_images_sum{model="tiny"}') == 3
    assert grown('alexnet_request_seconds_count{path="/v1/predict"}') == 4
    assert after['alexnet_queue_images{model="tiny"}'] == 0
    assert after["alexnet_request_bytes"] == 0
    buckets = [value for name, value in after.items() if name.startswith("alexnet_request_seconds_bucket")]
    assert buckets


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")), reason="no ONNX"
)
def test_onnx_backend_gives_the_same_scores(calibrated_file):
    from alexnet.serving.onnx_backend import OnnxBackend

    logging.getLogger("torch").setLevel(logging.WARNING)
    for model in ("small", calibrated_file):
        classifier = alexnet.load(model, device="cpu")
        mine = Engine("x", classifier, 10**7, OnnxBackend(classifier, 1))
        torchs = Engine("x", classifier, 10**7)
        rng = np.random.default_rng(0)
        for count in (1, 7):
            images = list(rng.integers(0, 256, (count, *mine.input_shape), dtype=np.uint8))
            for a, b in zip(mine.score(images), torchs.score(images), strict=True):
                np.testing.assert_allclose(a.p_K, b.p_K, atol=1e-5)
                assert a.is_far == b.is_far
