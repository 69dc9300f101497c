"""Many at once: buyers, clerks, the payment provider and two jobs workers act on the same wallets, and some die.

Whatever came first: what was paid for is credited once, what was given back is given back once, and nobody's discount,
cap or limit of tries is passed.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.credits.api import Purchase, RefundState, UnknownCode, tick
from shanhe.credits.codes import FAILURES_MAX_PER_HOUR, new_code
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Asset, Ledger
from shanhe.payments.api import Faults
from stage import crowds

from .conftest import NOON, City

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 30, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 80
DIES = 0.004
BUDGET, CODE_MICRO, CODES = "contest 2026", 5 * MICRO, 3
CAP_FEN = 4_000
SHOWN = """
  SELECT s.ref FROM payments.sandbox_mandate s JOIN payments.mandate m ON m.provider_ref = s.ref
  JOIN credits.auto_top_up a ON a.mandate_id = m.id WHERE s.state = 'pending'"""
"""Permissions that somebody is asked for: one whose asker died before the rule was saved is shown to nobody."""
UNFINISHED = (
    "SELECT id FROM credits.purchase WHERE state = 'open'",
    "SELECT id FROM credits.refund r WHERE state IN ('open', 'sent', 'paying') OR state = 'posted' AND EXISTS "
    "(SELECT FROM credits.purchase p WHERE p.id = r.purchase_id AND p.order_id IS NOT NULL)",
    "SELECT id FROM credits.dispute WHERE state = 'granting'",
    "SELECT hash FROM credits.code WHERE org_id IS NOT NULL AND booked_at IS NULL",
    "SELECT id FROM credits.code_batch WHERE state = 'ended' AND returned_micro > 0 AND NOT returned",
    "SELECT id FROM payments.mandate m WHERE state = 'active' AND NOT EXISTS "
    "(SELECT FROM credits.auto_top_up a WHERE a.mandate_id = m.id)",
    "SELECT org_id FROM credits.auto_top_up WHERE purchase_id IS NOT NULL",
)
TWICE = (
    "SELECT purchase_id FROM credits.refund WHERE state <> 'void' GROUP BY 1 HAVING count(*) > 1",
    "SELECT receipt_id FROM credits.dispute WHERE state <> 'withdrawn' GROUP BY 1 HAVING count(*) > 1",
    "SELECT id FROM payments.pay_order WHERE refunded_fen > amount_fen",
    "SELECT p.id FROM credits.purchase p LEFT JOIN ledger.posting b ON b.id = p.posting_id "
    "WHERE (b.id IS NOT NULL) <> (p.state = 'posted')",
    "SELECT r.id FROM credits.refund r LEFT JOIN ledger.posting b ON b.id = r.posting_id "
    "LEFT JOIN ledger.posting o ON o.id = r.payout_posting_id "
    "WHERE (b.id IS NOT NULL) <> (r.state <> 'void') OR (o.id IS NOT NULL) <> (r.state = 'paid')",
    "SELECT d.id FROM credits.dispute d LEFT JOIN ledger.posting r ON r.reverses = d.receipt_id "
    "WHERE (r.id IS NOT NULL) <> (d.state = 'granted') AND d.state <> 'withdrawn'",
    "SELECT c.hash FROM credits.code c LEFT JOIN ledger.posting b ON b.id = c.posting_id "
    "WHERE (b.id IS NOT NULL) <> (c.org_id IS NOT NULL)",
)
UNTOLD = (
    "SELECT id FROM credits.purchase p WHERE state = 'posted' AND NOT EXISTS "
    "(SELECT FROM kernel.notice n WHERE n.kind = 'top_up' AND n.dedupe LIKE '%' || p.id || '%')",
    "SELECT posting_id FROM credits.code c WHERE booked_at IS NOT NULL AND NOT EXISTS "
    "(SELECT FROM kernel.notice n WHERE n.kind = 'redeemed' AND n.dedupe LIKE '%' || c.posting_id || '%')",
)
BENEFIT = """
  SELECT b.beneficiary, b.reserved_fen, b.given_fen,
         (SELECT coalesce(sum(p.benefit_fen), 0) FROM credits.purchase p WHERE p.beneficiary = b.beneficiary
           AND p.state = 'open' AND p.source <> 'operator')::bigint AS reserved,
         (SELECT coalesce(sum(p.benefit_fen), 0) FROM credits.purchase p WHERE p.beneficiary = b.beneficiary
           AND p.state = 'posted')::bigint
         - (SELECT coalesce(sum(r.restored_fen), 0) FROM credits.refund r
             JOIN credits.purchase p ON p.id = r.purchase_id WHERE p.beneficiary = b.beneficiary
               AND r.state NOT IN ('open', 'void'))::bigint AS given
    FROM credits.benefit b"""
AUTOMATIC = """
  SELECT org_id, sum(paid_fen)::bigint AS fen, count(*) FILTER (WHERE state = 'open') AS open
    FROM credits.purchase WHERE source = 'auto' AND state <> 'closed' GROUP BY org_id"""
WALLET = """
  SELECT (SELECT coalesce(sum(purchased_micro + subsidy_micro), 0) FROM credits.purchase
           WHERE org_id = $1 AND state = 'posted')::bigint
       + (SELECT coalesce(sum(b.value_micro), 0) FROM credits.code c JOIN credits.code_batch b ON b.id = c.batch_id
           WHERE c.org_id = $1)::bigint
       - (SELECT coalesce(sum(taken_micro + cancelled_micro), 0) FROM credits.refund
           WHERE org_id = $1 AND state <> 'void')::bigint
