"""Who gets through to every route there is: what somebody adds tomorrow stands before the same questions."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from tests.doors.samples import Samples
from tests.doors.town import BY, CHANGES, ENDS, PARAMETER, Route, Town, answer

from shanhe.demo import seed
from shanhe.identity.api import Role, Stage
from shanhe.kernel.ids import new_id

REFUSED: Final = (401, 403)
SHOWN: Final = Path(__file__).parent / "shown_to_strangers.txt"
CITY: Final = Path(__file__).parent / "open_to_the_city.txt"
MADE_UP: Final = f"Bearer sk-sh-{'0' * 43}"
CHANGING: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\d[T ][\d:.+Z]+|[A-Za-z0-9_-]{40,}")
"""Numbers, moments and tokens that are others with each answer."""
SECOND_STEP: Final = ("/api/identity/sign-in", "/sign-in")
"""Where a session that waits for its second factor is awaited."""
PARTS: Final = 3
"""What asks every route for every record is cut, so that each part is over within a minute of a CPU."""
AGAIN: Final = 3
ALL: Final = frozenset({"keys", "usage", "topup", "chat", "receipts", "apply", "publish"})


def place(response: httpx.Response) -> str:
    return response.headers.get("location", "").partition("?")[0]


async def opened(
    town: Town, visitor: httpx.AsyncClient, *, methods: tuple[str, ...] = ("GET", *CHANGES)
) -> list[Route]:
    """Where a visitor gets anything but a refusal or what nobody in particular gets."""
    found = []
    async with town.client() as nobody, town.client() as guessing:
        guessing.headers["authorization"] = MADE_UP
        for route in town.routes():
            if route.method not in methods or route.path in ENDS:
                continue
            got = await answer(visitor, route)
            if got is None or got.status_code in REFUSED:
                continue
            plain = [await answer(one, route) for one in (nobody, guessing)]
            if (got.status_code, place(got)) not in [(one.status_code, place(one)) for one in plain if one is not None]:
                found.append(route)
    return found


async def offices(town: Town, routes: list[Route]) -> dict[str, str]:
    """Where an owner of an organisation is refused, and who with an office of the city is not: those offices."""
    let: dict[Route, list[str]] = {route: [] for route in routes if route.path not in ENDS}
    for role in (Role.OWNER, Role.ADMIN, Role.AUDITOR, Role.OPERATOR):
        granted = () if role is Role.OWNER else (role,)
        async with await town.browser(await town.person(*granted, org=town.company)) as visitor:
            for route, roles in let.items():
                got = await answer(visitor, route)
                if got is None or got.status_code not in REFUSED:
                    roles.append(role)
    return {str(route): " ".join(roles) for route, roles in let.items() if roles and Role.OWNER not in roles}


async def said(visitor: httpx.AsyncClient, route: Route, name: str, record: UUID, sent: Any) -> tuple[int, str]:
    """Status and words of an answer about a record, whatever it is called; a page's words are those of its body."""
    got = await answer(visitor, route, route.filled(**{name: str(record)}), **sent)
    if got is None:
        return 0, ""
    words = got.text.replace(str(record), "-").replace(record.hex, "-").replace(quote(str(record)), "-")
    return got.status_code, CHANGING.sub("", words)


class TestCredential:
    async def dead(self, town: Town, kind: str) -> httpx.AsyncClient:
        if kind == "suspended person":
            await town.person(Role.ADMIN)  # the last one can't be suspended
            person = await town.person(Role.ADMIN, org=town.company)
            browser = await town.browser(person)
            await town.identity.people.suspend(person, by=BY)
            return browser
        if kind == "session that waits for its second factor":
            return await town.browser(await town.person(Role.ADMIN, org=town.company), stage=Stage.SECOND_FACTOR)
        if kind == "expired key":
            soon = town.identity.now() + timedelta(seconds=1)
            _, client = await town.key(town.company, permissions=ALL, expires_at=soon)
            await asyncio.sleep(1.1)
            return client
        key, client = await town.key(town.company, permissions=ALL)
        if kind == "revoked key":
            await town.identity.keys.revoke(key, town.company, by=BY)
        else:
            await town.identity.orgs.freeze(town.company, "test", by=BY)
        return client

    @pytest.mark.parametrize(
        "kind",
        [
            "revoked key",
            *(
                pytest.param(one, marks=pytest.mark.prove)
                for one in (
                    "expired key", "key of a frozen organisation", "suspended person",
                    "session that waits for its second factor",
                )
            ),
        ],
    )  # fmt: skip
    async def test_that_is_dead_opens_no_door(self, town: Town, kind: str) -> None:
        async with await self.dead(town, kind) as visitor:
            found = await opened(town, visitor)
        assert [route for route in found if not ("session" in kind and route.path.startswith(SECOND_STEP))] == []


class TestForm:
    async def test_without_its_sessions_token_changes_nothing(self, town: Town) -> None:
        """Another site's page sends a browser's cookie, and never the token."""
        admin = await town.person(Role.ADMIN, org=town.company)
        async with await town.browser(admin, token=False) as forged:
            assert await opened(town, forged, methods=CHANGES) == []


@pytest.mark.prove
class TestStranger:
    @pytest.mark.parametrize("part", range(PARTS))
    async def test_cannot_tell_what_is_anothers_from_what_is_not_there(self, town: Town, part: int) -> None:
        """Whoever adds a route that shows others' records to strangers says so in the list beside this test."""
        await seed(town.services, {})
        await town.person(Role.ADMIN, org=town.company)
        theirs = await town.records()
        stranger = await town.person(org=await town.organisation("别家"))
        listed = {tuple(line.split(" ")) for line in SHOWN.read_text("utf-8").splitlines() if not line.startswith("#")}
        found = set()
        async with await town.browser(stranger) as visitor:
            samples = Samples((await visitor.get("/api/openapi.json")).json())
            for route in list(town.routes())[part::PARTS]:
                names = PARAMETER.findall(route.path)
                if len(names) != 1 or (route.method, route.path) in listed:
                    continue
                sent = samples.body(route.method, route.path)
                nowhere = await said(visitor, route, names[0], new_id(), sent)
                for one in theirs:
                    if await said(visitor, route, names[0], one, sent) == nowhere:
                        continue
                    for _ in range(AGAIN):  # what changes by the second, as a wait that is counted down, is asked again
                        nothing = await said(visitor, route, names[0], new_id(), sent)
                        got = await said(visitor, route, names[0], one, sent)
                        if got == nothing:
                            break
                    else:
                        found.add((route.method, route.path, str(one), str(got[0])))
        assert found == set()


@pytest.mark.prove
class TestCityRole:
    async def test_reaches_what_the_list_says_and_nothing_else(self, town: Town) -> None:
        """Whoever adds a route that an owner of an organisation is refused, and an office of the city is not, says in
        the list beside this test which offices."""
        listed = dict(line.split(" ; ") for line in CITY.read_text("utf-8").splitlines() if not line.startswith("#"))
        routes = list(town.routes())
        found = await offices(town, routes)
        for _ in range(2):  # a route that was too busy to refuse is asked again
            doubtful = [route for route in routes if found.get(str(route)) != listed.get(str(route))]
            found = {name: told for name, told in found.items() if name not in map(str, doubtful)}
            found |= await offices(town, doubtful)
        assert found == listed
