"""Load on the service: requests a second and latency, beside plain FastAPI with torch and LitServe, in one run.

    python benchmarks/serve.py --images FOLDER [--seconds S] [--rounds N] [--out benchmarks/results/serve.json]
    python benchmarks/serve.py --images FOLDER --soak MINUTES
    python benchmarks/serve.py --table      the result as a table in docs/serving.md

The client is wrk, with one thread, on the same machine and cores. Each service gets the same JPEG files of 32 px
(TinyAlexNet) or of 256 px (alexnet_2012), with 1, 8 and 64 connections that ask without pause; the services take
turns, `--rounds` times, and the middle round counts. Weights are random, as time does not depend on them; every
service runs the same network of this package, in the environment of this script where `--litserve` names no other
interpreter. The soak sends images, broken images and requests that break off, reads the process' memory and
descriptors each half minute, and compares the last third with the middle one.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_environments import NotInstallable, python_for, read_head
from PIL import Image, ImageOps

from alexnet import models, runtime, weights
from alexnet.card import ModelCard, Preprocessing
from alexnet.files import write_json
from alexnet.system import usable_cores

HERE = Path(__file__).parent
RESULT = HERE / "results" / "serve.json"
CLIENTS = (1, 8, 64)
IMAGES = 128
NETWORKS = {"tiny_alexnet": 32, "alexnet_2012": 256}


def make_weights(folder: Path) -> dict[str, Path]:
    """A file for each network, its values random."""
    made = {}
    for name in NETWORKS:
        facts = models.facts(name)
        model = models.create(name)
        classes = tuple(f"class {i}" for i in range(facts.native_classes))
        how = Preprocessing(
            image_px=facts.native_px,
            in_channels=facts.native_channels,
            mean=facts.mean,
            std=facts.std,
            resize_px=256 if facts.native_px > 200 else None,
        )
        made[name] = folder / f"{name}.safetensors"
        options = {"num_classes": facts.native_classes, "in_channels": facts.native_channels}
        options["image_px"] = facts.native_px
        weights.save(
            made[name], model, ModelCard(model=name, options=options, class_names=classes, preprocessing=how)
        )
    return made


def make_images(source: Path, side_px: int) -> list[bytes]:
    """The first images of `source` as JPEG files of one size."""
    import io

    files = sorted(file for file in source.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))[:IMAGES]
    if not files:
        raise SystemExit(f"no images in {source}")
    made = []
    for file in files:
        out = io.BytesIO()
        ImageOps.fit(Image.open(file).convert("RGB"), (side_px, side_px)).save(out, "JPEG", quality=90)
        made.append(out.getvalue())
    return made


def write_script(images: list[bytes], target: Path, *, as_json: bool) -> None:
    """A script for wrk that sends the images in turn."""
    folder = target.with_suffix("")
    folder.mkdir()
    for i, image in enumerate(images, start=1):
        body = json.dumps({"image": base64.b64encode(image).decode()}).encode() if as_json else image
        (folder / f"{i}").write_bytes(body)
    kind = "application/json" if as_json else "image/jpeg"
    target.write_text(
        f"""local requests, i = {{}}, 0
function init()
  for n = 1, {len(images)} do
    local file = io.open("{folder}/" .. n, "rb")
    requests[n] = wrk.format("POST", nil, {{["Content-Type"] = "{kind}"}}, file:read("*a"))
    file:close()
  end
end
function request()
  i = i % {len(images)} + 1
  return requests[i]
end
"""
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a process group of its own, which ends with the block."""
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(HERE.parent)}, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(240):
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=2):
                break
            time.sleep(0.25)
        else:
            raise RuntimeError("it was not ready within a minute")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wrk(url: str, script: Path, clients: int, seconds: float) -> dict[str, float]:
    """Requests a second and latency in ms; raises `RuntimeError` where a request failed."""
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{seconds:g}s",
        "--latency",
        "--timeout",
        "30s",
        "-s",
        str(script),
        url,
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if bad := re.search(r"(Non-2xx or 3xx responses|Socket errors).*", text):
        raise RuntimeError(bad[0])
    rate, count = re.search(r"Requests/sec:\s+([\d.]+)", text), re.search(r"(\d+) requests in", text)
    if rate is None or count is None:
        raise RuntimeError(text)
    return {
        "requests": int(count[1]),
        "requests_per_s": float(rate[1]),
        "p50_ms": _ms(text, "50%"),
        "p99_ms": _ms(text, "99%"),
    }


