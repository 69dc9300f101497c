"""`Idempotency-Key`: a call that is sent again, because the connection broke, say, is not made and charged again.

The first takes the name in the database, where all processes see it; what it was answered stays for some minutes,
packed and sealed with a key made of the caller's own, of which the city keeps only a hash. Names belong to an API key
and to a body: another body under the same name is refused. A call that fails gives its name back.

A try's number is its call's receipt too, so of one whose process died the ledger says whether it was charged.
"""

from __future__ import annotations

import asyncio
import hmac
import zlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.gateway.admission import database_away, token_of
from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.http import EVENT_STREAM, Client, Headers
from shanhe.kernel.box import Box
from shanhe.kernel.db import FAILURES
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import UnknownPosting

if TYPE_CHECKING:
    from shanhe.identity.api import Caller
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.ledger.api import Ledger

HEADER: Final = b"idempotency-key"
REPLAYED: Final = (b"idempotent-replayed", b"true")
RECEIPT: Final = b"x-shanhe-receipt"
NAME_MAX: Final = 255
KEPT_FOR: Final = timedelta(minutes=10)
"""How long after its end a call is known."""
ALIVE_FOR: Final = timedelta(seconds=60)
"""A call whose process has said nothing for so long is under way no more: its process has died."""
ALIVE_EVERY_S: Final = 20.0
RETRY_AFTER_S: Final = 5
ANSWER_MAX_BYTES: Final = 8 * 1024 * 1024
PACKED_MAX_BYTES: Final = 1024 * 1024
ORG_MAX_BYTES: Final = 32 * 1024 * 1024
"""Of an organisation's answers together; beyond it only receipts are kept."""
log = structlog.get_logger(__name__)

TAKE: Final = """
INSERT INTO gateway.repeat AS r (key_id, name_hmac, org_id, body_hmac, attempt, alive_until, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (key_id, name_hmac) DO UPDATE
   SET body_hmac = excluded.body_hmac, attempt = excluded.attempt, alive_until = excluded.alive_until,
       answered_at = NULL, receipt_id = NULL, answer = NULL, expires_at = excluded.expires_at
 WHERE r.expires_at <= $8 OR (r.answered_at IS NULL AND r.alive_until <= $8 AND r.attempt = $9)
RETURNING attempt"""
READ: Final = """
SELECT body_hmac, attempt, answered_at, answered_at IS NULL AND alive_until <= $3 AS died, receipt_id, answer
  FROM gateway.repeat WHERE key_id = $1 AND name_hmac = $2"""
KEEP: Final = """
UPDATE gateway.repeat
   SET answered_at = $4, receipt_id = $5, expires_at = $6,
       answer = CASE WHEN length($7::bytea) + coalesce((
         SELECT sum(length(o.answer)) FROM gateway.repeat o
          WHERE o.org_id = $8 AND o.answer IS NOT NULL AND o.expires_at > $4), 0) <= $9 THEN $7::bytea END
 WHERE key_id = $1 AND name_hmac = $2 AND attempt = $3"""
ALIVE: Final = """
UPDATE gateway.repeat r SET alive_until = $3, expires_at = $4
  FROM unnest($1::uuid[], $2::uuid[]) AS mine (key_id, attempt)
 WHERE r.key_id = mine.key_id AND r.attempt = mine.attempt AND r.answered_at IS NULL"""
GIVE_BACK: Final = "DELETE FROM gateway.repeat WHERE key_id = $1 AND name_hmac = $2 AND attempt = $3"


class Said(msgspec.Struct, array_like=True):
    """An answer as it was given."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Taken(msgspec.Struct, frozen=True):
    """A name that this process makes a call under. `attempt`: the call's receipt, if it gets one."""

    key_id: UUID
    org_id: UUID
    name: bytes
    attempt: UUID
    box: Box


_encode = msgspec.msgpack.Encoder().encode
_said = msgspec.msgpack.Decoder(Said)


