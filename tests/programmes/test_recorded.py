"""What programmes recorded, as cases for simulating a rule: real decisions, with the facts that were known then."""

from __future__ import annotations

from datetime import date
from typing import Any

from shanhe.rulebook.api import Case, RuleAmendment, Section, Side, Stream, simulate

from .conftest import CREDIT, RULEBOOK, City

FIRST, LAST, STARTS = date(2026, 3, 1), date(2026, 3, 31), date(2026, 6, 1)


async def recorded(city: City, rule: str, first: date = FIRST, last: date = LAST) -> list[Stream]:
    found = await city.programmes.recorded.cases(rule, first, last, 1_000, lambda _: None)
    return [one for one in found if one.cases or one.erased]


def changed(stream: Stream, **values: Any) -> Section:
    rows = {name: [{"from": "2026-06-01", "announced": "2026-05-01", "value": value, "given": True}]
            for name, value in values.items()}  # fmt: skip
    book = RULEBOOK.amended([RuleAmendment("x", stream.rule_id, {"parameters": rows}, "test")])
    on = FIRST
    return simulate(stream, Side.of(RULEBOOK.in_force(stream.rule_id, on), on),
                    Side.of(book.in_force(stream.rule_id, STARTS), STARTS), least=5, salt="s", span="x",
                    tell=lambda _: None)  # fmt: skip


class TestRecorded:
    async def test_sums_are_what_was_paid_and_a_change_is_what_it_would_have_cost(self, city: City) -> None:
        await city.fund("nomad_credit")
        nomads = [await city.person() for _ in range(6)]
        for nomad in nomads[:5]:
            await city.know(nomad, "nomad_id", True)
        for nomad in nomads:
            await city.apply("nomad_credits", nomad)
        (stream,) = await recorded(city, "N5_credits")
        found = changed(stream, value_fen=1_500)
        paid = sum([await city.balance(nomad) for nomad in nomads])
        assert found.amounts[0].before == paid == 5_000 * CREDIT
        assert found.amounts[0].after == 7_500 * CREDIT
        assert (found.cases, found.people, found.gain, found.same) == (6, 6, 5, 1)
        assert await recorded(city, "N5_credits", date(2026, 2, 1), date(2026, 2, 28)) == []

    async def test_of_an_application_its_last_decision_counts_and_the_erased_are_only_counted(self, city: City) -> None:
        await city.fund("nomad_credit")
        nomad, gone = await city.person(), await city.person()
        refused = await city.apply("nomad_credits", nomad)
        await city.apply("nomad_credits", gone)
        await city.know(nomad, "nomad_id", True)
        await city.programmes.applying.appeal(refused.id, nomad, why="身份已生效", actor="t")
        await city.approve((await city.programmes.file(refused.id)).application)
        person = (await city.identity.orgs.get(gone)).person_id
        assert person is not None
        city.vault.destroy(person)
        (stream,) = await recorded(city, "N5_credits")
        (case,) = stream.cases
        assert isinstance(case, Case)
        assert case.open
        assert case.facts == {"card_valid": True, "granted": False}
        assert stream.erased == 1
