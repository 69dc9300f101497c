"""The same rules written again for OpenFisca, an engine of its own: both agree as far as its 32-bit floats reach."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

import numpy as np
import pytest

from shanhe.rulebook.api import Rulebook

ON = date(2026, 3, 1)
PERIOD = "2026-03"
ROWS = 2_000
FLOAT32_PARTS = 2**-22  # of the largest input: a 24-bit mantissa, and differences that cancel digits
RULES = Rulebook.load()

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    openfisca = pytest.importorskip("openfisca_core")
    from openfisca_core.entities import build_entity
    from openfisca_core.periods import MONTH
    from openfisca_core.simulations import SimulationBuilder
    from openfisca_core.taxbenefitsystems import TaxBenefitSystem
    from openfisca_core.variables import Variable

Person = build_entity(key="person", plural="persons", label="A resident or a company", is_person=True)


def variable(name: str, formula: Any = None, kind: type = float) -> type[Any]:
    body: dict[str, Any] = {"value_type": kind, "entity": Person, "definition_period": MONTH, "label": name}
    if formula is not None:
        body["formula"] = formula
    return type(name, (Variable,), body)


def discount(person: Any, period: Any) -> Any:
    rate = np.where(person("eligible", period), 0.3, 0.0)
    return np.minimum(person("value_fen", period) * rate, np.maximum(1e8 - person("benefit_used_fen", period), 0))


def referral(person: Any, period: Any) -> Any:
    base = np.minimum(person("paid_in_at_settlement_fen", period), person("paid_in_now_fen", period))
    quality = np.where(person("indexed", period), 0.5 + person("index", period) / 10_000, 1.0)
    return np.minimum(base * 0.01, 2e7) * quality


def course_fee(person: Any, period: Any) -> Any:
    gross = person("gross_fen", period)
    tiers = np.minimum(gross, 5e6) * 0.2 + np.clip(gross - 5e6, 0, 5e6) * 0.15 + np.maximum(gross - 1e7, 0) * 0.1
    return np.where(person("month_number", period) < 6, gross * 0.2, tiers)


def usage_bonus(person: Any, period: Any) -> Any:
    return np.maximum(person("captured_micro", period) - 1e10, 0) * 0.05


def qualifies(person: Any, period: Any) -> Any:
    return (person("days_present", period) >= 90) & ~person("insured_here", period) & ~person("resident", period)


def computed(inputs: dict[str, Any], name: str, formula: Any, kind: type = float) -> Any:
    """What OpenFisca makes of the columns."""
    system = TaxBenefitSystem([Person])
    for key, column in inputs.items():
        system.add_variable(variable(key, kind=bool if column.dtype == bool else float))
    system.add_variable(variable(name, formula, kind))
    simulation = SimulationBuilder().build_default_simulation(system, count=ROWS)
    for key, column in inputs.items():
        simulation.set_input(key, PERIOD, column)
    return simulation.calculate(name, PERIOD)


def agree(ours: Any, theirs: Any, largest: int) -> None:
    assert theirs.dtype == np.float32
    assert np.abs(ours - theirs.astype(np.float64)).max() <= 1 + largest * FLOAT32_PARTS


RANDOM = np.random.default_rng(20_260_101)


def amounts(most: int) -> Any:
    return RANDOM.integers(0, most, ROWS)


class TestOpenFisca:
    def test_gives_the_same_discount(self) -> None:
        category = RANDOM.integers(0, 7, ROWS)
        facts = {"value_fen": amounts(10**8), "benefit_used_fen": amounts(2 * 10**8)}
        ours = RULES.vector("P1", ON)({"category": category, **facts})["benefit_fen"]
        agree(ours, computed({"eligible": category != 6, **facts}, "benefit", discount), 2 * 10**8)

    def test_gives_the_same_referral_reward(self) -> None:
        facts = {"paid_in_at_settlement_fen": amounts(3 * 10**9), "paid_in_now_fen": amounts(3 * 10**9),
                 "indexed": amounts(2) == 1, "index": amounts(10_001)}  # fmt: skip
        rest = {"instalment": np.ones(ROWS, dtype=int), "company_here": np.ones(ROWS, dtype=bool)}
        settled = {"settled_on": np.full(ROWS, ON.toordinal())}
        ours = RULES.vector("I1", ON)({**facts, **rest, **settled})["reward_fen"]
        agree(ours, computed(facts, "reward", referral), 3 * 10**9)

    def test_gives_the_same_course_fee(self) -> None:
        facts = {"month_number": amounts(12), "gross_fen": amounts(3 * 10**7)}
        agree(RULES.vector("B1", ON)(facts)["fee_fen"], computed(facts, "fee", course_fee), 3 * 10**7)

    def test_gives_the_same_bonus(self) -> None:
        facts = {"captured_micro": amounts(10**11)}
        agree(RULES.vector("T12", ON)(facts)["bonus_micro"], computed(facts, "bonus", usage_bonus), 10**11)

    def test_finds_the_same_nomads(self) -> None:
        facts = {"days_present": amounts(180), "insured_here": amounts(2) == 1, "resident": amounts(3) == 0}
        ours = RULES.vector("N1", ON)({**facts, "applied_on": np.full(ROWS, ON.toordinal())})["qualifies"]
        assert np.array_equal(ours, computed(facts, "nomad", qualifies, bool))
