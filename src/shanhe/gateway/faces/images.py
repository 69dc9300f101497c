"""`/v1/images/generations`, `/v1/images/edits`: pictures of a text, and of pictures, as OpenAI speaks it.

The pictures come in the answer itself: an engine is asked for them as base64, and none of its addresses is fetched or
passed on. Who asks for `url` gets a `data:` URL. What is no PNG, JPEG or WebP file counts as no picture.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

from shanhe.compute.api import EDITS, QUALITY
from shanhe.gateway.errors import invalid
from shanhe.gateway.faces.base import ABSENT, Metadata, Parsed, Pictures, tags_of
from shanhe.gateway.faces.forms import File, form_fields, form_tags, written
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.faces.reading import decode, utf8_size
from shanhe.gateway.meter import Buckets, Details, Usage
from shanhe.kernel.labelled_pictures import kind_of

PICTURES_MAX: Final = 10
PROMPT_MAX_CHARS: Final = 32_000
BROUGHT_MAX: Final = 16
ANSWER_MAX_BYTES: Final = 48 * 1024 * 1024
"""Of a call's pictures as base64."""
POINTS_MAX: Final = ANSWER_MAX_BYTES // 4
"""Of a call's pictures together: packed badly a point takes three bytes, four as base64."""
SIDE: Final = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})\Z")
BETTER: Final = frozenset({"medium", "high", "hd"})
DATA: Final = "data:"
WORD_MAX_BYTES: Final = 64
PARTS_MAX: Final = 4_096
"""Of an engine's answer: objects of nothing take thirty times what they are written in."""
REVISED_MAX_BYTES: Final = 6 * PROMPT_MAX_CHARS
TOLD: Final = ("background", "output_format", "quality", "size")
"""What an engine says of its pictures and is passed on."""
PASSED: Final = (
    "background",
    "input_fidelity",
    "output_compression",
    "output_format",
    "quality",
    "size",
    "style",
    "user",
)
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")
Label = Callable[[str, bytes], tuple[bytes, Mapping[str, str]]]
"""(media type, picture): the picture with its label in it; ValueError where it can't be read."""


class ImagesRequest(msgspec.Struct):
    """What both calls take; a form brings its numbers as texts."""

    model: str
    prompt: str
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: int | None = None
    input_fidelity: str | None = None
    response_format: Literal["b64_json", "url"] | None = None
    moderation: Literal["auto"] | None = None
    stream: bool | None = None
    partial_images: int | None = None
    user: str | None = None
    metadata: Metadata | None = None


_request = msgspec.json.Decoder(ImagesRequest)


class Row(msgspec.Struct):
    """One of an engine's pictures."""

    b64_json: str | None = None
    revised_prompt: msgspec.Raw = ABSENT


class Made(msgspec.Struct):
    """An engine's answer, as far as it has to be understood: of what is only passed on nothing is made yet."""

    data: list[Row] = []
    created: msgspec.Raw = ABSENT
    background: msgspec.Raw = ABSENT
    output_format: msgspec.Raw = ABSENT
    quality: msgspec.Raw = ABSENT
    size: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_made = msgspec.json.Decoder(Made)


class InputDetails(msgspec.Struct):
    text_tokens: int | None = None
    cached_tokens: int | None = None


