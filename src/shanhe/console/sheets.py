"""Tables of the API as files. Their heads are the names that JSON has, so that programs read them; whoever asks for a
`language` gets them in its words, as on pages."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shanhe.kernel.documents import BOM, csv_line

ASKED: Final = {"zh": "zh-CN", "zh-CN": "zh-CN", "en": "en"}
API: Final = "/api/"
HEAD_MAX_BYTES: Final = 16 * 1024
"""A first line that is longer is no head of ours."""
Words = Callable[[str, str, str], str]
"""The text of a key in a language, or what is given last."""


class Sheets:
    """ASGI middleware that puts words in the first line of a CSV, as it passes."""

    def __init__(self, app: ASGIApp, word: Words) -> None:
        self._app = app
        self._word = word

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(API)
        said = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("language", ()) if asked else ()
        lang = ASKED.get(said[0]) if said else None
        if lang is None:
            await self._app(scope, receive, send)
        else:
            name = scope["path"].rpartition("/")[2].removesuffix(".csv")  # a word may be another in one sheet

            def word(column: str) -> str:
                return self._word(f"sheet_{name}.{column}", lang, self._word(f"sheet.{column}", lang, column))

            await self._app(scope, receive, _Headed(send, word))


class _Headed:
    """Holds back until the first line is whole."""

    def __init__(self, send: Send, word: Callable[[str], str]) -> None:
        self._send = send
        self._word = word
        self._held: bytes | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if message["status"] == 200 and headers.get("content-type", "").startswith("text/csv"):
                self._held = b""
                del headers["content-length"]
        elif self._held is not None:
            self._held += message.get("body", b"")
            if b"\n" not in self._held and message.get("more_body") and len(self._held) < HEAD_MAX_BYTES:
                return
            message = {**message, "body": self._worded(self._held)}
            self._held = None
        await self._send(message)

    def _worded(self, held: bytes) -> bytes:
        line, end, rest = held.partition(b"\n")
        text = line.decode("utf-8", "replace")
        columns = next(csv.reader([text.removeprefix(BOM).rstrip("\r")]), [])
        if not end or not columns:
            return held
        return (BOM + csv_line(map(self._word, columns))).encode() + rest
