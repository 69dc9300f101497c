"""What was decided by a rule in a time that has passed, as cases: the facts and results that the decisions recorded.

Of each application its last decision counts; what was paid later (a yearly renewal, an instalment) counts beside it.
What stood in the way of a refused one besides the rule stays in its way; what people decided against the rules is
theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.days import span
from shanhe.programmes import recorded_store
from shanhe.programmes.ground import Ground
from shanhe.programmes.model import Programme
from shanhe.programmes.sealing import unseal
from shanhe.rulebook.api import Case, Stream
from shanhe.rulebook.api import Text as Words

REVIEWER: Final = "reviewer"
BY_PEOPLE, LACKING = "by_people", "lacking"
RENEWED: Final = Words("按历次发放时的决定计入", "What is paid later counts by its own decision")

Tell = Callable[[int], None]
Decided = Case | str
"""A case, or why it is none: decided by people against the rules, or lacking what it would be worth."""


class Recorded:
    """Reads decisions; whose they are stays an id that is counted."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def cases(self, rule_id: str, first: date, last: date, most: int, tell: Tell) -> list[Stream]:
        """One stream a programme that stands on the rule, of the city's days `first` to `last`; `tell` may raise."""
        found = []
        for programme in self._ground.catalogue.programmes.values():
            if rule_id in (*programme.rules, programme.schedule.rule, programme.bound):
                found.append(await self._stream(programme, rule_id, first, last, most, tell))
        return found

    async def _stream(
        self, programme: Programme, rule_id: str, first: date, last: date, most: int, tell: Tell
    ) -> Stream:
        vault = self._ground.vault
        reviewed: dict[UUID, Decided | None] = {}
        later: list[Decided | None] = []
        erased = 0
        since, until = span(first, last)
        async for row in recorded_store.decided(self._ground.db, programme.id, since, until, most):
            tell(1)
            content = unseal(vault, row["person_id"], row["content"], row["sealed"])
            if not content:
                erased += 1
                continue
            decided = _decided(programme, rule_id, row["subject"], row["kind"], content)
            if "tranche" in content:
                later.append(decided)
            else:  # of a review, the last word counts
                reviewed[row["application"]] = decided
        found = [one for one in (*reviewed.values(), *later) if one is not None]
        lacking = sum(one == LACKING for one in found)
        amount = rule_id == programme.amount.rule
        condition = next((one for one in programme.conditions if one.rule == rule_id), None)
        return Stream(
            f"programme:{programme.id}", Words(programme.title.zh, programme.title.en), rule_id,
            [one for one in found if isinstance(one, Case)],
            paid=tuple(dict.fromkeys(grant.output for grant in programme.grants)) if amount else (),
            passes=condition.when if condition is not None else "", erased=erased,
            by_people=sum(one == BY_PEOPLE for one in found),
            unknown={programme.amount.rule: lacking} if lacking else {},
            note=RENEWED if programme.schedule.kind in ("yearly", "instalments") else None,
        )  # fmt: skip


def _decided(programme: Programme, rule_id: str, who: UUID, kind: str, content: Mapping[str, Any]) -> Decided | None:
    """A case, or why it is none; None where the rule was not asked."""
    traces: Mapping[str, Any] = content.get("traces", {})
    trace = traces.get(rule_id)
    if trace is None or (kind == "tranche" and not _counts(programme, rule_id, content)):
        return None
    facts, outputs = {one["name"]: one["value"] for one in trace["inputs"]}, _outputs(trace)
    if rule_id not in programme.rules:  # a schedule's own rule: no condition stands before it
        return Case(who, trace["version"], facts, outputs)
    others = [one for one in programme.conditions if one.rule != rule_id]
    passed = all(bool(_outputs(traces[one.rule]).get(one.when)) for one in others if one.rule in traces)
    own = all(outputs.get(one.when) for one in programme.conditions if one.rule == rule_id)
    if kind != "refusal" and not (passed and own):
        return BY_PEOPLE
    if rule_id == programme.amount.rule:
        worth: Mapping[str, int] = {}
    elif programme.amount.rule in traces:
        worth = _worth(programme, traces[programme.amount.rule])
    else:
        return LACKING
    said = [one.get("code", "") for one in content.get("reasons", ())]
    open_ = passed and not (kind == "refusal" and REVIEWER in said)
    return Case(who, trace["version"], facts, outputs, open=open_, worth=worth)


def _counts(programme: Programme, rule_id: str, content: Mapping[str, Any]) -> bool:
    """Whether a later payment is one more decision by the rule: the first is what the approval decided."""
    return rule_id not in programme.rules or int(content.get("tranche", 0)) > 1


def _outputs(trace: Mapping[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in trace["outputs"]}


def _worth(programme: Programme, trace: Mapping[str, Any]) -> dict[str, int]:
    """What a yes is worth: what the amount rule said, by unit."""
    found: dict[str, int] = {}
    said = {one["name"]: one for one in trace["outputs"]}
    for grant in programme.grants:
        one = said.get(grant.output, {})
        if type(one.get("value")) is int:
            unit = one["unit"] or "int"
            found[unit] = found.get(unit, 0) + one["value"]
    return found
