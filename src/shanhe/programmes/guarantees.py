"""Guarantees (I8): set aside in full in the compensation fund, called once by the bank, repaid as it recovers.

A guarantee is an award whose tranche waits. What it may cost at most has left the fund's account for that of its
commitments before it is given, so the fund can never owe more than it holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID, uuid5

from shanhe.ledger.api import Posting, Transfer, UnknownPosting
from shanhe.programmes import award_store, guarantee_store, store
from shanhe.programmes.cases import Application, Outcome, State, Tranche, TrancheState
from shanhe.programmes.errors import NothingToCall, RecoveryConflict, UnknownApplication, WrongState
from shanhe.programmes.paying import Paying
from shanhe.rulebook.api import Decision

IN_FORCE: Final = ("生效中的担保", "a guarantee in force")
NO_MORE: Final = ("已代偿且不超过损失的担保", "a guarantee that was paid, and no more than the loss")

PAGE_ROWS: Final = 100
CALLED, RECOVERED = "called", "recovered"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What stands behind one loan, in fen. `recovered_fen`: what the bank got back, `returned_fen`: the fund's part."""

    application: UUID
    borrower: UUID
    bank: UUID
    contract: str
    loan_fen: int
    guaranteed_fen: int
    ends_on: date
    state: str
    lost_fen: int = 0
    past_due: int = 0
    paid_fen: int = 0
    recovered_fen: int = 0
    returned_fen: int = 0


