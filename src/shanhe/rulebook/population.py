"""Every amount rule over a generated population, beside the explaining evaluator, and equal to it to the unit.

Generating and compiling are timed apart. Rules, not rows, are shared out to the threads: numpy leaves the interpreter's
lock while it computes, and the columns of one rule stay in one core's cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from shanhe.rulebook.model import Fact, Rule
from shanhe.rulebook.service import Rulebook
from shanhe.rulebook.vector import VectorKernel

POPULATION = 1_000_000
THREADS = 2
COMPARED_ROWS = 10_000
LARGEST_DRAWN = 10**8
LIST_ITEMS = 4
SEED = 20_260_101
ON = date(2026, 3, 1)
FIRST_DAY, LAST_DAY = date(2024, 1, 1), date(2030, 1, 1)

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One rule with its kernel, the population as its columns, and the rows to be compared afterwards."""

    rule: Rule
    kernel: VectorKernel
    columns: Columns
    chosen: Any

    def run(self) -> dict[str, Any]:
        """All rows; what is kept of the results is the chosen ones, so that memory is used again."""
        return {name: column[self.chosen] for name, column in self.kernel(self.columns).items()}


def bench_rules(population: int = POPULATION) -> dict[str, Any]:
    """Seconds for all amount rules over the population, and how many times the scalar evaluator's rate that is."""
    rulebook = Rulebook.load()
    start = time.perf_counter()
    rules = [rulebook.rule(key) for key in rulebook.ids() if rulebook.rule(key).kind == "amount"]
    columns = {rule.id: generate(rule, population) for rule in rules}
    generated = time.perf_counter()
    random = np.random.default_rng(SEED)
    sample = -(-COMPARED_ROWS // len(rules))
    tasks = [
        Task(rule, rulebook.vector(rule.id, ON), columns[rule.id], random.integers(0, population, sample))
        for rule in rules
    ]
    for task in tasks:
        task.run()  # kernels for the ranges that the columns have are made once
    compiled = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        cpu, began = time.process_time(), time.perf_counter()
        results = list(pool.map(Task.run, tasks))
        vector_s, vector_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    traced_rows, traced_s = _compared(rulebook, tasks, results)
    evaluations = population * len(tasks)
    vector_rate, traced_rate = evaluations / vector_s, traced_rows / traced_s
    return {
        "rules": len(tasks),
        "rows": population,
        "generate_s": round(generated - start, 2),
        "compile_s": round(compiled - generated, 2),
        "vector_s": round(vector_s, 2),
        "vector_cpu_s": round(vector_cpu_s, 2),
        "ns_per_row_and_rule": round(vector_s / evaluations * 1e9, 1),
        "scalar_per_s": round(traced_rate),
        "times_scalar": round(vector_rate / traced_rate),
        "equal_rows": {"evaluator": traced_rows, "compiled": sample * len(tasks)},
        "load_per_core": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1),
    }


def generate(rule: Rule, rows: int) -> dict[str, Any]:
    """Random residents or companies as a rule's columns: amounts over many magnitudes, zeros and ends among them."""
    random = np.random.default_rng([SEED, *rule.id.encode()])
    return {fact.name: _column(fact, rows, random) for fact in rule.facts}


def _column(fact: Fact, rows: int, random: np.random.Generator) -> Any:
    match fact.type:
        case "enum":
            return random.integers(0, len(fact.values), rows)
        case "bool":
            return random.random(rows) < 0.5
        case "date":
            return random.integers(FIRST_DAY.toordinal(), LAST_DAY.toordinal(), rows)
        case "list":
            return random.integers(fact.lo, min(fact.hi, 100_000) + 1, (rows, min(LIST_ITEMS, fact.max_items)))
        case _:
            return _numbers(fact, rows, random)


def _numbers(fact: Fact, rows: int, random: np.random.Generator) -> Any:
    width = min(fact.hi - fact.lo, LARGEST_DRAWN)
    spread = (
        np.exp(random.random(rows) * np.log(width + 1.0)) - 1 if width > 1_000 else random.random(rows) * (width + 1)
    )
    return fact.lo + np.minimum(spread.astype(np.int64), width)


def _compared(rulebook: Rulebook, tasks: Sequence[Task], results: Sequence[Columns]) -> tuple[int, float]:
    """Compare the chosen rows with the compiled function and with the explaining evaluator.

    Returns how many rows the evaluator decided, and its seconds.
    """
    seconds, traced = 0.0, 0
    for task, result in zip(tasks, results, strict=True):
        compiled = rulebook.compiled(task.rule.id, ON)
        for place, index in enumerate(task.chosen):
            facts = facts_at(task, int(index))
            _same(task.rule, result, place, compiled(**facts))
            start = time.perf_counter()
            decision = rulebook.evaluate(task.rule.id, facts, on=ON)
            seconds += time.perf_counter() - start
            _same(task.rule, result, place, decision.outputs)
            traced += 1
    return traced, seconds


def facts_at(task: Task, index: int) -> dict[str, Any]:
    """One row of a task's columns as facts."""
    row: dict[str, Any] = {}
    for fact in task.rule.facts:
        value = task.columns[fact.name][index]
        match fact.type:
            case "enum":
                row[fact.name] = fact.values[int(value)]
            case "bool":
                row[fact.name] = bool(value)
            case "date":
                row[fact.name] = date.min + timedelta(days=int(value) - 1)
            case "list":
                row[fact.name] = tuple(int(item) for item in value)
            case _:
                row[fact.name] = int(value)
    return row


def _same(rule: Rule, result: Columns, index: int, outputs: Columns) -> None:
    for name, wanted in outputs.items():
        value = result[name][index]
        found: Any = tuple(value.tolist()) if isinstance(value, np.ndarray) else value.item()
        if found != (tuple(wanted) if isinstance(wanted, list | tuple) else wanted):
            raise ArithmeticError(f"{rule.id}.{name}: {found} by columns, {wanted} by the evaluator")
