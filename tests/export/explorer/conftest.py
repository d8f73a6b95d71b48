"""What the tests of the explorer share."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import alexnet
from alexnet.export.explorer.describe import describe
from alexnet.export.explorer.pack import pack

FOLDER = Path(alexnet.__file__).parent / "export" / "explorer"

FORWARD = """
return values.nets.map((net) => {
  const bytes = module_engine.bytesOf(net.weights);
  const tensors = net.tensors.map((about) => module_engine.tensorOf(bytes, about));
  const network = module_engine.createNetwork({ ops: net.ops, tensors, input: net.input, plain: values.plain });
  const off = new Map(net.off.map(([op, channels]) => [op, new Set(channels)]));
  const outputs = network.forward(Float32Array.from(net.x), { off });
  return { kind: network.kind, outputs: outputs.map(({ c, h, w, data }) => ({ shape: [c, h, w], data: [...data] })) };
});
"""


@pytest.fixture(scope="session")
def as_values() -> Callable[..., dict[str, Any]]:
    """What `FORWARD` takes for one network; weights in `fp32` keep all digits."""
    return _as_values


def _as_values(model: nn.Module, x_CHW: torch.Tensor, weights: str = "fp32", off: Any = ()) -> dict[str, Any]:
    found = describe(model)
    if weights == "fp32":
        data, about, at = b"", [], 0
        for tensor in found.tensors:
            about.append({"dtype": "f32", "at": at, "n": tensor.numel()})
            data += tensor.numpy().astype("<f4").tobytes()
            at += 4 * tensor.numel()
    else:
        data, about = pack(found.tensors, weights)
    c, h, w = x_CHW.shape
    return {
        "ops": found.ops,
        "tensors": about,
        "weights": base64.b64encode(data).decode(),
        "input": {"c": c, "h": h, "w": w},
        "x": x_CHW.flatten().tolist(),
        "off": list(off),
    }


@pytest.fixture
def compute(run_js: Callable[..., Any]) -> Callable[..., list[list[np.ndarray]]]:
    """Outputs of every operation of several networks, as the page computes them."""

    def run(nets: list[dict[str, Any]], *, plain: bool = False) -> list[list[np.ndarray]]:
        found = run_js("engine.js", FORWARD, {"nets": nets, "plain": plain}, (FOLDER,))
        assert {net["kind"] for net in found} == {"plain" if plain else "simd"}
        return [[np.array(out["data"], np.float32).reshape(out["shape"]) for out in net["outputs"]] for net in found]

    return run