class Recorder:
    """A client whose answer is kept before the last of it leaves."""

    def __init__(self, client: Client, body: bytes, end: Callable[[Recorder], Awaitable[None]]) -> None:
        self._client = client
        self._body = body
        self._end = end
        self._status = 0
        self._told: Headers = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._whole = False
        self.owed = False
        """It broke off after all of it was sent, because it can't be charged now; it will be."""
        self.method, self.path, self.query = client.method, client.path, client.query
        self.headers: Headers = client.headers

    @property
    def started(self) -> bool:
        return self._client.started

    @property
    def gone(self) -> bool:
        return self._client.gone

    @property
    def succeeded(self) -> bool:
        """The answer is one, and all of it was said, whether anybody heard it or not."""
        return self._whole and 200 <= self._status < 300

    @property
    def receipt_id(self) -> UUID | None:
        told = next((value for name, value in self._told if name == RECEIPT), None)
        return None if told is None else UUID(told.decode())

    @property
    def said(self) -> Said | None:
        """None where it is more than is kept, or not all of it was said."""
        if self._size > ANSWER_MAX_BYTES or not self._whole:
            return None
        return Said(self._status, self._told, b"".join(self._pieces))

    def header(self, name: bytes) -> bytes | None:
        return self._client.header(name)

    async def body(self) -> bytes:
        return self._body

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        self._status, self._told, self._whole = status, headers, True
        self._note(body)
        self._client.heartbeat(b"", list)  # nothing is said before this answer while it is being kept
        await self._end(self)
        await self._client.answer(status, body, headers)

    def heartbeat(self, sign: bytes, head: Callable[[], Headers]) -> None:
        self._client.heartbeat(sign, head)

    async def start(self, headers: Headers) -> None:
        self._status, self._told = 200, [*EVENT_STREAM, *headers]
        await self._client.start(headers)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        self._note(data)
        if last:
            self._whole = True
            await self._end(self)
        await self._client.write(data, last=last)

    async def break_off(self, data: bytes, *, owed: bool = False) -> None:
        self.owed = owed
        await self._end(self)
        await self._client.break_off(data, owed=owed)

    def _note(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= ANSWER_MAX_BYTES:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    async def left(self) -> None:
        await self._client.left()

    async def close(self) -> None:
        await self._client.close()


class Repeats:
    """The names that calls were given, and what they were answered."""

    def __init__(self, db: Database, clock: Clock, ledger: Ledger) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._mine: dict[UUID, Taken] = {}
        self._speaking: asyncio.Task[None] | None = None

    async def take(self, caller: Caller, client: Client, body: bytes) -> Taken | Said:
        """The name for a call that is to be made, or what it was answered. CallError 400 for a name that is none, 409
        while it is under way or where its answer is not kept, 422 where the name is another call's."""
        named = client.header(HEADER) or b""
        if not 0 < len(named) <= NAME_MAX:
            raise invalid(f"Idempotency-Key has 1 to {NAME_MAX} signs.", None, "invalid_idempotency_key")
        key = hmac.digest(token_of(client).encode(), b"repeat\0" + named, "sha256")
        asked = hmac.digest(key, b"asked\0" + client.path.encode() + b"\0" + unbound(client, body), "sha256")
        name, box = hmac.digest(key, b"name", "sha256"), Box(hmac.digest(key, b"said", "sha256"))
        taken = Taken(caller.key_id, caller.org_id, name, new_id(), box)
        with database_away():
            row = await self._take(taken, asked)
        if row is None:
            self._mine[taken.attempt] = taken
            if self._speaking is None:
                self._speaking = asyncio.create_task(self._speak())
            return taken
        return await self._known(taken, asked, row)

    async def _take(self, taken: Taken, asked: bytes) -> Any:
        """None when the name is ours now, else the row that has it."""
        unpaid: UUID | None = None
        while True:
            now = self._clock.now()
            async with self._db.transaction() as conn:
                mine = await conn.fetchval(
                    TAKE, taken.key_id, taken.name, taken.org_id, asked, taken.attempt, now + ALIVE_FOR,
                    now + KEPT_FOR, now, unpaid,
                )  # fmt: skip
                row = None if mine is not None else await conn.fetchrow(READ, taken.key_id, taken.name, now)
            if mine is not None:
                return None
            if row is not None and (not row["died"] or await self._paid(row["attempt"])):
                return row
            unpaid = None if row is None else row["attempt"]

    async def _paid(self, receipt_id: UUID) -> bool:
        """Whether a call whose process died stays charged."""
        try:
            await self._ledger.fate(receipt_id)
        except UnknownPosting:
            return False
        return not await self._ledger.reversed_among([receipt_id])

    async def _known(self, taken: Taken, asked: bytes, row: Any) -> Said:
        if row["body_hmac"] != asked:
            text = "This Idempotency-Key belongs to a call with another body; a new call needs a new one."
            raise CallError(422, "idempotency_key_reused", text)
        if row["answered_at"] is None and not row["died"]:
            text = "The call with this Idempotency-Key is under way; ask again for its answer."
            raise CallError(409, "call_under_way", text, retry_after_s=RETRY_AFTER_S)
        if row["answer"] is None:
            receipt = row["attempt"] if row["died"] else row["receipt_id"]
            made = "was made" if receipt is None else f"was made and paid, receipt {receipt}"
            text = f"This call {made}; its answer is not kept. To have one, make it under a new Idempotency-Key."
            raise CallError(409, "answer_not_kept", text)
        packed = taken.box.open(row["answer"], taken.name)
        said: Said = await asyncio.to_thread(lambda: _said.decode(zlib.decompress(packed)))
        return said

    def drop(self, taken: Taken) -> None:
        """Whoever made a call ends without knowing what became of it: its name is free once that shows."""
        self._mine.pop(taken.attempt, None)

    async def end(self, taken: Taken, recorder: Recorder) -> None:
        """Keep what a call was answered, or give its name back where it came to nothing; once."""
        if self._mine.pop(taken.attempt, None) is None:
            return
        mine = taken.key_id, taken.name, taken.attempt
        try:
            if not recorder.succeeded and not recorder.owed:
                await self._db.execute(GIVE_BACK, *mine)
                return
            packed = None if (said := recorder.said) is None else await asyncio.to_thread(pack, said)
            sealed = None if packed is None or len(packed) > PACKED_MAX_BYTES else taken.box.seal(packed, taken.name)
            now = self._clock.now()
            await self._db.execute(
                KEEP, *mine, now, recorder.receipt_id, now + KEPT_FOR, sealed, taken.org_id, ORG_MAX_BYTES
            )
        except FAILURES as error:
            log.warning("what a call was answered is not kept", error=type(error).__name__)

    async def _speak(self) -> None:
        """Say of the calls that are under way that they are, for as long as there are any."""
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            if not self._mine:
                self._speaking = None
                return
            now, mine = self._clock.now(), list(self._mine.values())
            keys, attempts = [one.key_id for one in mine], [one.attempt for one in mine]
            try:
                await self._db.execute(ALIVE, keys, attempts, now + ALIVE_FOR, now + KEPT_FOR)
            except FAILURES as error:
                log.warning("calls under way can't be told of", error=type(error).__name__)

    async def purge(self) -> None:
        """Forget what has been kept for long enough."""
        await self._db.execute("DELETE FROM gateway.repeat WHERE expires_at <= $1", self._clock.now())

    async def stop(self) -> None:
        """Nothing is under way any more."""
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)


def pack(said: Said) -> bytes:
    """An answer in few bytes: events of a stream repeat themselves."""
    return zlib.compress(_encode(said), 1)


def unbound(client: Client, body: bytes) -> bytes:
    """A body without what a client draws anew for each try: the boundary of a form."""
    _, found, rest = (client.header(b"content-type") or b"").partition(b"boundary=")
    boundary = rest.partition(b";")[0].strip(b' "')
    return body.replace(boundary, b"") if found and boundary else body
