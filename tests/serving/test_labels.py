"""Photographs go into class folders, and nowhere else; training on them replaces the model."""

from __future__ import annotations

import os
import sys
import time

import pytest


@pytest.fixture
def folder(tmp_path, photo):
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").write_bytes(photo(1))
    (tmp_path / "photos" / ".hidden").mkdir()
    (tmp_path / "outside").mkdir()
    if sys.platform != "win32":
        (tmp_path / "photos" / "link").symlink_to(tmp_path / "outside")
    return tmp_path / "photos"


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_without_permission(service, photo):
    assert service.ask("GET", "/v1/labels").json() == {"allowed": False, "classes": []}
    assert service.ask("POST", "/v1/labels?class=cats", photo()).status == 403
    assert service.post_json("/v1/retraining", {}).status == 403
    assert service.ask("GET", "/v1/retraining").json()["state"] == "none"


def test_into_a_class_and_on_to_another(start, tiny_file, folder, photo):
    running = start(str(tiny_file), data=folder)
    assert running.ask("GET", "/v1/labels").json() == {"allowed": True, "classes": ["cats", "dogs"]}
    before = files(folder)
    data = photo(5, kind="PNG")
    first = running.ask("POST", "/v1/labels?class=cats", data)
    assert first.status == 201
    name = first.json()["file"]
    assert name.startswith("cats/added-")
    assert name.endswith(".png")
    assert (folder / name).read_bytes() == data
    assert running.ask("POST", "/v1/labels?class=cats", data).status == 200
    assert files(folder) == sorted([*before, name])
    moved = running.ask("POST", "/v1/labels?class=dogs", data).json()
    assert moved["moved_from"] == "cats"
    assert files(folder) == sorted([*before, name.replace("cats/", "dogs/")])


def test_train_folders(start, tiny_file, tmp_path, photo):
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a").mkdir(parents=True)
    running = start(str(tiny_file), data=tmp_path)
    assert running.ask("POST", "/v1/labels?class=a", photo()).json()["file"].startswith("train/a/added-")


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../outside",
        "%2e%2e%2foutside",
        ".hidden",
        "link",
        "cats/..",
        "cats%00",
        "/tmp",
        "",
        ".",
        "cats%5c..",
        "x" * 5000,
    ],
)
def test_nothing_leaves_the_folder(start, tiny_file, folder, photo, name):
    running = start(str(tiny_file), data=folder)
    before = files(folder.parent)
    assert running.ask("POST", f"/v1/labels?class={name}", photo()).status == 404
    assert files(folder.parent) == before


def test_what_is_no_image_is_not_kept(start, tiny_file, folder, photo):
    running = start(str(tiny_file), data=folder, max_megapixels=1)
    before = files(folder)
    assert running.ask("POST", "/v1/labels?class=cats", b"<svg/>").status == 415
    assert running.ask("POST", "/v1/labels?class=cats", photo()[:500]).status == 422
    assert running.ask("POST", "/v1/labels?class=cats", b"").status == 400
    assert running.ask("POST", "/v1/labels?class=cats", photo(0, (1001, 1000))).status == 413
    assert running.ask("POST", "/v1/labels", photo()).status == 422
    assert running.ask("POST", "/v1/labels?class=cats&x=1", photo()).status == 422
    assert files(folder) == before
    for body in (b"{", b"[]", b'{"minutes": 0}', b'{"minutes": 1e9}', b'{"minutes": "1"}', b'{"x": 1}'):
        assert running.ask("POST", "/v1/retraining", body).status in (400, 422)


@pytest.mark.slow
def test_retraining_replaces_the_model(start, tiny_file, tmp_path, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    folder = tmp_path / "shapes"
    for label, name in enumerate(("bright", "dark")):
        (folder / name).mkdir(parents=True)
        for i in range(24):
            from PIL import Image

            shade = (220 if label == 0 else 30) + i % 20
            Image.new("RGB", (64, 64), (shade, shade, 255 - i)).save(folder / name / f"{i}.png")
    running = start(str(tiny_file), data=folder)
    assert running.ask("GET", "/v1/models").json()["models"][0]["classes"][0] == "a"
    assert running.post_json("/v1/retraining", {"minutes": 0.02}).status == 202
    assert running.post_json("/v1/retraining", {"minutes": 0.02}).status == 409
    deadline = time.monotonic() + 240
    while (facts := running.ask("GET", "/v1/retraining").json())["state"] == "running":
        assert running.ask("POST", "/v1/predict", photo()).status == 200
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert facts["state"] == "done", facts
    assert 0 <= facts["top1"] <= 1
    assert running.ask("GET", "/v1/models").json()["models"][0]["classes"] == ["bright", "dark"]
    assert (tmp_path / "runs" / "shapes" / "report.html").is_file()
    # Again: it goes on from there; stopped, the model of before answers.
    assert running.post_json("/v1/retraining", {"minutes": 5}).status == 202
    time.sleep(1)
    assert running.ask("DELETE", "/v1/retraining").json()["state"] == "stopped"
    assert running.ask("POST", "/v1/predict", photo()).status == 200
