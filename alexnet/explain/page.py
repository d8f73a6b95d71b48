"""The page's contents, brought into the form the template shows; sentences are in `words.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet._version import __version__
from alexnet.explain import plots
from alexnet.explain.ablation import Ablation
from alexnet.explain.channels import Channels
from alexnet.explain.explanation import Explanation
from alexnet.explain.filters import tiles
from alexnet.explain.page_images import (
    dropout_view,
    explained_view,
    figure4_view,
    inline,
    map_view,
    percent,
    points,
    sanity_view,
)
from alexnet.explain.patches import best_patches, sheet
from alexnet.explain.pictures import uri
from alexnet.explain.subject import centre
from alexnet.language import Words

_SMALL_PX = 48  # below it little can be visualised
_CONV_SHOWN, _DENSE_SHOWN = 24, 12
_PATCH_PX = 48
_ROWS = 8


@dataclass(frozen=True)
class Card:
    """A channel, as the page shows it."""

    channel: int
    uri: str
    serves: list[tuple[str, str]]
    change: str | None
    """Of top-1 when it is off, in points; None where it was not tried."""
    is_missed: bool


def view(found: Explanation, words: Words) -> dict[str, Any]:
    """All that the template needs."""
    subject, collected = found.subject, found.collected
    hidden = subject.hidden
    return {
        "t": words,
        "language": words.language,
        "found": found,
        "version": __version__,
        "class_names": subject.class_names,
        "px": subject.image_px,
        "n": 0 if found.images is None else len(found.images),
        "top1": None if collected is None else percent(collected.top1),
        "channel_count": sum(layer.channels for layer in hidden),
        "unused": None if collected is None else sum(each.unused for each in collected.channels),
        "levels": _levels(found) if hidden else [],
        "fields": _fields(found),
        "filters": _filters(found, words),
        "cards": _cards(found),
        "ablation": _ablations(found, words),
        "visualised": _visualised(found, words),
        "is_small": subject.image_px < _SMALL_PX,
        "images": [explained_view(each, found, words) for each in found.explained],
        "window": found.explained[0].windows.window_px if found.explained else 0,
        "sanity": sanity_view(found, words),
        "figure4": figure4_view(found, words),
        "map": map_view(found),
        "dropout": dropout_view(found, words),
    }


def millions(count: int) -> str:
    """Multiply-adds, short."""
    return (
        f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.0f} k"
    )


def _levels(found: Explanation) -> list[dict[str, Any]]:
    rows = []
    for layer in found.subject.layers:
        seen = layer.field_px
        channels = None
        if found.collected is not None and not layer.is_last:
            channels = found.collected.of(layer.name)
        rows.append(
            {
                "name": layer.name,
                "channels": layer.channels,
                "map": "" if layer.kind == "dense" else f"{layer.map_px[0]}×{layer.map_px[1]}",
                "sees": None if seen is None else f"{seen[0]}×{seen[1]} px",
                "macs": millions(layer.macs),
                "active": None if channels is None else percent(float(channels.active_C.mean()), 0),
                "unused": None if channels is None else channels.unused,
            }
        )
    return rows


def _fields(found: Explanation) -> dict[str, Any] | None:
    """An image, and the receptive field around its centre of each level that has one."""
    shown = found.explained[0].shown.x_HWC if found.explained else None
    px = found.subject.image_px
    boxes: list[dict[str, Any]] = []
    for layer in found.subject.hidden:
        if layer.field is None or layer.kind != "conv":
            continue
        top, left, bottom, right = layer.field.box((layer.map_px[0] - 1) // 2, (layer.map_px[1] - 1) // 2)
        boxes.append({"name": layer.name, "x": left, "y": top, "w": right - left, "h": bottom - top})
    if not boxes:
        return None
    margin = max(0.06 * px, *(max(-b["x"], -b["y"], b["x"] + b["w"] - px, b["y"] + b["h"] - px) for b in boxes))
    margin = min(margin, 0.5 * px) + 0.02 * px
    picture = None if shown is None else uri(np.asarray(centre(shown[None], px)[0]))
    return {"boxes": boxes, "margin": margin, "side": px + 2 * margin, "uri": picture}


def _filters(found: Explanation, words: Words) -> dict[str, Any] | None:
    if found.filters is None:
        return None
    filters = found.filters
    pictures = [uri(tile) for tile in tiles(filters.weights_OCHW)]
    wins = found.collected.of(filters.layer.name).wins_C if found.collected is not None else None
    most = float(wins.max()) if wins is not None else 1.0
    size = len(pictures) // filters.towers
    parts = []
    for i, share in enumerate(filters.color_shares()):
        first = i * size
        parts.append(
            {
                "title": words("tower", i=i + 1, first=first, last=first + size - 1, share=percent(share, 0)),
                "tiles": [
                    {
                        "i": j,
                        "uri": pictures[j],
                        "wins": None if wins is None else percent(float(wins[j])),
                        "bar": None if wins is None else round(100 * float(wins[j]) / max(most, 1e-9), 1),
                    }
                    for j in range(first, first + size)
                ],
            }
        )
    H, W = filters.weights_OCHW.shape[2:]
    return {"parts": parts, "n": len(pictures), "h": H, "w": W, "towers": filters.towers}


def shown_channels(channels: Channels) -> torch.Tensor:
    """Which channels of a layer the page shows, the most telling first."""
    most = _CONV_SHOWN if channels.layer.kind == "conv" else _DENSE_SHOWN
    return channels.order()[: max(1, min(most, channels.layer.channels - channels.unused))]


def patch_sheet(found: Explanation, channels: Channels) -> NDArray[np.uint8]:
    """The patches of the shown channels on one sheet."""
    assert found.images is not None
    patches = best_patches(channels, found.images, found.subject.image_px, shown_channels(channels))
    return sheet(patches, _tile_px(patches.shape[2]), columns=8)


def _tile_px(size: int) -> int:
    return _PATCH_PX if size >= _PATCH_PX else size * max(1, _PATCH_PX // size)


def _cards(found: Explanation) -> list[dict[str, Any]]:
    if found.collected is None or found.images is None:
        return []
    names, levels = found.subject.class_names, []
    for channels in found.collected.channels:
        order = shown_channels(channels)
        patches = best_patches(channels, found.images, found.subject.image_px, order)
        tile = _tile_px(patches.shape[2])
        tried, missed = _tried(found, channels)
        cards = []
        for i, channel in enumerate(order.tolist()):
            change = tried.get(channel)
            cards.append(
                Card(
                    channel,
                    uri(sheet(patches[i : i + 1], tile, 1)[:-3, :-3]),
                    [(names[c], f"+{z:.1f}σ") for c, z in channels.serves(channel, 2)],
                    None if change is None else points(change),
                    bool(change is not None and missed[channel]),
                )
            )
        levels.append({"layer": channels.layer, "cards": cards})
    return levels


def _tried(found: Explanation, channels: Channels) -> tuple[dict[int, float], dict[int, bool]]:
    """The change of top-1 for each channel that was switched off, and whether it is more than chance."""
    ablation = next((a for a in found.ablations if a.layer == channels.layer), None)
    if ablation is None:
        return {}, {}
    which = ablation.channel_U.tolist()
    return (
        dict(zip(which, ablation.top1_change_U.tolist(), strict=True)),
        dict(zip(which, ablation.is_missed().tolist(), strict=True)),
    )


def _ablations(found: Explanation, words: Words) -> dict[str, Any] | None:
    if not found.ablations:
        return None
    drawing = plots.ablation_plot(found.ablations, words)
    return {
        "plot": inline(drawing, "ablation", "Change of top-1 for each channel"),
        "tables": [_table(found, a) for a in found.ablations],
    }


def _table(found: Explanation, ablation: Ablation) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for row in ablation.order()[:_ROWS].tolist():
        hurt = ablation.hurt(row)
        rows.append(
            {
                "channel": int(ablation.channel_U[row]),
                "top1": points(float(ablation.top1_change_U[row])),
                "loss": f"{float(ablation.loss_change_U[row]):+.3f}".replace("-", "−"),
                "hurt": None if hurt is None else (found.subject.class_names[hurt[0]], points(hurt[1])),
                "bar": max(0.0, -float(ablation.top1_change_U[row])),
            }
        )
    worst = max([row["bar"] for row in rows] + [1e-9])
    for row in rows:
        row["bar"] = round(100 * row["bar"] / worst, 1)
    return {
        "ablation": ablation,
        "top1": percent(ablation.top1),
        "tried": len(ablation.channel_U),
        "spared": int((~ablation.is_missed()).sum()),
        "rows": rows,
    }


def _visualised(found: Explanation, words: Words) -> list[dict[str, Any]]:
    levels = []
    for made in found.visualised:
        best = None
        if found.collected is not None and not made.layer.is_last:
            best = found.collected.of(made.layer.name).best_CT[list(made.channels), 0]
        pictures = []
        for i, channel in enumerate(made.channels):
            name = found.subject.class_names[channel] if made.layer.is_last else words.plain("channel", i=channel)
            ratio = None
            if best is not None and float(best[i]) > 0:
                ratio = f"{max(0.0, float(made.answer_N[i] / best[i])):.1f}×"
            pictures.append({"uri": uri(made.pixels_NHWC[i].numpy()), "name": name, "ratio": ratio})
        levels.append({"name": made.layer.name, "pictures": pictures})
    return levels
