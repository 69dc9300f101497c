"""Whoever is signed in elsewhere finds nothing of a person, whatever address they ask and whatever number they know."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pytest

from shanhe.identity.api import NewOrganisation, OrgKind, Role

from .conftest import House
from .lives import live_on
from .test_erasure import VALUES, live

PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
NUMBERS_MAX: Final = 60
"""Of one schema, the newest ones: a life leaves fewer."""
TRIES_MAX: Final = 80
ANSWER_S: Final = 5
WORDS: Final = {
    "kind": ("prompt", "agent", "mcp", "clone", "data"), "slug": ("family", "digital", "fuzi", "records"),
    "fmt": ("csv", "pdf", "xlsx"), "n": ("1",), "number": ("1",), "server": ("records",), "model": ("good",),
}  # fmt: skip
PUBLIC: Final = frozenset({"listing title", "listing summary", "summary"})
"""An approved listing says so to everybody."""
RIGHT: Final = frozenset({"right number", "right title", "right abstract", "right office"})
OUTPUT: Final = frozenset({"name", "stranger", "output title", "output abstract", "output link", "output retraction"})
SAID: Final[dict[str, frozenset[str]]] = {
    "/api/ip": RIGHT, "/ip": RIGHT, "/api/science/deposits": OUTPUT, "/science": OUTPUT,
    "/api/governance/proposals": frozenset({"comment"}), "/governance": frozenset({"comment"}),
    "/api/store/listings": frozenset({"name", "stranger", "rating", "reply"}),
    "/store": frozenset({"name", "stranger", "rating", "reply", "version notes"}),
}  # fmt: skip
"""What a person puts before everybody, by where it begins: a verified right without its holder's name, an output with
its authors, a comment of a proposal, an offer with its maker and what was said of it."""


async def numbers(house: House) -> dict[str, list[str]]:
    """Primary keys by schema, the newest first."""
    tables = await house.services.db.fetch(
        """SELECT table_schema AS schema, table_name AS name, column_name AS key FROM information_schema.columns
           WHERE data_type = 'uuid' AND column_name IN ('id', 'person_id', 'org_id', 'receipt_id', 'posting_id')
             AND table_schema NOT IN ('kernel', 'pg_catalog', 'information_schema')"""
    )
    found: dict[str, set[str]] = {}
    for table in tables:
        schema, name, key = table["schema"], table["name"], table["key"]
        rows = await house.services.db.fetch(f"SELECT DISTINCT {key} AS k FROM {schema}.{name}")
        found.setdefault(schema, set()).update(str(row["k"]) for row in rows if row["k"])
    return {schema: sorted(ids, reverse=True)[:NUMBERS_MAX] for schema, ids in found.items()}


def addresses(route: Any, known: dict[str, list[str]], own: list[str]) -> Iterator[str]:
    """A route's addresses with everything that might be somebody's in each place."""
    names = PARAMETER.findall(route.path)
    module = route.endpoint.__module__.split(".")[1]
    schema = {"console": None}.get(module, module)
    ids = own + (known.get(schema, []) if schema else sorted(set(itertools.chain(*known.values())), reverse=True))
    choices = [WORDS.get(name, ids) if name in WORDS else ids for name in names]
    for tries, chosen in enumerate(itertools.product(*choices)):
        if tries >= (TRIES_MAX if schema else 240):
            return
        path = route.path
        for name, value in zip(names, chosen, strict=True):
            path = re.sub(rf"\{{{name}(:\w+)?\}}", value, path)
        yield path


def shown(path: str) -> frozenset[str]:
    """What everybody may read at an address."""
    return PUBLIC.union(*(names for start, names in SAID.items() if path.startswith(start)))


@pytest.mark.prove
class TestStranger:
    async def test_reads_nothing_of_somebody_else(self, house: House) -> None:
        person = await house.person(VALUES["login"], name=VALUES["name"], email=VALUES["email"], phone=VALUES["phone"])
        org = await house.own(person)
        await live(house, person, org)
        await live_on(house, person, org)
        stranger = await house.person("a.stranger", name="路人")
        await house.own(stranger)
        firm = await house.services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "路人公司"), by="t")
        await house.services.identity.orgs.set_member(firm.id, stranger, Role.OWNER, by="t")
        found = await self.told(house, stranger, org, person)
        for one in found:
            print(one)
        assert found == []

    async def told(self, house: House, stranger: UUID, org: UUID, person: UUID) -> list[tuple[str, int, list[str]]]:
        found, known = [], await numbers(house)
        app = house.site._site._app
        async with await house.browser(stranger) as browser:
            for route in app.routes:
                if "GET" not in (getattr(route, "methods", None) or ()):
                    continue
                seen = set()
                for path in addresses(route, known, [str(org), str(person)]):
                    try:
                        async with asyncio.timeout(ANSWER_S):
                            answer = await browser.get(path)
                    except TimeoutError:  # a stream that goes on
                        break
                    said = [name for name, value in VALUES.items() if value in answer.text and name not in shown(path)]
                    if (said or answer.status_code >= 500) and not seen & set(said):
                        seen.update(said)
                        found.append((path, answer.status_code, said))
        return found
