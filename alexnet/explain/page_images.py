"""The page's parts that show single images: reasons, neighbours, the map and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet.evaluation.report.style import inline_svg
from alexnet.explain import plots
from alexnet.explain.explanation import Explanation
from alexnet.explain.images import Explained
from alexnet.explain.neighbours import thumbnail_map
from alexnet.explain.pictures import heat, lit, uri
from alexnet.explain.subject import centre
from alexnet.language import Words

_MAPS = 8
_TOP = 5
_CELLS, _THUMBNAIL_PX = 40, 26
_KEEPS = 0.25  # correlation from which on a picture is said to be kept


def percent(share: float, digits: int = 1) -> str:
    """A share in 0..1 as per cent."""
    return f"{100 * share:.{digits}f}%"


def points(change: float) -> str:
    """A change of a share, in percentage points, with its sign."""
    value = 100 * change
    return "±0" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def seconds(value: float) -> str:
    """A duration, in the unit that suits it."""
    return f"{1e6 * value:.0f} µs" if value < 1e-3 else f"{1e3 * value:.1f} ms" if value < 1 else f"{value:.1f} s"


def explained_view(each: Explained, found: Explanation, words: Words) -> dict[str, Any]:
    """One image: its answer, its maps and its attributions."""
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


def sanity_view(found: Explanation, words: Words) -> dict[str, Any] | None:
    """The sanity check; None where it was not made."""
    check = found.sanity
    if check is None:
        return None
    drawing = plots.sanity_plot(check, words)
    said = []
    for method, values in check.by_method.items():
        if np.isnan(values[-1]):
            continue
        key = "sanity_keeps" if values[-1] > _KEEPS else "sanity_passes"
        said.append(words.plain(key, method=words.plain(method), r=f"{values[-1]:.2f}".replace("-", "−")))
    keeps = check.by_method.get("integrated_gradients", (0.0,))[-1] > _KEEPS
    return {
        "plot": inline(drawing, "sanity", "Correlation of attributions with those of shuffled weights"),
        "n": check.n,
        "list": words.listed(said),
        "keeps": keeps,
    }


def figure4_view(found: Explanation, words: Words) -> dict[str, Any] | None:
    """Images with their answers and nearest training images; None without data."""
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


def map_view(found: Explanation) -> dict[str, Any] | None:
    """The map with the names of its classes; None where there is none."""
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


def dropout_view(found: Explanation, words: Words) -> dict[str, Any] | None:
    """One image under many masks; None where nothing is dropped."""
    dropped = found.dropped
    if dropped is None:
        return None
    names = found.subject.class_names
    best = int(dropped.off_K.argmax())
    some = dropped.p_TK[:, best]
    drawing = plots.dropout_plot(dropped, names, words)
    return {
        "plot": inline(drawing, "dropout", "Probabilities of the likeliest classes over passes with dropout"),
        "uri": uri(np.asarray(centre(dropped.shown.x_HWC[None], found.subject.image_px)[0])),
        "times": len(dropped.p_TK),
        "layers": words.listed([f"{path.rpartition('.')[2]} {percent(p, 0)}" for path, p in dropped.layers.items()]),
        "spread": words(
            "dropout_spread",
            name=names[best],
            mean=percent(float(some.mean())),
            std=percent(float(some.std())),
            off=percent(float(dropped.off_K[best])),
        ),
    }


def inline(drawing: Any, name: str, description: str) -> Any:
    """A plot as markup, see `inline_svg`."""
    from markupsafe import Markup

    with plots.without_glyph_warnings():
        return Markup(inline_svg(drawing, name, description))  # matplotlib escapes the texts that it draws