class Guarantees:
    def __init__(self, paying: Paying) -> None:
        self._paying = paying
        self._ground = paying.ground

    def waits(self, called: Callable[[UUID], Awaitable[bool]]) -> None:
        """A guarantee of which `called` is true does not end meanwhile."""
        self._paying.called = called

    async def get(self, application: UUID) -> Guarantee:
        """UnknownApplication or WrongState for what is none."""
        app = await self._paying.load(application)
        return _guarantee(app, await self._tranche(app), await store.history(self._ground.db, app.id))

    async def as_bank(self, application: UUID, org_id: UUID | None) -> Guarantee:
        """One that this organisation lent on; UnknownApplication for whatever else there is."""
        with contextlib.suppress(WrongState):
            found = await self.get(application)
            if found.bank == org_id:
                return found
        raise UnknownApplication

    async def of(self, org_id: UUID | None = None) -> list[Guarantee]:
        """Those an organisation has as borrower or as bank, newest first; everybody's when none is named."""
        names = [name for name, one in self._ground.catalogue.programmes.items() if one.schedule.kind == "guarantee"]
        found = await guarantee_store.guaranteed(self._ground.db, names, org_id, PAGE_ROWS)
        return [await self.get(application) for application in found]

    async def decide(self, application: UUID, lost_fen: int, past_due: int) -> tuple[Application, Decision]:
        """What a call would pay; NothingToCall says what stands against it."""
        app = await self._paying.load(application)
        tranche = await self._tranche(app)
        if app.state is not State.ACTIVE or tranche.state is not TrancheState.COMMITTED:
            raise WrongState(app.state, IN_FORCE)
        facts = {"lost_fen": lost_fen, "guaranteed_fen": tranche.payments[0].amount, "past_due": past_due}
        decision = self._rule(app, facts)
        if not decision.outputs["pays_fen"]:
            nearest = [change["text"] for change in decision.trace.get("nearest", ())]
            raise NothingToCall(int(self._ground.rulebook.parameter("I8_call", "days_min", app.applied_on)), nearest)
        return app, decision

    async def call(self, application: UUID, *, lost_fen: int, past_due: int, actor: str) -> Guarantee:
        """Pay the bank the fund's share of its loss; what was set aside beyond it is free again. Once: asking again
        for the same repeats what a crash left."""
        known = await self.get(application)
        if known.lost_fen != lost_fen or known.past_due != past_due:
            app, decision = await self.decide(application, lost_fen, past_due)
            pays = int(decision.outputs["pays_fen"])
            outcome = Outcome(versions={decision.rule_id: decision.version}, traces={decision.rule_id: decision.trace})
            async with self._ground.db.transaction() as conn:
                await store.row(conn, app.id, lock=True)
                tranche = (await award_store.tranches(conn, app.id, lock=True))[0]
                if not await self._paying.advance(conn, tranche, TrancheState.COMMITTED, TrancheState.DUE):
                    raise WrongState(app.state, IN_FORCE)
                await award_store.set_released(conn, app.id, 1, [pays])
                await self._paying.write(conn, app, "tranche", outcome, 1, actor=actor)
                details = {"lost_fen": lost_fen, "past_due": past_due, "pays_fen": pays}
                await store.note(conn, app.id, CALLED, at=self._ground.now(), actor=actor, details=details)
        app = await self._paying.load(application)
        await self._paying.pay(app, 1)
        return await self.get(application)

    async def recover(self, application: UUID, amount_fen: int, *, recovery_id: UUID, actor: str) -> Guarantee:
        """The bank got something back of a loan that the fund paid on: the fund's part flows back in one posting.

        Idempotent by id. InsufficientCredit when the bank's account here doesn't hold the part.
        """
        app = await self._paying.load(application)
        tranche = await self._tranche(app)
        async with self._ground.db.transaction() as conn:
            await store.row(conn, app.id, lock=True)
            history = await store.history(conn, app.id)
            for row in history:
                if row.event == RECOVERED and row.details["id"] == str(recovery_id):
                    if row.details["amount_fen"] != amount_fen:
                        raise RecoveryConflict
                    break
            else:
                await self._book(conn, app, tranche, amount_fen, recovery_id, history, actor)
        await self._settle(app, actor)
        return await self.get(application)

    async def _book(
        self, conn: Any, app: Application, tranche: Tranche, amount_fen: int, recovery_id: UUID,
        history: Sequence[Any], actor: str,
    ) -> None:  # fmt: skip
        """Decide the fund's part of a recovery and write it down, before any money moves."""
        known = _guarantee(app, tranche, history)
        if len(history) >= store.HISTORY_ROWS:  # beyond them nothing would be seen any more, this one included
            most = store.HISTORY_ROWS
            en = f"with fewer than {most} entries; report what is left at once"
            raise WrongState(known.state, (f"记录少于 {most} 条；请一次报告余额", en))
        if not known.paid_fen or amount_fen <= 0 or known.recovered_fen + amount_fen > known.lost_fen:
            raise WrongState(known.state, NO_MORE)
        facts = {"lost_fen": known.lost_fen, "guaranteed_fen": known.guaranteed_fen, "past_due": known.past_due,
                 "recovered_fen": known.recovered_fen + amount_fen}  # fmt: skip
        returned = int(self._rule(app, facts).outputs["returned_fen"]) - known.returned_fen
        details = {"id": str(recovery_id), "amount_fen": amount_fen, "returned_fen": returned}
        await store.note(conn, app.id, RECOVERED, at=self._ground.now(), actor=actor, details=details)

    async def _settle(self, app: Application, actor: str) -> None:
        """Post what recoveries owe the fund, each once: also of one whose posting was refused or lost in a crash."""
        item = (await self._tranche(app)).payments[0]
        rows = [row for row in await store.history(self._ground.db, app.id) if row.event == RECOVERED]
        for row in rows:
            number = uuid5(app.id, f"recovery:{row.details['id']}")
            if not row.details["returned_fen"]:
                continue
            try:
                await self._ground.ledger.posting(number)
            except UnknownPosting:
                wallet, fund = await self._paying.books.wallet(item.to_org, item.asset), await self._fund(item.budget)
                leg = Transfer(UUID(int=number.int ^ 1), wallet.id, fund.id, int(row.details["returned_fen"]))
                await self._ground.ledger.post(Posting(id=number, kind="guarantee_recovery", transfers=(leg,),
                                                       actor=actor, memo=f"Guarantee {app.id} recovered"))  # fmt: skip

    async def _fund(self, budget: str) -> Any:
        return await self._paying.books.budget(budget)

    async def _tranche(self, app: Application) -> Tranche:
        if self._paying.programme(app).schedule.kind != "guarantee":
            raise WrongState(app.state, ("担保", "a guarantee"))
        tranches = await award_store.tranches(self._ground.db, app.id)
        if not tranches:
            raise WrongState(app.state, ("已给出的担保", "a guarantee that was given"))
        return tranches[0]

    def _rule(self, app: Application, facts: dict[str, int]) -> Decision:
        return self._ground.rulebook.evaluate(self._paying.programme(app).schedule.rule, facts, on=app.applied_on)


def _guarantee(app: Application, tranche: Tranche, history: Sequence[Any]) -> Guarantee:
    item = tranche.payments[0]
    called: Mapping[str, Any] = next((row.details for row in history if row.event == CALLED), {})
    back = [row.details for row in history if row.event == RECOVERED]
    paid = item.released if tranche.state is TrancheState.RELEASED else 0
    state = "recovering" if paid else {"cancelled": "ended", "due": CALLED}.get(tranche.state, "in_force")
    return Guarantee(
        app.id, app.org_id, item.to_org, str(app.answers.get("contract", "")), int(app.answers.get("loan_fen", 0)),
        item.amount, tranche.due_on, state, int(called.get("lost_fen", 0)), int(called.get("past_due", 0)), paid,
        sum(int(row["amount_fen"]) for row in back), sum(int(row["returned_fen"]) for row in back),
    )  # fmt: skip
