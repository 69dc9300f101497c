"""A recorded amendment that a release can't take stops its rule from its day on, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from fastapi.testclient import TestClient

from rulebook.test_routes import over
from shanhe.app import open_services
from shanhe.approvals.api import Approvals, Deed, RequestState, SamePerson
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.ids import new_id
from shanhe.rulebook import store
from shanhe.rulebook.api import (
    SET_ASIDE,
    Amendments,
    RuleAmendment,
    Rulebook,
    RuleFileInvalid,
    RuleWithheld,
    open_rulebook,
    proved,
    values,
)
from shanhe.rulebook.texts import read
from shanhe.settings import Settings
from stage.faults import lost_mark

BEFORE, FROM, AFTER = date(2026, 12, 31), date(2027, 1, 1), date(2027, 6, 1)
FACTS = {"quantity_micro": 100_000_000, "cost_fen": 6_000, "list_price_fen": 100}


def text(zh: str, en: str, **more: Any) -> dict[str, Any]:
    return {"zh": zh, "en": en, **more}


def former(first: date = FROM, announced: date = date(2026, 11, 20), **more: Any) -> RuleAmendment:
    """An amendment of C3 as it was before a lot knew its whole cost: by the cost of one credit."""
    at_cost = text("按成本", "At cost", unit="fen", expr="quantity_micro * unit_cost_fen")
    value = text("账面价值", "Book value", unit="fen", expr="min(cost_fen, quantity_micro * list_price_fen * middle)")
    outputs = {"cost_fen": at_cost, "value_fen": value}
    row = {"from": str(first), "announced": str(announced), "amount": "value_fen", "outputs": outputs}
    return RuleAmendment(str(new_id()), "C3_asset_statement", {"formula": [row], **more}, "person:a, person:b")


def middle(value: int, first: date, announced: date, **more: Any) -> RuleAmendment:
    row = {"from": str(first), "announced": str(announced), "value": value, "given": True}
    content = {"parameters": {"middle": [row]}, **more}
    return RuleAmendment(str(new_id()), "C3_asset_statement", content, "person:a, person:b")


class TestAnAmendmentFromBeforeANameOfItsTables:
    """A release brings a scene or a class of models; the city's own prices of the others were decided before it."""

    def older(self, rule: str, name: str, without: str, **more: Any) -> RuleAmendment:
        parameter = Rulebook.load().rule(rule).parameter(name)
        assert parameter is not None
        value = {key: one for key, one in parameter.values[-1].value.items() if key != without} | more
        row = {"from": str(FROM), "announced": "2026-11-20", "value": value, "given": True}
        return RuleAmendment(str(new_id()), rule, {"parameters": {name: [row]}}, "person:a, person:b")

    def test_has_what_was_said_of_that_name_before_it(self) -> None:
        one = self.older("P11_scenes", "market_reference", "image", ocr=5)
        book = Rulebook.load([one])
        assert book.unfit == ()
        assert book.evaluate("P11_scenes", {"cost": 100, "scene": "ocr"}, on=FROM).amount == 5
        image = {"cost": 10**12, "scene": "image"}
        was = book.evaluate("P11_scenes", image, on=BEFORE)
        assert book.evaluate("P11_scenes", image, on=FROM).amount == was.amount > 0
        for rule_hash, (rule_id, source) in book.sources().items():
            found = read(rule_id, rule_hash, source)
            assert found is not None
            assert found.content_hash == rule_hash

    def test_has_it_in_a_table_of_tables(self) -> None:
        book = Rulebook.load([self.older("P11_pricing", "market_reference", "image_tokens")])
        assert book.unfit == ()
        for model_class in ("small", "image_tokens"):
            facts = {"cost": 1000, "model_class": model_class, "bucket": "input"}
            assert book.evaluate("P11_pricing", facts, on=FROM).amount == 1150

    def test_names_it_where_it_is_asked_for_now(self) -> None:
        with pytest.raises(Invalid):
            proved(Rulebook.load(), self.older("P11_scenes", "market_reference", "image"))


