"""What an entry says, byte for byte: proofs that people keep depend on it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from shanhe.ledger.api import FeedLeg, FeedPosting
from shanhe.log.errors import BadEntry
from shanhe.log.leaf import canonical, draft_posting, private_bytes, private_of, public_bytes

WALLET, REVENUE, COST = UUID(int=1), UUID(int=2), UUID(int=3)


def posting(*, city: bool) -> FeedPosting:
    legs = (FeedLeg(UUID(int=9), WALLET, REVENUE, 7, "credit", "wallet", "revenue", city),)
    evidence = b'{"model":"m","rules":{"P11":"sha256:aa","C12":"sha256:bb"}}'
    at = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
    return FeedPosting(
        5, UUID(int=9), at, date(2026, 11, 20), "call", "key:1", "\u8c22", None, evidence, legs, ((COST, -7),)
    )


class TestPosting:
    def test_hides_who_and_how_much(self) -> None:
        draft = draft_posting(posting(city=False), bytes(16))
        assert draft.leaf == (
            b'{"assets":["credit"],"commit":"vdgQ38lzoNLu8yV9BPguy5p5IaRNxcAItKWKlRrcoPw=","day":"2026-11-20",'
            b'"kind":"posting","rules":["C12@sha256:bb","P11@sha256:aa"],"type":"call","v":1}'
        )

    def test_shows_flows_where_only_the_city_is_concerned(self) -> None:
        leaf = json.loads(draft_posting(posting(city=True), bytes(16)).leaf)
        assert leaf["flows"] == [["credit", "wallet", "revenue", 7]]

    def test_is_written_canonically_and_always_the_same(self) -> None:
        private, rules = private_of(posting(city=False))
        assert private == canonical(json.loads(private))
        assert json.loads(private)["transfers"][0][3:] == [7, "credit", "wallet", "revenue"]
        assert rules == {"P11": "sha256:aa", "C12": "sha256:bb"}
        leaf = draft_posting(posting(city=True), bytes(16)).leaf
        assert leaf == canonical(json.loads(leaf))


class TestRecord:
    @pytest.mark.parametrize("public", [{"v": 2}, {"commit": "x"}, {"x": "y" * 9000}, {"x": object()}])
    def test_that_cannot_be_an_entry_is_refused(self, public: dict[str, object]) -> None:
        with pytest.raises(BadEntry):
            public_bytes("decision", date(2026, 11, 20), public)

    def test_takes_no_kind_of_the_log_itself(self) -> None:
        for kind in ("posting", "totals", "recovered", ""):
            with pytest.raises(BadEntry):
                public_bytes(kind, date(2026, 11, 20), {})
        with pytest.raises(BadEntry):
            private_bytes({"x": "y" * 300_000})
