"""What a run may be: every refusal names its field, and JSON gives back what was written."""

from __future__ import annotations

import ast
import inspect
import json
import math
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alexnet import recipes
from alexnet.card import ModelCard, Preprocessing
from alexnet.config import (
    Activation,
    AugmentConfig,
    CropBorder,
    Flip,
    Init,
    ModelConfig,
    OptimizerConfig,
    OptimizerName,
    Recipe,
    ScheduleConfig,
    ScheduleName,
)
from alexnet.errors import UserError
from alexnet.plain import from_dict, to_dict


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (ModelConfig, {"dropout": 1.0}, "model.dropout"),
        (ModelConfig, {"dropout": -0.1}, "model.dropout"),
        (ModelConfig, {"dropout": math.nan}, "model.dropout"),
        (AugmentConfig, {"crop_padding_px": -1}, "augment.crop_padding_px"),
        (AugmentConfig, {"cutout_px": -1}, "augment.cutout_px"),
        (AugmentConfig, {"crop_border": "reflect"}, "crop_border is not used .* set augment.crop_padding_px above 0"),
        (AugmentConfig, {"pca_color": -0.1}, "augment.pca_color cannot be negative"),
        (AugmentConfig, {"mixup": -0.1}, "augment.mixup cannot be negative"),
        (AugmentConfig, {"cutmix": -0.1}, "augment.cutmix cannot be negative"),
        (AugmentConfig, {"pca_color_of": "imagenet"}, "pca_color_of is not used .* set augment.pca_color above 0"),
        (OptimizerConfig, {"lr": 0.0}, "optimizer.lr"),
        (OptimizerConfig, {"lr": -0.1}, "optimizer.lr"),
        (OptimizerConfig, {"lr": math.nan}, "optimizer.lr"),
        (OptimizerConfig, {"weight_decay": -1e-4}, "optimizer.weight_decay"),
        (OptimizerConfig, {"momentum": 1.0}, "optimizer.momentum"),
        (OptimizerConfig, {"momentum": -0.5}, "optimizer.momentum"),
        (OptimizerConfig, {"momentum": 0.0, "nesterov": True}, "optimizer.nesterov needs momentum"),
        (OptimizerConfig, {"name": "adamw", "betas": (0.9, 1.0)}, "optimizer.betas"),
        (OptimizerConfig, {"name": "adamw", "betas": (-0.1, 0.9)}, "optimizer.betas"),
        (OptimizerConfig, {"name": "rmsprop"}, "optimizer.name"),
        (OptimizerConfig, {"name": "sgd_2012", "bias_lr": 0.0}, "optimizer.bias_lr must be positive"),
        (ModelConfig, {"variant": "source"}, "model.variant is not used by tiny_alexnet .*alexnet_2012"),
        (OptimizerConfig, {"name": "muon", "other_lr": 0.0}, "optimizer.other_lr must be positive"),
        (
            OptimizerConfig,
            {"name": "muon", "other_weight_decay": -0.1},
            "optimizer.other_weight_decay cannot be negative",
        ),
        (ScheduleConfig, {"warmup_epochs": -1.0}, "schedule.warmup_epochs"),
        (ScheduleConfig, {"name": "step", "factor": 0.0}, "schedule.factor"),
        (ScheduleConfig, {"name": "step", "factor": 1.0}, "schedule.factor"),
        (ScheduleConfig, {"name": "step", "step_epochs": ()}, "schedule.step_epochs"),
        (ScheduleConfig, {"name": "step", "step_epochs": (0, 5)}, "schedule.step_epochs"),
        (ScheduleConfig, {"name": "plateau", "patience_epochs": 0}, "schedule.patience_epochs"),
        (ScheduleConfig, {"name": "plateau", "max_drops": -1}, "schedule.max_drops"),
        (ScheduleConfig, {"name": "linear"}, "schedule.name"),
        (Recipe, {"epochs": 0}, "epochs must be 1 or more, not 0"),
        (Recipe, {"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        (Recipe, {"accumulate_steps": 0}, "accumulate_steps"),
        (
            Recipe,
            {"accumulate_steps": 9, "batch_size": 8},
            r"accumulate_steps must lie in 1..batch_size \(8\), not 9",
        ),
        (Recipe, {"resize_px": 0}, "resize_px must be 1 or more"),
        (Recipe, {"resize_px": 40, "image_px": 48}, r"resize_px \(40\) must be at least image_px \(48\)"),
        (
            Recipe,
            {"freeze": "features"},
            "freeze features keeps the first weights, .* name trained ones with pretrained",
        ),
        (Recipe, {"pretrained": "run", "freeze_epochs": 2}, "freeze_epochs is not used while nothing is frozen"),
        (Recipe, {"pretrained": "run", "freeze": "body", "freeze_epochs": 10}, "freeze_epochs must lie in 1..9"),
        (Recipe, {"pretrained": "run", "augment": AugmentConfig(normalize=False)}, "leave augment.normalize on"),
        (Recipe, {"pretrained": "run", "augment": AugmentConfig(raw_pixels=True)}, "leave augment.raw_pixels off"),
        (
            Recipe,
            {"pretrained": "run", "model": ModelConfig(whiten=True)},
            "would replace the first layer of the pretrained",
        ),
        (Recipe, {"layer_decay": 0.0}, "layer_decay must lie in"),
        (Recipe, {"layer_decay": 1.5}, "layer_decay must lie in"),
        (Recipe, {"val_fraction": 1.0}, "val_fraction"),
        (Recipe, {"val_fraction": -0.1}, "val_fraction"),
        (Recipe, {"label_smoothing": 1.0}, "label_smoothing"),
        (Recipe, {"ema_decay": 0.0}, "ema_decay"),
        (Recipe, {"ema_decay": 1.0}, "ema_decay"),
        (Recipe, {"grad_clip_norm": 0.0}, "grad_clip_norm"),
        (Recipe, {"image_px": 0}, "image_px"),
        (Recipe, {"train_px": ()}, "train_px needs one side or more"),
        (Recipe, {"train_px": (8, 16, 24), "epochs": 2}, r"no more than epochs \(2\)"),
        (Recipe, {"train_px": (0, 16)}, r"train_px must lie in 1..image_px: \(0, 16\)"),
        (Recipe, {"train_px": (16, 33), "image_px": 32}, r"train_px must lie in 1..image_px: \(16, 33\)"),
        (Recipe, {"open_test": False, "val_fraction": 0.0}, "on held-out images: set val_fraction above 0"),
        (Recipe, {"checkpoint_every_s": 0.0}, "checkpoint_every_s"),
        (Recipe, {"stop_at_chance_epochs": -1}, "stop_at_chance_epochs"),
        (Recipe, {"threads": 0}, "threads"),
        (
            Recipe,
            {"schedule": ScheduleConfig(name="plateau"), "val_fraction": 0.0},
            "plateau .* val_fraction above 0",
        ),
        (Recipe, {"schedule": ScheduleConfig(warmup_epochs=4), "epochs": 3}, r"schedule.warmup_epochs \(4\)"),
        (Preprocessing, {"in_channels": 4, "mean": (0.5,) * 4, "std": (0.5,) * 4}, "1 or 3 channels, not 4"),
        (Preprocessing, {"in_channels": 3, "mean": (0.5,), "std": (0.5,) * 3}, "mean and std need 3 values"),
        (Preprocessing, {"in_channels": 3, "mean": (0.5,) * 3, "std": (0.5,)}, "mean and std need 3 values"),
        (Preprocessing, {"in_channels": 1, "mean": (0.5,), "std": (0.0,)}, "mean and std need 1 values"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(kind: type[Any], values: dict[str, Any], field: str) -> None:
    always = {Recipe: {"name": "tiny_cifar10"}, Preprocessing: {"image_px": 32}}.get(kind, {})
    with pytest.raises(UserError, match=field):
        kind(**always, **values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ModelConfig, {"dropout": 0.0}),
        (AugmentConfig, {"crop_padding_px": 0}),
        (OptimizerConfig, {"weight_decay": 0.0, "momentum": 0.0}),
        (OptimizerConfig, {"name": "adamw", "betas": (0.0, 0.0)}),
        (AugmentConfig, {"crop_padding_px": 1, "crop_border": "reflect", "cutout_px": 1}),
        (Recipe, {"train_px": (1, 32), "image_px": 32, "epochs": 2}),
        (Recipe, {"open_test": False, "val_fraction": 0.01}),
        (ScheduleConfig, {"warmup_epochs": 0.0}),
        (ScheduleConfig, {"name": "step", "step_epochs": (1,)}),
        (ScheduleConfig, {"name": "plateau", "patience_epochs": 1, "max_drops": 0}),
        (Recipe, {"epochs": 1, "batch_size": 1, "accumulate_steps": 1, "val_fraction": 0.0, "label_smoothing": 0.0}),
        (Recipe, {"epochs": 3, "schedule": ScheduleConfig(warmup_epochs=3.0)}),
        (Recipe, {"stop_at_chance_epochs": 0, "image_px": 1, "threads": 1}),
    ],
)
def test_the_ends_of_each_range_are_allowed(kind: type[Any], values: dict[str, Any]) -> None:
    kind(**({"name": "tiny_cifar10"} if kind is Recipe else {}), **values)


@pytest.mark.parametrize(
    ("kind", "name", "values", "message"),
    [
        (
            OptimizerConfig,
            "adamw",
            {"momentum": 0.9},
            "momentum is not used by adamw .it belongs to sgd, sgd_2012, muon.*momentum None",
        ),
        (OptimizerConfig, "adamw", {"nesterov": False}, "optimizer.nesterov is not used by adamw"),
        (
            OptimizerConfig,
            "sgd",
            {"betas": (0.9, 0.99)},
            "optimizer.betas is not used by sgd .*--optimizer.betas None",
        ),
        (OptimizerConfig, "muon", {"betas": (0.9, 0.99)}, "optimizer.betas is not used by muon"),
        (OptimizerConfig, "sgd_2012", {"nesterov": True}, "optimizer.nesterov is not used by sgd_2012"),
        (OptimizerConfig, "sgd", {"bias_lr": 0.1}, "optimizer.bias_lr is not used by sgd .it belongs to sgd_2012"),
        (OptimizerConfig, "sgd", {"other_lr": 0.1}, "optimizer.other_lr is not used by sgd .it belongs to muon"),
        (OptimizerConfig, "sgd", {"other_weight_decay": 0.1}, "other_weight_decay is not used by sgd .* to muon"),
        (ScheduleConfig, "cosine", {"factor": 0.1}, "factor is not used by cosine .it belongs to step, plateau"),
        (ScheduleConfig, "one_cycle", {"step_epochs": (1,)}, "drop it, or pass --schedule.step-epochs None"),
        (ScheduleConfig, "step", {"patience_epochs": 2}, "schedule.patience_epochs is not used by step"),
        (ScheduleConfig, "constant", {"max_drops": 0}, "schedule.max_drops is not used by constant"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_with_the_fix(kind, name, values, message):
    with pytest.raises(UserError, match=message):
        kind(name=name, **values)


def test_configurations_cannot_be_changed_and_take_keywords_only():
    with pytest.raises(FrozenInstanceError):
        OptimizerConfig().lr = 1.0
    with pytest.raises(TypeError):
        ModelConfig("lenet")


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_survives_json(name):
    recipe = recipes.get(name)
    assert from_dict(Recipe, json.loads(json.dumps(to_dict(recipe)))) == recipe


shares = st.floats(0, 1, exclude_max=True)
positive = st.floats(1e-6, 1e6)


@st.composite
def some_recipes(draw: st.DrawFn) -> Recipe:
    optimizer: dict[str, Any] = {"name": draw(st.sampled_from(get_args(OptimizerName))), "lr": draw(positive)}
    if optimizer["name"] == "muon":
        optimizer["other_lr"] = draw(st.none() | positive)
        optimizer["other_weight_decay"] = draw(st.none() | st.floats(0, 1))
    if optimizer["name"] == "adamw":
        optimizer["betas"] = draw(st.none() | st.tuples(shares, shares))
    else:
        optimizer["momentum"] = draw(st.none() | st.floats(0.1, 0.99))
    if optimizer["name"] == "sgd_2012":
        optimizer["bias_lr"] = draw(st.none() | positive)
    if optimizer["name"] in ("sgd", "muon"):
        optimizer["nesterov"] = draw(st.none() | st.booleans())
    schedule: dict[str, Any] = {"name": draw(st.sampled_from(get_args(ScheduleName)))}
    if schedule["name"] == "step":
        schedule["step_epochs"] = draw(st.none() | st.lists(st.integers(1, 99), min_size=1).map(tuple))
    return Recipe(
        name="tiny_cifar10",
        data=draw(st.text()),
        epochs=draw(st.integers(3, 1000)),
        train_px=draw(st.none() | st.lists(st.integers(1, 512), min_size=1, max_size=3).map(tuple)),
        open_test=draw(st.booleans()),
        compile=draw(st.booleans()),
        seed=draw(st.integers(0, 2**63 - 1)),
        val_fraction=draw(st.floats(0.01, 0.99)),
        ema_decay=draw(st.none() | st.floats(0.01, 0.99)),
        threads=draw(st.none() | st.integers(1, 64)),
        model=ModelConfig(
            activation=draw(st.none() | st.sampled_from(get_args(Activation))),
            dropout=draw(st.none() | shares),
            init=draw(st.sampled_from(get_args(Init))),
            whiten=draw(st.booleans()),
        ),
        augment=AugmentConfig(
            crop_padding_px=draw(st.integers(1, 8)),
            crop_border=draw(st.sampled_from(get_args(CropBorder))),
            flip=draw(st.sampled_from(get_args(Flip))),
            cutout_px=draw(st.integers(0, 32)),
            raw_pixels=draw(st.booleans()),
        ),
        optimizer=OptimizerConfig(**optimizer),
        schedule=ScheduleConfig(**schedule),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(some_recipes())
def test_any_recipe_survives_json(recipe):
    text = json.dumps(to_dict(recipe), allow_nan=False)
    restored = from_dict(Recipe, json.loads(text))
    assert restored == recipe
    assert hash(restored) == hash(recipe)  # tuples, where JSON has lists


@pytest.mark.parametrize("recipe", [None, {"name": "digits", "optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}}])
def test_a_model_card_survives_json(recipe):
    card = ModelCard(
        model="lenet",
        options={"num_classes": 2, "dropout": 0.5},
        class_names=("cat", "狗"),
        preprocessing=Preprocessing(image_px=28, in_channels=1, mean=(0.25,), std=(0.5,)),
        recipe=recipe,
        source=None,
    )
    assert from_dict(ModelCard, json.loads(json.dumps(to_dict(card)))) == card


def test_unknown_keys_are_refused_wherever_they_stand():
    values = to_dict(recipes.digits())
    with pytest.raises(UserError, match="Recipe has no field colour, size; it was written by another version"):
        from_dict(Recipe, {**values, "size": 1, "colour": 2})
    with pytest.raises(UserError, match="OptimizerConfig has no field beta"):
        from_dict(Recipe, {**values, "optimizer": {**values["optimizer"], "beta": 0.9}})


@pytest.mark.parametrize(
    ("group", "field", "value", "known"),
    [
        (
            "augment",
            "flip",
            True,
            "'?True'? is none of none, random, alternating",
        ),  # as it was when there were two
        ("augment", "crop_border", "white", "'white' is none of black, reflect"),
        ("model", "name", "vgg", "'vgg' is none of tiny_alexnet, cifar_alexnet"),
        ("model", "activation", "swish", "'swish' is none of relu, "),
        ("optimizer", "name", "lion", "'lion' is none of sgd, sgd_2012, adamw, muon"),
        ("schedule", "name", "linear", "'linear' is none of constant, "),
        (None, "precision", "fp8", "'fp8' is none of auto, fp32"),
    ],
)
def test_unknown_choices_are_refused(group, field, value, known):
    values = to_dict(recipes.digits())
    (values[group] if group else values)[field] = value
    with pytest.raises(UserError, match=f"^{known}.*; it was written by another version"):
        from_dict(Recipe, values)


def test_restored_values_are_checked_too():
    with pytest.raises(UserError, match=r"optimizer\.lr must be positive"):
        from_dict(OptimizerConfig, {"lr": -1.0})


def test_missing_keys_take_their_defaults():
    assert from_dict(Recipe, {"name": "x", "optimizer": {"lr": 0.5}}) == Recipe(
        name="x", optimizer=OptimizerConfig(lr=0.5)
    )


@pytest.mark.parametrize("kind", [Recipe, ModelConfig, AugmentConfig, OptimizerConfig, ScheduleConfig])
def test_help_can_explain_every_field(kind):
    (definition,) = ast.parse(inspect.getsource(kind)).body
    for i, part in enumerate(definition.body):
        if not isinstance(part, ast.AnnAssign) or ast.unparse(part.annotation).endswith("Config"):
            continue
        after = definition.body[i + 1]
        assert isinstance(after, ast.Expr), ast.unparse(part)
        assert isinstance(after.value, ast.Constant), ast.unparse(part)


def test_a_config_is_read_without_torch_or_numpy():
    code = "import alexnet.config, alexnet.recipes, sys; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_replace_checks_again():
    recipe = recipes.tiny_cifar10()
    with pytest.raises(UserError, match="epochs"):
        replace(recipe, epochs=0)


def numeric_fields() -> list[tuple[type, str]]:
    """Every int and float field, optional ones and those in lists included, of every kind of configuration."""
    kinds = (Recipe, ModelConfig, AugmentConfig, OptimizerConfig, ScheduleConfig)
    return [
        (kind, name) for kind in kinds for name, hint in get_type_hints(kind).items() if {int, float} & parts(hint)
    ]


def parts(hint: Any) -> set[Any]:
    inner = get_args(hint)
    return {hint} | {part for each in inner for part in parts(each)} if inner else {hint}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308, 2**63, True, "3", "x", [1]])
@pytest.mark.parametrize(("kind", "name"), numeric_fields())
def test_values_that_are_no_sensible_numbers_are_refused_in_a_line(kind: type, name: str, value: Any) -> None:
    given = (value,) if tuple in {get_origin(part) for part in parts(get_type_hints(kind)[name])} else value
    required = {"name": "mine"} if kind is Recipe else {}
    with pytest.raises(UserError) as refused:
        kind(**required, **{name: given})
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_recipe_shows_what_it_changes() -> None:
    recipe = Recipe(name="mine", epochs=3, optimizer=OptimizerConfig(lr=0.25))
    assert recipe.changed() == {"name": "mine", "epochs": 3, "optimizer.lr": 0.25}
    assert "<td>optimizer.lr</td><td>0.25</td>" in recipe._repr_html_()
