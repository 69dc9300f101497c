"""Filings of the double: records, complaints and interventions in every state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
CITY, FILED = UUID(int=901), UUID(int=902)


def words(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def record(number: UUID) -> dict[str, Any]:
    filed = number == FILED
    moves = [{"was": "preparing", "becomes": "filed", "number": "备案1号", "reason": "", "at": AT}]
    return {
        "id": number, "subject": "model/tuned" if filed else "*", "name": words("城市模型服务", "City models"),
        "operator": "市数字办", "kind": "generation", "purpose": words("问答", "Answers"), "sources": words("", ""),
        "state": "filed" if filed else "preparing", "number": "备案1号" if filed else None,
        "reason": "x" if filed else "",
        "filed_on": date(2026, 10, 1) if filed else None, "assessed_on": date(2026, 9, 1) if filed else None,
        "responsible": None, "made_by": "person:1", "made_at": AT, "changed_at": AT,
        "documents": [{"kind": "model_card", "title": "模型卡", "sha256": "ab" * 32, "added_at": AT}] if filed else [],
        "history": moves if filed else [],
    }  # fmt: skip


def complaint(n: int, state: str) -> dict[str, Any]:
    done = state not in ("open", "appealed")
    return {
        "id": UUID(int=910 + n), "org_id": UUID(int=1), "made_by": "person:1", "receipt_id": UUID(int=2),
        "model": "good", "category": "false", "text": "捏造判决书", "state": state, "made_at": AT, "due_at": AT,
        "overdue": state == "open",
        "answer": "未见捏造" if done else "", "appeal": "请再看" if state == "appealed" else "",
        "final_answer": "维持" if state == "confirmed" else "", "appealable": state == "rejected",
    }  # fmt: skip


class ConductDesk:
    def __init__(self) -> None:
        self.done: list[Any] = []

    async def register(self) -> Mapping[str, Any]:
        month = {"month": "2026-11", "surface": "", "category": "personal", "decision": "removed", "count": 12}
        return {"algorithms": [record(CITY), record(FILED)], "months": [month]}

    async def algorithm(self, algorithm_id: UUID) -> Mapping[str, Any]:
        return record(algorithm_id)

    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [complaint(n, state) for n, state in enumerate(("open", "rejected", "confirmed"))]

    async def complain(self, who: m.Who, fields: Mapping[str, str]) -> None:
        UUID(fields.get("receipt", ""))
        self.done.append(("complain", fields["text"]))

    async def appeal(self, who: m.Who, complaint_id: UUID, text: str) -> None:
        self.done.append(("appeal", text))

    async def desk(self, who: m.Who) -> Mapping[str, Any]:
        event = {"id": UUID(int=930), "at": AT, "surface": "agent/guide", "model": "good", "rule": "personal_removed",
                 "category": "personal", "decision": "removed", "run_id": None, "org_id": UUID(int=1)}  # fmt: skip
        found = await self.register()
        return {
            **found, "complaints": [
                complaint(n, state) | {"words": "", "link": ""}
                for n, state in enumerate(("open", "appealed", "upheld"))
            ] + [complaint(3, "open") | {"receipt_id": None, "model": f"rating/{UUID(int=50)}", "words": "骗子",
                                         "link": "/store/agent/letters#said"}],
            "events": [event | {"text": "号码 …"}, event | {"text": ""}, event | {"text": "", "decision": "labelled"}],
        }  # fmt: skip

    async def add(self, who: m.Who, fields: Mapping[str, str]) -> None:
        if not fields.get("subject"):
            raise Invalid("bad_algorithm", "It needs a subject.", message_zh="须填写对象。")
        self.done.append(("add", fields["subject"]))

    async def move(self, who: m.Who, algorithm_id: UUID, fields: Mapping[str, str]) -> None:
        self.done.append(("move", algorithm_id, fields["state"]))

    async def attach(self, who: m.Who, algorithm_id: UUID, fields: Mapping[str, str]) -> None:
        self.done.append(("attach", fields["kind"]))

    async def decide(self, who: m.Who, complaint_id: UUID, *, uphold: bool, answer: str, state: str | None) -> None:
        self.done.append(("decide", uphold, answer, state))

    async def months_csv(self, who: m.Who) -> str:
        return "month,count\n"
