"""A state dict under torchvision's names, for `torchvision.models.alexnet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alexnet.errors import UserError
from alexnet.export.compare import accuracy
from alexnet.export.images import BATCH_SIZES
from alexnet.export.job import Job

NAMES = {
    "features.conv1": "features.0",
    "features.conv2": "features.3",
    "features.conv3": "features.6",
    "features.conv4": "features.8",
    "features.conv5": "features.10",
    "classifier.fc6": "classifier.1",
    "classifier.fc7": "classifier.4",
    "classifier.fc8": "classifier.6",
}
"""Layers of alexnet_owt, and what torchvision calls them."""


def state_dict(job: Job) -> dict[str, Tensor]:
    """The weights under torchvision's names.

    Raises:
        UserError: the network is another than torchvision's.
    """
    card = job.classifier.card
    if card.model != "alexnet_owt":
        raise UserError(f"torchvision's alexnet is alexnet_owt, and this is a {card.model}: choose another format")
    if card.options.get("activation", "relu") != "relu" or card.options.get("in_channels", 3) != 3:
        raise UserError("torchvision's alexnet has ReLU and takes RGB images, and this network does not")
    found = {}
    for name, tensor in job.classifier.model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        found[f"{NAMES[layer]}.{kind}"] = tensor.detach().cpu().contiguous()
    return found


def write(job: Job, out: Path) -> dict[str, Any]:
    """Write the state dict to `out`, load it strictly into torchvision's network, and compare its logits.

    Raises:
        UserError: the network is another than torchvision's, or the logits differ.
    """
    import torchvision

    tensors, how = state_dict(job), job.classifier.card.preprocessing
    if out.suffix == ".safetensors":
        save_file(tensors, out, {"format": "pt"})
        read = load_file(out)
    else:
        torch.save(tensors, out)
        read = torch.load(out, weights_only=True)
    theirs = torchvision.models.alexnet(num_classes=len(job.classifier.class_names)).eval()
    theirs.load_state_dict(read, strict=True)
    found_NK = job.compare_logits("logits", theirs, BATCH_SIZES)
    return {
        "loaded_into": f"torchvision.models.alexnet of torchvision {torchvision.__version__}, strictly",
        "top1": accuracy(found_NK, job.images.labels_N),
        "transforms": (
            f"Resize({how.square_px}), CenterCrop({how.image_px}), ToTensor(), "
            f"Normalize({list(how.mean)}, {list(how.std)})"
        ),
    }
