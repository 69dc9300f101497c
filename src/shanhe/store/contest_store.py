"""SQL of contests, entries, jurors and points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.store.contest_model import (
    ENTRIES_MAX,
    JURORS_MAX,
    PLACES_MAX,
    Contest,
    Entry,
    Honour,
    Judged,
    NewContest,
    Placing,
)

Connection = Any
PAGE_ROWS = 100
_CONTEST = (
    "id, title_zh, title_en, call_zh, call_en, pool_fen, opens_on, entries_until, judged_until, created_at, "
    "decided_at, paid_at"
)
_ENTRY = "id, contest, n, org_id, listing, work, entered_at, withdrawn_at, place, mean_bps, application"


async def insert(conn: Connection, new: NewContest, now: datetime, actor: str) -> None:
    await conn.execute(
        """INSERT INTO store.contest (id, title_zh, title_en, call_zh, call_en, pool_fen, opens_on, entries_until,
                                      judged_until, created_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING""",
        new.id, new.title_zh, new.title_en, new.call_zh, new.call_en, new.pool_fen, new.opens_on, new.entries_until,
        new.judged_until, now, actor,
    )  # fmt: skip


async def contest(conn: Connection | Database, contest_id: UUID, *, lock: bool = False) -> Contest | None:
    row = await conn.fetchrow(
        f"SELECT {_CONTEST} FROM store.contest WHERE id = $1{' FOR UPDATE' if lock else ''}", contest_id
    )
    return None if row is None else Contest(**dict(row))


async def contests(db: Database) -> list[Contest]:
    """Newest first, a bounded page."""
    rows = await db.fetch(f"SELECT {_CONTEST} FROM store.contest ORDER BY opens_on DESC, id DESC LIMIT $1", PAGE_ROWS)
    return [Contest(**dict(row)) for row in rows]


async def unpaid(db: Database) -> list[Contest]:
    """Decided contests whose prizes have not all been applied for."""
    rows = await db.fetch(
        f"""SELECT {_CONTEST} FROM store.contest WHERE decided_at IS NOT NULL AND paid_at IS NULL
             ORDER BY decided_at LIMIT $1""",
        PAGE_ROWS,
    )
    return [Contest(**dict(row)) for row in rows]


async def set_decided(conn: Connection, contest_id: UUID, now: datetime, actor: str) -> None:
    await conn.execute(
        "UPDATE store.contest SET decided_at = $2, decided_by = $3 WHERE id = $1", contest_id, now, actor
    )


async def set_paid(conn: Connection | Database, contest_id: UUID, now: datetime) -> None:
    await conn.execute("UPDATE store.contest SET paid_at = coalesce(paid_at, $2) WHERE id = $1", contest_id, now)


# -- jurors -----------------------------------------------------------------------------------------------------------


async def add_juror(conn: Connection, contest_id: UUID, person: UUID, now: datetime, actor: str) -> bool:
    """False when there are too many. Who was dismissed may be named again."""
    made = await conn.fetchval(
        """INSERT INTO store.contest_juror AS j (contest, person, named_at, named_by)
           SELECT $1, $2, $3, $4
            WHERE (SELECT count(*) FROM store.contest_juror
                    WHERE contest = $1 AND dismissed_at IS NULL AND person <> $2) < $5
           ON CONFLICT (contest, person) DO UPDATE SET dismissed_at = NULL,
             named_by = CASE WHEN j.dismissed_at IS NULL THEN j.named_by ELSE EXCLUDED.named_by END
           RETURNING true""",
        contest_id, person, now, actor, JURORS_MAX,
    )  # fmt: skip
    return bool(made)


async def dismiss(conn: Connection, contest_id: UUID, person: UUID, now: datetime, actor: str) -> None:
    await conn.execute(
        """UPDATE store.contest_juror SET dismissed_at = $3, dismissed_by = $4
            WHERE (contest, person) = ($1, $2) AND dismissed_at IS NULL""",
        contest_id, person, now, actor,
    )  # fmt: skip


async def juries(db: Connection | Database, contests: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Who judges each of some contests, in the order they were named."""
    found: dict[UUID, list[UUID]] = {one: [] for one in contests}
    for row in await db.fetch(
        "SELECT contest, person FROM store.contest_juror WHERE contest = ANY($1) AND dismissed_at IS NULL"
        " ORDER BY named_at, person",
        list(contests),
    ):
        found[row["contest"]].append(row["person"])
    return found


async def jurors(db: Connection | Database, contest_id: UUID) -> list[UUID]:
    return (await juries(db, [contest_id]))[contest_id]


async def touched_by(db: Connection | Database, actor: str, contests: Collection[UUID]) -> set[UUID]:
    """Which of these contests somebody called, or named or dismissed a juror of."""
    rows = await db.fetch(
        """SELECT id FROM store.contest WHERE id = ANY($1) AND created_by = $2
            UNION SELECT contest FROM store.contest_juror WHERE contest = ANY($1) AND $2 IN (named_by, dismissed_by)""",
        list(contests), actor,
    )  # fmt: skip
    return {row["id"] for row in rows}


async def judging(db: Database, person: UUID) -> list[UUID]:
    """Contests that a person is a juror of."""
    rows = await db.fetch(
        "SELECT contest FROM store.contest_juror WHERE person = $1 AND dismissed_at IS NULL LIMIT $2", person, PAGE_ROWS
    )
    return [row["contest"] for row in rows]


# -- entries ----------------------------------------------------------------------------------------------------------


async def enter(
    conn: Connection, entry_id: UUID, contest_id: UUID, org_id: UUID, listing: UUID, work: str, now: datetime,
    actor: str,
) -> None:  # fmt: skip
    """An organisation's one entry: new, or changed. The contest is locked, so that numbers come one after another."""
    await conn.execute(
        """INSERT INTO store.entry (id, contest, n, org_id, listing, work, entered_at, entered_by)
           SELECT $1, $2, coalesce(max(e.n), 0) + 1, $3, $4, $5, $6, $7 FROM store.entry e WHERE e.contest = $2
           ON CONFLICT (contest, org_id)
           DO UPDATE SET listing = EXCLUDED.listing, work = EXCLUDED.work, withdrawn_at = NULL""",
        entry_id, contest_id, org_id, listing, work, now, actor,
    )  # fmt: skip


async def is_free(conn: Connection, entry_id: UUID, contest_id: UUID, org_id: UUID) -> bool:
    """Whether an id is nobody's, or that of this very entry."""
    row = await conn.fetchrow("SELECT contest, org_id FROM store.entry WHERE id = $1", entry_id)
    return row is None or (row["contest"], row["org_id"]) == (contest_id, org_id)


async def withdraw(conn: Connection, contest_id: UUID, org_id: UUID, now: datetime) -> None:
    await conn.execute(
        "UPDATE store.entry SET withdrawn_at = coalesce(withdrawn_at, $3) WHERE (contest, org_id) = ($1, $2)",
        contest_id, org_id, now,
    )  # fmt: skip


async def withdraw_all(conn: Connection | Database, org_id: UUID, now: datetime) -> None:
    """An organisation leaves every contest that is not decided; one that is just being decided is waited for."""
    await conn.execute(
        """WITH undecided AS (SELECT id FROM store.contest WHERE decided_at IS NULL
                                AND id IN (SELECT contest FROM store.entry WHERE org_id = $1) ORDER BY id FOR UPDATE)
           UPDATE store.entry e SET withdrawn_at = coalesce(e.withdrawn_at, $2) FROM undecided u
            WHERE e.contest = u.id AND e.org_id = $1""",
        org_id, now,
    )  # fmt: skip


async def entries(db: Connection | Database, contest_id: UUID) -> list[Entry]:
    """By their numbers, withdrawn ones too."""
    rows = await db.fetch(
        f"SELECT {_ENTRY} FROM store.entry WHERE contest = $1 ORDER BY n LIMIT $2", contest_id, ENTRIES_MAX
    )
    return [Entry(**dict(row)) for row in rows]


async def entry_of(db: Connection | Database, contest_id: UUID, org_id: UUID) -> Entry | None:
    row = await db.fetchrow(f"SELECT {_ENTRY} FROM store.entry WHERE (contest, org_id) = ($1, $2)", contest_id, org_id)
    return None if row is None else Entry(**dict(row))


async def entries_of(db: Database, org_id: UUID, most: int = PAGE_ROWS) -> list[Entry]:
    """Everything an organisation entered, newest first, a bounded page."""
    rows = await db.fetch(
        f"SELECT {_ENTRY} FROM store.entry WHERE org_id = $1 ORDER BY entered_at DESC LIMIT $2", org_id, most
    )
    return [Entry(**dict(row)) for row in rows]


async def kinds(db: Database, contest_id: UUID) -> dict[UUID, str]:
    """What kind of thing each entry is."""
    rows = await db.fetch(
        "SELECT e.id, l.kind FROM store.entry e JOIN store.listing l ON l.id = e.listing WHERE e.contest = $1 LIMIT $2",
        contest_id, ENTRIES_MAX,
    )  # fmt: skip
    return {row["id"]: row["kind"] for row in rows}


async def names(db: Database, listings: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
    """(kind, slug) of listings."""
    rows = await db.fetch("SELECT id, kind, slug FROM store.listing WHERE id = ANY($1)", list(listings))
    return {row["id"]: (row["kind"], row["slug"]) for row in rows}


async def place(conn: Connection, found: Sequence[Placing]) -> None:
    await conn.executemany(
        "UPDATE store.entry SET place = $2, mean_bps = $3 WHERE id = $1",
        [(one.id, one.place, one.mean_bps) for one in found],
    )


async def set_application(conn: Connection | Database, entry_id: UUID, application: UUID) -> None:
    await conn.execute("UPDATE store.entry SET application = $2 WHERE id = $1", entry_id, application)


async def honours(db: Database, listing: UUID) -> list[Honour]:
    """Places that a listing took, the newest first, a bounded page."""
    rows = await db.fetch(
        """SELECT c.id AS contest, c.title_zh, c.title_en, e.place, c.decided_at
             FROM store.entry e JOIN store.contest c ON c.id = e.contest
            WHERE e.listing = $1 AND e.place IS NOT NULL ORDER BY c.decided_at DESC LIMIT $2""",
        listing, PLACES_MAX,
    )  # fmt: skip
    return [Honour(**dict(row)) for row in rows]


# -- points -----------------------------------------------------------------------------------------------------------


async def score(conn: Connection, entry_id: UUID, juror: UUID, score_bps: int, note: str, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO store.entry_score (entry, juror, score_bps, note, scored_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (entry, juror) DO UPDATE SET score_bps = $3, note = $4, scored_at = $5""",
        entry_id, juror, score_bps, note, now,
    )  # fmt: skip


async def scores_by(db: Database, contest_id: UUID, juror: UUID) -> dict[UUID, tuple[int, str]]:
    """(points, reason) that one juror gave, by entry."""
    rows = await db.fetch(
        """SELECT s.entry, s.score_bps, s.note FROM store.entry_score s JOIN store.entry e ON e.id = s.entry
            WHERE e.contest = $1 AND s.juror = $2 LIMIT $3""",
        contest_id, juror, ENTRIES_MAX,
    )  # fmt: skip
    return {row["entry"]: (row["score_bps"], row["note"]) for row in rows}


async def said(db: Database, entry_id: UUID) -> list[tuple[int, str]]:
    """(points, reason) of every juror, without their names."""
    rows = await db.fetch(
        "SELECT score_bps, note FROM store.entry_score WHERE entry = $1 ORDER BY scored_at LIMIT $2",
        entry_id, JURORS_MAX,
    )  # fmt: skip
    return [(row["score_bps"], row["note"]) for row in rows]


async def scores(db: Connection | Database, contest_id: UUID) -> dict[UUID, dict[UUID, int]]:
    """Points by entry and juror, of entries that stand."""
    rows = await db.fetch(
        """SELECT s.entry, s.juror, s.score_bps FROM store.entry_score s JOIN store.entry e ON e.id = s.entry
            WHERE e.contest = $1 AND e.withdrawn_at IS NULL LIMIT $2""",
        contest_id, ENTRIES_MAX * JURORS_MAX,
    )  # fmt: skip
    found: dict[UUID, dict[UUID, int]] = {}
    for row in rows:
        found.setdefault(row["entry"], {})[row["juror"]] = row["score_bps"]
    return found


async def heard(db: Database, contests: Collection[UUID]) -> dict[UUID, list[tuple[int, int]]]:
    """(number, how many jurors have spoken) of each entry that stands, by contest."""
    rows = await db.fetch(
        """SELECT e.contest, e.n, count(DISTINCT j.person) AS jurors FROM store.entry e
             LEFT JOIN store.entry_score s ON s.entry = e.id
             LEFT JOIN store.contest_juror j ON (j.contest, j.person) = (e.contest, s.juror) AND j.dismissed_at IS NULL
            WHERE e.contest = ANY($1) AND e.withdrawn_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2""",
        list(contests),
    )
    found: dict[UUID, list[tuple[int, int]]] = {one: [] for one in contests}
    for row in rows:
        found[row["contest"]].append((row["n"], row["jurors"]))
    return found


async def set_counted(conn: Connection, contest_id: UUID, apart: Collection[tuple[UUID, UUID]]) -> None:
    """Say of each point whether it counted: its juror still is one, and not one of the pairs (entry, juror)."""
    pairs = list(apart)
    await conn.execute(
        """UPDATE store.entry_score s SET counted = (
             EXISTS (SELECT FROM store.contest_juror j
                      WHERE j.contest = $1 AND j.person = s.juror AND j.dismissed_at IS NULL)
             AND (s.entry, s.juror) NOT IN (SELECT * FROM unnest($2::uuid[], $3::uuid[])))
             FROM store.entry e WHERE e.id = s.entry AND e.contest = $1""",
        contest_id, [entry for entry, _ in pairs], [juror for _, juror in pairs],
    )  # fmt: skip


def judged(found: Sequence[Entry], points: dict[UUID, dict[UUID, int]]) -> list[Judged]:
    """Entries that stand, with their points."""
    return [
        Judged(one.id, one.n, one.entered_at, tuple(points.get(one.id, {}).values()))
        for one in found
        if one.withdrawn_at is None
    ]
