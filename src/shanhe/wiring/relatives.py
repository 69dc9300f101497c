"""Who counts as one with an organisation (R0): by recorded facts, one cap, or a person in both; and who brought it."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import date
from typing import Final
from uuid import UUID

from shanhe.facts.api import Facts, Use
from shanhe.identity.api import Identity, OrgKind, Unknown
from shanhe.kernel.clock import Clock
from shanhe.kernel.errors import NotFound

KEPT_S: Final = 60.0
"""A relation is a matter of months; this is how late an order may learn of one."""
KEPT_MAX: Final = 5_000
MEMBERS_MAX: Final = 50
PARTIES_MAX: Final = 200


class Relatives:
    """Puts together what identity and facts know; neither knows the other."""

    def __init__(self, identity: Identity, facts: Facts, clock: Clock) -> None:
        self._identity = identity
        self._facts = facts
        self._clock = clock
        self._kept: OrderedDict[UUID, tuple[tuple[UUID, ...], float]] = OrderedDict()

    async def related(self, one: UUID, other: UUID) -> bool:
        """Whether two organisations are related parties."""
        if one == other:
            return True
        if await self._facts.related(await self._subject(one), await self._subject(other)) is not None:
            return True
        if await self._party(one) == await self._party(other):
            return True
        return await self._identity.orgs.share_a_member(one, other)

    async def akin(self, person_id: UUID, org_id: UUID) -> bool:
        """Whether a person belongs to an organisation, or to one related to it, or is related to it by a fact."""
        if await self._identity.orgs.is_member(org_id, person_id):
            return True
        subject = await self._subject(org_id)
        if subject == person_id or await self._facts.related(person_id, subject) is not None:
            return True
        for org, _ in await self._identity.orgs.of_person(person_id):
            if await self.related(org.id, org_id):
                return True
        return False

    async def parties(self, org_id: UUID) -> tuple[UUID, ...]:
        """Those whom an organisation may not trade with, as parties (who shares a cap is one); a bounded list."""
        kept = self._kept.get(org_id)
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        own, subject = await self._party(org_id), await self._subject(org_id)
        found = {await self._party_of(relative) for relative in await self._facts.relatives(subject)}
        for member in (await self._identity.orgs.members(org_id))[:MEMBERS_MAX]:
            found.add(await self._party_of(member.person_id))
            for org, _ in await self._identity.orgs.of_person(member.person_id):
                found.add(await self._party(org.id))
        parties = tuple(sorted(party for party in found - {own} if party is not None)[:PARTIES_MAX])
        self._kept[org_id] = parties, time.monotonic() + KEPT_S
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return parties

    async def sharing(self, org_id: UUID) -> tuple[UUID, ...]:
        """Who shares an organisation's yearly cap beside its own party (R0): a person's household, and organisations
        that are commonly owned or own one another; a bounded list."""
        own, subject = await self._party(org_id), await self._subject(org_id)
        ground, found = "household" if subject != org_id else "ownership", set[UUID | None]()
        for relative in await self._facts.relatives(subject, grounds=(ground,), by="credits"):
            if ground == "household" or await self._is_organisation(relative):
                found.add(await self._party_of(relative))
        return tuple(sorted(party for party in found - {own} if party is not None)[:PARTIES_MAX])

    async def _is_organisation(self, subject: UUID) -> bool:
        try:
            await self._identity.orgs.get(subject)
        except NotFound:
            return False
        return True

    async def referrer(self, org_id: UUID) -> tuple[UUID, date] | None:
        """Which organisation brought this one, and when it signed up: only what somebody else answers for (B2)."""
        org = await self._identity.orgs.get(org_id)
        for subject in (org_id, org.person_id):
            if subject is None:
                continue
            async with self._facts.reading(Use("related_parties", "gateway")) as reader:
                found = await reader.of(subject, wanted=["referred_by"], sound=True)
            for fact in found:
                if fact.value and (party := await self._earner(UUID(fact.key))) is not None:
                    return party, fact.valid_from
        return None

    async def _earner(self, party: UUID) -> UUID | None:
        """The organisation whose account a party's income goes to: itself, or the one of the person."""
        try:
            return (await self._identity.orgs.get(party)).id
        except NotFound:
            mine = [org.id for org, _ in await self._identity.orgs.of_person(party) if org.person_id == party]
            return mine[0] if mine else None

    async def _subject(self, org_id: UUID) -> UUID:
        """Whose facts count: those of the person behind an organisation of one, else its own."""
        org = await self._identity.orgs.get(org_id)
        return org.person_id if org.kind is OrgKind.PERSON and org.person_id is not None else org.id

    async def _party(self, org_id: UUID) -> UUID:
        return (await self._identity.orgs.payer_facts(org_id, self._clock.today())).beneficiary

    async def _party_of(self, subject: UUID) -> UUID | None:
        """The party of an organisation or a person; None for somebody the city does not know."""
        try:
            return await self._party(subject)
        except Unknown:
            pass
        try:
            return (await self._identity.people.get(subject)).cap_group or subject
        except Unknown:
            return None
