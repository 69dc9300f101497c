"""How many examples a property is tried on: a quarter of them by default, all of them in `make prove`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

ALL = 100
"""Examples of a property that says nothing else, where all are tried."""
ONE_IN = 4
LEAST = 5
THOROUGH = "thorough"
LENIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""A busy machine is no reason to fail."""
settings.register_profile("quick", max_examples=ALL // ONE_IN, **LENIENT)
settings.register_profile(THOROUGH, max_examples=ALL, **LENIENT)
settings.load_profile("quick")


def draws(many: int) -> int:
    """The share of `many` examples that this run's profile tries."""
    return max(min(LEAST, many), many * settings().max_examples // ALL)


def pytest_configure(config: pytest.Config) -> None:
    """By default hypothesis tries what the strategies draw, and not the constants of our sources, too: for those it
    reads eight hundred files, in every process, and looks again whenever a module was imported."""
    if config.getoption("--hypothesis-profile", None) != THOROUGH and hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = lambda: providers._local_constants
