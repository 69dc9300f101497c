"""A posting's mirror image: burned lots are restored, minted ones taken back as far as they are there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from shanhe.kernel.ids import new_id
from shanhe.ledger.errors import NotBalanced
from shanhe.ledger.model import Lot, LotDelta, Posting, PostingView, Transfer

CALL = "call"


async def mirror(
    view: PostingView, lots: Mapping[UUID, Lot], receivable: Callable[[UUID], Awaitable[UUID]], *, actor: str,
    reason: str,
) -> Posting:  # fmt: skip
    """The posting that undoes `view`. `receivable`: the account on which another one owes what it has spent already."""
    deltas, missing = [], dict[UUID, int]()
    free = {lot.id: lot.remaining - lot.held for lot in lots.values()}
    for delta in view.lots:
        lot, part = lots[delta.lot], delta.amount
        if view.kind == CALL and part > 0:  # who earns twice by a call does so in one lot
            part = min(part, free[lot.id])
            free[lot.id] -= part
            missing[lot.account] = missing.get(lot.account, 0) + delta.amount - part
        if part:
            deltas.append(LotDelta(delta.lot, -part))
    transfers: list[Transfer] = []
    for transfer in view.transfers:
        owed = min(missing.get(transfer.credit, 0), transfer.amount)
        if owed:
            missing[transfer.credit] -= owed
            transfers.append(Transfer(new_id(), await receivable(transfer.credit), transfer.debit, owed))
        if transfer.amount > owed:
            transfers.append(Transfer(new_id(), transfer.credit, transfer.debit, transfer.amount - owed))
    if not transfers:
        raise NotBalanced("A posting that moved nothing has nothing to reverse.", "该入账没有金额，无需冲正。")
    return Posting(
        id=new_id(), kind="reversal", transfers=tuple(transfers), deltas=tuple(deltas), actor=actor, memo=reason,
        reverses=view.id,
    )  # fmt: skip
