"""`/v1/ocr`, `/v1/forecast`, `/v1/audio/speech`: what algorithms of one purpose take and give, charged by tokens read.

A token is 784 pixels of a picture (28 × 28, as vision models cut them), a number of a series read or foretold, a sign
of a text spoken. All of these are known before the call, so what is held is what is charged.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from typing import Any, Final, Literal

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.base import Completion, Metadata, Parsed, tags_of
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.faces.reading import decode
from shanhe.gateway.meter import Metered

IMAGE_MAX_BYTES: Final = 10 * 1024 * 1024
PIXELS_PER_TOKEN: Final = 784
PIXELS_MAX: Final = 64_000_000
POINTS_MAX: Final = 100_000
SERIES_MAX: Final = 100
HORIZON_MAX: Final = 1_000
LEVELS_MAX: Final = 5
SEASON_MAX: Final = 10_000
SIGNS_MAX: Final = 4_096
MEDIA: Final = {
    "wav": b"audio/wav", "pcm": b"audio/pcm", "mp3": b"audio/mpeg", "opus": b"audio/ogg", "flac": b"audio/flac",
}  # fmt: skip
_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder(dict[str, Any])


class Document(msgspec.Struct):
    """Mistral's shape of a picture."""

    type: Literal["image_url"]
    image_url: str


class OcrRequest(msgspec.Struct):
    model: str
    image: str = ""
    document: Document | None = None
    fields: Literal["", "id_card", "business_licence", "invoice"] = ""
    metadata: Metadata | None = None


class ForecastRequest(msgspec.Struct):
    model: str
    series: list[list[float]]
    horizon: int
    season_length: int = 1
    levels: list[int] = msgspec.field(default_factory=lambda: [80, 95])
    metadata: Metadata | None = None


class SpeechRequest(msgspec.Struct):
    model: str
    input: str
    voice: str = ""
    speed: float = 1.0
    response_format: Literal["wav", "pcm", "mp3", "opus", "flac"] = "wav"
    instructions: str = ""
    stream_format: str = "audio"
    metadata: Metadata | None = None


_ocr = msgspec.json.Decoder(OcrRequest)
_forecast = msgspec.json.Decoder(ForecastRequest)
_speech = msgspec.json.Decoder(SpeechRequest)


def _read(kind: str, path: str, model: str, body: dict[str, Any], tokens: int, **more: Any) -> Parsed:
    """A call that only reads, and whose reading is known."""
    return Parsed(
        model=model, body=body, path=path, text_bytes=tokens, messages=1, max_tokens=None, max_tokens_field=None,
        answers=0, kind=kind, fixed_tokens=tokens, **more,
    )  # fmt: skip


class Scene(Chat):
    """What the three have in common: the engine's answer with the model's public name and the usage that is charged."""

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        answer = _any.decode(body)
        self.checked(answer, parsed)
        answer["model"] = parsed.model
        answer["usage"] = {"prompt_tokens": metered.buckets.prompt, "total_tokens": metered.buckets.total}
        return _encode(answer)

    def checked(self, answer: dict[str, Any], parsed: Parsed) -> None:
        """ValueError where the answer is not one to what was asked."""


class Ocr(Scene):
    """`POST /v1/ocr`: the lines of a picture, and the fields of an identity card, a business licence or an invoice."""

    name = "ocr"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_ocr, body)
        word = request.document.image_url if request.document is not None else request.image
        data = picture(word)
        width, height = picture_size(data)
        if not 0 < width * height <= PIXELS_MAX:
            raise invalid(f"The picture is {width} × {height}; at most {PIXELS_MAX:,} pixels.", "image")
        tokens = math.ceil(width * height / PIXELS_PER_TOKEN)
        fields = {"image": base64.b64encode(data).decode(), "fields": request.fields}
        return _read("ocr", "/ocr", request.model, fields, tokens, tags=tags_of(request.metadata))

    def checked(self, answer: dict[str, Any], parsed: Parsed) -> None:
        if not isinstance(answer["lines"], list) or not isinstance(answer["text"], str):
            raise ValueError("an answer without lines")


