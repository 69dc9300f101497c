"""An engine as this process sees it, and one model on it: slots, queue, circuit, time to the first token.

Limits hold for each process; several workers divide an engine's slots and queue among them.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final
from uuid import UUID

from shanhe.compute.address import Address
from shanhe.compute.breaker import Breaker, Circuit
from shanhe.compute.errors import EngineBusy
from shanhe.compute.model import HIDDEN, Engine, EngineKind, EngineModel, Health, Rates, Speed
from shanhe.compute.suppliers import features_of
from shanhe.compute.thinking import thinking_of
from shanhe.compute.trouble import Why, failed, unset, why
from shanhe.compute.turns import Turns
from shanhe.kernel.errors import Invalid

QUEUE_WAIT_S: Final = 60.0
"""Longest wait for a slot."""
TTFT_WEIGHT: Final = 0.2
"""Weight of the newest time to first token in its moving average."""
THOUGHT_MAX_S: Final = 600.0
"""How long an engine may say nothing that thinks and does not show it."""
COOL_DOWN_S: Final = 1.0
"""How long an engine that answered 429 is avoided."""
REST_MAX_S: Final = 60.0
"""Longest wait that an engine is believed to need, as with an open circuit; clients heed none that is longer."""
ERROR_CHARS: Final = 200
BUSY: Final = 429

Wake = Callable[["Target"], Awaitable[None]]
"""Asks for a sleeping local engine and returns when it serves."""
Turn = Callable[[], tuple[Hashable, int]]
"""Says who waits and with which weight; asked only when there is something to wait for."""


def anybody() -> tuple[Hashable, int]:
    """A turn of nobody in particular."""
    return None, 1


class EngineState:
    """Queue and health of one engine in this process; shared by its targets."""

    __slots__ = (
        "_waiters",
        "asked",
        "breaker",
        "busy_until",
        "checked_at",
        "down",
        "failures",
        "found",
        "in_flight",
        "key_missing",
        "last_error",
        "last_ok",
        "name",
        "now",
        "queue",
        "requests",
        "rests_until",
        "slots",
        "speeds",
        "ttft_ms",
    )

    def __init__(self, name: str, slots: int, queue: int, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.slots = slots
        self.queue = queue
        self.now = now
        self.breaker = Breaker()
        self.asked = False
        """Whether it was asked what it is, see `Compute.learn`."""
        self.found: set[str] = set()
        """Features that calls found out, until they are kept with its registration."""
        self.in_flight = 0
        self.busy_until = 0.0
        self.rests_until = 0.0
        """It said itself when to ask it again."""
        self.down = False
        self.key_missing: Why | None = None
        self.last_error: Why | None = None
        self.last_ok = 0.0
        self.checked_at: float | None = None
        self.requests = 0
        self.failures = 0
        self.ttft_ms: float | None = None
        self.speeds: dict[str, Speed] = {}
        self._waiters: Turns[asyncio.Future[None]] = Turns()

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    @property
    def load(self) -> float:
        """Requests here as a share of the slots; above 1 some wait."""
        return (self.in_flight + len(self._waiters)) / self.slots

    def usable(self, now: float) -> bool:
        """Whether a request has a chance here."""
        return not self.down and not self.key_missing and self.breaker.allows(now)

    def health(self) -> Health:
        if self.down or self.key_missing or self.breaker.circuit is Circuit.OPEN:
            return Health.DOWN
        if self.breaker.circuit is Circuit.HALF_OPEN:
            return Health.DEGRADED
        if self.last_ok or self.checked_at is not None:
            return Health.UP
        return Health.UNKNOWN

    async def acquire(self, turn: Turn = anybody) -> None:
        """Take a slot, waiting in fair turns of a bounded queue; EngineBusy when the circuit is open or it is full."""
        now = self.now()
        if now < self.rests_until:
            raise self._resting(now)
        if not self.breaker.begin(now):
            raise EngineBusy(self.name, retry_after_s=_seconds(self.breaker.wait_s(now)), reason="its circuit is open")
        if self.in_flight < self.slots and not self._waiters:
            self.in_flight += 1
            return
        try:
            await self._wait(turn)
            if (now := self.now()) < self.rests_until:
                self._hand_on()
                raise self._resting(now)
        except BaseException:
            self.breaker.abandon()
            raise

    def try_acquire(self) -> bool:
        """Take a slot that is free now; False changes nothing."""
        now = self.now()
        if self.in_flight >= self.slots or self._waiters or now < self.rests_until or not self.breaker.begin(now):
            return False
        self.in_flight += 1
        return True

    async def _wait(self, turn: Turn) -> None:
        if len(self._waiters) >= self.queue:
            raise EngineBusy(self.name, retry_after_s=self._retry_after_s())
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter, *turn())
        try:
            async with asyncio.timeout(QUEUE_WAIT_S):
                await waiter
        except TimeoutError as error:
            self._drop(waiter)
            busy = EngineBusy(self.name, retry_after_s=self._retry_after_s(), reason="no slot came free in time")
            raise busy from error
        except asyncio.CancelledError:
            self._drop(waiter)
            raise

    def _drop(self, waiter: asyncio.Future[None]) -> None:
        if not self._waiters.drop(waiter) and waiter.done() and not waiter.cancelled():
            self._hand_on()  # the slot was given to a waiter that left in the same moment

    def _hand_on(self) -> None:
        """Give the freed slot to the next in turn, or keep it free."""
        while (waiter := self._waiters.pop()) is not None:
            if not waiter.done():
                waiter.set_result(None)
                return
        self.in_flight -= 1

    def release(self, ok: bool, ttft_ms: float | None, status: int) -> None:
        """Give the slot back and learn from the outcome. `ttft_ms` None or 0 = nothing measured."""
        self.requests += 1
        self._hand_on()
        now = self.now()
        if status == BUSY:
            self.busy_until = max(self.busy_until, now + COOL_DOWN_S)
            self.breaker.abandon()
            return
        self.breaker.record(ok, now)
        if not ok:
            self.failures += 1
            self.last_error = failed(status)
            return
        self.last_ok = now
        if ttft_ms:
            known = self.ttft_ms
            self.ttft_ms = ttft_ms if known is None else known + TTFT_WEIGHT * (ttft_ms - known)

    def rest(self, wait_s: float) -> int:
        """It asks not to be asked for a while. Whole seconds that are heeded, 1 to REST_MAX_S."""
        wait_s = min(wait_s, REST_MAX_S)
        until = self.now() + wait_s
        self.rests_until = max(self.rests_until, until)
        self.busy_until = max(self.busy_until, until)
        return _seconds(wait_s)

    def _resting(self, now: float) -> EngineBusy:
        wait_s = _seconds(self.rests_until - now)
        return EngineBusy(self.name, retry_after_s=wait_s, reason="it asked not to be asked before that")

    def probed(self, trouble: Why | None) -> None:
        """The health prober's verdict; None = it answers."""
        self.checked_at = self.now()
        self.down = trouble is not None
        if trouble is not None:
            self.last_error = Why(*(part[:ERROR_CHARS] for part in trouble))

    def _retry_after_s(self) -> int:
        per_request_s = (self.ttft_ms or 1000.0) / 1000
        return min(60, _seconds(per_request_s * (1 + len(self._waiters)) / self.slots))


