"""Overlapping pooling lowers the error a little (Krizhevsky 2012, 3.4)."""

from __future__ import annotations

from alexnet.config import ModelConfig, Recipe
from alexnet.studies import measures
from alexnet.studies.claims._common import GAP, PAPER, TEST_ERROR, TRAIN_ERROR, base
from alexnet.studies.study import Arm, Citation, Comparison, Dots, Study, Text


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 6) if quick else (20_000, 12)
    return Study(
        name="pooling",
        title=Text("Overlapping pooling lowers the error", "重疊池化降低錯誤率"),
        claim=Text(
            "Pooling windows of 3 px that lie 2 px apart, and so overlap, give a lower error than windows of 2 px, and "
            "overfit slightly less.",
            "以 3 px 視窗、2 px 間距的重疊池化，錯誤率比 2 px 視窗低，也比較不易過擬合。",
        ),
        source=f"{PAPER}, section 3.4",
        published=Text(
            "0.4 points of top-1 and 0.3 of top-5 error on ImageNet",
            "ImageNet 上 top-1 降低 0.4、top-5 降低 0.3 個百分點",
        ),
        setup=Text(
            f"convnet_2012 with both kinds of windows, whose maps have the same sizes, on {images:,} training images with "
            f"crops and flips, {epochs} epochs. A small effect: more seeds than elsewhere.",
            f"convnet_2012 使用兩種視窗（特徵圖大小相同），{images:,} 張訓練影像，有裁剪與翻轉，{epochs} 個 epoch。"
            "效果很小，因此種子比其他研究多。",
        ),
        arms=tuple(
            Arm(name=name, label=label, recipe=_recipe(px, images, epochs))
            for name, label, px in (("overlapping", "3 px windows", 3), ("apart", "2 px windows", 2))
        ),
        figures=(TEST_ERROR, TRAIN_ERROR, GAP),
        measure=measures.final_errors,
        comparisons=(
            Comparison(
                text=Text("test error is lower with 3 px windows", "3 px 視窗的測試錯誤率較低"),
                figure="test_error",
                more="apart",
                less="overlapping",
                low=0.0,
            ),
        ),
        panels=(
            Dots(figure="test_error", x_label="test error (% of images)"),
            Dots(figure="gap", x_label="test minus training error (points)"),
        ),
        contrary=(
            Citation(
                Text(
                    "The most accurate nets of 2014 use windows of 2 px that do not overlap.",
                    "2014 年最準確的網路使用不重疊的 2 px 視窗。",
                ),
                "Simonyan and Zisserman 2015, Very deep convolutional networks, section 2.1",
            ),
            Citation(
                Text(
                    "Pooling can be replaced by convolutions with a stride without loss of accuracy.",
                    "池化可以用有步幅的卷積取代，而不損失準確率。",
                ),
                "Springenberg et al. 2015, Striving for simplicity",
            ),
        ),
        seeds=1 if quick else 5,
        core_minutes=2 if quick else 27,
    )


def _recipe(px: int, images: int, epochs: int) -> Recipe:
    return base(ModelConfig(name="convnet_2012", norm="response", pool_px=px), images, epochs)
