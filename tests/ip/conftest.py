"""The whole city in one process, with people who hold rights, an office that checks them, and callers who pay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest_asyncio

from shanhe.app import Services, open_services
from shanhe.gateway.api import ResourceTerms
from shanhe.identity.api import Caller, NewOrganisation, NewPerson, OrgKind
from shanhe.identity.api import Role as PersonRole
from shanhe.ip.api import File, Kind, NewEntry, Rights
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, NewLot, Posting, Provenance, Transfer
from shanhe.settings import Settings
from shanhe.web import create_app
from stage.browsing import signed_in, visitor

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
WHOLE = 1_000_000
CREDIT = 1_000_000


def ways_of(number: str) -> list[str]:
    """One number as people write it."""
    wide = "".join(chr(ord(one) + 0xFEE0) if one.isascii() and one.isalnum() else one for one in number)
    bare = number.removeprefix("ZL ")
    return [number, number.replace(" ", "").lower(), wide, bare.replace(" ", "-").replace(".", "·"), f" {number}/ "]


@dataclass
class City:
    services: Services
    clock: FixedClock
    site: Any
    officer: UUID
    serials: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def rights(self) -> Rights:
        return self.services.commons.rights

    async def company(self, name: str = "青山机器人", kind: OrgKind = OrgKind.COMPANY) -> UUID:
        new = NewOrganisation(kind, name, registration=uuid4().hex[:18], locally_registered=True)
        return (await self.services.identity.orgs.create(new, by="test")).id

    async def someone(self, name: str = "林晓") -> UUID:
        made = await self.services.identity.people.create(NewPerson(name, login=f"u{uuid4().hex[:12]}"), by="test")
        return made.id

    async def person(self, name: str = "林晓") -> UUID:
        """The organisation of one of a new person."""
        return (await self.services.identity.orgs.create_personal(await self.someone(name), by="test")).id

    async def reviewer(self, department: str) -> UUID:
        made = await self.someone("审核员")
        await self.services.programmes.reviewing.assign(made, department, actor="test")
        return made

    async def browser(self, org: UUID, *roles: PersonRole) -> httpx.AsyncClient:
        """Somebody who acts for an organisation, and perhaps for the city."""
        return await self.signed_in(org, await self.someone("经办人"), *roles)

    async def signed_in(self, org: UUID, person: UUID, *roles: PersonRole) -> httpx.AsyncClient:
        identity = self.services.identity
        await identity.orgs.set_member(org, person, PersonRole.OWNER, by="test")
        for role in roles:
            await identity.people.grant(person, role, by="test")
        return await signed_in(identity, self.site, person, org)

    def visitor(self) -> httpx.AsyncClient:
        """Somebody who has not signed in."""
        return visitor(self.site)

    def number(self) -> str:
        """A patent's number that no other test has."""
        return f"ZL 2026 1 {next(self.serials):07d}.2"

    # -- rights -------------------------------------------------------------------------------------------------------

    async def draft(
        self, org: UUID, number: str = "", *, shares: Sequence[tuple[UUID, int]] = (),
        rate_ppm: int | None = None, kind: Kind = Kind.INVENTION_PATENT, title: str = "一种质检方法",
    ) -> File:  # fmt: skip
        new = NewEntry(
            new_id(), kind, number or self.number(), title, "用于零部件表面缺陷检测", "国家知识产权局",
            date(2025, 3, 1), date(2026, 1, 20), "a" * 64, tuple(shares) or ((org, WHOLE),), rate_ppm,
        )  # fmt: skip
        return await self.rights.draft(new, org_id=org, actor="test")

    async def verified(self, org: UUID, number: str = "", **given: Any) -> File:
        """Registered with everybody's consent, and verified by the office."""
        made = await self.draft(org, number, **given)
        for party in made.waiting:
            await self.rights.answer(made.entry.id, org_id=party, accept=True, actor="test")
        await self.rights.file(made.entry.id, org_id=org, actor="test")
        return await self.rights.decide(made.entry.id, verify=True, reason="证书属实", person_id=self.officer)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def sell(self, name: str, maker: UUID, *rights: str, fee_micro: int = CREDIT) -> None:
        """A tool on sale whose calls use these rights."""
        terms = ResourceTerms(
            name=name, role="mcp_developer", markup_bps=100, fee_micro=fee_micro, makers=((maker, WHOLE),),
            rights=rights,
        )  # fmt: skip
        await self.services.gateway.charges.publish(terms, actor="test")

    async def call(self, payer: UUID, name: str) -> UUID:
        """A paid call of a tool; its receipt."""
        caller = Caller(uuid4(), payer, "k", None, None, None, None, None, None, "general", uuid4())
        toll = await self.services.gateway.toll(caller, name, name)
        await toll.book()
        assert toll.receipt_id is not None
        return toll.receipt_id

    async def rich(self, org: UUID, credits: int = 1_000) -> UUID:
        """An organisation with credits that it bought."""
        ledger = self.services.ledger
        issuance = await ledger.system_account("issuance", Asset.CREDIT)
        wallet = (await ledger.ensure_account(org, Asset.CREDIT, "wallet")).id
        lot = NewLot(account=wallet, provenance=Provenance.PURCHASED, amount=credits * CREDIT)
        transfer = Transfer(new_id(), issuance.id, wallet, credits * CREDIT)
        await ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=(lot,)))
        return org

    async def income(self, org: UUID, asset: str = "credit", kind: str = "income") -> int:
        account = await self.services.ledger.ensure_account(org, Asset(asset), kind)
        return (await self.services.ledger.balance(account.id)).balance


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(template: Any, tmp_path_factory: Any) -> AsyncIterator[City]:
    """One city for the tests of a module: each brings organisations and numbers of its own."""
    name, data = template.clone(), tmp_path_factory.mktemp("city")
    clock = FixedClock(NOON)
    settings = Settings(data=data, database_url=template.dsn(name), with_model=False, demo=True)
    async with open_services(settings, "cli", clock) as services:
        services.gateway._terms.platform = (await services.ledger.system_account("revenue", Asset.CREDIT)).id
        made = City(services, clock, create_app(services), UUID(int=0))
        made.officer = await made.reviewer("ip_office")
        yield made
    template.drop(name)
