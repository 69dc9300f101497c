"""Branches: what can go on at once does, meets again, and costs what its steps cost, whatever ends in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import pytest

from shanhe.gateway.api import CallError
from shanhe.workflows import deeds, walker
from shanhe.workflows.api import Said, Step
from shanhe.workflows.checking import problems, shaped
from shanhe.workflows.course import Way
from shanhe.workflows.model import Course
from stage.draws import draws
from workflows.house import PRICE, House, ask, flow, says

BUSY = CallError(503, "engine_failed", "No.")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (deeds, walker):
        monkeypatch.setattr(module, "WAITS_S", (0.0,))
    monkeypatch.setattr(walker, "LOOK_S", 0.02)


def fork(*branches: str, to: str = "out_end", name: str = "fork") -> dict[str, Any]:
    return {"kind": "parallel", "id": name, "branches": list(branches), "next": to}


def two(**more: Any) -> dict[str, Any]:
    """Two branches of a step each, which meet at an output of both."""
    return flow(fork("a", "b"), ask("a", "one", "out_end"), ask("b", "two", "out_end"), says("end", "{{a}} {{b}}"),
                **more)  # fmt: skip


def codes(content: dict[str, Any]) -> set[str]:
    return {code for _, code, _, _ in problems(shaped(content))}


CALLS: Final = {"kind": "workflow", "id": "call", "workflow": "inner", "save": "x", "next": "out_end"}


def gated(house: House, gate: Callable[[str], Awaitable[None]]) -> None:
    """Let each call of a model wait for `gate(prompt)`."""
    ask = house.ask

    async def waits(
        caller: Any, fields: Mapping[str, Any], receipt_id: UUID, keep: Callable[[bytes], Awaitable[None]]
    ) -> Said:
        await gate(fields["messages"][-1]["content"])
        return await ask(caller, fields, receipt_id, keep)

    house.ask = waits  # type: ignore[method-assign]


def failing(first: str) -> Callable[[str], Awaitable[None]]:
    """A gate at which the first call that asks this fails."""
    left = [first]

    async def gate(prompt: str) -> None:
        if prompt in left:
            left.remove(prompt)
            raise BUSY

    return gate


class TestBranches:
    async def test_go_on_at_once_and_meet(self, house: House) -> None:
        both = asyncio.Barrier(2)

        async def gate(_: str) -> None:
            await both.wait()

        gated(house, gate)
        async with asyncio.timeout(60):
            run, steps = await house.run(two())
        assert (run.state, run.result) == ("done", {"end": "<one> <two>"})
        assert [(one.n, one.node, one.branch, one.state) for one in steps] == [
            (1, "fork", "", "done"), (2, "a", "a", "done"), (3, "b", "b", "done"), (4, "out_end", "", "done"),
        ]  # fmt: skip
        assert (run.steps, run.paid_micro) == (4, sum(house.charged.values()))

    async def test_hold_loops_and_branches_and_stand_in_loops(self, house: House) -> None:
        content = flow(
            {"kind": "set", "id": "begin", "values": {"rows": "{{input.rows}}"}, "next": "each"},
            {"kind": "loop", "id": "each", "over": "rows", "most": 3, "body": "fork", "gather": "line", "save": "all",
             "next": "out_all"},
            fork("inner", "count", to="join"),
            fork("x", "y", name="inner", to="join"),
            {"kind": "set", "id": "x", "values": {"x": "{{item}}x"}, "next": "join"},
            {"kind": "set", "id": "y", "values": {"y": "{{item}}y"}},
            {"kind": "loop", "id": "count", "over": "rows", "most": 3, "item": "one", "body": "word", "gather": "word",
             "save": "words"},
            {"kind": "set", "id": "word", "values": {"word": "{{one}}{{round}}"}},
            {"kind": "set", "id": "join", "values": {"line": "{{round}} {{x}} {{y}} {{words}}"}},
            says("all", "{{all}}"),
        )  # fmt: skip
        run, steps = await house.run(content, {"rows": ["p", "q"]})
        assert run.result == {"all": ['1 px py ["p1","q2"]', '2 qx qy ["p1","q2"]']}
        assert {one.branch for one in steps if one.node == "x"} == {"inner/x"}
        assert [one.n for one in steps] == list(range(1, len(steps) + 1))

    @pytest.mark.parametrize(("nodes", "code"), [
        ([fork("a"), ask("a", "x")], "branches"),
        ([fork("a", "a"), ask("a", "x")], "branches"),
        ([fork("a", "out_end"), ask("a", "x"), says("end", "1")], "branches"),
        ([fork("a", "b"), ask("a", "x", save="y"), ask("b", "x", save="y"), says("end", "1")], "written_twice"),
        ([fork("a", "b"), ask("a", "x"), ask("b", "{{a}}"), says("end", "1")], "unknown_variable"),
        ([fork("a", "b"), ask("a", "x", "b"), ask("b", "x"), says("end", "1")], "shared_branch"),
        ([fork("a", "b", to=""), ask("a", "x", "c"), ask("b", "x", "c"), ask("c", "y")], "shared_branch"),
        ([fork("a", "b"), ask("a", "x", "fork"), ask("b", "x"), says("end", "1")], "shared_branch"),
        ([fork("a", "b"), ask("a", "x", failed="c"), ask("b", "x"), ask("c", "y"), says("end", "{{a}}")],
         "unknown_variable"),
        ([fork("a", "b"), ask("a", "x", failed="out_end"), ask("b", "x"), says("end", "{{failure.code}}")],
         "unknown_variable"),
    ])  # fmt: skip
    def test_that_could_not_meet_or_would_see_each_other_say_why(self, nodes: list[Any], code: str) -> None:
        assert code in codes(flow(*nodes))

    async def test_give_out_results_of_their_own(self, house: House) -> None:
        content = flow(fork("a", "b", to=""), ask("a", "x", "out_a"), says("a", "{{a}}"), ask("b", "y", "out_b"),
                       says("b", "{{b}}"))  # fmt: skip
        run, _ = await house.run(content)
        assert run.result == {"a": "<x>", "b": "<y>"}
        assert "written_twice" in codes(flow(fork("out_a", "b", to=""), says("a", "1"), ask("b", "y", "c"),
                                             {"kind": "output", "id": "c", "values": {"a": "2"}}))  # fmt: skip

    async def test_never_go_beyond_the_runs_steps(self, house: House) -> None:
        run, steps = await house.run(two(steps_max=2))
        assert (run.error, len(steps), run.paid_micro) == ("too_many_steps", 2, PRICE)
        assert sum(house.charged.values()) == PRICE


def drawn(draw: random.Random) -> dict[str, Any]:
    """A definition of chains that hold loops and branches, with texts that may ask for what need not be there."""
    nodes: list[dict[str, Any]] = []

    def chain(end: str, depth: int) -> str:
        for _ in range(draw.randint(1, 3)):
            node: dict[str, Any] = {"id": (name := f"n{len(nodes)}_{depth}"), "next": end}
            nodes.append(node)
            kind = draw.choice(["set", "set", "output", "loop", "parallel"] if depth < 2 else ["set"])
            if kind == "loop":
                node |= {"until": f"round > {draw.randint(0, 2)}", "most": 5, "body": chain("", depth + 1)}
            elif kind == "parallel":
                node["branches"] = [chain(draw.choice(["", end]), depth + 1) for _ in range(draw.randint(2, 3))]
            else:
                asked = draw.choice(["input"] * 7 + [draw.choice(nodes)["id"]])
                node["values"] = {name: f"{{{{{asked}}}}}"}
            node["kind"] = kind
            end = name
        return end

    return {"start": chain("", 0), "nodes": nodes}


class TestWay:
    @pytest.mark.parametrize("seed", range(draws(20)))
    def test_never_depends_on_which_branch_is_quicker(self, seed: int) -> None:
        accepted = 0
        for at in range(100):
            draw = random.Random(seed * 100 + at)
            if codes(content := drawn(draw)):
                continue
            accepted += any(node["kind"] == "parallel" for node in content["nodes"])
            ends = []
            for _ in range(3):
                way, numbers = Way(shaped(content), Course(content["start"], {"input": {}}), 0), list[int]()
                while lanes := way.lanes():
                    lane = draw.choice(lanes)
                    numbers.append(lane.n)
                    way.took(lane, None)
                assert sorted(numbers) == list(range(1, len(numbers) + 1))
                ends.append((way.result(), way.course.variables))
            assert ends[0] == ends[1] == ends[2]
        assert accepted


class TestCrash:
    @pytest.mark.parametrize("crash", ["crash first", "crash kept", "crash charged"])
    @pytest.mark.parametrize("at", [0, 1, pytest.param(2, marks=pytest.mark.prove)])
    async def test_in_a_branch_pays_no_step_twice(self, house: House, crash: str, at: int) -> None:
        content = flow(fork("a", "b"), ask("a", "one", "c"), ask("b", "two", "out_end"), ask("c", "{{a}}", "out_end"),
                       says("end", "{{b}} {{c}}"))  # fmt: skip
        run, steps = await house.run(content, {}, *["answer"] * at, crash)
        assert (run.state, run.result) == ("done", {"end": "<two> <<one>>"})
        assert (len(house.charged), run.paid_micro) == (3, 3 * PRICE)
        assert {one.receipt_id for one in steps if one.receipt_id} == set(house.charged)
        assert [one.n for one in steps] == [1, 2, 3, 4, 5]

    async def test_keeps_what_a_branch_was_charged_when_another_had_failed(self, house: House) -> None:
        failed = asyncio.Event()

        async def gate(prompt: str) -> None:
            if prompt == "two":
                await failed.wait()
                house.plan = ["crash charged"]

        gated(house, gate)
        content = two()
        content["nodes"][1] = {"kind": "code", "id": "a", "code": "def main():\n    return 1 / 0", "save": "a",
                               "next": "out_end"}  # fmt: skip

        async def code(code: str, inputs: Mapping[str, Any]) -> Any:
            asyncio.get_running_loop().call_later(0.05, failed.set)
            raise BUSY

        house.code = code  # type: ignore[method-assign]
        run, steps = await house.run(content)
        assert (run.state, run.error, run.paid_micro) == ("failed", "engine_failed", PRICE)
        assert {one.node: one.state for one in steps} == {"fork": "done", "a": "failed", "b": "done"}

    @pytest.mark.parametrize("seed", range(draws(12)))
    async def test_anywhere_leaves_the_same_run(self, house: House, seed: int) -> None:
        draw = random.Random(seed)
        names = [f"b{at}" for at in range(draw.randint(2, 5))]
        chains = [[f"{one}_{at}" for at in range(draw.randint(1, 3))] for one in names]
        nodes = [ask(node, node, (*chain, "", "")[at + 1] or draw.choice(["", "out_end"]))
                 for chain in chains for at, node in enumerate(chain)]  # fmt: skip
        every = [node for chain in chains for node in chain]
        last = says("end", " ".join(f"{{{{{node}}}}}" for node in every))
        content = flow(fork(*(chain[0] for chain in chains)), *nodes, last)
        plan = [draw.choice(["answer", "answer", "answer", "crash first", "crash kept", "crash charged"])
                for _ in range(len(every) + 2)]  # fmt: skip
        run, steps = await house.run(content, {}, *plan)
        for _ in range(3):
            run, steps = await house.on(run)
        assert run.result == {"end": " ".join(f"<{node}>" for node in every)}
        assert len(house.charged) == len(every)
        assert run.paid_micro == sum(house.charged.values()) == sum(one.paid_micro for one in steps)


class TestFailure:
    async def test_of_a_branch_lets_what_is_under_way_be_paid_and_ends_the_run(self, house: House) -> None:
        content = flow(fork("a", "b"), ask("a", "x", "out_end"), ask("b", "y", "c"), ask("c", "z"), says("end", "1"))
        both = asyncio.Barrier(2)

        async def gate(prompt: str) -> None:
            await both.wait()
            if prompt == "x":
                raise BUSY

        gated(house, gate)
        run, steps = await house.run(content)
        assert (run.state, run.error, run.paid_micro) == ("failed", "engine_failed", PRICE)
        assert {one.node: one.state for one in steps} == {"fork": "done", "a": "failed", "b": "done"}
        assert run.why["zh"]

    async def test_of_a_branch_that_leads_on_stays_in_the_branch(self, house: House) -> None:
        content = flow(fork("a", "b"), ask("a", "x", "out_end", failed="instead"), ask("b", "y", "out_end"),
                       {"kind": "set", "id": "instead", "values": {"a": "{{failure.code}}"}},
                       says("end", "{{a}} {{b}}"))  # fmt: skip
        gated(house, failing("x"))
        run, _ = await house.run(content)
        assert (run.state, run.result) == ("done", {"end": "engine_failed <y>"})

    async def test_is_tried_again_beside_the_other_branches(self, house: House) -> None:
        content = two()
        content["nodes"][1]["tries"] = 2
        gated(house, failing("one"))
        run, steps = await house.run(content)
        assert (run.state, len(steps), run.paid_micro) == ("done", 5, 2 * PRICE)


APPROVED = flow(
    fork("ok", "b"), {"kind": "approval", "id": "ok", "who": "owner", "shows": "?", "save": "word", "next": "a"},
    ask("a", "{{word.note}}", "out_end"), ask("b", "two", "out_end"), says("end", "{{a}} {{b}}"),
)  # fmt: skip


class TestWaiting:
    async def yes(self, house: House, *, approve: bool = True) -> None:
        [waiting] = await house.workflows.inbox(house.org, house.key, ["owner"])
        await house.workflows.decide(
            waiting.id, org_id=house.org, person=house.key, roles=["owner"], approve=approve, note="yes"
        )

    async def test_of_a_branch_leaves_the_others_going_on(self, house: House) -> None:
        run, steps = await house.run(APPROVED)
        assert (run.state, [one.node for one in steps]) == ("paused", ["fork", "b"])
        await self.yes(house)
        done, steps = await house.on(run)
        assert (done.state, done.result) == ("done", {"end": "<yes> <two>"})
        assert [one.node for one in steps] == ["fork", "ok", "b", "a", "out_end"]

    async def test_ends_when_the_word_comes_while_another_branch_is_under_way(self, house: House) -> None:
        asked = asyncio.Event()

        async def gate(prompt: str) -> None:
            if prompt == "two":
                await self.yes(house)
                await asked.wait()
            asked.set()

        gated(house, gate)
        async with asyncio.timeout(60):
            run, _ = await house.run(APPROVED)
        assert (run.state, run.result) == ("done", {"end": "<yes> <two>"})

    async def test_for_a_no_ends_the_run_as_refused_when_the_others_are_booked(self, house: House) -> None:
        run, _ = await house.run(APPROVED)
        await self.yes(house, approve=False)
        ended, _ = await house.on(run)
        assert (ended.state, ended.error, ended.paid_micro) == ("refused", "approval_refused", PRICE)

    async def test_for_somebody_ends_with_a_branch_that_failed(self, house: House) -> None:
        gated(house, failing("two"))
        run, _ = await house.run(APPROVED)
        assert (run.state, run.error) == ("failed", "engine_failed")
        assert await house.workflows.inbox(house.org, house.key, ["owner"]) == []


class TestPart:
    INNER = flow(ask("i", "in", "out_y"), says("y", "{{i}}"))
    OUTER = flow(fork("call", "b"), {"kind": "workflow", "id": "call", "workflow": "inner", "save": "got",
                                     "next": "out_end"},
                 ask("b", "two", "out_end"), says("end", "{{got.y}} {{b}}"))  # fmt: skip

    async def test_in_a_branch_runs_beside_the_others(self, house: House) -> None:
        both = asyncio.Barrier(2)

        async def gate(_: str) -> None:
            await both.wait()

        gated(house, gate)
        await house.published(self.INNER, "inner")
        async with asyncio.timeout(60):
            run, steps = await house.run(self.OUTER)
        assert (run.state, run.result) == ("done", {"end": "<in> <two>"})
        assert run.paid_micro == sum(house.charged.values()) == 2 * PRICE
        assert [(one.node, one.paid_micro) for one in steps][:3] == [("fork", 0), ("call", PRICE), ("b", PRICE)]

    async def test_whose_sibling_failed_is_ended_and_counted(self, house: House) -> None:
        waits = {"kind": "approval", "id": "ok", "who": "owner", "shows": "?"}
        await house.published(flow(ask("i", "in", "ok"), waits), "inner")

        async def gate(prompt: str) -> None:
            if prompt == "two":
                async with asyncio.timeout(60):
                    while [one.state for one in await house.workflows.runs(house.org) if one.parent] != ["paused"]:  # noqa: ASYNC110 - nothing tells
                        await asyncio.sleep(0.01)
                house.plan = [BUSY]

        gated(house, gate)
        run, _ = await house.run(self.OUTER | {"nodes": [*self.OUTER["nodes"][:3], says("end", "{{b}}")]})
        assert (run.state, run.error) == ("failed", "engine_failed")
        [part] = await house.workflows.parts(run.id, house.org)
        assert part.state == "cancelled"
        assert run.paid_micro == part.paid_micro == PRICE

    async def test_is_cancelled_with_its_run(self, house: House) -> None:
        waits = {"kind": "approval", "id": "ok", "who": "owner", "shows": "?"}
        await house.published(flow(waits), "inner")
        run, _ = await house.run(self.OUTER | {"nodes": [*self.OUTER["nodes"][:3], says("end", "{{b}}")]})
        assert run.state == "paused"
        assert (await house.workflows.cancel(run.id, house.org)).state == "cancelled"
        assert [one.state for one in await house.workflows.parts(run.id, house.org)] == ["cancelled"]

    async def test_that_had_paid_is_counted_in_the_run_that_is_cancelled(self, house: House) -> None:
        waits = {"kind": "approval", "id": "ok", "who": "owner", "shows": "?"}
        await house.published(flow(ask("i", "in", "ok"), waits), "inner")
        run, _ = await house.run(flow(CALLS, says("end", "{{x}}")))
        run = await house.workflows.cancel(run.id, house.org)
        assert (run.state, run.paid_micro, sum(house.charged.values())) == ("cancelled", PRICE, PRICE)

    async def test_that_pays_after_the_end_of_those_above_it_is_counted_there(self, house: House) -> None:
        await house.published(flow(ask("i", "in", "out_end"), says("end", "{{i}}")), "inner")
        await house.published(flow(CALLS, says("end", "{{x}}")), "middle")
        outer = flow(CALLS | {"workflow": "middle"}, says("end", "{{x}}"))
        states = []

        async def gate(prompt: str) -> None:
            [top] = [one for one in await house.workflows.runs(house.org) if one.parent is None]
            [middle] = await house.workflows.parts(top.id, house.org)
            await house.workflows.cancel(middle.id, house.org)
            async with asyncio.timeout(60):
                while top.ended_at is None:
                    await asyncio.sleep(0.01)
                    top, _ = await house.workflows.trace(top.id, house.org)
            states.append((top.state, top.paid_micro))

        gated(house, gate)
        run, steps = await house.run(outer)
        assert states == [("failed", 0)]
        [middle] = await house.workflows.parts(run.id, house.org)
        [inner] = await house.workflows.parts(middle.id, house.org)
        assert [one.paid_micro for one in (run, steps[0], middle, inner)] == [PRICE] * 4
        assert sum(house.charged.values()) == PRICE


async def test_old_course_of_a_run_goes_on(house: House) -> None:
    """A run that was under way when runs had one step at a time has no numbers in its course."""
    await house.published(flow(ask("a", "one", "b"), ask("b", "{{a}}", "out_end"), says("end", "{{b}}")))
    run = await house.workflows.start(house.org, "flow", {}, ref="1")
    course = {"at": "b", "variables": {"a": "x"}, "frames": [], "result": {}, "tried": 0, "data_class": "general"}
    seal = await house.workflows.seal_of(house.org)
    await house.db.execute(
        "UPDATE workflows.run SET course = $2, steps = 1 WHERE id = $1", run.id, seal.json(walker.COURSE, course)
    )
    steps: list[Step]
    run, steps = await house.on(run)
    assert (run.result, [one.n for one in steps]) == ({"end": "<x>"}, [2, 3])
