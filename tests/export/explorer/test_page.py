"""The page in a real browser, opened from its file."""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import alexnet
from alexnet import data, models
from alexnet.card import Calibration, ModelCard, Preprocessing
from alexnet.evaluation import Classifier
from alexnet.evaluation.calibrate import FeatureMeans, _to_text
from alexnet.export.explorer import export_explorer
from alexnet.runtime import choose

NAMES = ("airplane", "cat", "frog")
READY = "window.alexnet.ready.then(() => true)"
CLASSIFY = """async (files) => {
  const answers = [];
  for (const file of files) {
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    answers.push(await window.alexnet.classify(new Blob([bytes])));
  }
  return answers;
}"""
DROP = """([name, text, type]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  if (name) transfer.items.add(new File([bytes], name, { type }));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  document.getElementById("zone").dispatchEvent(new DragEvent("drop", options));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'alexnet[dev]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def classifier(activation="relu", seed=0, **card) -> Classifier:
    torch.manual_seed(seed)
    model = models.create("tiny_alexnet", num_classes=3, dropout=0.5, activation=activation)
    with torch.no_grad():
        model.classifier.fc6.weight.mul_(30)  # as sure of itself as a trained one
    how = Preprocessing(image_px=32, in_channels=3, mean=(0.5, 0.45, 0.4), std=(0.25, 0.25, 0.3))
    options = {"num_classes": 3, "dropout": 0.5, "activation": activation}
    return Classifier(
        model,
        ModelCard(model="tiny_alexnet", options=options, class_names=NAMES, preprocessing=how, **card),
        choose("cpu", "fp32"),
    )


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures, uint8 [n, 32, 32, 3], all different."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 5, 5, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((32, 32), Image.Resampling.BICUBIC)) for c in coarse])


@pytest.fixture(scope="module")
def net() -> Classifier:
    return classifier()


@pytest.fixture(scope="module")
def page_file(net: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "net.html"
    images = pictures(40)
    source = data.from_arrays(images, np.arange(40) % 3, class_names=NAMES, test=(images, np.arange(40) % 3))
    export_explorer(net, path, data=source, title="<b>My net</b>")
    return path


class Open:
    """Opens pages and collects what they should not do: print or ask for anything."""

    def __init__(self, browser: Any) -> None:
        self.browser, self.contexts, self.complaints = browser, [], []

    def __call__(self, path: Path, *, before: str = "", wait: bool = True, **options: Any) -> Any:
        context = self.browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **options})
        context.set_default_timeout(300_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note)
        if before:
            page.add_init_script(before)
        page.goto(path.as_uri())
        if wait:
            page.evaluate(READY)
        return page

    def _note(self, request: Any) -> None:
        is_page = request.url.startswith("file:") and request.resource_type == "document"
        if not is_page and not request.url.startswith(("data:", "blob:")):
            self.complaints.append(f"asked for {request.url}")


@pytest.fixture
def show(chromium: Any) -> Iterator[Open]:
    opener = Open(chromium)
    yield opener
    for context in opener.contexts:
        context.close()
    assert opener.complaints == []


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def until(page: Any, expression: str, timeout_s: float = 300.0) -> None:
    """Wait until a JavaScript expression holds; the page's policy forbids what `wait_for_function` does."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(f"() => Boolean({expression})"):
        assert time.monotonic() < end, f"never held: {expression}"
        page.wait_for_timeout(25)


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_answers_are_those_of_python(show, net, page_file):
    page = show(page_file)
    images = [*pictures(30, seed=3), *(np.array(Image.fromarray(p).resize((50, 37))) for p in pictures(5, seed=4))]
    found = page.evaluate(CLASSIFY, [text(png(p)) for p in images])
    for ours, theirs in zip(net.predict(images, top=3), found, strict=True):
        assert [each["name"] for each in theirs] == [name for name, _ in ours.classes]
        assert [each["probability"] for each in theirs] == pytest.approx([p for _, p in ours.classes], abs=2e-4)


