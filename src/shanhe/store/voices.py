"""What users say of listings: only who paid for a call, one voice an organisation."""

from __future__ import annotations

from datetime import date
from typing import Final
from uuid import UUID

from shanhe.store.errors import BadListing, NotAUser
from shanhe.store.model import NOTE_MAX_CHARS, Rating
from shanhe.store.window import RANK_RULE, Window

FIRST_DAY: Final = date(2020, 1, 1)


class Voices(Window):
    """Ratings."""

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

    async def ratings(self, name: str) -> list[Rating]:
        """What users said, newest first."""
        return await self._shelf.ratings(self._db, (await self.offer(name)).listing.id)

    async def rated(self, org_id: UUID) -> list[Rating]:
        """What one organisation said of anything, newest first; for that organisation."""
        return await self._shelf.rated(self._db, org_id)
