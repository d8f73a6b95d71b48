"""Figures of a service in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Labels = tuple[tuple[str, str], ...]


class Counter:
    """Something that only grows, by labels."""

    def __init__(self, name: str, help_text: str) -> None:
        self.name = name
        self.help_text = help_text
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels = (), by: float = 1) -> None:
        """Count one more, or `by` more."""
        self._values[labels] = self._values.get(labels, 0) + by

    def lines(self) -> Iterable[str]:
        """As Prometheus reads it."""
        yield from _head(self.name, self.help_text, "counter")
        for labels, value in sorted(self._values.items()):
            yield (
                f"{self.name}{_text(labels)} {value:g}" if value < 1e6 else f"{self.name}{_text(labels)} {value:.0f}"
            )


class Histogram:
    """How values are spread, by labels."""

    def __init__(self, name: str, help_text: str, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.help_text = help_text
        self._bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count a value."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def lines(self) -> Iterable[str]:
        """As Prometheus reads it."""
        yield from _head(self.name, self.help_text, "histogram")
        for labels, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                total += count
                edge = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{self.name}_bucket{_text((*labels, ('le', edge)))} {total}"
            yield f"{self.name}_sum{_text(labels)} {self._sums[labels]:.9g}"
            yield f"{self.name}_count{_text(labels)} {total}"


class Metrics:
    """All that is counted."""

    def __init__(self) -> None:
        self.requests = Counter("alexnet_requests_total", "Requests answered, by path and status.")
        self.seconds = Histogram("alexnet_request_seconds", "Time from a request's head to its answer.", _SECONDS)
        self.images = Counter("alexnet_images_total", "Images looked at, by model and outcome.")
        self.reloads = Counter("alexnet_reloads_total", "Reloads, by outcome.")
        self._batch_images = Histogram(
            "alexnet_batch_images", "Images that went through the network together.", _IMAGES
        )
        self._batch_seconds = Histogram("alexnet_batch_seconds", "Time in the network.", _SECONDS)
        self._lock = threading.Lock()

    def on_batch(self, model: str, images: int, seconds: float) -> None:
        """A batch is through; called from the thread that computed it."""
        labels = (("model", model),)
        with self._lock:
            self._batch_images.observe(images, labels)
            self._batch_seconds.observe(seconds, labels)

    def text(self, gauges: Mapping[str, tuple[str, Mapping[Labels, float]]]) -> str:
        """Everything, and the values of the moment: by name their help and values by labels."""
        lines: list[str] = []
        with self._lock:
            for metric in (
                self.requests,
                self.seconds,
                self.images,
                self.reloads,
                self._batch_images,
                self._batch_seconds,
            ):
                lines += metric.lines()
        for name, (help_text, values) in gauges.items():
            lines += _head(name, help_text, "gauge")
            lines += (f"{name}{_text(labels)} {value:g}" for labels, value in sorted(values.items()))
        return "\n".join(lines) + "\n"


def _head(name: str, help_text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]


def _text(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
