"""Quotes, purchases, alerts, automatic top-ups. Frozen, pure; money in fen (CNY) and micro-credits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Source(StrEnum):
    """Who started a purchase."""

    PAYER = "payer"
    AUTO = "auto"
    OPERATOR = "operator"


class PurchaseState(StrEnum):
    """open → posted | closed. `open` holds the benefit it was promised; `closed` gives it back."""

    OPEN = "open"
    POSTED = "posted"
    CLOSED = "closed"


class Window(StrEnum):
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True)
class Payer:
    """What the purchase rule must know of an organisation.

    `beneficiary` is whoever shares one yearly cap (a person, or the group of a household or of commonly owned
    organisations, R0); `categories` are the verified grounds it has today, as identity names them.
    """

    org_id: UUID
    beneficiary: UUID
    categories: tuple[str, ...] = ()
    frozen: bool = False
    incubation: Incubation | None = None
    allies: int = 0
    """How many parties its application alliance has (T14), itself included; 0 without one."""
    sharing: tuple[UUID, ...] = ()
    """Beneficiaries beside it whose benefit counts against the same cap: of one household, commonly owned (R0)."""


@dataclass(frozen=True)
class Incubation:
    """What I6 asks of an organisation that is or was incubated."""

    ends_on: date
    other_token: bool


@dataclass(frozen=True)
class Priced:
    """A P1 decision: list value = paid + benefit; quantity = purchased + subsidy."""

    value_fen: int
    benefit_fen: int
    paid_fen: int
    purchased_micro: int
    subsidy_micro: int
    list_price_fen: int
    category: str
    rule_version: str
    trace: dict[str, Any]

    @property
    def quantity_micro(self) -> int:
        return self.purchased_micro + self.subsidy_micro


@dataclass(frozen=True)
class Quote:
    id: UUID
    org_id: UUID
    beneficiary: UUID
    year: int
    priced: Priced
    benefit_left_fen: int
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Purchase:
    """One way to credits, whoever started it. `order_id` is None for an operator's top-up."""

    id: UUID
    org_id: UUID
    client_ref: str
    source: Source
    method: str
    actor: str
    reason: str
    beneficiary: UUID
    year: int
    priced: Priced
    state: PurchaseState
    order_id: UUID | None
    posting_id: UUID
    created_at: datetime
    decided_at: datetime | None
    redirect_url: str | None = None
    order_state: str | None = None


@dataclass(frozen=True)
class LotView:
    """One lot of a wallet. `tradeable_at` None = never."""

    id: UUID
    provenance: str
    issued_micro: int
    remaining_micro: int
    held_micro: int
    issued_at: datetime
    expires_at: datetime | None
    tradeable_at: datetime | None


@dataclass(frozen=True)
class Wallet:
    """An organisation's credits and lots. `held_micro` includes what gateway workers have leased for running calls.
    `next`: the lot after which the list of them goes on; None where it ends here."""

    org_id: UUID
    account_id: UUID
    balance_micro: int
    available_micro: int
    held_micro: int
    by_provenance: Mapping[str, int]
    lots: Sequence[LotView]
    next: UUID | None = None


@dataclass(frozen=True)
class Alert:
    """Tell the organisation once per window when spending reaches `percent` of `amount_micro`."""

    id: UUID
    org_id: UUID
    name: str
    window: Window
    amount_micro: int
    percent: int
    key_id: UUID | None
    enabled: bool
    created_at: datetime

    @property
    def threshold_micro(self) -> int:
        return -(-self.amount_micro * self.percent // 100)


@dataclass(frozen=True)
class AutoTopUp:
    """Buy `value_fen` at list when the balance is below `threshold_micro`, at most `monthly_cap_fen` a month."""

    org_id: UUID
    threshold_micro: int
    value_fen: int
    monthly_cap_fen: int
    provider: str
    mandate_id: UUID
    enabled: bool
    epoch: int
    purchase_id: UUID | None
    failures: int
    not_before: datetime | None
    actor: str
    mandate_state: str = ""
    mandate_url: str | None = None


@dataclass(frozen=True)
class PriceChange:
    """Prices of one model in micro-credits per million tokens, by usage bucket, from a date on."""

    model: str
    valid_from: date
    before: Mapping[str, int]
    after: Mapping[str, int]
    reason: str = ""


@dataclass(frozen=True)
class Affected:
    """An organisation whose keys may call a model."""

    org_id: UUID
    keys: tuple[str, ...]


class RefundState(StrEnum):
    """open → posted → sent → paying → paid; sent → failed; posted | failed → paying; failed → posted; open → void."""

    OPEN = "open"
    POSTED = "posted"
    SENT = "sent"
    PAYING = "paying"
    PAID = "paid"
    FAILED = "failed"
    VOID = "void"


@dataclass(frozen=True)
class Refund:
    """Money back for one purchase (R3). `lots`: what is taken from which lot, µ."""

    id: UUID
    purchase_id: UUID
    org_id: UUID
    client_ref: str
    state: RefundState
    refund_fen: int
    consumed_micro: int
    taken_micro: int
    cancelled_micro: int
    restored_fen: int
    lots: Mapping[UUID, int]
    rule_version: str
    trace: dict[str, Any]
    posting_id: UUID
    payout_posting_id: UUID
    attempt: int
    payout_ref: str
    payout_method: str
    reason: str
    actor: str
    created_at: datetime
    decided_at: datetime | None
    retried_by: str | None = None
    paid_by: str | None = None
    """Who said that it was paid: a clerk, or payments for what a provider told."""


class BatchState(StrEnum):
    """draft → funded → issued → ended; funded → ended."""

    DRAFT = "draft"
    FUNDED = "funded"
    ISSUED = "issued"
    ENDED = "ended"


@dataclass(frozen=True)
class CodeBatch:
    """Redeem codes of one value, paid from one budget. `earmark`: what a call must be for to spend them."""

    id: UUID
    client_ref: str
    name: str
    budget: str
    codes: int
    value_micro: int
    provenance: str
    earmark: dict[str, Any] | None
    state: BatchState
    expires_at: datetime
    funding_posting: UUID
    return_posting: UUID
    returned_micro: int
    end_reason: str
    actor: str
    created_at: datetime
    ended_at: datetime | None
    funded_by: str | None = None
    exported_by: str | None = None
    ended_by: str | None = None
    redeemed: int = 0


@dataclass(frozen=True)
class ClaimedCode:
    """A code by its hash; `org_id` has claimed it, `booked_at` is when its posting was made."""

    hash: bytes
    batch_id: UUID
    number: int
    org_id: UUID | None
    actor: str
    posting_id: UUID | None
    claimed_at: datetime | None
    booked_at: datetime | None


PayerOf = Callable[[UUID], Awaitable[Payer]]
"""Facts of an organisation for the purchase rule, from identity; raises when it is frozen or unknown."""
SpentBy = Callable[[UUID, UUID | None, datetime, datetime], Awaitable[int]]
"""Micro-credits an organisation (or one of its keys) spent in [start, end)."""
AffectedBy = Callable[[str], Awaitable[Sequence[Affected]]]
"""Organisations whose keys may call a model."""
KindOf = Callable[[UUID], Awaitable[str]]
"""What kind of organisation it is, as identity names it."""
NameOf = Callable[[UUID], Awaitable[str]]
"""What an organisation is called, for documents."""
