from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from shanhe.kernel import http
from shanhe.payments.api import State
from shanhe.payments.routes import router

from .conftest import Counter
from .test_notification import message, signed


@pytest.fixture
async def client(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    http.install(app)
    http.take(app, router(counter.payments, counter.sandbox))
    transport = httpx.ASGITransport(app=http.Manners(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as opened:
        yield opened


class TestPayPage:
    async def test_shows_the_amount_and_says_that_no_money_moves(self, counter, client):
        order = await counter.ordered(123_456)
        page = await client.get(order.redirect_url)
        assert page.status_code == 200
        assert "1,234.56" in page.text
        assert "不涉及真实资金" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]

    async def test_speaks_the_language_and_wears_the_theme_that_its_reader_chose(self, counter, client):
        order = await counter.ordered()
        chinese = (await client.get(order.redirect_url)).text
        assert "确认支付" in chinese
        assert "Simulate" not in chinese
        assert "color-scheme: light dark" in chinese
        client.cookies.update({"shanhe_lang": "en", "shanhe_theme": "dark"})
        english = (await client.get(order.redirect_url)).text
        assert '<html lang="en">' in english
        assert "Simulate a failure" in english
        assert "确认支付" not in english
        assert "color-scheme: dark;" in english

    async def test_pays_and_sends_the_payer_back(self, counter, client):
        order = await counter.ordered()
        answer = await client.post(order.redirect_url, data={"action": "pay"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await counter.payments.order(order.id)).state is State.PAID

    async def test_lets_a_failed_payer_try_again(self, counter, client):
        order = await counter.ordered()
        await client.post(order.redirect_url, data={"action": "fail"})
        assert (await counter.payments.order(order.id)).state is State.FAILED
        assert "上次支付未成功" in (await client.get(order.redirect_url)).text
        await client.post(order.redirect_url, data={"action": "pay"})
        assert (await counter.payments.order(order.id)).state is State.PAID

    async def test_of_a_closed_order_takes_nothing(self, counter, client):
        order = await counter.ordered()
        await counter.payments.cancel(order.id)
        assert (await client.post(order.redirect_url, data={"action": "pay"})).status_code == 409
        assert (await counter.payments.order(order.id)).state is State.EXPIRED

    async def test_of_nothing_is_not_found(self, counter, client):
        for ref in ("0" * 32, "f" * 32):
            assert (await client.get(f"/pay/sandbox/{ref}")).status_code == 404
            assert (await client.post(f"/pay/sandbox/{ref}", data={"action": "pay"})).status_code == 404

    @pytest.mark.parametrize("ref", ["nothing", "%00" * 32, "'; DROP TABLE payments.pay_order; --", "%F0%9F%92%A9"])
    async def test_of_nonsense_is_refused(self, client, ref):
        assert (await client.get(f"/pay/sandbox/{ref}")).status_code == 422

    async def test_escapes_what_the_order_says(self, counter, client):
        request = counter.request()
        order = await counter.payments.create(
            type(request)(counter.org, "x", "test", "sandbox", 1, "<script>alert({{7*7}})</script>")
        )
        text = (await client.get(order.redirect_url)).text
        assert "<script>" not in text
        assert "{{7*7}}" in text

    async def test_signs_a_mandate(self, counter, client):
        mandate = await counter.payments.authorise(counter.org, client_ref="m", provider="sandbox", limit_fen=10_000)
        assert "100.00" in (await client.get(mandate.redirect_url)).text
        await client.post(mandate.redirect_url, data={"action": "sign"})
        assert (await counter.payments.mandate(mandate.id)).state == "active"


class TestNotifyEndpoint:
    async def test_answers_success_to_a_notification_and_to_its_duplicate(self, counter, client):
        order = await counter.ordered()
        for changed in (True, False):
            headers, body = signed(counter, message(counter, order))
            answer = await client.post("/api/payments/notify/sandbox", content=body, headers=headers)
            assert (answer.status_code, answer.json()["changed"]) == (200, changed)

    @pytest.mark.parametrize(("provider", "status"), [("sandbox", 401), ("nobody", 404)])
    async def test_answers_typed_errors(self, counter, client, provider, status):
        answer = await client.post(f"/api/payments/notify/{provider}", content=b"{}")
        assert answer.status_code == status
        assert answer.json()["error"]["code"]

    async def test_refuses_a_large_body_before_reading_it_all(self, counter, client):
        order = await counter.ordered()
        headers, body = signed(counter, message(counter, order, id=str(uuid4()) + "x" * 100_000))
        answer = await client.post("/api/payments/notify/sandbox", content=body, headers=headers)
        assert answer.status_code == 422
