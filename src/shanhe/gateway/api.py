"""The door of the gateway for the console, the jobs and the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from prometheus_client import CollectorRegistry

from shanhe.gateway.admission import Admitter
from shanhe.gateway.asgi import GatewayApp
from shanhe.gateway.client import Pool
from shanhe.gateway.day import EngineTokens, LedgerDay, Sums, read_day
from shanhe.gateway.dispatch import Dispatcher
from shanhe.gateway.express import Express
from shanhe.gateway.metrics import Metrics
from shanhe.gateway.model import Evidence
from shanhe.gateway.pipeline import Pipeline
from shanhe.gateway.receipts import CALL_KIND, CallPage, Receipt, ReceiptLine, ReceiptRule, Receipts, ReceiptSummary
from shanhe.gateway.server import protocol_for
from shanhe.gateway.settlement import Settler
from shanhe.gateway.store import UsageKey, UsageRow, UsageStore
from shanhe.gateway.terms import PriceList, TermsBook, Today
from shanhe.gateway.usage import UsageBook
from shanhe.kernel.clock import CITY_TZ
from shanhe.ledger.api import LotHistory

if TYPE_CHECKING:
    from shanhe.compute.api import Compute
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.ledger.api import Ledger, PostingView
    from shanhe.rulebook.api import Rulebook

__all__ = [
    "CALL_KIND",
    "CallPage",
    "EngineTokens",
    "Evidence",
    "Gateway",
    "GatewayApp",
    "LedgerDay",
    "Receipt",
    "ReceiptLine",
    "ReceiptRule",
    "ReceiptSummary",
    "Sums",
    "UsageKey",
    "UsageRow",
    "protocol_for",
]


REBUILD_PAGE = 1_000


class Gateway:
    """Calls, receipts and usage of one process. `app` is its ASGI application for `/v1/`."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ledger: Ledger,
        rulebook: Rulebook,
        identity: Identity,
        compute: Compute,
        registry: CollectorRegistry,
    ) -> None:
        self._pool = Pool()
        self._ledger = ledger
        self._terms = TermsBook(ledger, rulebook, clock)
        self._usage = UsageBook(UsageStore(db), Today(clock))
        dispatcher = Dispatcher(compute, self._pool)
        admitter = Admitter(identity, compute, ledger, LotHistory(db), PriceList(compute, clock), clock)
        settler, metrics = Settler(ledger, self._terms, self._usage), Metrics(registry)
        self._pipeline = Pipeline(admitter, dispatcher, settler, metrics)
        self._express = Express(self._pipeline, admitter, dispatcher, settler, metrics)
        self._receipts = Receipts(ledger, rulebook, self._pipeline.in_flight)
        self.app = GatewayApp(self._pipeline, self._express, admitter, dispatcher, compute)

    async def start(self) -> None:
        """Open the accounts calls are paid into and begin to write usage."""
        await self._terms.start()
        self._usage.start()

    async def stop(self) -> None:
        """Write what is left; the server has drained its calls by now."""
        await self._express.stop()
        await self._usage.stop()
        self._pool.close()

    @property
    def in_flight(self) -> int:
        """Calls this process works on now."""
        return len(self._pipeline.in_flight)

    async def receipt(self, receipt_id: UUID, org_id: UUID | None) -> Receipt:
        """See `Receipts.one`."""
        return await self._receipts.one(receipt_id, org_id)

    async def recent(
        self, org_id: UUID, limit: int = 20, cursor: str | None = None, key_id: UUID | None = None
    ) -> CallPage:
        """See `Receipts.recent`."""
        return await self._receipts.recent(org_id, limit, cursor, key_id)

    async def usage(
        self,
        org_id: UUID | None,
        first: date,
        last: date,
        group: tuple[str, ...] = ("day",),
        key_id: UUID | None = None,
        model: str | None = None,
    ) -> list[UsageRow]:
        """Sums between two dates, both included, by any of day, model, key, org; None = every organisation."""
        return await self._usage.read(org_id, first, last, group, key_id, model)

    async def ledger_day(self, day: date) -> LedgerDay:
        """A day's calls as the ledger has them: sums by organisation, key and model, tokens by engine, and calls whose
        receipt says another amount than their transfers."""
        return await read_day(day, self._call_postings(day))

    async def _call_postings(self, day: date) -> AsyncIterator[PostingView]:
        since = datetime.combine(day, time.min, CITY_TZ)
        cursor: str | None = None
        while True:
            page = await self._ledger.postings(
                kind=CALL_KIND, since=since, until=since + timedelta(days=1), cursor=cursor, limit=REBUILD_PAGE
            )
            for posting in page.items:
                yield posting
            cursor = page.next
            if cursor is None:
                return

    async def rebuild_usage(self, day: date) -> int:
        """Recompute the sums of a finished day from the ledger; returns its number of calls."""

        async def evidence() -> AsyncIterator[bytes]:
            async for posting in self._call_postings(day):
                if posting.evidence is not None:
                    yield posting.evidence

        return await self._usage.rebuild(day, evidence())
