"""Who runs what when several processes share a run: files stay whole, those with a common city stay together.

The longest shifts begin first, so that no process is left alone with one at the end: by the seconds they took last, and
where nobody has run them yet, by a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import inf
from typing import Any

import pytest

LONGEST_FIRST = (
    "tests/clients/", "tests/gateway_e2e/", "tests/privacy/test_erasure.py", "tests/deploy/test_monitoring.py",
    "tests/chaos/", "tests/console/test_journey.py", "tests/platform/test_city.py", "tests/nomads/test_journey.py",
    "tests/kernel/test_jobs.py", "tests/mcp_gateway/", "tests/compute/test_real_model.py", "tests/console/test_page.py",
    "tests/pool/", "tests/studio/", "tests/rulebook/", "tests/ledger/", "tests/economy/", "tests/programmes/",
)  # fmt: skip
"""What begins with these begins first, in this order, where no length is known; the others follow as they are found."""
IN_THE_COMMON_CITY = (
    "tests/clients/test_o", "tests/clients/test_anthropic", "tests/privacy/test_erasure.py", "tests/gateway_e2e/",
    "tests/deploy/test_monitoring.py", "tests/chaos/",
)  # fmt: skip
"""The city is started once, by the process that gets all of these; the last of them kills it in parts."""
WHOLE = ("tests/mcp_gateway/", "tests/clones/")
"""Packages that open something once for all their files."""
NOT_PROVED = "not prove"
"""What `make test` asks for."""


def left_out(marks: Iterable[pytest.Mark]) -> bool:
    return any(mark.name == "prove" for mark in marks)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, obj: object) -> list[pytest.Item] | None:
    """Of proofs that were not asked for no item is made: they are more than all other tests, and every process of a run
    would make them only to throw them away."""
    if collector.config.option.markexpr != NOT_PROVED:
        return None
    own = getattr(obj, "pytestmark", ())
    return [] if left_out(own if isinstance(own, list) else ()) or left_out(collector.iter_markers()) else None


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Iterator[None]:
    """The same for the parameter sets that are marked as proofs; where all are, marks decide as ever."""
    yield
    if metafunc.config.option.markexpr == NOT_PROVED:
        metafunc._calls = [call for call in metafunc._calls if not left_out(call.marks)] or metafunc._calls


def shift(nodeid: str) -> str:
    """What is run by one process in one go: a file, a package, or everything in the common city."""
    if nodeid.startswith(IN_THE_COMMON_CITY):
        return "the common city"
    return next((package for package in WHOLE if nodeid.startswith(package)), nodeid.split("::", 1)[0])


def first_in(names: tuple[str, ...], nodeid: str) -> int:
    return next((place for place, name in enumerate(names) if nodeid.startswith(name)), len(names))


class Lengths:
    """How many seconds each shift took when it was run last: kept in pytest's cache by whoever hands the shifts out."""

    KEY = "shanhe/shifts"

    def __init__(self, config: pytest.Config) -> None:
        self._cache = getattr(config, "cache", None)
        self.known: dict[str, float] = dict(self._cache.get(self.KEY, {})) if self._cache is not None else {}
        self.seen: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seen[shift(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        if self._cache is not None and self.seen:
            self._cache.set(self.KEY, self.known | {name: round(took, 2) for name, took in self.seen.items()})

    def begins(self, nodeid: str) -> tuple[float, int, int]:
        """Measured shifts by their length; before them those that nobody has measured yet, by the list."""
        took = self.known.get(shift(nodeid), inf)
        return (-took, first_in(LONGEST_FIRST, nodeid), first_in(IN_THE_COMMON_CITY, nodeid))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lengths = Lengths(config)
    if not hasattr(config, "workerinput"):  # one process runs everything, packages as wholes
        lengths.known.clear()
    items.sort(key=lambda item: lengths.begins(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Shifts(LoadScopeScheduling):  # type: ignore[misc]
        """Hands out shifts as they come."""

        def _split_scope(self, nodeid: str) -> str:
            return shift(nodeid)

    config.option.loadscopereorder = False
    config.pluginmanager.register(Lengths(config), "lengths of shifts")
    return Shifts(config, log)
