"""Reads Keras's HDF5 files in a process of its own: HDF5's library can crash or go round in circles on damaged ones.

Run by its path, with the paths of the file and of what to write as a JSON list on its input; imports nothing of the
package. Writes an `.npz`: the arrays `array0`, `array1`, ..., and as JSON in `facts` their names and what describes
the net. Exits with 3 and one line on its error stream where the file is not what it should be.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NoReturn

_MOST_OBJECTS = 20_000
_LARGEST_ARRAY = 2 << 30  # bytes
_DEFLATE_RATIO = 1032  # of zlib at most: what is stored cannot be more than that many times larger
_MOST_MEMORY = 8 << 30
REFUSED = 3


class _RefusedError(Exception):
    pass


def _fail(problem: str) -> NoReturn:
    raise _RefusedError(problem)


class _File:
    """An HDF5 file, of which only plain arrays within are read: no link leads to another file."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.count = 0

    def description(self) -> str | None:
        value = self.file.attrs.get("model_config")
        return value.decode("utf-8") if isinstance(value, bytes) else value if isinstance(value, str) else None

    def names(self, group: Any, name: str) -> list[str]:
        """A list of texts in an attribute, which may be cut into several."""
        import numpy as np

        parts = [group.attrs[name]] if name in group.attrs else []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        texts = [each for part in parts for each in np.ravel(np.asarray(part)).tolist()]
        return [each.decode("utf-8") if isinstance(each, bytes) else str(each) for each in texts]

    def arrays(self) -> dict[str, Any]:
        """All arrays of weights, in the order of the layers."""
        root = self.child(self.file, "model_weights") if "model_weights" in self.file else self.file
        found: dict[str, Any] = {}
        if "layer_names" in root.attrs or "layer_names0" in root.attrs:
            for layer in self.names(root, "layer_names"):
                group = self.child(root, layer)
                for name in self.names(group, "weight_names"):
                    found[name] = self.values(group, name)
            return found
        self.collect(root, "", found, 0)
        return {name: found[name] for name in sorted(found, key=_natural)}

    def collect(self, group: Any, prefix: str, found: dict[str, Any], depth: int) -> None:
        """Arrays `.../vars/0`, `.../vars/1` below `group`; those of optimiser and random generators are left out."""
        import h5py

        if depth > 32:
            _fail("has groups in groups, more than 32 deep")
        for name in group:
            if (depth == 0 and name in ("optimizer", "_trainer")) or name.startswith("seed_generator"):
                continue
            item = self.child(group, name)
            path = f"{prefix}/{name}" if prefix else name
            if isinstance(item, h5py.Group):
                self.collect(item, path, found, depth + 1)
            else:
                found[path.replace("/vars/", "/")] = self.values(group, name)

    def child(self, group: Any, name: str) -> Any:
        """What `group` has under a path of names, through no soft or external link."""
        import h5py

        for part in [each for each in name.split("/") if each]:
            self.count += 1
            if self.count > _MOST_OBJECTS:
                _fail(f"holds more than {_MOST_OBJECTS:,} objects")
            if not isinstance(group, h5py.Group) or part not in group:
                _fail(f"has no {name!r}")
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                _fail(f"has a link to elsewhere, {part!r}, which is not followed")
            group = group[part]
        return group

    def values(self, group: Any, name: str) -> Any:
        import h5py
        import numpy as np

        data = self.child(group, name)
        if not isinstance(data, h5py.Dataset) or data.shape is None:
            _fail(f"has no array {name!r}")
        if data.dtype.kind != "f":
            _fail(f"holds {data.dtype} in {name!r}, not floating-point numbers")
        if data.external or data.is_virtual:
            _fail(f"keeps {name!r} in another file, which is not read")
        size = math.prod(int(side) for side in data.shape) * data.dtype.itemsize
        if size > min(_LARGEST_ARRAY, _DEFLATE_RATIO * data.id.get_storage_size()):
            _fail(f"claims {size:,} bytes for {name!r} and stores {data.id.get_storage_size():,}")
        return np.asarray(data[...])


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else (0, p) for i, p in enumerate(parts)]


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY if hard < 0 else min(_MOST_MEMORY, hard), hard))


def main(source: str, out: str) -> int:
    """Read `source`, write `out`; returns the exit status."""
    import h5py
    import numpy as np

    _limit_memory()
    try:
        with h5py.File(source, "r") as file:
            reader = _File(file)
            arrays = reader.arrays()
            facts = {"names": list(arrays), "description": reader.description()}
    except (Exception, MemoryError) as error:  # whatever the library makes of wrong bytes
        lines = str(error).strip().splitlines() or [type(error).__name__]
        sys.stderr.write(lines[0])
        return REFUSED
    numbered = {f"array{index}": array for index, array in enumerate(arrays.values())}
    np.savez(out, facts=np.array(json.dumps(facts)), **numbered)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*json.load(sys.stdin)))
