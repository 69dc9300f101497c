from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shanhe.compute import target as module
from shanhe.compute.address import unix_address
from shanhe.compute.breaker import IN_A_ROW_MAX
from shanhe.compute.errors import EngineBusy
from shanhe.compute.model import HIDDEN, Engine, EngineKind, EngineModel, Health, Kind, Rates
from shanhe.compute.target import EngineState, Target
from shanhe.compute.trouble import Why
from shanhe.kernel.ids import new_id

COST = Rates.of({"input": 1, "output": 2})


def make_target(
    state: EngineState, wake: module.Wake | None = None, uds: str = "/nowhere.sock", **changes: object
) -> Target:
    served = EngineModel("m", "up-m", Kind.CHAT, 100, COST, "small")
    settings: dict[str, object] = {
        "id": new_id(),
        "name": "e",
        "kind": EngineKind.OPENAI,
        "url": "",
        "key_env": "",
        "contributor": None,
        "local": False,
        "data_classes": frozenset({"general"}),
        "features": frozenset({"tools"}),
        "enabled": True,
        "lazy": wake is not None,
        "slots": state.slots,
        "queue": state.queue,
        "first_token_timeout_ms": 1000,
        "idle_timeout_ms": 1000,
        "created_at": datetime.now(UTC),
        "models": (served,),
        **changes,
    }
    return Target(Engine(**settings), served, unix_address(Path(uds)), state, None, wake)  # type: ignore[arg-type]


class TestQueue:
    async def test_a_free_slot_is_taken_without_waiting(self) -> None:
        state = EngineState("e", 2, 0)
        await state.acquire()
        await state.acquire()
        assert state.in_flight == 2
        assert state.load == 1

    async def test_a_full_queue_refuses_with_a_time_to_return(self) -> None:
        state = EngineState("e", 1, 0)
        await state.acquire()
        with pytest.raises(EngineBusy) as refused:
            await state.acquire()
        assert refused.value.status == 429
        assert refused.value.retry_after_s >= 1
        assert state.in_flight == 1

    async def test_waiters_get_slots_in_their_order(self) -> None:
        state = EngineState("e", 1, 10)
        await state.acquire()
        order: list[int] = []

        async def wait(number: int) -> None:
            await state.acquire()
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert state.waiting == 3
        for _ in range(3):
            state.release(True, 1.0, 200)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2]
        assert state.in_flight == 1

    async def test_a_waiter_that_leaves_frees_its_place(self) -> None:
        state = EngineState("e", 1, 10)
        await state.acquire()
        waiting = asyncio.create_task(state.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert state.waiting == 0
        state.release(True, None, 200)
        assert state.in_flight == 0

    async def test_a_slot_given_to_one_who_just_left_is_not_lost(self) -> None:
        state = EngineState("e", 1, 10)
        await state.acquire()
        waiting = asyncio.create_task(state.acquire())
        await asyncio.sleep(0)
        state.release(True, None, 200)  # hands the slot to the waiter …
        waiting.cancel()  # … who is cancelled before it can run
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert state.in_flight == 0
        await asyncio.wait_for(state.acquire(), 1)

    async def test_waiting_is_bounded_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "QUEUE_WAIT_S", 0.02)
        state = EngineState("e", 1, 10)
        await state.acquire()
        with pytest.raises(EngineBusy, match="no slot came free"):
            await state.acquire()
        assert state.waiting == 0


class TestHealth:
    async def test_failures_open_the_circuit_and_acquire_says_when_to_return(self) -> None:
        state = EngineState("e", 100, 0)
        for _ in range(IN_A_ROW_MAX):
            await state.acquire()
            state.release(False, None, 0)
        assert state.health() is Health.DOWN
        assert not state.usable(state.now())
        with pytest.raises(EngineBusy, match="circuit is open"):
            await state.acquire()
        assert state.in_flight == 0

    async def test_a_429_of_the_upstream_is_a_pause_not_a_failure(self) -> None:
        state = EngineState("e", 100, 0)
        for _ in range(3 * IN_A_ROW_MAX):
            await state.acquire()
            state.release(False, None, 429)
        assert state.usable(state.now())
        assert state.busy_until > state.now()
        assert state.failures == 0

    async def test_an_engine_that_asks_for_a_pause_gets_it_from_those_who_wait_too(self) -> None:
        now = 0.0
        state = EngineState("e", 1, 4, now=lambda: now)
        await state.acquire()
        waiting = [asyncio.create_task(state.acquire()) for _ in range(2)]
        await asyncio.sleep(0)
        assert state.rest(20.0) == 20
        state.release(False, None, 429)
        for refused in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(refused, EngineBusy)
            assert refused.retry_after_s == 20
        assert (state.in_flight, state.waiting, state.try_acquire()) == (0, 0, False)
        state.rest(5.0)  # a shorter one does not end a longer one
        now = 19.0
        assert not state.try_acquire()
        now = 20.0
        assert state.try_acquire()

    async def test_time_to_first_token_is_a_moving_average(self) -> None:
        state = EngineState("e", 1, 0)
        for ttft_ms in (100.0, 200.0):
            await state.acquire()
            state.release(True, ttft_ms, 200)
        assert state.ttft_ms == pytest.approx(120.0)

    async def test_a_probe_takes_an_engine_out_and_puts_it_back(self) -> None:
        state = EngineState("e", 1, 0)
        state.probed(Why("refused", "被拒"))
        assert state.health() is Health.DOWN
        state.probed(None)
        assert state.health() is Health.UP


class TestTarget:
    async def test_a_sleeping_engine_is_woken_before_its_slot_is_taken(self, tmp_path: Path) -> None:
        woken: list[str] = []

        async def wake(target: Target) -> None:
            woken.append(target.model)
            (tmp_path / "m.sock").touch()

        target = make_target(EngineState("e", 1, 0), wake, str(tmp_path / "m.sock"))
        await target.acquire()
        target.release(True, None, 200)
        await target.acquire()
        assert woken == ["m"]

    def test_only_a_supplier_is_owed_the_cost_of_a_token(self) -> None:
        state = EngineState("e", 1, 0)
        assert make_target(state).cost == COST
        assert make_target(state).owner_account_kind == "cost"
        contributed = make_target(state, contributor=new_id())
        assert (contributed.cost, contributed.owner_account_kind) == (None, "income")
        own = make_target(state, kind=EngineKind.LLAMA)
        assert (own.cost, own.owner_account_kind) == (None, "platform")


class TestPatience:
    async def test_is_longer_with_an_engine_that_thinks_and_does_not_show_it(self) -> None:
        plain = make_target(EngineState("e", 1, 0))
        silent = make_target(EngineState("e", 1, 0), features=frozenset({HIDDEN}))
        assert (plain.idle_timeout_s, plain.first_token_timeout_s) == (1.0, 1.0)
        assert (silent.idle_timeout_s, silent.first_token_timeout_s) == (module.THOUGHT_MAX_S, module.THOUGHT_MAX_S)
