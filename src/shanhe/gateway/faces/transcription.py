"""`POST /v1/audio/transcriptions`: speech to text, as OpenAI speaks it. A form comes in, a form goes to the engine.

Charged by what was heard: 50 tokens a second of sound. How long it is says the engine, within what so many bytes of
the format can hold; a WAV file says it itself.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import invalid
from shanhe.gateway.faces.base import Completion, Parsed
from shanhe.gateway.faces.forms import LIST_SIGN, File, form_parts, form_tags, written
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.meter import Metered

TOKENS_PER_SECOND: Final = 50
LEAST_BYTES_PER_SECOND: Final = 750
"""Speech at 6 kbit/s, the least that a codec in use makes of a second."""
CHUNKS_MAX: Final = 64
PLAIN_CODINGS: Final = (1, 3)
"""PCM and floats; whatever else a WAV file may hold is compressed."""
FORMATS: Final = ("json", "verbose_json", "text", "srt", "vtt")
UNSERVED: Final = (
    "include", "keywords", "known_speaker_names", "known_speaker_references", "languages", "stream",
)  # fmt: skip
"""What would change an answer and is not done here."""
PASSED: Final = ("language", "prompt", "temperature")
_encode = msgspec.json.Encoder().encode


class Segment(msgspec.Struct):
    start: float = 0.0
    end: float = 0.0
    text: str = ""


class Heard(msgspec.Struct):
    """An engine's `verbose_json`."""

    text: str
    language: str | None = None
    duration: float | None = None
    segments: list[Segment] = []


_heard = msgspec.json.Decoder(Heard)


class Transcriptions(Chat):
    """The face."""

    name = "openai.transcriptions"

    def parse(self, body: bytes) -> Parsed:
        parts = form_parts(body)
        name, sound = parts.get("file", ("", b""))
        if not sound:
            raise invalid("file must hold the sound.", "file", "missing_required_parameter")
        words = {field: data.decode(errors="replace") for field, (_, data) in parts.items() if field != "file"}
        shape = words.get("response_format", "json")
        if shape not in FORMATS:
            raise invalid(f"response_format is one of {', '.join(FORMATS)}.", "response_format", "invalid_value")
        _served(words)
        fields: dict[str, Any] = {field: words[field] for field in PASSED if field in words} | {
            "response_format": "verbose_json"
        }
        seconds = wav_seconds(sound)
        most = math.ceil(len(sound) / LEAST_BYTES_PER_SECOND) if seconds is None else seconds
        media = b"" if shape in ("json", "verbose_json") else b"text/plain; charset=utf-8"
        return Parsed(
            model=words.get("model", ""), body=fields, path="/audio/transcriptions",
            text_bytes=math.ceil(most * TOKENS_PER_SECOND), messages=1, max_tokens=None, max_tokens_field=None,
            answers=0, kind="transcription", echo=shape, media=media, tags=form_tags(words),
            form=lambda fields: written(fields, [File("file", name or "sound", sound)]),
        )  # fmt: skip

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        heard = _heard.decode(body)
        if parsed.echo == "text":
            return heard.text.encode() + b"\n"
        if parsed.echo in ("srt", "vtt"):
            return subtitles(heard.segments, parsed.echo).encode()
        usage = {"type": "tokens", "input_tokens": metered.buckets.prompt, "output_tokens": 0,
                 "total_tokens": metered.buckets.total}  # fmt: skip
        answer: dict[str, Any] = {"text": heard.text, "usage": usage}
        if parsed.echo == "verbose_json":
            rows = [{"id": at, **msgspec.structs.asdict(one)} for at, one in enumerate(heard.segments)]
            answer |= {"task": "transcribe", "language": heard.language, "duration": heard.duration, "segments": rows}
        return _encode(answer)


def _served(words: Mapping[str, str]) -> None:
    """CallError 400 for what is known and not done here."""
    for name in UNSERVED:
        if words.get(name, "false") not in ("", "false"):
            raise invalid(f"{name} is not done here; leave it out.", name, "unsupported_parameter")
    if set(words.get("timestamp_granularities", "segment").split(LIST_SIGN)) != {"segment"}:
        text = "Times are given for segments, not for words."
        raise invalid(text, "timestamp_granularities", "unsupported_value")


def wav_seconds(sound: bytes) -> float | None:
    """How long an uncompressed WAV file is at most, by what a decoder reads of its head; None for other formats."""
    if sound[:4] != b"RIFF" or sound[8:12] != b"WAVE":
        return None
    at = 12
    for _ in range(CHUNKS_MAX):
        try:
            name, size = struct.unpack("<4sI", sound[at : at + 8])
            if name == b"fmt ":
                coding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", sound[at + 8 : at + 24])
                per_second = channels * rate * bits // 8
                return len(sound) / per_second if coding in PLAIN_CODINGS and per_second else None
        except struct.error:
            return None
        at += 8 + size + size % 2
    return None


def subtitles(segments: list[Segment], shape: str) -> str:
    """SubRip or WebVTT."""
    dot = "," if shape == "srt" else "."
    blocks = ["WEBVTT\n"] if shape == "vtt" else []
    for number, one in enumerate(segments, 1):
        begin, end = (_clock(moment, dot) for moment in (one.start, one.end))
        counted = f"{number}\n" if shape == "srt" else ""
        blocks.append(f"{counted}{begin} --> {end}\n{one.text.strip()}\n")
    return "\n".join(blocks)


def _clock(seconds: float, dot: str) -> str:
    whole_ms = round(max(0.0, seconds) * 1000)
    minutes, ms = divmod(whole_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{dot}{ms % 1000:03d}"
