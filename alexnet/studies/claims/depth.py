"""Deeper is better, and each convolution is needed (Krizhevsky 2012, section 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from alexnet.config import MiddleLayer, ModelConfig, Recipe
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, TEST_ERROR, TRAIN_ERROR, TUTORIAL, base
from alexnet.studies.study import Arm, Citation, Comparison, Dots, Study, Text

_LAYERS: tuple[MiddleLayer, ...] = get_args(MiddleLayer)


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (500, 3) if quick else (8000, 10)
    networks = {"lenet": "LeNet", "tiny": "TinyAlexNet", "whole": "eight layers"}
    models: dict[str, ModelConfig] = {
        "lenet": ModelConfig(name="lenet", activation="relu"),
        "tiny": ModelConfig(name="tiny_alexnet", dropout=0.0),
        "whole": ModelConfig(name="cifar_alexnet", towers="one"),  # as in `towers`
        **{str(layer): ModelConfig(name="cifar_alexnet", without=layer) for layer in _LAYERS},
    }
    return Study(
        name="depth",
        title=Text("Depth matters", "深度很重要"),
        claim=Text(
            "Depth is important: deeper networks are better, and removing any single middle convolution loses about 2 "
            "points of top-1.",
            "深度很重要：愈深的網路愈好；移除任何一個中間的卷積層，top-1 都會損失約 2 個百分點。",
        ),
        source=f"{PAPER}, section 7; {TUTORIAL}, on the network's size",
        published=Text(
            "2 points of top-1 for any middle layer; ImageNet's winners had 8, then 19 and 22 layers",
            "任一中間層約 2 個百分點的 top-1；ImageNet 的優勝網路從 8 層到 19 與 22 層",
        ),
        setup=Text(
            f"cifar_alexnet, eight layers with batch norm, whole and without each of conv2 to conv5; and LeNet (with ReLUs) "
            f"and TinyAlexNet, on {images:,} training images with crops and flips, {epochs} epochs. What pools stays when a "
            "convolution goes; removing conv5 leaves the most computation out.",
            f"八層、含批次正規化的 cifar_alexnet，完整版與分別移除 conv2 到 conv5 的版本；以及 LeNet（使用 ReLU）與 TinyAlexNet，"
            f"{images:,} 張訓練影像，有裁剪與翻轉，{epochs} 個 epoch。移除卷積層時保留池化；移除 conv5 省去最多計算。",
        ),
        arms=tuple(
            Arm(name=name, label=networks.get(name, f"without {name}"), recipe=_recipe(model, images, epochs))
            for name, model in models.items()
        ),
        figures=(TEST_ERROR, TRAIN_ERROR),
        measure=measures.final_errors,
        comparisons=(
            Comparison(
                text=Text("LeNet errs more than TinyAlexNet", "LeNet 的錯誤率比 TinyAlexNet 高"),
                figure="test_error",
                more="lenet",
                less="tiny",
                low=0.0,
            ),
            Comparison(
                text=Text("TinyAlexNet errs more than eight layers", "TinyAlexNet 的錯誤率比八層網路高"),
                figure="test_error",
                more="tiny",
                less="whole",
                low=0.0,
            ),
            *(
                Comparison(
                    text=Text(f"without {layer} the error is higher", f"沒有 {layer} 錯誤率較高"),
                    figure="test_error",
                    more=layer,
                    less="whole",
                    low=0.0,
                )
                for layer in _LAYERS
            ),
        ),
        panels=(Dots(figure="test_error", x_label="test error (% of images)"),),
        contrary=(
            Citation(
                Text(
                    "Depth alone is not enough: plain nets of 56 layers have more training and test error on CIFAR-10 than "
                    "those of 20; shortcuts mend it.",
                    "只有深度並不夠：在 CIFAR-10 上，56 層的一般網路訓練與測試錯誤率都比 20 層高；捷徑連接才能解決。",
                ),
                "He et al. 2016, Deep residual learning, figure 1",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=3 if quick else 86,
    )


def _recipe(model: ModelConfig, images: int, epochs: int) -> Recipe:
    return replace(base(model, images, epochs), val_fraction=0.02)  # which costs as much as training on so few
