"""Many at once: applicants, reviewers, banks, operators and two jobs workers act on the same awards, and some die.

In which order the database takes it, nobody says: what must hold afterwards is that whatever was begun has an end, and
that every amount is paid, set aside or free, once.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.programmes.api import Application, State, Verdict
from stage import crowds

from .conftest import CREDIT, NOON, City

ROUNDS, AT_ONCE = 25, 6
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.004
CAPITAL_FEN = 1_000_000
LOAN_FEN = 1_000_000
BUDGETS = {"ip_credit": 500 * CREDIT, "talent_credit": 1_000 * CREDIT, "incubator_credit": 1_000 * CREDIT,
           "compensation_fund": 800_000, "usage_credit": 60 * CREDIT}  # fmt: skip
"""What one award of each costs: little enough that money runs out."""
LONG = timedelta(days=400)
UNFINISHED = (
    "SELECT id FROM programmes.application WHERE state = 'approved'",
    "SELECT * FROM programmes.tranche WHERE state = 'due'",
    "SELECT * FROM programmes.tranche WHERE state = 'cancelled' AND NOT freed AND reason <> 'nothing_due'",
    "SELECT * FROM programmes.clawback WHERE settled_at IS NULL",
    "SELECT id FROM programmes.application a WHERE state = 'active' AND NOT EXISTS (SELECT FROM programmes.tranche t "
    "WHERE t.application = a.id AND t.state NOT IN ('released', 'cancelled'))",
    "SELECT t.application FROM programmes.tranche t JOIN programmes.application a ON a.id = t.application "
    "WHERE t.state = 'committed' AND a.state NOT IN ('active', 'suspended')",
    "SELECT c.application FROM programmes.claim c JOIN programmes.application a ON a.id = c.application "
    "WHERE a.state IN ('refused', 'withdrawn')",
)  # fmt: skip
TWICE = (
    "SELECT application FROM programmes.history WHERE event = 'approved' GROUP BY 1 HAVING count(*) > 1",
    "SELECT application FROM programmes.history WHERE event = 'stopped' GROUP BY 1 HAVING count(*) > 1",
    "SELECT application, details->'tranche' FROM programmes.history WHERE event = 'released' GROUP BY 1, 2 "
    "HAVING count(*) > 1",
    "SELECT kind, details->>'id' FROM (SELECT 1 AS kind, details FROM programmes.history WHERE event = 'recovered') x "
    "GROUP BY 1, 2 HAVING count(*) > 1",
)  # fmt: skip
PAID = """
  SELECT p.asset, sum(p.released)::bigint AS paid FROM programmes.payment p JOIN programmes.tranche t
    USING (application, n) WHERE t.state = 'released' GROUP BY 1"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.clock = FixedClock(NOON)
        self.ledger = Ledger(db, self.clock, worker="one", workers=1)
        self.city = City(self.db, self.clock, Vault(folder / "keys"), self.ledger)
        self.programmes = self.city.programmes
        self.apps: list[UUID] = []
        self.asked: list[UUID] = []
        self.recoveries: list[UUID] = []
        self.number = 0
        self.draws = [
            (self.apply, 14), (self.decide, 26), (self.supplement, 6), (self.appeal, 4), (self.withdraw, 5),
            (self.fund, 5), (self.tick, 8), (self.ask, 4), (self.answer, 6), (self.breach, 2), (self.claw_back, 2),
            (self.recover, 3), (self.call, 3), (self.erase, 1), (self.spend, 3),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        city = self.city
        self.people = [await city.person() for _ in range(3)]
        self.firms = [await city.company() for _ in range(2)]
        self.bank = await city.company("山河银行")
        for person in self.people:
            await city.know(person, "role", "data_analyst")
        for firm in self.firms:
            await city.know(firm, "incubated", True)
            await city.know(firm, "paid_in_capital_fen", CAPITAL_FEN)
            city.measured["untied_last_month_micro", firm] = 11_000 * CREDIT
        city.measured |= {("ip_standing", "1"): "verified", ("ip_standing", "2"): "verified"}
        for department in ("ip_office", "commerce", "finance", "appeals"):
            for eye in range(3):
                await city.reviewer(department, eye)
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 90_000)))
            if self.rng.random() < 0.1:
                self.clock.advance(days=self.rng.randint(20, 200))
            await self.round(AT_ONCE, dies=DIES)
        await self.come_to_rest()

    def app(self) -> UUID:
        return self.rng.choice(self.apps[-6:]) if self.apps else uuid4()

    # -- acts ---------------------------------------------------------------------------------------------------------

    async def apply(self) -> None:
        programme = self.rng.choice(("software_copyright", "role_grant", "incubator_subsidy", "loan_guarantee",
                                     "usage_bonus"))  # fmt: skip
        who = self.rng.choice(self.people if programme == "role_grant" else self.firms)
        number, contract = self.rng.choice("12"), self.rng.choice("ab")
        ends = self.clock.today() + timedelta(days=200)
        answers: dict[str, dict[str, Any]] = {
            "software_copyright": {"registration_number": number, "registered_on": "2026-02-10"},
            "incubator_subsidy": {"platform_first": True},
            "loan_guarantee": {"bank": str(self.bank), "contract": contract, "loan_fen": LOAN_FEN,
                               "ends_on": str(ends)},
        }  # fmt: skip
        ref = f"{self.number - self.rng.choice((0, 0, 1))}"
        self.number += 1
        made = await self.city.apply(programme, who, answers.get(programme), ref)
        self.apps.append(made.id)

    async def decide(self) -> None:
        app = (await self.programmes.file(self.app())).application
        path = self.programmes.catalogue.programmes[app.programme].path(app.round)
        if app.step < len(path):
            who = await self.city.reviewer(path[app.step].by, self.rng.randrange(3))
            verdict = self.rng.choice((Verdict.PASS,) * 6 + (Verdict.REFUSE, Verdict.RETURN))
            await self.programmes.reviewing.decide(app.id, who, verdict, reason="why")

    async def _mine(self) -> Application:
        return (await self.programmes.file(self.app())).application

    async def supplement(self) -> None:
        app = await self._mine()
        await self.programmes.applying.supplement(app.id, app.org_id, answers={}, evidence={}, actor="test")

    async def appeal(self) -> None:
        app = await self._mine()
        await self.programmes.applying.appeal(app.id, app.org_id, why="why", actor="test")

    async def withdraw(self) -> None:
        app = await self._mine()
        await self.programmes.applying.withdraw(app.id, app.org_id, actor="test")

    async def fund(self) -> None:
        name = self.rng.choice(list(BUDGETS))
        await self.city.fund(name, BUDGETS[name] * self.rng.choice((1, 1, 2)))

    async def tick(self) -> None:
        await self.programmes.tick()

    async def ask(self) -> None:
        number = uuid4()
        if self.rng.random() < 0.5:
            name = self.rng.choice(list(BUDGETS))
            await self.programmes.second.fund(name, BUDGETS[name], reason="more", by="person:a", request_id=number)
        else:
            await self.programmes.second.claw_back(self.app(), note="wrong", by="person:a", request_id=number)
        self.asked.append(number)

    async def answer(self) -> None:
        if self.asked:
            number, by = self.rng.choice(self.asked[-4:]), self.rng.choice(("person:b", "person:c"))
            act = self.rng.choice(("approve", "approve", "again", "reject", "withdraw"))
            if act == "approve":
                await self.programmes.second.approve(number, by=by)
            elif act == "again":
                await self.city.approvals.again(number, by=by)
            elif act == "reject":
                await self.programmes.second.reject(number, by=by, reason="no")
            else:
                await self.city.approvals.withdraw(number, by="person:a")

    async def breach(self) -> None:
        await self.programmes.awards.breach(self.app(), note="elsewhere", actor="test")

    async def claw_back(self) -> None:
        await self.programmes.awards.claw_back(self.app(), "error", note="wrong", actor="test")

    async def call(self) -> None:
        app, number = self.app(), uuid4()
        lost = self.rng.choice((LOAN_FEN, LOAN_FEN // 3))
        await self.programmes.second.call(app, lost_fen=lost, past_due=90, by="person:a", request_id=number)
        self.asked.append(number)

    async def recover(self) -> None:
        number = uuid4() if self.rng.random() < 0.5 or not self.recoveries else self.recoveries[-1]
        self.recoveries.append(number)
        amount = self.rng.choice((LOAN_FEN // 3, 1))
        await self.programmes.guarantees.recover(self.app(), amount, recovery_id=number, actor="test")

    async def erase(self) -> None:
        await self.programmes.awards.forget(self.rng.choice(self.people + self.firms))

    async def spend(self) -> None:
        who = self.rng.choice(self.people + self.firms)
        await self.city.spend(who, max(1, await self.city.balance(who) // 2))

    # -- at the end ---------------------------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        for _ in range(12):
            await self.city.approvals.run()
            self.clock.advance(days=1)
        for _ in range(3):
            await self.city.later(days=1)
        for query in (*UNFINISHED, *TWICE):
            assert await self.db.fetch(query) == [], query
        assert await self.city.sound()
        await self.nobody_is_stuck()
        await self.ledger.stop()

    async def nobody_is_stuck(self) -> None:
        """With money and time every award comes to its end, and nothing is set aside any more."""
        for name in BUDGETS:
            await self.city.fund(name)
        await self.city.approvals.sweep()
        for request in await self.city.approvals.requests(limit=100):
            if request.state == "open":
                await self.city.approvals.withdraw(request.id, by=request.requested_by)
        for _ in range(16):
            await self.city.later(days=200)
        for app in self.apps:
            file = await self.programmes.file(app)
            if file.application.state in (State.ACTIVE, State.WAITING_BUDGET):
                assert file.application.programme in ("role_grant", "incubator_subsidy", "loan_guarantee"), file
        assert await self.city.sound()
        for query in (*UNFINISHED, *TWICE):
            assert await self.db.fetch(query) == [], query


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_leaves_nothing_half_done(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path).live(ROUNDS)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_leaves_nothing_half_done_whoever_is_first(
        self, database: Database, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, seed, tmp_path).live(ROUNDS)
