"""AlexNet's training takes seven times LeNet's (the tutorial)."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from alexnet.config import ModelConfig, ModelName, Recipe
from alexnet.studies.claims._common import TUTORIAL, base
from alexnet.studies.study import Arm, Citation, Comparison, Dots, Figure, Measured, Run, Study, Text

_LABELS: dict[ModelName, str] = {
    "lenet": "LeNet, 28 px",
    "tiny_alexnet": "TinyAlexNet, 32 px",
    "alexnet": "AlexNet, 224 px",
    "alexnet_2012": "AlexNet 2012, 224 px",
}
_BATCH = 32


def study(quick: bool) -> Study:
    """The study, or its preview."""
    return Study(
        name="cost",
        title=Text("What the networks cost", "網路的成本"),
        claim=Text(
            "AlexNet is larger than LeNet, and training it took seven times as long.",
            "AlexNet 比 LeNet 大，訓練時間多了七倍。",
        ),
        source=f"{TUTORIAL}, on the network's size",
        published=Text("seven times the training time, on the GPU of its author", "在作者的 GPU 上，訓練時間為七倍"),
        setup=Text(
            f"Processor time of one step of training on {_BATCH} random images of each network's own size, on one CPU thread, after a warm-up; "
            "nothing is learned. A GPU is never full with LeNet, so there the ratio is smaller; a CPU shows the work.",
            f"以各網路原本大小的 {_BATCH} 張隨機影像做一步訓練的處理器時間，單一 CPU 執行緒，先暖機；不學習任何東西。"
            "LeNet 無法用滿 GPU，因此在 GPU 上的比值較小；CPU 則反映真正的計算量。",
        ),
        arms=tuple(
            Arm(name=name.replace("_", "-"), label=label, recipe=_recipe(name)) for name, label in _LABELS.items()
        ),
        figures=(
            Figure(key="ms", label=Text("training time an image, ms", "每張影像的訓練時間（毫秒）")),
            Figure(key="parameters", label=Text("parameters, millions", "參數（百萬）")),
            Figure(key="macs", label=Text("multiply-adds an image, millions", "每張影像的乘加次數（百萬）")),
            Figure(key="memory_mib", label=Text("weights, gradients and momentum, MiB", "權重、梯度與動量（MiB）")),
        ),
        measure=measure,
        trains=False,
        comparisons=(
            Comparison(
                text=Text("AlexNet takes 5 to 10 times LeNet's time", "AlexNet 的時間是 LeNet 的 5 到 10 倍"),
                figure="ms",
                more="alexnet",
                less="lenet",
                kind="ratio",
                low=5.0,
                high=10.0,
            ),
        ),
        panels=(
            Dots(figure="ms", x_label="training time an image (ms, log scale)", log_x=True),
            Dots(figure="parameters", x_label="parameters (millions, log scale)", log_x=True),
        ),
        contrary=(
            Citation(
                Text(
                    "Five to six days on two GPUs of 3 GB was what the paper's own training took.",
                    "論文自己的訓練在兩張 3 GB 的 GPU 上花了五到六天。",
                ),
                "Krizhevsky, Sutskever and Hinton 2012, section 1",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=2,
    )


def _recipe(name: ModelName) -> Recipe:
    return replace(base(ModelConfig(name=name), None, 1), batch_size=_BATCH)


def measure(run: Run) -> Measured:
    """Size of the network, and the median processor time of a step of training."""
    import torch
    import torch.nn.functional as F

    from alexnet import models, runtime
    from alexnet.training.optim.build import build_optimizers

    recipe = run.recipe
    assert isinstance(recipe, Recipe), "baselines are not trained in steps"
    where = runtime.start(recipe.device, recipe.precision, recipe.threads)
    facts = models.facts(recipe.model.name)
    torch.manual_seed(recipe.seed)
    network = models.create(recipe.model.name).to(memory_format=torch.channels_last).train()
    optimizers = build_optimizers(network, recipe.optimizer)
    x_NCHW = torch.randn(_BATCH, facts.native_channels, facts.native_px, facts.native_px)
    x_NCHW = x_NCHW.to(where.dtype).contiguous(memory_format=torch.channels_last)
    labels_N = torch.randint(facts.native_classes, (_BATCH,))
    times_s = []
    for _ in range(8):
        began_s = time.process_time()
        with where.autocast():
            loss = F.cross_entropy(network(x_NCHW).float(), labels_N)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        times_s.append(time.process_time() - began_s)
    parameters = models.count_parameters(network)
    return {
        "figures": {
            "ms": 1000 * statistics.median(times_s[3:]) / _BATCH,
            "parameters": parameters / 1e6,
            "macs": models.count_macs(network, facts.native_channels, facts.native_px) / 1e6,
            "memory_mib": 3 * 4 * parameters / 2**20,
        },
        "curves": {},
    }
