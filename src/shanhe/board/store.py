"""SQL of posts, vectors, matches and what is said in them. Sees ciphertexts of what people write."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.board.model import LIVE, MEETINGS_MAX, Kind, Match, MatchState, Post, PostState, Word, Words
from shanhe.kernel.db import Database

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads
PAGE_ROWS: Final = 200
DUE_ROWS: Final = 50
_SAID: Final = (
    "kind", "title", "text", "sector", "until", "shows_name", "by_meaning", "readiness", "budget_from_fen",
    "budget_to_fen", "price_fen", "asks",
)  # fmt: skip
_POST: Final = ("id", "org_id", "state", "revision", "made_at", "changed_at", "published_at", "removed_why")
_COLUMNS: Final = ", ".join((*_POST, *_SAID))
_MATCH: Final = (
    "id, need, solution, need_org, solution_org, opened_by, state, round, offered_by, need_accepted_at, "
    "solution_accepted_at, application, barred, opened_at, changed_at"
)


def _post(row: Any) -> Post:
    said = {name: row[name] for name in _SAID} | {"kind": Kind(row["kind"])}
    rest = {name: row[name] for name in _POST} | {"state": PostState(row["state"])}
    return Post(words=Words(**said), **rest)


def _match(row: Any) -> Match:
    offered = Kind(row["offered_by"]) if row["offered_by"] else None
    found = {"opened_by": Kind(row["opened_by"]), "state": MatchState(row["state"]), "offered_by": offered}
    return Match(**dict(row) | found)


# -- posts ------------------------------------------------------------------------------------------------------------


async def insert(conn: Connection, post: UUID, org_id: UUID, said: Words, now: datetime, actor: str) -> bool:
    """A draft; False when the id is taken."""
    row = await conn.fetchval(
        f"""INSERT INTO board.post ({", ".join(_SAID)}, id, org_id, state, revision, made_by, made_at, changed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'draft', 1, $15, $16, $16)
            ON CONFLICT (id) DO NOTHING RETURNING 1""",
        *(getattr(said, name) for name in _SAID), post, org_id, actor, now,
    )  # fmt: skip
    return row is not None


async def post(conn: Connection, identifier: UUID, *, lock: bool = False) -> Post | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM board.post WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else _post(row)


async def change(conn: Connection, identifier: UUID, said: Words, now: datetime) -> None:
    """New words, as the next revision; what was made of the old ones goes."""
    pairs = ", ".join(f"{name} = ${at}" for at, name in enumerate(_SAID[1:], 3))
    await conn.execute(
        f"UPDATE board.post SET {pairs}, revision = revision + 1, changed_at = $2 WHERE id = $1",
        identifier, now, *(getattr(said, name) for name in _SAID[1:]),
    )  # fmt: skip
    await conn.execute("DELETE FROM board.vector WHERE post = $1", identifier)


async def move(conn: Connection, identifier: UUID, state: PostState, now: datetime) -> None:
    await conn.execute(
        """UPDATE board.post SET state = $2, changed_at = $3,
                  published_at = CASE WHEN $2 = 'open' THEN coalesce(published_at, $3) ELSE published_at END
            WHERE id = $1""",
        identifier, state, now,
    )  # fmt: skip


async def remove(conn: Connection, identifier: UUID, why: str, actor: str, now: datetime) -> None:
    await conn.execute(
        """UPDATE board.post SET state = 'removed', removed_why = $2, removed_by = $3, changed_at = $4 WHERE id = $1""",
        identifier, why, actor, now,
    )  # fmt: skip


async def of_org(conn: Connection, org_id: UUID, most: int) -> list[Post]:
    """Everything of an organisation, newest first, a bounded page."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM board.post WHERE org_id = $1 ORDER BY id DESC LIMIT $2", org_id, most
    )
    return [_post(row) for row in rows]


async def to_forget(conn: Connection, org_id: UUID) -> list[UUID]:
    """An organisation's drafts and what it has on the board, however much it ended since."""
    rows = await conn.fetch("SELECT id FROM board.post WHERE org_id = $1 AND state IN ('draft', 'open')", org_id)
    return [row["id"] for row in rows]


async def unfinished(conn: Connection, org_id: UUID, *, apart: UUID | None = None) -> int:
    """How many of an organisation's posts are drafts or on the board."""
    found: int = await conn.fetchval(
        """SELECT count(*) FROM board.post WHERE org_id = $1 AND state IN ('draft', 'open')
              AND ($2::uuid IS NULL OR id <> $2)""",
        org_id, apart,
    )  # fmt: skip
    return found


