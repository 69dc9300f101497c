from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.approvals.api import Approvals, RequestClosed, RequestConflict, RequestState, SamePerson, UnknownRequest


@pytest.fixture
def approvals(database, clock):
    return Approvals(database, clock)


@pytest.fixture
async def request_(approvals, clock):
    return await approvals.request(
        "fund.payment", "Pay the contest", {"fen": 100}, by="person:a", expires_at=clock.now() + timedelta(days=1)
    )


class TestRequest:
    async def test_is_approved_by_a_second_person(self, approvals, request_):
        done = await approvals.approve(request_.id, by="person:b")
        assert (done.state, done.decided_by, done.payload) == (RequestState.DONE, "person:b", {"fen": 100})
        assert (await approvals.approve(request_.id, by="person:b")).decided_at == done.decided_at
        with pytest.raises(RequestClosed):
            await approvals.reject(request_.id, by="person:c", reason="too late")

    async def test_is_never_decided_by_who_asked(self, approvals, request_, database):
        for decide in (approvals.approve, approvals.reject):
            with pytest.raises(SamePerson):
                await decide(request_.id, by="person:a", reason="mine")
        with pytest.raises(asyncpg.CheckViolationError):
            await database.execute(
                "UPDATE approvals.request SET state = 'approved', decided_by = 'person:a', decided_at = requested_at"
            )

    async def test_can_be_withdrawn_by_who_asked_only(self, approvals, request_):
        with pytest.raises(SamePerson):
            await approvals.withdraw(request_.id, by="person:b")
        assert (await approvals.withdraw(request_.id, by="person:a")).state is RequestState.WITHDRAWN

    async def test_ends_when_nobody_decides(self, approvals, request_, clock):
        clock.advance(days=1)
        with pytest.raises(RequestClosed):
            await approvals.approve(request_.id, by="person:b")
        assert await approvals.sweep() == 1
        assert (await approvals.get(request_.id)).state is RequestState.EXPIRED

    async def test_is_made_once(self, approvals, request_, clock):
        again = {"by": "person:a", "expires_at": clock.now() + timedelta(days=1), "request_id": request_.id}
        made = await approvals.request("fund.payment", "Pay the contest", {"fen": 100}, **again)
        assert made.id == request_.id
        with pytest.raises(RequestConflict):
            await approvals.request("fund.payment", "Pay the contest", {"fen": 200}, **again)
        assert len(await approvals.requests(state=RequestState.OPEN)) == 1

    async def test_that_does_not_exist_is_said_to_be_unknown(self, approvals):
        with pytest.raises(UnknownRequest):
            await approvals.approve(uuid4(), by="person:b")

    async def test_is_listed_by_when_it_was_asked_whatever_its_number(self, approvals, clock):
        numbers = [UUID(int=n) for n in (9, 3, 7)]  # as those of a name are: in no order
        for number in numbers:
            until = clock.now() + timedelta(days=1)
            await approvals.request("fund.payment", "x", {}, by="person:a", expires_at=until, request_id=number)
            clock.advance(seconds=1)
        assert [one.id for one in await approvals.requests()] == numbers[::-1]
        first = await approvals.requests(limit=2)
        assert [one.id for one in await approvals.requests(before=first[-1].id)] == numbers[:1]
