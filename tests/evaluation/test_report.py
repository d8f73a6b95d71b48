"""The report: every edge renders, nothing leaves the page, names cannot break out of it."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet.evaluation.metrics import Evaluation, Metrics
from alexnet.evaluation.report import (
    Mistake,
    ReportContent,
    add_links,
    calibration_plot,
    curves,
    curves_svg,
    filters_picture,
    style,
    write_report,
)
from alexnet.evaluation.report.page import _duration, _percent
from alexnet.evaluation.report.pictures import color_share, data_uri
from alexnet.evaluation.report.style import _spread

VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that every element is closed, and collects ids, addresses and the text people read."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                self.addresses.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def evaluation(K: int, names: list[str] | None = None, n: int = 400) -> Evaluation:
    generator = torch.Generator().manual_seed(K)
    labels_N = torch.randint(0, K, (n,), generator=generator)
    scores_NK = torch.randn(n, K, generator=generator)
    scores_NK[torch.arange(n), labels_N] += 2
    metrics = Metrics(K)
    metrics.update(scores_NK, labels_N)
    return metrics.result(names or [f"class{i}" for i in range(K)])


def history(epochs: int, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "epoch": e,
            "train_loss": 2.0 / e,
            "train_top1": 1 - 0.8 / e,
            "val_loss": 1.9 / e,
            "val_top1": 1 - 0.75 / e,
            "images_per_s": 4000.0 + e,
            "elapsed_s": 12.0 * e,
            "lr": 0.05 / e,
        }
        | changes
        for e in range(1, epochs + 1)
    ]


def mistake(channels: int = 3, side_px: int = 32, **changes: Any) -> Mistake:
    pixels = np.random.default_rng(0).integers(0, 256, (side_px, side_px, channels), dtype=np.uint8)
    values = {"truth": "cat", "predicted": "dog", "confidence": 0.97, "truth_probability": 0.02, "file": "test/1.jpg"}
    return Mistake(pixels, **(values | changes))


CONTENT = ReportContent(
    title="tiny_alexnet on cifar10",
    facts={"seed": "0", "versions": "torch 2.14.1"},
    command="alexnet train tiny_cifar10 --data cifar10",
    evaluation=evaluation(10),
    parameters=613_834,
    history=history(10),
    mistakes=[mistake()] * 24,
    filters_OCHW=np.random.default_rng(0).normal(size=(32, 3, 5, 5)),
    recipe={"name": "tiny_cifar10", "ema_decay": None, "optimizer": {"lr": 0.05}},
)


def render(tmp_path: Path, **changes: Any) -> tuple[str, Page]:
    path = tmp_path / "report.html"
    write_report(path, dataclasses.replace(CONTENT, **changes))
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


EDGES: dict[str, dict[str, Any]] = {
    "usual": {},
    "no validation": {"history": history(5, val_loss=None, val_top1=None)},
    "one epoch": {"history": history(1)},
    "no history": {"history": []},
    "diverged": {"history": history(3) + history(4, train_loss=math.nan, val_loss=math.inf, lr=None)[3:]},
    "nothing but NaN": {"history": history(2, train_loss=math.nan, val_loss=math.nan, train_top1=math.nan)},
    "sparse rows": {"history": [{"epoch": 1}, {"epoch": 2, "train_loss": 1.0}]},
    "one class": {"evaluation": evaluation(1)},
    "two classes": {"evaluation": evaluation(2)},
    "30 classes": {"evaluation": evaluation(30)},
    "100 classes": {"evaluation": evaluation(100)},
    "one image": {"evaluation": evaluation(10, n=1)},
    "no mistakes": {"mistakes": []},
    "grey": {"mistakes": [mistake(channels=1)], "filters_OCHW": np.ones((6, 1, 5, 5))},
    "two towers": {"filters_OCHW": np.random.default_rng(0).normal(size=(96, 3, 11, 11)), "towers": 2},
    "two grey towers": {"filters_OCHW": np.ones((6, 1, 5, 5)), "towers": 2},
    "photographs": {"mistakes": [mistake(side_px=300)]},
    "mistake without a file": {"mistakes": [mistake(file=None)]},
    "no filters": {"filters_OCHW": None},
    "validation split": {"split": "val"},
    "least": {
        "facts": {},
        "command": None,
        "parameters": None,
        "history": [],
        "mistakes": [],
        "filters_OCHW": None,
        "recipe": {},
    },
}


@pytest.mark.parametrize("changes", EDGES.values(), ids=EDGES.keys())
def test_every_edge_renders_a_whole_page_that_stands_alone(tmp_path: Path, changes: dict[str, Any]) -> None:
    html, page = render(tmp_path, **changes)
    assert len(set(page.ids)) == len(page.ids)
    outside = [a for a in page.addresses if not a.startswith(("data:image/", "#"))]
    assert not outside
    assert not re.search(r"url\((?!#)|@import|https?://", html)
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    assert not re.search(r"\b(nan|inf|Undefined)\b", page.text)
    for reference in re.findall(r'(?:url\(|href=")#([^)"]+)', html):
        assert reference in page.ids


def test_report_says_what_was_measured(tmp_path: Path) -> None:
    html, page = render(tmp_path)
    low, high = CONTENT.evaluation.top1_interval
    for expected in [
        f"{100 * CONTENT.evaluation.top1:.2f}%",
        f"{100 * low:.2f}% to {100 * high:.2f}%",
        f"{CONTENT.evaluation.loss:.4f}",
        "guessing scores 2.30",
        "613,834",
        "2 min 0 s",
        "10 epochs, 4,006 images/s",
        "alexnet train tiny_cifar10 --data cifar10",
        "optimizer.lr",
        "validation",
    ]:
        assert expected in page.text
    assert html.count("data:image/png") == 25  # mistakes and filters
    assert len(html) < 400_000


def test_towers_are_shown_apart_with_their_share_of_colour(tmp_path: Path) -> None:
    """Six grey filters, then six whose channels cancel to nothing: no colour, and nothing but colour."""
    grey = np.random.default_rng(0).integers(-9, 10, (6, 1, 4, 4)).repeat(3, axis=1).astype(float)
    filters = np.concatenate([grey, grey * np.array([1.0, -2.0, 1.0])[:, None, None]])
    html, page = render(tmp_path, filters_OCHW=filters, towers=2, mistakes=[])
    assert "Tower 1: filters 1 to 6, 0% colour" in page.text
    assert "Tower 2: filters 7 to 12, 100% colour" in page.text
    assert html.count("data:image/png") == 2
    assert html.index("Tower 1") < html.index(data_uri(filters_picture(grey))) < html.index("Tower 2")
    html, page = render(tmp_path, filters_OCHW=filters, mistakes=[])
    assert html.count("data:image/png") == 1
    assert "Tower" not in page.text
    with pytest.raises(ValueError, match="12 filters are not 5 equal parts"):
        render(tmp_path, filters_OCHW=filters, towers=5)


@pytest.mark.parametrize(
    ("channels", "share"),
    [
        ([1, 1, 1], 0),
        ([1, 0, 0], 2 / 3),  # 1/3 is common: (4 + 1 + 1) / 9 of 1
        ([3, -3, 0], 1),
        ([2, 1, 0], 2 / 5),  # 1 is common: (1 + 0 + 1) / 5
        ([0, 0, 0], 0),
        ([5], 0),
    ],
)
def test_share_of_colour(channels: list[float], share: float) -> None:
    assert color_share(np.array(channels, dtype=float)[None, :, None, None]) == pytest.approx(share)


def test_light_dark_and_print_each_have_their_style(tmp_path: Path) -> None:
    html, _ = render(tmp_path)
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    assert "var(--series-1, #0072b2)" in html  # plots follow the page's colours


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "貓", "a & b", "{{ 7 * 7 }}"]


@pytest.mark.parametrize("K", [5, 50])
def test_names_cannot_break_out_of_the_page(tmp_path: Path, K: int) -> None:
    names = HOSTILE + [f"class{i}" for i in range(K - 5)]
    _, page = render(
        tmp_path,
        title=HOSTILE[0],
        facts={name: name for name in HOSTILE},
        command=HOSTILE[1],
        evaluation=evaluation(K, names),
        mistakes=[mistake(truth=n, predicted=n, file=f"x/{n}") for n in HOSTILE],
        recipe={n: n for n in HOSTILE},
    )
    assert "script" not in page.tags
    assert page.tags.count("img") == len(HOSTILE) + 1
    assert not [name for name in page.attributes if name.startswith("on")]
    for name in HOSTILE:
        assert name in page.text


def test_few_classes_get_a_matrix_and_many_a_list_of_pairs(tmp_path: Path) -> None:
    few, _ = render(tmp_path, evaluation=evaluation(40))
    many, page = render(tmp_path, evaluation=evaluation(41))
    assert '<table class="matrix' in few
    assert '<table class="matrix' not in many
    assert "too large to read" in page.text


def test_rare_mistakes_do_not_look_like_common_ones(tmp_path: Path) -> None:
    metrics = Metrics(2)
    labels_N = torch.arange(200) % 2
    answers_N = labels_N.clone()
    answers_N[0] = 1  # one of class 0's 100 images
    metrics.update(torch.nn.functional.one_hot(answers_N, 2).float(), labels_N)
    html, page = render(tmp_path, evaluation=metrics.result(["a", "b"]))
    assert re.findall(r"<td([^>]*)>(\d*)</td>", html)[:4] == [
        (' class="right" style="--s:0.99"', "99"),
        (' style="--s:0.1"', "1"),
        ("", ""),
        (' class="right" style="--s:1.0"', "100"),
    ]
    assert "top-2" not in page.text  # every answer is among the two likeliest of two classes


def test_classes_are_listed_weakest_first(tmp_path: Path) -> None:
    html, _ = render(tmp_path)
    widths = [float(w) for w in re.findall(r'<i style="width:([\d.]+)%', html)]
    assert len(widths) == 10
    assert widths == sorted(widths)


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    assert render(tmp_path)[0] == render(tmp_path)[0]


def test_reports_can_be_written_from_several_threads(tmp_path: Path) -> None:
    expected, _ = render(tmp_path)
    paths = [tmp_path / f"{i}.html" for i in range(3)]
    threads = [threading.Thread(target=write_report, args=(path, CONTENT)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_text(encoding="utf-8") == expected for path in paths] == [True] * 3


def test_filters_are_scaled_symmetrically_about_grey() -> None:
    filters = np.zeros((2, 3, 1, 2))
    filters[0, :, 0, 0] = [2.0, -1.0, 0.0]
    picture = filters_picture(filters)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 4
    first, last = picture[0, 0], picture[-1, -1]
    assert list(first) == [255, 64, 128, 255]  # 127.5 + 127.5 * [1, -1/2, 0], rounded to even
    assert list(last) == [128, 128, 128, 255]  # a filter of zeros is grey
    assert (picture[..., 3] == 0).any()  # gaps show the page


@pytest.mark.parametrize("number", [1, 6, 32, 64, 96, 100])
def test_every_filter_has_its_tile(number: int) -> None:
    picture = filters_picture(np.ones((number, 1, 3, 3)))
    white = (picture == 255).all(axis=2)
    edges = np.diff(np.pad(white, 1).astype(int), axis=1)
    corners = (edges == 1)[1:-1]
    tops = corners & ~np.pad(corners, ((1, 0), (0, 0)))[:-1]
    assert tops.sum() == number
    assert picture.shape[1] <= 800


def test_columns_may_be_chosen() -> None:
    wide, narrow = (filters_picture(np.ones((48, 3, 11, 11)), columns) for columns in (16, None))
    assert wide.shape[:2] == (101, 543)  # 3 rows of 16, enlarged three times, with gaps of a pixel
    assert narrow.shape[0] > wide.shape[0]


@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (0, 3, 3, 3), (3, 5, 5)])
def test_filters_that_cannot_be_shown_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be shown"):
        filters_picture(np.ones(shape))


def test_filters_of_a_broken_network_do_not_crash() -> None:
    assert filters_picture(np.full((2, 3, 5, 5), np.nan))[0, 0, 0] == 128


@pytest.mark.parametrize("channels", [1, 3])
def test_small_images_are_kept_to_the_pixel(channels: int) -> None:
    pixels = mistake(channels).pixels_HWC
    uri = data_uri(pixels)
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    assert (np.asarray(image).reshape(pixels.shape) == pixels).all()


def test_large_photographs_are_shrunk() -> None:
    uri = data_uri(np.zeros((600, 300, 3), dtype=np.uint8))
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert image.size == (128, 256)


def test_plots_stand_alone_too() -> None:
    svg = curves_svg(history(10))
    assert svg.startswith("<?xml")
    assert ">validation</text>" in svg  # text stays text
    assert style.png(curves(history(10)))[:4] == b"\x89PNG"
    assert "ideal" in style.svg(calibration_plot(evaluation(10).bins))


def test_a_line_that_turns_to_nan_is_named_at_its_last_number() -> None:
    svg = curves_svg(history(3) + history(4, train_loss=math.nan, train_top1=math.nan)[3:])
    assert svg.count(">train</text>") == 2


def test_end_labels_keep_apart_and_in_order() -> None:
    assert _spread([0.5, 0.1], 0.2) == [0.5, 0.1]
    assert _spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])
    assert _spread([0.52, 0.5, 0.3], 0.2) == pytest.approx([0.64, 0.44, 0.24])


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0%"), (1.0, "100.0%"), (0.9999, ">99.9%"), (0.0001, "<0.1%"), (0.7147, "71.5%")],
)
def test_shares_read_as_nothing_or_all_only_if_they_are(share: float, text: str) -> None:
    assert _percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.04, "8.0 s"), (59.97, "1 min 0 s"), (115, "1 min 55 s"), (3660, "1 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert _duration(seconds) == text


def test_a_failed_report_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be shown"):
        render(tmp_path, filters_OCHW=np.ones((1, 2, 3, 3)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", EDGES.values(), ids=EDGES.keys())
def test_the_report_says_the_same_in_chinese(tmp_path: Path, changes: dict[str, Any]) -> None:
    english, chinese = (render(tmp_path, **changes, language=each)[1].text for each in ("en", "zh-TW"))
    for figures in (r"\d+(?:\.\d+)?%", r"\d+\.\d{4}"):
        assert sorted(re.findall(figures, english)) == sorted(re.findall(figures, chinese))
    # Names and commands stay as they are; four words in a row, each of four letters or more, are a sentence.
    assert not re.findall(r"(?:\b[a-z]{4,}\b[ ,]+){4}", chinese)


def test_the_report_links_to_pages_that_are_there(tmp_path: Path) -> None:
    html, _ = render(tmp_path)
    report = tmp_path / "report.html"
    add_links(report)
    assert report.read_text(encoding="utf-8") == html
    (tmp_path / "explorer.html").write_text("")
    (tmp_path / "explain").mkdir()
    (tmp_path / "explain/explain.html").write_text("")
    add_links(report)
    add_links(report)
    assert Page(report.read_text(encoding="utf-8")).addresses[:2] == ["explorer.html", "explain/explain.html"]
    (tmp_path / "explorer.html").unlink()
    add_links(report)
    assert Page(report.read_text(encoding="utf-8")).addresses[0] == "explain/explain.html"