async def line_up(conn: Connection, word: str) -> None:
    """Let those who count the same things wait for each other until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 370))", word)


async def open_count(conn: Connection, kind: Kind) -> int:
    found: int = await conn.fetchval("SELECT count(*) FROM board.post WHERE kind = $1 AND state = 'open'", kind)
    return found


async def standing(
    conn: Connection, kind: Kind | None, sector: str | None, today: date, before: UUID | None, most: int
) -> list[Post]:
    """What is on the board, newest first."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM board.post WHERE state = 'open' AND until >= $3
               AND ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR sector = $2)
               AND ($4::uuid IS NULL OR (published_at, id) < (SELECT published_at, id FROM board.post WHERE id = $4))
             ORDER BY published_at DESC, id DESC LIMIT $5""",
        kind, sector, today, before, most,
    )  # fmt: skip
    return [_post(row) for row in rows]


async def marks(conn: Connection, kind: Kind, today: date, most: int) -> list[tuple[UUID, int, str]]:
    """(post, revision, model of its vector or nothing) of what is on the board."""
    rows = await conn.fetch(
        """SELECT p.id, p.revision, coalesce(v.model, '') AS model FROM board.post p
             LEFT JOIN board.vector v ON v.post = p.id AND v.revision = p.revision
            WHERE p.kind = $1 AND p.state = 'open' AND p.until >= $2 ORDER BY p.id LIMIT $3""",
        kind, today, most,
    )  # fmt: skip
    return [(row["id"], row["revision"], row["model"]) for row in rows]


async def posts(conn: Connection, identifiers: Collection[UUID]) -> list[Post]:
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM board.post WHERE id = ANY($1)", list(identifiers))
    return [_post(row) for row in rows]


async def over(conn: Connection, today: date) -> list[UUID]:
    """Posts whose last day is past."""
    rows = await conn.fetch(
        "SELECT id FROM board.post WHERE state = 'open' AND until < $1 ORDER BY until LIMIT $2", today, PAGE_ROWS
    )
    return [row["id"] for row in rows]


# -- vectors ----------------------------------------------------------------------------------------------------------


async def keep_vector(
    conn: Connection, identifier: UUID, revision: int, model: str, vector: str, paid_micro: int,
    receipt_id: UUID | None, now: datetime,
) -> None:  # fmt: skip
    """Of the words as they are now; of older ones nothing is kept."""
    await conn.execute(
        """INSERT INTO board.vector (post, revision, model, vector, paid_micro, receipt_id, made_at)
           SELECT id, $2, $3, $4, $5, $6, $7 FROM board.post WHERE id = $1 AND revision = $2
           ON CONFLICT (post) DO UPDATE SET revision = $2, model = $3, vector = $4, paid_micro = $5, receipt_id = $6,
             made_at = $7""",
        identifier, revision, model, vector, paid_micro, receipt_id, now,
    )  # fmt: skip


async def vectors(conn: Connection, identifiers: Sequence[UUID]) -> list[Any]:
    """Rows with post, revision, model, vector, org_id."""
    rows: list[Any] = await conn.fetch(
        """SELECT v.post, v.revision, v.model, v.vector, p.org_id, v.paid_micro FROM board.vector v
             JOIN board.post p ON p.id = v.post AND p.revision = v.revision WHERE v.post = ANY($1)""",
        list(identifiers),
    )  # fmt: skip
    return rows


# -- matches ----------------------------------------------------------------------------------------------------------


async def open_match(
    conn: Connection, identifier: UUID, need: Post, solution: Post, opened_by: Kind, now: datetime
) -> bool:
    """False when the id is taken, or the pair is in touch already."""
    row = await conn.fetchval(
        """INSERT INTO board.match (id, need, solution, need_org, solution_org, opened_by, state, opened_at, changed_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'interest', $7, $7) ON CONFLICT DO NOTHING RETURNING 1""",
        identifier, need.id, solution.id, need.org_id, solution.org_id, opened_by, now,
    )  # fmt: skip
    return row is not None


async def match(conn: Connection, identifier: UUID, *, lock: bool = False) -> Match | None:
    row = await conn.fetchrow(
        f"SELECT {_MATCH} FROM board.match WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else _match(row)


async def pair(conn: Connection, need: UUID, solution: UUID) -> Match | None:
    """The match in which two posts are in touch or came to terms."""
    row = await conn.fetchrow(
        f"""SELECT {_MATCH} FROM board.match WHERE need = $1 AND solution = $2
               AND state IN ('interest', 'offer', 'agreed')""",
        need, solution,
    )  # fmt: skip
    return None if row is None else _match(row)


async def matches(conn: Connection, org_id: UUID, most: int) -> list[Match]:
    """Those of an organisation, newest first, a bounded page."""
    rows = await conn.fetch(
        f"""SELECT {_MATCH} FROM board.match WHERE need_org = $1 OR solution_org = $1 ORDER BY changed_at DESC, id
             LIMIT $2""",
        org_id, most,
    )  # fmt: skip
    return [_match(row) for row in rows]


async def live(conn: Connection, identifier: UUID) -> list[Match]:
    """Open matches of a post."""
    rows = await conn.fetch(
        f"""SELECT {_MATCH} FROM board.match WHERE (need = $1 OR solution = $1) AND state = ANY($2)
             ORDER BY id LIMIT $3""",
        identifier, list(LIVE), 2 * MEETINGS_MAX,
    )  # fmt: skip
    return [_match(row) for row in rows]


async def set_match(conn: Connection, identifier: UUID, state: MatchState, now: datetime) -> None:
    await conn.execute("UPDATE board.match SET state = $2, changed_at = $3 WHERE id = $1", identifier, state, now)


async def offer(conn: Connection, identifier: UUID, side: Kind, now: datetime) -> None:
    """The next round: whoever offers accepts their own terms, and nobody else's word stands any more."""
    await conn.execute(
        """UPDATE board.match SET state = 'offer', round = round + 1, offered_by = $2, changed_at = $3,
                  need_accepted_at = CASE WHEN $2 = 'need' THEN $3::timestamptz END,
                  solution_accepted_at = CASE WHEN $2 = 'solution' THEN $3::timestamptz END
            WHERE id = $1""",
        identifier, side, now,
    )  # fmt: skip


