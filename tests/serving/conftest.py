"""Services on sockets of their own, and a client that knows nothing of them."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from alexnet import models, weights
from alexnet import runtime as runtimes
from alexnet.card import ModelCard, Preprocessing
from alexnet.serving import Application, Settings, read_sources
from alexnet.serving.server import listen, make_server


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A service, and the loop it runs on."""

    application: Application
    port: int
    loop: asyncio.AbstractEventLoop

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post_json(self, path: str, values: Any, headers: dict[str, str] | None = None) -> Answer:
        return self.ask(
            "POST", path, json.dumps(values).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def post_form(self, path: str, parts: list[tuple[str, str | None, bytes]]) -> Answer:
        body = b""
        for name, filename, data in parts:
            file = f'; filename="{filename}"' if filename is not None else ""
            body += f'--XX\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
        return self.ask("POST", path, body + b"--XX--\r\n", {"Content-Type": "multipart/form-data; boundary=XX"})


Start = Callable[..., Running]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Starts a service of models with settings; all of them end with the tests."""
    stops: list[Callable[[], None]] = []

    def run(*words: str, **settings: Any) -> Running:
        made, limits = listen("127.0.0.1", 0), Settings(**settings)
        application = Application(read_sources(words), limits)
        server = make_server(application, limits)
        loop = asyncio.new_event_loop()

        def serve() -> None:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(server.serve(sockets=[made]))
            loop.close()

        thread = threading.Thread(target=serve)
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(60)
            made.close()
            assert not thread.is_alive()

        stops.append(stop)
        running = Running(application, made.getsockname()[1], loop)
        for _ in range(1200):
            if running.ask("GET", "/readyz").status == 200:
                return running
            assert thread.is_alive()
            time.sleep(0.05)
        raise AssertionError("the service is not ready within a minute")

    yield run
    for stop in stops:
        stop()


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TinyAlexNet with random weights, not calibrated."""
    import torch

    torch.manual_seed(0)
    how = Preprocessing(image_px=32, in_channels=3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    classes = tuple("abcdefghij")
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    card = ModelCard(model="tiny_alexnet", options={}, class_names=classes, preprocessing=how)
    weights.save(path, models.create("tiny_alexnet"), card)
    return path


@pytest.fixture(scope="session")
def calibrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network whose calibration withholds some answers: half of the pictures of these tests lie too far."""
    import torch

    from alexnet.data import Images
    from alexnet.evaluation import calibrate

    torch.manual_seed(1)
    how = Preprocessing(image_px=32, in_channels=3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    model = models.create("tiny_alexnet").eval()
    for parameter in model.parameters():
        parameter.data.mul_(1.6)  # so that probabilities differ
    pixels = [np.asarray(Image.open(io.BytesIO(photo(100 + i, (32, 32), "PNG")))) for i in range(80)]
    images = Images(torch.from_numpy(np.stack(pixels)), torch.arange(80) % 10)
    runtime = runtimes.choose("cpu", "fp32")
    log_p_NK, features_ND = calibrate.score(model, images, how, runtime)
    fitted = calibrate.fit(model, images, images, how, runtime)
    assert fitted is not None
    assert features_ND is not None
    p_N = log_p_NK.div(fitted.temperature).softmax(1).amax(1)
    middle = float(p_N.median())
    distances = calibrate.means_of(fitted).distance(features_ND)
    coverage = ((middle, 0.5, 0.96), (0.0, 1.0, 0.5))
    fitted = replace(fitted, coverage=coverage, limit=float(distances.quantile(0.7)))
    path = tmp_path_factory.mktemp("weights") / "calibrated.safetensors"
    classes = tuple(f"class {i}" for i in range(10))
    card = ModelCard(model="tiny_alexnet", options={}, class_names=classes, preprocessing=how, calibration=fitted)
    weights.save(path, model, card)
    return path


@pytest.fixture(scope="session")
def service(start: Start, tiny_file: Path, calibrated_file: Path) -> Running:
    """`small`, a network that is not calibrated and one that is, with small limits."""
    return start(
        "small",
        f"tiny={tiny_file}",
        str(calibrated_file),
        max_body_mib=2,
        max_megapixels=4,
        max_images=4,
        upload_s=1.5,
    )


def photo(seed: int = 0, size: tuple[int, int] = (90, 70), kind: str = "JPEG", **options: Any) -> bytes:
    """A smooth picture as a file."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(name="photo", scope="session")
def photo_fixture() -> Callable[..., bytes]:
    return photo
