"""The exchange over HTTP with real identity: who may do what, and what bad input meets."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from shanhe.exchange.api import FUND, FUND_PAYMENT, ExchangeUnavailable, Feed, Market
from shanhe.exchange.routes import router
from shanhe.identity.api import Identity, NewKey, NewOrganisation, Options, OrgKind
from shanhe.kernel import http
from shanhe.kernel.vault import Vault
from stage.faults import lost_mark

from .conftest import CREDIT


class Site:
    def __init__(self, world, folder: Path) -> None:
        self.world = world
        self.identity = Identity(world.db, world.clock, Vault(folder / "keys"), Options())
        self.app = FastAPI()
        http.install(self.app)
        self.app.state.identity = self.identity
        http.take(self.app, router(world.exchange, Feed(world.exchange, world.db), AsyncMock()))
        self.anybody = self.caller()

    def caller(self, token: str = "") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app=http.Manners(self.app))
        return httpx.AsyncClient(transport=transport, base_url="http://city.test", headers=headers)

    async def client(self, name: str, *permissions: str) -> tuple[httpx.AsyncClient, UUID]:
        org = await self.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by="test")
        _, token = await self.identity.keys.create(org.id, NewKey("k", permissions=frozenset(permissions)), by="test")
        return self.caller(token), org.id


@pytest.fixture
def site(world, tmp_path):
    return Site(world, tmp_path)


def order(side="buy", **change):
    return {"id": str(uuid4()), "side": side, "price": "0.6", "quantity_micro": 50 * CREDIT, **change}


class TestTrading:
    async def test_leads_from_order_to_trade_with_its_reasons(self, site):
        buyer, buyer_id = await site.client("买方", "topup")
        seller, seller_id = await site.client("卖方", "topup")
        operator, _ = await site.client("运营", "accounts", "ledger")
        await site.world.lot(seller_id, 100 * CREDIT)
        came = {"org_id": str(buyer_id), "amount_fen": 10_000, "reference": "bank 1"}
        asked = [await operator.post("/api/exchange/receipts", json=came) for _ in range(2)]
        assert [one.status_code for one in asked] == [202, 202], asked[0].text
        assert asked[0].json()["id"] == asked[1].json()["id"]
        more = await operator.post("/api/exchange/receipts", json=came | {"amount_fen": 10_001})
        assert more.json()["error"]["code"] == "request_conflict"
        assert (await buyer.post("/api/exchange/orders", json=order())).status_code == 402  # one person's word is none
        with lost_mark():
            await site.world.approvals.agree(UUID(asked[0].json()["id"]), by="person:second")
        await site.world.approvals.agree(UUID(asked[0].json()["id"]), by="person:second")
        assert (await site.world.exchange.cash.purse(buyer_id, Market.REAL)).cash_fen == 10_000
        placed = await buyer.post("/api/exchange/orders", json=order())
        assert placed.status_code == 201, placed.text
        assert (await seller.post("/api/exchange/orders", json=order("sell"))).status_code == 201
        book = (await site.anybody.get("/api/exchange/book")).json()
        assert (book["indicative_ticks"], book["status"]["market"]) == (6000, "real")
        held = await operator.post("/api/exchange/auction")
        assert held.json()["trades"] == 1
        (mine,) = (await seller.get("/api/exchange/my/trades")).json()["data"]
        assert (mine["net_fen"], mine["fee_fen"]) == (2_700, 300)
        why = (await seller.get(f"/api/exchange/my/trades/{mine['id']}")).json()["fee"]
        assert why["trace"]["parameters"]
        assert (await buyer.get(f"/api/exchange/orders/{placed.json()['id']}")).json()["state"] == "filled"
        public = (await site.anybody.get("/api/exchange/trades")).text
        assert str(seller_id) not in public
        assert str(buyer_id) not in public
        sheet = (await site.anybody.get("/api/exchange/trades.csv")).text
        assert sheet.startswith("\ufefftime,trade,")
        assert "0.6000,50.000000,30.00" in sheet
        fund = (await site.anybody.get("/api/exchange/fund")).json()
        assert (fund["balance_fen"], fund["fees_fen"]) == (300, 300)
        assert (await operator.get("/api/exchange/replay")).json()["same"]

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"price": "0.60001"}, 422, "bad_price"),
            ({"price": "-0.6"}, 422, "bad_price"),
            ({"price": "0"}, 422, "bad_price"),
            ({"price": "NaN"}, 422, "bad_price"),
            ({"price": None}, 422, "bad_price"),
            ({"price": None, "price_ticks": 0}, 422, "bad_price"),
            ({"price": None, "price_ticks": 2**63 - 1}, 422, "bad_price"),
            ({"price": None, "price_ticks": 2**64}, 422, "invalid_request"),
            ({"price": "1.0001"}, 422, "outside_corridor"),
            ({"quantity_micro": 0}, 422, "bad_quantity"),
            ({"quantity_micro": -5}, 422, "bad_quantity"),
            ({"quantity_micro": 2**63 - 1}, 422, "bad_quantity"),
            ({"quantity_micro": 1.5}, 422, "invalid_request"),
            ({"quantity_micro": 1_000_000}, 422, "order_too_small"),
            ({"side": "short"}, 422, "invalid_request"),
            ({}, 402, "not_enough_cash"),
            ({"side": "sell"}, 402, "not_tradeable"),
        ],
    )
    async def test_refuses_bad_values_and_changes_nothing(self, site, change, status, code):
        client, org = await site.client("某公司", "topup")
        answer = await client.post("/api/exchange/orders", json=order(**change))
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert list(await site.world.exchange.orders(org)) == []
        zh = await client.post("/api/exchange/orders", json=order(**change), headers={"accept-language": "zh"})
        assert any("一" <= letter <= "鿿" for letter in zh.json()["error"]["message"])

    async def test_is_for_its_own_organisation_and_pausing_for_operators(self, site):
        buyer, buyer_id = await site.client("买方", "topup")
        other, _ = await site.client("别人", "topup")
        await site.world.exchange.cash.receive(buyer_id, 10_000, reference="x", actor="test")
        placed = (await buyer.post("/api/exchange/orders", json=order())).json()
        assert (await other.get(f"/api/exchange/orders/{placed['id']}")).status_code == 404
        assert (await other.post(f"/api/exchange/orders/{placed['id']}/cancel")).status_code == 404
        for path in ("pause", "auction", "receipts"):
            assert (await buyer.post(f"/api/exchange/{path}", json={"reason": "x"})).status_code == 403
        assert (await site.anybody.post("/api/exchange/orders", json=order())).status_code == 401
        assert (await buyer.post(f"/api/exchange/orders/{placed['id']}/cancel")).json()["state"] == "cancelled"


class TestFund:
    async def test_pays_out_with_two_people_s_word_only(self, site):
        world = site.world
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 100, 6000)
        await world.buy(buyer, 100, 6000)
        await world.auction()
        first, org = await site.client("第一人", "accounts")
        second, _ = await site.client("第二人", "accounts")
        asked = await first.post(
            "/api/exchange/fund/payments", json={"org_id": str(org), "amount_fen": 500, "reason": "contest 大赛奖金"}
        )
        payment = asked.json()["id"]
        assert (await first.post(f"/api/exchange/fund/payments/{payment}/approve")).status_code == 403
        with lost_mark():
            await second.post(f"/api/exchange/fund/payments/{payment}/approve")
        done = await second.post(f"/api/exchange/fund/payments/{payment}/approve")
        assert done.json()["state"] == "paid"
        view = (await site.anybody.get("/api/exchange/fund")).json()
        assert (view["balance_fen"], view["paid_fen"]) == (100, 500)
        assert await world.cash(org) == (500, 500)
        await world.verify()

    async def test_adds_up_after_reversals_and_what_went_to_the_stability_fund(self, site):
        world = site.world
        for n in range(2):
            seller, buyer = await world.seller(100), await world.buyer(100)
            await world.sell(seller, 100, 6000)
            order = await world.buy(buyer, 100, 6000)
            await world.auction()
            if n == 0:
                dispute = uuid4()
                await world.exchange.dispute(order.id, buyer, "价格不对", dispute_id=dispute, actor="person:b")
                await world.exchange.disputes.decide(dispute, upheld=True, answer="是", actor="person:o1")
                asked = await world.exchange.remedies.ask(dispute, "撤销", by="person:o1")
                await world.exchange.remedies.approve(asked.id, by="person:o2")
        await world.exchange.endow_stability(150, posting_id=uuid4(), actor="test")
        for _ in range(3):  # before it is summed up, and after, however often
            view = (await site.anybody.get("/api/exchange/fund")).json()
            assert (view["fees_fen"], view["trades"]) == (600, 2)
            assert (view["stability_fen"], view["paid_fen"], view["balance_fen"]) == (150, 0, 450)
            await world.exchange.fund.run()

    async def test_reads_each_trade_once_for_its_total_and_only_settled_ones(self, world, monkeypatch):
        fund, settlement = world.exchange.fund, world.exchange._settlements[Market.REAL]
        settle = settlement.run
        for n, (settled, kept) in enumerate(((1, 1), (2, 1), (2, 2), (4, 4))):
            seller, buyer = await world.seller(100), await world.buyer(100)
            await world.sell(seller, 100, 6000)
            await world.buy(buyer, 100, 6000)
            if n == 2:  # the third one waits for the fourth
                monkeypatch.setattr(settlement, "run", AsyncMock(return_value=0))
            await world.auction()
            monkeypatch.setattr(settlement, "run", settle)
            if n != 1:
                await fund.run()
                await fund.run()
            view = await fund.view(Market.REAL)
            assert (view.trades, view.fees_fen, view.balance_fen) == (settled, 600 * settled, 600 * settled)
            found = await world.db.fetchval("SELECT trades FROM exchange.fee_total WHERE market = 'real'")
            assert found == kept
        assert (await fund.view(Market.PLAY)).trades == 0

    async def test_books_nothing_for_an_organisation_that_is_not_there(self, site, monkeypatch):
        operator, _ = await site.client("运营", "accounts")

        async def looked_up(org_id):
            return await site.identity.orgs.get(org_id)

        monkeypatch.setattr(site.world.exchange, "_trader", looked_up)
        body = {"org_id": str(uuid4()), "amount_fen": 1, "reference": "bank 7", "reason": "奖金"}
        for path, more in (("receipts", "reference"), ("fund/payments", "reason")):
            said = await operator.post(
                f"/api/exchange/{path}", json={name: body[name] for name in ("org_id", "amount_fen", more)}
            )
            assert said.status_code == 404, said.text

    async def test_never_pays_more_than_it_has(self, site):
        first, org = await site.client("第一人", "accounts")
        second, _ = await site.client("第二人", "accounts")
        body = {"org_id": str(org), "amount_fen": 1, "reason": "nothing there"}
        payment = (await first.post("/api/exchange/fund/payments", json=body)).json()["id"]
        done = await second.post(f"/api/exchange/fund/payments/{payment}/approve")
        assert done.json()["state"] == "open"
        request = await site.world.approvals.get(UUID(payment))
        assert (request.state, request.fault) == ("approved", "insufficient_credit")
        assert await site.world.cash(org) == (0, 0)

    async def test_is_paid_or_closed_as_was_decided_though_others_wait_or_cost_too_much(self, world):
        """The job's round; what is open, too dear, refused or over a week old keeps nobody else waiting."""
        seller, buyer, org = await world.seller(200), await world.buyer(200), uuid4()
        await world.sell(seller, 100, 6000)
        await world.buy(buyer, 100, 6000)
        await world.auction()
        fund, approvals = world.exchange.fund, world.approvals
        asked = {
            name: await fund.request(org, amount_fen, name, by="person:o1")
            for name, amount_fen in (("waits", 1), ("dear", 601), ("refused", 2), ("paid", 200), ("late", 3))
        }
        del approvals.deeds[FUND_PAYMENT]  # decided where nobody could carry it out
        for name in ("dear", "paid"):
            await approvals.agree(asked[name].id, by="person:o2")
        await approvals.reject(asked["refused"].id, by="person:o2", reason="no")
        assert await fund.run() == 2
        assert await fund.run() == 0
        states = {one.reason: one.state for one in (await fund.view(Market.REAL)).payments}
        assert states == {"waits": "open", "dear": "open", "refused": "ended", "paid": "paid", "late": "open"}
        view = await fund.view(Market.REAL)
        assert (view.balance_fen, view.fees_fen, view.paid_fen) == (400, 600, 200)
        play = await fund.view(Market.PLAY)
        assert (play.balance_fen, play.paid_fen, play.payments) == (0, 0, [])
        world.clock.advance(days=7)
        await approvals.sweep()
        assert await fund.run() == 2
        states = {one.reason: one.state for one in (await fund.view(Market.REAL)).payments}
        assert states == {"waits": "ended", "dear": "open", "refused": "ended", "paid": "paid", "late": "ended"}


