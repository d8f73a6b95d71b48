"""The end of a baseline's run: weights, figures on the test split, and the report."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from alexnet import models, recipes, weights
from alexnet.baseline.recipe import BaselineRecipe, get, summary
from alexnet.card import ModelCard
from alexnet.data import Dataset, SplitName
from alexnet.evaluation.evaluate import log_probabilities, summarize
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.report import ReportContent, Trial, worst_mistakes, write_report
from alexnet.files import write_json
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
    evaluation = summarize(log_p_NK, images, card.class_names)
    result = _result(recipe, pipeline, runtime, split, evaluation, facts)
    values = folder.read_values()
    content = ReportContent(
        title=f"{recipe.name} on {Path(dataset.name).name}",
        facts=_facts(recipe, dataset, result, values["environment"]),
        command=repeat_command(recipe, values["data"]["root"]),
        subject="pipeline",
        parameters=result["params"],
        evaluation=evaluation,
        split=split,
        trials=_trials(folder.read_metrics(), facts["chosen"]),
        mistakes=worst_mistakes(log_p_NK, images, card.class_names),
        filters_OCHW=_words(pipeline, card),
        recipe=to_dict(recipe),
    )
    write_report(folder.report, content)
    write_json(folder.result, result)  # last, so its presence says that the run is whole
    return result


def _result(
    recipe: BaselineRecipe,
    pipeline: pipelines.Pipeline,
    runtime: Runtime,
    split: SplitName,
    evaluation: Evaluation,
    facts: dict[str, Any],
) -> dict[str, Any]:
    return {
        "split": split,
        f"{split}_top1": evaluation.top1,
        f"{split}_top1_interval": list(evaluation.top1_interval),
        f"{split}_top5": evaluation.top5,
        f"{split}_loss": evaluation.loss,
        f"{split}_ece": evaluation.ece,
        f"n_{split}": evaluation.n,
        "params": models.count_parameters(pipeline),
        **facts,
        "epochs": None,
        "seed": recipe.seed,
        "recipe": recipe.name,
        "device": str(runtime.device),
        "precision": runtime.precision,
    }


def _facts(
    recipe: BaselineRecipe, dataset: Dataset, result: dict[str, Any], environment: dict[str, Any]
) -> dict[str, str]:
    n_test = f"{result['n_test']:,} test images" if "n_test" in result else "the test split left closed"
    n_val = 0 if dataset.val is None else len(dataset.val)
    return {
        "baseline": summary(recipe.name),
        "features": f"{result['features']:,} numbers an image",
        "settings": f"{in_words(result['chosen'])}, chosen on held-out images",
        "data": f"{dataset.name}: {len(dataset.train):,} train, {n_val:,} val, {n_test}",
        "time": f"{result['train_s']:.0f} s for features and fitting",
        "seed": str(recipe.seed),
        "hardware": f"{environment['gpu'] or environment['cpu']}, {environment['threads']} threads",
        "versions": f"alexnet {environment['alexnet']}, torch {environment['torch']}",
    }


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
