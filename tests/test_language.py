"""The language of pages and messages."""

from __future__ import annotations

import string

import pytest

from alexnet import language
from alexnet.cli.words import WORDS as CLI_WORDS
from alexnet.errors import UserError
from alexnet.evaluation.report.words import WORDS as REPORT_WORDS
from alexnet.language import Words

VARIABLES = ("ALEXNET_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_TW.UTF-8"}, "zh-TW"),
        ({"LANG": "zh_HK"}, "zh-TW"),
        ({"LANG": "zh-Hant-TW"}, "zh-TW"),
        ({"LANG": "zh_CN.UTF-8"}, "en"),  # Simplified Chinese is another language to read
        ({"LANG": "zh_TW.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8", "LC_ALL": ""}, "zh-TW"),
        ({"LANG": "zh_TW.UTF-8", "ALEXNET_LANGUAGE": "en"}, "en"),
    ],
)
def test_the_preferred_language(values: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert language.preferred() == expected


def test_a_language_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_LANGUAGE", "fr")
    with pytest.raises(UserError, match="unknown language 'fr': choose en or zh-TW"):
        language.preferred()


TABLE = {"cats": ("{n:,} <b>cats</b> in `{where}`", "`{where}` 有 {n:,} 隻<b>貓</b>"), "cats_1": ("1 cat", "1 隻貓")}


def test_sentences_are_filled_in_and_values_escaped() -> None:
    assert Words(TABLE, "en").plain("cats", n=1200, where="a") == "1,200 <b>cats</b> in `a`"
    assert Words(TABLE, "zh-TW")("cats", n=2, where="<i>") == "<code>&lt;i&gt;</code> 有 2 隻<b>貓</b>"
    assert Words(TABLE, "en")("cats", n=1) == "1 cat"
    assert Words(TABLE, "en").join(["A.", "B."]) == "A. B."
    assert Words(TABLE, "zh-TW").join(["甲。", "乙。"]) == "甲。乙。"


@pytest.mark.parametrize("table", [CLI_WORDS, REPORT_WORDS], ids=["cli", "report"])
def test_both_languages_say_the_same_of_the_same_values(table: language.Table) -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, (english, chinese) in table.items():
        assert fields(english) == fields(chinese), key
        assert english, key
        assert chinese, key
        for mark in ("<b>", "</b>", "<br>"):
            assert english.count(mark) == chinese.count(mark), key
        assert {*english.split("`")[1::2]} == {*chinese.split("`")[1::2]}, key
