"""The ledger's nouns: frozen, pure. Amounts are integers in the asset's minor unit (credits: µ, CNY: fen)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.money import round_half_even

CITY_OWNER: Final = UUID(int=0)
"""Owner of the system accounts."""
LOT_KINDS: Final = frozenset({"wallet", "income"})
"""Kinds of credit account whose balance is made of lots unless the opener says otherwise."""


class Asset(StrEnum):
    CREDIT = "credit"
    CNY = "cny"
    VOUCHER = "voucher"
    TICKET = "ticket"
    POINT = "point"


class Provenance(StrEnum):
    SUBSIDY = "subsidy"
    REWARD = "reward"
    PURCHASED = "purchased"
    EXCHANGE = "exchange"


class Account(msgspec.Struct, frozen=True):
    """An account; `floor` None = unbounded. Balance = Σ credits − Σ debits."""

    id: UUID
    owner: UUID
    asset: Asset
    kind: str
    name: str
    floor: int | None
    lots: bool

    @property
    def striped(self) -> bool:
        """Nothing bounds it and it has no lots, so every worker may add to a row of its own."""
        return self.floor is None and not self.lots


class AccountView(msgspec.Struct, frozen=True):
    """An account with its kept balance, for lists."""

    account: Account
    balance: int
    held: int
    opened_at: datetime


class Balance(msgspec.Struct, frozen=True):
    """`available` = spendable now, including the `leased` part that workers borrow to admit calls; `held` = open holds.

    Running calls that were admitted from a lease still count as available until they settle.
    """

    balance: int
    available: int
    held: int
    leased: int
    by_provenance: dict[Provenance, int]


class Lot(msgspec.Struct, frozen=True):
    """Value of one provenance and expiry. `spendable_at` ends pending income, `unlock_at` the lock on trading."""

    id: UUID
    account: UUID
    provenance: Provenance
    parent: UUID | None
    issued: int
    remaining: int
    held: int
    issued_at: datetime
    spendable_at: datetime | None
    unlock_at: datetime | None
    expires_at: datetime | None
    earmark: dict[str, Any] | None
    cost_fen: int | None
    """What all that was issued of it cost (C3); None where nobody said."""

    def cost_of(self, quantity: int) -> int:
        """What `quantity` µ that are left of it cost, in fen, as `ledger.cost_of`.

        A part costs what the rest costs less afterwards: parts add up to the whole in whatever order they are taken.
        """
        return round_half_even((self.cost_fen or 0) * quantity, self.issued)


class NewLot(msgspec.Struct, frozen=True, kw_only=True):
    """A lot to mint for a lot-bearing credit leg. `cost_fen`: what all of it cost (C3)."""

    account: UUID
    provenance: Provenance
    amount: int
    expires_at: datetime | None = None
    unlock_at: datetime | None = None
    spendable_at: datetime | None = None
    earmark: Mapping[str, Any] | None = None
    cost_fen: int | None = None
    parent: UUID | None = None
    id: UUID | None = None


class Transfer(msgspec.Struct, frozen=True):
    """From `debit` (falls) to `credit` (rises); both accounts have the same asset."""

    id: UUID
    debit: UUID
    credit: UUID
    amount: int


class LotDelta(msgspec.Struct, frozen=True):
    """What a posting did to a lot: negative = burned, positive = minted or restored."""

    lot: UUID
    amount: int


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """Transfers that stand or fall together. Idempotent by `id`.

    `lots` mints lots for lot-bearing credit legs; without them a transfer between lot-bearing accounts splits the
    payer's lots. `deltas` names lots explicitly instead (negative: burn, positive: restore). `day` dates the posting
    (default today) and must lie in an open period.
    """

    id: UUID
    kind: str
    transfers: tuple[Transfer, ...]
    lots: tuple[NewLot, ...] = ()
    evidence: bytes | None = None
    actor: str = ""
    memo: str = ""
    reverses: UUID | None = None
    deltas: tuple[LotDelta, ...] = ()
    day: date | None = None


class PostingResult(msgspec.Struct, frozen=True):
    """`known` = the same posting had been booked before, nothing was booked now."""

    id: UUID
    known: bool = False


class PostingView(msgspec.Struct, frozen=True):
    """A booked posting as read back."""

    id: UUID
    kind: str
    at: datetime
    day: date
    actor: str
    memo: str
    reverses: UUID | None
    evidence: bytes | None
    transfers: tuple[Transfer, ...]
    lots: tuple[LotDelta, ...]

    def moved(self, account: UUID) -> int:
        """What it did to an account: credits less debits."""
        credited = sum(one.amount for one in self.transfers if one.credit == account)
        return credited - sum(one.amount for one in self.transfers if one.debit == account)

    @property
    def burned(self) -> tuple[LotDelta, ...]:
        return tuple(delta for delta in self.lots if delta.amount < 0)


class Limit(msgspec.Struct, frozen=True):
    """A counter: at most `cap` within `window` (an opaque name such as `2026-11-20`), of which this asks `amount`."""

    scope: UUID
    name: str
    window: str
    cap: int
    amount: int


class Leg(msgspec.Struct, frozen=True):
    """What one receiver gets, µ."""

    account: UUID
    amount_micro: int


PLACE: Final = b"\n"
"""In a preamble: a place for a value. Also what stands between values. JSON in one line has none."""


class Preamble(msgspec.Struct, frozen=True):
    """What the evidence of many postings has in common, written once: see `preamble_of` and `woven`."""

    id: UUID
    text: bytes


def woven(common: Sequence[bytes], own: bytes) -> bytes:
    """Evidence, from a preamble cut at its places and the values that a posting has for them.

    Where these are not as many as there are places, what is its own follows what is common: so it is always where
    there is no place.
    """
    values = own.split(PLACE)
    if len(values) + 1 != len(common):
        return PLACE.join(common) + own
    threads = [b""] * (len(common) + len(values))
    threads[::2], threads[1::2] = common, values
    return b"".join(threads)


def preamble_of(text: bytes) -> Preamble:
    """Its id is the first half of its SHA-256: the database refuses any other."""
    return Preamble(UUID(bytes=sha256(text).digest()[:16]), text)


class Charge(msgspec.Struct, frozen=True):
    """What a reservation turns into: Σ legs = total ≤ reserved. `limit_actuals` follow the reservation's limits.

    `subsidy_max_micro`: the most of it that subsidy lots pay (R1), for reservations made with such a bound; None = any.
    `preamble`: the posting's evidence is that with `evidence` woven into it.
    """

    total_micro: int
    legs: tuple[Leg, ...]
    evidence: bytes | None = None
    limit_actuals: tuple[int, ...] = ()
    subsidy_max_micro: int | None = None
    preamble: Preamble | None = None


class Settled(msgspec.Struct, frozen=True):
    """`burned` names the payer's lots and what each paid."""

    id: UUID
    total_micro: int
    burned: tuple[LotDelta, ...]
    known: bool = False


