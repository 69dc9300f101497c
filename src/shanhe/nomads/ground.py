"""What every part of nomads stands on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.credentials.api import Credentials
from shanhe.facts.api import Facts
from shanhe.identity.api import Actor, Identity, OrgKind
from shanhe.kernel.asking import Akin, Announce, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.nomads.errors import NotAPerson, NotEligible
from shanhe.nomads.model import Venue
from shanhe.rulebook.api import Rulebook

CITY_KEY: Final = "nomad-codes"


@dataclass(frozen=True)
class Ground:
    db: Database
    clock: Clock
    vault: Vault
    ledger: Ledger
    rulebook: Rulebook
    facts: Facts
    identity: Identity
    credentials: Credentials
    notifier: Notifier
    announce: Announce
    record: Record
    akin: Akin
    url: str
    city: str

    def now(self) -> datetime:
        return self.clock.now()

    def today(self) -> date:
        return self.clock.today()

    def city_key(self) -> Ed25519PrivateKey:
        """Signs passes and tickets."""
        return Ed25519PrivateKey.from_private_bytes(self.vault.secret(CITY_KEY))

    def city_public(self) -> bytes:
        return self.city_key().public_key().public_bytes_raw()

    async def strangers(self, person_id: UUID, venue: Venue) -> None:
        """NotEligible where a venue would vouch for, or be paid for, one of its own people or a related party (R0)."""
        if await self.akin(person_id, venue.org_id):
            raise NotEligible(
                "own_venue", "the venue is the nomad's own, or a related party's (R0)",
                "场所属于持证人本人或其关联方（R0）",
                "Days and payments count at other venues.", "请在其他场所打卡或使用。",
            )  # fmt: skip

    async def person_of(self, actor: Actor) -> UUID:
        """The person who acts: signed in, or by a key of their own organisation of one."""
        if actor.person_id is not None:
            return actor.person_id
        if actor.org_id is not None:
            org = await self.identity.orgs.get(actor.org_id)
            if org.kind is OrgKind.PERSON and org.person_id is not None:
                return org.person_id
        raise NotAPerson

    async def purse(self, person_id: UUID) -> UUID:
        """The organisation of one that holds what a person has."""
        return (await self.identity.orgs.create_personal(person_id, by="nomads")).id
