"""Runs: every step paid once whatever ends in between, bounded, waited for, cancelled."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shanhe.gateway.api import CallError
from shanhe.kernel.ids import new_id
from shanhe.kernel.marks import mark_of
from shanhe.workflows import run_store
from shanhe.workflows.errors import (
    AlreadyDecided,
    BadSignature,
    BadTrigger,
    DraftChanged,
    HookTaken,
    NotPublished,
    NotYourApproval,
    TooManyStarts,
    UnknownWork,
    UnknownWorkflow,
)
from shanhe.workflows.starting import CALLS_A_MINUTE
from shanhe.workflows.triggers import next_time, schedule_of, signature
from workflows.house import PRICE, House, ask, flow, says

TWO = flow(ask("a", "one {{input.x}}", "b"), ask("b", "two {{a}}", "out_end"), says("end", "{{b}}"))
APPROVED = flow(
    ask("a", "draft", "ok"),
    {"kind": "approval", "id": "ok", "who": "owner", "shows": "send {{a}}?", "hours": 2, "save": "word", "next": "b"},
    ask("b", "send {{word.note}}", "out_end"), says("end", "{{b}}"),
)  # fmt: skip


class TestRun:
    async def test_goes_its_way_and_shows_what_each_step_cost(self, house: House) -> None:
        run, steps = await house.run(TWO, {"x": 7})
        assert (run.state, run.result) == ("done", {"end": "<two <one 7>>"})
        assert [(one.node, one.state, one.paid_micro, one.tokens) for one in steps] == [
            ("a", "done", PRICE, 7), ("b", "done", PRICE, 7), ("out_end", "done", 0, 0),
        ]  # fmt: skip
        assert run.paid_micro == sum(house.charged.values()) == 2 * PRICE
        assert {one.receipt_id for one in steps if one.receipt_id} == set(house.charged)

    @pytest.mark.parametrize("crash", ["crash first", "crash kept", "crash charged"])
    @pytest.mark.parametrize("at", [pytest.param(0, marks=pytest.mark.prove), 1])
    async def test_pays_no_step_twice_when_its_process_ends(self, house: House, crash: str, at: int) -> None:
        run, steps = await house.run(TWO, {"x": 7}, *["answer"] * at, crash)
        assert (run.state, run.result) == ("done", {"end": "<two <one 7>>"})
        assert len(house.charged) == 2
        assert run.paid_micro == 2 * PRICE
        assert {one.receipt_id for one in steps if one.receipt_id} == set(house.charged)
        assert len(house.asked) == (2 if crash == "crash charged" else 3)

    async def test_cancelled_while_a_process_takes_it_up_is_ended_by_that_or_not_taken(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its step was paid, and in no trace."""
        await house.published(TWO)
        run = await house.workflows.start(house.org, "flow", {"x": 7}, ref="1")
        real, taken = house.workflows._end, list[Any]()

        async def meanwhile(*given: Any) -> Any:
            taken.extend(await run_store.take(house.db, "w0", 1, house.clock.now(), of_one=1))
            return await real(*given)

        monkeypatch.setattr(house.workflows, "_end", meanwhile)
        state = (await house.workflows.cancel(run.id, house.org)).state
        assert state == ("running" if taken else "cancelled")

    async def test_of_a_workflow_that_was_taken_away_just_then_does_not_begin(self, house: House) -> None:
        await house.published(TWO)
        seen = await house.workflows.one(house.org, "flow")
        await house.workflows.delete(house.org, "flow", by="tests", anyway=True)
        with pytest.raises(UnknownWorkflow):
            await house.workflows._start(seen, {"x": 7}, "webhook", "hook:1", house.key)

    async def test_is_started_by_one_webhook_however_many_take_it_over_at_once(self, house: House) -> None:
        await house.published(TWO)
        hook, _ = await house.workflows.add_hook(house.org, "flow", by="person:left")
        both = [house.workflows.hand_over(house.org, "hook", hook.id, by=f"person:{n}") for n in range(2)]
        found = await asyncio.gather(*both, return_exceptions=True)
        assert [isinstance(one, UnknownWork) for one in found].count(True) == 1
        assert len(await house.workflows.triggers(house.org)) == 1

    async def test_decided_and_cancelled_at_once_waits_for_nobody(self, house: House) -> None:
        """Each had locked what the other wanted next."""
        await house.published(APPROVED)
        for n in range(6):
            run, _ = await house.on(await house.workflows.start(house.org, "flow", {}, ref=f"{n}"))
            (asked,) = await house.workflows.inbox(house.org, person := new_id(), ["owner"])
            word = house.workflows.decide(asked.id, org_id=house.org, person=person, roles=["owner"], approve=True)
            done = await asyncio.gather(word, house.workflows.cancel(run.id, house.org), return_exceptions=True)
            assert [one for one in done if isinstance(one, Exception) and not isinstance(one, AlreadyDecided)] == []
            await house.on(run)

    async def test_does_not_repeat_what_can_not_be_asked_about(self, house: House) -> None:
        for at, node in enumerate((
            ask("a", "x", target="agent/guide"),
            {"kind": "http", "id": "a", "method": "POST", "url": "https://x.cn/", "save": "a", "body": "{}"},
        )):  # fmt: skip
            slug = f"once-{at}"
            await house.published(flow(node, hosts=["x.cn"]), slug)
            house.plan = ["crash first"]
            run, steps = await house.on(await house.workflows.start(house.org, slug, {}, ref="1"))
            assert (run.state, run.error, steps[-1].state) == ("failed", "step_interrupted", "failed")
            assert run.why["zh"]
        assert len(house.asked) == len(house.fetched) == 1

    async def test_branches_loops_and_gathers(self, house: House) -> None:
        content = flow(
            {"kind": "set", "id": "begin", "values": {"rows": "{{input.rows}}"}, "next": "each"},
            {"kind": "loop", "id": "each", "over": "rows", "most": 4, "body": "fork", "gather": "word", "save": "all",
             "next": "out_all"},
            {"kind": "branch", "id": "fork", "when": "item > 2", "then": "big", "next": "small"},
            {"kind": "set", "id": "big", "values": {"word": "big {{round}}"}},
            {"kind": "set", "id": "small", "values": {"word": "small {{round}}"}}, says("all", "{{all}}"),
        )  # fmt: skip
        run, _ = await house.run(content, {"rows": [1, 3, 2]})
        assert run.result == {"all": ["small 1", "big 2", "small 3"]}
        again, _ = await house.on(await house.workflows.start(house.org, "flow", {"rows": []}, ref="2"))
        assert again.result == {"all": []}
        over, _ = await house.on(await house.workflows.start(house.org, "flow", {"rows": [1] * 5}, ref="3"))
        assert (over.state, over.error) == ("failed", "loop_bound")

    async def test_repeats_until_a_condition_holds_or_its_bound_is_met(self, house: House) -> None:
        content = flow(
            {"kind": "loop", "id": "try", "until": "'good' in a", "most": 3, "body": "a", "next": "out_end"},
            ask("a", "try {{round}}"), says("end", "{{a}}"),
        )  # fmt: skip
        house.answer = lambda prompt: "good" if prompt == "try 2" else "bad"
        run, _ = await house.run(content)
        assert (run.result, len(house.asked)) == ({"end": "good"}, 2)
        house.answer = lambda prompt: "bad"
        over, _ = await house.on(await house.workflows.start(house.org, "flow", {}, ref="2"))
        assert (over.error, len(house.asked), over.paid_micro) == ("loop_bound", 5, 3 * PRICE)

    async def test_in_loops_in_loops_has_the_names_of_its_own_round(self, house: House) -> None:
        inner = {"kind": "loop", "id": "inner", "over": "item", "item": "one", "most": 3, "body": "join",
                 "gather": "pair", "save": "pairs", "next": "keep"}  # fmt: skip
        content = flow(
            {"kind": "set", "id": "begin", "values": {"rows": "{{input.rows}}"}, "next": "outer"},
            {"kind": "loop", "id": "outer", "over": "rows", "most": 3, "body": "inner", "gather": "kept", "save": "all",
             "next": "out_all"},
            inner, {"kind": "set", "id": "join", "values": {"pair": "{{round}}{{one}}"}},
            {"kind": "set", "id": "keep", "values": {"kept": "{{round}}:{{pairs}}"}}, says("all", "{{all}}"),
        )  # fmt: skip
        run, _ = await house.run(content, {"rows": [["a", "b"], ["c"]]})
        assert run.result == {"all": ['1:["1a","2b"]', '2:["1c"]']}

    async def test_never_goes_beyond_its_steps_its_budget_or_its_time(self, house: House) -> None:
        endless = flow(
            {"kind": "loop", "id": "try", "until": "false", "most": 100, "body": "a"}, ask("a", "x"),
            steps_max=9, budget_micro=PRICE * 3,
        )  # fmt: skip
        run, steps = await house.run(endless)
        assert (run.error, len(steps), run.paid_micro) == ("run_budget_exceeded", 8, 3 * PRICE)
        await house.published({**endless, "budget_micro": 1_000_000}, "second")
        run, steps = await house.on(await house.workflows.start(house.org, "second", {}, ref="1"))
        assert (run.error, len(steps)) == ("too_many_steps", 9)
        late = await house.workflows.start(house.org, "second", {}, ref="late")
        house.clock.advance(hours=169)
        assert await house.workflows.tick() == 1
        assert (await house.workflows.trace(late.id, house.org))[0].error == "run_expired"

    async def test_says_what_went_wrong_and_keeps_what_was_paid(self, house: House) -> None:
        strict = flow(ask("a", "x", schema={"type": "object"}))
        run, steps = await house.run(strict)
        assert (run.state, run.error, run.paid_micro) == ("failed", "bad_json", PRICE)
        assert (steps[0].state, steps[0].receipt_id in house.charged) == ("failed", True)
        house.plan = [CallError(402, "insufficient_quota", "No credits.")]
        poor, _ = await house.on(await house.workflows.start(house.org, "flow", {}, ref="2"))
        assert (poor.error, poor.paid_micro) == ("insufficient_quota", 0)
        assert poor.why == {"zh": "余额不足，未计费。", "en": "No credits."}

    async def test_runs_code_and_reads_addresses_on_its_list(self, house: House) -> None:
        content = flow(
            {"kind": "http", "id": "look", "url": "https://x.cn/?q={{input.q}}", "save": "seen", "next": "count"},
            {"kind": "code", "id": "count", "inputs": ["seen"], "save": "n", "next": "out_n",
             "code": "def main(seen):\n    return seen['status'] + seen['body']['ok']"},
            says("n", "{{n}}"), hosts=["x.cn"],
        )  # fmt: skip
        run, _ = await house.run(content, {"q": "雨"})
        assert (run.result, house.fetched) == ({"n": 201}, [("GET", "https://x.cn/?q=%E9%9B%A8", b"")])
        house.data_class = "government"
        kept, _ = await house.on(await house.workflows.start(house.org, "flow", {"q": ""}, ref="2"))
        assert (kept.error, len(house.fetched)) == ("leaves_the_city", 1)

    async def test_is_cancelled_and_does_nothing_more(self, house: House) -> None:
        await house.published(TWO)
        run = await house.workflows.start(house.org, "flow", {"x": 1}, ref="1")
        assert (await house.workflows.cancel(run.id, house.org)).state == "cancelled"
        assert (await house.workflows.cancel(run.id, house.org)).state == "cancelled"
        await house.on(run)
        assert house.asked == []

    async def test_started_again_is_the_same(self, house: House) -> None:
        await house.published(TWO)
        first = await house.workflows.start(house.org, "flow", {"x": 1}, ref="same")
        assert (await house.workflows.start(house.org, "flow", {"x": 2}, ref="same")).id == first.id
        with pytest.raises(BadTrigger):
            await house.workflows.start(house.org, "flow", {}, ref="")
        with pytest.raises(UnknownWork):
            await house.workflows.trace(first.id, new_id())

    async def test_goes_by_the_version_it_began_with(self, house: House) -> None:
        await house.published(TWO)
        run = await house.workflows.start(house.org, "flow", {"x": 1}, ref="1")
        await house.workflows.save(house.org, "flow", flow(says("other", "x")), by="tests")
        with pytest.raises(NotPublished):
            await house.workflows.create("new", "新", org_id=house.org, by="tests")
            await house.workflows.start(house.org, "new", {}, ref="1")
        await house.workflows.publish(house.org, "flow")
        done, _ = await house.on(run)
        assert done.result == {"end": "<two <one 1>>"}


