"""Taking back what a cheat earned, and what becomes of it: given back, kept by the city, or the payer's where a call is
refunded. One posting for each receipt, so that each way can be undone by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
import structlog

from shanhe.compute.api import Decision
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.paging import every
from shanhe.ledger.api import Asset, InsufficientCredit, Ledger, LotDelta, Posting, PostingView, Transfer
from shanhe.pool import store
from shanhe.pool.earnings import PAGE, PAGES_MAX, Earnings
from shanhe.pool.model import Node

WITHHELD: Final = "node_withheld"
RESTORED, KEPT, RETURNED = "restored", "kept", "returned"
"""What is decided on what is withheld; `returned`: the call was refunded."""
REFUNDED: Final = "The call was refunded · 调用已退款"
ACCOUNT: Final = "withheld"
SYSTEM: Final = "pool"
SPACE: Final = UUID("0190a3f2-6c1e-7b3a-9a51-5f0e6d3c2b1a")
"""Names of withholding postings are made of receipts in this space: a receipt's income is withheld once."""

WithholdRule = Callable[[Mapping[str, object], date], Decision]
log = structlog.get_logger(__name__)


class _Taken(msgspec.Struct):
    receipt: UUID


class Withholding:
    def __init__(self, db: Database, clock: Clock, ledger: Ledger, earnings: Earnings, rule: WithholdRule) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._earnings = earnings
        self._rule = rule

    async def withhold(self, node: Node, calls: int) -> int:
        """Take back what a node's latest calls brought, where it was not yet; the amount taken now, µ.

        Idempotent by receipt. What was spent already can't be taken and is told in the node's history.
        """
        if node.contributor is None:
            return 0
        account = await self._ledger.ensure_account(node.contributor, Asset.CREDIT, "income")
        held = await self._ledger.system_account(ACCOUNT, Asset.CREDIT, node.engine)
        known = {row["receipt_id"] async for row in self._withheld(node)}
        taken = 0
        for back, (posting, proof) in enumerate((await self._earnings.served(node, calls, None))[0], 1):
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
            deltas=lots, evidence=msgspec.json.encode(evidence, enc_hook=str), actor=SYSTEM,
            memo=f"Withheld from {node.name} · 暂扣",
        )  # fmt: skip
        try:
            await self._ledger.post(posting)
        except InsufficientCredit:
            cause = f"income of receipt {call.id} was spent"
            if not await store.happened(
                self._db, node.id, "spent", cause
            ):  # it is tried again: what is held may come free
                await store.add_event(self._db, node.id, "spent", SYSTEM, self._clock.now(), cause)
                log.warning("income of a quarantined node was spent already", node=node.name, receipt=str(call.id))
            return 0
        await store.add_withheld(self._db, call.id, node.id, posting_id, amount, self._clock.now())
        return amount

    async def _note_taken(self, node: Node) -> None:
        """Note what the ledger says was withheld of a node: whoever took it may have ended before it did."""
        held = await self._ledger.system_account(ACCOUNT, Asset.CREDIT, node.engine)
        known = {row["posting_id"] async for row in self._withheld(node)}
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._ledger.postings(account=held.id, kind=WITHHELD, cursor=cursor, limit=PAGE)
            for one in page.items:
                if one.id not in known:
                    receipt = msgspec.json.decode(one.evidence or b"", type=_Taken).receipt
                    amount = one.transfers[0].amount
                    await store.add_withheld(self._db, receipt, node.id, one.id, amount, self._clock.now())
            cursor = page.next
            if cursor is None:
                return

    async def _lots(self, call: PostingView, income: UUID) -> tuple[LotDelta, ...]:
        """The parts of the contributor's lots that a call minted."""
        lots = await self._ledger.lots_by_id([delta.lot for delta in call.lots])
        return tuple(LotDelta(d.lot, -d.amount) for d in call.lots if d.amount > 0 and lots[d.lot].account == income)

    # -- what becomes of it -------------------------------------------------------------------------------------------

    async def restore(
        self, node: Node, actor: str, *, in_quarantine: bool = True, through: datetime | None = None
    ) -> int:  # fmt: skip
        """Give back what is withheld, by reversing it; the amount, µ. Goes on where an interrupted one stopped. Without
        `in_quarantine` nothing of a node that is in it by now; of what was withheld `through` an instant alone."""
        given = 0
        for row in await self._decide(node, RESTORED, in_quarantine=in_quarantine, through=through):
            receipt = row["receipt_id"]
            by = await self._reverse_once(row["posting_id"], actor, f"{node.name} was cleared")
            refund = (await self._ledger.reversed_among([receipt])).get(receipt)
            if refund is not None:  # since it was decided: it took other income or made a debt, as this was not there
                await self._return(node, row | {"refund": refund})
                continue
            await store.mark_restored(self._db, receipt, by)
            given += row["amount_micro"]
        return given

    async def keep(self, node: Node, actor: str, *, through: datetime | None = None) -> int:
        """The city keeps what is withheld; the amount, µ. Goes on where an interrupted one stopped."""
        kept = 0
        for row in await self._decide(node, KEPT, through=through):
            await store.mark_kept(self._db, row["receipt_id"], await self._keep(node, row, actor))
            kept += row["amount_micro"]
        return kept

    async def refunds(self) -> int:
        """Close what is withheld, or was kept, of calls that were refunded since; how many."""
        done = 0
        for node in await store.withholding(self._db):
            async for row in self._refunded(node):
                done += await self._return(node, row)
        return done

    async def _decide(
        self, node: Node, decision: str, *, in_quarantine: bool = True, through: datetime | None = None
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Rows that are to be ended so; what belongs to refunded calls is ended first, and of those nobody decides."""
        await self._note_taken(node)
        async for row in self._refunded(node):
            await self._return(node, row)
        return await store.decide(self._db, node.id, decision, in_quarantine=in_quarantine, through=through)

    async def _refunded(self, node: Node) -> AsyncIterator[dict[str, Any]]:
        """What is not given back yet of calls that were refunded, each with its `refund`."""
        before = None
        while rows := await store.withheld(self._db, node.id, open_only=True, before=before):
            undone = await self._ledger.reversed_among([row["receipt_id"] for row in rows])
            for row in rows:
                if row["receipt_id"] in undone:
                    yield row | {"refund": undone[row["receipt_id"]]}
            before = rows[-1]["receipt_id"]

    def _withheld(self, node: Node) -> AsyncIterator[dict[str, Any]]:
        """All that was withheld of a node."""
        return every(partial(store.withheld, self._db, node.id), itemgetter("receipt_id"))

    async def _return(self, node: Node, row: Mapping[str, Any]) -> bool:
        """The payer has a call's price back, and its contributor was charged for it: out of other income, else as a
        debt. What was withheld is theirs again and pays that debt first. False where it is spent: it stays a debt."""
        assert node.contributor is not None
        receipt = row["receipt_id"]
        if await store.decision(self._db, receipt, RETURNED) == KEPT:
            await self._reverse_once(await self._keep(node, row, SYSTEM), SYSTEM, REFUNDED)
        await self._reverse_once(row["posting_id"], SYSTEM, REFUNDED)
        income = await self._ledger.ensure_account(node.contributor, Asset.CREDIT, "income")
        owing = await self._ledger.system_account("receivable", Asset.CREDIT, str(income.id))
        refund, call = await self._ledger.posting(row["refund"]), await self._ledger.posting(receipt)
        owed = min(row["amount_micro"], sum(one.amount for one in refund.transfers if one.debit == owing.id))
        if owed:
            posting = Posting(
                id=uuid5(SPACE, f"{receipt} owed"), kind="node_refund",
                transfers=(Transfer(uuid5(SPACE, f"{receipt} owed transfer"), income.id, owing.id, owed),),
                deltas=_part(await self._lots(call, income.id), owed), actor=SYSTEM,
                memo=f"Refund of a call that {node.name} served · 节点调用退款",
            )  # fmt: skip
            try:
                await self._ledger.post(posting)
            except InsufficientCredit:  # it is tried again
                log.warning("what a refunded call owes was spent", node=node.name, receipt=str(receipt))
                return False
        await store.mark_restored(self._db, receipt, row["refund"])
        return True

    async def _keep(self, node: Node, row: Mapping[str, Any], actor: str) -> UUID:
        """Book it as the city's, once; its posting."""
        receipt = row["receipt_id"]
        revenue = await self._ledger.system_account("revenue", Asset.CREDIT)
        held = await self._ledger.system_account(ACCOUNT, Asset.CREDIT, node.engine)
        transfer = Transfer(uuid5(SPACE, f"{receipt} kept transfer"), held.id, revenue.id, row["amount_micro"])
        posting = Posting(
            id=uuid5(SPACE, f"{receipt} kept"), kind="node_kept", transfers=(transfer,), actor=actor,
            memo=f"Kept of what was withheld from {node.name} · 暂扣收益不予退还",
        )  # fmt: skip
        await self._ledger.post(posting)
        return posting.id

    async def _reverse_once(self, posting_id: UUID, actor: str, reason: str) -> UUID:
        """What reverses it, now or already."""
        by = (await self._ledger.reversed_among([posting_id])).get(posting_id)
        return by or (await self._ledger.reverse(posting_id, actor=actor, reason=reason)).id


def _part(lots: Sequence[LotDelta], amount: int) -> tuple[LotDelta, ...]:
    """As much of lots, in their order, as comes to an amount."""
    parts: list[LotDelta] = []
    for delta in lots:
        taken = min(amount, -delta.amount)
        amount -= taken
        if taken:
            parts.append(LotDelta(delta.lot, -taken))
    return tuple(parts)