@pytest.mark.parametrize(
    "missing",
    ["delete globalThis.Worker", "delete globalThis.WebAssembly", "Worker = class { constructor() { throw 1 } }"],
)
def test_without_workers_or_webassembly_it_computes_all_the_same(show, net, page_file, missing):
    page = show(page_file, before=missing)
    picture = pictures(1, seed=9)[0]
    found = page.evaluate(CLASSIFY, [text(png(picture))])[0]
    assert found[0]["name"] == net.predict(picture).label
    assert found[0]["probability"] == pytest.approx(net.predict(picture).classes[0][1], abs=2e-4)


def test_sources_of_every_kind_give_the_same_answer(show, page_file):
    page = show(page_file)
    answers = page.evaluate(
        """async (text) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const blob = new Blob([bytes]);
          const image = new Image();
          image.src = URL.createObjectURL(blob);
          await image.decode();
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [image.width, image.height];
          canvas.getContext("2d").drawImage(image, 0, 0);
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return Promise.all([blob, image, canvas, data].map((source) => window.alexnet.classify(source)));
        }""",
        text(png(pictures(1, seed=5)[0])),
    )
    assert all(answer == answers[0] for answer in answers)
    assert sum(each["probability"] for each in answers[0]) == pytest.approx(1)


def test_the_title_is_text(show, page_file):
    page = show(page_file)
    assert page.inner_text("h1") == "<b>My net</b>" == page.title()


def drop(page, name, content, kind=""):
    page.evaluate(DROP, [name, text(content), kind])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"hello, this is no image", "notes.txt is not an image. Choose a JPEG"),
        ("a.pdf", b"%PDF-1.7 and so on and so forth", "a.pdf is not an image"),
        ("empty.png", b"", "empty.png is empty"),
        ("half.png", png(pictures(1)[0])[:60], "half.png is damaged"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "cannot read HEIC files. Save the image as JPEG"),
        ("scan.tif", b"II*\0" + bytes(40), "cannot read TIFF files"),
        ("", b"", "That was no file"),
    ],
)
def test_what_is_no_image_is_answered_with_words(show, page_file, name, content, message):
    page = show(page_file)
    before = page.inner_text("#verdict")
    drop(page, name, content)
    page.wait_for_selector("#messages .message")
    assert message in page.inner_text("#messages")
    assert page.inner_text("#verdict") == before
    page.click("#messages button")
    assert page.inner_text("#messages") == ""