"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, seed: int) -> None:
        super().__init__(db, seed)
        self.clock = FixedClock(NOON)
        self.ledger = Ledger(db, self.clock, worker="one", workers=1)
        self.cities = [City(self.db, self.ledger, self.clock) for _ in range(2)]
        self.orgs = [self.cities[0].org, uuid4()]
        for one in self.cities:
            one.behave(Faults(copies=2, reorder=True))
        self.spent: Counter[UUID] = Counter()
        self.guessed: Counter[tuple[UUID, Any]] = Counter()
        self.calls: list[tuple[UUID, UUID]] = []
        self.disputes: list[tuple[UUID, UUID]] = []
        self.codes: list[str] = []
        self.number = 0
        self.draws = [
            (self.order, 10), (self.pay, 14), (self.deliver, 6), (self.cancel, 3), (self.top_up, 5), (self.refund, 8),
            (self.by_hand, 4), (self.rule, 6), (self.sign, 4), (self.look, 5), (self.call, 6), (self.dispute, 4),
            (self.decide, 6), (self.fund, 2), (self.batch, 4), (self.export, 3), (self.redeem, 8), (self.guess, 4),
            (self.end_batch, 2), (self.tick, 6),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        await self.ledger.start()
        await self.cities[0].credits.codes.fund(BUDGET, 20 * CODE_MICRO, posting_id=new_id(), reason="r", actor="t")
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 6, 70, 900)))
            await self.round(AT_ONCE, dies=DIES)
            await self.compare()
        await self.come_to_rest()
        await self.ledger.stop()

    @property
    def city(self) -> City:
        return self.rng.choice(self.cities)

    def org(self) -> UUID:
        return self.rng.choice(self.orgs)

    def ref(self) -> str:
        """Mostly a new one, at times the last again."""
        self.number += 1
        return f"ref-{self.number - self.rng.choice((0, 0, 0, 1))}"

    async def any(self, table: str, where: str = "true") -> Any:
        rows = await self.db.fetch(f"SELECT * FROM {table} WHERE {where} ORDER BY id DESC LIMIT 4")
        return self.rng.choice(rows) if rows else None

    # -- buying -------------------------------------------------------------------------------------------------------

    async def order(self) -> Purchase:
        city, org, value_fen = self.city, self.org(), self.rng.choice((1_000, 30_000, 90_000_000))
        quote = (await city.credits.quote(org, value_fen)).id if self.rng.random() < 0.3 else None
        return await city.credits.purchase(
            org, client_ref=self.ref(), value_fen=None if quote else value_fen, quote_id=quote, actor="person:t"
        )

    async def pay(self) -> None:
        row = await self.any("payments.pay_order", "provider_ref IS NOT NULL")
        if row is None:
            row = {"provider_ref": ((await self.order()).redirect_url or "").rsplit("/", 1)[-1]}
        sandbox = self.city.sandbox
        await (sandbox.pay if self.rng.random() < 0.8 else sandbox.fail)(row["provider_ref"])
        await self.deliver()

    async def deliver(self) -> None:
        await self.city.deliver()

    async def cancel(self) -> None:
        row = await self.any("credits.purchase")
        if row is not None:
            await self.city.credits.cancel(row["org_id"], row["id"])

    async def top_up(self) -> None:
        micro = self.rng.choice((1, 7)) * MICRO
        await self.city.credits.top_up(self.org(), micro, "r", "op", client_ref=self.ref())

    async def refund(self) -> None:
        row = await self.any("credits.purchase", "state = 'posted'")
        if row is not None:
            await self.city.credits.refunds.refund(
                row["org_id"], row["id"], client_ref=self.ref(), reason="r", actor="person:t"
            )

    async def by_hand(self) -> None:
        row = await self.any("credits.refund")
        if row is not None and self.rng.random() < 0.3:
            await self.city.credits.refunds.retry(row["id"], by="op")
        elif row is not None:
            await self.city.credits.refunds.pay_by_hand(row["id"], self.rng.choice(("T1", "T2")), by="op")

    # -- automatic ----------------------------------------------------------------------------------------------------

    async def rule(self) -> None:
        auto, org = self.city.credits.auto, self.org()
        if self.rng.random() < 0.3:
            await auto.disable(org)
        else:
            value_fen = self.rng.choice((1_000, 2_000))
            await auto.save(
                org, threshold_micro=9 * MICRO, value_fen=value_fen, monthly_cap_fen=CAP_FEN, actor="person:t"
            )

    async def sign(self) -> None:
        rows = await self.db.fetch(SHOWN)
        if rows:
            await self.city.sandbox.sign_mandate(self.rng.choice(rows)["ref"])
            await self.deliver()

    async def look(self) -> None:
        await self.city.credits.auto.run()

    # -- calls and disputes -------------------------------------------------------------------------------------------

    async def call(self) -> None:
        city, org, micro = self.city, self.org(), self.rng.choice((1, 3)) * MICRO
        city.org = org
        self.calls.append((org, await city.call(micro)))
        self.spent[org] += micro

    async def dispute(self) -> None:
        if self.calls:
            org, receipt = self.rng.choice(self.calls[-4:])
            made = await self.city.credits.disputes.open(org, receipt, reason="wrong", actor="person:t")
            self.disputes.append((org, made.id))

    async def decide(self) -> None:
        if self.disputes:
            org, one = self.rng.choice(self.disputes[-3:])
            desk, act = self.city.credits.disputes, self.rng.choice(("grant", "grant", "refuse", "withdraw"))
            if act == "withdraw":
                await desk.withdraw(org, one, by="person:t")
            else:
                await getattr(desk, act)(one, answer="so", by="op")

    # -- codes --------------------------------------------------------------------------------------------------------

    async def fund(self) -> None:
        await self.city.credits.codes.fund(BUDGET, 4 * CODE_MICRO, posting_id=new_id(), reason="r", actor="op")

    async def batch(self) -> None:
        ends = self.clock.now() + timedelta(minutes=self.rng.choice((10, 300)))
        await self.city.credits.codes.create(
            client_ref=self.ref(), name="Contest", budget=BUDGET, codes=CODES, value_micro=CODE_MICRO,
            provenance="subsidy", expires_at=ends, actor="o",
        )  # fmt: skip

    async def export(self) -> None:
        row = await self.any("credits.code_batch")
        if row is not None and row["state"] == "draft":
            await self.city.credits.codes.set_aside(row["id"], by="op")
        if row is not None:
            self.codes += (await self.city.credits.codes.export(row["id"], by="op"))[1]

    async def redeem(self) -> None:
        if self.codes:
            await self.city.credits.codes.redeem(self.org(), self.rng.choice(self.codes[-4:]), actor="person:t")

    async def guess(self) -> None:
        """Several wrong codes at once, as who guesses would."""
        org, hour = self.org(), self.clock.now().replace(minute=0, second=0, microsecond=0)
        for _ in range(4):
            try:
                await self.city.credits.codes.redeem(org, new_code(), actor="person:t")
            except UnknownCode:
                self.guessed[org, hour] += 1

    async def end_batch(self) -> None:
        row = await self.any("credits.code_batch")
        if row is not None:
            await self.city.credits.codes.revoke(row["id"], by="op", reason="r")

    async def tick(self) -> None:
        city = self.city
        await city.payments.sweep()
        await tick(city.credits)

    # -- what must hold -----------------------------------------------------------------------------------------------

    async def compare(self) -> None:
        for row in await self.db.fetch(BENEFIT):
            assert row["reserved_fen"] == row["reserved"]
            assert row["given_fen"] == row["given"]
        for row in await self.db.fetch(AUTOMATIC):
            assert row["fen"] <= CAP_FEN
            assert row["open"] <= 1
        assert max(self.guessed.values(), default=0) <= FAILURES_MAX_PER_HOUR

    async def come_to_rest(self) -> None:
        for _ in range(3):
            self.clock.advance(hours=2)
            for city in self.cities:
                await city.deliver()
                await city.payments.sweep()
                await tick(city.credits)
        await self.compare()
        for query in (*UNFINISHED, *TWICE, *UNTOLD):
            assert await self.db.fetch(query) == [], query
        given_back = Counter[UUID]()
        for row in await self.db.fetch("SELECT org_id, receipt_id FROM credits.dispute WHERE state = 'granted'"):
            view = await self.ledger.posting(row["receipt_id"])
            given_back[row["org_id"]] += sum(one.amount for one in view.transfers)
        for org in self.orgs:
            due = await self.db.fetchval(WALLET, org) - self.spent[org] + given_back[org]
            assert await self.cities[0].balance(org) == due
        for row in await self.db.fetch("SELECT * FROM credits.code_batch"):
            account = await self.ledger.system_account("codes", Asset.CREDIT, str(row["id"]))
            left = (await self.ledger.balance(account.id)).balance
            assert left == 0 or row["state"] in ("funded", "issued")
        for row in await self.db.fetch("SELECT id FROM credits.refund WHERE state IN ('posted', 'failed')"):
            done = await self.cities[0].credits.refunds.pay_by_hand(row["id"], "T9", by="op")
            assert done.state is RefundState.PAID
        assert (await self.ledger.verify()).findings == ()


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_credits_and_gives_back_everything_once(self, database: Database, seed: int) -> None:
        await Crowd(database, seed).live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_credits_and_gives_back_everything_once_whoever_is_first(self, database: Database, seed: int) -> None:
        await Crowd(database, seed).live(ROUNDS_PROVED)
