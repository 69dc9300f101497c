"""The store's decisions: who may offer what, what is checked, what a decision publishes, who may rate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import msgspec

from shanhe.gateway.api import ChargeBook, Gateway
from shanhe.kernel.asking import Named, Related
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Notifier
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Asset, Ledger
from shanhe.store import contest_store, messages, store
from shanhe.store.alike import Names
from shanhe.store.contest_model import Honour
from shanhe.store.errors import BadListing, ChecksFailed, NameTaken, NotAUser, OwnListing, UnknownListing, WrongState
from shanhe.store.finding import ENOUGH, ORDERS, Order, matches, searched, share
from shanhe.store.model import (
    CONTENT_MAX_BYTES,
    NOTE_MAX_CHARS,
    SLUG,
    Card,
    Case,
    Check,
    IncomeDay,
    Kind,
    Listing,
    ListingState,
    NewListing,
    Offer,
    Rating,
    Terms,
    Version,
    VersionState,
    Words,
)
from shanhe.store.ranking import percentiles
from shanhe.store.shelf import Shelf
from shanhe.store.terms import WHOLE_PPM, check_terms, check_words, resource_terms, rises

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

RANK_RULE: Final = "P7"
CHANGED: Final = ("已修改", "changed")
INCOME_DAYS_MAX: Final = 366
LINES_MAX: Final = 100_000
"""Lines of a statement that one income page reads."""
FIRST_DAY: Final = date(2020, 1, 1)
USERS_MAX: Final = 2_000
"""Users that are told of a listing's end or price, those that paid most first."""
REVERSAL: Final = "reversal"

Checker = Callable[[UUID, Mapping[str, Any], str], Awaitable[Sequence[Check]]]
"""(owner, content, name): what the kind's own module finds in a version; may ask the network."""
Readying = Callable[[Listing, Version], Awaitable[None]]
"""What has to be done before a version is offered; what it raises stops the approval."""


