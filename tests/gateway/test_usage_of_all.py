"""What is computed of the whole city is computed of all of it, or not at all; nothing counted before is left out."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from shanhe.gateway import parted_store
from shanhe.gateway.errors import TooMuchUsage
from shanhe.gateway.meter import Buckets
from shanhe.gateway.store import ROWS_MAX, UsageKey, UsageStore
from shanhe.gateway.tags import TagBook, unkeyed
from shanhe.gateway.terms import Today
from shanhe.gateway.usage import UsageBook, complete
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals

DAY, NOON = date(2026, 11, 19), datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
MANY = """INSERT INTO gateway.usage_day
            (day, org_id, key_id, model, calls, input, cached_input, output, reasoning, tool, amount_micro)
          SELECT $1, lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, 'm', 1, 2, 0, 0, 0, 0, 3
            FROM generate_series(1, $2::int) n"""


async def test_no_payer_is_left_out_where_a_page_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.execute(MANY, DAY, ROWS_MAX + 1)
    clock = FixedClock(NOON)
    usage = UsageBook(UsageStore(database), Today(clock), TagBook(database, clock, Seals(), unkeyed))
    page = await usage.read(None, DAY, DAY, ("org",))
    with pytest.raises(TooMuchUsage):
        complete(page)
    assert len(complete(page[:-1])) == ROWS_MAX
    every = await usage.of_all(DAY, DAY, ("org",))
    assert (len(every), sum(row.amount_micro for row in every)) == (ROWS_MAX + 1, 3 * (ROWS_MAX + 1))
    (whole,) = await usage.of_all(DAY, DAY, ())
    assert whole.amount_micro == 3 * (ROWS_MAX + 1)
    monkeypatch.setattr("shanhe.gateway.usage.WHOLE_ROWS_MAX", ROWS_MAX)
    with pytest.raises(TooMuchUsage):
        await usage.of_all(DAY, DAY, ("org",))


async def test_income_of_more_rows_than_are_read_at_once_is_refused_and_not_cut(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parted_store, "ROWS_MAX", 3)
    account = new_id()
    add = """INSERT INTO gateway.share_day (day, account, role, resource, calls, amount_micro)
             VALUES ($1, $2, $3, $4, 1, 5)"""
    for n in range(3):
        await database.execute(add, DAY, account, "ip_holder", f"tool/t{n}")
    assert len(await parted_store.earned(database, account, DAY, DAY)) == 3
    await database.execute(add, DAY, account, "ip_holder", "tool/t3")
    with pytest.raises(TooMuchUsage):
        await parted_store.earned(database, account, DAY, DAY)


class Slow(UsageStore):
    """Writes once it may."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.begun, self.may = asyncio.Event(), asyncio.Event()

    async def add(self, sums: dict[UsageKey, list[int]]) -> None:
        self.begun.set()
        await self.may.wait()
        await super().add(sums)


def counted(
    store: UsageStore, database: Database, clock: FixedClock, book: TagBook | None = None, tags: tuple[str, ...] = ()
) -> tuple[UsageBook, UUID]:
    """A book that has counted one call, and whose."""
    usage = UsageBook(store, Today(clock), book or TagBook(database, clock, Seals(), unkeyed))
    caller = SimpleNamespace(org_id=new_id(), key_id=new_id(), tags=())
    call = SimpleNamespace(caller=caller, parsed=SimpleNamespace(model="m", tags=tags))
    usage.count(cast(Any, call), cast(Any, SimpleNamespace(metered=SimpleNamespace(buckets=Buckets(input=3)))), 7)
    return usage, caller.org_id


async def test_what_is_just_being_written_is_read(database: Database) -> None:
    """Whoever asks while the sums of a second are on their way to the database."""
    clock, store = FixedClock(NOON), Slow(database)
    usage, org_id = counted(store, database, clock)
    writing = asyncio.create_task(usage.flush())
    await store.begun.wait()
    reading = asyncio.create_task(usage.read(org_id, clock.today(), clock.today(), ()))
    done, _ = await asyncio.wait({reading}, timeout=0.2)
    assert not done
    store.may.set()
    (row,) = await reading
    assert (row.calls, row.amount_micro) == (1, 7)
    await writing


async def test_what_is_just_being_written_is_not_lost_by_a_stop(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shanhe.gateway.usage.FLUSH_S", 0)
    clock, store = FixedClock(NOON), Slow(database)
    usage, org_id = counted(store, database, clock)
    usage.start()
    await store.begun.wait()
    stopping = asyncio.create_task(usage.stop())
    await asyncio.sleep(0)
    store.may.set()
    await stopping
    (row,) = await usage.read(org_id, clock.today(), clock.today(), ())
    assert (row.calls, row.amount_micro) == (1, 7)


async def test_tags_that_somebody_looks_at_while_they_are_first_written_are_counted(database: Database) -> None:
    """Who looks writes the new names too, beside who writes the sums."""
    clock = FixedClock(NOON)
    book = TagBook(database, clock, Seals(), unkeyed)
    usage, org_id = counted(UsageStore(database), database, clock, book, ("team=blue",))
    _, names = await asyncio.gather(usage.flush(), book.of(org_id))
    assert names == ["team=blue"]
    (row,) = await usage.read(org_id, clock.today(), clock.today(), ("tag",))
    assert (row.tag, row.calls, row.amount_micro) == ("team=blue", 1, 7)


async def test_every_bucket_is_counted_on_the_day_that_its_call_had(database: Database) -> None:
    clock = FixedClock(NOON)
    usage = UsageBook(UsageStore(database), Today(clock), TagBook(database, clock, Seals(), unkeyed))
    caller = SimpleNamespace(org_id=new_id(), key_id=new_id(), tags=())
    call = cast(Any, SimpleNamespace(caller=caller, parsed=SimpleNamespace(model="m", tags=("team=blue",))))
    outcome = cast(Any, SimpleNamespace(metered=SimpleNamespace(buckets=Buckets(1, 2, 3, 4, 5, 6))))
    before, today = clock.today() - timedelta(days=1), clock.today()
    usage.count(call, outcome, 7)
    usage.count(call, outcome, 7, before)
    usage.count(call, outcome, 7)
    for group in (("day",), ("day", "tag")):
        rows = await usage.read(caller.org_id, before, today, group)
        assert [row.day for row in rows] == [today, before]
        for row, calls in zip(rows, (2, 1), strict=True):
            found = [row.input, row.cached_input, row.output, row.reasoning, row.tool, row.cache_write]
            assert (row.calls, found, row.amount_micro) == (calls, [n * calls for n in range(1, 7)], 7 * calls)
