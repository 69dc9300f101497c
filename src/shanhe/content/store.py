"""SQL of content."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from shanhe.content.model import Draft, Job, Profile, Terms
from shanhe.kernel.db import Database

CHANNEL: Final = "content_changed"
PAGE_ROWS: Final = 50
SEARCH_ROWS: Final = 1_000
"""Texts may be sealed, so a search opens and reads this many of the newest."""
PROFILE_ROWS: Final = 100
SWEEP_ROWS: Final = 200
PURGE_ROWS: Final = 2_000
Connection = Any
T = TypeVar("T")
_DRAFT: Final = ", ".join(f"d.{name}" for name in Draft.__struct_fields__)


def _row(kind: type[T], row: Any) -> T:
    return kind(**{name: row[name] for name in kind.__struct_fields__})  # type: ignore[attr-defined]


# -- who pays ---------------------------------------------------------------------------------------------------------


async def city(db: Connection | Database) -> tuple[UUID | None, str]:
    """Whose credits pay free uses now, and of which model (empty = the first that is offered)."""
    row = await db.fetchrow("SELECT org_id, model FROM content.city ORDER BY id DESC LIMIT 1")
    return (None, "") if row is None else (row["org_id"], row["model"])


async def city_known(db: Database) -> bool:
    """Whether anybody ever said who pays."""
    return bool(await db.fetchval("SELECT EXISTS (SELECT FROM content.city)"))


async def set_city(db: Database, org_id: UUID | None, model: str, by: str, now: datetime) -> None:
    await db.execute(
        "INSERT INTO content.city (org_id, model, set_by, set_at) VALUES ($1, $2, $3, $4)", org_id, model, by, now
    )


async def terms(db: Connection | Database, org_id: UUID) -> Terms:
    row = await db.fetchrow("SELECT own, own_month, set_by FROM content.terms WHERE org_id = $1", org_id)
    return Terms() if row is None else Terms(**dict(row))


async def set_terms(db: Database, org_id: UUID, one: Terms, now: datetime) -> None:
    await db.execute(
        """INSERT INTO content.terms (org_id, own, own_month, set_by, set_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (org_id) DO UPDATE SET own = $2, own_month = $3, set_by = $4, set_at = $5""",
        org_id, one.own, one.own_month, one.set_by, now,
    )  # fmt: skip


async def used(db: Database, org_id: UUID, month: date) -> int:
    found = await db.fetchval("SELECT used FROM content.month WHERE org_id = $1 AND month = $2", org_id, month)
    return int(found or 0)


async def used_locked(conn: Connection, org_id: UUID, month: date) -> int:
    """Free uses of a month, which nobody else may count until this transaction ends."""
    await conn.execute(
        "INSERT INTO content.month (org_id, month) VALUES ($1, $2) ON CONFLICT (org_id, month) DO NOTHING",
        org_id,
        month,
    )
    found: int = await conn.fetchval(
        "SELECT used FROM content.month WHERE org_id = $1 AND month = $2 FOR UPDATE", org_id, month
    )
    return found


async def count_uses(conn: Connection, org_id: UUID, month: date, more: int) -> None:
    await conn.execute(
        "UPDATE content.month SET used = used + $3 WHERE org_id = $1 AND month = $2", org_id, month, more
    )


async def month_totals(db: Database, month: date) -> Any:
    """(organisations, free uses, what the city paid in µ) of a month."""
    return await db.fetchrow(
        """SELECT (SELECT count(*) FROM content.month WHERE month = $1 AND used > 0) AS orgs,
                  (SELECT coalesce(sum(used), 0) FROM content.month WHERE month = $1) AS used,
                  (SELECT coalesce(sum(paid_micro), 0) FROM content.draft
                    WHERE month = $1 AND payer = 'city') AS paid_micro""",
        month,
    )


# -- profiles ---------------------------------------------------------------------------------------------------------


async def save_profile(db: Database, one: Profile) -> bool:
    """False when the id is somebody else's."""
    done = await db.writes.fetchval(
        """INSERT INTO content.profile AS p (id, org_id, name, fields, made_by, made_at, changed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (id) DO UPDATE SET name = $3, fields = $4, changed_at = $7 WHERE p.org_id = $2 RETURNING true""",
        one.id, one.org_id, one.name, one.fields, one.made_by, one.made_at, one.changed_at,
    )  # fmt: skip
    return bool(done)


async def profiles(db: Database, org_id: UUID) -> list[Profile]:
    rows = await db.fetch(
        "SELECT * FROM content.profile WHERE org_id = $1 ORDER BY id DESC LIMIT $2", org_id, PROFILE_ROWS
    )
    return [_row(Profile, row) for row in rows]


async def drop_profile(db: Database, org_id: UUID, profile: UUID) -> bool:
    return bool(await db.writes.fetchval(
        "DELETE FROM content.profile WHERE org_id = $1 AND id = $2 RETURNING true", org_id, profile
    ))  # fmt: skip


# -- requests and drafts ----------------------------------------------------------------------------------------------


async def add_job(conn: Connection, one: Job) -> bool:
    """False when the id is taken."""
    done = await conn.fetchval(
        """INSERT INTO content.job (id, org_id, kind, form, model, asked, made_by, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING RETURNING true""",
        one.id, one.org_id, one.kind, one.form, one.model, one.asked, one.made_by, one.made_at,
    )  # fmt: skip
    return bool(done)


async def job(db: Connection | Database, job_id: UUID) -> Job | None:
    row = await db.fetchrow("SELECT * FROM content.job WHERE id = $1", job_id)
    return None if row is None else _row(Job, row)


async def add_draft(conn: Connection, one: Draft) -> None:
    await conn.execute(
        """INSERT INTO content.draft (id, job, org_id, n, kind, model, state, payer, payer_org, key_id, month, decision,
                                      made_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7, $8, $9, $10, $11, $12)""",
        one.id, one.job, one.org_id, one.n, one.kind, one.model, one.payer, one.payer_org, one.key_id, one.month,
        one.decision, one.made_at,
    )  # fmt: skip


async def announce(conn: Connection) -> None:
    """Tell whoever writes that something waits."""
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def open_count(db: Connection | Database, org_id: UUID) -> int:
    found: int = await db.fetchval(
        "SELECT count(*) FROM content.draft WHERE org_id = $1 AND state IN ('waiting', 'writing')", org_id
    )
    return found


async def drafts_of(db: Database, job_id: UUID) -> list[Draft]:
    rows = await db.fetch(f"SELECT {_DRAFT} FROM content.draft d WHERE d.job = $1 ORDER BY d.n", job_id)
    return [_row(Draft, row) for row in rows]


async def draft(db: Connection | Database, draft_id: UUID) -> Draft | None:
    row = await db.fetchrow(f"SELECT {_DRAFT} FROM content.draft d WHERE d.id = $1", draft_id)
    return None if row is None else _row(Draft, row)


async def drafts(
    db: Database, org_id: UUID, kind: str | None, before: UUID | None, limit: int = PAGE_ROWS
) -> list[Draft]:
    """An organisation's drafts, newest first."""
    rows = await db.fetch(
        f"""SELECT {_DRAFT} FROM content.draft d WHERE d.org_id = $1 AND ($2::text IS NULL OR d.kind = $2)
             AND ($3::uuid IS NULL OR d.id < $3) ORDER BY d.id DESC LIMIT $4""",
        org_id, kind, before, limit,
    )  # fmt: skip
    return [_row(Draft, row) for row in rows]


async def edit(db: Database, draft_id: UUID, title: str, text: str, now: datetime) -> bool:
    return bool(await db.writes.fetchval(
        """UPDATE content.draft SET title = $2, text = $3, edited_at = $4 WHERE id = $1 AND state = 'done'
           RETURNING true""",
        draft_id, title, text, now,
    ))  # fmt: skip


async def drop_draft(db: Database, org_id: UUID, draft_id: UUID) -> bool:
    """Forget a draft that nobody works on, and its request with the last of them; the receipt stays on the ledger."""
    async with db.transaction() as conn:
        job_id = await conn.fetchval(
            """DELETE FROM content.draft WHERE id = $1 AND org_id = $2 AND state IN ('done', 'failed') RETURNING job""",
            draft_id, org_id,
        )  # fmt: skip
        if job_id is None:
            return False
        await _drop_empty(conn, [job_id])
    return True


async def _drop_empty(conn: Connection, jobs: Sequence[UUID]) -> None:
    await conn.execute(
        """DELETE FROM content.job j WHERE j.id = ANY($1)
            AND NOT EXISTS (SELECT FROM content.draft d WHERE d.job = j.id)""",
        jobs,
    )


async def purge(db: Database, before: datetime) -> int:
    """Forget drafts that nobody touched since, a bounded number."""
    async with db.transaction() as conn:
        rows = await conn.fetch(
            """DELETE FROM content.draft WHERE id IN (SELECT id FROM content.draft
                WHERE ended_at < $1 AND coalesce(edited_at, ended_at) < $1 LIMIT $2) RETURNING job""",
            before, PURGE_ROWS,
        )  # fmt: skip
        await _drop_empty(conn, list({row["job"] for row in rows}))
    return len(rows)


# -- writing ----------------------------------------------------------------------------------------------------------


async def take(db: Database, worker: str, most: int, now: datetime) -> list[Draft]:
    """Take up to `most` drafts that wait, the oldest first."""
    rows = await db.writes.fetch(
        f"""WITH due AS (SELECT id FROM content.draft WHERE state = 'waiting' ORDER BY id LIMIT $3
                         FOR UPDATE SKIP LOCKED)
            UPDATE content.draft d SET state = 'writing', worker = $1, taken_at = $2 FROM due WHERE d.id = due.id
            RETURNING {_DRAFT}""",
        worker, now, most,
    )  # fmt: skip
    return [_row(Draft, row) for row in rows]


async def put_back(db: Database, worker: str | None, before: datetime) -> int:
    """Drafts that an ended process of this name had, or (None) that were taken before: take them up again."""
    rows = await db.writes.fetch(
        """UPDATE content.draft SET state = 'waiting', worker = NULL, taken_at = NULL
            WHERE id IN (SELECT id FROM content.draft WHERE state = 'writing' AND ($1::text IS NULL OR worker = $1)
                          AND taken_at <= $2 LIMIT $3) RETURNING id""",
        worker, before, SWEEP_ROWS,
    )  # fmt: skip
    return len(rows)


async def begin(db: Database, draft_id: UUID, worker: str, receipt_id: UUID, now: datetime) -> bool:
    """Say under which receipt the next call is made; what was kept of an earlier, unpaid one is forgotten."""
    return bool(await db.writes.fetchval(
        """UPDATE content.draft SET receipt_id = $3, written = NULL, taken_at = $4
            WHERE id = $1 AND worker = $2 AND state = 'writing' RETURNING true""",
        draft_id, worker, receipt_id, now,
    ))  # fmt: skip


async def keep(db: Database, draft_id: UUID, worker: str, receipt_id: UUID, written: Any) -> bool:
    return bool(await db.writes.fetchval(
        """UPDATE content.draft SET written = $4 WHERE id = $1 AND worker = $2 AND receipt_id = $3
            AND state = 'writing' RETURNING true""",
        draft_id, worker, receipt_id, written,
    ))  # fmt: skip


async def done(
    db: Database, draft_id: UUID, worker: str, paid_micro: int, title: str, text: str, now: datetime
) -> bool:
    return bool(await db.writes.fetchval(
        """UPDATE content.draft SET state = 'done', worker = NULL, taken_at = NULL, paid_micro = $3, title = $4,
                  text = $5, ended_at = $6 WHERE id = $1 AND worker = $2 AND state = 'writing' RETURNING true""",
        draft_id, worker, paid_micro, title, text, now,
    ))  # fmt: skip


async def fail(db: Database, one: Draft, worker: str, error: str, why: Any, now: datetime) -> bool:
    """End a draft without a text; a free use is back."""
    async with db.transaction() as conn:
        ended = await conn.fetchval(
            """UPDATE content.draft SET state = 'failed', worker = NULL, taken_at = NULL, written = NULL, error = $3,
                      why = $4, ended_at = $5, receipt_id = NULL
                WHERE id = $1 AND worker = $2 AND state = 'writing' RETURNING payer""",
            one.id, worker, error, why, now,
        )  # fmt: skip
        if ended == "city":
            await count_uses(conn, one.org_id, one.month, -1)
    return ended is not None


async def pay_oneself(db: Database, one: Draft, worker: str, key_id: UUID) -> bool:
    """The city can't pay and the organisation agreed: its own credits do, and the free use is back."""
    async with db.transaction() as conn:
        changed = await conn.fetchval(
            """UPDATE content.draft SET payer = 'own', payer_org = org_id, key_id = $3, written = NULL,
                      receipt_id = NULL WHERE id = $1 AND worker = $2 AND state = 'writing' AND payer = 'city'
            RETURNING true""",
            one.id, worker, key_id,
        )  # fmt: skip
        if changed:
            await count_uses(conn, one.org_id, one.month, -1)
    return bool(changed)
