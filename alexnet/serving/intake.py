"""What a request brings: its body within bounds of size and time, and the images in it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from alexnet.serving.problems import Problem, busy
from alexnet.serving.settings import Settings
from alexnet.text import printable

OPTIONS = ("model", "top", "accept")
_MOST_CLASSES = 1000
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Asked:
    """Images with what they are called, and what is wanted of them."""

    images: tuple[tuple[bytes, str], ...]
    names: tuple[str | None, ...]
    """What the client calls each image."""
    model: str | None = None
    top: int | None = None
    accept: float | None = None


class Memory:
    """What all requests under way hold, so that together they stay within a bound. Used on the event loop alone."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, count: int) -> None:
        """Count `count` bytes; raises `Problem` (429) where they are too many."""
        if self.used_bytes + count > self.limit_bytes:
            raise busy("the requests under way are too large together: try again later")
        self.used_bytes += count

    def give_back(self, count: int) -> None:
        """Count them no more."""
        self.used_bytes -= count


@dataclass
class Body:
    """A request's body, held until the end of the `async with` that reads it."""

    request: Request
    memory: Memory
    settings: Settings
    _held: int = 0

    async def __aenter__(self) -> bytes:
        """Read it.

        A connection whose request is refused stays open: uvicorn discards what still comes, and the client reads why.

        Raises:
            Problem: 400 it broke off; 408 it took too long; 413 it is too large; 429 there is no room for it now.
        """
        try:
            return await self._read()
        except BaseException:
            self._release()
            raise

    async def _read(self) -> bytes:
        declared = self.request.headers.get("content-length")
        limit = self.settings.max_body_bytes
        if declared is not None and declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self.settings.upload_s):
                async for chunk in self.request.stream():
                    if self._held + len(chunk) > limit:
                        raise _too_large(limit)
                    self.memory.take(len(chunk))
                    self._held += len(chunk)
                    chunks.append(chunk)
        except TimeoutError:
            seconds = f"{self.settings.upload_s:g} s"
            raise Problem(408, "slow-upload", f"the request did not arrive within {seconds}", close=True) from None
        except ClientDisconnect:
            raise Problem(400, "broken-off", "the request broke off before its end", close=True) from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def __aexit__(self, *_: object) -> None:
        """Its memory may be used by others."""
        self._release()

    def _release(self) -> None:
        self.memory.give_back(self._held)
        self._held = 0


def _too_large(limit: int) -> Problem:
    return Problem(413, "too-large", f"a request may have {limit / 2**20:g} MiB at most")


