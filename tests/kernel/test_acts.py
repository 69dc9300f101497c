"""Acts: whoever changes something for the city is written down beside it, and stays written down."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.privacy.test_inventory import listed

from shanhe.kernel import acts, yaml
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

UNWATCHED: dict[str, list[str]] = yaml.read((Path(__file__).parent / "unwatched.yaml").read_text(encoding="utf-8"))
SHOWN = {"code", "actor", "public", "office"}
"""Kinds of texts (tests/privacy/columns.yaml) that a record which outlives an erasure may show."""
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
WATCHED = """
  SELECT tgrelid::regclass::text AS place, encode(tgargs, 'escape') AS told FROM pg_trigger WHERE tgname = 'acts'
"""
PLACES = """
  SELECT table_schema || '.' || table_name AS place FROM information_schema.tables
   WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


async def written(db: Database) -> list[Any]:
    return await db.fetch("SELECT * FROM kernel.act ORDER BY id")


async def seat(db: Database, who: object, department: str = "finance") -> None:
    await db.execute("INSERT INTO governance.seat VALUES ($1, $2, 'cli', $3)", who, department, NOON)


class TestAct:
    async def test_is_written_beside_the_change_with_what_was_and_what_became(self, database: Database) -> None:
        person = new_id()
        acts.begin("person:clerk", "POST /api/governance/seats", NOON)
        await seat(database, person)
        await database.execute("UPDATE governance.seat SET department = 'science'")
        await database.execute("UPDATE governance.seat SET department = 'science'")  # changes nothing
        await database.execute("DELETE FROM governance.seat")
        acts.end()
        rows = await written(database)
        assert [row["action"] for row in rows] == [f"governance.seat.{what}" for what in ("add", "change", "remove")]
        assert {(row["actor"], row["door"], row["at"]) for row in rows} == {
            ("person:clerk", "POST /api/governance/seats", NOON)
        }
        assert rows[1]["details"] == {"before": {"department": "finance"}, "after": {"department": "science"}}
        assert rows[1]["object"] == f"governance.seat:{person}/finance"
        assert rows[2]["details"]["before"]["added_by"] == "cli"

    async def test_is_not_there_where_nobody_acts_for_the_city(self, database: Database) -> None:
        await seat(database, new_id())
        assert await written(database) == []

    async def test_is_not_there_without_the_change(self, database: Database) -> None:
        acts.begin("person:clerk", "POST /x", NOON)
        with pytest.raises(RuntimeError):
            async with database.transaction() as conn:
                await conn.execute("INSERT INTO governance.seat VALUES ($1, 'x', 'cli', $2)", new_id(), NOON)
                raise RuntimeError
        acts.end()
        assert await written(database) == []

    async def test_names_nobody_whose_request_only_woke_a_task_for_many(self, database: Database) -> None:
        acts.begin("person:clerk", "POST /x", NOON)
        await asyncio.create_task(seat(database, new_id()))
        acts.end()
        assert await written(database) == []

    async def test_ends_with_its_transaction_on_a_connection_that_others_use_next(self, dsn: str) -> None:
        db = await Database.open(dsn, size=1)
        try:
            acts.begin("person:clerk", "POST /x", NOON)
            await seat(db, new_id())
            acts.end()
            await seat(db, new_id())
            assert len(await written(db)) == 1
        finally:
            await db.close()

    async def test_keeps_the_order_of_many_in_one_transaction(self, database: Database) -> None:
        acts.begin("person:clerk", "POST /x", NOON)
        async with database.transaction() as conn:
            for n in range(40):
                await conn.execute("INSERT INTO governance.seat VALUES ($1, $2, 'cli', $3)", new_id(), f"{n:02}", NOON)
        acts.end()
        rows = await written(database)
        assert [row["details"]["after"]["department"] for row in rows] == [f"{n:02}" for n in range(40)]

    async def test_says_of_a_text_of_a_person_only_that_it_changed(self, database: Database) -> None:
        acts.begin("person:clerk", "POST /x", NOON)
        await database.execute(
            """INSERT INTO privacy.request (id, person_id, kind, state, asked, asked_at, due_at)
               VALUES ($1, $2, 'other', 'open', $3, $4, $4)""",
            new_id(), new_id(), b"my name is", NOON,
        )  # fmt: skip
        acts.end()
        (row,) = await written(database)
        assert "asked" in row["details"]["hidden"]
        assert "asked" not in row["details"]["after"]
        assert row["details"]["after"]["state"] == "open"

    async def test_cuts_what_is_long(self, database: Database) -> None:
        acts.begin("person:clerk", "POST /" + "x" * 500, NOON)
        await database.execute(
            "INSERT INTO governance.seat VALUES ($1, 'x', $2, $3)", new_id(), "person:" + "0" * 900, NOON
        )
        acts.end()
        (row,) = await written(database)
        assert len(row["details"]["after"]["added_by"]) == len(row["door"]) == 200

    @pytest.mark.parametrize("change", ["UPDATE kernel.act SET actor = 'x'", "DELETE FROM kernel.act",
                                        "TRUNCATE kernel.act"])  # fmt: skip
    async def test_stays_as_it_was_written(self, database: Database, change: str) -> None:
        await acts.note(database, "cli", "sign_in", "person:x", None, NOON)
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await database.execute(change)

    async def test_of_a_command_names_the_login_of_whose_terminal_it_is(self, database: Database) -> None:
        acts.begin("cli:clerk", "shanhe people role", NOON)
        await acts.note(database, "cli", "role.grant", "person:x", {"role": "operator"}, NOON)
        await acts.note(database, "person:y", "sign_in", "person:y", None, NOON)
        acts.end()
        assert [(row["actor"], row["door"]) for row in await written(database)] == [
            ("cli:clerk", "shanhe people role"), ("person:y", "shanhe people role"),
        ]  # fmt: skip


class TestWatch:
    async def test_is_over_every_table_or_the_reason_why_not_is_written(self, database: Database) -> None:
        every = {row["place"] for row in await database.fetch(PLACES)}
        watched = {row["place"] for row in await database.fetch(WATCHED)}
        excused = [place for places in UNWATCHED.values() for place in places]
        assert sorted(every - watched - set(excused)) == [], "watch it (kernel.watch) or say in unwatched.yaml why not"
        assert sorted(set(excused) & watched) == []
        assert sorted(set(excused) - every) == []
        assert len(excused) == len(set(excused))

    async def test_shows_no_text_in_which_a_person_could_be_read(self, database: Database) -> None:
        kinds = listed()
        for row in await database.fetch(WATCHED):
            texts = [name for name in row["told"].split("\\000")[1].split(",") if name]
            assert {name: kinds[row["place"], name] for name in texts if kinds[row["place"], name] not in SHOWN} == {}

    async def test_finds_whose_it_is_where_a_table_says_so(self, database: Database) -> None:
        """`org_id` of a watched table is an id: the record's own column takes nothing else."""
        wrong = await database.fetch(
            """SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_trigger ON tgrelid = attrelid
               WHERE tgname = 'acts' AND attname = 'org_id' AND atttypid <> 'uuid'::regtype"""
        )
        assert wrong == []