class Store:
    """Listings of one city. `checks` by kind; `named` says what an organisation is called."""

    def __init__(
        self, db: Database, clock: Clock, *, gateway: Gateway, ledger: Ledger, rulebook: Rulebook,
        checks: Mapping[str, Checker], named: Named, related: Related, notifier: Notifier, seals: Seals | None = None,
        readying: Mapping[str, Readying] | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._shelf = Shelf(seals or Seals())
        self._clock = clock
        self._gateway = gateway
        self._charges: ChargeBook = gateway.charges
        self._ledger = ledger
        self._rulebook = rulebook
        self._checks = checks
        self._readying = readying or {}
        self._named = named
        self._related = related
        self._notifier = notifier

    # -- making -------------------------------------------------------------------------------------------------------

    async def open(self, new: NewListing, *, owner: UUID, actor: str) -> Listing:
        """A new listing, not offered yet; the standing one for an id that is known. NameTaken, BadListing."""
        if not SLUG.fullmatch(new.slug):
            raise BadListing("slug", "2 to 63 of a–z, 0–9 and -, not beginning with -", "2–63 位小写字母、数字或连字符")
        check_words(new.title_zh, new.title_en, new.summary_zh, new.summary_en, new.category)
        try:
            async with self._db.transaction() as conn:
                await self._shelf.insert(conn, new, owner, self._clock.now(), actor)
        except asyncpg.UniqueViolationError as error:
            raise NameTaken(f"{new.kind}/{new.slug}") from error
        found = await self._own(f"{new.kind}/{new.slug}", owner)
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
        version_id: UUID | None = None,
    ) -> Version:  # fmt: skip
        """Change the open draft, or begin the next version. WrongState while one waits for its review."""
        if len(msgspec.json.encode(content, enc_hook=str)) > CONTENT_MAX_BYTES:
            raise BadListing("content", f"at most {CONTENT_MAX_BYTES} bytes", f"不超过 {CONTENT_MAX_BYTES} 字节")
        if len(notes) > NOTE_MAX_CHARS:
            raise BadListing("notes", f"at most {NOTE_MAX_CHARS} characters", f"不超过 {NOTE_MAX_CHARS} 字")
        check_terms(terms, self._rulebook, self._clock.today())
        async with self._db.transaction() as conn:
            found = await self._own(name, owner, conn=conn)
            if await self._shelf.version(conn, found, VersionState.SUBMITTED) is not None:
                raise WrongState(found.name, ("正在审核", "in review"), CHANGED)
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
        """Take a version back from the queue, to change it."""
        async with self._db.transaction() as conn:
            found = await self._own(name, owner, conn=conn)
            waiting = await self._shelf.version(conn, found, VersionState.SUBMITTED)
            if waiting is None:
                raise WrongState(found.name, ("不在审核中", "not in review"), ("已撤回", "taken back"))
            await store.recall(conn, waiting.id)
        draft = await self._shelf.version(self._db, found, VersionState.DRAFT)
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

    # -- deciding -----------------------------------------------------------------------------------------------------

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

    async def _users(self, name: str) -> list[UUID]:
        """Who paid for it in the days that count for its rank, those that paid most first."""
        today = self._clock.today()
        days = int(self._rulebook.parameter(RANK_RULE, "usage_days", today))
        used = await self._gateway.payers([name], today - timedelta(days=days - 1), today)
        return [use.org_id for use in used[:USERS_MAX] if use.org_id is not None and use.amount_micro]

    async def _tell(self, notices: Sequence[Notice], conn: Any) -> None:
        for notice in notices:
            await self._notifier.notify(notice, conn)

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

    async def deprecate(self, name: str, *, owner: UUID | None, actor: str) -> Listing:
        """Show it no more; whoever knows it may go on calling it. `owner` None: an operator."""
        return await self._move(name, owner, ListingState.DEPRECATED, {ListingState.LISTED}, actor)

    async def relist(self, name: str, *, owner: UUID, actor: str) -> Listing:
        """Show it again after `deprecate`."""
        return await self._move(name, owner, ListingState.LISTED, {ListingState.DEPRECATED}, actor)

    async def withdraw(self, name: str, *, owner: UUID | None, actor: str) -> Listing:
        """Sell it no more; calls that are running end as they were admitted, and who used it is told."""
        return await self._move(
            name, owner, ListingState.WITHDRAWN, {ListingState.LISTED, ListingState.DEPRECATED}, actor
        )

    async def _move(
        self, name: str, owner: UUID | None, to: ListingState, allowed: set[ListingState], actor: str
    ) -> Listing:
        users = await self._users(name) if to is ListingState.WITHDRAWN else ()
        async with self._db.transaction() as conn:
            found = await (self._any(name, conn=conn) if owner is None else self._own(name, owner, conn=conn))
            if found.state is not to:
                if found.state not in allowed:
                    raise WrongState(name, found.state, to)
                await self._shelf.move(conn, found, to, "", actor, self._clock.now())
                if to is ListingState.WITHDRAWN:
                    await store.retire(conn, found.id)
                    await self._charges.close(found.name, actor=actor, conn=conn)
                    mark = new_id()
                    await self._tell([messages.gone(found, user, False, mark) for user in users], conn)
        return await self._any(name)

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

    # -- looking ------------------------------------------------------------------------------------------------------

    async def offer(self, name: str) -> Offer:
        """What callers of a name get now; UnknownListing when nothing is offered under it."""
        kind, _, slug = name.partition("/")
        found = await self._shelf.offered(self._db, kind, None, [slug])
        if not found:
            raise UnknownListing(name)
        return found[0]

    async def listed(self, name: str) -> Listing:
        """A listing whatever its state; UnknownListing."""
        return await self._any(name)

    async def honours(self, name: str) -> list[Honour]:
        """Places that a listing took in contests (P8), the newest first."""
        return await contest_store.honours(self._db, (await self._any(name)).id)

    async def offers(self, kind: str) -> list[Offer]:
        """Everything that is shown of a kind, in the order it was opened; a bounded list."""
        return await self._shelf.offered(self._db, kind, None)

    async def draft_of(self, name: str, owner: UUID) -> Offer:
        """A maker's own draft, to be tried; the approved version when there is no draft."""
        found = await self._own(name, owner)
        for state in (VersionState.DRAFT, VersionState.SUBMITTED, VersionState.APPROVED):
            version = await self._shelf.version(self._db, found, state)
            if version is not None:
                return Offer(found, version)
        raise UnknownListing(name)

    async def names_of(self, owners: Sequence[UUID]) -> dict[UUID, list[tuple[str, str]]]:
        """(kind, name) of everything that each of these published; one question."""
        found: dict[UUID, list[tuple[str, str]]] = {}
        for owner, kind, slug in await store.names_of(self._db, owners):
            found.setdefault(owner, []).append((kind, f"{kind}/{slug}"))
        return found

    async def mine(self, owner: UUID) -> list[tuple[Listing, list[Version]]]:
        """An organisation's listings with their versions, newest first."""
        return [(one, await self._shelf.versions(self._db, one)) for one in await self._shelf.of_owner(self._db, owner)]

    async def cards(
        self, kind: str | None = None, category: str | None = None, find: str | None = None, order: Order = Order.RANK
    ) -> list[Card]:
        """The shop window, best ranked first (P7) unless ordered otherwise, and what fits `find` best before all.
        Ranks are among what is offered of one kind."""
        offers = await self._shelf.offered(self._db, kind, None)
        ranked = await self._ranked(offers)
        found = []
        for offer in offers:
            if category is None or offer.listing.category == category:
                card = await self._card(offer, ranked[offer.listing.id])
                fits = share(find, searched(offer.listing, card.maker)) if find else 1.0
                if fits >= ENOUGH:
                    found.append((-fits, ORDERS[order](card), card.listing.name, card))
        return [card for *_, card in sorted(found, key=lambda one: one[:3])]

    async def card(self, name: str) -> Card:
        """One listing as the window shows it."""
        offer = await self.offer(name)
        ranked = await self._ranked([*await self._shelf.offered(self._db, offer.listing.kind, None), offer])
        return await self._card(offer, ranked[offer.listing.id])

    async def ratings(self, name: str) -> list[Rating]:
        """What users said, newest first."""
        return await self._shelf.ratings(self._db, (await self.offer(name)).listing.id)

    async def _card(self, offer: Offer, rank: tuple[int, int, int, int, int, int, int]) -> Card:
        listing, terms = offer.listing, offer.version.terms
        return Card(
            listing, await self._named(listing.owner), offer.version.n, terms.markup_bps, terms.fee_micro, *rank
        )

    async def _ranked(self, offers: Sequence[Offer]) -> dict[UUID, tuple[int, int, int, int, int, int, int]]:
        """(calls, sum of stars, ratings, score, usage, jury, payers) of each: P7, over the days its parameter says."""
        today = self._clock.today()
        days = int(self._rulebook.parameter(RANK_RULE, "usage_days", today))
        uses = {use.resource: use for use in await self._gateway.through(None, today - timedelta(days=days - 1), today)}
        stars, juries = await store.rating_sums(self._db), await store.jury_means(self._db)
        decide = self._rulebook.compiled(RANK_RULE, today)
        found = {}
        for kind in {offer.listing.kind for offer in offers}:
            alike = {offer.listing.id: offer.listing for offer in offers if offer.listing.kind == kind}
            spent = {key: uses[one.name].amount_micro if one.name in uses else 0 for key, one in alike.items()}
            for key, usage_bps in percentiles(spent).items():
                total, count = stars.get(key, (0, 0))
                facts = {
                    "usage_rank": usage_bps,
                    "rating_sum": total,
                    "rating_count": count,
                    "jury": juries.get(key, 0),
                }
                use = uses.get(alike[key].name)
                calls, payers = (use.calls, use.payers) if use else (0, 0)
                score = int(decide(**facts)["score"])
                found[key] = (calls, total, count, score, usage_bps, facts["jury"], payers)
        return found

    async def rated(self, org_id: UUID) -> list[Rating]:
        """What one organisation said of anything, newest first; for that organisation."""
        return await self._shelf.rated(self._db, org_id)

    async def erase(self, name: str, *, actor: str) -> None:
        """Withdraw a listing and delete what it says: contents, notes, words, what users said of it. Its name, terms
        and numbers stay, for receipts. Again changes nothing."""
        found = await self._any(name)
        async with self._db.transaction() as conn:
            if found.state is not ListingState.WITHDRAWN:
                await self._shelf.move(conn, found, ListingState.WITHDRAWN, "", actor, self._clock.now())
            await self._charges.close(name, actor=actor, conn=conn)
            await self._shelf.erase(conn, found)

    async def contents(self, name: str) -> list[Mapping[str, Any]]:
        """What every version of a listing says, newest first; UnknownListing."""
        return [one.content for one in await self._shelf.versions(self._db, await self._any(name))]

    async def forget(self, owner: UUID, *, actor: str) -> int:
        """Withdraw what somebody offers who is no longer there; how many."""
        gone = 0
        for listing in await self._shelf.of_owner(self._db, owner):
            if listing.state in (ListingState.LISTED, ListingState.DEPRECATED):
                await self.withdraw(listing.name, owner=None, actor=actor)
                gone += 1
        await contest_store.withdraw_all(self._db, owner, self._clock.now())
        return gone

    # -- users and income ---------------------------------------------------------------------------------------------

    async def rate(self, name: str, *, org_id: UUID, stars: int, text: str, actor: str) -> None:
        """One organisation's voice; it may change its mind. NotAUser unless it paid for a call and is unrelated."""
        most = int(self._rulebook.parameter(RANK_RULE, "stars_max", self._clock.today()))
        if not 1 <= stars <= most or len(text) > NOTE_MAX_CHARS:
            raise BadListing(
                "stars",
                f"1 to {most} stars, at most {NOTE_MAX_CHARS} characters",
                f"1–{most} 星，评语不超过 {NOTE_MAX_CHARS} 字",
            )
        offer = await self.offer(name)
        used = await self._gateway.through([name], FIRST_DAY, self._clock.today(), org_id)
        if not used or not used[0].amount_micro or await self._related(org_id, offer.listing.owner):
            raise NotAUser(name)
        await self._shelf.rate(self._db, offer.listing.id, org_id, stars, text, self._clock.now(), actor)

    async def income(self, owner: UUID, first: date, last: date) -> list[IncomeDay]:
        """What an organisation earned by day and listing, newest first, with what refunds took back."""
        if not first <= last <= first + timedelta(days=INCOME_DAYS_MAX):
            raise BadListing("period", f"at most {INCOME_DAYS_MAX} days", f"不超过 {INCOME_DAYS_MAX} 天")
        earned = await self._gateway.earned(owner, first, last)
        days = [IncomeDay(one.day, one.role, one.resource, one.calls, one.amount_micro) for one in earned]
        back: dict[date, list[int]] = {}
        account = await self._ledger.ensure_account(owner, Asset.CREDIT, "income")
        read = 0
        async for line in self._ledger.stream_statement(account.id, first, last):
            read += 1
            if read > LINES_MAX:
                break
            if line.kind == REVERSAL:
                sums = back.setdefault(city_date(line.at), [0, 0])
                sums[0] += 1
                sums[1] += line.amount
        days += [IncomeDay(day, REVERSAL, "", calls, amount) for day, (calls, amount) in back.items()]
        return sorted(days, key=lambda one: (-one.day.toordinal(), one.resource, one.role))

    # -- who ----------------------------------------------------------------------------------------------------------

    async def _any(self, name: str, *, conn: Any = None) -> Listing:
        kind, _, slug = name.partition("/")
        found = await self._shelf.listing(conn or self._db, kind, slug, lock=conn is not None)
        if found is None:
            raise UnknownListing(name)
        return found

    async def _own(self, name: str, owner: UUID, *, conn: Any = None) -> Listing:
        found = await self._any(name, conn=conn)
        if found.owner != owner:
            raise UnknownListing(name)
        return found


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= NOTE_MAX_CHARS:
        raise BadListing("note", f"1 to {NOTE_MAX_CHARS} characters that say why", f"须写明理由，1–{NOTE_MAX_CHARS} 字")
