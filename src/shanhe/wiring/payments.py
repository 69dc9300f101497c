"""Wiring of money in and out: the payment methods that settings name, bank statements, payouts, institutions' bills."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

from shanhe.kernel.asking import Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.money import format_fen
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.ledger.api import Ledger
from shanhe.payments.api import (
    RESEND,
    BankAccount,
    BankDesk,
    BankTransfer,
    Bills,
    MethodSettings,
    Outgoing,
    Payee,
    PayeeOf,
    PayeeState,
    Payments,
    Payout,
    PayoutChannel,
    Payouts,
    PayoutState,
    Sandbox,
    SandboxPayouts,
    open_methods,
)
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings

STATES: Final = {
    PayoutState.APPROVED: (Text("提现 {} 元已批准", "Your payout of CNY {} was approved"),
                           Text("款项将汇往已核验的收款账户。", "It is being sent to your checked account.")),
    PayoutState.CONFIRMED: (Text("提现 {} 元已到账", "Your payout of CNY {} has arrived"),
                            Text("税款与计算过程见提现记录。", "The tax, and why, are in your payouts.")),
    PayoutState.REFUSED: (Text("提现申请未通过", "Your payout was refused"),
                          Text("理由见提现记录；积分仍在收益中，可再次申请。",
                               "The reason is in your payouts; the credits are still yours, and you can ask again.")),
    PayoutState.FAILED: (Text("提现 {} 元未能付出", "Your payout of CNY {} could not be paid"),
                         Text("积分已退回收益。请看提现记录中的原因，核对收款账户后再次申请。",
                              "The credits are back. See why in your payouts, look at your account, and ask again.")),
}  # fmt: skip
UNPAID: Final = (PayoutState.REFUSED, PayoutState.FAILED)
WRONG_ACCOUNT: Final = (
    Text("收款账户未通过核验", "Your bank account did not pass its check"),
    Text("户名与账号不一致，提现暂不能付出。请更正收款账户。",
         "Name and number do not belong together, so nothing can be paid. Put the account right."),
)  # fmt: skip
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
    bank.statements.know_payees(payees_of(bank, payments, payouts))
    return Treasury(payments, sandbox, bank, payouts, Bills(db, clock))


def payees_of(bank: BankDesk, payments: Payments, payouts: Payouts) -> PayeeOf:
    """Whose account something is sent to: of a refund, who paid; of a payout, its payee; of what is sent again, who
    stands in the bank's file, else the account that its maker gives now."""

    async def payee_of(sent: Outgoing) -> tuple[str, str] | None:
        first = await bank.origin(sent)
        if first.kind == "refund":
            line = await bank.statements.paid_by((await payments.refund_of(first.subject_id)).order_id)
            return None if line is None else (line.party, line.party_account)
        payout = await payouts.get(first.subject_id)
        now = await payouts.payees.of(payout.org_id) if sent.kind == RESEND and sent.payee_id is None else None
        try:
            open_ = await payouts.payees.open(now.id if now is not None else sent.payee_id or payout.payee_id)
        except PersonErased:
            return None
        return open_.holder, open_.account

    return payee_of


def tell_makers(payouts: Payouts, notifier: Notifier) -> None:
    """Let makers hear what becomes of the cash that they asked for."""

    async def payout(conn: Any, one: Payout) -> None:
        if one.state not in STATES:
            return
        title, body = STATES[one.state]
        yuan = format_fen(one.net_fen or 0)
        await notifier.notify(
            Notice(
                kind="payments.payout", title=Text(title.zh.format(yuan), title.en.format(yuan)), body=body,
                severity=Severity.WARNING if one.state in UNPAID else Severity.INFO, org_id=one.org_id,
                link="/income#payouts", dedupe=f"payout:{one.id}:{one.state}",
            ),
            conn,
        )  # fmt: skip

    async def checked(conn: Any, one: Payee) -> None:
        if one.state is PayeeState.FAILED:
            title, body = WRONG_ACCOUNT
            await notifier.notify(
                Notice(
                    kind="payments.payee", title=title, body=body, severity=Severity.WARNING, org_id=one.org_id,
                    link="/income#payee", dedupe=f"payee:{one.id}",
                ),
                conn,
            )  # fmt: skip

    payouts.told, payouts.payees.told = payout, checked


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
