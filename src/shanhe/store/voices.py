"""What users say of listings, and what makers answer: only who paid for a call, one voice and one reply each."""

from __future__ import annotations

from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.notify import Notice
from shanhe.retrieval.api import visible
from shanhe.store import messages, store
from shanhe.store.errors import BadListing, NotAUser, StruckWords, UnknownListing
from shanhe.store.model import NOTE_MAX_CHARS, RATING, REPLY, Rating, Utterance
from shanhe.store.window import RANK_RULE, Window

FIRST_DAY: Final = date(2020, 1, 1)


class Voices(Window):
    """Ratings and replies. Words of either are reported by their name, `rating/ID` or `reply/ID`, and struck where the
    complaint is upheld; what was struck can't be said again."""

    async def rate(self, name: str, *, org_id: UUID, stars: int, text: str, actor: str) -> None:
        """One organisation's voice; it may change its mind. NotAUser unless it paid for a call and is unrelated."""
        most = int(self._rulebook.parameter(RANK_RULE, "stars_max", self._clock.today()))
        text = visible(text).strip()
        if not 1 <= stars <= most or len(text) > NOTE_MAX_CHARS:
            raise BadListing(
                "stars",
                f"1 to {most} stars, at most {NOTE_MAX_CHARS} characters",
                f"1–{most} 星，评语不超过 {NOTE_MAX_CHARS} 字",
            )
        offer = await self.offer(name)
        found, used = offer.listing, await self._gateway.through([name], FIRST_DAY, self._clock.today(), org_id)
        if not used or not used[0].amount_micro or await self._concerned(org_id, found, offer.version):
            raise NotAUser(name)
        now = self._clock.now()
        async with self._db.transaction() as conn:
            before = await store.rating_of(conn, found.id, org_id)
            if before is not None and before["struck_at"] is not None and text:
                raise StruckWords()
            rating = await self._shelf.rate(conn, found.id, org_id, stars, text, now, actor)
            if text:
                await self._tell([messages.rated(found, rating, stars, now)], conn)

    async def ratings(self, name: str) -> list[Rating]:
        """What users said, newest first, with what the maker answered."""
        return await self._shelf.ratings(self._db, (await self.offer(name)).listing.id)

    async def rated(self, org_id: UUID, *, most: int = store.PAGE_ROWS) -> list[Rating]:
        """What one organisation said of anything, newest first; for that organisation."""
        return await self._shelf.rated(self._db, org_id, most)

    async def replied(self, org_id: UUID, *, most: int = store.PAGE_ROWS) -> list[dict[str, Any]]:
        """What one organisation answered, newest first; for that organisation."""
        return await self._shelf.replied(self._db, org_id, most)

    async def reply(self, rating: UUID, *, owner: UUID, text: str, actor: str) -> None:
        """A maker's one public answer to a rating; another takes its place. UnknownListing unless the listing is the
        maker's, StruckWords where the answer before was struck."""
        text = visible(text).strip()
        if not 1 <= len(text) <= NOTE_MAX_CHARS:
            raise BadListing("reply", f"1 to {NOTE_MAX_CHARS} characters", f"1–{NOTE_MAX_CHARS} 字")
        async with self._db.transaction() as conn:
            said = await store.rating(conn, rating)
            if said is None or said["owner"] != owner:
                raise UnknownListing(f"{RATING}/{rating}")
            if said["reply_struck_at"] is not None:
                raise StruckWords()
            now = self._clock.now()
            await self._shelf.reply(conn, rating, owner, text, now, actor)
            await self._tell([messages.replied(f"{said['kind']}/{said['slug']}", said["org_id"], rating, now)], conn)

    async def words(self, name: str) -> Utterance:
        """Whose words these are, and what they say, by the name they are reported by; UnknownListing."""
        kind, _, number = name.partition("/")
        try:
            said = await store.rating(self._db, UUID(number))
        except ValueError:
            said = None
        if said is None or kind not in (RATING, REPLY) or (kind == REPLY and said["reply_org"] is None):
            raise UnknownListing(name)
        about, author = f"{said['kind']}/{said['slug']}", said["org_id"] if kind == RATING else said["reply_org"]
        return Utterance(about, author, await self._shelf.words(kind, author, said))

    async def strike(self, name: str, conn: Any) -> None:
        """Take words that a complaint was upheld about from the pages for good; their author is told. Again changes
        nothing."""
        kind, _, number = name.partition("/")
        found = await self.words(name)
        if await store.strike(conn, kind, UUID(number), self._clock.now()):
            notice: Notice = messages.struck(found.listing, found.author, kind, number)
            await self._tell([notice], conn)
