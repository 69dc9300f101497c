from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shanhe.compute.breaker import (
    IN_A_ROW_MAX,
    OPEN_MAX_S,
    OPEN_S,
    PROBES_MAX,
    SUCCESSES_TO_CLOSE,
    VOLUME_MIN,
    WINDOW_S,
    Breaker,
    Circuit,
)
from stage.draws import draws


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(IN_A_ROW_MAX):
        assert breaker.begin(now)
        breaker.record(False, now)
    return breaker


class TestBreaker:
    def test_opens_after_failures_in_a_row(self) -> None:
        breaker = opened()
        assert breaker.circuit is Circuit.OPEN
        assert not breaker.allows(OPEN_S / 2)
        assert not breaker.begin(OPEN_S / 2)

    def test_opens_at_a_rate_of_failures_among_enough_outcomes(self) -> None:
        breaker = Breaker()
        for at in range(40):
            breaker.record(at % 2 == 0, float(at) / 10)
        assert breaker.circuit is Circuit.OPEN

    def test_stays_closed_while_failures_are_few(self) -> None:
        breaker = Breaker()
        for at in range(400):
            breaker.record(at % 4 != 0, float(at) / 10)
        assert breaker.circuit is Circuit.CLOSED

    def test_forgets_failures_older_than_its_window(self) -> None:
        breaker = Breaker()
        for at in range(IN_A_ROW_MAX - 1):
            breaker.record(False, float(at))
        breaker.record(True, 5.0)
        assert breaker.failure_rate_bps(6.0) > 0
        assert breaker.failure_rate_bps(6.0 + WINDOW_S) == 0

    def test_closes_after_enough_probes_succeed(self) -> None:
        breaker = opened()
        for _ in range(SUCCESSES_TO_CLOSE):
            assert breaker.begin(OPEN_S)
            assert breaker.circuit is Circuit.HALF_OPEN
            breaker.record(True, OPEN_S)
        assert breaker.circuit is Circuit.CLOSED

    def test_lets_no_more_probes_through_at_once_than_its_bound(self) -> None:
        breaker = opened()
        assert [breaker.begin(OPEN_S) for _ in range(PROBES_MAX + 1)] == [True] * PROBES_MAX + [False]
        assert not breaker.allows(OPEN_S)

    def test_never_opens_by_a_success(self) -> None:
        breaker = Breaker()
        for at in range(VOLUME_MIN):  # a half of few has failed until the last, which makes them enough
            breaker.record(at % 2 == 1, float(at))
        assert breaker.circuit is Circuit.CLOSED
        breaker.record(False, float(VOLUME_MIN))
        assert breaker.circuit is Circuit.OPEN

    def test_waits_longer_after_each_relapse_up_to_a_bound(self) -> None:
        breaker = opened()
        now, waits = 0.0, []
        for _ in range(12):
            waits.append(breaker.open_s)
            now += breaker.open_s
            assert breaker.begin(now)
            breaker.record(False, now)
        assert waits == sorted(waits)
        assert waits[1] == 2 * waits[0]
        assert waits[-1] == OPEN_MAX_S

    def test_an_abandoned_probe_gives_its_place_back(self) -> None:
        breaker = opened()
        for _ in range(5 * PROBES_MAX):
            assert breaker.begin(OPEN_S)
            breaker.abandon()
        assert breaker.circuit is Circuit.HALF_OPEN

    @settings(max_examples=draws(200))
    @given(st.lists(st.booleans(), max_size=300))
    def test_never_opens_without_a_failure(self, outcomes: list[bool]) -> None:
        breaker = Breaker()
        for at, ok in enumerate(outcomes):
            was = breaker.circuit
            breaker.record(ok, at / 10)
            if was is Circuit.CLOSED and breaker.circuit is Circuit.OPEN:
                assert not ok


class BreakerMachine(RuleBasedStateMachine):
    """Any order of requests, outcomes and pauses, against what a breaker promises."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.under_way: list[Circuit] = []

    @rule(wait=st.floats(0, 70))
    def time_passes(self, wait: float) -> None:
        self.now += wait

    @rule()
    def request(self) -> None:
        allowed = self.breaker.allows(self.now)
        began = self.breaker.begin(self.now)
        assert began == allowed, "begin does what allows foretold"
        if began:
            self.under_way.append(self.breaker.circuit)

    @precondition(lambda self: self.under_way)
    @rule(ok=st.booleans(), at=st.integers(0, 1_000))
    def outcome(self, ok: bool, at: int) -> None:
        self.under_way.pop(at % len(self.under_way))
        before = self.breaker.circuit
        self.breaker.record(ok, self.now)
        if before is Circuit.HALF_OPEN and not ok:
            assert self.breaker.circuit is Circuit.OPEN
        if ok and before is Circuit.CLOSED:
            assert self.breaker.circuit is Circuit.CLOSED

    @invariant()
    def open_refuses_until_its_wait_is_over(self) -> None:
        if self.breaker.circuit is Circuit.OPEN and self.breaker.wait_s(self.now) > 0:
            assert not self.breaker.allows(self.now)

    @invariant()
    def a_wait_is_bounded(self) -> None:
        assert 0 <= self.breaker.wait_s(self.now) <= OPEN_MAX_S

    @invariant()
    def it_always_recovers(self) -> None:
        later = self.now + OPEN_MAX_S + 1_000
        assert self.breaker.allows(later), "no state refuses for ever"


TestBreakerMachine = BreakerMachine.TestCase
