"""The store's rows as their owners wrote them: a person's words are sealed on the way in and opened on the way out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import MARK, Seal, Seals
from shanhe.store import store
from shanhe.store.model import (
    RATING,
    Check,
    Listing,
    Move,
    NewListing,
    Offer,
    Rating,
    Terms,
    Version,
    VersionState,
    Words,
)

WORDS: Final = ("title_zh", "title_en", "summary_zh", "summary_en")
LISTING, VERSION, RATINGS, REPLIES = "store.listing", "store.version", "store.rating", "store.reply"
JURY, MOVE = "store.jury", "store.move"
GONE_ZH, GONE_EN = "已撤回", "Taken back"
Connection = Any


class Shelf:
    """Reads and writes whatever has a text; the rest of `store` is called as it is."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    # -- listings -----------------------------------------------------------------------------------------------------

    async def insert(self, conn: Connection, new: NewListing, owner: UUID, now: datetime, actor: str) -> bool:
        """Whether it is new: a known id changes nothing."""
        seal = await self._seals.of(owner)
        words: dict[str, Any] = {name: seal.text(f"{LISTING}.{name}", getattr(new, name)) for name in WORDS}
        return await store.insert(conn, replace(new, **words), owner, now, actor)

    async def describe(self, conn: Connection | Database, found: Listing, words: Words) -> None:
        seal = await self._seals.of(found.owner)
        kept = [seal.text(f"{LISTING}.{name}", getattr(words, name)) for name in WORDS]
        await store.describe(conn, found.id, (*kept, words.category))

    async def listing(self, conn: Connection | Database, kind: str, slug: str, *, lock: bool = False) -> Listing | None:
        found = await store.listing(conn, kind, slug, lock=lock)
        return None if found is None else _listing(await self._seals.of(found.owner), found)

    async def of_owner(self, db: Database, owner: UUID, most: int = store.PAGE_ROWS) -> list[Listing]:
        seal = await self._seals.of(owner)
        return [_listing(seal, one) for one in await store.of_owner(db, owner, most)]

    async def move(
        self, conn: Connection, found: Listing, becomes: str, reason: str, actor: str, now: datetime
    ) -> None:
        said = await self._seals.seal(found.owner, f"{MOVE}.reason", reason)
        await store.move(conn, new_id(), found.id, found.state, becomes, said, now, actor)

    async def moves(self, conn: Connection | Database, found: Listing) -> list[Move]:
        """The newest first, a bounded page."""
        seal = await self._seals.of(found.owner)
        return [
            replace(one, reason=seal.open(f"{MOVE}.reason", one.reason)) for one in await store.moves(conn, found.id)
        ]

    # -- versions -----------------------------------------------------------------------------------------------------

    async def versions(
        self, conn: Connection | Database, found: Listing, *, before: int | None = None
    ) -> list[Version]:  # fmt: skip
        """Newest first, a bounded page; numbered before one where it is given."""
        seal = await self._seals.of(found.owner)
        return [_version(seal, one) for one in await store.versions(conn, found.id, before=before)]

    async def mine(self, db: Database, owner: UUID, most: int = store.PAGE_ROWS) -> list[tuple[Listing, list[Version]]]:
        """An organisation's listings with their versions, newest first, bounded pages."""
        seal, listings = await self._seals.of(owner), await self.of_owner(db, owner, most)
        versions = await store.versions_of(db, [one.id for one in listings], most)
        return [(one, [_version(seal, version) for version in versions.get(one.id, [])]) for one in listings]

    async def version(self, conn: Connection | Database, found: Listing, state: VersionState) -> Version | None:
        """The listing's one draft, submitted or approved version."""
        one = await store.version(conn, found.id, state)
        return None if one is None else _version(await self._seals.of(found.owner), one)

    async def save_draft(
        self, conn: Connection, version_id: UUID, found: Listing, content: Mapping[str, Any], terms: Terms, notes: str,
        now: datetime, actor: str,
    ) -> None:  # fmt: skip
        seal = await self._seals.of(found.owner)
        kept, said = seal.json(f"{VERSION}.content", dict(content)), seal.text(f"{VERSION}.notes", notes)
        await store.save_draft(conn, version_id, found.id, kept, terms, said, now, actor)

    async def set_words(self, conn: Connection, found: Listing, version_id: UUID, words: Words | None) -> None:
        """What the listing is called once the draft is approved; None: as it is called."""
        seal, asked = await self._seals.of(found.owner), {} if words is None else msgspec.to_builtins(words)
        await store.set_words(conn, version_id, seal.json(f"{VERSION}.words", asked))

    async def submit(
        self, conn: Connection, found: Listing, version_id: UUID, checks: Sequence[Check], now: datetime
    ) -> None:
        seal = await self._seals.of(found.owner)
        await store.submit(conn, version_id, seal.json(f"{VERSION}.checks", msgspec.to_builtins(list(checks))), now)

    async def decide(
        self, conn: Connection, found: Listing, version_id: UUID, state: VersionState, by: str, why: str, now: datetime,
        starts_on: date | None = None,
    ) -> None:  # fmt: skip
        said = await self._seals.seal(found.owner, f"{VERSION}.decision", why)
        await store.decide(conn, version_id, state, by, said, now, starts_on)

    async def queue(self, db: Database) -> list[tuple[Listing, Version]]:
        """Submitted versions, oldest first."""
        found = await store.queue(db)
        seals = await self._seals.of_all(listing.owner for listing, _ in found)
        return [(_listing(seals[one.owner], one), _version(seals[one.owner], version)) for one, version in found]

    async def offer(self, db: Database, kind: str, slug: str) -> Offer | None:
        """What callers of a name get now."""
        found = await store.offer(db, kind, slug)
        return None if found is None else await self._opened(found)

    async def offered(self, db: Database, kind: str) -> AsyncIterator[Offer]:
        """What is shown of a kind, some at a time."""
        after: UUID | None = None
        while page := await store.offered(db, kind, after):
            seals = await self._seals.of_all(one.listing.owner for one in page)
            for one in page:
                yield _offered(seals[one.listing.owner], one)
            after = page[-1].listing.id

    async def _opened(self, found: Offer) -> Offer:
        return _offered(await self._seals.of(found.listing.owner), found)

    async def listings(self, db: Database, ids: Sequence[UUID]) -> AsyncIterator[Listing]:
        """What these say, in this order, read some at a time."""
        for at in range(0, len(ids), store.WORDS_ROWS):
            page = await store.listings(db, ids[at : at + store.WORDS_ROWS])
            seals = await self._seals.of_all(one.owner for one in page)
            for one in page:
                yield _listing(seals[one.owner], one)

    async def erase(self, conn: Connection, found: Listing) -> None:
        """Delete everything that is said in and of a listing."""
        await store.erase(conn, found.id)
        await self.describe(conn, found, Words(GONE_ZH, GONE_EN, "", "", found.category))

    # -- ratings and juries -------------------------------------------------------------------------------------------

    async def rate(
        self, conn: Connection, listing_id: UUID, org_id: UUID, stars: int, text: str, now: datetime, actor: str
    ) -> UUID:
        said = await self._seals.seal(org_id, f"{RATINGS}.text", text)
        return await store.rate(conn, listing_id, org_id, stars, said, now, actor)

    async def ratings(self, db: Database, listing_id: UUID) -> list[Rating]:
        """Newest first, a bounded page."""
        return [await self._said(*one) for one in await store.ratings(db, listing_id)]

    async def rated(self, db: Database, org_id: UUID, most: int) -> list[Rating]:
        """What one organisation said of anything."""
        return [await self._said(*one) for one in await store.rated(db, org_id, most)]

    async def _said(self, one: Rating, answered_by: UUID | None) -> Rating:
        """Words opened; those that were struck are left out."""
        text = "" if one.struck else await self._seals.open(one.org_id, f"{RATINGS}.text", one.text)
        shown = answered_by is not None and not one.reply_struck
        reply = await self._seals.open(answered_by, f"{REPLIES}.text", one.reply) if shown and answered_by else ""
        return replace(one, text=text, reply=reply)

    async def reply(
        self, conn: Connection, rating: UUID, org_id: UUID, text: str, now: datetime, actor: str
    ) -> None:  # fmt: skip
        said = await self._seals.seal(org_id, f"{REPLIES}.text", text)
        await store.reply(conn, rating, org_id, said, now, actor)

    async def replied(self, db: Database, org_id: UUID, most: int) -> list[dict[str, Any]]:
        """What one organisation answered."""
        seal = await self._seals.of(org_id)
        found = await store.replied(db, org_id, most)
        return [one | {"text": seal.open(f"{REPLIES}.text", one["text"])} for one in found]

    async def words(self, kind: str, author: UUID, said: Any) -> str:
        """What a rating or a reply says, struck or not, for whoever decides a complaint about it."""
        place, sealed = (RATINGS, said["text"]) if kind == RATING else (REPLIES, said["reply"])
        return await self._seals.open(author, f"{place}.text", sealed)

    async def judge(
        self, db: Database, found: Listing, juror: str, score_bps: int, note: str, now: datetime
    ) -> None:  # fmt: skip
        said = await self._seals.seal(found.owner, f"{JURY}.note", note)
        await store.judge(db, found.id, juror, score_bps, said, now)