class TestAnAmendmentThatDoesNotFit:
    def test_withholds_its_rule_from_its_day_on_and_leaves_the_rest_as_it_is(self) -> None:
        one = former()
        price = {"from": "2027-01-01", "announced": "2026-11-20", "value": 2500, "given": True}
        sound = RuleAmendment(str(new_id()), "P1_resident_discount", {"parameters": {"discount": [price]}}, "x")
        book = Rulebook.load([one, sound])
        assert book.evaluate("C3", FACTS, on=BEFORE).amount == 6_000
        with pytest.raises(RuleWithheld, match=one.id) as refused:
            book.evaluate("C3", FACTS, on=FROM)
        assert refused.value.status == 503
        assert "搁置" in refused.value.hint_zh
        for ask in (book.version, book.compiled, book.vector, book.program):
            with pytest.raises(RuleWithheld):
                ask("C3", AFTER)
        assert book.parameter("P1", "discount", FROM) == 2_500
        (unfit,) = book.unfit
        assert (unfit.amendment.id, unfit.since) == (one.id, FROM)
        assert "'cost_fen' is used twice" in unfit.why.en
        assert "cost_fen" in unfit.why.zh

    def test_is_told_by_the_check_of_the_rule_and_of_all(self) -> None:
        one = former()
        book = Rulebook.load([one])
        for report in (book.check("C3"), book.check()):
            (failed,) = report.failed()
            assert (failed.rule_id, failed.check) == ("C3_asset_statement", "amendment")
            assert one.id in failed.message
            assert "2027-01-01" in failed.message_zh

    def test_of_a_value_withholds_the_value_and_every_rule_that_shares_it(self) -> None:
        row = {"from": "2027-01-01", "announced": "2026-11-20", "value": "a lot", "given": True}
        change = {"parameters": {"list_price_fen": [row]}}
        book = Rulebook.load([RuleAmendment(str(new_id()), "P1_resident_discount", change, "council")])
        facts = {"incubated": True, "paid_in_fen": 1_000, "tranche": 1}
        assert book.evaluate("I5", facts, on=BEFORE).amount == 100
        for rule in ("P1", "I5"):
            with pytest.raises(RuleWithheld):
                book.version(rule, FROM)
            with pytest.raises(RuleWithheld):
                book.parameter(rule, "list_price_fen", FROM)
        assert book.parameter("P1", "discount", FROM) == 3_000
        priced = next(one for one in values(book, FROM, "list_price_fen") if one.rule.id.startswith("P1_"))
        assert priced.now is None

    def test_of_a_value_that_the_rule_no_longer_has_withholds_all_of_the_rule(self) -> None:
        row = {"from": "2027-01-01", "announced": "2026-11-20", "value": 1, "given": True}
        book = Rulebook.load([RuleAmendment(str(new_id()), "C3_asset_statement", {"parameters": {"gone": [row]}}, "x")])
        with pytest.raises(RuleWithheld):
            book.parameter("C3", "middle", FROM)
        assert book.parameter("C3", "middle", BEFORE) == 6_500

    def test_of_a_rule_that_is_there_no_more_stops_nothing_and_is_still_told(self) -> None:
        book = Rulebook.load([RuleAmendment(str(new_id()), "Z9_nothing", {"parameters": {}}, "council")])
        assert [one.amendment.rule_id for one in book.unfit] == ["Z9_nothing"]
        assert [one.rule_id for one in book.check().failed()] == ["Z9_nothing"]

    def test_whose_own_example_comes_out_otherwise_does_not_decide(self) -> None:
        said = {"name": "as it was decided", "on": "2027-02-01", "facts": FACTS, "outputs": {"value_fen": 4_000}}
        book = Rulebook.load([middle(5_000, FROM, date(2026, 11, 20), examples=[said])])
        assert [one.since for one in book.unfit] == [FROM]
        with pytest.raises(RuleWithheld):
            book.evaluate("C3", FACTS, on=FROM)

    def test_without_dates_that_can_be_read_withholds_from_the_first_day_on(self) -> None:
        book = Rulebook.load([RuleAmendment(str(new_id()), "C3_asset_statement", {"formula": ["by hand"]}, "x")])
        with pytest.raises(RuleWithheld):
            book.evaluate("C3", FACTS, on=date(2026, 3, 1))

    def test_that_is_not_what_was_recorded_does_not_decide(self) -> None:
        one = middle(5_000, FROM, date(2026, 11, 20))
        book = Rulebook.load([RuleAmendment(one.id, one.rule_id, one.content, one.decided_by, "", "0" * 64)])
        (unfit,) = book.unfit
        assert "hash" in unfit.why.en
        with pytest.raises(RuleWithheld):
            book.evaluate("C3", FACTS, on=FROM)

    def test_is_mended_by_one_that_succeeds_it(self) -> None:
        base = Rulebook.load([former()])
        outputs = {"value_fen": text("账面价值", "Book value", unit="fen", expr="min(cost_fen, fen(1))")}
        row = {"from": "2027-03-01", "announced": "2026-11-27", "amount": "value_fen", "outputs": outputs}
        again = RuleAmendment(str(new_id()), "C3_asset_statement", {"formula": [row]}, "person:c, person:d")
        mended = proved(base, again)
        with pytest.raises(RuleWithheld):
            mended.evaluate("C3", FACTS, on=date(2027, 2, 28))
        assert mended.evaluate("C3", FACTS, on=date(2027, 3, 1)).amount == 1
        assert mended.evaluate("C3", FACTS, on=BEFORE).amount == 6_000
        with pytest.raises(Invalid, match="example"):
            wrong = {"name": "wrong", "on": "2027-04-01", "facts": FACTS, "outputs": {"value_fen": 2}}
            proved(base, RuleAmendment(again.id, again.rule_id, {"formula": [row], "examples": [wrong]}, "x"))
        with pytest.raises(RuleFileInvalid):
            proved(base, RuleAmendment(again.id, again.rule_id, {"parameters": {"gone": []}}, "x"))


