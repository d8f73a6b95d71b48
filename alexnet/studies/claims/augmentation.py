"""Varied training images reduce overfitting (Krizhevsky 2012, 4.1)."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import AugmentConfig, ModelConfig
from alexnet.studies import measures
from alexnet.studies.claims._common import GAP, PAPER, TEST_ERROR, TRAIN_ERROR, TUTORIAL, ablation_2016, base
from alexnet.studies.study import Arm, Comparison, Dots, Study, Text

_VARIATIONS = {
    "none": ("none", AugmentConfig()),
    "crops": ("crops", AugmentConfig(crop_padding_px=4)),
    "flips": ("flips", AugmentConfig(flip="random")),
    "both": ("crops and flips", AugmentConfig(crop_padding_px=4, flip="random")),
    "all": ("all three", AugmentConfig(crop_padding_px=4, flip="random", pca_color=0.1)),
}


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 6) if quick else (10_000, 27)
    return Study(
        name="augmentation",
        title=Text("Varied images reduce overfitting", "資料增強減少過擬合"),
        claim=Text(
            "Random crops and mirror images of the training images reduce overfitting; without them the network overfits "
            "substantially. Shifting colours along their principal components lowers the error too.",
            "對訓練影像隨機裁剪與左右翻轉可以減少過擬合；不這樣做，網路會嚴重過擬合。沿主成分改變顏色也會降低錯誤率。",
        ),
        source=f"{PAPER}, section 4.1; {TUTORIAL}, on data augmentation",
        published=Text(
            "2048 times as many images (1024 places, mirrored or not), without which the net would have had to be much "
            "smaller; shifted colours lower the top-1 error by over 1 point",
            "影像增為 2048 倍（1024 個位置，翻轉與否）；沒有它就只能使用小得多的網路；改變顏色使 top-1 錯誤率降低 1 個百分點以上",
        ),
        setup=Text(
            f"TinyAlexNet without dropout on {images:,} training images, {epochs} epochs. Crops are cut from the image "
            "with a border of 4 px, 81 places. Colours are shifted by draws of deviation 0.1, as the paper does. The "
            "training error is that of the finished network on the images as they are.",
            f"不用 dropout 的 TinyAlexNet，{images:,} 張訓練影像、{epochs} 個 epoch。"
            "影像加上 4 px 邊框後裁剪，共 81 個位置；顏色偏移的標準差為 0.1，與論文相同。"
            "訓練錯誤率是訓練完成的網路在未變動影像上的錯誤率。",
        ),
        arms=tuple(
            Arm(
                name=name,
                label=label,
                recipe=replace(base(ModelConfig(name="tiny_alexnet", dropout=0.0), images, epochs), augment=how),
            )
            for name, (label, how) in _VARIATIONS.items()
        ),
        figures=(TEST_ERROR, TRAIN_ERROR, GAP),
        measure=measures.final_errors,
        comparisons=(
            *(
                Comparison(
                    text=Text(f"test error is lower with {arm} than with none", f"使用 {arm} 的測試錯誤率較低"),
                    figure="test_error",
                    more="none",
                    less=arm,
                    low=0.0,
                )
                for arm in ("crops", "flips")
            ),
            Comparison(
                text=Text(
                    "with crops and flips, shifts of colour lower the test error further",
                    "在裁剪與翻轉之外，改變顏色使測試錯誤率更低",
                ),
                figure="test_error",
                more="both",
                less="all",
                low=0.0,
            ),
            Comparison(
                text=Text("both together narrow the gap", "兩者並用縮小差距"),
                figure="gap",
                more="none",
                less="both",
                low=0.0,
            ),
        ),
        panels=(
            Dots(figure="test_error", x_label="test error (% of images)"),
            Dots(figure="gap", x_label="test minus training error (points)"),
        ),
        contrary=(
            ablation_2016(
                "More variation is not always better: random scales give 46.2% and rotations of up to 5 degrees 44.8%, "
                "crops and flips alone 47.1%.",
                "變化不是愈多愈好：隨機縮放得 46.2%，最多 5 度的旋轉得 44.8%，只有裁剪與翻轉得 47.1%。",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 29,
    )
