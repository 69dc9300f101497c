"""Lists of one's own that are longer than a page: every row can be reached, by people and by programs."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from tests.ip.conftest import City, city

from shanhe.console.live import commons, company, governance, member
from shanhe.governance.api import NewProposal
from shanhe.identity.api import NewKey, Role
from shanhe.incubator import store as incubator_store
from shanhe.ip import store as ip_store
from shanhe.ip.service import Rights
from shanhe.kernel.ids import new_id
from shanhe.science import store as science_store
from shanhe.science.api import Kind, NewVersion
from shanhe.science.service import Science
from shanhe.wiring.books import Books
from stage.reading import fill

__all__ = ["city"]
MANY, PAGE = 7, 3
WHOLE = 1_000_000
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few rows."""
    monkeypatch.setattr(commons, "PAGE_ROWS", PAGE)
    monkeypatch.setattr(company, "BOOKED_ROWS", PAGE)
    for store in (ip_store, science_store, incubator_store):
        monkeypatch.setattr(store, "ROWS_MAX", PAGE)


async def reached(browser: httpx.AsyncClient, address: str, each: str) -> list[str]:
    """What a page shows, and every page that follows it."""
    found, here = list[str](), address
    for _ in range(MANY):
        text = (await browser.get(here)).text.replace("&amp;", "&")
        found += re.findall(each, text)
        links = re.findall(rf'class="btn small" href="({address}[?][^"]*(?:before|past)=[^"]+)"', text)
        if not links:
            return found
        here = links[-1]
    raise AssertionError("it has no end")


