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
    holders: Sequence[tuple[UUID, int]], rights: Sequence[str], now: datetime, actor: str,
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
    await conn.execute("DELETE FROM gateway.resource_royalty WHERE resource = $1", name)
    await conn.executemany(
        "INSERT INTO gateway.resource_royalty (resource, royalty, n) VALUES ($1, $2, $3)",
        [(name, right, n) for n, right in enumerate(rights, 1)],
    )


async def close(conn: Any, name: str, now: datetime, actor: str) -> None:
    """Nothing more is sold through the resource."""
    await conn.execute(
        "UPDATE gateway.resource SET open = false, changed_at = $2, changed_by = $3 WHERE name = $1", name, now, actor
    )
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, name)


async def terms(db: Database, names: Sequence[str], since: datetime | None) -> list[Any]:
    """Terms of what is for sale, and of what was at an instant `since` which a run began: each with its parties, makers
    and holders in their recorded order, and with its rights, a row for each holder. One question, so that all of it is
    of one moment: whoever publishes other terms meanwhile is paid by all of them or by none."""
    return await db.fetch(
        """SELECT r.name, r.role, r.markup_bps, r.fee_micro,
                  coalesce((SELECT jsonb_agg(to_jsonb(p) ORDER BY p.role, p.n) FROM gateway.resource_party p
                    WHERE p.resource = r.name), '[]') AS parties,
                  coalesce((SELECT jsonb_agg(jsonb_build_object('name', y.name, 'rate_ppm', y.rate_ppm,
                                              'party', h.party, 'share_ppm', h.share_ppm) ORDER BY u.n, h.n)
                     FROM gateway.resource_royalty u JOIN gateway.royalty y ON y.name = u.royalty AND y.open
                     JOIN gateway.royalty_party h ON h.royalty = y.name WHERE u.resource = r.name), '[]') AS rights
             FROM gateway.resource r WHERE r.name = ANY($1) AND (r.open OR r.changed_at >= $2) ORDER BY r.name""",
        list(names), since,
    )  # fmt: skip


async def grant(
    conn: Any, name: str, rate_ppm: int, holders: Sequence[tuple[UUID, int]], now: datetime, actor: str
) -> None:
    """Set what a registered right is paid and to whom, in the caller's transaction."""
    await conn.execute(
        """INSERT INTO gateway.royalty (name, rate_ppm, open, changed_at, changed_by) VALUES ($1, $2, true, $3, $4)
           ON CONFLICT (name) DO UPDATE SET rate_ppm = $2, open = true, changed_at = $3, changed_by = $4""",
        name, rate_ppm, now, actor,
    )  # fmt: skip
    await conn.execute("DELETE FROM gateway.royalty_party WHERE royalty = $1", name)
    await conn.executemany(
        "INSERT INTO gateway.royalty_party (royalty, party, n, share_ppm) VALUES ($1, $2, $3, $4)",
        [(name, party, n, share) for n, (party, share) in enumerate(holders, 1)],
    )
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, name)


async def end(conn: Any, name: str, now: datetime, actor: str) -> None:
    """A right is paid no more; what uses it goes on without."""
    await conn.execute(
        "UPDATE gateway.royalty SET open = false, changed_at = $2, changed_by = $3 WHERE name = $1", name, now, actor
    )
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, name)


async def missing(conn: Any, names: Sequence[str]) -> list[str]:
    """Those of these rights that are paid for nothing now."""
    rows = await conn.fetch(
        """SELECT n FROM unnest($1::text[]) n
            WHERE NOT EXISTS (SELECT FROM gateway.royalty r WHERE r.name = n AND r.open)""",
        list(names),
    )
    return [row["n"] for row in rows]


async def users(db: Database, name: str, limit: int) -> list[str]:
    """Resources on sale whose calls use a right."""
    rows = await db.fetch(
        """SELECT u.resource FROM gateway.resource_royalty u JOIN gateway.resource r ON r.name = u.resource AND r.open
            WHERE u.royalty = $1 ORDER BY u.resource LIMIT $2""",
        name, limit,
    )  # fmt: skip
    return [row["resource"] for row in rows]
