"""What is written: `explain.html`, `explain.json`, and the pictures beside them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alexnet._version import __version__
from alexnet.errors import UserError
from alexnet.evaluation.report import filters_picture, render
from alexnet.evaluation.report.style import svg
from alexnet.explain import plots
from alexnet.explain.ablation import Ablation
from alexnet.explain.channels import Channels
from alexnet.explain.explanation import Explanation
from alexnet.explain.page import patch_sheet, view
from alexnet.explain.page_images import map_picture
from alexnet.explain.pictures import encoded, heat, lit, side_by_side
from alexnet.explain.subject import centre
from alexnet.explain.words import WORDS
from alexnet.files import atomic_write, reason_of, write_json
from alexnet.language import Language, Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, VALUES = "explain.html", "explain.json"
_TILE_PX = 128


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """`folder` as a path, if a page may be written there; raises `UserError` where other files are."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise UserError(f"--out {path} is a file: name a folder")
    if path.is_dir() and any(path.iterdir()) and not ((path / VALUES).exists() or (path / ".cache").exists()):
        raise UserError(f"{path} holds other files: name a new folder with --out")
    return path


def write(found: Explanation, folder: str | os.PathLike[str], language: Language | None = None) -> Path:
    """Write the page, its pictures and `explain.json`; earlier ones there are replaced.

    Args:
        found: what `explain` returned.
        folder: where; made if it is not there.
        language: of the page; None: the preferred one.

    Returns:
        the page's path.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    words, path = Words(WORDS, language), check_folder(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        files = [PAGE, VALUES, *_pictures(found, path, words)]
        render(path / PAGE, Path(__file__).parent / "explain.html.jinja", files=files, **view(found, words))
        write_json(path / VALUES, {"files": files, **to_json(found)})
    except OSError as error:
        raise UserError(f"cannot write to {path}: {reason_of(error)}: choose another --out") from error
    return path / PAGE


def _pictures(found: Explanation, path: Path, words: Words) -> list[str]:
    files: dict[str, bytes] = {}
    if found.filters is not None:
        files["filters.png"] = encoded(filters_picture(found.filters.weights_OCHW))
    if found.collected is not None:
        for channels in found.collected.channels:
            files[f"patches-{channels.layer.name}.png"] = encoded(patch_sheet(found, channels))
        if found.filters is not None:
            wins = found.collected.of(found.filters.layer.name).wins_C.tolist()
            files["usage.svg"] = _svg(plots.usage_plot(wins, words))
    if found.ablations:
        files["ablation.svg"] = _svg(plots.ablation_plot(found.ablations, words))
    for made in found.visualised:
        pictures = list(made.pixels_NHWC.numpy())
        files[f"visualised-{made.layer.name}.png"] = encoded(side_by_side(pictures, len(pictures), _TILE_PX))
    for i, each in enumerate(found.explained, start=1):
        x_HWC = np.asarray(centre(each.shown.x_HWC[None], found.subject.image_px)[0])
        row = [x_HWC, *(heat(x_HWC, a.numpy()) for a in each.attributions.values())]
        files[f"image-{i}.png"] = encoded(side_by_side(row, len(row), _TILE_PX))
        maps = [m for m in each.maps if m.answer.ndim == 3]
        if maps:
            lit_maps = [lit(m.answer[c].numpy()) for m in maps for c in _padded(m.strongest(8))]
            files[f"image-{i}-maps.png"] = encoded(side_by_side(lit_maps, 8, 64))
    if found.sanity is not None:
        files["sanity.svg"] = _svg(plots.sanity_plot(found.sanity, words))
    if (picture := map_picture(found)) is not None:
        files["map.png"] = encoded(picture)
    if found.dropped is not None:
        files["dropout.svg"] = _svg(plots.dropout_plot(found.dropped, found.subject.class_names, words))
    plain = {name.replace("/", "-"): content for name, content in files.items()}
    for name, content in plain.items():
        with atomic_write(path / name) as part:
            part.write_bytes(content)
    return list(plain)


def _svg(drawing: Figure) -> bytes:
    with plots.without_glyph_warnings():
        return svg(drawing).encode()


def _padded(channels: list[int]) -> list[int]:
    """Eight channels, the last one again where a layer has fewer."""
    return channels + [channels[-1]] * (8 - len(channels))


def to_json(found: Explanation) -> dict[str, Any]:
    """Every figure, as plain JSON values."""
    subject, collected = found.subject, found.collected
    names = subject.class_names
    return {
        "format": 1,
        "alexnet": __version__,
        "model": found.model_name,
        "network": subject.classifier.card.model,
        "class_names": list(names),
        "data": found.data_name,
        "split": None if found.data_name is None else found.split,
        "images": 0 if found.images is None else len(found.images),
        "labels_known": found.labels_known,
        "top1": None if collected is None else collected.top1,
        "layers": [layer.to_json() for layer in subject.layers],
        "filters": None
        if found.filters is None
        else {
            "layer": found.filters.layer.name,
            "towers": found.filters.towers,
            "color": found.filters.color_shares(),
        },
        "channels": {} if collected is None else {c.layer.name: _channels(c, names) for c in collected.channels},
        "ablation": {a.layer.name: _ablation(a, names) for a in found.ablations},
        "visualised": {
            made.layer.name: [
                {"channel": c, "answer": number(v)}
                for c, v in zip(made.channels, made.answer_N.tolist(), strict=True)
            ]
            for made in found.visualised
        },
        "explained": [
            {
                "image": each.shown.name,
                "class": None if each.shown.truth is None else names[each.shown.truth],
                "answer": names[each.explained],
                "probability": float(each.p_K[each.explained]),
                "methods": list(each.attributions),
                "occlusion_px": [each.windows.window_px, each.windows.stride_px],
            }
            for each in found.explained
        ],
        "sanity": None
        if found.sanity is None
        else {
            "n": found.sanity.n,
            "stages": list(found.sanity.stages),
            "correlation": {m: [number(v) for v in values] for m, values in found.sanity.by_method.items()},
        },
        "neighbours": None
        if found.nearest is None
        else {
            "queries": found.nearest.index_Q.tolist(),
            "training_images": 0 if found.nearest.found is None else found.nearest.found.n,
            "query_s": None if found.nearest.found is None else found.nearest.found.query_s,
            "index": [] if found.nearest.found is None else found.nearest.found.index_QT.tolist(),
            "classes": found.nearest.names_QT,
            "reason": found.nearest.reason or None,
        },
        "map": None
        if found.mapped is None
        else {"images": found.mapped.index_M.tolist(), "places": found.mapped.places_M2.tolist()},
        "dropout": None
        if found.dropped is None
        else {
            "layers": found.dropped.layers,
            "passes": len(found.dropped.p_TK),
            "answer": names[int(found.dropped.off_K.argmax())],
            "probability_off": float(found.dropped.off_K.max()),
            "mean": float(found.dropped.p_TK[:, int(found.dropped.off_K.argmax())].mean()),
            "std": float(found.dropped.p_TK[:, int(found.dropped.off_K.argmax())].std()),
        },
        "seconds": found.seconds,
    }


def number(value: float) -> float | None:
    """A float that JSON has; None for NaN and infinities."""
    return value if math.isfinite(value) else None


def _channels(found: Channels, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "channel": c,
            "active": float(found.active_C[c]),
            "wins": float(found.wins_C[c]),
            "mean": number(float(found.mean_C[c])),
            "std": number(float(found.std_C[c])),
            "serves": [{"class": names[k], "z": round(z, 3)} for k, z in found.serves(c)],
            "images": found.image_CT[c].tolist(),
            "places": found.place_CT[c].tolist(),
            "answers": [number(v) for v in found.best_CT[c].tolist()],
        }
        for c in range(found.layer.channels)
    ]


def _ablation(ablation: Ablation, names: tuple[str, ...]) -> dict[str, Any]:
    rows = []
    for i, channel in enumerate(ablation.channel_U.tolist()):
        hurt = ablation.hurt(i)
        rows.append(
            {
                "channel": channel,
                "top1_change": float(ablation.top1_change_U[i]),
                "top1_error": float(ablation.top1_error_U[i]),
                "loss_change": number(float(ablation.loss_change_U[i])),
                "most_hurt": None if hurt is None else {"class": names[hurt[0]], "recall_change": hurt[1]},
            }
        )
    return {"n": ablation.n, "top1": ablation.top1, "loss": number(ablation.loss), "channels": rows}
