"""A maker's side of the store: open, describe, draft, hand in, show, withdraw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from shanhe.kernel import marks
from shanhe.kernel.ids import new_id
from shanhe.store import contest_store, messages, store
from shanhe.store.errors import BadListing, ChecksFailed, ListingChanged, NameTaken, WrongState
from shanhe.store.model import (
    CONTENT_MAX_BYTES,
    NOTE_MAX_CHARS,
    SLUG,
    Check,
    Listing,
    ListingState,
    NewListing,
    Terms,
    Version,
    VersionState,
    Words,
)
from shanhe.store.terms import check_terms, check_words, lowest
from shanhe.store.window import Window

CHANGED: Final = ("已修改", "changed")


def mark_of(listing: Listing, newest: Version | None) -> str:
    """What a listing with its newest version is recognised by, by those who change it."""
    said = None if newest is None else (newest.content, newest.terms, newest.notes, newest.words)
    return marks.mark_of((listing.words, said))


class Making(Window):
    """What makers do with their own listings."""

    async def open(
        self, new: NewListing, *, owner: UUID, actor: str, content: Mapping[str, Any] | None = None
    ) -> Listing:  # fmt: skip
        """A new listing, not offered yet, with `content` as its first draft at the lowest markup (P6); the standing one
        as it is for an id that is known. NameTaken, BadListing."""
        if not SLUG.fullmatch(new.slug):
            raise BadListing("slug", "2 to 63 of a–z, 0–9 and -, not beginning with -", "2–63 位小写字母、数字或连字符")
        check_words(new.title_zh, new.title_en, new.summary_zh, new.summary_en, new.category)
        _check_content(content or {})
        now, name = self._clock.now(), f"{new.kind}/{new.slug}"
        try:
            async with self._db.transaction() as conn:
                if await self._shelf.insert(conn, new, owner, now, actor) and content is not None:
                    opened, terms = await self._own(name, owner, conn=conn), lowest(self._rulebook, self._clock.today())
                    await self._shelf.save_draft(conn, new_id(), opened, content, terms, "", now, actor)
        except asyncpg.UniqueViolationError as error:
            raise NameTaken(name) from error
        found = await self._own(name, owner)
        if found.id != new.id:
            raise NameTaken(found.name)
        return found

    async def describe(self, name: str, words: Words, *, owner: UUID, actor: str) -> Listing:
        """Other words for the same thing: at once before it was ever offered, else with the draft, so that nobody is
        called what no reviewer has read. WrongState while a version waits for its review."""
        check_words(words.title_zh, words.title_en, words.summary_zh, words.summary_en, words.category)
        async with self._db.transaction() as conn:
            found = await self._own(name, owner, conn=conn)
            versions = await self._shelf.versions(conn, found)
            newest = versions[0] if versions else None
            if newest is not None and newest.state is VersionState.SUBMITTED:
                raise WrongState(found.name, ("正在审核", "in review"), CHANGED)
            if found.state is ListingState.DRAFT:
                await self._shelf.describe(conn, found, words)
            elif newest is not None and (words != found.words or newest.state is VersionState.DRAFT):
                if newest.state is not VersionState.DRAFT:
                    made, now = new_id(), self._clock.now()
                    await self._shelf.save_draft(conn, made, found, newest.content, newest.terms, "", now, actor)
                    newest = await self._shelf.version(conn, found, VersionState.DRAFT)
                    assert newest is not None
                await self._shelf.set_words(conn, found, newest.id, None if words == found.words else words)
        return await self._own(name, owner)

    async def draft(
        self, name: str, content: Mapping[str, Any], terms: Terms, *, owner: UUID, actor: str, notes: str = "",
        version_id: UUID | None = None, base: str | None = None,
    ) -> Version:  # fmt: skip
        """Change the open draft, or begin the next version. WrongState while one waits for its review. `base`: mark of
        what was read before it was changed; ListingChanged where something else stands there by now."""
        _check_content(content)
        if len(notes) > NOTE_MAX_CHARS:
            raise BadListing("notes", f"at most {NOTE_MAX_CHARS} characters", f"不超过 {NOTE_MAX_CHARS} 字")
        check_terms(terms, self._rulebook, self._clock.today())
        async with self._db.transaction() as conn:
            found = await self._own(name, owner, conn=conn)
            if await self._shelf.version(conn, found, VersionState.SUBMITTED) is not None:
                raise WrongState(found.name, ("正在审核", "in review"), CHANGED)
            if base is not None:
                newest = next(iter(await self._shelf.versions(conn, found)), None)
                wanted = None if newest is None else replace(newest, content=dict(content), terms=terms, notes=notes)
                if mark_of(found, newest) not in (base, mark_of(found, wanted)):
                    raise ListingChanged()
            number = version_id or new_id()
            await self._shelf.save_draft(conn, number, found, content, terms, notes, self._clock.now(), actor)
            made = await self._shelf.version(conn, found, VersionState.DRAFT)
        if made is None:  # the id belongs to a version that has gone on
            raise WrongState(found.name, ("的该版本已继续流转", "further on"), CHANGED)
        return made

    async def submit(self, name: str, *, owner: UUID) -> Version:
        """Run the automatic checks, outside of any transaction, and put the draft into the queue; ChecksFailed."""
        found = await self._own(name, owner)
        draft = await self._shelf.version(self._db, found, VersionState.DRAFT)
        if draft is None:
            raise WrongState(found.name, ("没有草稿", "without a draft"), VersionState.SUBMITTED)
        checks = await self._checked(found, draft)
        if not all(check.passed for check in checks):
            raise ChecksFailed(checks)
        async with self._db.transaction() as conn:
            await self._own(name, owner, conn=conn)
            now = await self._shelf.version(conn, found, VersionState.DRAFT)
            if now is None or (now.content, now.terms, now.words) != (draft.content, draft.terms, draft.words):
                raise WrongState(found.name, ("刚刚有改动", "changed meanwhile"), VersionState.SUBMITTED)
            await self._shelf.submit(conn, found, draft.id, checks, self._clock.now())
            submitted = await self._shelf.version(conn, found, VersionState.SUBMITTED)
            assert submitted is not None
            await self._notifier.notify(messages.handed_in(found, submitted), conn)
        return submitted

    async def recall(self, name: str, *, owner: UUID) -> Version:
        """Take a version back from the queue, to change it. It has the next number from then on: a reviewer who was
        reading it decides about a number that is gone, never about what they haven't read."""
        async with self._db.transaction() as conn:
            found = await self._own(name, owner, conn=conn)
            waiting = await self._shelf.version(conn, found, VersionState.SUBMITTED)
            if waiting is None:
                raise WrongState(found.name, ("不在审核中", "not in review"), ("已撤回", "taken back"))
            await store.recall(conn, waiting.id)
            draft = await self._shelf.version(conn, found, VersionState.DRAFT)
            assert draft is not None
        return draft

    async def _checked(self, listing: Listing, draft: Version) -> list[Check]:
        text = bool((draft.words or listing.words).summary_zh.strip())
        checks = [Check("summary", text, "有中文简介" if text else "缺少中文简介", "there is a summary" if text
                        else "the Chinese summary is missing")]  # fmt: skip
        if draft.terms.rights:
            lacking = "、".join(await self._charges.missing(draft.terms.rights))
            checks.append(
                Check("rights", not lacking, f"登记簿未开放使用：{lacking}" if lacking else "所用权利均已开放使用",
                      f"not offered in the registry: {lacking}" if lacking else "the rights it uses are offered")
            )  # fmt: skip
        checker = self._checks.get(listing.kind)
        return checks + list(await checker(listing.owner, draft.content, listing.name) if checker else ())

    async def deprecate(self, name: str, *, owner: UUID | None, actor: str) -> Listing:
        """Show it no more; whoever knows it may go on calling it. `owner` None: an operator."""
        return await self._move(name, owner, ListingState.DEPRECATED, {ListingState.LISTED}, actor)

    async def relist(self, name: str, *, owner: UUID, actor: str) -> Listing:
        """Show it again after `deprecate`."""
        return await self._move(name, owner, ListingState.LISTED, {ListingState.DEPRECATED}, actor)

    async def withdraw(self, name: str, *, owner: UUID | None, actor: str) -> Listing:
        """Sell it no more; calls that are running end as they were admitted, and who used it is told. Again, it takes
        back a version that was announced since."""
        return await self._move(
            name, owner, ListingState.WITHDRAWN, {ListingState.LISTED, ListingState.DEPRECATED}, actor
        )

    async def _move(
        self, name: str, owner: UUID | None, to: ListingState, allowed: set[ListingState], actor: str
    ) -> Listing:
        users = await self._users(name) if to is ListingState.WITHDRAWN else ()
        async with self._db.transaction() as conn:
            found = await (self._any(name, conn=conn) if owner is None else self._own(name, owner, conn=conn))
            moves = found.state is not to
            if moves:
                if found.state not in allowed:
                    raise WrongState(name, found.state, to)
                await self._shelf.move(conn, found, to, "", actor, self._clock.now())
            if to is ListingState.WITHDRAWN and (moves or await self._comes(found, conn)):
                await store.retire(conn, found.id, VersionState.APPROVED, VersionState.ANNOUNCED)
                await self._charges.close(found.name, actor=actor, conn=conn)
                mark = new_id()
                await self._tell([messages.gone(found, user, False, mark) for user in users], conn)
        return await self._any(name)

    async def erase(self, name: str, *, actor: str) -> None:
        """Withdraw a listing and delete what it says: contents, notes, words, what users said of it. Its name, terms
        and numbers stay, for receipts. Again changes nothing."""
        async with self._db.transaction() as conn:
            found = await self._any(name, conn=conn)
            if found.state is not ListingState.WITHDRAWN:
                await self._shelf.move(conn, found, ListingState.WITHDRAWN, "", actor, self._clock.now())
            await self._charges.close(name, actor=actor, conn=conn)
            await store.retire(conn, found.id, VersionState.ANNOUNCED)
            await self._shelf.erase(conn, found)

    async def forget(self, owner: UUID, *, actor: str) -> int:
        """Withdraw what somebody offers, or would, who is no longer there; how many. What waits for its review goes
        back to a draft, so that nobody approves it."""
        gone = 0
        for _, name in (await self.names_of([owner])).get(owner, ()):
            async with self._db.transaction() as conn:
                found = await self._any(name, conn=conn)
                waiting = await self._shelf.version(conn, found, VersionState.SUBMITTED)
                if waiting is not None:
                    await store.recall(conn, waiting.id)
                if found.state is ListingState.REMOVED:  # stays so on record
                    await store.retire(conn, found.id, VersionState.ANNOUNCED)
            if found.state in (ListingState.LISTED, ListingState.DEPRECATED, ListingState.WITHDRAWN):
                await self.withdraw(name, owner=None, actor=actor)
            gone += found.state in (ListingState.LISTED, ListingState.DEPRECATED)
        await contest_store.withdraw_all(self._db, owner, self._clock.now())
        return gone


def _check_content(content: Mapping[str, Any]) -> None:
    if len(msgspec.json.encode(content, enc_hook=str)) > CONTENT_MAX_BYTES:
        raise BadListing("content", f"at most {CONTENT_MAX_BYTES} bytes", f"不超过 {CONTENT_MAX_BYTES} 字节")
