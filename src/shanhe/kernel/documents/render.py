"""The one way from a document to a file: bounded in rows, in time at once, and away from the event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Final

from shanhe.kernel.documents.model import Document, DocumentTooLarge
from shanhe.kernel.documents.pdf import pdf_bytes
from shanhe.kernel.documents.sheets import csv_bytes, xlsx_bytes
from shanhe.kernel.errors import Unavailable

RENDERING_MAX: Final = 2
WAITING_MAX: Final = 32


class Format(StrEnum):
    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"


MEDIA: Final = {
    Format.PDF: "application/pdf",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.CSV: "text/csv; charset=utf-8",
}
ROWS_MAX: Final = {Format.PDF: 5_000, Format.XLSX: 100_000, Format.CSV: 200_000}
_RENDERERS: Final[dict[Format, Callable[[Document], bytes]]] = {
    Format.PDF: pdf_bytes,
    Format.XLSX: xlsx_bytes,
    Format.CSV: csv_bytes,
}
_queue: Final = threading.BoundedSemaphore(WAITING_MAX)


async def render(document: Document, fmt: Format | str) -> bytes:
    """The file. DocumentTooLarge past the format's rows; Unavailable while too many others wait."""
    fmt = Format(fmt)
    rows = sum(len(table.rows) for table in document.tables)
    if rows > ROWS_MAX[fmt]:
        raise DocumentTooLarge(rows, ROWS_MAX[fmt], fmt.value.upper())
    if not _queue.acquire(blocking=False):
        raise _busy()
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool(), _RENDERERS[fmt], document)
    finally:
        _queue.release()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads of their own: a long document must not keep sign-ins waiting for the loop's common ones."""
    return ThreadPoolExecutor(RENDERING_MAX, thread_name_prefix="documents")


def _busy() -> Unavailable:
    return Unavailable(
        "documents_busy",
        "Too many documents are being made just now.",
        message_zh="当前生成文档的请求过多。",
        hint="Try again in a few seconds.",
        hint_zh="请几秒后重试。",
        retry_after_s=5,
    )


def file_name(stem: str, fmt: Format | str) -> str:
    """A name that every file system takes."""
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in stem).strip("-.")
    return f"{safe or 'document'}.{Format(fmt).value}"


def save_headers(stem: str, fmt: Format | str) -> dict[str, str]:
    """Headers that make a browser save the answer, under a name that may be Chinese (RFC 6266)."""
    name = file_name(stem, fmt)
    plain = name.encode("ascii", "ignore").decode() or f"document.{Format(fmt).value}"
    return {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{urllib.parse.quote(name)}",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
