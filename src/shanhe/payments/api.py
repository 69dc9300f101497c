"""The door of payments: `Payments`, its records, the provider protocol, and the sandbox provider."""

from __future__ import annotations

from shanhe.payments.alipay import Alipay, AlipayAccount
from shanhe.payments.errors import (
    AmountMismatch,
    AmountOutOfBounds,
    MethodCannot,
    NotificationForged,
    NotificationLate,
    NotificationMalformed,
    NotificationReplayed,
    OrderConflict,
    OrderState,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    UnknownPayment,
    UnknownProvider,
)
from shanhe.payments.jobs import tick
from shanhe.payments.methods import MethodSettings, open_methods
from shanhe.payments.model import (
    ORDER_LIFE_S,
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
    Reply,
    State,
    Stray,
    Verdict,
)
from shanhe.payments.refunds import RefundHandler
from shanhe.payments.sandbox import Faults, PayPage, Sandbox
from shanhe.payments.service import Payments
from shanhe.payments.wechat import WeChat, WeChatAccount

__all__ = [
    "ORDER_LIFE_S",
    "Alipay",
    "AlipayAccount",
    "AmountLimits",
    "AmountMismatch",
    "AmountOutOfBounds",
    "Created",
    "Event",
    "Faults",
    "Mandate",
    "MandateState",
    "MethodCannot",
    "MethodSettings",
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
    "ProviderMisconfigured",
    "ProviderPayment",
    "ProviderRefused",
    "ProviderUnavailable",
    "Refund",
    "RefundHandler",
    "RefundState",
    "Reply",
    "Sandbox",
    "State",
    "Stray",
    "UnknownPayment",
    "UnknownProvider",
    "Verdict",
    "WeChat",
    "WeChatAccount",
    "open_methods",
    "tick",
]
