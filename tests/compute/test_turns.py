"""Turns at a full engine: shared by weight, one flow an organisation, and nobody waits without end."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.compute.target import EngineState
from shanhe.compute.turns import WEIGHT_MAX, Turns


class TestTurns:
    def test_of_one_flow_come_in_their_order(self) -> None:
        turns: Turns[list[int]] = Turns()
        waiters = [[n] for n in range(5)]
        for waiter in waiters:
            turns.add(waiter, "a", 4)
        assert [turns.pop() for _ in range(6)] == [*waiters, None]

    def test_go_round_by_weight_where_all_keep_waiting(self) -> None:
        turns: Turns[list[str]] = Turns()
        weights = {"new": 1, "a year": 2, "two": 3, "three": 4}
        for org, weight in weights.items():
            for _ in range(200):
                turns.add([org], org, weight)
        served = Counter((turns.pop() or [""])[0] for _ in range(200))
        assert served == {org: 20 * weight for org, weight in weights.items()}

    def test_are_not_bought_by_sending_more(self) -> None:
        """A flood of the heaviest does not keep a newcomer's first call waiting."""
        turns: Turns[list[str]] = Turns()
        for _ in range(1_000):
            turns.add(["flood"], "flood", 4)
        turns.pop()
        turns.add(["newcomer"], "newcomer", 1)
        assert ["newcomer"] in [turns.pop() for _ in range(5)]

    def test_of_those_who_left_are_skipped(self) -> None:
        turns: Turns[list[int]] = Turns()
        first, second = [1], [2]
        turns.add(first, "a")
        turns.add(second, "b")
        assert turns.drop(first)
        assert not turns.drop(first)
        assert len(turns) == 1
        assert turns.pop() is second
        assert (turns.pop(), len(turns)) == (None, 0)

    @given(
        weights=st.lists(st.integers(-1, WEIGHT_MAX + 3), min_size=1, max_size=12),
        calls=st.integers(1, 40),
        steps=st.integers(1, 300),
    )
    def test_give_every_waiting_flow_its_share_within_one_turn(
        self, weights: list[int], calls: int, steps: int
    ) -> None:
        turns: Turns[list[int]] = Turns()
        for _ in range(calls):
            for org, weight in enumerate(weights):
                turns.add([org], org, weight)
        bounded = [min(max(weight, 1), WEIGHT_MAX) for weight in weights]
        served: Counter[int] = Counter()
        for done in range(1, min(steps, calls * len(weights)) + 1):
            served[(turns.pop() or [-1])[0]] += 1
            if max(served.values()) >= calls:
                break  # somebody has nothing left: the rest share what that one had
            for org, weight in enumerate(bounded):
                assert served[org] * sum(bounded) >= (done - len(bounded)) * weight, (org, done)

    @given(ops=st.lists(st.tuples(st.sampled_from("apd"), st.integers(0, 3), st.integers(1, 4)), max_size=120))
    def test_lose_nobody_and_serve_nobody_twice(self, ops: list[tuple[str, int, int]]) -> None:
        turns: Turns[list[int]] = Turns()
        there: list[list[int]] = []
        for number, (what, org, weight) in enumerate(ops):
            if what == "a":
                there.append([number])
                turns.add(there[-1], org, weight)
            elif what == "p":
                got = turns.pop()
                assert (got is None) == (not there)
                if got is not None:
                    there.remove(got)
            elif there:
                assert turns.drop(there.pop(org % len(there)))
            assert len(turns) == len(there)


class TestEngine:
    async def test_serves_waiting_organisations_by_their_weight(self) -> None:
        state, order = EngineState("e", 1, 100), []

        async def call(org: str, weight: int) -> None:
            await state.acquire(lambda: (org, weight))
            order.append(org)
            state.release(True, None, 200)

        await state.acquire()
        waiting = [asyncio.create_task(call(org, weight)) for org, weight in [("new", 1)] * 12 + [("loyal", 4)] * 12]
        await asyncio.sleep(0)
        assert state.waiting == 24
        state.release(True, None, 200)
        await asyncio.gather(*waiting)
        assert Counter(order[:15]) == {"loyal": 12, "new": 3}
        assert order.index("new") <= 1
        assert state.in_flight == state.waiting == 0

    async def test_asks_for_a_turn_only_where_one_waits(self) -> None:
        state = EngineState("e", 1, 10)

        def never() -> tuple[str, int]:
            raise AssertionError

        await state.acquire(never)
        state.release(True, None, 200)
        assert state.try_acquire()
        with pytest.raises(AssertionError):
            await state.acquire(never)
