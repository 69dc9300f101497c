"""Alipay page payment: the payer goes to Alipay's own page. Signing and verification are python-alipay-sdk's.

Its requests are not used: they block, and neither its address nor its clock can be set.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import httpx
import msgspec

from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.money import parse_yuan
from shanhe.payments.errors import (
    NotificationForged,
    NotificationLate,
    NotificationMalformed,
    NotificationReplayed,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    UnknownPayment,
)
from shanhe.payments.model import (
    ORDER_LIFE_S,
    AmountLimits,
    Created,
    Event,
    Notification,
    Order,
    ProviderPayment,
    Refund,
    RefundState,
    Reply,
    State,
    Verdict,
)
from shanhe.payments.present import PayerPresent
from shanhe.payments.wire import Wire

NAME = "alipay"
PRODUCTION_URL = "https://openapi.alipay.com/gateway.do"
LIMITS = AmountLimits(least_fen=1, most_fen=100_000_000_00)
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
REPEATED_FOR_S = 26 * 3600
"""Alipay repeats an unanswered notification for 25 hours under the same id."""
FUTURE_S = 300
FIELDS_MAX = 100
DONE = "10000"
NOT_EXIST = ("ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST")
STATES = {
    "WAIT_BUYER_PAY": State.PENDING,
    "TRADE_SUCCESS": State.PAID,
    "TRADE_FINISHED": State.PAID,
    "TRADE_CLOSED": State.EXPIRED,
}


@dataclass(frozen=True)
class AlipayAccount:
    """An application at Alipay. Keys are PEM texts (or their base64 alone, as Alipay's tool writes them)."""

    app_id: str
    private_key: str = field(repr=False)
    alipay_key: str = field(repr=False)
    notify_url: str = ""
    return_url: str = ""
    gateway_url: str = PRODUCTION_URL


class Alipay(PayerPresent):
    """See `model.Provider`."""

    name, limits, order_life_s = NAME, LIMITS, ORDER_LIFE_S

    def __init__(
        self, account: AlipayAccount, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._account = account
        self._clock = clock
        self._wire = Wire(NAME, transport=transport)
        from alipay import AliPay  # brings an HTTP client along: only for cities that use it

        try:
            self._sdk = AliPay(
                appid=account.app_id,
                app_notify_url=None,
                app_private_key_string=_pem(account.private_key, "RSA PRIVATE KEY"),
                alipay_public_key_string=_pem(account.alipay_key, "PUBLIC KEY"),
                sign_type="RSA2",
            )
        except (ValueError, IndexError, TypeError) as error:
            raise ProviderMisconfigured(NAME, "a key file cannot be read") from error

    # -- the provider protocol ----------------------------------------------------------------------------------------

    async def create(self, order: Order) -> Created:
        """Sign the address of Alipay's page; Alipay learns of the payment when the payer opens it."""
        content = {
            "subject": order.subject,
            "out_trade_no": order.id.hex,
            "total_amount": _yuan(order.amount_fen),
            "product_code": "FAST_INSTANT_TRADE_PAY",
            "time_expire": order.expires_at.astimezone(CITY_TZ).strftime(TIME_FORMAT),
        }
        extra = {"notify_url": self._account.notify_url, "return_url": f"{self._account.return_url}{order.return_path}"}
        signed = await asyncio.to_thread(self._signed, "alipay.trade.page.pay", content, extra)
        link = f"{self._account.gateway_url}?{signed}"
        return Created(order.id.hex, f"/pay/{NAME}/{order.id.hex}", {"link": link})

    async def query(self, order: Order) -> ProviderPayment:
        answer = await self._call("alipay.trade.query", {"out_trade_no": order.id.hex})
        state = STATES.get(str(answer.get("trade_status")), State.PENDING)
        paid_at = _instant(answer.get("send_pay_date")) or self._clock.now() if state is State.PAID else None
        return ProviderPayment(order.id.hex, state, parse_yuan(str(answer["total_amount"])), paid_at)

    async def close(self, order: Order) -> ProviderPayment:
        with contextlib.suppress(ProviderRefused):  # paid or closed already: the query says which
            await self._call("alipay.trade.close", {"out_trade_no": order.id.hex})
        return await self.query(order)

    async def refund(self, order: Order, refund: Refund) -> str:
        content = {
            "out_trade_no": order.id.hex,
            "out_request_no": refund.id.hex,
            "refund_amount": _yuan(refund.amount_fen),
            "refund_reason": refund.reason,
        }
        answer = await self._call("alipay.trade.refund", content)
        return str(answer.get("trade_no", order.id.hex))

    async def refund_state(self, order: Order, refund: Refund) -> RefundState:
        content = {"out_trade_no": order.id.hex, "out_request_no": refund.id.hex}
        answer = await self._call("alipay.trade.fastpay.refund.query", content)
        if "refund_amount" not in answer:
            raise UnknownPayment("refund")
        # Older accounts leave the status out of a success; only another word means that it is still under way.
        done = answer.get("refund_status", "REFUND_SUCCESS") == "REFUND_SUCCESS"
        return RefundState.SUCCEEDED if done else RefundState.REQUESTED

    # -- notifications ------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notification:
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=FIELDS_MAX)
        except (UnicodeDecodeError, ValueError) as error:
            raise NotificationForged("it is no signed form") from error
        told = dict(pairs)
        if len(told) != len(pairs):
            raise NotificationForged("a field is given twice")
        signature = told.pop("sign", "")
        if told.get("sign_type") != "RSA2" or not self._signed_by_alipay(told, signature):
            raise NotificationForged("the signature does not match")
        try:
            return self._read(told, now)
        except (KeyError, ValueError) as error:
            raise NotificationMalformed(str(error)[:80]) from error

    def _signed_by_alipay(self, told: Mapping[str, str], signature: str) -> bool:
        try:
            return bool(self._sdk.verify(dict(told), signature))
        except (ValueError, TypeError):
            return False

    def _read(self, told: Mapping[str, str], now: datetime) -> Notification:
        if told["app_id"] != self._account.app_id:
            raise UnknownPayment("application")
        sent_at = _instant(told["notify_time"])
        age_s = (now - sent_at).total_seconds() if sent_at else REPEATED_FOR_S + 1
        if not -FUTURE_S <= age_s <= REPEATED_FOR_S:
            raise NotificationLate(f"it was sent {int(age_s)} s ago")
        event_id, order_id = told["notify_id"], UUID(told["out_trade_no"])
        if "refund_fee" in told and told.get("out_biz_no"):
            # `refund_fee` is what has been refunded in all, so this one refund's amount is not told.
            at, refund_id = _instant(told.get("gmt_refund")) or now, UUID(told["out_biz_no"])
            return Notification(
                NAME, event_id, event_id, Event.REFUND_SUCCEEDED, refund_id, order_id.hex, None, at, amount_told=False
            )
        status = told["trade_status"]
        event = {
            "WAIT_BUYER_PAY": Event.PAYMENT_PENDING,
            "TRADE_SUCCESS": Event.PAYMENT_SUCCEEDED,
            "TRADE_FINISHED": Event.PAYMENT_SUCCEEDED,
            "TRADE_CLOSED": Event.PAYMENT_FAILED,
        }[status]
        at = _instant(told.get("gmt_payment")) or now
        amount_fen = parse_yuan(told["total_amount"])
        return Notification(NAME, event_id, event_id, event, order_id, order_id.hex, amount_fen, at)

    def reply(self, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        if error is None or isinstance(error, NotificationReplayed):
            return Reply(200, "text/plain", b"success")
        return Reply(error.status, "text/plain", b"fail")

    # -- signed both ways ---------------------------------------------------------------------------------------------

    def _signed(self, method: str, content: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> str:
        now = self._clock.now().astimezone(CITY_TZ).strftime(TIME_FORMAT)
        data = self._sdk.build_body(method, dict(content), timestamp=now, **(extra or {}))
        return str(self._sdk.sign_data(data))

    async def _call(self, method: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """The verified answer; ProviderRefused, UnknownPayment, or ProviderUnavailable when asked to repeat."""

        def make() -> httpx.Request:
            headers = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
            body = self._signed(method, content).encode()
            return httpx.Request("POST", self._account.gateway_url, headers=headers, content=body)

        answer = await self._wire.ask(make)
        told = await asyncio.to_thread(self._opened, answer.text, method.replace(".", "_") + "_response")
        code, sub = str(told.get("code")), str(told.get("sub_code", ""))
        if code == DONE:
            return told
        if sub in NOT_EXIST:
            raise UnknownPayment
        if code == "20000" or sub in ("ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR"):
            raise ProviderUnavailable(NAME)
        raise ProviderRefused(NAME, sub or code)

    def _opened(self, text: str, name: str) -> dict[str, Any]:
        """The response object, verified over its very bytes; an unsigned or altered one counts as no answer."""
        try:
            signature = str(msgspec.json.decode(text)["sign"])
            plain = self._sdk._get_string_to_be_signed(text, name)
            if not self._sdk._verify(plain, signature):
                raise ProviderUnavailable(NAME)
            return dict(msgspec.json.decode(plain))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise ProviderUnavailable(NAME) from error


def _pem(text: str, label: str) -> str:
    text = text.strip()
    return text if text.startswith("-----BEGIN") else f"-----BEGIN {label}-----\n{text}\n-----END {label}-----"


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    return datetime.strptime(text[:19], TIME_FORMAT).replace(tzinfo=CITY_TZ).astimezone(UTC)