def cpu_s(group: int) -> float:
    """CPU time of all processes of a group."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            values = file.read_text().rpartition(")")[2].split()
            if int(values[2]) == group:
                ticks += int(values[11]) + int(values[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _ms(text: str, share: str) -> float:
    found = re.search(rf"^\s+{share}\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(text)
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found[2]]


def contenders(
    path: Path, args: argparse.Namespace, litserve: str | None
) -> dict[str, tuple[list[str], str, str, bool]]:
    """By name the command without its port, `{port}` in its place; the path; the path that is ready; JSON or not."""
    threads = str(args.threads)
    ours = [sys.executable, "-m", "alexnet", "serve", str(path), "--port", "{port}", "--threads", threads]
    plain = [sys.executable, str(HERE / "services" / "plain_fastapi.py"), str(path), "{port}"]
    found = {
        "alexnet serve": (ours, "/v1/predict", "/readyz", False),
        "alexnet serve, not batched": ([*ours, "--max-batch", "1"], "/v1/predict", "/readyz", False),
        "alexnet serve, ONNX Runtime": ([*ours, "--backend", "onnx"], "/v1/predict", "/readyz", False),
        "FastAPI + torch": ([*plain, threads, "inline"], "/predict", "/ready", False),
        "FastAPI + torch, in threads": ([*plain, threads, "threads"], "/predict", "/ready", False),
        "FastAPI + torch, channels_last": ([*plain, threads, "inline", "channels_last"], "/predict", "/ready", False),
    }
    if litserve is not None:
        script = [litserve, str(HERE / "services" / "lit_serve.py"), str(path), "{port}", threads]
        found["LitServe, batched"] = (
            [*script, "32" if "tiny" in path.name else "8", "0.005"],
            "/predict",
            "/health",
            True,
        )
        found["LitServe, not batched"] = ([*script, "1", "0"], "/predict", "/health", True)
    return found


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    made = make_weights(folder)
    try:
        litserve = args.litserve or python_for(read_head(HERE / "services" / "lit_serve.py"), HERE.parent / ".bench")
    except NotInstallable as reason:
        print(f"without LitServe: {reason}", file=sys.stderr)
        litserve = None
    result: dict[str, Any] = {}
    for network in args.networks:
        images = make_images(args.images, NETWORKS[network])
        scripts = {as_json: folder / f"{network}-{as_json}.lua" for as_json in (False, True)}
        for as_json, script in scripts.items():
            write_script(images, script, as_json=as_json)
        found = contenders(made[network], args, litserve)
        rounds: dict[str, dict[int, list[dict[str, float]]]] = {name: {n: [] for n in CLIENTS} for name in found}
        failures: dict[str, str] = {}
        for turn in range(args.rounds):
            for name, (command, path, ready, as_json) in found.items():
                port = free_port()
                words = [word.replace("{port}", str(port)) for word in command]
                url = f"http://127.0.0.1:{port}{path}"
                try:
                    with running(words, port, ready) as process:
                        wrk(url, scripts[as_json], 8, min(2, args.seconds))  # warm
                        for clients in CLIENTS:
                            before = cpu_s(process.pid)
                            figures = wrk(url, scripts[as_json], clients, args.seconds)
                            figures["cpu_ms"] = 1e3 * (cpu_s(process.pid) - before) / figures.pop("requests")
                            figures["load_average"] = os.getloadavg()[0]
                            rounds[name][clients].append(figures)
                            print(f"{network}, {name}, {clients} clients, round {turn + 1}: {figures}", flush=True)
                except RuntimeError as error:
                    failures[name] = str(error)
                    print(f"{network}, {name}: {error}", flush=True)
        result[network] = {
            name: {"failure": failures[name]}
            if name in failures
            else {str(n): {**_middle(rounds[name][n]), "rounds": rounds[name][n]} for n in CLIENTS}
            for name in found
        }
    return result


def _middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {
        key: statistics.median(each[key] for each in rounds)
        for key in ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms")
    }


def soak(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Load, with bad requests among the good, and what the process holds meanwhile."""
    path = make_weights(folder)["tiny_alexnet"]
    images = make_images(args.images, 32)
    images += [image[: len(image) // 2] for image in images[:8]] + [b"", b"not an image"]
    write_script(images, folder / "soak.lua", as_json=False)
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/predict"
    rows: list[dict[str, float]] = []
    began = time.monotonic()
    with running(
        [sys.executable, "-m", "alexnet", "serve", str(path), "--port", str(port)], port, "/readyz"
    ) as process:
        command = ["wrk", "-t1", "-c16", f"-d{60 * args.soak:g}s", "-s", str(folder / "soak.lua"), url]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while client.poll() is None:
            _break_off(port)
            rows.append({"minute": (time.monotonic() - began) / 60, **_held(process.pid)})
            if len(rows) % 10 == 1:
                os.kill(process.pid, signal.SIGHUP)  # the model anew, under load
            print(rows[-1], flush=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(min(30, 6 * args.soak))
        text = client.stdout.read() if client.stdout else ""
    third = max(1, len(rows) // 3)
    middle, last = rows[third : 2 * third] or rows, rows[-third:]
    growth = {key: max(r[key] for r in last) / max(r[key] for r in middle) - 1 for key in ("rss_mib", "descriptors")}
    total = re.search(r"(\d+) requests in", text)
    return {
        "minutes": args.soak,
        "requests": int(total[1]) if total else None,
        "growth": growth,
        "flat": all(value < 0.02 for value in growth.values()),
        "rows": rows,
    }


def _break_off(port: int) -> None:
    """A request whose body never comes whole."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf")


def _held(pid: int) -> dict[str, float]:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    threads = re.search(r"Threads:\s+(\d+)", status)
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return {
        "rss_mib": int(found[1]) / 1024 if found else 0.0,
        "descriptors": descriptors,
        "threads": int(threads[1]) if threads else 0,
    }


def table(result: dict[str, Any]) -> str:
    """The load as Markdown: requests a second, p50 / p99 in ms and CPU time, for each number of clients."""
    lines = []
    for network, load in result["load"].items():
        services = load["services"]
        lines += [f"`{network}`, requests/s (p50 / p99 in ms; CPU ms a request) with", ""]
        lines += ["| service | " + " | ".join(f"{n} client{'s' * (n > 1)}" for n in CLIENTS) + " |"]
        lines += ["|---" * (1 + len(CLIENTS)) + "|"]
        for name, figures in services.items():
            cells = [_cell(figures[str(n)]) if "failure" not in figures else figures["failure"] for n in CLIENTS]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(figures: dict[str, float]) -> str:
    rate, cpu = figures["requests_per_s"], figures["cpu_ms"]
    return f"{rate:,.{0 if rate >= 100 else 1}f} ({figures['p50_ms']:,.0f} / {figures['p99_ms']:,.0f}; {cpu:,.2g})"


def write_table(result: dict[str, Any]) -> None:
    path = HERE.parent / "docs" / "serving.md"
    head, _, rest = path.read_text(encoding="utf-8").partition("<!-- load -->\n")
    _, _, tail = rest.partition("<!-- end -->")
    path.write_text(f"{head}<!-- load -->\n{table(result)}<!-- end -->{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of torch, in every service")
    parser.add_argument("--litserve", help="interpreter that has litserve; default: one is installed")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        write_table(json.loads(args.out.read_text()))
        return
    if args.images is None:
        parser.error("name a folder with --images")
    if shutil.which("wrk") is None:
        raise SystemExit("this takes wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        values = soak(args, Path(name)) if args.soak else measure(args, Path(name))
    environment = runtime.environment(runtime.choose("cpu", "fp32"))
    wrk_version = subprocess.run(["wrk", "--version"], capture_output=True, text=True).stdout.split()[1:2]
    command = [
        "python",
        "benchmarks/serve.py",
        *("FOLDER" if word.startswith("/") else word for word in sys.argv[1:]),
    ]
    how = {
        "command": " ".join(command),
        "environment": {**environment, "wrk": wrk_version[0] if wrk_version else None},
        "load_average": os.getloadavg(),
    }
    result = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.soak:
        result["soak"] = {**how, **values}
    else:  # networks that are not measured now keep their figures of before
        measured = {"threads": args.threads, "seconds": args.seconds, "rounds": args.rounds}
        result.setdefault("load", {}).update({n: {**how, **measured, "services": values[n]} for n in values})
    write_json(args.out, result)


if __name__ == "__main__":
    main()
