"""What the database itself refuses of the ledger's rows, whatever a program asks: each of its rules, one by one."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import msgspec

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Charge, Leg, Limit, Provenance, preamble_of

from .conftest import Books, move

ONE = "(SELECT id FROM ledger.account WHERE lots LIMIT 1)"
LOT, HOLD = "ledger.lot l SET {} WHERE l.remaining > 0", "ledger.hold h SET {} WHERE h.state = 'open'"
AGAIN = "INSERT INTO ledger.{0} SELECT * FROM ledger.{0} LIMIT 1"
ANOTHER_LOT = (
    "INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, unlock_at, open) "
    "SELECT gen_random_uuid(), account, {}, id, 1, 1, {}, unlock_at, true FROM ledger.lot WHERE {} LIMIT 1"
)

REFUSED: dict[str, str] = {
    "account.account_pkey": AGAIN.format("account"),
    "account.account_owner_asset_kind_name_key": (
        "INSERT INTO ledger.account (id, owner, asset, kind, name, lots, opened_at) "
        "SELECT gen_random_uuid(), owner, asset, kind, name, lots, opened_at FROM ledger.account WHERE NOT lots LIMIT 1"
    ),
    "account.account_asset_check": "UPDATE ledger.account SET asset = 'gold'",
    "account.account_check": f"UPDATE ledger.account SET floor = -1 WHERE id = {ONE}",
    "account.account_floor": f"UPDATE ledger.account SET balance = held - 1 WHERE id = {ONE}",
    "account.account_held_check": f"UPDATE ledger.account SET held = -1 WHERE id = {ONE}",
    "stripe.stripe_pkey": AGAIN.format("stripe"),
    "posting.posting_pkey": AGAIN.format("posting"),
    "posting.posting_reverses": (
        "INSERT INTO ledger.posting (id, at, day, kind, reverses) SELECT gen_random_uuid(), at, day, kind, reverses "
        "FROM ledger.posting WHERE reverses IS NOT NULL"
    ),
    "posting.append_only": "UPDATE ledger.posting SET memo = 'another'",
    "posting_transfer.posting_transfer_pkey": AGAIN.format("posting_transfer"),
    "transfer.transfer_pkey": AGAIN.format("transfer"),
    "transfer.transfer_check": (
        "INSERT INTO ledger.transfer SELECT gen_random_uuid(), posting, debit, debit, amount, at FROM ledger.transfer"
    ),
    "transfer.transfer_amount_check": (
        "INSERT INTO ledger.transfer SELECT gen_random_uuid(), posting, debit, credit, 0, at FROM ledger.transfer"
    ),
    "transfer.append_only": "DELETE FROM ledger.transfer",
    "preamble.preamble_pkey": AGAIN.format("preamble"),
    "preamble.preamble_id": "INSERT INTO ledger.preamble VALUES (gen_random_uuid(), 'another')",
    "preamble.append_only": "TRUNCATE ledger.preamble",
    "lot.lot_pkey": AGAIN.format("lot"),
    "lot.lot_provenance_check": "UPDATE " + LOT.format("provenance = 'stolen'"),
    "lot.lot_bounds": "UPDATE " + LOT.format("held = l.remaining + 1"),
    "lot.lot_check": "UPDATE " + LOT.format("open = false"),
    "lot.lot_cost": "UPDATE " + LOT.format("cost_fen = -1"),
    "lot.guard_lineage": ANOTHER_LOT.format("'reward'", "issued_at", "provenance = 'subsidy'"),
    "hold.hold_pkey": AGAIN.format("hold"),
    "hold.hold_amount_check": "UPDATE " + HOLD.format("amount = -1, captured = -1"),
    "hold.hold_check": "UPDATE " + HOLD.format("lots = '{}'"),
    "hold.hold_check1": "UPDATE " + HOLD.format("captured = amount + 1"),
    "hold.hold_lots_give": "UPDATE " + HOLD.format("lot_amounts = ARRAY[0]"),
    "hold.hold_state_check": "UPDATE " + HOLD.format("state = 'lost'"),
    "lease.lease_pkey": "INSERT INTO ledger.lease OVERRIDING SYSTEM VALUE SELECT * FROM ledger.lease LIMIT 1",
    "lease_lot.lease_lot_pkey": AGAIN.format("lease_lot"),
    "lease_lot.lease_lot_epoch_fkey": "UPDATE ledger.lease_lot SET epoch = 0",
    "lease_lot.lease_left": "UPDATE ledger.lease_lot SET amount = -1",
    "counter.counter_pkey": AGAIN.format("counter"),
    "counter.counter_used_check": "UPDATE ledger.counter SET used = -1",
    "period.period_pkey": AGAIN.format("period"),
    "period_balance.period_balance_pkey": AGAIN.format("period_balance"),
    "period_balance.period_balance_closed_through_fkey": "UPDATE ledger.period_balance SET closed_through = '1999-1-1'",
    "period_balance.turnover": "UPDATE ledger.period_balance SET balance = balance + 1",
}
"""By the rule that refuses it."""
TRIGGERS = {"SH003": "append_only", "SH004": "guard_lineage"}
ALL_RULES = """
SELECT c.relname || '.' || k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  WHERE k.connamespace = 'ledger'::regnamespace AND k.contype <> 'n'
UNION SELECT c.relname || '.' || i.relname FROM pg_index x
  JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
  WHERE c.relnamespace = 'ledger'::regnamespace AND x.indisunique
UNION SELECT c.relname || '.' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  WHERE c.relnamespace = 'ledger'::regnamespace AND NOT t.tgisinternal AND t.tgname <> 'acts'
"""


async def some_of_everything(books: Books, clock: FixedClock) -> None:
    """A row at least in each table."""
    ledger, start = books.ledger, clock.now()
    payer = await books.wallet(10_000, provenance=Provenance.SUBSIDY, expires_at=start + timedelta(days=99))
    undone = move(payer.id, (await books.wallet(1)).id, 1)
    await ledger.post(undone)
    await ledger.reverse(undone.id, actor="test", reason="test")
    clock.advance(days=2)
    await ledger.close_period(start.date(), actor="test")
    limit = Limit(payer.owner, "budget_per_day", "2026-11-22", 10**6, 100)
    calls = [await ledger.admit(payer.id, 100, receipt_id=new_id(), limits=(limit,)) for _ in range(2)]
    charge = Charge(100, (Leg(books.revenue.id, 100),), b'"n":1}', preamble=preamble_of(b'{"a":1,'))
    await ledger.settle(calls[0], msgspec.structs.replace(charge, limit_actuals=(100,)))
    await ledger.hold(payer.id, 100, hold_id=new_id(), purpose="test", expires_at=clock.now() + timedelta(days=1))


class TestDatabase:
    async def test_refuses_what_breaks_any_of_its_rules(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        await some_of_everything(books, clock)
        refused_by = dict[str, str]()
        for rule, statement in REFUSED.items():
            try:
                async with database.transaction() as conn:
                    await conn.execute(statement)
            except asyncpg.PostgresError as error:
                by = getattr(error, "constraint_name", None) or TRIGGERS.get(error.sqlstate, error.sqlstate)
                refused_by[rule] = f"{rule.split('.')[0]}.{by}"
            else:
                refused_by[rule] = "nothing"
        assert {rule: by for rule, by in refused_by.items() if by != rule} == {}
        assert {row[0] for row in await database.fetch(ALL_RULES)} == REFUSED.keys()
        assert await books.clean()
