"""What an auditor tries: to move with one operator's word, by another door, what takes two."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx

from shanhe.exchange.api import Market
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Posting, Transfer
from stage.faults import lost_mark

from .test_treasury_http import City, city, clerk, data

__all__ = ["city"]
MINIMUM_FEN = 10_000
"""The smallest payout."""


async def agreed(second: httpx.AsyncClient, asked: httpx.Response) -> None:
    number = data(asked, 202)["id"]
    assert data(await second.post(f"/api/approvals/requests/{number}/approve", json={}))["state"] == "done"


class TestCashOfAnExchangeAccount:
    """Nobody but who says so has seen that it left the bank, as with a refund that is paid by hand."""

    async def put(self, city: City, fen: int) -> tuple[UUID, list[UUID]]:
        """An organisation and two withdrawals it asked for, each of half of it."""
        org, cash = await city.organisation(), city.services.exchange.cash
        await cash.receive(org, fen, reference=str(uuid4()), actor="test")
        asked = [uuid4(), uuid4()]
        for number in asked:
            await cash.withdraw(org, fen // 2, withdrawal_id=number, payee="山河银行 6222", actor="person:owner")
        return org, asked

    async def cash(self, city: City, org: UUID) -> int:
        return (await city.services.exchange.cash.purse(org, Market.REAL)).cash_fen

    async def test_is_said_to_be_paid_by_two_from_the_smallest_payout_on(self, city: City) -> None:
        org, (asked, refused) = await self.put(city, 2 * MINIMUM_FEN)
        first, second = await clerk(city), await clerk(city)
        path, said = f"/api/exchange/withdrawals/{asked}/decide", {"paid": True, "reference": "回单 8841"}
        waits = [await first.post(path, json=said) for _ in range(2)]
        assert data(waits[0], 202)["id"] == data(waits[1], 202)["id"]
        agree = f"/api/approvals/requests/{data(waits[0], 202)['id']}/approve"
        assert (await first.post(agree, json={})).status_code == 403
        assert await self.cash(city, org) == 2 * MINIMUM_FEN, "one word books nothing"
        with lost_mark():
            await second.post(agree, json={})
        assert data(await second.post(agree, json={}))["state"] == "done"
        assert await self.cash(city, org) == MINIMUM_FEN
        (paid,) = [one for one in await city.services.exchange.cash.withdrawals(org) if one.state == "paid"]
        assert (paid.reference, (paid.decided_by or "").count("key:")) == ("回单 8841", 2)
        assert data(await first.post(path, json=said))["state"] == "paid"
        no = {"paid": False, "reference": "账号不符"}
        assert data(await first.post(f"/api/exchange/withdrawals/{refused}/decide", json=no))["state"] == "refused"

    async def test_is_not_refused_while_somebody_says_that_it_was_paid(self, city: City) -> None:
        """The bank has sent it, and it would be the owner's to spend again."""
        org, (asked, _) = await self.put(city, 2 * MINIMUM_FEN)
        first, second = await clerk(city), await clerk(city)
        path, no = f"/api/exchange/withdrawals/{asked}/decide", {"paid": False, "reference": "账号不符"}
        waits = await first.post(path, json={"paid": True, "reference": "回单 8841"})
        other = await second.post(path, json={"paid": True, "reference": "回单 8842"})
        assert data(other, 409)["error"]["code"] == "request_conflict"
        assert data(await second.post(path, json=no), 409)["error"]["code"] == "said_to_be_paid"
        assert await self.cash(city, org) == 2 * MINIMUM_FEN
        data(await second.post(f"/api/approvals/requests/{data(waits, 202)['id']}/reject", json={"reason": "没有回单"}))
        assert data(await second.post(path, json=no))["state"] == "refused"

    async def test_is_not_agreed_to_by_who_asked_for_it(self, city: City) -> None:
        org = await city.organisation()
        await city.services.exchange.cash.receive(org, MINIMUM_FEN, reference="r", actor="test")
        first, second = await clerk(city), await clerk(city)
        both, asked = await city.key("topup", "accounts", org=org), uuid4()
        who = next(iter(await city.services.identity.keys.list(org))).id
        await city.services.exchange.cash.withdraw(
            org, MINIMUM_FEN, withdrawal_id=asked, payee="山河银行 6222", actor=f"key:{who}"
        )
        path, said = f"/api/exchange/withdrawals/{asked}/decide", {"paid": True, "reference": "回单 1"}
        assert (await both.post(path, json=said)).status_code == 403
        waits = await first.post(path, json=said)
        agree = f"/api/approvals/requests/{data(waits, 202)['id']}/approve"
        assert (await both.post(agree, json={})).status_code == 403
        await agreed(second, waits)

    async def test_takes_two_once_a_day_of_one_person_comes_to_it(self, city: City) -> None:
        _, asked = await self.put(city, MINIMUM_FEN)
        first, second = await clerk(city), await clerk(city)
        said = {"paid": True, "reference": "回单 8841"}
        small, more = [f"/api/exchange/withdrawals/{number}/decide" for number in asked]
        assert data(await first.post(small, json=said))["state"] == "paid"
        await agreed(second, await first.post(more, json=said))


