"""The log's nouns for those who ask: frozen."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Head(msgspec.Struct, frozen=True):
    """How far the database is: entries with an index, the ledger's cursor, amounts not yet in a totals entry.

    `again`: postings born before it may have been sealed already.
    """

    epoch: int
    holder: str
    until: datetime | None
    size: int
    feed_born: int
    feed_id: UUID
    pending: dict[str, Any]
    again: int
    place: str | None = None
    """Where the database lay when it was last known to continue what was signed."""
    restored: bool = False
    """Whether it came out of a backup and nobody has looked since what others have seen."""


class Entry(msgspec.Struct, frozen=True):
    """An entry at its place."""

    idx: int
    subject: UUID
    kind: str
    leaf: bytes


class Opening(msgspec.Struct, frozen=True):
    """What an entry commits to, as long as it may be shown."""

    salt: bytes
    private: bytes | None


class SignedHead(msgspec.Struct, frozen=True):
    """A checkpoint the log has signed."""

    size: int
    root: bytes
    note: str
    cosigned: int
    at: datetime


class Status(msgspec.Struct, frozen=True):
    """Where the log stands. `state`: "up", "behind" (signing lags) or "refused" (see `problem`)."""

    state: str
    origin: str
    key: str
    assigned: int
    signed: int
    root: str
    signed_at: datetime | None
    waiting: int
    cosignatures: int
    witnesses: int
    sealer: str
    problem: str


class Recovered(msgspec.Struct, frozen=True):
    """What a recovery did: entries adopted from tiles, entries sealed again, the size that had been signed."""

    adopted: int
    sealed: int
    signed: int
