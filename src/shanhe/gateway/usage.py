"""Usage sums kept in memory between flushes, so that counting a call costs no I/O.

A crash loses at most FLUSH_S of sums, never money: the ledger's postings are the truth, and every finished day is
recomputed from them once by `rebuild`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

import msgspec
import structlog

from shanhe.gateway.errors import TagsOfOne, TooMuchUsage
from shanhe.gateway.meter import BUCKETS
from shanhe.gateway.model import Evidence
from shanhe.gateway.parted_store import Earned, PartedSums, ResourceDay, ResourceUse, RightDay
from shanhe.gateway.store import ROWS_MAX, KeyDay, TagKey, UsageKey, UsageRow, UsageStore
from shanhe.gateway.tags import tags_in
from shanhe.kernel.db import FAILURES

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.commission import Through
    from shanhe.gateway.settlement import Outcome
    from shanhe.gateway.tags import TagBook
    from shanhe.gateway.tariff import Charged, Share
    from shanhe.gateway.terms import Today
    from shanhe.identity.api import Caller

FLUSH_S: Final = 1.0
WHOLE_ROWS_MAX: Final = 200_000
"""Most sums that are read at once for the whole city."""
SUMS: Final = 2 + len(BUCKETS)
"""Calls, buckets, amount."""
CITY_ROLES: Final = frozenset({"platform", "upstream_cost"})
K = TypeVar("K")
log = structlog.get_logger(__name__)
_evidence = msgspec.json.Decoder(Evidence)


def complete(rows: list[UsageRow]) -> list[UsageRow]:
    """All sums that were asked for, for whoever adds them up. TooMuchUsage where these are the newest of more."""
    if len(rows) > ROWS_MAX:
        raise TooMuchUsage(ROWS_MAX)
    return rows


class UsageBook:
    """Counts settled calls and writes the sums every second."""

    def __init__(self, store: UsageStore, today: Today, tags: TagBook) -> None:
        self._store = store
        self._tags = tags
        self._tagged: dict[TagKey, list[int]] = {}
        self._today = today
        self._sums: dict[UsageKey, list[int]] = {}
        self._last: tuple[Caller, str, date, list[int]] | None = None  # the group counted last, one of the sums
        self._parted = PartedSums()
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what is left."""
        if self._task is not None:
            async with self._writing:  # what is on its way to the database gets there
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def today(self) -> date:
        """The day that is counted now."""
        return self._today()

    def count(self, call: Call, outcome: Outcome, total_micro: int, on: date | None = None) -> None:
        """Add one settled call; `on`: the day of its posting, where that isn't today's."""
        caller, model, on = call.caller, call.parsed.model, on or self._today()
        last = self._last
        if last is None or last[0] is not caller or last[1] != model or last[2] != on:
            sums = UsageKey(on, caller.org_id, caller.key_id, model)
            last = self._last = caller, model, on, self._sums.setdefault(sums, [0] * SUMS)
        _sum(last[3], outcome.metered.buckets.as_tuple(), total_micro)
        if tags := tags_in(call):
            for tag in self._tags.ids(caller.org_id, tags):
                key = TagKey(on, caller.org_id, tag, caller.key_id, model)
                _sum(self._tagged.setdefault(key, [0] * SUMS), outcome.metered.buckets.as_tuple(), total_micro)

    def count_parted(self, call: Call, tokens: int, charged: Charged, through: Through, on: date | None = None) -> None:
        """Add one settled call that came through listings, or that a referrer is paid from."""
        payer = call.caller.org_id
        add_parted(self._parted, on or self._today(), payer, tokens, charged.total_micro, charged.shares, through)

    async def flush(self) -> None:
        """Write the sums; what can't be written now is kept for the next time. Whoever reads after it finds all that
        was counted before, what somebody else was writing already included."""
        async with self._writing:
            await self._flush_parted()
            await self._flush_tagged()
            await self._flush_sums()

    async def _flush_sums(self) -> None:
        if not self._sums:
            return
        sums, self._sums, self._last = self._sums, {}, None
        try:
            await self._store.add(sums)
        except FAILURES as error:
            log.warning("usage sums not written", error=str(error)[:200], groups=len(sums))
            _put_back(self._sums, sums)

    async def _flush_parted(self) -> None:
        sums, self._parted = self._parted, PartedSums()
        if not sums.shares and not sums.resources:
            return
        try:
            await self._store.add_parted(sums)
        except FAILURES as error:
            log.warning("sums by listing not written", error=str(error)[:200])
            self._parted.add(sums)

    async def _flush_tagged(self) -> None:
        if not self._tagged:
            return
        sums, self._tagged = self._tagged, {}
        try:
            await self._tags.flush()
            await self._store.add_tagged(sums)
        except FAILURES as error:
            log.warning("sums by tag not written", error=str(error)[:200], groups=len(sums))
            _put_back(self._tagged, sums)

    async def resources(
        self, names: Sequence[str] | None, first: date, last: date, org_id: UUID | None
    ) -> list[ResourceUse]:
        """What came through listings between two dates, both included."""
        await self.flush()
        return await self._store.resources(names, first, last, org_id)

    async def payers(self, names: Sequence[str], first: date, last: date) -> list[ResourceUse]:
        """Who called through listings between two dates, both included."""
        await self.flush()
        return await self._store.payers(names, first, last)

    async def resource_days(self, names: Sequence[str], first: date, last: date) -> list[ResourceDay]:
        """What came through listings by day between two dates, both included."""
        await self.flush()
        return await self._store.resource_days(names, first, last)

    async def earned(self, account: UUID, first: date, last: date) -> list[Earned]:
        """What an account earned from calls between two dates, both included."""
        await self.flush()
        return await self._store.earned(account, first, last)

    async def right_days(self, right: str, first: date, last: date) -> list[RightDay]:
        """What a registered right earned by day and account between two dates, both included."""
        await self.flush()
        return await self._store.right_days(right, first, last)

    async def read(
        self,
        org_id: UUID | None,
        first: date,
        last: date,
        group: tuple[str, ...],
        key_id: UUID | None = None,
        model: str | None = None,
        tag: str | None = None,
    ) -> list[UsageRow]:
        """Sums between two dates, both included; see `UsageStore.read`. Tags are one organisation's words."""
        await self.flush()
        if org_id is None:
            if tag is not None or "tag" in group:
                raise TagsOfOne
            return await self._store.read(None, first, last, group, key_id, model)
        wanted = None if tag is None else self._tags.id_of(org_id, tag)
        rows = await self._store.read(org_id, first, last, group, key_id, model, tag=wanted)
        names = await self._tags.names(org_id, {row.tag for row in rows if isinstance(row.tag, UUID)})
        return [msgspec.structs.replace(row, tag=names[row.tag]) if isinstance(row.tag, UUID) else row for row in rows]

    async def of_all(
        self, first: date, last: date, group: tuple[str, ...], model: str | None = None
    ) -> list[UsageRow]:  # fmt: skip
        """Sums of the whole city, none left out: what is computed of a part would mislead."""
        await self.flush()
        rows = await self._store.read(None, first, last, group, None, model, WHOLE_ROWS_MAX + 1)
        if len(rows) > WHOLE_ROWS_MAX:
            raise TooMuchUsage(WHOLE_ROWS_MAX)
        return rows

    async def of_keys(self, keys: Sequence[UUID], first: date, last: date, most: int) -> list[KeyDay]:
        """See `UsageStore.of_keys`."""
        await self.flush()
        return await self._store.of_keys(keys, first, last, most)

    async def rebuild(self, day: date, evidence: AsyncIterator[bytes]) -> int:
        """Recompute a finished day from the evidence of its call postings; returns how many calls it had."""
        sums: dict[UsageKey, list[int]] = {}
        tagged: dict[TagKey, list[int]] = {}
        parted = PartedSums()
        calls = 0
        async for raw in evidence:
            seen = _evidence.decode(raw)
            key = UsageKey(day, seen.org_id, seen.key_id, seen.model)
            _sum(sums.setdefault(key, [0] * SUMS), seen.buckets.as_tuple(), seen.total_micro)
            for tag in seen.tags:
                mine = TagKey(day, seen.org_id, tag, seen.key_id, seen.model)
                _sum(tagged.setdefault(mine, [0] * SUMS), seen.buckets.as_tuple(), seen.total_micro)
            if seen.through is not None:
                add_parted(parted, day, seen.org_id, seen.buckets.total, seen.total_micro, seen.shares, seen.through)
            calls += 1
        await self._store.replace_day(day, sums)
        await self._store.replace_tagged(day, tagged)
        await self._store.replace_parted(day, parted)
        return calls

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()


