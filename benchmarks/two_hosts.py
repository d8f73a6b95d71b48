"""Two hosts that train together, made on one machine: network namespaces joined by a virtual cable.

    sudo python benchmarks/two_hosts.py [--out benchmarks/results/two_hosts.json]

Each host is a namespace with a name and an address of its own; they see each other alone, and no other network. On
each, torchrun starts one process, and these meet over the cable. The run is held against one process on the same
recipe: the losses of every epoch, and the weights; and against one process that computes each batch in two parts, as
the hosts do, which shows how far rounding alone goes. The bytes on the cable are counted. Needs root and iproute2;
the namespaces are removed at the end, whatever happens.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from alexnet import runtime
from alexnet.files import write_json

HOSTS = {"alexnet-a": "10.213.0.1", "alexnet-b": "10.213.0.2"}
CABLE = "cable0"
OF_HOSTS = Path("/etc/netns")  # what lies here in a namespace's folder replaces files of /etc in it
ALONE = {"one_process": ["--accumulate-steps", "1"], "one_process_in_two_parts": ["--accumulate-steps", "2"]}
FLAGS = [
    *("digits", "--model.name", "tiny_alexnet", "--model.dropout", "0", "--image-px", "32", "--batch-size", "100"),
    *("--optimizer.lr", "0.01", "--epochs", "3", "--precision", "fp32", "--threads", "1", "--device", "cpu"),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def two_hosts() -> Iterator[None]:
    a, b = HOSTS
    try:
        known = "127.0.0.1 localhost\n" + "".join(f"{address} {host}\n" for host, address in HOSTS.items())
        for host in HOSTS:
            ip("netns", "add", host)
            (OF_HOSTS / host).mkdir(parents=True)
            (OF_HOSTS / host / "hosts").write_text(known)
        ip("-n", a, "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", b)
        for host, address in HOSTS.items():
            ip("-n", host, "address", "add", f"{address}/24", "dev", CABLE)
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", host, "link", "set", CABLE, "up")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)
            shutil.rmtree(OF_HOSTS / host, ignore_errors=True)


def on_host(host: str, command: list[str]) -> subprocess.Popen[bytes]:
    """Start `command` in a namespace, under the host's own name."""
    script = 'hostname "$0" && exec "$@"'
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": CABLE, "OMP_NUM_THREADS": "1"}
    words = ["ip", "netns", "exec", host, "unshare", "--uts", "sh", "-c", script, host, *command]
    return subprocess.Popen(words, env=environment)


def torchrun(host: str) -> list[str]:
    first = next(iter(HOSTS.values()))
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first}:29400", "--rdzv-id", "two_hosts"),
        *("--local-addr", HOSTS[host], "-m", "alexnet", "train"),
    ]


def bytes_on_cable() -> int:
    """Bytes that host a has sent and received."""
    counted = subprocess.run(
        ["ip", "-n", next(iter(HOSTS)), "-s", "-j", "link", "show", CABLE], check=True, capture_output=True
    )
    stats = json.loads(counted.stdout)[0]["stats64"]
    return int(stats["rx"]["bytes"]) + int(stats["tx"]["bytes"])


def train_together(run: Path) -> int:
    """Train on both hosts; returns the bytes that went over the cable."""
    with two_hosts():
        before = bytes_on_cable()
        processes = [on_host(host, [*torchrun(host), *FLAGS, "--out", str(run)]) for host in HOSTS]
        try:
            statuses = [process.wait(600) for process in processes]
        finally:
            for process in processes:
                process.terminate()
        if any(statuses):
            sys.exit(f"the hosts ended with {statuses}")
        return bytes_on_cable() - before


def figures(run: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    return {
        "train_loss": [row["train_loss"] for row in rows],
        "val_top1": [row["val_top1"] for row in rows],
        **{name: result[name] for name in ("test_top1", "test_loss", "n_test", "params")},
    }


def apart(run: Path, other: Path) -> dict[str, float]:
    """The largest differences between two runs."""
    losses = (figures(own)["train_loss"] for own in (run, other))
    weights, theirs = (load_file(own / "model.safetensors") for own in (run, other))
    return {
        "loss_relative": max(abs(a / b - 1) for a, b in zip(*losses, strict=True)),
        "weight": max(float((weights[name] - theirs[name]).abs().max()) for name in theirs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        sys.exit("network namespaces need root and iproute2")
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: Path(folder) / name for name in ("two_hosts", *ALONE)}
        for name, flags in ALONE.items():
            train = [sys.executable, "-m", "alexnet", "train", *FLAGS, *flags, "--out", str(runs[name])]
            subprocess.run(train, check=True)
        moved = train_together(runs["two_hosts"])
        found = {name: figures(run) for name, run in runs.items()}
        differences = {name: apart(runs["two_hosts"], runs[name]) for name in ALONE}
        differences["by rounding alone"] = apart(*(runs[name] for name in ALONE))
        n_train = json.loads((runs["two_hosts"] / "recipe.json").read_text())["data"]["n_train"]
    steps = 3 * -(-n_train // 100)
    result = {
        "environment": runtime.environment(runtime.start("cpu", "fp32", 1)),
        "command": " ".join(["torchrun --nnodes 2 --nproc-per-node 1 ... -m alexnet train", *FLAGS]),
        "n": 1,
        "runs": found,
        "largest_differences": differences,
        "bytes_on_cable": moved,
        "gradient_bytes": steps * 2 * 4 * found["two_hosts"]["params"],  # each host sends all of them once a step
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
