from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet.errors import UserError
from alexnet.weights.foreign.prototxt import read_prototxt


@pytest.fixture
def parse(tmp_path):
    def parse(text: str):
        path = tmp_path / "deploy.prototxt"
        path.write_text(text, encoding="utf-8")
        return read_prototxt(path)

    return parse


def test_messages_lists_and_texts(parse):
    text = """
    # a comment
    name: "a \\"quoted\\" name"  dim: 1 dim: 2, dim: [3, 4];
    layer { type: 'Pool' 'ing' pool: MAX p < x: -1.5e-3 > }
    layer: { }
    """
    assert parse(text) == {
        "name": ['a "quoted" name'],
        "dim": ["1", "2", "3", "4"],
        "layer": [{"type": ["Pooling"], "pool": ["MAX"], "p": [{"x": ["-1.5e-3"]}]}, {}],
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("layer {", "the end of the file in line 1"),
        ("name: 1\n}", "'}' where a field's name should be in line 2"),
        ('name: "open', "in line 1"),
        ("a: {b: ]}", "']' where a value should be"),
        ("a { " * 30, "more than 20 deep"),
        ("a: [1", "the end of the file"),
        ("\n\n§", "'§' in line 3"),
    ],
)
def test_what_is_no_description(parse, text, problem):
    with pytest.raises(UserError, match="no text of protocol buffers") as caught:
        parse(text)
    assert problem in str(caught.value)


def test_weights_are_no_description(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"is not text: name the \.prototxt"):
        read_prototxt(tmp_path / "x")


@given(st.text(alphabet="ab:{}<>[]\",; \n1.#'\\", max_size=60))
def test_any_text_is_a_message_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.prototxt"
    path.write_text(text, encoding="utf-8")
    with contextlib.suppress(UserError):
        assert isinstance(read_prototxt(path), dict)
