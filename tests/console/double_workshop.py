"""The part of the desk's double that is about data sets, the studio and batches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import MICRO
from shanhe.pool.api import NodeEvent

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
VERSION, JOB = UUID(int=200), UUID(int=201)
ROW = {"question": "焊接前坡口怎么处理", "wrong": "直接施焊", "right": "清除油污和铁锈", "reason": "防止气孔"}
REPORT = {
    "rows": 60, "columns": ["question", "wrong", "right", "reason"], "empty": {}, "languages": {"zh": 60},
    "chars": {"least": 20, "median": 36, "most": 61, "sum": 2_200}, "duplicates": {"rows": 2, "pairs": [[9, 4]]},
    "personal": {"phone": {"found": 1, "rows": [17]}}, "personal_count": 1,
}  # fmt: skip
ONE = {
    "id": str(VERSION), "number": 1, "rows": 60, "personal": 1, "sha256": "ab" * 32, "recipe": {"step": "import"},
    "report": REPORT, "forgotten_at": None,
}  # fmt: skip
DATASET = {"id": str(UUID(int=202)), "name": "错题集", "form": "errors", "licence": "CC-BY-4.0", "consent": "own"}
STEPS = [
    ("before", "done", {"right": 12, "asked": 180, "tokens_s": 61.2}),
    ("tune", "running", {}),
    ("merge", "waiting", {}),
    ("drop", "waiting", {"dropped": [9, 14]}),
    ("quantize", "waiting", {"bytes": 398_000_000}),
    (
        "judge",
        "done",
        {
            "judged": 20,
            "score_before": 3.0,
            "score_after": 8.2,
            "better": 17,
            "worse": 1,
            "agreed": 15,
            "cost_micro": 1_200,
        },
    ),
]


ANSWER = {
    "question": "坡口怎么处理？", "answer": "清除油污和铁锈。", "before": "直接施焊", "after": "清除油污和铁锈。",
    "right_before": False, "right_after": True,
    "judge": {"before": 2.5, "after": 8.5, "reason": "与参考一致", "agreed": False},
}  # fmt: skip


def job(*, ended: bool = False) -> dict[str, Any]:
    steps = [
        {"at": at, "title": title, "state": state, "core_ms": 61_000, "metrics": metrics}
        for at, (title, state, metrics) in enumerate(STEPS)
    ]
    error = {"message": "The budget was used up.", "message_zh": "预算已用完。"} if ended else None
    return {
        "id": str(JOB), "name": "shop-floor", "version_id": str(VERSION), "recipe": {"base": "qwen"}, "steps": steps,
        "state": "failed" if ended else "running", "error": error, "spent_micro": 31_000, "budget_micro": 2 * MICRO,
        "ended_at": "2026-11-20" if ended else None, "eta_s": None if ended else 184, "log": "12 of 90 rounds",
        "curves": {1: [[5, 90, 4.1], [10, 90, 2.2], [15, 90, 1.3]]},
        "answers": [ANSWER] if ended else [], "made": made(3, "trial") if ended else None,
    }  # fmt: skip


def made(number: int, state: str) -> dict[str, Any]:
    return {
        "name": "shop-floor", "number": number, "state": state, "job_id": str(JOB), "base_bps": 667, "score_bps": 9_111,
        "size_bytes": 398_000_000,
    }  # fmt: skip


NODE = {
    "name": "lab-1", "state": "active", "cause": "", "flag": "", "connected": True, "location": "青山",
    "models": ["qwen"], "verdict": None, "own_drain": False,
    "chips": [{"kind": "nvidia", "name": "RTX 4090", "count": 2}],
}  # fmt: skip


VERDICT = {"check": "count", "checks": 40, "failures": 7}


class Pool:
    """Two machines; remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []

    async def nodes(self, who: m.Who) -> Mapping[str, Any]:
        held = NODE | {"name": "lab-2", "state": "quarantined", "connected": False, "verdict": VERDICT,
                       "cause": "count: 7 of 40 checks failed"}  # fmt: skip
        plan = {"placed": {"lab-1": ["qwen"]}, "moves": [], "unmet": []}
        return {"nodes": [NODE, held], "plan": plan if who.may("engines") else None}

    async def token(self, who: m.Who, name: str) -> str:
        if name == "lab-1":
            raise Invalid("node_exists", "Taken.", message_zh="名称已被使用。")
        return "shn-secret"

    async def node(self, who: m.Who, name: str) -> Mapping[str, Any]:
        day = {"day": "2026-11-20", "calls": 12, "tokens": 3_400, "amount_micro": 9_000}
        proof = {"receipt_id": JOB, "at": NOW, "model": "qwen", "tokens": 310, "amount_micro": 700}
        return NODE | {
            "measured": {"qwen": {"prefill_tps": 900.0, "decode_tps": 60.0}}, "days": [day],
            "whole_since": None, "proofs": [proof],
            "figures": {"calls": 12, "utilisation_bps": 130, "ttft_ms": 212.0, "tokens_per_s": 61.5,
                        "cost_micro_per_mtok": 212_000, "power_fen_per_mtok": 38},
            "withheld": [], "unserved": [], "version": "0.1.0",
            "events": [
                NodeEvent("draining", "风扇更换", "org:x", NOW),
                NodeEvent("quarantined", "count: 7 of 40 checks failed", "system", NOW,
                          {"check": "count", "checks": 40, "failures": 7}),
            ],
            "checks": {"count": {"checks": 40, "failures": 1}},
        }  # fmt: skip

    async def change(self, who: m.Who, name: str, step: str, reason: str, *, restore: bool) -> bool:
        if step == "quarantine" and not reason:
            raise Invalid("reason_missing", "Say why.", message_zh="须写明隔离原因。")
        self.done.append((name, step, reason))
        return False


