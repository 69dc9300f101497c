"""A ledger and a log on one fresh database, with a data folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.ledger.conftest import TERMS, Books, open_books

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Feed, Ledger
from shanhe.log.service import Log

ORIGIN = "city.example/log"


@dataclass
class Town:
    """What a test of the log needs; `log()` opens another process's view of it."""

    db: Database
    clock: FixedClock
    data: Path
    books: Books
    opened: list[Log] = field(default_factory=list)

    def log(self, worker: str = "jobs") -> Log:
        vault = Vault(self.data / "keys")
        log = Log(self.db, self.clock, vault, data=self.data, origin=lambda: ORIGIN, feed=Feed(self.db), worker=worker)
        self.opened.append(log)
        return log

    async def post(self, count: int = 1) -> list[object]:
        """Some postings of calls; their ids."""
        wallet = await self.books.wallet(count * 1000)
        return list(await asyncio.gather(*(self.books.call(wallet, 10) for _ in range(count))))


@pytest.fixture
async def town(database: Database, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Town]:
    ledger = Ledger(database, clock, worker="one", workers=2, terms=lambda _: TERMS)
    await ledger.start()
    yield Town(database, clock, tmp_path, await open_books(ledger))
    await ledger.stop()
