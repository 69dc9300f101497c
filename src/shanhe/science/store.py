"""SQL of open science. Callers hold the transaction; a deposit is locked before it or its reuses change."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.science.model import Deposit, Happened, How, Kind, NewVersion, Reuse, ReuseState, State, Version

ROWS_MAX: Final = 500
Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads
_DEPOSIT: Final = "id, n, org_id, kind, state, dataset, created_at, retracted_at, retraction"
_REUSE: Final = """id, deposit, n, org_id, how, ref, source, state, earns, why_not, declared_at, decided_at, reason,
  paid_at"""


async def insert(conn: Connection, identifier: UUID, org_id: UUID, kind: Kind, actor: str, now: datetime) -> bool:
    """False when the id is taken."""
    row = await conn.fetchrow(
        """INSERT INTO science.deposit (id, org_id, kind, state, created_by, created_at)
           VALUES ($1, $2, $3, 'draft', $4, $5) ON CONFLICT DO NOTHING RETURNING id""",
        identifier, org_id, kind, actor, now,
    )  # fmt: skip
    return row is not None


async def put_version(
    conn: Connection, identifier: UUID, n: int, new: NewVersion, agreed: UUID, now: datetime
) -> None:  # fmt: skip
    """A draft as a whole; the depositor agrees to be its author by writing it."""
    await conn.execute("DELETE FROM science.author WHERE deposit = $1 AND n = $2", identifier, n)
    await conn.execute(
        """INSERT INTO science.version (deposit, n, title, abstract, licence, sha256, link, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (deposit, n) DO UPDATE
           SET title = $3, abstract = $4, licence = $5, sha256 = $6, link = $7""",
        identifier, n, new.title, new.abstract, new.licence, new.sha256, new.link, now,
    )  # fmt: skip
    await conn.executemany(
        "INSERT INTO science.author (deposit, n, at, party, share_ppm, agreed_at) VALUES ($1, $2, $3, $4, $5, $6)",
        [
            (identifier, n, at, party, ppm, now if party == agreed else None)
            for at, (party, ppm) in enumerate(new.authors, 1)
        ],
    )


async def deposit(conn: Connection, identifier: UUID, *, lock: bool = False) -> Deposit | None:
    row = await conn.fetchrow(
        f"SELECT {_DEPOSIT} FROM science.deposit WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else (await _whole(conn, [row]))[0]


async def deposits(conn: Connection, identifiers: Collection[UUID]) -> list[Deposit]:
    rows = await conn.fetch(f"SELECT {_DEPOSIT} FROM science.deposit WHERE id = ANY($1)", list(identifiers))
    return await _whole(conn, rows)


async def by_n(conn: Connection, n: int) -> UUID | None:
    found: UUID | None = await conn.fetchval("SELECT id FROM science.deposit WHERE n = $1", n)
    return found


async def shown(conn: Connection, kind: str | None, before: int | None = None) -> list[Deposit]:
    """Published deposits, newest first, a bounded page; of those numbered before one where it is given."""
    rows = await conn.fetch(
        f"""SELECT {_DEPOSIT} FROM science.deposit WHERE state = 'published' AND ($1::text IS NULL OR kind = $1)
              AND ($3::bigint IS NULL OR n < $3) ORDER BY n DESC LIMIT $2""",
        kind, ROWS_MAX, before,
    )  # fmt: skip
    return await _whole(conn, rows)


async def of(conn: Connection, org_id: UUID, most: int = ROWS_MAX, *, before: int | None = None) -> list[Deposit]:
    """What an organisation deposited or is an author of, or is asked to be, newest first; numbered before one where it
    is given."""
    rows = await conn.fetch(
        f"""SELECT {_DEPOSIT} FROM science.deposit WHERE (org_id = $1
              OR id IN (SELECT deposit FROM science.author WHERE party = $1))
              AND ($3::bigint IS NULL OR n < $3) ORDER BY n DESC LIMIT $2""",
        org_id, most, before,
    )  # fmt: skip
    return await _whole(conn, rows)


async def linked(conn: Connection) -> list[Deposit]:
    """Published deposits that describe a data set of this city."""
    rows = await conn.fetch(
        f"""SELECT {_DEPOSIT} FROM science.deposit WHERE state = 'published' AND dataset IS NOT NULL
            ORDER BY n LIMIT $1""",
        ROWS_MAX,
    )  # fmt: skip
    return await _whole(conn, rows)


async def _whole(conn: Connection, rows: Sequence[Any]) -> list[Deposit]:
    """Deposits with their versions and authors."""
    ids = [row["id"] for row in rows]
    versions = await conn.fetch(
        """SELECT v.*, (SELECT array_agg(a.party ORDER BY a.at) FROM science.author a
                         WHERE a.deposit = v.deposit AND a.n = v.n) parties,
             (SELECT array_agg(a.share_ppm ORDER BY a.at) FROM science.author a
               WHERE a.deposit = v.deposit AND a.n = v.n) ppm,
             (SELECT array_agg(a.party) FROM science.author a
               WHERE a.deposit = v.deposit AND a.n = v.n AND a.agreed_at IS NOT NULL) agreed
           FROM science.version v WHERE v.deposit = ANY($1) ORDER BY v.deposit, v.n DESC""",
        ids,
    )  # fmt: skip
    by: dict[UUID, list[Version]] = {}
    for one in versions:
        by.setdefault(one["deposit"], []).append(
            Version(
                one["n"], one["title"], one["abstract"], one["licence"], one["sha256"], one["link"], one["created_at"],
                one["published_at"], tuple(zip(one["parties"], one["ppm"], strict=True)),
                frozenset(one["agreed"] or ()),
            )
        )  # fmt: skip
    return [
        Deposit(
            **dict(row) | {"kind": Kind(row["kind"]), "state": State(row["state"])},
            versions=tuple(by.get(row["id"], ())),
        )
        for row in rows
    ]


async def agree(conn: Connection, identifier: UUID, n: int, party: UUID, now: datetime) -> None:
    await conn.execute(
        """UPDATE science.author SET agreed_at = $4
            WHERE deposit = $1 AND n = $2 AND party = $3 AND agreed_at IS NULL""",
        identifier, n, party, now,
    )  # fmt: skip


async def publish(conn: Connection, identifier: UUID, n: int, dataset: UUID | None, now: datetime) -> None:
    await conn.execute("UPDATE science.version SET published_at = $3 WHERE deposit = $1 AND n = $2", identifier, n, now)
    await conn.execute(
        "UPDATE science.deposit SET state = 'published', dataset = coalesce($2, dataset) WHERE id = $1",
        identifier, dataset,
    )  # fmt: skip


async def retract(conn: Connection, identifier: UUID, reason: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE science.deposit SET state = 'retracted', retraction = $2, retracted_at = $3 WHERE id = $1",
        identifier, reason, now,
    )  # fmt: skip


# -- reuses -----------------------------------------------------------------------------------------------------------


def _reuse(row: Any) -> Reuse:
    return Reuse(**dict(row) | {"how": How(row["how"]), "state": ReuseState(row["state"])})


async def declare(
    conn: Connection, one: Reuse, key: bytes, actor: str
) -> bool:  # fmt: skip
    """False when the id is taken; a second one of the same thing breaks `reuse_once`."""
    row = await conn.fetchrow(
        """INSERT INTO science.reuse
             (id, deposit, n, org_id, how, ref, ref_key, source, state, declared_by, declared_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'declared', $9, $10) ON CONFLICT (id) DO NOTHING RETURNING id""",
        one.id, one.deposit, one.n, one.org_id, one.how, one.ref, key, one.source, actor, one.declared_at,
    )  # fmt: skip
    return row is not None


async def reuse(conn: Connection, identifier: UUID, *, lock: bool = False) -> Reuse | None:
    row = await conn.fetchrow(
        f"SELECT {_REUSE} FROM science.reuse WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else _reuse(row)


async def reuses(
    conn: Connection, *, deposit: UUID | None = None, of: UUID | None = None, org_id: UUID | None = None,
    state: str | None = None, most: int = ROWS_MAX,
) -> list[Reuse]:  # fmt: skip
    """Newest first: of a deposit, of what somebody deposited or is an author of, of who reused, or in one state."""
    rows = await conn.fetch(
        f"""SELECT {_REUSE} FROM science.reuse WHERE ($1::uuid IS NULL OR deposit = $1)
              AND ($2::uuid IS NULL OR deposit IN (SELECT deposit FROM science.author WHERE party = $2
                                             UNION SELECT id FROM science.deposit WHERE org_id = $2))
              AND ($3::uuid IS NULL OR org_id = $3) AND ($4::text IS NULL OR state = $4)
            ORDER BY declared_at DESC, id LIMIT $5""",
        deposit, of, org_id, state, most,
    )  # fmt: skip
    return [_reuse(row) for row in rows]


async def users(conn: Connection, deposit: UUID) -> list[UUID]:
    """Whoever declared to reuse it."""
    rows = await conn.fetch("SELECT DISTINCT org_id FROM science.reuse WHERE deposit = $1 ORDER BY org_id", deposit)
    return [row["org_id"] for row in rows]


async def known(conn: Connection, deposit_id: UUID, key: bytes) -> bool:
    """Whether a thing is on record as reusing a deposit."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM science.reuse WHERE deposit = $1 AND ref_key = $2 AND state <> 'refused')",
        deposit_id, key,
    )  # fmt: skip
    return found