def _listing(seal: Seal, one: Listing) -> Listing:
    words: dict[str, Any] = {name: seal.open(f"{LISTING}.{name}", getattr(one, name)) for name in WORDS}
    return replace(one, **words)


def _offered(seal: Seal, one: Offer) -> Offer:
    return Offer(_listing(seal, one.listing), _version(seal, one.version))


def _version(seal: Seal, one: Version) -> Version:
    return replace(
        one,
        content=seal.open_json(f"{VERSION}.content", one.content, {}),
        checks=_checks(seal, one.checks),
        words=_words(seal, one.words),
        notes=seal.open(f"{VERSION}.notes", one.notes),
        decision=seal.open(f"{VERSION}.decision", one.decision),
    )


def _words(seal: Seal, found: Words | None) -> Words | None:
    if found is None or found.title_zh != MARK:
        return found
    said = seal.open_json(f"{VERSION}.words", {MARK: found.title_en}, None)
    return None if said is None else msgspec.convert(said, Words)


def _checks(seal: Seal, found: tuple[Check, ...]) -> tuple[Check, ...]:
    if len(found) != 1 or found[0].name != MARK:
        return found
    return tuple(msgspec.convert(seal.open_json(f"{VERSION}.checks", {MARK: found[0].zh}, []), list[Check]))
