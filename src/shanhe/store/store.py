"""SQL of listings, versions, ratings and juries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.kernel.sealing import MARK
from shanhe.store.model import (
    RATING,
    Check,
    Kind,
    Listing,
    ListingState,
    Move,
    NewListing,
    Offer,
    Rating,
    Standing,
    Terms,
    Version,
    VersionState,
    Words,
)

Connection = Any
PAGE_ROWS = 200
RANKED_ROWS = 20_000
"""All that is offered is ranked together, by its keys alone: what a bound leaves out could not be found at all."""
WORDS_ROWS = 500
"""Listings whose words are read, or offers whose contents are, in one go: nobody needs those of all at once."""
_LISTING = "id, kind, slug, owner, title_zh, title_en, summary_zh, summary_en, category, state, created_at"
_VERSION = (
    "id, listing, n, content, terms, notes, state, checks, created_at, submitted_at, decided_at, decided_by,"
    " decision, words, starts_on, offered_at, notes_public"
)


def _listing(row: Any, prefix: str = "") -> Listing:
    values = {name: row[prefix + name] for name in _LISTING.split(", ")}
    return Listing(**values | {"kind": Kind(values["kind"]), "state": ListingState(values["state"])})


def _version(row: Any) -> Version:
    values = {name: row[name] for name in _VERSION.split(", ")}
    return Version(
        **values
        | {
            "state": VersionState(values["state"]),
            "terms": msgspec.convert(values["terms"], Terms),
            "checks": _checks(values["checks"]),
            "words": _words(values["words"]),
        }
    )


def _checks(stored: Any) -> tuple[Check, ...]:
    """What checks found; sealed ones as one that `shelf` opens."""
    if isinstance(stored, dict):
        return (Check(MARK, False, stored[MARK], ""),)
    return tuple(msgspec.convert(stored, list[Check]))


def _words(stored: Any) -> Words | None:
    """The words that wait; sealed ones as one that `shelf` opens."""
    if MARK in stored:
        return Words(MARK, stored[MARK], "", "", "")
    return msgspec.convert(stored, Words) if stored else None


async def insert(conn: Connection, new: NewListing, owner: UUID, now: datetime, actor: str) -> bool:
    """Whether it is new: a known id changes nothing."""
    done = await conn.execute(
        """INSERT INTO store.listing (id, kind, slug, owner, title_zh, title_en, summary_zh, summary_en, category,
                                      state, created_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'draft', $10, $11) ON CONFLICT (id) DO NOTHING""",
        new.id, new.kind, new.slug, owner, new.title_zh, new.title_en, new.summary_zh, new.summary_en, new.category,
        now, actor,
    )  # fmt: skip
    return bool(done == "INSERT 0 1")


async def describe(conn: Connection, listing: UUID, words: Sequence[str]) -> None:
    """Titles, summaries and category; what is offered does not change by it."""
    await conn.execute(
        """UPDATE store.listing SET title_zh = $2, title_en = $3, summary_zh = $4, summary_en = $5, category = $6
            WHERE id = $1""",
        listing, *words,
    )  # fmt: skip


async def listing(conn: Connection | Database, kind: str, slug: str, *, lock: bool = False) -> Listing | None:
    row = await conn.fetchrow(
        f"SELECT {_LISTING} FROM store.listing WHERE (kind, slug) = ($1, $2){' FOR UPDATE' if lock else ''}", kind, slug
    )
    return None if row is None else _listing(row)


async def of_owner(db: Database, owner: UUID, most: int = PAGE_ROWS) -> list[Listing]:
    rows = await db.fetch(
        f"SELECT {_LISTING} FROM store.listing WHERE owner = $1 ORDER BY id DESC LIMIT $2", owner, most
    )
    return [_listing(row) for row in rows]


async def names_of(db: Database, owners: Sequence[UUID]) -> list[tuple[UUID, str, str]]:
    """(owner, kind, slug) of everything that these published."""
    rows = await db.fetch(
        "SELECT owner, kind, slug FROM store.listing WHERE owner = ANY($1) ORDER BY owner, id DESC", list(owners)
    )
    return [(row["owner"], row["kind"], row["slug"]) for row in rows]


async def known(db: Database) -> list[UUID]:
    """Everything that was ever handed in, the newest first, a bounded list."""
    rows = await db.fetch(
        "SELECT id FROM store.listing l WHERE EXISTS (SELECT FROM store.version v WHERE v.listing = l.id "
        "AND v.submitted_at IS NOT NULL) ORDER BY id DESC LIMIT $1", RANKED_ROWS,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def move(
    conn: Connection, move_id: UUID, listing_id: UUID, was: str, becomes: str, reason: str, now: datetime, actor: str
) -> None:
    """A listing stands otherwise from now on; who moved it and why stays on record."""
    await conn.execute("UPDATE store.listing SET state = $2 WHERE id = $1", listing_id, becomes)
    await conn.execute(
        """INSERT INTO store.move (id, listing, was, becomes, reason, moved_at, moved_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        move_id, listing_id, was, becomes, reason, now, actor,
    )  # fmt: skip


