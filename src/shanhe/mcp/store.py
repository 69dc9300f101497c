"""SQL of secrets, reviewed tools and calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.mcp.model import CallRecord, Tool

PAGE_ROWS = 100
PURGE_ROWS = 50_000
SECRETS_MAX = 50
_CALL = "id, at, org_id, key_id, server, tool, state, error, sent_bytes, got_bytes, took_ms, paid_micro, receipt_id"

_CALL_TYPES = "uuid timestamptz uuid uuid text text text text bigint bigint bigint bigint uuid"


async def put_secret(db: Database, owner: UUID, name: str, sealed: bytes, now: datetime, actor: str) -> None:
    await db.execute(
        """INSERT INTO mcp.secret (owner, name, sealed, changed_at, changed_by) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (owner, name) DO UPDATE SET sealed = $3, changed_at = $4, changed_by = $5""",
        owner, name, sealed, now, actor,
    )  # fmt: skip


async def drop_secret(db: Database, owner: UUID, name: str) -> bool:
    return (
        await db.writes.fetchval("DELETE FROM mcp.secret WHERE (owner, name) = ($1, $2) RETURNING true", owner, name)
        or False
    )


async def secret(db: Database, owner: UUID, name: str) -> bytes | None:
    found: bytes | None = await db.fetchval("SELECT sealed FROM mcp.secret WHERE (owner, name) = ($1, $2)", owner, name)
    return found


async def secret_names(db: Database, owner: UUID) -> list[Any]:
    return await db.fetch(
        "SELECT name, changed_at FROM mcp.secret WHERE owner = $1 ORDER BY name LIMIT $2", owner, SECRETS_MAX + 1
    )


async def tools(db: Database, server: str, version: int) -> list[Tool]:
    rows = await db.fetch(
        "SELECT name, description, schema, about FROM mcp.tool WHERE (server, version) = ($1, $2) ORDER BY n",
        server,
        version,
    )
    return [Tool(**dict(row)) for row in rows]


async def all_tools(db: Database, servers: Sequence[tuple[str, int]]) -> dict[str, list[Tool]]:
    """Tools of many servers in one question."""
    rows = await db.fetch(
        """SELECT t.server, t.name, t.description, t.schema, t.about
             FROM unnest($1::text[], $2::int[]) s(server, version) JOIN mcp.tool t USING (server, version)
            ORDER BY t.server, t.n""",
        [server for server, _ in servers], [version for _, version in servers],
    )  # fmt: skip
    found: dict[str, list[Tool]] = {}
    for row in rows:
        found.setdefault(row["server"], []).append(Tool(row["name"], row["description"], row["schema"], row["about"]))
    return found


async def keep_tools(db: Database, server: str, version: int, found: Sequence[Tool], now: datetime) -> None:
    """Write down what a version's tools are; what is written down stays."""
    async with db.transaction() as conn:
        await conn.executemany(
            """INSERT INTO mcp.tool (server, version, n, name, description, schema, about, seen_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
            [
                (server, version, n, one.name, one.description, one.schema, one.about, now)
                for n, one in enumerate(found, 1)
            ],
        )


async def record(db: Database, calls: Sequence[CallRecord]) -> None:
    """Write down a batch of calls; one that is there already stays as it is."""
    names = _CALL.split(", ")
    marks = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_CALL_TYPES.split(), 1))
    await db.execute(
        f"INSERT INTO mcp.call ({_CALL}) SELECT * FROM unnest({marks}) ON CONFLICT DO NOTHING",
        *([getattr(call, name) for call in calls] for name in names),
    )


async def purge(db: Database, before: datetime) -> int:
    """Forget old calls, a bounded number; how many."""
    rows = await db.writes.fetch(
        "DELETE FROM mcp.call WHERE id IN (SELECT id FROM mcp.call WHERE at < $1 LIMIT $2) RETURNING id",
        before,
        PURGE_ROWS,
    )
    return len(rows)


async def calls(db: Database, org_id: UUID | None, server: str | None, before: UUID | None) -> list[CallRecord]:
    """Newest first, a page: of a payer, or of a server."""
    rows = await db.fetch(
        f"""SELECT {_CALL} FROM mcp.call WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::text IS NULL OR server = $2)
               AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4""",
        org_id, server, before, PAGE_ROWS,
    )  # fmt: skip
    return [CallRecord(**dict(row)) for row in rows]
