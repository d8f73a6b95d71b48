"""Turn finished run folders into a result that can be published.

    python benchmarks/record.py NAME RUN [RUN ...]     write benchmarks/results/NAME.json
    python benchmarks/record.py --add NAME RUN [...]   add runs with other seeds to it
    python benchmarks/record.py --mirror NAME RUN DATA evaluate RUN with mirror images too, and note it with its seed
    python benchmarks/record.py --weights FILE DATA    measure the tutorial's own weights on a folder of CIFAR-10
    python benchmarks/record.py --tables               make the tables and pictures of the documents anew

Runs of `benchmarks/tutorial_mxnet.py` lie beside them as benchmarks/results/mxnet-RECIPE-SEED.json.

A result holds what one needs to believe and repeat it: the recipe and its command, the commit, versions and hardware,
and the figures of every seed. All runs of one result share everything but the seed and the number of threads.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench_table

from alexnet import recipes
from alexnet.config import Recipe
from alexnet.files import write_json
from alexnet.plain import from_dict

HERE = Path(__file__).parent
RESULTS = HERE / "results"
ENVIRONMENT = ("alexnet", "python", "torch", "numpy", "cpu", "gpu", "device", "precision")
PER_RUN = ("seed", "test_top1", "test_top5", "test_loss", "n_test", "train_s", "images_per_s")


def record(name: str, folders: list[Path], *, add: bool = False) -> None:
    """Write the result of `folders`; with `add`, of these and of the runs with other seeds that it holds already."""
    values = [json.loads((folder / "recipe.json").read_text()) for folder in folders]
    shared = [{**v["recipe"], "seed": None, "data": None, "threads": None} for v in values]
    images = [{key: v["data"][key] for key in ("n_train", "n_val", "fingerprint")} for v in values]
    runs = [_run(folder, v["environment"]["threads"]) for folder, v in zip(folders, values, strict=True)]
    commits = {v["environment"]["commit"] or "unknown" for v in values}
    target = RESULTS / f"{name}.json"
    if add:
        before = json.loads(target.read_text())
        shared, images = [before["recipe"], *shared], [before["data"], *images]
        seeds = {run["seed"] for run in runs}
        runs = sorted([run for run in before["runs"] if run["seed"] not in seeds] + runs, key=lambda run: run["seed"])
        commits |= set(before["commits"])
    if any(_same_but_for_seed(other) != _same_but_for_seed(shared[0]) for other in shared):
        sys.exit("the runs differ in more than their seed")
    if any(other != images[0] for other in images):
        sys.exit("the runs saw different images")
    if not shared[0]["open_test"]:
        sys.exit("these runs left the test split closed; a result is of runs that opened it")
    top1 = [run["test_top1"] for run in runs]
    recipe = from_dict(Recipe, values[0]["recipe"])
    flags = recipes.overrides(replace(recipe, seed=recipes.get(recipe.name).seed, threads=None))
    write_json(
        target,
        {
            "command": " ".join(["alexnet train", recipe.name, "--data SRC --seed S", *flags]),
            "recipe": shared[0],
            "data": images[0],
            "environment": {key: values[0]["environment"][key] for key in ENVIRONMENT},
            "commits": sorted(commits),
            "n": len(runs),
            "test_top1_mean": statistics.mean(top1),
            "test_top1_sd": statistics.stdev(top1) if len(top1) > 1 else None,
            "params": json.loads((folders[0] / "result.json").read_text())["params"],
            "runs": runs,
        },
    )


def _same_but_for_seed(recipe: dict[str, Any]) -> Recipe:
    """The recipe, with the defaults of settings that came after it was written."""
    return from_dict(Recipe, {**recipe, "seed": 0, "data": "", "threads": None})


def _run(folder: Path, threads: int) -> dict[str, Any]:
    if not (folder / "result.json").exists():
        sys.exit(f"not finished: {folder}")
    result = json.loads((folder / "result.json").read_text())
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [round(row["train_loss"], 4) for row in history]
    return {**{key: result[key] for key in PER_RUN}, "threads": threads, "train_loss": losses}


def mirrored(name: str, folder: Path, data: str) -> None:
    """Note what a run of the result `name` scores where each image is seen with its mirror image."""
    from alexnet import evaluation

    target = RESULTS / f"{name}.json"
    result = json.loads(target.read_text())
    seed = json.loads((folder / "recipe.json").read_text())["recipe"]["seed"]
    [run] = [run for run in result["runs"] if run["seed"] == seed]
    classifier = evaluation.load(folder)
    if classifier.evaluate(data).top1 != run["test_top1"]:
        sys.exit(f"{folder} is not the run of seed {seed} in {target.name}")
    run["test_top1_2_views"] = classifier.evaluate(data, views=2).top1
    write_json(target, result)


def published_weights(file: str, data: str) -> None:
    """The tutorial's weights, converted and evaluated in fp32 from one view."""
    from alexnet import runtime, weights
    from alexnet.data import class_names
    from alexnet.evaluation import Classifier

    model, card = weights.convert(file, "tiny_alexnet", class_names("cifar10"))
    where = runtime.start(precision="fp32")
    evaluation = Classifier(model, card, where).evaluate(data).to_json()
    environment = runtime.environment(where)
    write_json(
        RESULTS / "published_weights.json",
        {
            "command": "alexnet convert TinyAlex.params tiny.safetensors --model tiny_alexnet --classes cifar10 && "
            "alexnet evaluate tiny.safetensors --data SRC --json",
            "weights": card.source,
            "environment": {key: environment[key] for key in ENVIRONMENT},
            "commits": [environment["commit"]],
            **{key: evaluation[key] for key in ("n", "top1", "top1_interval", "top5", "loss", "ece")},
        },
    )


