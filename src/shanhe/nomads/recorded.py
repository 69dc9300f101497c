"""Decisions about the nomad ID in a time that has passed, as cases of the rule that was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.kernel.days import span
from shanhe.nomads import recorded_store
from shanhe.nomads.ground import Ground
from shanhe.nomads.model import Verdict
from shanhe.rulebook.api import Case, Stream, Text

if TYPE_CHECKING:
    from shanhe.nomads.cards import Cards

TITLE: Final = Text("数字游民身份卡", "Digital nomad IDs")
NOTE: Final = Text(
    "以身份卡张数计；在场天数按当时的统计窗口记录，窗口长度的改动不能据此测算",
    "Counted in IDs; days were counted in the window of that time, so a change of the window can't be seen here",
)
PASSES: Final = {"N1_qualify": "qualifies", "N2_whitelist": "qualifies", "N3_renewal": "renews"}
OTHERS: Final = ("undeclared", "revoked", "early")
"""Reasons that no number of days overcomes."""

Tell = Callable[[int], None]


class Recorded:
    """Reads verdicts; whose they are stays an id that is counted."""

    def __init__(self, ground: Ground, cards: Cards) -> None:
        self._ground = ground
        self._cards = cards

    async def cases(self, rule_id: str, first: date, last: date, most: int, tell: Tell) -> Sequence[Stream]:
        """Of the city's days `first` to `last`, of each person the last verdict; `tell` may raise."""
        if rule_id not in PASSES:
            return ()
        since, until = span(first, last)
        latest: dict[UUID, Case | None] = {}
        erased = by_people = 0
        async for row in recorded_store.decided(self._ground.db, since, until, most):
            tell(1)
            verdict = self._cards.verdict(row)
            if not verdict.traces:
                erased += 1
            elif rule_id in verdict.traces:
                latest[verdict.person_id] = _case(rule_id, verdict)
        by_people = sum(one is None for one in latest.values())
        cases = [one for one in latest.values() if one is not None]
        return [Stream("nomad_ids", TITLE, rule_id, cases, passes=PASSES[rule_id], erased=erased, by_people=by_people,
                       note=NOTE)]  # fmt: skip


def _case(rule_id: str, verdict: Verdict) -> Case | None:
    """None for what people decided against the rules."""
    said = {name: {one["name"]: one["value"] for one in trace["outputs"]} for name, trace in verdict.traces.items()}
    passed = {name: bool(outputs.get(PASSES.get(name, ""))) for name, outputs in said.items()}
    if verdict.granted and not any(passed.values()):
        return None
    elsewhere = any(yes for name, yes in passed.items() if name != rule_id)
    barred = any(reason.code in OTHERS for reason in verdict.reasons)
    trace: Any = verdict.traces[rule_id]
    return Case(
        verdict.person_id, trace["version"], {one["name"]: one["value"] for one in trace["inputs"]}, said[rule_id],
        open=not elsewhere and not barred,
    )  # fmt: skip
