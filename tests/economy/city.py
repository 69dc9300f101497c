"""The real city under simulation: every module on a real PostgreSQL, a clock that jumps, and faults on purpose."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from shanhe.approvals.api import Approvals, NewLicence, Scope
from shanhe.credits.api import Credits, LotsHeld, NothingToRefund, Payer, Purchase, tick
from shanhe.exchange.api import (
    Exchange,
    Market,
    NewOrder,
    NotEnoughCash,
    NothingToSell,
    OrderEnded,
    OrderTooSmall,
    OutsideCorridor,
    SelfTrade,
    Trader,
    UnknownOrder,
    Validity,
)
from shanhe.kernel.clock import CITY_TZ, FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import (
    Asset,
    Charge,
    HoldClosed,
    InsufficientCredit,
    Ledger,
    Leg,
    LotTerms,
    NewLot,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments.api import Faults, Payments, Sandbox
from shanhe.rulebook.api import Rulebook

from .oracle import Shape

FIRST = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
NAMES = ["amber", "birch", "cedar", "dove"]
CREDIT = 1_000_000
SECRET = b"a secret of the simulation"
ACTOR = "simulation"
DIRECT = 5 * 10**8
"""So many workers that no lease is ever worth granting: every admission is the database's, in burn order."""
CASH = "exchange_cash"

SHAPE = """
SELECT a.owner, l.provenance, l.expires_at, l.unlock_at, sum(l.remaining)::bigint AS remaining,
       sum(l.held)::bigint AS held
FROM ledger.lot l JOIN ledger.account a ON a.id = l.account WHERE a.kind = 'wallet' AND l.open GROUP BY 1, 2, 3, 4
"""
BALANCES = """
SELECT a.id, a.balance + coalesce((SELECT sum(s.balance) FROM ledger.stripe s WHERE s.account = a.id), 0) AS balance
FROM ledger.account a WHERE a.id = ANY($1)
"""
TRUTHS = """
WITH total AS (
  SELECT a.asset, a.lots, a.id,
         a.balance + coalesce((SELECT sum(s.balance) FROM ledger.stripe s WHERE s.account = a.id), 0) AS balance
  FROM ledger.account a
), fold AS (
  SELECT u.account, sum(u.amount) AS amount FROM (
    SELECT debit AS account, -amount AS amount FROM ledger.transfer
    UNION ALL SELECT credit, amount FROM ledger.transfer) u GROUP BY 1
)
SELECT
  (SELECT count(*) FROM (SELECT 1 FROM total GROUP BY asset HAVING sum(balance) <> 0) x) AS unbalanced_assets,
  (SELECT count(*) FROM total t LEFT JOIN fold f ON f.account = t.id
     WHERE t.balance <> coalesce(f.amount, 0)) AS not_folded,
  (SELECT count(*) FROM total t WHERE t.lots
     AND t.balance <> coalesce((SELECT sum(l.remaining) FROM ledger.lot l WHERE l.account = t.id), 0)) AS lots_off,
  (SELECT count(*) FROM ledger.lot l JOIN ledger.lot p ON p.id = l.parent
     WHERE l.provenance = 'exchange' AND p.provenance = 'subsidy') AS sold_subsidy
"""


REFUSALS = (
    NotEnoughCash, NothingToSell, OrderEnded, OrderTooSmall, OutsideCorridor, SelfTrade, UnknownOrder,
    InsufficientCredit, HoldClosed, LotsHeld, NothingToRefund,
)  # fmt: skip
"""What a city refuses to whoever asks for more than there is, or too late."""


class Crash(Exception):
    """The process ended here."""


def ident(name: str) -> UUID:
    """The same name is the same id: what makes a repetition a repetition."""
    return uuid5(NAMESPACE_OID, name)


@functools.cache
def rulebook() -> Rulebook:
    return Rulebook.load()


