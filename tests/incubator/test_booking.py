"""I7: a company in the incubator books desks, training, mentoring and campaigns, free up to the month's quota."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.facts.api import Facts, NewFact, RelationTerms, Standing
from shanhe.incubator import service, store
from shanhe.incubator.api import (
    BadSlot,
    BeyondQuota,
    Booking,
    BookingConflict,
    Incubator,
    Resource,
    Taken,
    TooLate,
    UnknownBooking,
    at,
)
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger, LedgerUnavailable, Posting, PostingResult
from shanhe.rulebook.api import Decision, Rulebook

RULEBOOK = Rulebook.load()
DAY = date(2026, 3, 10)


@dataclass
class House:
    incubator: Incubator
    facts: Facts
    ledger: Ledger
    clock: FixedClock
    notifier: Notifier
    index: dict[UUID, int] = field(default_factory=dict)

    async def know(self, org: UUID, *, inside: bool, on: date = date(2024, 1, 1)) -> None:
        fact = NewFact(new_id(), org, "incubated", inside, on, None, "", Standing.CHECKED, "register")
        await self.facts.publish(fact, actor="test")

    async def firm(self) -> UUID:
        org = uuid4()
        await self.know(org, inside=True)
        return org

    async def resource(self, service: str, seats: int = 2) -> Resource:
        return await self.incubator.add(
            uuid4(), service=service, name_zh="A 座", name_en="House A", place="二楼", opens_hour=9, closes_hour=18,
            seats=seats, by="test",
        )  # fmt: skip

    async def book(self, org: UUID, resource: Resource, start: datetime, units: int = 1) -> Booking:
        return await self.incubator.book(org, resource.id, start, units, booking_id=uuid4(), by="person:t")

    async def units(self, org: UUID, service: str) -> int:
        """What the ledger says an organisation booked."""
        account = await self.ledger.ensure_account(org, Asset.TICKET, "services", name=service, lots=False)
        return (await self.ledger.balance(account.id)).balance


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    clock = FixedClock(datetime(2026, 3, 2, 4, 0, tzinfo=UTC))
    ledger = Ledger(database, clock, worker="test", workers=1)
    facts = Facts(database, clock, Vault(tmp_path / "keys"), lambda _: RelationTerms(2500, 24))

    async def adviser(org_id: UUID) -> Decision:
        return RULEBOOK.evaluate("T13_benefits", {"index_bps": made.index.get(org_id, 0)}, on=clock.today())

    notifier = Notifier(database, clock)
    made = House(
        Incubator(database, clock, ledger=ledger, rulebook=RULEBOOK, facts=facts, notifier=notifier, adviser=adviser),
        facts, ledger, clock, notifier,
    )  # fmt: skip
    yield made
    await ledger.stop()


class TestBooking:
    async def test_is_decided_by_rule_seated_once_and_booked_in_the_ledger(self, house: House) -> None:
        firm, hall = await house.firm(), await house.resource("training")
        made = await house.book(firm, hall, at(DAY, 9), 3)
        assert (made.state, made.posted, made.version.partition("@")[0]) == ("booked", True, "I7_incubator_services")
        posting = await house.ledger.posting(made.id)
        assert (posting.kind, posting.transfers[0].amount) == ("service_booking", 3)
        assert await house.units(firm, "training") == 3
        assert [slot.free for slot in await house.incubator.slots(hall.id, DAY)] == [1, 1, 1, 2, 2, 2, 2, 2, 2]
        assert (await house.ledger.verify()).clean

    async def test_that_is_sent_twice_at_once_is_one_and_told_twice(self, house: House) -> None:
        firm, mentor, number = await house.firm(), await house.resource("mentoring"), uuid4()
        both = await asyncio.gather(
            *(house.incubator.book(firm, mentor.id, at(DAY, 9), 3, booking_id=number, by="person:t") for _ in range(4))
        )
        assert {one.id for one in both} == {number}
        assert await house.units(firm, "mentoring") == 3

    async def test_given_back_before_it_was_posted_leaves_nothing_whoever_posts_it_late(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        firm, hall, posts = await house.firm(), await house.resource("training"), house.ledger.post

        async def away(posting: Posting) -> None:
            raise LedgerUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(house.ledger, "post", away)
            with pytest.raises(LedgerUnavailable):
                await house.book(firm, hall, at(DAY, 9))
        (made,) = (await house.incubator.bookings(firm)).rows
        late = list[Posting]()

        async def kept(posting: Posting) -> PostingResult:
            late.append(posting)
            return await posts(posting)

        monkeypatch.setattr(house.ledger, "post", kept)
        await house.incubator.cancel(made.id, firm, by="person:t")
        await posts(late[0])
        await house.incubator.tick()
        assert await house.units(firm, "training") == 0

    async def test_beyond_the_months_quota_is_refused_with_what_would_change_it(self, house: House) -> None:
        firm, mentor = await house.firm(), await house.resource("mentoring")
        await house.book(firm, mentor, at(DAY, 9), 3)
        with pytest.raises(BeyondQuota) as caught:
            await house.book(firm, mentor, at(DAY, 13), 2)
        assert caught.value.details["left"] == 1
        assert caught.value.hint_zh
        await house.book(firm, mentor, at(DAY, 13), 1)
        assert await house.units(firm, "mentoring") == 4

    async def test_is_renewed_with_the_month(self, house: House) -> None:
        firm, campaign = await house.firm(), await house.resource("marketing")
        await house.book(firm, campaign, at(DAY))
        with pytest.raises(BeyondQuota):
            await house.book(firm, campaign, at(DAY + timedelta(days=1)))
        april = await house.book(firm, campaign, at(date(2026, 4, 1)))
        assert april.month == date(2026, 4, 1)

    async def test_outside_the_incubator_is_refused(self, house: House) -> None:
        stranger, hall = uuid4(), await house.resource("training")
        with pytest.raises(BeyondQuota) as caught:
            await house.book(stranger, hall, at(DAY, 9))
        assert caught.value.details["left"] == 0
        assert await house.units(stranger, "training") == 0

    async def test_desks_are_for_the_month_and_never_more_than_there_are(self, house: House) -> None:
        firm, other, room = await house.firm(), await house.firm(), await house.resource("desk", seats=12)
        march = at(date(2026, 3, 1))
        await house.book(firm, room, march, 10)
        with pytest.raises(Taken):
            await house.book(other, room, march, 3)
        await house.book(other, room, march, 2)
        assert [slot.free for slot in await house.incubator.slots(room.id, DAY)] == [0]
        assert [slot.free for slot in await house.incubator.slots(room.id, date(2026, 4, 5))] == [12]

    @pytest.mark.parametrize(("month", "after"), [(date(2026, 11, 1), date(2026, 12, 1)),
                                                  (date(2026, 12, 1), date(2027, 1, 1))])  # fmt: skip
    async def test_a_desk_ends_with_its_month(self, house: House, month: date, after: date) -> None:
        firm, room = await house.firm(), await house.resource("desk")
        house.clock.set(at(month) + timedelta(days=3))
        made = await house.book(firm, room, at(month))
        assert (made.ends_at, made.month) == (at(after), month)
        house.clock.set(at(after))
        with pytest.raises(BadSlot, match="begun"):
            await house.book(firm, room, at(month))

    async def test_given_back_before_its_time_is_free_again(self, house: House) -> None:
        firm, hall = await house.firm(), await house.resource("training", seats=1)
        made = await house.book(firm, hall, at(DAY, 9), 16 - 7)
        with pytest.raises(UnknownBooking):
            await house.incubator.cancel(made.id, uuid4(), by="test")
        done = await house.incubator.cancel(made.id, firm, by="test")
        assert (done.state, done.reversed) == ("cancelled", True)
        assert await house.incubator.cancel(made.id, firm, by="test") == done
        assert await house.units(firm, "training") == 0
        assert (await house.incubator.quota(firm, "training", date(2026, 3, 1))).left == 16
        late = await house.book(firm, hall, at(DAY, 9))
        house.clock.set(at(DAY, 9))
        with pytest.raises(TooLate):
            await house.incubator.cancel(late.id, firm, by="test")

    async def test_of_who_leaves_the_incubator_are_given_back(self, house: House) -> None:
        firm, hall = await house.firm(), await house.resource("training")
        await house.book(firm, hall, at(DAY, 9), 2)
        await house.know(firm, inside=False, on=date(2026, 3, 5))
        house.clock.set(at(date(2026, 3, 5), 12))
        await house.incubator.tick()
        assert (await house.incubator.bookings(firm)).rows == []
        assert await house.units(firm, "training") == 0
        assert (await house.ledger.verify()).clean

    async def test_of_who_leaves_are_given_back_however_many_others_have_some(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "LEAVERS_ROWS", 1)
        hall, firms = await house.resource("training"), [await house.firm() for _ in range(4)]
        for hour, firm in enumerate(firms, 9):
            await house.book(firm, hall, at(DAY, hour))
        for firm in firms[1:]:
            await house.know(firm, inside=False, on=date(2026, 3, 5))
        house.clock.set(at(date(2026, 3, 5), 12))
        await house.incubator.tick()
        assert [len((await house.incubator.bookings(firm)).rows) for firm in firms] == [1, 0, 0, 0]

    async def test_once_for_an_id_whatever_a_crash_left(self, house: House, database: Database) -> None:
        firm, hall, number = await house.firm(), await house.resource("training"), uuid4()
        book = house.incubator.book
        made = await book(firm, hall.id, at(DAY, 9), 1, booking_id=number, by="t")
        assert await book(firm, hall.id, at(DAY, 9), 1, booking_id=number, by="t") == made
        with pytest.raises(BookingConflict):
            await book(firm, hall.id, at(DAY, 10), 1, booking_id=number, by="t")
        await database.execute("UPDATE incubator.booking SET posted = false")
        assert await house.incubator.tick() == 1
        assert await house.units(firm, "training") == 1

    async def test_two_at_once_never_share_a_seat_nor_pass_the_quota(self, house: House) -> None:
        firm, other, mentor = await house.firm(), await house.firm(), await house.resource("mentoring", seats=1)
        tries = [house.book(org, mentor, at(DAY, hour)) for org in (firm, other) for hour in range(9, 15)]
        made = [one for one in await asyncio.gather(*tries, return_exceptions=True) if isinstance(one, Booking)]
        assert len({one.starts_at for one in made}) == len(made)
        assert max([await house.units(org, "mentoring") for org in (firm, other)]) <= 4

    async def test_two_at_once_of_different_rooms_pass_no_quota(self, house: House) -> None:
        firm, rooms = await house.firm(), [await house.resource("mentoring") for _ in range(6)]
        await asyncio.gather(*[house.book(firm, one, at(DAY, 9)) for one in rooms], return_exceptions=True)
        assert await house.units(firm, "mentoring") == 4

    async def test_an_adviser_is_for_who_has_eighty_points(self, house: House) -> None:
        firm, adviser = await house.firm(), await house.resource("adviser")
        with pytest.raises(BeyondQuota) as caught:
            await house.book(firm, adviser, at(DAY, 9))
        assert caught.value.details["rule"] == "T13_benefits"
        house.index[firm] = 8_000
        await house.book(firm, adviser, at(DAY, 9), 4)
        await house.know(firm, inside=False, on=date(2026, 3, 2))
        await house.incubator.tick()  # an adviser is by the value index, in the incubator or not
        assert (await house.incubator.quota(firm, "adviser", date(2026, 3, 1))).left == 0

    @pytest.mark.parametrize(("hour", "units"), [(8, 1), (17, 2), (9, 0)])
    async def test_outside_its_hours_is_no_slot(self, house: House, hour: int, units: int) -> None:
        firm, hall = await house.firm(), await house.resource("training")
        with pytest.raises(BadSlot):
            await house.book(firm, hall, at(DAY, hour), units)

    async def test_of_a_resource_that_closes_are_given_back(self, house: House) -> None:
        firm, hall = await house.firm(), await house.resource("training")
        await house.book(firm, hall, at(DAY, 9))
        await house.incubator.close(hall.id)
        assert await house.units(firm, "training") == 0
        assert [one.kind for one in await house.notifier.inbox(uuid4(), [firm])] == ["incubator.cancelled"]
        with pytest.raises(Exception, match="no such resource"):
            await house.book(firm, hall, at(DAY, 9))

    async def test_that_were_used_before_their_resource_closes_stay_used(self, house: House) -> None:
        firm, hall = await house.firm(), await house.resource("training")
        desk = await house.resource("desk")
        await house.book(firm, hall, at(DAY, 9))
        await house.book(firm, hall, at(DAY, 15))
        await house.book(firm, desk, at(DAY.replace(day=1)))
        house.clock.set(at(DAY, 12))
        await house.incubator.close(hall.id)
        await house.incubator.close(desk.id)
        assert (await house.units(firm, "training"), await house.units(firm, "desk")) == (1, 0)
        assert [one.starts_at for one in (await house.incubator.bookings(firm)).rows] == [at(DAY, 9)]

    async def test_of_a_resource_that_closes_are_all_given_back_however_many(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "ROWS_MAX", 1)
        firm, hall = await house.firm(), await house.resource("training")
        for hour in (9, 10, 11):
            await house.book(firm, hall, at(DAY, hour))
        await house.incubator.close(hall.id)
        assert await house.units(firm, "training") == 0
