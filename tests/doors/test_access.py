"""Who gets through to every route there is: what somebody adds tomorrow stands before the same questions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import httpx
import pytest
from tests.doors.town import BY, CHANGES, ENDS, Route, Town, answer

from shanhe.identity.api import Role, Stage

REFUSED: Final = (401, 403)
SECOND_STEP: Final = ("/api/identity/sign-in", "/sign-in")
"""Where a session that waits for its second factor is awaited."""
ALL: Final = frozenset({"keys", "usage", "topup", "chat", "receipts", "apply", "publish"})


def place(response: httpx.Response) -> str:
    return response.headers.get("location", "").partition("?")[0]


async def opened(
    town: Town, visitor: httpx.AsyncClient, *, methods: tuple[str, ...] = ("GET", *CHANGES)
) -> list[Route]:
    """Where a visitor gets anything but a refusal or what nobody in particular gets."""
    found = []
    async with town.client() as nobody:
        for route in town.routes():
            if route.method not in methods or route.path in ENDS:
                continue
            got = await answer(visitor, route)
            if got is None or got.status_code in REFUSED:
                continue
            plain = await answer(nobody, route)
            if plain is None or (got.status_code, place(got)) != (plain.status_code, place(plain)):
                found.append(route)
    return found


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
