"""What two people agreed to: done at once, again after a fault, or ended with its reason; whoever asked is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.approvals.api import Approvals, BeingDone, Deed, Request, RequestClosed, RequestState, SamePerson
from shanhe.approvals.doing import WAITS
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, ShanheError, Unavailable
from shanhe.kernel.migrations import discover
from shanhe.kernel.notify import Notice, Notifier
from shanhe.ledger.api import InsufficientCredit
from stage.faults import lost_mark

ASKER, SECOND = UUID(int=11), UUID(int=12)
POOR = InsufficientCredit(UUID(int=1), 0, 5)
GONE = Conflict("gone", "It was settled otherwise.", message_zh="已另行处理。")


@dataclass
class Desk:
    """One kind of request whose deed does what `faults` say, one after the other, and then what it should."""

    db: Database
    clock: FixedClock
    approvals: Approvals
    notifier: Notifier
    faults: list[BaseException] = field(default_factory=list)
    booked: list[UUID] = field(default_factory=list)
    tried: int = 0

    async def do(self, request: Request) -> None:
        self.tried += 1
        if self.faults:
            raise self.faults.pop(0)
        if request.id not in self.booked:
            self.booked.append(request.id)

    async def ask(self, number: UUID | None = None) -> Request:
        ends = self.clock.now() + timedelta(days=30)
        return await self.approvals.request(
            "test.deed", "x", {}, by=f"person:{ASKER}", expires_at=ends, request_id=number
        )

    async def agree(self, request: Request) -> Request:
        return await self.approvals.agree(request.id, by=f"person:{SECOND}")

    async def agreed(self, *faults: BaseException) -> Request:
        """A request to whose deed this happened, as it is then."""
        self.faults = list(faults)
        asked = await self.ask()
        with pytest.raises(type(faults[0])):
            await self.agree(asked)
        return await self.approvals.get(asked.id)

    async def told(self) -> list[Notice]:
        return await self.notifier.inbox(ASKER, [])


@pytest.fixture
def desk(database: Database, clock: FixedClock) -> Desk:
    notifier = Notifier(database, clock)
    made = Desk(database, clock, Approvals(database, clock, notifier=notifier), notifier)
    made.approvals.deeds["test.deed"] = Deed(made.do)
    return made


class TestDeed:
    async def test_is_done_once_and_who_asked_is_told(self, desk: Desk) -> None:
        asked = await desk.ask()
        done = await desk.agree(asked)
        assert (done.state, done.tries, done.next_at) == (RequestState.DONE, 1, None)
        assert (await desk.agree(asked)).ended_at == done.ended_at
        assert (await desk.approvals.again(asked.id, by="person:z")).state is RequestState.DONE
        assert (desk.booked, desk.tried) == ([asked.id], 1)
        (notice,) = await desk.told()
        assert (notice.title.zh, notice.link) == ("test.deed：已办结", f"/city/second#r{asked.id}")

    async def test_that_may_go_better_waits_and_is_tried_again_with_growing_pauses(self, desk: Desk) -> None:
        found = await desk.agreed(POOR, Unavailable("away", "Away."))
        assert (found.state, found.fault, found.tries) == (RequestState.APPROVED, "insufficient_credit", 1)
        assert "余额不足" in found.fault_zh
        assert found.next_at == desk.clock.now() + WAITS[0]
        assert (await desk.approvals.run(), desk.tried) == (0, 1)  # not before its time
        desk.clock.advance(minutes=1)
        assert await desk.approvals.run() == 0
        found = await desk.approvals.get(found.id)
        assert (found.fault, found.tries, found.next_at) == ("away", 2, desk.clock.now() + WAITS[1])
        desk.clock.advance(minutes=5)
        assert (await desk.approvals.run(), desk.booked) == (1, [found.id])
        found = await desk.approvals.get(found.id)
        assert (found.state, found.fault) == (RequestState.DONE, "")
        assert await desk.approvals.run() == 0

    async def test_that_nobody_can_help_ends_it_and_leaves_room_for_a_new_request(self, desk: Desk) -> None:
        number, free = uuid4(), uuid4()
        desk.faults = [GONE]
        asked = await desk.ask(number)
        with pytest.raises(Conflict) as caught:
            await desk.agree(asked)
        assert caught.value.details["request_state"] == "refused"
        found = await desk.agree(asked)  # saying so again changes nothing
        assert (found.state, found.fault, found.fault_zh) == (RequestState.REFUSED, "gone", "已另行处理。")
        with pytest.raises(RequestClosed):
            await desk.approvals.again(asked.id, by=f"person:{SECOND}")
        new = await desk.approvals.standing(
            (number, free), "test.deed", "x", {}, by=f"person:{ASKER}", expires_at=asked.expires_at
        )
        assert (new.id, new.state) == (free, RequestState.OPEN)
        (notice,) = await desk.told()
        assert "已另行处理。" in notice.body.zh

    async def test_that_waits_is_the_one_that_stands(self, desk: Desk) -> None:
        found = await desk.agreed(POOR)
        same = await desk.approvals.standing(
            (found.id, uuid4()), "test.deed", "x", {}, by=f"person:{ASKER}", expires_at=found.expires_at
        )
        assert same.id == found.id

    async def test_is_repeated_when_its_mark_was_lost(self, desk: Desk) -> None:
        asked = await desk.ask()
        with lost_mark():
            await desk.agree(asked)
        found = await desk.approvals.get(asked.id)
        assert (found.state, found.fault, desk.booked) == (RequestState.APPROVED, "interrupted", [asked.id])
        assert "不会重复入账" in found.fault_zh
        assert (await desk.approvals.again(asked.id, by="person:z")).state is RequestState.DONE
        assert (desk.booked, desk.tried) == ([asked.id], 2)

    async def test_whose_process_was_killed_is_taken_up_by_the_jobs(self, desk: Desk) -> None:
        asked = await desk.ask()
        await desk.approvals.approve(asked.id, by=f"person:{SECOND}")  # and dead, before it began
        desk.clock.advance(minutes=1)
        assert (await desk.approvals.run(), desk.booked) == (1, [asked.id])

    async def test_of_a_defect_waits_and_does_not_keep_the_others_from_theirs(self, desk: Desk) -> None:
        broken = await desk.agreed(KeyError("budget"), KeyError("budget"))
        other = await desk.agreed(POOR)
        assert (broken.state, broken.fault) == (RequestState.APPROVED, "interrupted")
        desk.faults = [KeyError("budget")]
        desk.clock.advance(minutes=1)
        assert (await desk.approvals.run(), desk.booked) == (1, [other.id])

    async def test_is_tried_no_more_by_itself_after_the_last_pause_and_operators_know(self, desk: Desk) -> None:
        found = await desk.agreed(*[POOR] * (len(WAITS) + 1))
        for pause in WAITS:
            desk.clock.advance(seconds=int(pause.total_seconds()))
            await desk.approvals.run()
        found = await desk.approvals.get(found.id)
        assert (found.state, found.next_at, desk.tried) == (RequestState.APPROVED, None, len(WAITS) + 1)
        desk.clock.advance(days=30)
        assert (await desk.approvals.run(), desk.tried) == (0, len(WAITS) + 1)
        (notice,) = await desk.notifier.inbox(SECOND, [], operator=True)
        assert notice.kind == "request.waits"
        assert (await desk.approvals.again(found.id, by=f"person:{ASKER}")).state is RequestState.DONE

    async def test_is_one_persons_at_a_time(self, desk: Desk) -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        async def slowly(request: Request) -> None:
            begun.set()
            await go.wait()
            await desk.do(request)

        desk.approvals.deeds["test.deed"] = Deed(slowly)
        asked = await desk.ask()
        first = asyncio.create_task(desk.agree(asked))
        await begun.wait()
        with pytest.raises(BeingDone):
            await desk.approvals.again(asked.id, by="person:z")
        go.set()
        assert ((await first).state, desk.tried) == (RequestState.DONE, 1)

    async def test_is_not_refused_by_a_try_that_another_one_has_followed(self, desk: Desk) -> None:
        async def slow(request: Request) -> None:
            desk.clock.advance(minutes=2)
            desk.approvals.deeds["test.deed"] = Deed(away)
            assert await desk.approvals.run() == 0  # the next try begins, and waits
            raise GONE

        async def away(_: Request) -> None:
            raise POOR

        desk.approvals.deeds["test.deed"] = Deed(slow)
        asked = await desk.ask()
        with pytest.raises(Conflict) as caught:
            await desk.agree(asked)
        assert caught.value.details["request_state"] == "approved"
        found = await desk.approvals.get(asked.id)
        assert (found.state, found.tries, found.fault) == (RequestState.APPROVED, 2, "insufficient_credit")

    async def test_is_agreed_to_by_one_of_two_at_once_and_not_after_it_was_taken_back(self, desk: Desk) -> None:
        asked = await desk.ask()
        agree = [desk.approvals.agree(asked.id, by=f"person:{n}") for n in (SECOND, UUID(int=13))]
        took = await asyncio.gather(
            *agree, desk.approvals.withdraw(asked.id, by=f"person:{ASKER}"), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in took) == ["Request", "RequestClosed", "RequestClosed"]
        ended = await desk.approvals.get(asked.id)
        assert ended.state in (RequestState.DONE, RequestState.WITHDRAWN)
        assert len(desk.booked) == (ended.state is RequestState.DONE)

    async def test_waits_for_what_has_to_be_decided_before(self, desk: Desk) -> None:
        async def early(_: Request) -> None:
            raise GONE

        desk.approvals.deeds["test.deed"] = Deed(desk.do, ready=early)
        asked = await desk.ask()
        with pytest.raises(ShanheError):
            await desk.agree(asked)
        assert (await desk.approvals.get(asked.id)).state is RequestState.OPEN

    async def test_says_who_refused_it_and_why_to_who_asked(self, desk: Desk) -> None:
        asked, late = await desk.ask(), await desk.ask()
        with pytest.raises(SamePerson):
            await desk.approvals.agree(asked.id, by=f"person:{ASKER}")
        await desk.approvals.reject(asked.id, by=f"person:{SECOND}", reason="回单金额不符")
        desk.clock.advance(days=30)
        assert await desk.approvals.sweep() == 1
        expired, rejected = await desk.told()
        assert "回单金额不符" in rejected.body.zh
        assert expired.link.endswith(str(late.id))


class TestConstraint:
    @pytest.mark.parametrize(
        "change",
        [
            "state = 'refused', ended_at = decided_at, next_at = NULL",  # without a reason
            "state = 'done', next_at = NULL",  # without an end
            "state = 'open', decided_at = NULL, next_at = NULL",
            "state = 'done', ended_at = decided_at",  # and yet tried again
            "decided_by = 'person:c'",
            "payload = '{\"fen\": 1}'",
        ],
    )
    async def test_holds_what_was_agreed_to(self, desk: Desk, change: str) -> None:
        found = await desk.agreed(POOR)
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.RestrictViolationError)):
            await desk.db.execute(f"UPDATE approvals.request SET fault = '', {change} WHERE id = $1", found.id)

    async def test_leaves_no_end_again(self, desk: Desk) -> None:
        asked = await desk.ask()
        await desk.agree(asked)
        for state in ("approved", "refused", "rejected", "open"):
            with pytest.raises((asyncpg.CheckViolationError, asyncpg.RestrictViolationError)):
                await desk.db.execute("UPDATE approvals.request SET state = $1, ended_at = NULL", state)


class TestStanding:
    async def test_is_none_of_what_nobody_decided_in_time(self, desk: Desk) -> None:
        late, free = await desk.ask(uuid4()), uuid4()
        desk.clock.advance(days=30)  # and nobody has swept yet
        ends = desk.clock.now() + timedelta(days=30)
        new = await desk.approvals.standing(
            (late.id, free), "test.deed", "x", {}, by=f"person:{ASKER}", expires_at=ends
        )
        assert new.id == free


BEFORE = """
DROP TRIGGER stays_as_decided ON approvals.request;
DROP FUNCTION approvals.guard_request();
ALTER TABLE approvals.request
  DROP COLUMN tries, DROP COLUMN next_at, DROP COLUMN held_until, DROP COLUMN fault, DROP COLUMN fault_zh,
  DROP COLUMN fault_en, DROP COLUMN ended_at, DROP CONSTRAINT request_state,
  ADD CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired'));
