"""What an entry says, byte for byte: proofs that people keep depend on it."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
import pytest

from shanhe.kernel.words import ENTRIES, POSTINGS_ZH
from shanhe.ledger.api import Between, FeedPosting
from shanhe.log.errors import BadEntry
from shanhe.log.leaf import Drafter, canonical, commitment, private_bytes, private_of, public_bytes
from shanhe.log.note import b64
from shanhe.log.words import describe

WALLET, REVENUE, COST = (UUID(int=n) for n in (1, 2, 3))
EVIDENCE = b'{"model":"m","rules":{"P11":"sha256:aa","C12":"sha256:bb"}}'


def posting(*, city: bool) -> FeedPosting:
    legs = ((UUID(int=9), 7, Between(WALLET, REVENUE, "credit", "wallet", "revenue", city)),)
    at = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
    return FeedPosting(
        UUID(int=9), 5, at, date(2026, 11, 20), "call", "key:1", "\u8c22", None, EVIDENCE, (COST,), (-7,), legs
    )


def drafted(*, city: bool) -> bytes:
    return Drafter().draft(posting(city=city), bytes(16)).leaf


class TestPosting:
    def test_hides_who_and_how_much(self) -> None:
        assert drafted(city=False) == (
            b'{"assets":["credit"],"commit":"W57QHvhKyok7zQcfL2d0c1O++nWl605X0j5Vi+p3zKM=","day":"2026-11-20",'
            b'"kind":"posting","rules":["C12@sha256:bb","P11@sha256:aa"],"type":"call","v":2}'
        )

    def test_shows_flows_where_only_the_city_is_concerned(self) -> None:
        assert json.loads(drafted(city=True))["flows"] == [["credit", "wallet", "revenue", 7]]

    def test_is_written_canonically_and_always_the_same(self) -> None:
        private = private_of(posting(city=False))
        assert private == canonical(json.loads(private)).replace(canonical(json.loads(EVIDENCE)), EVIDENCE)
        assert json.loads(private)["transfers"][0][3:] == [7, "credit", "wallet", "revenue"]
        for leaf in (drafted(city=True), drafted(city=False)):
            assert leaf == canonical(json.loads(leaf))

    def test_differs_from_its_like_in_its_commitment_alone(self) -> None:
        drafter = Drafter()
        one, other = (json.loads(drafter.draft(posting(city=False), bytes([n] * 16)).leaf) for n in (1, 2))
        assert one.pop("commit") != other.pop("commit")
        assert one == other == {key: value for key, value in json.loads(drafted(city=False)).items() if key != "commit"}

    def test_of_the_first_version_is_still_what_its_entry_commits_to(self) -> None:
        private = private_of(posting(city=False), 1)
        assert private == canonical(json.loads(private))
        assert b64(commitment(bytes(16), private)) == "vdgQ38lzoNLu8yV9BPguy5p5IaRNxcAItKWKlRrcoPw="

    @pytest.mark.parametrize(("evidence", "shown"), [
        (None, None), (b"", None), (b"[1, 2]", [1, 2]), (b'{"rules": 7}', {"rules": 7}), (b"[1,", "WzEs"),
        (b"\xff", "/w=="), (b'{"a":01}', "eyJhIjowMX0="), (b'{"\xe8":1}', "eyLoIjoxfQ=="),
        ('{"memo":"谢"}'.encode(), {"memo": "谢"}),
    ])  # fmt: skip
    def test_shows_its_evidence_as_it_was_booked(self, evidence: bytes | None, shown: object) -> None:
        booked = msgspec.structs.replace(posting(city=False), evidence=evidence)
        draft = Drafter().draft(booked, bytes(16))
        assert json.loads(private_of(booked))["evidence"] == shown
        assert json.loads(draft.leaf)["commit"] == b64(commitment(bytes(16), private_of(booked)))
        assert "rules" not in json.loads(draft.leaf)

    def test_is_said_in_the_words_of_its_readers(self) -> None:
        transfer = ["t", "a", "b", 5, "credit"]
        zh, en = describe({"type": "call", "day": "2026-11-20"}, {"transfers": [transfer], "at": "noon"})
        assert "入账“模型调用”" in zh
        assert "0.000005 AI 积分" in zh
        assert "call" in en

    @pytest.mark.parametrize("kind", POSTINGS_ZH)
    def test_is_said_without_a_word_of_code(self, kind: str) -> None:
        transfer, entry = ["t", "a", "b", 5, "ticket"], {"type": kind, "day": "2026-11-20"}
        for private in ({"transfers": [transfer], "at": "12:00"}, None):
            zh, en = describe(entry, private)
            assert not re.search("[a-z]", zh)
            assert "_" not in en


class TestRecord:
    @pytest.mark.parametrize("kind", ENTRIES)
    def test_is_said_in_the_words_of_its_readers(self, kind: str) -> None:
        zh, en = describe({"kind": kind, "day": "2026-11-20"}, {"by": "person:1"})
        assert not re.search("[a-z]", zh)
        assert not re.search("[._]", en)

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
