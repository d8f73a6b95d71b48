"""The text format of protocol buffers, as in Caffe's `deploy.prototxt`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

from alexnet.errors import UserError
from alexnet.weights._files import read_file

Block = dict[str, list[Any]]
"""Values by field name, in their order: `Block` for a message, text for all else, as it stands in the file."""

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
    |(?P<word>[-+.\w/]+)
    |"(?P<double>(?:[^"\\\n]|\\.)*)"
    |'(?P<single>(?:[^'\\\n]|\\.)*)'
    |(?P<sign>[:{}<>\[\],;])""",
    re.VERBOSE,
)
_LARGEST = 4_000_000  # bytes; the description of a net of 1,000 layers has some 200,000
_DEEPEST = 20


def read_prototxt(path: Path) -> Block:
    """The message in the file at `path`.

    Raises:
        UserError: the file is missing, is no text of that format (with the line), or is larger than 4 MB.
    """
    content = read_file(path, _LARGEST + 1)
    if len(content) > _LARGEST:
        raise UserError(f"{path} is larger than {_LARGEST:,} bytes: no description of a net")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text: name the .prototxt that describes the net, not its weights") from None
    return _Parser(path, text).message("", 0)


class _Parser:
    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.at = path, text, 0
        self.kind, self.value = "", ""
        self.advance()

    def advance(self) -> None:
        """Go to the next token: `kind` is its sort, "" at the end, `value` its text."""
        while True:
            self.begin = self.at
            if self.at >= len(self.text):
                self.kind, self.value = "", ""
                return
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                self.fail(f"{self.text[self.at]!r}")
            self.at = match.end()
            assert match.lastgroup is not None
            self.kind, self.value = match.lastgroup, match[match.lastgroup]
            if self.kind != "space":
                return

    def is_sign(self, sign: str) -> bool:
        return self.kind == "sign" and self.value == sign

    def message(self, end: str, depth: int) -> Block:
        """Fields up to `end`, "" for the end of the file."""
        if depth > _DEEPEST:
            self.fail(f"messages in messages, more than {_DEEPEST} deep")
        fields: Block = {}
        while not (self.is_sign(end) if end else self.kind == ""):
            if self.kind != "word":
                self.fail(f"{self.value!r} where a field's name should be" if self.kind else "the end of the file")
            values = fields.setdefault(self.value, [])
            self.advance()
            if self.is_sign(":"):
                self.advance()
            if self.is_sign("["):
                self.advance()
                while not self.is_sign("]"):
                    values.append(self.one(depth))
                    if self.is_sign(","):
                        self.advance()
                self.advance()
            else:
                values.append(self.one(depth))
            if self.is_sign(",") or self.is_sign(";"):
                self.advance()
        return fields

    def one(self, depth: int) -> Any:
        """One value."""
        for begin, end in ("{}", "<>"):
            if self.is_sign(begin):
                self.advance()
                block = self.message(end, depth + 1)
                self.advance()
                return block
        if self.kind in ("double", "single"):  # texts that follow each other are one
            text = ""
            while self.kind in ("double", "single"):
                text += re.sub(r"\\(.)", r"\1", self.value)
                self.advance()
            return text
        if self.kind != "word":
            self.fail(f"{self.value!r} where a value should be" if self.kind else "the end of the file")
        word = self.value
        self.advance()
        return word

    def fail(self, problem: str) -> NoReturn:
        line = self.text.count("\n", 0, self.begin) + 1
        raise UserError(f"{self.path} is no text of protocol buffers: {problem} in line {line}")
