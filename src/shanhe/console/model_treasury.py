"""What the pages about money in and out show. Frozen, pure; amounts in the asset's minor unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

Hands = Sequence[tuple[str, str]]
"""Who had a hand in it, in order: (what was done, a word of the family `hand`; the name of who did it)."""


@dataclass(frozen=True)
class StatementRow:
    hash: str
    name: str
    lines: int
    at: datetime
    since: date | None = None
    until: date | None = None
    opening_fen: int | None = None
    closing_fen: int | None = None
    hands: Hands = ()


@dataclass(frozen=True)
class GapRow:
    """What no statement has, between two of them. `since` and `until`: the days to ask the bank for."""

    before: StatementRow
    after: StatementRow
    since: date
    until: date
    missing_fen: int


@dataclass(frozen=True)
class BankLineRow:
    row: int
    side: str
    amount_fen: int | None
    state: str
    why: str
    remark: str
    party: str = ""


@dataclass(frozen=True)
class SuspenseRow:
    id: UUID
    kind: str
    amount_fen: int
    outgoing: bool
    owner: str
    order_id: UUID | None
    posting_id: UUID
    at: datetime
    file: str = ""
    row: int = 0
    party: str = ""
    remark: str = ""
    fits: Sequence[tuple[str, str]] = ()
    """(reference, whose) of the orders that wait for this sum."""
    hands: Hands = ()
    came_from: OutgoingRow | None = None
    """What it comes back from, where the bank returned a transfer."""
    wanted_back: bool = False


@dataclass(frozen=True)
class OutgoingRow:
    reference: str
    kind: str
    amount_fen: int
    at: datetime
    whose: str = ""
    payee: str = ""
    """Whom a refund goes back to: who paid, as the bank's statement names them; empty where it may not be kept."""
    line: tuple[str, int] | None = None
    """The statement and its row with which the money came."""
    org: UUID | None = None
    account: PayeeRow | None = None
    """Where what came back is sent again."""
    filed: bool = False
    """Whether it is in the bank's batch file."""


@dataclass(frozen=True)
class WaitingRow:
    """Money that came for an organisation's order and that no order took. `fits`: (order, reference, fen) of its own
    that can be paid with it."""

    id: UUID
    kind: str
    amount_fen: int
    at: datetime
    wanted_back: bool = False
    fits: Sequence[tuple[UUID, str, int]] = ()


@dataclass(frozen=True)
class BankView:
    statements: Sequence[StatementRow]
    suspense: Sequence[SuspenseRow]
    outgoing: Sequence[OutgoingRow]
    report: Sequence[BankLineRow] = ()
    report_name: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many rows of the report ended in each state; `report` has those that somebody must look at first."""
    more: bool = False
    gaps: Sequence[GapRow] = ()
    held: Sequence[HeldRow] = ()
    alone: bool = False
    """Whether nobody but one person could agree to anything."""


@dataclass(frozen=True)
class HeldRow:
    """A statement that waits for a second person; sums in fen as they were when it was uploaded."""

    request: UUID
    hash: str
    name: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    since: str
    until: str
    lines: int
    in_fen: int
    out_fen: int
    opening_fen: int | None
    closing_fen: int | None
    pays: int
    pays_fen: int
    mine: bool = False


@dataclass(frozen=True)
class HeldView:
    """One of them, with what each row would do now; `rows` has those first that pay. `alone` as in `BankView`."""

    held: HeldRow
    rows: Sequence[BankLineRow]
    counts: Mapping[str, int]
    alone: bool = False


@dataclass(frozen=True)
class TransitRow:
    side: str
    amount_fen: int
    since: date
    age_days: int
    what: tuple[str, str]
    reference: str
    line: tuple[str, int] | None = None
    posting: UUID | None = None
    cleared: date | None = None


@dataclass(frozen=True)
class BalanceRow:
    """A sheet that was kept. `hands`: who made and who signed it."""

    id: UUID
    day: date
    bank_fen: int
    ledger_fen: int
    unexplained_fen: int
    at: datetime
    signed_at: datetime | None = None
    hands: Hands = ()


@dataclass(frozen=True)
class BalanceView:
    """The bank's balance against the books' on the evening of a day. `items` by the side that has them; `totals` of
    each; `kept`: the sheet, where this is one that was kept; `sheets`: all of those."""

    day: date
    bank_fen: int
    ledger_fen: int
    adjusted_bank_fen: int
    adjusted_ledger_fen: int
    unexplained_fen: int
    stated: bool
    until: date | None
    unread: int
    items: Sequence[TransitRow] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    gaps: Sequence[tuple[date, date, int]] = ()
    kept: BalanceRow | None = None
    sheets: Sequence[BalanceRow] = ()
    over: bool = True
    """Whether the day is over, so that it can be signed."""


@dataclass(frozen=True)
class PayeeRow:
    """`holder` and `account` are open only to operators, and only while the account waits for its check."""

    id: UUID
    last4: str
    bank: str
    state: str
    holder: str = ""
    account: str = ""


@dataclass(frozen=True)
class PayoutQuote:
    """What credits come to in cash if they were paid out today, and why."""

    gross_fen: int
    withheld_fen: int
    net_fen: int
    trace: Mapping[str, Any]


@dataclass(frozen=True)
class PayoutRow:
    id: UUID
    org: str
    amount_micro: int
    subsidy_micro: int
    gross_fen: int | None
    withheld_fen: int | None
    net_fen: int | None
    state: str
    reference: str
    channel: str
    reason: str
    at: datetime
    payee: PayeeRow | None = None
    hands: Hands = ()
    foreseen: PayoutQuote | None = None
    """Before the second approval, which fixes the amounts."""
    trace: Mapping[str, Any] | None = None
    posting_id: UUID | None = None


@dataclass(frozen=True)
class IncomeView:
    available_micro: int
    subsidy_micro: int
    pending_micro: int
    related_micro: int
    payee: PayeeRow | None
    payouts: Sequence[PayoutRow]
    requested_micro: int = 0
    kind: str = "organisation"
    """Of payee that an organisation like this one usually is."""
    withheld_micro: int = 0
    """Of its nodes' income, until the operator has found out."""


@dataclass(frozen=True)
class CheckRow:
    name: str
    compared: int
    differences: int
    skipped: str


@dataclass(frozen=True)
class RunRow:
    day: date
    by: str
    at: datetime
    differences: int
    checks: Sequence[CheckRow]


@dataclass(frozen=True)
class DifferenceRow:
    id: UUID
    day: date
    check: str
    subject: str
    kind: str
    unit: str
    left_name: str
    left: int
    right_name: str
    right: int
    owner: str
    state: str
    outcome: str
    note: str
    money_fen: int
    posting_id: UUID | None
    hands: Hands = ()


@dataclass(frozen=True)
class BillRow:
    """An institution's bill. `problems`: (row of the file, why it could not be used)."""

    provider: str
    name: str
    lines: int
    at: datetime
    problems: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True)
class BatchRow:
    """A file for the bank's batch transfer. `waiting`: payouts in it that have not arrived or failed."""

    id: UUID
    by: str
    payouts: int
    net_fen: int
    waiting: int
    at: datetime


@dataclass(frozen=True)
class ReconcileView:
    differences: Sequence[DifferenceRow]
    runs: Sequence[RunRow]
    methods: Sequence[str] = field(default_factory=tuple)
    bills: Sequence[BillRow] = ()
