"""What a node's calls are counted as, whatever it says of them; and which of its models a plan is about."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from shanhe.compute.api import Speed
from shanhe.kernel.clock import FixedClock
from shanhe.pool.answers import Seen
from shanhe.pool.model import Node, NodeState, Offer, Report
from shanhe.pool.placement import ModelNeed, plan
from shanhe.pool.planner import state_of
from shanhe.pool.tally import Tally

NOON = datetime(2026, 11, 24, 4, 10, tzinfo=UTC)
REQUEST = b'{"model": "m", "messages": [{"role": "user", "content": "why"}]}'


def node(*offers: Offer, memory_mb: int = 10_000) -> Node:
    report = Report("1", memory_mb=memory_mb, offers=offers)
    return Node(uuid4(), "n", uuid4(), False, False, False, b"", NodeState.ACTIVE, "", "", report, NOON, None, uuid4(),
                "", "")  # fmt: skip


class TestTally:
    @pytest.mark.parametrize("said", [-5, 7, 10**9, 2**63, 10**30])
    def test_believes_no_more_tokens_than_there_were_bytes(self, said: int) -> None:
        """Sums are kept in 64 bits: one node's claim keeps no other's hours from being written."""
        tally = Tally(FixedClock(NOON), CollectorRegistry())
        answer = (
            b'{"choices": [{"message": {"content": "so"}}], "usage": {"prompt_tokens": %d, "completion_tokens": %d}}'
        )
        seen = Seen("/v1/chat/completions", REQUEST, bytearray(), status=200, first_ms=1.0, done_ms=2.0)
        seen.keep(answer % (said, said))
        tally.count(node(), seen, 1)
        (((_, hour, model), sums),) = tally.take_hours().items()
        assert (hour, model) == (datetime(2026, 11, 24, 4, tzinfo=UTC), "m")
        assert sums[:4] == [1, 0, max(0, min(said, len(REQUEST))), max(0, min(said, seen.size))]


class TestNode:
    def test_keeps_its_other_models_and_the_memory_that_they_take(self) -> None:
        vectors = Offer("vectors", kind="embedding", memory_mb=3_000, loaded=True, movable=True)
        chat = Offer("chat", memory_mb=4_000, loaded=False, movable=True)
        speeds = {"chat": Speed(100, 10, 1, 1)}
        needs = [ModelNeed("chat", 4_000, 10, 10, 5.0)]
        for memory_mb, loads in ((7_000, ["chat"]), (6_999, [])):
            found = plan(needs, [state_of(node(vectors, chat, memory_mb=memory_mb), speeds, {})])
            assert [(move.model, move.load) for move in found.moves] == [(model, True) for model in loads]
