"""What the store shows: what is offered, by whom, on which terms, and how it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.gateway.api import ChargeBook, Gateway
from shanhe.kernel.asking import Names, Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notice, Notifier
from shanhe.kernel.paging import every
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Asset, Ledger, Provenance
from shanhe.store import contest_store, store
from shanhe.store.contest_model import Honour
from shanhe.store.errors import UnknownListing
from shanhe.store.finding import ENOUGH, ORDERS, Order, searched, share
from shanhe.store.model import Card, Check, Leaf, Listing, Offer, Standing, Version, VersionState
from shanhe.store.ranking import percentiles
from shanhe.store.shelf import Shelf

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

RANK_RULE: Final = "P7"
LEAF_ROWS: Final = 200
"""Cards of the window that are shown at once."""
USERS_MAX: Final = 2_000
"""Users that are told of a listing's end or price, those that paid most first."""

Checker = Callable[[UUID, Mapping[str, Any], str], Awaitable[Sequence[Check]]]
"""(owner, content, name): what the kind's own module finds in a version; may ask the network."""
Readying = Callable[[Listing, Version], Awaitable[None]]
"""What has to be done before a version is offered; what it raises stops the approval."""


class Window:
    """Listings of one city as they are read. `checks` by kind; `named` says what an organisation is called."""

    def __init__(
        self, db: Database, clock: Clock, *, gateway: Gateway, ledger: Ledger, rulebook: Rulebook,
        checks: Mapping[str, Checker], names: Names, related: Related, notifier: Notifier, seals: Seals | None = None,
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
        self._makers = names
        self._related = related
        self._notifier = notifier

    async def offer(self, name: str) -> Offer:
        """What callers of a name get now; UnknownListing when nothing is offered under it."""
        kind, _, slug = name.partition("/")
        found = await self._shelf.offer(self._db, kind, slug)
        if found is None:
            raise UnknownListing(name)
        return found

    async def coming(self, name: str) -> Version | None:
        """The version that was announced and is not offered yet: what it costs, and from which day."""
        return await self._shelf.version(self._db, await self._any(name), VersionState.ANNOUNCED)

    async def history(self, name: str) -> list[Version]:
        """Versions as callers got them one after another, newest first, a bounded page."""
        versions = await self._shelf.versions(self._db, await self._any(name))
        return [one for one in versions if one.offered_at is not None]

    async def listed(self, name: str) -> Listing:
        """A listing whatever its state; UnknownListing."""
        return await self._any(name)

    async def listings(self, ids: Sequence[UUID]) -> dict[UUID, Listing]:
        """The same of several, by id; some at a time."""
        return {one.id: one async for one in self._shelf.listings(self._db, ids)}

    async def honours(self, name: str) -> list[Honour]:
        """Places that a listing took in contests (P8), the newest first."""
        return await contest_store.honours(self._db, (await self._any(name)).id)

    def offers(self, kind: str) -> AsyncIterator[Offer]:
        """Everything that is shown of a kind, in the order it was opened, read some at a time."""
        return self._shelf.offered(self._db, kind)

    async def draft_of(self, name: str, owner: UUID) -> Offer:
        """A maker's own draft, to be tried; the approved version when there is no draft."""
        found = await self._own(name, owner)
        for state in (VersionState.DRAFT, VersionState.SUBMITTED, VersionState.APPROVED):
            version = await self._shelf.version(self._db, found, state)
            if version is not None:
                return Offer(found, version)
        raise UnknownListing(name)

    async def version(self, name: str, n: int, *, owner: UUID) -> Version:
        """A version of one's own listing, 0: the newest; UnknownListing."""
        found = await self._own(name, owner)
        newest = next(iter(await self._shelf.versions(self._db, found, before=n + 1 if n else None)), None)
        if newest is None or n not in (0, newest.n):
            raise UnknownListing(f"{name} {n}" if n else name)
        return newest

    async def names_of(self, owners: Sequence[UUID]) -> dict[UUID, list[tuple[str, str]]]:
        """(kind, name) of everything that each of these published; one question."""
        found: dict[UUID, list[tuple[str, str]]] = {}
        for owner, kind, slug in await store.names_of(self._db, owners):
            found.setdefault(owner, []).append((kind, f"{kind}/{slug}"))
        return found

    async def mine(self, owner: UUID, *, most: int = store.PAGE_ROWS) -> list[tuple[Listing, list[Version]]]:
        """An organisation's listings with their versions, newest first."""
        return await self._shelf.mine(self._db, owner, most)

    async def contents(self, name: str) -> list[Mapping[str, Any]]:
        """What every version of a listing says, newest first; UnknownListing."""
        found = await self._any(name)
        return [one.content async for one in every(partial(self._shelf.versions, self._db, found), attrgetter("n"))]

    async def leaf(
        self, kind: str | None = None, category: str | None = None, find: str | None = None,
        order: Order = Order.RANK, *, first: int = 0, most: int = LEAF_ROWS, on: date | None = None,
    ) -> Leaf:  # fmt: skip
        """`most` cards of the shop window from the `first`, best ranked before (P7) unless ordered otherwise, and what
        fits `find` best before all. Ranks are among what is offered of one kind, by its use until `on` (default: until
        now). Words are read of what is shown, or searched; contents are not."""
        ranked = await self._ranked(await store.shown(self._db, kind), on or self._clock.today())
        wanted = [one for one in ranked if category is None or one.category == category]
        fits = await self._fitting(find, wanted) if find else {one.id: 1.0 for one in wanted}
        found = [one for one in wanted if fits.get(one.id, 0.0) >= ENOUGH]
        found.sort(key=lambda one: (-fits[one.id], ORDERS[order](one), one.name))
        shown = found[first : first + most]
        said = {one.id: one async for one in self._shelf.listings(self._db, [one.id for one in shown])}
        makers = await self._makers({one.owner for one in shown})
        return Leaf(tuple(_card(said[one.id], makers, one) for one in shown if one.id in said), len(found))

    async def cards(
        self, kind: str | None = None, category: str | None = None, find: str | None = None, order: Order = Order.RANK,
        *, on: date | None = None,
    ) -> list[Card]:  # fmt: skip
        """The whole window; for commands and jobs."""
        return list((await self.leaf(kind, category, find, order, most=store.RANKED_ROWS, on=on)).cards)

    async def card(self, name: str) -> Card:
        """One listing as the window shows it."""
        offer = await self.offer(name)
        one, terms = offer.listing, offer.version.terms
        alike = [each for each in await store.shown(self._db, one.kind) if each.id != one.id]
        asked = Standing(
            one.id, one.kind, one.slug, one.owner, one.category, one.created_at, offer.version.n, terms.markup_bps,
            terms.fee_micro,
        )  # fmt: skip
        ranked = await self._ranked([*alike, asked], self._clock.today())
        return _card(one, await self._makers([one.owner]), ranked[-1])

    async def _fitting(self, find: str, wanted: Sequence[Standing]) -> dict[UUID, float]:
        """How much of what is asked for stands in the words of each and of its maker's name."""
        makers = await self._makers({one.owner for one in wanted})
        return {
            one.id: share(find, searched(one, makers.get(one.owner, "")))
            async for one in self._shelf.listings(self._db, [one.id for one in wanted])
        }

    async def _ranked(self, shown: Sequence[Standing], on: date) -> list[Standing]:
        """The same in the same order, each with its rank: P7, over the days that its parameter says, the last of which
        is `on`."""
        uses = {use.resource: use for use in await self._gateway.through(None, self._since(on), on)}
        stars, juries = await store.rating_sums(self._db), await store.jury_means(self._db)
        decide = self._rulebook.compiled(RANK_RULE, on)

        @cache
        def score(usage_bps: int, stars_sum: int, ratings: int, jury_bps: int) -> int:
            """Most were neither used nor rated, and so stand alike."""
            facts = {"usage_rank": usage_bps, "rating_sum": stars_sum, "rating_count": ratings, "jury": jury_bps}
            return int(decide(**facts)["score"])

        usage: dict[UUID, int] = {}
        for kind in {one.kind for one in shown}:
            alike = [one for one in shown if one.kind == kind]
            usage |= percentiles({one.id: uses[one.name].amount_micro if one.name in uses else 0 for one in alike})
        found = []
        for one in shown:
            use, (stars_sum, ratings), jury = uses.get(one.name), stars.get(one.id, (0, 0)), juries.get(one.id, 0)
            calls, payers = (use.calls, use.payers) if use else (0, 0)
            found.append(replace(
                one, calls=calls, stars_sum=stars_sum, ratings=ratings, usage_bps=usage[one.id], jury_bps=jury,
                payers=payers, score=score(usage[one.id], stars_sum, ratings, jury),
            ))  # fmt: skip
        return found

    def _since(self, on: date) -> date:
        """The first of the days whose use counts on a day."""
        return on - timedelta(days=int(self._rulebook.parameter(RANK_RULE, "usage_days", on)) - 1)

    async def backing(self, name: str, most: int, last: date) -> list[tuple[UUID, int]]:
        """(payer, µ): what each paid, in the days that count, out of credits bought by its own payments, largest payer
        first. Of what a payer's calls burned in these days, its own money is the same part everywhere."""
        first, found = self._since(last), []
        for use in (await self._gateway.payers([name], first, last))[:most]:
            if use.org_id is not None and use.amount_micro:
                wallet = await self._ledger.ensure_account(use.org_id, Asset.CREDIT, "wallet")
                burned = await self._ledger.burned(wallet.id, first, last)
                own, total = burned.get(Provenance.PURCHASED, 0), sum(burned.values())
                found.append((use.org_id, use.amount_micro * own // total if total else 0))
        return found

    async def _users(self, name: str) -> list[UUID]:
        """Who paid for it in the days that count for its rank, those that paid most first."""
        today = self._clock.today()
        used = await self._gateway.payers([name], self._since(today), today)
        return [use.org_id for use in used[:USERS_MAX] if use.org_id is not None and use.amount_micro]

    async def _concerned(self, org: UUID, listing: Listing, version: Version | None = None) -> bool:
        """Whether an organisation is, or is related to, its maker or somebody who earns by a version's terms (R0)."""
        shares = () if version is None else (*version.terms.makers, *version.terms.holders)
        parties = dict.fromkeys([listing.owner, *(party for party, _ in shares)])
        if org in parties:
            return True
        for party in parties:
            if await self._related(org, party):
                return True
        return False

    async def _comes(self, found: Listing, conn: Any) -> bool:
        """Whether a version of it was announced, and is offered on its day unless it is taken back."""
        return await self._shelf.version(conn, found, VersionState.ANNOUNCED) is not None

    async def _tell(self, notices: Sequence[Notice], conn: Any) -> None:
        for notice in notices:
            await self._notifier.notify(notice, conn)

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


def _card(listing: Listing, makers: Mapping[UUID, str], one: Standing) -> Card:
    return Card(
        listing, makers.get(listing.owner, ""), one.n, one.markup_bps, one.fee_micro, one.calls, one.stars_sum,
        one.ratings, one.score, one.usage_bps, one.jury_bps, one.payers,
    )  # fmt: skip
