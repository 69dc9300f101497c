"""Days present: proved, counted once, sealed with the person's key. Where is kept for disputes, then deleted."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from shanhe.identity.api import purposes
from shanhe.kernel.errors import NotFound
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import PersonErased
from shanhe.nomads import codes, store
from shanhe.nomads.errors import BadCode, NeedsConsent, NotEligible, TooOften, UnknownNomad
from shanhe.nomads.ground import Ground
from shanhe.nomads.model import CheckIn, Nomad, Proof, Purpose, Venue
from shanhe.nomads.venues import Venues, age_s

RULE: Final = "N1_presence"
QUALIFY: Final = "N1"
CONSENT: Final = "nomad_presence"
DAY_FIELD, PLACE_FIELD = "nomad.day", "nomad.place"
DAY_INDEX, RATE_INDEX = "nomad-day", "nomad-rate"
ENTRY: Final = "presence"
SALT_BYTES: Final = 16
NUMBER_CHARS: Final = 8
DRAWS_MAX: Final = 16
HOUR_S: Final = 3_600
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MONDAY: Final = 7


class Presence:
    """Nothing here tells an operator where anybody was: no method returns a venue of a person's day."""

    def __init__(self, ground: Ground, venues: Venues) -> None:
        self._ground = ground
        self._venues = venues

    # -- people -------------------------------------------------------------------------------------------------------

    async def nomad(self, person_id: UUID) -> Nomad:
        """The person as venues know them; made at the first question."""
        for _ in range(DRAWS_MAX):
            found = await store.nomad(self._ground.db, person_id=person_id)
            if found is not None:
                return found
            number = "N" + "".join(secrets.choice(ALPHABET) for _ in range(NUMBER_CHARS))
            await store.enrol(self._ground.db.writes, Nomad(person_id, uuid4(), number))
        raise UnknownNomad

    async def by_number(self, number: str) -> Nomad:
        found = await store.nomad(self._ground.db, number=number.strip().upper())
        if found is None:
            raise UnknownNomad
        return found

    async def consent(self, person_id: UUID, *, given: bool) -> None:
        """Give or withdraw the separate consent that PIPL 29 asks for. Days that counted stay."""
        consents = self._ground.identity.consents
        if given:
            notice = purposes()[CONSENT].notice(self._ground.today())
            await consents.give(person_id, CONSENT, notice_version=notice.version, apart=True)
        elif await consents.has(person_id, CONSENT):
            await consents.withdraw(person_id, CONSENT)

    def notice(self) -> dict[str, str]:
        """What people are told before they consent, in both languages: the one wording there is."""
        found = purposes()[CONSENT].notice(self._ground.today())
        return {"zh": found.notice_zh, "en": found.notice_en}

    async def consented(self, person_id: UUID) -> bool:
        return await self._ground.identity.consents.has(person_id, CONSENT)

    def pass_code(self, nomad: Nomad) -> str:
        """What a nomad's phone shows: a fresh signed handle, no name."""
        return codes.make(codes.PASS, nomad.handle, self._ground.now(), self._ground.city_key())

    async def of_pass(self, text: str) -> tuple[Nomad, codes.Code]:
        """Whose pass it is, if it is the city's and fresh."""
        code = codes.read(text, codes.PASS)
        if not code.by(self._ground.city_public()):
            raise BadCode("forged", "its signature does not hold", "签名无效")
        self._fresh(code)
        found = await store.nomad(self._ground.db, handle=code.id)
        if found is None:
            raise UnknownNomad
        return found, code

    def _fresh(self, code: codes.Code) -> None:
        now = self._ground.now()
        self._ruled(self._ground.today(), age_seconds=age_s(code.at, now))

    # -- proving ------------------------------------------------------------------------------------------------------

    async def check_in(self, person_id: UUID, text: str) -> CheckIn:
        """Count today by the code of a venue's screen. Again on the same day changes nothing."""
        ground, now = self._ground, self._ground.now()
        nomad = await self._allowed(person_id)
        hour = now.replace(minute=0, second=0, microsecond=0)
        attempts = await store.count(ground.db.writes, self._key("attempt", nomad.handle.hex), hour)
        self._ruled(ground.today(), attempts=attempts)
        venue, code = await self._venues.of_code(text)
        self._ruled(ground.today(), age_seconds=age_s(code.at, now))
        uses = await store.count(ground.db.writes, self._key("code", code.mark.hex()), hour)
        self._ruled(ground.today(), uses=uses)
        return await self._counted(nomad, ground.today(), Proof.CODE, venue)

    async def admit(self, venue: Venue, text: str) -> CheckIn:
        """Count today by a clerk who scans a nomad's pass."""
        nomad, _ = await self.of_pass(text)
        await self._allowed(nomad.person_id)
        return await self._counted(nomad, self._ground.today(), Proof.CLERK, venue)

    async def _counted(self, nomad: Nomad, day: date, proof: Proof, venue: Venue) -> CheckIn:
        counted = await self.record(nomad, day, proof, venue)
        return CheckIn(day, counted, len(await self._within(nomad.person_id, day)), venue.name)

    async def _allowed(self, person_id: UUID) -> Nomad:
        if not await self.consented(person_id):
            raise NeedsConsent
        return await self.nomad(person_id)

    def _ruled(self, seen_on: date, **facts: int) -> Any:
        """What the rule says of a proof; the refusal names what is wrong with it."""
        outputs = self._ground.rulebook.evaluate(RULE, {"seen_on": seen_on, **facts}, on=self._ground.today()).outputs
        if not outputs["fresh"]:
            raise BadCode("expired", "it has expired", "已过期")
        if not outputs["begun"]:
            raise BadCode("ahead", "its clock is ahead; set the device's time", "签发设备的时钟超前，请校时")
        if not outputs["allowed"]:
            whose = ("by you this hour", "您本小时") if "attempts" in facts else ("with this code", "该码")
            raise TooOften(*whose, retry_after_s=HOUR_S if "attempts" in facts else 60)
        if not outputs["dated"]:
            ahead = facts.get("days_back", 0) < 0
            raise NotEligible(
                "bad_day", "the day is in the future" if ahead else "the day is too long ago",
                "日期在未来" if ahead else "日期过早，已超过补报期限",
            )  # fmt: skip
        return outputs

    async def record(self, nomad: Nomad, day: date, proof: Proof, venue: Venue) -> bool:
        """Count a day by a proof; False when it counted already. The rule has the last word on the date; nobody's own
        venue vouches for them."""
        ground = self._ground
        await ground.strangers(nomad.person_id, venue)
        outputs = self._ruled(day, days_back=(ground.today() - day).days)
        salt = secrets.token_bytes(SALT_BYTES)
        plain = {"d": day.isoformat(), "p": str(proof), "s": base64.b64encode(salt).decode()}
        key = self._day_key(nomad.person_id, day)
        sealed = self._seal(nomad.person_id, DAY_FIELD, plain)
        place = self._seal(nomad.person_id, PLACE_FIELD, {"v": str(venue.id), "p": str(proof)})
        async with ground.db.transaction() as conn:
            if not await store.insert_day(conn, key, nomad.person_id, sealed):
                return False
            await store.insert_proof(conn, key, place, whole_weeks(outputs["forget_on"]))
            await store.tally(conn, venue.id, ground.today(), "presence", 1)
            await ground.record(conn, ENTRY, {}, {"commitment": _commitment(nomad, day, salt)})
        return True

    async def record_reviewed(self, nomad: Nomad, day: date) -> bool:
        """Count a day that was upheld on appeal, without a place; False when it counted already."""
        ground, salt = self._ground, secrets.token_bytes(SALT_BYTES)
        commitment = _commitment(nomad, day, salt)
        plain = {"d": day.isoformat(), "p": str(Proof.REVIEW), "s": base64.b64encode(salt).decode()}
        sealed = self._seal(nomad.person_id, DAY_FIELD, plain)
        async with ground.db.transaction() as conn:
            if not await store.insert_day(conn, self._day_key(nomad.person_id, day), nomad.person_id, sealed):
                return False
            await ground.record(conn, ENTRY, {}, {"commitment": commitment})
        return True

    async def elsewhere(self, nomad: Nomad, day: date, venue: Venue) -> bool:
        """Whether another lodging claims the same night; nothing is known once the place was deleted."""
        sealed = await store.proof(self._ground.db, self._day_key(nomad.person_id, day))
        found = self._open(nomad.person_id, PLACE_FIELD, sealed) if sealed is not None else None
        return found is not None and found["p"] == Proof.LODGING and found["v"] != str(venue.id)

    # -- counting -----------------------------------------------------------------------------------------------------

    async def days(self, person_id: UUID, purpose: Purpose, *, on: date, actor: str) -> list[date]:
        """The days that count in the rule's window up to a day. Every reading is written down with its purpose."""
        ground = self._ground
        await store.note_reading(ground.db, new_id(), person_id, purpose, ground.now(), actor)
        return await self._within(person_id, on)

    async def own(self, person_id: UUID, *, actor: str, most: int) -> list[dict[str, Any]]:
        """Every day that was ever counted, how it was proved and, as long as that is kept, where; for that person's own
        copy only."""
        ground, found = self._ground, []
        await store.note_reading(ground.db, new_id(), person_id, Purpose.OWN, ground.now(), actor)
        for row in await store.days_with_places(ground.db, person_id, most):
            plain = self._open(person_id, DAY_FIELD, row["day"])
            place = self._open(person_id, PLACE_FIELD, row["place"]) if row["place"] is not None else None
            if plain is not None:
                found.append({"day": plain["d"], "how": plain["p"], "venue": await self._named(place)})
        return sorted(found, key=lambda one: str(one["day"]), reverse=True)

    async def _named(self, place: dict[str, str] | None) -> str | None:
        if place is None:
            return None
        try:
            return (await self._venues.get(UUID(place["v"]))).name
        except NotFound:
            return place["v"]

    async def _within(self, person_id: UUID, on: date) -> list[date]:
        first = on - timedelta(days=int(self._ground.rulebook.parameter(QUALIFY, "window_days", on)) - 1)
        found = []
        for sealed in await store.days(self._ground.db, person_id):
            plain = self._open(person_id, DAY_FIELD, sealed)
            if plain is not None and first <= (day := date.fromisoformat(plain["d"])) <= on:
                found.append(day)
        return sorted(found)

    async def readings(self, person_id: UUID, *, most: int = store.ROWS_MAX) -> list[dict[str, Any]]:
        """Who read this person's days, when and for what, newest first; for the person."""
        return [dict(row) for row in await store.readings(self._ground.db, person_id, most)]

    async def forget(self) -> int:
        """Delete places, scans and counters whose time is over."""
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            return await store.forget(conn, self._ground.today(), now - timedelta(seconds=2 * HOUR_S))

    # -- sealing ------------------------------------------------------------------------------------------------------

    def _day_key(self, person_id: UUID, day: date) -> bytes:
        return self._ground.vault.blind_index(DAY_INDEX, f"{person_id}|{day.isoformat()}")

    def _key(self, what: str, whose: str) -> bytes:
        return self._ground.vault.blind_index(RATE_INDEX, f"{what}|{whose}")

    def _seal(self, person_id: UUID, field: str, plain: Any) -> bytes:
        return self._ground.vault.encrypt(person_id, field, msgspec.json.encode(plain).decode())

    def _open(self, person_id: UUID, field: str, sealed: bytes) -> Any:
        """The plain content; None when the person was erased."""
        try:
            return msgspec.json.decode(self._ground.vault.decrypt(person_id, field, sealed))
        except PersonErased:
            return None


def _commitment(nomad: Nomad, day: date, salt: bytes) -> str:
    return hashlib.sha256(b"shanhe-presence/1\n" + salt + nomad.handle.bytes + day.isoformat().encode()).hexdigest()


def whole_weeks(day: date) -> date:
    """The Monday on or after a day: a date of deletion that does not tell the day it came from."""
    return day + timedelta(days=-day.weekday() % MONDAY)
