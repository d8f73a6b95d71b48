"""Dropout keeps a network from overfitting and takes about twice as long (Krizhevsky 2012, 4.2)."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import AugmentConfig, ModelConfig, Recipe, ScheduleConfig
from alexnet.studies import measures
from alexnet.studies.claims._common import GAP, PAPER, TEST_ERROR, TRAIN_ERROR, TUTORIAL, ablation_2016, base
from alexnet.studies.study import Arm, Comparison, Curves, Dots, Figure, Measured, Run, Study, Text

_MASKS, _IMAGES = 20, 1000
_NEAR = 1.05  # converged: within a twentieth of the run's own lowest validation error


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 12) if quick else (10_000, 40)
    return Study(
        name="dropout",
        title=Text("Dropout prevents overfitting, and doubles the time", "Dropout 防止過擬合，代價是時間加倍"),
        claim=Text(
            "Without dropout the network overfits substantially; with it the number of iterations to converge roughly "
            "doubles. Switched off when testing, it gives steady predictions.",
            "沒有 dropout，網路會嚴重過擬合；使用 dropout，收斂所需的迭代次數約為兩倍。測試時關閉 dropout，可以得到穩定的結果。",
        ),
        source=f"{PAPER}, section 4.2; {TUTORIAL}, on dropout",
        published=Text("about twice the iterations", "迭代次數約兩倍"),
        setup=Text(
            f"TinyAlexNet on {images:,} training images as they are, {epochs} epochs at a constant learning rate of 0.02, "
            f"without weight decay. A run counts as converged at the first epoch whose validation error is within a "
            f"twentieth of its own lowest. The unsteady share is how many of {_IMAGES:,} held-out images change their "
            f"class between two passes with dropout on, over {_MASKS} passes; with dropout off it is nothing.",
            f"TinyAlexNet，{images:,} 張不變動的訓練影像，{epochs} 個 epoch，固定學習率 0.02，沒有權重衰減。"
            "驗證錯誤率首次降到該次執行最低值的 1.05 倍以內即視為收斂。不穩定比例是 dropout 開啟時，"
            f"{_IMAGES:,} 張保留影像在兩次預測之間改變類別的比例（共 {_MASKS} 次）；關閉時為零。",
        ),
        arms=tuple(
            Arm(name=name, label=label, recipe=_recipe(share, images, epochs))
            for name, label, share in (("none", "no dropout", 0.0), ("half", "dropout 0.5", 0.5))
        ),
        figures=(
            TEST_ERROR,
            TRAIN_ERROR,
            GAP,
            Figure(key="epochs", label=Text("epochs to converge", "收斂的 epoch 數")),
            Figure(
                key="unsteady",
                label=Text("images that change class, dropout on", "dropout 開啟時改變類別的影像"),
                unit="%",
            ),
            Figure(key="scaled_error", label=Text("error, dropout off", "關閉 dropout 的錯誤率"), unit="%"),
            Figure(
                key="averaged_error",
                label=Text(f"error, mean of {_MASKS} masks", f"{_MASKS} 個遮罩平均的錯誤率"),
                unit="%",
            ),
        ),
        measure=measure,
        comparisons=(
            Comparison(
                text=Text(
                    "the gap is at least 5 points larger without dropout", "沒有 dropout 時差距至少大 5 個百分點"
                ),
                figure="gap",
                more="none",
                less="half",
                low=0.05,
            ),
            Comparison(
                text=Text("dropout takes 1.5 to 3 times the epochs", "dropout 需要 1.5 到 3 倍的 epoch 數"),
                figure="epochs",
                more="half",
                less="none",
                kind="ratio",
                low=1.5,
                high=3.0,
            ),
            Comparison(
                text=Text("left on, it changes more than 1% of the answers", "若不關閉，超過 1% 的答案會改變"),
                figure="unsteady",
                more="half",
                low=0.01,
            ),
        ),
        panels=(
            Curves(key="val_error", x_label="epoch", y_label="validation error (% of images)", percent=True),
            Dots(figure="gap", x_label="test minus training error (points)"),
        ),
        contrary=(
            ablation_2016(
                "Half is not always best: dropout of 0.3 gives 49.7%, 0.5 gives 47.0%; with batch norm, none at all gives "
                "51.3%, 0.2 gives 52.7% and 0.5 gives 49.9%.",
                "0.5 不一定最好：dropout 0.3 得 49.7%，0.5 得 47.0%；配合批次正規化時，完全不用得 51.3%，0.2 得 52.7%，0.5 得 49.9%。",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 18,
    )


def _recipe(share: float, images: int, epochs: int) -> Recipe:
    recipe = base(ModelConfig(name="tiny_alexnet", dropout=share), images, epochs)
    return replace(
        recipe,
        augment=AugmentConfig(),
        optimizer=replace(recipe.optimizer, lr=0.02, weight_decay=0.0),
        schedule=ScheduleConfig(name="constant"),
        label_smoothing=0.0,
    )


def measure(run: Run) -> Measured:
    """Errors, epochs to converge, and what dropout left on does to predictions."""
    import torch

    measured = measures.final_errors(run)
    x, y = measured["curves"]["val_error"]
    trained = measures.Trained(run)
    x_NCHW, labels_N = trained.inputs(trained.val, _IMAGES)
    torch.manual_seed(0)
    with torch.inference_mode():
        scaled_NK = trained.model.eval()(x_NCHW).softmax(1)
        masked_MNK = torch.stack([trained.model.train()(x_NCHW).softmax(1) for _ in range(_MASKS)])
    answers_MN = masked_MNK.argmax(2)
    measured["figures"] |= {
        "epochs": next(e for e, value in zip(x, y, strict=True) if value <= _NEAR * min(y)),
        "unsteady": float((answers_MN[1:] != answers_MN[:-1]).float().mean()),
        "scaled_error": float((scaled_NK.argmax(1) != labels_N).float().mean()),
        "averaged_error": float((masked_MNK.mean(0).argmax(1) != labels_N).float().mean()),
    }
    return measured
