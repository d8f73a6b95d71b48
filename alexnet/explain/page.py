"""The page's contents, brought into the form the template shows; sentences are in `words.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet._version import __version__
from alexnet.evaluation.report.style import inline_svg
from alexnet.explain import plots
from alexnet.explain.ablation import Ablation
from alexnet.explain.collect import Channels
from alexnet.explain.filters import tiles
from alexnet.explain.images import Explained
from alexnet.explain.neighbours import thumbnail_map
from alexnet.explain.patches import best_patches, sheet
from alexnet.explain.pictures import heat, lit, uri
from alexnet.explain.run import DROPOUT_TIMES, Explanation
from alexnet.explain.subject import centre
from alexnet.explain.words import Words

_SMALL_PX = 48  # below it little can be visualised
_CONV_SHOWN, _DENSE_SHOWN = 24, 12
_PATCH_PX = 48
_ROWS = 8
_MAPS = 8
_TOP = 5
_CELLS, _THUMBNAIL_PX = 40, 26
_KEEPS = 0.25  # correlation from which on a picture is said to be kept


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
        "levels": _levels(found),
        "fields": _fields(found),
        "filters": _filters(found, words),
        "cards": _cards(found),
        "ablation": _ablations(found, words),
        "visualised": _visualised(found, words),
        "is_small": subject.image_px < _SMALL_PX,
        "images": [_explained(each, found, words) for each in found.explained],
        "window": found.explained[0].windows.window_px if found.explained else 0,
        "sanity": _sanity(found, words),
        "figure4": _figure4(found, words),
        "map": _map(found),
        "dropout": _dropout(found, words),
    }


def percent(share: float, digits: int = 1) -> str:
    """A share in 0..1 as per cent."""
    return f"{100 * share:.{digits}f}%"


def points(change: float) -> str:
    """A change of a share, in percentage points, with its sign."""
    value = 100 * change
    return "±0" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")  # noqa: RUF001 - a minus sign


def seconds(value: float) -> str:
    """A duration, in the unit that suits it."""
    return f"{1e6 * value:.0f} µs" if value < 1e-3 else f"{1e3 * value:.1f} ms" if value < 1 else f"{value:.1f} s"


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
                "map": "" if layer.kind == "dense" else f"{layer.map_px[0]}×{layer.map_px[1]}",  # noqa: RUF001
                "sees": None if seen is None else f"{seen[0]}×{seen[1]} px",  # noqa: RUF001
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
                    [(names[c], f"+{z:.1f}σ") for c, z in channels.serves(channel, 2)],  # noqa: RUF001
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
        dict(zip(which, ablation.is_missed_U.tolist(), strict=True)),
    )


def _ablations(found: Explanation, words: Words) -> dict[str, Any] | None:
    if not found.ablations:
        return None
    drawing = plots.ablation_plot(found.ablations, words)
    return {
        "plot": _svg(drawing, "ablation", "Change of top-1 for each channel"),
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
                "loss": f"{float(ablation.loss_change_U[row]):+.3f}".replace("-", "−"),  # noqa: RUF001
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
        "spared": int((~ablation.is_missed_U).sum()),
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
                ratio = f"{max(0.0, float(made.answer_N[i] / best[i])):.1f}×"  # noqa: RUF001
            pictures.append({"uri": uri(made.pixels_NHWC[i].numpy()), "name": name, "ratio": ratio})
        levels.append({"name": made.layer.name, "pictures": pictures})
    return levels


def _explained(each: Explained, found: Explanation, words: Words) -> dict[str, Any]:
    names = found.subject.class_names
    x_HWC = np.asarray(centre(each.shown.x_HWC[None], found.subject.image_px)[0])
    levels = []
    for maps in each.maps:
        if maps.answer.ndim == 3:
            chosen = maps.strongest(_MAPS)
            levels.append({"name": maps.layer.name, "maps": [(c, uri(lit(maps.answer[c].numpy()))) for c in chosen]})
    attributions = [
        {"name": words(method), "key": method, "uri": uri(heat(x_HWC, attribution.numpy()))}
        for method, attribution in each.attributions.items()
    ]
    return {
        "name": each.shown.name,
        "uri": uri(x_HWC),
        "truth": None if each.shown.truth is None else names[each.shown.truth],
        "answer": names[each.explained],
        "p": percent(float(each.p_K[each.explained])),
        "is_right": each.shown.truth is None or each.shown.truth == each.explained,
        "top": top_bars(each.p_K, each.shown.truth, names),
        "levels": levels,
        "attributions": attributions,
        "missing": percent(each.missing, 2),
    }


def top_bars(p_K: torch.Tensor, truth: int | None, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The likeliest classes, best first."""
    p, classes = p_K.topk(min(_TOP, len(p_K)))
    return [
        {"name": names[c], "p": percent(v), "bar": round(100 * v, 1), "is_truth": c == truth}
        for v, c in zip(p.tolist(), classes.tolist(), strict=True)
    ]


