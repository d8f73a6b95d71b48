"""`alexnet bench`."""

from __future__ import annotations

from tyro.conf import Positional

from alexnet import bench as benchmark
from alexnet.cli import show
from alexnet.cli.commands.common import OK, SOME_FAILED, OptionalPath
from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.system import usable_cores


def bench(
    tasks: Positional[tuple[benchmark.TaskName, ...]] = (),
    *,
    data: str | None = None,
    root: OptionalPath = None,
    reps: int | None = None,
    seconds: float | None = None,
    threads: int | None = None,
    quick: bool = False,
    out: OptionalPath = None,
    json: bool = False,
    once: benchmark.MeasureName | None = None,
) -> int:
    """Measure this software on this machine: training, evaluation, latency, memory, start-up.

    Everything is measured in its own process, in turns. Set-up and a warm-up are left out of the figures. Beside
    other software it is measured by `make bench` in the project's repository.

    Args:
        tasks: What to measure; default: everything.
        data: Name of a source or a folder of images of 32 px; default: random images, which evaluate_files and
            memory cannot use.
        root: Folder with the source's files, where they are not in the default place.
        reps: How often everything is measured; default 3, with --quick 1.
        seconds: How long each measurement counts, after a quarter of that to warm up; default 8, with --quick 1.
        threads: Cores to use; default: as many as this process may run on.
        quick: A short check that everything runs; the figures are rough.
        out: JSON file to write the result to.
        json: Print the result as one JSON object on standard output.
        once: Measure this alone, once and in this process, and print one JSON object on one line: what the runs are
            made of.
    """
    if seconds is None:
        seconds = 1.0 if quick else 8.0
    cores = usable_cores()
    how = benchmark.Setting(data=data, root=root, threads=cores if threads is None else threads, seconds=seconds)
    if once is not None:
        if tasks or out or json or reps is not None:
            raise UserError("--once measures one thing and prints JSON: drop the tasks, --reps, --out and --json")
        from alexnet.bench.measure import measure

        show.json_object(measure(once, how), indent=None)
        return OK
    if reps is None:
        reps = 1 if quick else 3
    contenders = benchmark.own_contenders(tasks or tuple(benchmark.TASKS), how)
    outcomes = benchmark.run(contenders, reps=reps, on_run=show.bench_run)
    result = benchmark.summarize(outcomes, {"reps": reps, **how.to_json()})
    if out is not None:
        write_json(out, result)
    if json:
        show.json_object(result)
    else:
        show.bench(result)
    return SOME_FAILED if any(outcome.failure for outcome in outcomes) else OK
