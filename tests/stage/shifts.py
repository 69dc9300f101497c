"""Who runs what when several processes share a run: files stay whole, those with a common city stay together.

The longest shifts begin first, so that no process is left alone with one at the end.
"""

from __future__ import annotations

from typing import Any

import pytest

LONGEST_FIRST = (
    "tests/console/test_journey.py",
    "tests/agents/test_real_model.py",
    "tests/clients/test_openai_python.py",
    "tests/clients/test_openai_npm.py",
    "tests/clients/test_anthropic_python.py",
    "tests/clients/test_other_clients.py",
    "tests/clients/test_openai_batches.py",
    "tests/privacy/test_erasure.py",
    "tests/gateway_e2e/",
    "tests/chaos/",
    "tests/platform/test_city.py",
    "tests/compute/test_real_model.py",
    "tests/economy/",
    "tests/programmes/test_load.py",
    "tests/nomads/test_journey.py",
    "tests/mcp_gateway/",
    "tests/rulebook/",
    "tests/pool/",
    "tests/ledger/",
    "tests/kernel/",
)
"""What begins with these begins first, in this order; the others follow as they are found."""
IN_THE_COMMON_CITY = (
    "tests/clients/test_o", "tests/clients/test_anthropic", "tests/privacy/test_erasure.py", "tests/gateway_e2e/",
    "tests/chaos/",
)  # fmt: skip
"""The city is started once, by the process that gets all of these; the last of them kills it in parts."""


def begins(nodeid: str) -> int:
    return next((place for place, name in enumerate(LONGEST_FIRST) if nodeid.startswith(name)), len(LONGEST_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: begins(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Shifts(LoadScopeScheduling):  # type: ignore[misc]
        """One shift for each file, and one for all files in the common city."""

        def _split_scope(self, nodeid: str) -> str:
            return "the common city" if nodeid.startswith(IN_THE_COMMON_CITY) else nodeid.split("::", 1)[0]

    config.option.loadscopereorder = False
    return Shifts(config, log)
