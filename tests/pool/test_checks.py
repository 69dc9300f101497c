"""The test that decides when a node cheats: sound for the honest, quick for cheats."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.cli.nodes import _why
from shanhe.pool.checks import ANSWERS_KEPT, REPLAY_MIN_BYTES, Memory, canary, disagrees, miscounted, refuses
from shanhe.pool.messages import CHECKS
from shanhe.pool.model import Verdict
from shanhe.pool.suspicion import AuditTerms, Check, Suspicion, Tolerance, beside_peers

TERMS = AuditTerms(
    100, 10_000, 8, 1_000, 250, 4, 500,
    {Check.COUNT: Tolerance(100, 5_000), Check.ANSWER: Tolerance(1_000, 7_000), Check.REPLAY: Tolerance(100, 3_000),
     Check.REFUSAL: Tolerance(200, 4_000)},
)  # fmt: skip
HONEST_NODES = 12


def run(tolerance: Tolerance, share: float, checks: int, seed: int) -> int | None:
    """The check at which a node with this share of failures is blamed, None if never."""
    coins, test = random.Random(seed), Suspicion()
    for number in range(1, checks + 1):
        test.add(coins.random() < share, tolerance, TERMS.epoch_checks)
        if test.score >= TERMS.threshold:
            return number
    return None


class TestHonestNode:
    @pytest.mark.parametrize("check", list(Check))
    def test_is_not_quarantined_over_ten_thousand_checks_at_the_worst_that_is_honest(self, check: Check) -> None:
        # Each of these nodes is blamed with a chance of at most 1 in 10,000: none in 12, but for one run in 800.
        tolerance = TERMS.tolerances[check]
        blamed = [run(tolerance, tolerance.honest_bps / 10_000, 10_000, seed) for seed in range(HONEST_NODES)]
        assert blamed == [None] * HONEST_NODES

    @given(st.sampled_from(list(Check)), st.integers(0, 10_000), st.integers(1, 200))
    def test_gains_no_evidence_on_average(self, check: Check, spent: int, checks: int) -> None:
        """The heart of the proof: under honesty one more check multiplies the expected evidence by one."""
        tolerance = TERMS.tolerances[check]
        share = tolerance.honest_bps / 10_000
        before = Suspicion(checks, 0, spent / 7)
        failed, passed = (Suspicion(before.checks, 0, before.score) for _ in range(2))
        failed.add(True, tolerance, TERMS.epoch_checks)
        passed.add(False, tolerance, TERMS.epoch_checks)
        expected = share * failed.score + (1 - share) * passed.score
        assert expected == pytest.approx(before.score + 1 / TERMS.epoch_checks)

    def test_is_judged_beside_its_peers(self) -> None:
        usual = TERMS.tolerances[Check.REFUSAL]
        assert beside_peers(usual, 0, 0) == usual
        assert beside_peers(usual, 0, 1_000) == usual
        assert beside_peers(usual, 200, 1_000).honest_bps == 3_000
        assert beside_peers(usual, 900, 1_000) == Tolerance(3_333, 6_666)

    def test_is_judged_anew_with_every_epoch(self) -> None:
        """What a long life gathers counts for nothing: the chance to be blamed holds for an epoch."""
        test, tolerance = Suspicion(10_000, 30, 9_000.0), TERMS.tolerances[Check.COUNT]
        test.add(False, tolerance, TERMS.epoch_checks)
        assert test.score < 1
        assert (test.checks, test.failures) == (10_001, 30)

    def test_is_blamed_as_rarely_as_the_rule_says(self) -> None:
        assert TERMS.threshold == 10_000


class TestCheat:
    @pytest.mark.parametrize(("check", "most"), [("count", 5), ("answer", 10), ("replay", 6), ("refusal", 7)])
    def test_that_always_cheats_is_caught_within_few_checks(self, check: str, most: int) -> None:
        assert (run(TERMS.tolerances[Check(check)], 1.0, 100, 1) or 99) <= most

    @pytest.mark.parametrize("check", list(Check))
    def test_that_cheats_in_half_of_its_calls_is_caught_too(self, check: Check) -> None:
        tolerance = TERMS.tolerances[check]
        caught = [run(tolerance, 0.6, 200, seed) for seed in range(50)]
        assert all(caught)

    def test_that_begins_after_a_long_honest_life_is_caught_as_quickly(self) -> None:
        tolerance, test = TERMS.tolerances[Check.ANSWER], Suspicion()
        for _ in range(5_000):
            test.add(False, tolerance, TERMS.epoch_checks)
        for number in range(1, 20):
            test.add(True, tolerance, TERMS.epoch_checks)
            if test.score >= TERMS.threshold:
                assert number <= 10
                return
        pytest.fail("it was not caught")


class TestCheck:
    def test_of_a_count_has_slack_for_markers(self) -> None:
        assert not miscounted(104, 100, TERMS)
        assert not miscounted(109, 100, TERMS)
        assert miscounted(110, 100, TERMS)
        assert not miscounted(50, 100, TERMS)

    def test_of_an_answer_forgives_a_late_parting_only(self) -> None:
        reference = "一二三四五六七八九十"
        assert not disagrees("一二三四五六七八 九十", reference)
        assert not disagrees("一二三四五 here it parts", reference)
        assert disagrees("一二三 here it parts", reference)
        assert disagrees("", reference)

    def test_of_a_refusal_looks_at_length_not_at_words(self) -> None:
        assert refuses("抱歉。", "很长的回答" * 10)
        assert refuses("", "a long answer, spoken at length")
        assert not refuses("another long answer", "a long answer, spoken at length")
        assert refuses("x" * 24, "y" * 100)
        assert not refuses("x" * 25, "y" * 100)

    def test_for_replays_knows_another_question_with_the_same_answer(self) -> None:
        memory, answer = Memory(), "the same answer again and again, long enough to count"
        assert memory.repeats(b"q1", answer) is False
        assert memory.repeats(b"q1", answer) is False
        assert memory.repeats(b"q2", answer) is True
        assert memory.repeats(b"q3", "short") is None
        assert memory.repeats(b"q3", "x" * REPLAY_MIN_BYTES) is False
        assert memory.repeats(b"q3", "x" * (REPLAY_MIN_BYTES - 1)) is None

    def test_for_replays_remembers_the_latest_answers_only(self) -> None:
        memory = Memory()
        for number in range(ANSWERS_KEPT + 1):
            assert memory.repeats(b"q", f"{number:064d}") is False
        assert len(memory.answers) == ANSWERS_KEPT
        assert memory.repeats(b"another", f"{0:064d}") is False
        assert memory.repeats(b"another", f"{ANSWERS_KEPT:064d}") is True

    def test_draws_canaries_that_differ_and_of_which_half_are_hard(self) -> None:
        coins = random.Random(1)
        texts = [canary(coins)[0]["content"] for _ in range(400)]
        assert len(set(texts)) > 390
        assert 140 < sum(len(text.encode()) > 200 for text in texts) < 260


class TestCause:
    """Why a node stands still, as its owner and an operator read it."""

    @pytest.mark.parametrize("check", CHECKS)
    @pytest.mark.parametrize("language", ["zh", "en"])
    def test_is_the_inspectors_verdict_in_the_readers_language(
        self, monkeypatch: pytest.MonkeyPatch, check: str, language: str
    ) -> None:
        monkeypatch.setenv("SHANHE_LANG", language)
        told = _why(f"{check}: 7 of 40 checks failed", Verdict(check, 40, 7))
        assert told == _why("", {"check": check, "checks": 40, "failures": 7, "calls": 90, "figures": {}})
        assert getattr(CHECKS[check], language) in told
        assert "40" in told
        assert ("failed" in told) is (language == "en")

    def test_is_what_an_operator_wrote(self) -> None:
        assert _why("重装系统", None) == _why("重装系统", {}) == "重装系统"
