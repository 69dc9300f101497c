"""The doctor asks the database how many connections it allows, and whether the rules take what was decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from shanhe.approvals.api import Approvals
from shanhe.doctor import Finding, examine
from shanhe.kernel import acts
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

    async def test_says_what_one_login_asked_for_and_agreed_to_alone(
        self, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        """`--by` is what it is told; the acts say whose terminal it was."""
        approvals = Approvals(database, clock)
        settings = Settings(data=tmp_path, database_url=database.dsn)

        async def decided(first: str, second: str, *, agreed: bool = True) -> Finding:
            request = new_id()
            until = clock.now() + timedelta(days=1)
            for who, by in ((first, "one"), (second, "another")):
                acts.begin(who, "approvals", datetime.now(UTC))
                try:
                    if by == "one":
                        await approvals.request("tests.move", "x", {}, by=by, expires_at=until, request_id=request)
                    elif agreed:
                        await approvals.approve(request, by=by)
                    else:
                        await approvals.withdraw(request, by="one")
                finally:
                    acts.end()
            (finding,) = [one for one in await examine(settings) if one.check == "four eyes"]
            return finding

        assert (await decided("cli:li", "cli:wang")).ok
        assert (await decided("cli:li", f"person:{new_id()}")).ok
        assert (await decided("cli:li", "cli:li", agreed=False)).ok, "taking back is no word"
        finding = await decided("cli:li", "cli:li")
        assert (finding.ok, finding.found[:2]) == (False, "1 ")

    async def test_says_who_has_to_make_the_extension_of_knowledge_bases(self, empty_dsn: str, tmp_path: Path) -> None:
        """A role that may not do it met a start that failed at its eightieth migration."""
        owner = await asyncpg.connect(empty_dsn)
        name = f"clerk_{new_id().hex}"
        try:
            await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
            parts = urlsplit(empty_dsn)
            theirs = empty_dsn.replace(parts.netloc.partition("@")[0], f"{name}:x", 1)
            (found,) = await self.extension(theirs, tmp_path)
            assert (found.ok, "CREATE EXTENSION vector" in found.advice) == (False, True)
            await owner.execute("CREATE EXTENSION vector")
            (found,) = await self.extension(theirs, tmp_path)
            assert found.ok
        finally:
            await owner.execute(f"DROP ROLE {name}")
            await owner.close()

    async def extension(self, dsn: str, folder: Path) -> list[Finding]:
        settings = Settings(data=folder, database_url=dsn)
        return [one for one in await examine(settings) if one.check == "extension"]
