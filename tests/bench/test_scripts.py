"""The scripts of `benchmarks/`: heads of peers, environments, images, table. No peer is installed or run."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from PIL import Image

from alexnet import models
from alexnet.bench import TASKS, Contender, Outcome, summarize
from alexnet.bench.tasks import WARMUP_STEPS, Setting

PEERS = sorted((Path(__file__).parents[2] / "benchmarks" / "peers").glob("[!_]*.py"))


@pytest.fixture(scope="module")
def environments(script):
    return script("bench_environments.py")


@pytest.fixture(scope="module")
def common(script):
    return script("peers/_common.py")


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.stem)
def test_a_peer_says_what_it_needs_and_whom_it_follows(environments, peer: Path) -> None:
    head = environments.read_head(peer)
    assert SpecifierSet(head["requires-python"])
    assert [Requirement(text) for text in head["dependencies"]]
    for entry in head["tool"]["bench"]:
        assert set(entry) <= {"name", "tasks", "arguments"}
        assert set(entry["tasks"]) <= set(TASKS)
    assert len(ast.get_docstring(ast.parse(peer.read_text())) or "") > 200


def test_no_two_peers_have_one_name_in_a_task(environments) -> None:
    entries = [entry for peer in PEERS for entry in environments.read_head(peer)["tool"]["bench"]]
    names = [(task, entry["name"]) for entry in entries for task in entry["tasks"]]
    assert len(names) == len(set(names))


def test_peers_share_nothing_with_the_package() -> None:
    for peer in PEERS[0].parent.glob("*.py"):
        for node in ast.walk(ast.parse(peer.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not [module for module in modules if module.partition(".")[0] == "alexnet"], peer


def test_peers_train_the_same_network_by_the_same_clock(common) -> None:
    assert models.facts("tiny_alexnet").parameters == common.PARAMETERS
    setting = Setting(data=None, root=None, threads=1, seconds=8)
    assert setting.seconds * common.WARMUP_SHARE == setting.warmup_s
    assert common.WARMUP_STEPS == WARMUP_STEPS


def test_the_peers_clock(common, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, waited = [0.0], []
    monkeypatch.setattr(common.time, "perf_counter", lambda: now_s[0])

    def steps():
        for duration_s in (1.0, 1.5, 1.5, 4.0, 2.0, 2.0, 9.0):  # warm after the third
            now_s[0] += duration_s
            yield 10

    clock = common.Clock(8.0, wait=lambda: waited.append(now_s[0]))
    assert common.images_per_s(steps(), clock) == 30 / (4.0 + 2.0 + 2.0)
    assert waited == [4.0, 12.0]


def test_a_peer_that_runs_out_of_images_fails(common) -> None:
    with pytest.raises(SystemExit, match="ran out"):
        common.images_per_s(iter([1, 2]), common.Clock(8.0))


def test_another_network_is_refused(common) -> None:
    common.check_parameters(613_834)
    with pytest.raises(SystemExit, match="613,833 parameters instead of 613,834"):
        common.check_parameters(613_833)


def test_an_environment_is_made_once(environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def check(command: list[str]) -> None:
        commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(environments, "_check", check)
    head = {"dependencies": ["flask>=3", "torch"], "requires-python": ">=3.11"}
    python = Path(environments.python_for(head, tmp_path))
    environments._environment.cache_clear()  # as another process
    assert environments.python_for(head, tmp_path) == str(python)
    home = python.parents[1]
    assert home.name.startswith("flask-torch-")
    (_, *venv), (_, *pip) = commands
    assert venv == ["-m", "venv", str(home)]
    assert pip[-4:] == ["--constraint", str(home / "constraints.txt"), "flask>=3", "torch"]
    lines = (home / "constraints.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in lines] == ["torch", "torchvision"]
    assert "+" not in "".join(lines)


def test_what_cannot_be_installed_is_told_in_a_line(environments, tmp_path: Path) -> None:
    with pytest.raises(environments.NotInstallable, match=r"needs Python .*3\.4.*none on the PATH"):
        environments.python_for({"dependencies": ["x"], "requires-python": "<3.4"}, tmp_path)
    told = "Looking\nERROR: first\nERROR: No matching distribution found for x\n\n[notice] hi"
    with pytest.raises(environments.NotInstallable, match=r"^not installable: No matching distribution found for x$"):
        environments._check([sys.executable, "-c", f"import sys; sys.exit({told!r})"])


def test_a_script_without_a_head_is_refused(environments, tmp_path: Path) -> None:
    (tmp_path / "peer.py").write_text("print(1)\n")
    with pytest.raises(SystemExit, match="no `# /// script` block"):
        environments.read_head(tmp_path / "peer.py")


def test_the_same_images_for_all(script, tmp_path: Path) -> None:
    images = script("bench_images.py")
    rng = np.random.default_rng(0)
    for split, count in (("train", 120), ("test", 30)):
        for name in ("cat", "dog"):
            (tmp_path / "all" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(256, size=(32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "all" / split / name / f"{i:03d}.png")
    few = images.first_images(tmp_path / "all", tmp_path / "few")
    assert images.write_arrays(few, tmp_path / "images.npz") == {"train": 200, "test": 40}
    arrays = np.load(tmp_path / "images.npz")
    assert arrays["x_train"].shape == (200, 32, 32, 3)
    assert arrays["y_test"].tolist() == [0] * 20 + [1] * 20
    with Image.open(tmp_path / "all" / "test" / "dog" / "019.png") as image:
        assert np.array_equal(arrays["x_test"][-1], np.asarray(image))


def test_the_table_of_the_documents(script) -> None:
    told = {"versions": {"torch": "9.9"}, "machine": {"cpu": "Z80", "platform": "CP/M", "commit": "abc"}}
    outcomes = [
        Outcome(Contender("ours", "latency", (), "", 2), [{"latency_ms": 2.0, **told}]),
        Outcome(Contender("theirs", "latency", (), "", 2), failure="a | b"),
    ]
    result = script("bench_table.py").with_earlier(
        summarize(outcomes, {"threads": 2, "reps": 1, "seconds": 8.0}), None
    )
    lines = script("bench_table.py").markdown(result).splitlines()
    assert lines[0] == "Z80, 2 cores, CP/M; contenders in turns."
    assert lines[2].startswith("All in one run: 1 repetitions of 8 s, 2")
    assert lines[2].endswith("commit abc.")
    assert lines[4] == "| task | contender | median | min to max | first / this | of GEMM rate |"
    assert lines[6].endswith("(less is better) | ours | 2.00 ms |  | 1.00 |  |")
    assert lines[7] == "|  | theirs | not run: a \\| b |  |  |  |"
    assert lines[-1] == "Versions: torch 9.9."


def test_what_was_not_measured_again_stays(script) -> None:
    def result(task: str, cpu: str = "Z80", commit: str = "abc"):
        line = {TASKS[task].metric: 2.0, "machine": {"cpu": cpu, "platform": "CP/M", "commit": commit}}
        outcomes = [Outcome(Contender("ours", task, (), "", 2), [line])]
        return summarize(outcomes, {"threads": 2, "reps": 1, "seconds": 8.0})

    merged = script("bench_table.py").with_earlier
    first = merged(result("latency"), None)
    both = merged(result("train_64", commit="def"), first)
    assert list(both["tasks"]) == ["train_64", "latency"]  # in the order of all tasks
    assert [task["measured"]["commit"] for task in both["tasks"].values()] == ["def", "abc"]
    table = script("bench_table.py").markdown({**both, "machine": first["machine"]})
    assert f"- {TASKS['latency'].title}: 1 repetitions of 8 s, {first['date']}, commit abc" in table.splitlines()
    again = merged(result("latency", commit="def"), both)
    assert again["tasks"]["latency"]["measured"]["commit"] == "def"
    assert list(merged(result("latency", cpu="6502"), both)["tasks"]) == ["latency"]  # another machine


def test_the_table_of_verdicts_leaves_previews_out(script) -> None:
    comparison = {
        "text": {"en": "less error", "zh": ""},
        "figure": "error",
        "less": "another",
        "kind": "difference",
        "mean": 0.02,
        "interval": [0.01, 0.03],
    }
    study = {
        "name": "pooling",
        "title": {"en": "Overlap", "zh": ""},
        "published": {"en": "0.4 points", "zh": ""},
        "figures": [{"key": "error", "unit": "%"}],
        "comparisons": [comparison],
        "verdict": "holds",
        "quick": False,
    }
    record_studies = script("record_studies.py")
    assert record_studies.table([{**study, "quick": True}]) == []
    assert record_studies.table([study])[2] == (
        "| [Overlap](studies/pooling/study.json) | 0.4 points | less error: 2.0 pp (1.0 to 3.0) | **holds** |"
    )
