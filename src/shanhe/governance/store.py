"""SQL of governance. A proposal's row is locked before its state changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.governance.model import Proposal, State, Voice, Vote

PAGE_ROWS = 100
HISTORY_ROWS = 500
PROPOSAL = (
    "id, matter, department, rule_id, title, why, content, state, step, step_due, overdue_at, veto, discuss_until,"
    " announced_on, veto_until, effective_on, proposed_by, proposed_at, decided_by, changed_at, reason"
)

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


def _proposal(row: Any) -> Proposal:
    return Proposal(**dict(row) | {"state": State(row["state"])})


# -- seats ------------------------------------------------------------------------------------------------------------


async def add_seat(conn: Connection, person_id: UUID, department: str, by: str, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO governance.seat VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", person_id, department, by, now
    )


async def drop_seat(conn: Connection, person_id: UUID, department: str) -> None:
    await conn.execute("DELETE FROM governance.seat WHERE person_id = $1 AND department = $2", person_id, department)


async def seats_of(conn: Connection, person_id: UUID) -> frozenset[str]:
    rows = await conn.fetch("SELECT department FROM governance.seat WHERE person_id = $1", person_id)
    return frozenset(row["department"] for row in rows)


async def seats(conn: Connection) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        "SELECT person_id, department FROM governance.seat ORDER BY department, person_id LIMIT 1000"
    )
    return rows


# -- proposals --------------------------------------------------------------------------------------------------------


async def insert(conn: Connection, made: Proposal) -> bool:
    """False when the id is taken."""
    row = await conn.fetchval(
        f"""INSERT INTO governance.proposal ({PROPOSAL})
            VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21)
            ON CONFLICT (id) DO NOTHING RETURNING 1""",
        made.id, made.matter, made.department, made.rule_id, made.title, made.why, dict(made.content), made.state,
        made.step, made.step_due, made.overdue_at, made.veto, made.discuss_until, made.announced_on, made.veto_until,
        made.effective_on, made.proposed_by, made.proposed_at, made.decided_by, made.changed_at, made.reason,
    )  # fmt: skip
    return row is not None


async def get(conn: Connection, proposal: UUID, *, lock: bool = False) -> Proposal | None:
    row = await conn.fetchrow(
        f"SELECT {PROPOSAL} FROM governance.proposal WHERE id = $1{' FOR UPDATE' if lock else ''}", proposal
    )
    return None if row is None else _proposal(row)


async def page(
    conn: Connection, *, states: Sequence[str] | None, matter: str | None, before: UUID | None, limit: int
) -> list[Proposal]:
    """Newest first."""
    rows = await conn.fetch(
        f"""SELECT {PROPOSAL} FROM governance.proposal
            WHERE ($1::text[] IS NULL OR state = ANY($1)) AND ($2::text IS NULL OR matter = $2)
              AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4""",
        list(states) if states is not None else None, matter, before, min(limit, PAGE_ROWS),
    )  # fmt: skip
    return [_proposal(row) for row in rows]


async def last_report(conn: Connection, org_id: UUID) -> datetime | None:
    """When the last infeasibility report of an organisation was adopted."""
    found: datetime | None = await conn.fetchval(
        """SELECT max(changed_at) FROM governance.proposal
            WHERE matter = 'infeasibility' AND state = 'adopted' AND content ->> 'org_id' = $1""",
        str(org_id),
    )
    return found


async def shared_fen(conn: Connection) -> int:
    """The profit that was shared, as adopted."""
    found: int = await conn.fetchval(
        """SELECT coalesce(sum((content ->> 'amount_fen')::bigint), 0)::bigint FROM governance.proposal
            WHERE matter = 'profit_share' AND state = 'adopted'"""
    )
    return found


async def due(conn: Connection, today: date) -> list[UUID]:
    """Proposals whose day has come: discussed long enough, to be announced, or past their veto."""
    rows = await conn.fetch(
        """SELECT id FROM governance.proposal
           WHERE (state = 'discussion' AND discuss_until < $1) OR (state = 'approved' AND announced_on <= $1)
              OR (state = 'announced' AND veto_until < $1) ORDER BY id LIMIT $2""",
        today, PAGE_ROWS,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def move(
    conn: Connection, proposal: UUID, was: State, becomes: State, *, now: datetime, actor: str, step: int | None = None,
    step_due: datetime | None = None, decided_by: UUID | None = None, reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Change the state and write it down; False when it is another by now."""
    row = await conn.fetchval(
        """UPDATE governance.proposal SET state = $3, changed_at = $4, step = coalesce($5, step), step_due = $6,
             overdue_at = NULL, decided_by = coalesce($7, decided_by), reason = $8
           WHERE id = $1 AND state = $2 RETURNING 1""",
        proposal, was, becomes, now, step, step_due, decided_by, reason,
    )  # fmt: skip
    if row is not None:
        await note(conn, proposal, becomes, now=now, actor=actor, details=details)
    return row is not None


async def next_step(conn: Connection, proposal: UUID, step: int, step_due: datetime, now: datetime) -> None:
    await conn.execute(
        "UPDATE governance.proposal SET step = $2, step_due = $3, overdue_at = NULL, changed_at = $4 WHERE id = $1",
        proposal, step, step_due, now,
    )  # fmt: skip


async def overdue(conn: Connection, now: datetime) -> list[Proposal]:
    """Votes whose time has passed and that nobody was told of; they are marked as told."""
    rows = await conn.fetch(
        f"""UPDATE governance.proposal SET overdue_at = $1 WHERE id IN
              (SELECT id FROM governance.proposal WHERE state = 'voting' AND step_due < $1 AND overdue_at IS NULL
               LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING {PROPOSAL}""",
        now, PAGE_ROWS,
    )  # fmt: skip
    return [_proposal(row) for row in rows]


