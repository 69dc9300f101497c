"""Income of nodes: what a day brought, with the receipts that prove it; and taking back what a cheat earned.

The ledger is the truth: each call's posting says which engine served it and what its contributor got.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import msgspec
import structlog

from shanhe.compute.api import Decision
from shanhe.kernel.clock import Clock, city_date, midnight
from shanhe.kernel.db import Database
from shanhe.ledger.api import (
    Asset,
    InsufficientCredit,
    Ledger,
    LotDelta,
    Posting,
    PostingView,
    Transfer,
)
from shanhe.pool import store
from shanhe.pool.model import Node

CALL: Final = "call"
WITHHELD: Final = "node_withheld"
ACCOUNT: Final = "withheld"
PAGE: Final = 200
PAGES_MAX: Final = 50
SPACE: Final = UUID("0190a3f2-6c1e-7b3a-9a51-5f0e6d3c2b1a")
"""Names of withholding postings are made of receipts in this space: a receipt's income is withheld once."""


WithholdRule = Callable[[Mapping[str, object], date], Decision]
log = structlog.get_logger(__name__)


class _Evidence(msgspec.Struct):
    engine: str = ""
    model: str = ""
    buckets: dict[str, int] = {}


class Proof(msgspec.Struct, frozen=True):
    """One served call: its receipt, and what the contributor got."""

    receipt_id: UUID
    at: datetime
    model: str
    tokens: int
    amount_micro: int


class Day(msgspec.Struct, frozen=True):
    """Earnings of a day of the city."""

    day: date
    calls: int
    tokens: int
    amount_micro: int


_evidence = msgspec.json.Decoder(_Evidence)


class Income(msgspec.Struct, frozen=True):
    """Earnings by day, newest first, and the day since which every call is in them: later than asked where a
    contributor's calls are more than are read at once."""

    since: date
    days: Sequence[Day]


