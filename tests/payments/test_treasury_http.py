"""Bank statements, payouts and reconciliation over HTTP, in one whole city: who may do what, and where it leads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from shanhe.app import Services, open_services
from shanhe.identity.api import NewKey, NewOrganisation, NewPerson, OrgKind, Role, cookie_name
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO, format_fen
from shanhe.ledger.api import Asset, Charge, Leg, NewLot, Posting, Provenance, Transfer
from shanhe.payments.api import Order, Payout
from shanhe.settings import Settings
from shanhe.web import create_app
from stage.faults import lost_mark

URL = "http://city.test"
PASSWORD = "a long enough pass phrase"
HEADER = "交易日期,交易时间,借方发生额,贷方发生额,对方户名,对方账号,摘要,附言,流水号"


class City:
    """A city's whole application in this process, and clients that act for different people."""

    def __init__(self, services: Services, stack: AsyncExitStack) -> None:
        self.services, self._stack = services, stack
        self._app = create_app(services)

    async def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self._app)
        return await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=URL, headers=headers)
        )

    async def key(self, *permissions: str, org: UUID | None = None) -> httpx.AsyncClient:
        org = org or await self.organisation()
        new = NewKey("k", permissions=frozenset(permissions))
        _, token = await self.services.identity.keys.create(org, new, by="test")
        return await self.client(authorization=f"Bearer {token}")

    async def organisation(self) -> UUID:
        new = NewOrganisation(OrgKind.COMPANY, f"机构 {uuid4().hex[:6]}")
        return (await self.services.identity.orgs.create(new, by="test")).id

    async def person(self, org: UUID) -> httpx.AsyncClient:
        """An owner of the organisation, signed in."""
        identity, login = self.services.identity, f"u{uuid4().hex[:10]}"
        made = await identity.people.create(NewPerson("赵六", login=login, password=PASSWORD), by="test")
        await identity.orgs.set_member(org, made.id, Role.OWNER, by="test")
        issued = await identity.sign_in(login, PASSWORD)
        client = await self.client(**{"x-csrf-token": issued.csrf})
        client.cookies.set(cookie_name(identity), issued.token, domain="city.test", path="/")
        return client

    async def earn(self, org: UUID, credits: int) -> None:
        """Calls of a stranger have paid the organisation, and the time that income waits is over."""
        ledger, payer = self.services.ledger, uuid4()
        wallet = await ledger.ensure_account(payer, Asset.CREDIT, "wallet")
        income = await ledger.ensure_account(org, Asset.CREDIT, "income")
        issuance = await ledger.system_account("issuance", Asset.CREDIT)
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=credits * MICRO)
        transfer = Transfer(new_id(), issuance.id, wallet.id, credits * MICRO)
        await ledger.post(Posting(id=new_id(), kind="grant", transfers=(transfer,), lots=(lot,)))
        reservation = await ledger.admit(wallet.id, credits * MICRO, receipt_id=new_id())
        evidence = msgspec.json.encode({"org_id": payer})
        await ledger.settle(reservation, Charge(credits * MICRO, (Leg(income.id, credits * MICRO),), evidence))


@pytest.fixture
async def city(dsn: str, tmp_path: Path, clock: FixedClock) -> AsyncIterator[City]:
    settings = Settings(
        database_url=dsn, data=tmp_path, with_model=False, public_url=URL, second_factor="optional",
        bank_holder="山河市财政局", bank_account="6200 1234 5678", bank_name="山河银行",
    )  # fmt: skip
    async with open_services(settings, "cli", clock) as services, AsyncExitStack() as stack:
        yield City(services, stack)


async def taken(uploader: httpx.AsyncClient, second: httpx.AsyncClient, *rows: str, name: str = "s.csv") -> Any:
    """A statement that one operator uploaded and another agreed to: what each row did."""
    content = "\n".join([HEADER, *rows]).encode()
    asked = data(await uploader.post("/api/bank/statements", params={"name": name}, content=content), 202)
    assert data(await second.post(f"/api/approvals/requests/{asked['id']}/approve", json={}))["state"] == "done"
    return data(await second.get(f"/api/bank/statements/{asked['file']['hash']}"))


