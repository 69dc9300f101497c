"""What is stored is what is read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shanhe.gateway.commission import Through
from shanhe.gateway.evidence import EvidenceWriter
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.model import Evidence, Terms, Timings
from shanhe.gateway.settlement import Outcome
from shanhe.gateway.tariff import Charged, Prices, Share
from shanhe.ledger.api import PLACE, Preamble, woven

ORG, KEY = UUID(int=1), UUID(int=2)
PRICES = Prices(1, 2, 3, 4, 5, "P11@1")
TERMS = Terms((), {"P10": "1", "P11": "1"})
ACCOUNTS = [UUID(int=n) for n in range(10, 14)]
ROLES = ("node", "node", "upstream_cost", "platform")
THROUGH = Through(5, (), (), 3, 4)

amounts = st.integers(0, 2**62)
reasons = st.one_of(st.none(), st.sampled_from(["stop", "length"]), st.text(max_size=20))
outcomes = st.builds(
    Outcome,
    st.builds(
        Metered,
        st.builds(Buckets, *[st.integers(0, 2**40)] * 5),
        st.sampled_from(["engine", "tokenizer", "estimate"]),
        st.booleans(),
    ),
    st.sampled_from(["completed", "disconnected", "broken"]),
    reasons,
    st.builds(Timings, *[st.integers(0, 10**10).map(lambda micro: micro / 1000)] * 3),
)
shares = st.lists(st.tuples(st.sampled_from(range(4)), st.integers(1, 2**62)), max_size=4, unique_by=lambda one: one[0])


def written(
    writer: EvidenceWriter, outcome: Outcome, charged: Charged, *, key_name: str = "k", attempt: int = 1,
    tags: tuple[str, ...] = (), through: Through | None = None,
) -> tuple[Preamble, bytes]:  # fmt: skip
    commission = None if through is None else SimpleNamespace(rules={"R1": "2"})
    call: Any = SimpleNamespace(
        caller=SimpleNamespace(org_id=ORG, key_id=KEY, key_name=key_name, tags=()),
        face=SimpleNamespace(name="openai.chat"),
        parsed=SimpleNamespace(model="m", stream=False, tags=tags),
        admission=SimpleNamespace(prices=PRICES, held_micro=99, commission=commission),
    )
    exchange: Any = SimpleNamespace(
        target=SimpleNamespace(engine_name="e", kind="openai", upstream_model="u"), attempt=attempt
    )
    return writer.write(call, exchange, outcome, charged, TERMS, through)


class Tags:
    """Knows the id of every tag."""

    def ids(self, org_id: UUID, names: tuple[str, ...]) -> tuple[UUID, ...]:
        return tuple(UUID(int=sum(name.encode())) for name in names)


class TestEvidence:
    @given(
        st.lists(
            st.tuples(
                outcomes, shares, amounts, amounts, st.text(max_size=8), st.integers(1, 9),
                st.lists(st.text(max_size=3), max_size=2).map(tuple), st.sampled_from([None, THROUGH]),
            ),
            min_size=1, max_size=5,
        )
    )  # fmt: skip
    def test_is_read_as_it_was_meant_whatever_it_holds(self, calls: list[Any]) -> None:
        writer = EvidenceWriter(Tags())  # type: ignore[arg-type]
        for outcome, paid, total, uncovered, name, attempt, tags, through in calls:
            parts = tuple(Share(ROLES[n], ACCOUNTS[n], amount) for n, amount in paid)
            common, own = written(
                writer, outcome, Charged(total, parts, uncovered), key_name=name, attempt=attempt, tags=tags,
                through=through,
            )  # fmt: skip
            found = msgspec.json.decode(woven(common.text.split(PLACE), own), type=Evidence)
            assert found == Evidence(
                1, "openai.chat", "m", ORG, KEY, name, "e", "openai", "u", False, outcome.status,
                outcome.finish_reason, outcome.metered.buckets, outcome.metered.source, outcome.metered.clamped, PRICES,
                99, total, uncovered, parts, TERMS.rules if through is None else TERMS.rules | {"R1": "2"},
                outcome.timings, attempt, through, Tags().ids(ORG, tags),
            )  # fmt: skip

    def test_of_a_plain_call_has_little_of_its_own(self) -> None:
        writer = EvidenceWriter(Tags())  # type: ignore[arg-type]
        buckets = Buckets(1200, 0, 350)
        outcome = Outcome(Metered(buckets, "engine"), "completed", "stop", Timings(0.21, 1200.5, 1200.5))
        charged = Charged(50, (Share("node", ACCOUNTS[0], 30), Share("platform", ACCOUNTS[3], 20)))
        common, own = written(writer, outcome, charged)
        assert len(own) < 80
        assert written(writer, outcome, charged)[0].id == common.id
