"""Recipes: the names scripts rely on, the tutorial's own values, and flags that repeat a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import pytest
import tyro

from alexnet import models, recipes
from alexnet.cli.commands.common import plain
from alexnet.cli.commands.train import AnyRecipe
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.errors import UserError

NAMES = {
    "digits",
    "photos",
    "pretrain_small",
    "tutorial_tiny",
    "tutorial_tiny_momentum",
    "tiny_cifar10",
    "tiny_cifar10_best",
    "cifar_alexnet_fast",
    "cifar_alexnet_best",
    "tiny_fast",
    "lenet_fashion",
    "lenet_cifar10",
    "imagenet_2012",
    "imagenet_modern",
    "finetune",
}


def parse(words: list[str]) -> Recipe:
    """What `alexnet train` makes of a recipe's name and flags."""

    def chosen(recipe: Annotated[AnyRecipe, tyro.conf.arg(name="")]) -> Recipe:
        return recipe

    return plain(tyro.cli(chosen, args=words, config=(tyro.conf.CascadeSubcommandArgs,)))


def test_names():
    assert set(recipes.names()) == NAMES
    assert recipes.DEFAULT == "tiny_cifar10"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_recipe_carries_its_name_and_says_what_it_is_for(name):
    assert recipes.get(name) == getattr(recipes, name)()
    assert recipes.get(name).name == name
    assert recipes.summary(name).endswith(".")
    assert f"alexnet train {name}" in getattr(recipes, name).__doc__
    assert recipes.get(name).model.name in models.names()


def test_unknown_recipe():
    for ask in (recipes.get, recipes.summary):
        with pytest.raises(UserError, match=r"unknown recipe 'imagenet': choose one of .*tiny_cifar10"):
            ask("imagenet")


def test_the_tutorials_first_run():
    recipe = recipes.tutorial_tiny()
    assert (recipe.data, recipe.model.name, recipe.model.init) == ("cifar10", "tiny_alexnet", "xavier")
    assert (recipe.model.activation, recipe.model.dropout) == (None, None)  # the network's own: relu, 0.5
    assert (recipe.epochs, recipe.batch_size, recipe.accumulate_steps) == (10, 64, 1)
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.optimizer.weight_decay) == ("sgd", 0.03, 0.001)
    assert recipe.optimizer.momentum == 0
    assert not recipe.optimizer.nesterov
    assert recipe.schedule == ScheduleConfig(name="constant")
    assert recipe.augment == AugmentConfig(crop_padding_px=0, flip="none", normalize=False)
    assert (recipe.val_fraction, recipe.label_smoothing) == (0, 0)
    assert (recipe.ema_decay, recipe.grad_clip_norm) == (None, None)


def test_the_tutorials_published_run():
    first, recipe = recipes.tutorial_tiny(), recipes.tutorial_tiny_momentum()
    assert (recipe.epochs, recipe.batch_size) == (100, 256)
    optimizer = recipe.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.01, 0.9, False, 0.001)
    assert (recipe.model, recipe.augment, recipe.schedule) == (first.model, first.augment, first.schedule)
    assert recipe.val_fraction == 0


def test_the_papers_recipe():
    """Section 5, but for what docs/alexnet-2012.md lists."""
    recipe = recipes.imagenet_2012()
    assert recipe.model == ModelConfig(name="alexnet_2012", init="gaussian")
    assert (recipe.epochs, recipe.batch_size, recipe.accumulate_steps) == (90, 128, 1)
    assert recipe.optimizer == OptimizerConfig(name="sgd_2012", lr=0.01, momentum=0.9, weight_decay=0.0005)
    assert recipe.schedule == ScheduleConfig(name="plateau", factor=0.1, max_drops=3)
    assert recipe.val_fraction > 0
    assert (recipe.augment.flip, recipe.augment.normalize, recipe.augment.raw_pixels) == ("random", True, True)
    assert (recipe.resize_px, recipe.image_px) == (256, 224)
    assert (recipe.augment.pca_color, recipe.augment.pca_color_of) == (0.1, "train")
    assert (recipe.label_smoothing, recipe.ema_decay, recipe.grad_clip_norm) == (0, None, None)
    assert recipe.precision == "fp32"


def test_the_papers_net_as_of_today():
    then, now = recipes.imagenet_2012(), recipes.imagenet_modern()
    assert now.model.name == then.model.name == "alexnet_2012"
    assert (now.resize_px, now.image_px, now.augment.pca_color) == (256, 224, 0.1)
    assert (now.schedule.name, now.precision) == ("cosine", "auto")
    assert now.label_smoothing > 0
    assert now.optimizer.lr / then.optimizer.lr == now.batch_size / then.batch_size == 4


def test_sources_and_networks():
    assert recipes.digits().data == "digits"
    assert recipes.lenet_fashion().data == "fashion_mnist"
    assert (
        recipes.lenet_cifar10().data == recipes.tiny_cifar10().data == recipes.tiny_cifar10_best().data == "cifar10"
    )
    assert recipes.lenet_fashion().model.name == recipes.lenet_cifar10().model.name == "lenet"
    assert recipes.digits().model.name == recipes.tiny_cifar10().model.name == "tiny_alexnet"


