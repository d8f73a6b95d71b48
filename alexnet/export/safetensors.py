"""One `.safetensors` file of ours: the weights and all that is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from alexnet import weights
from alexnet.evaluation import Classifier
from alexnet.export import network
from alexnet.export.compare import accuracy, compare
from alexnet.export.job import Job


def write(job: Job, out: Path) -> dict[str, Any]:
    """Write the weights to `out`, read them back, and compare the answers; raises `UserError` where they differ."""
    weights.save(out, job.classifier.model, job.classifier.card)
    custom = job.classifier.card.model == weights.CUSTOM
    model, card = weights.load(out, job.classifier.model if custom else None)
    again = Classifier(model, card, job.classifier.runtime)
    found_NK = torch.cat([network.probabilities(again, part) for part in job.images.parts(card.preprocessing)])
    job.check(compare("probabilities", job.images.what, job.probabilities, [(len(found_NK), found_NK)]))
    return {"tensors": len(load_file(out)), "top1": accuracy(found_NK, job.images.labels_N)}
