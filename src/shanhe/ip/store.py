"""SQL of the registry of rights. Callers hold the transaction; an entry is locked before it or its terms change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.ip.model import Entry, Happened, Kind, NewEntry, State, Terms, TermsState

ROWS_MAX: Final = 500
TERMS_MAX: Final = 100
Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads
_COLUMNS: Final = """id, n, org_id, kind, number, title, abstract, office, applied_on, granted_on, document_sha256,
  state, reason, created_at, filed_at, decided_at"""


def _entry(row: Any) -> Entry:
    return Entry(**dict(row) | {"kind": Kind(row["kind"]), "state": State(row["state"])})


async def insert(conn: Connection, new: NewEntry, org_id: UUID, key: bytes | None, actor: str, now: datetime) -> bool:
    """False when the id is taken."""
    row = await conn.fetchrow(
        """INSERT INTO ip.entry (id, org_id, kind, number, number_key, title, abstract, office, applied_on, granted_on,
             document_sha256, state, created_by, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'draft', $12, $13)
           ON CONFLICT DO NOTHING RETURNING id""",
        new.id, org_id, new.kind, new.number, key, new.title, new.abstract, new.office, new.applied_on, new.granted_on,
        new.document_sha256, actor, now,
    )  # fmt: skip
    return row is not None


async def change(conn: Connection, new: NewEntry, key: bytes | None) -> None:
    """Other content of a draft, or of a refused entry, which becomes a draft again."""
    await conn.execute(
        """UPDATE ip.entry SET kind = $2, number = $3, number_key = $4, title = $5, abstract = $6, office = $7,
             applied_on = $8, granted_on = $9, document_sha256 = $10, state = 'draft' WHERE id = $1""",
        new.id, new.kind, new.number, key, new.title, new.abstract, new.office, new.applied_on, new.granted_on,
        new.document_sha256,
    )  # fmt: skip


async def entry(conn: Connection, identifier: UUID, *, lock: bool = False) -> Entry | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM ip.entry WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else _entry(row)


async def by_n(conn: Connection, n: int) -> UUID | None:
    found: UUID | None = await conn.fetchval("SELECT id FROM ip.entry WHERE n = $1", n)
    return found


async def by_number(conn: Connection, key: bytes) -> UUID | None:
    """The entry that has a number now."""
    found: UUID | None = await conn.fetchval(
        "SELECT id FROM ip.entry WHERE number_key = $1 AND state IN ('filed', 'verified', 'lapsed')", key
    )
    return found


async def shown(conn: Connection, kind: str | None, before: int | None = None) -> list[Entry]:
    """Verified entries, newest first, a bounded page; of those numbered before one where it is given."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM ip.entry WHERE state = 'verified' AND ($1::text IS NULL OR kind = $1)
              AND ($3::bigint IS NULL OR n < $3) ORDER BY n DESC LIMIT $2""",
        kind, ROWS_MAX, before,
    )  # fmt: skip
    return [_entry(row) for row in rows]


async def queue(conn: Connection) -> list[Entry]:
    """What waits for the office, oldest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM ip.entry WHERE state = 'filed' ORDER BY filed_at, n LIMIT $1", ROWS_MAX
    )
    return [_entry(row) for row in rows]


async def of(conn: Connection, org_id: UUID, most: int = ROWS_MAX, *, before: int | None = None) -> list[Entry]:
    """What an organisation registered, holds or is asked to hold, newest first; numbered before one where it is
    given."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM ip.entry WHERE (org_id = $1 OR id IN (
              SELECT s.entry FROM ip.share s JOIN ip.terms t ON (t.entry, t.n) = (s.entry, s.n)
               WHERE s.party = $1 AND t.state IN ('open', 'in_force')))
              AND ($3::bigint IS NULL OR n < $3) ORDER BY n DESC LIMIT $2""",
        org_id, most, before,
    )  # fmt: skip
    return [_entry(row) for row in rows]


async def move(
    conn: Connection, identifier: UUID, state: State, *, now: datetime, by: str = "", reason: str = ""
) -> None:
    """Another state; who decided and why, where somebody did."""
    await conn.execute(
        """UPDATE ip.entry SET state = $2, filed_at = CASE WHEN $2 = 'filed' THEN $3 ELSE filed_at END,
             decided_at = CASE WHEN $4 <> '' THEN $3 ELSE decided_at END,
             decided_by = CASE WHEN $4 <> '' THEN $4 ELSE decided_by END, reason = $5 WHERE id = $1""",
        identifier, state, now, by, reason,
    )  # fmt: skip


