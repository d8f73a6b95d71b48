"""`.pt2` by `torch.export`: a program that runs with PyTorch alone.

`torch.export.load(FILE).module()` maps `image`, uint8 [N, H, W, 3] (squares of the network's size), to calibrated
probabilities [N, K]; with `plain`, `x`, float32 [N, C, H, W], to logits. N is free. The names of the classes stand in
the archive, as `alexnet.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.export import network
from alexnet.export.compare import accuracy, compare
from alexnet.export.images import BATCH_SIZES
from alexnet.export.job import Job, exporting

_MOST_BYTES = 2**29  # of images that are handed to the other process, as a file

FACTS = "alexnet.json"
"""The archive's extra file."""

_PYTHON = """
import sys
import torch
from safetensors.torch import load_file, save_file

program, given, found, threads, *sizes = sys.argv[1:]
torch.set_num_threads(int(threads))
module = torch.export.load(program).module()
x = load_file(given)["x"]
with torch.inference_mode():
    save_file({size: torch.cat([module(part) for part in x.split(int(size))]) for size in sizes}, found)
assert "alexnet" not in sys.modules
"""


class FromSquares(nn.Module):
    """From squares of bytes to calibrated probabilities."""

    scale_C11: Tensor
    shift_C11: Tensor

    def __init__(self, job: Job) -> None:
        super().__init__()
        how = job.classifier.card.preprocessing
        scale, shift = network.scale_and_shift(job.classifier)
        self.model = network.prepared(job.classifier, operators=False)
        self.register_buffer("scale_C11", torch.tensor(scale, dtype=torch.float32)[:, None, None])
        self.register_buffer("shift_C11", torch.tensor(shift, dtype=torch.float32)[:, None, None])
        self.begin = (how.square_px - how.image_px) // 2
        self.end = self.begin + how.image_px
        self.is_grey = how.in_channels == 1
        self.temperature = float(network.facts(job.classifier)["temperature"])

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] to [N, K]."""
        levels_NCHW = image[:, self.begin : self.end, self.begin : self.end].permute(0, 3, 1, 2)
        if self.is_grey:  # ITU-R 601 in 16 bits, as Pillow has it
            red, green, blue = levels_NCHW.int().unbind(1)
            levels_NCHW = ((19595 * red + 38470 * green + 7471 * blue + 0x8000) // 0x10000)[:, None]
        x_NCHW = levels_NCHW.float() * self.scale_C11 + self.shift_C11
        return F.softmax(self.model(x_NCHW) / self.temperature, dim=-1)


def write(job: Job, out: Path) -> dict[str, Any]:
    """Write the program to `out`, run it in a process without this package, and compare.

    Raises:
        UserError: the answers differ, or the program does not run.
    """
    how = job.classifier.card.preprocessing
    per_image = 3 * how.square_px**2 * (4 if job.plain else 1)
    squares = job.images.squares(how, count=max(64, _MOST_BYTES // per_image))
    if job.plain:
        module: nn.Module = network.prepared(job.classifier, operators=False)
        example = network.example_input(job.classifier)
        given = network.normalized(job.classifier, squares)
        expected_NK = network.logits(job.classifier, given)
    else:
        module = FromSquares(job)
        given = squares.pixels_NHWC.expand(*squares.pixels_NHWC.shape[:3], 3).contiguous()
        example = torch.zeros(network.EXAMPLE_IMAGES, how.square_px, how.square_px, 3, dtype=torch.uint8)
        expected_NK = network.probabilities(job.classifier, squares)
    with torch.no_grad(), exporting(".pt2"):
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=({0: torch.export.Dim("N")},))
    facts = json.dumps(network.facts(job.classifier), ensure_ascii=False)
    torch.export.save(program, str(out), extra_files={FACTS: facts})
    found = _run_elsewhere(out, given)
    some = "" if len(given) == len(job.images) else f"the first {len(given):,} of "
    what = "logits" if job.plain else "probabilities"
    job.check(compare(what, some + job.images.what, expected_NK, found, logits=job.plain))
    labels_N = None if job.images.labels_N is None else job.images.labels_N[: len(given)]
    shape = f"float32 [N, {how.in_channels}, {how.image_px}, {how.image_px}]"
    return {
        "graph": "plain" if job.plain else "whole",
        "input": f"x: {shape}" if job.plain else f"image: uint8 [N, {how.square_px}, {how.square_px}, 3]",
        "checked_in": "a process of its own, which cannot import alexnet",
        "top1": accuracy(found[0][1], labels_N),
    }


def _run_elsewhere(program: Path, x: Tensor) -> list[tuple[int, Tensor]]:
    """Outputs of the program for all of `x`, at every batch size, computed by a process without this package."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.safetensors"), Path(folder, "found.safetensors")
        save_file({"x": x}, given)
        # Made to fail: an empty package of that name would be found first.
        Path(folder, "alexnet.py").write_text("raise ImportError('not in this process')\n", encoding="utf-8")
        words = [str(program.resolve()), str(given), str(found), str(torch.get_num_threads()), *map(str, BATCH_SIZES)]
        done = subprocess.run(
            [sys.executable, "-c", _PYTHON, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise UserError(f"the .pt2 program does not run in a process of its own: {last}")
        outputs = load_file(found)
    return [(size, outputs[str(size)].clone()) for size in BATCH_SIZES]
