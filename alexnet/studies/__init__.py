"""The claims of the paper and the tutorial, each as a study that anyone can run again.

    from alexnet import studies

    if __name__ == "__main__":  # runs are processes that begin by importing the script they come from
        studies.run(studies.get("activation"), "cifar10", out="studies/activation")

Studies are read without torch; `run` and `write_index` are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from alexnet.studies.registry import NAMES, StudyName, get
from alexnet.studies.study import Study

if TYPE_CHECKING:
    from alexnet.studies.index import write_index
    from alexnet.studies.runner import Observer, run

__all__ = ["NAMES", "Observer", "Study", "StudyName", "get", "run", "write_index"]

_HOMES = {"Observer": "runner", "run": "runner", "write_index": "index"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"alexnet.studies.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'alexnet.studies' has no attribute {name!r}")
