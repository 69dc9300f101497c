"""Governance of the double: proposals in every state, a board with targets, a project, work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid
from shanhe.kernel.paging import Leaf

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
SAMPLE = {
    "outcome": "captured_micro", "first": "2026-06-01", "last": "2026-11-30", "treated": 40, "untreated": 60,
    "treated_change": 50, "untreated_change": 10, "effect": 40, "chance_bps": 30,
    "cases": [{"treated": True, "before": 100, "during": 150, "change": 50},
              {"treated": False, "before": 100, "during": 110, "change": 10}],
}  # fmt: skip
VOTING, ADOPTED = UUID(int=701), UUID(int=702)
DONE, RUNNING, FEW = UUID(int=711), UUID(int=712), UUID(int=713)


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


def _amount(name: str, zh: str, before: int | None, after: int | None) -> dict[str, Any]:
    known = before is not None and after is not None
    difference = after - before if before is not None and after is not None else None
    spread = {"before": [1, 2], "after": [1, 2], "difference": [-500_000, 1_000]} if known else None
    return {"name": name, "title": words(zh, name), "unit": name, "before": before, "after": after,
            "difference": difference, "interval": spread}  # fmt: skip


def _section(*, few: bool) -> dict[str, Any]:
    trace = {"inputs": [{"title": words("购买额", "Purchase"), "value": 100, "display": "¥1.00"}], "parameters": [],
             "steps": [], "outputs": [{"title": words("优惠", "Benefit"), "display": "¥0.30", "arithmetic": "1 * 0.3"}],
             "binding": [], "nearest": []}  # fmt: skip
    shown = None if few else 40
    said = {"amount": 30, "unit": "fen", "outputs": {}, "trace": trace}
    return {
        "rule": "P1_resident_discount", "key": "purchases", "title": words("积分购买", "Purchases"),
        "note": words("只记录最优惠的规则", "Only the best rule is recorded"), "versions": ["a" * 64, "b" * 64],
        "charged": False, "cases": shown, "checked": 80, "digest": "c" * 64, "seed": "d" * 64, "people": shown,
        "suppressed": few, "main": 0, "gain": None if few else 0, "lose": shown, "same": None, "begin": 0, "end": None,
        "amounts": [_amount("fen", "优惠金额", None if few else 2_400_000, None if few else 2_000_000),
                    _amount("micro", "积分", None if few else 7, None if few else 9),
                    _amount("yes", "人数", None if few else 12, None)],
        "groups": [] if few else [{"people": 20, "before": 60_000, "after": 50_000, "difference": -10_000}] * 2,
        "limits": [{"title": words("按率", "By rate"), "other": words("上限", "Cap"), "before": None, "after": 12}],
        "examples": [] if few else [{"people": 20, "difference": -10_000, "facts": {}, "before": said, "after": said}],
        "left_out": {"other_version": 3, "unlike": 0, "erased": None, "by_people": 0}, "missing": {"green": 9},
        "invalid": {"value_fen": None}, "facts": {"green": words("绿色", "Green")},
    }  # fmt: skip


def simulated(identifier: UUID) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": identifier, "proposal": VOTING, "rule": "P1_resident_discount", "content_sha256": "e" * 64,
        "first": date(2026, 2, 1), "last": date(2026, 2, 28), "state": "running", "seen": 1_234, "asked_at": AT,
        "ended_at": None, "report_sha256": None, "error": None, "report": None,
    }  # fmt: skip
    if identifier == RUNNING:
        return found
    report = {"format": 1, "first": "2026-02-01", "last": "2026-02-28", "least": 5, "whole": False,
              "sections": [_section(few=identifier == FEW)],
              "unrecorded": [{"rule": "N5_credits", "title": words("年度积分", "Credits")}],
              "unseen": [{"name": "days", "title": words("天数", "Days")}],
              "limits": [words("每例单独", "Each case by itself")]}  # fmt: skip
    return found | {"state": "done", "ended_at": AT, "report_sha256": "f" * 64, "report": report}


class Governance:
    def __init__(self) -> None:
        self.done: list[Any] = []

    async def proposals(self, who: m.Who | None, before: UUID | None) -> Leaf[Mapping[str, Any]]:
        return Leaf([row(VOTING, "voting"), row(ADOPTED, "adopted")], None)

    async def proposal(self, who: m.Who | None, proposal: UUID, past: UUID | None = None) -> Mapping[str, Any]:
        voting = proposal == VOTING
        change = {"name": "discount", "title": words("优惠比例", "Discount"), "before": 3000, "after": 2500,
                  "words": words("优惠比例由 30 % 变为 25 %", "Discount goes from 30 % to 25 %"),
                  "from": "2026-05-01"}  # fmt: skip
        return {
            **row(proposal, "voting" if voting else "adopted"), "content": {}, "changes": [change] if voting else [],
            "votes": [{"step": 1, "vote": "for", "reason": "", "at": AT}] if voting else [],
            "comments_next": None, "comments": [{"text": "同意", "at": AT}, {"text": "", "at": AT}] if voting else [],
            "history": [{"at": AT, "event": "voting", "details": {}}], "sample": None if voting else SAMPLE,
            "simulations": [simulated(one) for one in (RUNNING, DONE)] if voting else [],
            "can": ["comment", "vote", "veto", "withdraw", "simulate"] if who is not None and voting else [],
        }  # fmt: skip

    async def may_propose(self, who: m.Who | None) -> bool:
        return who is not None

    async def form(self, rule_id: str) -> Mapping[str, Any]:
        one = [{"id": "rulebook_change", "title": words("规则修订", "Change of a rule")}]
        days = {"first": date(2026, 12, 6), "announced": date(2026, 12, 26), "notice": 30, "from": date(2027, 1, 25)}
        return {"days": days, "matters": one, "departments": [{"id": "digital", "title": OFFICE}],
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

    async def set_aside(self, who: m.Who, amendment: UUID, reason: str, request_id: UUID) -> str:
        self.done.append(("set_aside", amendment))
        return "P1_resident_discount"

    async def draft(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        self.done.append(("draft", fields["rule"]))
        return DONE

    async def simulation(self, who: m.Who | None, proposal: UUID | None, simulation: UUID) -> Mapping[str, Any]:
        return simulated(simulation)

    async def simulation_csv(self, who: m.Who | None, proposal: UUID | None, simulation: UUID) -> str:
        return "\ufeffrule,section"

    async def simulate(self, who: m.Who, proposal: UUID, fields: Mapping[str, str]) -> None:
        self.done.append(("simulate", fields["first"]))

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
        asked = duty | {"kind": "privacy", "title": words("个人信息请求", "Request"), "link": "/city/privacy"}
        return {"scores": [score, apps], "projects": [project], "duties": [[duty, asked]],
                "lock": {"may_share": True, "shareable_fen": 100}, "missing": []}  # fmt: skip

    async def record(self, who: m.Who, what: str, fields: Mapping[str, str]) -> None:
        self.done.append((what, fields.get("evidence", "")))
