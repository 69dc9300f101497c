"""A change of a rule is simulated over last month by itself, aside, and what was known is kept with the proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shanhe.governance.api import (
    AlreadySimulated,
    BadSimulation,
    NothingToSimulate,
    NotSeated,
    Simulating,
    SimulationConflict,
    TooManyCases,
    TooManySimulations,
    UnknownSimulation,
    simulation_csv,
    simulation_view,
)
from shanhe.governance.deciding import Deciding
from shanhe.governance.simulating import sealed_hash
from shanhe.governance.simulation_views import amount_view
from shanhe.kernel.ids import new_id
from shanhe.rulebook.api import Case, RuleAmendment, Stream, Text, content_hash

from .conftest import Hall, change, discount

FEBRUARY = (date(2026, 2, 1), date(2026, 2, 28))


@dataclass
class Books:
    """What was recorded: purchases at 30 %, of as many people as the test says, `same` of whom have no discount;
    `asked` is what was looked for."""

    hall: Hall
    people: int = 8
    same: int = 0
    asked: list[tuple[str, date, date]] = field(default_factory=list)

    async def gather(self, rule_id: str, first: date, last: date, most: int, tell: Any) -> Sequence[Stream]:
        self.asked.append((rule_id, first, last))
        if rule_id != "P1_resident_discount":
            return ()
        tell(self.people)
        book, on = self.hall.rulebook, self.hall.clock.today()
        cases = []
        for n in range(self.people):
            category = "none" if n < self.same else "resident"
            facts = {"category": category, "value_fen": 100_000 + n, "benefit_used_fen": 0}
            cases.append(Case(UUID(int=n), book.version("P1", on), facts, book.compiled("P1", on)(**facts)))
        return [Stream("purchases", Text("积分购买", "Purchases"), rule_id, cases, paid=("benefit_fen", "paid_fen"))]


@pytest.fixture
def books(hall: Hall) -> Books:
    """The hall's governance, as it is in a city that records decisions."""
    made = Books(hall)
    governance, entries = hall.governance, hall.entries

    async def record(conn: Any, kind: str, public: Any, private: Any) -> None:
        entries.append((kind, public))

    governance.simulating = Simulating(hall.db, hall.clock, hall.rulebook, record, made.gather)
    deciding: Deciding = governance.deciding
    deciding._proposed = governance.simulating.attach
    return made


