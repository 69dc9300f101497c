"""WeChat Pay and Alipay, spoken to as they are: signed requests, verified answers, sealed notifications."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from wechatpayv3.core import Core
from wechatpayv3.utils import build_authorization

from shanhe.kernel import http
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.payments import routes
from shanhe.payments.alipay import Alipay
from shanhe.payments.api import (
    AmountMismatch,
    MethodCannot,
    NotificationForged,
    NotificationLate,
    NotificationMalformed,
    NotificationReplayed,
    Order,
    OrderRequest,
    Payments,
    ProviderMisconfigured,
    ProviderUnavailable,
    RefundState,
    State,
    UnknownPayment,
)
from shanhe.payments.wechat import WeChat

from .conftest import NOON
from .institution import (
    APIV3_KEY,
    MCHID,
    PLATFORM_ID,
    SERIAL,
    AlipaySide,
    WeChatSide,
    alipay_account,
    certificate,
    key_of,
    private_pem,
    public_pem,
    wechat_account,
)


class Desk:
    """Payments with one real method, and the institution at the other end of the wire."""

    def __init__(self, db: Database, method: str) -> None:
        self.clock = FixedClock(NOON)
        self.side: Any = WeChatSide(self.clock) if method == "wechat" else AlipaySide(self.clock)
        self.provider: Any = (
            WeChat(wechat_account(), self.clock, transport=self.side.transport)
            if method == "wechat"
            else Alipay(alipay_account(), self.clock, transport=self.side.transport)
        )
        self.payments = Payments(db, self.clock, {method: self.provider})
        self.told: list[Order] = []
        self.payments.subscribe("test", self.hear)
        self.method, self.db = method, db

    async def hear(self, order: Order) -> None:
        self.told.append(order)
        await self.payments.acknowledge(order)

    async def ordered(self, amount_fen: int = 7_000) -> Order:
        request = OrderRequest(uuid4(), "r", "test", self.method, amount_fen, "积分充值", return_path="/topup")
        order = await self.payments.create(request)
        if self.method == "alipay":
            self.side.open_page(order.details["link"])
        return order

    async def notify(self, notice: tuple[dict[str, str], bytes]) -> Any:
        return await self.payments.notify(self.method, *notice)

    async def paid(self) -> Order:
        order = await self.ordered()
        self.side.pay(order.id.hex)
        await self.notify(self.side.paid_notice(order.id.hex))
        return await self.payments.order(order.id)

    async def refused(self, error: type[Exception], notice: tuple[dict[str, str], bytes]) -> None:
        before = await self.db.fetch("SELECT id, state, refunded_fen FROM payments.pay_order")
        told = len(self.told)
        with pytest.raises(error):
            await self.notify(notice)
        assert await self.db.fetch("SELECT id, state, refunded_fen FROM payments.pay_order") == before
        assert len(self.told) == told


@pytest.fixture(params=["wechat", "alipay"])
def desk(request: pytest.FixtureRequest, database: Database) -> Desk:
    return Desk(database, request.param)


@pytest.fixture
def wechat(database: Database) -> Desk:
    return Desk(database, "wechat")


@pytest.fixture
def alipay(database: Database) -> Desk:
    return Desk(database, "alipay")


class TestOrder:
    async def test_is_paid_by_a_signed_notification_once(self, desk: Desk) -> None:
        order = await desk.ordered()
        assert order.state is State.PENDING
        desk.side.pay(order.id.hex)
        for _ in range(3):  # repeated by the institution, each time signed anew
            await desk.notify(desk.side.paid_notice(order.id.hex))
        assert (await desk.payments.order(order.id)).state is State.PAID
        assert len(desk.told) == 1

    async def test_is_found_paid_by_asking_when_the_notification_is_lost(self, desk: Desk) -> None:
        order = await desk.ordered()
        desk.side.pay(order.id.hex)
        desk.clock.advance(seconds=61)
        assert await desk.payments.sweep() == 1
        assert (await desk.payments.order(order.id)).state is State.PAID

    async def test_is_closed_at_the_institution_when_time_is_up(self, desk: Desk) -> None:
        order = await desk.ordered()
        desk.clock.advance(seconds=1_801)
        await desk.payments.sweep()
        assert (await desk.payments.order(order.id)).state is State.EXPIRED
        assert desk.side.payments[order.id.hex]["state"] in ("CLOSED", "TRADE_CLOSED")

    async def test_cancelled_too_late_is_paid(self, desk: Desk) -> None:
        order = await desk.ordered()
        desk.side.pay(order.id.hex)
        assert (await desk.payments.cancel(order.id)).state is State.PAID

    async def test_survives_a_busy_institution(self, desk: Desk) -> None:
        order = await desk.ordered()
        desk.side.broken = [503, 500]
        assert (await desk.provider.query(order)).state is State.PENDING
        desk.side.broken = [503, 500, 502]
        with pytest.raises(ProviderUnavailable):
            await desk.provider.query(order)

    async def test_believes_no_answer_that_a_stranger_signed(self, desk: Desk) -> None:
        order = await desk.ordered()
        desk.side.pay(order.id.hex)
        desk.side.signer = key_of("stranger")
        if desk.method == "alipay":
            desk.side.keys(key_of("stranger"))
        with pytest.raises(ProviderUnavailable):
            await desk.provider.query(order)

    async def test_of_wechat_shows_a_code_and_is_created_once(self, wechat: Desk) -> None:
        order = await wechat.ordered()
        assert order.details["qr"].startswith("weixin://wxpay/")
        assert order.redirect_url == f"/pay/wechat/{order.id.hex}"
        assert wechat.side.payments[order.id.hex]["expire"] == "2026-06-01T12:30:00+08:00"

    async def test_of_alipay_is_unknown_there_until_its_page_is_opened(self, alipay: Desk) -> None:
        request = OrderRequest(uuid4(), "r", "test", "alipay", 7_005, "积分充值", return_path="/topup")
        order = await alipay.payments.create(request)
        with pytest.raises(UnknownPayment):
            await alipay.provider.query(order)
        fields = alipay.side.open_page(order.details["link"])
        assert (fields["timestamp"], fields["return_url"]) == ("2026-06-01 12:00:00", "https://city.example/topup")
        assert (await alipay.provider.query(order)).amount_fen == 7_005

    async def test_offers_no_mandate(self, desk: Desk) -> None:
        with pytest.raises(MethodCannot):
            await desk.payments.authorise(uuid4(), client_ref="m", provider=desk.method, limit_fen=100)


class TestRefund:
    async def test_of_a_part_then_the_rest_ends_the_order(self, desk: Desk) -> None:
        order = await desk.paid()
        for part, ref in ((2_000, "a"), (5_000, "b")):
            await desk.payments.refund(order.id, part, client_ref=ref, reason="退款", actor="t")
        assert {r.state for r in await desk.payments.refunds(order.id)} == {RefundState.REQUESTED}
        desk.clock.advance(seconds=61)
        assert await desk.payments.sweep() == 2
        order = await desk.payments.order(order.id)
        assert (order.state, order.refunded_fen) == (State.REFUNDED, 7_000)

    @pytest.mark.parametrize(
        ("event", "state"), [("REFUND.SUCCESS", RefundState.SUCCEEDED), ("REFUND.CLOSED", RefundState.FAILED)]
    )
    async def test_at_wechat_ends_by_its_notification(self, wechat: Desk, event: str, state: RefundState) -> None:
        order = await wechat.paid()
        refund = await wechat.payments.refund(order.id, 2_000, client_ref="a", reason="r", actor="t")
        await wechat.notify(wechat.side.refund_notice(refund.id.hex, event))
        assert (await wechat.payments.refund_of(refund.id)).state is state

    async def test_at_alipay_ends_by_a_notification_that_tells_only_the_sum(self, alipay: Desk) -> None:
        order = await alipay.paid()
        refund = await alipay.payments.refund(order.id, 2_000, client_ref="a", reason="r", actor="t")
        told = {"out_biz_no": refund.id.hex, "refund_fee": "20.00", "gmt_refund": "2026-06-01 12:00:00"}
        await alipay.notify(alipay.side.paid_notice(order.id.hex, **told))
        assert (await alipay.payments.refund_of(refund.id)).state is RefundState.SUCCEEDED


class TestNotification:
    async def test_forged_changes_nothing(self, desk: Desk) -> None:
        order = await desk.ordered()
        headers, body = desk.side.paid_notice(order.id.hex)
        await desk.refused(NotificationForged, (headers, body[:-30] + bytes([body[-30] ^ 1]) + body[-29:]))
        await desk.refused(NotificationForged, (headers, body + b"x"))
        await desk.refused(NotificationForged, ({}, b""))
        desk.side.signer = key_of("stranger")
        if desk.method == "alipay":
            desk.side.keys(key_of("stranger"))
        await desk.refused(NotificationForged, desk.side.paid_notice(order.id.hex))

    async def test_replayed_changes_nothing(self, desk: Desk) -> None:
        order = await desk.ordered()
        notice = desk.side.paid_notice(order.id.hex)
        await desk.notify(notice)
        await desk.refused(NotificationReplayed, notice)

    async def test_signed_long_ago_changes_nothing(self, desk: Desk) -> None:
        order = await desk.ordered()
        notice = desk.side.paid_notice(order.id.hex)
        desk.clock.advance(hours=27)
        await desk.refused(NotificationLate, notice)

    async def test_for_a_closed_order_is_refused_and_kept(self, desk: Desk) -> None:
        order = await desk.ordered()
        await desk.payments.cancel(order.id)
        await desk.refused(NotificationLate, desk.side.paid_notice(order.id.hex))
        assert await desk.db.fetchval("SELECT why FROM payments.stray") == "late"

    async def test_for_an_unknown_order_is_refused(self, desk: Desk) -> None:
        await desk.refused(UnknownPayment, desk.side.paid_notice(uuid4().hex))

    async def test_over_another_amount_is_refused(self, desk: Desk) -> None:
        order = await desk.ordered()
        other: dict[str, Any] = {"amount": {"total": 1}} if desk.method == "wechat" else {"total_amount": "0.01"}
        await desk.refused(AmountMismatch, desk.side.paid_notice(order.id.hex, **other))

    async def test_of_another_merchant_is_refused(self, desk: Desk) -> None:
        order = await desk.ordered()
        other = {"mchid": "1"} if desk.method == "wechat" else {"app_id": "1"}
        await desk.refused(UnknownPayment, desk.side.paid_notice(order.id.hex, **other))

    async def test_of_nonsense_is_malformed(self, desk: Desk) -> None:
        await desk.refused(NotificationMalformed, desk.side.paid_notice("nonsense"))

    async def test_is_answered_in_the_words_of_its_institution(self, desk: Desk) -> None:
        order = await desk.ordered()
        app = FastAPI()
        http.install(app)
        http.take(app, routes.router(desk.payments, None))
        good = {"wechat": b'{"code":"SUCCESS"}', "alipay": b"success"}[desk.method]
        bad = {"wechat": b"FAIL", "alipay": b"fail"}[desk.method]
        headers, body = desk.side.paid_notice(order.id.hex)
        async with AsyncClient(transport=ASGITransport(app), base_url="http://city") as client:
            page = await client.get(f"/pay/{desk.method}/{order.id.hex}")
            assert page.status_code == 200
            assert "70.00" in page.text
            assert ("<svg" in page.text) == (desk.method == "wechat")
            for expected in (good, good):  # the second is a replay: taken as read, or it would come for a day
                answer = await client.post(f"/api/payments/notify/{desk.method}", headers=headers, content=body)
                assert (answer.status_code, answer.content) == (200, expected)
            answer = await client.post(f"/api/payments/notify/{desk.method}", content=b"{}")
            assert answer.status_code == 401
            assert bad in answer.content
            assert (await client.get(f"/pay/sandbox/{order.id.hex}")).status_code == 404
        assert (await desk.payments.order(order.id)).state is State.PAID


class TestLibrary:
    """The scripted institution is as strict and speaks as the libraries do."""

    def core(self) -> Core:
        keys = {"public_key": public_pem(key_of("platform")), "public_key_id": PLATFORM_ID}
        return Core(MCHID, SERIAL, private_pem(key_of("merchant")), APIV3_KEY, **keys)

    async def test_of_wechat_reads_the_same_notification(self, wechat: Desk) -> None:
        order = await wechat.ordered()
        headers, body = wechat.side.paid_notice(order.id.hex)
        assert self.core().callback(headers, body)["resource"]["out_trade_no"] == order.id.hex
        ours = wechat.provider.verify(headers, body, wechat.clock.now())
        assert (ours.subject_id, ours.amount_fen) == (order.id, 7_000)

    def test_of_wechat_signs_what_the_institution_accepts(self, clock: FixedClock) -> None:
        side = WeChatSide(clock)
        made = build_authorization("/v3/x?a=1", "GET", MCHID, SERIAL, key_of("merchant"))
        assert side.authentic("GET", "/v3/x?a=1", made, "")
        assert not side.authentic("GET", "/v3/x?a=2", made, "")

    async def test_key_may_be_a_platform_certificate(self, wechat: Desk) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding

        made = certificate(key_of("platform"), wechat.clock)
        wechat.side.serial = f"{made.serial_number:040X}"
        account = wechat_account(platform_key=made.public_bytes(Encoding.PEM).decode(), platform_key_id="")
        provider = WeChat(account, wechat.clock, transport=wechat.side.transport)
        payments = Payments(wechat.db, wechat.clock, {"wechat": provider})
        order = await payments.create(OrderRequest(uuid4(), "r", "test", "wechat", 100, "s"))
        assert (await provider.query(order)).state is State.PENDING

    def test_keys_are_never_shown(self, clock: FixedClock) -> None:
        assert "PRIVATE" not in repr(wechat_account()) + repr(alipay_account())
        assert APIV3_KEY not in repr(wechat_account())
        with pytest.raises(ProviderMisconfigured) as refused:
            WeChat(wechat_account(private_key="oops"), clock)
        assert "oops" not in str(refused.value)
        with pytest.raises(ProviderMisconfigured):
            WeChat(wechat_account(apiv3_key="short"), clock)
