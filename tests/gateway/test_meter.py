"""What an engine claims becomes buckets that can be charged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.gateway.meter import SPECIAL_TOKENS_SLACK, Bounds, Details, Usage, believe

COUNTS = st.none() | st.integers(-(2**70), 2**70)
USAGES = st.builds(
    Usage,
    prompt_tokens=COUNTS,
    completion_tokens=COUNTS,
    total_tokens=COUNTS,
    prompt_tokens_details=st.none()
    | st.builds(Details, cached_tokens=COUNTS, cache_write_tokens=COUNTS, cache_creation_tokens=COUNTS),
    cache_creation_input_tokens=COUNTS,
    completion_tokens_details=st.none() | st.builds(Details, cached_tokens=COUNTS, reasoning_tokens=COUNTS),
)
BOUNDS = st.builds(
    Bounds, prompt=st.integers(0, 10**6), completion=st.integers(0, 10**6), delivered=st.none() | st.integers(0, 10**6)
)


class TestBuckets:
    @given(USAGES, BOUNDS)
    def test_are_never_negative_and_sum_to_the_total(self, usage: Usage, bounds: Bounds) -> None:
        metered = believe(usage, bounds)
        if metered is None:
            return
        parts = metered.buckets.as_tuple()
        assert min(parts) >= 0
        assert sum(parts) == metered.buckets.total == metered.buckets.prompt + metered.buckets.completion

    @given(USAGES, BOUNDS)
    def test_never_exceed_what_the_engine_could_have_done(self, usage: Usage, bounds: Bounds) -> None:
        metered = believe(usage, bounds)
        if metered is None:
            return
        assert metered.buckets.prompt <= bounds.prompt
        assert metered.buckets.completion <= bounds.completion
        if bounds.delivered is not None:
            assert metered.buckets.completion <= bounds.delivered + SPECIAL_TOKENS_SLACK

    def test_keep_an_honest_engine_to_the_token(self) -> None:
        usage = Usage(100, 40, 140, Details(cached_tokens=30), Details(reasoning_tokens=15))
        metered = believe(usage, Bounds(200, 50, 400))
        assert metered is not None
        assert metered.buckets.as_tuple() == (70, 30, 25, 15, 0, 0)
        assert (metered.buckets.prompt, metered.buckets.completion) == (100, 40)
        assert (metered.source, metered.clamped, metered.verbatim) == ("engine", False, True)

    @pytest.mark.parametrize(
        ("details", "beside"),
        [
            (Details(cached_tokens=30, cache_write_tokens=50), None),
            (Details(cached_tokens=30, cache_creation_tokens=50), None),
            (Details(cached_tokens=30, cache_creation_input_tokens=50), None),
            (Details(cached_tokens=30), 50),
        ],
    )
    def test_set_apart_what_was_written_to_a_cache_in_whose_words_it_may_be(
        self, details: Details, beside: int | None
    ) -> None:
        metered = believe(Usage(100, 4, 104, details, cache_creation_input_tokens=beside), Bounds(200, 50))
        assert metered is not None
        assert metered.buckets.as_tuple() == (20, 30, 4, 0, 0, 50)
        assert (metered.clamped, metered.verbatim) == (False, details.cache_write_tokens == 50)

    @pytest.mark.parametrize(("claimed", "written"), [(-5, 0), (70, 70), (71, 70), (10**9, 70)])
    def test_of_a_cache_are_no_more_than_was_read_beside_what_was_cached(self, claimed: int, written: int) -> None:
        """Which costs less is believed first."""
        details = Details(cached_tokens=30, cache_write_tokens=claimed)
        metered = believe(Usage(100, 4, 104, details), Bounds(200, 50))
        assert metered is not None
        assert metered.buckets.as_tuple() == (70 - written, 30, 4, 0, 0, written)
        assert metered.clamped == (claimed != written)

    def test_of_an_empty_side_are_none_and_the_other_side_counts(self) -> None:
        for usage, buckets in ((Usage(0, 5, 5), (0, 0, 5, 0, 0, 0)), (Usage(5, 0, 5), (5, 0, 0, 0, 0, 0))):
            metered = believe(usage, Bounds(10, 10))
            assert metered is not None
            assert metered.buckets.as_tuple() == buckets

    def test_say_so_when_a_claim_was_cut(self) -> None:
        metered = believe(Usage(100, 5000, 5100), Bounds(200, 64, 100))
        assert metered is not None
        assert metered.clamped
        assert metered.buckets.completion == 64

    def test_of_an_answer_may_hold_a_few_markers_beside_what_was_delivered(self) -> None:
        metered = believe(Usage(5, 108, 113), Bounds(10, 200, 100))
        assert metered is not None
        assert (metered.buckets.completion, metered.clamped) == (108, False)

    def test_hold_no_more_thought_than_was_written_and_nothing_below_none(self) -> None:
        for thought, buckets in ((50, (5, 0, 0, 10, 0, 0)), (-3, (5, 0, 10, 0, 0, 0))):
            metered = believe(Usage(5, 10, 15, None, Details(reasoning_tokens=thought)), Bounds(10, 20))
            assert metered is not None
            assert metered.buckets.as_tuple() == buckets

    def test_know_what_was_cached_in_the_words_of_any_supplier(self) -> None:
        for usage in (
            Usage(9, 1, 10, Details(cached_tokens=4)), Usage(9, 1, 10, prompt_cache_hit_tokens=4),
            Usage(9, 1, 10, cached_tokens=4),
        ):  # fmt: skip
            metered = believe(usage, Bounds(10, 10))
            assert metered is not None
            assert metered.buckets.as_tuple() == (5, 4, 1, 0, 0, 0)


class TestVerbatim:
    """Whether the engine's own object can be passed on as what was charged."""

    def test_is_only_what_says_just_that(self) -> None:
        cached = Details(cached_tokens=4)
        for usage, bounds, verbatim in (
            (Usage(9, 1, 10), Bounds(10, 10), True),
            (Usage(9, 1, 10, cached), Bounds(10, 10), True),
            (Usage(9, 1, 10, prompt_cache_hit_tokens=4), Bounds(10, 10), False),  # in words that clients do not read
            (Usage(9, 1, 10, Details(cached_tokens=0), prompt_cache_hit_tokens=4), Bounds(10, 10), False),
            (Usage(9, 1, 11), Bounds(10, 10), False),
            (Usage(9, 1), Bounds(10, 10), False),
            (Usage(9, None, 9), Bounds(10, 10), False),
            (Usage(11, 1, 12), Bounds(10, 10), False),  # more than there was
            (Usage(9, 1, 10, Details(cached_tokens=10)), Bounds(10, 10), False),  # more cached than read
            (Usage(9, 1, 10, Details(cached_tokens=-1)), Bounds(10, 10), False),
            (Usage(9, 1, 10, None, Details(reasoning_tokens=2)), Bounds(10, 10), False),  # more thought than written
            (Usage(9, 1, 10, None, Details(reasoning_tokens=-1)), Bounds(10, 10), False),
        ):
            metered = believe(usage, bounds)
            assert metered is not None
            assert metered.verbatim is verbatim, usage


class TestUnusableClaims:
    def test_negative_counts_are_not_believed(self) -> None:
        assert believe(Usage(prompt_tokens=-1, completion_tokens=5), Bounds(10, 10)) is None
        assert believe(Usage(prompt_tokens=1, completion_tokens=-5), Bounds(10, 10)) is None

    def test_an_empty_object_is_no_count(self) -> None:
        assert believe(Usage(), Bounds(10, 10)) is None

    def test_nothing_written_of_an_answer_that_was_delivered_is_no_count(self) -> None:
        for completion in (0, None):
            assert believe(Usage(5, completion, 5), Bounds(10, 10, 20)) is None
            assert believe(Usage(5, completion, 5), Bounds(10, 10, 0)) is not None

    def test_nothing_read_for_an_answer_that_was_delivered_is_no_count(self) -> None:
        """Else what an engine had cached, and so did not count, would be free."""
        for prompt in (0, None):
            assert believe(Usage(prompt, 5, 5), Bounds(10, 10, 20)) is None
            assert believe(Usage(prompt, 5, 5), Bounds(10, 10, 0)) is not None