def auth_header(engine: Engine, state: EngineState, key_of: Callable[[str], str | None]) -> bytes | None:
    """The authorization header's value; notes on the state when the key is missing."""
    state.key_missing = None
    if not engine.key_env:
        return None
    try:
        key = key_of(engine.key_env)
    except Invalid as error:
        state.key_missing = why(error)
        return None
    if not key:
        state.key_missing = unset(engine.key_env)
        return None
    if not key.isascii() or not key.isprintable():
        state.key_missing = Why(
            f"the variable {engine.key_env} holds signs that a header may not hold",
            f"变量 {engine.key_env} 含有请求头不允许的字符",
        )
        return None
    return b"Bearer " + key.encode("ascii")


class Target:
    """One model on one engine: where to send the request, and the engine's slot. Compared by identity.

    Stays the same object until the registration of its engine changes, so that callers may keep what they derive.
    """

    __slots__ = (
        "_wake",
        "address",
        "auth_header",
        "context_tokens",
        "contributor",
        "cost",
        "cost_basis",
        "counts_one",
        "data_classes",
        "engine_id",
        "engine_name",
        "features",
        "first_token_timeout_s",
        "host",
        "host_header",
        "idle_timeout_s",
        "kind",
        "lazy",
        "local",
        "lora",
        "model",
        "model_kind",
        "owner_account_kind",
        "path_prefix",
        "port",
        "price_class",
        "share_bps",
        "state",
        "thinks",
        "tls",
        "uds_path",
        "upstream_model",
    )

    def __init__(
        self,
        engine: Engine,
        served: EngineModel,
        address: Address,
        state: EngineState,
        auth_header: bytes | None,
        wake: Wake | None = None,
    ) -> None:
        self.engine_id: UUID = engine.id
        self.engine_name = engine.name
        self.kind: str = engine.kind.value
        self.counts_one = engine.kind is EngineKind.LLAMA
        """Its usage covers only the first of several answers."""
        self.model = served.model
        self.model_kind = served.kind
        self.price_class = served.price_class
        self.upstream_model = served.upstream
        adapter = served.adapter
        self.lora = b"" if adapter is None else b',"lora":[{"id":%d,"scale":1.0}]}' % adapter
        """What ends a request instead of its last brace, where an adapter of a shared child is to answer."""
        self.address = address
        self.uds_path = address.uds_path
        self.host = address.host
        self.port = address.port
        self.tls = address.tls
        self.path_prefix = address.prefix
        self.host_header = address.host_header
        self.auth_header = auth_header
        self.context_tokens = served.context_tokens
        self.contributor = engine.contributor
        self.share_bps = engine.share_bps
        self.lazy = engine.lazy
        self.local = engine.local
        self.data_classes = engine.data_classes
        self.features = engine.features | features_of(address.host)
        self.thinks = thinking_of(engine, address.host)
        """By which fields it is told how much to think."""
        silence_s = THOUGHT_MAX_S if HIDDEN in self.features else 0.0
        self.first_token_timeout_s = max(engine.first_token_timeout_ms / 1000, silence_s)
        self.idle_timeout_s = max(engine.idle_timeout_ms / 1000, silence_s)
        self.cost_basis: Rates = served.cost
        """What a token costs here, whoever bears it."""
        upstream = engine.contributor is None and engine.kind is EngineKind.OPENAI
        self.cost: Rates | None = served.cost if upstream else None
        """What the city owes a supplier for each token; None where its own or a contributed node serves."""
        self.owner_account_kind = "income" if engine.contributor else "cost" if upstream else "platform"
        self.state = state
        self._wake = wake

    def has(self, feature: str) -> bool:
        """Whether its registration names a feature, or a call found it out."""
        return feature in self.features or feature in self.state.found

    def found(self, feature: str) -> None:
        """Note what a call found out; the next look at its health keeps it with the registration."""
        self.state.found.add(feature)

    @property
    def serves(self) -> bool:
        """Whether a local engine has its socket, which appears once the model is loaded; True for all others."""
        return self.uds_path is None or os.path.exists(self.uds_path)

    def expected_ttft_ms(self, prompt_tokens: int) -> float | None:
        """Wait for a slot, plus the prompt at the measured speed; None where nothing was measured."""
        speed = self.state.speeds.get(self.model)
        if speed is None:
            return None
        state = self.state
        before = state.in_flight + state.waiting - state.slots + 1
        wait_ms = before * speed.call_ms / state.slots if before > 0 else 0.0
        return wait_ms + speed.base_ms + 1000 * prompt_tokens / max(speed.prefill_tps, 0.001)

    async def acquire(self, turn: Turn = anybody) -> None:
        """Take a slot of the engine; EngineBusy (429 with `retry_after_s`) when there is none to be had.

        Every acquire needs exactly one `release`. A local engine that does not run is woken first.
        """
        if self._wake is not None and not self.serves:
            await self._wake(self)
        await self.state.acquire(turn)

    def try_acquire(self) -> bool:
        """`acquire` where nothing has to be waited for; False, and nothing taken, otherwise."""
        return (self._wake is None or self.serves) and self.state.try_acquire()

    def release(self, ok: bool, ttft_ms: float | None, status: int) -> None:
        """Give the slot back. `ok` False only where the engine is to blame; `status` 0 = no answer."""
        self.state.release(ok, ttft_ms, status)


def _seconds(wait_s: float) -> int:
    return max(1, math.ceil(wait_s))