def read_images(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Asked:
    """The images of a request: as its raw body, as parts of a form, or in base64 within JSON.

    Args:
        body: of the request.
        content_type: its head of that name, perhaps empty.
        query: what stands behind the `?`.
        settings: how many images are taken.

    Raises:
        Problem: 400 it is malformed; 413 too many images; 415 another content type; 422 a value that cannot be.
    """
    unknown = sorted(set(query) - set(OPTIONS))
    if unknown:
        raise Problem(422, "unknown-option", f"no option {unknown[0]!r}: there are {', '.join(OPTIONS)}")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = _read_form(body, content_type, settings.max_images)
        asked, values = form.asked(), {**form.values, **query}
    elif kind == "application/json":
        values = _json_object(body)
        asked = _from_json(values, settings.max_images)
        values = {**{key: values[key] for key in OPTIONS if values.get(key) is not None}, **query}
    else:
        _check_raw(kind)
        asked, values = Asked(((body, "the image"),), (None,)), dict(query)
    return Asked(asked.images, asked.names, *_read_options(values))


def _check_raw(kind: str) -> None:
    # curl's --data-binary says application/x-www-form-urlencoded unless it is told otherwise.
    if kind in ("", "application/octet-stream", "application/x-www-form-urlencoded"):
        return
    if kind.startswith("image/") and kind != "image/svg+xml":
        return
    raise Problem(
        415,
        "content-type",
        f"the content type {printable(kind)!r} is not taken: send the bytes of an image as image/* or "
        "application/octet-stream, several as multipart/form-data, or base64 as application/json",
    )


def _read_options(values: Mapping[str, Any]) -> tuple[str | None, int | None, float | None]:
    model = values.get("model")
    if model is not None and not isinstance(model, str):
        raise Problem(422, "bad-value", "model must be the name of a model")
    return model, _number(values, "top", 1, _MOST_CLASSES, int), _number(values, "accept", 0, 1, float)


def _number(values: Mapping[str, Any], name: str, low: float, high: float, kind: Any) -> Any:
    value = values.get(name)
    if value is None:
        return None
    wrong = Problem(422, "bad-value", f"{name} must be {'a whole' if kind is int else 'a'} number in {low}..{high}")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong
    try:
        number = kind(value) if isinstance(value, str) else value
        if kind is int and number != int(number):
            raise wrong
        if not (math.isfinite(number) and low <= number <= high):
            raise wrong
    except (ValueError, OverflowError):
        raise wrong from None
    return kind(number)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "bad-json", f"the body is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise Problem(422, "bad-json", 'the body must be an object, such as {"image": "<base64>"}')
    return values


def _from_json(values: dict[str, Any], most: int) -> Asked:
    unknown = sorted(set(values) - {"image", "images", *OPTIONS})
    if unknown:
        raise Problem(
            422, "unknown-option", f"no field {unknown[0]!r}: there are image, images, {', '.join(OPTIONS)}"
        )
    if ("image" in values) == ("images" in values):
        raise Problem(422, "bad-json", 'give either "image" or "images"')
    several = values["images"] if "images" in values else [values["image"]]
    if not isinstance(several, list) or not several:
        raise Problem(422, "bad-json", '"images" must be a list of images in base64')
    _check_count(len(several), most)
    names = tuple(_name_of(each, place) for place, each in enumerate(several, start=1))
    called = [name or f"image {place}" for place, name in enumerate(names, start=1)]
    images = tuple((_from_base64(each, name), name) for each, name in zip(several, called, strict=True))
    return Asked(images, names)


def _name_of(image: Any, place: int) -> str | None:
    if not isinstance(image, dict):
        return None
    name = image.get("name")
    if set(image) - {"name", "data"} or not isinstance(name, str | None):
        raise Problem(422, "bad-json", f'image {place} must be base64, or {{"name": ..., "data": base64}}')
    return None if name is None else name[:_LONGEST_NAME]


def _from_base64(image: Any, name: str) -> bytes:
    text = image.get("data") if isinstance(image, dict) else image
    if not isinstance(text, str):
        raise Problem(422, "bad-base64", f"{name} must be a string in base64")
    return from_base64(text, name)


def from_base64(text: str, name: str) -> bytes:
    """The bytes of `text`, perhaps a data: URL; raises `Problem` (422) where it is not base64."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(422, "bad-base64", f"{name} is not base64: {error}") from None


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise Problem(413, "too-many-images", f"a request may have {most} images at most, not {count}")


@dataclass
class _Form:
    """What a multipart parser found."""

    most: int
    files: list[tuple[bytes, str | None]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    _head: dict[bytes, bytes] = field(default_factory=dict)
    _field: bytes = b""
    _value: bytes = b""
    _data: list[bytes] = field(default_factory=list)

    def asked(self) -> Asked:
        """The images."""
        if not self.ended:
            raise Problem(400, "bad-form", "the form breaks off before its end")
        if not self.files:
            raise Problem(422, "no-image", 'the form has no file: send one or more, such as -F "image=@photo.jpg"')
        names = tuple(name for _, name in self.files)
        images = ((data, name or f"image {i}") for i, (data, name) in enumerate(self.files, start=1))
        return Asked(tuple(images), names)

    def begin(self) -> None:
        self._head, self._data = {}, []

    def head_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def head_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def head_end(self) -> None:
        self._head[self._field.lower()] = self._value
        self._field = self._value = b""

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def part_end(self) -> None:
        kind, options = parse_options_header(self._head.get(b"content-disposition", b""))
        data = b"".join(self._data)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data":
            raise Problem(400, "bad-form", "a part of the form has no content-disposition: form-data")
        if b"filename" in options or b"content-type" in self._head:
            _check_count(len(self.files) + 1, self.most)
            filename = options.get(b"filename", b"").decode("utf-8", "replace")[:_LONGEST_NAME]
            self.files.append((data, filename or None))
            return
        if name not in OPTIONS:
            raise Problem(422, "unknown-option", f"no field {name!r}: there are files and {', '.join(OPTIONS)}")
        self.values[name] = data.decode("utf-8", "replace")

    def end(self) -> None:
        self.ended = True


def _read_form(body: bytes, content_type: str, most: int) -> _Form:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(400, "bad-form", "multipart/form-data needs a boundary in its content type")
    form = _Form(most)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.head_field,
                "on_header_value": form.head_value,
                "on_header_end": form.head_end,
                "on_part_data": form.part_data,
                "on_part_end": form.part_end,
                "on_end": form.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise Problem(400, "bad-form", f"the form cannot be read: {error}") from None
    return form
