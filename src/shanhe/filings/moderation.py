"""Records of what guardrails did to what is generated for the public.

The text is sealed twice: with the key of its day, which is destroyed when the days of the rule are over, and, where the
payer is one person, with theirs, which goes when they are erased. What stays is when, where, why, and a keyed hash.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import structlog

from shanhe.filings import store
from shanhe.filings.model import Decision, Event, Intervention, Month
from shanhe.kernel.asking import Parameter
from shanhe.kernel.clock import Clock, add_months
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import MARK, Seals
from shanhe.kernel.vault import PersonErased, Vault

TEXT_FIELD: Final = "filings.event.text"
DAY_KEYS: Final = UUID("b7c6a1d0-52c3-4d53-9d7e-0a1f6f0c5e21")
TEXT_MAX_CHARS: Final = 4_000
PURGE_ROWS: Final = 5_000
MONTHS_SHOWN: Final = 12


log = structlog.get_logger(__name__)


class Moderation:
    def __init__(self, db: Database, clock: Clock, vault: Vault, *, parameter: Parameter, seals: Seals) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._parameter = parameter
        self._seals = seals

    async def record(self, done: Intervention) -> UUID:
        """Write one down; its id."""
        now, today, number = self._clock.now(), self._clock.today(), new_id()
        text = done.text[:TEXT_MAX_CHARS]
        sealed = await self._sealed(done.org_id, today, text) if text else None
        mac = self._vault.blind_index(TEXT_FIELD, text) if text else None
        await store.add_event(self._db, (
            number, now, today, done.surface, done.model, done.rule, done.category, str(done.decision), done.run_id,
            done.org_id, mac, sealed,
        ))  # fmt: skip
        return number

    async def _sealed(self, org_id: UUID, day: date, text: str) -> str:
        key = _day_key(day)
        self._vault.create(key)
        inner = base64.b64encode(self._vault.encrypt(key, TEXT_FIELD, text)).decode()
        return await self._seals.seal(org_id, TEXT_FIELD, inner)

    async def _opened(self, row: Any) -> str:
        if not row["text"]:
            return ""
        inner = await self._seals.open(row["org_id"], TEXT_FIELD, row["text"])
        if not inner or inner.startswith(MARK):
            return ""
        try:
            return self._vault.decrypt(_day_key(row["day"]), TEXT_FIELD, base64.b64decode(inner))
        except PersonErased:  # the day's key is gone
            return ""

    async def events(
        self, *, org_id: UUID | None = None, decision: Decision | None = None, before: UUID | None = None,
        limit: int = 50,
    ) -> Sequence[Event]:  # fmt: skip
        """Newest first, a bounded page; `org_id`: one payer's own."""
        rows = await store.events(self._db, org_id, None if decision is None else str(decision), before, limit)
        return [
            Event(row["id"], row["at"], row["surface"], row["model"], row["rule"], row["category"],
                  Decision(row["decision"]), row["run_id"], row["org_id"], await self._opened(row))
            for row in rows
        ]  # fmt: skip

    async def months(self) -> list[Month]:
        """Interventions by month, surface, category and decision, newest first, this month included."""
        first = self._clock.today().replace(day=1)
        rows = await store.months(
            self._db, add_months(first, 1 - MONTHS_SHOWN), self._clock.today() + timedelta(days=1)
        )
        return [Month(**dict(row)) for row in rows]

    async def public_months(self) -> list[Month]:
        """What everybody may see: without surfaces, and no count that is smaller than the rule's least."""
        least = int(self._parameter("least_cell", self._clock.today()))
        sums: dict[tuple[str, str, str], int] = {}
        for one in await self.months():
            key = (one.month, one.category, one.decision)
            sums[key] = sums.get(key, 0) + one.count
        return [Month(month, "", category, decision, number)
                for (month, category, decision), number in sums.items() if number >= least]  # fmt: skip

    async def purge(self) -> int:
        """Forget texts whose days are over, with their keys, and records whose months are; how many. Bounded."""
        today = self._clock.today()
        until = today - timedelta(days=int(self._parameter("text_days", today)))
        done, days = 0, await store.forget_texts(self._db, until, PURGE_ROWS)
        for day in days:
            done += self._vault.destroy(_day_key(day))
        oldest = add_months(today, -int(self._parameter("record_months", today)))
        return done + await store.forget_events(self._db, oldest, PURGE_ROWS)


def _day_key(day: date) -> UUID:
    """The key of a day's texts is kept like a person's, so that it is destroyed like one."""
    return uuid5(DAY_KEYS, day.isoformat())