def tables() -> None:
    lines = [
        "| recipe | network | epochs | test top-1, one view | seeds | training time |",
        "|---|---|---|---|---|---|",
        *(_line(json.loads(path.read_text()), path.stem) for path in sorted(RESULTS.glob("*.json")) if _is_run(path)),
    ]
    for path in (HERE / "RESULTS.md", HERE.parent / "docs" / "results.md"):
        _replace_block(path, "\n".join(lines), "results")
    chinese = "\n".join(["| 訓練配方 | 網路 | epoch | 測試 top-1，單一視角 | 種子 | 訓練時間 |", *lines[1:]])
    for word, theirs in ((" min, ", " 分鐘，"), (" threads, ", " 個執行緒，"), (" thread, ", " 個執行緒，")):
        chinese = chinese.replace(word, theirs)
    _replace_block(HERE.parent / "docs" / "zh-TW" / "results.md", chinese, "results")
    side_by_side()
    benchmark()
    variants()
    time_to_accuracy()


def variants() -> None:
    """What `benchmarks/variants.py` measured last."""
    path = RESULTS / "variants.json"
    if not path.exists():
        return
    found = json.loads(path.read_text())["variants"]
    ours = found["ours"]["median"]
    rows = [
        f"| {name} | {v['median']:,.0f} | {v['min']:,.0f} to {v['max']:,.0f} | {v['median'] / ours:.2f} |"
        for name, v in sorted(found.items(), key=lambda item: -item[1]["median"])
    ]
    lines = ["| step | images/s | range | of ours |", "|---|---|---|---|", *rows]
    _replace_block(HERE.parent / "docs" / "performance.md", "\n".join(lines), "variants")


def time_to_accuracy() -> None:
    """What `benchmarks/time_to_accuracy.py` measured last."""
    path = RESULTS / "time_to_accuracy.json"
    if not path.exists():
        return
    values = json.loads(path.read_text())
    theirs, ours = values["mxnet"], values["recipe"]
    spread = f"{values['test_top1_mean']:.4f} ± {values['test_top1_sd']:.4f}"
    times = f"{values['times_faster']:.0f}"
    english = (
        "epochs",
        "seconds",
        "test top-1",
        "seeds",
        "tutorial",
        "past {}",
        "`{}` here",
        f"{times} times faster.",
    )
    chinese = ("epoch", "秒", "測試 top-1", "種子", "教學", "超過 {}", "本套件的 `{}`", f"快 {times} 倍。")
    root = HERE.parent
    for page, words in (
        (HERE / "RESULTS.md", english),
        (root / "README.md", english),
        (root / "README.zh-TW.md", chinese),
    ):
        epochs, seconds, top1, seeds, tutorial, past, here, faster = words
        lines = [
            f"| | {epochs} | {seconds} | {top1} | {seeds} |",
            "|---|---|---|---|---|",
            f"| {tutorial}, MXNet 1.9.1 | {theirs['epochs']} | {theirs['train_s']:,.0f} | "
            f"{past.format(values['mark'])} | 1 |",
            f"| {here.format(ours['name'])} | {ours['epochs']} | {values['wall_s_median']:.1f} | {spread} | "
            f"{values['n']} |",
            "",
            faster,
        ]
        _replace_block(page, "\n".join(lines), "time to accuracy")


def benchmark() -> None:
    """What `make bench` measured last."""
    path = RESULTS / "bench.json"
    if path.exists():
        _replace_block(HERE / "RESULTS.md", bench_table.markdown(json.loads(path.read_text())), "benchmark")


