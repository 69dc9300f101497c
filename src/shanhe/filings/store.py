"""SQL of filings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.filings.model import Algorithm, AlgorithmKind, Document, Filing, Move, NewAlgorithm
from shanhe.kernel.db import Database

Connection = Any
PAGE_ROWS: Final = 200
COLUMNS: Final = (
    "id, subject, name_zh, name_en, operator, kind, purpose_zh, purpose_en, sources_zh, sources_en, responsible, state,"
    " number, reason, filed_on, assessed_on, made_by, made_at, changed_at"
)


def algorithm(row: Any, documents: Sequence[Any] = (), moves: Sequence[Any] = ()) -> Algorithm:
    found = dict(row)
    return Algorithm(
        **found | {"kind": AlgorithmKind(found["kind"]), "state": Filing(found["state"])},
        documents=tuple(Document(one["kind"], one["title"], one["sha256"].hex(), one["added_at"]) for one in documents),
        history=tuple(Move(one["was"], one["becomes"], one["number"], one["reason"], one["at"]) for one in moves),
    )


# -- the register -----------------------------------------------------------------------------------------------------


async def insert(conn: Connection, new: NewAlgorithm, by: str, now: datetime) -> bool:
    done = await conn.execute(
        """INSERT INTO filings.algorithm (id, subject, name_zh, name_en, operator, kind, purpose_zh, purpose_en,
             sources_zh, sources_en, responsible, state, assessed_on, made_by, made_at, changed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'preparing', $12, $13, $14, $14)
           ON CONFLICT DO NOTHING""",
        new.id, new.subject, new.name_zh, new.name_en, new.operator, str(new.kind), new.purpose_zh, new.purpose_en,
        new.sources_zh, new.sources_en, new.responsible, new.assessed_on, by, now,
    )  # fmt: skip
    return bool(done.endswith(" 1"))


async def describe(conn: Connection, new: NewAlgorithm, now: datetime) -> None:
    await conn.execute(
        """UPDATE filings.algorithm SET name_zh = $2, name_en = $3, operator = $4, kind = $5, purpose_zh = $6,
             purpose_en = $7, sources_zh = $8, sources_en = $9, responsible = $10, assessed_on = $11, changed_at = $12
           WHERE id = $1""",
        new.id, new.name_zh, new.name_en, new.operator, str(new.kind), new.purpose_zh, new.purpose_en, new.sources_zh,
        new.sources_en, new.responsible, new.assessed_on, now,
    )  # fmt: skip


async def get(conn: Connection | Database, algorithm_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT {COLUMNS} FROM filings.algorithm WHERE id = $1{' FOR UPDATE' if lock else ''}", algorithm_id
    )


async def of_subjects(conn: Connection | Database, subjects: Sequence[str]) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        f"SELECT {COLUMNS} FROM filings.algorithm WHERE subject = ANY($1)", list(subjects)
    )
    return rows


async def page(db: Database, limit: int) -> list[Any]:
    rows: list[Any] = await db.fetch(
        f"SELECT {COLUMNS} FROM filings.algorithm ORDER BY subject <> '*', name_zh, id LIMIT $1", limit
    )
    return rows


async def documents(conn: Connection | Database, algorithm_id: UUID) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        "SELECT * FROM filings.document WHERE algorithm = $1 ORDER BY added_at, id LIMIT 200", algorithm_id
    )
    return rows


async def add_document(
    conn: Connection | Database, document_id: UUID, algorithm_id: UUID, kind: str, title: str, sha256: bytes, by: str,
    now: datetime,
) -> None:  # fmt: skip
    await conn.execute(
        """INSERT INTO filings.document (id, algorithm, kind, title, sha256, added_by, added_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING""",
        document_id, algorithm_id, kind, title, sha256, by, now,
    )  # fmt: skip


async def move(
    conn: Connection, algorithm_id: UUID, was: str, becomes: str, number: str | None, filed_on: date | None,
    reason: str, by: str, now: datetime,
) -> None:  # fmt: skip
    await conn.execute(
        """UPDATE filings.algorithm SET state = $2, number = coalesce($3, number), filed_on = coalesce($4, filed_on),
             reason = $5, changed_at = $6 WHERE id = $1""",
        algorithm_id, becomes, number, filed_on, reason, now,
    )  # fmt: skip
    await conn.execute(
        """INSERT INTO filings.history (algorithm, was, becomes, number, reason, actor, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        algorithm_id, was, becomes, number, reason, by, now,
    )  # fmt: skip


async def history(conn: Connection | Database, algorithm_id: UUID) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        "SELECT was, becomes, number, reason, at FROM filings.history WHERE algorithm = $1 ORDER BY seq LIMIT 200",
        algorithm_id,
    )
    return rows


