"""A network that huggingface_hub loads from a folder or the hub."""

from __future__ import annotations

from typing import Any

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from alexnet.card import ModelCard
from alexnet.evaluation import Classifier
from alexnet.models import create
from alexnet.plain import from_dict
from alexnet.runtime import choose


class HubModel(nn.Module, PyTorchModelHubMixin):
    """A network of ours: `HubModel.from_pretrained("OWNER/NAME")` or a folder's path.

    Args:
        card: what config.json holds under that key.
        others: the rest of it, which says the same in timm's words.
    """

    def __init__(self, card: dict[str, Any], **others: Any) -> None:
        super().__init__()
        self.card = from_dict(ModelCard, card)
        model = create(self.card.model, **self.card.options)
        self.features = model.features
        self.classifier = model.classifier

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Class scores [N, K] of normalised images."""
        logits_NK: Tensor = self.classifier(self.features(x_NCHW).flatten(1))
        return logits_NK

    def to_classifier(self, device: str = "cpu") -> Classifier:
        """What `alexnet.load` gives: `predict` takes files, arrays and pictures of any size."""
        model = create(self.card.model, **self.card.options)
        model.load_state_dict(self.state_dict())
        return Classifier(model, self.card, choose(device, "fp32"))
