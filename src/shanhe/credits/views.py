"""Records as JSON, the same over HTTP and in a terminal. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from shanhe.credits import windows
from shanhe.credits.errors import BadMonth
from shanhe.credits.model import CodeBatch, Refund


class Asks(Protocol):
    """Asking a second person to agree to what moves money by hand; each gives the request."""

    async def ask_top_up(
        self, org_id: UUID, amount_micro: int, reason: str, *, method: str, client_ref: str, by: str
    ) -> Any: ...
    async def ask_budget(self, name: str, amount_micro: int, reason: str, *, posting_id: UUID, by: str) -> Any: ...
    async def ask_instalment(self, agreement: UUID, number: int, *, reference: str, by: str) -> Any: ...


def refund_view(refund: Refund) -> dict[str, Any]:
    """A refund as JSON."""
    return {**asdict(refund), "lots": {str(lot): amount for lot, amount in refund.lots.items()}}


def batch_view(batch: CodeBatch) -> dict[str, Any]:
    """A batch of codes as JSON."""
    return asdict(batch)


def month_of(text: str | None) -> date | None:
    """The first day of a month written like 2026-11; BadMonth for one that is not in the calendar."""
    if not text:
        return None
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise BadMonth(text) from None


def end_of(day: date) -> datetime:
    """The instant at which a day of the city is over."""
    return windows.midnight(day + timedelta(days=1))
