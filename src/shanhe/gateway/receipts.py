"""Receipts read back from the ledger: what was used, at which price, by which rule, and where every part went."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway.meter import BUCKETS
from shanhe.gateway.model import Evidence, unit_of
from shanhe.gateway.terms import CHARGE_RULE
from shanhe.kernel.clock import CITY_TZ, city_date
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.ledger.api import Asset, Ledger, PostingView

if TYPE_CHECKING:
    from shanhe.gateway.tags import TagBook
    from shanhe.rulebook.api import Rulebook

CALL_KIND: Final = "call"
REVERSED: Final = "reversed"
RECENT_MAX: Final = 100
_evidence = msgspec.json.Decoder(Evidence)


class ReceiptLine(msgspec.Struct, frozen=True):
    """One bucket: tokens, price (µ per million tokens) and its exact part of the amount, µ as a decimal string."""

    bucket: str
    tokens: int
    price_micro_per_million: int
    amount_micro: str


class ReceiptRule(msgspec.Struct, frozen=True):
    """A rule that decided something here: its id, version, titles and article in the city's strategy."""

    id: str
    version: str
    title_zh: str
    title_en: str
    article: str


class Receipt(msgspec.Struct, frozen=True):
    """A call, paid: everything that `GET /api/receipts/{id}` returns. Amounts in µ."""

    id: UUID
    status: str
    at: datetime
    amount_micro: int
    evidence: Evidence
    lines: tuple[ReceiptLine, ...]
    rules: tuple[ReceiptRule, ...]
    transfers: tuple[dict[str, Any], ...]
    lots: tuple[dict[str, Any], ...]
    trace: dict[str, Any] | None
    unit: str = "token"
    """What `lines` count and their prices are of, a million each: see `unit_of`."""
    decisions: tuple[dict[str, Any], ...] = ()
    """Traces of the rules that paid others than the engine and the platform."""
    reversed_by: UUID | None = None
    """The posting that gave all of it back; its `status` is `reversed` then."""
    tags: tuple[str, ...] = ()
    """What it is counted under, for its organisation's eyes."""


class ReceiptSummary(msgspec.Struct, frozen=True):
    """A row of the list of recent calls."""

    id: UUID
    at: datetime
    model: str
    key_id: UUID
    key_name: str
    status: str
    tokens: int
    amount_micro: int
    tags: tuple[str, ...] = ()


class CallPage(msgspec.Struct, frozen=True):
    """A page of calls, newest first; `cursor` None at the end."""

    calls: tuple[ReceiptSummary, ...]
    cursor: str | None