async def add_vote(
    conn: Connection, proposal: UUID, step: int, person_id: UUID, vote: Vote, reason: str, now: datetime
) -> bool:
    """False when this person has spoken on this step."""
    row = await conn.fetchval(
        """INSERT INTO governance.vote (proposal, step, person_id, vote, reason, at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING RETURNING 1""",
        proposal, step, person_id, vote, reason, now,
    )  # fmt: skip
    return row is not None


async def votes(conn: Connection, proposal: UUID) -> list[Voice]:
    rows = await conn.fetch(
        "SELECT step, person_id, vote, reason, at FROM governance.vote WHERE proposal = $1 ORDER BY at, person_id",
        proposal,
    )
    return [Voice(**dict(row) | {"vote": Vote(row["vote"])}) for row in rows]


async def note(
    conn: Connection, proposal: UUID, event: str, *, now: datetime, actor: str, details: Mapping[str, Any] | None = None
) -> None:
    await conn.execute(
        "INSERT INTO governance.history (proposal, at, event, actor, details) VALUES ($1, $2, $3, $4, $5)",
        proposal, now, event, actor, dict(details or {}),
    )  # fmt: skip


async def history(conn: Connection, proposal: UUID) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        "SELECT at, event, actor, details FROM governance.history WHERE proposal = $1 ORDER BY seq LIMIT $2",
        proposal, HISTORY_ROWS,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def add_comment(
    conn: Connection, comment: UUID, proposal: UUID, person_id: UUID, text: bytes, now: datetime
) -> None:
    await conn.execute(
        "INSERT INTO governance.comment VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
        comment, proposal, person_id, text, now,
    )  # fmt: skip


async def comments(
    conn: Connection, proposal: UUID | None, person_id: UUID | None = None, most: int = HISTORY_ROWS,
    past: UUID | None = None,
) -> list[Any]:  # fmt: skip
    """The oldest first, beyond one where it is given."""
    rows: list[Any] = await conn.fetch(
        """SELECT id, proposal, person_id, text, at FROM governance.comment
           WHERE ($1::uuid IS NULL OR proposal = $1) AND ($2::uuid IS NULL OR person_id = $2)
             AND ($4::uuid IS NULL OR id > $4) ORDER BY id LIMIT $3""",
        proposal, person_id, most, past,
    )  # fmt: skip
    return rows


# -- figures, projects, reviews ---------------------------------------------------------------------------------------


async def add_figure(conn: Connection, *values: Any) -> Any:
    """(id, name, on, value, evidence, by, at); the row with this id, made now or before."""
    await conn.execute(
        """INSERT INTO governance.figure (id, name, on_day, value, evidence, by, at) VALUES ($1,$2,$3,$4,$5,$6,$7)
           ON CONFLICT (id) DO NOTHING""",
        *values,
    )
    return await conn.fetchrow("SELECT * FROM governance.figure WHERE id = $1", values[0])


async def figures(conn: Connection, on: date) -> dict[str, Any]:
    """The latest figure of each name by a day."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (name) * FROM governance.figure WHERE on_day <= $1 ORDER BY name, on_day DESC, seq DESC", on
    )
    return {row["name"]: row for row in rows}


async def add_project(conn: Connection, *values: Any) -> None:
    await conn.execute(
        """INSERT INTO governance.project (id, name_zh, name_en, department, started_on, by, at)
           VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT (id) DO NOTHING""",
        *values,
    )


async def add_flow(conn: Connection, *values: Any) -> Any:
    """(id, project, kind, fen, on, evidence, by, at); the row with this id, made now or before."""
    await conn.execute(
        """INSERT INTO governance.flow (id, project, kind, amount_fen, on_day, evidence, by, at)
           VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (id) DO NOTHING""",
        *values,
    )
    return await conn.fetchrow("SELECT * FROM governance.flow WHERE id = $1", values[0])


async def projects(conn: Connection, project: UUID | None = None) -> list[Any]:
    """Projects with what was invested and returned."""
    rows: list[Any] = await conn.fetch(
        """SELECT p.*, coalesce(sum(f.amount_fen) FILTER (WHERE f.kind = 'invested'), 0)::bigint AS invested_fen,
                  coalesce(sum(f.amount_fen) FILTER (WHERE f.kind = 'returned'), 0)::bigint AS returned_fen
           FROM governance.project p LEFT JOIN governance.flow f ON f.project = p.id
           WHERE $1::uuid IS NULL OR p.id = $1 GROUP BY p.id ORDER BY p.started_on, p.id LIMIT $2""",
        project, PAGE_ROWS,
    )  # fmt: skip
    return rows


async def add_review(conn: Connection, *values: Any) -> None:
    """(id, rule, on, finding, by, at)."""
    await conn.execute(
        """INSERT INTO governance.review (id, rule_id, reviewed_on, finding, by, at) VALUES ($1,$2,$3,$4,$5,$6)
           ON CONFLICT (id) DO NOTHING""",
        *values,
    )


async def last_reviews(conn: Connection) -> dict[str, date]:
    rows = await conn.fetch("SELECT rule_id, max(reviewed_on) AS on_day FROM governance.review GROUP BY rule_id")
    return {row["rule_id"]: row["on_day"] for row in rows}


async def reviews(conn: Connection, rule_id: str | None) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        """SELECT id, rule_id, reviewed_on, finding, by FROM governance.review WHERE $1::text IS NULL OR rule_id = $1
           ORDER BY reviewed_on DESC, id DESC LIMIT $2""",
        rule_id, PAGE_ROWS,
    )  # fmt: skip
    return [dict(row) for row in rows]
