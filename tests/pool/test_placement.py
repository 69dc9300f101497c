"""Where models go: memory, time, data class, warm floor, people before batches. And how demand is foreseen."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.compute.api import Speed
from shanhe.pool.forecast import forecast
from shanhe.pool.placement import BATCH_SHARE, HOUR_MS, ModelNeed, Move, NodeState, plan
from stage.draws import draws

FAST, SLOW = Speed(10_000, 100, 10, 500), Speed(1_000, 20, 20, 2_000)
NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)


def node(name: str, speed: Speed = FAST, *, cost: float = 1.0, memory_mb: int = 10_000, **changes: object) -> NodeState:
    models = ("chat", "big", "batch")
    given_: dict[str, object] = {"slots": 4, "movable": frozenset(models), **changes}
    return NodeState(
        name, memory_mb, speeds=dict.fromkeys(models, speed), cost=dict.fromkeys(models, cost), **given_  # type: ignore[arg-type]
    )  # fmt: skip


def need(model: str = "chat", calls: float = 100.0, **changes: object) -> ModelNeed:
    return ModelNeed(model, 4_000, 200, 50, calls, **changes)  # type: ignore[arg-type]


class TestPlan:
    def test_puts_people_where_the_first_token_comes_soonest_and_batches_where_tokens_are_cheapest(self) -> None:
        found = plan([need("chat"), need("batch", latency="batch")], [node("fast", cost=3.0), node("slow", SLOW)])
        assert found.placed == {"fast": ("chat",), "slow": ("batch",)}

    def test_packs_several_models_on_one_node_up_to_its_memory(self) -> None:
        found = plan([need("chat"), need("big"), need("batch")], [node("one", memory_mb=8_000)])
        assert len(found.placed["one"]) == 2
        assert len(found.unmet) == 1

    def test_spreads_a_model_that_one_node_has_no_time_for(self) -> None:
        found = plan([need(calls=60_000)], [node("one"), node("two"), node("three")])
        assert [models for models in found.placed.values() if models] == [("chat",)] * 3
        assert found.unmet["chat"] > 0

    def test_keeps_the_warm_floor_even_without_demand(self) -> None:
        found = plan([need(calls=0, warm=2)], [node("one"), node("two"), node("three")])
        assert sum("chat" in models for models in found.placed.values()) == 2

    def test_counts_a_fixed_copy_as_a_warm_one_where_it_can_serve(self) -> None:
        for healthy, elsewhere in ((True, ()), (False, ("chat",))):
            fixed = node("fixed", loaded=frozenset({"chat"}), movable=frozenset(), healthy=healthy)
            assert plan([need(calls=0, warm=1)], [fixed, node("other")]).placed["other"] == elsewhere

    def test_keeps_local_data_on_local_nodes(self) -> None:
        found = plan([need(local_only=True)], [node("fast"), node("home", SLOW, local=True)])
        assert found.placed == {"fast": (), "home": ("chat",)}
        assert plan([need(local_only=True)], [node("fast")]).unmet == {"chat": 100.0}

    def test_moves_nothing_that_can_stay(self) -> None:
        nodes = [node("one", loaded=frozenset({"chat"})), node("two", loaded=frozenset({"big"}))]
        assert plan([need("chat"), need("big")], nodes).moves == ()

    def test_unloads_first_where_memory_is_needed(self) -> None:
        nodes = [node("one", loaded=frozenset({"big"}), memory_mb=5_000)]
        assert plan([need("big", calls=0), need("chat")], nodes).moves == (
            Move("one", "big", False), Move("one", "chat", True),
        )  # fmt: skip

    def test_loads_nothing_over_what_is_loaded_and_can_not_be_moved(self) -> None:
        fixed = node("one", loaded=frozenset({"big"}), movable=frozenset({"chat"}), memory_mb=7_999)
        found = plan([need("big", calls=0), need("chat")], [fixed])
        assert (found.placed, found.moves, found.unmet) == ({"one": ("big",)}, (), {"chat": 100.0})
        roomy = node("one", loaded=frozenset({"big"}), movable=frozenset({"chat"}), memory_mb=8_000)
        assert plan([need("big", calls=0), need("chat")], [roomy]).moves == (Move("one", "chat", True),)

    def test_passes_over_a_node_that_is_ill(self) -> None:
        found = plan([need()], [node("ill", loaded=frozenset({"big"}), healthy=False), node("well", SLOW)])
        assert found.placed["well"] == ("chat",)
        assert found.moves == (Move("well", "chat", True),)

    def test_leaves_alone_what_nobody_can_move(self) -> None:
        fixed = node("one", loaded=frozenset({"unknown"}), movable=frozenset())
        assert plan([need()], [fixed]).moves == ()

    @settings(max_examples=draws(60), deadline=None)
    @given(st.integers(0, 10**6))
    def test_never_fills_more_memory_or_time_than_there_is(self, seed: int) -> None:
        coins = random.Random(seed)
        nodes = [
            node(f"n{at}", coins.choice((FAST, SLOW)), memory_mb=coins.randrange(0, 16_000),
                 local=coins.random() < 0.5, healthy=coins.random() < 0.9) for at in range(coins.randrange(1, 6))
        ]  # fmt: skip
        needs = [
            need(model, calls=coins.randrange(0, 20_000), latency=coins.choice(("interactive", "batch")),
                 local_only=coins.random() < 0.3, warm=coins.randrange(3)) for model in ("chat", "big", "batch")
        ]  # fmt: skip
        found = plan(needs, nodes)
        sizes = {one.model: one.memory_mb for one in needs}
        for one in nodes:
            placed = found.placed[one.name]
            assert sum(sizes[model] for model in placed) <= one.memory_mb
            assert one.healthy or not placed
        served = sum(one.calls - found.unmet.get(one.model, 0.0) for one in needs)
        quickest = 10 + 1000 * (200 / 10_000 + 50 / 100)
        assert served <= BATCH_SHARE * len(nodes) * HOUR_MS * 4 / quickest + 1e-6
        assert plan(needs, list(reversed(nodes))) == found


class TestForecast:
    def series(self, days: int, seed: int = 1, growth: float = 0.0) -> list[float]:
        coins = random.Random(seed)
        return [
            (60 + 50 * math.sin(2 * math.pi * (at % 24 - 8) / 24)) * (1 + growth * at / 24)
            * (0.6 if at // 24 % 7 >= 5 else 1.0) * math.exp(coins.gauss(0, 0.15))
            for at in range(24 * days)
        ]  # fmt: skip

    def test_finds_the_hours_of_day_and_week(self) -> None:
        whole = self.series(36)
        found = forecast(whole[: 24 * 35], NOW)
        errors = [abs(one.calls - real) / real for one, real in zip(found, whole[24 * 35 :], strict=True)]
        yesterday = [abs(a - b) / b for a, b in zip(whole[24 * 34 : 24 * 35], whole[24 * 35 :], strict=True)]
        assert sum(errors) / 24 < 0.2
        assert sum(errors) < sum(yesterday)

    def test_has_bars_that_hold_about_eight_hours_of_ten(self) -> None:
        inside = total = 0
        for seed in range(4):
            whole = self.series(36, seed)
            for one, real in zip(forecast(whole[: 24 * 35], NOW), whole[24 * 35 :], strict=True):
                inside += one.low <= real <= one.high
                total += 1
        assert 0.65 < inside / total < 0.95

    def test_follows_growth_without_running_away(self) -> None:
        whole = self.series(28, growth=0.02)
        found = forecast(whole, NOW, 24 * 30)
        assert sum(one.calls for one in found[:24]) > 0.9 * sum(whole[-24 * 7 : -24 * 6])
        assert max(one.calls for one in found) < 10 * max(whole)

    def test_says_something_bounded_about_nothing(self) -> None:
        assert [one.calls for one in forecast([], NOW, 3)] == [0.0, 0.0, 0.0]
        few = forecast([5.0, 7.0], NOW, 2)
        assert all(one.low <= one.calls <= one.high < 100 for one in few)
