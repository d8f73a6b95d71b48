"""The page in a browser: every way in, many at once, labels, languages, and no complaint of its security policy."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alexnet import web

pytest.importorskip("playwright")
CHROMIUM = os.environ.get("ALEXNET_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)

ENGLISH, CHINESE = (web.words(("serve", "answer", "page", "input"))[code] for code in web.LANGUAGES)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(chromium) -> Iterator[Any]:
    """An English page that must not have complained, nor asked anyone but the service."""
    context = chromium.new_context(locale="en-GB", permissions=["camera", "clipboard-read", "clipboard-write"])
    context.set_default_timeout(300_000)
    tab = context.new_page()
    complaints, asked = [], []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.complaints = complaints
    yield tab
    context.close()
    # A status of 4xx is an answer; what else the console has is a fault of the page.
    assert [text for text in complaints if "status of 4" not in text] == []
    assert all(url.startswith(("http://127.0.0.1:", "blob:", "data:")) for url in asked), asked


def open_page(tab, running, path: str = "/"):
    tab.goto(f"http://127.0.0.1:{running.port}{path}")
    tab.wait_for_selector("html[data-ready]")


def until(tab, expression: str, argument: Any = None, timeout_s: float = 300):
    """Wait for it from outside, as the page's policy forbids to evaluate text within."""
    deadline = time.monotonic() + timeout_s
    while not tab.evaluate(expression, argument):
        assert time.monotonic() < deadline, expression
        tab.wait_for_timeout(30)


def give(tab, *files: tuple[str, bytes]):
    tab.set_input_files("#file", [{"name": n, "mimeType": "image/jpeg", "buffer": data} for n, data in files])


def transfer(tab, kind: str, files: list[tuple[str, bytes]]):
    """A drop or a paste of files."""
    tab.evaluate(
        """([kind, files]) => {
            const data = new DataTransfer();
            for (const [name, bytes] of files) {
                data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
            }
            const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
            document.querySelector("#zone").dispatchEvent(event);
        }""",
        [kind, [[name, list(data)] for name, data in files]],
    )


def expected(running, data: bytes, model: str = "small") -> dict:
    return running.ask("POST", f"/v1/predict?model={model}", data).json()["predictions"][0]


def test_choose_drop_and_paste(tab, service, photo):
    open_page(tab, service)
    assert tab.text_content("h1") == ENGLISH["serve.title"]
    for i, kind in enumerate(("choose", "drop", "paste")):
        data = photo(20 + i)
        if kind == "choose":
            give(tab, (f"{kind}.jpg", data))
        else:
            transfer(tab, kind, [(f"{kind}.jpg", data)])
        wanted = expected(service, data)
        until(tab, "name => document.querySelector('#source').textContent === name", f"{kind}.jpg")
        tab.wait_for_selector("#bars li")
        assert tab.text_content("#verdict") == wanted["answer"].replace("_", " ")
        shares = tab.locator("#bars .share").all_text_contents()
        assert shares == [
            f"{100 * c['probability']:.1f}%" if c["probability"] >= 0.001 else "<0.1%" for c in wanted["classes"]
        ]
        assert tab.locator("#image").is_visible()
        assert tab.evaluate("document.querySelector('#image').naturalWidth") == 90


def test_models_and_withheld_answers(tab, service, photo):
    open_page(tab, service)
    give(tab, ("a.jpg", photo(1)))
    tab.wait_for_selector("#bars li")
    assert tab.locator("#model option").all_text_contents() == ["small", "tiny", "calibrated"]
    by_answer = {expected(service, photo(i), "calibrated")["answer"]: i for i in range(16)}
    tab.select_option("#model", "calibrated")
    until(tab, "document.querySelector('#bars .name').textContent.startsWith('class ')")
    for answer in ("unsure", "none"):
        give(tab, (f"{answer}.jpg", photo(by_answer[answer])))
        until(tab, "text => document.querySelector('#verdict').textContent === text", ENGLISH[f"answer.{answer}"])
        assert "withheld" in (tab.get_attribute("#verdict", "class") or "")
        assert tab.text_content("#why")


def test_languages(tab, service, photo):
    open_page(tab, service)
    give(tab, ("a.jpg", photo(1)))
    tab.wait_for_selector("#bars li")
    tab.click("#language")
    assert tab.evaluate("document.documentElement.lang") == "zh-TW"
    assert tab.text_content("h1") == CHINESE["serve.title"]
    assert tab.text_content("#why") == CHINESE["answer.not_calibrated"]
    tab.reload()
    tab.wait_for_selector("html[data-ready]")
    assert tab.text_content("h1") == CHINESE["serve.title"]
    keys, shown = tab.evaluate(
        """[[...document.querySelectorAll('[data-word]')].map((e) => e.dataset.word),
            [...document.querySelectorAll('[data-word]')].map((e) => e.textContent)]"""
    )
    table = web.words(("page", "serve", "input", "answer"))["zh-TW"]
    assert shown == [table[key] for key in keys]


