"""What an import costs, and that imports run downwards only."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import alexnet

PACKAGE = Path(alexnet.__file__).parent
# Rooms by floor; a room imports only from floors below its own. The package itself, `alexnet`, only names things.
FLOORS = (
    {"_version", "errors", "files", "text", "web"},
    {"_checks", "checksum", "language", "lock", "system"},
    {"config", "plain"},
    {"card"},
    {"distributed"},
    {"recipes", "models", "runtime", "run_folder"},
    {"weights", "data"},
    {"evaluation"},
    {"training", "baseline", "explain"},
    {"bench", "cleaning", "export", "studies"},
    {"start"},
    {"serving"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
OF_THE_PACKAGE_ITSELF = {"__version__"}


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(file: Path) -> dict[str, int]:
    """Rooms that `file` imports from anywhere in it, functions and type checking included, and on which line."""
    rooms: dict[str, int] = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        paths: list[str] = []
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}, line {node.lineno}: a relative import"
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        for path in paths:
            package, _, rest = path.partition(".")
            room = rest.partition(".")[0]
            if package == "alexnet" and room and room not in OF_THE_PACKAGE_ITSELF:
                rooms.setdefault(room, node.lineno)
    return rooms


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


def test_every_room_has_its_floor():
    assert {room_of(file) for file in FILES} == set(FLOOR)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_downwards(file):
    own = room_of(file)
    for room, line in rooms_imported(file).items():
        assert room in FLOOR, f"line {line} imports alexnet.{room}, a room without a floor"
        assert room == own or FLOOR[room] < FLOOR[own], f"line {line}: {own} imports {room}"


def test_the_reader_of_imports_sees_them_all(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "import alexnet.data.loading.from_memory\nfrom alexnet import models, __version__\nimport torch, alexnet\n"
        "def f():\n    from alexnet.training.trainer import Trainer\n"
    )
    assert rooms_imported(file) == {"data": 1, "models": 2, "training": 5}


def test_only_the_command_line_prints_and_reads_arguments():
    for file in FILES:
        if room_of(file) == "cli":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            printed = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            assert not printed, f"{file}, line {node.lineno}"
            asked = isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.argv"
            assert not asked, f"{file}, line {node.lineno}"


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["import alexnet", "import alexnet.recipes", "import alexnet.cli.commands"])
def test_imports_that_do_not_wait_for_torch(code):
    assert modules_after(code).isdisjoint({"torch", "torchvision", "numpy", "sklearn", "matplotlib", "PIL"})


def test_using_the_package_imports_no_optional_or_slow_part():
    """Plots, scikit-learn and torchvision are waited for by those who use them."""
    loaded = modules_after("import alexnet; alexnet.load; alexnet.models.lenet; alexnet.data.load")
    assert "torch" in loaded
    assert loaded.isdisjoint({"torchvision", "sklearn", "matplotlib", "tensorboard"})


def test_every_public_name_is_there():
    for name in alexnet.__all__:
        assert getattr(alexnet, name) is not None
    assert set(alexnet.__all__) <= set(dir(alexnet))
    assert alexnet.__all__ == sorted(alexnet.__all__)


ROOMS = (
    "baseline",
    "bench",
    "data",
    "evaluation",
    "explain",
    "export",
    "models",
    "serving",
    "studies",
    "training",
    "weights",
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_of_a_room_is_there(room):
    module = importlib.import_module(f"alexnet.{room}")
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_other_names_are_not_invented():
    with pytest.raises(AttributeError, match="module 'alexnet' has no attribute 'resnet'"):
        alexnet.resnet  # noqa: B018
    with pytest.raises(ImportError, match="resnet"):
        from alexnet import resnet  # noqa: F401


def test_names_are_the_objects_of_their_homes():
    from alexnet.errors import UserError
    from alexnet.evaluation.classifier import Classifier, load

    assert alexnet.UserError is UserError
    assert alexnet.Classifier is Classifier
    assert alexnet.load is load
