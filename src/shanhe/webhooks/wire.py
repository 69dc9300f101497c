"""What is sent to an address and how its answer is read: pure, one function a form.

Standard Webhooks 1.0 (standardwebhooks.com) for programs. Group robots as their makers describe them: WeCom (群机器人,
the key is in the address), DingTalk (自定义机器人, signed in the address), Feishu (自定义机器人, signed in the body).
They answer 200 to what they refuse, with a code that isn't 0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus
from uuid import UUID

import msgspec

from shanhe.webhooks.model import Delivery, Endpoint, Form

PREFIX: Final = "whsec_"
CODES: Final = {Form.WECOM: ("errcode",), Form.DINGTALK: ("errcode",), Form.FEISHU: ("code", "StatusCode")}
JSON: Final = {"content-type": "application/json; charset=utf-8"}


class Request(msgspec.Struct, frozen=True):
    """One POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def secret_of(key: bytes, endpoint: UUID, turn: int) -> str:
    """The secret of an address that speaks the standard form, as its owner is told it; another at each turn."""
    which = endpoint.bytes + (turn.to_bytes(4, "big") if turn else b"")
    return PREFIX + base64.b64encode(hmac.digest(key, which, hashlib.sha256)).decode()


def request(endpoint: Endpoint, delivery: Delivery, now: datetime, city: str, link_base: str) -> Request:
    """What to send; the same delivery has the same id each time, and a signature of now."""
    if endpoint.form is Form.STANDARD:
        return _standard(endpoint, delivery, now, link_base)
    text = told(delivery.notice, city, link_base)
    if endpoint.form is Form.WECOM:
        return Request(endpoint.url, JSON, _encode({"msgtype": "text", "text": {"content": text}}))
    if endpoint.form is Form.DINGTALK:
        return _dingtalk(endpoint, text, now)
    return _feishu(endpoint, text, now)


def taken(form: Form, status: int, body: bytes) -> bool:
    """Whether an answer says that it was taken."""
    if not 200 <= status < 300:
        return False
    if form is Form.STANDARD:
        return True
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return False
    return any(said.get(name) == 0 for name in CODES[form])


def told(notice: Mapping[str, Any], city: str, link_base: str) -> str:
    """A notice as a text for people."""
    link = f"\n{link_base}{notice['link']}" if notice["link"] else ""
    title, body = notice["title"], notice["body"]
    return f"【{city}】{title['zh']}\n{body['zh']}\n\n{title['en']}\n{body['en']}{link}"


def _standard(endpoint: Endpoint, delivery: Delivery, now: datetime, link_base: str) -> Request:
    notice = delivery.notice
    data = {**notice, "link": f"{link_base}{notice['link']}" if notice["link"] else ""}
    body = _encode({"type": delivery.kind, "timestamp": delivery.made_at.isoformat(), "data": data})
    stamp = str(int(now.timestamp()))
    secrets = [endpoint.secret, *([endpoint.secret_before] if endpoint.overlaps(now) else [])]
    keys = [base64.b64decode(secret.removeprefix(PREFIX)) for secret in secrets]
    signed = f"{delivery.id}.{stamp}.".encode() + body
    signatures = " ".join(f"v1,{_digest(key, signed)}" for key in keys)
    return Request(
        endpoint.url,
        {**JSON, "webhook-id": str(delivery.id), "webhook-timestamp": stamp, "webhook-signature": signatures},
        body,
    )


def _dingtalk(endpoint: Endpoint, text: str, now: datetime) -> Request:
    url = endpoint.url
    if endpoint.secret:
        stamp = str(int(now.timestamp() * 1000))
        sign = _digest(endpoint.secret.encode(), f"{stamp}\n{endpoint.secret}".encode())
        url += f"{'&' if '?' in url else '?'}timestamp={stamp}&sign={quote_plus(sign)}"
    return Request(url, JSON, _encode({"msgtype": "text", "text": {"content": text}}))


def _feishu(endpoint: Endpoint, text: str, now: datetime) -> Request:
    said: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
    if endpoint.secret:
        stamp = str(int(now.timestamp()))
        said |= {"timestamp": stamp, "sign": _digest(f"{stamp}\n{endpoint.secret}".encode(), b"")}
    return Request(endpoint.url, JSON, _encode(said))


def _digest(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