def test_many_images_and_their_table(tab, service, photo):
    open_page(tab, service)
    files = [(f"{i}.jpg", photo(i)) for i in range(7)]
    files[3] = ("=cmd.jpg", b"not an image")
    give(tab, *files)
    until(tab, "document.querySelector('#batch-progress').textContent.startsWith('7 of 7')")
    assert "1 could not be classified" in tab.text_content("#batch-progress")
    rows = tab.locator("#rows tr")
    assert rows.count() == 7
    for i, (name, data) in enumerate(files):
        cells = rows.nth(i).locator("td").all_text_contents()
        assert cells[1] == name
        if i != 3:
            assert cells[2] == expected(service, data)["answer"].replace("_", " ")
    assert "is not an image" in rows.nth(3).locator("td").nth(2).text_content()
    with tab.expect_download() as download:
        tab.click("#download")
    text = Path(download.value.path()).read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    table = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert [row["file"] for row in table] == [("'" if n[0] == "=" else "") + n for n, _ in files]
    wanted = expected(service, files[0][1])
    assert table[0]["answer"] == wanted["answer"]
    assert float(table[0]["probability_1"]) == pytest.approx(wanted["classes"][0]["probability"], abs=1e-5)
    assert table[0]["error"] == ""
    assert table[3]["answer"] == ""
    assert table[3]["error"]
    rows.nth(5).locator("button").click()
    until(tab, "document.querySelector('#source').textContent === '5.jpg'")


def test_bad_files_are_named(tab, service, photo):
    open_page(tab, service)
    for name, data, word in (
        ("no.jpg", b"hello", "not an image"),
        ("half.png", photo(1, (300, 300), "PNG")[:5000], "damaged"),
        ("large.jpg", bytes(3 * 2**20), "3.0 MB"),
        ("empty.jpg", b"", "empty"),
    ):
        give(tab, (name, data))
        until(tab, "word => document.querySelector('#messages').textContent.includes(word)", word)
        assert name in tab.text_content("#messages")
    give(tab, ("good.jpg", photo(1)))
    tab.wait_for_selector("#bars li")
    assert tab.text_content("#messages") == ""


def test_camera(tab, service):
    open_page(tab, service)
    tab.click("#camera")
    tab.wait_for_selector("#bars li", timeout=300_000)
    assert tab.locator("#video").is_visible()
    assert tab.text_content("#camera") == ENGLISH["input.camera_stop"]
    assert tab.text_content("#verdict")
    tab.click("#camera")
    until(tab, "document.querySelector('#video').hidden")
    assert tab.evaluate("document.querySelector('#video').srcObject") is None


def test_a_token_is_asked_for(tab, start, tiny_file, photo):
    token = "a-token-of-some-length"
    closed = start(str(tiny_file), token=token)
    open_page(tab, closed)
    assert tab.locator("#token-form").is_visible()
    tab.fill("#token", token)
    tab.click("#token-form button")
    until(tab, "document.querySelector('#facts').textContent.length > 0")
    give(tab, ("a.jpg", photo(1)))
    tab.wait_for_selector("#bars li")
    assert tab.locator("#token-form").is_hidden()
    tab.goto("about:blank")
    open_page(tab, closed, f"/#token={token}")
    assert token not in tab.url
    assert tab.text_content("#facts")


def test_labels(tab, start, tiny_file, photo, tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
    running = start(str(tiny_file), data=tmp_path)
    open_page(tab, running)
    assert tab.locator("#label-save").is_disabled()
    give(tab, ("a.jpg", photo(1)))
    tab.wait_for_selector("#label-save:not([disabled])")
    tab.select_option("#label", "dogs")
    tab.click("#label-save")
    until(tab, "document.querySelector('#label-done').textContent === 'Saved in dogs.'")
    (added,) = (tmp_path / "dogs").iterdir()
    assert added.read_bytes() == photo(1)
    tab.select_option("#label", "cats")
    tab.click("#label-save")
    until(tab, "document.querySelector('#label-done').textContent === 'Moved from dogs to cats.'")
    assert list((tmp_path / "dogs").iterdir()) == []
    # A training that cannot succeed says why.
    tab.fill("#minutes", "0.1")
    tab.click("#retrain-start")
    until(tab, "document.querySelector('#retrain-state').textContent.startsWith('The training failed')")
    assert tab.locator("#retrain-start").is_visible()


def test_on_a_telephone_nothing_is_wider_than_the_screen(chromium, service, photo):
    context = chromium.new_context(viewport={"width": 360, "height": 720}, locale="zh-TW")
    tab = context.new_page()
    open_page(tab, service)
    give(tab, *[(f"{'a' * 40}{i}.jpg", photo(i)) for i in range(3)])
    tab.wait_for_selector("#rows tr")
    assert tab.text_content("h1") == CHINESE["serve.title"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_words_of_the_page_exist():
    folder = Path(web.__file__).parent.parent / "serving" / "page_files"
    table = web.words(("page", "serve", "input", "answer", "problem"))["en"]
    used = set()
    for file in folder.iterdir():
        used |= set(re.findall(r'"((?:page|serve|input|answer|problem)\.\w+)"', file.read_text(encoding="utf-8")))
    codes = re.search(r"const CODES = (\{.*?\});", (folder / "api.js").read_text(encoding="utf-8"), re.DOTALL)
    assert codes is not None
    used |= {f"serve.{word}" for word in re.findall(r': "(\w+)"', codes[1])}
    assert used <= set(table)
    assert {key for key in table if key.startswith("serve.")} <= used
    assert json.dumps(table)
