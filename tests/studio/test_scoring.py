"""An answer is right when it says what is wanted more than what is wrong; a gain has an interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.studio.model import Recipe, estimate_core_ms, plan, step_hash
from shanhe.studio.scoring import gain, is_right

RIGHT, WRONG = "清除两侧二十毫米内的油污和铁锈。", "直接施焊"


class TestAnswer:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (RIGHT, True),
            ("应当清除坡口两侧二十毫米内的油污和铁锈", True),
            ("直接施焊即可", False),
            ("清除油污", False),
            ("", False),
            ("焊接是一种工艺，需要注意安全。", False),
        ],
    )
    def test_is_judged_by_what_it_says(self, said: str, expected: bool) -> None:
        assert is_right(said, RIGHT, WRONG) is expected

    @given(st.text(min_size=2, max_size=40))
    def test_that_repeats_what_is_wanted_is_right(self, wanted: str) -> None:
        assert is_right(wanted, wanted)


class TestGain:
    def test_of_nothing_is_no_gain(self) -> None:
        assert gain([True, False] * 60, [True, False] * 60) == (0.0, 0.0, 0.0)

    def test_has_an_interval_by_the_paired_variance(self) -> None:
        # 100 questions, 40 gained, 10 lost: d = 0.30, variance = (50 - 900 / 100) / 10,000 = 0.0041, half = 0.1255
        before = [False] * 40 + [True] * 10 + [True] * 50
        after = [True] * 40 + [False] * 10 + [True] * 50
        points, low, high = gain(before, after)
        assert points == pytest.approx(30.0)
        assert (low, high) == (pytest.approx(17.45, abs=0.01), pytest.approx(42.55, abs=0.01))

    @given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
    def test_lies_within_its_interval(self, pairs: list[tuple[bool, bool]]) -> None:
        points, low, high = gain([one for one, _ in pairs], [other for _, other in pairs])
        assert low <= points <= high


class TestRecipe:
    def test_becomes_steps_that_feed_each_other(self) -> None:
        steps = plan(Recipe("base", epochs=2, drop_layers=2), 100, 30)
        assert [step.title for step in steps] == [
            "before", "tune", "merge", "drop", "heal", "merge", "quantize", "after",
        ]  # fmt: skip
        assert steps[1].parameters["rounds"] == 50
        assert [step.inputs["model"] for step in steps] == [
            "base", "base", "base", "2.model.gguf", "3.model.gguf", "3.model.gguf", "5.model.gguf", "6.model.gguf",
        ]  # fmt: skip
        assert estimate_core_ms(steps) > 0

    def test_gives_a_step_the_same_hash_for_the_same_work_only(self) -> None:
        one, two = plan(Recipe("b"), 10, 5), plan(Recipe("b", seed=8), 10, 5)
        inputs = {"model": "m", "pairs": "p"}
        assert step_hash(one[1], inputs) == step_hash(plan(Recipe("b"), 10, 5)[1], dict(reversed(inputs.items())))
        assert step_hash(one[1], inputs) != step_hash(two[1], inputs)
        assert step_hash(one[1], inputs) != step_hash(one[1], inputs | {"pairs": "q"})
