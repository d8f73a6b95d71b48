"""A little weight decay lowers even the training error (Krizhevsky 2012, section 5)."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import ModelConfig, Recipe
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, TEST_ERROR, TRAIN_ERROR, ablation_2016, base
from alexnet.studies.study import Arm, Comparison, Dots, Study, Text


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 6) if quick else (20_000, 15)
    return Study(
        name="weight_decay",
        title=Text("A little weight decay lowers even the training error", "少許權重衰減連訓練錯誤率也會降低"),
        claim=Text(
            "A small amount of weight decay is not merely a regulariser: it lowers the training error.",
            "少量的權重衰減不只是正則化：它也降低模型的訓練錯誤率。",
        ),
        source=f"{PAPER}, section 5",
        published=Text("a decay of 0.0005; no figure is given", "衰減 0.0005；論文沒有給出數字"),
        setup=Text(
            f"TinyAlexNet with dropout 0.5, crops and flips, as the paper trains, on {images:,} training images, {epochs} "
            "epochs. The training error is that of the finished network on the images as they are, dropout off.",
            f"TinyAlexNet，與論文相同使用 dropout 0.5、裁剪與翻轉，{images:,} 張訓練影像、{epochs} 個 epoch。"
            "訓練錯誤率是訓練完成的網路、關閉 dropout、在未變動影像上的錯誤率。",
        ),
        arms=tuple(
            Arm(name=name, label=f"decay {decay:g}", recipe=_recipe(decay, images, epochs))
            for name, decay in (("none", 0.0), ("paper", 5e-4), ("more", 5e-3))
        ),
        figures=(TEST_ERROR, TRAIN_ERROR),
        measure=measures.final_errors,
        comparisons=(
            Comparison(
                text=Text(
                    "training error is lower with 0.0005 than with none", "衰減 0.0005 的訓練錯誤率比沒有衰減低"
                ),
                figure="train_error",
                more="none",
                less="paper",
                low=0.0,
            ),
        ),
        panels=(
            Dots(figure="train_error", x_label="training error (% of images)"),
            Dots(figure="test_error", x_label="test error (% of images)"),
        ),
        contrary=(
            ablation_2016(
                "Less decay is worse in test accuracy too: 47.0% with 0.0005, 45.0% with 0.0001.",
                "較少的衰減在測試準確率上也較差：0.0005 得 47.0%，0.0001 得 45.0%。",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 20,
    )


def _recipe(decay: float, images: int, epochs: int) -> Recipe:
    recipe = base(ModelConfig(name="tiny_alexnet", dropout=0.5), images, epochs)
    return replace(recipe, optimizer=replace(recipe.optimizer, weight_decay=decay), label_smoothing=0.0)
