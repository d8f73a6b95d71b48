"""The command itself: signals, exit statuses and what it refuses to start with."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alexnet import models, weights

Serve = Callable[..., tuple[subprocess.Popen[str], int]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts `alexnet serve` and waits until it says that it answers."""
    processes = []

    def run(*words: object) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-m", "alexnet", "serve", *map(str, words), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"at http://127\.0\.0\.1:(\d+)/", line)
        assert found, process.communicate()
        return process, int(found[1])

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def refused(*words: object, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "alexnet", "serve", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_refused(tiny_file, tmp_path):
    assert "--token" in refused(tiny_file, "--host", "0.0.0.0")
    assert "16 or more" in refused(tiny_file, "--host", "0.0.0.0", env={"ALEXNET_TOKEN": "short"})
    assert "drop it" in refused(tiny_file, "--insecure")
    assert "there is no model nothing" in refused("nothing")
    assert "two models are called tiny" in refused(tiny_file, tiny_file)
    assert "go together" in refused(tiny_file, "--data", tmp_path)
    assert "--max-images must be 1 or more" in refused(tiny_file, "--max-images", 0)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x80\x04cos\nsystem\n")
    assert "broken.safetensors" in refused(broken, "--port", 0)


def test_a_token_lets_a_proxy_use_another_name(serve, tiny_file):
    for words, status in (((), 421), (("--token", "a-token-of-some-length"), 200)):
        _, port = serve(tiny_file, *words)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/healthz", headers={"Host": "photos.example"})
        assert connection.getresponse().status == status
        connection.close()


def test_a_port_in_use(serve, tiny_file):
    _, port = serve(tiny_file)
    assert f"port {port} is in use" in refused(tiny_file, "--port", port)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_what_is_under_way_is_finished_before_the_end(serve, tiny_file, photo):
    process, port = serve(tiny_file)
    # A request whose body comes slowly is under way when the signal arrives.
    data = photo()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/v1/predict")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data[:100])
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset, by system
        ask(port, "GET", "/healthz")
    connection.send(data[100:])
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["predictions"][0]["error"] is None
    connection.close()
    assert process.wait(30) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals")
def test_a_new_model_is_taken_without_dropping_a_request(serve, tiny_file, tmp_path, photo):
    import torch

    file = tmp_path / "net.safetensors"
    shutil.copy(tiny_file, file)
    process, port = serve(file)

    def answer() -> tuple[float, ...]:
        """Rounded: the last digits depend on what else is in a batch."""
        classes = json.loads(ask(port, "POST", "/v1/predict", photo())[1])["predictions"][0]["classes"]
        return tuple(round(each["probability"], 4) for each in classes)

    first = answer()
    statuses, answers, stop = [], set(), threading.Event()

    def load() -> None:
        while not stop.is_set():
            status, body = ask(port, "POST", "/v1/predict", photo())
            statuses.append(status)
            answers.add(json.loads(body)["predictions"][0]["classes"][0]["probability"])

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    torch.manual_seed(7)
    _, card = weights.load(file)
    part = tmp_path / "part.safetensors"
    weights.save(part, models.create("tiny_alexnet"), card)
    part.replace(file)
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while answer() == first and time.monotonic() < deadline:
        time.sleep(0.05)
    second = answer()
    assert second != first
    # A file that cannot be read leaves everything as it is.
    Path(file).write_bytes(b"broken")
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert ask(port, "GET", "/readyz")[0] == 200
    assert answer() == second
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert len(statuses) > 20
    assert len({round(p, 4) for p in answers}) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert "the models stay as they are" in process.stderr.read()


def test_ports_open_before_models_are_loaded(tiny_file, photo):
    """`/healthz` answers while `/readyz` does not yet."""
    import asyncio

    from alexnet.serving import Application, Settings, read_sources

    async def run() -> None:
        application = Application(read_sources([str(tiny_file)]), Settings(), only_local=True)
        for path, status in (("/healthz", 200), ("/readyz", 503), ("/v2/models/tiny/ready", 503)):
            seen = []

            async def send(message, seen=seen):
                seen.append(message)

            async def receive():
                return {"type": "http.request", "body": b"", "more_body": False}

            scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
            await application(scope, receive, send)
            assert seen[0]["status"] == status

    asyncio.run(run())
