"""Medians, ratios and shares of figures computed by hand."""

from __future__ import annotations

import json

import pytest

from alexnet.bench import HEAD, Contender, Outcome, rows, summarize


def outcome(
    name: str, *figures: float, task: str = "train_256", failure: str | None = None, **more: object
) -> Outcome:
    metric = "latency_ms" if task == "latency" else "images_per_s"
    contender = Contender(name, task, (), f"run {name}", 2)
    return Outcome(contender, [{metric: figure, **more} for figure in figures], failure)


def test_medians_spreads_and_ratios_by_repetition() -> None:
    result = summarize([outcome("ours", 10, 20, 30), outcome("theirs", 5, 4, 10)], {"reps": 3})
    ours, theirs = result["tasks"]["train_256"]["contenders"].values()
    assert (ours["median"], ours["min"], ours["max"]) == (20, 10, 30)
    assert ours["ratio"] == {"median": 1, "min": 1, "max": 1}
    assert (theirs["median"], theirs["min"], theirs["max"]) == (5, 4, 10)
    assert theirs["ratio"] == {"median": 3, "min": 2, "max": 5}  # 10/5, 20/4, 30/10; not 20/5
    assert result["settings"] == {"reps": 3}
    assert theirs["command"] == "run theirs"
    json.dumps(result, allow_nan=False)


def test_share_of_the_matrix_rate() -> None:
    ours = outcome("ours", 100, flops_per_image=2.0, gemm_flops_per_s=400.0)
    one_core = outcome("one core", 60, flops_per_image=2.0, gemm_flops_per_s=200.0)
    theirs = outcome("theirs", 20)
    result = summarize([ours, one_core, theirs], {})["tasks"]["train_256"]["contenders"]
    assert result["ours"]["gemm_share"]["median"] == pytest.approx(100 * 2 / 400)
    assert result["one core"]["gemm_share"]["median"] == pytest.approx(60 * 2 / 200)
    assert result["theirs"]["gemm_share"]["median"] == pytest.approx(20 * 2 / 400)


def test_those_who_failed_are_in_the_result() -> None:
    result = summarize(
        [outcome("ours", 8, 8), outcome("never", failure="no such version"), outcome("once", 2, failure="fell")], {}
    )
    task = result["tasks"]["train_256"]
    assert task["contenders"]["never"] == {"command": "run never", "threads": 2, "not_run": "no such version"}
    assert task["contenders"]["once"]["stopped"] == "fell"
    assert task["contenders"]["once"]["ratio"]["median"] == 4
    assert rows(task)[1:] == [
        ("never", "not run: no such version", "", "", ""),
        ("once", "2.00 images/s (stopped: fell)", "", "4.00", ""),
    ]


def test_where_the_first_failed_there_is_no_ratio() -> None:
    result = summarize([outcome("ours", failure="no images"), outcome("theirs", 5)], {})
    assert "ratio" not in result["tasks"]["train_256"]["contenders"]["theirs"]


def test_machine_and_versions_are_told_once() -> None:
    told = {"machine": {"cpu": "Z80"}, "versions": {"torch": "9"}, "parameters": 1}
    result = summarize([outcome("theirs", 1, versions={"mxnet": "1"}), outcome("ours", 1, 2, **told)], {})
    assert result["machine"] == {"cpu": "Z80"}
    ours = result["tasks"]["train_256"]["contenders"]["ours"]
    assert ours["versions"] == {"torch": "9"}
    assert ours["runs"] == [{"images_per_s": 1, "parameters": 1}, {"images_per_s": 2, "parameters": 1}]


def test_rows_for_people() -> None:
    result = summarize(
        [
            outcome("ours", 4512.3, 4000, 5000, flops_per_image=1.0, gemm_flops_per_s=9000.0),
            outcome("theirs", 1000, 1100, 1200),
            outcome("ours", 0.2137, task="latency"),
        ],
        {},
    )
    training, latency = result["tasks"].values()
    assert len(HEAD) == 5
    assert rows(training) == [
        ("ours", "4,512 images/s", "4,000 to 5,000", "1.00 (1.00 to 1.00)", "0.50"),
        ("theirs", "1,100 images/s", "1,000 to 1,200", "4.17 (3.64 to 4.51)", "0.12"),
    ]
    assert rows(latency) == [("ours", "0.214 ms", "", "1.00", "")]
    assert (training["higher_is_better"], latency["higher_is_better"]) == (True, False)
