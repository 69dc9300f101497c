"""Certifying a venue's courses (N6), for which the city then pays: an operator asks, another agrees who is
no related party of it. Whoever took one back may ask anew."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Final
from uuid import UUID

from shanhe.approvals.api import Approvals, Deed, Request, RequestState
from shanhe.kernel.asking import Akin
from shanhe.kernel.clock import Clock
from shanhe.nomads.api import OPERATE, Venue, Venues
from shanhe.wiring.moves import numbers_of

KIND: Final = "nomads.certificate"
PAGE: Final = "/city/nomads"
OPEN_FOR: Final = timedelta(days=30)


class Certificates:
    """What venues ask of approvals, which they know nothing of."""

    def __init__(self, clock: Clock, approvals: Approvals, venues: Venues, akin: Akin) -> None:
        self._clock = clock
        self._approvals = approvals
        self._venues = venues
        self._akin = akin
        venues.ask_certificate = self.ask
        approvals.deeds[KIND] = Deed(self._certify, PAGE, self._named, OPERATE, party=self._related)

    async def ask(self, venue: Venue, by: str) -> Request:
        """Ask for a second person's word for a venue that is not certified. One request a venue stands at a time."""
        numbers = numbers_of(f"{KIND}:{venue.id}")
        for number in numbers:
            known = await self._approvals.known(number)
            if known is None or known.state is not RequestState.DONE:  # done: that certificate was taken back
                break
        return await self._approvals.standing(
            chain([number], numbers), KIND, str(venue.id), {"venue": str(venue.id)}, by=by, about=venue.org_id,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def _certify(self, decided: Request) -> None:
        await self._venues.certify(UUID(decided.subject))

    async def _related(self, asked: Request, person_id: UUID) -> bool:
        return await self._akin(person_id, (await self._venues.get(UUID(asked.subject))).org_id)

    async def _named(self, asked: Request) -> str:
        """Which venue it is: an organisation may have several."""
        venue = await self._venues.get(UUID(asked.subject))
        return f"{venue.name} · {venue.address}" if venue.address else venue.name