TINY = recipes.tiny_cifar10()
SGD = OptimizerConfig(lr=0.125)
# Values in the order of the fields, each unlike any the recipes have now.
CHANGES: dict[str, dict[str, Any]] = {
    "numbers": {"epochs": 3, "batch_size": 96, "seed": 7, "val_fraction": 0.25},
    "none to a value": {"image_px": 48, "ema_decay": 0.75, "grad_clip_norm": 1.5, "threads": 2},
    "every plain field": {
        "accumulate_steps": 3,
        "label_smoothing": 0.125,
        "stop_at_chance_epochs": 9,
        "checkpoint_every_s": 12.5,
        "device": "cuda:1",
        "precision": "bf16",
        "compile": True,
    },
    "tiny and huge numbers": {"optimizer": OptimizerConfig(lr=1e-07, weight_decay=1.2345678901234567e-20)},
    "the authors' code": {"model": ModelConfig(name="alexnet_2012", variant="source", init="gaussian_source")},
    "the paper's rule": {"optimizer": OptimizerConfig(name="sgd_2012", lr=0.25, bias_lr=0.5, momentum=0.75)},
    "pixels as they are": {"augment": AugmentConfig(raw_pixels=True)},
    "model": {"model": ModelConfig(name="lenet", activation="elu", dropout=0.625, init="gaussian")},
    "variants of a network": {
        "model": ModelConfig(name="convnet_2012", norm="batch", pool_px=2),
        "train_images": 1000,
    },
    "towers": {"model": ModelConfig(name="cifar_alexnet", towers="two", without="conv4")},
    "whitened": {"model": ModelConfig(name="cifar_alexnet", whiten=True)},
    "augment": {"augment": AugmentConfig(crop_padding_px=7, flip="none", normalize=False)},
    "more variation": {
        "augment": AugmentConfig(crop_padding_px=3, crop_border="reflect", flip="alternating", cutout_px=12)
    },
    "larger images cut": {"image_px": 48, "resize_px": 56},
    "colours shifted": {"augment": AugmentConfig(pca_color=0.1, pca_color_of="imagenet")},
    "images mixed": {"augment": AugmentConfig(mixup=0.25, cutmix=0.75)},
    "trained weights": {
        "pretrained": "some run/model.safetensors",
        "freeze": "body",
        "freeze_epochs": 2,
        "epochs": 4,
        "model": ModelConfig(name="tiny_alexnet"),
        "augment": AugmentConfig(flip="random"),
    },
    "layers and classes": {"layer_decay": 0.625, "balance": "sampling"},
    "smaller images first": {"train_px": (20, 24, 32)},
    "one smaller size": {"train_px": (24,)},
    "the test split stays closed": {"open_test": False, "val_fraction": 0.25},
    "flip on": {"augment": AugmentConfig(flip="random")},
    "biases decayed": {"optimizer": replace(SGD, decay_biases=True)},
    "biases not decayed": {"optimizer": replace(SGD, decay_biases=False)},
    "nesterov on": {"optimizer": replace(SGD, nesterov=True)},
    "nesterov off": {"optimizer": replace(SGD, nesterov=False)},
    "nesterov left to the optimiser": {"optimizer": replace(SGD, nesterov=None, momentum=None)},
    "a pair": {"optimizer": OptimizerConfig(name="adamw", betas=(0.5, 0.75))},
    "muon": {"optimizer": OptimizerConfig(name="muon", momentum=0.25, nesterov=False)},
    "muon and the rest": {"optimizer": OptimizerConfig(name="muon", lr=0.25, other_lr=0.0625)},
    "a list of one": {"schedule": ScheduleConfig(name="step", step_epochs=(2,), factor=0.5)},
    "a list of three": {"schedule": ScheduleConfig(name="step", step_epochs=(2, 4, 5), warmup_epochs=1.5)},
    "plateau": {
        "val_fraction": 0.5,
        "schedule": ScheduleConfig(name="plateau", patience_epochs=2, max_drops=0, factor=0.25),
    },
}


@pytest.mark.parametrize("name", ["tiny_cifar10", "tutorial_tiny_momentum", "digits"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_flags_of_a_changed_recipe_make_it_again(name, changes):
    changed = replace(recipes.get(name), **changes)
    flags = recipes.overrides(changed)
    assert parse([name, *flags]) == changed


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_unchanged_recipe_needs_no_flags(name):
    assert recipes.overrides(recipes.get(name)) == []
    assert parse([name]) == recipes.get(name)


def test_flags_name_only_what_differs():
    changed = replace(TINY, epochs=77, augment=replace(TINY.augment, normalize=False))
    assert recipes.overrides(changed) == ["--epochs", "77", "--augment.no-normalize"]


def test_data_is_left_to_the_caller():
    assert recipes.overrides(replace(TINY, data="elsewhere")) == []


def test_flags_of_a_recipe_unknown_here():
    with pytest.raises(UserError, match="unknown recipe 'mine'"):
        recipes.overrides(Recipe(name="mine"))
