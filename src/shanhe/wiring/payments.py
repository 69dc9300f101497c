"""Wiring of money in and out: the payment methods that settings name, bank statements, payouts, institutions' bills."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Final

from shanhe.kernel.asking import Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.payments.api import (
    BankAccount,
    BankDesk,
    BankTransfer,
    Bills,
    MethodSettings,
    Payments,
    PayoutChannel,
    Payouts,
    Sandbox,
    SandboxPayouts,
    open_methods,
)
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings

SAMPLE_ACCOUNT: Final = BankAccount("山河市（示例，勿转账）", "6200 0000 0000 0000 000", "示例银行 Sample bank")


@dataclass(frozen=True)
class Treasury:
    """What takes and pays money."""

    payments: Payments
    sandbox: Sandbox | None
    bank: BankDesk
    payouts: Payouts
    bills: Bills


def open_treasury(
    settings: Settings,
    db: Database,
    clock: Clock,
    vault: Vault,
    *,
    ledger: Ledger,
    rulebook: Rulebook,
    related: Related,
    seals: Seals,
) -> Treasury:
    """Connect it; nothing runs yet. `related` tells related parties (R0)."""
    providers = open_methods(_method_settings(settings), clock)
    if account := _bank_account(settings):
        transfer = BankTransfer(db, clock, account, partial(_order_days, rulebook, clock))
        providers[transfer.name] = transfer
    sandbox: Sandbox | None = None
    channels: dict[str, PayoutChannel] = {}
    if settings.sandbox_payments:
        sandbox = Sandbox(db, clock, vault.secret("payments-sandbox"))
        paying = SandboxPayouts(db, clock)
        providers[sandbox.name], channels[paying.name] = sandbox, paying
    payments = Payments(db, clock, providers)
    bank = BankDesk(db, clock, ledger=ledger, payments=payments, vault=vault, personal=seals.personal,
                    account=_bank_account(settings))  # fmt: skip
    payouts = Payouts(
        db, clock, ledger=ledger, rulebook=rulebook, vault=vault, related=related, channels=channels, seals=seals
    )
    bank.matching.on_sent("payout", payouts.on_statement)
    bank.matching.on_returned("payout", payouts.on_return)
    return Treasury(payments, sandbox, bank, payouts, Bills(db, clock))


def _method_settings(settings: Settings) -> MethodSettings:
    """Every setting that both name alike."""
    return MethodSettings(**{item.name: getattr(settings, item.name) for item in fields(MethodSettings)})


def _bank_account(settings: Settings) -> BankAccount | None:
    """The account that people transfer to; a demo city shows one that nobody has."""
    if settings.bank_account:
        return BankAccount(settings.bank_holder, settings.bank_account, settings.bank_name)
    return SAMPLE_ACCOUNT if settings.demo else None


def _order_days(rulebook: Rulebook, clock: Clock) -> int:
    return int(rulebook.parameter("P1_bank_transfer", "order_days", clock.today()))
