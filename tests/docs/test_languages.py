"""English and Traditional Chinese say the same: pages, sections, code, links, pictures and numbers."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH_ONLY = {
    "docs/alexnet-2012.md",
    "docs/big-data.md",
    "docs/performance.md",
    "docs/scaling.md",
    # How-to pages that are written with what they describe.
    "docs/explain.md",
    "docs/explorer.md",
    "docs/export.md",
    "docs/guide.md",
    "docs/old-weights.md",
    "docs/reliability.md",
    "docs/serving.md",
}
"""Pages that wait for their translation; the Chinese site shows them in English and says so."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


CHINESE = {name_of(path) for path in (ROOT / "docs/zh-TW").rglob("*.md")}
ENGLISH = {name_of(path) for path in (ROOT / "docs").rglob("*.md")} - CHINESE
PAIRS = [
    ("README.md", "README.zh-TW.md"),
    *sorted((page, page.replace("docs/", "docs/zh-TW/", 1)) for page in ENGLISH - ENGLISH_ONLY),
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def links(name: str) -> Counter[str]:
    """Where a page leads: paths in the repository, the Chinese twin of a page counted as the page; anchors aside."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(read(name))):
        if re.match(r"[a-z]+:", link):
            found.append(link)
            continue
        path = posixpath.normpath(PurePosixPath(name).parent / link.partition("#")[0])
        found.append(path.replace("docs/zh-TW/", "docs/").replace(".zh-TW.md", ".md"))
    return Counter(link for link in found if link != "README.md")  # each README names the other


def numbers(text: str) -> Counter[str]:
    """The numbers in what is read: not those of code, links, comments, or list items and ordinals."""
    text = re.sub(r"<!--.*?-->|`[^`]*`|\]\([^)]*\)", " ", prose(text), flags=re.DOTALL)
    text = re.sub(r"^\s*\d+\. ", "", text, flags=re.MULTILINE)
    text = re.sub(r"([\d.]+) million\b", lambda m: f"{float(m[1]) * 1e6:.0f}", text)
    text = re.sub(r"([\d.]+) 萬", lambda m: f"{float(m[1]) * 1e4:.0f}", text)
    return Counter(number.replace(",", "") for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


def test_every_page_is_in_both_languages() -> None:
    assert ENGLISH_ONLY & {page.replace("zh-TW/", "") for page in CHINESE} == set(), "drop it from ENGLISH_ONLY"
    assert {zh for _, zh in PAIRS[1:]} == CHINESE


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_the_two_say_the_same(english: str, chinese: str) -> None:
    en, zh = read(english), read(chinese)
    levels = [[len(mark) for mark in re.findall(r"^(#+) ", prose(text), re.MULTILINE)] for text in (en, zh)]
    assert levels[0] == levels[1], "sections"
    assert blocks(en) == blocks(zh), "blocks of code"
    tables = [[line.count("|") for line in prose(text).splitlines() if line.startswith("|")] for text in (en, zh)]
    assert tables[0] == tables[1], "rows of tables"
    assert links(english) == links(chinese), "links and pictures"
    assert numbers(en) == numbers(zh), "numbers"


@pytest.mark.parametrize("chinese", [zh for _, zh in PAIRS])
def test_words_are_those_used_in_taiwan(chinese: str) -> None:
    text = read(chinese)
    elsewhere = (
        "圖像",
        "數據",
        "捲積",
        "神經網絡",
        "網絡",
        "激活",
        "默認",
        "軟件",
        "硬件",
        "視頻",
        "算法",
        "質量",
        "信息",
    )
    assert [word for word in elsewhere if word in text] == []
    assert re.findall(r"[们训网络图数过拟层权积这为实]", text) == [], "simplified letters"


def test_numbers_are_found() -> None:
    assert numbers("a 1,797 of 0.72 `3` [4](5.md) 1.2 million\n2. x") == Counter(["1797", "0.72", "4", "1200000"])
    assert numbers("120 萬") == Counter(["1200000"])