def row(remark: str, credit: str, serial: str) -> str:
    return f'2026-11-20,10:30:00,"","{credit}",市教育局,62001111222233334444,转账,{remark},{serial}'


def data(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def clerk(city: City) -> httpx.AsyncClient:
    """Another operator, who ruled nothing alone today."""
    return await city.key("accounts")


class TestTreasury:
    async def test_heads_of_a_sheet_are_words_where_a_language_is_asked_for(self, city: City) -> None:
        books = await city.key("ledger")
        for query, head in (
            ("", "account,asset,kind,"),
            ("?language=zh", "账户,资产,类别,"),
            ("?language=en", "Account,Asset,"),
        ):
            assert (await books.get(f"/api/ledger/trial-balance.csv{query}")).text.startswith("\ufeff" + head)

    async def test_over_http(self, city: City, clock: FixedClock) -> None:
        """One city for all of it: a start takes longer than the questions."""
        operator, second = await city.key("accounts", "ledger"), await city.key("accounts", "ledger")
        await _statements(city, operator, second)
        await _sealed(city, operator, second)
        await _dear_ones(city, operator, second)
        await _dear_together(city, operator, second)
        await _ruled(city, operator, second)
        await _overpaid(city, operator, second)
        await _payouts(city, operator, second, clock)
        await _reconciles(city, operator, clock)
        await _balanced(city, operator, second, clock)
        assert (await city.services.ledger.verify()).clean


async def _statements(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient) -> None:
    """An order by bank transfer is paid by a statement's row; what nobody ordered waits with an owner."""
    org = await city.organisation()
    member = await city.key("topup", org=org)
    bought = data(await member.post("/api/credits/purchases", json={
        "client_ref": "bank", "value_fen": 500_000, "method": "bank_transfer"}), 201)  # fmt: skip
    order = await city.services.payments.order(
        (await city.services.credits.get(org, UUID(bought["id"]))).order_id  # type: ignore[arg-type]
    )
    text = "\n".join([HEADER, row(str(order.provider_ref), "5,000.00", "L1"), row("不明来款", "77.00", "L2")])
    for refused in (await city.client(), member):
        assert (await refused.post("/api/bank/statements", content=text)).status_code in (401, 403)
    asked = data(await operator.post("/api/bank/statements", params={"name": "11月.csv"}, content=text.encode()), 202)
    assert (asked["pays"], asked["pays_fen"], asked["in_fen"]) == (1, 500_000, 507_700)
    assert [line["would"] for line in asked["lines"]] == ["pays", "suspense"]
    assert data(await second.post("/api/bank/statements", content=text.encode()), 202)["id"] == asked["id"]
    agree = f"/api/approvals/requests/{asked['id']}/approve"
    assert (await operator.post(agree, json={})).json()["error"]["code"] == "same_person"
    assert data(await operator.get("/api/bank/statements"))["data"] == []
    (waits,) = data(await second.get("/api/bank/held"))["data"]
    assert (waits["id"], waits["statement"]["hash"]) == (asked["id"], asked["file"]["hash"])
    assert data(await second.get(f"/api/bank/held/{asked['file']['hash']}"))["counts"] == asked["counts"]
    with lost_mark():
        await second.post(agree, json={})
    assert data(await second.post(agree, json={}))["state"] == "done"
    assert (await operator.get(f"/api/bank/held/{asked['file']['hash']}")).status_code == 404
    assert await city.services.db.fetchval("SELECT count(*) FROM payments.bank_held") == 0
    report = data(await operator.post("/api/bank/statements", content=text.encode()))
    assert (report["known"], len(report["lines"])) == (True, 2)
    assert len({report["file"]["uploaded_by"], report["file"]["agreed_by"]}) == 2
    assert (await operator.post("/api/bank/statements", content=b"\x00\x01 no table")).status_code == 422
    (file,) = data(await operator.get("/api/bank/statements"))["data"]
    assert data(await operator.get(f"/api/bank/statements/{file['hash']}"))["counts"] == report["counts"]
    await city.services.credits.reconcile()
    assert (await city.services.credits.wallet(org)).balance_micro == 5_000 * MICRO
    (item,) = data(await operator.get("/api/bank/suspense"))["data"]
    assert item["amount"] == "77.00"
    path = f"/api/bank/suspense/{item['id']}"
    assert data(await operator.post(f"{path}/assign", json={"owner": "结算处 张"}))["owner"] == "结算处 张"
    assert (await operator.post(f"{path}/explain", json={"note": ""})).status_code == 422
    done = data(await operator.post(f"{path}/return", json={"note": "已退回来款账户"}))
    assert done["release_id"]
    again = {"note": "again", "posting_id": str(uuid4())}
    assert (await operator.post(f"{path}/explain", json=again)).status_code == 409
    assert data(await operator.get("/api/bank/suspense"))["data"] == []
    assert (await operator.get(f"/api/bank/suspense/{uuid4()}/assign")).status_code == 405


async def _sealed(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient) -> None:
    """What waits can't be read in the database, what was refused leaves nothing behind, what no longer fits ends so."""
    db, taking_in = city.services.db, city.services.taking_in
    text = "\n".join([HEADER, row("不明来款", "66.00", "W1")]).replace("11-20", "11-19").encode()
    asked = data(await operator.post("/api/bank/statements", params={"name": "\n"}, content=text), 202)
    assert "市教育局".encode() not in await db.fetchval("SELECT content FROM payments.bank_held")
    assert "市教育局" not in str(await city.services.approvals.get(UUID(asked["id"])))
    assert await taking_in.forget() == 0
    decide = f"/api/approvals/requests/{asked['id']}"
    assert (await second.post(f"{decide}/reject", json={})).status_code == 422  # why has to be said
    assert data(await second.post(f"{decide}/reject", json={"reason": "网银没有这一笔"}))["state"] == "rejected"
    assert (await second.get(f"/api/bank/held/{asked['file']['hash']}")).status_code == 404
    assert await taking_in.forget() == 1
    assert await db.fetchval("SELECT count(*) FROM payments.bank_held") == 0
    again = data(await second.post("/api/bank/statements", content=text), 202)
    assert again["id"] != asked["id"]
    more = "\n".join([HEADER, row("不明", "1.00", "W0"), row("不明来款", "66.00", "W1"), row("又一笔", "9.00", "W2")])
    more = more.replace("11-20", "11-19")
    for number, at in enumerate(("10:29:00", "10:30:00", "10:31:00"), 1):
        lines = more.split("\n")
        lines[number] = lines[number].replace("10:30:00", at)
        more = "\n".join(lines)
    wider = data(await operator.post("/api/bank/statements", content=more.encode()), 202)
    kept = more.split("\n")  # the first line and a later one, not what is between
    narrow = "\n".join([kept[0], kept[1], kept[3].replace("10:31:00", "10:32:00")])
    late = data(await operator.post("/api/bank/statements", content=narrow.encode()), 202)
    data(await second.post(f"/api/approvals/requests/{wider['id']}/approve", json={}))
    shown = await second.get(f"/api/bank/held/{late['file']['hash']}")
    assert shown.status_code == 409
    refused = await second.post(f"/api/approvals/requests/{late['id']}/approve", json={})
    assert refused.json()["error"]["code"] == "statement_contradicts"
    assert refused.json()["error"]["details"]["request_state"] == "refused"
    known = data(await operator.get(f"/api/bank/held/{again['file']['hash']}"))
    assert (known["counts"]["duplicate"], known["in_fen"]) == (1, 0)
    assert data(await second.post(f"/api/approvals/requests/{again['id']}/withdraw"))["state"] == "withdrawn"
    assert await taking_in.forget() == 2
    for item in data(await operator.get("/api/bank/suspense"))["data"]:
        data(await (await clerk(city)).post(f"/api/bank/suspense/{item['id']}/return", json={"note": "已退"}))


async def _dear_ones(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient) -> None:
    """Stray money of CNY 100 or more, the smallest payout, leaves suspense when two agreed."""
    await taken(operator, second, row("不明一", "99.99", "D1"), row("不明二", "100.00", "D2"))
    waiting = {item["amount"]: item["id"] for item in data(await operator.get("/api/bank/suspense"))["data"]}
    path = "/api/bank/suspense/{}/return"
    done = data(await (await clerk(city)).post(path.format(waiting["99.99"]), json={"note": "已退"}))
    assert done["state"] == "returned"
    asked = [data(await operator.post(path.format(waiting["100.00"]), json={"note": "退 王五"}), 202) for _ in range(2)]
    assert asked[0]["id"] == asked[1]["id"]
    assert data(await operator.get("/api/bank/suspense"))["data"][0]["state"] == "open"
    request = await city.services.approvals.get(UUID(asked[0]["id"]))
    assert "王五" not in str(request)
    assert await city.services.approvals.why(request) == "退 王五"
    agree = f"/api/approvals/requests/{request.id}/approve"
    assert (await operator.post(agree, json={})).status_code == 403
    with lost_mark():
        await second.post(agree, json={})
    assert data(await second.post(agree, json={}))["state"] == "done"
    (_, item) = data(await operator.get("/api/bank/suspense", params={"state": "returned"}))["data"][:2][::-1]
    assert (item["id"], item["note"], item["decided_by"].count("key:")) == (waiting["100.00"], "退 王五", 2)
    assert data(await operator.get("/api/bank/suspense"))["data"] == []


async def _dear_together(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient) -> None:
    """An order's earlier parts move with a small item, so both are what is decided on; another sum is another word."""
    member = await city.key("topup", org=(org := await city.organisation()))
    bought = {"client_ref": "parts", "value_fen": 15_000, "method": "bank_transfer"}
    made = data(await member.post("/api/credits/purchases", json=bought), 201)
    order = await city.services.payments.order(
        (await city.services.credits.get(org, UUID(made["id"]))).order_id  # type: ignore[arg-type]
    )
    reference = str(order.provider_ref)
    await taken(operator, second, row(reference, "120.00", "E1"), row("忘写识别码", "60.00", "E2"))
    waiting = {item["amount"]: item["id"] for item in data(await operator.get("/api/bank/suspense"))["data"]}
    path, told = f"/api/bank/suspense/{waiting['60.00']}/apply", {"order_id": str(order.id), "note": "来电确认"}
    asked = data(await operator.post(path, json=told), 202)
    assert (await city.services.approvals.get(UUID(asked["id"]))).payload["amount_fen"] == 18_000
    await taken(operator, second, row(reference, "10.00", "E3"))
    late = await second.post(f"/api/approvals/requests/{asked['id']}/approve", json={})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "suspense_changed")
    assert len(data(await operator.get("/api/bank/suspense"))["data"]) == 3
    again = data(await operator.post(path, json=told), 202)
    assert again["id"] != asked["id"]
    data(await second.post(f"/api/approvals/requests/{again['id']}/approve", json={}))
    (rest,) = data(await operator.get("/api/bank/suspense"))["data"]
    assert (rest["amount"], (await city.services.payments.order(order.id)).state) == ("40.00", "paid")
    data(await (await clerk(city)).post(f"/api/bank/suspense/{rest['id']}/return", json={"note": "多付已退"}))


