"""Verdicts about the ID as cases: a change of N1 is told in IDs that would have been issued."""

from __future__ import annotations

from datetime import date

from shanhe.rulebook.api import RuleAmendment, Side, simulate

from .conftest import RULEBOOK, Town


class TestRecorded:
    async def test_tells_who_would_have_had_an_id_by_fewer_days(self, town: Town) -> None:
        first = town.today()
        for count in (60, 75, 90):
            await town.here(person := await town.nomad(), count)
            await town.nomads.apply(person, client_ref="one", actor="test")
        last, book = town.today(), RULEBOOK
        (stream,) = await town.nomads.recorded.cases("N1_qualify", first, last, 100, lambda _: None)
        rows = {"parameters": {"days_required": [{"from": "2027-05-01", "announced": "2026-04-01", "value": 70,
                                                  "given": True}]}}  # fmt: skip
        on = date(2027, 5, 1)
        changed = book.amended([RuleAmendment("x", "N1_qualify", rows, "t")])
        found = simulate(stream, Side.of(book.in_force("N1", last), last), Side.of(changed.in_force("N1", on), on),
                         least=1, salt="", span="", tell=lambda _: None)  # fmt: skip
        assert (found.amounts[0].unit, found.amounts[0].before, found.amounts[0].after) == ("yes", 1, 2)
        assert (found.cases, found.begin, found.end) == (3, 1, 0)
        assert list(await town.nomads.recorded.cases("P1_resident_discount", first, last, 100, lambda _: None)) == []
