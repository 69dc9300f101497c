"""A listener says when it begins to hear, so that nothing that was read before stays old unnoticed."""

from __future__ import annotations

import asyncio

from shanhe.kernel.db import Database

LIMIT_S = 20


class TestListener:
    async def test_begins_to_hear_in_its_own_time_and_says_so_at_the_first_time_too(self, database: Database) -> None:
        began, heard = asyncio.Event(), asyncio.Queue[str]()
        database.listen("news", heard.put_nowait, on_connect=began.set)
        async with asyncio.timeout(LIMIT_S):
            await began.wait()
            await database.execute("SELECT pg_notify('news', 'rain')")
            assert await heard.get() == "rain"
            began.clear()
            await database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%news%'"
                                   " AND pid <> pg_backend_pid()")  # fmt: skip
            await began.wait()