async def decide(
    conn: Connection, identifier: UUID, state: ReuseState, earns: bool | None, why_not: str, reason: str, actor: str,
    now: datetime,
) -> None:  # fmt: skip
    await conn.execute(
        """UPDATE science.reuse SET state = $2, earns = $3, why_not = $4, reason = $5, decided_by = $6, decided_at = $7
            WHERE id = $1""",
        identifier, state, earns, why_not, reason, actor, now,
    )  # fmt: skip


async def unpaid(conn: Connection, limit: int) -> list[Reuse]:
    """Confirmed reuses whose points were not asked for yet, oldest first."""
    rows = await conn.fetch(
        f"SELECT {_REUSE} FROM science.reuse WHERE earns AND paid_at IS NULL ORDER BY decided_at LIMIT $1", limit
    )
    return [_reuse(row) for row in rows]


async def paid(conn: Connection, identifier: UUID, now: datetime) -> None:
    await conn.execute("UPDATE science.reuse SET paid_at = $2 WHERE id = $1 AND paid_at IS NULL", identifier, now)


async def counts(conn: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Confirmed reuses by deposit."""
    rows = await conn.fetch(
        """SELECT deposit, count(*) n FROM science.reuse WHERE deposit = ANY($1) AND state = 'confirmed'
            GROUP BY deposit""",
        list(ids),
    )  # fmt: skip
    return {row["deposit"]: int(row["n"]) for row in rows}


# -- history ----------------------------------------------------------------------------------------------------------


async def note(
    conn: Connection, number: UUID, identifier: UUID, event: str, n: int | None, actor: str, now: datetime
) -> None:
    await conn.execute(
        "INSERT INTO science.history (id, deposit, event, n, actor, at) VALUES ($1, $2, $3, $4, $5, $6)",
        number, identifier, event, n, actor, now,
    )  # fmt: skip


async def history(conn: Connection, identifier: UUID) -> list[Happened]:
    """Oldest first."""
    rows = await conn.fetch(
        "SELECT id, event, n, actor, at FROM science.history WHERE deposit = $1 ORDER BY seq LIMIT $2",
        identifier, ROWS_MAX,
    )  # fmt: skip
    return [Happened(**dict(row)) for row in rows]
