"""Amendments are rows: proved before they are written, never changed after."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from shanhe.approvals.api import Approvals, Deed, RequestState, SamePerson
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.ids import new_id
from shanhe.rulebook.api import (
    AMENDMENT,
    Amendments,
    RuleAmendment,
    Rulebook,
    RuleFileInvalid,
    load_amended,
    record,
)
from stage.faults import lost_mark

LATER = date(2027, 1, 1)


def discount(value: Any = 2500, **more: Any) -> dict[str, Any]:
    row = {"from": "2027-01-01", "announced": "2026-11-20", "value": value, "given": True}
    return {"parameters": {"discount": [row]}, **more}


def amendment(content: dict[str, Any], identifier: str = "") -> RuleAmendment:
    return RuleAmendment(identifier or str(new_id()), "P1_resident_discount", content, "council 2026-14", "lower rate")


class TestAmendmentRows:
    async def test_survive_and_are_layered_in_order(self, database: Database, clock: FixedClock) -> None:
        rulebook = await load_amended(database)
        rulebook = await record(database, clock, rulebook, amendment(discount()))
        assert rulebook.parameter("P1", "discount", LATER) == 2500
        again = await load_amended(database)
        assert again.parameter("P1", "discount", LATER) == 2500
        assert again.parameter("P1", "discount", date(2026, 12, 31)) == 3000
        assert again.rule("P1").content_hash == rulebook.rule("P1").content_hash

    async def test_are_idempotent_by_id(self, database: Database, clock: FixedClock) -> None:
        base, first = await load_amended(database), amendment(discount())
        await record(database, clock, base, first)
        await record(database, clock, base, first)
        assert await database.fetchval("SELECT count(*) FROM rulebook.amendment") == 1
        with pytest.raises(Conflict):
            await record(database, clock, base, amendment(discount(2000), first.id))

    async def test_that_fail_a_proof_are_not_recorded(self, database: Database, clock: FixedClock) -> None:
        base = await load_amended(database)
        wrong = {"name": "wrong", "on": "2027-02-01", "facts": {"value_fen": 100, "category": "resident"}}
        with pytest.raises(Invalid, match="example"):
            await record(
                database, clock, base, amendment(discount(examples=[wrong | {"outputs": {"benefit_fen": 30}}]))
            )
        with pytest.raises(RuleFileInvalid):
            await record(database, clock, base, amendment(discount("a lot")))
        assert await database.fetchval("SELECT count(*) FROM rulebook.amendment") == 0

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE rulebook.amendment SET note = 'x'",
            "DELETE FROM rulebook.amendment",
            "TRUNCATE rulebook.amendment CASCADE",
        ],
    )
    async def test_are_never_changed(self, database: Database, clock: FixedClock, statement: str) -> None:
        await record(database, clock, Rulebook.load(), amendment(discount()))
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await database.execute(statement)


class TestProposal:
    async def test_is_in_force_once_a_second_person_agrees(self, database: Database, clock: FixedClock) -> None:
        book = Rulebook.load()
        amendments = Amendments(database, clock, book, Approvals(database, clock))
        asked = await amendments.propose("P1", discount(), amendment_id=new_id(), by="person:a", note="budget")
        again = await amendments.propose("P1", discount(), amendment_id=asked.id, by="person:a", note="budget")
        assert (again.id, again.state) == (asked.id, RequestState.OPEN)
        assert book.parameter("P1", "discount", LATER) == 3000
        with pytest.raises(SamePerson):
            await amendments.approve(asked.id, by="person:a")
        assert book.parameter("P1", "discount", LATER) == 3000
        await amendments.approve(asked.id, by="person:b")
        await amendments.approve(asked.id, by="person:b")
        assert book.parameter("P1", "discount", LATER) == 2500
        assert book.parameter("P1", "discount", date(2026, 12, 31)) == 3000
        assert [one.decided_by for one in await amendments.recorded()] == ["person:a, person:b"]

    async def test_agreed_to_at_the_desk_of_all_requests_is_recorded_once(
        self, database: Database, clock: FixedClock
    ) -> None:
        book, approvals = Rulebook.load(), Approvals(database, clock)
        amendments = Amendments(database, clock, book, approvals)
        approvals.deeds[AMENDMENT] = Deed(amendments.carry_out, ready=amendments.ready)
        asked = await amendments.propose("P1", discount(), amendment_id=new_id(), by="person:a", note="budget")
        other = await amendments.propose("P1", discount(2000), amendment_id=new_id(), by="person:a")
        with lost_mark():
            await approvals.agree(asked.id, by="person:b")
        assert (await approvals.again(asked.id, by="person:b")).state is RequestState.DONE
        assert book.parameter("P1", "discount", LATER) == 2500
        assert [one.decided_by for one in await amendments.recorded()] == ["person:a, person:b"]
        with pytest.raises(RuleFileInvalid, match="two versions"):
            await approvals.agree(other.id, by="person:b")
        assert (await approvals.get(other.id)).state is RequestState.REFUSED

    async def test_that_fails_a_proof_asks_nobody(self, database: Database, clock: FixedClock) -> None:
        amendments = Amendments(database, clock, Rulebook.load(), Approvals(database, clock))
        wrong = {"name": "wrong", "on": "2027-02-01", "facts": {"value_fen": 100, "category": "resident"}}
        with pytest.raises(Invalid):
            await amendments.propose(
                "P1",
                discount(examples=[wrong | {"outputs": {"benefit_fen": 30}}]),
                amendment_id=new_id(),
                by="person:a",
            )
        assert await amendments.proposals() == []

    async def test_of_a_shared_value_is_checked_with_those_who_share_it(
        self, database: Database, clock: FixedClock
    ) -> None:
        amendments = Amendments(database, clock, Rulebook.load(), Approvals(database, clock))
        price = {"from": "2025-06-01", "announced": "2025-05-01", "value": 200, "given": True}
        with pytest.raises(Invalid, match="example"):  # the examples of 2026 say what a credit costs
            await amendments.propose(
                "P1", {"parameters": {"list_price_fen": [price]}}, amendment_id=new_id(), by="person:a"
            )
        with pytest.raises(RuleFileInvalid, match="amend it there"):
            await amendments.propose(
                "I4", {"parameters": {"list_price_fen": [price]}}, amendment_id=new_id(), by="person:a"
            )

    async def test_two_that_contradict_are_not_both_recorded(self, database: Database, clock: FixedClock) -> None:
        amendments = Amendments(database, clock, Rulebook.load(), Approvals(database, clock))
        one = await amendments.propose("P1", discount(2500), amendment_id=new_id(), by="person:a")
        two = await amendments.propose("P1", discount(2000), amendment_id=new_id(), by="person:a")
        await amendments.approve(one.id, by="person:b")
        with pytest.raises(RuleFileInvalid, match="two versions"):
            await amendments.approve(two.id, by="person:b")
        assert [row.id for row in await amendments.recorded()] == [str(one.id)]
        assert (await load_amended(database)).parameter("P1", "discount", LATER) == 2500

    async def test_reaches_another_process_without_a_restart(self, database: Database, clock: FixedClock) -> None:
        here, there = (Amendments(database, clock, Rulebook.load(), Approvals(database, clock)) for _ in range(2))
        book = there._rulebook
        there.follow()
        asked = await here.propose("P1", discount(), amendment_id=new_id(), by="person:a")
        for _ in range(300):  # the listener connects in its own time; what it missed it reads when told next
            await database.execute("SELECT pg_notify('rulebook_amended', '')")
            if not await here.recorded():
                await here.approve(asked.id, by="person:b")
            if book.parameter("P1", "discount", LATER) == 2500:
                break
            await asyncio.sleep(0.05)
        assert book.parameter("P1", "discount", LATER) == 2500


class TestLog:
    async def test_shows_an_amendment_when_it_is_recorded_and_when_it_is_in_force(
        self, database: Database, clock: FixedClock
    ) -> None:
        entries: list[tuple[Any, ...]] = []

        async def entry(conn: Any, kind: str, public: Any, private: Any, *, id: Any = None) -> None:
            entries.append((kind, public, private, id))

        book = Rulebook.load()
        amendments = Amendments(database, clock, book, Approvals(database, clock), entry=entry)
        assert await amendments.show() == len(entries) > 100
        assert await amendments.show() == 0
        entries.clear()
        asked = await amendments.propose("P1", discount(), amendment_id=new_id(), by="person:a", note="budget")
        await amendments.approve(asked.id, by="person:b")
        await amendments.approve(asked.id, by="person:b")
        ((kind, public, private, number),) = entries
        assert (kind, public["rule"], public["note"], number) == (
            "rule.amended", "P1_resident_discount", "budget", asked.id,
        )  # fmt: skip
        assert "person" not in str(public)
        assert private["decided_by"] == "person:a, person:b"
        assert await amendments.show() == 0  # its day is still to come
        before = book.version("P1", clock.today())
        clock.set(datetime(2027, 1, 1, 2, 0, tzinfo=UTC))
        assert await amendments.show() >= 1  # and whatever else begins in between
        amended = {"rule": "P1_resident_discount", "version": book.version("P1", LATER), "before": before}
        assert ("rule.in_force", amended) in [one[:2] for one in entries]

    async def test_shows_nothing_of_what_was_rolled_back(self, database: Database, clock: FixedClock) -> None:
        async def entry(*_: Any, **__: Any) -> None:
            raise RuntimeError

        amendments = Amendments(database, clock, Rulebook.load(), Approvals(database, clock), entry=entry)
        asked = await amendments.propose("P1", discount(), amendment_id=new_id(), by="person:a")
        with pytest.raises(RuntimeError):
            await amendments.approve(asked.id, by="person:b")
        assert await amendments.recorded() == []
        assert (await Approvals(database, clock).get(asked.id)).state is RequestState.OPEN


class TestDifferences:
    async def test_say_what_changed_in_words_and_when_it_was_announced(
        self, database: Database, clock: FixedClock
    ) -> None:
        book = await record(database, clock, Rulebook.load(), amendment(discount()))
        assert book.differences("P1", date(2026, 1, 1), date(2026, 12, 31)) == []
        (change,) = book.differences("P1", date(2026, 12, 31), LATER)
        assert change.words.zh == "优惠率由 30 % 变为 25 %，减少 5 %"
        assert change.words.en == "Discount goes from 30 % to 25 %, down 5 %"
        assert (change.start, change.announced, change.before, change.after) == (LATER, date(2026, 11, 20), 3000, 2500)

    def test_say_sums_with_their_unit_and_formulas_by_what_they_work_out(self) -> None:
        found = Rulebook.load().differences("P7_rank_reward", date(2026, 11, 30), date(2026, 12, 1))
        words = [change.words for change in found]
        assert "付费方计入的最低自付金额由 0.00 积分 变为 10.00 积分，增加 10.00 积分" in [one.zh for one in words]
        assert any("from 0.00 credits to 10.00 credits, up 10.00 credits" in one.en for one in words)
        assert words[-1].zh == "公式有改动：奖励"
        assert words[-1].en == "The formula changed: Reward"

    def test_reach_bands_tables_and_formulas(self) -> None:
        book = Rulebook.load()
        (change,) = book.differences("F1", date(2024, 12, 31), date(2025, 1, 1))
        assert change.words.en == "Share of the government goes from 50 % to 40 %, down 10 %"
        bands = [{"from": 0, "to": 60000, "value": 2000}, {"from": 60000, "to": None, "value": 1000}]
        tiers = {"from": "2027-01-01", "announced": "2026-12-01", "given": True, "value": bands}
        later = book.amended([RuleAmendment(str(new_id()), "B1_course_fee", {"parameters": {"fees": [tiers]}}, "x")])
        (change,) = later.differences("B1", date(2026, 1, 1), LATER)
        assert "0–60,000: 20 %, 60,000–∞: 10 %" in change.words.en
        formula = {"from": "2027-01-01", "announced": "2026-12-01",
                   "outputs": {"points": {"zh": "点", "en": "p", "expr": "reuses * points_each * 2"}}}  # fmt: skip
        later = book.amended([RuleAmendment(str(new_id()), "T11_open_science", {"formula": [formula]}, "x")])
        (change,) = later.differences("T11", date(2026, 1, 1), LATER)
        assert change.after == {"points": "reuses * points_each * 2"}
