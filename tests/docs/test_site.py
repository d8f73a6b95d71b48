"""The site: its links, its navigation and the reference made from the code."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import alexnet
from alexnet import recipes
from alexnet.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "tutorial/5-relu.html", "reference/commands.html", "zh-TW/results.html")
SERIOUS = ("serious", "critical")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docs/site/build.py, which writes into a folder of its own."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "site" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BUILD", tmp_path)
    yield module
    for name in ("nav", "reference"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_and_navigation(site: ModuleType, language: str) -> None:
    folder = site.stage(language)  # ends with a message where a link leads nowhere
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    settings = tomllib.loads(site.config(language))["project"]
    inside = {
        page for entry in settings["nav"] for value in entry.values() for page in
        ([value] if isinstance(value, str) else [path for one in value for path in one.values()])
    }  # fmt: skip
    assert inside == names
    assert "這一頁還沒有中文版" not in (folder / "tutorial/5-relu.md").read_text(encoding="utf-8")
    shown = (folder / "scaling.md").read_text(encoding="utf-8")
    assert ("這一頁還沒有中文版" in shown) == (language == "zh")


def test_chinese_headings_have_the_english_anchors(site: ModuleType) -> None:
    text = site.with_anchors(
        "# 一\n\n## 二\n\n```sh\n## no heading\n```\n\n### 三\n", "# a\n\n## B, `c` d\n\n### E-f: g\n"
    )
    assert re.findall(r"\{#(.*)\}", text) == ["b-c-d", "e-f-g"]


def test_links_are_led_to_the_site(site: ModuleType) -> None:
    wanted: set[str] = set()
    text = (
        "[a](../../guide.md#x) [b](https://x) ![c](../../../studies/depth/plot.png) [d](#y)\n```\n[e](no.md)\n```\n"
    )
    led = site.rewritten(text, "docs/zh-TW/tutorial/5-relu.md", "zh", wanted)
    assert led == "[a](../guide.md#x) [b](https://x) ![c](../studies/depth/plot.png) [d](#y)\n```\n[e](no.md)\n```\n"
    assert wanted == {"docs/guide.md", "studies/depth/plot.png"}
    with pytest.raises(SystemExit, match=r"there is no nothing\.md"):
        site.rewritten("[a](nothing.md)", "docs/guide.md", "en", wanted)


def test_the_reference_is_whole(site: ModuleType) -> None:
    pages = site.reference.pages()
    assert [name for name in COMMANDS if f"## alexnet {name}\n" not in pages["commands.md"]] == []
    assert "--minutes" in pages["commands.md"]
    assert "143" in pages["commands.md"]
    assert [name for name in recipes.names() if f"### {name}\n" not in pages["recipes.md"]] == []
    assert "| `optimizer.lr` | `--optimizer.lr` |" in pages["recipes.md"]
    rows = [line for line in pages["recipes.md"].splitlines() if re.match(r"\| `[\w.]+` \|", line)]
    assert len(rows) > 50
    assert [row for row in rows if not row.removesuffix(" |").rpartition(" | ")[2].strip()] == [], "no docstring"
    assert [name for name in alexnet.__all__ if f"alexnet.{name}" not in pages["python.md"]] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It builds, takes nothing from a network, and axe-core has no serious finding, in light and in dark colours."""
    pytest.importorskip("zensical")
    monkeypatch.setattr(sys, "argv", ["build.py"])
    site.main()
    for page in PAGES:
        html = (tmp_path / "site" / page).read_text(encoding="utf-8")
        assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', html), "the site needs a network"
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for colours in ("light", "dark"):
            shown = chromium.new_context(color_scheme=colours).new_page()
            for page in PAGES:
                shown.goto((tmp_path / "site" / page).as_uri())
                found = axe.Axe().run(shown).response["violations"]
                serious = [(each["id"], each["nodes"][0]["target"]) for each in found if each["impact"] in SERIOUS]
                assert serious == [], (page, colours)
        chromium.close()
