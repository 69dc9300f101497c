"""The whole city in one process, and companies in it that buy credits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from shanhe.app import Services, open_services
from shanhe.credits.api import Purchase
from shanhe.facts.api import NewFact, Standing
from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind
from shanhe.identity.api import Role as PersonRole
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.settings import Settings
from shanhe.web import create_app
from stage.browsing import signed_in

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


@dataclass
class City:
    services: Services
    clock: FixedClock
    site: Any

    async def company(self, name: str, kind: OrgKind = OrgKind.COMPANY, **given: Any) -> UUID:
        new = NewOrganisation(kind, name, registration=uuid4().hex[:18], **given)
        return (await self.services.identity.orgs.create(new, by="test")).id

    async def local(self, name: str) -> UUID:
        """A company that is registered here, and checked."""
        org = await self.company(name, locally_registered=True)
        await self.services.identity.orgs.edit(org, {"local_verified": True}, by="test")
        return org

    async def know(self, org: UUID, name: str, value: Any, *, on: date = date(2024, 1, 1), key: object = "",
                   standing: Standing = Standing.CHECKED) -> None:  # fmt: skip
        fact = NewFact(new_id(), org, name, value, on, None, str(key), standing, "register")
        await self.services.facts.publish(fact, actor="test")

    async def allied(self, *orgs: UUID) -> UUID:
        """An alliance founded by the first, joined by the others."""
        alliances, made = self.services.alliances, uuid4()
        await alliances.found(orgs[0], alliance_id=made, name="智造联盟", purpose="共建质检模型", actor="test")
        for org in orgs[1:]:
            await alliances.invite(made, orgs[0], org, actor="test")
            await alliances.answer(made, org, accept=True, actor="test")
        return made

    async def buys(self, org: UUID, value_fen: int = 10_000) -> Purchase:
        """Order credits and have the sandbox pay them."""
        credits, sandbox, payments = self.services.credits, self.services.sandbox, self.services.payments
        made = await credits.purchase(org, client_ref=str(uuid4()), value_fen=value_fen, actor="person:t")
        assert sandbox is not None
        assert made.redirect_url is not None
        await sandbox.pay(made.redirect_url.rsplit("/", 1)[-1])

        async def receive(headers: Any, body: bytes) -> object:
            return await payments.notify("sandbox", headers, body)

        await sandbox.deliver_due(receive)
        return await credits.get(org, made.id)

    async def browser(self, org: UUID, *roles: PersonRole) -> httpx.AsyncClient:
        """Somebody who acts for a company, and perhaps for the city."""
        identity = self.services.identity
        person = await identity.people.create(NewPerson("经办人", login=f"u{uuid4().hex[:12]}"), by="test")
        await identity.orgs.set_member(org, person.id, PersonRole.OWNER, by="test")
        for role in roles:
            await identity.people.grant(person.id, role, by="test")
        return await signed_in(identity, self.site, person.id, org)


@pytest.fixture
async def city(dsn: str, tmp_path: Path) -> AsyncIterator[City]:
    clock = FixedClock(NOON)
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    async with open_services(settings, "cli", clock) as services:
        yield City(services, clock, create_app(services))
