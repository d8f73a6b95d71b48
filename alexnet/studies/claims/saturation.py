"""Sigmoids saturate, and their gradients vanish; ReLUs do not (the tutorial, on activations)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alexnet.config import Activation, AugmentConfig, Init, ModelConfig, OptimizerConfig, Recipe
from alexnet.studies import measures
from alexnet.studies.claims._common import TUTORIAL, base
from alexnet.studies.study import Arm, Citation, Comparison, Curves, Figure, Measured, Run, Series, Study, Text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_INITS: dict[Init, str] = {"gaussian": "deviation 0.01", "xavier": "Glorot", "kaiming": "He"}
_LRS = (0.01, 0.03, 0.1, 0.3, 1.0)
_IMAGES = 1000


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (500, 2) if quick else (5000, 6)
    by_init = [
        Arm(
            name=f"{activation}-{init}",
            label=f"{'ReLU' if activation == 'relu' else activation}, {kind}",
            recipe=_recipe(activation, init, 0.05, images, epochs),
        )
        for activation in ("relu", "sigmoid")
        for init, kind in _INITS.items()
    ]
    by_lr = [
        Arm(
            name=f"lr-{lr:g}",
            label=f"ReLU, rate {lr:g}",
            recipe=_recipe("relu", "kaiming", lr, images, epochs),
            series="ReLU",
            x=lr,
        )
        for lr in (_LRS[::2] if quick else _LRS)
    ]
    return Study(
        name="saturation",
        title=Text("Sigmoids lose the gradient, ReLUs keep it", "Sigmoid 會失去梯度，ReLU 不會"),
        claim=Text(
            "With poor first weights the gradients of a network with sigmoids vanish layer by layer and training fails; "
            "with ReLUs, whose gradient is 1 wherever they are on, the network is easier to train from different first "
            "weights.",
            "若參數初始化不當，使用 sigmoid 的網路梯度會逐層消失而無法有效訓練；ReLU 在正區間的梯度恆為 1，"
            "在不同的初始化方法下都較容易訓練。",
        ),
        source=f"{TUTORIAL}, on the activation function",
        published=Text("no figure is given", "沒有給出數字"),
        setup=Text(
            f"TinyAlexNet without dropout on {images:,} training images as they are, {epochs} epochs, gradients no longer than 2, from "
            "three kinds of first weights: normal with deviation 0.01 (the paper's, poor for so small a net), Glorot's and He's. "
            "Gradients are taken before training, on held-out images: the root mean square over a layer's weights. What "
            "is lost on the way is the last layer's divided by the first's. A unit is dead if it is off for all of "
            f"{_IMAGES:,} held-out images after training.",
            f"不用 dropout 的 TinyAlexNet，{images:,} 張不變動的訓練影像、{epochs} 個 epoch，梯度長度以 2 為限，三種初始權重：標準差 0.01 的常態分布"
            "（論文的做法，對這麼小的網路並不恰當）、Glorot、He。梯度在訓練前以保留影像計算：每層權重梯度的均方根。"
            f"損失倍數是最後一層除以第一層。訓練後若一個單元對 {_IMAGES:,} 張保留影像都不活動，即為死亡單元。",
        ),
        arms=(*by_init, *by_lr),
        figures=(
            Figure(key="lost", label=Text("last layer's gradient / first layer's", "最後一層梯度／第一層梯度")),
            Figure(key="error", label=Text("training error, last epoch", "最後一個 epoch 的訓練錯誤率"), unit="%"),
            Figure(key="dead", label=Text("dead units", "死亡單元"), unit="%"),
        ),
        measure=measure,
        comparisons=(
            Comparison(
                text=Text(
                    "from deviation 0.01, sigmoid loses ten times more than ReLU",
                    "標準差 0.01 時，sigmoid 損失的梯度是 ReLU 的十倍以上",
                ),
                figure="lost",
                more="sigmoid-gaussian",
                less="relu-gaussian",
                kind="ratio",
                low=10.0,
            ),
            Comparison(
                text=Text(
                    "from it, sigmoid errs at least 20 points more", "同樣情況下，sigmoid 的錯誤率至少高 20 個百分點"
                ),
                figure="error",
                more="sigmoid-gaussian",
                less="relu-gaussian",
                low=0.2,
            ),
            Comparison(
                text=Text("from Glorot's weights, sigmoid errs more too", "使用 Glorot 權重，sigmoid 的錯誤率也較高"),
                figure="error",
                more="sigmoid-xavier",
                less="relu-xavier",
                low=0.0,
            ),
        ),
        panels=(
            Curves(
                key="gradient",
                x_label="layer, from the image to the answer",
                y_label="gradient before training (rms)",
                log_y=True,
                arms=tuple(arm.name for arm in by_init),
            ),
            Series(figure="dead", x_label="learning rate", y_label="dead units after training (%)", log_x=True),
        ),
        contrary=(
            Citation(
                Text(
                    "With first weights of the right scale tanh is trained well; sigmoid's trouble is mostly that its mean "
                    "is not 0.",
                    "初始權重的尺度適當時，tanh 可以訓練得很好；sigmoid 的問題主要在於它的平均不為 0。",
                ),
                "Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
            ),
            Citation(
                Text(
                    "ReLUs are not free of it either: a unit that is off for all images learns no more.",
                    "ReLU 也並非沒有問題：對所有影像都不活動的單元不再學習。",
                ),
                "Maas, Hannun and Ng 2013, Rectifier nonlinearities improve neural network acoustic models",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2 if quick else 13,
    )


def _recipe(activation: Activation, init: Init, lr: float, images: int, epochs: int) -> Recipe:
    model = ModelConfig(name="tiny_alexnet", dropout=0.0, activation=activation, init=init)
    return replace(
        base(model, images, epochs),
        augment=AugmentConfig(),
        optimizer=OptimizerConfig(name="sgd", lr=lr, weight_decay=0.0),
        label_smoothing=0.0,
    )


def measure(run: Run) -> Measured:
    """Gradients before training, training error, and dead units after it."""
    assert isinstance(run.recipe, Recipe), "baselines have no gradients"
    trained = measures.Trained(run)
    x_NCHW, labels_N = trained.inputs(trained.val, _IMAGES)
    dead = _dead_share(trained.model, x_NCHW) if run.recipe.model.activation == "relu" else None
    gradients = _gradients(trained.model, run.recipe, x_NCHW, labels_N)
    return {
        "figures": {
            "lost": gradients[-1] / max(gradients[0], 1e-30),
            "error": measures.error_curve(run, "train_top1")[1][-1],
            "dead": dead,
        },
        "curves": {"gradient": (list(range(1, len(gradients) + 1)), gradients)},
    }


def _gradients(model: torch.nn.Module, recipe: Recipe, x_NCHW: Tensor, labels_N: Tensor) -> list[float]:
    """Root mean square of the gradient of each layer's weights, from the weights that training began with."""
    import torch
    import torch.nn.functional as F

    from alexnet import models
    from alexnet.data.loading.plan import seed_for

    models.initialize(model, recipe.model.init, torch.Generator().manual_seed(seed_for(recipe.seed, "weights")))
    model.zero_grad()
    F.cross_entropy(model.eval()(x_NCHW), labels_N).backward()  # type: ignore[no-untyped-call]
    weights = [p for p in model.parameters() if p.ndim > 1]
    return [float(p.grad.double().square().mean().sqrt()) for p in weights if p.grad is not None]


def _dead_share(model: torch.nn.Module, x_NCHW: Tensor) -> float:
    """Share of the hidden units (of a convolution: its maps) that are 0 for all images."""
    import torch

    alive: list[Tensor] = []

    def look(_layer: object, _inputs: object, out: Tensor) -> None:
        alive.append((out > 0).transpose(0, 1).flatten(1).any(1))

    hooks = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, torch.nn.ReLU)]
    with torch.inference_mode():
        model.eval()(x_NCHW)
    for hook in hooks:
        hook.remove()
    return 1.0 - float(torch.cat(alive).float().mean())
