"""The part of the desk's double that is about webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
ON, OFF = UUID(int=71), UUID(int=72)


def row(one: UUID) -> dict[str, Any]:
    return {
        "id": str(one), "form": "standard" if one == ON else "feishu", "host": "hooks.example.cn",
        "kinds": [] if one == ON else ["credits"], "state": "active" if one == ON else "stopped", "made_at": NOW,
        "failing_since": None if one == ON else NOW,
    }  # fmt: skip


class Webhooks:
    """One that works, one that was switched off."""

    def __init__(self) -> None:
        self.done: list[tuple[str, UUID]] = []

    async def every(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [row(ON), row(OFF)]

    async def add(self, who: m.Who, fields: Mapping[str, str]) -> tuple[UUID, str]:
        return ON, "whsec_c2VjcmV0"

    async def one(
        self, who: m.Who, endpoint: UUID, before: UUID | None
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        notice = {"title": {"zh": "余额不足", "en": "Balance is low"}}
        states = (("sent", 200, None), ("failed", 500, "http_status"), ("pending", None, None))
        return row(endpoint), [
            {"id": UUID(int=n), "kind": "credits.low", "notice": notice, "state": state, "attempts": n,
             "status": status, "error": error, "made_at": NOW} for n, (state, status, error) in enumerate(states)
        ]  # fmt: skip

    async def step(self, who: m.Who, endpoint: UUID, step: str) -> None:
        self.done.append((step, endpoint))

    async def rotate(self, who: m.Who, endpoint: UUID) -> str:
        return "whsec_YW5vdGhlcg"

    async def again(self, who: m.Who, delivery: UUID) -> None:
        self.done.append(("again", delivery))
