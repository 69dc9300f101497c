"""Scripted institutions: keys of their own, strict about what a merchant signs, sealing like the real ones."""

from __future__ import annotations

import base64
import json
import re
import secrets
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

import httpx
from alipay import AliPay
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3.utils import rsa_sign, rsa_verify

from shanhe.kernel.clock import CITY_TZ, FixedClock
from shanhe.payments.alipay import AlipayAccount
from shanhe.payments.wechat import WeChatAccount

MCHID, APPID, SERIAL = "1900000001", "wxd678efh567hg6787", "5157F09EFDC096DE15EBE81A47057A72"
APIV3_KEY = "k" * 32
PLATFORM_ID = "PUB_KEY_ID_0119000000012024"
MISSING = b'{"code":"RESOURCE_NOT_EXISTS"}'
AUTHORIZATION = re.compile(r'(\w+)="([^"]*)"')


@cache
def key_of(who: str) -> rsa.RSAPrivateKey:
    """The merchant's, the platform's or a stranger's key, made when it is first used."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def certificate(key: rsa.RSAPrivateKey, clock: FixedClock) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com sandbox")])
    now = clock.now()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(0x0ABC123).not_valid_before(now).not_valid_after(now + timedelta(days=365))
    return builder.sign(key, hashes.SHA256())


def wechat_account(**changes: Any) -> WeChatAccount:
    fields = {
        "mchid": MCHID,
        "appid": APPID,
        "cert_serial": SERIAL,
        "private_key": private_pem(key_of("merchant")),
        "apiv3_key": APIV3_KEY,
        "platform_key": public_pem(key_of("platform")),
        "platform_key_id": PLATFORM_ID,
        "notify_url": "https://city.example/api/payments/notify/wechat",
        "base_url": "http://wechat.test",
    }
    return WeChatAccount(**(fields | changes))


def alipay_account() -> AlipayAccount:
    return AlipayAccount(
        app_id="2021000000000001",
        private_key=private_pem(key_of("merchant")),
        alipay_key=public_pem(key_of("platform")),
        notify_url="https://city.example/api/payments/notify/alipay",
        return_url="https://city.example",
        gateway_url="http://alipay.test/gateway.do",
    )


class Books:
    """What both institutions remember: payments by out_trade_no, refunds by their own number."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.payments: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.broken: list[int] = []
        self.signer = key_of("platform")
        self.serial = PLATFORM_ID

    def pay(self, number: str) -> None:
        self.payments[number]["state"] = "SUCCESS"

    def refund(self, trade: str, number: str, amount: int) -> dict[str, Any]:
        return self.refunds.setdefault(number, {"trade": trade, "amount": amount, "state": "SUCCESS"})


