"""The city's side of the store: what waits, what is known of it, what a decision publishes, what is taken out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice
from shanhe.store import messages, store
from shanhe.store.alike import Names
from shanhe.store.errors import BadListing, OwnListing, UnknownListing, WrongState
from shanhe.store.finding import matches, searched
from shanhe.store.model import NOTE_MAX_CHARS, Case, Kind, Listing, ListingState, Version, VersionState
from shanhe.store.terms import DEVELOPER_RULE, WHOLE_PPM, resource_terms, rises
from shanhe.store.window import LEAF_ROWS, Window

DUE_MAX: Final = 100
"""Announced versions that one tick offers."""
SYSTEM: Final = "system:store"
EARNING: Final = frozenset({VersionState.SUBMITTED, VersionState.ANNOUNCED, VersionState.APPROVED})
"""Versions by whose terms somebody earns, or would."""
log = structlog.get_logger(__name__)


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
        shown = [one.id for one in await store.shown(self._db, None)]
        return Names([one async for one in self._shelf.listings(self._db, shown)])

    async def _case(self, found: Listing, names: Names) -> Case:
        versions = tuple(await self._shelf.versions(self._db, found))
        by_state = {one.state: one for one in reversed(versions)}
        waits, before = by_state.get(VersionState.SUBMITTED), by_state.get(VersionState.APPROVED)
        words = waits.words if waits is not None and waits.words is not None else found.words
        alike = await asyncio.to_thread(names.alike, found, words)
        parties = {found.owner, *(one.owner for one in alike)}
        for version in (waits, before):
            parties |= {party for party, _ in version.terms.makers} if version is not None else set()
        called = await self._makers(parties)
        return Case(found, waits, before, versions, tuple(await self._shelf.moves(self._db, found)), alike, called)

    async def known(self, find: str = "", *, first: int = 0, most: int = LEAF_ROWS) -> tuple[list[Listing], int]:
        """Everything that was ever handed in, whatever became of it, newest first, and how much there is; for reviewers
        and auditors."""
        ids = await store.known(self._db)
        if find:
            ids = [one.id async for one in self._shelf.listings(self._db, ids) if matches(find, searched(one))]
        return [one async for one in self._shelf.listings(self._db, ids[first : first + most])], len(ids)

    async def review(
        self, name: str, n: int, *, approve: bool, note: str, reviewer: str, reviewer_org: UUID | None
    ) -> Version:
        """Approve or reject a submitted version. Approving makes it what callers get, and its terms what they pay by:
        at once, or, where it costs those who use it more, once their notice is over (P6).

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
            versions = await self._shelf.versions(conn, found)
            version = next((one for one in versions if one.n == n), None)
            if version is None and any(one.n > n for one in versions):  # see `Making.recall`
                raise WrongState(f"{name} version {n}", ("已被撤回", "taken back"), verdict)
            if version is None:
                raise UnknownListing(f"{name} version {n}")
            if version.state is verdict or (approve and version.state is VersionState.ANNOUNCED):
                return version
            if version.state is not VersionState.SUBMITTED:
                raise WrongState(f"{name} version {n}", version.state, verdict)
            now, starts_on, said = self._clock.now(), None, list[Notice]()
            if approve:
                before = _paid_last(await self._shelf.versions(conn, found))
                announced = await self._shelf.version(conn, found, VersionState.ANNOUNCED)
                await store.retire(conn, found.id, VersionState.ANNOUNCED)
                if before is not None and rises(before, version, self._costs):
                    starts_on = self._notice_ends() if users else None
                    said = [messages.dearer(found, version, before, user, starts_on) for user in users]
                elif announced is not None:
                    said = [messages.stays(found, announced, user) for user in users]
            if starts_on is not None:
                verdict = VersionState.ANNOUNCED
            elif approve:
                if found.state is not ListingState.LISTED:
                    await self._shelf.move(conn, found, ListingState.LISTED, note, reviewer, now)
                await self._put_out(found, version, reviewer, conn)
            await self._shelf.decide(conn, found, version.id, verdict, reviewer, note, now, starts_on)
            await self._tell([messages.decided(found, version, approve, starts_on), *said], conn)
        return next(one for one in await self._shelf.versions(self._db, found) if one.n == n)

    def _notice_ends(self) -> date | None:
        """The first day of a higher price that is decided today; None where no notice is due."""
        today = self._clock.today()
        days = int(self._rulebook.parameter(DEVELOPER_RULE, "price_notice_days", today))
        return today + timedelta(days=days) if days else None

    def _costs(self, model: str) -> Sequence[int]:
        return self._gateway.list_prices(model) if model else ()

    async def _put_out(self, found: Listing, version: Version, actor: str, conn: Any) -> None:
        """Make a version what callers get and pay by."""
        await store.retire(conn, found.id, VersionState.APPROVED)
        if version.words is not None:
            await self._shelf.describe(conn, found, version.words)
        await self._publish(found, version, actor, conn)

    async def start_due(self) -> int:
        """What repeats: offer announced versions whose day has come; how many. One that may not be offered any more
        (its filing or its consent ended, say) is left as announced and tried again."""
        started = 0
        for kind, slug in await store.due(self._db, self._clock.today(), DUE_MAX):
            try:
                started += await self._start(f"{kind}/{slug}")
            except ShanheError as error:
                log.warning("announced version not offered", listing=f"{kind}/{slug}", error=error.code)
        return started

    async def _start(self, name: str) -> bool:
        found = await self._any(name)
        version = await self._shelf.version(self._db, found, VersionState.ANNOUNCED)
        if version is not None and found.kind in self._readying:
            await self._readying[found.kind](found, version)
        async with self._db.transaction() as conn:
            found = await self._any(name, conn=conn)
            version = await self._shelf.version(conn, found, VersionState.ANNOUNCED)
            if version is None or version.starts_on is None or version.starts_on > self._clock.today():
                return False
            now = self._clock.now()
            if found.state not in (ListingState.LISTED, ListingState.DEPRECATED):
                await self._shelf.move(conn, found, ListingState.LISTED, "", SYSTEM, now)
            await self._put_out(found, version, SYSTEM, conn)
            await store.start(conn, version.id, now)
        return True

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
        """The city takes it out of the store and says why: nothing is sold, nothing announced will be, its maker and
        its users are told, and what was approved waits for `restore`. Idempotent. WrongState, OwnListing (R0)."""
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
            comes = removes and await self._comes(found, conn)  # whatever its state, it would be sold again
            if found.state is to and not comes:
                return found
            if found.state not in allowed and not comes:
                raise WrongState(name, found.state, to)
            version = await self._shelf.version(conn, found, VersionState.APPROVED)
            if not removes and version is None:  # it was not sold any more when the city took it out
                raise WrongState(name, found.state, to)
            if found.state is not to:
                await self._shelf.move(conn, found, to, reason, actor, self._clock.now())
            if removes:
                await store.retire(conn, found.id, VersionState.ANNOUNCED)
                await self._charges.close(found.name, actor=actor, conn=conn)
                told = [messages.gone(found, user, True, mark) for user in users]
            else:
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
        """OwnListing for whoever earns by it or is related to one that does: its maker, those it shares with."""
        if org is None:
            return
        for version in await self._shelf.versions(self._db, listing):
            if version.state in EARNING and await self._concerned(org, listing, version):
                raise OwnListing()
        if await self._concerned(org, listing):
            raise OwnListing()


def _paid_last(versions: Sequence[Version]) -> Version | None:
    """What users paid for last: what is offered, or was before it was withdrawn."""
    offered = [one for one in versions if one.offered_at is not None]
    return max(offered, key=lambda one: (one.offered_at, one.n), default=None)


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= NOTE_MAX_CHARS:
        raise BadListing("note", f"1 to {NOTE_MAX_CHARS} characters that say why", f"须写明理由，1–{NOTE_MAX_CHARS} 字")
