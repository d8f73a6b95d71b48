"""A study so small that it runs in a moment, whose answer is known."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet.studies import Study

# A module of its own, as the processes of a study import what they measure with.
MODULE = """
from dataclasses import replace

from alexnet import recipes
from alexnet.config import AugmentConfig, ModelConfig
from alexnet.studies import measures
from alexnet.studies.study import Arm, Comparison, Curves, Dots, Figure, Study, Text, Tuning


def recipe(epochs=1, lr=0.02):
    base = recipes.digits()
    return replace(
        base, model=ModelConfig(name="lenet", activation="relu"), augment=AugmentConfig(), epochs=epochs,
        train_images=100, val_fraction=0.1, threads=1, device="cpu", precision="fp32", grad_clip_norm=None,
        stop_at_chance_epochs=0, optimizer=replace(base.optimizer, lr=lr),
    )


def measure(run):
    rows = run.folder.read_metrics()
    return {
        "figures": {"epochs": float(len(rows)), "odd": 1.0 if run.recipe.seed % 2 else None},
        "curves": {"loss": measures.history(run, "train_loss")},
    }


def study(tuning=False, **arms):
    return Study(
        name="epochs",
        title=Text("More epochs are more", "epoch"),
        claim=Text("Two epochs are one more than one.", "epoch"),
        source="arithmetic",
        published=Text("one", "1"),
        setup=Text("Counting.", "1"),
        arms=tuple(Arm(name=name, label=name, recipe=made) for name, made in arms.items()),
        figures=(
            Figure(key="epochs", label=Text("epochs", "epoch")),
            Figure(key="odd", label=Text("odd seed", "odd")),
        ),
        measure=measure,
        tuning=Tuning(lrs=(1e-6, 0.02, 1e12), epochs=2, by="train_top1") if tuning else None,
        comparisons=(
            Comparison(text=Text("one more", "1"), figure="epochs", more="two", less="one", low=0.5, high=1.5),
        ),
        panels=(
            Curves(key="loss", x_label="epoch", y_label="loss (nats)"), Dots(figure="epochs", x_label="epochs"),
        ),
        seeds=2,
        core_minutes=1,
    )
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The module; its name is known to processes that are started from here."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "tiny_study.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module("tiny_study")


@pytest.fixture(scope="session")
def one_and_two(tiny) -> Callable[..., Study]:
    """Makes the study of one epoch against two."""
    return lambda **options: tiny.study(one=tiny.recipe(1), two=tiny.recipe(2), **options)


@pytest.fixture(scope="session")
def finished(one_and_two, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that study, run once."""
    from alexnet import studies

    return studies.run(one_and_two(), "digits", out=tmp_path_factory.mktemp("studies") / "epochs", processes=2)