class WeChatSide(Books):
    """`transport` is the other end of the wire."""

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.broken:
            return httpx.Response(self.broken.pop())
        path = request.url.raw_path.decode()
        self.asked.append(f"{request.method} {path}")
        if not self.authentic(request.method, path, request.headers["authorization"], request.content.decode()):
            return httpx.Response(401, json={"code": "SIGN_ERROR"})
        status, body = self.decide(request.method, path.split("?")[0], json.loads(request.content or b"{}"))
        return httpx.Response(status, headers=self.signed(body), content=body)

    def authentic(self, method: str, path: str, authorization: str, body: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        given = dict(AUTHORIZATION.findall(rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048" or (given["mchid"], given["serial_no"]) != (MCHID, SERIAL):
            return False
        head = f"{method}\n{path}\n{given['timestamp']}"  # rsa_verify joins with newlines what it is given
        return bool(rsa_verify(head, given["nonce_str"], body, given["signature"], key_of("merchant").public_key()))

    def signed(self, body: bytes) -> dict[str, str]:
        timestamp, nonce = str(int(self.clock.now().timestamp())), secrets.token_hex(16)
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.serial,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
            "Wechatpay-Signature": rsa_sign(self.signer, f"{timestamp}\n{nonce}\n{body.decode()}\n"),
            "content-type": "application/json",
        }

    def decide(self, method: str, path: str, asked: dict[str, Any]) -> tuple[int, bytes]:
        parts = path.strip("/").split("/")
        if path == "/v3/pay/transactions/native":
            number = asked["out_trade_no"]
            made = {"total": asked["amount"]["total"], "state": "NOTPAY", "expire": asked["time_expire"]}
            payment = self.payments.setdefault(number, made)
            if payment["state"] == "SUCCESS":
                return 400, b'{"code":"ORDERPAID"}'
            return 200, json.dumps({"code_url": f"weixin://wxpay/bizpayurl?pr={number[:9]}"}).encode()
        if path == "/v3/refund/domestic/refunds":
            done = self.refund(asked["out_trade_no"], asked["out_refund_no"], asked["amount"]["refund"])
            return 200, json.dumps({"refund_id": f"wx{asked['out_refund_no'][:9]}", "status": done["state"]}).encode()
        if parts[1] == "refund":
            found = self.refunds.get(parts[-1])
            return (200, json.dumps({"status": found["state"]}).encode()) if found else (404, MISSING)
        number = parts[4]
        if number not in self.payments:
            return 404, b'{"code":"ORDER_NOT_EXIST"}'
        payment = self.payments[number]
        if parts[-1] == "close":
            if payment["state"] == "SUCCESS":
                return 400, b'{"code":"ORDER_PAID"}'
            payment["state"] = "CLOSED"
            return 204, b""
        told = {"trade_state": payment["state"], "amount": {"total": payment["total"]}, "out_trade_no": number}
        if payment["state"] == "SUCCESS":
            told["success_time"] = self.clock.now().astimezone(CITY_TZ).isoformat(timespec="seconds")
        return 200, json.dumps(told).encode()

    def notice(self, kind: str, resource: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """A notification as it leaves the institution: sealed with the APIv3 key, signed with the platform's."""
        nonce = secrets.token_hex(6)
        sealed = AESGCM(APIV3_KEY.encode()).encrypt(nonce.encode(), json.dumps(resource).encode(), b"transaction")
        body = {
            "id": secrets.token_hex(16),
            "event_type": kind,
            "resource_type": "encrypt-resource",
            "resource": {
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(sealed).decode(),
                "associated_data": "transaction",
                "nonce": nonce,
            },
        }
        text = json.dumps(body).encode()
        return self.signed(text), text

    def paid_notice(self, number: str, **changes: Any) -> tuple[dict[str, str], bytes]:
        total = self.payments.get(number, {"total": 1})["total"]
        at = self.clock.now().astimezone(CITY_TZ).isoformat(timespec="seconds")
        told = {"mchid": MCHID, "appid": APPID, "out_trade_no": number, "trade_state": "SUCCESS", "success_time": at}
        return self.notice("TRANSACTION.SUCCESS", told | {"amount": {"total": total, "currency": "CNY"}} | changes)

    def refund_notice(self, number: str, event: str = "REFUND.SUCCESS") -> tuple[dict[str, str], bytes]:
        refund = self.refunds[number]
        told = {"mchid": MCHID, "out_trade_no": refund["trade"], "out_refund_no": number}
        return self.notice(event, told | {"amount": {"refund": refund["amount"], "total": 1}})


class AlipaySide(Books):
    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.keys(key_of("platform"))

    def keys(self, signer: rsa.RSAPrivateKey) -> None:
        """The real library with the keys the other way round: it signs as Alipay and verifies the merchant."""
        self.sdk = AliPay("2021000000000001", None, private_pem(signer), public_pem(key_of("merchant")), "RSA2")

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def authentic(self, pairs: dict[str, str]) -> bool:
        fields = dict(pairs)
        signature = fields.pop("sign")
        return bool(self.sdk._verify("&".join(f"{k}={v}" for k, v in sorted(fields.items())), signature))

    def open_page(self, link: str) -> dict[str, str]:
        """The payer opens Alipay's page: only now is the payment known here."""
        fields = {key: values[0] for key, values in parse_qs(link.split("?", 1)[1]).items()}
        assert self.authentic(fields)
        content = json.loads(fields["biz_content"])
        made = {"total": content["total_amount"], "state": "WAIT_BUYER_PAY"}
        self.payments.setdefault(content["out_trade_no"], made)
        return fields

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.broken:
            return httpx.Response(self.broken.pop())
        fields = dict(parse_qsl(request.content.decode()))
        self.asked.append(fields["method"])
        told = self.decide(fields) if self.authentic(fields) else {"code": "40002", "sub_code": "isv.invalid-signature"}
        plain = json.dumps({"msg": "…", **told}, separators=(",", ":"))
        name = fields["method"].replace(".", "_") + "_response"
        return httpx.Response(200, text=f'{{"{name}":{plain},"sign":"{self.sdk._sign(plain)}"}}')

    def decide(self, fields: dict[str, str]) -> dict[str, Any]:
        asked, method = json.loads(fields["biz_content"]), fields["method"]
        payment = self.payments.get(asked["out_trade_no"])
        if payment is None:
            return {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}
        if method == "alipay.trade.query":
            told = {"code": "10000", "trade_status": payment["state"], "total_amount": payment["total"]}
            at = self.clock.now().astimezone(CITY_TZ).strftime("%Y-%m-%d %H:%M:%S")
            return told | ({"send_pay_date": at} if payment["state"] == "TRADE_SUCCESS" else {})
        if method == "alipay.trade.close":
            if payment["state"] != "WAIT_BUYER_PAY":
                return {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}
            payment["state"] = "TRADE_CLOSED"
            return {"code": "10000"}
        if method == "alipay.trade.refund":
            self.refund(asked["out_trade_no"], asked["out_request_no"], asked["refund_amount"])
            return {"code": "10000", "fund_change": "Y", "trade_no": "2026112022001"}
        found = self.refunds.get(asked["out_request_no"])
        done = {"refund_amount": found["amount"], "refund_status": "REFUND_SUCCESS"} if found else {}
        return {"code": "10000", **done}

    def pay(self, number: str) -> None:
        self.payments[number]["state"] = "TRADE_SUCCESS"

    def notice(self, **told: str) -> tuple[dict[str, str], bytes]:
        """A notification as it leaves Alipay: a form, signed over its sorted fields without sign and sign_type."""
        now = self.clock.now().astimezone(CITY_TZ).strftime("%Y-%m-%d %H:%M:%S")
        fields = {"app_id": "2021000000000001", "charset": "utf-8", "notify_id": secrets.token_hex(12),
                  "notify_time": now, "notify_type": "trade_status_sync", "version": "1.0", **told}  # fmt: skip
        sign = self.sdk._sign("&".join(f"{key}={value}" for key, value in sorted(fields.items())))
        return {}, urlencode({**fields, "sign": sign, "sign_type": "RSA2"}).encode()

    def paid_notice(self, number: str, **changes: str) -> tuple[dict[str, str], bytes]:
        total = self.payments.get(number, {"total": "0.01"})["total"]
        told = {"out_trade_no": number, "trade_status": "TRADE_SUCCESS", "total_amount": total}
        return self.notice(**(told | changes))
