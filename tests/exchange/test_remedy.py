"""Upheld disputes: trades undone by two people's word, as far as what they gave is still there."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.approvals.api import RequestConflict, SamePerson
from shanhe.exchange import fund_store, remedy, remedy_store
from shanhe.exchange.api import (
    ItemClosed,
    Market,
    NothingToReverse,
    NotUpheld,
    OrderConflict,
    ReversalWaits,
    SecondPersonNeeded,
)
from shanhe.exchange.remedy import REQUEST, undo_of
from shanhe.ledger.api import Asset, Charge, InsufficientCredit, Leg
from stage.faults import lost_mark

from .conftest import CREDIT
from .test_http import Site, order

AMOUNT = st.integers(0, 10**12)


@pytest.fixture
def site(world, tmp_path):
    return Site(world, tmp_path)


class Case:
    """One settled trade of 100 credits for 60 yuan (6 of them the fee), disputed by the buyer and upheld."""

    def __init__(self, world) -> None:
        self.world = world
        self.remedies = world.exchange.remedies

    async def open(self) -> Case:
        world = self.world
        self.seller, self.buyer = await world.seller(100), await world.buyer(100)
        self.wallet = (await world.ledger.ensure_account(self.buyer, Asset.CREDIT, "wallet")).id
        await world.sell(self.seller, 100, 6000)
        self.order = (await world.buy(self.buyer, 100, 6000)).id
        await world.auction()
        (self.trade,) = await world.exchange.trades(org_id=self.buyer)
        self.dispute = uuid4()
        await world.exchange.dispute(self.order, self.buyer, "价格有误", dispute_id=self.dispute, actor="person:buyer")
        return self

    async def uphold(self) -> Case:
        await self.world.exchange.disputes.decide(self.dispute, upheld=True, answer="属实", actor="person:o1")
        return self

    async def undo(self, **more):
        asked = await self.remedies.ask(self.dispute, "报价显示有误", by="person:o1", **more)
        return await self.remedies.approve(asked.id, by="person:o2")

    async def spend(self, credits: int) -> None:
        ledger = self.world.ledger
        platform = await ledger.system_account("platform", Asset.CREDIT)
        reservation = await ledger.admit(self.wallet, credits * CREDIT, receipt_id=uuid4())
        await ledger.settle(reservation, Charge(credits * CREDIT, (Leg(platform.id, credits * CREDIT),)))

    async def stands(self) -> tuple[int, int, int, int, int]:
        """Credits and fen of the seller, of the buyer, fen of the fund."""
        world = self.world
        fen = [(await world.cash(org))[0] for org in (self.seller, self.buyer)]
        credits = [await world.credits(org) // CREDIT for org in (self.seller, self.buyer)]
        return credits[0], fen[0], credits[1], fen[1], await world.fund()


@pytest.fixture
async def case(world) -> Case:
    return await Case(world).open()


class TestAnswer:
    async def test_is_the_first_operators_and_the_other_is_told(self, case, monkeypatch):
        disputes = case.world.exchange.disputes
        decide, second = fund_store.decide_dispute, "person:o2"

        async def overtaken(db, *values):
            await decide(db, case.dispute, "dismissed", "按规则成交", second, case.world.clock.now())
            return await decide(db, *values)

        monkeypatch.setattr(fund_store, "decide_dispute", overtaken)
        with pytest.raises(ItemClosed):
            await disputes.decide(case.dispute, upheld=True, answer="属实", actor="person:o1")
        (stands,) = await disputes.list(case.buyer)
        assert (stands.state, stands.answer, stands.decided_by) == ("dismissed", "按规则成交", second)

    async def test_id_of_a_request_is_not_taken_for_another_request(self, case):
        await case.uphold()
        asked = await case.remedies.ask(case.dispute, "why", by="person:o1", remedy_id=uuid4())
        for other in ({"dispute_id": uuid4()}, {"reason": "else"}, {"by": "person:o2"}, {"trades": [uuid4()]}):
            values = {"dispute_id": case.dispute, "reason": "why", "by": "person:o1", "remedy_id": asked.id} | other
            with pytest.raises(RequestConflict):
                await case.remedies.ask(**values)


class TestDispute:
    async def test_id_is_not_taken_for_another_complaint(self, case):
        again = {"order_id": case.order, "org_id": case.buyer, "text": "价格有误", "dispute_id": case.dispute}
        opened = await case.world.exchange.disputes.open(actor="person:buyer", **again)
        assert (opened.id, opened.state) == (case.dispute, "open")
        for other in ({"order_id": uuid4()}, {"org_id": uuid4()}, {"text": "别的"}):
            with pytest.raises(OrderConflict):
                await case.world.exchange.disputes.open(actor="person:buyer", **(again | other))

    async def test_is_never_answered_by_who_complained(self, case):
        with pytest.raises(SecondPersonNeeded):
            await case.world.exchange.disputes.decide(case.dispute, upheld=True, answer="是", actor="person:buyer")


class TestUndo:
    @given(quantity=st.integers(1, 10**15), cash=AMOUNT, fee=AMOUNT, credits=AMOUNT, left=AMOUNT, fund=AMOUNT)
    def test_never_takes_more_than_is_there_and_is_whole_when_all_is(self, quantity, cash, fee, credits, left, fund):
        fee = min(fee, cash)
        undo = undo_of(quantity, cash, fee, credits=credits, cash=left, fund=fund)
        assert 0 <= undo.quantity_micro <= min(quantity, credits)
        assert 0 <= undo.fee_fen <= min(fee, fund)
        assert 0 <= undo.cash_fen - undo.fee_fen <= min(cash - fee, left)
        whole = credits >= quantity and left >= cash - fee and fund >= fee
        assert (undo.bound == "") == whole
        if whole:
            assert (undo.quantity_micro, undo.cash_fen, undo.fee_fen) == (quantity, cash, fee)
        # In proportion, each leg rounded down by less than a fen.
        assert 0 <= cash * undo.quantity_micro - undo.cash_fen * quantity < 2 * quantity

    @given(quantity=st.integers(1, 10**12), cash=st.integers(1, 10**9), left=st.integers(0, 10**9))
    def test_gives_back_as_much_as_the_bound_allows(self, quantity, cash, left):
        undo = undo_of(quantity, cash, 0, credits=quantity, cash=left, fund=0)
        if undo.quantity_micro < quantity:
            assert cash * (undo.quantity_micro + 1) // quantity > left


class TestReversal:
    async def test_puts_both_sides_back_where_they_were(self, case):
        before = await case.stands()
        assert before == (0, 5_400, 100, 4_000, 600)
        await case.uphold()
        done = await case.undo()
        assert (done.state, done.decided_by) == ("done", "person:o2")
        (undone,) = done.reversals
        assert (undone.quantity_micro, undone.cash_fen, undone.fee_fen, undone.bound) == (100 * CREDIT, 6_000, 600, "")
        assert await case.stands() == (100, 0, 0, 10_000, 0)
        posting = await case.world.ledger.posting(undone.posting)
        assert (posting.kind, posting.reverses) == ("trade_reversal", case.trade.id)
        assert posting.actor == "person:o1 + person:o2"
        assert done.reason == "报价显示有误"
        assert "报价".encode() not in posting.evidence  # what people say is kept where it can be forgotten
        assert "报价" not in posting.memo
        assert ("exchange.reversal", "") in [(kind, public.get("bound")) for kind, public in case.world.recorded]
        await case.world.verify()

    async def test_gives_the_seller_the_very_lot_back_with_its_old_dates(self, case):
        wallet = await case.world.ledger.ensure_account(case.seller, Asset.CREDIT, "wallet")
        (sold,) = await case.world.ledger.lots(wallet.id, spent=True)
        await (await case.uphold()).undo()
        (back,) = await case.world.ledger.lots(wallet.id)
        assert (back.id, back.remaining, back.provenance, back.unlock_at) == (
            sold.id, 100 * CREDIT, "purchased", sold.unlock_at,
        )  # fmt: skip

    async def test_of_every_trade_of_an_order_is_booked_and_of_the_next_order_too(self, case):
        """Each by itself: who was paid, and what another reversal undid before, makes no difference."""
        world = case.world
        await (await case.uphold()).undo()
        buyer, sellers = await world.buyer(100), [await world.seller(50) for _ in range(2)]
        for seller in sellers:
            await world.sell(seller, 50, 6000)
        case.order = (await world.buy(buyer, 100, 6000)).id
        await world.auction()
        case.dispute = uuid4()
        await world.exchange.dispute(case.order, buyer, "价格有误", dispute_id=case.dispute, actor="person:buyer")
        done = await (await case.uphold()).undo()
        assert [(one.quantity_micro, one.cash_fen, one.bound) for one in done.reversals] == [
            (50 * CREDIT, 3_000, "")
        ] * 2
        assert [await world.credits(one) for one in (buyer, *sellers)] == [0, 50 * CREDIT, 50 * CREDIT]
        assert [(await world.cash(one))[0] for one in (buyer, *sellers)] == [10_000, 0, 0]
        await world.verify()

    async def test_stands_at_its_price_for_what_the_buyer_has_used(self, case):
        await case.spend(40)
        (undone,) = (await (await case.uphold()).undo()).reversals
        assert (undone.quantity_micro, undone.cash_fen, undone.fee_fen) == (60 * CREDIT, 3_600, 360)
        assert undone.bound == "credits"
        assert await case.stands() == (60, 5_400 - 3_240, 0, 4_000 + 3_600, 240)
        await case.world.verify()

    async def test_is_bounded_by_the_cash_the_seller_still_has(self, case):
        cash = case.world.exchange.cash
        await cash.withdraw(case.seller, 5_000, withdrawal_id=uuid4(), payee="bank", actor="person:s")
        (undone,) = (await (await case.uphold()).undo()).reversals
        assert undone.bound == "cash"
        assert undone.cash_fen - undone.fee_fen == 400
        assert (await case.world.cash(case.seller))[1] == 0
        assert (await case.world.cash(case.buyer))[0] == 4_000 + undone.cash_fen
        assert await case.world.fund() == 600 - undone.fee_fen
        await case.world.verify()

    async def test_of_what_is_all_gone_moves_nothing_and_says_so(self, case):
        await case.spend(100)
        (undone,) = (await (await case.uphold()).undo()).reversals
        assert (undone.posting, undone.quantity_micro, undone.bound) == (None, 0, "credits")
        with pytest.raises(NothingToReverse):
            await case.remedies.ask(case.dispute, "again", by="person:o1")

    async def test_books_once_however_often_it_is_tried(self, case, monkeypatch):
        """The process dies after the posting and before its record."""
        await case.uphold()
        asked = await case.remedies.ask(case.dispute, "why", by="person:o1")

        async def dies(*_: object) -> None:
            raise ConnectionError

        with monkeypatch.context() as patch:
            patch.setattr("shanhe.exchange.remedy_store.insert_reversal", dies)
            with pytest.raises(ConnectionError):
                await case.remedies.approve(asked.id, by="person:o2")
        stood = await case.stands()
        await case.world.exchange.remedies.run()
        done = await case.remedies.get(asked.id)
        assert (done.state, [one.cash_fen for one in done.reversals]) == ("done", [6_000])
        assert await case.stands() == stood == (100, 0, 0, 10_000, 0)
        assert (await case.world.approvals.get(asked.id)).state == "done"
        await case.world.verify()

    async def test_that_another_process_books_meanwhile_is_on_record_as_it_was_booked(self, case, monkeypatch):
        """It has posted it, and not written that down yet."""
        await case.uphold()
        asked, remedies = await case.remedies.ask(case.dispute, "why", by="person:o1"), case.remedies
        recall, trade = remedies._history.recall, await remedy_store.trade(remedies._db, case.trade.id)

        async def meanwhile(account: UUID) -> None:
            monkeypatch.setattr(remedies._history, "recall", recall)
            await remedies._undo(trade, asked, "person:o1 + person:o2")

        monkeypatch.setattr(remedies._history, "recall", meanwhile)
        (undone,) = (await remedies.approve(asked.id, by="person:o2")).reversals
        assert (undone.quantity_micro, undone.cash_fen, undone.bound) == (100 * CREDIT, 6_000, "")
        assert undone.posting is not None
        assert await case.stands() == (100, 0, 0, 10_000, 0)

    async def test_books_once_when_only_the_mark_was_lost(self, case):
        await case.uphold()
        asked = await case.remedies.ask(case.dispute, "why", by="person:o1")
        with lost_mark():
            await case.world.approvals.agree(asked.id, by="person:o2")
        assert (await case.world.approvals.again(asked.id, by="person:o2")).state == "done"
        assert await case.stands() == (100, 0, 0, 10_000, 0)
        await case.world.verify()

    async def test_waits_while_the_lots_move_at_every_try(self, case, monkeypatch):
        await case.uphold()
        before, post = await case.stands(), case.world.ledger.post

        async def moved(posting):
            raise InsufficientCredit(posting.deltas[0].lot, 0, 1)

        monkeypatch.setattr(case.world.ledger, "post", moved)
        waits = await case.undo()
        assert (waits.state, list(waits.reversals)) == ("open", [])
        assert await case.remedies.run() == 0
        assert await case.stands() == before
        monkeypatch.setattr(case.world.ledger, "post", post)
        assert await case.remedies.run() == 1
        (done,) = (await case.remedies.get(waits.id)).reversals
        assert (done.quantity_micro, done.cash_fen, done.fee_fen) == (100 * CREDIT, 6_000, 600)

    async def test_leaves_the_journal_as_it_was(self, case):
        await (await case.uphold()).undo()
        assert (await case.world.exchange.replay(Market.REAL)).same
        assert (await case.world.exchange.order(case.order)).state == "filled"

    async def test_needs_an_upheld_dispute_and_two_who_did_not_complain(self, case):
        with pytest.raises(NotUpheld):
            await case.remedies.ask(case.dispute, "why", by="person:o1")
        await case.uphold()
        with pytest.raises(SecondPersonNeeded):
            await case.remedies.ask(case.dispute, "why", by="person:buyer")
        asked = await case.remedies.ask(case.dispute, "why", by="person:o1", remedy_id=uuid4())
        assert (await case.remedies.ask(case.dispute, "why", by="person:o1", remedy_id=asked.id)).id == asked.id
        with pytest.raises(SamePerson):
            await case.remedies.approve(asked.id, by="person:o1")
        with pytest.raises(SecondPersonNeeded):
            await case.remedies.approve(asked.id, by="person:buyer")
        with pytest.raises(SamePerson):  # nor by the general door of approvals
            await case.world.approvals.agree(asked.id, by="person:buyer")
        await case.remedies.reject(asked.id, by="person:o2", reason="not now")
        assert (await case.remedies.get(asked.id)).state == "ended"
        assert [one.id for one in await case.remedies.due()] == [case.dispute]
        assert (await case.stands())[2] == 100

    async def test_names_trades_of_that_order_only(self, case):
        await case.uphold()
        with pytest.raises(NothingToReverse):
            await case.remedies.ask(case.dispute, "why", by="person:o1", trades=[case.trade.id, uuid4()])
        asked = await case.remedies.ask(case.dispute, "why", by="person:o1", trades=[case.trade.id])
        assert asked.trades == [case.trade.id]

    async def test_of_an_order_with_more_trades_than_one_may_undo_stays_due(self, world, monkeypatch):
        buyer = await world.buyer(100)
        for _ in range(3):
            await world.sell(await world.seller(20), 20, 6000)
        order, dispute = (await world.buy(buyer, 60, 6000)).id, uuid4()
        await world.auction()
        await world.exchange.dispute(order, buyer, "价格有误", dispute_id=dispute, actor="person:buyer")
        await world.exchange.disputes.decide(dispute, upheld=True, answer="属实", actor="person:o1")
        monkeypatch.setattr(remedy, "TRADES_MAX", 2)
        remedies, undone = world.exchange.remedies, []
        while await remedies.due():
            asked = await remedies.ask(dispute, "why", by="person:o1")
            assert await remedies.due() == []
            done = await remedies.approve(asked.id, by="person:o2")
            undone.append(len(done.reversals))
        assert undone == [2, 1]
        assert await world.credits(buyer) == 0

    async def test_is_bounded_by_what_the_fund_still_has_of_the_fee(self, case):
        await case.world.exchange.endow_stability(450, posting_id=uuid4(), actor="test")
        (undone,) = (await (await case.uphold()).undo()).reversals
        assert (undone.bound, undone.fee_fen) == ("fund", 150)
        assert await case.world.fund() == 0
        await case.world.verify()

    async def test_does_not_touch_what_is_set_aside_of_the_bought_credits(self, case):
        """Though others lie beside them: what goes back is what the trade gave."""
        world = case.world
        await world.lot(case.buyer, 500 * CREDIT)
        (bought,) = [lot for lot in await world.ledger.lots(case.wallet) if lot.provenance == "exchange"]
        held = UUID(int=1)
        await world.db.execute(
            """INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
               VALUES ($1, $2, $3, 'test', $4, 'infinity', ARRAY[$5::uuid], ARRAY[$3::bigint])""",
            held, case.wallet, 60 * CREDIT, world.clock.now(), bought.id,
        )  # fmt: skip
        await world.db.execute("UPDATE ledger.lot SET held = $2 WHERE id = $1", bought.id, 60 * CREDIT)
        await world.db.execute("UPDATE ledger.account SET held = $2 WHERE id = $1", case.wallet, 60 * CREDIT)
        (undone,) = (await (await case.uphold()).undo()).reversals
        assert (undone.quantity_micro, undone.bound) == (40 * CREDIT, "credits")
        await world.verify()

    async def test_waits_once_for_a_dispute_whoever_else_asks(self, case):
        await case.uphold()
        asked = await case.remedies.ask(case.dispute, "why", by="person:o1")
        with pytest.raises(ReversalWaits):
            await case.remedies.ask(case.dispute, "why too", by="person:o2")
        waiting = await case.world.approvals.requests(kind=REQUEST)
        assert [one.id for one in waiting] == [asked.id], "nobody is asked for a word on what was refused"

    async def test_does_not_touch_what_the_buyer_pledged(self, case):
        await case.world.ledger.set_floor(case.wallet, 30 * CREDIT)
        (undone,) = (await (await case.uphold()).undo()).reversals
        assert (undone.quantity_micro, undone.bound) == (70 * CREDIT, "credits")
        with pytest.raises(InsufficientCredit):
            await case.spend(1)
        await case.world.verify()


class TestRoutes:
    async def test_lead_from_the_complaint_to_the_money(self, site):
        buyer, buyer_id = await site.client("买方", "topup")
        seller, seller_id = await site.client("卖方", "topup")
        first, _ = await site.client("运营一", "accounts", "ledger")
        second, _ = await site.client("运营二", "accounts", "ledger")
        await site.world.lot(seller_id, 100 * CREDIT)
        await site.world.exchange.cash.receive(buyer_id, 10_000, reference="x", actor="test")
        placed = (await buyer.post("/api/exchange/orders", json=order())).json()["id"]
        await seller.post("/api/exchange/orders", json=order("sell"))
        await first.post("/api/exchange/auction")
        body = {"id": str(uuid4()), "text": "价格不对"}
        await buyer.post(f"/api/exchange/orders/{placed}/disputes", json=body)
        path = f"/api/exchange/disputes/{body['id']}"
        early = await first.post(f"{path}/reversal", json={"reason": "x"})
        assert (early.status_code, early.json()["error"]["code"]) == (409, "dispute_not_upheld")
        await first.post(f"{path}/decide", json={"upheld": True, "answer": "属实"})
        asked = await first.post(f"{path}/reversal", json={"reason": "报价显示有误"})
        assert asked.status_code == 201, asked.text
        assert (await buyer.post(f"/api/exchange/reversals/{asked.json()['id']}/approve")).status_code == 403
        assert (await first.post(f"/api/exchange/reversals/{asked.json()['id']}/approve")).status_code == 403
        assert len((await second.get("/api/exchange/all-reversals")).json()["data"]) == 1
        done = (await second.post(f"/api/exchange/reversals/{asked.json()['id']}/approve")).json()
        assert (done["state"], done["reversals"][0]["cash_fen"]) == ("done", 3_000)
        (mine,) = (await buyer.get("/api/exchange/reversals")).json()["data"]
        trade = UUID(mine["trades"][0])
        other = (await seller.get(f"/api/exchange/my/trades/{trade}")).json()
        assert other["reversal"]["quantity_micro"] == 50 * CREDIT
        assert (await site.world.cash(buyer_id))[0] == 10_000
        await site.world.verify()
