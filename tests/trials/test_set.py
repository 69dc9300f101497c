"""No version of an agent that answers worse than the one in use goes on, unless its maker says why."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Unavailable
from shanhe.kernel.ids import new_id
from shanhe.trials.api import Case, Trials
from shanhe.trials.errors import BadCases, NoReport
from shanhe.trials.model import key_of, right

AGENT = "agent/hall"
SET = [
    {"question": "open", "expected": "nine"}, {"question": "phone", "expected": "[0-9]{3}-", "form": "regex"},
    {"question": "fee", "expected": "none", "form": "exact"},
]  # fmt: skip
GOOD, HALF = {"open": "at nine", "phone": "010-1", "fee": "None"}, {"open": "at nine", "phone": "?", "fee": "?"}
REASON = "a cheaper model, tried for a week"


class Hall:
    """Agents that say what their content holds; the log is a list."""

    def __init__(self, database: Database, clock: FixedClock) -> None:
        self.org, self.base, self.next = new_id(), (1, GOOD), dict(HALF)
        self.asked, self.away, self.log = 0, False, list[Any]()
        self.trials = Trials(database, clock, asks=self, match=self.match, entry=self.entry)

    async def current(self, name: str) -> tuple[int, Mapping[str, Any]] | None:
        return self.base

    async def draft(self, name: str, owner: UUID) -> Mapping[str, Any]:
        return self.next

    async def answer(
        self, owner: UUID, name: str, content: Mapping[str, Any], question: str, inputs: Mapping[str, str]
    ) -> tuple[str, int, str]:
        self.asked += 1
        if self.away:
            raise Unavailable("no_engine", "No engine is there.")
        return content[question], 5, ""

    async def match(self, code: str, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        return [bool(re.search(pattern, text)) for pattern, text in pairs]

    async def entry(self, conn: Any, kind: str, public: Mapping[str, Any], private: Mapping[str, Any] | None) -> None:
        self.log.append((kind, public["draft_right"], public["base_right"]))


@pytest.fixture
async def hall(database: Database, clock: FixedClock) -> Hall:
    found = Hall(database, clock)
    await found.trials.set_cases(found.org, AGENT, SET, by="tests")
    return found


class TestGate:
    async def test_lets_no_worse_draft_pass_without_a_reason(self, hall: Hall) -> None:
        [(name, passed, zh, en)] = await hall.trials.gate(hall.org, AGENT, hall.next)
        assert (name, passed, "1/3" in zh, "1 of 3" in en) == ("evaluation", False, True, True)
        asked = hall.asked
        report = await hall.trials.run(hall.org, AGENT)
        assert (hall.asked, report.paid_micro, report.base_right) == (asked, 30, 3)
        for _ in range(2):
            assert (await hall.trials.excuse(hall.org, AGENT, REASON, by="person:1")).reason == REASON
        assert hall.log == [("evaluation_override", 1, 3)]
        assert (await hall.trials.gate(hall.org, AGENT, hall.next))[0][1] is True
        assert (await hall.trials.gate(hall.org, AGENT, {**HALF, "note": "another"}))[0][1] is False

    async def test_passes_what_is_as_good_and_needs_no_reason_for_it(self, hall: Hall) -> None:
        hall.next = {**GOOD, "note": "new"}
        assert (await hall.trials.gate(hall.org, AGENT, hall.next))[0][1] is True
        with pytest.raises(BadCases):
            await hall.trials.excuse(hall.org, AGENT, REASON, by="person:1")

    async def test_does_not_pass_what_could_not_be_measured(self, hall: Hall) -> None:
        hall.away = True
        [(_, passed, _, en)] = await hall.trials.gate(hall.org, AGENT, hall.next)
        assert (passed, "No engine" in en) == (False, True)
        assert await hall.trials.reports(hall.org, AGENT) == []
        with pytest.raises(NoReport):
            await hall.trials.excuse(hall.org, AGENT, REASON, by="person:1")

    async def test_measures_once_for_whoever_asks_at_the_same_time(
        self, hall: Hall, database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.trials.service.POLL_S", 0.01)
        other = Trials(database, clock, asks=hall, match=hall.match, entry=hall.entry)  # of another process
        found = await asyncio.gather(*(one.run(hall.org, AGENT) for one in (hall.trials, other, hall.trials, other)))
        assert (hall.asked, len({one.id for one in found})) == (2 * len(SET), 1)
        assert await database.fetchval("SELECT count(*) FROM trials.run") == 0

    async def test_takes_over_from_a_run_that_ended_with_its_process(
        self, hall: Hall, database: Database, clock: FixedClock
    ) -> None:
        cases = await hall.trials.cases(hall.org, AGENT)
        await database.execute(
            "INSERT INTO trials.run VALUES ($1, $2, $3, $4, $5)",
            hall.org, AGENT, key_of(cases, hall.next, GOOD), new_id(), clock.now(),
        )  # fmt: skip
        assert (await hall.trials.run(hall.org, AGENT)).paid_micro == 30

    async def test_says_nothing_of_an_agent_without_a_set(self, hall: Hall) -> None:
        assert await hall.trials.gate(hall.org, "agent/other", HALF) == []


class TestCase:
    def test_compares_without_width_case_and_space(self) -> None:
        assert right(Case("q", "９ 点", "exact"), " 9　点 ")
        assert right(Case("q", "OPEN"), "we open at nine")
        assert not right(Case("q", "不收费", "exact"), "不收费。")
