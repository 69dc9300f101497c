"""From the quote to the balance over HTTP, with real identity, ledger, rulebook and sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from shanhe.approvals.api import Approvals
from shanhe.approvals.routes import router as approvals_router
from shanhe.credits.api import Payer
from shanhe.credits.routes import router as credits_router
from shanhe.identity.api import Identity, NewKey, NewOrganisation, Options, OrgKind, require
from shanhe.kernel import http
from shanhe.kernel.vault import Vault
from shanhe.payments.routes import router as payments_router
from shanhe.wiring.by_hand import ByHand
from shanhe.wiring.moves import Moves
from shanhe.wiring.rulings import Rulings
from stage.faults import lost_mark

from .conftest import City


@dataclass
class Site:
    """The city's credits and payments behind HTTP, and clients of two organisations and an operator."""

    city: City
    identity: Identity
    app: FastAPI
    moves: Moves

    async def client(self, *permissions: str, name: str = "山河数据") -> httpx.AsyncClient:
        new = NewOrganisation(OrgKind.COMPANY, name, registration=None, locally_registered=True)
        org = await self.identity.orgs.create(new, by="test")
        _, token = await self.identity.keys.create(org.id, NewKey("k", permissions=frozenset(permissions)), by="test")
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=http.Manners(self.app)),
            base_url="http://city.test",
            headers={"authorization": f"Bearer {token}"},
        )
        client.org_id = str(org.id)
        return client


@pytest.fixture
async def site(city: City, tmp_path: Path) -> Site:
    identity = Identity(city.db, city.clock, Vault(tmp_path / "keys"), Options())

    async def payer(org_id):
        facts = await identity.orgs.payer_facts(org_id, city.clock.today())
        return Payer(org_id, facts.beneficiary, facts.categories or ("local_company",), facts.frozen)

    city.credits._payer = payer
    app = FastAPI()
    http.install(app)
    app.state.identity = identity
    approvals = Approvals(city.db, city.clock)
    moves = Moves(city.clock, approvals, city.credits, city.ledger, identity.seals)
    nobody: Any = None
    rulings = Rulings(
        city.clock, approvals, identity.seals, city.rulebook, bank=nobody, disputes=city.credits.disputes, facts=nobody
    )
    exchange: Any = SimpleNamespace(cash=nobody)
    payouts: Any = SimpleNamespace(files=SimpleNamespace())
    by_hand = ByHand(
        city.clock, approvals, identity.seals, rulings, payouts=payouts, credits=city.credits, exchange=exchange
    )
    http.take(app, credits_router(city.credits, moves, rulings.grant, by_hand.pay_refund))
    http.take(app, approvals_router(approvals, require))
    http.take(app, payments_router(city.payments, city.sandbox))
    return Site(city, identity, app, moves)


