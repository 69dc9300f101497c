"""The part of the desk's double that is about digital clones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
MANDATE, JOB = UUID(int=71), UUID(int=72)
PURPOSES = ("consultation", "teaching", "service", "promotion", "alliance", "voice", "training")


def mandate(state: str, slug: str = "teacher") -> dict[str, Any]:
    uses = PURPOSES[:2]
    return {"id": MANDATE, "name": f"clone/{slug}", "slug": slug, "state": state, "called": "张老师", "asked": uses,
            "uses": uses, "asked_until": date(2027, 6, 30), "last": date(2027, 6, 30),
            "cleared_at": NOW if state == "revoked" else None}  # fmt: skip


class Clones:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.known = True

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        states = ("asked", "granted", "revoked") if self.known else ()
        return {"org": [mandate(state) for state in states], "purposes": PURPOSES,
                "me": [mandate(state) for state in states[1:]]}  # fmt: skip

    async def ask(self, who: m.Who, slug: str, wanted: Sequence[str], until: str) -> str:
        if slug == "taken":
            raise Invalid("clone_consent_open", "Open already.", message_zh="已有待处理的授权请求。")
        self.done.append(("ask", slug, tuple(wanted), until))
        return "one-time-code"

    async def drop(self, who: m.Who, mandate: UUID) -> None:
        self.done.append(("drop", mandate))

    async def asked(self, who: m.Who, code: str) -> Mapping[str, Any]:
        notice = {"version": "1", "zh": "分身以您的身份作答。", "en": "A clone answers with your identity."}
        return {**mandate("asked"), "maker": "青山机器人", "notice": notice, "open": code != "decided"}

    async def grant(self, who: m.Who, code: str, called: str, wanted: Sequence[str], until: str, version: str) -> None:
        if not called:
            raise Invalid("bad_clone_consent", "A name.", message_zh="称呼须为 1–40 个可见字符。")
        self.done.append(("grant", code, called, tuple(wanted), until, version))

    async def decline(self, who: m.Who, code: str) -> None:
        self.done.append(("decline", code))

    async def revoke(self, who: m.Who, mandate: UUID) -> None:
        self.done.append(("revoke", mandate))

    async def say(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.done.append(("say", fields["name"], fields["good"], fields["correction"]))

    async def one(self, who: m.Who, slug: str) -> Mapping[str, Any]:
        piece = {"id": UUID(int=73), "question": "怎么写开头？", "answer": "直接写。", "good": False,
                 "correction": "先想好要说什么。"}  # fmt: skip
        gates = [
            {
                "number": 2,
                "score_bps": 7_000,
                "base_bps": 5_000,
                "standing_bps": 8_000,
                "passed": False,
                "why_zh": "在相同的 20 道题上比在用的第 1 版差：-10.0 分",
                "why_en": "worse than version 1 in service",
                "compared": {"asked": 20, "difference": -10.0, "low": -23.1, "high": 3.1},
            },
            {"number": 1, "score_bps": 8_000, "base_bps": 5_000, "standing_bps": 0, "passed": True, "compared": None},
        ]
        return {
            **mandate("granted", slug), "listed": self.known, "feedback": [piece] if self.known else [], "accepted": 3,
            "gates": gates if self.known else [], "version_id": UUID(int=74) if self.known else "",
        }  # fmt: skip

    async def decide(self, who: m.Who, feedback: UUID, accept: bool) -> None:
        self.done.append(("decide", feedback, accept))

    async def collect(self, who: m.Who, slug: str) -> None:
        self.done.append(("collect", slug))

    async def train(self, who: m.Who, slug: str, version: str, epochs: str) -> UUID:
        if epochs == "many":
            raise Invalid("bad_number", "A number.", message_zh="请选择版本与遍数。")
        self.done.append(("train", slug, version, epochs))
        return JOB

    async def offer(self, who: m.Who, slug: str, number: int) -> None:
        if number == 2:
            raise Invalid("clone_gate_closed", "Closed.", message_zh="须高于基座且不低于在用版本（T2）。")
        self.done.append(("offer", slug, number))
