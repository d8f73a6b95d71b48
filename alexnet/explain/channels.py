"""One pass over many images: what every channel of every layer answers, in batches throughout.

Shapes: N images, K classes, C channels of a layer, T best images of a channel, D inputs of the last layer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet.data import AnyImages
from alexnet.explain.cache import Cache
from alexnet.explain.layers import Layer
from alexnet.explain.reading import key_of, last_inputs, reading
from alexnet.explain.subject import OnProgress, Subject

BEST = 9
_SAVE_EVERY_S = 10.0


@dataclass(frozen=True)
class Channels:
    """What the channels of one layer answered to N images; a map's answer to an image is its largest value."""

    layer: Layer
    n: int
    """Images that were shown."""
    active_C: Tensor
    """Share of all places where the answer is above 0, 0..1."""
    wins_C: Tensor
    """Share of all places where it is the strongest of its layer, 0..1; they add up to 1."""
    mean_C: Tensor
    """Mean over the images."""
    std_C: Tensor
    """Standard deviation over the images."""
    by_class_KC: Tensor
    """Mean over the images of each class; NaN for a class without images."""
    best_CT: Tensor
    """The strongest answers, strongest first."""
    image_CT: Tensor
    """int64, the images that gave them."""
    place_CT: Tensor
    """int64, where in the map: row * width + column."""

    def serves(self, channel: int, most: int = 3) -> list[tuple[int, float]]:
        """The classes whose images excite a channel most, and by how many standard deviations above the mean."""
        above_K = (self.by_class_KC[:, channel] - self.mean_C[channel]) / self.std_C[channel].clamp(min=1e-12)
        above_K = above_K.nan_to_num(-torch.inf)
        values, classes = above_K.topk(min(most, len(above_K)))
        return [(c, v) for c, v in zip(classes.tolist(), values.tolist(), strict=True) if v > 0]

    def order(self) -> Tensor:
        """int64 [C], the channels whose best images excite them most above the mean of all, first."""
        contrast_C = (self.best_CT.mean(1) - self.mean_C) / self.std_C.clamp(min=1e-12)
        unused_C = self.std_C <= 1e-12
        return torch.where(unused_C, -torch.inf, contrast_C).argsort(descending=True, stable=True)

    @property
    def unused(self) -> int:
        """Channels that gave the same answer to every image."""
        return int((self.std_C <= 1e-12).sum())


@dataclass(frozen=True)
class Collected:
    """What a network answered to N images."""

    channels: tuple[Channels, ...]
    """Of each hidden layer, in order."""
    log_p_NK: Tensor
    """fp32, on the CPU."""
    features_ND: Tensor
    """What the last layer is given; D = 0 where there is none."""
    labels_N: Tensor
    """int64; the network's own answers where the images' classes are not known to it."""

    def of(self, name: str) -> Channels:
        """The channels of the layer called `name`."""
        return next(channels for channels in self.channels if channels.layer.name == name)

    @property
    def top1(self) -> float:
        """Share of the images whose label is the first answer, 0..1."""
        return float((self.log_p_NK.argmax(1) == self.labels_N).double().mean())


def collect(
    subject: Subject,
    images: AnyImages,
    labels_N: Tensor | None,
    cache: Cache | None = None,
    on_progress: OnProgress | None = None,
) -> Collected:
    """Show all `images` to the network.

    Args:
        subject: the network.
        images: of the size and channels that its preprocessing takes, in memory or streamed.
        labels_N: int64 [N], positions in the network's classes; None: its own answers are taken.
        cache: where the state is kept now and then, and from which an interrupted pass goes on.
        on_progress: called after each batch.
    """
    cache = cache or Cache(None, "")
    layers, N = subject.hidden, len(images)
    state = cache.load("collect") or {"done": torch.tensor(0)}
    done, saved_at = int(state["done"]), time.monotonic()
    with (
        torch.inference_mode(),
        reading(subject.model, [key_of(layer) for layer in layers]) as seen,
        last_inputs(subject.model, subject.layers) as features,
    ):
        rest = images.take(torch.arange(done, N)) if done < N else None
        for x_NHWC in rest.parts(subject.batch_size) if rest is not None else ():
            log_p_NK = subject.log_p(subject.model(subject.input(x_NHWC)))
            given = log_p_NK.argmax(1) if labels_N is None else labels_N[done : done + len(x_NHWC)].to(subject.device)
            for i, layer in enumerate(layers):
                _add(state, f"{i}.", seen[key_of(layer)].float(), given, log_p_NK.shape[1], done)
            _append(state, "log_p", log_p_NK.cpu())
            _append(state, "labels", given.cpu())
            _append(state, "features", features.pop().cpu() if features else torch.empty(len(x_NHWC), 0))
            done += len(x_NHWC)
            state["done"] = torch.tensor(done)
            if time.monotonic() - saved_at > _SAVE_EVERY_S or done == N:
                cache.save("collect", _joined(state))
                saved_at = time.monotonic()
            if on_progress is not None:
                on_progress("channels", done, N)
    state = _joined(state)
    return Collected(
        channels=tuple(
            _channels(layer, {k: v.cpu() for k, v in _part(state, i).items()}, N) for i, layer in enumerate(layers)
        ),
        log_p_NK=state["log_p"],
        features_ND=state["features"],
        labels_N=state["labels"],
    )


