"""Averaging over views of an image, and over networks, lowers the error (Krizhevsky 2012, 4.1 and section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from alexnet.config import AugmentConfig, ModelConfig
from alexnet.run_folder import RunFolder
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, base
from alexnet.studies.study import Arm, Comparison, Figure, Measured, Rows, Run, Study, Text
from alexnet.studies.worker import train

if TYPE_CHECKING:
    from alexnet.evaluation import Classifier

_VIEWS = (1, 2, 10)
_MEMBERS = 5
_SEEDS_APART = 1000  # so that no two seeds of the study share a member
_NAMES = {
    "views_1": Text("one view", "一個視角"),
    "views_2": Text("two views", "兩個視角"),
    "views_10": Text("ten views", "十個視角"),
    "ensemble": Text("five networks, one view", "五個網路，一個視角"),
}


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1000, 4) if quick else (10_000, 12)
    recipe = base(ModelConfig(name="tiny_alexnet", dropout=0.0), images, epochs)
    return Study(
        name="views",
        title=Text("Ten views and five networks are better than one", "十個視角、五個網路勝過一個"),
        claim=Text(
            "Averaging a network's answers over ten views of an image, its corners and centre and their mirror images, "
            "lowers the error; so does averaging the answers of five networks.",
            "將網路對一張影像十個視角（四角、中央與其鏡像）的答案平均，可以降低錯誤率；平均五個網路的答案也可以。",
        ),
        source=f"{PAPER}, sections 4.1 and 6",
        published=Text(
            "1.5 points of top-1: 37.5% with ten views, 39.0% with one",
            "top-1 降低 1.5 個百分點：十個視角 37.5%，一個視角 39.0%",
        ),
        setup=Text(
            f"TinyAlexNet on {images:,} training images with crops (a border of 4 px) and flips, {epochs} epochs. Two views are "
            "the image and its mirror image; ten are cut from the image with the border that it was trained with. The five "
            "networks differ in nothing but the seed.",
            f"TinyAlexNet，{images:,} 張訓練影像，有裁剪（邊框 4 px）與翻轉，{epochs} 個 epoch。兩個視角是影像與其鏡像；"
            "十個視角從加上訓練時同樣邊框的影像裁出。五個網路只有種子不同。",
        ),
        arms=(
            Arm(
                name="net",
                label="TinyAlexNet",
                recipe=replace(recipe, augment=AugmentConfig(crop_padding_px=4, flip="random")),
            ),
        ),
        figures=(
            *(Figure(key=key, label=name, unit="%") for key, name in _NAMES.items()),
            *(
                Figure(key=f"{key}_gain", label=Text(f"gain of {name.en}", f"{name.zh}的改善"), unit="pp")
                for key, name in _NAMES.items()
                if key != "views_1"
            ),
        ),
        measure=measure,
        comparisons=tuple(
            Comparison(
                text=Text(f"{name.en}: less error than one view of one", f"{name.zh}：錯誤率低於一個網路的一個視角"),
                figure=f"{key}_gain",
                more="net",
                low=0.0,
            )
            for key, name in _NAMES.items()
            if key != "views_1"
        ),
        panels=(Rows(figures=tuple(_NAMES), x_label="test error (% of images)"),),
        seeds=1 if quick else 3,
        core_minutes=1 if quick else 15,
    )


def measure(run: Run) -> Measured:
    """Test error with 1, 2 and 10 views and of an ensemble, and what these gain over one view of one network."""
    classifier = measures.Trained(run).classifier
    errors = {f"views_{n}": 1.0 - classifier.evaluate(run.data, root=run.root, views=n).top1 for n in _VIEWS}
    errors["ensemble"] = _ensemble_error(run, [classifier, *_more_networks(run)])
    gains = {f"{name}_gain": errors["views_1"] - error for name, error in errors.items() if name != "views_1"}
    return {"figures": {**errors, **gains}, "curves": {}}


def _more_networks(run: Run) -> list[Classifier]:
    """The other members, trained as the first but for the seed, in run folders inside its own."""
    from alexnet import evaluation

    members = []
    for i in range(1, _MEMBERS):
        folder = RunFolder(run.folder.path / f"member-{i}")
        train(replace(run.recipe, seed=run.recipe.seed + _SEEDS_APART * i), run.root, folder)
        members.append(evaluation.load(folder.path, device="cpu"))
    return members


def _ensemble_error(run: Run, members: Sequence[Classifier]) -> float:
    """Test error of the mean of the members' probabilities, one view each."""
    import torch

    from alexnet import data
    from alexnet.evaluation.evaluate import log_probabilities

    how = members[0].card.preprocessing
    images, _ = data.load_split(run.data, "test", root=run.root, image_px=how.image_px, in_channels=how.in_channels)
    log_p_MNK = torch.stack([log_probabilities(m.model, images, m.card.preprocessing, m.runtime) for m in members])
    return float((log_p_MNK.exp().mean(0).argmax(1) != images.labels_N).double().mean())