class Receipts:
    """Reads receipts; nothing is stored beside the ledger."""

    def __init__(
        self, ledger: Ledger, rulebook: Rulebook, in_flight: set[UUID], ahead: Callable[[UUID], bool],
        tags: TagBook,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._rulebook = rulebook
        self._in_flight = in_flight
        self._ahead = ahead
        self._tags = tags

    async def one(self, receipt_id: UUID, org_id: UUID | None) -> Receipt:
        """A receipt of an organisation, or of anyone when `org_id` is None (operators); NotFound otherwise.

        A call that still runs has none yet: NotFound `receipt_pending` says so where this process runs it.
        """
        if self._ahead(receipt_id):
            raise self._missing(receipt_id)
        try:
            posting = await self._ledger.posting(receipt_id)
        except NotFound as error:
            raise self._missing(receipt_id) from error
        if posting.kind != CALL_KIND or posting.evidence is None:
            raise self._missing(receipt_id)
        seen = _evidence.decode(posting.evidence)
        if org_id is not None and seen.org_id != org_id:
            raise self._missing(receipt_id)
        found = self._receipt(posting, seen)
        if org_id is not None and seen.tags:
            names = await self._tags.names(org_id, seen.tags)
            found = msgspec.structs.replace(found, tags=tuple(sorted(names.values())))
        reversals = await self._ledger.reversed_among([receipt_id])
        if not reversals:
            return found
        return msgspec.structs.replace(found, status=REVERSED, reversed_by=reversals[receipt_id])

    async def recent(
        self, org_id: UUID, limit: int = 20, cursor: str | None = None, key_id: UUID | None = None,
        tag: str | None = None,
    ) -> CallPage:  # fmt: skip
        """The newest calls of an organisation, or those among them of one of its keys or with a tag; `cursor` of a page
        continues after it."""
        wallet = await self._ledger.ensure_account(org_id, Asset.CREDIT, "wallet")
        page = await self._ledger.postings(
            account=wallet.id, kind=CALL_KIND, cursor=cursor, limit=min(limit, RECENT_MAX)
        )
        reversals = await self._ledger.reversed_among([posting.id for posting in page.items])
        read = [
            (posting, _evidence.decode(posting.evidence))
            for posting in page.items
            if posting.evidence is not None and not self._ahead(posting.id)
        ]
        wanted = None if tag is None else self._tags.id_of(org_id, tag)
        chosen = [
            (posting, seen)
            for posting, seen in read
            if key_id in (None, seen.key_id) and (wanted is None or wanted in seen.tags)
        ]
        names = await self._tags.names(org_id, {one for _, seen in chosen for one in seen.tags})
        calls = [summary(posting, seen, names, is_reversed=posting.id in reversals) for posting, seen in chosen]
        return CallPage(tuple(calls), page.next)

    def _missing(self, receipt_id: UUID) -> NotFound:
        if receipt_id in self._in_flight or self._ahead(receipt_id):
            return NotFound(
                "receipt_pending",
                "This call is still running; its receipt appears when it ends.",
                message_zh="该调用仍在进行，结束后生成凭据。",
                hint="Ask again in a moment.",
                hint_zh="请稍后再查。",
            )
        return NotFound(
            "receipt_not_found",
            "There is no receipt with this id for your organisation.",
            message_zh="您所在的机构没有该编号的凭据。",
            hint="Take the id from the x-shanhe-receipt header of an answer.",
            hint_zh="编号见回答的 x-shanhe-receipt 响应头。",
        )

    def _receipt(self, posting: PostingView, seen: Evidence) -> Receipt:
        counts, prices = seen.buckets, seen.prices
        lines = tuple(
            ReceiptLine(
                name,
                getattr(counts, name),
                getattr(prices, name),
                exact_micro(getattr(counts, name) * getattr(prices, name)),
            )
            for name in BUCKETS
            if getattr(counts, name)
        )
        return Receipt(
            id=posting.id,
            status=seen.status,
            at=posting.at.astimezone(CITY_TZ),
            amount_micro=seen.total_micro,
            evidence=seen,
            lines=lines,
            rules=tuple(self._rule(name, version) for name, version in seen.rules.items()),
            transfers=tuple(msgspec.to_builtins(transfer) for transfer in posting.transfers),
            lots=tuple(msgspec.to_builtins(lot) for lot in posting.lots),
            trace=self._trace(posting, seen),
            unit=unit_of(seen.face, seen.rules),
            decisions=self._decisions(posting, seen),
        )

    def _decisions(self, posting: PostingView, seen: Evidence) -> tuple[dict[str, Any], ...]:
        """What each maker and right is due, by its rule as it was known then; whole micro-credits, for display."""
        through = seen.through
        if through is None:
            return ()
        asked: list[tuple[str, dict[str, Any]]] = [
            ("P6", {"model_cost_micro": through.model_micro, "markup_bps": one.rate_bps}) for one in through.markups
        ]
        asked += [("T16", {"price_micro": seen.total_micro, "rate": one.rate_ppm}) for one in through.royalties]
        found = []
        for rule, facts in asked:
            with contextlib.suppress(ShanheError):  # a rule that can't be read any more explains nothing
                decision = self._rulebook.evaluate(rule, facts, on=city_date(posting.at), known=posting.at)
                found.append(decision.trace)
        return tuple(found)

    def _rule(self, name: str, version: str) -> ReceiptRule:
        rule = self._rulebook.rule(name)
        return ReceiptRule(name, version, rule.title.zh, rule.title.en, rule.article)

    def _trace(self, posting: PostingView, seen: Evidence) -> dict[str, Any] | None:
        """The charge worked out again by the rule as it was known then; None when the rule can't be read any more."""
        # A text of the rule that is older than the last bucket doesn't know it.
        told = [name for name in BUCKETS if name != "cache_write" or seen.buckets.cache_write]
        facts = {f"{name}_tokens": getattr(seen.buckets, name) for name in told}
        facts |= {f"{name}_price": getattr(seen.prices, name) for name in told}
        try:
            decision = self._rulebook.evaluate(CHARGE_RULE, facts, on=city_date(posting.at), known=posting.at)
        except ShanheError:
            return None
        return decision.trace


def summary(
    posting: PostingView, seen: Evidence, tags: Mapping[UUID, str], *, is_reversed: bool = False
) -> ReceiptSummary:
    """The list's row of a call posting."""
    return ReceiptSummary(
        posting.id,
        posting.at.astimezone(CITY_TZ),
        seen.model,
        seen.key_id,
        seen.key_name,
        REVERSED if is_reversed else seen.status,
        seen.buckets.total,
        seen.total_micro,
        tuple(sorted(tags[one] for one in seen.tags)),
    )


def exact_micro(numerator: int) -> str:
    """numerator ÷ 1,000,000 as an exact decimal, without trailing zeros."""
    whole, part = divmod(numerator, 1_000_000)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".")
