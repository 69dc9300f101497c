"""The door of the gateway for the console, the jobs and the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry

from shanhe.compute.api import NoPrice
from shanhe.gateway import returns
from shanhe.gateway.admission import PRIVATE, Admitter
from shanhe.gateway.ahead import Ahead
from shanhe.gateway.asgi import GatewayApp
from shanhe.gateway.call import Call
from shanhe.gateway.charges import ChargeBook, Referrer, ResourceTerms, nobody, unrelated
from shanhe.gateway.client import Connection, Endpoint, Pool, UpstreamError
from shanhe.gateway.day import EngineTokens, LedgerDay, Sums, read_day
from shanhe.gateway.dispatch import Dispatcher
from shanhe.gateway.errand import Answered, Errand, Inbox, Keep
from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.express import Express
from shanhe.gateway.faces.base import Metadata, Parsed, tags_named, tags_of
from shanhe.gateway.faces.embeddings import Embeddings
from shanhe.gateway.faces.openai import Chat, openai_error
from shanhe.gateway.http import EVENT_STREAM, JSON_TYPE, AsgiClient, Client, ClientGone, preflight
from shanhe.gateway.meter import BUCKETS
from shanhe.gateway.metrics import Metrics
from shanhe.gateway.model import Evidence
from shanhe.gateway.parted_store import Earned, ResourceDay, ResourceUse, RightDay
from shanhe.gateway.pipeline import Delegate, Label, Pipeline
from shanhe.gateway.receipts import CALL_KIND, CallPage, Receipt, ReceiptLine, ReceiptRule, Receipts, ReceiptSummary
from shanhe.gateway.repeats import Repeats
from shanhe.gateway.returns import Returns
from shanhe.gateway.server import protocol_for
from shanhe.gateway.settlement import Settler
from shanhe.gateway.store import WINDOWS, KeyDay, UsageKey, UsageRow, UsageStore
from shanhe.gateway.tags import PAGE_MAX as TAG_ROWS
from shanhe.gateway.tags import Hash, TagBook, under, under_header, unkeyed
from shanhe.gateway.terms import PriceList, TermsBook, Today
from shanhe.gateway.tolls import Toll, Tolls
from shanhe.gateway.traces import Traces, traces_to
from shanhe.gateway.usage import UsageBook, complete
from shanhe.gateway.weights import WeightOf, Weights
from shanhe.kernel.asking import Related
from shanhe.kernel.clock import midnight
from shanhe.kernel.errors import NotFound
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Asset, LotHistory

if TYPE_CHECKING:
    from shanhe.compute.api import Compute
    from shanhe.identity.api import Caller, Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.ledger.api import Ledger, PostingView
    from shanhe.rulebook.api import Rulebook

__all__ = [
    "EVENT_STREAM",
    "JSON_TYPE",
    "PRIVATE",
    "WINDOWS",
    "Answered",
    "AsgiClient",
    "Asked",
    "Call",
    "CallError",
    "CallPage",
    "ChargeBook",
    "Client",
    "ClientGone",
    "Connection",
    "Earned",
    "Endpoint",
    "EngineTokens",
    "Errand",
    "Evidence",
    "Gateway",
    "GatewayApp",
    "KeyDay",
    "LedgerDay",
    "Metadata",
    "Parsed",
    "Pool",
    "Receipt",
    "ReceiptLine",
    "ReceiptRule",
    "ReceiptSummary",
    "ResourceDay",
    "ResourceTerms",
    "ResourceUse",
    "RightDay",
    "Spoken",
    "Sums",
    "Toll",
    "UpstreamError",
    "UsageKey",
    "UsageRow",
    "Weigh",
    "complete",
    "invalid",
    "openai_error",
    "preflight",
    "protocol_for",
    "tags_named",
    "tags_of",
    "traces_to",
    "under",
    "under_header",
]


REBUILD_PAGE = 1_000
CHAT: Final = Chat()
EMBEDDINGS: Final = Embeddings()


class Asked(msgspec.Struct, frozen=True):
    """A call the city made on somebody's behalf: the answer, its receipt, and what it cost."""

    answer: Mapping[str, Any]
    receipt_id: UUID
    paid_micro: int