async def agree(conn: Connection, identifier: UUID, now: datetime) -> None:
    """The other side accepts as well."""
    await conn.execute(
        """UPDATE board.match SET state = 'agreed', changed_at = $2,
                  need_accepted_at = coalesce(need_accepted_at, $2),
                  solution_accepted_at = coalesce(solution_accepted_at, $2) WHERE id = $1""",
        identifier, now,
    )  # fmt: skip


async def unrewarded(conn: Connection) -> list[Match]:
    """Agreed matches for whose reward nothing was asked yet, the longest waiting first."""
    rows = await conn.fetch(
        f"""SELECT {_MATCH} FROM board.match WHERE state = 'agreed' AND application IS NULL AND barred IS NULL
             ORDER BY changed_at LIMIT $1""",
        DUE_ROWS,
    )  # fmt: skip
    return [_match(row) for row in rows]


async def set_application(conn: Connection, identifier: UUID, application: UUID) -> None:
    await conn.execute(
        "UPDATE board.match SET application = $2 WHERE id = $1 AND application IS NULL", identifier, application
    )


async def bar(conn: Connection, identifier: UUID, why: dict[str, str]) -> None:
    await conn.execute(
        "UPDATE board.match SET barred = $2 WHERE id = $1 AND application IS NULL AND barred IS NULL", identifier, why
    )


async def say(
    conn: Connection, identifier: UUID, org_id: UUID, side: Kind, kind: str, text: str, fee_fen: int | None,
    actor: str, now: datetime,
) -> int:  # fmt: skip
    """The next word of a match that the caller has locked; its number."""
    found: int = await conn.fetchval(
        """INSERT INTO board.word (match, n, org_id, side, kind, text, fee_fen, actor, at)
           SELECT $1, count(*) + 1, $2, $3, $4, $5, $6, $7, $8 FROM board.word WHERE match = $1 RETURNING n""",
        identifier, org_id, side, kind, text, fee_fen, actor, now,
    )  # fmt: skip
    return found


async def words(conn: Connection, identifiers: Collection[UUID]) -> dict[UUID, list[Word]]:
    """What was said in each of some matches, in its order; a match holds a bounded number of words."""
    rows = await conn.fetch(
        """SELECT match, n, org_id, side, kind, text, fee_fen, at FROM board.word WHERE match = ANY($1)
            ORDER BY match, n""",
        list(identifiers),
    )
    said: dict[UUID, list[Word]] = {one: [] for one in identifiers}
    for row in rows:
        values = dict(row)
        said[values.pop("match")].append(Word(**values | {"side": Kind(row["side"])}))
    return said


async def agreed_of(db: Database, identifier: UUID) -> Match | None:
    """An agreed match; None for any other."""
    found = await match(db, identifier)
    return found if found is not None and found.state is MatchState.AGREED else None
