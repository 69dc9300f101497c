from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shanhe.compute import service
from shanhe.compute.api import (
    BOUND,
    BUCKETS,
    DEFAULT_FEATURES,
    EFFORT,
    NO_STREAM_OPTIONS,
    PRICE_TOPIC,
    SWITCH,
    TEMPLATE,
    BadEngine,
    Compute,
    Discovery,
    EngineBusy,
    EngineChange,
    EngineExists,
    EngineFailed,
    FoundModel,
    Health,
    Kind,
    NewEngine,
    NoEngine,
    NoPrice,
    Rates,
    UnknownEngine,
    UnknownModel,
    socket_path,
)
from shanhe.compute.breaker import IN_A_ROW_MAX
from shanhe.compute.errors import NoModelsListed
from shanhe.compute.model import CONTEXT_TOKENS
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id

from .conftest import COST, Bureau, Verdict, until


class TestEngine:
    async def test_a_registered_engine_serves_its_models(self, bureau: Bureau) -> None:
        await bureau.add(models={"city-small": "vendor/small"})
        target = bureau.compute.route("city-small")
        assert target is not None
        assert (target.engine_name, target.upstream_model, target.path_prefix) == ("up", "vendor/small", "/v1")
        model = bureau.compute.model("city-small")
        assert model is not None
        assert (model.kind, model.context_tokens, model.local) == ("chat", 32_768, False)
        assert model.created == int(bureau.clock.now().timestamp())
        assert [one.id for one in bureau.compute.models()] == ["city-small"]

    async def test_other_processes_learn_of_it(self, bureau: Bureau, database: Database, tmp_path: Path) -> None:
        other = Compute(database, bureau.clock, data=tmp_path, price_rule=bureau.rule, upstream_key=bureau.keys.get)
        await other.start(probe=False)
        try:
            await asyncio.sleep(0.2)  # the listener connects
            await bureau.add()

            async def known() -> bool:
                return other.model("m") is not None

            await until(known)
            assert other.prices("m", bureau.clock.today()) == bureau.compute.prices("m", bureau.clock.today())
        finally:
            await other.stop()

    async def test_other_processes_follow_a_change(self, bureau: Bureau, database: Database, tmp_path: Path) -> None:
        other = Compute(database, bureau.clock, data=tmp_path, price_rule=bureau.rule, upstream_key=bureau.keys.get)
        await bureau.add()
        await other.start(probe=False)
        try:
            await asyncio.sleep(0.2)  # the listener connects
            await bureau.compute.change_engine("up", EngineChange(idle_timeout_ms=7_000), actor="person:1")

            async def known() -> bool:
                target = other.route("m")
                return target is not None and target.idle_timeout_s == 7.0

            await until(known)
        finally:
            await other.stop()

    async def test_what_the_city_or_a_node_runs_is_not_changed_by_hand(self, bureau: Bureau) -> None:
        await bureau.compute.ensure_local("qwen2.5-coder-0.5b-instruct")
        with pytest.raises(BadEngine):
            await bureau.compute.change_engine(
                "local-qwen2.5-coder-0.5b-instruct", EngineChange(slots=2), actor="person:1"
            )

    async def test_the_cost_of_one_side_leaves_the_other(self) -> None:
        was = Rates(10, 1, 20, 20, 10)
        assert was.sided(None, 30) == Rates(10, 1, 30, 30, 10)
        assert was.sided(11, None) == Rates(11, 1, 20, 20, 11), "cached tokens have a cost of their own"

    async def test_another_cost_of_input_leaves_what_was_entered_apart(self) -> None:
        plain = Rates.of({"input": 10, "output": 20})
        assert plain.sided(11, None) == Rates(11, 11, 20, 20, 11, 11), "what nobody said goes along"
        dear = plain.sided(None, None, 13)
        assert dear == Rates(10, 10, 20, 20, 10, 13)
        assert dear.sided(11, None) == Rates(11, 11, 20, 20, 11, 13), "the city would pay for what is written"
        assert dear.sided(11, 21, 14) == Rates(11, 11, 21, 21, 11, 14)
        assert dear.sided(11, None, 11).sided(12, None) == Rates(12, 12, 20, 20, 12, 12), "said to be as input"

    async def test_a_target_stays_the_same_object_until_its_engine_changes(self, bureau: Bureau) -> None:
        await bureau.add()
        first = bureau.compute.route("m")
        await bureau.compute.reload()
        assert bureau.compute.route("m") is first
        await bureau.compute.set_enabled("up", False, actor="t")
        await bureau.compute.set_enabled("up", True, actor="t")
        assert bureau.compute.route("m") is not None

    async def test_keys_come_from_the_environment_and_are_never_shown(self, bureau: Bureau) -> None:
        await bureau.add(key_env="VENDOR_KEY")
        (status,) = bureau.compute.statuses()
        assert status.health is Health.DOWN
        assert "VENDOR_KEY" in status.last_error
        bureau.keys["VENDOR_KEY"] = "sk-secret"
        await bureau.compute.reload()
        target = bureau.compute.route("m")
        assert target is not None
        assert target.auth_header == b"Bearer sk-secret"
        assert "sk-secret" not in repr(bureau.compute.engines()) + repr(bureau.compute.statuses())

    async def test_a_key_that_would_break_a_header_is_not_used(self, bureau: Bureau) -> None:
        bureau.keys["VENDOR_KEY"] = "a\r\nx: y"
        await bureau.add(key_env="VENDOR_KEY")
        (status,) = bureau.compute.statuses()
        assert status.health is Health.DOWN
        assert "a\r\n" not in status.last_error

    async def test_names_are_taken_once(self, bureau: Bureau) -> None:
        await bureau.add()
        with pytest.raises(EngineExists):
            await bureau.add()

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": "Upper"}, "name"),
            ({"name": "a'; DROP TABLE compute.engine; --"}, "name"),
            ({"url": "http://h/\r\nx: y"}, "url"),
            ({"models": {}}, "models"),
            ({"models": {"a b": "x"}}, "models"),
            ({"models": {"a": "x\r\ny"}}, "models"),
            ({"data_classes": frozenset({"government"})}, "data_classes"),
            ({"data_classes": frozenset({"secret"}), "local": True}, "data_classes"),
            ({"cost": Rates(-1, 0, 0, 0, 0)}, "cost"),
            ({"context_tokens": 0}, "context_tokens"),
            ({"slots": 0}, "slots"),
        ],
    )
    async def test_a_bad_registration_names_the_part(self, bureau: Bureau, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(BadEngine) as refused:
            await bureau.add(**changes)
        assert refused.value.details["field"] == field
        assert bureau.compute.engines() == ()

    async def test_a_model_has_one_kind(self, bureau: Bureau) -> None:
        await bureau.add()
        with pytest.raises(BadEngine):
            await bureau.add("other", kind=Kind.EMBEDDING)

    async def test_a_disabled_engine_is_left_out_and_its_model_with_it(self, bureau: Bureau) -> None:
        await bureau.add()
        await bureau.compute.set_enabled("up", False, actor="person:1", reason="maintenance")
        with pytest.raises(UnknownModel):
            bureau.compute.route("m")
        assert bureau.compute.statuses()[0].health is Health.DISABLED
        assert (await bureau.compute.events())[0]["cause"] == "maintenance"

    async def test_a_removed_engine_is_gone_but_its_price_stays(self, bureau: Bureau) -> None:
        await bureau.add()
        await bureau.compute.remove_engine("up", actor="person:1")
        assert bureau.compute.engines() == ()
        assert bureau.compute.prices("m", bureau.clock.today()).input > 0
        with pytest.raises(UnknownEngine):
            await bureau.compute.remove_engine("up", actor="person:1")

    async def test_slots_are_divided_among_workers(self, bureau: Bureau, database: Database, tmp_path: Path) -> None:
        await bureau.add(slots=10, queue=4)
        half = Compute(
            database, bureau.clock, data=tmp_path, price_rule=bureau.rule, upstream_key=bureau.keys.get, workers=2
        )
        await half.reload()
        target = half.route("m")
        assert target is not None
        assert (target.state.slots, target.state.queue) == (5, 2)

    async def test_a_contributed_node_names_its_contributor(self, bureau: Bureau) -> None:
        contributor = new_id()
        await bureau.add(contributor=contributor)
        target = bureau.compute.route("m")
        assert target is not None
        assert (target.contributor, target.cost, target.owner_account_kind) == (contributor, None, "income")

    async def test_a_chip_may_stand_for_the_cost(self, bureau: Bureau, database: Database, tmp_path: Path) -> None:
        with pytest.raises(BadEngine) as refused:
            await bureau.add(cost=None, chip_class="npu")
        assert refused.value.details["field"] == "cost"

        def reference(facts: Mapping[str, object], on: date) -> Verdict:
            assert facts["chip_class"] in ("npu", "cpu")
            return Verdict({"cost": 7_000 if facts["bucket"] == "output" else 1_000}, {}, "v1")

        city = Compute(
            database,
            bureau.clock,
            data=tmp_path,
            price_rule=bureau.rule,
            upstream_key=bureau.keys.get,
            cost_rule=reference,
        )
        node = NewEngine("node", bureau.url, {"m": "m"}, chip_class="npu", contributor=new_id(), local=True)
        engine = await city.add_engine(node, actor="person:1")
        assert engine.models[0].cost == Rates(1_000, 1_000, 7_000, 1_000, 1_000)
        own = await city.ensure_local("qwen2.5-coder-0.5b-instruct", contributor=node.contributor)
        assert (own.models[0].cost.input, own.contributor) == (1_000, node.contributor)


class TestLookedAt:
    def told(self, monkeypatch: pytest.MonkeyPatch, flavour: str, *models: FoundModel) -> None:
        async def discover(url: str, key: str, key_env: str) -> Discovery:
            return Discovery(url, flavour, "", True, 1.0, models)

        monkeypatch.setattr("shanhe.compute.service.discover", discover)

    async def test_a_registration_is_completed_by_what_its_server_says(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = (FoundModel("q", Kind.CHAT, 40_960), FoundModel("r", Kind.CHAT, 8_192), FoundModel("e", Kind.RERANK, 0))
        self.told(monkeypatch, "vllm", *found)
        new, trouble = await bureau.compute.looked_at(NewEngine("gpu", bureau.url, {}, COST, context_tokens=0))
        assert trouble is None
        assert (new.models, new.context_tokens) == ({"q": "q", "r": "r"}, 8_192)
        assert new.features == DEFAULT_FEATURES | {TEMPLATE}
        await bureau.compute.add_engine(new, actor="person:1")
        target = bureau.compute.route("q", data_class="general")
        assert target is not None
        assert target.thinks == {TEMPLATE}

    async def test_what_it_says_itself_stays(self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told(monkeypatch, "vllm", FoundModel("q", Kind.CHAT, 40_960))
        given = NewEngine("gpu", bureau.url, {"mine": "q"}, COST, context_tokens=5, features=frozenset({SWITCH}))
        assert await bureau.compute.looked_at(given) == (given, None)

    async def test_an_engine_registered_without_a_word_on_thinking_is_asked_when_it_is_tested(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await bureau.add()
        before = bureau.compute.route("m")
        assert before is not None
        assert before.thinks == {EFFORT}
        self.told(monkeypatch, "vllm")
        (report,) = await bureau.compute.test_engine("up", actor="person:1")
        after = bureau.compute.route("m")
        assert after is not None
        assert (after.thinks, report.thinks) == ({TEMPLATE}, (TEMPLATE,))
        (event,) = [one for one in await bureau.compute.events() if one["event"] == "learned"]
        assert (event["engine"], event["cause"], event["actor"]) == ("up", f"vllm: {TEMPLATE}", "person:1")

    async def test_a_running_city_asks_such_an_engine_by_itself_and_once(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        async def discover(url: str, key: str, key_env: str) -> Discovery:
            asked.append(url)
            return Discovery(url, "", "", True, 1.0, ())

        monkeypatch.setattr("shanhe.compute.service.discover", discover)
        monkeypatch.setattr("shanhe.compute.service.PROBE_DOWN_S", 0.01)
        await bureau.add()
        await bureau.add("said", features=frozenset({SWITCH}))
        await bureau.add("gone", url="http://127.0.0.1:9/v1")
        await bureau.compute.start()
        try:

            async def probed() -> bool:
                return all(one.checked_at is not None for one in bureau.compute.statuses()) and bool(asked)

            await until(probed)
            await asyncio.sleep(0.1)
            assert asked == [bureau.url]
        finally:
            await bureau.compute.stop()

    async def test_an_engine_that_refuses_max_tokens_says_so_when_it_is_tested_and_is_bounded_otherwise(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.told(monkeypatch, "")
        asked: list[Mapping[str, Any]] = []

        async def answer(
            self: Any, method: str, target: Any, path: str, body: Mapping[str, Any], limit_s: float
        ) -> Any:
            asked.append(body)
            if "max_tokens" in body:
                return 400, {
                    "error": {"message": "'max_tokens' is not supported. Use 'max_completion_tokens' instead."}
                }
            return 200, {"choices": [{"message": {"content": "OK"}}], "usage": {"prompt_tokens": 3}}

        monkeypatch.setattr("shanhe.compute.client.EngineClient._json", answer)
        await bureau.add()
        (report,) = await bureau.compute.test_engine("up", actor="person:1")
        assert (report.ok, [BOUND in body for body in asked]) == (True, [False, True])
        target = bureau.compute.route("m")
        assert target is not None
        assert BOUND in target.features

    async def test_what_calls_found_out_is_kept_with_the_registration(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.told(monkeypatch, "")
        monkeypatch.setattr("shanhe.compute.service.PROBE_DOWN_S", 0.01)
        await bureau.add()
        target = bureau.compute.route("m")
        assert target is not None
        target.found(NO_STREAM_OPTIONS)
        await bureau.compute.start()
        try:

            async def kept() -> bool:
                return NO_STREAM_OPTIONS in bureau.compute.engine("up").features and not target.state.found

            await until(kept)
        finally:
            await bureau.compute.stop()
        events = [one for one in await bureau.compute.events() if one["event"] == "learned"]
        assert [(one["engine"], one["cause"]) for one in events] == [("up", NO_STREAM_OPTIONS)]

    async def test_what_was_learned_does_not_replace_what_somebody_wrote(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.told(monkeypatch, "vllm")
        await bureau.add(features=frozenset({SWITCH}))
        await bureau.compute.learning.ask(bureau.compute.engine("up"), "test")
        target = bureau.compute.route("m")
        assert target is not None
        assert target.thinks == {SWITCH}

    async def test_a_server_that_is_away_is_registered_by_its_models_alone(self, bureau: Bureau) -> None:
        bureau.keys["GPU_KEY"] = "k"
        away = NewEngine("gpu", "http://127.0.0.1:9/v1", {"m": "m"}, COST, "GPU_KEY", context_tokens=0)
        new, trouble = await bureau.compute.looked_at(away)
        assert new == replace(away, context_tokens=CONTEXT_TOKENS)
        assert isinstance(trouble, EngineFailed)
        _, unset = await bureau.compute.looked_at(replace(away, key_env="OTHER_KEY"))
        assert unset is not None
        assert "OTHER_KEY is not set" in unset.message
        with pytest.raises(EngineFailed):
            await bureau.compute.looked_at(replace(away, models={}))

    async def test_a_server_without_a_model_of_its_kind_asks_for_names(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.told(monkeypatch, "", FoundModel("e", Kind.RERANK, 0))
        with pytest.raises(NoModelsListed):
            await bureau.compute.looked_at(NewEngine("gpu", bureau.url, {}, COST))


class TestLocal:
    async def test_a_card_is_registered_once_and_followed(self, bureau: Bureau, tmp_path: Path) -> None:
        model = "qwen2.5-coder-0.5b-instruct"
        first = await bureau.compute.ensure_local(model)
        assert await bureau.compute.ensure_local(model) == first
        target = bureau.compute.route(model, data_class="citizen", needs=frozenset({"tools"}))
        assert target is not None
        assert target.uds_path == str(socket_path(tmp_path, model))
        assert (target.kind, target.owner_account_kind, target.cost) == ("llama", "platform", None)

    async def test_a_lazy_engine_sleeps_until_it_is_wanted(self, bureau: Bureau) -> None:
        await bureau.compute.ensure_local("multilingual-e5-small")
        await bureau.compute.check_health()
        (status,) = bureau.compute.statuses()
        assert status.health is Health.ASLEEP
        assert bureau.compute.route("multilingual-e5-small") is not None
        assert bureau.compute.public_status()["status"] == "operational"

    async def test_an_engine_that_does_not_come_up_is_busy_then_broken(
        self, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "START_LIMIT_S", 0.01)
        model = "qwen2.5-coder-0.5b-instruct"
        await bureau.compute.ensure_local(model)
        assert bureau.compute.public_status()["status"] == "outage"
        (status,) = bureau.compute.statuses()
        assert status.health is Health.DOWN
        assert "its process is not there" in status.last_error
        for _ in range(IN_A_ROW_MAX):
            target = bureau.compute.route(model)
            assert target is not None
            with pytest.raises(EngineBusy) as busy:
                await target.acquire()
            assert busy.value.retry_after_s > 0
        with pytest.raises(NoEngine):
            bureau.compute.route(model)

    async def test_a_call_waits_while_its_engine_loads(self, bureau: Bureau) -> None:
        model = "qwen2.5-coder-0.5b-instruct"
        await bureau.compute.ensure_local(model)
        target = bureau.compute.route(model)
        assert target is not None
        waiting = asyncio.create_task(target.acquire())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        path = Path(target.uds_path or "")
        path.parent.mkdir(parents=True)
        path.touch()  # noqa: ASYNC240 - a test
        await asyncio.wait_for(waiting, 5)
        target.release(True, None, 200)

    async def test_an_unknown_card_is_refused(self, bureau: Bureau) -> None:
        with pytest.raises(UnknownModel):
            await bureau.compute.ensure_local("../../etc/passwd")


class TestPrice:
    async def test_a_new_model_is_priced_by_the_rule_at_once(self, bureau: Bureau) -> None:
        await bureau.add()
        found = bureau.compute.prices("m", bureau.clock.today())
        assert (found.input, found.output, found.cached_input) == (115_000, 460_000, 115_000)
        assert (found.thin, found.loss, found.rule_version) == (False, False, "rule-1500")
        assert found.facts["input"] == {"cost": 100_000, "model_class": "small", "bucket": "input"}
        assert bureau.notices == []

    async def test_the_dearest_engine_is_the_basis(self, bureau: Bureau) -> None:
        await bureau.add()
        await bureau.add("dear", cost=Rates.of({"input": 50_000, "output": 800_000}))
        day = bureau.clock.today() + timedelta(days=30)
        published = await bureau.compute.publish_price("m", day, actor="person:1")
        assert (published.input, published.output) == (115_000, 920_000)

    async def test_a_change_is_announced_and_takes_effect_on_its_day(self, bureau: Bureau) -> None:
        await bureau.add()
        today = bureau.clock.today()
        revision = bureau.compute.price_revision
        bureau.rule.margin_bps = 2_000
        published = await bureau.compute.publish_price("m", today + timedelta(days=30), actor="person:1")
        assert bureau.compute.prices("m", today + timedelta(days=29)).input == 115_000
        assert bureau.compute.prices("m", today + timedelta(days=30)) == published
        assert published.input == 120_000
        assert bureau.compute.price_revision > revision
        ((topic, key, payload),) = bureau.notices
        assert (topic, key) == (PRICE_TOPIC, "m")
        assert (payload["old"]["input"], payload["new"]["input"]) == (115_000, 120_000)

    async def test_the_same_amounts_are_not_published_twice(self, bureau: Bureau) -> None:
        await bureau.add()
        before = bureau.compute.prices("m", bureau.clock.today())
        again = await bureau.compute.publish_price("m", bureau.clock.today(), actor="person:1")
        assert again == before
        assert len(bureau.compute.price_history("m")) == 1

    async def test_the_later_announcement_for_a_day_wins(self, bureau: Bureau) -> None:
        await bureau.add()
        day = bureau.clock.today() + timedelta(days=7)
        for margin in (2_000, 2_500):
            bureau.rule.margin_bps = margin
            bureau.clock.advance(hours=1)
            await bureau.compute.publish_price("m", day, actor="person:1")
        assert bureau.compute.prices("m", day).input == 125_000

    async def test_thin_and_loss_are_marked(self, bureau: Bureau) -> None:
        bureau.rule.reference = 110_000
        await bureau.add()
        found = bureau.compute.prices("m", bureau.clock.today())
        assert (found.input, found.output) == (110_000, 110_000)
        assert (found.thin, found.loss) == (True, True)

    async def test_the_past_is_not_repriced(self, bureau: Bureau) -> None:
        await bureau.add()
        with pytest.raises(Invalid):
            await bureau.compute.publish_price("m", bureau.clock.today() - timedelta(days=1), actor="person:1")
        with pytest.raises(NoPrice):
            bureau.compute.prices("m", bureau.clock.today() - timedelta(days=1))

    async def test_every_bucket_keeps_its_trace(self, bureau: Bureau) -> None:
        await bureau.add()
        found = bureau.compute.prices("m", bureau.clock.today())
        traces = await bureau.compute.price_traces(UUID(found.version))
        assert set(traces) == set(BUCKETS)
        assert traces["output"]["margin_bps"] == 1_500

    async def test_of_a_cache_write_is_that_of_input_until_an_engine_asks_more(self, bureau: Bureau) -> None:
        await bureau.add()
        today = bureau.clock.today()
        found = bureau.compute.prices("m", today)
        assert found.cache_write == found.input == 115_000
        assert found.facts["cache_write"] == found.facts["input"]
        cost = Rates.of({"input": 100_000, "output": 400_000, "cache_write": 125_000})
        await bureau.compute.change_engine("up", EngineChange(cost=cost), actor="person:1")
        found = await bureau.compute.publish_price("m", today, actor="person:1")
        assert (found.input, found.cache_write) == (115_000, 143_750)
        assert found.facts["cache_write"]["bucket"] == "cache_write"

    async def test_that_was_published_without_a_bucket_has_that_of_input_for_it(
        self, bureau: Bureau, database: Database
    ) -> None:
        await bureau.add()
        await database.execute("DELETE FROM compute.price WHERE bucket = 'cache_write'")
        await bureau.compute.reload()
        found = bureau.compute.prices("m", bureau.clock.today())
        assert (found.cache_write, found.facts["cache_write"]) == (found.input, found.facts["input"])
        assert set(await bureau.compute.price_traces(UUID(found.version))) == set(BUCKETS)
        again = await bureau.compute.publish_price("m", bureau.clock.today(), actor="person:1")
        assert again.version == found.version

    async def test_two_publishers_at_once_write_one_version(self, bureau: Bureau) -> None:
        await bureau.add()
        bureau.rule.margin_bps = 3_000
        day = bureau.clock.today()
        both = await asyncio.gather(*(bureau.compute.publish_price("m", day, actor="t") for _ in range(4)))
        assert len({one.version for one in both}) == 1


class TestProbe:
    async def test_an_engine_that_is_away_is_taken_out_and_comes_back(self, bureau: Bureau) -> None:
        await bureau.add()
        await bureau.add("gone", url="http://127.0.0.1:9/v1", cost=Rates.of({"input": 1, "output": 1}))
        cheapest = bureau.compute.route("m")
        assert cheapest is not None
        assert cheapest.engine_name == "gone"
        await bureau.compute.check_health()
        rest = bureau.compute.route("m")
        assert rest is not None
        assert rest.engine_name == "up"
        by_name = {status.name: status for status in bureau.compute.statuses()}
        assert (by_name["gone"].health, by_name["up"].health) == (Health.DOWN, Health.UP)
        assert "nobody listens" in by_name["gone"].last_error
        assert by_name["gone"].last_error_zh == "该地址无服务监听"
        public = bureau.compute.public_status()
        assert public["models"][0]["status"] == "degraded"
        assert "gone" not in str(public)

    async def test_an_engine_is_asked_for_its_own_word_before_its_list(self, bureau: Bureau) -> None:
        await bureau.add()
        bureau.upstream.well = False
        await bureau.compute.check_health()
        assert [status.health for status in bureau.compute.statuses()] == [Health.DOWN]
        bureau.upstream.well = True
        await bureau.compute.check_health()
        assert [status.health for status in bureau.compute.statuses()] == [Health.UP]

    async def test_a_test_call_reports_what_came_back(self, bureau: Bureau) -> None:
        bureau.keys["VENDOR_KEY"] = "sk-secret"
        await bureau.add(models={"m": "syn-stream-2"}, key_env="VENDOR_KEY")
        (report,) = await bureau.compute.test_engine("up")
        assert (report.ok, report.status, report.answer, report.problems) == (True, 200, "词词", ())
        assert report.usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        assert bureau.upstream.counts.headers[-1]["authorization"] == "Bearer sk-secret"
        assert bureau.upstream.counts.bodies[-1]["max_tokens"] > 0

    @pytest.mark.parametrize(
        ("mode", "ok", "said"),
        [
            ("nousage", True, "reports no usage"),
            ("error", False, "status 500"),
            ("unauthorised", False, "status 401"),
            ("redirect", False, "status 302"),
            ("notjson", False, "without JSON"),
            ("crash-0", False, ""),
        ],
    )
    async def test_a_bad_engine_is_described(self, bureau: Bureau, mode: str, ok: bool, said: str) -> None:
        await bureau.add(models={"m": f"syn-{mode}"})
        (report,) = await bureau.compute.test_engine("up")
        assert report.ok is ok
        assert said in " ".join(report.problems)
        assert len(report.problems_zh) == len(report.problems)
        assert all(any("一" <= sign <= "鿿" for sign in problem) for problem in report.problems_zh)

    async def test_an_embedding_engine_is_tested_with_an_embedding(self, bureau: Bureau) -> None:
        await bureau.add(kind=Kind.EMBEDDING, cost=COST)
        (report,) = await bureau.compute.test_engine("up")
        assert (report.ok, report.answer) == (True, "3 numbers")
