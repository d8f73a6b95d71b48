"""Images a second in evaluation, and the time of one image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from alexnet import models
from alexnet.bench._images import dataset, in_memory, preprocessing
from alexnet.bench.tasks import WARMUP_STEPS, Setting
from alexnet.card import ModelCard
from alexnet.data import load_split
from alexnet.evaluation import Classifier
from alexnet.evaluation.evaluate import evaluate
from alexnet.runtime import Runtime


def evaluate_files(setting: Setting, runtime: Runtime) -> dict[str, Any]:
    """`Classifier.evaluate` on the test split of a source, again and again.

    Each pass reads the split as any call does; after the first, decoded images are found in the cache.
    """
    source = setting.require_data("evaluate_files")
    test, names = load_split(source, "test", root=setting.root, image_px=32, in_channels=3)
    classifier = _classifier(names, runtime)
    passes_per_s = 1 / statistics.fmean(_times_s(lambda: classifier.evaluate(source, root=setting.root), setting))
    return _rate(classifier, len(test), passes_per_s)


def evaluate_memory(setting: Setting, runtime: Runtime) -> dict[str, Any]:
    """`evaluate` on test images in memory, as training does on its validation images."""
    images = dataset(setting)
    test, names = images.open_test(), images.class_names
    classifier = _classifier(names, runtime)
    how = classifier.card.preprocessing
    passes_per_s = 1 / statistics.fmean(
        _times_s(lambda: evaluate(classifier.model, test, names, how, runtime), setting)
    )
    return _rate(classifier, len(test), passes_per_s)


def latency(setting: Setting, runtime: Runtime) -> dict[str, Any]:
    """`Classifier.predict` on the pixels of one image of 32 px: median, and the 95th of a hundred."""
    images = dataset(setting)
    test = in_memory(images.open_test())
    classifier = _classifier(images.class_names, runtime)
    pixels_HWC = test.pixels_NHWC[0].numpy()
    times_s = _times_s(lambda: classifier.predict(pixels_HWC), setting)
    return {
        "latency_ms": 1e3 * statistics.median(times_s),
        "p95_ms": 1e3 * statistics.quantiles(times_s, n=20)[-1],
        "precision": runtime.precision,
    }


def _classifier(names: tuple[str, ...], runtime: Runtime) -> Classifier:
    options = {"num_classes": len(names), "image_px": 32}
    model = models.create("tiny_alexnet", **options)
    models.initialize(model, "kaiming", torch.Generator().manual_seed(0))
    card = ModelCard(
        model="tiny_alexnet", options=options, class_names=names, preprocessing=preprocessing("tiny_alexnet")
    )
    return Classifier(model, card, runtime)


def _times_s(work: Callable[[], object], setting: Setting) -> list[float]:
    """Seconds that each call of `work` took, those of the warm-up left out; there are two or more."""
    times_s: list[float] = []
    calls, began_s = 0, time.perf_counter()
    while len(times_s) < 2 or sum(times_s) < setting.seconds:
        start_s = time.perf_counter()
        work()
        if calls >= WARMUP_STEPS and start_s - began_s >= setting.warmup_s:
            times_s.append(time.perf_counter() - start_s)
        calls += 1
    return times_s


def _rate(classifier: Classifier, n: int, passes_per_s: float) -> dict[str, Any]:
    return {
        "images_per_s": n * passes_per_s,
        "images": n,
        "parameters": models.count_parameters(classifier.model),
        "precision": classifier.runtime.precision,
    }
