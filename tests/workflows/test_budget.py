"""A run has one budget: its steps set aside what they may cost and give back what they did not, whoever they are."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.purse import Budget, OverBudget
from shanhe.workflows import purse, walker
from shanhe.workflows.api import Run
from shanhe.workflows.purse import StepPurse
from stage.draws import draws
from workflows.house import PRICE, House, ask, flow, says


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walker, "LOOK_S", 0.02)
    monkeypatch.setattr(purse, "LOOK_MAX_S", 0.05)


def branches(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    names = [one["id"] for one in nodes]
    return flow({"kind": "parallel", "id": "fork", "branches": names, "next": ""}, *nodes, **more)


async def books(house: House, run: Run) -> tuple[int, int]:
    row = await house.db.fetchrow("SELECT taken_micro, held_micro FROM workflows.run WHERE id = $1", run.id)
    return row["taken_micro"], row["held_micro"]


async def begun(house: House, *, budget: int, steps: int, parent: tuple[UUID, int] | None = None) -> UUID:
    """A run of so many steps that are under way; within a step of another one, where there is one."""
    await house.published(flow(says("x", "1"), budget_micro=budget), slug := f"flow-{new_id().hex[-8:]}")
    run = await house.workflows.start(house.org, slug, {}, ref="1")
    if parent is not None:
        await house.db.execute(
            "UPDATE workflows.run SET source = 'workflow', parent = $2, parent_n = $3, depth = 1 WHERE id = $1",
            run.id, *parent,
        )  # fmt: skip
    for n in range(1, steps + 1):
        await house.db.execute(
            "INSERT INTO workflows.step (run, n, node, kind, state, begun_at) VALUES ($1, $2, 'a', 'ask', 'begun', $3)",
            run.id, n, house.clock.now(),
        )  # fmt: skip
    return run.id


class TestBudget:
    async def test_is_spent_to_its_end_by_branches_that_go_on_at_once(self, house: House) -> None:
        house.may, names = 4 * PRICE, [f"b{at}" for at in range(6)]
        run, steps = await house.run(branches(*(ask(one, one) for one in names), budget_micro=9 * PRICE))
        assert (run.state, run.paid_micro, len(steps)) == ("done", 6 * PRICE, 7)
        assert await books(house, run) == (6 * PRICE, 0)

    async def test_of_a_call_that_no_equal_part_would_pay_for_waits_for_the_others(self, house: House) -> None:
        house.may = 8 * PRICE
        run, _ = await house.run(branches(ask("a", "one"), ask("b", "two"), budget_micro=10 * PRICE))
        assert (run.state, run.paid_micro) == ("done", 2 * PRICE)

    async def test_refuses_at_once_what_it_could_never_pay(self, house: House) -> None:
        house.may = 8 * PRICE
        run, _ = await house.run(branches(ask("a", "one"), ask("b", "two"), budget_micro=7 * PRICE))
        assert (run.error, run.paid_micro, await books(house, run)) == ("run_budget_exceeded", 0, (0, 0))

    async def test_pays_for_what_is_looked_up_and_for_tools_as_for_any_call(self, house: House) -> None:
        looks = {"kind": "knowledge", "id": "look", "bases": ["law"], "question": "?", "save": "k", "next": "use"}
        uses = {"kind": "tool", "id": "use", "tool": "sky/now", "save": "t"}
        run, steps = await house.run(flow(looks, uses, budget_micro=2 * PRICE - 1))
        assert (run.error, run.paid_micro) == ("run_budget_exceeded", PRICE)
        assert [(one.node, one.error) for one in steps] == [("look", ""), ("use", "run_budget_exceeded")]

    async def test_is_one_for_all_that_a_run_sets_going(self, house: House) -> None:
        await house.published(flow(ask("i", "in", "j"), ask("j", "in", "k"), ask("k", "in")), "inner")
        part = {"kind": "workflow", "workflow": "inner", "failed": "no"}
        parts = [{**part, "id": name, "save": name, "failed": f"no{name}"} for name in ("p", "q")]
        kept = [{"kind": "set", "id": f"no{name}", "values": {name: "no"}} for name in ("p", "q")]
        content = branches(*parts, budget_micro=5 * PRICE)
        run, _ = await house.run(content | {"nodes": [*content["nodes"], *kept]})
        assert sum(house.charged.values()) == run.paid_micro == 5 * PRICE
        assert await books(house, run) == (5 * PRICE, 0)

    async def test_of_an_inner_run_is_its_own_as_well(self, house: House) -> None:
        await house.published(flow(ask("i", "in", "j"), ask("j", "in"), budget_micro=PRICE), "inner")
        run, _ = await house.run(flow({"kind": "workflow", "id": "p", "workflow": "inner", "save": "p"}))
        assert (run.error, run.paid_micro) == ("workflow_failed", PRICE)

    async def test_counts_what_an_interrupted_agent_had_spent_and_set_aside(self, house: House) -> None:
        content = flow(ask("a", "x", target="agent/guide", failed="b"), ask("b", "y"), budget_micro=2 * PRICE)
        run, steps = await house.run(content, {}, "crash later")
        assert [(one.error, one.paid_micro) for one in steps] == [
            ("step_interrupted", PRICE), ("run_budget_exceeded", 0),
        ]  # fmt: skip
        assert (run.paid_micro, await books(house, run)) == (PRICE, (2 * PRICE, 0))

    @pytest.mark.parametrize("crash", ["crash first", "crash kept", "crash charged"])
    async def test_has_back_what_a_process_had_set_aside_that_ended(self, house: House, crash: str) -> None:
        house.may = 2 * PRICE
        run, _ = await house.run(flow(ask("a", "x", "b"), ask("b", "y"), budget_micro=3 * PRICE), {}, crash)
        assert (run.state, run.paid_micro, await books(house, run)) == ("done", 2 * PRICE, (2 * PRICE, 0))

    async def test_gives_nothing_more_to_who_waits_in_a_run_that_is_cancelled(self, house: House) -> None:
        run = await begun(house, budget=10, steps=2)
        await StepPurse(house.db, run, 1).hold(10)
        waiting = asyncio.create_task(StepPurse(house.db, run, 2).hold(5))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await house.db.execute("UPDATE workflows.run SET cancel_at = $2 WHERE id = $1", run, house.clock.now())
        with pytest.raises(OverBudget):
            await waiting

    async def test_is_not_waited_for_without_end(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who holds the rest may be dead, and its run be taken up in an hour."""
        monkeypatch.setattr(purse, "WAIT_MAX_S", 0.2)
        run = await begun(house, budget=10, steps=2)
        await StepPurse(house.db, run, 1).hold(6)
        async with asyncio.timeout(20):
            with pytest.raises(OverBudget) as refused:
                await StepPurse(house.db, run, 2).hold(5)
        assert refused.value.left_micro == 4

    async def test_is_refused_beyond_its_end_by_the_database_itself(self, house: House) -> None:
        run = await begun(house, budget=10, steps=1)
        with pytest.raises(asyncpg.CheckViolationError):
            await house.db.execute("UPDATE workflows.run SET taken_micro = 11 WHERE id = $1", run)

    @pytest.mark.parametrize("seed", range(draws(4)))
    async def test_is_never_overspent_at_the_same_moment(self, house: House, database: Database, seed: int) -> None:
        """Many at once, in an outer run and two inner ones of budgets of their own: at any time no budget has more
        taken than it holds, and in the end exactly what was paid."""
        draw = random.Random(seed)
        outer = await begun(house, budget=(most := draw.randint(60, 200)), steps=6)
        inner = [await begun(house, budget=draw.randint(30, 120), steps=6, parent=(outer, at)) for at in (1, 2)]
        paid = dict.fromkeys([outer, *inner], 0)
        limits = {one: await database.fetchval("SELECT budget_micro FROM workflows.run WHERE id = $1", one)
                  for one in paid}  # fmt: skip

        async def call(run: UUID, n: int) -> None:
            one = StepPurse(house.db, run, n)
            for _ in range(8):
                may = draw.randint(1, 30)
                cost = draw.choice([0, may, draw.randint(0, may)])
                try:
                    await one.hold(may)
                except OverBudget:
                    continue
                await asyncio.sleep(0)
                for payer in {run, outer}:
                    paid[payer] += cost
                assert paid[outer] <= most
                assert paid[run] <= limits[run]
                await one.settle(may, cost)

        await asyncio.gather(*(call(run, n) for run in paid for n in range(1, 7)))
        rows = await database.fetch("SELECT id, taken_micro, held_micro FROM workflows.run WHERE id = ANY($1)", [*paid])
        assert {row["id"]: (row["taken_micro"], row["held_micro"]) for row in rows} == {
            one: (micro, 0) for one, micro in paid.items()
        }  # fmt: skip


class TestPurseInMemory:
    async def test_sets_aside_of_the_outer_one_too_and_waits_while_something_may_come_back(self) -> None:
        outer = Budget(10)
        one, other = Budget(8, outer), Budget(8, outer)
        await one.hold(7)
        waiting = asyncio.create_task(other.hold(6))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        await one.settle(7, 3)
        await waiting
        with pytest.raises(OverBudget) as refused:
            await one.hold(6)
        assert refused.value.left_micro == 5
        await other.settle(6, 6)
        with pytest.raises(OverBudget) as refused:
            await one.hold(2)
        assert refused.value.left_micro == 1

    async def test_has_back_at_once_what_the_outer_one_refused(self) -> None:
        one = Budget(8, Budget(3))
        with pytest.raises(OverBudget):
            await one.hold(4)
        await one.hold(3)
