"""Networks with ReLUs learn several times faster than those with tanh (Krizhevsky 2012, 3.1 and figure 1)."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import Activation, AugmentConfig, Init, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, ablation_2016, base
from alexnet.studies.study import Arm, Comparison, Curves, Dots, Figure, Measured, Run, Study, Text, Tuning

_LEVEL = 0.25  # training error that the paper's figure 1 waits for
_INITS: dict[Activation, Init] = {"relu": "kaiming", "elu": "kaiming", "tanh": "xavier", "sigmoid": "xavier"}
_LABELS: dict[Activation, str] = {"relu": "ReLU", "elu": "ELU", "tanh": "tanh", "sigmoid": "sigmoid"}


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (2000, 8) if quick else (12_000, 30)
    return Study(
        name="activation",
        title=Text("ReLU learns faster than tanh", "ReLU 學得比 tanh 快"),
        claim=Text(
            "A four-layer convolutional network with ReLUs reaches 25% training error on CIFAR-10 several times faster "
            "than the same network with tanh.",
            "使用 ReLU 的四層卷積網路，在 CIFAR-10 上達到 25% 訓練錯誤率的速度，比使用 tanh 的同一網路快上數倍。",
        ),
        source=f"{PAPER}, section 3.1 and figure 1",
        published=Text("six times faster", "快六倍"),
        setup=Text(
            f"convnet_2012 (three convolutions and a dense layer) on {images:,} training images, {epochs} epochs at a "
            "constant learning rate with momentum 0.9, and no regularisation: no weight decay, no dropout, images as "
            "they are. As in the paper, each activation's learning rate is the one that trains fastest in short trials. "
            "First weights suit the activation: He's for ReLU and ELU, Glorot's for tanh and sigmoid. Epochs are those "
            "until the running training error comes down to 25%; a run that never does counts with all of its epochs, "
            "so the ratio is then a lower bound.",
            f"convnet_2012（三個卷積層與一個全連接層），{images:,} 張訓練影像、{epochs} 個 epoch，固定學習率、動量 0.9，"
            "完全不做正則化：沒有權重衰減、沒有 dropout、影像不變動。與論文相同，每種活化函數各自採用短期試驗中訓練最快的學習率。"
            "初始權重配合活化函數：ReLU 與 ELU 用 He，tanh 與 sigmoid 用 Glorot。計算訓練錯誤率首次降到 25% 所需的 epoch 數；"
            "始終達不到的執行以全部 epoch 計，此時比值是下限。",
        ),
        arms=tuple(
            Arm(name=name, label=_LABELS[name], recipe=_recipe(name, images, epochs))
            for name in ("relu", "elu", "tanh", "sigmoid")
        ),
        figures=(
            Figure(key="epochs", label=Text("epochs to 25% training error", "達到 25% 訓練錯誤率的 epoch 數")),
            Figure(key="reached", label=Text("share of runs that got there", "達到的執行比例"), unit="%"),
            Figure(
                key="train_error",
                label=Text("training error, last epoch", "最後一個 epoch 的訓練錯誤率"),
                unit="%",
            ),
        ),
        measure=measure,
        tuning=Tuning(lrs=(0.01, 0.1), epochs=2, by="train_top1")
        if quick
        else Tuning(lrs=(0.003, 0.01, 0.03, 0.1, 0.3), epochs=4, by="train_top1"),
        comparisons=(
            Comparison(
                text=Text("tanh needs at least twice ReLU's epochs", "tanh 需要的 epoch 數至少是 ReLU 的兩倍"),
                figure="epochs",
                more="tanh",
                less="relu",
                kind="ratio",
                low=2.0,
            ),
            Comparison(
                text=Text("sigmoid needs more epochs than tanh", "sigmoid 需要的 epoch 數比 tanh 多"),
                figure="epochs",
                more="sigmoid",
                less="tanh",
                kind="ratio",
                low=1.0,
            ),
        ),
        panels=(
            Curves(
                key="train_error",
                x_label="epoch",
                y_label="training error (% of images)",
                percent=True,
                level=_LEVEL,
            ),
            Dots(figure="epochs", x_label="epochs to 25% training error"),
        ),
        contrary=(
            ablation_2016(
                "On ImageNet with 128 px images the final accuracy differs too: ReLU 47.1%, tanh 40.1%, ELU 48.8%. With "
                "batch norm the difference is gone between ReLU (49.9%) and ELU (49.8%), and sigmoid comes to 47.5%.",
                "在 128 px 的 ImageNet 上，最終準確率也不同：ReLU 47.1%、tanh 40.1%、ELU 48.8%。加上批次正規化後 ReLU（49.9%）"
                "與 ELU（49.8%）不再有差別，sigmoid 則達到 47.5%。",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=4 if quick else 62,
    )


def _recipe(activation: Activation, images: int, epochs: int) -> Recipe:
    model = ModelConfig(name="convnet_2012", activation=activation, init=_INITS[activation])
    return replace(
        base(model, images, epochs),
        augment=AugmentConfig(),
        optimizer=OptimizerConfig(name="sgd", lr=0.03, weight_decay=0.0),
        schedule=ScheduleConfig(name="constant"),
        label_smoothing=0.0,
        grad_clip_norm=None,
        val_fraction=0.02,  # the claim is of the training error
    )


def measure(run: Run) -> Measured:
    """Epochs to 25% training error; see the study's `setup`."""
    assert isinstance(run.recipe, Recipe), "baselines have no epochs"
    x, y = measures.error_curve(run, "train_top1")
    epochs = measures.first_below(x, y, _LEVEL)
    return {
        "figures": {
            "epochs": run.recipe.epochs if epochs is None else epochs,
            "reached": float(epochs is not None),
            "train_error": y[-1],
        },
        "curves": {"train_error": (x, y)},
    }
