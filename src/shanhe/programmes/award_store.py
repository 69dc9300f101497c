"""SQL of what was granted: tranches and their payments, what they add up to, clawbacks, money into budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.programmes.cases import Payment, Tranche, TrancheState
from shanhe.programmes.store import Connection

GRANTED = ("active", "completed", "suspended", "approved", "waiting_budget")


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
    return (await tranches_of(conn, [application], lock=lock)).get(application, ())


async def tranches_of(
    conn: Connection, applications: Sequence[UUID], *, lock: bool = False
) -> dict[UUID, tuple[Tranche, ...]]:
    rows = await conn.fetch(
        f"""SELECT application, n, state, due_on, planned_on, met_on, committed, posting, reason, changed_at, freed
            FROM programmes.tranche WHERE application = ANY($1)
            ORDER BY application, n{' FOR UPDATE' if lock else ''}""",
        list(applications),
    )  # fmt: skip
    paid = await conn.fetch(
        """SELECT application, n, to_org, asset, budget, amount, provenance, released, earmark FROM programmes.payment
           WHERE application = ANY($1) ORDER BY application, n, ordinal""",
        list(applications),
    )  # fmt: skip
    parts: dict[tuple[UUID, int], list[Payment]] = {}
    for item in paid:
        values = dict(item)
        parts.setdefault((values.pop("application"), values.pop("n")), []).append(Payment(**values))
    found: dict[UUID, list[Tranche]] = {}
    for row in rows:
        payments = tuple(parts.get((row["application"], row["n"]), ()))
        tranche = Tranche(**dict(row) | {"state": TrancheState(row["state"])}, payments=payments)
        found.setdefault(tranche.application, []).append(tranche)
    return {application: tuple(of) for application, of in found.items()}


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


async def set_freed(conn: Connection, application: UUID, n: int) -> None:
    await conn.execute("UPDATE programmes.tranche SET freed = true WHERE application = $1 AND n = $2", application, n)


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

    Money to commit, to bring back or to free, a tranche whose day has come, any award of a `watched` programme; what
    could not move is looked at again if it was last seen before `again`.
    """
    rows = await conn.fetch(
        """WITH waiting AS (
             SELECT id FROM programmes.application WHERE state IN ('approved', 'waiting_budget')
             UNION SELECT id FROM programmes.application
              WHERE programme = ANY($3) AND state IN ('active', 'suspended', 'completed')
             UNION SELECT t.application FROM programmes.tranche t JOIN programmes.application a ON a.id = t.application
              WHERE t.state IN ('planned', 'committed') AND t.due_on <= $2 AND a.state = 'active'
             UNION SELECT t.application FROM programmes.tranche t JOIN programmes.application a ON a.id = t.application
              WHERE t.state = 'due' AND a.state = 'active'
             UNION SELECT t.application FROM programmes.tranche t
              WHERE t.state = 'cancelled' AND NOT t.freed AND t.reason <> 'nothing_due'
             UNION SELECT c.application FROM programmes.clawback c JOIN programmes.application a ON a.id = c.application
              WHERE c.settled_at IS NULL AND a.state = 'stopped')
           UPDATE programmes.application SET looked_at = $1 WHERE id IN (
             SELECT a.id FROM programmes.application a
             WHERE a.id IN (SELECT id FROM waiting) AND (a.looked_at IS NULL OR a.looked_at < $4)
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


async def committed(conn: Connection, budgets: Sequence[str]) -> Mapping[str, int]:
    """What of these budgets is promised and not yet paid."""
    rows = await conn.fetch(
        """SELECT p.budget, sum(p.amount)::bigint AS amount FROM programmes.payment p
           JOIN programmes.tranche t ON t.application = p.application AND t.n = p.n
           WHERE t.state IN ('committed', 'due') AND p.budget = ANY($1) GROUP BY p.budget""",
        list(budgets),
    )
    return {row["budget"]: row["amount"] for row in rows}


async def spent(conn: Connection, budgets: Sequence[str]) -> Mapping[str, int]:
    """What these budgets have paid."""
    rows = await conn.fetch(
        """SELECT budget, sum(released)::bigint AS amount FROM programmes.payment WHERE budget = ANY($1)
           GROUP BY budget""",
        list(budgets),
    )
    return {row["budget"]: row["amount"] for row in rows}


async def programmes_of(conn: Connection, postings: Sequence[UUID]) -> Mapping[UUID, str]:
    """The programme that each of these postings paid out for."""
    rows = await conn.fetch(
        """SELECT t.posting, a.programme FROM programmes.tranche t JOIN programmes.application a ON a.id = t.application
           WHERE t.posting = ANY($1)""",
        list(postings),
    )
    return {row["posting"]: row["programme"] for row in rows}


async def taken_back(conn: Connection, postings: Sequence[UUID]) -> set[UUID]:
    """Those of these postings whose award was clawed back whole: they paid what was never due."""
    rows = await conn.fetch(
        """SELECT t.posting FROM programmes.tranche t JOIN programmes.clawback c ON c.application = t.application
           WHERE t.posting = ANY($1) AND NOT c.unspent""",
        list(postings),
    )
    return {row["posting"] for row in rows}


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
