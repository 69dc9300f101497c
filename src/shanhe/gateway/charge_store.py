"""SQL of what is paid for resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database

CHANNEL: Final = "gateway_charges"
"""Says which resource's terms have changed."""


async def publish(
    conn: Any, name: str, role: str, markup_bps: int, fee_micro: int, makers: Sequence[tuple[UUID, int]],
    holders: Sequence[tuple[UUID, int]], now: datetime, actor: str,
) -> None:  # fmt: skip
    """Set a resource's terms as a whole, in the caller's transaction."""
    await conn.execute(
        """INSERT INTO gateway.resource (name, role, markup_bps, fee_micro, open, changed_at, changed_by)
           VALUES ($1, $2, $3, $4, true, $5, $6)
           ON CONFLICT (name) DO UPDATE SET role = $2, markup_bps = $3, fee_micro = $4, open = true, changed_at = $5,
             changed_by = $6""",
        name, role, markup_bps, fee_micro, now, actor,
    )  # fmt: skip
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, name)
    await conn.execute("DELETE FROM gateway.resource_party WHERE resource = $1", name)
    await conn.executemany(
        "INSERT INTO gateway.resource_party (resource, role, party, n, share_ppm) VALUES ($1, 'maker', $2, $3, $4)",
        [(name, party, n, share) for n, (party, share) in enumerate(makers, 1)],
    )
    await conn.executemany(
        "INSERT INTO gateway.resource_party (resource, role, party, n, rate_ppm) VALUES ($1, 'ip_holder', $2, $3, $4)",
        [(name, party, n, rate) for n, (party, rate) in enumerate(holders, 1)],
    )


async def close(conn: Any, name: str, now: datetime, actor: str) -> None:
    """Nothing more is sold through the resource."""
    await conn.execute(
        "UPDATE gateway.resource SET open = false, changed_at = $2, changed_by = $3 WHERE name = $1", name, now, actor
    )
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, name)


async def resources(db: Database, names: Sequence[str]) -> list[Any]:
    return await db.fetch("SELECT * FROM gateway.resource WHERE name = ANY($1) AND open", list(names))


async def parties(db: Database, names: Sequence[str]) -> list[Any]:
    """Makers and holders in their recorded order."""
    return await db.fetch(
        "SELECT * FROM gateway.resource_party WHERE resource = ANY($1) ORDER BY resource, role, n", list(names)
    )