class ImageUsage(msgspec.Struct):
    """The `usage` object of an answer with pictures."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None


_usage = msgspec.json.Decoder(ImageUsage)


class Generations(Chat):
    """`POST /v1/images/generations`."""

    name = "openai.images"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_request, body)
        return _parsed(request, "/images/generations", tags_of(request.metadata))


class Edits(Chat):
    """`POST /v1/images/edits`: a form comes in, a form goes to the engine."""

    name = "openai.edits"

    def parse(self, body: bytes) -> Parsed:
        words: dict[str, str] = {}
        files: list[File] = []
        for field, name, data in form_fields(body):
            plain = field.removesuffix("[]")
            if plain in ("image", "mask"):
                files.append(_file(plain, field, name, data))
            else:
                words[plain] = data.decode(errors="replace")
        pictures = [file for file in files if file.field != "mask"]
        if not 1 <= len(pictures) <= BROUGHT_MAX or len(files) - len(pictures) > 1:
            raise invalid(f"image holds 1 to {BROUGHT_MAX} pictures, mask one.", "image", "invalid_value")
        request = _spoken(words)
        parsed = _parsed(request, "/images/edits", form_tags(words), len(files))
        parsed.form = lambda fields: written(fields, files)
        return parsed


def _file(plain: str, field: str, name: str, data: bytes) -> File:
    media = kind_of(data)
    if not media:
        raise invalid(f"{plain} is a PNG, JPEG or WebP file.", plain, "invalid_value")
    return File(field, name or f"{plain}.{media.removeprefix('image/')}", data, media)


def _spoken(words: Mapping[str, str]) -> ImagesRequest:
    """The request that the words of a form make; CallError 400 names the field that does not fit."""
    known = {name: word for name, word in words.items() if word and name != "metadata"}
    try:
        return msgspec.convert(known, ImagesRequest, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else None
        raise invalid(f"The form does not fit the protocol: {error}", field, "invalid_type") from error


def _parsed(request: ImagesRequest, path: str, tags: tuple[str, ...], brought: int = 0) -> Parsed:
    if not 1 <= len(request.prompt) <= PROMPT_MAX_CHARS:
        raise invalid(f"prompt holds 1 to {PROMPT_MAX_CHARS:,} signs.", "prompt", "invalid_value")
    asked = 1 if request.n is None else request.n
    if not 1 <= asked <= PICTURES_MAX:
        raise invalid(f"n must be between 1 and {PICTURES_MAX}, not {asked}.", "n", "invalid_value")
    if request.stream or request.partial_images:
        field = "stream" if request.stream else "partial_images"
        raise invalid("Pictures come whole, not as events; leave it out.", field, "unsupported_parameter")
    points = _points(request.size)
    if asked * points > POINTS_MAX:
        text = f"{request.size} is too much for {asked} at once: {POINTS_MAX:,} points together at most. Ask for fewer."
        raise invalid(text, "size", "invalid_value")
    needs = {EDITS} if brought else set()
    if request.quality in BETTER:
        needs.add(QUALITY)
    given = {name: value for name in PASSED if (value := getattr(request, name)) is not None}
    return Parsed(
        model=request.model, body={"prompt": request.prompt, "n": asked, **given}, path=path,
        text_bytes=utf8_size(request.prompt), max_tokens_field=None, answers=0, kind="image", needs=frozenset(needs),
        pictures=Pictures(asked, points, brought, request.response_format == "url"), tags=tags,
    )  # fmt: skip


def _points(size: str | None) -> int:
    """Points of a picture of a size; 0 where the engine decides."""
    if size is None or size == "auto":
        return 0
    if (found := SIDE.match(size)) is None:
        raise invalid("size is auto, or WIDTHxHEIGHT like 1024x1024.", "size", "invalid_value")
    return int(found[1]) * int(found[2])


class Drawn(msgspec.Struct):
    """What an engine made: entries for the caller, and what it says of them. `more`: more came than were asked for."""

    entries: list[bytes]
    more: bool
    made: Made

    def answer(self, buckets: Buckets, *, tokens: bool) -> bytes:
        """For the caller; `usage` where tokens are what is charged."""
        made = self.made
        head: dict[str, Any] = {"created": _value(made.created, int, WORD_MAX_BYTES) or 0}
        for name in TOLD:
            if word := _value(getattr(made, name), str, WORD_MAX_BYTES):
                head[name] = word
        if tokens:
            text = (self.usage.input_tokens_details or InputDetails()).text_tokens
            text = buckets.prompt if text is None else min(max(text, 0), buckets.prompt)
            head["usage"] = {
                "input_tokens": buckets.prompt, "output_tokens": buckets.completion, "total_tokens": buckets.total,
                "input_tokens_details": {"text_tokens": text, "image_tokens": buckets.prompt - text},
            }  # fmt: skip
        return b'%b,"data":[%b]}' % (_encode(head)[:-1], b",".join(self.entries))

    @property
    def usage(self) -> ImageUsage:
        """What it says it used, empty where that can't be read."""
        try:
            return _usage.decode(self.made.usage)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ImageUsage()

    def as_tokens(self) -> Usage:
        """The same in the words in which it is judged."""
        said = self.usage
        details = said.input_tokens_details or InputDetails()
        return Usage(said.input_tokens, said.output_tokens, said.total_tokens,
                     Details(cached_tokens=details.cached_tokens))  # fmt: skip


def drawn(body: bytes, asked: Pictures, label: Label | None) -> Drawn:
    """The pictures of an engine's answer, labelled; ValueError or MsgspecError where it can't be read. Takes its time:
    not for the event loop."""
    if body.count(b"{") > PARTS_MAX:
        raise ValueError("an answer of too many parts")
    made = _made.decode(body)
    entries: list[bytes] = []
    for row in made.data:
        if len(entries) > asked.asked:
            break
        if (entry := _entry(row, label, addressed=asked.addressed)) is not None:
            entries.append(entry)
    more = len(entries) > asked.asked
    made.data = []
    return Drawn(entries[: asked.asked], more, made)


def _entry(row: Row, label: Label | None, *, addressed: bool) -> bytes | None:
    """A picture for the caller; None for what is none."""
    word, row.b64_json = row.b64_json, None
    if word is None:
        return None
    try:
        picture = binascii.a2b_base64(word.partition(",")[2] if word.startswith(DATA) else word)
        kind = kind_of(picture)
        if kind and label is not None:
            picture, _ = label(kind, picture)
    except ValueError:
        return None
    if not kind:
        return None
    shown = base64.b64encode(picture)
    said = _value(row.revised_prompt, str, REVISED_MAX_BYTES)
    rest = b"" if said is None else b',"revised_prompt":' + _encode(said)
    if addressed:
        return b'{"url":"data:%b;base64,%b"%b}' % (kind.encode(), shown, rest)
    return b'{"b64_json":"%b"%b}' % (shown, rest)


def _value(raw: msgspec.Raw, kind: type[T], most_bytes: int) -> T | None:
    """What an engine says in a field, if it is of that kind and no longer."""
    if len(memoryview(raw)) > most_bytes:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