async def moves(conn: Connection | Database, listing_id: UUID) -> list[Move]:
    """The newest first, a bounded page."""
    rows = await conn.fetch(
        """SELECT was, becomes, reason, moved_at, moved_by FROM store.move WHERE listing = $1
            ORDER BY moved_at DESC, id DESC LIMIT $2""",
        listing_id, PAGE_ROWS,
    )  # fmt: skip
    return [Move(**dict(row)) for row in rows]


# -- versions ---------------------------------------------------------------------------------------------------------


async def versions(
    conn: Connection | Database, listing_id: UUID, most: int = PAGE_ROWS, *, before: int | None = None
) -> list[Version]:
    """Newest first, a bounded page; numbered before one where it is given."""
    rows = await conn.fetch(
        f"""SELECT {_VERSION} FROM store.version WHERE listing = $1 AND ($3::int IS NULL OR n < $3)
            ORDER BY n DESC LIMIT $2""",
        listing_id, most, before,
    )  # fmt: skip
    return [_version(row) for row in rows]


async def versions_of(
    db: Database, listings: Sequence[UUID], most: int = PAGE_ROWS
) -> dict[UUID, list[Version]]:  # fmt: skip
    """The same of several, by listing."""
    rows = await db.fetch(
        f"""SELECT v.* FROM unnest($1::uuid[]) one(id) CROSS JOIN LATERAL (
              SELECT {_VERSION} FROM store.version WHERE listing = one.id ORDER BY n DESC LIMIT $2) v""",
        list(listings), most,
    )  # fmt: skip
    found: dict[UUID, list[Version]] = {}
    for row in rows:
        found.setdefault(row["listing"], []).append(_version(row))
    return found


async def version(conn: Connection | Database, listing_id: UUID, state: VersionState) -> Version | None:
    """The listing's one draft, submitted or approved version."""
    row = await conn.fetchrow(
        f"SELECT {_VERSION} FROM store.version WHERE listing = $1 AND state = $2 ORDER BY n DESC LIMIT 1",
        listing_id,
        state,
    )
    return None if row is None else _version(row)


async def save_draft(
    conn: Connection, version_id: UUID, listing_id: UUID, content: Mapping[str, Any], terms: Terms, notes: str,
    now: datetime, actor: str,
) -> None:  # fmt: skip
    """Change the draft there is, or begin the next version."""
    asked = msgspec.to_builtins(terms)
    known = await conn.fetchval(
        """UPDATE store.version SET content = $2, terms = $3, notes = $4 WHERE listing = $1 AND state = 'draft'
           RETURNING id""",
        listing_id, dict(content), asked, notes,
    )  # fmt: skip
    if known is None:
        await conn.execute(
            """INSERT INTO store.version (id, listing, n, content, terms, notes, state, created_at, created_by)
               SELECT $1, $2, coalesce(max(v.n), 0) + 1, $3, $4, $5, 'draft', $6, $7 FROM store.version v
                WHERE v.listing = $2 ON CONFLICT (id) DO NOTHING""",
            version_id, listing_id, dict(content), asked, notes, now, actor,
        )  # fmt: skip