def _sanity(found: Explanation, words: Words) -> dict[str, Any] | None:
    check = found.sanity
    if check is None:
        return None
    drawing = plots.sanity_plot(check, words)
    said = []
    for method, values in check.by_method.items():
        if np.isnan(values[-1]):
            continue
        key = "sanity_keeps" if values[-1] > _KEEPS else "sanity_passes"
        said.append(words.plain(key, method=words.plain(method), r=f"{values[-1]:.2f}".replace("-", "−")))  # noqa: RUF001
    comma = "、" if words.language == "zh-TW" else ", "
    keeps = check.by_method.get("integrated_gradients", (0.0,))[-1] > _KEEPS
    return {
        "plot": _svg(drawing, "sanity", "Correlation of attributions with those of shuffled weights"),
        "n": check.n,
        "list": comma.join(said),
        "keeps": keeps,
    }


def _figure4(found: Explanation, words: Words) -> dict[str, Any] | None:
    if found.nearest is None or found.images is None or found.collected is None:
        return None
    near, names = found.nearest, found.subject.class_names
    rows = []
    for q, i in enumerate(near.index_Q.tolist()):
        truth = int(found.collected.labels_N[i]) if found.labels_known else None
        pixels = None if near.pixels_QTHWC is None else near.pixels_QTHWC[q]
        rows.append(
            {
                "uri": uri(np.asarray(found.images.pixels_at(i))),
                "truth": None if truth is None else names[truth],
                "top": top_bars(found.collected.log_p_NK[i].exp(), truth, names),
                "near": []
                if pixels is None
                else [
                    {"uri": uri(np.asarray(x)), "name": name, "same": truth is None or name == names[truth]}
                    for x, name in zip(pixels, near.names_QT[q], strict=True)
                ],
            }
        )
    reason = None
    if near.found is None:
        known = near.reason == "no_features"
        reason = words("no_features") if known else words("no_train", reason=near.reason)
    return {
        "rows": rows,
        "reason": reason,
        "d": found.collected.features_ND.shape[1],
        "n": 0 if near.found is None else near.found.n,
        "time": "" if near.found is None else seconds(near.found.query_s),
    }


def map_picture(found: Explanation) -> NDArray[np.uint8] | None:
    """The map with its thumbnails, RGBA; None where there is none."""
    if found.mapped is None or found.images is None:
        return None
    pixels = np.concatenate([np.asarray(part) for part in found.images.take(found.mapped.index_M).parts(1024)])
    cells = max(12, min(_CELLS, int(1.3 * len(pixels) ** 0.5)))
    return thumbnail_map(found.mapped.places_M2, pixels, cells, _THUMBNAIL_PX)


def _map(found: Explanation) -> dict[str, Any] | None:
    picture = map_picture(found)
    if picture is None or found.mapped is None or found.collected is None:
        return None
    labels = []
    places, of = found.mapped.places_M2, found.collected.labels_N[found.mapped.index_M]
    low, high = places.min(0), places.max(0)
    classes = torch.unique(of).tolist()
    if len(classes) <= 20:
        for c in classes:
            at = (np.median(places[(of == c).numpy()], axis=0) - low) / np.maximum(high - low, 1e-9)
            labels.append((found.subject.class_names[c], round(100 * float(at[0]), 1), round(100 * float(at[1]), 1)))
    return {"uri": uri(picture), "width": picture.shape[1], "n": len(places), "labels": labels}


def _dropout(found: Explanation, words: Words) -> dict[str, Any] | None:
    dropped = found.dropped
    if dropped is None:
        return None
    names = found.subject.class_names
    best = int(dropped.off_K.argmax())
    some = dropped.p_TK[:, best]
    drawing = plots.dropout_plot(dropped, names, words)
    comma = "、" if words.language == "zh-TW" else ", "
    return {
        "plot": _svg(drawing, "dropout", "Probabilities of the likeliest classes over passes with dropout"),
        "uri": uri(np.asarray(centre(dropped.shown.x_HWC[None], found.subject.image_px)[0])),
        "times": DROPOUT_TIMES,
        "layers": comma.join(f"{path.rpartition('.')[2]} {percent(p, 0)}" for path, p in dropped.layers.items()),
        "spread": words(
            "dropout_spread",
            name=names[best],
            mean=percent(float(some.mean())),
            std=percent(float(some.std())),
            off=percent(float(dropped.off_K[best])),
        ),
    }


def _svg(drawing: Any, name: str, description: str) -> Any:
    from markupsafe import Markup

    return Markup(inline_svg(drawing, name, description))  # matplotlib escapes the texts that it draws
