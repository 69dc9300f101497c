"""Companies of the double: an index with reasons, an alliance one short, slots free and full, a called guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Conflict

AT = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
ORG = UUID(int=7)
ALLIANCE, BOOKING, RESOURCE, GUARANTEE = (UUID(int=number) for number in (710, 711, 712, 713))
ROWS = [
    {"name": "usage", "value": 900_000_000, "below": 10, "equal": 0},
    {"name": "innovation", "value": 42, "below": 8, "equal": 1},
    {"name": "jobs", "value": 12, "below": 9, "equal": 0}, {"name": "data", "value": 0, "below": 0, "equal": 6},
]  # fmt: skip
QUARTER = {"quarter_end": date(2026, 9, 30), "points": "86.00", "index_bps": 8_600, "rows": ROWS, "companies": 11}
MEMBERS = [
    {"org_id": ORG, "name": "启明科技", "state": "member", "invited_at": AT, "decided_at": AT},
    {"org_id": UUID(int=703), "name": "乙机电", "state": "member", "invited_at": AT, "decided_at": AT},
    {"org_id": UUID(int=704), "name": "丙数科", "state": "invited", "invited_at": AT, "decided_at": None},
]
MINE: dict[str, Any] = {
    "id": ALLIANCE, "name": "智造联盟", "purpose": "共建质检模型", "mine": "member", "parties": 2, "needed": 3,
    "extra_bps": 500, "open": False, "members": MEMBERS,
    "shared": [{"kind": "dataset", "ref": "x", "title": "焊点图像", "org_id": ORG, "shared_at": AT}],
}  # fmt: skip
HOUSE: dict[str, Any] = {
    "id": RESOURCE, "service": "mentoring", "name": {"zh": "创业导师", "en": "Mentor"}, "place": "孵化器二楼",
    "opens_hour": 9, "closes_hour": 12, "seats": 1, "unit": {"zh": "辅导小时", "en": "hours"},
}  # fmt: skip
BOOKED: dict[str, Any] = {
    "id": BOOKING, "service": "mentoring", "name": HOUSE["name"], "place": "孵化器二楼", "starts_at": AT, "units": 2,
    "open": True, "who": "启明科技",
}  # fmt: skip
LOAN: dict[str, Any] = {
    "application": GUARANTEE, "borrower": UUID(int=705), "borrower_name": "在孵企业", "bank": ORG,
    "bank_name": "山河银行", "contract": "HT-1", "loan_fen": 100_000_000, "guaranteed_fen": 80_000_000,
    "ends_on": date(2027, 3, 2), "state": "in_force", "lost_fen": 0, "paid_fen": 0, "recovered_fen": 0,
    "returned_fen": 0, "as_bank": True,
}  # fmt: skip
PAID: dict[str, Any] = LOAN | {
    "contract": "HT-2", "state": "recovering", "lost_fen": 50_000_000, "paid_fen": 40_000_000,
    "returned_fen": 8_000_000, "recovered_fen": 10_000_000,
}  # fmt: skip
SUM = {"amount": 1, "zh": "50,000 积分", "en": "50,000 credits"}
SITE: dict[str, Any] = {
    "site": "shanghai", "title": {"zh": "上海飞地基地", "en": "Shanghai base"}, "first": date(2025, 9, 1),
    "last": date(2026, 11, 20), "awards": 1, "companies": 1,
    "budgets": [{"title": {"zh": "上海飞地基地（Token）", "en": "Tokens"},
                 **dict.fromkeys(("opening", "funded", "set_aside", "given_back", "closing"), SUM)}],
}  # fmt: skip


class Company:
    """See `ports.Company`. `fresh`: a company that has nothing yet."""

    def __init__(self) -> None:
        self.fresh = False
        self.done: list[tuple[Any, ...]] = []

    async def index(self, who: m.Who) -> Mapping[str, Any]:
        old = QUARTER | {"quarter_end": date(2026, 6, 30), "points": "71.00"}
        return {
            "quarters": [] if self.fresh else [QUARTER, old], "so_far": None if self.fresh else QUARTER,
            "benefits": {"queue_weight": 3, "adviser_hours": 4, "bonus_micro": 0},
        }  # fmt: skip

    async def alliances(self, who: m.Who) -> Mapping[str, Any]:
        asked = MINE | {"id": UUID(int=715), "name": "文旅联盟", "mine": "invited", "shared": []}
        return {"mine": None if self.fresh else MINE, "invitations": [asked], "id": str(ALLIANCE)}

    async def ally(self, who: m.Who, step: str, fields: Mapping[str, str]) -> None:
        if fields.get("company") == "nobody":
            raise Conflict("already_allied", "It is in one.", message_zh="该企业已在联盟中。")
        self.done.append((step, fields.get("name") or fields.get("company") or fields.get("ref") or ""))

    async def bookings(
        self, who: m.Who, service: str, day: str, past: UUID | None = None
    ) -> Mapping[str, Any]:  # fmt: skip
        on = date(2026, 12, 1)
        slots = [{"starts_at": AT + timedelta(hours=n), "free": n % 2} for n in range(3)]
        return {
            "service": service or "desk", "services": ("desk", "mentoring"), "day": on, "today": on, "before": on,
            "after": on + timedelta(days=1), "id": str(BOOKING),
            "quotas": [{"service": "desk", "used": 2, "left": 8}, {"service": "mentoring", "used": 4, "left": 0}],
            "resources": [] if self.fresh else [HOUSE | {"slots": slots}],
            "booked": [] if self.fresh else [BOOKED, BOOKED | {"open": False}], "following": None,
        }  # fmt: skip

    async def book(self, who: m.Who, fields: Mapping[str, str]) -> None:
        if fields.get("units") == "99":
            raise Conflict("beyond_quota", "4 left.", message_zh="剩余 4。", hint_zh="可改约 4 个单位。")
        self.done.append(("book", fields.get("slot"), fields.get("units")))

    async def give_back(self, who: m.Who, booking: UUID) -> None:
        self.done.append(("give_back", booking))

    async def guarantees(self, who: m.Who) -> Mapping[str, Any]:
        return {"rows": [] if self.fresh else [LOAN, PAID], "id": str(GUARANTEE)}

    async def claim(self, who: m.Who, application: UUID, fields: Mapping[str, str]) -> None:
        self.done.append((fields.get("do"), application, fields.get("amount"), fields.get("past_due")))

    async def operations(self, who: m.Who) -> Mapping[str, Any]:
        return {
            "resources": [] if self.fresh else [HOUSE | {"booked": [BOOKED]}], "sites": [SITE],
            "guarantees": [LOAN, PAID], "services": ("desk", "mentoring"), "id": str(RESOURCE),
        }  # fmt: skip

    async def offer(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.done.append(("offer", fields.get("name_zh"), fields.get("seats")))

    async def close(self, who: m.Who, resource: UUID) -> None:
        self.done.append(("close", resource))
