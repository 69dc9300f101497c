"""What the city measures about a party, for programmes to decide on: each answer is read from where it is booked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from shanhe.gateway.api import Gateway
from shanhe.kernel.clock import Clock
from shanhe.ledger.api import Asset, Ledger, Provenance
from shanhe.programmes.api import Measure, Party

TRADEABLE = (Provenance.PURCHASED, Provenance.REWARD, Provenance.EXCHANGE)


class Measures:
    """Reads only; a party without an account has used nothing."""

    def __init__(self, clock: Clock, ledger: Ledger, gateway: Gateway) -> None:
        self._clock = clock
        self._ledger = ledger
        self._gateway = gateway

    def all(self) -> Mapping[str, Measure]:
        """By the name that programme files use."""
        return {
            "captured_since_micro": self.captured_since_micro,
            "untied_last_month_micro": self.untied_last_month_micro,
        }

    async def captured_since_micro(self, party: Party, day: date) -> int:
        """Credits captured by calls from a day on until now."""
        rows = await self._gateway.usage(party.org_id, day, self._clock.today(), ("org",))
        return sum(row.amount_micro for row in rows)

    async def untied_last_month_micro(self, party: Party, day: date) -> int:
        """Credits of the last full month before a day that were paid from lots which are no subsidy (T12)."""
        last = day.replace(day=1) - timedelta(days=1)
        wallet = await self._ledger.ensure_account(party.org_id, Asset.CREDIT, "wallet")
        burned = await self._ledger.burned(wallet.id, last.replace(day=1), last)
        return sum(burned.get(provenance, 0) for provenance in TRADEABLE)
