"""Damaged files, endlessly: readers answer each with a `UserError` or a net, soon and in little memory.

    python tests/weights/foreign/fuzz.py --seconds 60 --seed 0

Exits with 1 where a reader fails otherwise, takes more than 5 s, or more than 1 GiB above what it had; the file that
did it is kept and named. A reader that takes the process down is reported by its signal.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from alexnet.errors import UserError

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = (".caffemodel", ".onnx", ".mat", ".params", ".keras", ".h5", ".prototxt", ".binaryproto", ".pth", ".zip")
_SLOW_S, _MUCH_BYTES = 5.0, 1 << 30
_EXTREMES = [b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff" * 4, b"\xff" * 8, b"\x00" * 8, b"\xff\xff\xff\xff\x0f",
             (1 << 60).to_bytes(8, "little"), (1 << 60).to_bytes(8, "big"), (1 << 31).to_bytes(4, "little"),
             b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"{", b"}", b'"']  # fmt: skip


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """`content` with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, len(data) + 1))
        length = int(rng.integers(1, 64))
        match int(rng.integers(0, 6)):
            case 0:
                data[at : at + 1] = rng.bytes(1)
            case 1:
                extreme = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
                data[at : at + len(extreme)] = extreme
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at:at] = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
            case 5 if rng.random() < 0.3:
                del data[at:]
    return bytes(data)


def read(path: Path, kind: str) -> None:
    """What the package does with a file of that kind."""
    from alexnet.weights._read import read_foreign
    from alexnet.weights.foreign import keras
    from alexnet.weights.foreign.caffe import read_description, read_mean

    keras._LEAST_S = 3.0
    if kind == ".prototxt":
        read_description(path)
    elif kind == ".binaryproto":
        read_mean(path)
    else:
        read_foreign(path)


def loop(kind: str, files: list[Path], seed: int, seconds: float) -> int:
    """Damage and read files of one kind; returns how many."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    contents = [file.read_bytes() for file in files]
    count, end = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"damaged{kind}"
        for file in files:
            read(file, kind)
        limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + _MUCH_BYTES
        while time.monotonic() < end:
            content = damaged(contents[int(rng.integers(len(contents)))], rng)
            path.write_bytes(content)
            kept = Path(tempfile.gettempdir()) / f"alexnet-fuzz-{seed}-{count}{kind}"
            start, problem = time.monotonic(), ""
            try:
                read(path, kind)
            except UserError:
                pass
            except BaseException:
                problem = traceback.format_exc()
            if time.monotonic() - start > _SLOW_S:
                problem += f"took {time.monotonic() - start:.1f} s"
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > limit:
                problem += "took much memory"
            if problem:
                kept.write_bytes(content)
                print(f"{kept}: {problem}", file=sys.stderr)
                raise SystemExit(1)
            count += 1
    return count


def samples(folder: Path) -> dict[str, list[Path]]:
    """Whole files to begin with, by kind."""
    import zipfile

    import torch

    state = {"0.weight": torch.ones(4, 3, 3, 3), "0.bias": torch.zeros(4)}
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "bare.pth", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(folder / "small.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(GOLDEN / "mxnet191-gluon.params", "net.params")
    files = [*sorted(GOLDEN.iterdir()), *sorted(folder.iterdir())]
    found: dict[str, list[Path]] = {kind: [file for file in files if file.suffix == kind] for kind in KINDS}
    found[".params"] = [file for file in found[".params"] if "gluon" in file.name]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="for each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="this kind alone, in this process")
    given = parser.parse_args()
    if given.kind is not None:
        with tempfile.TemporaryDirectory() as folder:
            count = loop(given.kind, samples(Path(folder))[given.kind], given.seed, given.seconds)
        print(f"{given.kind:<14} {count:>8,} files")
        return 0
    worst = 0
    for kind in KINDS:
        flags = ["--seconds", str(given.seconds), "--seed", str(given.seed), "--kind", kind]
        status = subprocess.run([sys.executable, __file__, *flags], check=False).returncode
        if status:
            print(f"{kind}: exit status {status}", file=sys.stderr)
            worst = 1
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
