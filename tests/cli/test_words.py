"""Errors that a newcomer meets, in Traditional Chinese: each as it is raised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.cli import main
from alexnet.cli.words import translated


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--language", "zh-TW"])
    assert stop.value.code == 2
    return capsys.readouterr().err


def photographs(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 20, 3), 40 * i, np.uint8)).save(folder / name)
    return folder


def test_words_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "沒有「trian」這個名稱；您是不是要輸入 train？\n可用的有：start" in fails(capsys, "trian")
    assert "沒有「qqqq」這個名稱\n可用的有：tiny_cifar10" in fails(capsys, "train", "qqqq")


def test_folders_that_cannot_be_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = photographs(tmp_path / "one", "cat/1.png")
    assert f"{one}：至少要有兩個類別" in fails(capsys, "start", str(one))
    (one / "dog").mkdir()
    assert "這個類別的資料夾中沒有影像" in fails(capsys, "start", str(one))
    assert f"{tmp_path}/none 不存在" in fails(capsys, "data", "check", str(tmp_path / "none"))
    assert "不存在；您是不是要輸入 cifar10？" in fails(capsys, "data", "check", "CIFAR-10")


def test_broken_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = photographs(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/cat/3.png")
    (folder / "train/cat/broken.png").write_bytes(b"no image")
    words = ("train", "photos", "--data", str(folder), "--out", str(tmp_path / "run"), "--val-fraction", "0")
    assert "有 1 張影像無法讀取：" in fails(capsys, *words)


def test_run_folders(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    full = photographs(tmp_path / "full", "cat/1.png", "dog/2.png")
    assert "不是空的：加上 --overwrite 取代" in fails(capsys, "train", "digits", "--out", str(full))
    assert "不是空的，也不是執行資料夾" in fails(capsys, "start", str(full), "--out", str(full))
    assert "不是執行資料夾：裡面沒有 recipe.json" in fails(capsys, "train", "--resume", str(full))


def test_other_errors_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "epochs must be" in fails(capsys, "train", "digits", "--epochs", "0")
    assert translated("there is no recipe 'x'\nrecipes: a, b", "en") == "there is no recipe 'x'\nrecipes: a, b"


def test_a_language_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["models", "--language=fr"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "alexnet: unknown language 'fr': choose en or zh-TW\n"
