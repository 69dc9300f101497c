"""What faces share in reading a request: decode it, bound what it asks for, measure its texts."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from shanhe.compute.api import ADDRESSED
from shanhe.gateway.errors import invalid

ANSWERS_MAX = 8
"""Largest `n`."""
STOPS_MAX = 16
"""Most stop sequences one request may name."""
INPUTS_MAX = 2048
SIGHT = frozenset({"vision"})
T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], body: bytes, within: str = "") -> T:
    """Decode a request body, or what it holds `within` a field; the error names the field, as the protocols do."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        path = (within + text.rpartition("`$")[2].rstrip("`") if "`$" in text else within).removeprefix(".") or None
        raise invalid(f"The request does not fit the protocol: {text}", path, "invalid_type") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The body is not valid JSON in UTF-8: {error}", None, "invalid_json") from error


def bounded_tokens(value: int | None, field: str) -> int | None:
    """`max_tokens` as the caller wrote it, refused unless it is at least one."""
    if value is not None and value < 1:
        raise invalid(f"{field} must be at least 1, not {value}.", field, "integer_below_min_value")
    return value


def bounded_answers(value: int | None) -> int:
    answers = 1 if value is None else value
    if not 1 <= answers <= ANSWERS_MAX:
        raise invalid(f"n must be between 1 and {ANSWERS_MAX}, not {answers}.", "n", "invalid_value")
    return answers


def bounded_stops(stop: str | list[str] | None) -> None:
    if isinstance(stop, list) and len(stop) > STOPS_MAX:
        raise invalid(
            f"stop may name at most {STOPS_MAX} sequences, not {len(stop)}.", "stop", "array_above_max_length"
        )


def utf8_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def picture_needs(url: str, field: str) -> frozenset[str]:
    """What an engine has to have for a picture: sight for its bytes, for its address the leave to fetch it, too."""
    scheme = url.partition(":")[0].lower()
    if scheme == "data":
        return SIGHT
    if scheme in ("http", "https"):
        return SIGHT | {ADDRESSED}
    raise invalid("A picture is a data: URL, or an http(s) address.", field)


def input_size(value: str | list[str | int | list[int]], field: str) -> tuple[int, int]:
    """(bytes or token count, number of inputs) of a prompt or embedding input; bounds the list."""
    if isinstance(value, str):
        if not value and field == "input":
            raise invalid("input must not be empty.", "input", "invalid_value")
        return utf8_size(value), 1
    if not value:
        raise invalid(f"{field} must not be empty.", field, "empty_array")
    tokens = sum(isinstance(item, int) for item in value)
    if tokens == len(value):
        return tokens, 1
    if tokens:
        raise invalid(f"{field} may not mix tokens and texts.", field, "invalid_type")
    if len(value) > INPUTS_MAX:
        raise invalid(f"{field} may hold at most {INPUTS_MAX} entries.", field, "array_above_max_length")
    size = 0
    for item in value:
        if not item and field == "input":
            raise invalid("input must not hold an empty entry.", "input", "invalid_value")
        size += utf8_size(item) if isinstance(item, str) else len(item) if isinstance(item, list) else 0
    return size, len(value)
