"""SQL of nomads. Callers hold the transaction where one is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.nomads.model import Card, Nomad, Venue, VenueKind

VENUE = "id, org_id, name, kind, address, public, own_key, certified, closed_at"
CARD = """id, person_id, year, rule, credential, valid_from, valid_until, days_required, issued_at, revoked_at,
  settled, ended"""
ROWS_MAX = 500
DAYS_MAX = 4_000
DUE_ROWS = 200

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


# -- venues -----------------------------------------------------------------------------------------------------------


def _venue(row: Any) -> Venue:
    return Venue(**dict(row) | {"kind": VenueKind(row["kind"])})


async def insert_venue(conn: Connection, venue: Venue, fingerprint: str, at: datetime, actor: str) -> None:
    await conn.execute(
        """INSERT INTO nomads.venue (id, org_id, name, kind, address, fingerprint, public, own_key, certified,
             created_at, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        venue.id, venue.org_id, venue.name, venue.kind, venue.address, fingerprint, venue.public, venue.own_key,
        venue.certified, at, actor,
    )  # fmt: skip


async def venue(conn: Connection, identifier: UUID) -> Venue | None:
    row = await conn.fetchrow(f"SELECT {VENUE} FROM nomads.venue WHERE id = $1", identifier)
    return _venue(row) if row is not None else None


async def venues(conn: Connection, org_ids: Sequence[UUID] | None = None, most: int = ROWS_MAX) -> list[Venue]:
    rows = await conn.fetch(
        f"""SELECT {VENUE} FROM nomads.venue WHERE $1::uuid[] IS NULL OR org_id = ANY($1)
            ORDER BY closed_at IS NOT NULL, name, id LIMIT $2""",
        list(org_ids) if org_ids is not None else None, most,
    )  # fmt: skip
    return [_venue(row) for row in rows]


async def certify_venue(conn: Connection, identifier: UUID) -> None:
    await conn.execute("UPDATE nomads.venue SET certified = true WHERE id = $1 AND closed_at IS NULL", identifier)


async def end_certificate(conn: Connection, identifier: UUID) -> bool:
    """False when it had none."""
    row = await conn.fetchrow(
        "UPDATE nomads.venue SET certified = false WHERE id = $1 AND certified RETURNING id", identifier
    )
    return row is not None


async def close_venues(db: Database, org_id: UUID, at: datetime) -> int:
    """Close all that an organisation runs; how many."""
    rows = await db.writes.fetch(
        "UPDATE nomads.venue SET closed_at = $2 WHERE org_id = $1 AND closed_at IS NULL RETURNING id", org_id, at
    )
    return len(rows)


async def close_venue(conn: Connection, identifier: UUID, at: datetime) -> None:
    await conn.execute("UPDATE nomads.venue SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL", identifier, at)


# -- people and days --------------------------------------------------------------------------------------------------


async def enrol(conn: Connection, nomad: Nomad) -> bool:
    """False when the number or handle is taken, or the person is there already."""
    row = await conn.fetchrow(
        "INSERT INTO nomads.person (person_id, handle, number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        " RETURNING person_id",
        nomad.person_id, nomad.handle, nomad.number,
    )  # fmt: skip
    return row is not None


async def nomad(
    conn: Connection, *, person_id: UUID | None = None, handle: UUID | None = None, number: str | None = None
) -> Nomad | None:
    row = await conn.fetchrow(
        """SELECT person_id, handle, number FROM nomads.person
           WHERE person_id = $1 OR handle = $2 OR number = $3""",
        person_id, handle, number,
    )  # fmt: skip
    return Nomad(**dict(row)) if row is not None else None


async def insert_day(conn: Connection, day_key: bytes, person_id: UUID, sealed: bytes) -> bool:
    """False when the day counts already."""
    row = await conn.fetchrow(
        "INSERT INTO nomads.day (day_key, person_id, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
        day_key, person_id, sealed,
    )  # fmt: skip
    return row is not None


async def insert_proof(conn: Connection, day_key: bytes, sealed: bytes, forget_on: date) -> None:
    await conn.execute(
        "INSERT INTO nomads.proof (day_key, sealed, forget_on) VALUES ($1, $2, $3)", day_key, sealed, forget_on
    )