# -- terms ------------------------------------------------------------------------------------------------------------


async def terms(conn: Connection, entries: Sequence[UUID]) -> dict[UUID, list[Terms]]:
    """Terms by entry, newest first: what stands, and a bounded list of what came and went."""
    rows = await conn.fetch(
        """SELECT t.entry, t.n, t.rate_ppm, t.state, t.proposed_by, t.proposed_at,
             (SELECT array_agg(s.party ORDER BY s.at) FROM ip.share s WHERE (s.entry, s.n) = (t.entry, t.n)) parties,
             (SELECT array_agg(s.share_ppm ORDER BY s.at) FROM ip.share s WHERE (s.entry, s.n) = (t.entry, t.n)) ppm,
             (SELECT array_agg(c.party ORDER BY c.at) FROM ip.consent c WHERE (c.entry, c.n) = (t.entry, t.n)) said_by,
             (SELECT array_agg(c.accept ORDER BY c.at) FROM ip.consent c WHERE (c.entry, c.n) = (t.entry, t.n)) said
           FROM unnest($1::uuid[]) AS e(id) CROSS JOIN LATERAL
             (SELECT * FROM ip.terms WHERE entry = e.id AND state IN ('open', 'in_force')
              UNION (SELECT * FROM ip.terms WHERE entry = e.id ORDER BY n DESC LIMIT $2)) t
           ORDER BY t.entry, t.n DESC""",
        list(entries), TERMS_MAX,
    )  # fmt: skip
    found: dict[UUID, list[Terms]] = {}
    for row in rows:
        found.setdefault(row["entry"], []).append(
            Terms(
                row["n"],
                row["rate_ppm"],
                TermsState(row["state"]),
                row["proposed_by"],
                row["proposed_at"],
                tuple(zip(row["parties"], row["ppm"], strict=True)),
                tuple(zip(row["said_by"] or (), row["said"] or (), strict=True)),
            )
        )
    return found


async def propose(
    conn: Connection, identifier: UUID, n: int, rate_ppm: int | None, shares: Sequence[tuple[UUID, int]], org_id: UUID,
    now: datetime,
) -> None:  # fmt: skip
    await conn.execute(
        """INSERT INTO ip.terms (entry, n, rate_ppm, state, proposed_by, proposed_at)
           VALUES ($1, $2, $3, 'open', $4, $5)""",
        identifier, n, rate_ppm, org_id, now,
    )  # fmt: skip
    await conn.executemany(
        "INSERT INTO ip.share (entry, n, at, party, share_ppm) VALUES ($1, $2, $3, $4, $5)",
        [(identifier, n, at, party, ppm) for at, (party, ppm) in enumerate(shares, 1)],
    )


async def say(conn: Connection, identifier: UUID, n: int, party: UUID, accept: bool, actor: str, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO ip.consent (entry, n, party, accept, actor, at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING""",
        identifier, n, party, accept, actor, now,
    )  # fmt: skip


async def settle(conn: Connection, identifier: UUID, n: int, state: TermsState, now: datetime) -> None:
    """What becomes of terms; those in force before end when others take their place."""
    if state is TermsState.IN_FORCE:
        await conn.execute(
            "UPDATE ip.terms SET state = 'ended', settled_at = $2 WHERE entry = $1 AND state = 'in_force'",
            identifier, now,
        )  # fmt: skip
    await conn.execute(
        "UPDATE ip.terms SET state = $3, settled_at = $4 WHERE entry = $1 AND n = $2", identifier, n, state, now
    )


# -- history ----------------------------------------------------------------------------------------------------------


async def note(
    conn: Connection, number: UUID, identifier: UUID, event: str, n: int | None, actor: str, now: datetime
) -> None:
    await conn.execute(
        "INSERT INTO ip.history (id, entry, event, terms, actor, at) VALUES ($1, $2, $3, $4, $5, $6)",
        number, identifier, event, n, actor, now,
    )  # fmt: skip


async def history(conn: Connection, identifier: UUID) -> list[Happened]:
    """Oldest first."""
    rows = await conn.fetch(
        "SELECT id, event, terms, actor, at FROM ip.history WHERE entry = $1 ORDER BY seq LIMIT $2",
        identifier,
        ROWS_MAX,
    )
    return [Happened(**dict(row)) for row in rows]
