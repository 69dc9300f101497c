"""Doing what two people agreed to: at once, again after a fault, and to an end that everybody can read.

A try is written down before it begins, with when the next one is due: a process that is killed, a database that goes
away and a defect all leave the same, and the next try repeats a deed that is idempotent by its request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.approvals import messages, store
from shanhe.approvals.model import Deed, Request, RequestState, person_of
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.notify import Notifier
from shanhe.kernel.outage import AWAY, outage
from shanhe.kernel.sealing import Seals

FAULT_FIELD: Final = "approvals.request.fault"
FAULT_CHARS: Final = 400
WAITS: Final = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 360, 720, 1_440, 1_440, 1_440))
"""Before each further try by itself; after the last one somebody has to ask for it."""
HOLD: Final = timedelta(seconds=60)
ROWS: Final = 50
INTERRUPTED: Final = "interrupted"
INTERRUPTED_ZH: Final = "上次办理中断，结果不明；再次办理不会重复入账。"
INTERRUPTED_EN: Final = "The last try broke off, and how far it came is not known; doing it again books nothing twice."
PASSING: Final = frozenset({402, 408, 423, 425, 429})
"""Statuses of refusals that may be gone at the next try, as all from 500 on: no money there, too many at once."""

log = structlog.get_logger(__name__)


class Doing:
    """`deeds`: by kind of request; `behind`: the person behind an actor."""

    def __init__(
        self, db: Database, clock: Clock, seals: Seals, deeds: Mapping[str, Deed],
        behind: Callable[[str], Awaitable[str]], entry: Record | None, notifier: Notifier | None,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._seals = seals
        self._deeds = deeds
        self._behind = behind
        self._entry = entry
        self._notifier = notifier

    def follows(self, kind: str) -> bool:
        """Whether something is left to do once a second person agreed."""
        deed = self._deeds.get(kind)
        return deed is not None and deed.do is not None

    async def do(self, request: Request) -> Request | None:
        """Do it, to the end or to what stands in its way; None when somebody else is at it.

        Raises what the deed raises, once that is written down: what nobody can help ends the request, all else waits.
        """
        now, deed = self._clock.now(), self._deeds.get(request.kind)
        next_at = now + WAITS[request.tries] if request.tries < len(WAITS) else None
        held = await store.hold(self._db, request, now, now + HOLD, next_at, INTERRUPTED)
        if held is None:
            return None
        written = False
        try:
            try:
                if deed is not None and deed.do is not None:
                    await deed.do(await self.opened(held))
            except ShanheError as error:
                ended = await self._failed(held, error, deed)
                error.details |= {"request": str(held.id), "request_state": str(ended)}
                written = True
                raise
            done = await self.end(held.id, RequestState.DONE)
            written = True
            return done
        finally:
            if not written:
                log.warning("a deed broke off", request=str(held.id), kind=held.kind)
                with suppress(*AWAY):
                    await store.release(self._db, held)

    async def _failed(self, request: Request, error: ShanheError, deed: Deed | None) -> RequestState:
        """What becomes of it: it waits, or it ends."""
        zh, en = error.message_zh[:FAULT_CHARS], error.message[:FAULT_CHARS]
        waits = error.status in PASSING or error.status >= 500 or (deed is not None and isinstance(error, deed.waits))
        log.warning("a deed was refused", request=str(request.id), kind=request.kind, error=error.code, waits=waits)
        if not waits:
            ended = await self.end(request.id, RequestState.REFUSED, error.code, zh, en, tries=request.tries)
            return request.state if ended is None else ended.state
        await store.fail(self._db, request, error.code, *[await self._sealed(request, text) for text in (zh, en)])
        if request.next_at is None and self._notifier is not None:
            await self._notifier.notify(messages.waits(request))
        return RequestState.APPROVED

    async def end(
        self, request_id: UUID, to: RequestState, fault: str = "", zh: str = "", en: str = "", conn: Any = None,
        *, tries: int | None = None,
    ) -> Request | None:  # fmt: skip
        """Write down that it is done or refused, and tell who asked; once. The request as it is now.

        `tries`: only while that is the last try; a slow one does not decide over the one that followed it.
        """
        if conn is None:
            async with self._db.transaction() as own:
                return await self.end(request_id, to, fault, zh, en, own, tries=tries)
        found = await store.request(conn, request_id, lock=True)
        if found is None or found.state is not RequestState.APPROVED or tries not in (None, found.tries):
            return None if found is None else await self.opened(found)
        sealed = [await self._sealed(found, text) for text in (zh, en)]
        ended = await store.end(conn, request_id, to, self._clock.now(), fault, *sealed)
        if ended is None:
            return await self.opened(found)
        if self._entry is not None:
            public = {"request": ended.kind} | ({"why": fault} if fault else {})
            await self._entry(conn, f"request.{to}", public, {"id": str(request_id), "tries": ended.tries})
        opened = await self.opened(ended)
        await self.tell(conn, opened)
        return opened

    async def tell(self, conn: Any, request: Request) -> None:
        """Tell who asked what became of it; in the transaction that wrote it."""
        if self._notifier is None or request.state not in messages.ENDS:
            return
        person = None
        with suppress(NotFound):  # the key that asked is gone, and with it whom to tell
            person = person_of(await self._behind(request.requested_by))
        if person is None:
            return
        deed = self._deeds.get(request.kind)
        private = request.about is not None and await self._seals.personal(request.about)
        page = "" if deed is None else deed.told
        await self._notifier.notify(messages.ended(request, person, page, private=private), conn)

    async def run(self) -> int:
        """Try again what is due; how many ended. Bounded; one's trouble does not keep the others waiting."""
        done = 0
        for request in await store.due(self._db, self._clock.now(), ROWS):
            try:
                done += await self.do(request) is not None
            except ShanheError:
                continue  # it is written down with the request
            except Exception as error:
                if outage(error) is not None:
                    raise
                log.exception("a deed broke off", request=str(request.id), kind=request.kind)
        return done

    async def opened(self, request: Request) -> Request:
        """With its faults in words that can be read."""
        if request.fault == INTERRUPTED:
            return replace(request, fault_zh=INTERRUPTED_ZH, fault_en=INTERRUPTED_EN)
        if request.about is None or not request.fault:
            return request
        zh, en = [
            await self._seals.open(request.about, FAULT_FIELD, text) for text in (request.fault_zh, request.fault_en)
        ]
        return replace(request, fault_zh=zh, fault_en=en)

    async def _sealed(self, request: Request, text: str) -> str:
        return text if request.about is None or not text else await self._seals.seal(request.about, FAULT_FIELD, text)
