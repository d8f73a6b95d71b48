"""Every `alexnet` command in the documentation is one the command line takes, with flags and values that it knows."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import tyro

from alexnet import cli, recipes
from alexnet.cli import commands

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]


def found() -> list[str]:
    lines = []
    for page in PAGES:
        for block in re.findall(
            r"^```(?:sh)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.strip().removeprefix(".venv/bin/")
                if line.startswith("alexnet ") and "|" not in line:
                    lines.append(line)
    return sorted(set(lines))


@pytest.fixture
def parsing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The command line whose commands do nothing but note that they were reached."""
    reached: list[str] = []

    def noting(command_name: str, command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def note(*_: object, **__: object) -> int:
            reached.append(command_name)
            return 0

        return note

    app = tyro.extras.SubcommandApp()
    for command_name, command in commands.COMMANDS.items():
        app.command(name=command_name)(noting(command_name, command))
    monkeypatch.setattr(commands, "app", app)
    monkeypatch.chdir(tmp_path)
    recipes.write(recipes.tiny_cifar10(), tmp_path / "my.toml")
    return reached


@pytest.mark.parametrize("command", found())
def test_a_command_parses(command: str, parsing: list[str]) -> None:
    words = shlex.split(command, comments=True)[1:]
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0
    assert parsing == ([] if words in (["--help"], ["--version"]) or "--help" in words else [words[0]])


def test_commands_are_found() -> None:
    assert len(found()) >= 50
