"""Steps that fail: tried again, led on from, and never done or paid twice without being asked to."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from shanhe.gateway.api import CallError
from shanhe.kernel.db import Database
from shanhe.workflows import deeds, run_store, running, walker
from shanhe.workflows.errors import StepFailed, UnknownWorkflow, WorkflowInUse
from workflows.house import PRICE, House, ask, flow, says

LOOK: dict[str, Any] = {"kind": "http", "id": "look", "url": "https://x.cn/", "save": "seen", "next": "out_ok"}
BUSY = CallError(503, "engine_failed", "No.")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (deeds, walker):
        monkeypatch.setattr(module, "WAITS_S", (0.0,))


class TestFailure:
    async def test_leads_where_the_node_says_with_what_went_wrong(self, house: House) -> None:
        content = flow(ask("a", "x", "out_ok", failed="out_bad"), says("ok", "{{a}}"),
                       says("bad", "{{failure.node}} {{failure.code}} {{failure.en}}"))  # fmt: skip
        run, steps = await house.run(content, {}, BUSY)
        assert (run.state, run.error, run.result) == ("done", "", {"bad": "a engine_failed No."})
        assert [(one.node, one.state, one.error) for one in steps] == [
            ("a", "failed", "engine_failed"), ("out_bad", "done", ""),
        ]  # fmt: skip
        again, _ = await house.on(await house.workflows.start(house.org, "flow", {}, ref="2"))
        assert again.result == {"ok": "<x>"}

    async def test_is_tried_again_as_often_as_the_node_says(self, house: House) -> None:
        run, steps = await house.run(flow(ask("a", "x", "out_ok", tries=3), says("ok", "{{a}}")), {}, BUSY, BUSY)
        assert (run.state, run.result, run.paid_micro) == ("done", {"ok": "<x>"}, PRICE)
        assert [(one.node, one.state) for one in steps] == [
            ("a", "failed"), ("a", "failed"), ("a", "done"), ("out_ok", "done"),
        ]  # fmt: skip
        house.plan = [BUSY, BUSY, BUSY]
        over, steps = await house.on(await house.workflows.start(house.org, "flow", {}, ref="2"))
        assert (over.state, over.error, len(steps)) == ("failed", "engine_failed", 3)

    async def test_of_an_answer_that_was_paid_for_stays_paid(self, house: House) -> None:
        strict = flow(ask("a", "x", "out_ok", schema={"type": "object"}, tries=2, failed="out_bad"), says("ok", "1"),
                      says("bad", "{{failure.code}}"))  # fmt: skip
        run, _ = await house.run(strict)
        assert (run.result, run.paid_micro, len(house.charged)) == ({"bad": "bad_json"}, 2 * PRICE, 2)

    async def test_of_an_address_counts_where_the_node_says_what_to_do(self, house: House) -> None:
        last = says("ok", "{{seen.status}}")
        run, _ = await house.run(flow(LOOK, last, hosts=["x.cn"]), {}, 500)
        assert run.result == {"ok": 500}
        await house.published(flow({**LOOK, "tries": 2}, last, hosts=["x.cn"]), "tried")
        house.plan, house.keys = [503, 200], []
        tried, _ = await house.on(await house.workflows.start(house.org, "tried", {}, ref="1"))
        assert tried.result == {"ok": 200}
        assert len(house.keys) == 2
        assert len(set(house.keys)) == 1  # whoever is asked can tell that it is the same request
        house.plan, house.keys = [404], []
        gone, _ = await house.on(await house.workflows.start(house.org, "tried", {}, ref="2"))
        assert (gone.error, len(house.keys)) == ("http_refused", 1)

    @pytest.mark.parametrize("node", [
        {"kind": "http", "id": "a", "method": "POST", "url": "https://x.cn/", "save": "a"},
        {"kind": "tool", "id": "a", "tool": "weather/forecast", "save": "a"},
    ])  # fmt: skip
    async def test_that_may_have_been_done_is_not_tried_again(self, house: House, node: dict[str, Any]) -> None:
        content = flow({**node, "tries": 3, "failed": "out_bad", "next": "out_bad"}, says("bad", "ask somebody"),
                       hosts=["x.cn"])  # fmt: skip
        run, steps = await house.run(content, {}, "crash first")
        assert (run.result, steps[0].error) == ({"bad": "ask somebody"}, "step_interrupted")
        assert len(house.asked) + len(house.fetched) == 1

    async def test_inside_of_a_loop_leaves_out_one_and_goes_on(self, house: House) -> None:
        content = flow(
            {"kind": "set", "id": "begin", "values": {"rows": "{{input.rows}}"}, "next": "each"},
            {"kind": "loop", "id": "each", "over": "rows", "most": 5, "body": "word", "gather": "word", "save": "all",
             "next": "out_all"},
            ask("word", "{{item}}", failed="gone"), {"kind": "set", "id": "gone", "values": {"word": "—"}},
            says("all", "{{all}}"),
        )  # fmt: skip
        run, _ = await house.run(content, {"rows": [1, 2, 3]}, "answer", BUSY)
        assert run.result == {"all": ["<1>", "—", "<3>"]}

    async def test_of_a_budget_that_is_used_up_is_not_tried_but_told(self, house: House) -> None:
        content = flow(ask("a", "x", "b"), ask("b", "y", "out_bad", tries=5, failed="out_bad"),
                       says("bad", "enough"), budget_micro=PRICE)  # fmt: skip
        run, steps = await house.run(content)
        assert (run.result, run.paid_micro) == ({"bad": "enough"}, PRICE)
        assert [one.error for one in steps] == ["", "run_budget_exceeded", ""]

    async def test_leaves_no_variable_behind_that_a_way_relies_on(self, house: House) -> None:
        wrong = flow(ask("a", "x", "out_end", failed="out_end"), says("end", "{{a}}"))
        assert [one[:2] for one in house.workflows.check(wrong)] == [("out_end", "unknown_variable")]
        wrong = flow(ask("a", "x", tries=9))
        assert [one[:2] for one in house.workflows.check(wrong)] == [("a", "tries")]
        alone = flow(ask("a", "x", "out_end", failed="out_end"), says("end", "1"))
        await house.published(alone)
        run, _ = await house.on(await house.workflows.try_node(house.org, "flow", "a", {}, ref="1"))
        assert run.result == {"a": "<x>"}


class TestAddress:
    async def test_is_asked_with_headers_and_secrets_of_its_own(self, house: House) -> None:
        node = {**LOOK, "headers": {"x-city": "{{input.q}}"}, "secrets": {"authorization": "weather_key"}}
        await house.published(flow(node, says("ok", "{{seen.status}}"), hosts=["x.cn"]))
        run, _ = await house.on(await house.workflows.start(house.org, "flow", {"q": "sh"}, ref="1"))
        assert house.heads == [{"x-city": "sh", "authorization": f"secret weather_key of {house.org}"}]
        assert "secret" not in str(run)
        for n, wrong in enumerate(("a\r\nhost: b", "山", "x" * 5_000)):
            bad, _ = await house.on(await house.workflows.start(house.org, "flow", {"q": wrong}, ref=f"bad{n}"))
            assert (bad.error, len(house.heads)) == ("bad_header", 1)

    async def test_has_values_in_it_that_stay_inside_whatever_they_hold(self, house: House) -> None:
        node = {**LOOK, "method": "POST", "url": "https://x.cn/a/{{input.q}}/b?q={{input.q}}",
                "body": '{"q": "“{{input.q}}”", "n": [1, "{{input.n}}"]}'}  # fmt: skip
        await house.published(flow(node, says("ok", "{{seen.status}}"), hosts=["x.cn"]))
        given = {"q": '山 "a"/?&admin=1#\\\n', "n": 7}
        await house.on(await house.workflows.start(house.org, "flow", given, ref="1"))
        [(_, url, body)] = house.fetched
        inside = "%E5%B1%B1%20%22a%22%2F%3F%26admin%3D1%23%5C%0A"
        assert url == f"https://x.cn/a/{inside}/b?q={inside}"
        assert json.loads(body) == {"q": f"“{given['q']}”", "n": [1, "7"]}
        up, _ = await house.on(await house.workflows.start(house.org, "flow", {"q": "..", "n": 1}, ref="2"))
        assert (up.error, len(house.fetched)) == ("bad_address", 1)

    async def test_has_a_text_for_a_body_that_is_no_json_before_it_is_filled(self, house: House) -> None:
        node = {**LOOK, "method": "POST", "body": '{"rows": {{input.rows}}}'}
        await house.published(flow(node, says("ok", "{{seen.status}}"), hosts=["x.cn"]))
        await house.on(await house.workflows.start(house.org, "flow", {"q": "x", "rows": ["a"]}, ref="1"))
        assert house.fetched[0][2] == b'{"rows": ["a"]}'

    @pytest.mark.parametrize("wrong", [
        {"headers": {"Host": "x"}}, {"headers": {"a b": "x"}}, {"secrets": {"authorization": "No Name"}},
        {"headers": {"X-a": "1"}, "secrets": {"x-A": "key"}}, {"headers": {"idempotency-key": "1"}},
    ])  # fmt: skip
    def test_is_not_asked_with_what_a_request_sets_itself(self, house: House, wrong: dict[str, Any]) -> None:
        found = house.workflows.check(flow({**LOOK, **wrong}, says("ok", "x"), hosts=["x.cn"]))
        assert {one[0] for one in found} == {"look"}


class TestTool:
    async def test_is_called_with_what_the_node_says_and_paid(self, house: House) -> None:
        content = flow(
            {"kind": "tool", "id": "sky", "tool": "weather/forecast", "save": "sky", "next": "out_sky",
             "arguments": {"days": 3, "place": {"name": "{{input.place}}"}, "rows": ["{{input.place}}", "x"]}},
            says("sky", "{{sky.sky}}"),
        )  # fmt: skip
        run, steps = await house.run(content, {"place": "山河"})
        assert (run.result, run.paid_micro) == ({"sky": "rain"}, PRICE)
        assert house.asked == ['weather/forecast: {"days": 3, "place": {"name": "山河"}, "rows": ["山河", "x"]}']
        assert steps[0].receipt_id in house.charged
        house.plan = [StepFailed("tool_failed", "The tool failed", "失败")]
        bad, _ = await house.on(await house.workflows.start(house.org, "flow", {"place": ""}, ref="2"))
        assert (bad.error, bad.paid_micro) == ("tool_failed", 0)


class TestPart:
    INNER = flow(ask("a", "in {{input.x}}", "out_y"), says("y", "{{a}}"), inputs=["x"])

    def outer(self, **more: Any) -> dict[str, Any]:
        return flow(ask("first", "one", "call"),
                    {"kind": "workflow", "id": "call", "workflow": "inner", "given": {"x": "{{first}}"}, "save": "got",
                     "next": "out_end", **more},
                    says("end", "{{got.y}}"), *([says("bad", "{{failure.zh}}")] if more else []))  # fmt: skip

    async def test_runs_another_workflow_and_takes_its_result(self, house: House) -> None:
        await house.published(self.INNER, "inner")
        run, steps = await house.run(self.outer())
        assert (run.state, run.result) == ("done", {"end": "<in <one>>"})
        assert run.paid_micro == sum(house.charged.values()) == 2 * PRICE
        [part] = await house.workflows.parts(run.id, house.org)
        assert (part.source, part.parent_n, part.depth, part.state) == ("workflow", 2, 1, "done")
        assert [(one.kind, one.paid_micro) for one in steps] == [("ask", PRICE), ("workflow", PRICE), ("output", 0)]

    async def test_that_fails_is_a_step_that_failed(self, house: House) -> None:
        await house.published(self.INNER, "inner")
        run, _ = await house.run(self.outer(failed="out_bad"), {}, "answer", BUSY)
        assert "工作流“inner”未完成" in run.result["bad"]
        await house.published(self.outer() | {"nodes": [*self.outer()["nodes"]]}, "second")
        house.plan = ["answer", BUSY]
        bad, _ = await house.on(await house.workflows.start(house.org, "second", {}, ref="1"))
        assert (bad.state, bad.error) == ("failed", "workflow_failed")

    async def test_is_found_again_after_a_crash_and_begun_once(self, house: House) -> None:
        await house.published(self.INNER, "inner")
        run, _ = await house.run(self.outer(), {}, "answer", "crash charged")
        assert (run.result, run.paid_micro) == ({"end": "<in <one>>"}, 2 * PRICE)
        assert len(await house.workflows.parts(run.id, house.org)) == 1

    async def test_that_calls_itself_ends(self, house: House) -> None:
        again = flow({"kind": "workflow", "id": "call", "workflow": "flow", "save": "x"})
        run, _ = await house.run(again)
        assert (run.state, run.error) == ("failed", "workflow_failed")
        deepest = max(await house.workflows.runs(house.org), key=lambda one: one.depth)
        assert (deepest.depth, deepest.error) == (3, "too_deep")

    async def test_is_cancelled_with_the_run_that_it_belongs_to(self, house: House) -> None:
        waits = flow({"kind": "approval", "id": "ok", "who": "owner", "shows": "?", "next": "out_y"}, says("y", "1"))
        await house.published(waits, "inner")
        run, _ = await house.run(flow(
            {"kind": "workflow", "id": "call", "workflow": "inner", "save": "got", "next": "out_end"},
            says("end", "{{got.y}}"),
        ))  # fmt: skip
        assert run.state == "paused"
        await house.workflows.cancel(run.id, house.org)
        assert [one.state for one in await house.workflows.parts(run.id, house.org)] == ["cancelled"]
        assert await house.workflows.inbox(house.org, house.key, ["owner"]) == []

    @pytest.mark.parametrize("first", [
        {"kind": "workflow", "id": "call", "workflow": "inner", "save": "got"},
        {"kind": "approval", "id": "call", "who": "owner", "shows": "?"},
    ])  # fmt: skip
    async def test_is_not_begun_by_a_run_that_is_cancelled_just_then(
        self, house: House, first: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        touch = run_store.touch

        async def touched(db: Database, run_id: UUID, worker: str, now: datetime) -> datetime | bool | None:
            found = await touch(db, run_id, worker, now)
            if found is None:
                await house.workflows.cancel(run_id, house.org)
            return found

        monkeypatch.setattr(run_store, "touch", touched)
        await house.published(flow(ask("a", "x", "out_y"), says("y", "{{a}}")), "inner")
        run, _ = await house.run(flow({**first, "next": "out_end"}, says("end", "1")))
        assert run.state == "cancelled"
        assert (await house.workflows.parts(run.id, house.org), house.asked) == ([], [])
        assert await house.workflows.inbox(house.org, house.key, ["owner"]) == []

    async def test_is_nobody_elses(self, house: House) -> None:
        run, _ = await house.run(self.outer())
        assert (run.state, run.error) == ("failed", "unknown_workflow")

    async def test_counts_in_the_steps_of_everything_that_one_start_sets_going(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(running, "STEPS_IN_ALL_MAX", 40)
        every = {"kind": "loop", "id": "each", "over": "rows", "most": 10, "body": "call", "next": "out_end"}
        rows = {"kind": "set", "id": "list", "values": {"rows": "{{input.rows}}"}, "next": "each"}
        call = {"kind": "workflow", "id": "call", "save": "got", "given": {"rows": "{{rows}}"}}
        await house.published(flow(says("y", "1")), "leaf")
        await house.published(flow(rows, every, call | {"workflow": "leaf"}, says("end", "1"), steps_max=100), "middle")
        await house.published(flow(rows, every, call | {"workflow": "middle"}, says("end", "1"), steps_max=100))
        run = await house.workflows.start(house.org, "flow", {"rows": list(range(10))}, ref="1")
        run, _ = await house.on(run)
        assert (run.state, run.error) == ("failed", "workflow_failed")
        runs = await house.workflows.runs(house.org)
        assert "too_many_steps" in {one.error for one in runs}
        assert sum(one.steps for one in runs) <= 40 + 3 * 2  # what each level does before it asks again


SEEK: dict[str, Any] = {
    "kind": "knowledge", "id": "look", "bases": ["政策"], "question": "住{{input.n}}天", "save": "found", "next": "a",
}  # fmt: skip


class TestLookUp:
    async def test_hands_what_was_found_to_the_next_step_and_is_paid(self, house: House) -> None:
        content = flow(SEEK, ask("a", "{{found.text}} {{found.passages.0.document}}", "out_y"), says("y", "{{a}}"),
                       inputs=["n"])  # fmt: skip
        run, steps = await house.run(content, {"n": 90})
        assert house.asked == ["政策: 住90天", "<资料>九十天</资料> 指南.md"]
        assert (run.state, run.paid_micro, steps[0].kind) == ("done", 2 * PRICE, "knowledge")
        assert steps[0].receipt_id in house.charged

    async def test_of_peoples_data_stays_in_the_city_from_then_on(self, house: House) -> None:
        out: dict[str, Any] = {"kind": "http", "id": "a", "url": "https://x.cn/", "save": "a", "next": "out_y"}
        inside = flow(SEEK | {"bases": ["people"], "question": "谁"}, out, says("y", "1"), hosts=["x.cn"])
        run, _ = await house.run(inside)
        assert (run.error, house.fetched) == ("leaves_the_city", [])
        call = {"kind": "workflow", "id": "call", "workflow": "reads", "save": "got", "next": "a"}
        seek = SEEK | {"bases": ["people"], "question": "谁", "next": "out_y"}
        await house.published(flow(seek, says("y", "1")), "reads")
        await house.published(flow(call, out, says("y", "1"), hosts=["x.cn"]), "outer")
        outer, _ = await house.on(await house.workflows.start(house.org, "outer", {}, ref="1"))
        assert (outer.error, house.fetched) == ("leaves_the_city", [])  # also what a part of it has read

    async def test_is_not_done_twice(self, house: House) -> None:
        run, _ = await house.run(flow(SEEK | {"question": "x", "next": ""}), {}, "crash first")
        assert run.error == "step_interrupted"

    @pytest.mark.parametrize("wrong", [{"bases": []}, {"bases": ["x"] * 9}, {"question": " "}, {"passages": 21}])
    async def test_has_bounds(self, house: House, wrong: dict[str, Any]) -> None:
        found = house.workflows.check(flow(SEEK | {"question": "x", "next": ""} | wrong))
        assert [node for node, *_ in found] == ["look"]


class TestDeleted:
    async def test_says_first_what_refers_to_it(self, house: House) -> None:
        waits = flow({"kind": "approval", "id": "ok", "who": "owner", "shows": "?", "next": "out_y"}, says("y", "1"))
        await house.published(waits, "inner")
        await house.published(flow({"kind": "workflow", "id": "call", "workflow": "inner", "save": "got"}), "outer")
        await house.workflows.add_hook(house.org, "inner", by="tests")
        await house.workflows.set_schedule(house.org, "inner", {"every_minutes": 60}, {}, by="tests")
        run, _ = await house.on(await house.workflows.start(house.org, "inner", {}, ref="1"))
        with pytest.raises(WorkflowInUse) as refused:
            await house.workflows.delete(house.org, "inner", by="tests")
        assert refused.value.details == {"workflows": ["outer"], "scheduled": True, "hooks": 1, "runs": 1}
        await house.workflows.delete(house.org, "inner", by="tests", anyway=True)
        gone, _ = await house.workflows.trace(run.id, house.org)
        assert gone.state == "cancelled"
        with pytest.raises(UnknownWorkflow):
            await house.workflows.one(house.org, "inner")

    async def test_starts_no_more_and_leaves_its_name_and_its_runs(self, house: House) -> None:
        run, _ = await house.run(flow(says("y", "1")))
        await house.workflows.delete(house.org, "flow", by="tests")
        assert await house.workflows.mine(house.org) == []
        await house.published(flow(says("z", "2")))
        assert (await house.workflows.trace(run.id, house.org))[0].result == {"y": "1"}
        again, _ = await house.on(await house.workflows.start(house.org, "flow", {}, ref="1"))
        assert again.result == {"z": "2"}
        house.clock.advance(days=400)
        await house.workflows.purge()
        await house.workflows.purge()
        assert await house.db.fetchval("SELECT count(*) FROM workflows.workflow") == 1
