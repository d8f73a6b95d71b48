"""The README.md of a published network."""

from __future__ import annotations

from typing import Any

from alexnet.export.job import Job
from alexnet.models import count_macs, count_parameters
from alexnet.weights import shipped

_MOST_NAMED = 20


def text(job: Job, top1: float | None) -> str:
    """The model card: what it is, how to use it, what was measured, and what was not.

    Args:
        job: the export.
        top1: accuracy on the test images it was compared on, in 0..1; None where there were none with labels.
    """
    card = job.classifier.card
    how, model = card.preprocessing, job.classifier.model
    parts = [
        _front_matter(job),
        f"# {card.model}, {len(card.class_names)} classes",
        f"{count_parameters(model):,} parameters, {count_macs(model, how.in_channels, how.image_px):,} multiply-adds "
        f"an image of {how.image_px} px. Network of the Python package `alexnet`.",
        "## Use",
        "```python\nfrom alexnet.export.hub_model import HubModel  # pip install 'alexnet[hub]'\n\n"
        'classifier = HubModel.from_pretrained("OWNER/NAME").to_classifier()  # or the path of this folder\n'
        'print(classifier.predict("photo.jpg"))\n```',
        f"Without huggingface_hub: `alexnet.models.create({card.model!r}, **options)` with the options that stand in "
        "config.json under `card`, then `load_state_dict(safetensors.torch.load_file('model.safetensors'))`. The "
        f"input is {'RGB' if how.in_channels == 3 else 'grey'} in 0..1 minus `mean`, divided by `std`, "
        f"{how.in_channels} x {how.image_px} x {how.image_px}.",
        "## Measured",
        _measured(job, top1),
        "## Training",
        _training(card.recipe, card.source),
        "## Classes",
        _classes(card.class_names),
        "## Limits",
        "It knows the classes above and nothing else: any picture gets one of them. "
        + (
            f"Probabilities are calibrated (temperature {card.calibration.temperature:.3f}, fitted on "
            f"{card.calibration.n:,} held-out images)."
            if card.calibration
            else "Probabilities are not calibrated."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(job: Job) -> str:
    lines = [
        "---",
        "library_name: alexnet",
        "pipeline_tag: image-classification",
        "tags:",
        "- image-classification",
        f"- {job.classifier.card.model}",
    ]
    return "\n".join([*lines, "---"])


def _measured(job: Job, top1: float | None) -> str:
    rows = []
    if top1 is not None:
        rows.append(f"- top-1 {top1:.4f} on {job.images.what}, when this folder was written")
    if job.name in shipped.names():
        known = shipped.get(job.name)
        rows.append(f"- {known.measured}: {known.accuracy:.4f}")
    rows += [
        f"- {c.what} of the files in this folder beside the package's own: greatest difference "
        f"{c.greatest_difference:.2g}, {c.other_first_answers} other first answers, on {c.images}"
        for c in job.comparisons
    ]
    if top1 is None:
        rows.append("- Accuracy was not measured when this folder was written.")
    return "\n".join(rows)


def _training(recipe: dict[str, Any] | None, source: str | None) -> str:
    if recipe is None:
        return f"Converted from {source}." if source else "Not known."
    known = {
        key: recipe[key] for key in ("name", "data", "epochs", "batch_size", "seed") if recipe.get(key) is not None
    }
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in known.items())
    return f"By the recipe {told}. All of it stands in config.json under `card.recipe`."


def _classes(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more, see config.json." if len(names) > _MOST_NAMED else ".")
