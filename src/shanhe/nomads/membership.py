"""Recognised organisations of nomads (N2) and the membership proofs they sign with their own key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.credentials.api import CredentialRefused, public_jwk, read_jws, sign_jws
from shanhe.facts.api import NewFact, Standing, Use
from shanhe.kernel.clock import city_date
from shanhe.nomads import store
from shanhe.nomads.errors import KeyTaken, NotRelied
from shanhe.nomads.ground import Ground
from shanhe.nomads.presence import Presence

TYPE: Final = "nomad-member+jwt"
FACT: Final = "nomad_member"
PURPOSE: Final = "programmes"
"""What facts of nomads are read for; people were told of it."""


class Membership:
    """Operators recognise an organisation by its public key; its members hand in what it signed."""

    def __init__(self, ground: Ground, presence: Presence) -> None:
        self._ground = ground
        self._presence = presence

    async def recognise(self, org_id: UUID, public: bytes, *, actor: str) -> None:
        """Put an organisation on the list, or exchange its key; KeyTaken for another's."""
        await self._ground.identity.orgs.get(org_id)
        try:
            await store.set_organisation(self._ground.db, org_id, public, self._ground.today(), actor)
        except asyncpg.UniqueViolationError as error:
            raise KeyTaken() from error

    async def strike(self, org_id: UUID) -> None:
        """Take it off from tomorrow; what it signed no longer counts then."""
        await store.end_organisation(self._ground.db, org_id, self._ground.today())

    async def list(self) -> Sequence[Any]:
        return await store.organisations(self._ground.db)

    async def hand_in(self, person_id: UUID, token: str, *, actor: str) -> date:
        """Believe a membership proof; the last day of the membership. NotRelied with why."""
        nomad = await self._presence.nomad(person_id)
        org_id, said = await self._read(token)
        if said.get("sub") != nomad.number:
            raise NotRelied("it names another nomad number", "写明的是他人的游民编号")
        first, last = _day(said.get("iat")), _day(said.get("exp"))
        if first is None or last is None or not first <= self._ground.today() <= last:
            raise NotRelied("it is not valid today", "今日不在有效期内")
        fact = NewFact(
            UUID(bytes=hashlib.sha256(token.encode()).digest()[:16]), person_id, FACT, True, first, last,
            key=str(org_id), standing=Standing.CHECKED, source="nomad organisation",
        )  # fmt: skip
        await self._ground.facts.publish(fact, actor=actor)
        return last

    async def _read(self, token: str) -> tuple[UUID, dict[str, Any]]:
        try:
            org_id = UUID(str(peek(token).get("iss")))
        except ValueError:
            raise NotRelied("it names no organisation", "未写明机构") from None
        row = await store.organisation(self._ground.db, org_id)
        if row is None or (row["until"] is not None and row["until"] < self._ground.today()):
            raise NotRelied("the organisation is not on the list", "该机构不在白名单")
        try:
            return org_id, read_jws(token.strip(), [public_jwk(row["public"], str(org_id))], TYPE)
        except CredentialRefused as error:
            raise NotRelied("its signature does not hold", "签名无效") from error

    async def member(self, person_id: UUID, on: date) -> bool:
        """Whether a recognised organisation vouches for a person on a day."""
        async with self._ground.facts.reading(Use(PURPOSE, "nomads")) as reader:
            found = await reader.of(person_id, on=on, wanted=[FACT], sound=True)
        for fact in found:
            row = await store.organisation(self._ground.db, UUID(fact.key))
            if fact.value and row is not None and (row["until"] is None or on <= row["until"]):
                return True
        return False


def attest(org_id: UUID, number: str, first: int, last: int, key: Ed25519PrivateKey) -> str:
    """A membership proof, as an organisation signs it: from and until in Unix seconds."""
    return sign_jws(
        {"typ": TYPE, "kid": str(org_id)}, {"iss": str(org_id), "sub": number, "iat": first, "exp": last}, key
    )


def peek(token: str) -> dict[str, Any]:
    """What an unverified token says of itself: only to know whose key to try."""
    try:
        part = token.strip().split(".")[1]
        found = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, msgspec.DecodeError):
        raise NotRelied("it can't be read", "无法识别") from None
    if not isinstance(found, dict):
        raise NotRelied("it can't be read", "无法识别")
    return found


def _day(seconds: object) -> date | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
        return None
    try:
        return city_date(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError):  # later than any calendar
        return None
