"""More data make a better classifier (the tutorial: what matters are data and features)."""

from __future__ import annotations

import itertools

from alexnet.studies import measures
from alexnet.studies.claims._by_size import EPOCHS, QUICK_EPOCHS, network
from alexnet.studies.claims._common import PAPER, TUTORIAL, ablation_2016
from alexnet.studies.study import Arm, Citation, Comparison, Figure, Measured, Run, Series, Study, Text


def study(quick: bool) -> Study:
    """The study, or its preview."""
    epochs = QUICK_EPOCHS if quick else EPOCHS
    sizes = sorted(epochs)
    return Study(
        name="data",
        title=Text("More data, less error", "資料愈多，錯誤愈少"),
        claim=Text(
            "A large data set is one of the reasons for AlexNet's success: the error falls with every enlargement of the "
            "training set.",
            "大型資料集是 AlexNet 成功的原因之一：訓練集每次擴大，錯誤率都會下降。",
        ),
        source=f"{PAPER}, section 1; {TUTORIAL}, foreword and last part",
        published=Text("1.2 million images; no curve is given", "120 萬張影像；沒有給出曲線"),
        setup=Text(
            "TinyAlexNet with crops and flips on parts of the training images, the classes in equal shares, each part "
            "inside the larger ones. Small parts are passed over more often. The error is that on held-out images; the "
            "dashed line is the power law that fits the means best on logarithmic axes.",
            "TinyAlexNet，有裁剪與翻轉，使用部分訓練影像（各類別等比例，較小的部分包含在較大的之中）。小的部分重複較多次。"
            "錯誤率在保留的影像上測量；虛線是在對數座標上最符合平均值的冪律。",
        ),
        arms=tuple(
            Arm(
                name=f"n{size}",
                label=f"{size:,} images",
                recipe=network(size, epochs[size]),
                series="TinyAlexNet",
                x=size,
            )
            for size in sizes
        ),
        figures=(Figure(key="error", label=Text("error on held-out images", "保留影像的錯誤率"), unit="%"),),
        measure=measure,
        comparisons=tuple(
            Comparison(
                text=Text(f"{more:,} images give less error than {fewer:,}", f"{more:,} 張的錯誤率低於 {fewer:,} 張"),
                figure="error",
                more=f"n{fewer}",
                less=f"n{more}",
                low=0.0,
            )
            for fewer, more in itertools.pairwise(sizes)
        ),
        panels=(
            Series(
                figure="error",
                x_label="training images",
                y_label="error on held-out images (%)",
                log_x=True,
                log_y=True,
                fit=True,
            ),
        ),
        contrary=(
            ablation_2016(
                "The same on ImageNet: 30.5% of answers are right with 200,000 images, 39.3% with 400,000, 47.1% with 1.2 "
                "million.",
                "ImageNet 上也是如此：20 萬張的準確率 30.5%，40 萬張 39.3%，120 萬張 47.1%。",
            ),
            Citation(
                Text(
                    "Error falls as a power of the number of images, until the network is too small for more.",
                    "錯誤率隨影像數以冪律下降，直到網路太小而無法再受益。",
                ),
                "Hestness et al. 2017, Deep learning scaling is predictable, empirically",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=1 if quick else 22,
    )


def measure(run: Run) -> Measured:
    """`error` on the held-out images."""
    return {"figures": {"error": measures.error(run)}, "curves": {}}
