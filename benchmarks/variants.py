"""What makes a step of TinyAlexNet fast on this CPU, and what does not: variants of it, side by side.

    python benchmarks/variants.py [--batch-size 256] [--threads N] [--rounds 5] [--compile]

Every variant takes the same step on one fixed batch: forward, loss, backward, SGD with momentum. Rounds go through
all variants in turn, each for about a second, and medians are compared, so that what else the machine does meets all
alike. Writes benchmarks/results/variants.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet import models, runtime
from alexnet.files import write_json

RESULT = Path(__file__).parent / "results" / "variants.json"
Step = Callable[[], None]


def build(swap_pools: Callable[[], nn.Module] | None = None) -> nn.Module:
    model = models.create("tiny_alexnet", dropout=0.0)
    models.initialize(model, "kaiming", torch.Generator().manual_seed(0))
    if swap_pools is not None:
        model.features.pool1, model.features.pool3 = swap_pools(), swap_pools()
    return model.train()


def step_of(
    model: nn.Module,
    batch_size: int,
    *,
    bf16: bool = True,
    channels_last: bool = True,
    forward: Callable[[Tensor], Tensor] | None = None,
    fused: bool = True,
    whole: Callable[[Callable[..., Tensor]], Callable[..., Tensor]] = lambda f: f,
) -> Step:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model.to(memory_format=layout)
    generator = torch.Generator().manual_seed(0)
    x_NCHW = torch.randn(batch_size, 3, 32, 32, generator=generator).contiguous(memory_format=layout)
    x_NCHW = x_NCHW.bfloat16() if bf16 else x_NCHW
    y_N = torch.randint(10, (batch_size,), generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=fused)
    compute = forward or model

    def loss_of(x_NCHW: Tensor, y_N: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return F.cross_entropy(compute(x_NCHW).float(), y_N)

    loss_of = whole(loss_of)

    def step() -> None:
        loss_of(x_NCHW, y_N).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


class SlicePool(nn.Module):
    """2 x 2 max-pooling as the largest of four strided slices, with a backward pass that keeps no indices."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            parts = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
            top = torch.maximum(torch.maximum(parts[0], parts[1]), torch.maximum(parts[2], parts[3]))
            ctx.save_for_backward(x, top)
            return top

        @staticmethod
        def backward(ctx, gradient):
            x, top = ctx.saved_tensors
            out = torch.empty_like(x)
            for i in (0, 1):
                for j in (0, 1):
                    out[:, :, i::2, j::2] = torch.where(x[:, :, i::2, j::2] == top, gradient, 0)
            return out

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.Function.apply(x_NCHW)


class PhaseNet(nn.Module):
    """conv1 and pool1 as four convolutions of stride 2, whose answers are compared place by place."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x_NCHW: Tensor) -> Tensor:
        features, conv = self.model.features, self.model.features.conv1
        padded = F.pad(x_NCHW, (2, 2, 2, 2))
        side = x_NCHW.shape[2] + 3
        views = [padded[:, :, i : i + side, j : j + side] for i in (0, 1) for j in (0, 1)]
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
        a, b, c, d = (F.conv2d(view, conv.weight, conv.bias, stride=2) for view in views)
        maps_NCHW = torch.maximum(torch.maximum(a, b), torch.maximum(c, d))
        for layer in list(features)[2:]:
            maps_NCHW = layer(maps_NCHW)
        return self.model.classifier(maps_NCHW.flatten(1))


def plain_flatten(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x_NCHW: model.classifier(model.features(x_NCHW).flatten(1))


def variants(batch_size: int, with_compile: bool) -> dict[str, Step]:
    plain, phases = build(), build()
    steps = {
        "ours": step_of(build(), batch_size),
        "gradient of flatten in another layout": step_of(plain, batch_size, forward=plain_flatten(plain)),
        "optimiser not fused": step_of(build(), batch_size, fused=False),
        "bf16, NCHW": step_of(build(), batch_size, channels_last=False),
        "fp32, channels_last": step_of(build(), batch_size, bf16=False),
        "fp32, NCHW": step_of(build(), batch_size, bf16=False, channels_last=False),
        "pooling by slices": step_of(build(SlicePool), batch_size),
        "conv1 + pool1 as four strided convolutions": step_of(phases, batch_size, forward=PhaseNet(phases)),
    }
    if with_compile:
        steps["torch.compile"] = step_of(build(), batch_size, whole=torch.compile)
    return steps


def measure(steps: dict[str, Step], batch_size: int, rounds: int, seconds: float) -> dict[str, list[float]]:
    for step in steps.values():
        for _ in range(3):
            step()
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started, n = time.perf_counter(), 0
            while time.perf_counter() - started < seconds:
                step()
                n += 1
            rates[name].append(n * batch_size / (time.perf_counter() - started))
    return rates


def in_environment(changes: dict[str, str], arguments: list[str]) -> list[float]:
    """The rates of `ours` in a process of its own, for what must be set before torch is loaded."""
    command = [sys.executable, __file__, "--only-ours", *arguments]
    done = subprocess.run(command, env={**os.environ, **changes}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--compile", action="store_true", help="torch.compile too: half a minute, and a C++ compiler")
    parser.add_argument("--only-ours", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--return-memory", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.return_memory:
        torch.set_num_threads(given.threads)
        started = None
    else:
        started = runtime.start(device="cpu", threads=given.threads)
    if given.only_ours:
        rates = measure({"ours": step_of(build(), given.batch_size)}, given.batch_size, given.rounds, given.seconds)
        print(json.dumps(rates["ours"]))
        return
    rates = measure(variants(given.batch_size, given.compile), given.batch_size, given.rounds, given.seconds)
    arguments = [f"--batch-size={given.batch_size}", f"--threads={started.threads}", f"--rounds={given.rounds}"]
    rates["ours, a process of its own"] = in_environment({}, arguments)
    rates["memory given back after each step"] = in_environment({}, [*arguments, "--return-memory"])
    rates["idle threads spin (OMP_WAIT_POLICY=active)"] = in_environment({"OMP_WAIT_POLICY": "active"}, arguments)
    rates["threads bound to cores (OMP_PROC_BIND)"] = in_environment({"OMP_PROC_BIND": "true"}, arguments)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    write_json(
        RESULT,
        {
            "what": "images/s of one TinyAlexNet training step on a fixed batch",
            "batch_size": given.batch_size,
            "rounds": given.rounds,
            "environment": runtime.environment(started),
            "variants": {
                name: {"median": medians[name], "min": min(values), "max": max(values), "rates": values}
                for name, values in rates.items()
            },
        },
    )
    for name, median in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{median:8,.0f} images/s  {median / medians['ours']:.2f}  {name}")


if __name__ == "__main__":
    main()
