"""SQL of programmes. Callers hold the transaction; rows that move are locked before they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault
from shanhe.programmes.cases import (
    Application,
    DecisionRow,
    Evidence,
    HistoryRow,
    State,
)
from shanhe.programmes.sealing import Stored, unseal

APPLICATION = (
    "id, programme, org_id, subject, person_id, client_ref, digest, state, round, step, step_due, overdue_at,"
    " applied_on, content, sealed, breaches, actor, created_at, changed_at"
)
PAGE_ROWS = 100
HISTORY_ROWS = 500
CHECKED: Final = "exclusivity_checked"

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


def application_of(row: Any, vault: Vault) -> Application:
    values = dict(row)
    content = unseal(vault, values["person_id"], values.pop("content"), values.pop("sealed"))
    values.pop("digest")
    evidence = {name: Evidence(**item) for name, item in content.get("evidence", {}).items()}
    answers = content.get("answers", {})
    return Application(**values | {"state": State(values["state"])}, answers=answers, evidence=evidence)


# -- applications -----------------------------------------------------------------------------------------------------


async def insert(conn: Connection, app: Application, digest: bytes, stored: Stored) -> bool:
    """False when the organisation used the reference before."""
    row = await conn.fetchrow(
        f"""INSERT INTO programmes.application ({APPLICATION})
            VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19)
            ON CONFLICT (org_id, client_ref) DO NOTHING RETURNING id""",
        app.id, app.programme, app.org_id, app.subject, app.person_id, app.client_ref, digest, app.state, app.round,
        app.step, app.step_due, app.overdue_at, app.applied_on, *stored, app.breaches, app.actor, app.created_at,
        app.changed_at,
    )  # fmt: skip
    return row is not None


async def by_ref(conn: Connection, org_id: UUID, client_ref: str) -> Any:
    return await conn.fetchrow(
        f"SELECT {APPLICATION} FROM programmes.application WHERE org_id = $1 AND client_ref = $2", org_id, client_ref
    )


async def row(conn: Connection, application: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT {APPLICATION} FROM programmes.application WHERE id = $1{' FOR UPDATE' if lock else ''}", application
    )


async def rows(conn: Connection, applications: Sequence[UUID]) -> dict[UUID, Any]:
    found = await conn.fetch(f"SELECT {APPLICATION} FROM programmes.application WHERE id = ANY($1)", list(applications))
    return {row["id"]: row for row in found}


async def page(
    conn: Connection, *, org_id: UUID | None = None, orgs: Sequence[UUID] | None = None,
    programme: str | None = None, state: str | None = None, before: UUID | None = None, limit: int = PAGE_ROWS,
) -> Sequence[Any]:  # fmt: skip
    """Applications, newest first."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT {APPLICATION} FROM programmes.application
            WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::text IS NULL OR programme = $2)
              AND ($3::text IS NULL OR state = $3) AND ($4::uuid IS NULL OR id < $4)
              AND ($6::uuid[] IS NULL OR org_id = ANY($6)) ORDER BY id DESC LIMIT $5""",
        org_id, programme, state, before, limit, None if orgs is None else list(orgs),
    )  # fmt: skip
    return found


async def move(
    conn: Connection, application: UUID, was: State, becomes: State, *, at: datetime, actor: str,
    step_due: datetime | None = None, step: int | None = None, round_: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Change the state and write it down; False when the application is not in the state it was thought to be."""
    moved = await conn.fetchrow(
        """UPDATE programmes.application SET state = $3, changed_at = $4, step_due = $5, overdue_at = NULL,
             step = coalesce($6, step), round = coalesce($7, round) WHERE id = $1 AND state = $2 RETURNING id""",
        application, was, becomes, at, step_due, step, round_,
    )  # fmt: skip
    if moved is not None:
        await note(conn, application, becomes, at=at, actor=actor, details=details)
    return moved is not None


async def under_way(conn: Connection, org_id: UUID) -> list[UUID]:
    """Applications and awards of somebody that are not at an end."""
    rows = await conn.fetch(
        """SELECT id FROM programmes.application WHERE org_id = $1
             AND state IN ('in_review', 'returned', 'approved', 'waiting_budget', 'active', 'suspended') ORDER BY id""",
        org_id,
    )
    return [row["id"] for row in rows]


async def next_step(conn: Connection, application: UUID, step: int, due: datetime, at: datetime) -> None:
    await conn.execute(
        """UPDATE programmes.application SET step = $2, step_due = $3, overdue_at = NULL, changed_at = $4
           WHERE id = $1""",
        application, step, due, at,
    )  # fmt: skip


async def replace_content(conn: Connection, application: UUID, stored: Stored) -> None:
    await conn.execute(
        "UPDATE programmes.application SET content = $2, sealed = $3 WHERE id = $1", application, *stored
    )


