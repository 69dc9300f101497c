"""Payouts: who is paid, what may be paid out, and where a payout stands. Frozen, pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from shanhe.kernel.ids import made_at


class PayeeKind(StrEnum):
    """A person's income is taxed at the source, an organisation invoices."""

    PERSON = "person"
    ORGANISATION = "organisation"


class PayeeState(StrEnum):
    UNCHECKED = "unchecked"
    PASSED = "passed"
    FAILED = "failed"
    RETIRED = "retired"


class PayoutState(StrEnum):
    """(review →) requested → first → approving → approved (→ sending) → sent → confirmed | returning → failed;
    else refused or cancelled."""

    REVIEW = "review"
    REQUESTED = "requested"
    FIRST = "first"
    APPROVING = "approving"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    RETURNING = "returning"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"


ENDED = frozenset({PayoutState.CONFIRMED, PayoutState.FAILED, PayoutState.REFUSED, PayoutState.CANCELLED})
OPEN = frozenset({PayoutState.REVIEW, PayoutState.REQUESTED, PayoutState.FIRST})
READY = frozenset({PayoutState.APPROVED, PayoutState.SENT})
RETURNED = frozenset({PayoutState.RETURNING, PayoutState.FAILED})


@dataclass(frozen=True)
class Payee:
    """Where an organisation is paid, without name and number: those stay sealed. `last4` is what pages show."""

    id: UUID
    org_id: UUID
    person_id: UUID
    kind: PayeeKind
    last4: str
    bank: str
    state: PayeeState
    checked_by: str | None
    check_ref: str | None
    checked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class OpenPayee:
    """A payee's name and account in plain text, for sending only."""

    holder: str = field(repr=False)
    account: str = field(repr=False)
    bank: str


@dataclass(frozen=True)
class Earnings:
    """What an organisation earned and may turn into cash, µ.

    `reward` and `subsidy` (from unrelated payers, after review) can be requested, less `requested`; `pending` may still
    be refunded; `related` is subsidy income of related payers, or of payers nobody can name any more: never cash.
    """

    reward_micro: int
    subsidy_micro: int
    pending_micro: int
    related_micro: int
    requested_micro: int

    @property
    def available_micro(self) -> int:
        return max(0, self.reward_micro - self.requested_micro)


@dataclass(frozen=True, kw_only=True)
class Payout:
    """One request for cash. Amounts in fen, lots, trace and reference are fixed by the second approval."""

    id: UUID
    org_id: UUID
    client_ref: str
    payee_id: UUID
    amount_micro: int
    subsidy_micro: int
    state: PayoutState
    posting_id: UUID
    requested_by: str
    created_at: datetime
    channel: str | None = None
    gross_fen: int | None = None
    withheld_fen: int | None = None
    net_fen: int | None = None
    trace: dict[str, Any] | None = None
    rule_version: str | None = None
    lots: list[UUID] | None = None
    lot_amounts: list[int] | None = None
    reference: str | None = None
    batch: UUID | None = None
    reviewed_by: str | None = None
    first_by: str | None = None
    second_by: str | None = None
    glass: UUID | None = None
    """The opening of break-glass by which one person gave both approvals."""
    reason: str = ""
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    sent_by: str | None = None
    """Who wrote it into the bank's file."""
    ended_by: str | None = None
    """Who said how it ended: a clerk, its maker, the channel or the bank's statement."""


@dataclass(frozen=True)
class BatchFile:
    """A file for the bank's batch transfer: its text, and how many transfers come to how much."""

    id: UUID
    text: str
    payouts: int
    net_fen: int


@dataclass(frozen=True)
class Batch:
    """A file for the bank's batch transfer. `waiting`: payouts in it that no statement has shown yet."""

    id: UUID
    by: str | None
    payouts: int
    net_fen: int
    waiting: int

    @property
    def at(self) -> datetime:
        """When it was made; its id says so."""
        return made_at(self.id)


@dataclass(frozen=True)
class CheckResult:
    """What a check of name and account said. `reference` is opaque: the checker's own number, no personal data."""

    passed: bool
    reference: str


class PayeeCheck(Protocol):
    """A plug-in that checks that the account is the named holder's (real name, bank card)."""

    @property
    def name(self) -> str: ...

    async def check(self, kind: PayeeKind, payee: OpenPayee) -> CheckResult: ...


class PayoutChannel(Protocol):
    """How approved money leaves without a bank file. Idempotent by the payout's id."""

    @property
    def name(self) -> str: ...

    async def send(self, payout: Payout, payee: OpenPayee) -> None:
        """ProviderRefused where it never will; whatever else it raises is tried again."""
        ...

    async def outcome(self, payout: Payout) -> bool | None:
        """True paid, False refused, None not known yet; UnknownPayment where it was never told to send it."""
        ...
