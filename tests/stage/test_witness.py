"""What a crowd's witness finds: a change that nobody wrote down, and one that is written down twice."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from shanhe.kernel import acts
from shanhe.kernel.db import Database
from stage.crowds import ACTED_AT
from stage.witness import Witness

WHO = "crowd:1"
ADD = "INSERT INTO compute.alias (name, changed_by, changed_at) VALUES ('a', 'one', $1)"
CHANGE = "UPDATE compute.alias SET changed_by = $1"
COPY = """INSERT INTO kernel.act (id, at, actor, action, object, org_id, details, door)
          SELECT $1, at, actor, action, object, org_id, details, door FROM kernel.act WHERE actor = $2 LIMIT 1"""


class TestWitness:
    async def act(self, db: Database, query: str, *args: Any) -> None:
        acts.begin(WHO, "test", ACTED_AT)
        try:
            await db.execute(query, *args)
        finally:
            acts.end()

    async def test_finds_nothing_where_each_change_was_written_down(self, database: Database) -> None:
        seen = Witness(database)
        was = await seen.look()
        await self.act(database, ADD, ACTED_AT)
        for by in ("two", "one", "two"):
            await self.act(database, CHANGE, by)
        assert await seen.wrong(was, WHO) == []
        was = await seen.look()
        await self.act(database, "DELETE FROM compute.alias")
        assert "compute.alias:a.changed_by" in await seen.wrong(was, "somebody else")

    async def test_finds_what_nobody_wrote_down(self, database: Database) -> None:
        seen = Witness(database)
        was = await seen.look()
        await self.act(database, ADD, ACTED_AT)
        await database.execute(CHANGE, "two")
        assert await seen.wrong(was, WHO) == ["compute.alias:a.changed_by"]

    async def test_finds_what_was_written_down_twice(self, database: Database) -> None:
        seen = Witness(database)
        await self.act(database, ADD, ACTED_AT)
        was = await seen.look()
        await database.execute(CHANGE, "two")
        await database.execute(COPY, uuid4(), WHO)
        assert "compute.alias:a.changed_by" in await seen.wrong(was, WHO)
