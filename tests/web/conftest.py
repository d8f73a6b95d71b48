"""Scripts of the front end, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexnet import web


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