async def _ruled(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient) -> None:
    """What two agreed to of stray money is done once, also where its mark is lost; asked two ways, it goes one."""
    org = await city.organisation()
    member = await city.key("topup", org=org)
    body = {"client_ref": "late", "value_fen": 50_000, "method": "bank_transfer"}
    bought = data(await member.post("/api/credits/purchases", json=body), 201)
    purchase = await city.services.credits.get(org, UUID(bought["id"]))
    await taken(operator, second, row("不明三", "200.00", "D3"), row("不明四", "500.00", "D4"))
    items = {item["amount"]: item["id"] for item in data(await operator.get("/api/bank/suspense"))["data"]}
    said = {"note": "见凭证 12"}
    wishes = [("200.00", "book", said | {"booked_as": "own"}), ("200.00", "return", said),
              ("500.00", "apply", said | {"order_id": str(purchase.order_id)})]  # fmt: skip
    asked = [data(await operator.post(f"/api/bank/suspense/{items[amount]}/{how}", json=given), 202)["id"]
             for amount, how, given in wishes]  # fmt: skip
    for number in (asked[0], asked[2]):
        with lost_mark():
            await second.post(f"/api/approvals/requests/{number}/approve", json={})
        assert data(await second.post(f"/api/approvals/requests/{number}/again"))["state"] == "done"
    other = await second.post(f"/api/approvals/requests/{asked[1]}/approve", json={})
    assert (other.status_code, other.json()["error"]["details"]["request_state"]) == (409, "refused")
    (booked,) = data(await operator.get("/api/bank/suspense?state=booked"))["data"]
    assert (booked["id"], booked["booked_as"]) == (items["200.00"], "own")
    await city.services.credits.reconcile()
    assert (await city.services.credits.wallet(org)).balance_micro == 500 * MICRO