class Earnings:
    """Reads and withholds."""

    def __init__(self, db: Database, clock: Clock, ledger: Ledger, rule: WithholdRule) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._rule = rule

    async def proofs(self, node: Node, limit: int = PAGE, since: datetime | None = None) -> list[Proof]:
        """Calls that a node served and that were not reversed, newest first, as the ledger has them."""
        return [proof for _, proof in (await self._served(node, limit, since))[0]]

    async def days(self, node: Node, since: datetime) -> Income:
        """Earnings by day; where PAGES_MAX pages do not hold them all, of the days that these hold whole."""
        sums: dict[date, list[int]] = {}
        first = city_date(since)
        found, cut = await self._served(node, PAGE * PAGES_MAX, midnight(first))
        whole = first if cut is None else city_date(cut) + timedelta(days=1)
        for _, proof in found:
            if (on := city_date(proof.at)) < whole:
                continue
            day = sums.setdefault(on, [0, 0, 0])
            for at, value in enumerate((1, proof.tokens, proof.amount_micro)):
                day[at] += value
        return Income(whole, [Day(day, *values) for day, values in sorted(sums.items(), reverse=True)])

    async def _served(
        self, node: Node, limit: int, since: datetime | None
    ) -> tuple[list[tuple[PostingView, Proof]], datetime | None]:
        """At most `limit`, newest first; and the moment before which nothing was looked at, where there is more."""
        if node.contributor is None:
            return [], None
        account = await self._ledger.ensure_account(node.contributor, Asset.CREDIT, "income")
        found: list[tuple[PostingView, Proof]] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._ledger.postings(account=account.id, kind=CALL, since=since, cursor=cursor, limit=PAGE)
            undone = await self._ledger.reversed_among([posting.id for posting in page.items])
            for posting in page.items:
                proof = None if posting.id in undone else _proof(posting, node, account.id)
                if proof is not None:
                    found.append((posting, proof))
                if len(found) >= limit:
                    return found, posting.at
            cursor = page.next
            if cursor is None:
                return found, None
        return found, page.items[-1].at

    async def withhold(self, node: Node, calls: int) -> int:
        """Take back what a node's latest calls brought, where it was not yet; the amount taken now, µ.

        Idempotent by receipt. What was spent already can't be taken and is told in the node's history.
        """
        if node.contributor is None:
            return 0
        account = await self._ledger.ensure_account(node.contributor, Asset.CREDIT, "income")
        held = await self._ledger.system_account(ACCOUNT, Asset.CREDIT, node.engine)
        known = {row["receipt_id"] for row in await store.withheld(self._db, node.id)}
        taken = 0
        for back, (posting, proof) in enumerate((await self._served(node, calls, None))[0], 1):
            if posting.id in known or proof.amount_micro == 0:
                continue
            facts = {"contributor_micro": proof.amount_micro, "calls_back": back}
            decision = self._rule(facts, city_date(self._clock.now()))
            amount = int(decision.outputs["withheld_micro"])
            if amount:
                taken += await self._take(node, posting, account.id, held.id, amount, decision)
        return taken

    async def _take(
        self, node: Node, call: PostingView, income: UUID, held: UUID, amount: int, decision: Decision
    ) -> int:
        lots = _part(await self._lots(call, income), amount)
        posting_id = uuid5(SPACE, str(call.id))
        evidence = {"receipt": call.id, "node": node.name, "cause": node.cause, "rule": decision.version,
                    "trace": dict(decision.trace)}  # fmt: skip
        transfer = Transfer(uuid5(SPACE, f"{call.id} transfer"), income, held, amount)
        posting = Posting(
            id=posting_id, kind=WITHHELD, transfers=(transfer,),
            deltas=lots, evidence=msgspec.json.encode(evidence, enc_hook=str), actor="pool",
            memo=f"Withheld from {node.name} · 暂扣",
        )  # fmt: skip
        try:
            await self._ledger.post(posting)
        except InsufficientCredit:
            cause = f"income of receipt {call.id} was spent"
            if not await store.happened(
                self._db, node.id, "spent", cause
            ):  # it is tried again: what is held may come free
                await store.add_event(self._db, node.id, "spent", "pool", self._clock.now(), cause)
                log.warning("income of a quarantined node was spent already", node=node.name, receipt=str(call.id))
            return 0
        await store.add_withheld(self._db, call.id, node.id, posting_id, amount, self._clock.now())
        return amount

    async def _lots(self, call: PostingView, income: UUID) -> tuple[LotDelta, ...]:
        """The parts of the contributor's lots that a call minted."""
        lots = await self._ledger.lots_by_id([delta.lot for delta in call.lots])
        return tuple(LotDelta(d.lot, -d.amount) for d in call.lots if d.amount > 0 and lots[d.lot].account == income)

    async def restore(self, node: Node, actor: str) -> int:
        """Give back what was withheld, by reversing it; the amount, µ. Goes on where an interrupted one stopped."""
        given, rows = 0, await store.withheld(self._db, node.id, open_only=True)
        undone = await self._ledger.reversed_among([row["posting_id"] for row in rows])
        for row in rows:
            by = undone.get(row["posting_id"])
            if by is None:
                reason = f"{node.name} was cleared"
                by = (await self._ledger.reverse(row["posting_id"], actor=actor, reason=reason)).id
            await store.mark_restored(self._db, row["receipt_id"], by)
            given += row["amount_micro"]
        return given


def _part(lots: Sequence[LotDelta], amount: int) -> tuple[LotDelta, ...]:
    """As much of lots, in their order, as comes to an amount."""
    parts: list[LotDelta] = []
    for delta in lots:
        taken = min(amount, -delta.amount)
        amount -= taken
        if taken:
            parts.append(LotDelta(delta.lot, -taken))
    return tuple(parts)


def _proof(posting: PostingView, node: Node, income: UUID) -> Proof | None:
    seen = _evidence.decode(posting.evidence or b"{}")
    if seen.engine != node.engine:
        return None
    amount = sum(transfer.amount for transfer in posting.transfers if transfer.credit == income)
    return Proof(posting.id, posting.at, seen.model, sum(seen.buckets.values()), amount)
