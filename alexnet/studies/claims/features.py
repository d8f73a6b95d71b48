"""Learned features beat those made by hand (the tutorial's story)."""

from __future__ import annotations

from dataclasses import replace

from alexnet import baseline
from alexnet.studies.claims._by_size import EPOCHS, QUICK_EPOCHS, network
from alexnet.studies.claims._common import PAPER, TUTORIAL
from alexnet.studies.claims.data import measure
from alexnet.studies.study import Arm, Citation, Comparison, Figure, Series, Study, Text

_BASELINES = {"pixels_knn": "pixels, neighbours", "hog_color_linear": "HOG, colour, SVM"}


def study(quick: bool) -> Study:
    """The study, or its preview."""
    epochs = QUICK_EPOCHS if quick else EPOCHS
    largest = max(epochs)
    by_hand = [
        Arm(
            name=f"{name.replace('_', '-')}-{size}",
            label=f"{label}, {size:,}",
            recipe=replace(baseline.get(name), train_images=size, open_test=False, device="cpu", threads=1),
            series=label,
            x=size,
        )
        for name, label in _BASELINES.items()
        for size in epochs
    ]
    learned = [
        Arm(
            name=f"net-{size}",
            label=f"TinyAlexNet, {size:,}",
            recipe=network(size, epochs[size]),
            series="TinyAlexNet",
            x=size,
        )
        for size in epochs
    ]
    return Study(
        name="features",
        title=Text("Learned features beat those made by hand", "學習到的特徵勝過手工特徵"),
        claim=Text(
            "AlexNet was the first to show that learned features can surpass those designed by hand.",
            "AlexNet 首次證明了學習到的特徵可以超越手工設計的特徵。",
        ),
        source=TUTORIAL + f"; {PAPER}, tables 1 and 2",
        published=Text(
            "top-5 error on ImageNet of 2012: 15.3%, the best with hand-made features 26.2%",
            "2012 年 ImageNet 的 top-5 錯誤率：15.3%，最好的手工特徵方法為 26.2%",
        ),
        setup=Text(
            "TinyAlexNet with crops and flips against histograms of gradients and colours with a linear SVM, and nearest "
            "neighbours on raw pixels, by the number of training images. The error is that on held-out images, on which "
            "the baselines' own settings were chosen too, to their advantage.",
            "以不同數量的訓練影像，比較 TinyAlexNet（有裁剪與翻轉）、梯度與顏色直方圖加線性 SVM，以及原始像素的最近鄰。"
            "錯誤率在保留的影像上測量；基準方法的設定也在同一批影像上選擇，因此對它們有利。",
        ),
        arms=(*learned, *by_hand),
        figures=(Figure(key="error", label=Text("error on held-out images", "保留影像的錯誤率"), unit="%"),),
        measure=measure,
        comparisons=(
            Comparison(
                text=Text(
                    f"with {largest:,} images HOG and colour err more than the net",
                    f"{largest:,} 張影像時，HOG 與顏色特徵的錯誤率比網路高",
                ),
                figure="error",
                more=f"hog-color-linear-{largest}",
                less=f"net-{largest}",
                low=0.0,
            ),
        ),
        panels=(
            Series(figure="error", x_label="training images", y_label="error on held-out images (%)", log_x=True),
        ),
        contrary=(
            Citation(
                Text(
                    "Features found by k-means, with one layer and no labels, reach 20.4% error on CIFAR-10: the line "
                    "between hand-made and learned is not sharp.",
                    "以 k-means 找到的單層、不需標籤的特徵，在 CIFAR-10 上錯誤率達 20.4%：手工與學習之間的界線並不分明。",
                ),
                "Coates, Lee and Ng 2011, An analysis of single-layer networks",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 37,
    )
