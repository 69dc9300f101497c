"""SQL of estates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.credits.estate_model import Estate, EstateDocument, EstateLine, Successor
from shanhe.kernel.db import Database
from shanhe.kernel.sealing import Seal

Connection = Any


PLACE: Final = "estate"


def estate(row: Mapping[str, Any], seal: Seal) -> Estate:
    """A row as it reads with its party's seal."""
    values = seal.opened(PLACE, row, "reason")
    values["documents"] = seal.open_json(f"{PLACE}.documents", values["documents"], [])
    values["successors"] = [Successor(UUID(one["org_id"]), one["share_bps"]) for one in values["successors"]]
    values["documents"] = [EstateDocument(**one) for one in values["documents"]]
    values["lines"] = [EstateLine(**one) for one in values["lines"]]
    return Estate(**values)


async def insert(conn: Connection, estate: Estate, seal: Seal) -> Any:
    """The row of the estate of this id, whoever wrote it first; None when another of the organisation is open."""
    await conn.execute(
        """INSERT INTO credits.estate (id, org_id, kind, successors, documents, reason, asked_by, asked_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
        estate.id, estate.org_id, estate.kind,
        [{"org_id": str(one.org_id), "share_bps": one.share_bps} for one in estate.successors],
        seal.json(f"{PLACE}.documents", [asdict(one) for one in estate.documents]),
        seal.text(f"{PLACE}.reason", estate.reason), estate.asked_by, estate.asked_at,
    )  # fmt: skip
    return await get(conn, estate.id)


async def get(conn: Connection | Database, estate_id: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM credits.estate WHERE id = $1", estate_id)


async def page(db: Database, org_id: UUID | None, open_only: bool, limit: int) -> Sequence[Any]:
    found: Sequence[Any] = await db.fetch(
        """SELECT * FROM credits.estate WHERE ($1::uuid IS NULL OR org_id = $1) AND (NOT $2 OR state = 'open')
           ORDER BY id DESC LIMIT $3""",
        org_id, open_only, limit,
    )  # fmt: skip
    return found


async def open_after(db: Database, after: UUID | None, limit: int) -> Sequence[Any]:
    """A page of those that have not ended, oldest first, after one of them."""
    found: Sequence[Any] = await db.fetch(
        """SELECT * FROM credits.estate WHERE state = 'open' AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2""",
        after, limit,
    )  # fmt: skip
    return found


async def end(
    conn: Connection, estate_id: UUID, state: str, by: str | None, now: datetime, *,
    posting_id: UUID | None = None, lines: list[EstateLine] | None = None, rule_version: str = "",
) -> bool:  # fmt: skip
    """False when it had ended before."""
    row = await conn.fetchrow(
        """UPDATE credits.estate SET state = $2, decided_by = $3, decided_at = $4, posting_id = $5, lines = $6,
                  rule_version = $7 WHERE id = $1 AND state = 'open' RETURNING id""",
        estate_id, state, by, now, posting_id, [asdict(line) for line in lines or []], rule_version,
    )  # fmt: skip
    return row is not None