class TestApproval:
    async def test_holds_the_run_until_somebody_speaks(self, house: House) -> None:
        run, _ = await house.run(APPROVED)
        assert (run.state, house.asked) == ("paused", ["draft"])
        person, me = new_id(), ["owner", "member"]
        [waiting] = await house.workflows.inbox(house.org, person, me)
        assert waiting.shows == "send <draft>?"
        assert await house.workflows.inbox(house.org, person, ["member"]) == []
        word: dict[str, Any] = {"org_id": house.org, "person": person, "approve": True, "note": "yes"}
        with pytest.raises(NotYourApproval):
            await house.workflows.decide(waiting.id, roles=["member"], **word)
        await house.workflows.decide(waiting.id, roles=me, **word)
        await house.workflows.decide(waiting.id, roles=me, **word)
        with pytest.raises(AlreadyDecided):
            await house.workflows.decide(waiting.id, roles=me, **{**word, "approve": False})
        done, steps = await house.on(run)
        assert (done.state, done.result) == ("done", {"end": "<send yes>"})
        assert [one.node for one in steps] == ["a", "ok", "b", "out_end"]

    async def test_of_somebody_who_has_left_falls_to_an_owner(self, house: House) -> None:
        person, owner = new_id(), new_id()
        await house.run({**APPROVED, "nodes": [
            {**node, "who": str(person)} if node["kind"] == "approval" else node for node in APPROVED["nodes"]
        ]})  # fmt: skip
        word: dict[str, Any] = {"org_id": house.org, "person": owner, "approve": True}
        [waiting] = await house.workflows.inbox(house.org, person, ["member"])
        assert await house.workflows.inbox(house.org, owner, ["owner", "member"]) == []
        with pytest.raises(NotYourApproval):
            await house.workflows.decide(waiting.id, roles=["owner", "member"], **word)
        house.left.add(person)
        assert [one.id for one in await house.workflows.inbox(house.org, owner, ["owner", "member"])] == [waiting.id]
        assert await house.workflows.inbox(house.org, owner, ["member"]) == []
        with pytest.raises(NotYourApproval):
            await house.workflows.decide(waiting.id, roles=["member"], **word)
        assert (await house.workflows.decide(waiting.id, roles=["owner"], **word)).verdict == "approved"

    async def test_that_is_refused_or_late_ends_the_run(self, house: House) -> None:
        run, _ = await house.run(APPROVED)
        [waiting] = await house.workflows.inbox(house.org, new_id(), ["owner"])
        await house.workflows.decide(
            waiting.id, org_id=house.org, person=new_id(), roles=["owner"], approve=False, note=""
        )
        refused, _ = await house.on(run)
        assert (refused.state, refused.error, refused.paid_micro) == ("refused", "approval_refused", PRICE)
        late, _ = await house.on(await house.workflows.start(house.org, "flow", {}, ref="2"))
        house.clock.advance(hours=3)
        assert await house.workflows.tick() == 1
        ended, _ = await house.on(late)
        assert (ended.state, ended.error) == ("failed", "approval_expired")


