from __future__ import annotations

import pytest

from shanhe.compute.breaker import IN_A_ROW_MAX
from shanhe.compute.errors import DataClassRefused, FeatureUnsupported, NoEngine, PictureAddressed, UnknownModel
from shanhe.compute.model import ADDRESSED, EngineModel, Kind, Rates, Speed
from shanhe.compute.routing import RoutingTable, checked_policy
from shanhe.compute.target import EngineState, Target
from shanhe.compute.trouble import Why, unset
from shanhe.kernel.errors import Invalid

from .test_target import make_target


def engine(cost: int = 10, **changes: object) -> Target:
    target = make_target(EngineState("e", 4, 10), **changes)
    target.cost_basis = Rates.of({"input": cost, "output": cost})
    return target


def table(*targets: Target) -> RoutingTable:
    return RoutingTable((), {"m": targets})


def trip(target: Target) -> None:
    for _ in range(IN_A_ROW_MAX):
        target.state.breaker.record(False, target.state.now())


class TestChoice:
    def test_the_cheapest_healthy_engine_serves(self) -> None:
        dear, cheap = engine(20), engine(10)
        assert table(dear, cheap).choose("m") is cheap
        trip(cheap)
        assert table(dear, cheap).choose("m") is dear

    def test_a_saturated_engine_comes_last(self) -> None:
        cheap, dear = engine(10), engine(20)
        cheap.state.in_flight = 4
        assert table(cheap, dear).choose("m") is dear

    def test_an_engine_that_said_429_is_avoided_for_a_moment(self) -> None:
        cheap, dear = engine(10), engine(20)
        cheap.state.busy_until = cheap.state.now() + 60
        assert table(cheap, dear).choose("m") is dear

    def test_equal_engines_share_the_load(self) -> None:
        one, other = engine(), engine()
        one.state.in_flight = 2
        assert table(one, other).choose("m") is other

    def test_the_same_sticky_value_prefers_the_same_engine(self) -> None:
        engines = [engine() for _ in range(5)]
        chosen = {table(*engines).choose("m", sticky="a session") for _ in range(10)}
        assert len(chosen) == 1
        assert len({table(*engines).choose("m", sticky=str(at)) for at in range(50)}) == 5

    def test_excluded_engines_are_not_offered_again(self) -> None:
        one, other = engine(), engine()
        assert table(one, other).choose("m", exclude=frozenset({one.engine_id})) is other
        assert table(one, other).choose("m", exclude=frozenset({one.engine_id, other.engine_id})) is None
        assert table(one).choose("m", exclude=frozenset({one.engine_id})) is None

    def test_government_data_stays_on_local_engines(self) -> None:
        remote = engine(1)
        local = engine(99, local=True, data_classes=frozenset({"general", "government"}))
        assert table(remote, local).choose("m", data_class="government") is local
        for targets in ((remote,), (remote, engine())):
            with pytest.raises(DataClassRefused):
                table(*targets).choose("m", data_class="government")

    def test_a_need_that_no_engine_meets_is_said_plainly(self) -> None:
        for targets in ((engine(),), (engine(), engine())):
            with pytest.raises(FeatureUnsupported, match="vision") as refused:
                table(*targets).choose("m", needs=frozenset({"vision"}))
            assert refused.value.status == 400

    def test_a_pictures_address_that_no_engine_may_fetch_is_answered_with_what_to_send_instead(self) -> None:
        needs = frozenset({"vision", ADDRESSED})
        sees = engine(features=frozenset({"vision"}))
        for targets in ((sees,), (engine(), sees), (sees, engine(features=frozenset({ADDRESSED})))):
            with pytest.raises(PictureAddressed, match="data: URL"):
                table(*targets).choose("m", needs=needs)
        with pytest.raises(FeatureUnsupported, match=r"does not take vision\."):
            table(engine()).choose("m", needs=needs)

    def test_without_a_usable_engine_there_is_none(self) -> None:
        one, other = engine(), engine()
        trip(one)
        other.state.probed(Why("down", "断"))
        for targets in ((one,), (other,), (one, other)):
            with pytest.raises(NoEngine) as refused:
                table(*targets).choose("m")
            assert refused.value.status == 503

    def test_an_engine_without_its_key_is_not_used(self) -> None:
        one, other = engine(1), engine(2)
        one.state.key_missing = unset("X_KEY")
        assert table(one, other).choose("m") is other

    def test_unknown_models_are_unknown(self) -> None:
        with pytest.raises(UnknownModel):
            table().choose("m")


def test_costs_that_are_not_named_follow_their_neighbours() -> None:
    assert Rates.of({"input": 3, "output": 5}) == Rates(3, 3, 5, 5, 3)
    served = [
        EngineModel("m", "m", Kind.CHAT, 1, Rates(1, 1, 9, 9, 1), "small"),
        EngineModel("m", "m", Kind.CHAT, 1, Rates(5, 0, 2, 2, 5), "small"),
    ]
    assert served[0].cost.most(served[1].cost) == Rates(5, 1, 9, 9, 5)


def measured(name: str, prefill_tps: float, cost: int = 10, *, in_flight: int = 0) -> Target:
    """An engine with one slot whose speed is known."""
    target = make_target(EngineState(name, 1, 10))
    target.cost_basis = Rates.of({"input": cost, "output": cost})
    target.state.speeds["m"] = Speed(prefill_tps, 100, 10, 1_000)
    target.state.in_flight = in_flight
    target.model = "m"
    return target


class TestMeasuredEngines:
    def test_serve_where_the_first_token_comes_soonest(self) -> None:
        fast, slow = measured("fast", 10_000, cost=20), measured("slow", 1_000, cost=10)
        assert table(slow, fast).choose("m", prompt_tokens=4_000) is fast

    def test_count_the_wait_for_a_slot(self) -> None:
        busy, idle = measured("busy", 10_000, in_flight=3), measured("idle", 2_000)
        assert table(busy, idle).choose("m", prompt_tokens=500) is idle

    def test_are_compared_by_price_where_times_are_nearly_equal(self) -> None:
        dear, cheap = measured("dear", 10_100, cost=20), measured("cheap", 10_000, cost=10)
        assert table(dear, cheap).choose("m", prompt_tokens=2_000) is cheap

    def test_are_passed_over_while_one_of_them_is_unknown(self) -> None:
        fast, unknown = measured("fast", 10_000, cost=20), engine(5)
        assert table(fast, unknown).choose("m", prompt_tokens=4_000) is unknown  # the cheapest, as ever

    def test_take_turns_or_share_by_connections_when_told_to(self) -> None:
        fast, slow = measured("fast", 10_000), measured("slow", 100, in_flight=1)
        turns = RoutingTable((), {"m": (fast, slow)}, "round_robin")
        assert {turns.choose("m", prompt_tokens=4_000) for _ in range(2)} == {fast, slow}
        fewest = RoutingTable((), {"m": (fast, slow)}, "least_connections")
        assert [fewest.choose("m") for _ in range(3)] == [fast] * 3
        with pytest.raises(Invalid):
            checked_policy("by_colour")
