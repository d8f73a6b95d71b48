"""How long `alexnet explain` takes, part by part, from an empty cache.

    python benchmarks/explain.py RUN DATA [IMAGES]    writes benchmarks/results/explain.json

Wall time counts what other processes take of the machine; the process's own CPU time, over all its threads, does not.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from alexnet import explain, runtime
from alexnet.files import write_json

RESULT = Path(__file__).parent / "results" / "explain.json"


def main(run: str, data: str, most_images: int) -> None:
    started = runtime.start("auto", "fp32")
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        found = explain.explain(run, data=data, most_images=most_images, cache=Path(folder) / "cache")
        explain.write(found, Path(folder) / "page")
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        page_bytes = (Path(folder) / "page" / "explain.html").stat().st_size
    assert found.collected is not None
    values = {
        "command": shlex.join(["python", "benchmarks/explain.py", *sys.argv[1:]]),
        "environment": runtime.environment(started),
        "load_average": os.getloadavg()[0],
        "network": found.subject.classifier.card.model,
        "n": len(found.collected.labels_N),
        "top1": found.collected.top1,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "parts_wall_s": found.seconds,
        "ablation": {a.layer.name: {"images": a.n, "channels": len(a.channel_U)} for a in found.ablations},
        "query_s": None if found.nearest is None or found.nearest.found is None else found.nearest.found.query_s,
        "page_bytes": page_bytes,
    }
    write_json(RESULT, values)
    print(RESULT.read_text())


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 10_000)