class TestSchedule:
    def test_knows_the_next_time_of_the_citys_day(self, house: House) -> None:
        now = house.clock.now()
        daily, weekly = schedule_of({"at": "09:30"}), schedule_of({"at": "09:30", "days": [1]})
        for form in (daily, weekly):
            times = [now]
            for _ in range(3):
                times.append(next_time(form, times[-1]))
            assert all(one < other for one, other in itertools.pairwise(times))
        first = next_time(weekly, now)
        assert first.isoweekday() == 1
        assert next_time(weekly, first) - first == timedelta(days=7)
        for wrong in ({}, {"at": "9:30"}, {"every_minutes": 1}, {"at": "09:30", "days": [8]}, {"cron": "* * * * *"}):
            with pytest.raises(BadTrigger):
                schedule_of(wrong)

    async def test_starts_a_run_once_at_each_time(self, house: House) -> None:
        await house.published(flow(says("x", "{{input.x}}")))
        await house.workflows.set_schedule(house.org, "flow", {"every_minutes": 60}, {"x": "by itself"}, by="tests")
        assert await house.workflows.tick() == 0
        house.clock.advance(minutes=61)
        assert await house.workflows.tick() == 1
        assert await house.workflows.tick() == 0
        [run] = await house.workflows.runs(house.org)
        assert (run.source, (await house.on(run))[0].result) == ("schedule", {"x": "by itself"})
        await house.workflows.stop_schedule(house.org, "flow")
        house.clock.advance(minutes=61)
        assert await house.workflows.tick() == 0

    async def test_is_not_set_without_what_each_run_needs(self, house: House) -> None:
        await house.published(flow(says("x", "{{input.x}}"), inputs=["x"]))
        with pytest.raises(BadTrigger):
            await house.workflows.set_schedule(house.org, "flow", {"every_minutes": 60}, {}, by="tests")
        assert await house.workflows.schedule(house.org, "flow") is None


