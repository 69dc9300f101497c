"""Running lines in the valleys: a process takes as many as its engines have slots to spare, and finishes each once.

A line's life: taken under a fresh receipt id → its answer is made durable → it is charged under that id → it is done.
Whoever finds a line that its worker left behind asks the ledger: with a posting the kept answer is final, without one
nothing was charged and the line is run again under another id. A worker's lines are looked at when a process of that
name starts (the old one has ended), or once no capture can come any more: when their reservation has lapsed, or as
soon as their worker knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.batches import store
from shanhe.batches.errors import NotKept, NotThisTime
from shanhe.batches.model import Taken
from shanhe.batches.service import Batches, opened_metadata
from shanhe.gateway.api import Answered, CallError, Errand, Metadata, openai_error, tags_of, under
from shanhe.kernel.asking import Parameter
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.waking import Crew

AT_ONCE_MAX: Final = 16
"""Most lines one process works on."""
LAPSED_AFTER: Final = timedelta(seconds=2_520)
"""By then a call's reservation (2,400 s) has lapsed, so a capture that is not booked can't be."""
LOOKED_AT_AFTER: Final = timedelta(seconds=60)
TRIES_MAX: Final = 5
WAIT_FIRST_S, WAIT_MAX_S = 2.0, 600.0
PATIENT: Final = frozenset(
    {
        "no_engine",
        "engine_busy",
        "ledger_unavailable",
        "disk_full",
        "not_kept",
        "too_many_calls",
        "identity_unavailable",
    }
)
"""Codes that say nothing about the line; it waits as long as its batch does."""
NOT_BOOKED: Final = frozenset({"disk_full", "lease_reclaimed", "hold_closed"})
"""Codes with which the ledger says of a kept answer that it isn't charged, and won't be."""


Run = Callable[[str, bytes, Errand], Awaitable[Answered]]
CallerOf = Callable[[UUID], Awaitable[Any]]
Charged = Callable[[UUID], Awaitable[object]]
"""The posting of a receipt; NotFound without one. As `fate` it is asked of ended processes' calls: none comes later."""
Spare = Callable[[str, int], int]
log = structlog.get_logger(__name__)


class _Code(msgspec.Struct):
    code: str | None = None


class _Failure(msgspec.Struct):
    error: _Code


