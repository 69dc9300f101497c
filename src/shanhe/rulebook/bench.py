"""What the rulebook costs: a traced answer, a compiled call charge, a million rows of P1."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np

from shanhe.rulebook.population import bench_rules
from shanhe.rulebook.service import Rulebook

Clock = Callable[[], float]

__all__ = ["bench_rulebook", "bench_rules", "main"]

ROWS = 1_000_000
TRACED_ROUNDS = 300
COMPILED_ROUNDS = 50_000
VECTOR_ROUNDS = 5
SEED = 20_260_101
ON = date(2026, 3, 1)
PURCHASE = {"category": "resident", "value_fen": 1_000_000, "benefit_used_fen": 99_900_000}
CALL = {
    "input_tokens": 1_000,
    "output_tokens": 300,
    "cached_input_tokens": 2_000,
    "input_price": 500_000,
    "output_price": 1_000_000,
    "cached_input_price": 150_000,
}


def _seconds(action: Callable[[], object], rounds: int, clock: Clock) -> list[float]:
    taken = []
    for _ in range(rounds):
        start = clock()
        action()
        taken.append(clock() - start)
    return taken


def purchases(rows: int) -> dict[str, Any]:
    """Random P1 facts as columns."""
    random = np.random.default_rng(SEED)
    return {
        "category": random.integers(0, 7, rows),
        "value_fen": random.integers(0, 10**9, rows),
        "benefit_used_fen": random.integers(0, 2 * 10**8, rows),
    }


def bench_rulebook(clock: Clock = time.perf_counter) -> dict[str, Any]:
    """Medians: traced evaluations in ms, the compiled charge in µs, 1,000,000 rows of P1 in seconds; by `clock`."""
    rulebook = Rulebook.load()
    rulebook.evaluate("P1", PURCHASE, on=ON)
    rulebook.evaluate("P11_call_charge", CALL, on=ON)
    charge = rulebook.compiled("P11_call_charge", ON)
    kernel = rulebook.vector("P1", ON)
    columns = purchases(ROWS)
    kernel(columns)
    start = clock()
    for _ in range(COMPILED_ROUNDS):
        charge(**CALL)
    charge_us = (clock() - start) / COMPILED_ROUNDS * 1e6
    traced = _seconds(lambda: rulebook.evaluate("P1", PURCHASE, on=ON), TRACED_ROUNDS, clock)
    traced_call = _seconds(lambda: rulebook.evaluate("P11_call_charge", CALL, on=ON), TRACED_ROUNDS, clock)
    vector = _seconds(lambda: kernel(columns), VECTOR_ROUNDS, clock)
    return {
        "rows": ROWS,
        "p1_traced_ms": round(statistics.median(traced) * 1e3, 3),
        "call_charge_traced_ms": round(statistics.median(traced_call) * 1e3, 3),
        "call_charge_compiled_us": round(charge_us, 2),
        "p1_vector_s": round(statistics.median(vector), 4),
        "p1_vector_ns_per_row": round(statistics.median(vector) / ROWS * 1e9, 1),
    }


main = bench_rulebook
