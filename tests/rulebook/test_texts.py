"""A city keeps every text that it decided by: a decision is made again under it, whatever a release edits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from unittest.mock import patch

import asyncpg
import msgspec
import pytest

from rulebook.test_unfit import FACTS, middle
from shanhe.approvals.api import Approvals
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.rulebook import loader, service, texts
from shanhe.rulebook.api import Amendments, Outcome, Rulebook, open_rulebook, replay

ON = date(2026, 3, 1)
RESIDENT = {"category": "resident", "value_fen": 10_001}


@contextmanager
def release(rule: str, old: str, new: str) -> Iterator[None]:
    """A later release of the program, which edits what it had packaged."""
    packaged = loader.packaged_texts()
    assert old in packaged[rule]
    edited = {**packaged, rule: packaged[rule].replace(old, new)}

    def forget() -> None:
        loader.packaged.cache_clear()
        service._packaged.cache_clear()

    forget()
    try:
        with (
            patch.object(loader, "packaged_texts", lambda: edited),
            patch.object(texts, "packaged_texts", lambda: edited),
        ):
            yield
    finally:
        forget()


def decided(book: Rulebook, rule: str, facts: dict[str, Any], on: date = ON) -> dict[str, Any]:
    """A decision as it lies in a database: JSON."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(book.evaluate(rule, facts, on=on).trace))
    return found


A_FACT = "facts:\n  more_fen: {unit: fen, min: 0, max: 1, default: 0, zh: 更多, en: More}\n"
EDITS = [("value: 3000", "value: 3100"), ("zh: 优惠率", "zh: 折扣率"), ("facts:\n", A_FACT)]


class TestADecision:
    @pytest.mark.parametrize(("old", "new"), EDITS)
    async def test_is_made_again_under_the_text_it_was_made_under_after_a_release_edited_it(
        self, database: Database, clock: FixedClock, old: str, new: str
    ) -> None:
        trace = decided(await open_rulebook(database, clock), "P1", RESIDENT)
        with release("P1_resident_discount", old, new):
            later = await open_rulebook(database, clock)
            assert later.rule("P1").content_hash != trace["rule_hash"]
            assert replay(later, trace).outcome is Outcome.SAME
            trace["outputs"][0]["value"] += 1
            assert replay(later, trace).outcome is Outcome.DIFFERS
            assert replay(later, decided(later, "P1", RESIDENT)).outcome is Outcome.SAME

    async def test_is_made_again_with_the_amendment_that_counted_then_and_fits_no_more(
        self, database: Database, clock: FixedClock
    ) -> None:
        book = await open_rulebook(database, clock)
        amendments = Amendments(database, clock, book, Approvals(database, clock))
        content = middle(5_000, date(2027, 1, 1), clock.today()).content
        asked = await amendments.propose("C3", content, amendment_id=new_id(), by="person:a")
        await amendments.approve(asked.id, by="person:b")
        trace = decided(book, "C3", FACTS, date(2027, 2, 1))
        assert trace["outputs"][1]["value"] == 5_000
        with release("C3_asset_statement", "middle", "centre"):
            later = await open_rulebook(database, clock)
            assert [one.amendment.id for one in later.unfit] == [str(asked.id)]
            found = replay(later, trace)
            assert (found.outcome, found.now) == (Outcome.SAME, "")

    async def test_of_a_rule_that_shares_a_value_is_made_again_though_its_owner_was_edited(
        self, database: Database, clock: FixedClock
    ) -> None:
        facts = {"incubated": True, "paid_in_fen": 1_000, "tranche": 1}
        trace = decided(await open_rulebook(database, clock), "I5", facts)
        with release("P1_resident_discount", "en: List price", "en: Price of a credit"):
            later = await open_rulebook(database, clock)
            assert replay(later, trace).outcome is Outcome.SAME

    async def test_of_a_text_that_was_altered_is_not_made_again_under_it(
        self, database: Database, clock: FixedClock
    ) -> None:
        book = await open_rulebook(database, clock)
        trace = decided(book, "P1", RESIDENT)
        name, source = book.sources()[trace["rule_hash"]]
        forged = {name: source["files"][name].replace("value: 3000", "value: 3100")}
        with release("P1_resident_discount", "value: 3000", "value: 3200"):
            later = Rulebook.load()
            later.remember({trace["rule_hash"]: (name, {"files": {**source["files"], **forged}, "amendments": []})})
            assert replay(later, trace).outcome is Outcome.UNKNOWN


