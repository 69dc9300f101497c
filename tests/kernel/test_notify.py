"""Notices: written once, shown to whom they concern, sent with bounded retries."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import ATTEMPTS_MAX, BACKOFF_MAX_S, KEEP_DAYS, Notice, Notifier, Text


class Postman:
    name = "email"

    def __init__(self, fail_first: int = 0) -> None:
        self.sent: list[tuple[str, str]] = []
        self.fail_first = fail_first

    async def send(self, notice: Notice, address: str) -> None:
        if self.fail_first > 0:
            self.fail_first -= 1
            raise OSError("the mail server is away")
        self.sent.append((notice.title.en, address))


async def one_address(notice: Notice, channel: str) -> Sequence[str]:
    return ["someone@example.org"]


def notice(**changes: object) -> Notice:
    return Notice("alert", Text("余额不足", "Balance is low"), Text("请充值。", "Please top up."), **changes)  # type: ignore[arg-type]


class TestNotice:
    async def test_is_written_once_for_one_dedupe_word(self, database: Database, clock: FixedClock) -> None:
        notifier = Notifier(database, clock)
        org = uuid4()
        assert await notifier.notify(notice(org_id=org, dedupe="low"))
        assert not await notifier.notify(notice(org_id=org, dedupe="low"))
        assert len(await notifier.inbox(uuid4(), [org])) == 1

    async def test_is_shown_only_to_those_it_concerns(self, database: Database, clock: FixedClock) -> None:
        notifier = Notifier(database, clock)
        org, person = uuid4(), uuid4()
        for item in (notice(org_id=org), notice(person_id=person), notice()):
            await notifier.notify(item)
        assert len(await notifier.inbox(person, [org])) == 2
        assert len(await notifier.inbox(person, [])) == 1
        assert len(await notifier.inbox(uuid4(), [])) == 0
        assert len(await notifier.inbox(uuid4(), [], operator=True)) == 1

    async def test_is_read_by_one_person_and_new_to_the_other(self, database: Database, clock: FixedClock) -> None:
        notifier = Notifier(database, clock)
        org, first, second = uuid4(), uuid4(), uuid4()
        written = notice(org_id=org)
        await notifier.notify(written)
        await notifier.mark_read(first, [written.id])
        assert [item.read for item in await notifier.inbox(first, [org])] == [True]
        assert [item.read for item in await notifier.inbox(second, [org])] == [False]

    async def test_vanishes_after_its_time(self, database: Database, clock: FixedClock) -> None:
        notifier = Notifier(database, clock)
        org = uuid4()
        await notifier.notify(notice(org_id=org))
        clock.advance(days=KEEP_DAYS)
        assert await notifier.inbox(uuid4(), [org]) == []
        assert await notifier.purge() == 1


class TestDispatch:
    async def test_is_sent_once(self, database: Database, clock: FixedClock) -> None:
        postman = Postman()
        notifier = Notifier(database, clock, senders=[postman], addresses=one_address)
        await notifier.notify(notice(org_id=uuid4()))
        assert await notifier.send_due() == 1
        assert await notifier.send_due() == 0
        assert postman.sent == [("Balance is low", "someone@example.org")]

    async def test_is_tried_again_and_gives_up_in_the_end(self, database: Database, clock: FixedClock) -> None:
        postman = Postman(fail_first=1_000)
        notifier = Notifier(database, clock, senders=[postman], addresses=one_address)
        await notifier.notify(notice(org_id=uuid4()))
        for _ in range(ATTEMPTS_MAX + 3):
            await notifier.send_due()
            clock.advance(seconds=BACKOFF_MAX_S + 1)
        assert postman.fail_first == 1_000 - ATTEMPTS_MAX
        row = await database.fetchrow("SELECT state, error FROM kernel.dispatch")
        assert (row["state"], row["error"]) == ("failed", "OSError")

    async def test_reaches_each_reader_once_when_another_has_to_be_tried_again(
        self, database: Database, clock: FixedClock
    ) -> None:
        class Picky(Postman):
            async def send(self, notice: Notice, address: str) -> None:
                if address.startswith("full") and self.fail_first:
                    self.fail_first -= 1
                    raise OSError("the mailbox is full")
                self.sent.append((notice.title.en, address))

        async def two(notice: Notice, channel: str) -> Sequence[str]:
            return ["full@example.org", "other@example.org"]

        postman = Picky(fail_first=2)
        notifier = Notifier(database, clock, senders=[postman], addresses=two)
        await notifier.notify(notice(org_id=uuid4()))
        for _ in range(4):
            await notifier.send_due()
            clock.advance(seconds=BACKOFF_MAX_S)
        assert sorted(address for _, address in postman.sent) == ["full@example.org", "other@example.org"]
        row = await database.fetchrow("SELECT state, reached FROM kernel.dispatch")
        assert (row["state"], row["reached"]) == ("sent", [])

    async def test_without_an_address_is_closed_quietly(self, database: Database, clock: FixedClock) -> None:
        postman = Postman()
        notifier = Notifier(database, clock, senders=[postman])
        await notifier.notify(notice(org_id=uuid4()))
        await notifier.send_due()
        assert await database.fetchval("SELECT state FROM kernel.dispatch") == "none"
        assert postman.sent == []
