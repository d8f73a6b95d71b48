"""Two towers are better than one of them by itself (Krizhevsky 2012, 3.2)."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import ModelConfig, Towers
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, TEST_ERROR, TRAIN_ERROR, base
from alexnet.studies.study import Arm, Citation, Comparison, Dots, Figure, Measured, Run, Study, Text

_LABELS: dict[Towers, str] = {"half": "half, one tower", "two": "two towers", "one": "one wide tower"}


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (500, 3) if quick else (8000, 10)
    return Study(
        name="towers",
        title=Text("Two towers beat one of half the width", "雙塔勝過一半寬度的單塔"),
        claim=Text(
            "A net of two towers, which meet in one layer alone, has less error than a single tower with half as many "
            "kernels in each convolution.",
            "只在一層相連的雙塔網路，錯誤率比每個卷積層核數減半的單塔網路低。",
        ),
        source=f"{PAPER}, section 3.2",
        published=Text(
            "1.7 points of top-1 and 1.2 of top-5 error on ImageNet",
            "ImageNet 上 top-1 降低 1.7、top-5 降低 1.2 個百分點",
        ),
        setup=Text(
            f"cifar_alexnet as one wide tower, as two that meet in conv3, and as one of half the width (but for the last "
            f"convolution, as in the paper), on {images:,} training images with crops and flips, {epochs} epochs. The wide "
            "tower, which no GPU of 2012 had room for, is shown beside them.",
            f"cifar_alexnet 分為單一寬塔、在 conv3 相連的雙塔、以及寬度減半的單塔（最後一個卷積層除外，與論文相同），"
            f"{images:,} 張訓練影像，有裁剪與翻轉，{epochs} 個 epoch。2012 年的 GPU 放不下的寬塔列為對照。",
        ),
        arms=tuple(
            Arm(
                name=towers,
                label=label,
                recipe=replace(
                    base(ModelConfig(name="cifar_alexnet", towers=towers), images, epochs), val_fraction=0.02
                ),
            )
            for towers, label in _LABELS.items()
        ),
        figures=(TEST_ERROR, TRAIN_ERROR, Figure(key="train_s", label=Text("training time, s", "訓練時間（秒）"))),
        measure=measure,
        comparisons=(
            Comparison(
                text=Text("half a tower errs more than two towers", "半寬單塔的錯誤率比雙塔高"),
                figure="test_error",
                more="half",
                less="two",
                low=0.0,
            ),
        ),
        panels=(Dots(figure="test_error", x_label="test error (% of images)"),),
        contrary=(
            Citation(
                Text(
                    "One tower without groups, of 64 to 384 maps, was the author's own choice two years later.",
                    "兩年後，原作者自己改用沒有分組的單塔（64 至 384 個特徵圖）。",
                ),
                "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 47,
    )


def measure(run: Run) -> Measured:
    """Errors, and the time that training took."""
    measured = measures.final_errors(run)
    measured["figures"]["train_s"] = measures.result(run)["train_s"]
    return measured
