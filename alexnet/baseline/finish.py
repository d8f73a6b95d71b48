"""The end of a baseline's run: weights, figures on the test split, and the report."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from alexnet import recipes, weights
from alexnet.baseline.recipe import BaselineRecipe, get, summary
from alexnet.card import ModelCard
from alexnet.data import Dataset, SplitName
from alexnet.evaluation.evaluate import log_probabilities
from alexnet.evaluation.finish import Figures, write
from alexnet.evaluation.report import ReportContent, Trial
from alexnet.evaluation.report.words import WORDS
from alexnet.language import Words
from alexnet.models import pipelines
from alexnet.plain import to_dict
from alexnet.run_folder import RunFolder
from alexnet.runtime import Runtime

_MOST_WORDS = 96  # shown in the report


def finish(
    folder: RunFolder,
    recipe: BaselineRecipe,
    dataset: Dataset,
    pipeline: pipelines.Pipeline,
    card: ModelCard,
    runtime: Runtime,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Save the pipeline, open the test split once, and write result.json and report.html.

    The test split (the held-out images where the recipe leaves it closed) is evaluated as `alexnet evaluate` does.

    Args:
        folder: the run.
        recipe: what was done.
        dataset: its images.
        pipeline: what was made.
        card: what travels with it.
        runtime: device and threads.
        facts: train_s, cpu_s (processor seconds of all threads), features, images_per_s and chosen.

    Returns:
        The values of result.json.
    """
    weights.save(folder.model, pipeline, card)
    split: SplitName = "test" if recipe.open_test else "val"
    images = dataset.split(split)
    log_p_NK = log_probabilities(pipeline, images, card.preprocessing, runtime)
    figures = Figures.of(log_p_NK, split, images, card.class_names)
    result = figures.result(pipeline, runtime, **facts, epochs=None, seed=recipe.seed, recipe=recipe.name)
    values = folder.read_values()
    words = Words(WORDS)
    content = ReportContent(
        title=words.plain("title", model=recipe.name, data=Path(dataset.name).name),
        facts=_facts(words, recipe, figures.data_fact(dataset, words), result, values["environment"]),
        command=repeat_command(recipe, values["data"]["root"]),
        subject="pipeline",
        parameters=result["params"],
        evaluation=figures.evaluation,
        split=split,
        trials=_trials(folder.read_metrics(), facts["chosen"]),
        mistakes=figures.mistakes,
        filters_OCHW=_words(pipeline, card),
        recipe=to_dict(recipe),
    )
    write(folder, content, result)
    return result


def _facts(
    words: Words, recipe: BaselineRecipe, data: str, result: dict[str, Any], environment: dict[str, Any]
) -> dict[str, str]:
    facts = {
        "baseline": summary(recipe.name),
        "features": words.plain("features_value", n=f"{result['features']:,}"),
        "settings": words.plain("settings_value", chosen=in_words(result["chosen"])),
        "data": data,
        "time": words.plain("time_value", seconds=f"{result['train_s']:.0f}"),
        "seed": str(recipe.seed),
        "hardware": words.plain("threads", cpu=environment["gpu"] or environment["cpu"], n=environment["threads"]),
        "versions": f"alexnet {environment['alexnet']}, torch {environment['torch']}",
    }
    return {words.plain(name): value for name, value in facts.items()}


def in_words(setting: dict[str, Any]) -> str:
    """`images = 10,000, c = 0.3`."""
    return ", ".join(
        f"{name} = {value:,}" if isinstance(value, int) else f"{name} = {value:.4g}"
        for name, value in setting.items()
    )


def _trials(rows: list[dict[str, Any]], chosen: dict[str, Any]) -> list[Trial]:
    settings = [{key: row[key] for key in row if key not in ("val_top1", "elapsed_s")} for row in rows]
    return [
        Trial(in_words(setting), row["val_top1"], setting == chosen)
        for setting, row in zip(settings, rows, strict=True)
    ]


def repeat_command(recipe: BaselineRecipe, root: str | None) -> str:
    """The command that repeats a run."""
    parts = ["alexnet", "baseline", recipe.name, "--data", recipe.data, *(["--root", root] if root else [])]
    return shlex.join(parts + recipes.flags(get(recipe.name), recipe))


def _words(pipeline: pipelines.Pipeline, card: ModelCard) -> Any:
    """Patches of a dictionary [M, C, 6, 6]; None where it is not made of pixels."""
    layer = pipeline.features[0]
    if not isinstance(layer, pipelines.KMeansFeatures):
        return None
    shown = layer.words_MP.detach()[:_MOST_WORDS].cpu()
    return shown.view(-1, card.preprocessing.in_channels, layer.patch_px, layer.patch_px).numpy()