class HoldState(StrEnum):
    OPEN = "open"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"


class Hold(msgspec.Struct, frozen=True):
    """Concrete lots set aside for a purpose until `expires_at`."""

    id: UUID
    account: UUID
    amount: int
    purpose: str
    state: HoldState
    expires_at: datetime
    lots: tuple[LotDelta, ...]


class LotTerms(msgspec.Struct, frozen=True):
    """The rulebook's say on lots: burn order (C12), expiry (C11), lock (C6) and pending time of income.

    Lots from the exchange burn as purchased ones. The defaults carry no policy: income neither expires nor waits.
    """

    burn_order: tuple[Provenance, ...] = tuple(Provenance)
    income_expiry_months: Mapping[Provenance, int] = {}
    income_lock_months: int = 0
    income_pending_days: int = 0

    @property
    def order(self) -> list[str]:
        return [provenance.value for provenance in self.burn_order]


TermsOf = Callable[[date], LotTerms]
"""What the rulebook says of lots on a day; asked whenever it is needed, for a rule may change while the city runs."""


class StatementLine(msgspec.Struct, frozen=True):
    """One transfer seen from an account: `amount` is signed, `balance` is what stood after it."""

    transfer: UUID
    posting: UUID
    at: datetime
    kind: str
    memo: str
    counterpart: UUID
    amount: int
    balance: int


class Statement(msgspec.Struct, frozen=True):
    """One page of an account's transfers in [from, to): opening + Σ amounts = closing. `next` continues it."""

    account: UUID
    opening: int
    closing: int
    lines: tuple[StatementLine, ...]
    next: str | None


