"""SQL of the incubator. Callers hold the transaction; a quota is locked before it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.incubator.model import Booking, Resource

ROWS_MAX = 500
BOOKING = (
    "id, resource, service, org_id, month, starts_at, ends_at, units, state, posted, reversed, reason, version, trace,"
    " booked_by, booked_at, cancelled_at"
)
Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def add(conn: Connection, one: Resource) -> None:
    await conn.execute(
        """INSERT INTO incubator.resource (id, service, name_zh, name_en, place, opens_hour, closes_hour, seats,
             added_by, added_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING""",
        one.id, one.service, one.name_zh, one.name_en, one.place, one.opens_hour, one.closes_hour, one.seats,
        one.added_by, one.added_at,
    )  # fmt: skip


async def resource(conn: Connection, identifier: UUID, *, lock: bool = False) -> Resource | None:
    row = await conn.fetchrow(
        f"SELECT * FROM incubator.resource WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else Resource(**dict(row))


async def resources_by_id(conn: Connection, identifiers: Collection[UUID]) -> list[Resource]:
    rows = await conn.fetch("SELECT * FROM incubator.resource WHERE id = ANY($1)", list(identifiers))
    return [Resource(**dict(row)) for row in rows]


async def resources(conn: Connection, service: str | None) -> list[Resource]:
    rows = await conn.fetch(
        """SELECT * FROM incubator.resource WHERE closed_at IS NULL AND ($1::text IS NULL OR service = $1)
           ORDER BY service, name_zh, id LIMIT $2""",
        service, ROWS_MAX,
    )  # fmt: skip
    return [Resource(**dict(row)) for row in rows]


async def close(conn: Connection, identifier: UUID, at: datetime) -> None:
    await conn.execute(
        "UPDATE incubator.resource SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL", identifier, at
    )


async def taken(
    conn: Connection, spans: Mapping[UUID, tuple[datetime, datetime]]
) -> Mapping[tuple[UUID, datetime], int]:
    """Seats given away by resource and slot, from each resource's first slot to its last, both included."""
    rows = await conn.fetch(
        """SELECT s.resource, s.slot, count(*) AS seats
             FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS r(id, first, last)
             JOIN incubator.seat s ON s.resource = r.id AND s.slot BETWEEN r.first AND r.last GROUP BY 1, 2""",
        list(spans), [first for first, _ in spans.values()], [last for _, last in spans.values()],
    )  # fmt: skip
    return {(row["resource"], row["slot"]): row["seats"] for row in rows}


async def lock_quota(conn: Connection, org_id: UUID, service: str) -> None:
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('incubator:' || $1::text || $2, 0))", str(org_id), service
    )


async def used(conn: Connection, org_id: UUID, service: str, month: date) -> int:
    """Units of a month that were booked and not cancelled."""
    found: int = await conn.fetchval(
        """SELECT coalesce(sum(units), 0)::int FROM incubator.booking
           WHERE org_id = $1 AND service = $2 AND month = $3 AND state = 'booked'""",
        org_id, service, month,
    )  # fmt: skip
    return found


async def insert(conn: Connection, one: Booking) -> None:
    await conn.execute(
        f"""INSERT INTO incubator.booking ({BOOKING})
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)""",
        one.id, one.resource, one.service, one.org_id, one.month, one.starts_at, one.ends_at, one.units, one.state,
        one.posted, one.reversed, one.reason, one.version, dict(one.trace), one.booked_by, one.booked_at,
        one.cancelled_at,
    )  # fmt: skip


async def seat(conn: Connection, resource_id: UUID, slot: datetime, number: int, booking: UUID) -> None:
    await conn.execute("INSERT INTO incubator.seat VALUES ($1, $2, $3, $4)", resource_id, slot, number, booking)


async def seats_of(conn: Connection, resource_id: UUID, slot: datetime) -> set[int]:
    rows = await conn.fetch("SELECT seat FROM incubator.seat WHERE resource = $1 AND slot = $2", resource_id, slot)
    return {row["seat"] for row in rows}


