"""Opening balances as an operator writes them: JSON in, entries for `Ledger.open_books` out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from shanhe.kernel.errors import Invalid
from shanhe.ledger.model import NewLot, OpeningBalance, Provenance

ENTRIES_MAX: Final = 10_000
AMOUNT_MAX: Final = 2**62

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Lot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provenance: Provenance
    amount: Annotated[int, msgspec.Meta(gt=0, le=AMOUNT_MAX)]
    expires_at: Instant | None = None
    unlock_at: Instant | None = None
    cost_fen: Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)] | None = None


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: UUID
    amount: Annotated[int, msgspec.Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
    lots: tuple[_Lot, ...] = ()


class _Books(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    entries: Annotated[tuple[_Entry, ...], msgspec.Meta(min_length=1, max_length=ENTRIES_MAX)]


def read_opening(raw: bytes) -> tuple[UUID, list[OpeningBalance]]:
    """The posting's id (the same one again books nothing twice) and the entries; `Invalid` says where it is wrong."""
    try:
        books = msgspec.json.decode(raw, type=_Books)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(str(error), str(error)) from error
    for entry in books.entries:
        if entry.amount == 0:
            raise _unreadable(f"account {entry.account} has amount 0", f"账户 {entry.account} 的金额为 0")
    return books.id, [OpeningBalance(entry.account, entry.amount, _lots(entry)) for entry in books.entries]


def _lots(entry: _Entry) -> tuple[NewLot, ...]:
    return tuple(
        NewLot(
            account=entry.account,
            provenance=lot.provenance,
            amount=lot.amount,
            expires_at=lot.expires_at,
            unlock_at=lot.unlock_at,
            cost_fen=lot.cost_fen,
        )
        for lot in entry.lots
    )


def _unreadable(why: str, why_zh: str) -> Invalid:
    return Invalid(
        "opening_invalid",
        f"The opening balances cannot be read: {why}.",
        message_zh=f"无法读取期初余额：{why_zh}。",
        hint='Write {"id": UUID, "entries": [{"account": UUID, "amount": 5000000, "lots": […]}]}.',
        hint_zh='格式为 {"id": UUID, "entries": [{"account": UUID, "amount": 5000000, "lots": […]}]}。',
    )
