"""Events that are rows of the transaction that caused them, delivered afterwards to whoever subscribed.

At least once, in order for one (topic, key), with bounded retries: subscribers must be idempotent. An event whose
retries are used up becomes `failed`, is kept, counted and shown to operators, and no longer blocks its key.
Subscriptions are made once, in the composition root, before the dispatcher starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

CHANNEL = "shanhe_outbox"
ATTEMPTS_MAX = 12
BATCH = 64
CLAIM_S = 60
HANDLER_LIMIT_S = 30.0
BACKOFF_MAX_S = 600
POLL_S = 5.0
KEEP_DAYS = 7
ERROR_CHARS = 300

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `payload` holds JSON values only, and no personal data."""

    id: UUID
    topic: str
    key: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int = 0


Handler = Callable[[Event], Awaitable[None]]

_CLAIM = """
WITH due AS (
  SELECT e.seq FROM kernel.event e
  WHERE e.state = 'pending' AND e.due_at <= $1 AND e.topic = ANY($4)
    AND NOT EXISTS (
      SELECT 1 FROM kernel.event o
      WHERE o.state = 'pending' AND o.topic = e.topic AND o.key = e.key AND o.seq < e.seq)
  ORDER BY e.seq LIMIT $2
  FOR UPDATE SKIP LOCKED)
UPDATE kernel.event e SET attempts = attempts + 1, due_at = $3 FROM due WHERE e.seq = due.seq
RETURNING e.seq, e.id, e.topic, e.key, e.payload, e.created_at, e.attempts, e.done
"""


class Outbox:
    """Writes events and, in the jobs process, delivers them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._subscribers: dict[str, list[tuple[str, Handler]]] = {}

    def subscribe(self, topic: str, name: str, handler: Handler) -> None:
        """Call `handler` for each event of `topic`. `name` is stable: it marks in the row who has had it."""
        listed = self._subscribers.setdefault(topic, [])
        if any(other == name for other, _ in listed):
            raise ValueError(f"{name} is already subscribed to {topic}")
        listed.append((name, handler))

    async def emit(self, connection: Any, topic: str, key: str, payload: Mapping[str, Any]) -> UUID:
        """Write an event on the caller's connection, inside the caller's transaction; its id."""
        event_id = new_id()
        now = self._clock.now()
        await connection.execute(
            "INSERT INTO kernel.event (id, topic, key, payload, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $5)",
            event_id,
            topic,
            key,
            dict(payload),
            now,
        )
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
        return event_id

    async def deliver_due(self) -> int:
        """Deliver one batch of what is due; how many events were tried."""
        now = self._clock.now()
        rows = await self._db.writes.fetch(
            _CLAIM, now, BATCH, now + timedelta(seconds=CLAIM_S), list(self._subscribers)
        )
        for row in sorted(rows, key=lambda row: int(row["seq"])):
            await self._deliver(row)
        return len(rows)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set: at once when notified, and every few seconds in any case."""
        wake = asyncio.Event()
        self._db.wake(CHANNEL, wake)
        while not stop.is_set():
            wake.clear()
            while await self.deliver_due() and not stop.is_set():
                pass
            await _first_of(stop, wake, timeout_s=POLL_S)

    async def purge(self) -> int:
        """Forget events that were settled long ago; how many."""
        before = self._clock.now() - timedelta(days=KEEP_DAYS)
        done = await self._db.execute("DELETE FROM kernel.event WHERE state = 'delivered' AND created_at < $1", before)
        return int(done.rsplit(" ", 1)[-1])

    async def failed(self) -> list[Any]:
        """The newest events that nobody could handle: rows of (id, topic, key, created_at, error)."""
        return await self._db.fetch(
            "SELECT id, topic, key, created_at, error FROM kernel.event WHERE state = 'failed'"
            " ORDER BY seq DESC LIMIT 100"
        )

    async def _deliver(self, row: Any) -> None:
        event = Event(row["id"], row["topic"], row["key"], row["payload"], row["created_at"], row["attempts"])
        done = list(row["done"])
        error = ""
        for name, handler in self._subscribers.get(event.topic, ()):
            if name in done:
                continue
            try:
                async with asyncio.timeout(HANDLER_LIMIT_S):
                    await handler(event)
            except Exception as failure:  # noqa: BLE001 - a subscriber's fault must not stop the others' events
                error = f"{name}: {type(failure).__name__}: {failure}"[:ERROR_CHARS]
                log.warning("event handler failed", topic=event.topic, event_id=str(event.id), error=error)
            else:
                done.append(name)
        await self._mark(row["seq"], event.attempts, done, error)

    async def _mark(self, seq: int, attempts: int, done: list[str], error: str) -> None:
        state = "delivered" if not error else "failed" if attempts >= ATTEMPTS_MAX else "pending"
        wait_s = min(BACKOFF_MAX_S, 2**attempts)
        await self._db.execute(
            "UPDATE kernel.event SET state = $2, done = $3, error = nullif($4, ''), due_at = $5 WHERE seq = $1",
            seq,
            state,
            done,
            error,
            self._clock.now() + timedelta(seconds=wait_s),
        )


async def _first_of(*events: asyncio.Event, timeout_s: float) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
