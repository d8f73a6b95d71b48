"""JavaScript modules as one script.

Each module becomes a function that returns what the module exports, called once, after those it imports. What is
understood is the little that our modules use: `import { a, b } from "./x.js";` on lines of their own, and `export`
before `function`, `class`, `const` or `async function`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE)


def bundle(entry: str, folders: Sequence[Path]) -> str:
    """The module `entry` and all it imports, as one script that needs no other file.

    Args:
        entry: file name of a module, for example `main.js`.
        folders: where modules are looked for, in order; a name is unique among them.

    Raises:
        ValueError: a module is missing, imports itself through others, or has imports or exports of another form.
    """
    done: list[str] = []
    scripts: list[str] = []
    _add(entry, folders, (), done, scripts)
    return "\n".join(['"use strict";', *scripts])


def _add(name: str, folders: Sequence[Path], above: tuple[str, ...], done: list[str], scripts: list[str]) -> None:
    if name in done:
        return
    if name in above:
        raise ValueError(f"modules import each other: {' -> '.join((*above, name))}")
    found = [folder / name for folder in folders if (folder / name).is_file()]
    if len(found) != 1:
        raise ValueError(f"{len(found)} modules are called {name}: {', '.join(map(str, found)) or 'none was found'}")
    text = found[0].read_text(encoding="utf-8")
    heads = []
    for names, imported in _IMPORT.findall(text):
        _add(imported, folders, (*above, name), done, scripts)
        heads.append(f"const {{{names.replace(' as ', ': ').strip().rstrip(',')}}} = {_variable(imported)};")
    body = _IMPORT.sub("", text)
    exported = [match[1] for match in _EXPORT.finditer(body)]
    body = _EXPORT.sub("", body)
    if stray := re.search(r"^(import|export)\b.*$", body, re.MULTILINE):
        raise ValueError(f"{name} has a line that cannot be bundled: {stray[0]}")
    scripts.append(
        "\n".join(
            [
                f"const {_variable(name)} = (() => {{",
                *heads,
                body.rstrip(),
                f"return {{{', '.join(exported)}}};",
                "})();",
            ]
        )
    )
    done.append(name)


def _variable(name: str) -> str:
    return "module_" + re.sub(r"\W", "_", name.removesuffix(".js"))
