"""Typed errors with one shape on every surface: what happened, why, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a request as an error tells of it.

    `pointer` is its place in the body (a JSON pointer), `zh` and `en` what people call it, `unit` what it is counted in
    (empty where nothing is), `allowed` what it may be, in the words of JSON Schema.
    """

    pointer: str
    zh: str
    en: str
    unit: str = ""
    allowed: Mapping[str, Any] = field(default_factory=dict)

    def wrong(self, zh: str, en: str) -> dict[str, Any]:
        """The field and what is wrong with it, as an item of `details.fields`."""
        return {"field": self.pointer.rpartition("/")[2], "pointer": self.pointer,
                "title": {"zh": self.zh, "en": self.en}, "unit": self.unit, "allowed": dict(self.allowed),
                "zh": zh, "en": en}  # fmt: skip


class ShanheError(Exception):
    """An error a caller can act on.

    `code` is stable and machine-readable, `status` the HTTP status, `hint` says what to do next. Chinese texts are
    optional; without one the English text serves both.
    """

    default_status: ClassVar[int] = 400

    def __init__(
        self,
        code: str,
        message: str,
        *,
        message_zh: str = "",
        status: int | None = None,
        hint: str = "",
        hint_zh: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.message_zh = message_zh or message
        self.status = status if status is not None else self.default_status
        self.hint = hint
        self.hint_zh = hint_zh or hint
        self.details = dict(details or {})

    @property
    def whole_text(self) -> str:
        """What happened and what to do next, for protocols that have one text for both."""
        return f"{self.message} {self.hint}".strip()

    @property
    def whole_text_zh(self) -> str:
        """The same in Chinese; nothing where it was never put into Chinese."""
        return f"{self.message_zh}{self.hint_zh}" if self.message_zh != self.message else ""

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """The JSON body of the error: `{"error": {code, message, hint?, details?}}`."""
        chinese = language.startswith("zh")
        body: dict[str, Any] = {"code": self.code, "message": self.message_zh if chinese else self.message}
        hint = self.hint_zh if chinese else self.hint
        if hint:
            body["hint"] = hint
        if self.details:
            body["details"] = self.details
        return {"error": body}


class Unreadable(ValueError):
    """What a person typed and nobody can read; `zh` and `en` say why, and how to write it."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


class Unauthorized(ShanheError):
    default_status = 401


class Forbidden(ShanheError):
    default_status = 403


class NotFound(ShanheError):
    default_status = 404


class Conflict(ShanheError):
    default_status = 409


class Invalid(ShanheError):
    default_status = 422


class TooMany(ShanheError):
    """Refused for now; `retry_after_s` says when to try again."""

    default_status = 429

    def __init__(self, code: str, message: str, *, retry_after_s: int = 1, **rest: Any) -> None:
        super().__init__(code, message, **rest)
        self.retry_after_s = retry_after_s


class Unavailable(ShanheError):
    """Something this process depends on is away; trying again later may work."""

    default_status = 503

    def __init__(self, code: str, message: str, *, retry_after_s: int = 1, **rest: Any) -> None:
        super().__init__(code, message, **rest)
        self.retry_after_s = retry_after_s
