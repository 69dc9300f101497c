"""What companies do with each other and with the city: value index, alliance, bookings, guarantees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.alliances.api import Alliances, alliance_view
from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.incubator.api import SERVICES, Incubator, booking_view, quota_view, resource_view
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_yuan
from shanhe.programmes.api import Guarantee, Programmes, guarantee_view, index_view, quarter_end, site_view

BOOKED_ROWS = 100
DIMENSIONS = ("usage", "innovation", "jobs", "data")


class LiveCompany:
    """See `ports.Company`."""

    def __init__(self, modules: Modules) -> None:
        self._programmes: Programmes = modules.programmes
        self._alliances: Alliances = modules.alliances
        self._incubator: Incubator = modules.incubator
        self._orgs = modules.identity.orgs
        self._clock = modules.clock

    # -- the value index ----------------------------------------------------------------------------------------------

    async def index(self, who: m.Who) -> Mapping[str, Any]:
        standings = self._programmes.standings
        so_far = await standings.so_far(who.org_id)
        return {
            "quarters": [self._quarter(one) for one in await standings.of(who.org_id)],
            "so_far": self._quarter(so_far) if so_far else None,
            "benefits": (await standings.benefits(who.org_id)).outputs,
        }

    def _quarter(self, one: Any) -> Mapping[str, Any]:
        """An index with a row a dimension: what was counted, who stands below, who beside."""
        view = index_view(one)
        rows = [
            {"name": name, "value": view["counted"][name], "below": one.counts[f"{name}_below"],
             "equal": one.counts[f"{name}_equal"]}
            for name in DIMENSIONS
        ]  # fmt: skip
        return {**view, "rows": rows, "companies": one.counts["companies"]}

    # -- the alliance -------------------------------------------------------------------------------------------------

    async def alliances(self, who: m.Who) -> Mapping[str, Any]:
        found = [alliance_view(one) for one in await self._alliances.of(who.org_id)]
        return {
            "mine": next((one for one in found if one["mine"] == "member"), None),
            "invitations": [one for one in found if one["mine"] == "invited"], "id": str(new_id()),
        }  # fmt: skip

    async def ally(self, who: m.Who, step: str, fields: Mapping[str, str]) -> None:
        """One step of an alliance: found, invite, accept, decline, leave, share, unshare."""
        alliances, org, actor = self._alliances, who.org_id, actor_of(who).ref
        number = UUID(fields.get("id", ""))
        if step == "found":
            await alliances.found(
                org, alliance_id=number, name=fields.get("name", ""), purpose=fields.get("purpose", ""), actor=actor
            )
        elif step == "invite":
            await alliances.invite(number, org, await self._programmes.find(fields.get("company", "").strip()),
                                   actor=actor)  # fmt: skip
        elif step in ("accept", "decline"):
            await alliances.answer(number, org, accept=step == "accept", actor=actor)
        elif step == "leave":
            await alliances.leave(number, org, actor=actor)
        elif step == "share":
            await alliances.share(number, org, fields.get("kind", ""), fields.get("ref", ""), actor=actor)
        elif step == "unshare":
            await alliances.unshare(number, org, fields.get("kind", ""), fields.get("ref", ""))
        else:
            raise Invalid("bad_step", "There is no such step.", message_zh="没有该操作。")

    # -- bookings -----------------------------------------------------------------------------------------------------

    async def bookings(self, who: m.Who, service: str, day: str, past: UUID | None = None) -> Mapping[str, Any]:
        """Quotas, a day's free slots of one service, and what is booked."""
        today = self._clock.today()
        wanted = service if service in SERVICES else SERVICES[0]
        try:
            on = max(date.fromisoformat(day), today) if day else today
        except ValueError:
            on = today
        resources = await self._incubator.resources(wanted)
        month = on.replace(day=1)
        booked = await self._incubator.bookings(who.org_id, before=past, most=BOOKED_ROWS)
        of = await self._incubator.resources_of(booked.rows)
        slots = await self._incubator.slots_of(resources, on)
        return {
            "service": wanted, "services": SERVICES, "day": on, "today": today, "id": str(new_id()),
            "before": max(on - timedelta(days=1), today), "after": on + timedelta(days=1),
            "quotas": [quota_view(await self._incubator.quota(who.org_id, one, month)) for one in SERVICES],
            "resources": [
                {**resource_view(one), "slots": [asdict(slot) for slot in slots[one.id]]} for one in resources
            ],
            "booked": [
                {**booking_view(one, of[one.resource]), "open": one.starts_at > self._clock.now()}
                for one in booked.rows
            ],
            "following": booked.following,
        }  # fmt: skip

    async def book(self, who: m.Who, fields: Mapping[str, str]) -> None:
        await self._incubator.book(
            who.org_id, UUID(fields.get("resource", "")), datetime.fromisoformat(fields.get("slot", "")),
            int(fields.get("units", "1")), booking_id=UUID(fields.get("id", "")), by=actor_of(who).ref,
        )  # fmt: skip

    async def give_back(self, who: m.Who, booking: UUID) -> None:
        await self._incubator.cancel(booking, who.org_id, by=actor_of(who).ref)

    # -- guarantees ---------------------------------------------------------------------------------------------------

    async def guarantees(self, who: m.Who) -> Mapping[str, Any]:
        found = await self._programmes.guarantees.of(who.org_id)
        return {"rows": await self._guarantees(found, who), "id": str(new_id())}

    async def _guarantees(self, found: Sequence[Guarantee], who: m.Who) -> list[Mapping[str, Any]]:
        names = await self._orgs.names({party for one in found for party in (one.borrower, one.bank)})
        return [{**guarantee_view(one, names), "as_bank": one.bank == who.org_id} for one in found]

    async def claim(self, who: m.Who, application: UUID, fields: Mapping[str, str]) -> None:
        """As the bank: ask to be paid, or report what was recovered."""
        guarantees = self._programmes.guarantees
        await guarantees.as_bank(application, who.org_id)
        amount, number = parse_yuan(fields.get("amount", "")), UUID(fields.get("id", ""))
        if fields.get("do") == "recover":
            await guarantees.recover(application, amount, recovery_id=number, actor=actor_of(who).ref)
        else:
            await self._programmes.second.call(
                application, lost_fen=amount, past_due=int(fields.get("past_due", "0")), by=actor_of(who).ref,
                request_id=number,
            )  # fmt: skip

    # -- operators ----------------------------------------------------------------------------------------------------

    async def operations(self, who: m.Who) -> Mapping[str, Any]:
        """Resources with who booked them, every guarantee, the bases' reports over four quarters and this one."""
        today = self._clock.today()
        first = quarter_end(today).replace(day=1)
        first = date(first.year - 1, first.month, 1)
        offered = await self._incubator.resources()
        booked = await self._incubator.booked([one.id for one in offered])
        names = await self._orgs.names({each.org_id for found in booked.values() for each in found})
        resources = [
            {**resource_view(one), "booked": [
                {**booking_view(each, one), "who": names.get(each.org_id, "")} for each in booked[one.id]
            ]}
            for one in offered
        ]  # fmt: skip
        sites = [
            site_view(one, self._programmes.catalogue) for one in await self._programmes.sites.reports(first, today)
        ]
        guarantees = await self._guarantees(await self._programmes.guarantees.of(), who)
        return {"resources": resources, "sites": sites, "guarantees": guarantees, "services": SERVICES,
                "id": str(new_id())}  # fmt: skip

    async def offer(self, who: m.Who, fields: Mapping[str, str]) -> None:
        await self._incubator.add(
            UUID(fields.get("id", "")), service=fields.get("service", ""), name_zh=fields.get("name_zh", ""),
            name_en=fields.get("name_en", ""), place=fields.get("place", ""), opens_hour=int(fields.get("opens", "9")),
            closes_hour=int(fields.get("closes", "18")), seats=int(fields.get("seats", "1")), by=actor_of(who).ref,
        )  # fmt: skip

    async def close(self, who: m.Who, resource: UUID) -> None:
        await self._incubator.close(resource)
