"""`alexnet explain`, as a user calls it."""

from __future__ import annotations

import json

from PIL import Image


def test_a_page_of_a_run(alexnet, digits_run):
    done = alexnet("explain", digits_run, "--data", "digits", "--most-images", 60)
    assert done.returncode == 0, done.stderr
    folder = digits_run / "explain"
    values = json.loads((folder / "explain.json").read_text(encoding="utf-8"))
    assert f"page: {folder / 'explain.html'}" in done.stdout
    assert "60 images, 608 channels switched off in turn" in done.stdout
    assert "correlation with shuffled weights" in done.stdout
    assert set(values["ablation"]) == {"conv1", "conv2", "conv3", "fc4", "fc5"}
    assert "ablation conv1 (60)" in done.stderr
    assert "alexnet explain" in (folder / "explain.html").read_text(encoding="utf-8")
    again = alexnet("explain", digits_run, "--data", "digits", "--most-images", 60, "--language", "zh-TW")
    assert again.returncode == 0, again.stderr
    assert "ablation" not in again.stderr  # it was kept
    assert "一層一層看" in (folder / "explain.html").read_text(encoding="utf-8")


def test_one_image_without_data(alexnet, digits_run, tmp_path):
    Image.new("L", (40, 30), 200).save(tmp_path / "grey.png")
    done = alexnet("explain", digits_run, tmp_path / "grey.png", "--out", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "page" / "explain.json").read_text(encoding="utf-8"))
    assert values["explained"][0]["image"] == "grey.png"
    assert values["ablation"] == {}


def test_wrong_use_is_said_in_a_line(alexnet, digits_run, tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    (tmp_path / "broken.png").write_bytes(b"no image")
    for words, said in (
        (("explain", "nosuch"), "nosuch"),
        (("explain", digits_run, "--out", tmp_path), "holds other files: name a new folder with --out"),
        (("explain", digits_run, tmp_path / "broken.png", "--out", tmp_path / "page"), "broken.png"),
        (("explain", digits_run, "--data", tmp_path / "nowhere", "--out", tmp_path / "page"), "nowhere"),
        (
            ("explain", digits_run, "--data", "digits", "--most-images", 0, "--out", tmp_path / "p"),
            "must be 1 or more",
        ),
    ):
        done = alexnet(*words)
        assert done.returncode == 2, words
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 2, done.stderr
        assert "Traceback" not in done.stderr
