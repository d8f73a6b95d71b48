"""The reference, made from the code: commands, recipes and their fields, public names.

    python docs/site/reference.py FOLDER   write the pages into FOLDER

What stands there is what `--help`, `inspect` and the docstrings say at this commit; nothing of it is kept.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import inspect
import io
import itertools
import os
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

_COLUMNS = "100"
_SECTIONS = re.compile(r"^(Args|Returns|Yields|Raises):$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Markdown of each page, by its file's name."""
    return {"commands.md": commands(), "recipes.md": recipes(), "python.md": python()}


def commands() -> str:
    """What each command's `--help` prints, and the exit codes."""
    from alexnet.cli import app, overview
    from alexnet.cli.commands import COMMANDS

    parts = ["# Commands", "", "What `--help` prints, command by command.", "", fenced(overview.text()), ""]
    about = inspect.getdoc(app.main) or ""
    exits = about.partition("Exit status:")[2].strip()
    parts += ["## Exit codes", "", *(f"- {one.strip().rstrip('.')}" for one in re.split(r";|\. ", exits)), ""]
    for name in COMMANDS:
        parts += [f"## alexnet {name}", "", fenced(help_text([name])), ""]
    return "\n".join(parts)


def help_text(words: list[str]) -> str:
    """What `alexnet WORDS --help` prints, 100 columns wide and without colours."""
    from alexnet import cli

    kept = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR", "TERM", "FORCE_COLOR")}
    os.environ.update(COLUMNS=_COLUMNS, NO_COLOR="1", TERM="dumb")
    os.environ.pop("FORCE_COLOR", None)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            cli.main([*words, "--help"])
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def recipes() -> str:
    """The named recipes, and every field with its type, default and meaning."""
    from alexnet import config
    from alexnet import recipes as named

    parts = ["# Recipes", "", "| recipe | what it is |", "|---|---|"]
    parts += [f"| [`{name}`](#{name}) | {cell(named.summary(name))} |" for name in named.names()]
    for kind, prefix in (
        (config.Recipe, ""),
        (config.ModelConfig, "model."),
        (config.OptimizerConfig, "optimizer."),
        (config.ScheduleConfig, "schedule."),
        (config.AugmentConfig, "augment."),
    ):
        parts += ["", f"## {kind.__name__}", "", paragraph(inspect.getdoc(kind) or ""), ""]
        parts += ["| field | flag | type | default | meaning |", "|---|---|---|---|---|"]
        meanings = field_docs(kind)
        for field in dataclasses.fields(kind):
            if dataclasses.is_dataclass(field.default_factory):
                continue
            flag = f"`--{prefix}{field.name.replace('_', '-')}`" if field.name != "name" or prefix else ""
            default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
            meaning = cell(meanings.get(field.name, ""))
            parts.append(f"| `{prefix}{field.name}` | {flag} | `{cell(str(field.type))}` | {default} | {meaning} |")
    parts += ["", "## The recipes' values", "", "What each sets other than the defaults above."]
    for name in named.names():
        changed = named.get(name).changed().items()
        parts += ["", f"### {name}", "", fenced("\n".join(f"{field} = {value!r}" for field, value in changed))]
    return "\n".join([*parts, ""])


def field_docs(kind: type) -> dict[str, str]:
    """The strings that stand under the fields of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    found = {}
    body = tree.body[0].body  # type: ignore[attr-defined]
    for before, node in itertools.pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[before.target.id] = inspect.cleandoc(str(node.value.value))  # type: ignore[union-attr]
    return found


def python() -> str:
    """Every public name, with its signature and docstring."""
    import alexnet

    parts = ["# Python", "", "Every name of `alexnet` and of its public modules.", ""]
    modules = []
    for name in alexnet.__all__:
        value = importlib.import_module(f"alexnet.{name}") if _is_module(name) else getattr(alexnet, name)
        if isinstance(value, ModuleType):
            modules.append(value)
        else:
            parts += described(f"alexnet.{name}", value, "##")
    for module in modules:
        parts += [f"## {module.__name__}", "", paragraph(inspect.getdoc(module) or ""), ""]
        for name in sorted(getattr(module, "__all__", [])):
            parts += described(f"{module.__name__}.{name}", getattr(module, name), "###")
    return "\n".join(parts)


def _is_module(name: str) -> bool:
    return name in ("data", "models", "recipes", "weights")


def described(name: str, value: Any, level: str) -> list[str]:
    """Lines of Markdown on one name: its signature, its docstring and, of a class, its methods."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return [f"{level} `{name}`", "", fenced(cell(repr(value), 300), "python"), ""]
    lines = [f"{level} `{name}`", ""]
    with contextlib.suppress(ValueError, TypeError):
        lines += [fenced(f"{name.rpartition('.')[2]}{_signature(value)}", "python"), ""]
    lines += [markdown(inspect.getdoc(value) or ""), ""]
    if not inspect.isclass(value) or issubclass(value, BaseException):
        return lines
    if dataclasses.is_dataclass(value):
        lines += [*(f"- `{field}`: {paragraph(text)}" for field, text in field_docs(value).items()), ""]
    for method, body in vars(value).items():
        function = body.fget if isinstance(body, property) else body
        if method.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
            continue
        shown = method if isinstance(body, property) else f"{method}{_signature(function)}"
        lines += [fenced(shown, "python"), "", markdown(inspect.getdoc(function) or ""), ""]
    return lines


def _signature(value: Any) -> str:
    text = str(inspect.signature(value))
    text = re.sub(r"<([\w.]+) object at 0x[0-9a-f]+>|<factory>", "...", text)
    text = re.sub(r"""(: |-> )(['"])(.*?)\2(?=,| =|\)|$)""", r"\1\3", text)
    if len(text) < 90:
        return text
    inside, _, returns = text[1:].rpartition(")")
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(inside):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(inside[start:at].strip())
            start = at + 1
    parts.append(inside[start:].strip())
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def markdown(doc: str) -> str:
    """A Google-style docstring as Markdown: its sections become lists."""
    pieces = _SECTIONS.split(doc)
    parts = [_prose(pieces[0].strip())]
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        kept = textwrap.dedent(body.strip("\n"))
        parts.append(f"**{heading}**")
        if heading in ("Args", "Raises"):
            items = re.split(r"^(?=[\w*, ]+:)", kept, flags=re.MULTILINE)
            parts.append("\n".join(_item(item) for item in items if item.strip()))
        else:
            parts.append(paragraph(kept))
    return "\n\n".join(part for part in parts if part)


def _item(text: str) -> str:
    name, _, meaning = text.partition(":")
    return f"- `{name.strip()}`: {paragraph(meaning)}"


def _prose(text: str) -> str:
    """Paragraphs as they are; indented ones are code."""
    parts = []
    for part in re.split(r"\n\s*\n", text):
        indented = all(line.startswith("    ") for line in part.splitlines())
        parts.append(fenced(textwrap.dedent(part), "python") if indented and part else escape(part))
    return "\n\n".join(parts)


def paragraph(text: str) -> str:
    """Text on one line."""
    return escape(" ".join(text.split()))


def cell(text: str, longest: int = 1000) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split())[:longest].replace("|", "\\|")


def escape(text: str) -> str:
    """Text whose angle and square brackets are no markup, outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<\[\]*_])", r"\\\1", part) for part in parts)


def fenced(text: str, language: str = "text") -> str:
    """Text as a block of code."""
    return f"```{language}\n{text}\n```"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file, written in pages().items():
        (folder / file).write_text(written, encoding="utf-8")
