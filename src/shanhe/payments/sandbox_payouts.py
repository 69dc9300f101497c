"""The sandbox institution's outgoing side: takes payouts and decides them a while later, like a bank's batch desk."""

from __future__ import annotations

from datetime import timedelta

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.payments.errors import UnknownPayment
from shanhe.payments.payout_model import OpenPayee, Payout

NAME = "sandbox"
DECIDES_AFTER_S = 10
REFUSED_ENDING = "0000"
"""Accounts that end so refuse the money, so that failures can be tried."""


class SandboxPayouts:
    """See `payout_model.PayoutChannel`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @property
    def name(self) -> str:
        return NAME

    async def send(self, payout: Payout, payee: OpenPayee) -> None:
        await self._db.execute(
            """INSERT INTO payments.sandbox_payout (payout_id, amount_fen, fails, due_at)
               VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING""",
            payout.id,
            payout.net_fen,
            payee.account.endswith(REFUSED_ENDING),
            self._clock.now() + timedelta(seconds=DECIDES_AFTER_S),
        )

    async def outcome(self, payout: Payout) -> bool | None:
        row = await self._db.fetchrow(
            "SELECT fails, due_at FROM payments.sandbox_payout WHERE payout_id = $1", payout.id
        )
        if row is None:
            raise UnknownPayment("payout")
        return None if row["due_at"] > self._clock.now() else not row["fails"]
