"""WeChat Pay API v3, Native payments: the payer scans a code. Signing, verification and decryption are wechatpayv3's.

Its client is not used: it blocks, signs with the machine's clock, has a fixed address and fetches certificates at will.
So requests go through `wire`, and the institution's key comes from a file, as its public-key mode has it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.errors import ShanheError
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
from shanhe.payments.signing import NONCE_LIMIT_CHARS, WINDOW_S
from shanhe.payments.wire import Wire

NAME = "wechat"
PRODUCTION_URL = "https://api.mch.weixin.qq.com"
LIMITS = AmountLimits(least_fen=1, most_fen=5_000_000_00)
ALGORITHM = "WECHATPAY2-SHA256-RSA2048"
DESCRIPTION_LIMIT_BYTES = 127
REASON_LIMIT_BYTES = 80
APIV3_KEY_BYTES = 32
STATES = {
    "SUCCESS": State.PAID,
    "REFUND": State.PAID,
    "NOTPAY": State.PENDING,
    "USERPAYING": State.PENDING,
    "PAYERROR": State.FAILED,
    "CLOSED": State.EXPIRED,
    "REVOKED": State.EXPIRED,
}
REFUND_STATES = {
    "SUCCESS": RefundState.SUCCEEDED,
    "CLOSED": RefundState.FAILED,
    "ABNORMAL": RefundState.FAILED,
    "PROCESSING": RefundState.REQUESTED,
}
REFUND_EVENTS = {
    "REFUND.SUCCESS": Event.REFUND_SUCCEEDED,
    "REFUND.ABNORMAL": Event.REFUND_FAILED,
    "REFUND.CLOSED": Event.REFUND_FAILED,
}


@dataclass(frozen=True)
class WeChatAccount:
    """A merchant at WeChat Pay. Keys are PEM texts; `platform_key` is the institution's public key or certificate."""

    mchid: str
    appid: str
    cert_serial: str
    private_key: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    platform_key: str = field(repr=False)
    platform_key_id: str = ""
    notify_url: str = ""
    base_url: str = PRODUCTION_URL