async def booking(conn: Connection, identifier: UUID, *, lock: bool = False) -> Booking | None:
    row = await conn.fetchrow(
        f"SELECT {BOOKING} FROM incubator.booking WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else Booking(**dict(row))


async def bookings(
    conn: Connection, org_id: UUID, since: datetime, until: datetime, most: int, before: UUID | None
) -> list[Booking]:
    """An organisation's standing bookings that begin in a time, the earliest first, a page; `before` continues after
    one, which may be cancelled meanwhile."""
    rows = await conn.fetch(
        f"""SELECT {BOOKING} FROM incubator.booking WHERE state = 'booked' AND org_id = $1
              AND starts_at >= $2 AND starts_at < $3 AND ($5::uuid IS NULL OR (starts_at, id) >
                (SELECT starts_at, id FROM incubator.booking WHERE id = $5)) ORDER BY starts_at, id LIMIT $4""",
        org_id, since, until, most, before,
    )  # fmt: skip
    return [Booking(**dict(row)) for row in rows]


async def booked(conn: Connection, resources: Sequence[UUID], since: datetime, until: datetime) -> list[Booking]:
    """Standing bookings of each of these that begin in a time, the earliest first, of each a bounded page."""
    rows = await conn.fetch(
        f"""SELECT b.* FROM unnest($1::uuid[]) AS r(id) CROSS JOIN LATERAL (
              SELECT {BOOKING} FROM incubator.booking WHERE state = 'booked' AND resource = r.id
                AND starts_at >= $2 AND starts_at < $3 ORDER BY starts_at, id LIMIT $4) b""",
        list(resources), since, until, ROWS_MAX,
    )  # fmt: skip
    return [Booking(**dict(row)) for row in rows]


async def standing(conn: Connection, resource_id: UUID, now: datetime, *, begun: bool) -> list[Booking]:
    """Standing bookings of a resource that have not begun, or (`begun`) have not ended; a bounded page."""
    rows = await conn.fetch(
        f"""SELECT {BOOKING} FROM incubator.booking WHERE state = 'booked' AND resource = $1
             AND CASE WHEN $3 THEN ends_at ELSE starts_at END > $2 ORDER BY starts_at, id LIMIT $4""",
        resource_id, now, begun, ROWS_MAX,
    )  # fmt: skip
    return [Booking(**dict(row)) for row in rows]


async def cancel(conn: Connection, identifier: UUID, reason: str, at: datetime) -> None:
    await conn.execute(
        "UPDATE incubator.booking SET state = 'cancelled', reason = $2, cancelled_at = $3 WHERE id = $1",
        identifier, reason, at,
    )  # fmt: skip
    await conn.execute("DELETE FROM incubator.seat WHERE booking = $1", identifier)


async def mark(conn: Connection, identifier: UUID, *, posted: bool = False, reversed_: bool = False) -> None:
    await conn.execute(
        "UPDATE incubator.booking SET posted = posted OR $2, reversed = reversed OR $3 WHERE id = $1",
        identifier, posted, reversed_,
    )  # fmt: skip


async def unsettled(conn: Connection, limit: int) -> Sequence[Booking]:
    """Bookings whose posting, or whose reversal, a crash may have left out."""
    rows = await conn.fetch(
        f"""SELECT {BOOKING} FROM incubator.booking
            WHERE NOT posted OR (state = 'cancelled' AND NOT reversed)
            ORDER BY id LIMIT $1""",
        limit,
    )
    return [Booking(**dict(row)) for row in rows]


async def booked_orgs(conn: Connection, since: datetime, limit: int, *, before: UUID | None = None) -> list[UUID]:
    """Organisations with bookings still to come, a page; those before one where it is given."""
    rows = await conn.fetch(
        """SELECT DISTINCT org_id FROM incubator.booking WHERE state = 'booked' AND starts_at > $1
              AND ($3::uuid IS NULL OR org_id < $3) ORDER BY org_id DESC LIMIT $2""",
        since, limit, before,
    )  # fmt: skip
    return [row["org_id"] for row in rows]