def _sum(known: list[int], buckets: tuple[int, ...], total_micro: int) -> None:
    """Add one call to the sums of its group."""
    known[0] += 1
    known[1] += buckets[0]
    known[2] += buckets[1]
    known[3] += buckets[2]
    known[4] += buckets[3]
    known[5] += buckets[4]
    known[6] += buckets[5]
    known[7] += total_micro


def _put_back(into: dict[K, list[int]], sums: dict[K, list[int]]) -> None:
    """Sums that could not be written join those that came meanwhile."""
    for key, values in sums.items():
        known = into.setdefault(key, [0] * SUMS)
        for at, value in enumerate(values):
            known[at] += value


def add_parted(
    sums: PartedSums, day: date, org_id: UUID, tokens: int, total_micro: int, shares: Sequence[Share], through: Through
) -> None:
    """Add one call to the sums by listing and by party; the city's own parts are not a party's."""
    for markup in through.markups:
        known = sums.resources.setdefault((day, markup.resource, org_id), [0, 0, 0])
        for at, value in enumerate((1, tokens, total_micro)):
            known[at] += value
    for share in shares:
        if share.role not in CITY_ROLES:
            mine = sums.shares.setdefault((day, share.account, share.role, share.resource), [0, 0])
            mine[0] += 1
            mine[1] += share.amount_micro
