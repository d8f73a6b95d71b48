"""What must not come in is answered with a problem document, and the service goes on."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
import sys
import threading
import time
import zlib

import pytest
from PIL import Image


def check_problem(answer, status: int, code: str) -> dict:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    values = answer.json()
    assert values["status"] == status
    assert values["type"] == f"urn:alexnet:problem:{code}"
    assert values["detail"]
    assert values["title"]
    return values


@pytest.fixture(autouse=True)
def goes_on(service, photo):
    """After each test the service answers, and holds nothing of what it refused."""
    yield
    assert service.ask("POST", "/v1/predict", photo()).status == 200
    assert service.application.service.memory.used_bytes == 0
    assert service.application.service.models.get("small").waiting == 0


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few kB that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


BAD = {
    "empty": (b"", 400, "empty-image"),
    "text": (b"hello", 415, "not-an-image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 415, "not-an-image"),
    "page": (b"<!DOCTYPE html><html></html>", 415, "not-an-image"),
    "pdf": (b"%PDF-1.7\n" + b"x" * 2000, 415, "not-an-image"),
    "pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", 415, "not-an-image"),
    "zeros": (bytes(5000), 415, "not-an-image"),
    "png bomb": (png_bomb(30_000, 30_000), 413, "too-many-pixels"),
    "larger than decoders take": (png_bomb(60_000, 60_000), 413, "too-many-pixels"),
    "short png": (png_bomb(1000, 1000), 422, "broken-image"),
    "jpeg head": (b"\xff\xd8\xff\xe0\x00\x10JFIF", 422, "broken-image"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_images(service, name):
    data, status, code = BAD[name]
    check_problem(service.ask("POST", "/v1/predict", data), status, code)


def test_half_a_file(service, photo):
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        check_problem(service.ask("POST", "/v1/predict", half(photo(1, (300, 300), kind))), 422, "broken-image")


def test_many_pixels_in_a_small_file(service, photo):
    out = io.BytesIO()
    Image.new("RGB", (2001, 2000)).save(out, "JPEG")
    values = check_problem(service.ask("POST", "/v1/predict", out.getvalue()), 413, "too-many-pixels")
    assert "2001 x 2000" in values["detail"]


def test_too_many_bytes(service):
    for size in (2**21 + 1, 50 * 2**20):  # sent to its end, so that the answer is read
        values = check_problem(service.ask("POST", "/v1/predict", bytes(size)), 413, "too-large")
        assert "2 MiB" in values["detail"]
    # Said in the head alone, it is refused before it is sent; without a length, while it comes.
    with socket.create_connection(("127.0.0.1", service.port), 10) as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 52428800\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", service.port), 10) as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
        for _ in range(2):
            sock.sendall(chunk)
        sock.sendall(b"1\r\nx\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")


def test_too_many_images(service, photo):
    parts = [("image", f"{i}.jpg", photo(i)) for i in range(5)]
    check_problem(service.post_form("/v1/predict", parts), 413, "too-many-images")
    check_problem(service.post_json("/v1/predict", {"images": ["x"] * 5}), 413, "too-many-images")
    tensor = {"name": "image", "shape": [5, 1, 1], "datatype": "UINT8", "data": [0] * 5}
    check_problem(service.post_json("/v2/models/small/infer", {"inputs": [tensor]}), 413, "too-many-images")


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xml", "video/mp4", "nonsense"])
def test_other_content_types(service, photo, kind):
    check_problem(service.ask("POST", "/v1/predict", photo(), {"Content-Type": kind}), 415, "content-type")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model=nothing", 404, "unknown-model"),
        ("model=../../etc/passwd", 404, "unknown-model"),
        ("top=0", 422, "bad-value"),
        ("top=x", 422, "bad-value"),
        ("top=1e999", 422, "bad-value"),
        ("top=" + "9" * 5000, 422, "bad-value"),
        ("accept=nan", 422, "bad-value"),
        ("accept=1.5", 422, "bad-value"),
        ("accept=", 422, "bad-value"),
        ("colour=red", 422, "unknown-option"),
        ("top=1&top=2", 422, "bad-value"),
    ],
)
def test_options(service, photo, query, status, code):
    check_problem(service.ask("POST", f"/v1/predict?{query}", photo()), status, code)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad-json"),
        (b"\xff\xfe", 400, "bad-json"),
        (b"[" * 100_000, 400, "bad-json"),
        (b"[]", 422, "bad-json"),
        (b"{}", 422, "bad-json"),
        (b'{"image": 7}', 422, "bad-base64"),
        (b'{"image": null}', 422, "bad-base64"),
        (b'{"image": "***"}', 422, "bad-base64"),
        (b'{"image": "\xc3\xa9"}', 422, "bad-base64"),
        (b'{"image": ""}', 400, "empty-image"),
        (b'{"image": "aGVsbG8="}', 415, "not-an-image"),
        (b'{"images": []}', 422, "bad-json"),
        (b'{"images": [], "image": ""}', 422, "bad-json"),
        (b'{"image": "", "top": true}', 422, "bad-value"),
        (b'{"image": "", "top": NaN}', 422, "bad-value"),
        (b'{"image": "", "model": 3}', 422, "bad-value"),
        (b'{"image": "", "extra": 3}', 422, "unknown-option"),
        (b'{"image": {"data": "", "path": "/etc/passwd"}}', 422, "bad-json"),
    ],
)
def test_json(service, body, status, code):
    answer = service.ask("POST", "/v1/predict", body, {"Content-Type": "application/json"})
    check_problem(answer, status, code)


def test_forms(service, photo):
    form = {"Content-Type": "multipart/form-data; boundary=XX"}
    check_problem(service.ask("POST", "/v1/predict", b"", {"Content-Type": "multipart/form-data"}), 400, "bad-form")
    check_problem(service.ask("POST", "/v1/predict", b"", form), 400, "bad-form")
    check_problem(service.ask("POST", "/v1/predict", b"nothing of a form", form), 400, "bad-form")
    check_problem(service.ask("POST", "/v1/predict", b"--XX--\r\n", form), 422, "no-image")
    part = b'--XX\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    check_problem(service.ask("POST", "/v1/predict", part + half(photo()), form), 400, "bad-form")
    check_problem(service.ask("POST", "/v1/predict", b"--XX\r\n\r\nx\r\n--XX--\r\n", form), 400, "bad-form")
    check_problem(service.post_form("/v1/predict", [("image", None, b"x")]), 422, "unknown-option")
    answer = service.post_form("/v1/predict", [("image", "../../\x01etc", b"x")])
    check_problem(answer, 415, "not-an-image")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"datatype": "FP32"},
        {"datatype": None},
        {"shape": [1, 2, 2, 4], "data": [0] * 16},
        {"shape": [0, 2, 2]},
        {"shape": [-1, 2, 2]},
        {"shape": [True, 2, 2]},
        {"shape": "1"},
        {"shape": [1, 10**12, 10**12]},
        {"data": [0, 1, 2]},
        {"data": [0, 1, 2, 256]},
        {"data": [0, 1, 2, -1]},
        {"data": [0, 1, 2, 0.5]},
        {"data": [0, 1, 2, 10**30]},
        {"data": [0, 1, [2], 3]},
        {"data": ["a", "b", "c", "d"]},
        {"data": ["a" * 1_000_000] + [0] * 200_000},
        {"data": [{}, [], None, 1]},
        {"data": None},
    ],
)
def test_inference_protocol(service, change):
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "UINT8", "data": [0, 1, 2, 3]}
    assert service.post_json("/v2/models/small/infer", {"inputs": [tensor]}).status == 200
    answer = service.post_json("/v2/models/small/infer", {"inputs": [{**tensor, **change}]})
    values = check_problem(answer, 400, "bad-inference-request")
    assert values["error"] == values["detail"]  # as the protocol has it


def test_inference_requests(service):
    for asked in ([], {}, {"inputs": []}, {"inputs": [7]}, {"id": 7, "inputs": [{}]}):
        answer = service.post_json("/v2/models/small/infer", asked)
        check_problem(answer, 400, "bad-inference-request")
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["AAAA"]}
    asked = {"inputs": [tensor], "outputs": [{"name": "logits"}]}
    check_problem(service.post_json("/v2/models/small/infer", asked), 400, "bad-inference-request")
    check_problem(service.post_json("/v2/models/small/infer", {"inputs": [tensor]}), 415, "not-an-image")
    check_problem(service.post_json("/v2/models/none/infer", {"inputs": [tensor]}), 404, "unknown-model")
    answer = service.ask("POST", "/v2/models/small/infer", b"x", {"Content-Type": "application/octet-stream"})
    check_problem(answer, 415, "content-type")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/page/../../../../etc/passwd", "/page/..%2f..%2fsettings.py", "/page/settings.py", "/v1/", "//etc"],
)
def test_other_paths(service, path):
    check_problem(service.ask("GET", path), 404, "http")


def test_other_methods(service):
    answer = service.ask("DELETE", "/v1/predict")
    check_problem(answer, 405, "http")
    assert "POST" in answer.headers["allow"]


def test_every_answer_has_the_security_headers(service, photo):
    for answer in (
        service.ask("GET", "/"),
        service.ask("POST", "/v1/predict", photo()),
        service.ask("GET", "/nothing"),
    ):
        csp = answer.headers["content-security-policy"]
        assert "default-src 'none'" in csp
        assert "script-src 'self'" in csp
        assert "unsafe" not in csp
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_pages_of_others(service, photo):
    other = {"Origin": "https://evil.example"}
    check_problem(service.ask("POST", "/v1/predict", photo(), other), 403, "other-origin")
    check_problem(service.ask("POST", "/v1/predict", photo(), {"Origin": "null"}), 403, "other-origin")
    own = {"Origin": f"http://127.0.0.1:{service.port}"}
    assert service.ask("POST", "/v1/predict", photo(), own).status == 200
    # A name of another that points here: DNS rebinding.
    check_problem(service.ask("GET", "/v1/models", headers={"Host": "evil.example"}), 421, "other-host")


def test_reload_takes_a_token(service):
    check_problem(service.ask("POST", "/v1/reload"), 403, "no-token")


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def test_a_slow_upload_is_ended(service):
    with socket.create_connection(("127.0.0.1", service.port), 20) as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "urn:alexnet:problem:slow-upload"


def test_a_slow_head_is_ended(service):
    for begin in (b"", b"POST /v1/pre"):
        with socket.create_connection(("127.0.0.1", service.port), 20) as sock:
            sock.sendall(begin)
            assert read_all(sock) == b""


def test_without_httptools(start, tiny_file, photo, monkeypatch):
    """The same holds with uvicorn's other parser, h11."""
    import uvicorn.protocols.http as protocols

    monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)
    monkeypatch.delattr(protocols, "httptools_impl", raising=False)
    plain = start(str(tiny_file), upload_s=1)
    assert plain.ask("POST", "/v1/predict", photo()).status == 200
    with socket.create_connection(("127.0.0.1", plain.port), 20) as sock:
        sock.sendall(b"POST /v1/pre")
        assert read_all(sock) == b""
    with socket.create_connection(("127.0.0.1", plain.port), 20) as sock:
        sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_half_an_upload(service, photo):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port), 20) as sock:
            sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
    deadline = time.monotonic() + 20
    while service.application.service.memory.used_bytes and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_token_opens(start, tiny_file, photo):
    token = "a-token-of-some-length"
    closed = start(str(tiny_file), token=token)
    for path, method in (("/v1/predict", "POST"), ("/v1/models", "GET"), ("/metrics", "GET"), ("/v2", "GET")):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            answer = closed.ask(method, path, photo() if method == "POST" else None, headers)
            check_problem(answer, 401, "token")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        right = {"Authorization": f"Bearer {token}"}
        assert closed.ask(method, path, photo() if method == "POST" else None, right).status == 200
    check_problem(closed.ask("POST", "/v1/predict", photo(), {"Authorization": "Bearer caf\xe9"}), 401, "token")
    for path in ("/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
        assert closed.ask("GET", path).status == 200
    assert closed.ask("POST", "/v1/reload", headers={"Authorization": f"Bearer {token}"}).status == 200
    check_problem(closed.ask("POST", "/v1/reload"), 401, "token")


def slow_down(running, model: str, seconds: float):
    """Make each batch take so long."""
    engine = running.application.service.models.get(model).engine
    compute = engine._backend

    def slow(x_NHWC):
        time.sleep(seconds)
        return compute(x_NHWC)

    engine._backend = slow


def together(count: int, ask) -> list:
    answers: list = [None] * count

    def one(i: int) -> None:
        answers[i] = ask(i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_more_than_may_wait(start, tiny_file, photo):
    busy = start(str(tiny_file), max_waiting=3, max_batch=1)
    slow_down(busy, "tiny", 0.3)
    answers = together(8, lambda i: busy.ask("POST", "/v1/predict", photo(i)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses.count(200) >= 3
    assert set(statuses) == {200, 429}
    refused = next(answer for answer in answers if answer.status == 429)
    check_problem(refused, 429, "busy")
    assert refused.headers["retry-after"] == "1"


def test_more_requests_than_may_be_under_way(start, tiny_file, photo):
    busy = start(str(tiny_file), max_requests=2)
    slow_down(busy, "tiny", 0.3)
    answers = together(6, lambda i: busy.ask("POST", "/v1/predict", photo(i)))
    assert {answer.status for answer in answers} == {200, 429}
    assert busy.ask("GET", "/healthz").status == 200


def test_more_memory_than_there_is_for_requests(start, tiny_file):
    small = start(str(tiny_file), max_body_mib=1, max_memory_mib=1, upload_s=5)
    with socket.create_connection(("127.0.0.1", small.port), 20) as sock:
        sock.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + bytes(900_000)
        )
        deadline = time.monotonic() + 20
        while small.application.service.memory.used_bytes < 900_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        check_problem(small.ask("POST", "/v1/predict", bytes(500_000)), 429, "busy")


def test_an_answer_that_takes_too_long(start, tiny_file, photo):
    slow = start(str(tiny_file), answer_s=0.2)
    slow_down(slow, "tiny", 0.6)
    check_problem(slow.ask("POST", "/v1/predict", photo()), 503, "too-slow")


def test_an_answer_is_of_the_model_that_gave_it(start, tiny_file, photo):
    """Also where another, with other classes, has taken its place meanwhile."""
    running = start(str(tiny_file))
    slow_down(running, "tiny", 1.0)
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "UINT8", "data": [0, 1, 2, 3]}
    answers: list = []
    threads = [
        threading.Thread(target=lambda: answers.append(running.ask("POST", "/v1/predict", photo()))),
        threading.Thread(
            target=lambda: answers.append(running.post_json("/v2/models/tiny/infer", {"inputs": [tensor]}))
        ),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    replaced = asyncio.run_coroutine_threadsafe(
        running.application.service.models.replace("tiny", "lenet_fashion"), running.loop
    )
    replaced.result(60)
    assert len(running.ask("GET", "/v1/models").json()["models"][0]["classes"]) == 10
    assert "dress" in running.ask("POST", "/v1/predict?top=10", photo()).body.decode().lower()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    predictions = next(answer.json()["predictions"] for answer in answers if b"predictions" in answer.body)
    assert {each["name"] for each in predictions[0]["classes"]} <= set("abcdefghij")
    outputs = next(answer.json()["outputs"] for answer in answers if b"outputs" in answer.body)
    assert outputs[1]["data"][0] in set("abcdefghij")


def test_one_image_that_fails_is_not_its_neighbours_matter(start, tiny_file, photo, caplog):
    running = start(str(tiny_file))
    engine = running.application.service.models.get("tiny").engine
    compute = engine._backend
    mark = engine.read(photo(2), "x")

    def picky(x_NHWC):
        if any((image == mark).all() for image in x_NHWC):
            raise RuntimeError("this one")
        return compute(x_NHWC)

    engine._backend = picky
    parts = [("image", f"{i}.jpg", photo(i)) for i in range(4)]
    answer = running.post_form("/v1/predict", parts)
    assert answer.status == 207
    assert [p["error"] is None for p in answer.json()["predictions"]] == [True, True, False, True]
    assert running.ask("POST", "/v1/predict", photo(2)).status == 500
    assert "this one" in caplog.text
