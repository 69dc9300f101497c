"""The promised speeds, with room for a busy machine; `shanhe bench rulebook` prints the figures."""

from __future__ import annotations

import time

import pytest

from shanhe.rulebook.bench import bench_rulebook


@pytest.mark.prove
class TestSpeed:
    def test_keeps_its_promises(self) -> None:
        figures = bench_rulebook(time.process_time)  # one thread, and what others do meanwhile is not ours
        assert figures["p1_traced_ms"] <= 1
        assert figures["p1_vector_s"] <= 0.2
        assert figures["call_charge_compiled_us"] <= 5
