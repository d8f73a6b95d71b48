"""Fixtures that all tests share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from alexnet import web


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images and weights that ALEXNET_TEST_DATA names; the test is skipped without it."""
    folder = os.environ.get("ALEXNET_TEST_DATA")
    if not folder:
        pytest.skip(
            "needs real data: set ALEXNET_TEST_DATA to a folder with TinyAlex.params, cifar10-jpeg.tar.xz, ..."
        )
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"ALEXNET_TEST_DATA names {folder}, which is no folder")
    return path


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache directory of the tests' own, for them and the processes they start; the user's is left alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALEXNET_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def cifar10_jpeg(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 as JPEG files: train/CLASS/* and test/CLASS/*, 60,000 in all."""
    base = tmp_path_factory.getbasetemp()
    # Workers of pytest-xdist have folders beside each other, and use one copy.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cifar10-jpeg"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            with tarfile.open(test_data / "cifar10-jpeg.tar.xz") as archive:
                archive.extractall(f"{folder}.part", filter="data")
            Path(f"{folder}.part").rename(folder)
    return next(path.parent for path in (folder / "train", *folder.glob("*/train")) if path.is_dir())


@pytest.fixture(scope="session")
def run_js(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run the body of a function that sees a bundled module as `module_NAME` and its `values`; what it returns."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js: apt-get install nodejs")

    def run(entry: str, body: str, values: Any = None, folders: tuple[Path, ...] = ()) -> Any:
        folder = tmp_path_factory.mktemp("js")
        (folder / "values.json").write_text(json.dumps(values))
        (folder / "run.js").write_text(
            f"{web.bundle(entry, (web.folder(), *folders))}\n"
            "const values = JSON.parse(require('fs').readFileSync(__dirname + '/values.json'));\n"
            f"const found = (() => {{ {body} }})();\n"
            "process.stdout.write(JSON.stringify(found));\n"
        )
        done = subprocess.run([node, folder / "run.js"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
