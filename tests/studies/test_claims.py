"""Every study, full and as a preview, without running it; and its plot and pages, from made-up figures."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

from alexnet import baseline, recipes, studies
from alexnet.config import Recipe
from alexnet.errors import UserError
from alexnet.studies import index, page, plots, summary
from alexnet.studies.claims.hierarchy import probe_error
from alexnet.studies.measures import first_below
from alexnet.studies.study import Curves, Dots, Series

each_study = pytest.mark.parametrize("name", studies.NAMES)
each_size = pytest.mark.parametrize("quick", [False, True])


def made_up(study: studies.Study) -> dict:
    """What study.json would hold, with figures that only fill the places."""
    curves = [panel.key for panel in study.panels if isinstance(panel, Curves)]

    def run(place: int, seed: int) -> dict:
        level = 0.5 / (1 + place) + 0.01 * seed
        return {
            "figures": {figure.key: level for figure in study.figures},
            "curves": {key: ([0.5, 1.5, 2.5], [level * 4, level * 2, level]) for key in curves},
            "cpu_s": 10.0,
            "environment": dict.fromkeys(summary._ENVIRONMENT, "made up"),
        }

    measured = {arm.name: [run(place, seed) for seed in range(study.seeds)] for place, arm in enumerate(study.arms)}
    tried = None
    if study.tuning:
        trials = {lr: {"figures": {study.tuning.by: 0.5}, "cpu_s": 1.0} for lr in study.tuning.lrs}
        tried = summary.tuning(study, {arm.name: trials for arm in study.arms})
    data = {"source": "cifar10", "n_train": 50_000, "fingerprint": "0"}
    return json.loads(json.dumps(summary.summarize(study, study.arms, measured, tuning=tried, data=data)))


class Balanced(HTMLParser):
    """Checks that elements are closed in order, and keeps addresses and ids."""

    VOID = frozenset({"meta", "input", "br", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@each_size
@each_study
def test_a_study_is_whole(name, quick):
    study = studies.get(name, quick=quick)
    assert (study.name, study.quick) == (name, quick)
    assert study.seeds == 1 if quick else study.seeds >= 3
    for text in (study.title, study.claim, study.published, study.setup):
        assert text.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text.zh)
    keys = {figure.key for figure in study.figures}
    assert all(panel.figure in keys for panel in study.panels if isinstance(panel, Dots | Series))
    assert study.contrary or name in ("views",)
    for arm in study.arms:
        assert arm.recipe.threads == 1
        assert summary.command(arm.recipe)
        known = recipes.names() if isinstance(arm.recipe, Recipe) else baseline.names()
        assert arm.recipe.name in known


def test_all_of_them_take_less_than_four_hours_on_two_cores():
    assert sum(studies.get(name).core_minutes for name in studies.NAMES) < 4 * 60 * 2
    assert all(studies.get(name, quick=True).core_minutes <= 3 * 2 for name in studies.NAMES)


def test_unknown_study():
    with pytest.raises(UserError, match=r"unknown study 'gravity': choose one of .*activation"):
        studies.get("gravity")


@each_study
def test_pages_stand_alone(name, tmp_path: Path):
    values = made_up(studies.get(name))
    page.write_page(tmp_path / "index.html", values)
    html = (tmp_path / "index.html").read_text()
    seen = Balanced(html)
    assert len(set(seen.ids)) == len(seen.ids)
    assert all(link.startswith("#") or link == "../index.html" for link in seen.links)
    assert values["claim"]["zh"] in html
    assert "<script" not in html


def test_a_page_holds_the_picture_of_the_first_run(tmp_path: Path):
    values = made_up(studies.get("hierarchy"))
    page.write_page(tmp_path / "index.html", values)
    assert "<img" not in (tmp_path / "index.html").read_text()
    (tmp_path / "runs" / "net-0").mkdir(parents=True)
    (tmp_path / "runs" / "net-0" / "responses.png").write_bytes(b"a picture")
    page.write_page(tmp_path / "index.html", values)
    assert 'src="data:image/png;base64,YSBwaWN0dXJl"' in (tmp_path / "index.html").read_text()


def test_the_story_holds_what_was_run_in_order(tmp_path: Path):
    with pytest.raises(UserError, match="holds no finished study"):
        studies.write_index(tmp_path)
    for name in ("cost", "activation"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text(json.dumps(made_up(studies.get(name))))
    html = studies.write_index(tmp_path).read_text()
    seen = Balanced(html)
    assert len(set(seen.ids)) == len(seen.ids)
    assert [link for link in seen.links if link.endswith(".html")] == ["activation/index.html", "cost/index.html"]
    assert [values["name"] for values in index.finished(tmp_path)] == ["activation", "cost"]


def test_a_preview_has_no_verdict(tmp_path: Path):
    values = made_up(studies.get("pooling", quick=True))
    assert values["verdict"] == "undecided"
    page.write_page(tmp_path / "index.html", values)
    assert "preview: no verdict" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("values", "unit", "text"),
    [
        ({"mean": 0.123, "interval": [0.1, 0.2], "n": 3}, "%", "12.3% (10.0 to 20.0)"),
        ({"mean": 5123.4, "interval": None, "n": 1}, "", "5,123"),
        ({"mean": 0.00001234, "interval": None, "n": 1}, "", "1.2e-05"),
        ({"mean": 12.34, "interval": None, "n": 1}, "", "12.3"),
        ({"mean": None, "interval": None, "n": 0}, "", "-"),
    ],
)
def test_figures_in_words(values, unit, text):
    assert page.figure(values, unit) == text


@pytest.mark.parametrize(
    ("row", "text", "between"),
    [
        ({"kind": "difference", "more": "a", "less": "b"}, "12.3 pp (10.0 to 20.0)", "> 5.0 pp"),
        ({"kind": "difference", "more": "a", "less": None}, "12.3% (10.0 to 20.0)", "> 5.0%"),
        ({"kind": "ratio", "more": "a", "less": "b"}, "0.123\u00d7 (0.1 to 0.2)", "> 0.05\u00d7"),
    ],
)
def test_comparisons_in_words(row, text, between):
    study = {"figures": [{"key": "error", "unit": "%"}]}
    row |= {"figure": "error", "mean": 0.123, "interval": [0.1, 0.2], "n": 3, "low": 0.05, "high": None}
    assert page.compared(row, study) == text
    assert page.bounds(row, study) == between


def test_where_a_curve_comes_down_to_a_level():
    assert first_below([0.5, 1.5, 2.5], [0.9, 0.5, 0.1], 0.3) == pytest.approx(2.0)
    assert first_below([0.5, 1.5], [0.2, 0.1], 0.3) == 0.5
    assert first_below([0.5, 1.5], [0.9, 0.8], 0.3) is None


def test_power_law_of_points_on_one():
    x = [500.0, 2000.0, 45_000.0]
    factor, exponent = plots.power_law(x, [3 * place**-0.25 for place in x])
    assert (factor, exponent) == (pytest.approx(3), pytest.approx(-0.25))


def test_rates_are_chosen_by_what_they_gave():
    trials = {lr: {"figures": {"train_top1": top1}} for lr, top1 in ((0.1, 0.5), (0.01, 0.7), (0.03, 0.7))}
    assert summary.best_lr(trials) == 0.01
    assert summary.best_lr({**trials, 1.0: {"figures": {}}}) == 0.01


def test_a_probe_finds_what_is_there_and_nothing_where_there_is_nothing():
    import torch

    generator = torch.Generator().manual_seed(0)
    labels_N = torch.randint(0, 4, (800,), generator=generator)
    noise_ND = torch.randn(800, 10, generator=generator)
    clear_ND = noise_ND + 20 * torch.nn.functional.one_hot(labels_N, 10)
    assert probe_error(clear_ND, labels_N) == 0
    assert math.isclose(probe_error(noise_ND, labels_N), 0.75, abs_tol=0.12)
