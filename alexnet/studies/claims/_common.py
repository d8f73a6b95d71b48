"""What the studies' recipes have in common."""

from __future__ import annotations

from dataclasses import replace

from alexnet import recipes
from alexnet.config import ModelConfig, Recipe
from alexnet.studies.study import Citation, Figure, Text

PAPER = "Krizhevsky, Sutskever and Hinton 2012"
TUTORIAL = "the tutorial"
TEST_ERROR = Figure(key="test_error", label=Text("test error", "測試錯誤率"), unit="%")
TRAIN_ERROR = Figure(
    key="train_error", label=Text("training error of the finished network", "訓練完成後的訓練錯誤率"), unit="%"
)
GAP = Figure(key="gap", label=Text("test minus training error", "測試與訓練錯誤率之差"), unit="pp")


def base(model: ModelConfig, images: int | None, epochs: int) -> Recipe:
    """tiny_cifar10's training of another network on a part of the images, on one thread.

    A tenth of the training images is held out to be watched.
    """
    return replace(
        recipes.tiny_cifar10(),
        model=model,
        train_images=images,
        epochs=epochs,
        val_fraction=0.1,
        stop_at_chance_epochs=0,  # that a network does not learn is a result
        device="cpu",
        threads=1,
    )


def ablation_2016(en: str, zh: str) -> Citation:
    """A figure of Mishkin's ablations: an AlexNet for ImageNet images of 128 px."""
    source = (
        "Mishkin, Sergievskiy and Matas 2016, Systematic evaluation of CNN advances on the ImageNet (caffenet128)"
    )
    return Citation(Text(en, zh), source)
