"""The benchmark: this package beside other software, in turns on one machine.

Nothing here imports torch until something is measured.
"""

from alexnet.bench.runner import Contender, Outcome, RunError, own_contenders, run
from alexnet.bench.summary import HEAD, rows, summarize
from alexnet.bench.tasks import OWN, TASKS, MeasureName, Setting, TaskName

__all__ = [
    "HEAD",
    "OWN",
    "TASKS",
    "Contender",
    "MeasureName",
    "Outcome",
    "RunError",
    "Setting",
    "TaskName",
    "own_contenders",
    "rows",
    "run",
    "summarize",
]
