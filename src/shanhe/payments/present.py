"""What methods share that charge only while the payer is there: no mandates."""

from __future__ import annotations

from shanhe.payments.errors import MethodCannot
from shanhe.payments.model import Created, Mandate, Order


class PayerPresent:
    """The part of `model.Provider` that such a method refuses."""

    name: str

    async def authorise(self, mandate: Mandate) -> Created:
        raise self._cannot()

    async def charge(self, order: Order, mandate: Mandate) -> Created:
        raise self._cannot()

    async def revoke(self, mandate: Mandate) -> None:
        raise self._cannot()

    def _cannot(self) -> MethodCannot:
        return MethodCannot(self.name, "charge without the payer present", "自动扣款")
