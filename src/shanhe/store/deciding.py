"""The city's side of the store: what waits, what is known of it, what a decision publishes, what is taken out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from shanhe.kernel.ids import new_id
from shanhe.store import messages, store
from shanhe.store.alike import Names
from shanhe.store.errors import BadListing, OwnListing, UnknownListing, WrongState
from shanhe.store.finding import matches, searched
from shanhe.store.model import NOTE_MAX_CHARS, Case, Kind, Listing, ListingState, Version, VersionState
from shanhe.store.terms import WHOLE_PPM, resource_terms, rises
from shanhe.store.window import Window


class Deciding(Window):
    """What reviewers and jurors do; nobody decides about what is their own (R0)."""

    async def queue(self) -> list[tuple[Listing, Version]]:
        """What waits for a review, oldest first."""
        return await self._shelf.queue(self._db)

    async def cases(self) -> list[Case]:
        """The same with all that a reviewer has to know."""
        names = await self._names()
        return [await self._case(found, names) for found, _ in await self.queue()]

    async def case(self, name: str) -> Case:
        """What is known of one listing, whatever its state; for reviewers and auditors. UnknownListing."""
        return await self._case(await self._any(name), await self._names())

    async def _names(self) -> Names:
        return Names(offer.listing for offer in await self._shelf.offered(self._db, None, None))

    async def _case(self, found: Listing, names: Names) -> Case:
        versions = tuple(await self._shelf.versions(self._db, found))
        by_state = {one.state: one for one in reversed(versions)}
        waits, before = by_state.get(VersionState.SUBMITTED), by_state.get(VersionState.APPROVED)
        words = waits.words if waits is not None and waits.words is not None else found.words
        alike = names.alike(found, words)
        parties = {found.owner, *(one.owner for one in alike)}
        for version in (waits, before):
            parties |= {party for party, _ in version.terms.makers} if version is not None else set()
        called = {party: await self._named(party) for party in parties}
        return Case(found, waits, before, versions, tuple(await self._shelf.moves(self._db, found)), alike, called)

    async def known(self, find: str = "") -> list[Listing]:
        """Everything that was ever handed in, whatever became of it, newest first; for reviewers and auditors."""
        return [one for one in await self._shelf.known(self._db) if matches(find, searched(one))]

    async def review(
        self, name: str, n: int, *, approve: bool, note: str, reviewer: str, reviewer_org: UUID | None
    ) -> Version:
        """Approve or reject a submitted version. Approving makes it what callers get, and its terms what they pay by.

        Idempotent for the same verdict. WrongState, OwnListing (R0).
        """
        _check_reason(note)
        found = await self._any(name)
        await self._not_own(found, reviewer_org)
        users = await self._users(found.name) if approve else ()
        verdict = VersionState.APPROVED if approve else VersionState.REJECTED
        if approve and found.kind in self._readying:
            await self._ready(found, n)
        async with self._db.transaction() as conn:
            found = await self._any(name, conn=conn)
            version = next((one for one in await self._shelf.versions(conn, found) if one.n == n), None)
            if version is None:
                raise UnknownListing(f"{name} version {n}")
            if version.state is verdict:
                return version
            if version.state is not VersionState.SUBMITTED:
                raise WrongState(f"{name} version {n}", version.state, verdict)
            now, said = self._clock.now(), [messages.decided(found, version, approve)]
            if approve:
                before = await self._shelf.version(conn, found, VersionState.APPROVED)
                await store.retire(conn, found.id)
                if found.state is not ListingState.LISTED:
                    await self._shelf.move(conn, found, ListingState.LISTED, note, reviewer, now)
                if version.words is not None:
                    await self._shelf.describe(conn, found, version.words)
                await self._publish(found, version, reviewer, conn)
                if before is not None and rises(before.terms, version.terms):
                    said += [messages.dearer(found, version, before.terms, user) for user in users]
            await self._shelf.decide(conn, found, version.id, verdict, reviewer, note, now)
            await self._tell(said, conn)
        return next(one for one in await self._shelf.versions(self._db, found) if one.n == n)

    async def _publish(self, found: Listing, version: Version, actor: str, conn: Any) -> None:
        """Let calls be paid by a version's terms."""
        if version.terms.rights and (lacking := await self._charges.missing(version.terms.rights, conn=conn)):
            raise BadListing("rights", f"not offered any more: {', '.join(lacking)}",
                             f"登记簿已不再开放使用：{'、'.join(lacking)}")  # fmt: skip
        terms = resource_terms(found, version)
        if found.kind is Kind.ALLIANCE:
            terms = msgspec.structs.replace(terms, makers=await self._clone_owners(version, conn))
        await self._charges.publish(terms, actor=actor, conn=conn)

    async def _ready(self, found: Listing, n: int) -> None:
        """What the kind's own module does before a version is offered, outside of any transaction."""
        versions = await self._shelf.versions(self._db, found)
        version = next((one for one in versions if one.n == n and one.state is VersionState.SUBMITTED), None)
        if version is not None:
            await self._readying[found.kind](found, version)

    async def _clone_owners(self, version: Version, conn: Any) -> tuple[tuple[UUID, int], ...]:
        """Whom an alliance pays: its clones' owners. What each gets of a call, the call's answer says (T3)."""
        members = version.content.get("alliance", {}).get("members", ())
        owners = list(dict.fromkeys([await self._owner(str(name), conn) for name in members]))
        share, rest = divmod(WHOLE_PPM, len(owners))
        return tuple((owner, share + (at < rest)) for at, owner in enumerate(owners))

    async def _owner(self, name: str, conn: Any) -> UUID:
        kind, _, slug = name.partition("/")
        found = await self._shelf.listing(conn, kind, slug)
        if found is None:
            raise UnknownListing(name)
        return found.owner

    async def remove(self, name: str, *, reason: str, actor: str, actor_org: UUID | None) -> Listing:
        """The city takes it out of the store and says why: nothing is sold, its maker and its users are told, and what
        was approved waits for `restore`. Idempotent. WrongState, OwnListing (R0)."""
        return await self._by_city(name, ListingState.REMOVED, reason, actor, actor_org)

    async def restore(self, name: str, *, reason: str, actor: str, actor_org: UUID | None) -> Listing:
        """Put back what the city removed, as it was approved; on the same terms as `remove`."""
        return await self._by_city(name, ListingState.LISTED, reason, actor, actor_org)

    async def _by_city(
        self, name: str, to: ListingState, reason: str, actor: str, actor_org: UUID | None
    ) -> Listing:  # fmt: skip
        _check_reason(reason)
        await self._not_own(await self._any(name), actor_org)
        removes, users, mark = to is ListingState.REMOVED, await self._users(name), new_id()
        allowed = {ListingState.LISTED, ListingState.DEPRECATED} if removes else {ListingState.REMOVED}
        async with self._db.transaction() as conn:
            found = await self._any(name, conn=conn)
            if found.state is to:
                return found
            if found.state not in allowed:
                raise WrongState(name, found.state, to)
            await self._shelf.move(conn, found, to, reason, actor, self._clock.now())
            if removes:
                await self._charges.close(found.name, actor=actor, conn=conn)
                told = [messages.gone(found, user, True, mark) for user in users]
            else:
                version = await self._shelf.version(conn, found, VersionState.APPROVED)
                assert version is not None
                await self._publish(found, version, actor, conn)
                told = [messages.back(found, user, mark) for user in users]
            await self._tell([messages.moved(found, to, mark), *told], conn)
        return await self._any(name)

    async def judge(self, name: str, *, score_bps: int, note: str, juror: str, juror_org: UUID | None) -> None:
        """A juror's word on how new it is (P7), 10,000 = 100 points; the latest word of each counts."""
        if not 0 <= score_bps <= 10_000 or not 1 <= len(note) <= NOTE_MAX_CHARS:
            raise BadListing("score", "0 to 100 points with a reason", "0–100 分并说明理由")
        found = await self._any(name)
        await self._not_own(found, juror_org)
        await self._shelf.judge(self._db, found, juror, score_bps, note, self._clock.now())

    async def _not_own(self, listing: Listing, org: UUID | None) -> None:
        if org is not None and (org == listing.owner or await self._related(org, listing.owner)):
            raise OwnListing()


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= NOTE_MAX_CHARS:
        raise BadListing("note", f"1 to {NOTE_MAX_CHARS} characters that say why", f"须写明理由，1–{NOTE_MAX_CHARS} 字")
