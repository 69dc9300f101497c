"""The protocol's bytes, pure: JSON-RPC messages, server-sent events, request heads, what a version wants said."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

MODERN: Final = "2026-07-28"
LEGACY: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Versions with an `initialize` handshake, newest first."""
INVALID_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
PARSE_ERROR: Final = -32700
URL_ELICITATION: Final = -32042
"""A server wants its user to visit a page first: an answer to pass on, not a failure."""
META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CLIENT: Final = "io.modelcontextprotocol/clientInfo"
META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
EVENT_MAX_BYTES: Final = 1024 * 1024
MAC_BYTES: Final = 16
Unset = msgspec.UnsetType


PROGRESS: Final = "notifications/progress"


class Message(msgspec.Struct, omit_defaults=True):
    """One JSON-RPC message; what isn't looked at stays as it came."""

    jsonrpc: str = ""
    id: int | float | str | Unset | None = msgspec.UNSET
    method: str | Unset = msgspec.UNSET
    params: msgspec.Raw | Unset = msgspec.UNSET
    result: msgspec.Raw | Unset = msgspec.UNSET
    error: msgspec.Raw | Unset = msgspec.UNSET

    @property
    def asks(self) -> bool:
        return isinstance(self.method, str) and self.id is not msgspec.UNSET and self.id is not None

    @property
    def answers(self) -> bool:
        return self.method is msgspec.UNSET and (self.result is not msgspec.UNSET or self.error is not msgspec.UNSET)


class Asked(msgspec.Struct, rename={"progress": "progressToken"}):
    """What a request's `_meta` is looked at for."""

    progress: str | int | None = None
    """The caller's token: how far the work has got is told under it."""


class CallParams(msgspec.Struct, rename={"meta": "_meta"}):
    """What `tools/call` is looked at for."""

    name: str
    arguments: msgspec.Raw | Unset = msgspec.UNSET
    meta: Asked | None = None


class Progress(msgspec.Struct, omit_defaults=True, rename={"token": "progressToken"}):
    """How far the work of a call has got, in the words of `notifications/progress`."""

    token: str | int
    progress: int | float
    total: int | float | None = None
    message: str | None = None


class ListParams(msgspec.Struct):
    cursor: str | None = None


class ErrorBody(msgspec.Struct):
    code: int = 0
    message: str = ""


_decode = msgspec.json.Decoder(Message).decode
encode: Final = msgspec.json.Encoder().encode


def message_of(body: bytes) -> Message:
    """The one message of a body; ValueError for anything else."""
    try:
        found = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if found.jsonrpc != "2.0" or not (found.answers or isinstance(found.method, str)):
        raise ValueError("not a JSON-RPC 2.0 message")
    return found


def answer(identifier: Any, result: bytes) -> bytes:
    """A response around an encoded result."""
    return b'{"jsonrpc":"2.0","id":' + encode(identifier) + b',"result":' + result + b"}"


def error(identifier: Any, code: int, message: str) -> bytes:
    """An error response."""
    return encode({"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": message}})


def progress(found: Progress, token: str | int) -> bytes:
    """The notification of it to whoever chose this token."""
    params = msgspec.structs.replace(found, token=token)
    return encode({"jsonrpc": "2.0", "method": PROGRESS, "params": params})


def event(data: bytes, head: bytes = b"") -> bytes:
    """One event around a message; `head` = its `id`, `event` and `retry` lines as they came."""
    return (head or b"event: message\n") + b"data: " + data + b"\n\n"


class TooLong(Exception):
    """An event went beyond its bound."""


class Events:
    """Cuts a stream into events: pairs of (lines that aren't data, the data)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Those that are complete; TooLong for one that doesn't end."""
        self._rest = (self._rest + piece).replace(b"\r\n", b"\n")
        while True:
            block, found, rest = self._rest.partition(b"\n\n")
            if not found:
                break
            self._rest = rest
            yield _event(block)
        if len(self._rest) > EVENT_MAX_BYTES:
            raise TooLong()


def _event(block: bytes) -> tuple[bytes, bytes]:
    head, data = [], []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line:
            head.append(line)
    return b"".join(line + b"\n" for line in head), b"\n".join(data)


def request_head(method: str, target: str, host: str, headers: Mapping[str, str], size: int) -> bytes:
    """The head of an HTTP request; header values are checked where they come from."""
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines.append(f"content-length: {size}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Sessions:
    """A publisher's session as its payer sees it: sealed to who began it, so that it opens nobody else's."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, session: str, owner: bytes) -> str:
        mac = hmac.digest(self._key, owner + b"\0" + session.encode(), "sha256")[:MAC_BYTES]
        return base64.urlsafe_b64encode(mac + session.encode()).decode().rstrip("=")

    def open(self, sealed: str, owner: bytes) -> str | None:
        """The publisher's own; None when it isn't this owner's."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            session = raw[MAC_BYTES:].decode()
        except ValueError:
            return None
        mac = hmac.digest(self._key, owner + b"\0" + session.encode(), "sha256")[:MAC_BYTES]
        return session if hmac.compare_digest(mac, raw[:MAC_BYTES]) else None
