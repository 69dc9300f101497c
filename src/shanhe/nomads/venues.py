"""Venues: registering them with a key each, and the code on their screen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.identity.api import Actor
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Severity
from shanhe.kernel.notify import Text as Words
from shanhe.kernel.resealing import rewrite
from shanhe.nomads import codes, store
from shanhe.nomads.errors import BadCode, BadField, UnknownVenue, VenueClosed, VenueTaken
from shanhe.nomads.ground import Ground
from shanhe.nomads.model import NewVenue, Venue

NAME_MAX_CHARS: Final = 100
ADDRESS_MAX_CHARS: Final = 200
REASON_MAX_CHARS: Final = 200
OPERATE: Final = "programmes"
NAME_FIELD, ADDRESS_FIELD = "nomads.venue.name", "nomads.venue.address"
RESEAL_ROWS: Final = 500
PLACE_INDEX: Final = "nomads.venue.place"

AskCertificate = Callable[[Venue, str], Awaitable[object]]
"""(venue, actor): ask a second person whether its courses are certified."""


class Venues:
    """Operators register venues; members of a venue's organisation run its screen and its gate."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.ask_certificate: AskCertificate | None = None
        """How a second person is asked; set once it is there. Without it nobody is certified."""

    async def add(self, new: NewVenue, *, actor: str, identifier: UUID | None = None) -> Venue:
        """Register a venue; idempotent by id. VenueTaken when the place or the key is there already.

        What shall be `certified` is registered without, and is so once a second person agrees.
        """
        venue = await self._add(new, actor, identifier or new_id())
        if new.certified and venue.closed_at is None:
            await self._ask(venue, actor)
        return venue

    async def ask_to_certify(self, venue_id: UUID, *, actor: str) -> Venue:
        """Ask a second person whether a venue that is there shall be certified; UnknownVenue, VenueClosed."""
        venue = await self._running(venue_id)
        await self._ask(venue, actor)
        return venue

    async def _ask(self, venue: Venue, actor: str) -> None:
        if not venue.certified and self.ask_certificate is not None:
            await self.ask_certificate(venue, actor)

    async def _add(self, new: NewVenue, actor: str, venue_id: UUID) -> Venue:
        name, address = _text("name", new.name, NAME_MAX_CHARS), _text("address", new.address, ADDRESS_MAX_CHARS, 0)
        await self._ground.identity.orgs.get(new.org_id)
        known, seal = await self._known(venue_id), await self._ground.identity.seals.of(new.org_id)
        if known is not None:
            other_key = new.public is not None and new.public != known.public
            if other_key or (known.name, known.address, known.org_id, known.kind) != (
                name, address, new.org_id, new.kind,
            ):  # fmt: skip
                raise VenueTaken("the id belongs to another one", "编号已用于其他场所")
            return known
        public = new.public or self._private(venue_id).public_key().public_bytes_raw()
        venue = Venue(venue_id, new.org_id, name, new.kind, address, public, new.public is not None, False, None)
        kept = replace(venue, name=seal.text(NAME_FIELD, name), address=seal.text(ADDRESS_FIELD, address))
        mark = self._mark(fingerprint(name, address))
        try:
            await store.insert_venue(self._ground.db, kept, mark, self._ground.now(), actor)
        except asyncpg.UniqueViolationError as error:
            if "public" in str(error.constraint_name):
                raise VenueTaken("another venue has this key", "密钥已用于其他场所") from error
            raise VenueTaken("a venue of this name and address is there", "同名同址场所已存在") from error
        return venue

    def _mark(self, place: str) -> str:
        return self._ground.vault.blind_index(PLACE_INDEX, place).hex()

    async def reseal(self) -> int:
        """Hash the marks of places that stand in the clear since before they were hashed; how many."""
        rows = await store.plain_marks(self._ground.db, RESEAL_ROWS)
        for row in rows:
            place = row["fingerprint"]
            try:
                await store.hash_mark(self._ground.db, row["id"], self._mark(place))
            except asyncpg.UniqueViolationError:  # the same place came again after marks were hashed
                await store.hash_mark(self._ground.db, row["id"], self._mark(f"{place}|{row['id']}"))
        if rows:
            await rewrite(self._ground.db, "nomads.venue")
        return len(rows)

    async def certify(self, venue_id: UUID) -> Venue:
        """From now on its courses are city-certified (N6). For what two people stand behind; UnknownVenue,
        VenueClosed."""
        await self._running(venue_id)
        await store.certify_venue(self._ground.db, venue_id)
        return await self.get(venue_id)

    async def end_certificate(self, venue_id: UUID, reason: str) -> Venue:
        """From now on the city pays for none of its courses; whoever runs it is told why. Again changes nothing."""
        why, venue = _text("reason", reason, REASON_MAX_CHARS), await self.get(venue_id)
        async with self._ground.db.transaction() as conn:
            if await store.end_certificate(conn, venue_id):
                await self._ground.notifier.notify(_uncertified(venue, why, self._ground.now()), conn)
        return await self.get(venue_id)

    async def _running(self, venue_id: UUID) -> Venue:
        venue = await self.get(venue_id)
        if venue.closed_at is not None:
            raise VenueClosed
        return venue

    async def close(self, venue_id: UUID, *, actor: str) -> Venue:
        """From now on nothing it signs counts."""
        await self.get(venue_id)
        await store.close_venue(self._ground.db, venue_id, self._ground.now())
        return await self.get(venue_id)

    async def get(self, venue_id: UUID) -> Venue:
        found = await self._known(venue_id)
        if found is None:
            raise UnknownVenue
        return found

    async def _known(self, venue_id: UUID) -> Venue | None:
        found = await store.venue(self._ground.db, venue_id)
        return None if found is None else await self._opened(found)

    async def _opened(self, venue: Venue) -> Venue:
        """A venue as it reads: whoever lets a room as a person has name and address sealed."""
        seal = await self._ground.identity.seals.of(venue.org_id)
        return replace(venue, name=seal.open(NAME_FIELD, venue.name), address=seal.open(ADDRESS_FIELD, venue.address))

    async def forget(self, org_id: UUID) -> int:
        """Close the venues of somebody who is no longer there; how many."""
        return await store.close_venues(self._ground.db, org_id, self._ground.now())

    async def list(self) -> Sequence[Venue]:
        return [await self._opened(venue) for venue in await store.venues(self._ground.db)]

    async def open(self) -> Sequence[Venue]:
        """Where days are counted now, for anybody who comes, by kind and name; not the rooms that people let, whose
        addresses are their own."""
        personal = self._ground.identity.seals.personal
        found = [venue for venue in await self.list() if venue.closed_at is None and not await personal(venue.org_id)]
        return sorted(found, key=lambda venue: (venue.kind, venue.name))

    async def of(self, actor: Actor) -> Sequence[Venue]:
        """The venues that somebody may run: those of the organisations they belong to."""
        return await self.of_orgs(sorted(await self._orgs(actor)))

    async def of_orgs(self, org_ids: Sequence[UUID], *, most: int = store.ROWS_MAX) -> Sequence[Venue]:
        """The venues of these organisations."""
        return [await self._opened(venue) for venue in await store.venues(self._ground.db, list(org_ids), most)]

    async def mine(self, venue_id: UUID, actor: Actor) -> Venue:
        """A venue that this actor may run; UnknownVenue for anybody else's."""
        venue = await self.get(venue_id)
        if OPERATE not in actor.permissions and venue.org_id not in await self._orgs(actor):
            raise UnknownVenue
        if venue.closed_at is not None:
            raise BadCode("closed", "the venue is closed", "场所已停用")
        return venue

    async def _orgs(self, actor: Actor) -> set[UUID]:
        found = {actor.org_id} if actor.org_id is not None else set()
        if actor.person_id is not None:
            found |= {org.id for org, _ in await self._ground.identity.orgs.of_person(actor.person_id)}
        return found

    # -- codes --------------------------------------------------------------------------------------------------------

    def code(self, venue: Venue) -> str:
        """A fresh code for the venue's screen. A venue with a key of its own makes its codes itself."""
        if venue.own_key:
            raise BadField("venue", "it has its own key and makes its own codes", "该场所自持密钥，须自行生成动态码")
        return codes.make(codes.VENUE, venue.id, self._ground.now(), self._private(venue.id))

    def link(self, code: str) -> str:
        """What the screen's QR holds: any phone's camera opens it."""
        return f"{self._ground.url}/nomad/check-in?c={code}"

    async def of_code(self, text: str) -> tuple[Venue, codes.Code]:
        """The venue that really made a code; BadCode otherwise. Whether it is fresh is for the rule to say."""
        code = codes.read(text, codes.VENUE)
        venue = await self._known(code.id)
        if venue is None:
            raise BadCode("unknown", "no venue here has this code", "没有对应的场所")
        if not code.by(venue.public):
            raise BadCode("forged", "its signature does not hold", "签名无效")
        if venue.closed_at is not None:
            raise BadCode("closed", "the venue is closed", "场所已停用")
        return venue, code

    def _private(self, venue_id: UUID) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._ground.vault.secret(f"venue-{venue_id}"))


def age_s(at: datetime, now: datetime) -> int:
    """Whole seconds since a code was signed; negative when its clock is ahead."""
    return int((now - at).total_seconds() // 1)


def fingerprint(name: str, address: str) -> str:
    """The same place written with other case, width, spaces or dashes is the same place."""
    return "|".join(re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold()) for text in (name, address))


def _uncertified(venue: Venue, why: str, at: datetime) -> Notice:
    return Notice(
        "nomad.certificate",
        Words(f"“{venue.name}”的课程认证已收回", f"The courses of {venue.name} are no longer certified"),
        Words(f"理由：{why}。此后的课程不再享受城市补贴。", f"Why: {why}. The city pays for no further course."),
        Severity.WARNING, org_id=venue.org_id, link="/venues", dedupe=f"nomad-certificate:{venue.id}:{at.isoformat()}",
    )  # fmt: skip


def _text(field: str, text: str, most: int, least: int = 1) -> str:
    clean = unicodedata.normalize("NFC", text).strip()
    if not least <= len(clean) <= most or not all(char.isprintable() for char in clean):
        raise BadField(field, f"it has {least} to {most} printable characters", f"须为 {least}–{most} 个可见字符")
    return clean