async def set_words(conn: Connection, version_id: UUID, words: Any) -> None:
    """What the listing is called once the draft is approved."""
    await conn.execute("UPDATE store.version SET words = $2 WHERE id = $1", version_id, words)


async def submit(conn: Connection, version_id: UUID, checks: Any, now: datetime) -> None:
    await conn.execute(
        "UPDATE store.version SET state = 'submitted', checks = $2, submitted_at = $3 WHERE id = $1",
        version_id, checks, now,
    )  # fmt: skip


async def recall(conn: Connection, version_id: UUID) -> None:
    """Back from the queue, to be changed: under the next number, as somebody may be reading what this one was."""
    await conn.execute("UPDATE store.version SET state = 'draft', submitted_at = NULL WHERE id = $1", version_id)
    await conn.execute(
        """UPDATE store.version v SET n = (SELECT max(o.n) + 1 FROM store.version o WHERE o.listing = v.listing)
            WHERE id = $1""",
        version_id,
    )


async def decide(
    conn: Connection, version_id: UUID, state: VersionState, by: str, why: str, now: datetime, starts_on: date | None
) -> None:
    """What a reviewer decided; with `starts_on` it is offered from that day."""
    await conn.execute(
        """UPDATE store.version SET state = $2::text, decided_by = $3, decision = $4, decided_at = $5::timestamptz,
                  starts_on = $6, offered_at = CASE WHEN $2::text = 'approved' THEN $5::timestamptz END
            WHERE id = $1""",
        version_id, state, by, why, now, starts_on,
    )  # fmt: skip


async def start(conn: Connection, version_id: UUID, now: datetime) -> None:
    """What was announced is offered."""
    await conn.execute("UPDATE store.version SET state = 'approved', offered_at = $2 WHERE id = $1", version_id, now)


async def due(db: Database, today: date, limit: int) -> list[tuple[str, str]]:
    """(kind, slug) of listings whose announced version is offered from today or before."""
    rows = await db.fetch(
        """SELECT l.kind, l.slug FROM store.version v JOIN store.listing l ON l.id = v.listing
            WHERE v.state = 'announced' AND v.starts_on <= $1 ORDER BY v.starts_on, v.id LIMIT $2""",
        today, limit,
    )  # fmt: skip
    return [(row["kind"], row["slug"]) for row in rows]


async def retire(conn: Connection, listing_id: UUID, *states: VersionState) -> None:
    """What was offered, or announced, until now."""
    await conn.execute(
        "UPDATE store.version SET state = 'retired' WHERE listing = $1 AND state = ANY($2)", listing_id, list(states)
    )


async def erase(conn: Connection, listing_id: UUID) -> None:
    """Delete the contents of all versions and the words about them; what waits for a review no longer does."""
    await conn.execute(
        "UPDATE store.version SET state = 'draft', submitted_at = NULL WHERE listing = $1 AND state = 'submitted'",
        listing_id,
    )
    await conn.execute(
        """UPDATE store.version SET content = '{}', notes = '', checks = '[]', decision = '', words = '{}'
            WHERE listing = $1""",
        listing_id,
    )
    await conn.execute("UPDATE store.rating SET text = '' WHERE listing = $1", listing_id)
    await conn.execute(
        "UPDATE store.reply SET text = '' WHERE rating IN (SELECT id FROM store.rating WHERE listing = $1)", listing_id
    )
    await conn.execute("UPDATE store.move SET reason = '' WHERE listing = $1", listing_id)
    await conn.execute("UPDATE store.jury SET note = '' WHERE listing = $1", listing_id)


async def queue(db: Database) -> list[tuple[Listing, Version]]:
    """Submitted versions, oldest first."""
    rows = await db.fetch(
        f"""SELECT {_VERSION}, {", ".join(f"l_{name}" for name in _LISTING.split(", "))}
              FROM store.version v JOIN LATERAL (
                SELECT {", ".join(f"l.{name} AS l_{name}" for name in _LISTING.split(", "))}
                  FROM store.listing l WHERE l.id = v.listing) t ON true
             WHERE v.state = 'submitted' ORDER BY v.submitted_at LIMIT $1""",
        PAGE_ROWS,
    )
    return [(_listing(row, "l_"), _version(row)) for row in rows]


