"""The recorded workload on a clock of its own: ways to route compared without the noise of a machine."""

from __future__ import annotations

import heapq

from compute.test_target import make_target
from shanhe.bench.pool import POLICIES, recorded
from shanhe.bench.pool_nodes import NODES, reference_rates
from shanhe.compute.model import Rates, Speed
from shanhe.compute.routing import RoutingTable
from shanhe.compute.target import EngineState, Target

WEIGHT = 0.1


def nodes() -> dict[Target, tuple[str, Speed, int]]:
    """The bench's nodes as targets, with what they really are."""
    rates = reference_rates()
    found = {}
    for name, _, prefill_tps, decode_tps, slots in NODES:
        target = make_target(EngineState(name, slots, 10_000))
        target.model = "m"
        target.cost_basis = Rates.of(rates[f"node-{name}"])
        speed = Speed(prefill_tps, decode_tps, 1.0, 1_000 * (500 / prefill_tps + 20 / decode_tps))
        target.state.speeds["m"] = speed
        found[target] = (name, speed, slots)
    return found


def replayed(policy: str) -> tuple[float, float]:
    """95 % of the calls have their first token within so many ms; and what the tokens cost."""
    real = nodes()
    table = RoutingTable((), {"m": tuple(real)}, policy)
    free = {target: [0.0] * slots for target, (_, _, slots) in real.items()}
    running: list[tuple[float, int, Target, float]] = []
    waits, cost = [], 0.0
    for number, call in enumerate(recorded()):
        now = float(call["at_ms"])
        while running and running[0][0] <= now:
            _, _, target, took = heapq.heappop(running)
            target.state.in_flight -= 1
            known = target.state.speeds["m"]
            call_ms = known.call_ms + WEIGHT * (took - known.call_ms)
            target.state.speeds["m"] = Speed(known.prefill_tps, known.decode_tps, known.base_ms, call_ms)
        chosen = table.choose("m", prompt_tokens=call["prompt_tokens"], now=0.0)
        assert chosen is not None
        _, speed, _ = real[chosen]
        start = max(now, heapq.heappop(free[chosen]))
        first = start + 1_000 * call["prompt_tokens"] / speed.prefill_tps
        done = first + 1_000 * call["output_tokens"] / speed.decode_tps
        heapq.heappush(free[chosen], done)
        heapq.heappush(running, (done, number, chosen, done - start))
        chosen.state.in_flight += 1
        waits.append(first - now)
        cost += call["prompt_tokens"] * chosen.cost_basis.input + call["output_tokens"] * chosen.cost_basis.output
    return sorted(waits)[int(len(waits) * 0.95)], cost


class TestExpectedFirstToken:
    def test_beats_taking_turns_and_fewest_connections_in_time_and_in_cost(self) -> None:
        found = {policy: replayed(policy) for policy in POLICIES}
        best = found.pop("expected")
        assert all(best[0] < other[0] for other in found.values()), (best, found)
        assert all(best[1] < other[1] for other in found.values()), (best, found)
