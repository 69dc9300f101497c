"""`shanhe rules show` and `eval` tell a clerk what a rule says and why, in both languages."""

from __future__ import annotations

import re

from typer.testing import CliRunner

from shanhe.cli.rules import app


def said(*args: str) -> str:
    """What a command prints, in one line."""
    done = CliRunner().invoke(app, list(args), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return re.sub(r"\s+", " ", done.output)


class TestShow:
    def test_tells_facts_values_with_their_mark_formula_and_examples(self) -> None:
        text = said("show", "T12")
        assert "captured_micro: 本月以自购与奖励批次支付的用量" in text
        assert "2025-01-01: 5% (bps, 设定 assumed) 与合理利润留出余地 · Leaves room within the margin" in text
        assert "bonus_micro = max(captured_micro - threshold, 0) * rate" in text
        assert "twice the threshold" in text
        assert "(fen, 原文给定 given)" in said("show", "P1")

    def test_of_a_day_tells_what_held_then(self) -> None:
        assert "2024-01-01: 50%" in said("show", "F1", "--on", "2026-01-01") + said("show", "F1", "--on", "2024-06-01")
        assert "2024-01-01: 50%" not in said("show", "F1", "--on", "2026-01-01")


class TestEval:
    def test_tells_the_result_the_steps_and_what_would_change_it(self) -> None:
        facts = '{"insured_here": false, "resident": false, "days_present": 78, "applied_on": "2026-11-27"}'
        text = said("eval", "N1", "--facts", facts, "--on", "2026-11-27")
        assert "还差天数 · Days missing: 12" in text
        assert "取大（90 − 78，0） · the larger of (90 − 78, 0) = 12" in text
        assert "增加 12（至 90）" in text
        assert "With 12 more" in text