async def proof(conn: Connection, day_key: bytes) -> bytes | None:
    found: bytes | None = await conn.fetchval("SELECT sealed FROM nomads.proof WHERE day_key = $1", day_key)
    return found


async def days(conn: Connection, person_id: UUID) -> list[bytes]:
    rows = await conn.fetch(f"SELECT sealed FROM nomads.day WHERE person_id = $1 LIMIT {DAYS_MAX}", person_id)
    return [row["sealed"] for row in rows]


async def days_with_places(conn: Connection, person_id: UUID, most: int) -> Sequence[Any]:
    """A person's days (`day`) with where each was proved (`place`, as long as it is kept), both sealed."""
    found: Sequence[Any] = await conn.fetch(
        """SELECT d.sealed AS day, p.sealed AS place FROM nomads.day d LEFT JOIN nomads.proof p USING (day_key)
            WHERE d.person_id = $1 LIMIT $2""",
        person_id, most,
    )  # fmt: skip
    return found


async def note_reading(
    conn: Connection, identifier: UUID, person_id: UUID, purpose: str, at: datetime, actor: str
) -> None:
    await conn.execute(
        "INSERT INTO nomads.reading (id, person_id, purpose, at, actor) VALUES ($1, $2, $3, $4, $5)",
        identifier, person_id, purpose, at, actor,
    )  # fmt: skip


async def readings(conn: Connection, person_id: UUID, most: int) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT at, purpose, actor FROM nomads.reading WHERE person_id = $1 ORDER BY at DESC LIMIT $2", person_id, most
    )
    return found


# -- limits -----------------------------------------------------------------------------------------------------------


async def count(conn: Connection, key: bytes, window: datetime) -> int:
    """Count one more; how many there were before."""
    n: int = await conn.fetchval(
        """INSERT INTO nomads.rate (key, window_at, n) VALUES ($1, $2, 1)
           ON CONFLICT (key, window_at) DO UPDATE SET n = nomads.rate.n + 1 RETURNING n""",
        key, window,
    )  # fmt: skip
    return n - 1


async def use_pass(conn: Connection, mark: bytes, purpose: str, until: datetime) -> bool | None:
    """Whether this pass serves for the first time; None when it served something else before."""
    row = await conn.fetchrow(
        """INSERT INTO nomads.used_pass (mark, purpose, until) VALUES ($1, $2, $3)
           ON CONFLICT (mark) DO UPDATE SET until = excluded.until RETURNING purpose, xmax = 0 AS fresh""",
        mark, purpose, until,
    )  # fmt: skip
    return bool(row["fresh"]) if row["purpose"] == purpose else None


async def forget(conn: Connection, today: date, now: datetime) -> int:
    """Delete what has been kept long enough: places, scans, counters."""
    gone = [
        await conn.execute("DELETE FROM nomads.proof WHERE forget_on <= $1", today),
        await conn.execute(
            "UPDATE nomads.redemption SET sealed = NULL WHERE forget_on <= $1 AND sealed IS NOT NULL", today
        ),
        await conn.execute("DELETE FROM nomads.scan WHERE forget_on <= $1", today),
    ]
    await conn.execute("DELETE FROM nomads.rate WHERE window_at < $1", now)
    await conn.execute("DELETE FROM nomads.used_pass WHERE until < $1", now)
    return sum(int(str(text).rpartition(" ")[2]) for text in gone)


# -- organisations ----------------------------------------------------------------------------------------------------


async def set_organisation(conn: Connection, org_id: UUID, public: bytes, since: date, actor: str) -> None:
    await conn.execute(
        """INSERT INTO nomads.organisation (org_id, public, since, actor) VALUES ($1, $2, $3, $4)
           ON CONFLICT (org_id) DO UPDATE SET public = excluded.public, until = NULL, actor = excluded.actor""",
        org_id, public, since, actor,
    )  # fmt: skip


async def end_organisation(conn: Connection, org_id: UUID, until: date) -> None:
    await conn.execute(
        "UPDATE nomads.organisation SET until = $2 WHERE org_id = $1 AND (until IS NULL OR until > $2)", org_id, until
    )


