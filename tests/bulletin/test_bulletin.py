"""The weekly bulletin: what changed, what will, what is open; once a week, as it was said then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.console import double

from shanhe.bulletin.api import Bulletin, Item, Kind, NotDue, UnknownIssue, Words, as_markdown, feed, issue_view
from shanhe.bulletin.model import ITEMS_MAX
from shanhe.bulletin.news import rule_news
from shanhe.console.live.bulletin import LiveBulletin
from shanhe.kernel.clock import CITY_TZ, FixedClock
from shanhe.kernel.db import Database
from shanhe.rulebook.api import RuleAmendment, Rulebook

RULEBOOK = Rulebook.load()
WEEK = timedelta(days=7)
ANNOUNCED, STARTS = date(2026, 11, 20), date(2027, 1, 1)
LOWER = {"parameters": {"discount": [{"from": str(STARTS), "announced": str(ANNOUNCED), "value": 2500, "given": True}]}}
AMENDED = RULEBOOK.amended([RuleAmendment("a", "P1_resident_discount", LOWER, "council")])


def open_item(number: int) -> Item:
    return Item(
        kind=Kind.OPEN, ref=f"p{number:04}", title=Words("计划", "Programme"), says=Words("可以申请。", "Open."),
        link="/programmes/p",
    )  # fmt: skip


def bulletin(db: Database, clock: FixedClock, rulebook: Rulebook = RULEBOOK, items: Sequence[Item] = ()) -> Bulletin:
    async def found(since: date, until: date) -> Sequence[Item]:
        return items

    return Bulletin(db, clock, rulebook=rulebook, city="山河市", sources=(found,))


def kinds(rulebook: Rulebook, since: date, until: date, *, told: bool = True) -> list[str]:
    before = [("P1_resident_discount", STARTS)] if told else []
    news = rule_news(rulebook, since, until, WEEK, before)
    return [item.kind for item in news if item.ref == "P1_resident_discount"]


class TestNewsOfARule:
    def test_is_told_when_it_is_announced_again_before_it_begins_and_when_it_began(self) -> None:
        assert kinds(AMENDED, ANNOUNCED - WEEK, ANNOUNCED, told=False) == [Kind.RULE_COMING]
        assert kinds(AMENDED, ANNOUNCED, ANNOUNCED + WEEK) == []
        assert kinds(AMENDED, STARTS - 2 * WEEK, STARTS - WEEK) == [Kind.RULE_COMING]
        assert kinds(AMENDED, STARTS - WEEK, STARTS) == [Kind.RULE_NOW]
        assert kinds(AMENDED, STARTS, STARTS + WEEK) == []

    def test_that_nobody_knew_on_the_day_is_not_told_before(self) -> None:
        assert kinds(AMENDED, ANNOUNCED - 2 * WEEK, ANNOUNCED - WEEK, told=False) == []

    def test_says_the_numbers_of_the_rule(self) -> None:
        (item,) = [one for one in rule_news(AMENDED, ANNOUNCED - WEEK, ANNOUNCED, WEEK) if one.ref.startswith("P1_")]
        (change,) = AMENDED.differences("P1", STARTS - timedelta(days=1), STARTS)
        assert change.words.zh in item.says.zh
        assert "25 %" in item.says.zh
        assert str(STARTS) in item.says.en
        assert item.link == "/rules/P1_resident_discount"

    @given(st.dates(date(2026, 10, 1), date(2027, 2, 1)), st.integers(1, 30))
    @settings(max_examples=40, deadline=None)
    def test_is_told_as_begun_in_exactly_one_of_two_issues_that_meet(self, since: date, days: int) -> None:
        middle, until = since + timedelta(days=days), since + timedelta(days=2 * days)
        told = [kinds(AMENDED, *window).count(Kind.RULE_NOW) for window in ((since, middle), (middle, until))]
        assert sum(told) == kinds(AMENDED, since, until).count(Kind.RULE_NOW) == int(since < STARTS <= until)


class TestAnIssue:
    async def test_comes_once_a_week_and_tells_of_the_days_since_the_last(
        self, database: Database, clock: FixedClock
    ) -> None:
        mine = bulletin(database, clock, items=[open_item(1)])
        with pytest.raises(UnknownIssue):
            await mine.issue()
        done = [await mine.tick()]
        for _ in range(14):
            clock.advance(days=1)
            done.append(await mine.tick())
        assert done == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
        newest, middle, first = await mine.issues()
        assert (newest.since, middle.since, first.since) == (middle.day, first.day, first.day - WEEK)
        assert [one.day for one in await mine.issues(before=newest.day, limit=1)] == [middle.day]

    async def test_tells_of_a_change_that_was_decided_after_it_was_announced(
        self, database: Database, clock: FixedClock
    ) -> None:
        """Governance announces, waits for a veto, and changes the rulebook then: its announcement is days old."""
        told = []
        for week, rulebook in enumerate((RULEBOOK, AMENDED, AMENDED)):
            clock.set(datetime.combine(ANNOUNCED + (week + 0.5) * WEEK, time(12), CITY_TZ))
            issue = await bulletin(database, clock, rulebook).publish()
            told.append([item.on for item in issue.of(Kind.RULE_COMING) if item.ref == "P1_resident_discount"])
        assert told == [[], [STARTS], []]

    async def test_is_published_once_however_many_try(self, database: Database, clock: FixedClock) -> None:
        some = [bulletin(database, clock) for _ in range(4)]
        assert sum(await asyncio.gather(*(one.tick() for one in some))) == 1
        with pytest.raises(NotDue) as refused:
            await some[0].publish()
        assert "2026-11-27" in refused.value.message_zh

    async def test_stays_as_it_was_said_when_rules_change_later(self, database: Database, clock: FixedClock) -> None:
        said = issue_view(await bulletin(database, clock).publish())
        assert issue_view(await bulletin(database, clock, AMENDED).issue(ANNOUNCED)) == said
        assert "没有规则发生变化" in "".join(one["zh"] for one in said["talk"])

    async def test_tells_of_changes_and_counts_what_is_open(self, database: Database, clock: FixedClock) -> None:
        issue = await bulletin(database, clock, AMENDED, [open_item(n) for n in range(3)]).preview()
        talk = "".join(one.zh for one in issue.talk)
        assert "25 %" in talk
        assert "共 3 项" in talk
        assert "山河市" in talk
        assert "25 %" in as_markdown(issue)
        with pytest.raises(UnknownIssue):  # a preview publishes nothing
            await bulletin(database, clock).issue()

    async def test_says_what_found_no_room(self, database: Database, clock: FixedClock) -> None:
        issue = await bulletin(database, clock, items=[open_item(n) for n in range(ITEMS_MAX + 5)]).preview()
        assert (len(issue.items), issue.cut) == (ITEMS_MAX, 5)


class TestPage:
    async def test_shows_an_issue_of_the_module_and_where_there_is_none_says_when(
        self, database: Database, clock: FixedClock
    ) -> None:
        mine = bulletin(database, clock, items=[open_item(1)])
        desk = replace(double.desk(), bulletin=LiveBulletin(mine))
        transport = httpx.ASGITransport(double.app(desk), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
            assert "第一期将在一小时内发布" in (await client.get("/bulletin")).text
            issue = await mine.publish()
            for path in ("/bulletin", f"/bulletin/{issue.day}"):
                page = await client.get(path)
                assert page.status_code == 200
                assert 'href="/programmes/p"' in page.text
            assert (await client.get("/bulletin/2020-01-01")).status_code == 404


class TestFeed:
    async def test_is_atom_with_an_entry_an_issue(self, database: Database, clock: FixedClock) -> None:
        issue = await bulletin(database, clock, items=[open_item(1)]).publish()
        root = fromstring(feed([issue], "山河 & 市", "https://city.example"))
        ns = "{http://www.w3.org/2005/Atom}"
        assert root.findtext(f"{ns}entry/{ns}id") == f"https://city.example/bulletin/{issue.day}"
        assert "山河小智" in (root.findtext(f"{ns}entry/{ns}content") or "")
        assert fromstring(feed([], "市", "https://city.example")).findtext(f"{ns}updated")
