"""Many at once: makers, operators, the bank's statements and two jobs workers act on the same money, and some die.

Whatever happened, in whichever order: what was paid out, came back or waits is in the books once.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.kernel.db import Database
from shanhe.ledger.api import Asset, Provenance
from shanhe.payments.api import (
    BANK_FILE,
    BankTransfer,
    OrderRequest,
    Payments,
    PayoutState,
)
from shanhe.wiring.payments import payees_of
from stage import crowds

from .test_bank import ACCOUNT, HEADER
from .treasury import MICRO, Works

ROUNDS, AT_ONCE = 20, 6
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.004
ORDER_FEN = 30_000
GOOD, REFUSED = "6200000011112222", "6200000011110000"
UNFINISHED = (
    "SELECT id FROM payments.payout WHERE state IN ('approving', 'returning', 'sending')",
    "SELECT id FROM payments.payout WHERE state IN ('approved', 'sent') AND channel <> 'bank_file'",
    "SELECT o.reference FROM payments.bank_outgoing o JOIN payments.payout p ON p.id = o.subject_id "
    "WHERE p.state IN ('failed', 'refused', 'confirmed') AND o.done_at IS NULL",
    "SELECT * FROM payments.bank_line WHERE state = 'new'",
    "SELECT * FROM payments.bank_line WHERE state = 'matched' AND confirmed_at IS NULL",
    "SELECT id FROM payments.suspense WHERE posted_at IS NULL OR (state <> 'open' AND released_at IS NULL)",
    "SELECT id FROM payments.refund WHERE state = 'requested' AND provider_ref IS NULL",
)
TWICE = (
    "SELECT reference, direction FROM payments.bank_line WHERE state = 'matched' AND reference IS NOT NULL "
    "AND order_id IS NULL GROUP BY 1, 2 HAVING count(*) > 1",
    f"SELECT order_id FROM payments.refund WHERE state <> 'failed' GROUP BY 1 HAVING sum(amount_fen) > {ORDER_FEN}",
)
BOOKED = """
  SELECT p.id FROM payments.payout p LEFT JOIN ledger.posting b ON b.id = p.posting_id
    LEFT JOIN ledger.posting r ON r.reverses = p.posting_id
   WHERE (b.id IS NOT NULL) <> (p.state IN ('approved', 'sending', 'sent', 'confirmed', 'returning', 'failed'))
      OR (r.id IS NOT NULL) <> (p.state = 'failed')"""
"""A payout is in the books as far as it got, and once back where it came back."""
SUSPENDED = """
  SELECT coalesce(sum(CASE WHEN kind IN ('outgoing', 'elsewhere') THEN -amount_fen ELSE amount_fen END), 0)::bigint
    FROM payments.suspense WHERE state = 'open'"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.works = Works(self.db, folder)
        self.payouts, self.clock = self.works.payouts, self.works.clock
        transfer = BankTransfer(self.db, self.clock, ACCOUNT, lambda: 15)
        self.payments = Payments(self.db, self.clock, {transfer.name: transfer})
        self.desk = self.works.desk()
        self.desk.matching._payments = self.payments
        self.desk.statements.know_payees(payees_of(self.desk, self.payments, self.payouts))
        self.asked: list[UUID] = []
        self.orders: list[UUID] = []
        self.number = self.serial = 0
        self.draws = [
            (self.earn, 3), (self.payee, 3), (self.check, 2), (self.ask, 10), (self.review, 4), (self.approve, 24),
            (self.cancel, 3), (self.refuse, 2), (self.fail, 5), (self.confirm, 3), (self.export, 6), (self.tick, 8),
            (self.statement, 14), (self.order, 4), (self.refund, 4), (self.decide, 10),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        await self.works.earn(1_000)
        await self.works.earn(300, Provenance.SUBSIDY)
        self.clock.advance(days=8)
        await self.works.payee()
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 90_000)))
            await self.round(AT_ONCE, dies=DIES)
        await self.come_to_rest()

    def one(self) -> UUID:
        return self.rng.choice(self.asked[-4:]) if self.asked else uuid4()

    def clerk(self) -> str:
        return self.rng.choice(("person:o1", "person:o2", "person:o3"))

    # -- makers and operators -----------------------------------------------------------------------------------------

    async def earn(self) -> None:
        await self.works.earn(self.rng.choice((100, 400)), self.rng.choice((Provenance.PURCHASED, Provenance.SUBSIDY)))

    async def payee(self) -> None:
        await self.works.payee(self.rng.choice((GOOD, GOOD, REFUSED)))

    async def check(self) -> None:
        payee = await self.payouts.payees.of(self.works.maker)
        assert payee is not None
        await self.payouts.payees.record_check(
            payee.id, passed=self.rng.random() < 0.5, reference="0422", by=self.clerk()
        )

    async def ask(self) -> None:
        self.number += 1
        ref = f"{self.number - self.rng.choice((0, 0, 1))}"
        asked = await self.payouts.request(
            self.works.maker, self.rng.choice((150, 300, 300, 600)) * MICRO, client_ref=ref, actor="person:maker",
            with_subsidy=self.rng.random() < 0.3,
        )  # fmt: skip
        self.asked.append(asked.id)

    async def review(self) -> None:
        await self.payouts.review(self.one(), by=self.clerk(), note="real")

    async def approve(self) -> None:
        await self.payouts.approve(self.one(), by=self.clerk(), channel=self.rng.choice(("sandbox", BANK_FILE)))

    async def cancel(self) -> None:
        await self.payouts.cancel(self.works.maker, self.one(), by="person:maker")

    async def refuse(self) -> None:
        await self.payouts.refuse(self.one(), by=self.clerk(), reason="no")

    async def fail(self) -> None:
        await self.payouts.fail(self.one(), by=self.clerk(), reason="closed")

    async def confirm(self) -> None:
        await self.payouts.confirm(self.one(), by=self.clerk())

    async def export(self) -> None:
        made = await self.payouts.files.batches()
        again = self.rng.choice(made).id if made and self.rng.random() < 0.3 else None
        await self.payouts.files.export(again, by=self.clerk())

    async def tick(self) -> None:
        await self.payouts.settle()
        await self.desk.matching.settle()
        await self.payments.sweep()

    # -- the bank -----------------------------------------------------------------------------------------------------

    async def order(self) -> None:
        request = OrderRequest(self.works.maker, uuid4().hex, "test", "bank_transfer", ORDER_FEN, "积分充值")
        self.orders.append((await self.payments.create(request)).id)

    async def refund(self) -> None:
        if self.orders:
            self.number += 1
            ref = f"{self.number - self.rng.choice((0, 1))}"
            amount = self.rng.choice((ORDER_FEN, ORDER_FEN // 2))
            await self.payments.refund(
                self.rng.choice(self.orders[-3:]), amount, client_ref=ref, reason="r", actor="test"
            )

    async def statement(self) -> None:
        """Lines of what was sent, or came; a file may be read twice at once, and its lines name whatever there is."""
        sent = await self.db.fetch("SELECT reference, amount_fen FROM payments.bank_outgoing ORDER BY created_at")
        orders = await self.db.fetch("SELECT provider_ref FROM payments.pay_order WHERE provider_ref IS NOT NULL")
        rows = []
        for _ in range(self.rng.randint(1, 3)):
            self.serial += 1
            debit, credit, remark = "", "", "x"
            if sent and self.rng.random() < 0.6:
                one = self.rng.choice(sent[-4:])
                remark, amount = one["reference"], f"{one['amount_fen'] / 100:.2f}"
                debit, credit = self.rng.choice(((amount, ""), (amount, ""), ("", amount)))
            elif orders:
                remark = self.rng.choice(orders[-3:])["provider_ref"]
                credit = self.rng.choice(("300.00", "300.00", "150.00", "400.00"))
            else:
                credit = "3.20"
            rows.append(f'2026-06-02,10:30:00,"{debit}","{credit}",甲,{GOOD},转账,{remark},L{self.serial}')
        data = "\n".join([HEADER, *rows]).encode()
        for _ in range(self.rng.choice((1, 1, 2))):
            await self.desk.statements.take(data, name="s", actor="person:up", second="person:two")

    async def decide(self) -> None:
        waiting = await self.desk.suspense()
        if not waiting:
            return
        item, actor = self.rng.choice(waiting[:4]), self.clerk()
        act = self.rng.choice(("apply", "give_back", "book", "resend", "resend", "want", "use"))
        order = self.rng.choice(self.orders[-3:]) if self.orders else uuid4()
        if act == "apply":
            await self.desk.apply(item.id, order, actor=actor, note="n")
        elif act == "give_back":
            await self.desk.give_back(item.id, actor=actor, note="n")
        elif act == "book":
            await self.desk.book(item.id, actor=actor, note="n")
        elif act == "resend":
            await self.desk.resend(item.id, actor=actor, note="n")
        elif act == "want":
            await self.desk.want_back(item.id, self.works.maker, actor=actor)
        else:
            await self.desk.use(item.id, order, self.works.maker, actor=actor)

    # -- at the end ---------------------------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        for _ in range(3):
            self.clock.advance(hours=2)
            await self.tick()
        for query in (*UNFINISHED, *TWICE, BOOKED):
            assert await self.db.fetch(query) == [], query
        ledger = self.works.ledger
        waiting = await ledger.system_account("suspense", Asset.CNY, "bank transfers")
        assert (await ledger.balance(waiting.id)).balance == await self.db.fetchval(SUSPENDED)
        assert (await ledger.verify()).findings == ()
        await self.nobody_is_stuck()
        await ledger.stop()

    async def nobody_is_stuck(self) -> None:
        """Whatever is open can be ended by somebody."""
        for payout in await self.payouts.list(waiting=True):
            if payout.state in (PayoutState.APPROVED, PayoutState.SENT):
                await self.payouts.fail(payout.id, by="person:o1", reason="closed")
            else:
                await self.payouts.refuse(payout.id, by="person:o1", reason="no")
        for item in await self.desk.suspense():
            await self.desk.give_back(item.id, actor="person:o1", note="n")
        assert await self.payouts.list(waiting=True) == []
        assert await self.db.fetch(BOOKED) == []
        assert await self.db.fetchval(SUSPENDED) == 0
        assert (await self.works.ledger.verify()).findings == ()


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_has_everything_in_the_books_once(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path / "keys").live(ROUNDS)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_has_everything_in_the_books_once_whoever_is_first(
        self, database: Database, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, seed, tmp_path / "keys").live(ROUNDS)