class RealCity:
    def __init__(self, db: Database, clock: FixedClock, names: list[str], *, workers: int = 1) -> None:
        self.db = db
        self.clock = clock
        self.rulebook = rulebook()
        self.owners = {name: ident(name) for name in names}
        self.names = {owner: name for name, owner in self.owners.items()}
        self.lives = 0
        self.workers = workers
        self.recorded: Counter[str] = Counter()
        self._summed: list[UUID] = []

    async def begin(self) -> None:
        """Start every module, as a new process does."""
        self.lives += 1
        self.ledger = Ledger(
            self.db, self.clock, worker=f"life {self.lives}", workers=self.workers,
            terms=self._terms,
        )  # fmt: skip
        await self.ledger.start()
        self.wallets = {
            name: await self.ledger.ensure_account(owner, Asset.CREDIT, "wallet") for name, owner in self.owners.items()
        }
        self.platform = await self.ledger.system_account("platform", Asset.CREDIT)
        self.issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        self.approvals = Approvals(self.db, self.clock)
        self.behave()

    def _terms(self, today: date) -> LotTerms:
        order = self.rulebook.parameter("C12", "order", today)
        return LotTerms(burn_order=tuple(Provenance(name) for name in order))

    def behave(self, faults: Faults | None = None) -> None:
        """Modules without a life of their own, made anew."""
        self.sandbox = Sandbox(self.db, self.clock, SECRET, faults=faults)
        self.payments = Payments(self.db, self.clock, {"sandbox": self.sandbox})

        async def payer(org_id: UUID) -> Payer:
            return Payer(org_id, org_id, ("resident",))

        async def spent(*_: object) -> int:
            return 0

        async def affected(_: str) -> list[Any]:
            return []

        self.credits = Credits(
            self.db, self.clock, ledger=self.ledger, rulebook=self.rulebook, payments=self.payments,
            notifier=Notifier(self.db, self.clock), payer=payer, spent=spent, affected=affected,
        )  # fmt: skip

        async def trader(org_id: UUID) -> Trader:
            return Trader(org_id, org_id)

        async def no_discount(org_id: UUID, day: date) -> int:
            return 0

        async def record(conn: Any, kind: str, public: Mapping[str, Any], **_: Any) -> UUID:
            self.recorded[kind] += 1
            return ident(kind)

        self.exchange = Exchange(
            self.db, self.clock, ledger=self.ledger, rulebook=self.rulebook, approvals=self.approvals,
            payments=self.payments, secret=SECRET, trader=trader, fee_discount=no_discount, record=record,
        )  # fmt: skip

    async def open_exchange(self) -> None:
        today = self.clock.today()
        await self.approvals.record(
            NewLicence(Scope.EXCHANGE, "the county", "2026-1", today - timedelta(days=9), date(2099, 1, 1)), by=ACTOR
        )
        await self.exchange.sweep()

    async def end(self) -> None:
        await self.exchange.stop()
        await self.ledger.stop()

    async def crash(self) -> None:
        """Gone without a word: connections drop, nothing in memory survives."""
        keeper = self.ledger._keeper
        assert keeper is not None
        keeper.cancel()
        for line in self.ledger._lines:
            line._drop()
        for listener in self.db._listeners:  # all of them are the dead process's, which nobody tells anything any more
            listener.cancel()
        await asyncio.gather(*self.db._listeners, return_exceptions=True)
        self.db._listeners.clear()
        await self.begin()

    # -- credits ------------------------------------------------------------------------------------------------------

    async def grant(self, name: str, owner: str, provenance: str, amount: int) -> None:
        day = self.clock.today()
        expiry = self.rulebook.evaluate("C11", {"provenance": provenance, "issued_on": day}, on=day).outputs
        facts = {"provenance": provenance, "acquired_on": day, "asked_on": day}
        unlocks = self.rulebook.evaluate("C6", facts, on=day).outputs["unlocks_on"]
        number = ident(f"grant {name}")
        lot = NewLot(
            account=self.wallets[owner].id, provenance=Provenance(provenance), amount=amount,
            expires_at=_start(expiry["expires_on"]), unlock_at=_start(unlocks),
        )  # fmt: skip
        transfer = Transfer(UUID(int=number.int ^ 1), self.issuance.id, self.wallets[owner].id, amount)
        await self.ledger.post(Posting(id=number, kind="grant", transfers=(transfer,), lots=(lot,), actor=ACTOR))

    async def call(self, name: str, owner: str, most: int, charged: int) -> None:
        """A call: reserve the most it can cost, capture what it did."""
        reservation = await self.ledger.admit(self.wallets[owner].id, most, receipt_id=ident(f"call {name}"))
        await self.ledger.settle(reservation, self._charge(charged))

    async def hold(self, name: str, owner: str, amount: int, until: datetime) -> None:
        await self.ledger.hold(
            self.wallets[owner].id, amount, hold_id=ident(f"hold {name}"), purpose="test", expires_at=until
        )

    async def capture(self, name: str, amount: int) -> None:
        await self.ledger.capture(ident(f"hold {name}"), self._charge(amount))

    async def void(self, name: str) -> None:
        await self.ledger.void(ident(f"hold {name}"))

    def _charge(self, amount: int) -> Charge:
        return Charge(amount, (Leg(self.platform.id, amount),))

    async def buy(self, name: str, owner: str, value_fen: int) -> Purchase:
        purchase = await self.credits.purchase(
            self.owners[owner], client_ref=name, value_fen=value_fen, actor=ACTOR, method="sandbox"
        )
        if purchase.redirect_url is not None and purchase.state == "open":
            await self.sandbox.pay(purchase.redirect_url.rsplit("/", 1)[-1])
        await self.deliver()
        return await self.credits.get(self.owners[owner], purchase.id)

    async def refund(self, name: str, owner: str, purchase: UUID) -> int:
        """Money back, told by the institution some time later; fen."""
        refund = await self.credits.refunds.refund(
            self.owners[owner], purchase, client_ref=f"refund {name}", reason="not needed", actor=ACTOR
        )
        await self.deliver()
        return refund.refund_fen

    async def deliver(self) -> None:
        """Notifications arrive, as often and in the order the institution's mood says."""

        async def receive(headers: Mapping[str, str], body: bytes) -> object:
            return await self.payments.notify("sandbox", headers, body)

        await self.sandbox.deliver_due(receive)
        await tick(self.credits)

    # -- exchange -----------------------------------------------------------------------------------------------------

    async def deposit(self, name: str, owner: str, amount_fen: int) -> None:
        await self.exchange.cash.receive(self.owners[owner], amount_fen, reference=name, actor=ACTOR)

    async def place(self, name: str, owner: str, selling: bool, ticks: int, quantity: int, day_order: bool) -> None:
        validity = Validity.DAY if day_order else Validity.GTC
        order = NewOrder(ident(f"order {name}"), self.owners[owner], int(selling), ticks, quantity, validity)
        await self.exchange.place(order, actor=ACTOR)
        await self.exchange.work(Market.REAL)

    async def cancel(self, name: str) -> None:
        await self.exchange.cancel(ident(f"order {name}"), org_id=None, actor=ACTOR)

    async def amend(self, name: str, ticks: int, quantity: int) -> None:
        await self.exchange.amend(
            ident(f"order {name}"), org_id=None, ticks=ticks, quantity_micro=quantity, actor=ACTOR
        )

    async def auction(self, *, crash: bool) -> tuple[int, int]:
        """Hold one now; with `crash` the process dies between matching and settlement. (paid, fees) in fen."""
        before = await self.db.fetchval("SELECT count(*) FROM exchange.trade")
        if crash:
            for settlement in self.exchange._settlements.values():
                settlement.run = _crash  # type: ignore[method-assign]
            try:
                await self.exchange.run_auction(forced_by=ACTOR)
            except Crash:
                await self.crash()
                await self.exchange.sweep()
        else:
            await self.exchange.run_auction(forced_by=ACTOR)
        row = await self.db.fetchrow(
            "SELECT coalesce(sum(cash_fen), 0)::bigint AS paid, coalesce(sum(fee_fen), 0)::bigint AS fees, "
            "count(*) FILTER (WHERE settled_at IS NULL) AS waiting "
            "FROM (SELECT * FROM exchange.trade ORDER BY seq, n OFFSET $1) t", before,
        )  # fmt: skip
        assert row["waiting"] == 0
        return row["paid"], row["fees"]

    # -- looking ------------------------------------------------------------------------------------------------------

    async def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {name: Counter() for name in self.owners}
        for row in await self.db.fetch(SHAPE):
            key = (row["provenance"], row["expires_at"], row["unlock_at"])
            mine = found[self.names[row["owner"]]]
            mine[(*key, "remaining")] += row["remaining"]
            mine[(*key, "held")] += row["held"]
        return {name: +shape for name, shape in found.items()}

    async def cash(self) -> dict[str, tuple[int, int]]:
        """Balance and what is set aside, fen."""
        rows = await self.db.fetch("SELECT owner, balance, held FROM ledger.account WHERE kind = $1", CASH)
        return {self.names[row["owner"]]: (row["balance"], row["held"]) for row in rows if row["owner"] in self.names}

    async def sums(self) -> tuple[int, int, int]:
        """Breakage and spent credits (micro), the fund of the exchange's fees (fen)."""
        if not self._summed:
            breakage = await self.ledger.system_account("breakage", Asset.CREDIT)
            self._summed = [breakage.id, self.platform.id, await self.exchange.fund.account(Market.REAL)]
        found = {row["id"]: int(row["balance"]) for row in await self.db.fetch(BALANCES, self._summed)}
        breakage_micro, spent_micro, fund_fen = (found[account] for account in self._summed)
        return breakage_micro, spent_micro, fund_fen

    async def broken(self) -> dict[str, int]:
        """Invariants that do not hold, with how often."""
        return {name: count for name, count in (await self.db.fetchrow(TRUTHS)).items() if count}


async def _crash() -> int:
    raise Crash


def _start(on: date) -> datetime | None:
    return None if on == date.max else datetime(on.year, on.month, on.day, tzinfo=CITY_TZ)