class TestList:
    async def test_of_rights_and_of_outputs_goes_on_to_its_end(self, city: City) -> None:
        org = await city.company()
        version = NewVersion("焊缝照片", "三百张照片。", "CC-BY-4.0", "a" * 64, "", ((org, WHOLE),))
        rights, outputs = list[str](), [new_id() for _ in range(MANY)]
        for one in outputs:
            await city.services.commons.science.deposit(one, Kind.DATASET, version, org_id=org, actor="test")
            rights.append(str((await city.draft(org)).entry.id))
        async with await city.browser(org) as browser:
            assert await reached(browser, "/ip/mine", r'href="/ip/([0-9a-f-]{36})"') == rights[::-1]
            shown = await reached(browser, "/science/mine", r'href="/science/([0-9a-f-]{36})"')
        assert shown == [str(one) for one in reversed(outputs)]

    async def test_of_keys_shows_those_that_people_made_however_often_the_playground_was_used_since(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of its sessions makes a key; what nobody sees nobody can revoke."""
        for name in ("KEYS_MAX", "KEYS_ROWS"):
            monkeypatch.setattr(member, name, PAGE)
        org, keys = await city.company(), city.services.identity.keys
        made = [str((await keys.create(org, NewKey(f"客服 {n}"), by="test"))[0].id) for n in range(PAGE + 2)]
        for _ in range(MANY):
            await city.services.identity.create_key(org, NewKey(member.PLAY_KEY), by="test", own=True)
        async with await city.browser(org) as browser:
            assert await reached(browser, "/keys", r'action="/keys/([0-9a-f-]{36})/revoke"') == made[::-1]
        async with await city.browser(await city.company(), Role.OPERATOR) as clerk:
            shown = await reached(clerk, f"/city/accounts/{org}", r">(客服 \d) <code")
        assert shown == [f"客服 {n}" for n in reversed(range(PAGE + 2))]

    async def test_of_bookings_goes_on_to_its_end(self, city: City) -> None:
        org = await city.company()
        booked = await book(city, org)
        async with await city.browser(org) as browser:
            assert await reached(browser, "/bookings", r'action="/bookings/([0-9a-f-]{36})/cancel"') == booked

    @pytest.mark.parametrize("address", ["/api/ip/mine", "/api/science/mine", "/api/incubator/bookings"])
    async def test_says_to_a_program_where_it_goes_on(
        self, city: City, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for one in (Rights.mine, Science.mine):
            assert one.__kwdefaults__ is not None
            monkeypatch.setitem(one.__kwdefaults__, "most", PAGE)
        monkeypatch.setitem(type(city.services.incubator).bookings.__kwdefaults__ or {}, "most", PAGE)
        org = await city.company()
        version = NewVersion("焊缝照片", "三百张照片。", "CC-BY-4.0", "a" * 64, "", ((org, WHOLE),))
        for _ in range(MANY):
            await city.services.commons.science.deposit(new_id(), Kind.DATASET, version, org_id=org, actor="test")
            await city.draft(org)
        await book(city, org)
        seen, before = list[str](), ""
        async with await city.browser(org) as browser:
            while before is not None:
                page = (await browser.get(address + before)).json()
                assert len(page["data"]) <= PAGE
                seen += [one["id"] for one in page["data"]]
                before = f"?before={page['next']}" if page["next"] else None
        assert len(set(seen)) == len(seen) == MANY


class TestProposals:
    async def test_of_years_can_be_looked_through_by_everybody(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(governance, "LISTED_ROWS", PAGE)
        deciding, person = city.services.governance.deciding, await city.someone()
        await deciding.seat(person, "digital", by="test")
        made = [str((await deciding.propose(policy(), person_id=person)).id) for _ in range(MANY)]
        async with city.visitor() as anybody:
            shown = await reached(anybody, "/governance", r'href="/governance/([0-9a-f-]{36})"')
        assert [one for one in shown if one in made] == made[::-1]


class TestComments:
    async def test_on_a_proposal_are_there_to_the_last_for_everybody(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deciding, person = city.services.governance.deciding, await city.someone()
        monkeypatch.setitem(type(deciding).file.__kwdefaults__ or {}, "most", PAGE)
        await deciding.seat(person, "digital", by="test")
        made = await deciding.propose(policy(), person_id=person)
        texts = [f"意见 {n}" for n in range(MANY)]
        for text in texts:
            await deciding.comment(made.id, person, text, comment_id=new_id())
        async with city.visitor() as anybody:
            assert await reached(anybody, f"/governance/{made.id}", r"<p>(意见 \d) <") == texts
            page = (await anybody.get(f"/api/governance/proposals/{made.id}")).json()
            rest = (await anybody.get(f"/api/governance/proposals/{made.id}?past={page['comments_next']}")).json()
        assert [one["text"] for one in page["comments"] + rest["comments"]] == texts[: 2 * PAGE]


class TestKey:
    async def test_that_works_is_named_to_who_is_told_of_a_price_however_many_came_after_it(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        org, keys = await city.company(), city.services.identity.keys
        for n in range(MANY):
            await keys.create(org, NewKey(f"客服 {n}"), by="test")
        monkeypatch.setitem(type(keys).list.__kwdefaults__ or {}, "limit", PAGE)
        books = Books(city.services.identity, cast("Any", None), cast("Any", None), city.clock, "")
        (told,) = [one for one in await books.affected("any") if one.org_id == org]
        assert len(told.keys) == MANY


def policy() -> NewProposal:
    content = {"instrument": "data_sandbox", "started_on": "2026-06-01", "rule_id": "H7_data_exchange",
               "outcome": "captured_micro"}  # fmt: skip
    return NewProposal(new_id(), "policy_lab", "数据流通沙盒", "试一试", date(2027, 1, 1), content)


async def book(city: City, org: UUID) -> list[str]:
    """Bookings to come, two at the same time; in the order of the list."""
    now, made = city.clock.now(), []
    for n in range(MANY):
        desk, one, at = new_id(), new_id(), now + timedelta(days=1 + n // 2)
        made.append((at, one))
        await fill(
            city.services.db,
            f"""INSERT INTO incubator.resource (id, service, name_zh, name_en, place, opens_hour, closes_hour, seats,
                                                added_by, added_at)
                VALUES ('{desk}', 'training', 'd', 'd', 'p', 0, 24, 9, 'x', '{now}')""",
            f"""INSERT INTO incubator.booking (id, resource, service, org_id, month, starts_at, ends_at, units, state,
                                               version, trace, booked_by, booked_at)
                VALUES ('{one}', '{desk}', 'training', '{org}', date_trunc('month', timestamptz '{at}'), '{at}',
                        timestamptz '{at}' + interval '1 hour', 1, 'booked', 'v', '{{}}', 'x', '{now}')""",
        )
    return [str(one) for _, one in sorted(made)]
