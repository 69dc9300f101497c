from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from shanhe.identity.api import (
    Actor,
    Fate,
    Identity,
    Issued,
    Left,
    LeftKind,
    NewOrganisation,
    NewPerson,
    Options,
    Organisation,
    OrgKind,
    Person,
    Role,
    SecondFactor,
    Settled,
    Unknown,
    cookie_name,
)
from shanhe.identity.routes import router
from shanhe.identity.service import passwords
from shanhe.kernel import http
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault

PASSWORD = "correct horse 电池"
URL = "http://localhost:8600"


class Nothing:
    """Whoever goes leaves nothing behind; see `identity.left_model.Leaving`."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def of(self, org_id: UUID, person_id: UUID | None = None) -> Sequence[Left]:
        return []

    async def settle(
        self, org_id: UUID, kind: LeftKind, left_id: UUID, fate: Fate, *, grace_s: int = 0, by: Actor | str
    ) -> Settled:
        raise Unknown("thing left behind", "遗留项")

    async def remove(
        self, org_id: UUID, person_id: UUID, fate: Fate | None, *, grace_s: int = 0, by: Actor | str
    ) -> Sequence[Settled]:
        await self._identity.orgs.remove_member(org_id, person_id, by=by)
        return []


@dataclass
class City:
    """An identity over a fresh database, and hands to do common things with it."""

    db: Database
    clock: FixedClock
    vault: Vault
    identity: Identity
    _apps: dict[int, FastAPI] = field(default_factory=dict)

    async def person(self, login: str = "zhang.wei", *roles: Role, email: str | None = None) -> Person:
        new = NewPerson(name="张伟", login=login, email=email, phone="138 0013 8000", password=PASSWORD)
        person = await self.identity.people.create(new, by="test")
        for role in roles:
            await self.identity.people.grant(person.id, role, by="test")
        return await self.identity.people.get(person.id)

    async def org(self, name: str = "山河数据", owner: UUID | None = None) -> Organisation:
        return await self.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), owner=owner, by="test")

    async def member(self, login: str = "zhang.wei", org: str = "山河数据") -> tuple[Person, Organisation]:
        person = await self.person(login)
        return person, await self.org(org, person.id)

    async def sign_in(self, login: str = "zhang.wei") -> Issued:
        return await self.identity.sign_in(login, PASSWORD)

    def app(self) -> FastAPI:
        """The application over the identity there is now; made once, for routes take their time."""
        if id(self.identity) not in self._apps:
            app = self._apps[id(self.identity)] = FastAPI()
            app.state.identity = self.identity
            http.install(app)
            http.take(app, router(self.identity, Nothing(self.identity)))
        return self._apps[id(self.identity)]

    def browser(self, issued: Issued | None = None) -> httpx.AsyncClient:
        """A client with a session's cookie and CSRF token."""
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app()), base_url=URL)
        if issued is not None:
            client.cookies.set(cookie_name(self.identity), issued.token, domain="localhost.local", path="/")
            client.headers["x-csrf-token"] = issued.csrf
        return client


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real algorithm with the least of its cost, which a test of its own holds."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 8)
    monkeypatch.setattr(passwords, "PASSES", 1)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "keys")


@pytest.fixture
async def city(database: Database, clock: FixedClock, vault: Vault) -> AsyncIterator[City]:
    options = Options(url=URL, second_factor=SecondFactor.REQUIRED)
    return City(database, clock, vault, Identity(database, clock, vault, options))
