"""Makes the weights that come with the package from run folders: fp16, measured again as they ship.

    python benchmarks/ship_weights.py NAME RUN --data SRC --trained-on TEXT --use TEXT --licence TEXT

Writes alexnet/weights/shipped/NAME.safetensors, its entry in facts.json beside it, and
benchmarks/results/weights-NAME.json with the run's recipe and environment.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import alexnet
from alexnet import weights
from alexnet.files import write_json
from alexnet.run_folder import RunFolder

SHIPPED = Path(weights.shipped.__file__).parent
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True, help="whose test split the accuracy is measured on")
    for text in ("trained-on", "use", "licence"):
        parser.add_argument(f"--{text}", required=True)
    chosen = parser.parse_args()
    model, card = weights.load(chosen.run)
    recipe, values = RunFolder(chosen.run).read_recipe()
    # Paths of the machine it was trained on say nothing elsewhere.
    named = {**(card.recipe or {}), "data": Path(recipe.data).name}
    out = SHIPPED / f"{chosen.name}.safetensors"
    weights.save(out, model, replace(card, recipe=named), half=True)
    found = alexnet.evaluate(out, chosen.data)
    facts_file = SHIPPED / "facts.json"
    facts = json.loads(facts_file.read_text(encoding="utf-8")) if facts_file.exists() else {}
    facts[chosen.name] = {
        "network": card.model,
        "classes": len(card.class_names),
        "accuracy": found.top1,
        "measured": f"top-1 on {found.n:,} test images of the same data, one run of seed {recipe.seed}, as shipped",
        "data": chosen.trained_on,
        "recipe": recipe.name,
        "use": chosen.use,
        "licence": chosen.licence,
    }
    write_json(facts_file, dict(sorted(facts.items())))
    write_json(
        RESULTS / f"weights-{chosen.name}.json",
        {
            "recipe": named,
            "environment": values["environment"],
            "n_train": values["data"]["n_train"],
            "test": {
                "n": found.n,
                "top1": found.top1,
                "top1_interval": found.top1_interval,
                "top5": found.top5,
            },
            "train_s": json.loads(RunFolder(chosen.run).result.read_text())["train_s"],
            "bytes": out.stat().st_size,
        },
    )
    print(f"{out}: {out.stat().st_size:,} bytes, top-1 {found.top1:.4f} on {found.n:,}")


if __name__ == "__main__":
    main()
