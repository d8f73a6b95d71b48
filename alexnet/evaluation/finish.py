"""The end of a run, of a network or of a baseline: figures on the test split, result.json and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from alexnet.data import AnyImages, Dataset, SplitName
from alexnet.evaluation.evaluate import summarize
from alexnet.evaluation.metrics import Evaluation
from alexnet.evaluation.report import Mistake, ReportContent, worst_mistakes, write_report
from alexnet.files import write_json
from alexnet.language import Words
from alexnet.models import count_parameters
from alexnet.run_folder import RunFolder
from alexnet.runtime import Runtime


@dataclass(frozen=True)
class Figures:
    """What a run's result is measured on, and what came out."""

    split: SplitName
    images: AnyImages
    class_names: tuple[str, ...]
    evaluation: Evaluation
    mistakes: Sequence[Mistake]

    @classmethod
    def of(cls, log_p_NK: Tensor, split: SplitName, images: AnyImages, class_names: tuple[str, ...]) -> Figures:
        """From the log-probabilities of the images of `split`."""
        evaluation = summarize(log_p_NK, images, class_names)
        return cls(split, images, class_names, evaluation, worst_mistakes(log_p_NK, images, class_names))

    def again(self, log_p_NK: Tensor) -> Evaluation:
        """The same images by other scores."""
        return summarize(log_p_NK, self.images, self.class_names)

    def result(self, model: nn.Module, runtime: Runtime, **own: Any) -> dict[str, Any]:
        """The values of result.json; `own` are those that only one kind of run has."""
        found = self.evaluation
        return {
            "split": self.split,
            f"{self.split}_top1": found.top1,
            f"{self.split}_top1_interval": list(found.top1_interval),
            f"{self.split}_top5": found.top5,
            f"{self.split}_loss": found.loss,
            f"{self.split}_ece": found.ece,
            f"n_{self.split}": found.n,
            "params": count_parameters(model),
            **own,
            "device": str(runtime.device),
            "precision": runtime.precision,
        }

    def data_fact(self, dataset: Dataset, words: Words) -> str:
        """How many images of each split there were, for the report."""
        n_val = 0 if dataset.val is None else len(dataset.val)
        key = "data_value" if self.split == "test" else "data_closed"
        counts = {"train": len(dataset.train), "val": n_val, "test": self.evaluation.n}
        return words.plain(key, name=dataset.name, **{split: f"{n:,}" for split, n in counts.items()})


def write(folder: RunFolder, content: ReportContent, result: dict[str, Any]) -> None:
    """Write the report, and last result.json: its presence says that the run is whole."""
    write_report(folder.report, content)
    write_json(folder.result, result)
