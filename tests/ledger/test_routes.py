from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from shanhe.approvals.api import Approvals
from shanhe.approvals.routes import router as approvals_router
from shanhe.identity import guard
from shanhe.identity.api import Actor, require
from shanhe.kernel import http
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Account, Asset, Posting, Transfer
from shanhe.ledger.routes import router
from shanhe.wiring.moves import Moves
from stage.faults import lost_mark

from .conftest import Books

PERMISSIONS = {"operator": frozenset({"ledger", "accounts"}), "auditor": frozenset({"ledger"})}
NAME = "Li Ming"


@pytest.fixture
async def client(
    books: Books, database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The routes; the header `x-role` stands in for signing in."""

    async def actor(request: object) -> Actor:
        role = request.headers.get("x-role", "")  # type: ignore[attr-defined]
        return Actor(new_id(), None, None, frozenset(), PERMISSIONS.get(role, frozenset()), name=NAME)

    monkeypatch.setattr(guard, "actor", actor)
    app = FastAPI()
    http.install(app)
    approvals = Approvals(database, clock)
    nobody: Any = None
    moves = Moves(clock, approvals, nobody, books.ledger, Seals())
    http.take(app, router(books.ledger, require, moves))
    http.take(app, approvals_router(approvals, require))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city", headers={"x-role": "operator"}) as made:
        yield made


async def agree(client: httpx.AsyncClient, asked: httpx.Response) -> httpx.Response:
    """Somebody else agrees, whose deed is done before the database goes away; then it is asked for again."""
    path = f"/api/approvals/requests/{asked.json()['id']}"
    with lost_mark():
        await client.post(f"{path}/approve", json={})
    return await client.post(f"{path}/again")


class TestLedgerRoutes:
    async def test_reverse_what_two_agreed_to_in_the_name_of_references_never_of_people(
        self, client: httpx.AsyncClient, books: Books
    ) -> None:
        wallet = await books.wallet(1_000)
        (posting,) = (await books.ledger.postings(account=wallet.id)).items
        path = f"/api/ledger/postings/{posting.id}/reverse"
        asked = [await client.post(path, json={"reason": "a mistake"}) for _ in range(2)]
        assert [one.status_code for one in asked] == [202, 202]
        assert asked[0].json()["id"] == asked[1].json()["id"]
        assert (await books.ledger.balance(wallet.id)).balance == 1_000  # nothing before a second person
        assert (await agree(client, asked[0])).json()["state"] == "done"
        assert (await books.ledger.balance(wallet.id)).balance == 0
        mirror = (await books.ledger.postings(account=wallet.id)).items[0]
        assert mirror.reverses == posting.id
        first, _, second = mirror.actor.partition(" + ")
        assert first.startswith("person:")
        assert second.startswith("person:")
        assert NAME not in str(mirror)

    async def test_give_an_account_as_a_sheet_in_the_language_that_is_asked_for(
        self, client: httpx.AsyncClient, books: Books, clock: FixedClock
    ) -> None:
        """As it was booked, for programs that ask for no language; what is sealed stays as it is."""
        wallet = await books.wallet(1_000)
        (first,) = (await books.ledger.postings(account=wallet.id)).items
        mirror = await books.ledger.reverse(first.id, actor="person:a", reason="payout failed")
        path, day = f"/api/ledger/accounts/{wallet.id}/statement.csv", str(clock.today())
        for language, kind, memo in (
            (None, "reversal", "payout failed"), ("zh", "冲正", "提现失败"), ("en", "reversal", "payout failed"),
        ):  # fmt: skip
            asked = {"since": day, "until": day} | ({"language": language} if language else {})
            text = (await client.get(path, params=asked)).text
            assert f",{kind},{memo}," in text, text
        assert (await books.ledger.posting(mirror.id)).memo == "payout failed"
        assert (await client.get(path, params={"since": day, "until": day, "language": "fr"})).status_code == 422

    async def test_ask_anew_where_a_reversal_was_refused(self, client: httpx.AsyncClient, books: Books) -> None:
        wallet = await books.wallet(1_000)
        (posting,) = (await books.ledger.postings(account=wallet.id)).items
        path = f"/api/ledger/postings/{posting.id}/reverse"
        asked = (await client.post(path, json={"reason": "a mistake"})).json()["id"]
        await client.post(f"/api/approvals/requests/{asked}/reject", json={"reason": "it was right"})
        assert (await client.post(path, json={"reason": "no, it wasn't"})).json()["id"] != asked

    async def test_let_an_auditor_read_and_change_nothing(self, client: httpx.AsyncClient, books: Books) -> None:
        wallet = await books.wallet(1_000)
        (posting,) = (await books.ledger.postings(account=wallet.id)).items
        client.headers["x-role"] = "auditor"
        assert (await client.get("/api/ledger/trial-balance")).status_code == 200
        for path, body in (
            (f"postings/{posting.id}/reverse", {"reason": "no"}),
            ("periods", {"through": "2020-01-01"}),
            ("opening", {}),
        ):
            assert (await client.post(f"/api/ledger/{path}", json=body)).status_code == 403
        assert (await books.ledger.balance(wallet.id)).balance == 1_000

    async def test_give_the_trial_balance_as_a_sheet_that_adds_up_to_nothing(
        self, client: httpx.AsyncClient, books: Books
    ) -> None:
        wallet = await books.wallet(1_500_000)
        answer = await client.get("/api/ledger/trial-balance.csv")
        rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        (mine,) = [row for row in rows if row["account"] == str(wallet.id)]
        assert (mine["asset"], mine["debits"], mine["credits"]) == ("credit", "0.000000", "1.500000")
        assert sum(Decimal(row["debits"]) - Decimal(row["credits"]) for row in rows) == 0
        assert sum(Decimal(row["balance"]) for row in rows) == 0
        assert answer.headers["content-disposition"] == 'attachment; filename="trial-balance.csv"'

    async def test_close_a_period_and_carry_its_balances(
        self, client: httpx.AsyncClient, books: Books, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wallet = await books.wallet(1_000)
        yesterday = clock.today()
        clock.advance(days=1)
        body = {"through": str(yesterday)}
        asked = [await client.post("/api/ledger/periods", json=body) for _ in range(2)]
        assert [one.status_code for one in asked] == [202, 202]
        assert asked[0].json()["id"] == asked[1].json()["id"]
        assert (await client.get("/api/ledger/periods/last")).json()["items"] == []  # nothing before a second person
        assert (await agree(client, asked[0])).status_code == 200
        carried = (await client.get("/api/ledger/periods/last")).json()["items"]
        assert {"account": str(wallet.id), "balance": 1_000} in carried
        books.ledger._accounts.clear()
        asked_for, real = [], books.ledger._store.accounts

        async def counted(identifiers: Iterable[UUID]) -> list[Account]:
            asked_for.append(list(identifiers))
            return await real(asked_for[-1])

        monkeypatch.setattr(books.ledger._store, "accounts", counted)
        sheet = (await client.get("/api/ledger/periods/last.csv")).text.removeprefix("\ufeff")
        assert len(asked_for) == 1, "all of its accounts are read at once"
        (mine,) = [row for row in csv.DictReader(io.StringIO(sheet)) if row["account"] == str(wallet.id)]
        assert (mine["kind"], mine["balance"]) == ("wallet", "0.001000")
        assert (await client.get("/api/ledger/periods/unfinished", params=body)).json() == {"items": []}
        assert (await client.post("/api/ledger/periods", json=body)).status_code == 409
        assert (await client.post("/api/ledger/periods", json={})).status_code == 422
        assert (await client.post("/api/ledger/periods", json={"through": str(clock.today())})).status_code == 422

    async def test_take_over_opening_balances_once_two_agreed(self, client: httpx.AsyncClient, books: Books) -> None:
        wallet = await books.wallet()
        lot = {"provenance": "purchased", "amount": 5_000_000}
        books_taken = {
            "id": str(new_id()),
            "entries": [{"account": str(wallet.id), "amount": 5_000_000, "lots": [lot]}],
        }
        asked = [await client.post("/api/ledger/opening", json=books_taken) for _ in range(2)]
        assert [one.status_code for one in asked] == [202, 202]
        assert (await books.ledger.balance(wallet.id)).balance == 0
        other = books_taken | {"entries": [{"account": str(wallet.id), "amount": 6_000_000, "lots": []}]}
        assert (await client.post("/api/ledger/opening", json=other)).status_code == 409
        assert (await agree(client, asked[1])).status_code == 200
        assert (await books.ledger.balance(wallet.id)).balance == 5_000_000
        assert await books.clean()
        nowhere = {"id": str(new_id()), "entries": [{"account": str(new_id()), "amount": 1}]}
        assert (await client.post("/api/ledger/opening", json=nowhere)).status_code == 404

    @pytest.mark.parametrize(
        "raw", [b"", b"{}", b"\xff", b'{"id": "x", "entries": []}', b'{"entries": [{"account": 1, "amount": 0.5}]}']
    )
    async def test_refuse_what_is_no_opening(self, client: httpx.AsyncClient, raw: bytes) -> None:
        answer = await client.post("/api/ledger/opening", content=raw)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "opening_invalid")


class TestPeriod:
    async def test_adds_up_from_the_balance_before_to_the_balance_after(
        self, client: httpx.AsyncClient, books: Books, clock: FixedClock
    ) -> None:
        """Of an account, over a close or without one; vouchers are numbered by month."""
        cash = await books.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        sold = await books.ledger.system_account("revenue", Asset.CNY, "credits sold")

        async def book(fen: int) -> None:
            leg = Transfer(new_id(), cash.id, sold.id, fen)
            await books.ledger.post(Posting(id=new_id(), kind="purchase", transfers=(leg,), actor="t", memo="六月"))

        await book(100_00)
        first = clock.today()
        clock.advance(days=1)
        day = str(clock.today())
        await book(30_00)
        await book(5_00)
        seen = []
        for close in (False, True):
            if close:
                await books.ledger.close_period(first, actor="t")
            asked = {"since": day, "until": day, "asset": "cny", "language": "zh"}
            text = (await client.get("/api/ledger/period.csv", params=asked)).text
            seen.append(list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))))
        assert seen[0] == seen[1]
        (mine,) = [row for row in seen[0] if row["account"] == str(cash.id)]
        assert mine == {
            "account": str(cash.id), "asset": "cny", "kind": "资金清算", "owner": str(cash.owner),
            "name": "bank_transfer", "opening_debit": "100.00", "opening_credit": "0.00", "debits": "35.00",
            "credits": "0.00", "closing_debit": "135.00", "closing_credit": "0.00",
        }  # fmt: skip
        for debit, credit in (("opening_debit", "opening_credit"), ("debits", "credits")):
            assert sum(Decimal(row[debit]) - Decimal(row[credit]) for row in seen[0]) == 0
        items = (await client.get("/api/ledger/period", params={"since": day, "until": day})).json()["items"]
        assert [row["opening"] for row in items if row["account"]["id"] == str(cash.id)] == [-100_00]

        text = (await client.get("/api/ledger/vouchers.csv", params={"since": day, "until": day})).text
        lines = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
        number = 2 if clock.today().month == first.month else 1
        assert [line["voucher"] for line in lines] == [f"记-{n:04d}" for n in (number, number, number + 1, number + 1)]
        assert [(line["voucher_debit"], line["voucher_credit"], line["memo"]) for line in lines[:2]] == [
            ("30.00", "", "六月"), ("", "30.00", "六月")
        ]  # fmt: skip
        assert (await client.get("/api/ledger/vouchers", params={"since": day, "until": day})).json()["items"][0][
            "number"
        ] == number
