"""Proofs from the transparency log, for those whose receipts they are."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules


class LiveProofs:
    def __init__(self, modules: Modules) -> None:
        self._of = modules

    async def keys(self) -> Sequence[str]:
        return [str(key) for key in await self._of.log.trusted()]

    async def sealed(self, who: m.Who, receipt_id: UUID) -> bool:
        return await self._of.log.sealed(receipt_id)

    async def erased(self, receipt_id: UUID) -> bool:
        return await self._of.log.erased(receipt_id)

    async def proof(self, who: m.Who, receipt_id: UUID) -> str:
        await self._of.gateway.receipt(receipt_id, None if who.may("ledger") else who.org_id)
        return str(await self._of.log.prove(receipt_id))
