"""Nomads of one city, put together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from shanhe.credentials.api import Credentials, Jwk
from shanhe.facts.api import Facts
from shanhe.identity.api import Identity
from shanhe.kernel.asking import Akin, Announce, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.nomads import store
from shanhe.nomads.appeals import Appeal, Appeals
from shanhe.nomads.benefits import Benefits
from shanhe.nomads.cards import Cards
from shanhe.nomads.feeds import Feeds
from shanhe.nomads.ground import Ground
from shanhe.nomads.membership import Membership
from shanhe.nomads.model import Card, Verdict
from shanhe.nomads.offline import Offline
from shanhe.nomads.presence import Presence
from shanhe.nomads.recorded import Recorded
from shanhe.nomads.venues import Venues
from shanhe.nomads.views import appeal_view, card_view, verdict_view
from shanhe.rulebook.api import Rulebook

log = structlog.get_logger(__name__)


class Nomads:
    """`presence` counts days, `cards` decides, `benefits` and `offline` serve gates, `venues` and `feeds` venues."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, ledger: Ledger, rulebook: Rulebook, facts: Facts,
        identity: Identity, credentials: Credentials, notifier: Notifier, announce: Announce, record: Record,
        akin: Akin, url: str, city: str,
    ) -> None:  # fmt: skip
        ground = Ground(
            db,
            clock,
            vault,
            ledger,
            rulebook,
            facts,
            identity,
            credentials,
            notifier,
            announce,
            record,
            akin,
            url,
            city,
        )
        self._ground = ground
        self.venues = Venues(ground)
        self.presence = Presence(ground, self.venues)
        self.membership = Membership(ground, self.presence)
        self.cards = Cards(ground, self.presence, self.membership)
        self.benefits = Benefits(ground, self.cards, self.presence)
        self.offline = Offline(ground, self.benefits)
        self.appeals = Appeals(ground, self.presence)
        self.feeds = Feeds(ground, self.presence)
        self.recorded = Recorded(ground, self.cards)
        self.person_of = ground.person_of
        self.credentials = credentials

    async def apply(self, person_id: UUID, *, client_ref: str, actor: str, holder: Jwk | None = None) -> Verdict:
        """Ask for the ID or its renewal; when it is granted, what it opens is on the ledger when this returns."""
        verdict = await self.cards.apply(person_id, client_ref=client_ref, actor=actor, holder=holder)
        if verdict.card is not None:
            card = await self.cards.get(verdict.card)
            if not card.settled and card.revoked_at is None:
                await self.benefits.open(card)
        return verdict

    async def decide_appeal(self, appeal_id: UUID, decider: UUID, *, uphold: bool, answer: str) -> Appeal:
        """A person of the office decides an appeal; when it is upheld its days count and the rule decides again."""
        decided = await self.appeals.decide(appeal_id, decider, uphold=uphold, answer=answer)
        await self._follow(decided)
        return await self.appeals.get(appeal_id)

    async def _follow(self, appeal: Appeal) -> None:
        """What an upheld appeal leads to; safe to repeat."""
        if appeal.state != "upheld" or appeal.settled:
            return
        await self.appeals.count(appeal)
        await self.apply(appeal.person_id, client_ref=f"appeal:{appeal.id}", actor="nomads")
        await self.appeals.settled(appeal.id)

    async def revoke(self, card_id: UUID, reason: str, *, actor: str) -> Card:
        """End a card and what it opened."""
        card = await self.cards.revoke(card_id, reason, actor=actor)
        if not card.ended:
            await self.benefits.end(card)
        return await self.cards.get(card_id)

    async def own_copy(self, person_id: UUID, *, actor: str, most: int) -> dict[str, Any]:
        """Everything that is kept of a person as a nomad, for that person, `most` rows of each list; empty for whoever
        never was one."""
        nomad = await store.nomad(self._ground.db, person_id=person_id)
        if nomad is None:
            return {}
        cards, today = await store.cards(self._ground.db, person_id), self._ground.today()
        return {
            "number": nomad.number,
            "days": await self.presence.own(person_id, actor=actor, most=most),
            "decisions": [verdict_view(one) for one in await self.cards.verdicts(person_id, most=most)],
            "cards": [card_view(card, str(self.cards.standing(card, today))) for card in cards],
            "used": [dict(row) for card in cards for row in await store.redemptions(self._ground.db, card.id)],
            "appeals": [appeal_view(one) for one in await self.appeals.of(person_id, most=most)],
            "readings": await self.presence.readings(person_id, most=most),
        }

    async def figures(self) -> Mapping[str, int]:
        """How many people, valid cards, refusals and used tickets: sums only."""
        return await store.figures(self._ground.db, self._ground.today())

    async def tallies(self, venue_id: UUID, days: int) -> list[dict[str, Any]]:
        """What a venue served by day: how many, never whom."""
        since = self._ground.today() - timedelta(days=days)
        return [dict(row) for row in await store.tallies(self._ground.db, venue_id, since)]

    async def forget(self, person_id: UUID) -> None:
        """After an erasure: the person's card ends, and what was not decided about them is no more."""
        await self.cards.forget(person_id)
        await self.appeals.forget(person_id)

    async def tick(self) -> dict[str, int]:
        """What repeats: what a crash left, what is over, what is to be forgotten."""
        for appeal in await self.appeals.unsettled():
            try:
                await self._follow(appeal)
            except ShanheError as error:
                log.warning("an appeal could not be followed through", appeal=str(appeal.id), error=error.code)
        return {
            "repaired": await self.benefits.repair(), "forgotten": await self.presence.forget(),
            "late": await self.appeals.escalate(), "reminded": await self.cards.remind(),
        }  # fmt: skip
