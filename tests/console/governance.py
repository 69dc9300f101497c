"""Governance of the double: proposals in every state, a board with targets, a project, work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
SAMPLE = {
    "outcome": "captured_micro", "first": "2026-06-01", "last": "2026-11-30", "treated": 40, "untreated": 60,
    "treated_change": 50, "untreated_change": 10, "effect": 40, "chance_bps": 30,
    "cases": [{"treated": True, "before": 100, "during": 150, "change": 50},
              {"treated": False, "before": 100, "during": 110, "change": 10}],
}  # fmt: skip
VOTING, ADOPTED = UUID(int=701), UUID(int=702)


def words(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


OFFICE = words("市数字办", "Digital office")


def row(identifier: UUID, state: str) -> dict[str, Any]:
    voting = state == "voting"
    return {
        "id": identifier, "matter": "rulebook_change", "matter_title": words("规则修订", "Change of a rule"),
        "title": "优惠降为 25%", "why": "控制支出", "rule": "P1_resident_discount", "department": OFFICE,
        "state": state,
        "step": 1 if voting else None, "steps": 2, "path": [{"by": OFFICE, "eyes": 1, "days": 10}],
        "with": OFFICE if voting else None, "due": AT if voting else None, "veto": voting,
        "discuss_until": date(2026, 3, 9), "announced_on": date(2026, 4, 1), "veto_until": date(2026, 4, 6),
        "effective_on": date(2026, 5, 1), "proposed_at": AT, "reason": "" if voting else "late",
    }  # fmt: skip


class Governance:
    def __init__(self) -> None:
        self.done: list[Any] = []

    async def proposals(self, who: m.Who | None) -> Sequence[Mapping[str, Any]]:
        return [row(VOTING, "voting"), row(ADOPTED, "adopted")]

    async def proposal(self, who: m.Who | None, proposal: UUID) -> Mapping[str, Any]:
        voting = proposal == VOTING
        change = {"name": "discount", "title": words("优惠比例", "Discount"), "before": 3000, "after": 2500,
                  "words": words("优惠比例由 30 % 变为 25 %", "Discount goes from 30 % to 25 %"),
                  "from": "2026-05-01"}  # fmt: skip
        return {
            **row(proposal, "voting" if voting else "adopted"), "content": {}, "changes": [change] if voting else [],
            "votes": [{"step": 1, "vote": "for", "reason": "", "at": AT}] if voting else [],
            "comments": [{"text": "同意", "at": AT}, {"text": "", "at": AT}] if voting else [],
            "history": [{"at": AT, "event": "voting", "details": {}}], "sample": None if voting else SAMPLE,
            "can": ["comment", "vote", "veto", "withdraw"] if who is not None and voting else [],
        }  # fmt: skip

    async def may_propose(self, who: m.Who | None) -> bool:
        return who is not None

    async def form(self, rule_id: str) -> Mapping[str, Any]:
        one = [{"id": "rulebook_change", "title": words("规则修订", "Change of a rule")}]
        return {"matters": one, "departments": [{"id": "digital", "title": OFFICE}],
                "rules": [("P1_resident_discount", words("居民优惠", "Resident discount"))],
                "parameters": [{"name": "discount", "title": words("优惠率", "Rate"), "value": "30 %", "unit": "bps"}]
                if rule_id else []}  # fmt: skip

    async def propose(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        if not fields.get("title"):
            raise Invalid("bad_proposal", "It needs a title.", message_zh="须有标题。")
        self.done.append(("propose", fields["title"]))
        return VOTING

    async def comment(self, who: m.Who, proposal: UUID, text: str, comment_id: UUID) -> None:
        self.done.append(("comment", text))

    async def vote(self, who: m.Who, proposal: UUID, word: str, reason: str) -> None:
        self.done.append(("vote", word, reason))

    async def withdraw(self, who: m.Who, proposal: UUID) -> None:
        self.done.append(("withdraw", proposal))

    async def board(self, who: m.Who | None) -> Mapping[str, Any]:
        score = {"name": "nomads", "title": words("数字游民", "Nomads"), "target": 10_000, "unit": "int", "actual": 900,
                 "source": "measured", "reached_bps": 900, "elapsed_bps": 2_900, "at_most": False,
                 "behind": True}  # fmt: skip
        apps = score | {"name": "apps", "actual": None, "reached_bps": None, "source": "", "behind": False}
        project = {"id": UUID(int=703), "name": words("智慧路灯", "Lamps"), "invested_fen": 100_000, "returned_fen": 0,
                   "deadline": date(2027, 9, 2), "missing_fen": 100_000, "watched": True, "department": OFFICE,
                   "started_on": date(2026, 3, 2)}  # fmt: skip
        duty = {"department": OFFICE, "kind": "vote", "title": words("优惠", "Discount"), "due_on": date(2026, 3, 9),
                "overdue": True, "link": f"/governance/{VOTING}"}  # fmt: skip
        return {"scores": [score, apps], "projects": [project], "duties": [[duty]],
                "lock": {"may_share": True, "shareable_fen": 100}, "missing": []}  # fmt: skip

    async def record(self, who: m.Who, what: str, fields: Mapping[str, str]) -> None:
        self.done.append((what, fields.get("evidence", "")))
