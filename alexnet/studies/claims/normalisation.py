"""Response normalisation lowers the error (Krizhevsky 2012, 3.3)."""

from __future__ import annotations

from alexnet.config import ModelConfig, Norm, Recipe
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, TEST_ERROR, TRAIN_ERROR, ablation_2016, base
from alexnet.studies.study import Arm, Citation, Comparison, Curves, Dots, Study, Text

_LABELS: dict[Norm, str] = {"none": "no norm", "response": "response norm", "batch": "batch norm"}


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 6) if quick else (20_000, 12)
    return Study(
        name="normalisation",
        title=Text("Response normalisation lowers the error", "局部響應正規化降低錯誤率"),
        claim=Text(
            "Response normalisation aids generalisation: a four-layer net on CIFAR-10 has less test error with it than "
            "without.",
            "局部響應正規化有助於泛化：四層網路在 CIFAR-10 上使用它時測試錯誤率較低。",
        ),
        source=f"{PAPER}, section 3.3",
        published=Text("from 13% to 11% on CIFAR-10", "CIFAR-10 上從 13% 降到 11%"),
        setup=Text(
            f"convnet_2012 on {images:,} training images with crops and flips, {epochs} epochs. The norm has the paper's "
            "constants, scaled to images whose deviation is 1 instead of some 64 grey levels: unscaled it would only "
            "multiply by a constant. Batch norm, of 2015, is shown beside it.",
            f"convnet_2012，{images:,} 張訓練影像，有裁剪與翻轉，{epochs} 個 epoch。正規化採用論文的常數，並依影像標準差（1，而非約 64 灰階）"
            "換算：若不換算，它只相當於乘上一個常數。2015 年的批次正規化列為對照。",
        ),
        arms=tuple(
            Arm(name=norm, label=label, recipe=_recipe(norm, images, epochs)) for norm, label in _LABELS.items()
        ),
        figures=(TEST_ERROR, TRAIN_ERROR),
        measure=measures.final_errors,
        comparisons=(
            Comparison(
                text=Text(
                    "test error is lower with response norm than with none", "使用局部響應正規化的測試錯誤率較低"
                ),
                figure="test_error",
                more="none",
                less="response",
                low=0.0,
            ),
        ),
        panels=(
            Curves(key="val_error", x_label="epoch", y_label="validation error (% of images)", percent=True),
            Dots(figure="test_error", x_label="test error (% of images)"),
        ),
        contrary=(
            ablation_2016("With response norm 47.0%, without 47.1%.", "使用局部響應正規化 47.0%，不使用 47.1%。"),
            Citation(
                Text(
                    "It does not improve accuracy on ImageNet, but takes memory and time.",
                    "在 ImageNet 上不會提高準確率，卻增加記憶體與時間。",
                ),
                "Simonyan and Zisserman 2015, Very deep convolutional networks, section 2.1",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 22,
    )


def _recipe(norm: Norm, images: int, epochs: int) -> Recipe:
    return base(ModelConfig(name="convnet_2012", norm=norm, pool_px=3), images, epochs)  # `response`: as in `pooling`
