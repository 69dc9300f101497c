"""Rights of the double: one person with facts, every kind of purpose, a reading, a request; a desk with work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.model_credits import File
from shanhe.kernel.errors import Invalid

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
REQUEST = UUID(int=601)


def words(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def purpose(name: str, **given: Any) -> dict[str, Any]:
    return {
        "purpose": name, "title": words("办理申请", "Deciding"), "notice": words("仅读取所需", "Only what is needed"),
        "version": "1", "basis": "legal_duty", "article": "PIPL 13(3)", "sensitive": False, "refusable": False,
        "used": True, "consented": "", "given_at": None, "assessed": False, "by_consent": False, **given,
    }  # fmt: skip


PURPOSES = [
    purpose("programmes"), purpose("automated_decisions", refusable=True),
    purpose("objected", refusable=True, used=False),
    purpose("nomad_presence", basis="consent", by_consent=True, sensitive=True, used=False),
    purpose("newsletter", basis="consent", by_consent=True, consented="1", given_at=AT),
]  # fmt: skip


def request(state: str) -> dict[str, Any]:
    answer = "" if state == "open" else "已更正"
    return {"id": REQUEST, "person_id": UUID(int=8), "kind": "correction", "state": state, "asked": "住址有误",
            "answer": answer, "asked_at": AT, "due_at": AT, "decided_by": None, "decided_at": None,
            "overdue": state == "open"}  # fmt: skip


class Rights:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        fact = {"title": words("人才岗位", "Talent role"), "value": "数据分析", "standing": "checked",
                "since": date(2026, 1, 1), "source": "register"}  # fmt: skip
        reading = {"at": AT, "purpose": words("办理政策申请", "Programmes"), "by": "system",
                   "names": [words("人才岗位", "Role")], "ground": "legal_duty", "about": ""}  # fmt: skip
        many = reading | {"names": [words(f"事实{n}", f"Fact {n}") for n in range(38)]}
        return {
            "person": SimpleNamespace(name="张伟", email="wei@example.cn", phone=None), "purposes": PURPOSES,
            "by_people": True, "facts": [fact], "readings": [reading, many],
            "requests": [request("open"), request("done")],
            "left": {"wallet_micro": 100_000_000, "income_micro": 2_500_000, "exchange_fen": 12_345, "listings": 1,
                     "awards": 2, "card": 1, "rights": 3, "outputs": 4, "data": 5},
        }  # fmt: skip

    async def correct(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.calls.append(("correct", fields["name"]))

    async def consent(self, who: m.Who, purpose: str, version: str, *, apart: bool) -> None:
        self.calls.append(("consent", (purpose, version, apart)))

    async def withdraw(self, who: m.Who, purpose: str) -> None:
        self.calls.append(("withdraw", purpose))

    async def refuse(self, who: m.Who, purpose: str, *, refused: bool) -> None:
        self.calls.append(("refuse", (purpose, refused)))

    async def ask(self, who: m.Who, kind: str, text: str, request_id: UUID) -> None:
        if not text:
            raise Invalid("bad_text", "Say what it is about.", message_zh="请写明事由。")
        self.calls.append(("ask", (kind, text)))

    async def copy(self, who: m.Who, fmt: str, language: str) -> File:
        return File(b"{}", "application/json", {"content-disposition": "attachment"})

    async def erase(self, who: m.Who, password: str) -> None:
        self.calls.append(("erase", password))

    async def desk(self, who: m.Who) -> Mapping[str, Any]:
        assessment = {"id": UUID(int=602), "purpose": "nomad_presence", "grounds": ("sensitive",), "necessity": "必要",
                      "impact": "有限", "safeguards": "加密", "conclusion": "with_measures", "made_by": "x",
                      "made_at": AT, "keep_until": date(2029, 11, 20)}  # fmt: skip
        return {"requests": [request("open"), request("done")], "assessments": [assessment],
                "missing": [words("由规则即时决定", "Decided by rule")], "purposes": PURPOSES,
                "grounds": ("sensitive", "automated")}  # fmt: skip

    async def answer(self, who: m.Who, request_id: UUID, *, done: bool, answer: str) -> None:
        self.calls.append(("answer", (request_id, done, answer)))

    async def assess(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.calls.append(("assess", fields["purpose"]))