def test_an_image_is_pasted(show, net, page_file):
    page = show(page_file)
    picture = pictures(1, seed=21)[0]
    page.evaluate(
        """(text) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        text(png(picture)),
    )
    until(page, "document.getElementById('source').textContent === 'pasted.png'")
    assert page.inner_text("#verdict") == net.predict(picture).label


def test_a_browser_that_is_too_old_is_answered_with_words(show, page_file):
    page = show(page_file, before="delete globalThis.DecompressionStream", wait=False)
    page.wait_for_selector("#messages .message")
    assert "too old for this page" in page.inner_text("#messages")


def test_a_gif_shows_its_first_frame(show, net, page_file):
    first, second = pictures(2, seed=11)
    frames = [Image.fromarray(p).quantize(64) for p in (first, second)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=50)
    page = show(page_file)
    drop(page, "moving.gif", file.getvalue(), "image/gif")
    until(page, "document.getElementById('source').textContent === 'moving.gif'")
    found = page.evaluate(CLASSIFY, [text(file.getvalue())])[0]
    expected = net.predict(Image.open(io.BytesIO(file.getvalue())))
    assert found[0]["name"] == expected.label
    assert found[0]["probability"] == pytest.approx(expected.classes[0][1], abs=1e-3)


@pytest.mark.slow
def test_a_photograph_of_fifty_megapixels(show, net, page_file, tmp_path):
    large = Image.fromarray(pictures(1, seed=2)[0]).resize((8660, 5774), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=90)
    page = show(page_file)
    page.set_input_files("#file", tmp_path / "large.jpg")
    until(page, "document.getElementById('source').textContent === 'large.jpg'", 60)
    assert page.inner_text("#verdict") == net.predict(tmp_path / "large.jpg").label


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("NotAllowedError", "may not be used. Allow it"),
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "Another program may be using it"),
    ],
)
def test_a_camera_that_cannot_be_used(show, page_file, failure, message):
    fails = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{failure}') }};"
    page = show(page_file, before=fails)
    page.click("#camera")
    page.wait_for_selector("#messages .message")
    assert message in page.inner_text("#messages")
    assert page.get_attribute("#camera", "aria-pressed") == "false"


def test_a_browser_without_a_camera(show, page_file):
    page = show(page_file, before="Object.defineProperty(navigator, 'mediaDevices', { value: undefined });")
    page.click("#camera")
    page.wait_for_selector("#messages .message")
    assert "No camera was found" in page.inner_text("#messages")


CAMERA = """navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 48];
  const context = canvas.getContext("2d");
  let n = 0;
  setInterval(() => {
    context.fillStyle = n++ % 2 ? "#d22" : "#22d";
    context.fillRect(0, 0, 64, 48);
  }, 30);
  return canvas.captureStream(30);
};"""


def test_frames_of_a_camera_are_looked_at_live(show, page_file):
    page = show(page_file, before=CAMERA)
    page.click("#camera")
    until(page, "document.getElementById('source').textContent === 'Camera'")
    colours = "document.getElementById('image').toDataURL()"
    first = page.evaluate(colours)
    until(page, f"{colours} !== {first!r}")
    assert page.inner_text("#camera") == "Stop the camera"
    page.click("#camera")
    assert page.inner_text("#camera") == "Camera"


def test_languages(show, page_file):
    page = show(page_file, locale="zh-TW")
    assert page.get_attribute("html", "lang") == "zh-TW"
    assert page.inner_text("#input-title") == "圖片"
    page.evaluate("window.alexnet.language('en')")
    assert page.get_attribute("html", "lang") == "en"
    assert page.inner_text("#input-title") == "An image"
    page.click("#language")
    assert page.inner_text("#net-title") == "逐層看網路"
    assert (
        page.evaluate("document.body.innerText.match(/\\b(explorer|input|answer|op|detail|tour|page)\\.\\w+/)")
        is None
    )
    with pytest.raises(Exception, match="no language fr"):
        page.evaluate("window.alexnet.language('fr')")


SCORES = "[...document.querySelectorAll('#bars .share')].map((each) => each.textContent)"


def scores(page) -> list[str]:
    return page.evaluate(SCORES)


def test_a_channel_is_switched_off_by_hand_and_by_keyboard(show, net, page_file):
    page = show(page_file)
    before = scores(page)
    page.focus(".level:nth-child(2) canvas")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    slider = "document.querySelector('.level:nth-child(2) canvas').ariaValueText"
    until(page, f"{slider} === '2 of 32, on'")
    until(page, "document.getElementById('detail-title').textContent === 'conv2, channel 2'")
    page.keyboard.press("x")
    until(page, f"{slider} === '2 of 32, switched off'")
    until(page, "document.querySelector('#detail .switch').ariaChecked === 'false'")
    page.click("#all-on")
    until(page, "document.getElementById('all-on').hidden")
    until(
        page,
        f"JSON.stringify({SCORES}) === {json.dumps(json.dumps(before, separators=(',', ':'), ensure_ascii=False))}",
    )
    page.click("#detail .switch")
    until(page, "document.getElementById('all-on').textContent.includes('(1)')")


@pytest.mark.parametrize(("level", "layer"), [(1, "act1"), (3, "act3"), (4, "act4")])
def test_what_is_switched_off_is_zero_for_all_that_follows(show, net, page_file, level, layer):
    page = show(page_file)
    picture = pictures(1, seed=30)[0]
    drop(page, "own.png", png(picture), "image/png")
    until(page, "document.getElementById('source').textContent === 'own.png'")
    canvas = page.locator(f".level:nth-child({level}) canvas")
    canvas.focus()
    page.keyboard.press("Home")
    for _ in range(12):  # the first twelve channels
        page.keyboard.press("x")
        page.keyboard.press("ArrowRight")
    until(page, "document.getElementById('all-on').textContent.includes('(12)')")

    def mask(_layer, _inputs, output):
        output[:, :12] = 0
        return output

    handle = net.model.get_submodule(
        f"{'features' if layer < 'act4' else 'classifier'}.{layer}"
    ).register_forward_hook(mask)
    expected = dict(net.predict(picture).classes)
    handle.remove()
    assert expected != dict(net.predict(picture).classes)
    names = page.eval_on_selector_all("#bars .name", "all => all.map((each) => each.textContent)")
    shown = [float(share.strip("<>%")) / 100 for share in scores(page)]
    assert [expected[name] for name in names] == pytest.approx(shown, abs=1.1e-3)


def test_the_sum_behind_a_number_is_right(show, page_file):
    page = show(page_file)
    page.focus("#detail [data-part=map]")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(200)
    line = page.inner_text("#detail .chain").replace("\u2212", "-").replace("- ", "-")
    left, _, right = line.partition(" = ")
    terms = [float(term.replace("bias ", "")) for term in left.replace(" -", " + -").split(" + ")]
    assert sum(terms) == pytest.approx(float(right.split()[0]), abs=0.03)
    assert len(terms) == 4  # three colours and the bias
    assert page.is_visible("#field")


def test_sliders_change_the_answer_and_can_be_undone(show, page_file):
    page = show(page_file)
    before = scores(page)
    page.fill("#noise", "0.3")
    until(page, f"document.querySelector('#bars .share').textContent !== {before[0]!r}")
    page.fill("#occluder", "0.5")
    page.focus("#picture")
    page.keyboard.press("ArrowRight")
    page.click("#undisturb")
    until(page, f"document.querySelector('#bars .share').textContent === {before[0]!r}")
    assert scores(page) == before


def test_dropout_masks(show, page_file):
    page = show(page_file)
    before = scores(page)
    page.click("#dropout")
    until(page, f"document.querySelector('#bars .share').textContent !== {before[0]!r}")
    masked = scores(page)
    page.click("#mask")
    until(page, f"document.querySelector('#bars .share').textContent !== {masked[0]!r}")
    page.click("#dropout")
    until(page, f"document.querySelector('#bars .share').textContent === {before[0]!r}")
    assert scores(page) == before


def test_the_tour_has_eight_steps(show, page_file):
    page = show(page_file)
    page.click("#tour-start")
    titles = []
    for n in range(1, 9):
        assert page.inner_text("#tour-count") == f"Step {n} of 8"
        titles.append(page.inner_text("#tour-title"))
        assert "{" not in page.inner_text("#tour-text")
        assert page.locator(".toured").count() == 1
        page.click("#tour-next")
    assert len(set(titles)) == 8
    assert not page.is_visible("#tour")
    page.click("#tour-start")
    page.keyboard.press("Escape")
    assert not page.is_visible("#tour")


def test_two_networks_at_one_switch(show, tmp_path):
    other = classifier("sigmoid", seed=1)
    export_explorer(classifier(), tmp_path / "two.html", compare=other)
    page = show(tmp_path / "two.html")
    buttons = page.locator("#compare button")
    assert buttons.all_inner_texts() == ["ReLU", "sigmoid"]
    before = scores(page)
    buttons.nth(1).click()
    until(page, f"document.querySelector('#bars .share').textContent !== {before[0]!r}")
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    assert "sigmoid" in page.inner_text(".level .steps >> nth=0")
    picture = Image.new("RGB", (32, 32), "red")
    page.evaluate(DROP, ["red.png", text(png(np.asarray(picture))), "image/png"])
    until(page, "document.getElementById('source').textContent === 'red.png'")
    page.wait_for_timeout(200)
    assert page.inner_text("#verdict") == other.predict(picture).label


def test_a_page_without_data_says_so(show, net, tmp_path):
    export_explorer(net, tmp_path / "bare.html")
    page = show(tmp_path / "bare.html")
    assert "made without a data set" in page.inner_text("#no-data")
    assert "made without a data set" in page.inner_text("#detail")
    assert page.locator("#examples button").count() == 4


def test_answers_are_withheld_as_python_withholds_them(show, tmp_path):
    images = pictures(24, seed=6)
    plain = classifier()
    features, features_of = (
        [],
        plain.model.classifier.fc6.register_forward_pre_hook(lambda _, x: features.append(x[0])),
    )
    plain.predict(list(images))
    features_of.remove()
    labels = torch.arange(24) % 3
    means = FeatureMeans.of(features[0], labels, 3)
    distance = means.distance(features[0])
    best = sorted(p.classes[0][1] for p in plain.predict(list(images)))
    fitted = Calibration(
        temperature=1.0,
        n=50,
        coverage=((1.0, 0.5, 1.0), (best[12], 0.7, 0.96), (0.0, 1.0, 0.5)),
        limit=float(distance.median()),
        means=_to_text(means.means_KD),
        scale=_to_text(means.scale_D),
    )
    net = classifier(calibration=fitted)
    export_explorer(net, tmp_path / "net.html")
    page = show(tmp_path / "net.html")
    seen = set()
    for i, picture in enumerate(images):
        drop(page, f"{i}.png", png(picture), "image/png")
        until(page, f"document.getElementById('source').textContent === '{i}.png'")
        answer = {"Not sure": "unsure", "None of these": "none"}.get(
            page.inner_text("#verdict"), page.inner_text("#verdict")
        )
        assert answer == net.predict(picture).answer
        seen.add(answer if answer in ("unsure", "none") else "class")
    assert seen == {"unsure", "none", "class"}


@pytest.mark.parametrize("width", [320, 390, 820, 1280, 1920])
def test_every_width_fits(show, page_file, tmp_path, width):
    """Nothing is cut off at the right; pytest keeps the pictures for those who want to look."""
    theme = "dark" if width in (390, 1920) else "light"
    page = show(page_file, viewport={"width": width, "height": 800}, color_scheme=theme)
    for language in ("en", "zh-TW"):
        page.evaluate(f"window.alexnet.language({language!r})")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"{width}-{theme}-{language}.png", full_page=True)
        corner = Image.open(tmp_path / f"{width}-{theme}-{language}.png").convert("L").getpixel((2, 2))
        assert (corner > 200) == (theme == "light")


def test_a_phone_opens_a_sheet_for_a_channel(show, page_file):
    page = show(page_file, viewport={"width": 390, "height": 800}, has_touch=True)
    assert not page.is_visible("#detail")
    page.tap(".level:nth-child(1) canvas")
    page.wait_for_selector("#detail", state="visible")
    assert page.inner_text("#detail-title").startswith("conv1, channel")
    page.tap("#detail .close")
    assert not page.is_visible("#detail")


def test_everything_that_can_be_pressed_has_a_name(show, page_file):
    page = show(page_file)
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, [role=slider], [role=switch], input, [tabindex='0']")]
          .filter((each) => !each.getAttribute("aria-label") && !each.innerText?.trim())
          .filter((each) => !each.labels?.[0]?.innerText.trim())
          .filter((each) => each.checkVisibility())
          .map((each) => each.outerHTML)"""
    )
    assert nameless == []


