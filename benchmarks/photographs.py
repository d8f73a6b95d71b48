"""The paper's network at 224 px learns a few photographs by heart, from scratch, and is then shown ten views of each.

    python benchmarks/photographs.py --photos FOLDER [--seeds 0 1 2] [--epochs 120]

FOLDER holds photographs, each the one image of its class, which its name tells. They are resized to 256 px, cut to
224 px at random, mirrored and shifted in colour, as in the paper; what is measured is the training accuracy of the
finished network, from one view and from ten. Writes benchmarks/results/photographs.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from alexnet import recipes, training
from alexnet.config import Recipe
from alexnet.data.images.decode import EXTENSIONS
from alexnet.evaluation import load
from alexnet.files import write_json
from alexnet.plain import to_dict

RESULT = Path(__file__).parent / "results" / "photographs.json"
ENVIRONMENT = ("alexnet", "commit", "python", "torch", "numpy", "cpu", "gpu", "device", "precision", "threads")


def class_folders(photos: Path, folder: Path) -> int:
    """Make `folder` a data set whose train/ and test/ both hold every photograph, each a class; returns how many."""
    files = sorted(file for file in photos.iterdir() if file.suffix.lower() in EXTENSIONS)
    for file in files:
        for split in ("train", "test"):
            link = folder / split / file.stem / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(file.resolve())
    return len(files)


def recipe(seed: int, epochs: int, device: str) -> Recipe:
    """imagenet_modern, for so few images that each step sees a third of them."""
    base = recipes.imagenet_modern()
    return replace(
        base,
        seed=seed,
        epochs=epochs,
        batch_size=11,
        val_fraction=0.0,
        device=device,
        optimizer=replace(base.optimizer, lr=0.01),
        schedule=replace(base.schedule, warmup_epochs=min(5, epochs // 4)),
    )


def learn(seed: int, data: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One network: trained, unless that was done before, and measured."""
    out = given.work / f"seed-{seed}"
    if not (out / "result.json").is_file():
        training.train(recipe(seed, given.epochs, given.device), data, out=out, overwrite=True)
    net, result = load(out), json.loads((out / "result.json").read_text())
    return {
        "seed": seed,
        "train_top1": result["test_top1"],
        "train_top1_10_views": net.evaluate(data, views=10).top1,
        "n_train": result["n_test"],
        "train_s": result["train_s"],
        "environment": json.loads((out / "recipe.json").read_text())["environment"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/photographs"), help="where the runs go")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    class_folders(given.photos, given.work / "images")
    runs = [learn(seed, given.work / "images", given) for seed in given.seeds]
    environments = [run.pop("environment") for run in runs]
    values = {
        "what": "photographs learned by heart, each the one image of its class; accuracy on these same photographs",
        "command": "python benchmarks/photographs.py --photos FOLDER",
        "recipe": to_dict(replace(recipe(0, given.epochs, given.device), seed=0)) | {"seed": None},
        "environment": {key: environments[0][key] for key in ENVIRONMENT},
        "n": len(runs),
        **{f"{key}_mean": statistics.mean(run[key] for run in runs) for key in ("train_top1", "train_top1_10_views")},
        "runs": runs,
    }
    write_json(RESULT, values)
    print(
        json.dumps(
            {key: values[key] for key in ("n", "train_top1_mean", "train_top1_10_views_mean", "runs")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