class WeChat(PayerPresent):
    """See `model.Provider`."""

    name, limits, order_life_s = NAME, LIMITS, ORDER_LIFE_S

    def __init__(
        self, account: WeChatAccount, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._account = account
        self._clock = clock
        self._wire = Wire(NAME, transport=transport)
        self._base = account.base_url.rstrip("/")
        if len(account.apiv3_key.encode()) != APIV3_KEY_BYTES:
            raise ProviderMisconfigured(NAME, f"the APIv3 key needs {APIV3_KEY_BYTES} bytes")
        from wechatpayv3 import utils  # with the certificates it reads a cost that only cities with this method bear

        self._utils = utils
        try:
            self._private = utils.load_private_key(account.private_key)
            self._keys = _platform_keys(account, utils)
        except Exception as error:  # the library raises bare Exception
            raise ProviderMisconfigured(NAME, "a key file cannot be read") from error
        if self._private is None or not self._keys:
            raise ProviderMisconfigured(NAME, "a key file is empty")

    # -- the provider protocol ----------------------------------------------------------------------------------------

    async def create(self, order: Order) -> Created:
        body = {
            "appid": self._account.appid,
            "mchid": self._account.mchid,
            "description": _cut(order.subject, DESCRIPTION_LIMIT_BYTES),
            "out_trade_no": order.id.hex,
            "time_expire": order.expires_at.astimezone(CITY_TZ).isoformat(timespec="seconds"),
            "notify_url": self._account.notify_url,
            "amount": {"total": order.amount_fen, "currency": "CNY"},
        }
        page = f"/pay/{NAME}/{order.id.hex}"
        try:
            answer = await self._call("POST", "/v3/pay/transactions/native", body)
        except ProviderRefused as refusal:
            if refusal.details["institution_code"] == "ORDERPAID":  # a crash came between paying and our books
                return Created(order.id.hex, page)
            raise
        return Created(order.id.hex, page, {"qr": str(answer["code_url"])})

    async def query(self, order: Order) -> ProviderPayment:
        path = f"/v3/pay/transactions/out-trade-no/{order.id.hex}?mchid={self._account.mchid}"
        try:
            answer = await self._call("GET", path)
        except ProviderRefused as refusal:
            raise _unknown(refusal, "ORDER_NOT_EXIST") from refusal
        state = STATES.get(str(answer.get("trade_state")), State.PENDING)
        total = answer.get("amount", {}).get("total", order.amount_fen if state is not State.PAID else None)
        if not isinstance(total, int):
            raise ProviderRefused(NAME, "the answer names no amount")
        paid_at = _instant(answer.get("success_time")) if state is State.PAID else None
        return ProviderPayment(order.id.hex, state, total, paid_at)

    async def close(self, order: Order) -> ProviderPayment:
        path = f"/v3/pay/transactions/out-trade-no/{order.id.hex}/close"
        try:
            await self._call("POST", path, {"mchid": self._account.mchid})
        except ProviderRefused as refusal:
            if refusal.details["institution_code"] in ("ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS"):
                raise UnknownPayment from refusal
            # paid or closed already: the query says which
        return await self.query(order)

    async def refund(self, order: Order, refund: Refund) -> str:
        body = {
            "out_trade_no": order.id.hex,
            "out_refund_no": refund.id.hex,
            "reason": _cut(refund.reason, REASON_LIMIT_BYTES),
            "notify_url": self._account.notify_url,
            "amount": {"refund": refund.amount_fen, "total": order.amount_fen, "currency": "CNY"},
        }
        answer = await self._call("POST", "/v3/refund/domestic/refunds", body)
        return str(answer["refund_id"])

    async def refund_state(self, order: Order, refund: Refund) -> RefundState:
        try:
            answer = await self._call("GET", f"/v3/refund/domestic/refunds/{refund.id.hex}")
        except ProviderRefused as refusal:
            raise _unknown(refusal, "RESOURCE_NOT_EXISTS") from refusal
        return REFUND_STATES.get(str(answer.get("status")), RefundState.REQUESTED)

    # -- notifications ------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notification:
        nonce = self._checked(headers, body, now)
        try:
            read = msgspec.json.decode(body)
            sealed = read["resource"]
            if sealed["algorithm"] != "AEAD_AES_256_GCM":
                raise NotificationMalformed(f"its algorithm is {sealed['algorithm']!r}")
            text = self._utils.aes_decrypt(
                sealed["nonce"], sealed["ciphertext"], sealed.get("associated_data") or "", self._account.apiv3_key
            )
            if text is None:
                raise NotificationForged("it does not open with the APIv3 key")
            return self._read(str(read["id"]), str(read["event_type"]), nonce, msgspec.json.decode(text))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotificationMalformed(type(error).__name__) from error

    def _read(self, event_id: str, kind: str, nonce: str, told: Mapping[str, Any]) -> Notification:
        if told["mchid"] != self._account.mchid:
            raise UnknownPayment("merchant")
        amount = told["amount"]
        if kind == "TRANSACTION.SUCCESS":
            if told.get("appid") != self._account.appid or told["trade_state"] != "SUCCESS":
                raise NotificationMalformed("it is no successful payment of this application")
            if amount.get("currency", "CNY") != "CNY":
                raise NotificationMalformed("it is not in CNY")
            event, subject, total = Event.PAYMENT_SUCCEEDED, told["out_trade_no"], amount["total"]
        elif kind in REFUND_EVENTS:
            event, subject, total = REFUND_EVENTS[kind], told["out_refund_no"], amount["refund"]
        else:
            raise NotificationMalformed(f"nothing is known of {kind[:40]!r}")
        at = _instant(told.get("success_time")) or self._clock.now()
        total = total if isinstance(total, int) else None
        return Notification(NAME, event_id, nonce, event, UUID(subject), told["out_trade_no"], total, at)

    def reply(self, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        if error is None or isinstance(error, NotificationReplayed):
            return Reply(200, "application/json", b'{"code":"SUCCESS"}')
        body = msgspec.json.encode({"code": "FAIL", "message": error.message_zh})
        return Reply(error.status, "application/json", body)

    # -- signed both ways ---------------------------------------------------------------------------------------------

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        content = msgspec.json.encode(body).decode() if body is not None else ""
        answer = await self._wire.ask(lambda: self._request(method, path, content))
        if answer.status_code == 401:
            raise ProviderRefused(NAME, "SIGN_ERROR")
        try:  # what is acted upon is verified, refusals too
            self._checked(answer.headers, answer.content, self._clock.now())
        except (NotificationForged, NotificationLate) as error:
            raise ProviderUnavailable(NAME) from error
        told = msgspec.json.decode(answer.content) if answer.content else {}
        if not answer.is_success:
            raise ProviderRefused(NAME, str(told.get("code", answer.status_code)))
        return dict(told)

    def _request(self, method: str, path: str, content: str) -> httpx.Request:
        account, nonce = self._account, secrets.token_hex(16).upper()
        timestamp = str(int(self._clock.now().timestamp()))
        place = urlsplit(f"{self._base}{path}")
        target = place.path + (f"?{place.query}" if place.query else "")
        signature = self._utils.rsa_sign(self._private, f"{method}\n{target}\n{timestamp}\n{nonce}\n{content}\n")
        parts = {
            "mchid": account.mchid,
            "nonce_str": nonce,
            "signature": signature,
            "timestamp": timestamp,
            "serial_no": account.cert_serial,
        }
        headers = {
            "authorization": f"{ALGORITHM} " + ",".join(f'{key}="{value}"' for key, value in parts.items()),
            "accept": "application/json",
            "content-type": "application/json",
            "wechatpay-serial": next(iter(self._keys)),
        }
        return httpx.Request(method, f"{self._base}{path}", headers=headers, content=content.encode())

    def _checked(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """The nonce of a message that the institution signed lately; NotificationForged or NotificationLate."""
        plain = {name.lower(): value for name, value in headers.items()}
        key = self._keys.get(plain.get("wechatpay-serial", "").upper().lstrip("0"))
        timestamp, nonce = plain.get("wechatpay-timestamp", ""), plain.get("wechatpay-nonce", "")
        if key is None or plain.get("wechatpay-signature-type", ALGORITHM) != ALGORITHM:
            raise NotificationForged("it is not signed with a known key")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise NotificationForged("it has no timestamp")
        if not (0 < len(nonce) <= NONCE_LIMIT_CHARS and nonce.isascii() and nonce.isprintable()):
            raise NotificationForged("it has no nonce")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise NotificationForged("it is no text") from error
        if not self._utils.rsa_verify(timestamp, nonce, text, plain.get("wechatpay-signature", ""), key):
            raise NotificationForged("the signature does not match")
        age_s = now.timestamp() - int(timestamp)
        if abs(age_s) > WINDOW_S:
            raise NotificationLate(f"it was signed {int(age_s)} s ago")
        return nonce


def _platform_keys(account: WeChatAccount, utils: Any) -> dict[str, RSAPublicKey]:
    """The institution's keys by the name it signs with: a certificate's serial number, or a public key's id."""
    if "BEGIN CERTIFICATE" not in account.platform_key:
        if not account.platform_key_id:
            raise ProviderMisconfigured(NAME, "the institution's public key needs its id")
        return {account.platform_key_id.upper(): utils.load_public_key(account.platform_key)}
    certificate = utils.load_certificate(account.platform_key)
    return {f"{certificate.serial_number:X}".lstrip("0"): certificate.public_key()}


def _unknown(refusal: ProviderRefused, code: str) -> ShanheError:
    return UnknownPayment() if refusal.details["institution_code"] == code else refusal


def _instant(text: object) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) and text else None


def _cut(text: str, limit_bytes: int) -> str:
    return text.encode()[:limit_bytes].decode(errors="ignore")
