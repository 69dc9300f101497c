"""Who may do what over every route there is: an auditor changes nothing, a stranger reads nothing of somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from shanhe.app import Services, open_services
from shanhe.identity.api import Client, NewOrganisation, NewPerson, OrgKind, Role, Stage
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.settings import Settings
from shanhe.web import create_app

URL: Final = "http://localhost:8600"
CHANGES: Final = ("POST", "PUT", "PATCH", "DELETE")
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
REFUSED: Final = (401, 403)
ANSWER_S: Final = 5
OWN: Final = ("/settings/", "/my-data/", "/my-clones", "/notices/", "/api/identity/me", "/api/privacy/me/")
"""One's own account, data and consents."""
OPEN: Final = Path(__file__).parent / "open_to_auditors.txt"
NONSENSE: Final[tuple[Any, ...]] = (None, [], {"id": "x", "amount": "-1", "n": "99999999999999999999", "on": "never"})
ENDS: Final = (
    "/api/identity/sign-out", "/sign-out", "/api/identity/me/erase", "/my-data/erase", "/api/identity/me/personal",
    "/settings/personal",
)  # fmt: skip
"""What ends the session or the person, or lets them act for an organisation of their own: one's own to do."""


def routes_of(site: Any) -> Iterator[tuple[str, str]]:
    """(method, path) of everything that FastAPI serves."""
    app = site._site._app
    for route in app.routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, route.path


class City:
    def __init__(self, services: Services) -> None:
        self.services = services
        self.site = create_app(services)

    async def browser(self, *roles: Role, owner: bool = False) -> httpx.AsyncClient:
        new = NewPerson("周敏", f"p{new_id().hex[-12:]}", password="correct horse 电池")
        person = (await self.services.identity.people.create(new, by="test")).id
        for role in roles:
            await self.services.identity.people.grant(person, role, by="test")
        if owner:
            org = await self.services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "某企业"), by="test")
            await self.services.identity.orgs.set_member(org.id, person, Role.OWNER, by="test")
        issued = await self.services.identity.sessions.open(
            person, stage=Stage.FULL, methods=("password",), client=Client()
        )
        headers = {"cookie": f"shanhe_session={issued.token}", "x-csrf-token": issued.csrf}
        transport = httpx.ASGITransport(self.site, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL, headers=headers)


@pytest.fixture
async def city(dsn: str, tmp_path: Path) -> AsyncIterator[City]:
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    async with open_services(settings, "cli") as services:
        yield City(services)


def filled(path: str) -> str:
    return PARAMETER.sub(lambda found: "1" if found[1] in ("n", "number", "passage") else str(UUID(int=7)), path)


async def told(browser: httpx.AsyncClient, method: str, path: str, nonsense: Any = None) -> httpx.Response:
    """What a route answers to an empty form or object, or to nonsense."""
    if path.startswith("/api/"):
        return await browser.request(method, filled(path), json={} if nonsense is None else nonsense)
    given = {"data": nonsense if isinstance(nonsense, dict) else {"x": "1"}}
    return await browser.request(method, filled(path), headers={"accept": "text/html"}, **given)


class TestAuditor:
    async def test_is_refused_wherever_the_city_would_change(self, city: City) -> None:
        """Whoever adds a route that an auditor gets through to says so in the list beside this test."""
        listed = {tuple(line.split(" ")) for line in OPEN.read_text("utf-8").splitlines() if not line.startswith("#")}
        found = set()
        async with await city.browser(Role.AUDITOR) as auditor:
            for method, path in routes_of(city.site):
                if method in CHANGES and path not in ENDS:
                    answer = await told(auditor, method, path)
                    if answer.status_code not in REFUSED and not path.startswith(OWN):
                        found.add((method, path))
        assert found - listed == set()


@pytest.mark.prove
class TestNonsense:
    async def test_is_never_our_mistake(self, city: City) -> None:
        """Whoever may do everything and writes nonsense is told so; nothing breaks."""
        wrong = []
        async with await city.browser(Role.ADMIN, owner=True) as admin:
            for method, path in routes_of(city.site):
                if path in ENDS or method in ("HEAD", "OPTIONS"):
                    continue
                for nonsense in NONSENSE if method in CHANGES else (None,):
                    with contextlib.suppress(TimeoutError):  # a stream that goes on
                        async with asyncio.timeout(ANSWER_S):
                            answer = await told(admin, method, path, nonsense)
                            if answer.status_code == 500:
                                wrong.append((method, path, nonsense))
        print(wrong)
        assert wrong == []


class TestHands:
    async def test_of_a_batch_of_codes_are_named_on_the_page_and_kept_as_numbers_in_the_api(self, city: City) -> None:
        codes = city.services.credits.codes
        await codes.fund("contest", 10 * MICRO, posting_id=new_id(), reason="start", actor="test")
        made = await codes.create(
            client_ref="b", name="大赛", budget="contest", codes=2, value_micro=MICRO, provenance="reward",
            expires_at=city.services.clock.now() + timedelta(days=9), actor="cli",
        )  # fmt: skip
        async with await city.browser(Role.OPERATOR) as clerk:
            form = {"csrf": clerk.headers["x-csrf-token"], "reason": "印错"}
            assert (await clerk.post(f"/city/credits/batches/{made.id}/revoke", data=form)).status_code == 303
            page = (await clerk.get("/city/credits/batches")).text
            (batch,) = (await clerk.get("/api/credits/code-batches")).json()["data"]
        assert "办结： 周敏" in page
        assert batch["ended_by"].startswith("person:")
