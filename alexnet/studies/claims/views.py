"""Averaging over ten views of an image lowers the error (Krizhevsky 2012, 4.1)."""

from __future__ import annotations

from dataclasses import replace

from alexnet.config import AugmentConfig, ModelConfig
from alexnet.studies import measures
from alexnet.studies.claims._common import PAPER, base
from alexnet.studies.study import Arm, Comparison, Figure, Measured, Rows, Run, Study, Text

_VIEWS = (1, 2, 10)


def study(quick: bool) -> Study:
    """The study, or its preview."""
    images, epochs = (1500, 5) if quick else (20_000, 12)
    recipe = base(ModelConfig(name="tiny_alexnet", dropout=0.0), images, epochs)
    return Study(
        name="views",
        title=Text("Ten views are better than one", "十個視角勝過一個"),
        claim=Text(
            "Averaging a network's answers over ten views of an image, its corners and centre and their mirror images, "
            "lowers the error.",
            "將網路對一張圖像十個視角（四角、中央與其鏡像）的答案平均，可以降低錯誤率。",
        ),
        source=f"{PAPER}, section 4.1 and footnote 4 of section 6.1",
        published=Text(
            "1.5 points of top-1: 37.5% with ten views, 39.0% with one",
            "top-1 降低 1.5 個百分點：十個視角 37.5%，一個視角 39.0%",
        ),
        setup=Text(
            f"TinyAlexNet on {images:,} training images with crops (a border of 4 px) and flips, {epochs} epochs. Two views are "
            "the image and its mirror image; ten are cut from the image with the border that it was trained with.",
            f"TinyAlexNet，{images:,} 張訓練圖像，有裁剪（邊框 4 px）與翻轉，{epochs} 個 epoch。兩個視角是圖像與其鏡像；"
            "十個視角從加上訓練時同樣邊框的圖像裁出。",
        ),
        arms=(
            Arm(
                name="net",
                label="TinyAlexNet",
                recipe=replace(recipe, augment=AugmentConfig(crop_padding_px=4, flip="random")),
            ),
        ),
        figures=(
            *(
                Figure(
                    key=f"error_{n}", label=Text(f"test error, {n} view(s)", f"{n} 個視角的測試錯誤率"), percent=True
                )
                for n in _VIEWS
            ),
            *(
                Figure(key=f"gain_{n}", label=Text(f"1 view minus {n}", f"1 個視角減 {n} 個"), percent=True)
                for n in _VIEWS[1:]
            ),
        ),
        measure=measure,
        comparisons=tuple(
            Comparison(
                text=Text(f"{n} views err less than one", f"{n} 個視角的錯誤率低於一個"),
                figure=f"gain_{n}",
                more="net",
                low=0.0,
            )
            for n in _VIEWS[1:]
        ),
        panels=(Rows(figures=tuple(f"error_{n}" for n in _VIEWS), x_label="test error (% of images)"),),
        seeds=1 if quick else 3,
        core_minutes=1 if quick else 9,
    )


def measure(run: Run) -> Measured:
    """Test error with 1, 2 and 10 views, and what the latter gain."""
    classifier = measures.Trained(run).classifier
    errors = {n: 1.0 - classifier.evaluate(run.data, root=run.root, views=n).top1 for n in _VIEWS}
    return {
        "figures": {
            **{f"error_{n}": value for n, value in errors.items()},
            **{f"gain_{n}": errors[1] - errors[n] for n in _VIEWS[1:]},
        },
        "curves": {},
    }
