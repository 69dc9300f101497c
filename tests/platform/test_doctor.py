"""The doctor asks the database how many connections it allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from shanhe.doctor import examine
from shanhe.kernel.db import Database
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
