"""Each level of features is more useful than the one before (the tutorial: features in levels)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from alexnet.config import ModelConfig
from alexnet.studies import measures
from alexnet.studies.claims._common import TUTORIAL, base
from alexnet.studies.study import Arm, Citation, Comparison, Curves, Figure, Measured, Picture, Run, Study, Text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LEVELS = ("pixels", "conv1", "conv2", "conv3", "fc4", "fc5")
_MAPS_PX = 4  # maps are averaged to so many pixels, so that all levels have some hundred numbers
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
_PICTURE = "responses.png"
_MOST = 5000  # images that a probe learns from, and is tested on


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 5) if quick else (20_000, 12)
    return Study(
        name="hierarchy",
        title=Text("Each level of features is more useful than the last", "每一級特徵都比前一級有用"),
        claim=Text(
            "A network represents images level by level, more and more abstractly, until the last level makes "
            "classification easy: a linear classifier does better on each level than on the one before.",
            "網路將影像逐級表示，愈來愈抽象，直到最後一級可以輕易完成分類：線性分類器在每一級上的表現都比前一級好。",
        ),
        source=f"{TUTORIAL}, on learning representations",
        published=Text("no figure is given", "沒有給出數字"),
        setup=Text(
            f"TinyAlexNet trained on {images:,} images with crops and flips for {epochs} epochs. What each level shows, maps "
            f"averaged to {_MAPS_PX}x{_MAPS_PX} px, is given to a linear classifier (ridge regression on the classes) that learns "
            f"from {_MOST:,} of the images held out of the network's own training: half of them to fit, a quarter to choose "
            "the ridge, a quarter to measure the error.",
            f"TinyAlexNet 以 {images:,} 張影像（有裁剪與翻轉）訓練 {epochs} 個 epoch。每一級的輸出（特徵圖平均成 {_MAPS_PX}x{_MAPS_PX} px）交給線性分類器"
            f"（對類別做嶺迴歸），使用網路訓練時未見過的 {_MOST:,} 張影像：一半用來擬合，四分之一選擇嶺參數，四分之一測量錯誤率。",
        ),
        arms=(
            Arm(
                name="net",
                label="linear probe",
                recipe=base(ModelConfig(name="tiny_alexnet", dropout=0.0), images, epochs),
            ),
        ),
        figures=tuple(
            Figure(key=level, label=Text(f"error after {level}", f"{level} 之後的錯誤率"), unit="%")
            for level in _LEVELS
        )
        + tuple(
            Figure(key=f"{b}_gain", label=Text(f"{a} minus {b}", f"{a} 減 {b}"), unit="pp")
            for a, b in itertools.pairwise(_LEVELS)
        ),
        measure=measure,
        comparisons=tuple(
            Comparison(text=Text(f"{b} is better than {a}", f"{b} 優於 {a}"), figure=f"{b}_gain", more="net", low=0.0)
            for a, b in itertools.pairwise(_LEVELS)
        ),
        panels=(
            Curves(
                key="probe",
                x_label="level: 0 the pixels, 1 to 3 convolutions, 4 and 5 dense layers",
                y_label="error of a linear classifier (% of images)",
                percent=True,
            ),
        ),
        picture=Picture(
            _PICTURE,
            Text(
                "What each level responds to: a square is a unit, with the nine held-out images, or parts of them as large "
                "as it sees, that excite it most. Shown are the units that those nine excite most above the mean.",
                "每一級對什麼有反應：一個方塊是一個單元，其中是最能激發它的九張保留影像（或它所見大小的局部）。"
                "所示為最強的九個反應相對於平均最突出的單元。",
            ),
        ),
        contrary=(
            Citation(
                Text(
                    "For another task the last levels are not the best: features become specific to the network's own "
                    "classes in its upper layers.",
                    "若換成其他任務，最後幾級並不是最好的：上層的特徵愈來愈專屬於網路自己的類別。",
                ),
                "Yosinski et al. 2014, How transferable are features in deep neural networks?",
            ),
        ),
        seeds=1 if quick else 3,
        core_minutes=1 if quick else 5,
    )


def measure(run: Run) -> Measured:
    """Error of a linear probe on each level, and how much each gains over the one before."""
    import torch

    from alexnet.studies.responses import write_responses

    trained = measures.Trained(run)
    x_NCHW, labels_N = trained.inputs(trained.val, _MOST)
    pixels_NHWC = torch.cat(list(measures.evenly_spread(trained.val, _MOST).parts(_MOST)))
    write_responses(run.folder.path / _PICTURE, trained.model, x_NCHW, pixels_NHWC)
    errors = [probe_error(features_ND, labels_N) for features_ND in _levels(trained.model, x_NCHW)]
    gains = {f"{b}_gain": errors[i] - errors[i + 1] for i, b in enumerate(_LEVELS[1:])}
    return {
        "figures": {**dict(zip(_LEVELS, errors, strict=True)), **gains},
        "curves": {"probe": (list(range(len(errors))), errors)},
    }


def _levels(model: torch.nn.Module, x_NCHW: Tensor) -> list[Tensor]:
    """The pixels and the output of every activation, [N, D] each, small maps."""
    import torch
    import torch.nn.functional as F

    seen: list[list[Tensor]] = []

    def small(maps: Tensor) -> Tensor:
        return (F.adaptive_avg_pool2d(maps, _MAPS_PX) if maps.ndim == 4 else maps).flatten(1)

    def look(_layer: object, _inputs: object, out: Tensor) -> None:
        part.append(small(out))

    hooks = [m.register_forward_hook(look) for name, m in model.named_modules() if ".act" in name]
    with torch.inference_mode():
        for some in torch.split(x_NCHW, 500):
            part = [small(some)]
            model.eval()(some)
            seen.append(part)
    for hook in hooks:
        hook.remove()
    return [torch.cat(level) for level in zip(*seen, strict=True)]


def probe_error(features_ND: Tensor, labels_N: Tensor) -> float:
    """Error of a ridge classifier: fitted on half of the images, its ridge chosen on a quarter, measured on the rest."""
    import torch

    order_N = torch.randperm(len(labels_N), generator=torch.Generator().manual_seed(0))
    fit_N, choose_N, test_N = order_N.tensor_split((len(order_N) // 2, 3 * len(order_N) // 4))
    z_ND = features_ND.double()
    mean_D, std_D = z_ND[fit_N].mean(0), z_ND[fit_N].std(0).clamp(min=1e-6)
    z_ND = torch.cat([(z_ND - mean_D) / std_D, torch.ones(len(z_ND), 1, dtype=torch.float64)], dim=1)
    target_NK = torch.nn.functional.one_hot(labels_N).double()
    gram_DD, moment_DK = z_ND[fit_N].T @ z_ND[fit_N], z_ND[fit_N].T @ target_NK[fit_N]
    eye_DD = torch.eye(len(gram_DD), dtype=torch.float64) * len(fit_N)
    weights = [torch.linalg.solve(gram_DD + ridge * eye_DD, moment_DK) for ridge in _RIDGES]

    def error(w_DK: Tensor, at_N: Tensor) -> float:
        return float(((z_ND[at_N] @ w_DK).argmax(1) != labels_N[at_N]).double().mean())

    return error(min(weights, key=lambda w_DK: error(w_DK, choose_N)), test_N)
