"""The door of payments: `Payments`, its records, the provider protocol, and the sandbox provider."""

from __future__ import annotations

from shanhe.payments.errors import (
    AmountMismatch,
    AmountOutOfBounds,
    NotificationForged,
    NotificationLate,
    NotificationMalformed,
    NotificationReplayed,
    OrderConflict,
    OrderState,
    ProviderUnavailable,
    UnknownPayment,
    UnknownProvider,
)
from shanhe.payments.jobs import tick
from shanhe.payments.model import (
    AmountLimits,
    Created,
    Event,
    Mandate,
    MandateState,
    Notification,
    Order,
    OrderRequest,
    Provider,
    ProviderPayment,
    Refund,
    RefundState,
    State,
    Stray,
    Verdict,
)
from shanhe.payments.refunds import RefundHandler
from shanhe.payments.sandbox import Faults, PayPage, Sandbox
from shanhe.payments.service import ORDER_LIFE_S, Payments

__all__ = [
    "ORDER_LIFE_S",
    "AmountLimits",
    "AmountMismatch",
    "AmountOutOfBounds",
    "Created",
    "Event",
    "Faults",
    "Mandate",
    "MandateState",
    "Notification",
    "NotificationForged",
    "NotificationLate",
    "NotificationMalformed",
    "NotificationReplayed",
    "Order",
    "OrderConflict",
    "OrderRequest",
    "OrderState",
    "PayPage",
    "Payments",
    "Provider",
    "ProviderPayment",
    "ProviderUnavailable",
    "Refund",
    "RefundHandler",
    "RefundState",
    "Sandbox",
    "State",
    "Stray",
    "UnknownPayment",
    "UnknownProvider",
    "Verdict",
    "tick",
]