class TestDispute:
    async def test_is_answered_by_somebody_else(self, site):
        member, org = await site.client("会员", "topup", "accounts")
        operator, _ = await site.client("运营", "accounts")
        await site.world.exchange.cash.receive(org, 10_000, reference="x", actor="test")
        placed = (await member.post("/api/exchange/orders", json=order())).json()
        body = {"id": str(uuid4()), "text": "价格不对"}
        assert (await member.post(f"/api/exchange/orders/{placed['id']}/disputes", json=body)).status_code == 201
        decide = f"/api/exchange/disputes/{body['id']}/decide"
        assert (await member.post(decide, json={"upheld": True, "answer": "我对"})).status_code == 403
        done = await operator.post(decide, json={"upheld": False, "answer": "按规则成交"})
        assert done.json()["state"] == "dismissed"


class TestStability:
    async def test_buys_well_below_the_average_and_says_why(self, world):
        seller, buyer = await world.seller(10_000), await world.buyer(10_000)
        for ticks in (7000, 4000):
            await world.sell(seller, 100, ticks)
            await world.buy(buyer, 100, ticks)
            await world.auction()
        assert await world.exchange.stabilise() is None  # it has no cash
        await world.exchange.endow_stability(1_100, posting_id=uuid4(), actor="test")
        placed = await world.exchange.stabilise()
        assert (placed.side, placed.ticks) == (0, 4950)  # the average is 0.55
        assert placed.quantity_micro <= 9_800 * CREDIT * 2 // 100
        (shown,) = await world.exchange.stability.interventions()
        assert shown.trace["parameters"]
        assert await world.exchange.stabilise() is None  # its cash is set aside
        await world.verify()

    @pytest.mark.parametrize("accepted", [True, False])
    async def test_says_why_of_every_order_that_got_in_and_of_no_other(self, world, monkeypatch, accepted):
        seller, buyer = await world.seller(10_000), await world.buyer(10_000)
        for ticks in (7000, 4000):
            await world.sell(seller, 100, ticks)
            await world.buy(buyer, 100, ticks)
            await world.auction()
        await world.exchange.endow_stability(1_100, posting_id=uuid4(), actor="test")
        place = world.exchange.place

        async def lost(new, *, actor):
            if accepted:
                await place(new, actor=actor)
            raise ExchangeUnavailable  # the connection went while the batch was being written

        monkeypatch.setattr(world.exchange, "place", lost)
        assert await world.exchange.stabilise() is None
        orders = await world.exchange.orders(FUND)
        assert len(orders) == accepted
        assert [one.id for one in await world.exchange.stability.interventions()] == [one.id for one in orders]