async def organisation(conn: Connection, org_id: UUID) -> Any:
    return await conn.fetchrow("SELECT org_id, public, since, until FROM nomads.organisation WHERE org_id = $1", org_id)


async def organisations(conn: Connection) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        f"SELECT org_id, public, since, until FROM nomads.organisation ORDER BY since, org_id LIMIT {ROWS_MAX}"
    )
    return found


# -- cards ------------------------------------------------------------------------------------------------------------


async def insert_decision(conn: Connection, *values: Any) -> bool:
    """False when this person used the reference before."""
    row = await conn.fetchrow(
        """INSERT INTO nomads.decision (id, person_id, kind, client_ref, granted, at, card, versions, sealed)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (person_id, client_ref) DO NOTHING RETURNING id""",
        *values,
    )  # fmt: skip
    return row is not None


async def decision(conn: Connection, person_id: UUID, client_ref: str) -> Any:
    return await conn.fetchrow(
        "SELECT * FROM nomads.decision WHERE person_id = $1 AND client_ref = $2", person_id, client_ref
    )


async def decisions(conn: Connection, person_id: UUID, limit: int) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT * FROM nomads.decision WHERE person_id = $1 ORDER BY id DESC LIMIT $2", person_id, limit
    )
    return found


async def refusal(conn: Connection, identifier: UUID, person_id: UUID) -> Any:
    """A person's refusal by its id."""
    return await conn.fetchrow(
        "SELECT id FROM nomads.decision WHERE id = $1 AND person_id = $2 AND NOT granted", identifier, person_id
    )


# -- appeals ----------------------------------------------------------------------------------------------------------


async def insert_appeal(
    conn: Connection, identifier: UUID, decision: UUID, person_id: UUID, asked: bytes, at: datetime, due: datetime
) -> bool:
    """False when the decision was appealed before."""
    row = await conn.fetchrow(
        """INSERT INTO nomads.appeal (id, decision, person_id, asked, asked_at, due_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (decision) DO NOTHING RETURNING id""",
        identifier, decision, person_id, asked, at, due,
    )  # fmt: skip
    return row is not None


async def appeal(conn: Connection, identifier: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM nomads.appeal WHERE id = $1", identifier)


async def appeals_of(conn: Connection, person_id: UUID, limit: int) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT * FROM nomads.appeal WHERE person_id = $1 ORDER BY id DESC LIMIT $2", person_id, limit
    )
    return found


async def open_appeals(conn: Connection, limit: int) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT * FROM nomads.appeal WHERE state = 'open' ORDER BY due_at LIMIT $1", limit
    )
    return found


async def decide_appeal(
    conn: Connection, identifier: UUID, state: str, answer: bytes, by: str, at: datetime
) -> bool:  # fmt: skip
    """False when somebody decided it before."""
    row = await conn.fetchrow(
        """UPDATE nomads.appeal SET state = $2, answer = $3, decided_by = $4, decided_at = $5
            WHERE id = $1 AND state = 'open' RETURNING id""",
        identifier, state, answer, by, at,
    )  # fmt: skip
    return row is not None


async def unsettled_appeals(conn: Connection, limit: int) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT * FROM nomads.appeal WHERE state = 'upheld' AND NOT settled ORDER BY id LIMIT $1", limit
    )
    return found


async def settle_appeal(conn: Connection, identifier: UUID) -> None:
    await conn.execute("UPDATE nomads.appeal SET settled = true WHERE id = $1 AND state = 'upheld'", identifier)


async def forget_appeals(conn: Connection, person_id: UUID) -> int:
    """Drop a person's open appeals, and follow none that was upheld; how many."""
    await conn.execute(
        "UPDATE nomads.appeal SET settled = true WHERE person_id = $1 AND state = 'upheld' AND NOT settled", person_id
    )
    gone: str = await conn.execute("DELETE FROM nomads.appeal WHERE person_id = $1 AND state = 'open'", person_id)
    return int(gone.rpartition(" ")[2])


