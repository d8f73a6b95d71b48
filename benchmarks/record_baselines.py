"""Turn finished runs of `alexnet baseline` into results that can be published.

python benchmarks/record_baselines.py RUN [RUN ...]   write benchmarks/results/baseline-NAME.json for each
python benchmarks/record_baselines.py --table         make the table of docs/baselines.md anew
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from alexnet import baseline
from alexnet.files import write_json

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "baselines.md"
ENVIRONMENT = ("alexnet", "python", "torch", "numpy", "cpu", "cpus", "gpu", "device", "threads")
BEGIN, END = "<!-- results: begin (benchmarks/record_baselines.py --table) -->", "<!-- results: end -->"


def record(run: Path) -> None:
    if not (run / "result.json").exists():
        sys.exit(f"not finished: {run}")
    values = json.loads((run / "recipe.json").read_text())
    result = json.loads((run / "result.json").read_text())
    if result["split"] != "test":
        sys.exit(f"{run} left the test split closed")
    if result["images_per_s"] is None:
        sys.exit(f"{run} took its features from the cache, so its time is not that of the whole: empty it first")
    name = values["recipe"]["name"]
    write_json(
        RESULTS / f"baseline-{name}.json",
        {
            "command": f"alexnet baseline {name} --data SRC",
            "baseline": {**values["recipe"], "data": None},
            "data": {key: values["data"][key] for key in ("n_train", "n_val", "fingerprint")},
            "environment": {key: values["environment"][key] for key in ENVIRONMENT},
            "commit": values["environment"]["commit"],
            "result": {key: result[key] for key in result if key not in ("recipe", "epochs", "precision", "device")},
            "trials": [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()],
        },
    )


def table() -> None:
    rows = [
        "| baseline | test top-1 (95% interval) | settings chosen on held-out images | features | processor time |",
        "|---|---|---|---|---|",
    ]
    for name in baseline.names():
        path = RESULTS / f"baseline-{name}.json"
        if path.exists():
            result = json.loads(path.read_text())["result"]
            low, high = result["test_top1_interval"]
            settings = ", ".join(f"{key} {value:.3g}" for key, value in result["chosen"].items())
            rows.append(
                f"| [`{name}`](../benchmarks/results/{path.name}) | {result['test_top1']:.4f} ({low:.4f} to "
                f"{high:.4f}) | {settings} | {result['features']:,} | {result['cpu_s'] / 60:.1f} min |"
            )
    write(PAGE, rows)
    head = "| 基準方法 | 測試 top-1（95% 區間） | 在保留的影像上選出的設定 | 特徵數 | 處理器時間 |"
    chinese = [
        row.replace(" to ", " 到 ").replace(" min |", " 分鐘 |").replace("](../", "](../../") for row in rows[1:]
    ]
    write(PAGE.parent / "zh-TW" / PAGE.name, [head, *chinese])


def write(page: Path, rows: list[str]) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text("".join([before, "\n".join([BEGIN, *rows, END]), rest.partition(END)[2]]), encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--table"]:
            table()
        case runs if runs and not runs[0].startswith("-"):
            for run in runs:
                record(Path(run))
        case _:
            sys.exit(__doc__)
