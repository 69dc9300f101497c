"""The pool's benches judge what they saw, and put it where readers find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shanhe.bench import sections
from shanhe.bench.cheats import false_alarms
from shanhe.bench.pool import mixed
from shanhe.bench.pool_calls import Ended, figures
from shanhe.bench.pool_kill import OUTPUT_TOKENS, judged
from shanhe.bench.pool_report import cheating, routing

WHOLE = Ended(200, 12.0, True, "a")
BROKEN = Ended(200, 15.0, False, "b")


def receipt(name: str, status: str, output: int, amount: int = 10) -> dict[str, Any]:
    evidence = {"engine": "node-gpu", "buckets": {"input": 5, "output": output}}
    return {"id": name, "status": status, "amount_micro": amount, "evidence": evidence}


class TestKill:
    def test_finds_nothing_wrong_where_receipts_postings_and_wallet_agree(self) -> None:
        receipts = [receipt("a", "completed", OUTPUT_TOKENS), receipt("b", "broken", 7)]
        found = judged([WHOLE, BROKEN], receipts, [{"id": "a"}, {"id": "b"}], 20, clean=True)
        assert found["wrong_charges"] == found["failed_before_first_token"] == 0
        assert (found["whole"], found["broken_inside"], found["served_by_the_killed"]) == (1, 1, 2)

    def test_counts_a_receipt_without_posting_a_wrong_output_and_a_sum_that_is_off(self) -> None:
        receipts = [receipt("a", "completed", OUTPUT_TOKENS - 1), receipt("b", "broken", OUTPUT_TOKENS + 1)]
        assert judged([WHOLE, BROKEN], receipts, [{"id": "a"}], 21, clean=True)["wrong_charges"] == 4

    def test_counts_a_call_without_a_first_token(self) -> None:
        refused = Ended(502, 0.0, False, "", "no engine")
        assert judged([WHOLE, refused], [], [], 0, clean=True)["failed_before_first_token"] == 1


class TestWorkload:
    def test_mixes_calls_to_the_real_model_in_and_leaves_them_out_without_one(self) -> None:
        assert sum(call.get("real", False) for call in mixed(20, "some-model")) == 4
        assert not any(call.get("real") for call in mixed(20, ""))

    def test_costs_what_the_chips_that_served_it_cost(self) -> None:
        rates = {"node-gpu": {"input": 100_000, "output": 1_000_000}}
        found = figures([WHOLE, BROKEN], [receipt("a", "completed", 5)] * 2, rates)
        assert (found["cost_micro"], found["p95_ttft_ms"], found["served"]) == (10, 15.0, {"node-gpu": 2})


class TestFalseAlarms:
    def test_stay_below_what_the_rule_allows(self) -> None:
        found = false_alarms(500)
        assert all(blamed <= 1 for blamed in found["blamed"].values())


class TestSection:
    def test_is_replaced_as_a_whole_and_leaves_the_others(self, tmp_path: Path) -> None:
        page = tmp_path / "bench.md"
        page.write_text("# Gateway bench\n\nfigures\n", encoding="utf-8")
        sections.put(page, "one", ["old"])
        sections.put(page, "two", ["other"])
        sections.put(page, "one", ["new"])
        text = page.read_text(encoding="utf-8")
        assert "old" not in text
        assert text.index("figures") < text.index("new") < text.index("other")
        assert sections.kept(page).count("<!-- end ") == 2

    def test_says_what_was_found(self) -> None:
        one = {"p50_ttft_ms": 1.0, "p95_ttft_ms": 2.0, "cost_micro_per_mtok": 3, "served": {"node-gpu": 4}}
        killed = judged([WHOLE], [receipt("a", "completed", OUTPUT_TOKENS)], [], 10, clean=False)
        text = "\n".join(routing({"policies": {"expected": one}, "beats_in_p95": False, "beats_in_cost": True,
                                  "killed": killed}))  # fmt: skip
        assert "p95: NO; in cost: yes" in text
        assert "1 wrong charges, `ledger verify` NOT CLEAN" in text

    def test_names_the_honest_node(self) -> None:
        node = {"cheat": "", "state": "active", "calls": 200, "checks": {"count": [20, 0]}, "earned_micro": 5,
                "kept_micro": 5}  # fmt: skip
        alarms = {"nodes": 10, "checks_each": 20, "allowed_ppm": 100, "blamed": {"count": 0}}
        text = "\n".join(cheating({"nodes": [node], "ledger_clean": True, "false_alarms": alarms}))
        assert "| honest | active | 200 | count 0 of 20 | 5 | 5 |" in text
