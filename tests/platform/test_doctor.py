"""The doctor asks the database how many connections it allows, and whether the rules take what was decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from shanhe.doctor import examine
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.rulebook import store
from shanhe.rulebook.api import RuleAmendment
from shanhe.settings import Settings


class TestDoctor:
    @pytest.mark.parametrize(("workers", "enough"), [(1, True), (200, False)])
    async def test_counts_the_connections_that_a_machine_may_hold(
        self, database: Database, tmp_path: Path, workers: int, enough: bool
    ) -> None:
        settings = Settings(data=tmp_path, database_url=database.dsn, workers=workers)
        (finding,) = [one for one in await examine(settings) if one.check == "connections"]
        assert finding.ok is enough
        assert (f"may hold {settings.connections} of them" in finding.advice) is not enough

    async def test_says_which_amendment_a_release_cannot_take(
        self, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        settings = Settings(data=tmp_path, database_url=database.dsn)
        (finding,) = [one for one in await examine(settings) if one.check == "rulebook"]
        assert finding.ok
        row = {"from": "2027-01-01", "announced": "2026-11-20", "value": 1, "given": True}
        unfit = RuleAmendment(str(new_id()), "C3_asset_statement", {"parameters": {"gone": [row]}}, "council")
        await store.add(database.writes, unfit, clock.now())
        (finding,) = [one for one in await examine(settings) if one.check == "rulebook"]
        assert not finding.ok
        assert "'gone'" in finding.found
        assert "set-aside" in finding.advice
