"""What the store shows: what is offered, by whom, on which terms, and how it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.gateway.api import ChargeBook, Gateway
from shanhe.kernel.asking import Names, Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notice, Notifier
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Asset, Ledger, Provenance
from shanhe.store import contest_store, store
from shanhe.store.contest_model import Honour
from shanhe.store.errors import UnknownListing
from shanhe.store.finding import ENOUGH, ORDERS, Order, searched, share
from shanhe.store.model import Card, Check, Listing, Offer, Version, VersionState
from shanhe.store.ranking import percentiles
from shanhe.store.shelf import Shelf

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

RANK_RULE: Final = "P7"
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
        found = await self._shelf.offered(self._db, kind, None, [slug])
        if not found:
            raise UnknownListing(name)
        return found[0]

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

    async def contents(self, name: str) -> list[Mapping[str, Any]]:
        """What every version of a listing says, newest first; UnknownListing."""
        return [one.content for one in await self._shelf.versions(self._db, await self._any(name))]

    async def cards(
        self, kind: str | None = None, category: str | None = None, find: str | None = None, order: Order = Order.RANK
    ) -> list[Card]:
        """The shop window, best ranked first (P7) unless ordered otherwise, and what fits `find` best before all.
        Ranks are among what is offered of one kind."""
        offers = await self._shelf.offered(self._db, kind, None)
        ranked = await self._ranked(offers)
        makers = await self._makers({offer.listing.owner for offer in offers})
        found = []
        for offer in offers:
            if category is None or offer.listing.category == category:
                card = _card(offer, makers, ranked[offer.listing.id])
                fits = share(find, searched(offer.listing, card.maker)) if find else 1.0
                if fits >= ENOUGH:
                    found.append((-fits, ORDERS[order](card), card.listing.name, card))
        return [card for *_, card in sorted(found, key=lambda one: one[:3])]

    async def card(self, name: str) -> Card:
        """One listing as the window shows it."""
        offer = await self.offer(name)
        ranked = await self._ranked([*await self._shelf.offered(self._db, offer.listing.kind, None), offer])
        return _card(offer, await self._makers([offer.listing.owner]), ranked[offer.listing.id])

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

    async def backing(self, name: str, most: int) -> list[tuple[UUID, int]]:
        """(payer, µ): what each paid, in the days that count, out of credits bought by its own payments, largest payer
        first. Of what a payer's calls burned in these days, its own money is the same part everywhere."""
        last = self._clock.today()
        first = last - timedelta(days=int(self._rulebook.parameter(RANK_RULE, "usage_days", last)) - 1)
        found = []
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
        days = int(self._rulebook.parameter(RANK_RULE, "usage_days", today))
        used = await self._gateway.payers([name], today - timedelta(days=days - 1), today)
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


def _card(offer: Offer, makers: Mapping[UUID, str], rank: tuple[int, int, int, int, int, int, int]) -> Card:
    listing, terms = offer.listing, offer.version.terms
    return Card(listing, makers.get(listing.owner, ""), offer.version.n, terms.markup_bps, terms.fee_micro, *rank)
