"""An environment for each set of packages that peers ask for, made by `venv` and pip.

A peer says what it needs at its head, as PEP 723 has it (`# /// script`), and what contenders it is in [[tool.bench]]
tables there. torch and torchvision are held to the versions that alexnet itself runs with.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

_SAME_AS_OURS = ("torch", "torchvision")
_PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.10", "python3.9", "python3.14")


class NotInstallable(Exception):  # noqa: N818 - an answer, not a mistake
    """A peer's environment cannot be made; the message says why."""


def read_head(script: Path) -> dict[str, Any]:
    """The metadata block at the head of `script`."""
    block = re.search(r"^# /// script\n((?:#.*\n)+?)# ///$", script.read_text(), re.MULTILINE)
    if block is None:
        raise SystemExit(f"{script} has no `# /// script` block that says what it needs")
    return tomllib.loads("".join(line[2:] or "\n" for line in block[1].splitlines(keepends=True)))


def python_for(head: dict[str, Any], folder: Path) -> str:
    """The interpreter of an environment with what `head` asks for; it is made on first use.

    Raises:
        NotInstallable: there is no such Python here, or pip failed.
    """
    return _environment(tuple(head["dependencies"]), head["requires-python"], folder)


@functools.cache
def _environment(dependencies: tuple[str, ...], requires_python: str, folder: Path) -> str:
    base = _find_python(SpecifierSet(requires_python))
    constraints = [f"{name}=={_public(importlib.metadata.version(name))}" for name in _SAME_AS_OURS]
    key = hashlib.blake2b(repr((dependencies, base, constraints)).encode(), digest_size=4).hexdigest()
    home = folder / ("-".join([*(Requirement(text).name for text in dependencies), key]))
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        print(f"installing {', '.join(dependencies)} into {home}", file=sys.stderr, flush=True)
        shutil.rmtree(home, ignore_errors=True)
        _check([base, "-m", "venv", str(home)])
        (home / "constraints.txt").write_text("\n".join(constraints))
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _check([*pip, "--constraint", str(home / "constraints.txt"), *dependencies])
        done.touch()
    return str(python)


def _public(version: str) -> str:
    return version.partition("+")[0]  # without the build, such as +cpu


def _find_python(wanted: SpecifierSet) -> str:
    for name in (sys.executable, *filter(None, map(shutil.which, _PYTHONS))):
        told = subprocess.run(
            [name, "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True
        )
        if told.returncode == 0 and told.stdout.strip() in wanted:
            return name
    raise NotInstallable(f"needs Python {wanted}, and there is none on the PATH")


def _check(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
        raise NotInstallable(f"not installable: {errors[-1].removeprefix('ERROR:').strip()}")
