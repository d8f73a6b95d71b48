"""Recipes in files."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import alexnet
from alexnet import recipes
from alexnet.errors import UserError


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_survives_its_file(name: str, suffix: str, tmp_path: Path) -> None:
    changed = replace(recipes.get(name), ema_decay=None, seed=2**62, data='a "quoted" 資料夾\\x', threads=None)
    for recipe in (recipes.get(name), changed):
        recipes.write(recipe, tmp_path / f"my{suffix}")
        assert recipes.read(tmp_path / f"my{suffix}") == recipe


def test_a_recipe_of_ones_own_survives_its_file(tmp_path: Path) -> None:
    recipe = alexnet.Recipe(name="mine", epochs=3, train_px=(16, 32), optimizer=alexnet.OptimizerConfig(lr=1e-7))
    recipes.write(recipe, tmp_path / "my.toml")
    assert recipes.read(tmp_path / "my.toml") == recipe


def test_what_toml_cannot_say_is_the_default() -> None:
    """Fields that are None are left out of files, so a recipe without a base must have None for them."""
    for kind in (
        alexnet.Recipe,
        alexnet.ModelConfig,
        alexnet.AugmentConfig,
        alexnet.OptimizerConfig,
        alexnet.ScheduleConfig,
    ):
        for field in fields(kind):
            if type(None) in get_args(get_type_hints(kind)[field.name]):
                assert field.default is None, field.name


def test_fields_left_out_are_those_of_the_recipe_it_derives_from(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('name = "cifar_alexnet_fast"\nunset = ["ema_decay"]\n[optimizer]\nlr = 1\n')
    base = recipes.cifar_alexnet_fast()
    expected = replace(base, ema_decay=None, optimizer=replace(base.optimizer, lr=1.0))
    assert recipes.read(tmp_path / "my.toml") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "digits"\nepoch = 3', r"my.toml: there is no field epoch; did you mean epochs\?"),
        ('name = "digits"\n[optimizer]\nlearn = 3', r"there is no field optimizer.learn"),
        ('name = "digits"\noptimizer = 3', "optimizer must be a table of fields, not 3"),
        ('name = "digits"\nepochs = 3.5', "epochs must be a whole number, not 3.5"),
        ('name = "digits"\nepochs = true', "epochs must be a whole number, not True"),
        ('name = "digits"\nepochs = 0', "epochs must be 1 or more, not 0"),
        ('name = "digits"\nval_fraction = nan', "val_fraction must be finite"),
        ('name = "digits"\ncompile = "yes"', "compile must be true or false, not 'yes'"),
        ('name = "digits"\n[model]\nname = "resnet"', "model.name must be one of tiny_alexnet"),
        ('name = "digits"\nunset = ["nothing"]', "there is no field nothing"),
        ("epochs = 3", "set name to the recipe it derives from, one of tiny_cifar10"),
        ("epochs = = 3", "my.toml: Invalid value"),
    ],
)
def test_mistakes_name_the_file_and_the_field(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        recipes.read(tmp_path / "my.toml")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*no.toml: No such file"):
        recipes.read(tmp_path / "no.toml")
    with pytest.raises(UserError, match=r"ending in .toml or .json"):
        recipes.read(tmp_path / "my.yaml")
    with pytest.raises(UserError, match=r"call the file my.toml or my.json"):
        recipes.write(recipes.digits(), tmp_path / "my.yaml")
    (tmp_path / "my.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="a table of fields"):
        recipes.read(tmp_path / "my.json")
