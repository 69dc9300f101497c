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

    async def test_refuses_a_database_that_a_newer_program_has_used(self, database: Database) -> None:
        await database.execute("INSERT INTO kernel.migration VALUES (9999, 'kernel', 'later', 'x', now())")
        with pytest.raises(Conflict, match="newer version") as refused:
            await migrate(database)
        assert refused.value.code == "database_newer"
        assert "9999" in refused.value.message_zh

    async def test_says_how_far_it_is_and_goes_on_after_a_kill(self, empty_dsn: str) -> None:
        """Each is a transaction of its own: whoever starts next applies the rest."""
        seen: list[tuple[int, int]] = []

        def killed(done: int, total: int) -> None:
            seen.append((done, total))
            if done == 3:
                raise KeyboardInterrupt

        db = await Database.open(empty_dsn, size=1)
        try:
            with pytest.raises(KeyboardInterrupt):
                await migrate(db, progress=killed)
            known = [m.ordinal for m in discover()]
            assert seen == [(number, len(known)) for number in range(4)]
            assert await db.fetchval("SELECT count(*) FROM kernel.migration") == 3
            rest: list[tuple[int, int]] = []
            await migrate(db, progress=lambda done, total: rest.append((done, total)))
            assert rest[-1] == (len(known) - 4, len(known) - 3)
        finally:
            await db.close()

    def test_has_an_ordinal_that_no_other_has(self) -> None:
        ordinals = [migration.ordinal for migration in discover()]
        assert ordinals == sorted(set(ordinals))