async def late_appeals(conn: Connection, now: datetime, limit: int) -> Sequence[Any]:
    """Open appeals whose day has passed and of which nobody was told; marked as told."""
    found: Sequence[Any] = await conn.fetch(
        """UPDATE nomads.appeal SET told_at = $1 WHERE id IN (SELECT id FROM nomads.appeal
             WHERE state = 'open' AND due_at < $1 AND told_at IS NULL LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id""",
        now, limit,
    )  # fmt: skip
    return found


async def lock_nomad(conn: Connection, person_id: UUID) -> None:
    """Let requests of one person for cards pass one by one until the transaction ends."""
    await conn.execute("SELECT 1 FROM nomads.person WHERE person_id = $1 FOR UPDATE", person_id)


async def insert_card(conn: Connection, card: Card) -> None:
    await conn.execute(
        """INSERT INTO nomads.card (id, person_id, year, rule, credential, valid_from, valid_until, days_required,
             issued_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        card.id, card.person_id, card.year, card.rule, card.credential, card.valid_from, card.valid_until,
        card.days_required, card.issued_at,
    )  # fmt: skip


async def card(conn: Connection, identifier: UUID) -> Card | None:
    row = await conn.fetchrow(f"SELECT {CARD} FROM nomads.card WHERE id = $1", identifier)
    return Card(**dict(row)) if row is not None else None


async def cards(conn: Connection, person_id: UUID) -> list[Card]:
    """A person's cards, the latest year first."""
    rows = await conn.fetch(
        f"SELECT {CARD} FROM nomads.card WHERE person_id = $1 ORDER BY year DESC LIMIT {ROWS_MAX}", person_id
    )
    return [Card(**dict(row)) for row in rows]


async def mark_card(conn: Connection, identifier: UUID, column: str) -> None:
    """Set `settled` or `ended`."""
    if column not in ("settled", "ended"):
        raise ValueError(column)
    await conn.execute(f"UPDATE nomads.card SET {column} = true WHERE id = $1", identifier)


async def revoke_card(conn: Connection, identifier: UUID, at: datetime) -> bool:
    row = await conn.fetchrow(
        "UPDATE nomads.card SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id", identifier, at
    )
    return row is not None


async def unsettled(conn: Connection) -> list[Card]:
    rows = await conn.fetch(
        f"SELECT {CARD} FROM nomads.card WHERE NOT settled AND revoked_at IS NULL ORDER BY id LIMIT {DUE_ROWS}"
    )
    return [Card(**dict(row)) for row in rows]


async def renewable(conn: Connection, first: date, last: date, after: UUID) -> list[Card]:
    """Cards that end between two days and that nothing follows, some of them after an id."""
    rows = await conn.fetch(
        f"""SELECT {CARD} FROM nomads.card c
            WHERE valid_until BETWEEN $1 AND $2 AND revoked_at IS NULL AND id > $3
              AND NOT EXISTS (SELECT FROM nomads.card n
                              WHERE n.person_id = c.person_id AND n.valid_from > c.valid_until)
            ORDER BY id LIMIT {DUE_ROWS}""",
        first, last, after,
    )  # fmt: skip
    return [Card(**dict(row)) for row in rows]


async def over(conn: Connection, before: date) -> list[Card]:
    """Cards whose tickets must be taken back: long past, or revoked."""
    rows = await conn.fetch(
        f"""SELECT {CARD} FROM nomads.card
            WHERE NOT ended AND (settled AND valid_until < $1 OR revoked_at IS NOT NULL)
            ORDER BY valid_until LIMIT {DUE_ROWS}""",
        before,
    )
    return [Card(**dict(row)) for row in rows]


async def figures(conn: Connection, today: date) -> Mapping[str, int]:
    row = await conn.fetchrow(
        """SELECT (SELECT count(*) FROM nomads.person) AS people,
             (SELECT count(DISTINCT person_id) FROM nomads.card
              WHERE revoked_at IS NULL AND $1 BETWEEN valid_from AND valid_until) AS cards,
             (SELECT count(*) FROM nomads.decision WHERE NOT granted) AS refused,
             (SELECT count(*) FROM nomads.redemption) AS tickets""",
        today,
    )
    return dict(row)


# -- tickets ----------------------------------------------------------------------------------------------------------


async def insert_ticket(conn: Connection, identifier: UUID, card_id: UUID, number: int) -> None:
    await conn.execute(
        "INSERT INTO nomads.ticket (id, card, number) VALUES ($1, $2, $3) ON CONFLICT (card, number) DO NOTHING",
        identifier, card_id, number,
    )  # fmt: skip


async def tickets(conn: Connection, card_id: UUID) -> Sequence[Any]:
    """A card's tickets with the day each was used."""
    found: Sequence[Any] = await conn.fetch(
        """SELECT t.id, t.number, r.day AS used_on FROM nomads.ticket t
           LEFT JOIN nomads.redemption r ON r.ticket = t.id WHERE t.card = $1 ORDER BY t.number""",
        card_id,
    )
    return found


async def card_of_ticket(conn: Connection, identifier: UUID) -> Card | None:
    row = await conn.fetchrow(
        f"SELECT {CARD} FROM nomads.card WHERE id = (SELECT card FROM nomads.ticket WHERE id = $1)", identifier
    )
    return Card(**dict(row)) if row is not None else None


async def insert_redemption(conn: Connection, *values: Any) -> bool:
    """False when the ticket was used before."""
    row = await conn.fetchrow(
        """INSERT INTO nomads.redemption (ticket, card, number, admitted, day, sealed, forget_on)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING ticket""",
        *values,
    )  # fmt: skip
    return row is not None


async def redemptions(conn: Connection, card_id: UUID) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT ticket, number, admitted, day, posted FROM nomads.redemption WHERE card = $1 ORDER BY number", card_id
    )
    return found