class PostingPage(msgspec.Struct, frozen=True):
    """Postings, newest first; `next` is the cursor of the following page, None at the end."""

    items: tuple[PostingView, ...]
    next: str | None


class OpeningBalance(msgspec.Struct, frozen=True):
    """What an account starts with when books are taken over; `lots` for lot-bearing ones."""

    account: UUID
    amount: int
    lots: tuple[NewLot, ...] = ()


class ChartEntry(msgspec.Struct, frozen=True):
    """A kind of account: `side` is where it stands in the city's books."""

    kind: str
    side: str
    title_zh: str
    title_en: str


CHART: Final = (
    ChartEntry("wallet", "liability", "钱包", "Wallet"),
    ChartEntry("income", "liability", "收益", "Income"),
    ChartEntry("codes", "liability", "兑换码备付", "Set aside for codes"),
    ChartEntry("issuance", "liability", "发行", "Issuance"),
    ChartEntry("cash", "asset", "资金清算", "Cash clearing"),
    ChartEntry("exchange_cash", "liability", "交易资金", "Exchange cash"),
    ChartEntry("play_wallet", "liability", "模拟积分", "Play credits"),
    ChartEntry("play_cash", "liability", "模拟资金", "Play cash"),
    ChartEntry("play_issuance", "liability", "模拟发放", "Play issuance"),
    ChartEntry("play_fund", "equity", "模拟生态基金", "Play ecosystem fund"),
    ChartEntry("suspense", "liability", "待处理款项", "Suspense"),
    ChartEntry("payable", "liability", "应付税费", "Taxes payable"),
    ChartEntry("withheld", "liability", "暂扣收益", "Withheld income"),
    ChartEntry("receivable", "asset", "应收", "Receivable"),
    ChartEntry("revenue", "income", "平台收入", "Revenue"),
    ChartEntry("platform", "income", "平台", "Platform"),
    ChartEntry("fee", "income", "手续费", "Fees"),
    ChartEntry("breakage", "income", "过期积分", "Breakage"),
    ChartEntry("cost", "expense", "上游成本", "Upstream cost"),
    ChartEntry("expense", "expense", "平台费用", "Platform expense"),
    ChartEntry("budget", "equity", "计划预算", "Programme budget"),
    ChartEntry("committed", "equity", "已承诺拨付", "Committed to awards"),
    ChartEntry("recoverable", "equity", "待追回", "To be recovered"),
    ChartEntry("ecosystem", "equity", "生态基金", "Ecosystem fund"),
    ChartEntry("opening", "equity", "期初余额", "Opening balances"),
)


class Sweep(msgspec.Struct, frozen=True):
    """What a sweep ended: expired holds, accounts with reclaimed leases, expired lots."""

    holds: int
    leases: int
    lots: int


class TrialRow(msgspec.Struct, frozen=True):
    account: Account
    debits: int
    credits: int
    balance: int


class TrialSum(msgspec.Struct, frozen=True):
    """All accounts of an asset and a kind that moved, added up."""

    asset: Asset
    kind: str
    accounts: int
    debits: int
    credits: int
    balance: int


class PeriodRow(msgspec.Struct, frozen=True):
    """An account over some days: its balance before them, and what was booked on either side; credits less debits."""

    account: Account
    opening: int
    debits: int
    credits: int

    @property
    def closing(self) -> int:
        return self.opening + self.credits - self.debits


class VoucherLine(msgspec.Struct, frozen=True):
    """A transfer as a line of a voucher: `number` counts the postings of a month."""

    number: int
    posting: UUID
    day: date
    kind: str
    memo: str
    actor: str
    debit: UUID
    credit: UUID
    amount: int


class Moved(msgspec.Struct, frozen=True):
    """What a posting did to an account: credits less debits. `matter`: what it reverses, else itself."""

    posting: UUID
    matter: UUID
    day: date
    kind: str
    amount: int


class Finding(msgspec.Struct, frozen=True):
    """One broken invariant: which, where, and the two figures that differ."""

    invariant: str
    subject: str
    expected: int
    found: int


class VerifyReport(msgspec.Struct, frozen=True):
    """`clean` when no invariant is broken. At most a bounded number of findings per invariant is listed."""

    accounts: int
    transfers: int
    lots: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        return not self.findings