class Spoken(msgspec.Struct, frozen=True):
    """A sound that the city had made on somebody's behalf, its receipt, and what it cost."""

    sound: bytes
    receipt_id: UUID
    paid_micro: int


class Weigh(msgspec.Struct, frozen=True):
    """Whose tokens stand in an answer: `tokens` reads it, once, before it is booked (T3)."""

    resource: str
    owners: tuple[UUID, ...]
    tokens: Callable[[str], Mapping[UUID, int]]


class Gateway:
    """Calls, receipts and usage of one process. `app` is its ASGI application for `/v1/`.

    `weight(org_id)` is what loyalty (C10) gives an organisation's calls where they have to wait for an engine.
    `slates`: the folder of this machine where processes note what they book before it is answered; None: nowhere, and
    nothing is booked ahead. `seals` and `keyed_hash` keep the names of tags, see `TagBook`.
    """

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
        related: Related = unrelated,
        referrer: Referrer = nobody,
        weight: WeightOf | None = None,
        slates: Path | None = None,
        seals: Seals | None = None,
        keyed_hash: Hash = unkeyed,
    ) -> None:
        self._pool = Pool()
        self._ledger = ledger
        self._terms = TermsBook(ledger, rulebook, clock)
        tags = self._tags = TagBook(db, clock, seals or Seals(), keyed_hash)
        self._usage = UsageBook(UsageStore(db), Today(clock), tags)
        self._weights = Weights(weight)
        dispatcher = Dispatcher(compute, self._pool, self._weights)
        self.charges = ChargeBook(db, clock, ledger, rulebook, related, referrer)
        self._clock = clock
        prices = self._prices = PriceList(compute, clock)
        waiting = PriceList(compute, clock, rulebook)
        admitter = Admitter(identity, compute, ledger, LotHistory(db), prices, clock, self.charges, waiting)
        self._returns = Returns(ledger, slates)
        settler = self._settler = Settler(ledger, self._terms, self._usage, self.charges.divide, self._returns, tags)
        metrics = self._metrics = Metrics(registry)
        self._ahead = Ahead(settler, self._returns)
        self._tolls = Tolls(admitter, self.charges, settler, self._ahead)
        self._pipeline = Pipeline(admitter, dispatcher, settler, metrics)
        self._express = Express(self._pipeline, admitter, dispatcher, settler, metrics)
        self._receipts = Receipts(ledger, rulebook, self._pipeline.in_flight, self._ahead.is_open, tags)
        self._repeats = Repeats(db, clock, ledger)
        self.app = GatewayApp(self._pipeline, self._express, admitter, dispatcher, compute, self._repeats)

    async def start(self) -> None:
        """Open the accounts calls are paid into and begin to write usage."""
        self.charges.start()
        await self._terms.start()
        self._usage.start()
        self._returns.start()

    async def stop(self) -> None:
        """Write what is left; the server has drained its calls by now."""
        await self._express.stop()
        await self._repeats.stop()
        await self._settler.stop()
        await self._ahead.stop()
        await self._returns.stop()
        await self._weights.stop()
        await self._usage.stop()
        self._pool.close()
        if self._metrics.traces is not None:
            await self._metrics.traces.stop()

    async def ask(
        self, caller: Caller, fields: Mapping[str, Any], *, through: Sequence[str] = (),
        weights: Mapping[str, Sequence[int]] | None = None, fees: Collection[str] | None = None,
        weigh: Weigh | None = None, carried: Mapping[str, int] | None = None, inside: bool = False,
        receipt_id: UUID | None = None, keep: Keep | None = None, since: datetime | None = None,
    ) -> Asked:  # fmt: skip
        """One whole chat call on behalf of a caller, from inside the city: metered, split and settled like any other.

        `through` names the listings it comes through, `weights` of one of them its makers' parts in the answer,
        `fees` those whose fee is due now (None = all). `weigh` looks at the answer before it is booked; `carried`,
        `since`: see `ChargeBook.commission`; `inside` may call `PRIVATE` models. `receipt_id`, never used twice, and
        `keep`, which gets the answer before it is charged, are for who must not pay again after a crash: see `Errand`.
        CallError or ShanheError when it is refused; then nothing is charged.
        """
        call = Call(CHAT)
        call.caller, call.through, call.weights = caller, through, weights
        call.fees, call.carried, call.inside, call.keep, call.since = fees, carried, inside, keep, since
        if weigh is not None:
            call.weigh = await self._weighing(weigh)
        if receipt_id is not None:
            call.receipt_id, call.receipt = receipt_id, str(receipt_id)
        answer = await self._pipeline.ask(call, msgspec.json.encode(fields))
        return Asked(msgspec.json.decode(answer), call.receipt_id, call.paid_micro)

    async def _weighing(self, weigh: Weigh) -> Callable[[bytes], tuple[str, Mapping[UUID, int]]]:
        """Parties as the accounts that they are paid into."""
        accounts = {
            owner: (await self._ledger.ensure_account(owner, Asset.CREDIT, "income")).id for owner in weigh.owners
        }

        def weighing(answer: bytes) -> tuple[str, Mapping[UUID, int]]:
            text = msgspec.json.decode(answer)["choices"][0]["message"].get("content") or ""
            return weigh.resource, {accounts[owner]: n for owner, n in weigh.tokens(str(text)).items()}

        return weighing

    async def speak(self, caller: Caller, fields: Mapping[str, Any], *, through: Sequence[str] = ()) -> Spoken:
        """A text as a sound, on behalf of a caller, from inside the city."""
        face = self.app.face("/v1/audio/speech")
        assert face is not None
        call = Call(face)
        call.caller, call.through = caller, through
        sound = await self._pipeline.ask(call, msgspec.json.encode(fields))
        return Spoken(sound, call.receipt_id, call.paid_micro)

    async def embed(self, caller: Caller, model: str, texts: Sequence[str]) -> Asked:
        """Vectors of texts on behalf of a caller, from inside the city: metered and settled like any other call."""
        call = Call(EMBEDDINGS)
        call.caller = caller
        answer = await self._pipeline.ask(call, msgspec.json.encode({"model": model, "input": list(texts)}))
        return Asked(msgspec.json.decode(answer), call.receipt_id, call.paid_micro)

    async def rank(self, caller: Caller, model: str, query: str, texts: Sequence[str]) -> Asked:
        """A reranker's scores of texts on behalf of a caller, from inside the city."""
        face = self.app.face("/v1/rerank")
        assert face is not None
        call = Call(face)
        call.caller = caller
        answer = await self._pipeline.ask(
            call, msgspec.json.encode({"model": model, "query": query, "documents": list(texts)})
        )
        return Asked(msgspec.json.decode(answer), call.receipt_id, call.paid_micro)

    async def toll(self, caller: Caller, resource: str, label: str) -> Toll:
        """See `Tolls.hold`."""
        return await self._tolls.hold(caller, resource, label)

    async def recover_fees(self) -> int:
        """See `Returns.recover`."""
        return await self._returns.recover()

    async def forget_repeats(self) -> None:
        """See `Repeats.purge`."""
        await self._repeats.purge()

    def trace(self, traces: Traces) -> None:
        """Make spans of calls from now on; see `traces`."""
        self._metrics.traces = traces

    def delegate(self, delegate: Delegate) -> None:
        """Hand calls that name no model to whoever answers them: see `Pipeline.delegate`."""
        self._pipeline.delegate = delegate

    def label(self, label: Label) -> None:
        """Have every sound and picture that a model makes labelled."""
        self._pipeline.label = label

    @property
    def in_flight(self) -> int:
        """Calls this process works on now."""
        return len(self._pipeline.in_flight)

    async def run(self, path: str, body: bytes, errand: Errand) -> Answered:
        """Make a call that may wait: priced as such, beyond its key's rates but within its budgets, never streamed."""
        face = self.app.face(path)
        if face is None:
            raise invalid(f"{path} calls no model.", "url")
        caller = msgspec.structs.replace(errand.caller, rpm=None, tpm=None)
        inbox = Inbox(path, body)
        await self._pipeline.run_errand(face, inbox, msgspec.structs.replace(errand, caller=caller))
        return inbox.answered or Answered(500, b"")

    async def receipt(self, receipt_id: UUID, org_id: UUID | None) -> Receipt:
        """See `Receipts.one`."""
        return await self._receipts.one(receipt_id, org_id)

    async def fate(self, receipt_id: UUID) -> int | None:
        """What a call was charged whose process has ended, µ; None when nothing was, and then nothing will be."""
        try:
            await self._ledger.fate(receipt_id)
            return (await self._receipts.one(receipt_id, None)).amount_micro
        except NotFound:
            return None

    async def recent(
        self, org_id: UUID, limit: int = 20, cursor: str | None = None, key_id: UUID | None = None,
        tag: str | None = None,
    ) -> CallPage:  # fmt: skip
        """See `Receipts.recent`."""
        return await self._receipts.recent(org_id, limit, cursor, key_id, tag)

    async def usage(
        self,
        org_id: UUID | None,
        first: date,
        last: date,
        group: tuple[str, ...] = ("day",),
        key_id: UUID | None = None,
        model: str | None = None,
        tag: str | None = None,
    ) -> list[UsageRow]:
        """Sums between two dates, both included, by one of day, week, month and any of model, key, org, tag; org_id
        None = every organisation. A page, the newest first. By tag: see `UsageStore.read`; TagsOfOne without org_id."""
        return await self._usage.read(org_id, first, last, group, key_id, model, tag)

    async def tags(self, org_id: UUID, *, most: int = TAG_ROWS) -> list[str]:
        """See `TagBook.of`."""
        return await self._tags.of(org_id, most=most)

    async def usage_of_all(
        self, first: date, last: date, group: tuple[str, ...], model: str | None = None
    ) -> list[UsageRow]:  # fmt: skip
        """The same of every organisation, and of each of them: for what is computed of all."""
        return await self._usage.of_all(first, last, group, model)

    async def usage_of_keys(self, keys: Sequence[UUID], first: date, last: date, most: int) -> list[KeyDay]:
        """See `UsageStore.of_keys`."""
        return await self._usage.of_keys(keys, first, last, most)

    async def through(
        self, names: Sequence[str] | None, first: date, last: date, org_id: UUID | None = None
    ) -> list[ResourceUse]:
        """What came through listings between two dates, both included; of one payer when `org_id` is given."""
        return await self._usage.resources(names, first, last, org_id)

    def list_prices(self, model: str) -> tuple[int, ...]:
        """What a million tokens of a model cost today, µ, by bucket in a fixed order; empty where it has no price."""
        try:
            found = self._prices.of(model, self._clock.now())
        except NoPrice:
            return ()
        return tuple(getattr(found, bucket) for bucket in BUCKETS)

    async def payers(self, names: Sequence[str], first: date, last: date) -> list[ResourceUse]:
        """Who called through listings between two dates, both included, of each the largest payer first."""
        return await self._usage.payers(names, first, last)

    async def through_by_day(self, names: Sequence[str], first: date, last: date) -> list[ResourceDay]:
        """What came through listings by day between two dates, both included, of all payers."""
        return await self._usage.resource_days(names, first, last)

    async def earned(self, owner: UUID, first: date, last: date) -> list[Earned]:
        """What an owner earned from calls by day, role and listing, between two dates, both included."""
        account = await self._ledger.ensure_account(owner, Asset.CREDIT, "income")
        return await self._usage.earned(account.id, first, last)

    async def right_days(self, right: str, first: date, last: date) -> list[RightDay]:
        """What a registered right earned by day and account between two dates, both included."""
        return await self._usage.right_days(right, first, last)

    async def ledger_day(self, day: date) -> LedgerDay:
        """A day's calls as the ledger has them: sums by organisation, key and model, tokens by engine, and calls whose
        receipt says another amount than their transfers."""
        return await read_day(day, self._call_postings(day))

    async def _call_postings(self, day: date) -> AsyncIterator[PostingView]:
        """A day's calls, without those that were booked and came to nothing."""
        since = midnight(day)
        cursor: str | None = None
        while True:
            page = await self._ledger.postings(
                kind=CALL_KIND, since=since, until=since + timedelta(days=1), cursor=cursor, limit=REBUILD_PAGE
            )
            void = await self._ledger.reversed_among([posting.id for posting in page.items], returns.ACTOR)
            for posting in page.items:
                if posting.id not in void:
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