# -- interventions ----------------------------------------------------------------------------------------------------


async def add_event(conn: Connection | Database, values: Sequence[Any]) -> None:
    await conn.execute(
        """INSERT INTO filings.event (id, at, day, surface, model, rule, category, decision, run_id, org_id, text_mac,
                                      text)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        *values,
    )


async def events(db: Database, org_id: UUID | None, decision: str | None, before: UUID | None, limit: int) -> list[Any]:
    rows: list[Any] = await db.fetch(
        """SELECT * FROM filings.event WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::text IS NULL OR decision = $2)
             AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4""",
        org_id, decision, before, min(limit, PAGE_ROWS),
    )  # fmt: skip
    return rows


async def months(db: Database, first: date, until: date) -> list[Any]:
    rows: list[Any] = await db.fetch(
        """SELECT to_char(day, 'YYYY-MM') AS month, surface, category, decision, count(*) AS count FROM filings.event
            WHERE day >= $1 AND day < $2 GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 2, 3, 4 LIMIT 5000""",
        first, until,
    )  # fmt: skip
    return rows


async def forget_texts(db: Database, until: date, limit: int) -> list[date]:
    """Drop the texts of days before `until`; the days they were of, whose keys can go."""
    rows = await db.writes.fetch(
        """WITH old AS (SELECT id FROM filings.event WHERE text IS NOT NULL AND day < $1 ORDER BY day LIMIT $2)
           UPDATE filings.event e SET text = NULL FROM old WHERE e.id = old.id RETURNING e.day""",
        until, limit,
    )  # fmt: skip
    return sorted({row["day"] for row in rows})


async def forget_events(db: Database, until: date, limit: int) -> int:
    done = await db.execute(
        "DELETE FROM filings.event WHERE id IN (SELECT id FROM filings.event WHERE day < $1 LIMIT $2)", until, limit
    )
    return int(done.rsplit(" ", 1)[-1])


# -- complaints -------------------------------------------------------------------------------------------------------


async def insert_complaint(conn: Connection | Database, values: Sequence[Any]) -> bool:
    done = await conn.execute(
        """INSERT INTO filings.complaint (id, org_id, made_by, receipt_id, model, category, text, state, made_at,
                                          due_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9) ON CONFLICT (id) DO NOTHING""",
        *values,
    )
    return bool(done.endswith(" 1"))


async def complaint(conn: Connection | Database, complaint_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM filings.complaint WHERE id = $1{' FOR UPDATE' if lock else ''}", complaint_id
    )


async def complaints(db: Database, org_id: UUID | None, waiting: bool, limit: int) -> list[Any]:
    """Newest first; those that wait: what is due first, first."""
    rows: list[Any] = await db.fetch(
        """SELECT * FROM filings.complaint WHERE ($1::uuid IS NULL OR org_id = $1)
             AND (NOT $2 OR state IN ('open', 'appealed'))
           ORDER BY CASE WHEN $2 THEN due_at END, made_at DESC, id DESC LIMIT $3""",
        org_id, waiting, limit,
    )  # fmt: skip
    return rows


async def decide(
    conn: Connection, complaint_id: UUID, state: str, by: str, answer: str, now: datetime, appeal_until: datetime
) -> None:
    await conn.execute(
        """UPDATE filings.complaint SET state = $2, decided_by = $3, answer = $4, decided_at = $5, appeal_until = $6
           WHERE id = $1""",
        complaint_id, state, by, answer, now, appeal_until,
    )  # fmt: skip


async def appeal(conn: Connection, complaint_id: UUID, text: str, due_at: datetime) -> None:
    await conn.execute(
        """UPDATE filings.complaint SET state = 'appealed', appeal = $2, due_at = $3, told_at = NULL WHERE id = $1""",
        complaint_id, text, due_at,
    )  # fmt: skip


async def finish(conn: Connection, complaint_id: UUID, state: str, by: str, answer: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE filings.complaint SET state = $2, final_by = $3, final_answer = $4, final_at = $5 WHERE id = $1",
        complaint_id, state, by, answer, now,
    )  # fmt: skip


async def late(conn: Connection, now: datetime, limit: int) -> list[Any]:
    """Overdue ones that nobody was told of yet, marked as told."""
    rows: list[Any] = await conn.fetch(
        """UPDATE filings.complaint SET told_at = $1 WHERE id IN
             (SELECT id FROM filings.complaint WHERE state IN ('open', 'appealed') AND due_at < $1 AND told_at IS NULL
               ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING *""",
        now, limit,
    )  # fmt: skip
    return rows