def features_of(
    subject: Subject, images: AnyImages, cache: Cache | None = None, on_progress: OnProgress | None = None
) -> Tensor:
    """What the last layer is given for each image, fp32 [N, D] on the CPU; D = 0 where no such layer was found."""
    cache = cache or Cache(None, "")
    if (kept := cache.load("features")) is not None:
        return kept["features"]
    parts, done = [], 0
    with torch.inference_mode(), last_inputs(subject.model, subject.layers) as features:
        for x_NHWC in images.parts(subject.batch_size):
            subject.model(subject.input(x_NHWC))
            parts.append(features.pop().cpu() if features else torch.empty(len(x_NHWC), 0))
            done += len(x_NHWC)
            if on_progress is not None:
                on_progress("features", done, len(images))
    features_ND = torch.cat(parts) if parts else torch.empty(0, 0)
    cache.save("features", {"features": features_ND})
    return features_ND


def _add(state: dict[str, Tensor], at: str, answer: Tensor, labels_N: Tensor, K: int, first: int) -> None:
    """Add a batch's answers, [N, C, H, W] or [N, C], to the sums and the best of a layer."""
    answer_NCP = answer.flatten(2) if answer.ndim == 4 else answer[:, :, None]
    N, C, P = answer_NCP.shape
    value_NC, place_NC = answer_NCP.max(2)
    strongest = answer_NCP.argmax(1).flatten()  # of each image's places
    device = answer.device
    sums = {
        "active": (answer_NCP > 0).sum((0, 2)).double(),
        "wins": torch.bincount(strongest, minlength=C).double(),
        "places": torch.tensor(float(N * P), dtype=torch.float64, device=device),
        "sum": value_NC.double().sum(0),
        "squares": value_NC.double().square().sum(0),
        "by_class": torch.zeros(K, C, dtype=torch.float64, device=device).index_add_(0, labels_N, value_NC.double()),
        "of_class": torch.bincount(labels_N, minlength=K).double(),
    }
    for name, value in sums.items():
        before = state.get(at + name)
        state[at + name] = value if before is None else before.to(device) + value
    image_NC = torch.arange(first, first + N, device=device)[:, None].expand(N, C)
    candidates = {"best": value_NC.T, "image": image_NC.T, "place": place_NC.T}
    if at + "best" in state:
        candidates = {name: torch.cat([state[at + name].to(device), value], 1) for name, value in candidates.items()}
    best_CT, which_CT = candidates["best"].topk(min(BEST, candidates["best"].shape[1]), dim=1)
    state[at + "best"] = best_CT
    for name in ("image", "place"):
        state[at + name] = candidates[name].gather(1, which_CT)


def _append(state: dict[str, Tensor], name: str, rows: Tensor) -> None:
    state[f"{name}+{int(state['done']):012d}"] = rows


def _joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` with the rows that were appended joined to their table."""
    plain = {name: value for name, value in state.items() if "+" not in name}
    for table in ("log_p", "labels", "features"):
        rows = [state[name] for name in sorted(state) if name.startswith(f"{table}+")]
        plain[table] = torch.cat(([plain[table]] if table in plain else []) + rows)
    return plain


def _part(state: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    return {name.partition(".")[2]: value for name, value in state.items() if name.startswith(f"{i}.")}


def _channels(layer: Layer, sums: dict[str, Tensor], N: int) -> Channels:
    mean_C = sums["sum"] / N
    variance_C = (sums["squares"] / N - mean_C.square()).clamp(min=0)
    # What cancels to less than rounding leaves is no variance.
    variance_C = torch.where(variance_C < 1e-12 * (1e-12 + sums["squares"] / N), 0, variance_C)
    return Channels(
        layer=layer,
        n=N,
        active_C=(sums["active"] / sums["places"]).float(),
        wins_C=(sums["wins"] / sums["places"]).float(),
        mean_C=mean_C.float(),
        std_C=variance_C.sqrt().float(),
        by_class_KC=(sums["by_class"] / sums["of_class"][:, None]).float(),
        best_CT=sums["best"],
        image_CT=sums["image"],
        place_CT=sums["place"],
    )
