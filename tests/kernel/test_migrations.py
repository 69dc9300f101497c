"""Migrations apply once, in order, and refuse to be rewritten."""

from __future__ import annotations

import pytest

from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict
from shanhe.kernel.migrations import discover, migrate

POOL = {"compute": range(300, 310), "gateway": range(310, 315)}
"""What the compute pool added to other modules."""


class TestMigration:
    async def test_runs_once(self, empty_dsn: str) -> None:
        db = await Database.open(empty_dsn)
        try:
            assert [m.ordinal for m in await migrate(db)] == [m.ordinal for m in discover()]
            assert await migrate(db) == []
        finally:
            await db.close()

    async def test_refuses_a_file_that_changed_after_it_was_applied(self, database: Database) -> None:
        await database.execute("UPDATE kernel.migration SET sha256 = 'other'")
        with pytest.raises(Conflict, match="edited after it was applied"):
            await migrate(database)

    def test_keeps_the_ordinals_of_its_module(self) -> None:
        first = {"kernel": 1, "ledger": 10, "identity": 20, "rulebook": 30, "compute": 40, "payments": 50}
        first |= {"credits": 60, "gateway": 70, "console": 80, "log": 110, "approvals": 150, "exchange": 160}
        first |= {"reconcile": 139, "facts": 210, "programmes": 220}
        later = {"ledger": (111, 112, *range(120, 130)), "payments": range(130, 140), "credits": range(140, 150)}
        later["compute"] = (134,)
        later |= {"rulebook": range(200, 205)}
        for migration in discover():
            start = (first | {"pool": 300})[migration.module] // 10 * 10
            own = {*range(start, start + 10), *later.get(migration.module, ()), *POOL.get(migration.module, ())}
            assert migration.ordinal in own, migration