@pytest.fixture
async def payer(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    client = await site.client("topup")
    yield client
    await client.aclose()


async def ordered(client, value_fen=100_000, ref="web-1"):
    quote = (await client.post("/api/credits/quotes", json={"value_fen": value_fen})).json()
    answer = await client.post("/api/credits/purchases", json={"client_ref": ref, "quote_id": quote["id"]})
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestBuying:
    async def test_leads_from_quote_to_balance(self, payer):
        quote = await payer.post("/api/credits/quotes", json={"value_fen": 100_000})
        assert quote.status_code == 201
        assert (quote.json()["paid_fen"], quote.json()["benefit_fen"]) == (70_000, 30_000)
        assert quote.json()["trace"]
        body = {"client_ref": "web-1", "quote_id": quote.json()["id"]}
        purchase = (await payer.post("/api/credits/purchases", json=body)).json()
        assert purchase["state"] == "open"
        assert "700.00" in (await payer.get(purchase["redirect_url"])).text
        back = await payer.post(purchase["redirect_url"], data={"action": "pay"})
        assert (back.status_code, back.headers["location"]) == (303, f"/topup/{purchase['id']}")
        balance = (await payer.get("/api/credits/balance")).json()
        assert balance["balance_micro"] == 1_000_000_000
        assert {lot["provenance"]: lot["remaining_micro"] for lot in balance["lots"]} == {
            "purchased": 700_000_000,
            "subsidy": 300_000_000,
        }
        receipt = (await payer.get(f"/api/credits/purchases/{purchase['id']}")).json()
        assert receipt["payment"]["state"] == "paid"
        assert receipt["posting"]["id"] == purchase["posting_id"]
        assert receipt["purchase"]["trace"]["version"]

    async def test_lists_purchases_page_by_page(self, payer):
        for number in range(3):
            await ordered(payer, ref=f"web-{number}")
        first = (await payer.get("/api/credits/purchases", params={"limit": 2})).json()
        rest = (await payer.get("/api/credits/purchases", params={"limit": 2, "before": first["next"]})).json()
        assert [row["client_ref"] for row in first["data"] + rest["data"]] == ["web-2", "web-1", "web-0"]
        assert rest["next"] is None

    async def test_may_be_cancelled(self, payer):
        purchase = await ordered(payer)
        answer = await payer.post(f"/api/credits/purchases/{purchase['id']}/cancel")
        assert answer.json()["state"] == "closed"

    async def test_is_repeated_without_harm(self, payer):
        first, second = await ordered(payer), await ordered(payer)
        assert first["id"] == second["id"]

    async def test_refuses_a_malformed_quote(self, payer):
        values = (0, -5, 1.5, "100", True, 10**30)
        for body in (*({"value_fen": value} for value in values), {"value_fen": 100, "extra": 1}, {}, []):
            answer = await payer.post("/api/credits/quotes", json=body)
            assert answer.status_code == 422, body
            assert answer.json()["error"]["code"]

    async def test_refuses_a_malformed_purchase(self, payer):
        for change in (
            {"client_ref": "a\x00b"},
            {"client_ref": ""},
            {"client_ref": "x" * 129},
            {"client_ref": "\ud800"},
            {"method": "gold"},
            {"return_path": "https://evil.example"},
            {"quote_id": "'; DROP TABLE credits.purchase; --"},
        ):
            body = json.dumps({"client_ref": "web-1", "value_fen": 100, **change})
            headers = {"content-type": "application/json"}
            answer = await payer.post("/api/credits/purchases", content=body, headers=headers)
            assert answer.status_code in (404, 422), answer.text


class TestTenants:
    async def test_do_not_see_each_others_purchases(self, site, payer):
        purchase = await ordered(payer)
        other = await site.client("topup", name="另一家")
        for path in ("", "/cancel"):
            method = "POST" if path else "GET"
            answer = await other.request(method, f"/api/credits/purchases/{purchase['id']}{path}")
            assert answer.status_code == 404
        assert (await other.get("/api/credits/purchases")).json()["data"] == []

    async def test_need_the_permission(self, site):
        plain = await site.client(name="无权限")
        assert (await plain.post("/api/credits/quotes", json={"value_fen": 100})).status_code == 403
        assert (await plain.get("/api/credits/balance")).status_code == 403
        nobody = httpx.AsyncClient(transport=httpx.ASGITransport(app=site.app), base_url="http://city.test")
        assert (await nobody.get("/api/credits/balance")).status_code == 401

    async def test_cannot_top_themselves_up(self, payer):
        body = {"org_id": payer.org_id, "amount_micro": 10**9, "reason": "me", "client_ref": "x"}
        assert (await payer.post("/api/credits/top-ups", json=body)).status_code == 403


class TestOperator:
    async def test_asks_for_a_top_up_that_another_one_agrees_to_once(self, site, payer):
        operator, other = await site.client("accounts", name="城市"), await site.client("accounts", name="另一位")
        body = {"org_id": payer.org_id, "amount_micro": 5_000_000, "reason": "汇款 7", "client_ref": "bank-7"}
        asked = [await operator.post("/api/credits/top-ups", json=body) for _ in range(2)]
        assert [one.status_code for one in asked] == [202, 202]
        assert asked[0].json() == asked[1].json()  # sent twice, asked once
        changed = await operator.post("/api/credits/top-ups", json=body | {"amount_micro": 6_000_000})
        assert changed.status_code == 409
        path = f"/api/approvals/requests/{asked[0].json()['id']}/approve"
        assert (await operator.post(path, json={})).status_code == 403
        assert (await operator.get(f"/api/credits/balance/{payer.org_id}")).json()["balance_micro"] == 0
        assert [why for _, why in (await site.moves.waiting())[0]] == ["汇款 7"]
        with lost_mark():
            await other.post(path, json={})
        for _ in range(2):  # agreeing again repeats what a crash left, and books nothing twice
            assert (await other.post(path, json={})).json()["state"] == "done"
        assert (await operator.get(f"/api/credits/balance/{payer.org_id}")).json()["balance_micro"] == 5_000_000
        assert await site.moves.waiting() == ([], None)

    async def test_reads_page_by_page_what_waits_and_what_has_ended(self, site, payer, monkeypatch):
        monkeypatch.setattr("shanhe.wiring.moves.PAGE_ROWS", 2)
        operator = await site.client("accounts", name="城市")
        for turn in range(3):
            body = {"org_id": payer.org_id, "amount_micro": 1, "reason": f"汇款 {turn}", "client_ref": f"bank-{turn}"}
            asked = (await operator.post("/api/credits/top-ups", json=body)).json()["id"]
        page, beyond = await site.moves.waiting()
        last, end = await site.moves.waiting(beyond, "credits.top_up")
        assert {why for _, why in (*page, *last)} == {"汇款 2", "汇款 1", "汇款 0"}
        assert (end, await site.moves.waiting(kind="ledger.reversal")) == (None, ([], None))
        await operator.post(f"/api/approvals/requests/{asked}/withdraw")
        first, past = await site.moves.decided()
        ended = [*first, *(await site.moves.decided(past))[0]]
        known = await site.moves.chosen([UUID(int=1), UUID(asked)])
        assert [str(one.id) for one, _ in (*ended, *known)] == [asked, asked]

    async def test_cannot_ask_for_what_could_not_be_booked(self, site, payer):
        operator = await site.client("accounts", name="城市")
        body = {"org_id": payer.org_id, "amount_micro": 1, "reason": "x", "client_ref": "r", "method": "promise"}
        assert (await operator.post("/api/credits/top-ups", json=body)).status_code == 422


class TestRules:
    async def test_of_alerts_are_kept_changed_and_deleted(self, payer):
        body = {"name": "日预算", "window": "day", "amount_micro": 10_000_000, "percent": 80}
        alert = (await payer.post("/api/credits/alerts", json=body)).json()
        assert alert["threshold_micro"] == 8_000_000
        path = f"/api/credits/alerts/{alert['id']}"
        assert (await payer.patch(path, json={"enabled": False})).json()["enabled"] is False
        assert len((await payer.get("/api/credits/alerts")).json()["data"]) == 1
        assert (await payer.delete(path)).status_code == 204
        assert (await payer.delete(path)).status_code == 404

    async def test_of_automatic_top_up_need_a_signed_mandate(self, site, payer):
        assert (await payer.get("/api/credits/auto-top-up")).status_code == 404
        body = {"threshold_micro": 10_000_000, "value_fen": 2_000, "monthly_cap_fen": 10_000}
        rule = (await payer.put("/api/credits/auto-top-up", json=body)).json()
        assert rule["mandate_state"] == "pending"
        await payer.post(rule["mandate_url"], data={"action": "sign"})
        assert (await payer.get("/api/credits/auto-top-up")).json()["mandate_state"] == "active"
        await site.city.tick()
        await site.city.deliver()
        assert (await payer.get("/api/credits/balance")).json()["balance_micro"] == 20_000_000
        assert (await payer.delete("/api/credits/auto-top-up")).json()["enabled"] is False

    async def test_of_a_frozen_organisation_buy_nothing(self, site, payer):
        body = {"threshold_micro": 10_000_000, "value_fen": 2_000, "monthly_cap_fen": 10_000}
        rule = (await payer.put("/api/credits/auto-top-up", json=body)).json()
        await payer.post(rule["mandate_url"], data={"action": "sign"})
        from uuid import UUID

        await site.identity.orgs.freeze(UUID(payer.org_id), reason="leak", by="test")
        await site.city.tick()
        assert await site.city.balance(UUID(payer.org_id)) == 0

    async def test_of_others_are_unknown(self, payer):
        assert (await payer.patch(f"/api/credits/alerts/{uuid4()}", json={"percent": 5})).status_code == 404


class TestStatementOverHttp:
    async def test_is_json_or_a_file_and_nobody_elses(self, site: Site) -> None:
        async with await site.client("topup") as member, await site.client("usage", name="别家") as other:
            shown = (await member.get("/api/credits/statement")).json()
            assert (shown["month"], shown["complete"], shown["lots"]) == ("2026-11", False, [])
            for shape, start in (("pdf", b"%PDF"), ("xlsx", b"PK"), ("csv", b"\xef\xbb\xbf")):
                answer = await member.get("/api/credits/statement", params={"format": shape})
                assert answer.status_code == 200
                assert answer.content.startswith(start)
                assert "attachment" in answer.headers["content-disposition"]
            assert (await member.get("/api/credits/statement", params={"month": "2027-01"})).status_code == 422
            assert (await member.get(f"/api/credits/statement/{other.org_id}")).status_code == 403
            assert (await other.get("/api/credits/statement")).status_code == 403


class TestRefundOverHttp:
    async def test_offers_refunds_and_shows_it(self, site: Site) -> None:
        async with await site.client("topup") as member, await site.client("accounts", name="运营") as operator:
            bought = (await member.post("/api/credits/purchases", json={"client_ref": "a", "value_fen": 10_000})).json()
            await site.city.sandbox.pay(bought["redirect_url"].rsplit("/", 1)[-1])
            await site.city.deliver()
            path = f"/api/credits/purchases/{bought['id']}/refund"
            offer = (await member.get(path)).json()
            assert (offer["refund_fen"], offer["restored_fen"]) == (7_000, 3_000)
            body = {"client_ref": "r", "reason": "不再需要"}
            asked = await member.post(path, json=body)
            assert (asked.status_code, asked.json()["state"]) == (201, "sent")
            assert (await member.post(path, json=body)).json()["id"] == asked.json()["id"]
            await site.city.deliver()
            (shown,) = (await member.get("/api/credits/refunds")).json()["data"]
            assert shown["state"] == "paid"
            assert (await member.get("/api/credits/refunds/all")).status_code == 403
            assert len((await operator.get("/api/credits/refunds/all")).json()["data"]) == 1
            payout = await operator.post(f"/api/credits/refunds/{shown['id']}/payout", json={"reference": "B1"})
            assert payout.status_code == 409

    async def test_paid_by_hand_takes_two_from_the_smallest_payout_on(self, site: Site) -> None:
        async with (
            await site.client("topup") as member,
            await site.client("accounts", name="运营") as operator,
            await site.client("accounts", name="财务") as second,
        ):
            org, paths = UUID(member.org_id), []
            for credits in (99, 100):
                made = await site.city.credits.top_up(
                    org, credits * 1_000_000, "发票 7", "person:o + person:p", client_ref=f"b{credits}"
                )
                body = {"client_ref": f"r{credits}", "reason": "不再需要"}
                back = (await member.post(f"/api/credits/purchases/{made.id}/refund", json=body)).json()
                paths.append(f"/api/credits/refunds/{back['id']}/payout")
            said = {"reference": "回单 8841", "method": "cash_desk"}
            small = await operator.post(paths[0], json=said)
            assert (small.status_code, small.json()["state"]) == (200, "paid")
            assert (await operator.post(paths[1], json=said | {"method": "promise"})).status_code == 422
            asked = [await operator.post(paths[1], json=said) for _ in range(2)]
            assert [one.status_code for one in asked] == [202, 202]
            agree = f"/api/approvals/requests/{asked[0].json()['id']}/approve"
            assert agree.count(asked[1].json()["id"]) == 1
            assert (await operator.post(agree, json={})).status_code == 403
            with lost_mark():
                await second.post(agree, json={})
            assert (await second.post(agree, json={})).json()["state"] == "done"
            repeated = await operator.post(paths[1], json=said)
            assert (repeated.status_code, repeated.json()["state"]) == (200, "paid")

    async def test_paid_by_hand_in_small_sums_takes_two_once_a_day_of_one_person_comes_to_it(self, site: Site) -> None:
        async with (
            await site.client("topup") as member,
            await site.client("accounts", name="运营") as operator,
            await site.client("accounts", name="财务") as second,
        ):
            org, paths = UUID(member.org_id), []
            for number, credits in enumerate((60, 39, 1, 40)):
                made = await site.city.credits.top_up(
                    org, credits * 1_000_000, "发票 7", "person:o + person:p", client_ref=f"b{number}"
                )
                body = {"client_ref": f"r{number}", "reason": "不再需要"}
                back = (await member.post(f"/api/credits/purchases/{made.id}/refund", json=body)).json()
                paths.append(f"/api/credits/refunds/{back['id']}/payout")

            async def said(client: httpx.AsyncClient, path: str) -> int:
                body = {"reference": f"回单 {path[-20:-8]}", "method": "cash_desk"}
                return (await client.post(path, json=body)).status_code

            assert [await said(operator, path) for path in paths[:3]] == [200, 200, 202]
            assert await said(operator, paths[0]) == 200, "what was said before counts once"
            assert await said(second, paths[3]) == 200, "another person has a day of their own"
            site.city.clock.advance(days=1)
            assert await said(operator, paths[2]) == 200


class TestCodesOverHttp:
    async def test_a_batch_is_funded_exported_once_and_redeemed(self, site: Site) -> None:
        async with (
            await site.client("topup") as member,
            await site.client("accounts", name="运营") as operator,
            await site.client("accounts", name="财务") as second,
        ):
            fund = {"posting_id": str(uuid4()), "amount_micro": 20_000_000, "reason": "会议纪要 7 号"}
            site.city.credits.codes.reserved = frozenset({"ip_credit"})
            theirs = await operator.post("/api/credits/budgets/ip_credit/fund", json=fund)
            assert (theirs.status_code, theirs.json()["error"]["code"]) == (422, "budget_of_programme")
            for _ in range(2):
                asked = await operator.post("/api/credits/budgets/竞赛/fund", json=fund)
                assert (asked.status_code, asked.json()["state"]) == (202, "open")
            agree = f"/api/approvals/requests/{asked.json()['id']}/approve"
            account = (await site.city.credits.codes.budget("竞赛")).id
            assert (await operator.post(agree, json={})).status_code == 403
            assert (await site.city.ledger.balance(account)).balance == 0
            with lost_mark():
                await second.post(agree, json={})
            for _ in range(2):
                assert (await second.post(agree, json={})).json()["state"] == "done"
            assert (await site.city.ledger.balance(account)).balance == 20_000_000
            stolen = {"client_ref": "s", "name": "竞赛", "budget": "ip_credit", "codes": 2, "value_micro": 5_000_000,
                      "valid_through": "2026-12-31"}  # fmt: skip
            assert (await operator.post("/api/credits/code-batches", json=stolen)).status_code == 422
            body = {"client_ref": "b", "name": "竞赛", "budget": "竞赛", "codes": 2, "value_micro": 5_000_000,
                    "valid_through": "2026-12-31"}  # fmt: skip
            batch = (await operator.post("/api/credits/code-batches", json=body)).json()
            own = await operator.post(f"/api/credits/code-batches/{batch['id']}/export")
            assert (own.status_code, own.json()["error"]["code"]) == (403, "own_codes"), "or one has it all"
            sheet = await second.post(f"/api/credits/code-batches/{batch['id']}/export")
            code = sheet.text.splitlines()[1].split(",")[1]
            again = await second.post(f"/api/credits/code-batches/{batch['id']}/export")
            assert (sheet.status_code, again.status_code) == (200, 409)
            redeemed = await member.post("/api/credits/redeem", json={"code": code})
            assert redeemed.json() == {"name": "竞赛", "value_micro": 5_000_000, "provenance": "subsidy"}
            wrong = await member.post("/api/credits/redeem", json={"code": "AAAA"})
            assert wrong.json()["error"]["code"] == "unknown_code"
            assert (await member.get("/api/credits/code-batches")).status_code == 403
            assert (await operator.get("/api/credits/code-batches")).json()["data"][0]["redeemed"] == 1
            ended = await operator.post(f"/api/credits/code-batches/{batch['id']}/revoke", json={"reason": "结束"})
            assert (ended.json()["state"], ended.json()["returned_micro"]) == ("ended", 5_000_000)


class TestCasesOverHttp:
    async def test_agreements_invoices_disputes_and_time_are_there_and_guarded(self, site: Site) -> None:
        async def kind(org_id):
            return "government"

        site.city.credits.agreements._kind = kind
        async with await site.client("topup") as member, await site.client("accounts", name="运营") as operator:
            sign = {"org_id": member.org_id, "year": 2026, "reference": "7 号"}
            signed = (await operator.post("/api/credits/agreements", json=sign)).json()
            assert [one["amount_fen"] for one in signed["instalments"]] == [125_000_000] * 4
            path = f"/api/credits/agreements/{signed['id']}/instalments"
            for _ in range(2):
                asked = await operator.post(f"{path}/1/book", json={"reference": "B1"})
                assert (asked.status_code, asked.json()["state"]) == (202, "open")
            agree = f"/api/approvals/requests/{asked.json()['id']}/approve"
            assert (await operator.post(agree, json={})).status_code == 403
            async with await site.client("accounts", name="财务") as second:
                with lost_mark():
                    await second.post(agree, json={})
                for _ in range(2):
                    assert (await second.post(agree, json={})).json()["state"] == "done"
            assert (await operator.post(f"{path}/1/book", json={"reference": "B1"})).status_code == 409
            assert (await member.post(f"{path}/2/pay", json={})).json()["redirect_url"]
            body = {"client_ref": "i", "title": "山河市教育局", "amount_fen": 125_000_000}
            asked = (await member.post("/api/credits/invoices", json=body)).json()
            paper = await member.get(f"/api/credits/invoices/{asked['id']}/paper")
            assert paper.content.startswith(b"%PDF")
            issue = f"/api/credits/invoices/{asked['id']}/issue"
            assert (await operator.post(issue, json={"number": "2533"})).json()["state"] == "issued"
            assert (await member.get("/api/credits/invoices")).json()["invoiceable_fen"] == 0
            wrong = await member.post("/api/credits/disputes", json={"receipt_id": str(uuid4()), "reason": "x"})
            assert wrong.json()["error"]["code"] == "unknown_receipt"
            assert (await member.get("/api/credits/loyalty")).json()["fee_bps"] == 1_000
            assert (await member.get("/api/credits/expiry")).json() == {"data": []}
            for hidden in ("agreements/all", "invoices/all", "disputes/all", "expiry/calendar"):
                assert (await member.get(f"/api/credits/{hidden}")).status_code == 403
                assert (await operator.get(f"/api/credits/{hidden}")).status_code == 200

    async def test_a_disputed_call_is_given_back_by_one_and_a_dear_one_by_two(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The smallest payout, which takes two, is CNY 100; a credit is worth CNY 1."""
        city = site.city
        async with (
            await site.client("topup", "accounts") as member, await site.client("accounts", name="运营") as operator,
            await site.client("accounts", name="财务") as second,
        ):  # fmt: skip
            city.org = UUID(member.org_id)
            await city.buy(20_000)

            async def disputed(micro: int) -> tuple[str, httpx.Response]:
                body = {"receipt_id": str(await city.call(micro)), "reason": "重复计费"}
                made = (await member.post("/api/credits/disputes", json=body)).json()
                path = f"/api/credits/disputes/{made['id']}/grant"
                return path, await operator.post(path, json={"answer": "属实"})

            with monkeypatch.context() as patch:  # an operator's key, and a member who is the operator

                async def same(_: str) -> str:
                    return "person:1"

                patch.setattr(site.moves._approvals, "person_behind", same)
                _, own_one = await disputed(1)
                assert own_one.json()["error"]["code"] == "own_dispute"
            _, small = await disputed(99_999_999)
            assert (small.status_code, small.json()["state"]) == (200, "granted")
            path, dear = await disputed(100_000_000)
            assert (dear.status_code, dear.json()["kind"]) == (202, "credits.dispute")
            assert await city.balance() == 100_000_000 - 1
            agree = f"/api/approvals/requests/{dear.json()['id']}/approve"
            for own in (operator, member):  # who asked, and who disputed the call
                assert (await own.post(agree, json={})).status_code == 403
            with lost_mark():
                await second.post(agree, json={})
            for _ in range(2):
                assert (await second.post(agree, json={})).json()["state"] == "done"
            assert await city.balance() == 200_000_000 - 1
            assert (await operator.post(path, json={"answer": "属实"})).status_code == 409
            assert (await city.ledger.verify()).clean