class Forecast(Scene):
    """`POST /v1/forecast`: the coming values of series, with intervals."""

    name = "forecast"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_forecast, body)
        points = sum(len(series) for series in request.series)
        if not request.series or len(request.series) > SERIES_MAX or not all(request.series):
            raise invalid(f"series holds 1 to {SERIES_MAX} lists of numbers, none of them empty.", "series")
        if points > POINTS_MAX:
            text = f"series hold {points:,} numbers; at most {POINTS_MAX:,}."
            raise invalid(text, "series", "array_above_max_length")
        if not all(math.isfinite(value) for series in request.series for value in series):
            raise invalid("series may hold finite numbers only.", "series", "invalid_value")
        if not 1 <= request.horizon <= HORIZON_MAX:
            raise invalid(f"horizon is 1 to {HORIZON_MAX}.", "horizon", "invalid_value")
        if not 1 <= request.season_length <= SEASON_MAX:
            raise invalid(f"season_length is 1 to {SEASON_MAX}.", "season_length", "invalid_value")
        levels = sorted(set(request.levels))
        if len(levels) > LEVELS_MAX or not all(1 <= level <= 99 for level in levels):
            raise invalid(f"levels are at most {LEVELS_MAX} percentages from 1 to 99.", "levels", "invalid_value")
        fields = {"series": request.series, "horizon": request.horizon, "season_length": request.season_length,
                  "levels": levels}  # fmt: skip
        foretold = len(request.series) * request.horizon * (1 + 2 * len(levels))
        echo = (len(request.series), request.horizon)
        return _read("forecast", "/forecast", request.model, fields, points + foretold, echo=echo,
                     tags=tags_of(request.metadata))  # fmt: skip

    def checked(self, answer: dict[str, Any], parsed: Parsed) -> None:
        series, horizon = parsed.echo
        rows = answer["forecasts"]
        if len(rows) != series or any(len(row["mean"]) != horizon for row in rows):
            raise ValueError("an answer of another length")


class Speech(Scene):
    """`POST /v1/audio/speech`: a text, spoken."""

    name = "openai.speech"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_speech, body)
        signs = len(request.input)
        if not 1 <= signs <= SIGNS_MAX:
            raise invalid(f"input holds 1 to {SIGNS_MAX} signs, not {signs}.", "input", "invalid_value")
        if not 0.25 <= request.speed <= 4:
            raise invalid("speed is 0.25 to 4.", "speed", "invalid_value")
        if request.instructions:
            text = "No voice here takes instructions; choose a voice and a speed."
            raise invalid(text, "instructions", "unsupported_parameter")
        if request.stream_format != "audio":
            raise invalid("The sound comes as it is, not as events.", "stream_format", "unsupported_value")
        fields = {"input": request.input, "voice": request.voice, "speed": request.speed,
                  "response_format": request.response_format}  # fmt: skip
        media = MEDIA[request.response_format]
        return _read("speech", "/audio/speech", request.model, fields, signs, media=media,
                     tags=tags_of(request.metadata))  # fmt: skip

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        if not body:
            raise ValueError("an answer without a sound")
        return body


def picture(word: str) -> bytes:
    """A picture out of a data URL or plain base64; nothing is fetched from anywhere."""
    if word.startswith(("http://", "https://")):
        raise invalid("Send the picture itself, as base64 or a data: URL; addresses are not fetched.", "image")
    if word.startswith("data:"):
        word = word.partition(",")[2]
    if len(word) > IMAGE_MAX_BYTES * 4 // 3 + 4:
        raise CallError(413, "image_too_large", f"A picture has at most {IMAGE_MAX_BYTES:,} bytes.", param="image")
    try:
        return base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("The picture is not valid base64.", "image", "invalid_value") from error


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height by the file's own head: PNG and JPEG."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
    except struct.error:
        pass
    raise invalid("The picture is neither PNG nor JPEG.", "image", "invalid_value")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 < len(data):
        marker, size = struct.unpack(">HH", data[at : at + 4])
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker < 0xFF01 or size < 2:
            break
        at += 2 + size
    raise struct.error
