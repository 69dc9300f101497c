"""A pool of connections: nobody waits for one for ever."""

from __future__ import annotations

import pytest

from shanhe.kernel import db
from shanhe.kernel.db import Database


class TestPool:
    async def test_whoever_keeps_the_last_connection_and_asks_for_another_is_told(
        self, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "ACQUIRE_TIMEOUT_S", 0.05)
        one = await Database.open(dsn, size=1)
        try:
            async with one.transaction() as conn:
                assert await conn.fetchval("SELECT 1") == 1
                with pytest.raises(TimeoutError):
                    await one.fetchval("SELECT 2")
                with pytest.raises(TimeoutError):
                    async with one.transaction():
                        pass
            assert await one.fetchval("SELECT 3") == 3
        finally:
            await one.close()