async def note(
    conn: Connection, application: UUID, event: str, *, at: datetime, actor: str,
    details: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    await conn.execute(
        "INSERT INTO programmes.history (application, at, event, actor, details) VALUES ($1, $2, $3, $4, $5)",
        application, at, event, actor, dict(details or {}),
    )  # fmt: skip


async def checked_month(conn: Connection, application: UUID, month: str) -> bool:
    """Whether exclusivity was looked at for a month (`2026-07`)."""
    found = await conn.fetchval(
        """SELECT 1 FROM programmes.history
            WHERE application = $1 AND event = $2 AND details ->> 'month' = $3 LIMIT 1""",
        application, CHECKED, month,
    )  # fmt: skip
    return found is not None


async def history(conn: Connection, application: UUID) -> tuple[HistoryRow, ...]:
    return (await histories(conn, [application])).get(application, ())


async def histories(conn: Connection, applications: Sequence[UUID]) -> dict[UUID, tuple[HistoryRow, ...]]:
    """Of each its first `HISTORY_ROWS`."""
    found = await conn.fetch(
        """SELECT a.id AS application, h.* FROM unnest($1::uuid[]) AS a(id) CROSS JOIN LATERAL (
             SELECT at, event, actor, details FROM programmes.history WHERE application = a.id ORDER BY seq LIMIT $2) h
        """,
        list(applications), HISTORY_ROWS,
    )  # fmt: skip
    made: dict[UUID, list[HistoryRow]] = {}
    for row in found:
        made.setdefault((values := dict(row)).pop("application"), []).append(HistoryRow(**values))
    return {application: tuple(of) for application, of in made.items()}


# -- claims -----------------------------------------------------------------------------------------------------------


async def claim(conn: Connection, programme: str, keys: Iterable[bytes], application: UUID) -> int | None:
    """Take what may be taken once; the index of the first that somebody else has, None when all are free."""
    for index, key in enumerate(keys):
        row = await conn.fetchrow(
            """INSERT INTO programmes.claim VALUES ($1, $2, $3) ON CONFLICT (programme, key) DO UPDATE
                 SET key = excluded.key WHERE programmes.claim.application = $3 RETURNING application""",
            programme, key, application,
        )  # fmt: skip
        if row is None:
            return index
    return None


async def claimed(conn: Any, programme: str, keys: Sequence[bytes]) -> int | None:
    """The index of the first that an application has taken; None when all are free."""
    rows = await conn.fetch(
        "SELECT key FROM programmes.claim WHERE programme = $1 AND key = ANY($2::bytea[])", programme, list(keys)
    )
    taken = {bytes(row["key"]) for row in rows}
    return next((index for index, key in enumerate(keys) if key in taken), None)


async def lately(conn: Any, programme: str, keys: Sequence[bytes], application: UUID | None, since: date) -> int | None:
    """The index of the first that another application had, which was made or pays after a day; None when none did."""
    rows = await conn.fetch(
        """SELECT c.key FROM programmes.claim c JOIN programmes.application a ON a.id = c.application
           WHERE c.programme = $1 AND c.key = ANY($2::bytea[]) AND a.id IS DISTINCT FROM $3
             AND (a.applied_on > $4 OR EXISTS (SELECT FROM programmes.tranche t
                  WHERE t.application = a.id AND t.state <> 'cancelled' AND t.due_on > $4))""",
        programme, list(keys), application, since,
    )  # fmt: skip
    taken = {bytes(row["key"]) for row in rows}
    return next((index for index, key in enumerate(keys) if key in taken), None)


async def unclaim(conn: Connection, application: UUID) -> None:
    await conn.execute("DELETE FROM programmes.claim WHERE application = $1", application)


# -- review -----------------------------------------------------------------------------------------------------------


async def add_verdict(
    conn: Connection, app: Application, turn: int, person_id: UUID, verdict: str, at: datetime
) -> bool:
    """False when this person has spoken on this step already."""
    row = await conn.fetchrow(
        """INSERT INTO programmes.verdict (application, round, step, turn, person_id, verdict, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING person_id""",
        app.id, app.round, app.step, turn, person_id, verdict, at,
    )  # fmt: skip
    return row is not None


async def turn(conn: Connection, application: UUID) -> int:
    """How often the application was returned."""
    return (await turns(conn, [application])).get(application, 0)


async def turns(conn: Connection, applications: Sequence[UUID]) -> dict[UUID, int]:
    """How often each was returned, of those that were."""
    found = await conn.fetch(
        """SELECT application, count(*)::int AS n FROM programmes.history
            WHERE application = ANY($1) AND event = 'returned' GROUP BY 1""",
        list(applications),
    )  # fmt: skip
    return {row["application"]: row["n"] for row in found}


async def voices(conn: Connection, application: UUID) -> Sequence[Any]:
    """Who said what on which step: rows of round, step, turn, person_id, verdict."""
    found: Sequence[Any] = await conn.fetch(
        "SELECT round, step, turn, person_id, verdict FROM programmes.verdict WHERE application = $1", application
    )
    return found


async def set_reviewer(conn: Connection, person_id: UUID, department: str, actor: str, at: datetime) -> None:
    await conn.execute(
        "INSERT INTO programmes.reviewer VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        person_id, department, actor, at,
    )  # fmt: skip


async def drop_reviewer(conn: Connection, person_id: UUID, department: str) -> None:
    await conn.execute(
        "DELETE FROM programmes.reviewer WHERE person_id = $1 AND department = $2", person_id, department
    )


async def departments_of(conn: Connection, person_id: UUID) -> frozenset[str]:
    rows = await conn.fetch("SELECT department FROM programmes.reviewer WHERE person_id = $1", person_id)
    return frozenset(row["department"] for row in rows)


async def reviewers(conn: Connection) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        "SELECT person_id, department, added_at FROM programmes.reviewer ORDER BY department, person_id LIMIT 1000"
    )
    return found


