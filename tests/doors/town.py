"""Every route of the application, and who may stand before it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

import httpx

from shanhe.app import Services
from shanhe.identity.api import Client, NewKey, NewOrganisation, NewPerson, OrgKind, Role, Stage
from shanhe.kernel.ids import new_id
from shanhe.web import create_app

URL: Final = "http://localhost:8600"
BY: Final = "test"
CHANGES: Final = ("POST", "PUT", "PATCH", "DELETE")
PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
EACH: Final = 2
PRIMARY: Final = """
SELECT n.nspname, c.relname, a.attname
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
 WHERE i.indisprimary AND a.atttypid = 'uuid'::regtype AND c.relkind = 'r'
"""
ANSWER_S: Final = 10.0
ENDS: Final = ("/api/identity/sign-out", "/sign-out", "/api/identity/me/erase", "/my-data/erase")
"""What ends the session or the person that asks."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def api(self) -> bool:
        return self.path.startswith("/api/")

    def filled(self, **values: str) -> str:
        """The address with what is named, and nothing that exists in other places."""
        return PARAMETER.sub(lambda found: values.get(found[1], _nothing(found[1])), self.path)


def _nothing(name: str) -> str:
    return "1" if name in ("n", "number", "passage") else str(UUID(int=7))


async def answer(client: httpx.AsyncClient, route: Route, path: str = "", **sent: Any) -> httpx.Response | None:
    """What a route says; None for a stream that goes on."""
    if not sent and route.method in CHANGES:
        sent = {"json": {}} if route.api else {"data": {"x": "1"}}
    headers = ({} if route.api else {"accept": "text/html"}) | sent.pop("headers", {})
    try:
        async with asyncio.timeout(ANSWER_S):
            return await client.request(route.method, path or route.filled(), headers=headers, **sent)
    except TimeoutError:
        return None


class Town:
    def __init__(self, services: Services) -> None:
        self.services = services
        self.identity = services.identity
        self.site: Any = create_app(services)
        self.company = UUID(int=0)

    @classmethod
    async def founded(cls, services: Services) -> Self:
        town = cls(services)
        town.company = await town.organisation("青山机器人")
        return town

    def routes(self) -> Iterator[Route]:
        """Everything that the site serves, whoever added it."""
        for route in self.site._site._app.routes:
            for method in sorted(getattr(route, "methods", None) or ()):
                if method not in ("HEAD", "OPTIONS"):
                    yield Route(method, route.path)

    async def records(self) -> list[UUID]:
        """Two of each table's records that are known by a number, whatever tables there are."""
        tables = await self.services.db.fetch(PRIMARY)
        found: set[UUID] = set()
        for schema, table, column in tables:
            rows = await self.services.db.fetch(f'SELECT "{column}" FROM "{schema}"."{table}" ORDER BY 1 LIMIT {EACH}')
            found |= {UUID(str(row[0])) for row in rows}
        return sorted(found)

    async def organisation(self, name: str) -> UUID:
        return (await self.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by=BY)).id

    async def person(self, *roles: Role, org: UUID | None = None, role: Role = Role.OWNER) -> UUID:
        new = NewPerson("周敏", f"p{new_id().hex[-12:]}", password="correct horse 电池")
        person = (await self.identity.people.create(new, by=BY)).id
        for each in roles:
            await self.identity.people.grant(person, each, by=BY)
        if org is not None:
            await self.identity.orgs.set_member(org, person, role, by=BY)
        return person

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.site, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL, headers=headers)

    async def browser(self, person: UUID, *, stage: Stage = Stage.FULL, token: bool = True) -> httpx.AsyncClient:
        """A session's cookie, and unless it is to be forged the token of its forms."""
        issued = await self.identity.sessions.open(person, stage=stage, methods=("password",), client=Client())
        headers = {"x-csrf-token": issued.csrf} if token else {}
        return self.client(cookie=f"shanhe_session={issued.token}", **headers)

    async def key(self, org: UUID, **scope: Any) -> tuple[UUID, httpx.AsyncClient]:
        made, token = await self.identity.keys.create(org, NewKey("钥匙", **scope), by=BY)
        return made.id, self.client(authorization=f"Bearer {token}")