class Workshop:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.ended = False
        self.ordered: dict[str, str] = {}

    async def overview(self, who: m.Who) -> Mapping[str, Any]:
        batch = {
            "id": "batch_0123456789abcdef",
            "status": "in_progress",
            "request_counts": {"completed": 7, "total": 90},
        }
        return {
            "datasets": [DATASET | {"newest": ONE}], "jobs": [job(), job(ended=True)],
            "models": [made(2, "deployed"), made(1, "retired")], "batches": [batch],
        }  # fmt: skip

    async def bring(self, who: m.Who, fields: Mapping[str, str], name: str, data: bytes) -> UUID:
        if not data:
            raise Invalid("unreadable_file", "Empty.", message_zh="文件为空。")
        self.done.append(("bring", (fields["name"], name, data)))
        return VERSION

    async def version(self, who: m.Who, version_id: UUID) -> Mapping[str, Any]:
        use = {"version_id": str(VERSION), "purpose": "train", "name": "shop-floor"}
        dataset = DATASET | {"versions": [ONE], "uses": [use]}
        return ONE | {"dataset": dataset, "preview": [ROW], "bases": ["qwen2.5-coder-0.5b-instruct"]}

    async def clean(self, who: m.Who, version_id: UUID, fields: Mapping[str, str]) -> UUID:
        self.done.append(("clean", fields["personal"]))
        return VERSION

    async def forget(self, who: m.Who, version_id: UUID) -> None:
        self.done.append(("forget", version_id))

    async def order(self, who: m.Who, version_id: UUID, fields: Mapping[str, str]) -> UUID:
        if fields["name"] == "taken":
            raise Invalid("model_name_taken", "Taken.", message_zh="名称已被使用。")
        self.done.append(("order", (fields["name"], int(fields["epochs"]))))
        self.ordered = dict(fields)
        return JOB

    def templates(self) -> Mapping[str, Mapping[str, str]]:
        return {"quality": {"zh": "质检问答", "en": "Quality inspection"}}

    async def begin(self, who: m.Who, template: str) -> tuple[UUID, Mapping[str, Any]]:
        self.done.append(("begin", template))
        return VERSION, {"epochs": 4, "quantum": "Q4_K"}

    async def flow(self, who: m.Who) -> Mapping[str, Any]:
        return {
            "versions": [(str(VERSION), "错题集 · 1")], "bases": [("qwen", "qwen")], "quanta": [("Q4_K", "Q4_K")],
            "judges": [("wise", "wise")], "rubric": "1. 正确",
        }  # fmt: skip

    async def resume(self, who: m.Who, job_id: UUID) -> UUID:
        self.done.append(("resume", job_id))
        return JOB

    async def job(self, who: m.Who, job_id: UUID) -> Mapping[str, Any]:
        return job(ended=self.ended)

    async def cancel(self, who: m.Who, job_id: UUID) -> None:
        self.done.append(("cancel", job_id))

    async def deploy(self, who: m.Who, name: str, number: int, share: int) -> None:
        self.done.append(("deploy", (name, number, share)))

    async def roll_back(self, who: m.Who, name: str) -> None:
        self.done.append(("rollback", name))