_WAITING: Final = """FROM programmes.application a
  WHERE state = 'in_review' AND (programme, round::int, step::int) IN
      (SELECT * FROM unnest($1::text[], $2::int[], $3::int[]))
    AND ($4::uuid[] IS NULL OR org_id = ANY($4)) AND (NOT $5 OR overdue_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM programmes.verdict v
      WHERE v.application = a.id AND v.person_id = $6 AND (v.round, v.step) = (a.round, a.step) AND v.turn =
        (SELECT count(*) FROM programmes.history h WHERE h.application = a.id AND h.event = 'returned'))"""
"""What waits at one of these (programme, round, step) for a voice that this person has not given yet."""


def _wanted(
    places: Sequence[tuple[str, int, int]], orgs: Sequence[UUID] | None, overdue: bool, person_id: UUID | None
) -> tuple[Any, ...]:
    columns = [[place[n] for place in places] for n in range(3)]
    return (*columns, None if orgs is None else list(orgs), overdue, person_id)


async def queue(
    conn: Connection, places: Sequence[tuple[str, int, int]], *, orgs: Sequence[UUID] | None = None,
    overdue: bool = False, person_id: UUID | None = None, offset: int = 0, limit: int = PAGE_ROWS,
) -> Sequence[Any]:  # fmt: skip
    """Applications that wait, the most urgent first."""
    found: Sequence[Any] = await conn.fetch(
        f"SELECT {APPLICATION} {_WAITING} ORDER BY step_due, id LIMIT $7 OFFSET $8",
        *_wanted(places, orgs, overdue, person_id), limit, offset,
    )  # fmt: skip
    return found


async def queued(
    conn: Connection, places: Sequence[tuple[str, int, int]], *, orgs: Sequence[UUID] | None = None,
    overdue: bool = False, person_id: UUID | None = None,
) -> Mapping[str, int]:  # fmt: skip
    """How many applications wait, by programme."""
    rows = await conn.fetch(
        f"SELECT programme, count(*) AS n {_WAITING} GROUP BY programme", *_wanted(places, orgs, overdue, person_id)
    )
    return {row["programme"]: row["n"] for row in rows}


async def overdue(conn: Connection, now: datetime, limit: int) -> Sequence[Any]:
    """Mark what is past its deadline and was not yet; the rows."""
    found: Sequence[Any] = await conn.fetch(
        f"""UPDATE programmes.application SET overdue_at = $1 WHERE id IN (
              SELECT id FROM programmes.application WHERE state = 'in_review' AND step_due < $1 AND overdue_at IS NULL
              ORDER BY step_due LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING {APPLICATION}""",
        now, limit,
    )  # fmt: skip
    return found


# -- decisions --------------------------------------------------------------------------------------------------------


async def insert_decision(
    conn: Connection,
    application: UUID,
    kind: str,
    at: datetime,
    actor: str,
    versions: Mapping[str, str],
    stored: Stored,
) -> UUID:
    identifier = new_id()
    await conn.execute(
        "INSERT INTO programmes.decision VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        identifier, application, kind, at, actor, dict(versions), *stored,
    )  # fmt: skip
    return identifier


async def decisions(
    conn: Connection, applications: Sequence[Application], vault: Vault
) -> dict[UUID, tuple[DecisionRow, ...]]:
    """Of each its first `HISTORY_ROWS`."""
    people, made = {one.id: one.person_id for one in applications}, dict[UUID, list[DecisionRow]]()
    found = await conn.fetch(
        """SELECT d.* FROM unnest($1::uuid[]) AS a(id) CROSS JOIN LATERAL (
             SELECT * FROM programmes.decision WHERE application = a.id ORDER BY id LIMIT $2) d""",
        list(people), HISTORY_ROWS,
    )  # fmt: skip
    for row in found:
        content = unseal(vault, people[row["application"]], row["content"], row["sealed"])
        made.setdefault(row["application"], []).append(
            DecisionRow(row["id"], row["kind"], row["at"], row["actor"], row["versions"],
                        tuple(content.get("reasons", ())), content.get("traces", {}), content.get("note", ""))
        )  # fmt: skip
    return {application: tuple(of) for application, of in made.items()}
