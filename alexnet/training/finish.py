"""The end of a run: weights, figures on the test split, and the report."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alexnet import recipes, weights
from alexnet.card import Calibration, ModelCard
from alexnet.config import Recipe
from alexnet.data import Dataset, SplitName
from alexnet.distributed import LOADING_S, World
from alexnet.evaluation import calibrate
from alexnet.evaluation.calibrate import Answered
from alexnet.evaluation.evaluate import log_probabilities
from alexnet.evaluation.finish import Figures, write
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.report import ReportContent
from alexnet.evaluation.report.words import WORDS
from alexnet.language import Words
from alexnet.plain import from_dict, to_dict
from alexnet.run_folder import RunFolder
from alexnet.runtime import Runtime


def finish(
    folder: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    model: nn.Module,
    card: ModelCard,
    runtime: Runtime,
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    """Save the weights, open the test split once, and write result.json and report.html.

    The test split (the held-out images where the recipe leaves it closed) is evaluated in fp32 from one view, so
    `alexnet evaluate` gives the same figures. Of several ranks all evaluate, and rank 0 writes.

    Returns:
        The values of result.json; nothing on other ranks.
    """
    world = runtime.world
    exact = replace(runtime, dtype=torch.float32)
    calibration = world.from_main(
        lambda: calibrate.fit(model, dataset.train, dataset.val, card.preprocessing, replace(exact, world=World()))
    )
    card = replace(card, calibration=calibration)
    if world.is_main:
        weights.save(folder.model, model, card)
    split: SplitName = "test" if recipe.open_test else "val"
    world.at(f"reading the {split} images", LOADING_S)
    with world.first_on_host():
        images = dataset.split(split)
    features_ND: Tensor | None = None
    if world.size == 1:
        log_p_NK, features_ND = calibrate.score(model, images, card.preprocessing, exact)
    else:  # each rank sees the features of its own images alone
        log_p_NK = log_probabilities(model, images, card.preprocessing, exact).cpu()
    world.at("the report")
    if not world.is_main:
        return {}
    figures = Figures.of(log_p_NK, split, images, card.class_names)
    calibrated = answered = None
    if calibration is not None:
        sure_NK = calibrate.with_temperature(log_p_NK, calibration)
        calibrated = figures.again(sure_NK)
        answered = calibrate.measure_answers(sure_NK, features_ND, images.labels_N, calibration)
    result = figures.result(
        model,
        runtime,
        train_s=rows[-1]["elapsed_s"],
        images_per_s=sorted(row["images_per_s"] for row in rows)[len(rows) // 2],
        epochs=recipe.epochs,
        seed=recipe.seed,
        recipe=recipe.name,
        **_calibrated(split, calibration, calibrated, answered),
    )
    _, values = folder.read_recipe()
    words = Words(WORDS)
    content = ReportContent(
        title=words.plain("title", model=_name(card), data=Path(dataset.name).name),
        facts=_facts(words, recipe, card, figures.data_fact(dataset, words), result, values["environment"]),
        command=repeat_command(values, folder),
        parameters=result["params"],
        history=rows,
        evaluation=figures.evaluation,
        calibrated=calibrated,
        answered=answered,
        split=split,
        mistakes=figures.mistakes,
        filters_OCHW=_first_filters(model),
        towers=1 if card.model == weights.CUSTOM else _towers(model),
        folder=Path(dataset.origin["path"]) if "findings" in dataset.origin else None,
        findings=dataset.origin.get("findings", {}),
        recipe=to_dict(recipe),
    )
    write(folder, content, result)
    folder.previous_checkpoint.unlink(missing_ok=True)  # nothing is left to resume
    return result


def _calibrated(
    split: SplitName, calibration: Calibration | None, calibrated: Evaluation | None, answered: Answered | None
) -> dict[str, Any]:
    """What the temperature and the threshold, which travel with the weights, do on the split."""
    if calibration is None or calibrated is None or answered is None:
        return {}
    return {
        "temperature": calibration.temperature,
        f"{split}_ece_calibrated": calibrated.ece,
        f"{split}_answered": answered.share,
        f"{split}_answered_top1": answered.accuracy,
        f"{split}_none": answered.none_share,
    }


def _name(card: ModelCard) -> str:
    """What the network is called: its name, or the class of a module of the user's own."""
    return str(card.options["class"]).rpartition(".")[2] if card.model == weights.CUSTOM else card.model


def _facts(
    words: Words, recipe: Recipe, card: ModelCard, data: str, result: dict[str, Any], environment: dict[str, Any]
) -> dict[str, str]:
    values = {
        "recipe": recipe.name,
        "model": words.plain("model_value", model=_name(card), parameters=f"{result['params']:,}"),
        "data": data,
        "training": words.plain(
            "training_value_1" if recipe.epochs == 1 else "training_value",
            epochs=recipe.epochs,
            seconds=f"{result['train_s']:.0f}",
            speed=f"{result['images_per_s']:,.0f}",
        ),
        "seed": str(recipe.seed),
        "hardware": f"{environment['gpu'] or environment['cpu']}, {environment['precision']}",
        "versions": f"alexnet {environment['alexnet']}, torch {environment['torch']}",
    }
    return {words.plain(name): value for name, value in values.items()}


def repeat_command(values: dict[str, Any], folder: RunFolder) -> str:
    """The command that repeats a run, from its recipe.json; of data or a network in memory, the call in Python."""
    if "command" in values["data"]["origin"]:
        return str(values["data"]["origin"]["command"])
    given = ["data=..."] if values["data"].get("in_memory") else []
    given += ["model=..."] if "module" in values else []
    if given:
        return f"alexnet.train(recipe, {', '.join(given)})"
    recipe, root = from_dict(Recipe, values["recipe"]), values["data"]["root"]
    is_named = recipe.name in recipes.SHIPPED
    first = recipe.name if is_named else str(folder.recipe)
    parts = ["alexnet", "train", first, "--data", recipe.data, *(["--root", root] if root else [])]
    return shlex.join(parts + (recipes.overrides(recipe) if is_named else []))


def _convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def _towers(model: nn.Module) -> int:
    """Parts that the second convolution sees the first one's maps in."""
    second = _convolutions(model)[1:2]
    return second[0].groups if second else 1


def _first_filters(model: nn.Module) -> Any:
    convolutions = _convolutions(model)
    if not convolutions or convolutions[0].in_channels not in (1, 3):
        return None
    first = convolutions[0]
    return first.weight.detach().float().cpu().contiguous().numpy()
