from __future__ import annotations

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from workflows.house import House


@pytest.fixture
def house(database: Database, clock: FixedClock) -> House:
    return House(database, clock)