async def unposted(conn: Connection) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        f"SELECT ticket, card, number, admitted, day FROM nomads.redemption WHERE NOT posted LIMIT {DUE_ROWS}"
    )
    return found


async def mark_posted(conn: Connection, ticket: UUID) -> None:
    await conn.execute("UPDATE nomads.redemption SET posted = true WHERE ticket = $1", ticket)


async def insert_scan(conn: Connection, *values: Any) -> bool:
    """False when the scanner reported this scan before."""
    row = await conn.fetchrow(
        """INSERT INTO nomads.scan (venue_id, scanner, seq, mark, outcome, admitted, at, forget_on)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING seq""",
        *values,
    )  # fmt: skip
    return row is not None


async def scan(conn: Connection, venue_id: UUID, scanner: str, seq: int) -> Any:
    return await conn.fetchrow(
        "SELECT mark, outcome, admitted, at FROM nomads.scan WHERE venue_id = $1 AND scanner = $2 AND seq = $3",
        venue_id, scanner, seq,
    )  # fmt: skip


async def tally(conn: Connection, venue_id: UUID, day: date, what: str, people: int) -> None:
    """Count a use at a venue: how many, never who."""
    await conn.execute(
        """INSERT INTO nomads.venue_day (venue_id, day, what, uses, people) VALUES ($1, $2, $3, 1, $4)
           ON CONFLICT (venue_id, day, what) DO UPDATE
             SET uses = nomads.venue_day.uses + 1, people = nomads.venue_day.people + excluded.people""",
        venue_id, day, what, people,
    )  # fmt: skip


async def tallies(conn: Connection, venue_id: UUID, since: date) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT day, what, uses, people FROM nomads.venue_day WHERE venue_id = $1 AND day >= $2
            ORDER BY day DESC, what LIMIT {ROWS_MAX}""",
        venue_id, since,
    )  # fmt: skip
    return found


async def plain_marks(conn: Connection, limit: int) -> list[Any]:
    """Venues whose mark is a place in the clear and no keyed hash."""
    rows: list[Any] = await conn.fetch(
        "SELECT id, fingerprint FROM nomads.venue WHERE fingerprint !~ '^[0-9a-f]{64}$' LIMIT $1", limit
    )
    return rows


async def hash_mark(conn: Connection, venue: UUID, mark: str) -> None:
    await conn.execute("UPDATE nomads.venue SET fingerprint = $2 WHERE id = $1", venue, mark)
