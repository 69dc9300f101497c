"""SQL of programmes. Callers hold the transaction; rows that move are locked before they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault
from shanhe.programmes.cases import (
    Application,
    DecisionRow,
    Evidence,
    HistoryRow,
    Payment,
    State,
    Tranche,
    TrancheState,
)
from shanhe.programmes.sealing import Stored, unseal

APPLICATION = (
    "id, programme, org_id, subject, person_id, client_ref, digest, state, round, step, step_due, overdue_at,"
    " applied_on, content, sealed, breaches, actor, created_at, changed_at"
)
GRANTED = ("active", "completed", "suspended", "approved", "waiting_budget")
PAGE_ROWS = 100
HISTORY_ROWS = 500

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


async def page(
    conn: Connection, *, org_id: UUID | None = None, programme: str | None = None, state: str | None = None,
    before: UUID | None = None, limit: int = PAGE_ROWS,
) -> Sequence[Any]:  # fmt: skip
    """Applications, newest first."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT {APPLICATION} FROM programmes.application
            WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::text IS NULL OR programme = $2)
              AND ($3::text IS NULL OR state = $3) AND ($4::uuid IS NULL OR id < $4) ORDER BY id DESC LIMIT $5""",
        org_id, programme, state, before, limit,
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


async def checked_month(conn: Connection, application: UUID, event: str, month: str) -> bool:
    """Whether the history has this event for a month."""
    found = await conn.fetchval(
        """SELECT 1 FROM programmes.history
            WHERE application = $1 AND event = $2 AND details ->> 'month' = $3 LIMIT 1""",
        application, event, month,
    )  # fmt: skip
    return found is not None


async def history(conn: Connection, application: UUID) -> tuple[HistoryRow, ...]:
    rows = await conn.fetch(
        "SELECT at, event, actor, details FROM programmes.history WHERE application = $1 ORDER BY seq LIMIT $2",
        application, HISTORY_ROWS,
    )  # fmt: skip
    return tuple(HistoryRow(**dict(row)) for row in rows)


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
    value: int = await conn.fetchval(
        "SELECT count(*) FROM programmes.history WHERE application = $1 AND event = 'returned'", application
    )
    return value


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


async def queue(conn: Connection, programmes: Sequence[tuple[str, int, int]], limit: int = PAGE_ROWS) -> Sequence[Any]:
    """Applications that wait at one of these (programme, round, step), the most urgent first."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT {APPLICATION} FROM programmes.application a
            WHERE state = 'in_review' AND (programme, round::int, step::int) IN
              (SELECT * FROM unnest($1::text[], $2::int[], $3::int[])) ORDER BY step_due, id LIMIT $4""",
        [item[0] for item in programmes], [item[1] for item in programmes], [item[2] for item in programmes], limit,
    )  # fmt: skip
    return found


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


async def decisions(conn: Connection, app: Application, vault: Vault) -> tuple[DecisionRow, ...]:
    rows = await conn.fetch(
        "SELECT * FROM programmes.decision WHERE application = $1 ORDER BY id LIMIT $2", app.id, HISTORY_ROWS
    )
    found = []
    for row in rows:
        content = unseal(vault, app.person_id, row["content"], row["sealed"])
        found.append(
            DecisionRow(row["id"], row["kind"], row["at"], row["actor"], row["versions"],
                        tuple(content.get("reasons", ())), content.get("traces", {}), content.get("note", ""))
        )  # fmt: skip
    return tuple(found)


# -- awards -----------------------------------------------------------------------------------------------------------


async def insert_tranche(
    conn: Connection, application: UUID, n: int, due_on: date, payments: Sequence[Payment], at: datetime
) -> bool:
    """False when the tranche is there already."""
    row = await conn.fetchrow(
        """INSERT INTO programmes.tranche (application, n, due_on, planned_on, changed_at) VALUES ($1, $2, $3, $3, $4)
           ON CONFLICT DO NOTHING RETURNING n""",
        application, n, due_on, at,
    )  # fmt: skip
    if row is None:
        return False
    await insert_payments(conn, application, n, payments)
    return True


async def insert_payments(conn: Connection, application: UUID, n: int, payments: Sequence[Payment]) -> None:
    for ordinal, item in enumerate(payments):
        await conn.execute(
            "INSERT INTO programmes.payment VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9)",
            application, n, ordinal, item.to_org, item.asset, item.provenance, item.budget, item.amount,
            dict(item.earmark) if item.earmark else None,
        )  # fmt: skip


async def set_met(conn: Connection, application: UUID, n: int, on: date) -> None:
    await conn.execute(
        "UPDATE programmes.tranche SET met_on = $3 WHERE application = $1 AND n = $2 AND met_on IS NULL",
        application, n, on,
    )  # fmt: skip


async def tranches(conn: Connection, application: UUID, *, lock: bool = False) -> tuple[Tranche, ...]:
    rows = await conn.fetch(
        f"""SELECT application, n, state, due_on, planned_on, met_on, committed, posting, reason FROM programmes.tranche
            WHERE application = $1 ORDER BY n{' FOR UPDATE' if lock else ''}""",
        application,
    )  # fmt: skip
    paid = await conn.fetch(
        """SELECT n, to_org, asset, budget, amount, provenance, released, earmark FROM programmes.payment
           WHERE application = $1 ORDER BY n, ordinal""",
        application,
    )  # fmt: skip
    by_n: dict[int, list[Payment]] = {}
    for item in paid:
        values = dict(item)
        by_n.setdefault(values.pop("n"), []).append(Payment(**values))
    return tuple(
        Tranche(**dict(row) | {"state": TrancheState(row["state"])}, payments=tuple(by_n.get(row["n"], ())))
        for row in rows
    )


async def move_tranche(
    conn: Connection, application: UUID, n: int, was: TrancheState, becomes: TrancheState, at: datetime, *,
    posting: UUID | None = None, reason: str = "",
) -> bool:  # fmt: skip
    row = await conn.fetchrow(
        """UPDATE programmes.tranche SET state = $4, changed_at = $5, posting = coalesce($6, posting), reason = $7,
             committed = committed OR $4 = 'committed'
           WHERE application = $1 AND n = $2 AND state = $3 RETURNING n""",
        application, n, was, becomes, at, posting, reason,
    )  # fmt: skip
    return row is not None


async def set_released(conn: Connection, application: UUID, n: int, amounts: Sequence[int]) -> None:
    for ordinal, amount in enumerate(amounts):
        await conn.execute(
            "UPDATE programmes.payment SET released = $4 WHERE application = $1 AND n = $2 AND ordinal = $3",
            application, n, ordinal, amount,
        )  # fmt: skip


async def defer(conn: Connection, application: UUID, from_n: int, days: int, at: datetime) -> None:
    """Move a tranche and all that follow."""
    await conn.execute(
        """UPDATE programmes.tranche SET due_on = due_on + $3::int, changed_at = $4
           WHERE application = $1 AND n >= $2 AND state IN ('planned', 'committed')""",
        application, from_n, days, at,
    )  # fmt: skip


async def due(
    conn: Connection, now: datetime, today: date, watched: Sequence[str], again: datetime, limit: int
) -> list[UUID]:
    """Applications with something to do, longest unseen first; marked as seen.

    Money to commit or to bring back, a tranche whose day has come, any award of a `watched` programme; what could not
    move is looked at again if it was last seen before `again`.
    """
    rows = await conn.fetch(
        """UPDATE programmes.application SET looked_at = $1 WHERE id IN (
             SELECT a.id FROM programmes.application a
             WHERE (a.looked_at IS NULL OR a.looked_at < $4) AND (
               a.state IN ('approved', 'waiting_budget')
               OR (a.state IN ('active', 'suspended', 'completed') AND a.programme = ANY($3))
               OR (a.state = 'active' AND EXISTS (SELECT FROM programmes.tranche t WHERE t.application = a.id
                     AND (t.state IN ('planned', 'committed') AND t.due_on <= $2 OR t.state = 'due')))
               OR (a.state = 'stopped' AND EXISTS (SELECT FROM programmes.clawback c WHERE c.application = a.id
                     AND c.settled_at IS NULL)))
             ORDER BY a.looked_at NULLS FIRST, a.id LIMIT $5 FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        now, today, list(watched), again, limit,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def since(conn: Connection, programme: str, org_id: UUID) -> datetime | None:
    """When the first granted application of a party was made."""
    found: datetime | None = await conn.fetchval(
        "SELECT min(created_at) FROM programmes.application WHERE programme = $1 AND org_id = $2 AND state = ANY($3)",
        programme, org_id, list(GRANTED),
    )  # fmt: skip
    return found


async def awards_of(conn: Connection, programme: str, subject: UUID, *, before: UUID | None) -> int:
    """How many awards of a programme a subject had, before an application."""
    value = await conn.fetchval(
        """SELECT count(*) FROM programmes.application WHERE programme = $1 AND subject = $2
             AND state = ANY($3) AND ($4::uuid IS NULL OR id <> $4)""",
        programme, subject, list(GRANTED), before,
    )  # fmt: skip
    return int(value)


async def promised(conn: Connection, programme: str, subject: UUID, *, before: UUID | None) -> tuple[int, int]:
    """What a subject was promised and not denied by a programme: µ-credits and fen."""
    row = await conn.fetchrow(
        """SELECT coalesce(sum(x.amount) FILTER (WHERE x.asset = 'credit'), 0)::bigint AS credit,
                  coalesce(sum(x.amount) FILTER (WHERE x.asset IN ('cny', 'voucher')), 0)::bigint AS fen
           FROM (SELECT p.asset, CASE WHEN t.state = 'released' THEN p.released ELSE p.amount END AS amount
                 FROM programmes.application a JOIN programmes.tranche t ON t.application = a.id
                 JOIN programmes.payment p ON p.application = a.id AND p.n = t.n
                 WHERE a.programme = $1 AND a.subject = $2 AND a.state = ANY($3) AND t.state <> 'cancelled'
                   AND ($4::uuid IS NULL OR a.id <> $4)) x""",
        programme, subject, list(GRANTED), before,
    )  # fmt: skip
    return row["credit"], row["fen"]


async def received(conn: Connection, programme: str, org_id: UUID, year: int, *, excluding: UUID | None) -> int:
    """How many awards of a year pay something to an organisation, its own and others'."""
    value = await conn.fetchval(
        """SELECT count(DISTINCT a.id) FROM programmes.application a JOIN programmes.payment p ON p.application = a.id
           JOIN programmes.tranche t ON t.application = a.id AND t.n = p.n
           WHERE a.programme = $1 AND p.to_org = $2 AND t.state <> 'cancelled' AND a.state = ANY($3)
             AND extract(year FROM a.applied_on) = $4 AND ($5::uuid IS NULL OR a.id <> $5)""",
        programme, org_id, list(GRANTED), year, excluding,
    )  # fmt: skip
    return int(value)


async def paid(conn: Connection, application: UUID, programme: str, org_id: UUID) -> int:
    """What an application of a programme was paid, in minor units (of its one asset); 0 for another organisation's."""
    value = await conn.fetchval(
        """SELECT coalesce(sum(p.released), 0) FROM programmes.payment p JOIN programmes.application a
             ON a.id = p.application WHERE a.id = $1 AND a.programme = $2 AND a.org_id = $3 AND a.state = ANY($4)""",
        application, programme, org_id, list(GRANTED),
    )  # fmt: skip
    return int(value)


async def mark(conn: Connection, programme: str) -> int:
    """How far a programme's awards have come: changes with every approval."""
    value = await conn.fetchval(
        """SELECT count(*) FROM programmes.application a JOIN programmes.tranche t ON t.application = a.id AND t.n = 1
           WHERE a.programme = $1""",
        programme,
    )
    return int(value)


async def line_up(conn: Connection, programme: str) -> None:
    """Let approvals of a programme pass one by one until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 220))", programme)


async def committed(conn: Connection) -> Mapping[str, int]:
    """What is promised and not yet paid, by budget."""
    rows = await conn.fetch(
        """SELECT p.budget, sum(p.amount)::bigint AS amount FROM programmes.payment p
           JOIN programmes.tranche t ON t.application = p.application AND t.n = p.n
           WHERE t.state IN ('committed', 'due') GROUP BY p.budget"""
    )
    return {row["budget"]: row["amount"] for row in rows}


async def spent(conn: Connection) -> Mapping[str, int]:
    rows = await conn.fetch("SELECT budget, sum(released)::bigint AS amount FROM programmes.payment GROUP BY budget")
    return {row["budget"]: row["amount"] for row in rows}


async def programmes_of(conn: Connection, postings: Sequence[UUID]) -> Mapping[UUID, str]:
    """The programme that each of these postings paid out for."""
    rows = await conn.fetch(
        """SELECT t.posting, a.programme FROM programmes.tranche t JOIN programmes.application a ON a.id = t.application
           WHERE t.posting = ANY($1)""",
        list(postings),
    )
    return {row["posting"]: row["programme"] for row in rows}


# -- clawback and funding ---------------------------------------------------------------------------------------------


async def open_clawback(
    conn: Connection, application: UUID, cause: str, *, unspent: bool, actor: str, at: datetime
) -> None:
    await conn.execute(
        """INSERT INTO programmes.clawback (application, cause, unspent, actor, at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (application) DO NOTHING""",
        application, cause, unspent, actor, at,
    )  # fmt: skip


async def settle_clawback(
    conn: Connection, application: UUID, recovered: Mapping[str, int], owed: Mapping[str, int], at: datetime
) -> None:
    await conn.execute(
        """UPDATE programmes.clawback SET recovered = $2, owed = $3, settled_at = $4
           WHERE application = $1 AND settled_at IS NULL""",
        application, dict(recovered), dict(owed), at,
    )  # fmt: skip


async def clawback(conn: Connection, application: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM programmes.clawback WHERE application = $1", application)


async def breach(conn: Connection, application: UUID) -> int:
    value: int = await conn.fetchval(
        "UPDATE programmes.application SET breaches = breaches + 1 WHERE id = $1 RETURNING breaches", application
    )
    return value


async def insert_funding(
    conn: Connection, posting: UUID, budget: str, amount: int, reason: str, actor: str, at: datetime
) -> Any:
    """The row, known or new."""
    await conn.execute(
        "INSERT INTO programmes.funding VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        posting, budget, amount, reason, actor, at,
    )  # fmt: skip
    return await conn.fetchrow("SELECT * FROM programmes.funding WHERE id = $1", posting)
