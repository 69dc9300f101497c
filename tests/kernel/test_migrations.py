"""Migrations apply once, in order, and refuse to be rewritten."""

from __future__ import annotations

import pytest

from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict
from shanhe.kernel.migrations import discover, migrate


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

    def test_has_an_ordinal_that_no_other_has(self) -> None:
        ordinals = [migration.ordinal for migration in discover()]
        assert ordinals == sorted(set(ordinals))