class TestTheEcosystemFund:
    async def test_pays_into_the_stability_fund_by_two_as_it_pays_anybody(self, city: City) -> None:
        exchange, first, second = city.services.exchange, await clerk(city), await clerk(city)
        market = await exchange.market()
        body = {"id": str(uuid4()), "amount_fen": 150}
        asked = await first.post("/api/exchange/stability", json=body)
        agree = f"/api/approvals/requests/{data(asked, 202)['id']}/approve"
        assert (await first.post(agree, json={})).status_code == 403
        other = await first.post("/api/exchange/stability", json=body | {"amount_fen": 151})
        assert data(other, 409)["error"]["code"] == "request_conflict"
        assert data(await second.post(agree, json={}), 402)["error"]["code"] == "insufficient_credit"
        fees = await city.services.ledger.account(await exchange.fund.account(market))
        await self.earn(city, fees.id)
        again = f"/api/approvals/requests/{body['id']}/again"
        assert data(await first.post(again, json={}))["state"] == "done"
        view = await exchange.fund.view(market)
        assert (view.balance_fen, view.stability_fen) == (50, 150)

    async def earn(self, city: City, account: UUID) -> None:
        ledger = city.services.ledger
        source = await ledger.system_account("cash", Asset.CNY, "bank_transfer")
        await ledger.post(Posting(id=new_id(), kind="test", transfers=(Transfer(new_id(), source.id, account, 200),)))


class TestTheRegulatoryGate:
    async def test_is_opened_to_real_cash_by_two(self, city: City) -> None:
        first, second, approvals = await clerk(city), await clerk(city), city.services.approvals
        body = {"scope": "exchange", "authority": "市金融办", "number": "金办 12 号", "valid_from": "2026-01-01",
                "valid_to": "2027-12-31"}  # fmt: skip
        late = await first.post("/api/approvals/licences", json=body | {"valid_to": "2025-12-31"})
        assert late.status_code == 422, "what could not be recorded is not asked for"
        asked = [await first.post("/api/approvals/licences", json=body) for _ in range(2)]
        number = data(asked[0], 202)["id"]
        assert data(asked[1], 202)["id"] == number
        other = await first.post("/api/approvals/licences", json=body | {"valid_to": "2028-12-31"})
        assert data(other, 409)["error"]["code"] == "request_conflict"
        assert (
            await approvals.why(await approvals.get(UUID(number))) == "市金融办 · 金办 12 号 · 2026-01-01 – 2027-12-31"
        )
        assert (await first.post(f"/api/approvals/requests/{number}/approve", json={})).status_code == 403
        assert not (await approvals.gate("exchange")).real
        await agreed(second, asked[0])
        gate = await approvals.gate("exchange")
        assert gate.real
        assert (gate.licence.recorded_by if gate.licence else "").count("key:") == 2
