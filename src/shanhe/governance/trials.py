"""The joint venture's tender (P12) and policy experiments (P13): what a proposal of each holds, and what follows.

A tender names its bids with their scores, and its winner is who scores best by the rule. An experiment ends on the
rule's day; from then on the rule it tried waits for a review, which is how its outcome comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from shanhe.governance import store
from shanhe.governance.errors import BadProposal
from shanhe.governance.model import Duty, Proposal, State, duties
from shanhe.governance.sampling import Sampling
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.rulebook.api import Rulebook

TENDER, LAB = "P12_jv_tender", "P13_policy_lab"
ROLES: Final = {"data_group": "data_groups", "operator": "operators"}
SCORES: Final = ("technical", "operation", "price")
NAME_CHARS, BIDS_MAX, PAGE_ROWS = 200, 100, 100
WHOLE_BPS: Final = 10_000


class Trials:
    """Checks of proposals and the work that follows from them."""

    def __init__(self, db: Database, clock: Clock, rulebook: Rulebook, sampling: Sampling) -> None:
        self.sampling = sampling
        self._db = db
        self._clock = clock
        self._rulebook = rulebook

    # -- tenders ------------------------------------------------------------------------------------------------------

    def scores(self, content: Mapping[str, Any], on: date) -> list[tuple[str, int, bool]]:
        """(bidder, score in basis points, whether there were enough bidders), the best first."""
        bids = content.get("bids")
        if not isinstance(bids, Sequence) or isinstance(bids, str) or not 0 < len(bids) <= BIDS_MAX:
            raise BadProposal("a tender lists its bids with their scores", "须列明各投标人及各项得分")
        found = []
        for bid in bids:
            name = str(bid.get("name", "")).strip() if isinstance(bid, Mapping) else ""
            marks = [bid.get(score) for score in SCORES] if name else []
            if not 0 < len(name) <= NAME_CHARS or not all(type(m) is int and 0 <= m <= WHOLE_BPS for m in marks):
                raise BadProposal(
                    f"each bid has a name and {', '.join(SCORES)} of 0 to {WHOLE_BPS}",
                    f"每份投标须有名称与技术、运营、报价得分（0–{WHOLE_BPS}）",
                )
            facts = dict(zip(SCORES, marks, strict=True)) | {"bidders": len(bids)}
            said = self._rulebook.evaluate(TENDER, facts, on=on).outputs
            found.append((name, int(said["score"]), bool(said["valid"])))
        if len({name for name, _, _ in found}) < len(found):
            raise BadProposal("each bidder bids once", "每个投标人只能投标一次")
        return sorted(found, key=lambda one: (-one[1], one[0]))

    async def check_tender(self, content: Mapping[str, Any], on: date) -> None:
        """Enough bidders, the winner among the best, and no more winners of a role than the rule has places."""
        role, winner = content.get("role"), content.get("winner")
        if role not in ROLES:
            raise BadProposal(f"say what is awarded: {', '.join(ROLES)}", "须写明标的：data_group 或 operator")
        ranked = self.scores(content, on)
        if not ranked[0][2]:
            raise BadProposal("there are fewer bidders than P12 asks for", "有效投标人不足 P12 规定数量")
        if winner not in {name for name, score, _ in ranked if score == ranked[0][1]}:
            raise BadProposal(f"by P12 the best is {ranked[0][0]}", f"按 P12 评分，得分最高的是 {ranked[0][0]}")
        won = [one for one in await self._adopted("tender") if one.content.get("role") == role]
        if len(won) >= int(self._rulebook.parameter(TENDER, ROLES[role], on)):
            raise BadProposal("this place is awarded already", "该席位已定标")

    # -- experiments --------------------------------------------------------------------------------------------------

    async def check_lab(self, content: Mapping[str, Any], on: date) -> None:
        """An experiment names its instrument, the day it begins, the rule that learns from it, and what shows whether
        it worked, if that is something the city measures."""
        self.ends_on(content, on)
        outcome = content.get("outcome")
        if outcome is not None and outcome not in self.sampling.outcomes:
            known = ", ".join(self.sampling.outcomes)
            raise BadProposal(f"its outcome is one of: {known}", f"实验的衡量指标须为：{known}")

    def ends_on(self, content: Mapping[str, Any], on: date) -> date:
        """The day an experiment is over; BadProposal for what is none."""
        try:
            started = date.fromisoformat(str(content.get("started_on")))
            self._rulebook.rule(str(content.get("rule_id")))
            facts = {"instrument": content.get("instrument"), "started_on": started, "asked_on": started}
            ends: date = self._rulebook.evaluate(LAB, facts, on=on).outputs["ends_on"]
        except (ValueError, ShanheError) as error:
            raise BadProposal(
                "an experiment names its instrument, started_on and the rule_id that it tries",
                "政策实验须写明工具（instrument）、开始日（started_on）与所试规则（rule_id）",
            ) from error
        return ends

    async def draw(self) -> int:
        """Draw the samples of experiments that are over; how many."""
        today, done = self._clock.today(), 0
        for one in await self._adopted("policy_lab"):
            ends = self.ends_on(one.content, today)
            if ends <= today and isinstance(one.content.get("outcome"), str):
                first = date.fromisoformat(str(one.content["started_on"]))
                done += await self.sampling.draw(one.id, one.content["outcome"], first, ends)
        return done

    async def duties(self) -> list[Duty]:
        """Experiments that are over and whose rule was not looked at since: their outcome is still to be fed back."""
        today, last, found = self._clock.today(), await store.last_reviews(self._db), []
        for one in await self._adopted("policy_lab"):
            rule = self._rulebook.rule(str(one.content["rule_id"]))
            ends = self.ends_on(one.content, today)
            if ends <= today and last.get(rule.id, date.min) < ends:
                owner = duties().departments[one.department]
                title = {"zh": f"评估政策实验：{one.title}", "en": f"Review of the experiment {one.title}"}
                found.append(
                    Duty({"zh": owner.zh, "en": owner.en}, "review", title, ends, ends < today, f"/governance/{one.id}")
                )
        return found

    async def _adopted(self, matter: str) -> list[Proposal]:
        return await store.page(self._db, states=[State.ADOPTED], matter=matter, before=None, limit=PAGE_ROWS)
