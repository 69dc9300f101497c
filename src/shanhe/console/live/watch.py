"""See `ports_watch.WatchDesk`: over approvals' break-glass and governance's dilution index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.approvals.api import FollowUp, NewGlass, Proof, glass_view
from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.console.live.modules import Modules
from shanhe.governance.api import as_csv, report_view, trend_view
from shanhe.identity.api import ActsAsked
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_yuan

OPENINGS_SHOWN = 50
WHOLE = "ledger"
"""The permission of those who see sums and small cells."""


class LiveWatch:
    def __init__(self, modules: Modules) -> None:
        self._glass = modules.emergency.glass
        self._undoing = modules.emergency.undoing
        self._identity = modules.identity
        self._clock = modules.clock
        self._dilution = modules.governance.dilution

    async def dilution(self, who: m.Who | None, on: str) -> Mapping[str, Any]:
        day, whole = _day(on), who is not None and who.may(WHOLE)
        report, trend = await self._dilution.report(day), await self._dilution.trend("quarter", day)
        return {"report": report_view(report, whole=whole), "trend": trend_view(trend, whole=whole)}

    async def dilution_csv(self, who: m.Who | None, on: str) -> str:
        return as_csv(await self._dilution.report(_day(on)), whole=who is not None and who.may(WHOLE))

    async def openings(self, who: m.Who) -> Mapping[str, Any]:
        now = self._clock.now()
        found = [glass_view(one, now) for one in await self._glass.list(limit=OPENINGS_SHOWN)]
        return {"rows": await self._named(found), "terms": self._glass.terms()}

    async def opening(self, who: m.Who, glass_id: UUID) -> Mapping[str, Any]:
        one, can = await self._glass.get(glass_id), list[str]()
        view, mine = glass_view(one, self._clock.now()), one.person_id == who.person_id
        if view["state"] == "open" and mine and who.may("accounts"):
            can.append("end")
            if one.kind == "access.audit":
                can.append("read")
        if view["state"] == "ended" and not mine:
            can.append("review")
        return (await self._named([view]))[0] | {"can": can}

    async def open(self, who: m.Who, fields: Mapping[str, str]) -> UUID:
        try:
            limit = parse_yuan(fields["limit"]) if fields.get("limit") else None
        except ValueError as error:
            raise Invalid("bad_amount", str(error), message_zh="金额填写有误。") from error
        number = UUID(fields["id"]) if fields.get("id") else new_id()
        new = NewGlass(number, fields.get("class", ""), fields.get("object", ""), fields.get("reason", ""), limit)
        return (await self._glass.open(new, who.person_id, Proof(fields.get("code", "")))).id

    async def end(self, who: m.Who, glass_id: UUID) -> None:
        await self._glass.close(glass_id, who.person_id)

    async def read(self, who: m.Who, glass_id: UUID) -> Sequence[mc.AuditRow]:
        object_ = await self._glass.read(glass_id, who.person_id, new_id())
        return [
            mc.AuditRow(row.at, row.actor, row.action, row.object,
                       ", ".join(f"{name}={value}" for name, value in row.details.items()), row.id)
            for row in await self._identity.audit(ActsAsked(object=object_))
        ]  # fmt: skip

    async def review(self, who: m.Who, glass_id: UUID, fields: Mapping[str, str]) -> None:
        follow_up = FollowUp(fields.get("follow_up", ""))
        await self._glass.review(
            glass_id, who.person_id, justified=fields.get("do") == "justified", findings=fields.get("findings", ""),
            follow_up=follow_up,
        )  # fmt: skip
        if follow_up is FollowUp.REVERSAL:
            await self._undoing.ask(glass_id, who.person_id)

    async def _named(self, views: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """With the names of people, as operators know them."""
        people = {one["person_id"] for one in views} | {one["review"]["by"] for one in views if one["review"]}
        names = {one: f"…{str(one)[-8:]}" for one in people} | await self._identity.people.names(list(people))
        return [
            one | {"name": names[one["person_id"]],
                   "review": one["review"] and one["review"] | {"name": names[one["review"]["by"]]}}
            for one in views
        ]  # fmt: skip


def _day(text: str) -> date | None:
    """A day of the address; none where it is no day."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
