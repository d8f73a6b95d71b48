"""All of it, one part after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from alexnet import weights
from alexnet.data import AnyImages, DataLike, Streaming, load_split, source_name
from alexnet.data.dataset import SplitName
from alexnet.errors import UserError
from alexnet.evaluation import Classifier, load
from alexnet.evaluation.evaluate import align_labels
from alexnet.explain import images as one_by_one
from alexnet.explain import neighbours, sanity
from alexnet.explain.ablation import ablate, affordable
from alexnet.explain.attribution import Windows, grad_cam, integrated_gradients, occlusion
from alexnet.explain.cache import Cache, checksum
from alexnet.explain.channels import collect, features_of
from alexnet.explain.dropout import dropout_layers, with_masks
from alexnet.explain.explanation import Dropped, Explanation, Mapped, Nearest
from alexnet.explain.filters import first_filters
from alexnet.explain.images import Shown
from alexnet.explain.sanity import Sanity
from alexnet.explain.subject import OnProgress, Subject, evenly
from alexnet.explain.visualisation import Visualised, visualise

_ABLATION_MACS = 2e11
"""Multiply-adds that the ablation of one layer may take: some 5 s on two cores."""
_FEWEST_VISUALISED, _VISUALISED = 3, 6
_VISUALISE_MACS, _MOST_STEPS, _FEWEST_STEPS = 1.2e11, 64, 32
_SANITY_IMAGES, _SANITY_MACS = 6, 1.5e10
_FEW_IMAGES, _FEW_STEPS, _LARGE_MACS = 2, 8, 2e8  # for networks of more multiply-adds an image
_SANITY_STEPS = 16
_PAGE_IMAGES, _NEAREST, _MAPPED = 8, 6, 1000
_GPU_FACTOR = 20
DROPOUT_TIMES = 100


def explain(
    model: str | os.PathLike[str] | Classifier,
    images: Sequence[str | os.PathLike[str]] = (),
    *,
    data: DataLike | None = None,
    root: str | os.PathLike[str] | None = None,
    split: SplitName = "test",
    most_images: int = 10_000,
    stream: Streaming = "auto",
    device: str = "auto",
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
) -> Explanation:
    """Find out what a network has learned; `write` makes a page of it.

    Args:
        model: a run folder, a `.safetensors` file, a name of `alexnet models`, or what `alexnet.load` returned, also
            of a module of your own.
        images: image files to look at one by one; none: three of the data.
        data: a source's name, a folder or data in memory, as `alexnet.data.load` takes it; None: only what needs no
            data is found.
        root: where the source's files are.
        split: which of its images are shown to the network: test, val or train.
        most_images: how many of them at most, evenly spread.
        stream: read images from disk when they are needed.
        device: where to compute.
        seed: decides what is random: first images, shifts, masks, and how weights are shuffled.
        cache: folder that keeps what was computed, so that an interrupted call goes on; None: nothing is kept.
        on_progress: called with the part, how much of it is done, and how much there is.

    Raises:
        UserError: the network, the data or an image cannot be read, or they do not fit each other.
    """
    if most_images < 1:
        raise UserError(f"most_images must be 1 or more, not {most_images}")
    classifier = model if isinstance(model, Classifier) else load(model, device=device)
    subject = Subject(classifier)
    told = on_progress or (lambda *_: None)
    name = _model_name(model)
    found = Explanation(subject, name, filters=first_filters(subject))
    shown = one_by_one.from_files(images, classifier.card.preprocessing)
    with _no_parameter_gradients(subject.model):
        found.has_gradients = one_by_one.has_gradients(subject)
        if data is not None:
            _read_data(found, data, root, split, most_images, stream)
        store = _cache(found, cache, seed)
        if found.images is not None:
            _look_at_data(found, store, told)
            assert found.collected is not None
            with _timed(found, "neighbours"):
                _find_nearest(found, data, root, most_images, stream, store, told)
                _map(found, store, seed, told)
            shown = shown or one_by_one.chosen(found.images, found.collected, found.labels_known)
        with _timed(found, "visualise"):
            _visualise(found, store, seed, told)
        with _timed(found, "images"):
            for i, each in enumerate(shown):
                told("images", i, len(shown))
                found.explained.append(one_by_one.look(subject, each, found.has_gradients))
        if shown:
            with _timed(found, "sanity"):
                told("sanity check", 0, 1)
                found.sanity = _check_sanity(found, shown, seed)
            layers = dropout_layers(subject.model)
            if layers:
                p_TK, off_K = with_masks(subject, shown[-1].x_HWC, DROPOUT_TIMES, seed)
                found.dropped = Dropped(shown[-1], p_TK, off_K, layers)
    return found


def _model_name(model: str | os.PathLike[str] | Classifier) -> str:
    if isinstance(model, Classifier):
        return type(model.model).__name__ if model.card.model == weights.CUSTOM else model.card.model
    path = Path(model)
    return path.resolve().name if path.is_dir() else path.stem


@contextmanager
def _no_parameter_gradients(model: nn.Module) -> Iterator[None]:
    before = [(p, p.requires_grad) for p in model.parameters()]
    was_training = model.training
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
        model.train(was_training)


@contextmanager
def _timed(found: Explanation, part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    found.seconds[part] = round(time.perf_counter() - started, 2)


def _read_data(
    found: Explanation,
    data: DataLike,
    root: str | os.PathLike[str] | None,
    split: SplitName,
    most_images: int,
    stream: Streaming,
) -> None:
    with _timed(found, "read"):
        images, names = _split(found, data, root, split, stream)
    try:
        images = align_labels(images, names, found.subject.class_names)
    except UserError:
        found.labels_known = False
    found.images = images.take(evenly(len(images), most_images))
    found.data_name, found.split = source_name(data), split


def _split(
    found: Explanation, data: DataLike, root: str | os.PathLike[str] | None, split: SplitName, stream: Streaming
) -> tuple[AnyImages, tuple[str, ...]]:
    how, recipe = found.subject.classifier.card.preprocessing, found.subject.classifier.card.recipe or {}
    return load_split(
        data,
        split,
        root=root,
        image_px=how.square_px,
        in_channels=how.in_channels,
        val_fraction=recipe.get("val_fraction", 0.1),
        fit=how.fit,
        stream=stream,
    )


def _cache(found: Explanation, folder: str | os.PathLike[str] | None, seed: int) -> Cache:
    if folder is None:
        return Cache(None, "")
    parameters = checksum(found.subject.model.state_dict())
    pixels = "" if found.images is None else found.images.fingerprint()
    return Cache(
        Path(folder),
        f"{parameters}:{found.subject.classifier.card.preprocessing}:{pixels}:{found.labels_known}:{seed}",
    )


def _factor(found: Explanation) -> int:
    return _GPU_FACTOR if found.subject.device.type == "cuda" else 1


def _look_at_data(found: Explanation, store: Cache, told: OnProgress) -> None:
    subject, images = found.subject, found.images
    assert images is not None
    with _timed(found, "channels"):
        labels_N = images.labels_N if found.labels_known else None
        found.collected = collected = collect(subject, images, labels_N, store, told)
    with _timed(found, "ablation"):
        for channels in collected.channels:
            layer = channels.layer
            n, count = affordable(subject, layer, len(images), _ABLATION_MACS * _factor(found))
            some_N = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:n].sort().values
            tried = channels.wins_C.argsort(descending=True, stable=True)[:count].sort().values
            found.ablations.append(
                ablate(subject, layer, images.take(some_N), collected.labels_N[some_N], tried, store, told)
            )


def _find_nearest(
    found: Explanation,
    data: DataLike | None,
    root: str | os.PathLike[str] | None,
    most_images: int,
    stream: Streaming,
    store: Cache,
    told: OnProgress,
) -> None:
    subject, collected, images = found.subject, found.collected, found.images
    assert collected is not None
    assert images is not None
    index_Q = evenly(len(images), _PAGE_IMAGES) if len(images) <= _PAGE_IMAGES else _spread(collected.labels_N)
    if collected.features_ND.shape[1] == 0:
        found.nearest = Nearest(index_Q, None, None, [], "no_features")
        return
    try:
        train, names = _split(found, data, root, "train", stream)
    except UserError as error:
        found.nearest = Nearest(index_Q, None, None, [], str(error))
        return
    train = train.take(evenly(len(train), most_images))
    key = Cache(store._folder, f"{store._key}:{train.fingerprint()}") if store._folder is not None else store
    features_ND = features_of(subject, train, key, told)
    near = neighbours.nearest(collected.features_ND[index_Q], features_ND, _NEAREST)
    needed, which = torch.unique(near.index_QT, return_inverse=True)
    pixels = torch.cat(list(train.take(needed).parts(1024)))[which]
    classes = [[names[i] for i in row] for row in train.labels_N[near.index_QT].tolist()]
    found.nearest = Nearest(index_Q, near, pixels, classes)


def _spread(labels_N: Tensor) -> Tensor:
    """Positions of images of as many classes as there is room for, in the order of the classes."""
    classes = torch.unique(labels_N)
    some = classes[evenly(len(classes), _PAGE_IMAGES)]
    first = [int((labels_N == c).nonzero()[0]) for c in some.tolist()]
    more = [i for i in evenly(len(labels_N), 4 * _PAGE_IMAGES).tolist() if i not in first]
    return torch.tensor(first + more[: _PAGE_IMAGES - len(first)])


def _map(found: Explanation, store: Cache, seed: int, told: OnProgress) -> None:
    collected = found.collected
    assert collected is not None
    index_M = evenly(len(collected.labels_N), _MAPPED)
    features_MD = collected.features_ND[index_M]
    if len(index_M) < 5 or features_MD.shape[1] == 0 or not bool(features_MD.std(0).any()):
        return
    kept = store.load("map")
    if kept is None:
        told("map", 0, 1)
        kept = {"places": torch.from_numpy(neighbours.tsne(features_MD, seed))}
        store.save("map", kept)
    found.mapped = Mapped(index_M, kept["places"].numpy())


def _visualise(found: Explanation, store: Cache, seed: int, told: OnProgress) -> None:
    subject = found.subject
    if not found.has_gradients:
        return
    layers = [layer for layer in subject.layers if layer.kind == "conv" or layer.is_last]
    for i, layer in enumerate(layers):
        told("visualisation", i, len(layers))
        until = sum(other.macs for other in subject.layers[: subject.layers.index(layer) + 1])
        affordable_steps = _VISUALISE_MACS * _factor(found) / (3 * until)  # forward and backward, for one channel
        count = min(layer.channels, max(_FEWEST_VISUALISED, min(_VISUALISED, int(affordable_steps / _FEWEST_STEPS))))
        steps = int(affordable_steps / count)
        channels = list(range(count))
        if found.collected is not None and not layer.is_last:
            channels = found.collected.of(layer.name).order()[:count].tolist()
        elif found.collected is not None:
            channels = (
                found.collected.labels_N.bincount(minlength=layer.channels).topk(count).indices.sort().values.tolist()
            )
        steps = max(_FEWEST_STEPS, min(_MOST_STEPS, steps))
        step = f"visualised-{layer.name}-{steps}"
        kept = store.load(step)
        if kept is not None and kept["channels"].tolist() == channels:
            found.visualised.append(Visualised(layer, tuple(channels), kept["pixels"], kept["answer"]))
            continue
        generator = torch.Generator().manual_seed(seed)
        made = visualise(subject.model, layer, channels, subject.classifier.card.preprocessing, generator, steps)
        store.save(step, {"channels": torch.tensor(channels), "pixels": made.pixels_NHWC, "answer": made.answer_N})
        found.visualised.append(made)


def _check_sanity(found: Explanation, shown: Sequence[Shown], seed: int) -> Sanity | None:
    subject = found.subject
    if not found.has_gradients or not subject.layers:
        return None
    is_large = subject.macs > _LARGE_MACS and subject.device.type == "cpu"
    most = _FEW_IMAGES if is_large else _SANITY_IMAGES
    pixels = [each.x_HWC for each in shown]
    if found.images is not None:
        more = evenly(len(found.images), max(0, most - len(pixels)))
        pixels += list(torch.cat(list(found.images.take(more).parts(64)))) if len(more) else []
    x_NCHW = subject.input(torch.stack(pixels[:most]))
    with torch.inference_mode():
        class_N = subject.model(x_NCHW).argmax(1)
    class_N = class_N.clone()
    layer = one_by_one.last_convolution(subject)
    windows = Windows.of(subject.image_px, subject.macs, _SANITY_MACS / len(x_NCHW) / len(subject.layers))
    methods: dict[str, sanity.Method] = {}
    if layer is not None:
        methods["grad_cam"] = partial(grad_cam, x_NCHW=x_NCHW, class_N=class_N, layer=layer)
    methods["occlusion"] = partial(
        occlusion, x_NCHW=x_NCHW, class_N=class_N, window_px=windows.window_px, stride_px=windows.stride_px
    )
    methods["integrated_gradients"] = lambda model: integrated_gradients(
        model, x_NCHW, class_N, steps=_FEW_STEPS if is_large else _SANITY_STEPS
    )[0]
    return sanity.check(
        subject.model,
        subject.layers,
        methods,
        len(x_NCHW),
        torch.Generator().manual_seed(seed),
        only_last=("occlusion",) if is_large else (),
    )