def test_drawing(show, tmp_path):
    torch.manual_seed(0)
    how = Preprocessing(image_px=28, in_channels=1, mean=(0.3,), std=(0.3,))
    card = ModelCard(model="lenet", options={}, class_names=tuple("0123456789"), preprocessing=how)
    export_explorer(Classifier(models.create("lenet"), card, choose("cpu", "fp32")), tmp_path / "digits.html")
    page = show(tmp_path / "digits.html")
    page.click("#draw")
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 200, steps=8)
    page.mouse.up()
    until(page, "document.getElementById('source').textContent === 'Draw'")
    drawing = "document.getElementById('image').toDataURL()"
    drawn = page.evaluate(drawing)
    white = "document.getElementById('pad').getContext('2d').getImageData(120, 130, 1, 1).data[0]"
    assert page.evaluate(white) == 255
    page.click("#clear")
    until(page, f"{drawing} !== {drawn!r}")
    assert page.evaluate(white) == 0


@pytest.mark.slow
def test_a_thousand_real_images(show, cifar10_jpeg, tmp_path):
    """As the benchmark does, with weights that a first epoch could have given."""
    torch.manual_seed(3)
    net = alexnet.load("small", device="cpu")
    export_explorer(net, tmp_path / "small.html")
    page = show(tmp_path / "small.html")
    files = sorted(cifar10_jpeg.glob("test/*/*"))[::10]
    assert len(files) == 1000
    theirs = []
    for i in range(0, 1000, 50):
        theirs += page.evaluate(CLASSIFY, [text(file.read_bytes()) for file in files[i : i + 50]])
    K = len(net.class_names)
    for ours, found in zip(net.predict_files(files, top=K), theirs, strict=True):
        assert found[0]["name"] == ours.label
        p = {each["name"]: each["probability"] for each in found}
        assert max(abs(p[name] - q) for name, q in ours.classes) <= 2e-3
