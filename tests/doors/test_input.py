"""Whatever is sent to whatever route there is: a mistake of the sender is told as one, and never becomes ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from tests.doors.forms import Page
from tests.doors.samples import BODIES, FEW, TEXTS, VALUES, Samples, spoiled
from tests.doors.town import ENDS, PARAMETER, Route, Town, answer

from shanhe.identity.api import Role

JSON: Final = "application/json"
AWAY: Final = 502
"""An address that was asked for does not answer: the other side's matter."""
PAGES_MAX: Final = 300
LEAVING: Final = ("sign-out", "erase", "password", "suspend", "freeze", "personal", "second-factor")
"""What ends the session or the person, or what the person may do."""


def broke(response: httpx.Response | None) -> bool:
    return response is not None and response.status_code >= 500 and response.status_code != AWAY


def escaped(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="") or "%20"


def asked(route: Route, operation: dict[str, Any], samples: Samples) -> Iterator[tuple[str, dict[str, Any]]]:
    """(address, what is sent) with one thing wrong each time."""
    for name in PARAMETER.findall(route.path):
        for text in TEXTS:
            yield route.filled(**{name: escaped(text)}), {}
    good = {
        one["name"]: str(samples.of(one["schema"])) for one in operation.get("parameters", ()) if one["in"] == "query"
    }
    for name in good:
        for text in TEXTS:
            rest = [f"{other}={escaped(value)}" for other, value in good.items() if other != name]
            yield f"{route.filled()}?{'&'.join([*rest, f'{name}={escaped(text)}'])}", {}
            yield f"{route.filled()}?{name}={escaped(text)}", {}
    if route.method == "GET":
        return
    query, head = "&".join(f"{name}={escaped(value)}" for name, value in good.items()), {"content-type": JSON}
    schema = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    bodies = list(BODIES)
    if schema is not None:
        bodies += spoiled(samples.of(schema), (*FEW, *VALUES))
    for body in bodies:
        yield f"{route.filled()}?{query}", {"content": body, "headers": head}


async def broken(town: Town) -> list[str]:
    found: list[str] = []
    admin = await town.person(Role.ADMIN, org=town.company)
    async with await town.browser(admin) as boss:
        document = (await boss.get("/api/openapi.json")).json()
        samples = Samples(document)
        for route in town.routes():
            if not route.api or route.path in ENDS:
                continue
            operation = document["paths"].get(route.path, {}).get(route.method.lower(), {})
            for path, sent in asked(route, operation, samples):
                response = await answer(boss, route, path, **sent)
                if broke(response):
                    found.append(f"{route.method} {path[:200]} {str(sent)[:300]}")
    return found


@pytest.mark.prove
class TestApi:
    async def test_takes_whatever_is_sent(self, town: Town) -> None:
        assert await broken(town) == []


@pytest.mark.prove
class TestForm:
    async def test_takes_whatever_is_typed(self, town: Town) -> None:
        """Every form that the pages of somebody who may do everything show, with each field spoiled in turn."""
        found: list[str] = []
        admin = await town.person(Role.ADMIN, org=town.company)
        pages = [one.path for one in town.routes() if one.method == "GET" and not one.api and "{" not in one.path]
        seen: set[str] = set()
        sent: set[str] = set()
        async with await town.browser(admin) as boss:
            while pages and len(seen) < PAGES_MAX:
                path = pages.pop(0)
                if path in seen or path.startswith(("/static", "/api/")):
                    continue
                seen.add(path)
                response = await answer(boss, Route("GET", path), path)
                if broke(response):
                    found.append(f"GET {path}")
                if response is None or "text/html" not in response.headers.get("content-type", ""):
                    continue
                page = Page(path, response.text)
                pages += sorted(page.links - seen)
                for form in page.forms:
                    if form.action in sent or any(word in form.action for word in LEAVING):
                        continue
                    sent.add(form.action)
                    for name in form.fields:
                        for text in TEXTS:
                            fields = {**form.fields, name: text.encode("utf-8", "replace").decode()}
                            if form.method == "post":
                                got = await answer(boss, Route("POST", form.action), form.action, data=fields)
                            else:
                                got = await answer(boss, Route("GET", form.action), form.action, params=fields)
                            if broke(got):
                                found.append(f"{form.method} {form.action} {name}={text[:60]!r} on {path}")
        assert found == []
