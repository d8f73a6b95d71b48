"""The tables of words say the same in every language, and what the scripts ask for is there."""

import json
import re

import pytest

from alexnet import web

TABLES = {code: json.loads(web.read(f"words/{code}.json")) for code in web.LANGUAGES}
WORDS = web.words(tuple(TABLES["en"]))


@pytest.mark.parametrize("code", web.LANGUAGES[1:])
def test_every_language_has_the_same_words_with_the_same_places(code):
    first, other = WORDS[web.LANGUAGES[0]], WORDS[code]
    assert list(first) == list(other)
    for key, text in first.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", other[key])), key


def test_no_word_is_empty_or_has_markup():
    for table in WORDS.values():
        for key, text in table.items():
            assert text.strip() == text != "", key
            assert not re.search(r"[<>]\w|&\w+;", text), key


def test_chinese_uses_full_width_punctuation_and_no_simplified_letters():
    simplified = set("网络图类设选习训练这个为时对应关闭开启样层组线数")
    for key, text in WORDS["zh-TW"].items():
        assert not simplified & set(text), key
        assert not re.search(r"[一-鿿][,;:!?]", text), key


def test_words_the_shared_scripts_ask_for_exist():
    for file in web.folder().glob("*.js"):
        for key in re.findall(r'"((?:page|input|answer|problem)\.\w+)"', file.read_text()):
            assert key in WORDS["en"], f"{file.name}: {key}"


def test_an_unknown_section_is_an_error():
    with pytest.raises(KeyError):
        web.words(["nothing"])