class Runner:
    """Works on lines in one gateway process."""

    def __init__(
        self, db: Database, clock: Clock, batches: Batches, *, worker: str, run: Run, caller_of: CallerOf,
        charged: Charged, fate: Charged, spare: Spare, parameter: Parameter,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._batches = batches
        self._worker = worker
        self._run = run
        self._caller_of = caller_of
        self._charged = charged
        self._fate = fate
        self._spare = spare
        self._parameter = parameter
        self._unbooked: set[UUID] = set()
        """Tries that can't be charged any more, and that the database was not there to put back."""
        self._crew = Crew(
            self.fill, lambda: self.recover(None), at_once_max=AT_ONCE_MAX, what="batches", soon=self._any_open
        )

    async def start(self) -> None:
        """Take up what a process of this name left behind, then work."""
        await self.recover(self._worker)
        self._db.wake(store.CHANNEL, self._crew.wake)
        self._crew.start()

    async def stop(self) -> None:
        """Leave what runs where it is: nothing is charged that was not answered, the next start takes it up."""
        await self._crew.stop()

    async def _any_open(self) -> bool:
        """A line that waits for its hour, or for an engine, comes due without a word."""
        return await store.any_open(self._db)

    async def fill(self) -> int:
        """Take and begin as many lines as there is room for; how many."""
        room = self._crew.room
        if room <= 0:
            return 0
        kept_bps = int(self._parameter("kept_share", self._clock.today()))
        begun = 0
        for model in await store.waiting_models(self._db, self._clock.now()):
            most = min(room - begun, self._spare(model, kept_bps))
            if most > 0:
                for taken in await store.take(self._db, model, most, self._worker, self._clock.now()):
                    begun += 1
                    self._crew.begin(self.work(taken))
        return begun

    async def work(self, taken: Taken) -> None:
        """Run one line to its end, or put it back."""
        kept, unbooked = asyncio.Event(), True
        try:
            answered = await self._asked(taken, kept)
            if answered.status == 200 or not kept.is_set():
                unbooked = answered.status != 200
                await self._close(taken, answered)
            elif code_of(answered.body) in NOT_BOOKED:
                await self._again(taken, float(answered.retry_after_s or WAIT_FIRST_S))
            else:  # whether it was charged is not known yet: `recover` finds out
                unbooked = False
        except Exception:
            if unbooked:
                self._unbooked.add(taken.receipt_id)
            raise

    async def _asked(self, taken: Taken, kept: asyncio.Event) -> Answered:
        """Make the call of a line; `kept` is set before it is charged."""
        line = taken.line
        try:
            seal = await self._batches.seal_of(taken.org_id)
            body = await self._batches.read(seal, taken.input_file, line.body_start, line.body_bytes)
            named = opened_metadata(seal, taken.metadata) or {}
            caller = under(await self._caller_of(taken.key_id), tags_of(Metadata(named.get("tags"))))
            return await self._run(taken.endpoint, body, Errand(caller, taken.receipt_id, self._keeper(taken, kept)))
        except ShanheError as error:
            return Answered(error.status, msgspec.json.encode(error.to_dict(), enc_hook=str))
        except CallError as error:
            return Answered(error.status, openai_error(error))

    def _keeper(self, taken: Taken, kept: asyncio.Event) -> Callable[[bytes], Awaitable[None]]:
        async def keep(answer: bytes) -> None:
            try:
                await self._batches.put(await self._batches.seal_of(taken.org_id), taken.receipt_id, (answer,))
                its = await store.answered(self._db, taken)
            except FAILURES as error:
                raise NotKept() from error
            if not its:
                raise NotThisTime()
            kept.set()

        return keep

    async def _close(self, taken: Taken, answered: Answered) -> None:
        if answered.status == 200:
            await store.done(self._db, taken, 200)
            return
        code = code_of(answered.body)
        again = answered.status in (408, 429) or answered.status >= 500
        if again and (code in PATIENT or taken.line.tries < TRIES_MAX):
            wait_s = min(WAIT_MAX_S, max(WAIT_FIRST_S * 2 ** min(taken.line.tries, 16), answered.retry_after_s or 0))
            await self._again(taken, wait_s)
            return
        await self._batches.put(await self._batches.seal_of(taken.org_id), taken.receipt_id, (answered.body,))
        await store.done(self._db, taken, answered.status)

    async def _again(self, taken: Taken, wait_s: float) -> None:
        if await store.put_back(self._db, taken, self._clock.now() + timedelta(seconds=wait_s)):
            await asyncio.to_thread(self._batches.blobs.delete, taken.receipt_id)

    async def recover(self, worker: str | None) -> int:
        """Settle the fate of lines that an ended process of this name left, or (None) that took long; how many."""
        now = self._clock.now()
        found = await store.left_behind(self._db, worker, now if worker is not None else now - LOOKED_AT_AFTER)
        look, settled = self._charged if worker is None else self._fate, 0
        for taken, taken_at in found:
            try:
                await look(taken.receipt_id)
            except NotFound:
                known = worker is not None or taken.receipt_id in self._unbooked
                if not known and taken_at > now - LAPSED_AFTER:
                    continue
                await self._again(taken, 0.0)
            else:
                await store.done(self._db, taken, 200)
            self._unbooked.discard(taken.receipt_id)
            settled += 1
        return settled


def code_of(body: bytes) -> str:
    """The code of an error's body; empty where there is none."""
    try:
        return msgspec.json.decode(body, type=_Failure).error.code or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
