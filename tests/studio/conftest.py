"""A studio for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.studio.house import House

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.ledger.api import Ledger


@pytest.fixture
async def house(database: Database, clock: FixedClock, tmp_path: Path) -> AsyncIterator[House]:
    ledger = Ledger(database, clock)
    await ledger.start()
    made = House(database, clock, tmp_path, ledger)
    await made.open()
    yield made
    await ledger.stop()