class TestSimulation:
    async def test_comes_with_a_proposal_and_stays_as_it_was_when_people_voted(self, hall: Hall, books: Books) -> None:
        made = await hall.governance.deciding.propose(change(), person_id=await hall.person("finance"))
        simulating = hall.governance.simulating
        (asked,) = await simulating.of(made.id)
        assert (asked.state, asked.first_day, asked.last_day) == ("waiting", *FEBRUARY)
        assert await simulating.tick() == 1
        assert await simulating.tick() == 0
        (done,) = await simulating.of(made.id)
        assert (done.state, done.seen) == ("done", 8)
        assert done.report is not None
        assert done.report_sha256 == sealed_hash(done.salt, done.report) != content_hash(done.report)
        view = simulation_view(done, whole=False)["report"]
        (section,) = view["sections"]
        benefit = section["amounts"][0]
        assert (benefit["before"], benefit["after"], benefit["difference"]) == (240_009, 200_007, -40_002)
        assert benefit["interval"]["difference"][0] < -40_002 < benefit["interval"]["difference"][1]
        assert (section["lose"], section["gain"], section["people"]) == (8, 0, 8)
        assert section["examples"][0]["before"]["trace"]["outputs"]
        assert hall.entries == [("governance.simulated", {
            "rule": "P1_resident_discount", "content_sha256": content_hash(made.content), "first": "2026-02-01",
            "last": "2026-02-28", "report_sha256": done.report_sha256,
        })]  # fmt: skip
        for command in ("UPDATE governance.simulation SET seen = 1", "DELETE FROM governance.simulation"):
            with pytest.raises(asyncpg.PostgresError, match="stays as it is"):
                await hall.db.execute(command)

    async def test_is_asked_for_by_seats_over_days_that_have_passed(self, hall: Hall, books: Books) -> None:
        clerk, stranger = await hall.person("finance"), await hall.person()
        made = await hall.governance.deciding.propose(change(), person_id=clerk)
        simulating, number = hall.governance.simulating, new_id()
        january = (date(2026, 1, 1), date(2026, 1, 31))
        with pytest.raises(NotSeated):
            await simulating.ask(number, made.id, days=january, by="p", person_id=stranger)
        for days in (
            january[::-1], (date(2026, 3, 1), date(2026, 3, 31)), (date(2025, 1, 1), date(2026, 1, 31)),
            (date(2026, 1, 1), date(2026, 1, 30)),  # with January it would tell of one day
        ):  # fmt: skip
            with pytest.raises(BadSimulation):
                await simulating.ask(number, made.id, days=days, by="p", person_id=clerk)
        first = await simulating.ask(number, made.id, days=january, by="p", person_id=clerk)
        assert await simulating.ask(number, made.id, days=january, by="p", person_id=clerk) == first
        with pytest.raises(SimulationConflict):
            await simulating.ask(number, made.id, by="p", person_id=clerk)
        for days in (None, january):  # by the difference of two one would know of whom was erased in between
            with pytest.raises(AlreadySimulated):
                await simulating.ask(new_id(), made.id, days=days, by="p", person_id=clerk)
        done = await simulating.run(number)
        assert books.asked[0] == ("P1_resident_discount", *january)
        assert done.state == "done"
        other = await hall.governance.deciding.propose(change({"change_bps": 1}, matter="new_debt", rule_id=None),
                                                       person_id=clerk)  # fmt: skip
        assert await simulating.of(other.id) == []
        with pytest.raises(NothingToSimulate):
            await simulating.ask(new_id(), other.id, by="p", person_id=clerk)

    async def test_names_rules_that_share_what_changes_and_values_no_formula_uses(
        self, hall: Hall, books: Books
    ) -> None:
        row = discount()["parameters"]["discount"][0] | {"value": 110}
        made = await hall.governance.simulating.draft(new_id(), "P1", {"parameters": {"list_price_fen": [row]}}, by="t")
        report = (await hall.governance.simulating.run(made.id)).report
        assert report is not None
        assert "N5_credits" in [one["rule"] for one in report["unrecorded"]]
        assert [section["rule"] for section in report["sections"]] == ["P1_resident_discount"]
        terms = {"parameters": {"veto_days": [row | {"value": 6}]}}
        other = await hall.governance.simulating.draft(new_id(), "P4_decision_terms", terms, by="t")
        report = (await hall.governance.simulating.run(other.id)).report
        assert report is not None
        assert [one["name"] for one in report["unseen"]] == ["veto_days"]
        with pytest.raises(UnknownSimulation):
            await hall.governance.simulating.get(new_id())

    async def test_tells_nobody_of_a_few_and_operators_their_sum(self, hall: Hall, books: Books) -> None:
        books.people = 3
        made = await hall.governance.simulating.draft(new_id(), "P1", discount(), by="t")
        done = await hall.governance.simulating.run(made.id)
        (hidden,) = simulation_view(done, whole=False)["report"]["sections"]
        assert hidden["suppressed"]
        assert {hidden[name] for name in ("people", "cases", "gain", "lose", "same")} == {None}
        assert {amount["difference"] for amount in hidden["amounts"]} == {None}
        assert hidden["groups"] == hidden["examples"] == []
        (whole,) = simulation_view(done, whole=True)["report"]["sections"]
        assert whole["amounts"][0]["before"] == 90_001
        assert whole["lose"] is None
        books.people = 8
        books.same = 6
        made = await hall.governance.simulating.draft(new_id(), "P1", discount(), by="t")
        done = await hall.governance.simulating.run(made.id)
        (shown,) = simulation_view(done, whole=False)["report"]["sections"]  # two of eight lose
        assert (shown["people"], shown["gain"], shown["lose"], shown["same"]) == (8, 0, None, None)
        assert shown["groups"] == []
        assert [amount["after"] for amount in shown["amounts"]] == [None, None]
        assert "30000" not in simulation_csv(simulation_view(done, whole=False)["report"])

    async def test_blames_no_change_for_another_that_comes_before_it(self, hall: Hall, books: Books) -> None:
        simulating, row = hall.governance.simulating, discount()["parameters"]["discount"][0]
        early = {"parameters": {"discount": [row | {"from": "2026-04-10", "announced": "2026-03-01", "value": 1_000}]}}
        simulating._rulebook = hall.rulebook.amended([RuleAmendment("a", "P1_resident_discount", early, "test")])
        made = await simulating.draft(new_id(), "P1", discount(), by="t")
        report = (await simulating.run(made.id)).report
        assert report is not None
        benefit = report["sections"][0]["amounts"][0]
        assert (benefit["before"], benefit["after"]) == (80_002, 200_007)  # a tenth, which is no longer thirty percent

    async def test_is_bounded_and_says_why_it_failed(
        self, hall: Hall, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        simulating = hall.governance.simulating
        monkeypatch.setattr("shanhe.governance.simulating.CASES_MOST", 7)
        made = await simulating.draft(new_id(), "P1", discount(), by="t")
        failed = await simulating.run(made.id)
        assert (failed.state, failed.report) == ("failed", None)
        assert failed.error_en == TooManyCases(7).message
        monkeypatch.setattr("shanhe.governance.simulating.PER_DAY_MOST", 1)
        with pytest.raises(TooManySimulations):
            await simulating.draft(new_id(), "P1", discount(), by="t")

    async def test_whose_worker_went_away_is_taken_up_again_and_in_the_end_given_up(
        self, hall: Hall, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        simulating = hall.governance.simulating
        made = await simulating.draft(new_id(), "P1", discount(), by="t")
        for _ in range(3):
            await hall.db.execute(
                "UPDATE governance.simulation SET state = 'running', started_at = $1, tries = tries + 1",
                hall.clock.now(),
            )
            assert await simulating.tick() == 0  # somebody works on it
            hall.later(hours=1)
        assert await simulating.tick() == 1
        assert (await simulating.get(made.id)).state == "failed"


class TestAmount:
    @pytest.mark.parametrize(
        ("behind", "shown"),
        [((9, 9, 9), (10, 30, 20)), ((0, 9, 9), (10, 30, 20)), ((9, 9, 4), (10, None, None)),
         ((4, 9, 9), (None, 30, None)), ((9, 4, 9), (10, None, None)), ((4, 4, 4), (None, None, None))],
    )  # fmt: skip
    def test_is_told_where_enough_people_stand_behind_it(self, behind: Any, shown: Any) -> None:
        spread = {"before": [1, 2], "after": [1, 2], "difference": [1, 2]}
        amount = {"name": "n", "title": {}, "unit": "fen", "before": 10, "after": 30, "interval": spread,
                  "behind": list(behind)}  # fmt: skip
        seen = amount_view(amount, 5)
        assert (seen["before"], seen["after"], seen["difference"]) == shown
        assert (seen["interval"] is None) == (None in shown)
        whole = amount_view(amount, 0)
        assert (whole["before"], whole["after"], whole["difference"]) == (10, 30, 20)

    def test_of_an_older_report_tells_no_difference(self) -> None:
        amount = {"name": "n", "title": {}, "unit": "fen", "before": 10, "after": 30, "interval": None}
        seen = amount_view(amount, 5)
        assert (seen["before"], seen["after"], seen["difference"]) == (10, None, None)