_OFFERED = f"""SELECT {_VERSION}, {", ".join(f"l_{name}" for name in _LISTING.split(", "))}
              FROM (SELECT {", ".join(f"l.{name} AS l_{name}" for name in _LISTING.split(", "))} FROM store.listing l
                     WHERE %s ORDER BY l.id) t
              JOIN store.version v ON v.listing = t.l_id AND v.state = 'approved'
             ORDER BY t.l_id LIMIT $3"""


async def offer(db: Database, kind: str, slug: str) -> Offer | None:
    """What callers of a name get now, which may be deprecated."""
    row = await db.fetchrow(
        _OFFERED % "(l.kind, l.slug) = ($1, $2) AND l.state IN ('listed', 'deprecated')", kind, slug, 1
    )
    return None if row is None else Offer(_listing(row, "l_"), _version(row))


async def offered(db: Database, kind: str, after: UUID | None) -> list[Offer]:
    """What is shown of a kind, listed with an approved version: the next ones in the order they were opened."""
    rows = await db.fetch(
        _OFFERED % "l.kind = $1 AND l.state = 'listed' AND ($2::uuid IS NULL OR l.id > $2)", kind, after, WORDS_ROWS
    )
    return [Offer(_listing(row, "l_"), _version(row)) for row in rows]


async def shown(db: Database, kind: str | None) -> list[Standing]:
    """What is shown, all of it: by what it is ranked and ordered, without its words and its contents."""
    rows = await db.fetch(
        """SELECT l.id, l.kind, l.slug, l.owner, l.category, l.created_at, v.n,
                  (v.terms->>'markup_bps')::bigint AS markup_bps,
                  coalesce((v.terms->>'fee_micro')::bigint, 0) AS fee_micro
             FROM store.listing l JOIN store.version v ON v.listing = l.id AND v.state = 'approved'
            WHERE l.state = 'listed' AND ($1::text IS NULL OR l.kind = $1) ORDER BY l.id LIMIT $2""",
        kind, RANKED_ROWS,
    )  # fmt: skip
    return [Standing(**{**row, "kind": Kind(row["kind"])}) for row in rows]


async def listings(db: Database, ids: Sequence[UUID]) -> list[Listing]:
    """These, in this order."""
    rows = await db.fetch(
        f"SELECT {_LISTING} FROM store.listing WHERE id = ANY($1) ORDER BY array_position($1, id)", list(ids)
    )
    return [_listing(row) for row in rows]


# -- ratings and juries -----------------------------------------------------------------------------------------------


_SAID = """r.listing, r.org_id, r.stars, r.text, r.rated_at, r.id, r.struck_at IS NOT NULL AS struck,
           coalesce(a.text, '') AS reply, a.replied_at, a.struck_at IS NOT NULL AS reply_struck,
           a.org_id AS reply_org"""


async def rate(
    conn: Connection, listing_id: UUID, org_id: UUID, stars: int, text: str, now: datetime, actor: str
) -> UUID:
    """Whose voice it is may change its mind, and what was struck stays; the rating's id."""
    found: UUID = await conn.fetchval(
        """INSERT INTO store.rating (listing, org_id, stars, text, rated_at, rated_by) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (listing, org_id) DO UPDATE SET stars = $3, rated_at = $5, rated_by = $6,
             text = CASE WHEN rating.struck_at IS NULL THEN $4 ELSE rating.text END RETURNING id""",
        listing_id, org_id, stars, text, now, actor,
    )  # fmt: skip
    return found


async def rating_of(conn: Connection, listing_id: UUID, org_id: UUID) -> Any:
    """An organisation's rating, locked; None where there is none."""
    return await conn.fetchrow(
        "SELECT id, struck_at FROM store.rating WHERE listing = $1 AND org_id = $2 FOR UPDATE", listing_id, org_id
    )