def side_by_side() -> None:
    """The tutorial's loop in MXNet and ours: training loss by epoch, as a table and a picture."""
    from alexnet.evaluation.report import style

    rows = [
        "| recipe | epoch | training loss, ours | training loss, MXNet | seeds |",
        "|---|---|---|---|---|",
    ]
    recipe_names = ("tutorial_tiny", "tutorial_tiny_momentum")
    drawing = style.figure(800, 340)
    for axes, name in zip(drawing.subplots(1, 2), recipe_names, strict=True):
        ours = [run["train_loss"] for run in json.loads((RESULTS / f"{name}.json").read_text())["runs"]]
        theirs = [
            [row["train_loss"] for row in json.loads(path.read_text())["epochs"]]
            for path in sorted(RESULTS.glob(f"mxnet-{name}-[0-9]*.json"))
        ]
        epochs = min(map(len, ours + theirs))
        rows += [
            f"| `{name}` | {epoch} | {_range(ours, epoch)} | {_range(theirs, epoch)} | {len(ours)}, {len(theirs)} |"
            for epoch in (1, 2, 5, 10, 20, 50, 100)
            if epoch <= epochs
        ]
        style.style_axes(axes, f"epoch ({name})", "training loss (nats)")
        for curves, color, marker in ((ours, style.SERIES[0], "o"), (theirs, style.SERIES[1], "x")):
            for losses in curves:
                axes.plot(range(1, epochs + 1), losses[:epochs], color=color, marker=marker, markersize=4, alpha=0.8)
        style.label_ends(
            axes,
            [
                style.EndLabel(epochs, statistics.mean(run[epochs - 1] for run in ours), "ours", style.SERIES[0]),
                style.EndLabel(epochs, statistics.mean(run[epochs - 1] for run in theirs), "MXNet", style.SERIES[1]),
            ],
        )
    picture = HERE.parent / "docs" / "images" / "side-by-side.png"
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(style.png(drawing))
    docs, name = HERE.parent / "docs", "side by side"
    shown = ["", "![Training loss by epoch, ours and MXNet's](images/side-by-side.png)"]
    _replace_block(docs / "gluon.md", "\n".join(rows + shown), name)
    rows[0] = "| 配方 | epoch | 訓練損失，本套件 | 訓練損失，MXNet | 種子 |"
    shown = ["", "![各 epoch 的訓練損失，本套件與 MXNet](../images/side-by-side.png)"]
    _replace_block(docs / "zh-TW" / "gluon.md", "\n".join(row.replace(" to ", " 到 ") for row in rows + shown), name)


def _range(runs: list[list[float]], epoch: int) -> str:
    values = [run[epoch - 1] for run in runs]
    low, high = min(values), max(values)
    return f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"


def _is_run(path: Path) -> bool:
    result = json.loads(path.read_text())
    return "runs" in result and "params" in result


def _line(result: dict[str, Any], name: str) -> str:
    spread = f" ± {result['test_top1_sd']:.4f}" if result["test_top1_sd"] is not None else ""
    threads = max(run["threads"] for run in result["runs"])
    minutes = statistics.median(run["train_s"] for run in result["runs"] if run["threads"] == threads) / 60
    return (
        f"| [`{name}`](benchmarks/results/{name}.json) | {result['recipe']['model']['name']} | "
        f"{result['recipe']['epochs']} | {result['test_top1_mean']:.4f}{spread} | {result['n']} | "
        f"{minutes:.1f} min, {threads} thread{'s' if threads > 1 else ''}, {result['environment']['precision']} |"
    )


def _replace_block(path: Path, block: str, name: str) -> None:
    text = path.read_text()
    way = "" if path.parent == HERE else f"{os.path.relpath(HERE, path.parent)}/"
    block = block.replace("](benchmarks/", f"]({way}")
    begin, end = f"<!-- {name}: begin (benchmarks/record.py --tables) -->", f"<!-- {name}: end -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if not re.search(pattern, text, re.DOTALL):
        sys.exit(f"{path} has no block {name}")
    path.write_text(re.sub(pattern, lambda _: f"{begin}\n{block}\n{end}", text, flags=re.DOTALL))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--tables"]:
            tables()
        case ["--weights", file, data]:
            published_weights(file, data)
        case ["--add", name, *runs] if runs:
            record(name, [Path(run) for run in runs], add=True)
        case ["--mirror", name, run, data]:
            mirrored(name, Path(run), data)
        case [name, *runs] if runs and not name.startswith("-"):
            record(name, [Path(run) for run in runs])
        case _:
            sys.exit(__doc__)