"""


class TestUpgrade:
    async def test_takes_what_was_agreed_to_before_as_done(self, desk: Desk) -> None:
        migration = next(one for one in discover() if one.ordinal == 465)
        await desk.db.execute(BEFORE)
        decided = {"approved": "person:b", "rejected": "person:b", "open": None, "withdrawn": "person:a"}
        for state, by in decided.items():
            await desk.db.execute(
                """INSERT INTO approvals.request (id, kind, subject, payload, state, requested_by, requested_at,
                     expires_at, decided_by, decided_at)
                   VALUES ($1, 'test.deed', $2, '{}', $2, 'person:a', $3, $3, $4, $5)""",
                uuid4(), state, desk.clock.now(), by, None if by is None else desk.clock.now(),
            )  # fmt: skip
        await desk.db.execute(migration.sql)
        found = {one.subject: str(one.state) for one in await desk.approvals.requests()}
        assert found == {"approved": "done", "rejected": "rejected", "open": "open", "withdrawn": "withdrawn"}
        assert (await desk.approvals.run(), desk.tried) == (0, 0)

    async def test_lists_what_was_agreed_to_before_and_still_waits_for_its_deed(self, desk: Desk) -> None:
        """Whatever keeps a row of its own that is still open; what is settled there stays done."""
        migration = next(one for one in discover() if one.ordinal == 480)
        now, dispute = desk.clock.now(), uuid4()
        asked = {name: uuid4() for name in ("payment", "paid", "estate", "remedy", "other")}
        for name, number in asked.items():
            await desk.db.execute(
                """INSERT INTO approvals.request (id, kind, subject, payload, state, requested_by, requested_at,
                     expires_at, decided_by, decided_at, ended_at)
                   VALUES ($1, 'test.deed', $2::text, '{}', 'done', 'person:a', $3, $3, 'person:b', $3, $3)""",
                number, name, now,
            )  # fmt: skip
        for name, state, ended in (("payment", "open", None), ("paid", "paid", now)):
            await desk.db.execute(
                "INSERT INTO exchange.fund_payment VALUES ($1, $2, 100, 'a prize', 'person:a', $3, $4, $5)",
                asked[name], uuid4(), now, state, ended,
            )  # fmt: skip
        await desk.db.execute(
            """INSERT INTO credits.estate (id, org_id, kind, successors, documents, reason, asked_by, asked_at)
               VALUES ($1, $2, 'inheritance', '[]', '[]', 'she died', 'person:a', $3)""",
            asked["estate"], uuid4(), now,
        )  # fmt: skip
        async with desk.db.transaction() as conn:
            await conn.execute("SET LOCAL session_replication_role = replica")  # the dispute is not what this is about
            await conn.execute(
                """INSERT INTO exchange.remedy (id, dispute_id, trades, reason, asked_by, asked_at)
                   VALUES ($1, $2, ARRAY[$2::uuid], 'a wrong price', 'person:a', $3)""",
                asked["remedy"], dispute, now,
            )  # fmt: skip
        await desk.db.execute(migration.sql)
        found = {one.subject: str(one.state) for one in await desk.approvals.requests()}
        assert found == {
            "payment": "approved", "estate": "approved", "remedy": "approved", "paid": "done", "other": "done"
        }  # fmt: skip
        assert (await desk.approvals.run(), len(desk.booked)) == (3, 3)
        with pytest.raises(asyncpg.RestrictViolationError):  # what was decided is guarded again
            await desk.db.execute("UPDATE approvals.request SET state = 'approved', ended_at = NULL")
