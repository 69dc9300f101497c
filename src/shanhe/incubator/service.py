"""Booking, cancelling, and what a company has left of a month."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from shanhe.facts.api import Facts, Use
from shanhe.incubator import store
from shanhe.incubator.errors import (
    BadSlot,
    BeyondQuota,
    BookingConflict,
    Taken,
    TooLate,
    UnknownBooking,
    UnknownResource,
)
from shanhe.incubator.model import (
    HOURLY,
    SERVICES,
    Booking,
    Hours,
    Quota,
    Resource,
    Slot,
    at,
    month_of,
    slots_of,
    span,
)
from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.kernel.paging import Leaf, cut, every
from shanhe.ledger.api import CITY_OWNER, AlreadyReversed, Asset, Ledger, Posting, Transfer
from shanhe.rulebook.api import Rulebook

RULE, ADVISER = "I7", "adviser"
KIND: Final = "service_booking"
PURPOSE: Final = "programmes"
AHEAD_DAYS: Final = 92
NAME_CHARS, PLACE_CHARS, SEATS_MAX, UNITS_MAX = 100, 200, 500, 500
REPAIR_ROWS, LEAVERS_ROWS = 100, 500

log = structlog.get_logger(__name__)


class Incubator:
    """`adviser` tells the decision on an organisation's adviser hours (T13)."""

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, rulebook: Rulebook, facts: Facts, notifier: Notifier,
        adviser: Hours,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._facts = facts
        self._notifier = notifier
        self._adviser = adviser

    # -- resources ----------------------------------------------------------------------------------------------------

    async def add(
        self, resource_id: UUID, *, service: str, name_zh: str, name_en: str, place: str, opens_hour: int,
        closes_hour: int, seats: int, by: str,
    ) -> Resource:  # fmt: skip
        """Offer something to book. Idempotent by id."""
        names = [text.strip() for text in (name_zh, name_en, place)]
        if (
            service not in SERVICES
            or not all(names)
            or max(map(len, names[:2])) > NAME_CHARS
            or len(names[2]) > PLACE_CHARS
            or not 0 <= opens_hour < closes_hour <= 24
            or not 0 < seats <= SEATS_MAX
        ):
            raise Invalid(
                "bad_resource", f"A resource has a service of {', '.join(SERVICES)}, names, a place, hours and seats.",
                message_zh=f"资源须有服务类别（{'、'.join(SERVICES)}）、名称、地点、开放时段与名额。",
            )  # fmt: skip
        made = Resource(
            resource_id, service, names[0], names[1], names[2], opens_hour, closes_hour, seats, None, by,
            self._clock.now(),
        )  # fmt: skip
        await store.add(self._db, made)
        return await self.resource(resource_id)

    async def resource(self, resource_id: UUID) -> Resource:
        found = await store.resource(self._db, resource_id)
        if found is None:
            raise UnknownResource
        return found

    async def resources(self, service: str | None = None) -> list[Resource]:
        """What can be booked, by service and name."""
        return await store.resources(self._db, service)

    async def resources_of(self, bookings: Sequence[Booking]) -> dict[UUID, Resource]:
        """What these bookings are of, closed ones too, by id; one question."""
        return {one.id: one for one in await store.resources_by_id(self._db, {each.resource for each in bookings})}

    async def close(self, resource_id: UUID) -> None:
        """Take a resource away; every booking to come, and a desk's month or a campaign's day that still runs, is
        cancelled and told. What was used stays used."""
        resource, now = await self.resource(resource_id), self._clock.now()
        await store.close(self._db, resource_id, now)
        while standing := await store.standing(self._db, resource_id, now, begun=resource.service not in HOURLY):
            for one in standing:
                await self._cancel(one, "closed", by="system")

    async def slots(self, resource_id: UUID, day: date) -> list[Slot]:
        """A day's slots with what is free: hours, the day, or for desks the month."""
        return (await self.slots_of([await self.resource(resource_id)], day))[resource_id]

    async def slots_of(self, resources: Sequence[Resource], day: date) -> dict[UUID, list[Slot]]:
        """The same of several; one question."""
        slots = {one.id: slots_of(one, day) for one in resources}
        taken = await store.taken(self._db, {key: (found[0], found[-1]) for key, found in slots.items()})
        now = self._clock.now()
        return {
            one.id: [
                Slot(slot, 0 if self._over(one, slot, now) else one.seats - taken.get((one.id, slot), 0))
                for slot in slots[one.id]
            ]
            for one in resources
        }

    @staticmethod
    def _over(resource: Resource, slot: datetime, now: datetime) -> bool:
        """An hour that began is over; a desk's month or a campaign's day may be taken while it runs."""
        ends = span(resource, slot, 1)[1]
        return ends <= now if resource.service not in HOURLY else slot <= now

    # -- quotas -------------------------------------------------------------------------------------------------------

    async def quota(self, org_id: UUID, service: str, month: date) -> Quota:
        """What an organisation has left of a service in a month (I7; an adviser's hours by its value index, T13)."""
        known = await self._standing(org_id, service, month)
        return self._quota(service, month, known, await store.used(self._db, org_id, service, month))

    async def _standing(self, org_id: UUID, service: str, month: date) -> Any:
        """What the rule asks of an organisation: the decision on an adviser's hours, or whether it is incubated. Asked
        before a booking's transaction, which keeps its one connection."""
        return await self._adviser(org_id) if service == ADVISER else await self._incubated(org_id, month)

    def _quota(self, service: str, month: date, known: Any, used: int) -> Quota:
        if service == ADVISER:
            said, left = known, max(int(known.outputs["adviser_hours"]) - used, 0)
        else:
            facts = {"incubated": known, "service": service, "used": used}
            said = self._rulebook.evaluate(RULE, facts, on=max(month, self._clock.today()))
            left = int(said.outputs["free_left"])
        return Quota(service, month, used, left, f"{said.rule_id}@{said.version}", said.trace)

    async def _incubated(self, org_id: UUID, month: date) -> bool:
        """Whether the organisation is in the incubator, as far as is known for that month."""
        day = max(month, self._clock.today())
        async with self._facts.reading(Use(PURPOSE, "incubator")) as reader:
            return bool(await reader.value(org_id, "incubated", on=day, sound=True))

    # -- booking ------------------------------------------------------------------------------------------------------

    async def book(
        self, org_id: UUID, resource_id: UUID, starts_at: datetime, units: int, *, booking_id: UUID, by: str
    ) -> Booking:
        """Take seats, decided by rule, and post the units. Idempotent by id; BeyondQuota says what would change it."""
        known = await store.booking(self._db, booking_id)
        if known is not None:
            return await self._again(known, org_id, resource_id, starts_at, units)
        resource = await self.resource(resource_id)
        slots, ends_at = self._wanted(resource, starts_at, units)
        month = month_of(starts_at)
        standing = await self._standing(org_id, resource.service, month)
        try:
            async with self._db.transaction() as conn:
                if (await self._still(conn, resource_id)).closed_at is not None:
                    raise UnknownResource
                await store.lock_quota(conn, org_id, resource.service)
                known = await store.booking(conn, booking_id)  # the same again, sent while the first was decided
                if known is None:
                    used = await store.used(conn, org_id, resource.service, month)
                    quota = self._quota(resource.service, month, standing, used)
                    if units > quota.left:
                        near = [change["text"] for change in quota.trace.get("nearest", ())]
                        raise BeyondQuota(resource.service, quota.left, month, quota.version.partition("@")[0], near)
                    made = Booking(
                        booking_id, resource_id, resource.service, org_id, month, starts_at, ends_at, units, "booked",
                        False, False, "", quota.version, quota.trace, by, self._clock.now(), None,
                    )  # fmt: skip
                    await store.insert(conn, made)
                    await self._seat(conn, resource, made, slots)
        except asyncpg.UniqueViolationError as error:
            raise Taken from error
        return (
            await self._settle(made)
            if known is None
            else await self._again(known, org_id, resource_id, starts_at, units)
        )

    async def _again(self, known: Booking, org_id: UUID, resource_id: UUID, starts_at: datetime, units: int) -> Booking:
        if (known.org_id, known.resource, known.starts_at, known.units) != (org_id, resource_id, starts_at, units):
            raise BookingConflict
        return await self._settle(known)

    async def _still(self, conn: Any, resource_id: UUID) -> Resource:
        found = await store.resource(conn, resource_id, lock=True)
        if found is None:
            raise UnknownResource
        return found

    def _wanted(self, resource: Resource, starts_at: datetime, units: int) -> tuple[list[datetime], datetime]:
        """The slots asked for, if they are this resource's and still to come."""
        now, day = self._clock.now(), starts_at.astimezone(CITY_TZ).date()
        if not 0 < units <= UNITS_MAX or (resource.service == "marketing" and units > 1):
            raise BadSlot("the number of units is wrong", "数量不正确")
        slots, ends_at = span(resource, starts_at, units)
        allowed = {slot.astimezone(CITY_TZ) for slot in slots_of(resource, day)}
        if not {slot.astimezone(CITY_TZ) for slot in slots} <= allowed:
            raise BadSlot("it is outside its hours", "不在开放时段内")
        if self._over(resource, starts_at, now):
            raise BadSlot("it has begun", "已开始")
        if starts_at > now + timedelta(days=AHEAD_DAYS):
            raise BadSlot(f"it is more than {AHEAD_DAYS} days ahead", f"超过 {AHEAD_DAYS} 天")
        return slots, ends_at

    async def _seat(self, conn: Any, resource: Resource, made: Booking, slots: list[datetime]) -> None:
        """Give away seats: of a desk's month as many as units, of every other slot one."""
        wanted = made.units if resource.service == "desk" else 1
        for slot in slots:
            taken = await store.seats_of(conn, resource.id, slot)
            free = [seat for seat in range(1, resource.seats + 1) if seat not in taken]
            if len(free) < wanted:
                raise Taken
            for seat in free[:wanted]:
                await store.seat(conn, resource.id, slot, seat, made.id)

    async def cancel(self, booking_id: UUID, org_id: UUID, *, by: str) -> Booking:
        """Give a booking back before it begins; its units are free again."""
        found = await store.booking(self._db, booking_id)
        if found is None or found.org_id != org_id:
            raise UnknownBooking
        if found.state == "booked" and found.starts_at <= self._clock.now():
            raise TooLate
        return await self._cancel(found, "own", by=by)

    async def _cancel(self, one: Booking, reason: str, *, by: str) -> Booking:
        async with self._db.transaction() as conn:
            held = await store.booking(conn, one.id, lock=True)
            if held is not None and held.state == "booked":
                await store.cancel(conn, one.id, reason, self._clock.now())
                if reason != "own":
                    await self._notifier.notify(_cancelled(held, reason), conn)
        found = await store.booking(self._db, one.id)
        if found is None:
            raise UnknownBooking
        return await self._settle(found, by=by)

    async def bookings(
        self, org_id: UUID, *, before: UUID | None = None, most: int = store.ROWS_MAX
    ) -> Leaf[Booking]:  # fmt: skip
        """An organisation's standing bookings from this month on, the earliest first; `before`: the last one seen."""
        return cut(await store.bookings(self._db, org_id, *self._shown(), most + 1, before), most)

    async def booked(self, resources: Sequence[UUID]) -> dict[UUID, list[Booking]]:
        """Standing bookings of each of these from this month on, the earliest first; one question."""
        found: dict[UUID, list[Booking]] = {one: [] for one in resources}
        for booking in await store.booked(self._db, resources, *self._shown()):
            found[booking.resource].append(booking)
        return found

    def _shown(self) -> tuple[datetime, datetime]:
        since = at(self._clock.today().replace(day=1))
        return since, since + timedelta(days=AHEAD_DAYS + 31)

    # -- postings -----------------------------------------------------------------------------------------------------

    async def _settle(self, one: Booking, *, by: str = "system") -> Booking:
        """Post what was booked, reverse what was cancelled; each once. What was cancelled before it was posted is
        posted all the same: whoever booked it may be about to."""
        if not one.posted:
            pool = await self._ledger.ensure_account(
                CITY_OWNER, Asset.TICKET, "services", name=one.service, floor=None, lots=False
            )
            own = await self._ledger.ensure_account(one.org_id, Asset.TICKET, "services", name=one.service, lots=False)
            evidence = {"version": 1, "rule": one.version, "trace": one.trace}
            await self._ledger.post(Posting(
                id=one.id, kind=KIND, transfers=(Transfer(UUID(int=one.id.int ^ 1), pool.id, own.id, one.units),),
                evidence=msgspec.json.encode(evidence, order="sorted"), actor=one.booked_by,
                memo=f"Incubator service {one.service}",
            ))  # fmt: skip
            await store.mark(self._db, one.id, posted=True)
        if one.state == "cancelled" and not one.reversed:
            with contextlib.suppress(AlreadyReversed):  # another process did it and died before it was noted
                await self._ledger.reverse(one.id, actor=by, reason="Booking cancelled")
            await store.mark(self._db, one.id, reversed_=True)
        found = await store.booking(self._db, one.id)
        return found if found is not None else one

    async def tick(self) -> int:
        """Repair what a crash left, and end bookings of companies that left the incubator; how many."""
        done = 0
        for one in await store.unsettled(self._db, REPAIR_ROWS):
            try:
                await self._settle(one)
                done += 1
            except ShanheError as error:
                log.warning("a booking could not be posted", booking=str(one.id), error=error.code)
        now = self._clock.now()
        async for org_id in every(partial(store.booked_orgs, self._db, now, LEAVERS_ROWS), lambda org_id: org_id):
            if not await self._incubated(org_id, self._clock.today().replace(day=1)):
                async for one in every(partial(store.bookings, self._db, org_id, *self._shown(), store.ROWS_MAX)):
                    if one.starts_at > now and one.service != ADVISER:
                        await self._cancel(one, "left", by="system")
                        done += 1
        return done


def _cancelled(one: Booking, reason: str) -> Notice:
    zh, en = {"left": ("企业已离开孵化器", "you left the incubator"), "closed": ("资源已停用", "it is closed")}[reason]
    day = one.starts_at.astimezone(CITY_TZ)
    return Notice(
        "incubator.cancelled", Text("预约已取消", "A booking was cancelled"),
        Text(f"{day:%Y-%m-%d %H:%M} 的预约已取消：{zh}。", f"Yours of {day:%Y-%m-%d %H:%M} was cancelled: {en}."),
        Severity.WARNING, org_id=one.org_id, link="/bookings", dedupe=f"booking:{one.id}",
    )  # fmt: skip
