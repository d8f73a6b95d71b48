"""The layout of the Hugging Face hub: config.json, model.safetensors and README.md, the model card.

The folder loads with `HubModel.from_pretrained(FOLDER)`, a mixin of huggingface_hub's, without a network; and its
weights, under plain names, into `alexnet.models.create(MODEL, **OPTIONS)` or any loader of state dicts. The keys of
config.json under `pretrained_cfg` are timm's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from alexnet import weights
from alexnet.errors import UserError
from alexnet.export import model_card
from alexnet.export.compare import accuracy
from alexnet.export.images import BATCH_SIZES
from alexnet.export.job import Job, require
from alexnet.models import create
from alexnet.plain import to_dict

if TYPE_CHECKING:
    from alexnet.export.hub_model import HubModel

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"


def write(job: Job, out: Path) -> dict[str, Any]:
    """Write the three files into the folder `out`, load them back twice, and compare the logits.

    Raises:
        UserError: huggingface_hub is missing, the network is the user's own module, or the logits differ.
    """
    require("hub", "huggingface_hub")
    card = job.classifier.card
    if card.model == weights.CUSTOM:
        raise UserError(
            "the hub's layout takes one of alexnet's own networks, as a stranger must be able to build it"
        )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in job.classifier.model.state_dict().items()}
    save_file(tensors, out / WEIGHTS, {"format": "pt"})
    (out / CONFIG).write_text(json.dumps(config(job), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / WEIGHTS).chmod((out / CONFIG).stat().st_mode)  # the library leaves a file that only its owner can read
    found_NK = job.compare_logits("logits", _from_hub(out), BATCH_SIZES)
    plain = create(card.model, **card.options).eval()
    plain.load_state_dict(load_file(out / WEIGHTS), strict=True)
    job.compare_logits("logits of the state dict", plain, (64,))
    top1 = accuracy(found_NK, job.images.labels_N)
    (out / README).write_text(model_card.text(job, top1), encoding="utf-8")
    return {
        "loaded_by": ["huggingface_hub.PyTorchModelHubMixin, offline", "load_state_dict, strictly"],
        "top1": top1,
    }


def config(job: Job) -> dict[str, Any]:
    """What config.json holds: the card, and the same in timm's words."""
    card = job.classifier.card
    how = card.preprocessing
    last: Any = list(job.classifier.model.modules())[-1]
    values = to_dict(card)
    return {
        "architecture": card.model,
        "num_classes": len(card.class_names),
        "num_features": getattr(last, "in_features", None),
        "label_names": list(card.class_names),
        "pretrained_cfg": {
            "input_size": [how.in_channels, how.image_px, how.image_px],
            "mean": list(how.mean),
            "std": list(how.std),
            "interpolation": "bilinear",
            "crop_pct": how.image_px / how.square_px,
            "crop_mode": {"crop": "center", "pad": "border", "squash": "squash"}[how.fit],
            "num_classes": len(card.class_names),
            "label_names": list(card.class_names),
        },
        "card": values,
    }


def _from_hub(folder: Path) -> HubModel:
    from alexnet.export.hub_model import HubModel

    loaded: HubModel = HubModel.from_pretrained(str(folder), local_files_only=True)
    return loaded.eval()
