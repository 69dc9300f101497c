"""A change over recorded cases: exact against what was recorded, the same by both evaluators, and of nobody."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.rulebook.api import Case, RuleAmendment, Rulebook, Section, Side, Stream, Text, hidden, last_month, simulate
from shanhe.rulebook.effects import behind, few, groups_of, interval
from shanhe.rulebook.model import canonical

ON, STARTS = date(2026, 3, 1), date(2026, 5, 1)
BOOK = Rulebook.load()
LEAST = 5
DATED = {"from": "2026-05-01", "announced": "2026-04-01", "given": True}


def amended(**values: Any) -> Rulebook:
    content = {"parameters": {name: [DATED | {"value": value}] for name, value in values.items()}}
    return BOOK.amended([RuleAmendment("x", "P1_resident_discount", content, "test")])


def purchase(who: int, category: str, value_fen: int, used_fen: int = 0) -> Case:
    facts = {"category": category, "value_fen": value_fen, "benefit_used_fen": used_fen}
    outputs = {name: canonical(value) for name, value in BOOK.compiled("P1", ON)(**facts).items()}
    return Case(UUID(int=who), BOOK.version("P1", ON), facts, outputs)


def run(cases: Sequence[Case], book: Rulebook, rule: str = "P1", **changes: Any) -> Section:
    stream = Stream("purchases", Text("购买", "Purchases"), BOOK.rule("P1").id, cases, paid=("benefit_fen", "paid_fen"))
    sides = Side.of(BOOK.in_force("P1", ON), ON), Side.of(book.in_force(rule, STARTS), STARTS)
    return simulate(replace(stream, **changes), *sides, least=LEAST, salt="s", span="2026-02", tell=lambda _: None)


def many(n: int = 60) -> list[Case]:
    draw = random.Random(7)
    return [purchase(i % 40, draw.choice(["resident", "nomad", "none"]), draw.choice([10_000, 5_000_000, 400_000_000]),
                     draw.choice([0, 99_900_000])) for i in range(n)]  # fmt: skip


PURCHASES = st.lists(
    st.builds(purchase, st.integers(0, 12), st.sampled_from(["resident", "none", "local_company"]),
              st.integers(0, 10**11), st.integers(0, 2 * 10**8)), max_size=30,
)  # fmt: skip


class TestSimulation:
    @settings(max_examples=20)
    @given(PURCHASES)
    def test_of_the_version_in_force_changes_nothing_and_sums_what_was_recorded(self, cases: list[Case]) -> None:
        found = run(cases, amended(discount=3000))
        assert [amount.difference for amount in found.amounts] == [0, 0]
        assert [amount.before for amount in found.amounts] == [
            sum(case.outputs[name] for case in cases) for name in ("benefit_fen", "paid_fen")
        ]
        assert (found.gain, found.lose, found.same) == (0, 0, len({case.who for case in cases}))
        assert found.examples == []

    @settings(max_examples=20)
    @given(PURCHASES, st.integers(0, 6_000), st.integers(0, 2 * 10**8))
    def test_is_what_the_scalar_function_says_of_each_case(self, cases: list[Case], rate: int, cap: int) -> None:
        book = amended(discount=rate, cap_fen=cap)
        found, decide = run(cases, book), book.compiled("P1", STARTS)
        assert found.amounts[0].after == sum(decide(**case.facts)["benefit_fen"] for case in cases)
        assert found.cases == len(cases)
        assert found.checked == 2 * len(cases)

    @settings(max_examples=20)
    @given(PURCHASES, st.integers(0, 6_000), st.integers(0, 2 * 10**8))
    def test_is_what_the_article_says_worked_out_by_hand(self, cases: list[Case], rate: int, cap: int) -> None:
        """Rate times value, at most what is left of the cap, a half to the even fen: by fractions, without the rule."""

        def benefit(case: Case, rate: int, cap: int) -> tuple[int, bool]:
            facts = case.facts
            by_rate = Fraction(facts["value_fen"] * (rate if facts["category"] != "none" else 0), 10_000)
            left = max(cap - facts["benefit_used_fen"], 0)
            return round(min(by_rate, left)), left < by_rate

        found = run(cases, amended(discount=rate, cap_fen=cap))
        old, new = ({case.who: [0, False] for case in cases} for _ in range(2))
        for said, terms in ((old, (3_000, 100_000_000)), (new, (rate, cap))):
            for case in cases:
                fen, met = benefit(case, *terms)
                said[case.who] = [said[case.who][0] + fen, said[case.who][1] or met]
        steps = [(old[who][0], new[who][0]) for who in old]
        amount = found.amounts[0]
        assert (amount.before, amount.after) == (sum(a for a, _ in steps), sum(b for _, b in steps))
        assert found.amounts[1].difference == -amount.difference
        assert amount.behind == (sum(a > 0 for a, _ in steps), sum(b > 0 for _, b in steps), found.gain + found.lose)
        assert (found.gain, found.lose, found.same) == (
            sum(b > a for a, b in steps), sum(b < a for a, b in steps), sum(a == b for a, b in steps),
        )  # fmt: skip
        assert found.begin == sum(not a and b > 0 for a, b in steps)
        assert found.end == sum(a > 0 and not b for a, b in steps)
        limit = found.limits[0]
        assert (limit.before, limit.after) == tuple(sum(met for _, met in said.values()) for said in (old, new))
        assert sum(group.people for group in found.groups) in (0, len(steps))

    def test_blames_no_change_for_another_that_comes_before_it(self) -> None:
        """In April the discount falls anyway; in May the cap that nobody reaches is to rise."""
        april = DATED | {"from": "2026-04-01", "announced": "2026-03-01", "value": 2_000}
        to_come = RuleAmendment("a", "P1_resident_discount", {"parameters": {"discount": [april]}}, "test")
        cap = {"parameters": {"cap_fen": [DATED | {"value": 200_000_000}]}}
        book = BOOK.amended([to_come])
        then = BOOK.amended([to_come, RuleAmendment("b", "P1_resident_discount", cap, "test")])
        decided, before, after = (Side.of(one.in_force("P1", day), day)
                                  for one, day in ((BOOK, ON), (book, STARTS), (then, STARTS)))  # fmt: skip
        cases = [purchase(i, "resident", 10_000) for i in range(6)]
        stream = Stream("x", Text("甲", "X"), "P1_resident_discount", cases, paid=("benefit_fen",))
        found = simulate(stream, before, after, least=LEAST, salt="", span="", tell=lambda _: None, decided=decided)
        assert (found.cases, found.amounts[0].before, found.amounts[0].after) == (6, 12_000, 12_000)
        assert found.left_out["other_version"] == 0

    def test_says_who_gains_who_meets_a_limit_and_how_sure_it_is(self) -> None:
        cases = many()
        found = run(cases, amended(cap_fen=50_000_000))
        assert found.gain == 0
        assert 0 < found.lose < found.people == 40
        assert found.gain + found.lose + found.same == found.people
        (limit,) = found.limits
        assert limit.other["zh"] == "本年剩余额度"
        assert limit.before is not None
        assert limit.after is not None
        assert limit.before < limit.after
        (low, high), difference = found.amounts[0].interval.difference, found.amounts[0].difference  # type: ignore[union-attr]
        assert low < difference < high < 0
        assert sum(group.people for group in found.groups) == 40
        assert min(group.people for group in found.groups) >= LEAST
        assert run(cases, amended(cap_fen=50_000_000)) == found  # seeded by what is compared

    def test_shows_typical_cases_that_are_nobodys_with_both_traces(self) -> None:
        cases = [purchase(i, "resident", 1_234_567 + i) for i in range(8)] + [purchase(90, "nomad", 7_654_321)]
        found = run(cases, amended(discount=2500))
        (shown,) = found.examples  # one nomad alone is shown to nobody
        assert shown.facts == {"category": "resident", "value_fen": 1_200_000, "benefit_used_fen": 0}
        assert shown.people == 8
        assert (shown.before["amount"], shown.after["amount"]) == (360_000, 300_000)
        assert shown.before["trace"]["version"] == found.versions[0]
        assert shown.after["trace"]["version"] == found.versions[1]

    def test_leaves_out_other_versions_and_what_is_not_reproduced(self) -> None:
        good = [purchase(i, "resident", 10_000) for i in range(6)]
        old = replace(good[0], version="0" * 64)
        wrong = replace(good[0], outputs={**good[0].outputs, "benefit_fen": 1})
        found = run([*good, old, wrong], amended(discount=2500), erased=3, by_people=2)
        assert found.cases == 6
        assert found.left_out == {"other_version": 1, "unlike": 1, "erased": 3, "by_people": 2}

    def test_gives_a_closed_case_nothing_and_a_metered_one_its_units(self) -> None:
        cases = [replace(purchase(i, "resident", 10_000), open=i % 2 == 0, times=3) for i in range(10)]
        found = run(cases, amended(discount=2500), per=2)
        assert [found.amounts[0].before, found.amounts[0].after] == [5 * 3 * 3_000 // 2, 5 * 3 * 2_500 // 2]

    def test_never_guesses_a_fact_that_nobody_recorded(self) -> None:
        from importlib import resources

        text = (resources.files("shanhe.rulebook") / "rules" / "P1_resident_discount.yaml").read_text()
        text = text.replace("facts:\n", "facts:\n  green: {type: bool, default: true, zh: 绿色, en: Green}\n", 1)
        unused, rule = BOOK.with_file(text)
        assert rule == "P1_resident_discount"
        cases = [purchase(i, "resident", 10_000) for i in range(6)]
        assert run(cases, unused).cases == 6  # declared, but nothing looks at it
        used, _ = BOOK.with_file(text.replace("expr: discount if", "expr: discount if green and"))
        found = run(cases, used)
        assert (found.cases, found.missing) == (0, {"green": 6})
        assert found.facts["green"]["zh"] == "绿色"


class TestYesOrNo:
    """A rule that only says yes or no is worth what the other rule said."""

    def test_counts_who_is_newly_entitled_and_what_that_costs(self) -> None:
        def asked(who: int, days: int) -> Case:
            facts = {"insured_here": False, "resident": False, "days_present": days, "applied_on": "2026-02-10"}
            outputs = BOOK.evaluate("N1_qualify", facts, on=ON).outputs
            recorded = {name: canonical(value) for name, value in outputs.items()}
            return Case(UUID(int=who), BOOK.version("N1_qualify", ON), facts, recorded, worth={"micro": 7})

        rows = {"parameters": {"days_required": [DATED | {"value": 60}]}}
        book = BOOK.amended([RuleAmendment("x", "N1_qualify", rows, "test")])
        cases = [asked(i, 30 + 10 * i) for i in range(12)]  # 30 to 140 days
        sides = Side.of(BOOK.in_force("N1_qualify", ON), ON), Side.of(book.in_force("N1_qualify", STARTS), STARTS)
        stream = Stream("x", Text("甲", "X"), "N1_qualify", cases, passes="qualifies")
        found = simulate(stream, *sides, least=2, salt="", span="", tell=lambda _: None)
        assert (found.amounts[0].unit, found.amounts[0].before, found.amounts[0].after) == ("micro", 6 * 7, 9 * 7)
        assert (found.begin, found.end, found.gain) == (3, 0, 3)
        bare = replace(stream, cases=[replace(case, worth={}) for case in cases])
        found = simulate(bare, *sides, least=2, salt="", span="", tell=lambda _: None)
        assert (found.amounts[0].unit, found.amounts[0].before, found.amounts[0].after) == ("yes", 6, 9)


class TestPrivacy:
    def test_hides_a_small_count_and_what_would_give_it_away(self) -> None:
        assert hidden({"gain": 3, "lose": 0, "same": 90}, 5) == {"gain": None, "lose": 0, "same": None}
        assert hidden({"gain": 6, "lose": 0, "same": 90}, 5) == {"gain": 6, "lose": 0, "same": 90}
        assert hidden({"gain": 2, "lose": 3, "same": 90}, 5) == {"gain": None, "lose": None, "same": 90}
        assert hidden({"gain": 1, "lose": 2, "same": 90}, 5) == dict.fromkeys(("gain", "lose", "same"))

    @given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=80), st.integers(1, 9))
    def test_breaks_no_group_out_that_is_smaller_than_the_threshold(self, pairs: list[Any], least: int) -> None:
        groups = groups_of(pairs, least)
        assert all(group.people >= least for group in groups)
        assert sum(group.people for group in groups) == (len(pairs) if groups else 0)
        assert len(groups) <= min(10, len(pairs) // least)

    @given(st.lists(st.tuples(st.sampled_from([0, 0, 7]), st.sampled_from([0, 7, 7, 9])), max_size=80),
           st.integers(1, 9))  # fmt: skip
    def test_shows_no_mean_that_a_few_alone_stand_behind(self, pairs: list[Any], least: int) -> None:
        """Whoever has nothing, or loses and gains nothing, adds nothing: the others' sum would follow."""
        ordered = sorted(pairs, key=lambda pair: (pair[1] - pair[0], pair[0]))
        for group in groups_of(pairs, least):
            part, ordered = ordered[: group.people], ordered[group.people :]
            assert not any(few(n, least) for n in behind(part))

    def test_puts_the_one_who_loses_together_with_those_who_gain(self) -> None:
        """Of nineteen one loses and six gain: the lowest of three groups would tell what the one loses."""
        pairs = [(1_000, 100)] + [(1_000, 1_000)] * 12 + [(1_000, 1_100)] * 6
        (all_of_them,) = groups_of(pairs, LEAST)
        assert all_of_them.people == 19

    def test_says_nothing_of_next_month_from_a_few(self) -> None:
        assert interval([(1, 2)] * 4, 5, "a" * 64) is None


def test_last_month_is_the_calendar_month_before() -> None:
    assert last_month(date(2026, 3, 31)) == (date(2026, 2, 1), date(2026, 2, 28))
    assert last_month(date(2026, 1, 1)) == (date(2025, 12, 1), date(2025, 12, 31))


@pytest.mark.prove
def test_a_month_of_many_purchases_takes_seconds() -> None:
    cases = many(100_000)
    assert run(cases, amended(discount=2500)).cases == 100_000