async def rating(conn: Connection | Database, rating_id: UUID) -> Any:
    """A rating with its listing and its reply; None where there is none."""
    return await conn.fetchrow(
        """SELECT l.kind, l.slug, l.owner, r.org_id, r.text, r.struck_at, a.org_id AS reply_org, a.text AS reply,
                  a.struck_at AS reply_struck_at
             FROM store.rating r JOIN store.listing l ON l.id = r.listing LEFT JOIN store.reply a ON a.rating = r.id
            WHERE r.id = $1""",
        rating_id,
    )


async def ratings(db: Database, listing_id: UUID) -> list[tuple[Rating, UUID | None]]:
    """Newest first, a bounded page; each with who answered."""
    rows = await db.fetch(
        f"""SELECT {_SAID} FROM store.rating r LEFT JOIN store.reply a ON a.rating = r.id WHERE r.listing = $1
            ORDER BY r.rated_at DESC LIMIT $2""",
        listing_id, PAGE_ROWS,
    )  # fmt: skip
    return [_said(row) for row in rows]


async def rated(db: Database, org_id: UUID, most: int) -> list[tuple[Rating, UUID | None]]:
    """What one organisation said, newest first, a bounded page; each with who answered."""
    rows = await db.fetch(
        f"""SELECT {_SAID} FROM store.rating r LEFT JOIN store.reply a ON a.rating = r.id WHERE r.org_id = $1
            ORDER BY r.rated_at DESC LIMIT $2""",
        org_id, most,
    )  # fmt: skip
    return [_said(row) for row in rows]


def _said(row: Any) -> tuple[Rating, UUID | None]:
    values = dict(row)
    answered_by: UUID | None = values.pop("reply_org")
    return Rating(**values), answered_by


async def reply(conn: Connection, rating_id: UUID, org_id: UUID, text: str, now: datetime, actor: str) -> None:
    await conn.execute(
        """INSERT INTO store.reply (rating, org_id, text, replied_at, replied_by) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (rating) DO UPDATE SET org_id = $2, text = $3, replied_at = $4, replied_by = $5""",
        rating_id, org_id, text, now, actor,
    )  # fmt: skip


async def replied(db: Database, org_id: UUID, most: int) -> list[dict[str, Any]]:
    """What one organisation answered, newest first, a bounded page."""
    rows = await db.fetch(
        "SELECT rating, text, replied_at FROM store.reply WHERE org_id = $1 ORDER BY replied_at DESC LIMIT $2",
        org_id, most,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def strike(conn: Connection, kind: str, rating_id: UUID, now: datetime) -> bool:
    """Take words from the pages; whether they stood there."""
    table, key = ("store.rating", "id") if kind == RATING else ("store.reply", "rating")
    found = await conn.fetchval(
        f"UPDATE {table} SET struck_at = $2 WHERE {key} = $1 AND struck_at IS NULL RETURNING true", rating_id, now
    )
    return bool(found)


async def rating_sums(db: Database) -> dict[UUID, tuple[int, int]]:
    """(sum of stars, voices) by listing."""
    rows = await db.fetch("SELECT listing, sum(stars)::bigint AS s, count(*) AS n FROM store.rating GROUP BY listing")
    return {row["listing"]: (row["s"], row["n"]) for row in rows}


async def judge(
    conn: Connection | Database, listing_id: UUID, juror: str, score_bps: int, note: str, now: datetime
) -> None:
    await conn.execute(
        """INSERT INTO store.jury (listing, juror, score_bps, note, judged_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (listing, juror) DO UPDATE SET score_bps = $3, note = $4, judged_at = $5""",
        listing_id, juror, score_bps, note, now,
    )  # fmt: skip


async def jury_means(db: Database) -> dict[UUID, int]:
    """What juries said on average, in basis points, by listing."""
    rows = await db.fetch("SELECT listing, (sum(score_bps) / count(*))::int AS mean FROM store.jury GROUP BY listing")
    return {row["listing"]: row["mean"] for row in rows}