class TestDraft:
    async def test_is_not_written_over_by_one_who_did_not_see_it(self, house: House) -> None:
        await house.published(TWO)
        read = mark_of((await house.workflows.version(house.org, "flow", 1)).definition)
        first, second = (flow(says("x", text)) for text in ("一", "二"))
        kept = await house.workflows.save(house.org, "flow", first, by="one", base=read)
        with pytest.raises(DraftChanged):
            await house.workflows.save(house.org, "flow", second, by="two", base=read)
        assert (await house.workflows.save(house.org, "flow", first, by="two", base=read)).n == kept.n
        theirs = mark_of(kept.definition)
        assert (await house.workflows.save(house.org, "flow", second, by="two", base=theirs)).n == kept.n


class TestWebhook:
    async def test_starts_one_run_for_a_signed_message(self, house: House) -> None:
        await house.published(flow(says("x", "{{input.x}}")))
        hook, secret = await house.workflows.add_hook(house.org, "flow", by="tests")
        at, body = str(int(house.clock.now().timestamp())), b'{"x": 5}'
        signed = signature(secret, "m1", at, body)
        run = await house.workflows.receive(hook.id, "m1", at, f"v1,old {signed}", body)
        assert (await house.workflows.receive(hook.id, "m1", at, signed, body)).id == run.id
        assert (await house.on(run))[0].result == {"x": 5}
        for wrong in ((hook.id, "m2", at, signed, body), (hook.id, "m1", at, signed, b'{"x": 6}'),
                      (new_id(), "m1", at, signed, body), (hook.id, "m1", str(int(at) - 1), signed, body)):  # fmt: skip
            with pytest.raises(BadSignature):
                await house.workflows.receive(*wrong)
        house.clock.advance(minutes=6)
        with pytest.raises(BadSignature):
            await house.workflows.receive(hook.id, "m1", at, signed, body)
        await house.workflows.revoke_hook(house.org, "flow", hook.id)
        at = str(int(house.clock.now().timestamp()))
        with pytest.raises(UnknownWork):
            await house.workflows.receive(hook.id, "m3", at, signature(secret, "m3", at, body), body)

    async def test_tells_nobody_the_secret_of_anothers(self, house: House) -> None:
        await house.published(flow(says("x", "y")))
        hook, secret = await house.workflows.add_hook(house.org, "flow", by="tests")
        assert await house.workflows.add_hook(house.org, "flow", by="tests", hook_id=hook.id) == (hook, secret)
        house.org = new_id()
        await house.published(flow(says("x", "y")))
        with pytest.raises(HookTaken):
            await house.workflows.add_hook(house.org, "flow", by="tests", hook_id=hook.id)
        assert await house.workflows.hooks(house.org, "flow") == []

    async def test_runs_on_the_key_that_made_it(self, house: House) -> None:
        await house.published(flow(says("x", "y")))
        key, at = new_id(), str(int(house.clock.now().timestamp()))
        hook, secret = await house.workflows.add_hook(house.org, "flow", by="tests", key_id=key)
        run = await house.workflows.receive(hook.id, "m", at, signature(secret, "m", at, b""), b"")
        await house.workflows.set_schedule(house.org, "flow", {"every_minutes": 5}, {}, by="tests", key_id=key)
        house.clock.advance(minutes=6)
        assert await house.workflows.tick() == 1
        assert [one.key_id for one in await house.workflows.runs(house.org)] == [key, key]
        assert run.key_id == key

    async def test_takes_so_many_messages_a_minute(self, house: House) -> None:
        await house.published(flow(says("x", "y")))
        hook, secret = await house.workflows.add_hook(house.org, "flow", by="tests")
        at = str(int(house.clock.now().timestamp()))

        async def send(number: int) -> None:
            await house.workflows.receive(hook.id, f"m{number}", at, signature(secret, f"m{number}", at, b""), b"")

        for number in range(CALLS_A_MINUTE):
            await send(number)
        with pytest.raises(TooManyStarts):
            await send(CALLS_A_MINUTE)


class TestTurns:
    async def started(self, house: House, org: UUID, most: int) -> list[UUID]:
        house.org = org
        await house.published(flow(says("end", "1")))
        return [(await house.workflows.start(org, "flow", {}, ref=str(n))).id for n in range(most)]

    async def test_of_organisations_go_round_and_leave_room_for_others(self, house: House) -> None:
        many, few = new_id(), new_id()
        first = await self.started(house, many, 12)
        house.clock.advance(minutes=1)
        last = await self.started(house, few, 2)
        taken = [one.id for one in await run_store.take(house.db, "w0", 4, house.clock.now(), of_one=3)]
        assert set(taken) == {*first[:2], *last}
        taken = [one.id for one in await run_store.take(house.db, "w0", 4, house.clock.now(), of_one=3)]
        assert taken == [first[2]]
        other = [one.id for one in await run_store.take(house.db, "w1", 8, house.clock.now(), of_one=3)]
        assert set(other) == set(first[3:6])