class TestOverHttp:
    def test_is_said_of_its_rule_and_refuses_with_what_to_do(self) -> None:
        one = former(date(2026, 1, 1), date(2025, 12, 1))
        client = TestClient(over(Rulebook.load([one])))
        for path in ("/api/rules", "/api/rules/C3"):
            (said,) = client.get(path).json()["unfit"]
            assert (said["amendment"], said["since"]) == (one.id, "2026-01-01")
        assert client.get("/api/rules/P1").json()["unfit"] == []
        answer = client.post("/api/rules/C3/eval", json={"facts": FACTS, "on": "2026-03-01"})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "rule_withheld"
        assert answer.json()["error"]["details"] == {"rule": "C3_asset_statement", "amendment": one.id}


class TestACity:
    async def test_starts_and_serves_though_it_recorded_an_amendment_that_does_not_fit(
        self, dsn: str, database: Database, tmp_path: Path, clock: FixedClock
    ) -> None:
        one = former(date(2026, 1, 1), date(2025, 12, 1))
        await store.add(database.writes, one, clock.now())
        settings = Settings(database_url=dsn, data=tmp_path, with_model=False)
        async with open_services(settings, "cli", clock) as services:
            assert services.rulebook.evaluate("P1", {"category": "resident", "value_fen": 100}, on=clock.today())
            with pytest.raises(RuleWithheld, match=one.id):
                services.rulebook.evaluate("C3", FACTS, on=clock.today())

    async def test_shows_in_the_log_that_nothing_decides(self, database: Database, clock: FixedClock) -> None:
        entries: list[Any] = []

        async def entry(conn: Any, kind: str, public: Any, private: Any, *, id: Any = None) -> None:
            entries.append(public)

        one = former(date(2026, 1, 1), date(2025, 12, 1))
        book = Rulebook.load()
        amendments = Amendments(database, clock, book, Approvals(database, clock), entry=entry)
        await amendments.show()
        before = book.version("C3", clock.today())
        await store.add(database.writes, one, clock.now())
        await amendments.refresh()
        entries.clear()
        assert await amendments.show() == 1
        assert entries == [{"rule": "C3_asset_statement", "version": f"withheld:{one.id}", "before": before}]
        assert await amendments.show() == 0

    async def test_takes_another_amendment_of_that_rule(self, database: Database, clock: FixedClock) -> None:
        await store.add(database.writes, former(), clock.now())
        book = Rulebook.load()
        amendments = Amendments(database, clock, book, Approvals(database, clock))
        await amendments.refresh()
        asked = await amendments.propose(
            "C3", middle(5_000, date(2027, 2, 1), clock.today()).content, amendment_id=new_id(), by="person:a"
        )
        await amendments.approve(asked.id, by="person:b")
        assert book.parameter("C3", "middle", date(2027, 2, 1)) == 5_000
        assert len(book.unfit) == 1

    async def test_sets_it_aside_by_two_people_and_decides_by_that_rule_again(
        self, database: Database, clock: FixedClock
    ) -> None:
        entries: list[Any] = []

        async def entry(conn: Any, kind: str, public: Any, private: Any, *, id: Any = None) -> None:
            entries.append((kind, public))

        one = former(date(2026, 1, 1), date(2025, 12, 1))
        await store.add(database.writes, one, clock.now())
        book, approvals = await open_rulebook(database, clock), Approvals(database, clock)
        amendments = Amendments(database, clock, book, approvals, entry=entry)
        approvals.deeds[SET_ASIDE] = Deed(amendments.carry_out_aside)
        number = new_id()
        for _ in range(2):
            asked = await amendments.ask_aside(UUID(one.id), request_id=number, by="person:a", reason="a release")
        with pytest.raises(SamePerson):
            await approvals.agree(asked.id, by="person:a")
        with pytest.raises(RuleWithheld):
            book.evaluate("C3", FACTS, on=clock.today())
        with lost_mark():
            await approvals.agree(asked.id, by="person:b")
        assert (await approvals.again(asked.id, by="person:b")).state is RequestState.DONE
        decision = book.evaluate("C3", FACTS, on=clock.today())
        assert decision.amount == 6_000
        assert not book.unfit
        assert entries == [("rule.set_aside", {"rule": "C3_asset_statement", "amendment": one.id})]
        again = await open_rulebook(database, clock)
        assert again.version("C3", clock.today()) == decision.version
        assert await database.fetchval("SELECT decided_by FROM rulebook.set_aside") == "person:a, person:b"
        with pytest.raises(Conflict, match="waits to be set aside"):
            await amendments.ask_aside(UUID(one.id), request_id=new_id(), by="person:a", reason="once more")
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await database.execute("DELETE FROM rulebook.set_aside")

    async def test_that_fits_again_before_the_second_person_agrees_is_set_aside_by_nobody(
        self, database: Database, clock: FixedClock
    ) -> None:
        one = middle(5_000, date(2027, 2, 1), clock.today())
        await store.add(database.writes, one, clock.now())
        book, approvals = await open_rulebook(database, clock), Approvals(database, clock)
        amendments = Amendments(database, clock, book, approvals)
        approvals.deeds[SET_ASIDE] = Deed(amendments.carry_out_aside)
        payload = {"amendment": one.id, "rule_id": one.rule_id, "reason": "it did not fit then"}
        asked = await approvals.request(
            SET_ASIDE, one.rule_id, payload, by="person:a", expires_at=clock.now() + timedelta(days=1)
        )
        with pytest.raises(Conflict, match="waits to be set aside"):
            await approvals.agree(asked.id, by="person:b")
        assert (await approvals.get(asked.id)).state is RequestState.REFUSED
        assert (await open_rulebook(database, clock)).parameter("C3", "middle", date(2027, 2, 1)) == 5_000
