"""Watching, of the double: openings of break-glass in every state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.kernel.errors import Invalid

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
OPEN, ENDED, REVIEWED = UUID(int=801), UUID(int=802), UUID(int=803)
STATES = {OPEN: "open", ENDED: "ended", REVIEWED: "reviewed"}
TERMS = {"minutes": 30, "cap_fen": 10_000_000, "openings_a_month": 2, "review_days": 3,
         "classes": ["programmes.funding", "access.audit"]}  # fmt: skip


def opening(number: UUID) -> dict[str, Any]:
    state = STATES[number]
    act = {"id": UUID(int=9), "n": 1, "class": "programmes.funding", "object": "relief", "value_fen": 100,
           "posting": UUID(int=10), "at": AT, "reversal": UUID(int=11), "reversal_state": "open"}  # fmt: skip
    judged = {"by": UUID(int=4), "at": AT, "justified": False, "follow_up": "reversal", "findings": "并不紧急",
              "name": "周审计"}  # fmt: skip
    return {
        "id": number, "person_id": UUID(int=3), "name": "陈思远", "class": "programmes.funding", "object": "relief",
        "reason": "防汛资金今夜须到位", "factor": "totp", "opened_at": AT, "expires_at": AT + timedelta(minutes=30),
        "cap_fen": 10_000_000, "spent_fen": 100, "state": state, "ended_at": None if state == "open" else AT,
        "review_due": AT + timedelta(days=3), "overdue": state == "ended", "acts": [] if state == "open" else [act],
        "review": judged if state == "reviewed" else None,
    }  # fmt: skip


class WatchDesk:
    def __init__(self) -> None:
        self.done: list[Any] = []

    async def dilution(self, who: m.Who | None, on: str) -> Mapping[str, Any]:
        whole = who is not None
        words = {"zh": "论文资助", "en": "Paper grant"}
        plain = {"title": words, "recipients": 12, "effective": 8.5, "index_bps": 4_200, "below": 10,
                 "below_bps": 9_000, "suppressed": False}  # fmt: skip
        sums = {"total_fen": 1_200_000, "median_fen": 90_000, "needs_fen": 1, "could_reach": 1, "said": words}
        shown = plain | (sums if whole else {})
        few = {"id": "b", "title": words, "asset": "cny", "department": words, "suppressed": True}
        report = {
            "since": AT.date(), "on": AT.date(), "whole": whole, "least_recipients": 5,
            "budgets": [shown | {"id": "a", "asset": "credit", "department": words}, *([] if whole else [few])],
            "programmes": [shown | {"id": "paper_grant", "rule": "T9_paper_grant", "budgets": ["a"], "thin": True,
                                    "critical_fen": 1_000_000}],
        }  # fmt: skip
        points = [{"on": AT.date(), "index_bps": 4_200, "recipients": 12},
                  {"on": AT.date(), "index_bps": None, "recipients": None}]  # fmt: skip
        return {"report": report, "trend": [{"id": "a", "title": words, "points": points}]}

    async def dilution_csv(self, who: m.Who | None, on: str) -> str:
        return "id,index_bps\na,4200\n"

    async def openings(self, who: m.Who) -> Mapping[str, Any]:
        return {"rows": [opening(number) for number in STATES], "terms": TERMS}

    async def opening(self, who: m.Who, glass_id: UUID) -> Mapping[str, Any]:
        can = {OPEN: ["end", "read"], ENDED: ["review"]}.get(glass_id, [])
        return opening(glass_id) | {"can": can}

    async def open(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        if fields.get("code") != "123456":
            raise Invalid("bad_code", "This code is not right.", message_zh="验证码不正确。")
        self.done.append(("open", fields["class"], fields["object"]))
        return OPEN

    async def end(self, who: m.Who, glass_id: UUID) -> None:
        self.done.append(("end", glass_id))

    async def read(self, who: m.Who, glass_id: UUID) -> Sequence[mc.AuditRow]:
        return [mc.AuditRow(AT, "person:1", "people.grant", "person:2", "role=operator", UUID(int=5))]

    async def review(self, who: m.Who, glass_id: UUID, fields: Mapping[str, str]) -> None:
        if not fields.get("findings"):
            raise Invalid("bad_glass", "Findings need reasons.", message_zh="须写明理由。")
        self.done.append(("review", fields["do"], fields["follow_up"]))
