"""Group robots understand what is sent, and their refusals are not taken for receipts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import pytest

from shanhe.webhooks import wire
from shanhe.webhooks.model import Delivery, Endpoint, Form

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
NOTICE = {
    "title": {"zh": "余额不足", "en": "Balance is low"}, "body": {"zh": "请充值。", "en": "Top up."}, "link": "/topup",
}  # fmt: skip


def sent(form: Form, url: str, secret: str = "") -> tuple[wire.Request, Any]:
    endpoint = Endpoint(UUID(int=1), UUID(int=2), form, url, secret, (), "active", "t", NOW)
    delivery = Delivery(UUID(int=3), endpoint.id, "credits.low", NOTICE, "pending", 1, NOW, NOW)
    made = wire.request(endpoint, delivery, NOW, "山河", "https://city.example.cn")
    return made, msgspec.json.decode(made.body)


class TestRobot:
    def test_of_wecom_gets_a_text(self) -> None:
        url = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1"
        made, body = sent(Form.WECOM, url)
        assert (made.url, body["msgtype"]) == (url, "text")
        for part in ("【山河】余额不足", "Top up.", "https://city.example.cn/topup"):
            assert part in body["text"]["content"]

    def test_of_dingtalk_is_signed_in_the_address(self) -> None:
        made, body = sent(Form.DINGTALK, "https://oapi.dingtalk.com/robot/send?access_token=1", "SECx")
        query = parse_qs(urlsplit(made.url).query)
        stamp = query["timestamp"][0]
        wanted = hmac.new(b"SECx", f"{stamp}\nSECx".encode(), hashlib.sha256).digest()
        assert (int(stamp), base64.b64decode(query["sign"][0])) == (int(NOW.timestamp() * 1000), wanted)
        assert body["msgtype"] == "text"

    def test_of_feishu_is_signed_in_the_body(self) -> None:
        _, body = sent(Form.FEISHU, "https://open.feishu.cn/open-apis/bot/v2/hook/1", "x")
        stamp = str(int(NOW.timestamp()))
        assert body["timestamp"] == stamp
        assert base64.b64decode(body["sign"]) == hmac.new(f"{stamp}\nx".encode(), b"", hashlib.sha256).digest()
        assert body["msg_type"] == "text"

    @pytest.mark.parametrize("form", [Form.DINGTALK, Form.FEISHU])
    def test_without_a_secret_is_not_signed(self, form: Form) -> None:
        made, body = sent(form, "https://robot.example.cn/1")
        assert (made.url, "sign" in body) == ("https://robot.example.cn/1", False)

    @pytest.mark.parametrize(
        ("form", "status", "body", "taken"),
        [
            (Form.WECOM, 200, b'{"errcode":0,"errmsg":"ok"}', True),
            (Form.WECOM, 200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', False),
            (Form.DINGTALK, 200, b'{"errcode":310000,"errmsg":"sign not match"}', False),
            (Form.FEISHU, 200, b'{"code":0,"msg":"success"}', True),
            (Form.FEISHU, 200, b'{"StatusCode":0}', True),
            (Form.FEISHU, 200, b'{"code":19021,"msg":"sign match fail"}', False),
            (Form.FEISHU, 200, b"<html>", False),
            (Form.FEISHU, 500, b'{"code":0}', False),
            (Form.STANDARD, 204, b"", True),
            (Form.STANDARD, 302, b"", False),
        ],
    )
    def test_says_in_its_answer_whether_it_took_it(self, form: Form, status: int, body: bytes, taken: bool) -> None:
        assert wire.taken(form, status, body) is taken
