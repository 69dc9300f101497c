"""A log's public files from where they are: a web address or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import httpx

from shanhe.kernel.errors import Unavailable
from shanhe.log.files import Folder
from shanhe.log.tiles import Fetch

FETCH_LIMIT_S: Final = 15.0
FILE_BYTES_MAX: Final = 20_000_000
OK: Final = 200
ENGLISH: Final = {"accept-language": "en"}
GONE: Final = 404


def open_source(place: str) -> Fetch:
    """How to read files under `place`: `https://city.example/log` or a folder."""
    if "://" not in place:
        return Folder(Path(place)).read
    client = httpx.Client(timeout=FETCH_LIMIT_S, follow_redirects=False)
    base = place.rstrip("/")

    def fetch(path: str) -> bytes | None:
        try:
            answer = client.get(f"{base}/{path}")
        except httpx.HTTPError as error:
            raise _away(place, str(error)) from error
        if answer.status_code == GONE:
            return None
        if answer.status_code != OK or len(answer.content) > FILE_BYTES_MAX:
            raise _away(place, f"HTTP {answer.status_code}")
        return answer.content

    return fetch


def submit(place: str, note: str) -> str:
    """Hand a cosigned checkpoint to the log; "" or why it was not taken."""
    try:
        answer = httpx.post(
            f"{place.rstrip('/')}/cosignatures", content=note.encode(), headers=ENGLISH, timeout=FETCH_LIMIT_S
        )
    except httpx.HTTPError as error:
        return str(error)
    if answer.status_code == OK:
        return ""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def _away(place: str, why: str) -> Unavailable:
    return Unavailable(
        "log_away", f"The log at {place} cannot be read: {why}.", message_zh=f"无法读取 {place} 的日志：{why}。",
        hint="Check the address; it is the one that ends in /log.", hint_zh="请检查地址，应以 /log 结尾。",
    )  # fmt: skip