class TestTexts:
    async def test_are_kept_once_and_for_good(self, database: Database, clock: FixedClock) -> None:
        book = await open_rulebook(database, clock)
        count = await database.fetchval("SELECT count(*) FROM rulebook.text")
        assert count == len(book.ids())
        await open_rulebook(database, clock)
        with release("P1_resident_discount", "zh: 优惠率", "zh: 折扣率"):
            later = await open_rulebook(database, clock)
        changed = {"P1_resident_discount", *book.sharing("P1", ["discount"])}
        assert await database.fetchval("SELECT count(*) FROM rulebook.text") == count + len(changed)
        assert later.rule("P1").content_hash != book.rule("P1").content_hash
        for statement in ("UPDATE rulebook.text SET kept_at = now()", "DELETE FROM rulebook.text"):
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await database.execute(statement)


FORMER = {
    "P1": "51b13f70bb91d7c4e1ef0533c4997bebc7fdb4e583b521e23d100de63a9ad593",
    "B1": "15e907275611726e99285068c485fbb8f21d8b7cf4ea8c8e1588e18f32f66c1b",
    "F2": "c928ffbbd4da1e48ded51f8dead6392d0bbb4e57b695b8b538f43522450a143e",
    "C12": "2b0625c6c8df48de1043db868e13d0e6f33989361c4d716e70800680bdfe514a",
}
TEXT_OF_P1 = "5d2e54a7b37ffb12d05280db3fdb7529fdce3803864612bc5456d5d87526e9c5"


class TestTheHashOfAVersion:
    def test_of_every_format_is_what_receipts_and_traces_of_its_time_say(self) -> None:
        """Of rules as they stood when these were written; whoever edits one of these files takes another."""
        book = Rulebook.load()
        for rule, former in FORMER.items():
            found = book.in_force(rule, ON)
            assert former in found.names
            assert found.version in found.names
            assert found.version.startswith("2:")
        assert book.rule("P1").content_hash == TEXT_OF_P1

    def test_recorded_in_the_first_format_still_finds_its_decision(self) -> None:
        book = Rulebook.load()
        trace = decided(book, "P1", RESIDENT) | {"version": FORMER["P1"]}
        assert replay(book, trace).outcome is Outcome.SAME
        assert replay(book, trace | {"version": "3:" + "0" * 64}).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize(("old", "new"), [("closed: right", "closed: left"), ("unit: bps", "unit: ppm")])
    def test_is_another_when_an_edge_or_a_unit_is(self, old: str, new: str) -> None:
        rule = "F2_tiers" if "closed" in old else "B1_course_fee"
        book, text = Rulebook.load(), loader.packaged_texts()[rule]
        assert old in text
        changed, _ = book.with_file(text.replace(old, new, 1))
        assert changed.version(rule, ON) != book.version(rule, ON)

    def test_is_the_same_when_only_a_word_is_put_right_and_the_explanation_says_the_new_one(self) -> None:
        book, text = Rulebook.load(), loader.packaged_texts()["P1_resident_discount"]
        book.evaluate("P1", RESIDENT, on=ON)
        changed, _ = book.with_file(text.replace("zh: 优惠率", "zh: 折扣率"))
        assert changed.version("P1", ON) == book.version("P1", ON)
        titles = {one["title"]["zh"] for one in changed.evaluate("P1", RESIDENT, on=ON).trace["parameters"]}
        assert "折扣率" in titles

    async def test_in_another_format_is_no_change_for_the_log(self, database: Database, clock: FixedClock) -> None:
        async def entry(*_: Any, **__: Any) -> None: ...

        amendments = Amendments(database, clock, Rulebook.load(), Approvals(database, clock), entry=entry)
        await amendments.show()
        found = Rulebook.load().in_force("P1", clock.today())
        (former,) = found.names - {found.version}
        await database.execute("UPDATE rulebook.shown SET version = $1 WHERE rule_id = $2", former, found.rule.id)
        assert await amendments.show() == 0
