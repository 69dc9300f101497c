"""Events: written with their cause, delivered at least once, in order for one key, with bounded retries."""

from __future__ import annotations

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.outbox import ATTEMPTS_MAX, BACKOFF_MAX_S, KEEP_DAYS, Event, Outbox


class Recorder:
    def __init__(self, fail_first: int = 0) -> None:
        self.seen: list[Event] = []
        self.fail_first = fail_first

    async def __call__(self, event: Event) -> None:
        if self.fail_first > 0:
            self.fail_first -= 1
            raise RuntimeError("not today")
        self.seen.append(event)

    @property
    def numbers(self) -> list[int]:
        return [event.payload["n"] for event in self.seen]


async def emit(outbox: Outbox, database: Database, key: str, number: int) -> None:
    async with database.transaction() as connection:
        await outbox.emit(connection, "paid", key, {"n": number})


@pytest.fixture
def outbox(database: Database, clock: FixedClock) -> Outbox:
    return Outbox(database, clock)


class TestEvent:
    async def test_vanishes_with_the_transaction_that_failed(self, outbox: Outbox, database: Database) -> None:
        reader = Recorder()
        outbox.subscribe("paid", "reader", reader)
        with pytest.raises(RuntimeError):
            async with database.transaction() as connection:
                await outbox.emit(connection, "paid", "a", {"n": 1})
                raise RuntimeError("the cause did not happen")
        assert await outbox.deliver_due() == 0
        assert reader.seen == []

    async def test_reaches_every_subscriber_once(self, outbox: Outbox, database: Database) -> None:
        first, second = Recorder(), Recorder()
        outbox.subscribe("paid", "first", first)
        outbox.subscribe("paid", "second", second)
        await emit(outbox, database, "a", 1)
        assert await outbox.deliver_due() == 1
        assert await outbox.deliver_due() == 0
        assert first.numbers == second.numbers == [1]

    async def test_is_not_repeated_to_those_who_had_it_when_another_failed(
        self, outbox: Outbox, database: Database, clock: FixedClock
    ) -> None:
        fine, flaky = Recorder(), Recorder(fail_first=1)
        outbox.subscribe("paid", "fine", fine)
        outbox.subscribe("paid", "flaky", flaky)
        await emit(outbox, database, "a", 1)
        await outbox.deliver_due()
        clock.advance(seconds=BACKOFF_MAX_S)
        await outbox.deliver_due()
        assert (fine.numbers, flaky.numbers) == ([1], [1])

    async def test_reaches_the_others_though_one_never_handles_it(
        self, outbox: Outbox, database: Database, clock: FixedClock
    ) -> None:
        stuck, fine = Recorder(fail_first=ATTEMPTS_MAX), Recorder()
        outbox.subscribe("paid", "stuck", stuck)
        outbox.subscribe("paid", "fine", fine)
        await emit(outbox, database, "a", 1)
        for _ in range(ATTEMPTS_MAX + 1):
            await outbox.deliver_due()
            clock.advance(seconds=BACKOFF_MAX_S)
        assert (stuck.numbers, fine.numbers) == ([], [1])
        (failed,) = await outbox.failed()
        assert failed["error"].startswith("stuck: ")

    async def test_keeps_the_order_of_its_key_and_does_not_hold_up_other_keys(
        self, outbox: Outbox, database: Database, clock: FixedClock
    ) -> None:
        reader = Recorder(fail_first=1)
        outbox.subscribe("paid", "reader", reader)
        for number in (1, 2):
            await emit(outbox, database, "a", number)
        await emit(outbox, database, "b", 3)
        await outbox.deliver_due()
        assert reader.numbers == [3]
        for _ in range(3):
            clock.advance(seconds=BACKOFF_MAX_S)
            await outbox.deliver_due()
        assert reader.numbers == [3, 1, 2]

    async def test_gives_up_after_bounded_attempts_and_lets_the_next_pass(
        self, outbox: Outbox, database: Database, clock: FixedClock
    ) -> None:
        reader = Recorder(fail_first=ATTEMPTS_MAX)
        outbox.subscribe("paid", "reader", reader)
        for number in (1, 2):
            await emit(outbox, database, "a", number)
        for _ in range(ATTEMPTS_MAX + 1):
            await outbox.deliver_due()
            clock.advance(seconds=BACKOFF_MAX_S)
        assert reader.numbers == [2]
        assert [row["key"] for row in await outbox.failed()] == ["a"]

    async def test_is_forgotten_some_days_after_delivery(
        self, outbox: Outbox, database: Database, clock: FixedClock
    ) -> None:
        outbox.subscribe("paid", "reader", Recorder())
        await emit(outbox, database, "a", 1)
        await outbox.deliver_due()
        assert await outbox.purge() == 0
        clock.advance(days=KEEP_DAYS + 1)
        assert await outbox.purge() == 1
