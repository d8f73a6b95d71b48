"""The page that `alexnet --help` prints, and what was meant by a word that is none of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from alexnet.errors import UserError

GROUPS = {
    "Train": {
        "start": "from a folder of photographs to a trained network and its report",
        "train": "train a network by a recipe, or resume a run",
        "baseline": "fit a classifier to hand-made features",
        "recipes": "list the recipes, or write one to a file",
    },
    "Use": {
        "predict": "classify image files",
        "serve": "a page and an HTTP service that classify images",
        "evaluate": "measure accuracy on a data set",
        "explain": "show what a network has learned, in one page",
        "convert": "read weights of MXNet or torchvision",
        "export": "write a network as a page that shows it, ONNX, .pt2, ...",
        "models": "list the networks, and the trained ones that come with alexnet",
    },
    "Data": {"data": "describe, check, clean, download or pack a data set"},
    "Learn": {
        "study": "test a claim of the paper",
        "bench": "measure speed on this machine",
    },
}


def text() -> str:
    """One line a command, grouped; fits a screen of 80 x 24."""
    lines = ["usage: alexnet COMMAND ...", ""]
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(f"  {name:<10}{what}" for name, what in commands.items())]
    lines += ["", "alexnet COMMAND --help   what a command takes; any takes --language en|zh-TW"]
    lines += ["alexnet train digits     a first network in half a minute, no download"]
    return "\n".join(lines)


def check_words(words: list[str], recipes: Iterable[str], baselines: Iterable[str], studies: Iterable[str]) -> None:
    """Raise `UserError` for a command, recipe, baseline or study that there is not, naming the nearest and all."""
    command, *rest = words
    known = [name for group in GROUPS.values() for name in group]
    _check("command", command, known)
    first = rest[0] if rest and not rest[0].startswith("-") else None
    kinds = {"train": ("recipe", recipes), "baseline": ("baseline", baselines), "study": ("study", studies)}
    if first is not None and command in kinds:
        _check(kinds[command][0], first, list(kinds[command][1]))


def _check(kind: str, word: str, known: list[str]) -> None:
    if word in known:
        return
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    plural = {"study": "studies"}.get(kind, f"{kind}s")
    raise UserError(f"there is no {kind} {word!r}{hint}\n{plural}: {', '.join(known)}")
