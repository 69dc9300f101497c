"""What the jobs worker repeats for payments."""

from __future__ import annotations

from collections.abc import Mapping

from shanhe.payments.bank import BankDesk
from shanhe.payments.payouts import Payouts
from shanhe.payments.sandbox import Sandbox
from shanhe.payments.service import Payments


async def tick(
    payments: Payments, sandbox: Sandbox | None, bank: BankDesk | None = None, payouts: Payouts | None = None
) -> int:
    """Deliver due notifications, resolve what has no outcome, settle statements and payouts; how many moved."""
    moved = await deliver(payments, sandbox) if sandbox is not None else 0
    moved += await bank.matching.settle() if bank is not None else 0
    moved += await payouts.settle() if payouts is not None else 0
    return moved + await payments.sweep()


async def deliver(payments: Payments, sandbox: Sandbox) -> int:
    """Hand the sandbox's due notifications to our own endpoint's code, without a socket."""

    async def receive(headers: Mapping[str, str], body: bytes) -> object:
        return await payments.notify(sandbox.name, headers, body)

    return await sandbox.deliver_due(receive)
