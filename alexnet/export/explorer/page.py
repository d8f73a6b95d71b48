"""The page: everything in one file."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet import web
from alexnet._version import __version__
from alexnet.card import Calibration, ModelCard
from alexnet.evaluation import Classifier
from alexnet.evaluation.calibrate import DEFAULT_ACCEPT, threshold
from alexnet.export.explorer.describe import Description, levels
from alexnet.export.explorer.pack import WeightType, pack
from alexnet.models import count_parameters

_FOLDER = Path(__file__).parent
_WORDS = ("page", "input", "answer", "problem", "explorer", "op", "detail", "tour", "class")


@dataclass(frozen=True)
class Shown:
    """One network of the page."""

    classifier: Classifier
    found: Description
    label: str
    """What the switch between two networks calls it."""
    label_key: str | None
    """Instead of the label, a word of the tables."""
    data: dict[str, Any] | None
    """See `gallery.content`; None where the page has no data."""


def render(title: str, networks: Sequence[Shown], weights: WeightType) -> str:
    """The page's HTML, for one network or two whose images are the same."""
    models, tensors = [], []
    for network in networks:
        data, about = pack(network.found.tensors, weights)
        models.append(_model(network, about))
        tensors.append(base64.b64encode(zlib.compress(data, 9)).decode("ascii"))
    parts = {
        "TITLE": html.escape(title),
        "STYLE": web.read("style.css") + _text("explorer.css"),
        "CONTENT": _json({"version": __version__, "words": web.words(_WORDS), "models": models}),
        "ENGINE": _script("worker.js"),
        "WEIGHTS": "\n".join(
            f'<script type="text/plain" id="weights-{i}">{text}</script>' for i, text in enumerate(tensors)
        ),
        "SCRIPT": _script("main.js"),
    }
    return re.sub(r"@([A-Z]+)@", lambda place: parts[place[1]], _text("page.html"))


def _model(network: Shown, about: list[dict[str, Any]]) -> dict[str, Any]:
    card = network.classifier.card
    how = card.preprocessing
    return {
        "network": card.model,
        "label": network.label,
        "label_key": network.label_key,
        "parameters": count_parameters(network.classifier.model),
        "class_names": list(card.class_names),
        "preprocessing": {
            "image_px": how.image_px,
            "resize_px": how.resize_px,
            "in_channels": how.in_channels,
            "fit": how.fit,
            "mean": list(how.mean),
            "std": list(how.std),
        },
        "ops": network.found.ops,
        "levels": levels(network.found.ops),
        "tensors": about,
        "calibration": None if card.calibration is None else _calibration(card, card.calibration),
        "data": network.data,
    }


def _calibration(card: ModelCard, fitted: Calibration) -> dict[str, Any]:
    judged = fitted.limit is not None and fitted.means is not None
    return {
        "temperature": fitted.temperature,
        "n": fitted.n,
        "least": threshold(fitted, DEFAULT_ACCEPT),
        "limit": fitted.limit if judged else None,
        "means": fitted.means if judged else None,
        "scale": fitted.scale if judged else None,
    }


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _json(values: Any) -> str:
    # "<" can end a script element, wherever it stands.
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _script(entry: str) -> str:
    """The bundled module, without its comments, in a form that may stand in a script element."""
    text = web.bundle(entry, (_FOLDER, web.folder()))
    text = re.sub(r"^\s*/\*\*.*?\*/\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ +", "", text, flags=re.MULTILINE)
    assert "</script" not in text
    assert "<!--" not in text
    return f"(() => {{\n{text}\n}})();"  # the engine may run beside the page's script, with modules of the same names
