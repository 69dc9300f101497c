"""Amendments are rows: proved before they are written, never changed after."""

from __future__ import annotations

from datetime import date
from typing import Any

import asyncpg
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.ids import new_id
from shanhe.rulebook.api import RuleAmendment, Rulebook, RuleFileInvalid, load_amended, record

LATER = date(2027, 1, 1)


def discount(value: Any = 2500, **more: Any) -> dict[str, Any]:
    row = {"from": "2027-01-01", "announced": "2026-11-20", "value": value, "given": True}
    return {"parameters": {"discount": [row]}, **more}


def amendment(content: dict[str, Any], identifier: str = "") -> RuleAmendment:
    return RuleAmendment(identifier or str(new_id()), "P1_resident_discount", content, "council 2026-14", "lower rate")


class TestAmendmentRows:
    async def test_survive_and_are_layered_in_order(self, database: Database, clock: FixedClock) -> None:
        rulebook = await load_amended(database)
        rulebook = await record(database, clock, rulebook, amendment(discount()))
        assert rulebook.parameter("P1", "discount", LATER) == 2500
        again = await load_amended(database)
        assert again.parameter("P1", "discount", LATER) == 2500
        assert again.parameter("P1", "discount", date(2026, 12, 31)) == 3000
        assert again.rule("P1").content_hash == rulebook.rule("P1").content_hash

    async def test_are_idempotent_by_id(self, database: Database, clock: FixedClock) -> None:
        base, first = await load_amended(database), amendment(discount())
        await record(database, clock, base, first)
        await record(database, clock, base, first)
        assert await database.fetchval("SELECT count(*) FROM rulebook.amendment") == 1
        with pytest.raises(Conflict):
            await record(database, clock, base, amendment(discount(2000), first.id))

    async def test_that_fail_a_proof_are_not_recorded(self, database: Database, clock: FixedClock) -> None:
        base = await load_amended(database)
        wrong = {"name": "wrong", "on": "2027-02-01", "facts": {"value_fen": 100, "category": "resident"}}
        with pytest.raises(Invalid, match="example"):
            await record(
                database, clock, base, amendment(discount(examples=[wrong | {"outputs": {"benefit_fen": 30}}]))
            )
        with pytest.raises(RuleFileInvalid):
            await record(database, clock, base, amendment(discount("a lot")))
        assert await database.fetchval("SELECT count(*) FROM rulebook.amendment") == 0

    @pytest.mark.parametrize(
        "statement",
        ["UPDATE rulebook.amendment SET note = 'x'", "DELETE FROM rulebook.amendment", "TRUNCATE rulebook.amendment"],
    )
    async def test_are_never_changed(self, database: Database, clock: FixedClock, statement: str) -> None:
        await record(database, clock, Rulebook.load(), amendment(discount()))
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await database.execute(statement)