async def _overpaid(city: City, operator: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    """Whoever paid too much is told, pays another own order with it at once, and asks for the rest back."""
    member = await city.key("topup", org=(org := await city.organisation()))
    stranger = await city.key("topup", org=await city.organisation())

    async def ordered(reference: str, fen: int) -> Order:
        body = {"client_ref": reference, "value_fen": fen, "method": "bank_transfer"}
        bought = data(await member.post("/api/credits/purchases", json=body), 201)
        purchase = await city.services.credits.get(org, UUID(bought["id"]))
        return await city.services.payments.order(purchase.order_id)  # type: ignore[arg-type]

    first = await ordered("over-1", 10_000)
    await taken(operator, other, row(str(first.provider_ref), "180.00", "O1"))
    told = await city.services.notifier.inbox(uuid4(), [org])
    assert [notice.title.zh for notice in told if notice.kind == "payments.waiting"] == ["银行转账多付了 80.00 元"]
    (item,) = data(await member.get("/api/payments/waiting"))["data"]
    assert (item["kind"], item["amount_fen"], "owner" in item) == ("over", 8_000, False)
    assert data(await stranger.get("/api/payments/waiting"))["data"] == []
    path, second = f"/api/payments/waiting/{item['id']}", await ordered("over-2", 5_000)
    assert (await stranger.post(f"{path}/want-back")).status_code == 404
    assert (await stranger.post(f"{path}/use", json={"order_id": str(second.id)})).status_code == 404
    assert data(await member.post(f"{path}/use", json={"order_id": str(second.id)}))["state"] == "applied"
    await city.services.credits.reconcile()
    assert (await city.services.credits.wallet(org)).balance_micro == 150 * MICRO
    (rest,) = data(await member.get("/api/payments/waiting"))["data"]
    assert data(await member.post(f"/api/payments/waiting/{rest['id']}/want-back"))["wanted_back_at"]
    (seen,) = [one for one in data(await operator.get("/api/bank/suspense"))["data"] if one["id"] == rest["id"]]
    assert seen["wanted_back_by"]
    data(await (await clerk(city)).post(f"/api/bank/suspense/{rest['id']}/return", json={"note": "已退原账户"}))


async def _payouts(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient, clock: FixedClock) -> None:
    """Income leaves by a person's account, two operators and one posting; a key can't say where it goes."""
    org = await city.organisation()
    await city.earn(org, 500)
    clock.advance(days=8)
    owner, key = await city.person(org), await city.key("topup", org=org)
    account = {"kind": "organisation", "holder": "青山机器人", "account": "6200 0000 1111 2222", "bank": "山河银行"}
    assert (await key.put("/api/payouts/payee", json=account)).json()["error"]["code"] == "person_needed"
    new = {"id": str(uuid4()), "name": "own", "permissions": ["topup"]}
    own = UUID(data(await owner.post("/api/keys", json=new), 201)["key"]["id"])
    made = await city.services.identity.keys.get(own)
    assert await city.services.payouts.person_behind(f"key:{own}") == f"person:{made.created_by}"
    payee = data(await owner.put("/api/payouts/payee", json=account))
    assert "6200 0000 1111 2222" not in msgspec.json.encode(payee).decode()
    wanted = {"client_ref": "p1", "amount_micro": 300 * MICRO}
    checked = {"passed": True, "reference": "证件核对 0421"}
    assert (await owner.post(f"/api/payouts/payees/{payee['id']}/check", json=checked)).status_code == 403
    earnings = data(await key.get("/api/payouts/earnings"))
    assert earnings["available_micro"] == 500 * MICRO
    asked = data(await key.post("/api/payouts", json=wanted), 201)
    assert data(await key.post("/api/payouts", json=wanted), 201)["id"] == asked["id"]
    path = f"/api/payouts/all/{asked['id']}"
    early = await operator.post(f"{path}/approve", json={"channel": "bank_file"})
    assert early.status_code == 409  # nobody has checked name and account
    data(await operator.post(f"/api/payouts/payees/{payee['id']}/check", json=checked))
    data(await operator.post(f"{path}/approve", json={"channel": "bank_file"}))
    assert (await operator.post(f"{path}/approve", json={"channel": "bank_file"})).status_code == 409  # the same person
    approved = data(await second.post(f"{path}/approve", json={"channel": "bank_file"}))
    assert approved["net_fen"] > 0
    batch = await operator.post("/api/payouts/batches")
    assert batch.status_code == 201
    assert "6200000011112222" in batch.text.replace(" ", "")
    again = await operator.post("/api/payouts/batches", params={"batch": batch.headers["x-batch"]})
    assert (again.status_code, again.text) == (200, batch.text)
    failing = data(await operator.post(f"{path}/fail", json={"reason": "账号不符"}), 202)
    assert data(await operator.get(path))["state"] == "sent"  # it stands in a file that somebody may have sent
    request = await city.services.approvals.get(UUID(failing["id"]))
    assert (request.payload["amount_fen"], await city.services.approvals.why(request)) == (
        approved["net_fen"], "账号不符"
    )  # fmt: skip
    agree = f"/api/approvals/requests/{failing['id']}"
    assert (await operator.post(f"{agree}/approve", json={})).status_code == 403
    data(await second.post(f"{agree}/reject", json={"reason": "银行已付出"}))
    arrived = data(await operator.post(f"{path}/confirm"), 202)
    assert data(await operator.get(path))["state"] == "sent", "nobody but them has seen it"
    both = await second.post(f"{path}/fail", json={"reason": "账号不符"})
    assert data(both, 409)["error"]["code"] == "said_to_be_paid"
    file = await operator.post("/api/payouts/batches", params={"batch": batch.headers["x-batch"]})
    assert data(file, 409)["error"]["code"] == "nothing_to_pay", "the bank would pay it twice"
    agree = f"/api/approvals/requests/{arrived['id']}/approve"
    assert (await operator.post(agree, json={})).status_code == 403
    assert data(await second.post(agree, json={}))["state"] == "done"
    assert data(await operator.post(f"{path}/confirm"))["state"] == "confirmed"
    assert data(await operator.get(path))["trace"]
    (mine,) = data(await key.get("/api/payouts"))["data"]
    assert mine["state"] == "confirmed"
    other = await city.key("topup")
    assert data(await other.get("/api/payouts"))["data"] == []
    assert (await other.post(f"/api/payouts/{asked['id']}/cancel")).status_code == 404
    assert (await other.get("/api/payouts/all")).status_code == 403
    assert (await other.get("/api/payouts/all.csv")).status_code == 403
    head, row, _ = (await operator.get("/api/payouts/all.csv?state=confirmed")).text.split("\r\n")
    shown = dict(zip(head.removeprefix("\ufeff").split(","), row.split(","), strict=True))
    assert (shown["id"], shown["state"], shown["credits"]) == (asked["id"], "confirmed", "300.000000")
    assert shown["net_cny"] == format_fen(approved["net_fen"])
    assert len({shown[f"{who}_by"] for who in ("requested", "first", "second")}) == 3
    assert (await operator.get("/api/payouts/all.csv?waiting=true")).text.count("\r\n") == 1
    await _failed(city, operator, second, key)


async def _failed(
    city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient, key: httpx.AsyncClient
) -> None:  # fmt: skip
    """One in a file fails when two say so, once; one that no file has on one's word, if none gets it meanwhile."""
    asked = data(await key.post("/api/payouts", json={"client_ref": "p2", "amount_micro": 200 * MICRO}), 201)
    path = f"/api/payouts/all/{asked['id']}"
    for clerk in (operator, second):
        data(await clerk.post(f"{path}/approve", json={"channel": "bank_file"}))
    assert (await operator.post("/api/payouts/batches")).status_code == 201
    earned = data(await key.get("/api/payouts/earnings"))["available_micro"]
    failing = data(await operator.post(f"{path}/fail", json={"reason": "账号不符"}), 202)
    assert data(await operator.post(f"{path}/fail", json={"reason": "账号不符"}), 202)["id"] == failing["id"]
    with lost_mark():
        await second.post(f"/api/approvals/requests/{failing['id']}/approve", json={})
    assert data(await second.post(f"/api/approvals/requests/{failing['id']}/approve", json={}))["state"] == "done"
    found = data(await operator.get(path))
    assert (found["state"], found["reason"], found["ended_by"].count("key:")) == ("failed", "账号不符", 2)
    assert data(await key.get("/api/payouts/earnings"))["available_micro"] == earned + 200 * MICRO
    again = data(await key.post("/api/payouts", json={"client_ref": "p3", "amount_micro": 200 * MICRO}), 201)
    path = f"/api/payouts/all/{again['id']}"
    for clerk in (operator, second):
        data(await clerk.post(f"{path}/approve", json={"channel": "bank_file"}))
    assert data(await operator.post(f"{path}/fail", json={"reason": "另行付款"}))["state"] == "failed"
    await _waits_outside_files(city, operator, second, key)
    last = data(await key.post("/api/payouts", json={"client_ref": "p4", "amount_micro": 200 * MICRO}), 201)
    path = f"/api/payouts/all/{last['id']}"
    for clerk in (operator, second):
        data(await clerk.post(f"{path}/approve", json={"channel": "bank_file"}))
    payouts = city.services.payouts
    look = payouts.get

    async def filed(payout_id: UUID) -> Payout:
        found = await look(payout_id)
        payouts.get = look
        await payouts.files.export(by="person:other")
        return found

    with patch.object(payouts, "get", filed):
        assert (await operator.post(f"{path}/fail", json={"reason": "另行付款"})).status_code == 409
    assert data(await operator.get(path))["state"] == "sent"


async def _waits_outside_files(
    city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient, key: httpx.AsyncClient
) -> None:  # fmt: skip
    """One that was paid by hand before any file had it is in none while that waits for a second person."""
    paid = data(await key.post("/api/payouts", json={"client_ref": "by hand", "amount_micro": 200 * MICRO}), 201)
    path = f"/api/payouts/all/{paid['id']}"
    for clerk in (operator, second):
        data(await clerk.post(f"{path}/approve", json={"channel": "bank_file"}))
    said = data(await operator.post(f"{path}/confirm"), 202)
    assert data(await second.post("/api/payouts/batches"), 409)["error"]["code"] == "nothing_to_pay"
    data(await second.post(f"/api/approvals/requests/{said['id']}/reject", json={"reason": "没有回单"}))
    assert data(await operator.post(f"{path}/fail", json={"reason": "另行付款"}))["state"] == "failed"


async def _reconciles(city: City, operator: httpx.AsyncClient, clock: FixedClock) -> None:
    """A day that is over is compared; what differs has an owner and an end that an operator decides."""
    day = clock.today()
    auditor = await city.key("ledger")
    assert (await operator.post("/api/reconcile/runs", json={"day": str(day)})).status_code == 422  # it is not over
    org, key = await city.organisation(), uuid4()
    await city.services.db.execute(
        """INSERT INTO gateway.usage_day VALUES ($1, $2, $3, 'm', 3, 60, 0, 40, 0, 0, 900)""", day, org, key
    )
    clock.advance(days=1)
    run = data(await operator.post("/api/reconcile/runs", json={"day": str(day)}), 201)
    assert run["differences"] >= 1
    assert (await auditor.post("/api/reconcile/runs", json={})).status_code == 403
    assert data(await auditor.get("/api/reconcile/runs"))["data"][0]["differences"] == run["differences"]
    found = data(await auditor.get("/api/reconcile/differences", params={"day": str(day)}))["data"]
    item = found[0]
    path = f"/api/reconcile/differences/{item['id']}"
    assert data(await operator.post(f"{path}/assign", json={"owner": "计量组"}))["owner"] == "计量组"
    done = data(await operator.post(f"{path}/resolve", json={"outcome": "explained", "note": "测试数据"}))
    assert (done["state"], done["outcome"]) == ("resolved", "explained")
    assert data(await auditor.get(path))["note"] == "测试数据"
    again = await operator.post(f"{path}/resolve", json={"outcome": "written_off", "note": "x"})
    assert again.status_code == 409
    assert (await operator.get(f"/api/reconcile/differences/{uuid4()}")).status_code == 404
    assert (await operator.post("/api/reconcile/bills/nobody", content=b"x")).status_code in (404, 422)
    assert clock.today() - day == timedelta(days=1)


async def _balanced(city: City, operator: httpx.AsyncClient, second: httpx.AsyncClient, clock: FixedClock) -> None:
    """The bank against the books of any day, in every form; a sheet of it is kept and signed by a second person."""
    day = clock.today() - timedelta(days=1)
    found = data(await operator.get("/api/bank/balance", params={"day": str(day)}))
    assert found["adjusted_bank_fen"] - found["adjusted_ledger_fen"] == found["unexplained_fen"] == 0
    assert found["items"]
    for shape, begins in (("pdf", b"%PDF"), ("xlsx", b"PK"), ("csv", b"\xef\xbb\xbf")):
        file = await operator.get("/api/bank/balance", params={"day": str(day), "format": shape})
        assert file.content.startswith(begins)
    late = await operator.get("/api/bank/balance", params={"day": str(clock.today() + timedelta(days=2))})
    assert (late.status_code, late.json()["error"]["code"]) == (422, "balance_too_early")
    asked = data(await operator.post("/api/bank/balance/sheets", json={"day": str(day)}), 202)
    agree = f"/api/approvals/requests/{asked['id']}/approve"
    assert (await operator.post(agree, json={})).status_code == 403
    (kept,) = data(await operator.get("/api/bank/balance/sheets"))["data"]
    assert (kept["day"], kept["signed_by"]) == (str(day), None)
    assert data(await second.post(agree, json={}))["state"] == "done"
    whole = data(await operator.get(f"/api/bank/balance/sheets/{kept['id']}"))
    assert (whole["sheet"]["bank_fen"], whole["signed_by"].count("key:")) == (found["bank_fen"], 2)
    paper = await operator.get(f"/api/bank/balance/sheets/{kept['id']}", params={"format": "csv", "language": "en"})
    assert "in the books" in paper.text
    assert (await operator.get(f"/api/bank/balance/sheets/{uuid4()}")).status_code == 404
