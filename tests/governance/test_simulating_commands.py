"""`shanhe rules simulate`: a file that nobody proposed yet, over purchases that the city recorded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from shanhe.cli import app as shanhe
from shanhe.kernel.clock import SystemClock, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.rulebook.api import Rulebook, last_month

BOOK = Rulebook.load()
BOUGHT = """INSERT INTO credits.purchase (id, org_id, client_ref, source, method, actor, beneficiary, year, value_fen,
              benefit_fen, paid_fen, purchased_micro, subsidy_micro, list_price_fen, category, rule_version, trace,
              state, posting_id, created_at, checked_at, decided_at)
            VALUES ($1, $1, 'a', 'payer', 't', 't', $2, 2026, 10000, 3000, 7000, 70000000, 30000000, 100, 'resident',
              $3, $4, 'posted', $1, $5, $5, $5)"""
ROWS = """\
parameters:
  discount:
    - {from: 2099-01-01, announced: 2098-01-01, value: 2500, given: true}
"""


async def bought(dsn: str, people: int) -> None:
    today = SystemClock().today()
    facts = {"category": "resident", "value_fen": 10_000, "benefit_used_fen": 0}
    made = BOOK.evaluate("P1", facts, on=today)
    db = await Database.open(dsn, size=1)
    try:
        for n in range(people):
            await db.execute(BOUGHT, new_id(), UUID(int=n), made.version, made.trace, midnight(last_month(today)[0]))
    finally:
        await db.close()


def ask(*words: object) -> Any:
    result = CliRunner().invoke(shanhe, [str(word) for word in (*words, "--json")])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class TestSimulate:
    def test_a_file_over_recorded_purchases(self, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", dsn)
        monkeypatch.setenv("DATA", str(tmp_path))
        asyncio.run(bought(dsn, 6))
        (tmp_path / "p1.yaml").write_text(ROWS, encoding="utf-8")
        table = tmp_path / "t.csv"
        found = ask("rules", "simulate", "P1", "--proposed", tmp_path / "p1.yaml", "--csv", table)
        (section,) = found["sections"]
        assert (section["key"], section["people"], section["lose"]) == ("purchases", 6, 6)
        assert [(one["before"], one["after"]) for one in section["amounts"]] == [(18_000, 15_000), (42_000, 45_000)]
        assert "purchases,amount,benefit_fen,fen,,18000,15000,-3000" in table.read_text(encoding="utf-8")
        day = str(last_month(SystemClock().today())[1])
        nothing = ask("rules", "simulate", "P1", "--proposed", tmp_path / "p1.yaml", "--from", day, "--to", day)
        assert nothing["sections"] == []
        assert nothing["unrecorded"][0]["rule"] == "P1_resident_discount"
