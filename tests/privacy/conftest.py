"""The whole city in one process over a fresh database, its pages and routes, and people who sign in to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from shanhe.app import Services, open_services
from shanhe.facts.api import NewFact, Standing
from shanhe.identity.api import Client, NewPerson, Role
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.settings import Settings
from shanhe.web import create_app
from stage.browsing import signed_in

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
PASSWORD = "correct horse 电池"


@dataclass
class House:
    """`services` and what tests do with them again and again."""

    services: Services
    clock: FixedClock
    site: Any

    async def person(self, login: str = "lin.xiao", *roles: Role, **given: Any) -> UUID:
        new = NewPerson(**{"name": "林晓", "login": login, "password": PASSWORD} | given)
        person = await self.services.identity.people.create(new, by="test")
        for role in roles:
            await self.services.identity.people.grant(person.id, role, by="test")
        return person.id

    async def own(self, person: UUID) -> UUID:
        """The organisation of one that a person is."""
        return (await self.services.identity.orgs.create_personal(person, by="test")).id

    async def browser(self, person: UUID, client: Client | None = None) -> httpx.AsyncClient:
        return await signed_in(self.services.identity, self.site, person, client=client)

    async def know(self, subject: UUID, name: str, value: Any, *, key: object = "") -> None:
        fact = NewFact(new_id(), subject, name, value, date(2024, 1, 1), None, str(key), Standing.CHECKED, "register")
        await self.services.facts.publish(fact, actor="test")


@pytest.fixture
async def house(dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    clock = FixedClock(NOON)
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    async with open_services(settings, "cli", clock) as services:
        yield House(services, clock, create_app(services))
