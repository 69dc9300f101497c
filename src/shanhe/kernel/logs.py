"""Structured logs. Never prompts, answers, keys or personal data: a filter drops the fields that would carry them."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

FORBIDDEN_FIELDS = frozenset(
    ("prompt", "messages", "content", "answer", "input", "token", "api_key", "authorization", "password", "secret",
     "cookie", "email", "phone", "name_plain", "body", "dsn")
)  # fmt: skip
VALUE_CHARS_MAX = 2_000
NOISY = ("asyncio", "httpx", "httpcore", "pgqueuer", "uvicorn.access", "uvicorn.error")


def configure(level: str = "info", *, as_json: bool = False, worker: str = "") -> None:
    """Send structlog and the standard library's logging to stderr in one form; once a process."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        scrub,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatting: list[Any] = (
        [*shared, renderer] if not as_json else [*shared, structlog.processors.format_exc_info, renderer]
    )
    structlog.configure(
        processors=formatting,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=to_stderr,
        cache_logger_on_first_use=False,
    )
    if worker:
        structlog.contextvars.bind_contextvars(worker=worker)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer,
        ])
    )  # fmt: skip
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class Patient(structlog.PrintLogger):
    """A line that cannot be written, because the disk is full, is dropped: what was being done goes on."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = err = msg


def keep_short(path: Path, most_bytes: int) -> None:
    """Begin a child's log anew once it is longer; what it said until then lies beside it as `.1`, where there is room.

    For whoever appends (O_APPEND): it goes on at the file's new beginning.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size > most_bytes:
            with contextlib.suppress(OSError):
                shutil.copy(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)


def to_stderr(*_: Any) -> structlog.PrintLogger:
    """Write to what stderr is now: it may have been replaced, even closed, since the process was configured."""
    return Patient(sys.stderr)


def scrub(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop fields that must not be logged and cut what is too long."""
    for name in FORBIDDEN_FIELDS & event.keys():
        event[name] = "[not logged]"
    for name, value in event.items():
        if isinstance(value, str) and len(value) > VALUE_CHARS_MAX and name != "exception":
            event[name] = value[:VALUE_CHARS_MAX] + "…"
    return event
