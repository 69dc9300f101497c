"""Orders, refunds, mandates and what a provider says about them. Frozen, pure; amounts in fen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shanhe.kernel.errors import ShanheError


class State(StrEnum):
    """created → pending → paid | failed | expired; failed → paid | expired; paid → refunded."""

    CREATED = "created"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class RefundState(StrEnum):
    REQUESTED = "requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class MandateState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    REVOKED = "revoked"


class Event(StrEnum):
    """What a notification is about."""

    PAYMENT_PENDING = "payment.pending"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    MANDATE_SIGNED = "mandate.signed"
    MANDATE_REVOKED = "mandate.revoked"


ORDER_LIFE_S = 1_800
"""How long a payer may take at a cashier's page."""

NEXT: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.PENDING, State.PAID, State.FAILED, State.EXPIRED}),
    State.PENDING: frozenset({State.PAID, State.FAILED, State.EXPIRED}),
    State.FAILED: frozenset({State.PAID, State.EXPIRED}),
    State.PAID: frozenset({State.REFUNDED}),
    State.EXPIRED: frozenset(),
    State.REFUNDED: frozenset(),
}
"""The whole state machine; the database holds the same table in a trigger.

A failed attempt may be followed by a successful one until the order expires, hence failed → paid.
"""


@dataclass(frozen=True)
class OrderRequest:
    """What is wanted. `client_ref` makes it idempotent within `org_id`; `purpose` names who is told when it is paid."""

    org_id: UUID
    client_ref: str
    purpose: str
    provider: str
    amount_fen: int
    subject: str
    return_path: str = "/"
    mandate_id: UUID | None = None
    id: UUID | None = None


@dataclass(frozen=True)
class Order:
    id: UUID
    org_id: UUID
    client_ref: str
    purpose: str
    provider: str
    provider_ref: str | None
    mandate_id: UUID | None
    amount_fen: int
    refunded_fen: int
    subject: str
    return_path: str
    redirect_url: str | None
    state: State
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    settled_at: datetime | None
    settled_ref: UUID | None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refund:
    id: UUID
    order_id: UUID
    client_ref: str
    amount_fen: int
    reason: str
    actor: str
    state: RefundState
    provider_ref: str | None
    created_at: datetime
    decided_at: datetime | None
    settled_at: datetime | None = None
    settled_ref: UUID | None = None


@dataclass(frozen=True)
class Mandate:
    """A stored permission to charge without the payer present, at most `limit_fen` at a time."""

    id: UUID
    org_id: UUID
    client_ref: str
    provider: str
    provider_ref: str | None
    limit_fen: int
    state: MandateState
    redirect_url: str | None
    created_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True)
class Created:
    """A provider's answer to a new payment or mandate: its own reference and where to send the payer.

    `details` is what our own cashier page shows: `qr` (the text of a QR code), `link` (the institution's page) or the
    bank account to pay into.
    """

    provider_ref: str
    redirect_url: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProviderPayment:
    """What the provider says of a payment now."""

    provider_ref: str
    state: State
    amount_fen: int
    paid_at: datetime | None


@dataclass(frozen=True)
class Notification:
    """A verified message. `subject_id` is our own order, refund or mandate id.

    `amount_told` is False where an institution's message of a refund does not say the amount of this one refund.
    """

    provider: str
    event_id: str
    nonce: str
    event: Event
    subject_id: UUID
    provider_ref: str
    amount_fen: int | None
    occurred_at: datetime
    amount_told: bool = True


@dataclass(frozen=True)
class Reply:
    """What an institution wants to hear about a notification."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True)
class Verdict:
    """What a notification did. `changed` is False for a duplicate or one that came out of order."""

    subject_id: UUID
    event: Event
    changed: bool
    state: str


@dataclass(frozen=True)
class Stray:
    """Money that a verified message told of and that could not be booked. `why`: late, other_amount, unknown_order."""

    id: UUID
    provider: str
    event_id: str
    why: str
    order_id: UUID | None
    provider_ref: str
    amount_fen: int
    seen_at: datetime


@dataclass(frozen=True)
class AmountLimits:
    least_fen: int
    most_fen: int


class Provider(Protocol):
    """One payment institution. Every method is idempotent by our own id and may be repeated after a crash.

    Methods that talk to the institution raise `ProviderUnavailable` when it does not answer. None is ever awaited
    inside a database transaction of ours.
    """

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> AmountLimits: ...

    @property
    def order_life_s(self) -> int:
        """How long a payer may take; the provider is told to close the payment after it."""
        ...

    async def create(self, order: Order) -> Created:
        """Register a payment; the payer is sent to `redirect_url`."""
        ...

    async def query(self, order: Order) -> ProviderPayment:
        """The payment as the provider knows it; UnknownPayment when it was never registered."""
        ...

    async def close(self, order: Order) -> ProviderPayment:
        """Make sure that it can no longer be paid; answers `paid` when it was too late for that."""
        ...

    async def refund(self, order: Order, refund: Refund) -> str:
        """Ask for money back and return the provider's reference; the outcome comes as a notification."""
        ...

    async def refund_state(self, order: Order, refund: Refund) -> RefundState:
        """How a refund stands at the provider; UnknownPayment when it was never asked for."""
        ...

    async def authorise(self, mandate: Mandate) -> Created:
        """Register a mandate; the payer signs it at `redirect_url`."""
        ...

    async def charge(self, order: Order, mandate: Mandate) -> Created:
        """Charge a signed mandate; the outcome comes as a notification."""
        ...

    async def revoke(self, mandate: Mandate) -> None: ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notification:
        """Check signature, age and shape; NotificationForged, NotificationLate or NotificationMalformed."""
        ...

    def reply(self, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        """The answer to a notification in the institution's own words."""
        ...
