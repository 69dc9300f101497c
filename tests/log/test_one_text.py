"""What the drafter puts together from pieces is what an encoder writes of the whole, for every name and memo."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shanhe.ledger.api import Between, FeedPosting
from shanhe.log.leaf import Drafter, canonical, commitment, private_of
from shanhe.log.note import b64
from shanhe.log.totals import Totals

IDS = st.uuids()
SOME = st.sampled_from([UUID(int=n) for n in range(3)])
TEXTS = st.text(max_size=12) | st.sampled_from(["", "%s%d%%", '"\\/\b\x1f\u2028', "谢谢", "\U0001f600"])
AMOUNTS = st.integers(0, 2**63 - 1)
BETWEEN = st.builds(Between, SOME, SOME, TEXTS, TEXTS, TEXTS, st.booleans())
ATS = st.datetimes(datetime(2000, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]))  # noqa: DTZ001
PLAIN = st.none() | st.booleans() | st.integers(-9, 9) | TEXTS | st.lists(st.integers(0, 9), max_size=2)
RULES = st.dictionaries(st.sampled_from(["P10", "C12", "谢"]), TEXTS, max_size=3)
MEMBERS = st.tuples(st.sampled_from(["a", "b", 'x","y', "谢"]), PLAIN) | st.tuples(st.just("rules"), RULES | PLAIN)


def written(members: list[tuple[str, Any]], gap: str) -> bytes:
    """An object of these members in this order, twice the same name included."""
    inside = f",{gap}".join(f"{json.dumps(name, ensure_ascii=False)}:{json.dumps(one)}" for name, one in members)
    return f"{gap}{{{inside}}}{gap}".encode()


WHOLE = st.builds(written, st.lists(MEMBERS, max_size=6), st.sampled_from(["", "", " "]))
BROKEN = st.builds(lambda raw, at: raw[: at % (len(raw) + 1)] + raw[at % (len(raw) + 2) :], WHOLE, st.integers(0, 99))
EVIDENCE = (
    st.none() | WHOLE | BROKEN | st.binary(max_size=9) | st.sampled_from([b"", b"[1]", b'{"a":01}', b"\xff", b"{,"])
)


@st.composite
def postings(draw: Any, evidence: Any = EVIDENCE) -> FeedPosting:
    lots = draw(st.lists(IDS, max_size=3))
    return FeedPosting(
        draw(IDS), draw(st.integers(0, 9)), draw(ATS), draw(st.dates()), draw(TEXTS),
        draw(TEXTS), draw(TEXTS), draw(st.none() | IDS), draw(evidence), lots or None,
        [draw(st.integers(-(2**63), 2**63 - 1)) for _ in lots] if lots else None,
        draw(st.lists(st.tuples(IDS, AMOUNTS, BETWEEN), max_size=3)),
    )  # fmt: skip


@st.composite
def neighbours(draw: Any) -> list[FeedPosting]:
    """Postings that share nearly everything, as those of a page do: few kinds, accounts and beginnings of evidence."""
    way, other = draw(BETWEEN), draw(BETWEEN)
    begun = draw(st.lists(MEMBERS, max_size=4))
    alike = st.builds(lambda rest: written(begun + rest, ""), st.lists(MEMBERS, max_size=3))
    cut = st.builds(lambda raw, at: raw[: at % (len(raw) + 1)], alike, st.integers(0, 99))
    first = draw(postings())
    found = []
    for _ in range(draw(st.integers(3, 8))):
        legs = [(draw(IDS), draw(st.integers(1, 99)), draw(st.sampled_from([way, way, other])))]
        one = msgspec.structs.replace(first, id=draw(IDS), evidence=draw(alike | alike | cut | EVIDENCE), legs=legs)
        odd = draw(st.sampled_from(["", "", "", "", "at", "day", "kind", "actor", "memo", "reverses"]))
        found.append(msgspec.structs.replace(one, **{odd: getattr(draw(postings()), odd)}) if odd else one)
    return found


@st.composite
def alike(draw: Any) -> list[bytes]:
    """Evidence that begins alike, rules and an object included, and goes on in many ways."""
    rules = draw(st.sampled_from([[("rules", {"P10": "1"})], []]))
    begun = written([*rules, ("o", {"p": 1, "q": 2}), *draw(st.lists(MEMBERS, max_size=2))], "").removesuffix(b"}")
    others = [st.sampled_from([b"}", b",", b',"', b"", b'"}', b',"q":2}}']), st.binary(max_size=9)]
    for_rest = st.lists(MEMBERS, max_size=3).map(lambda rest: b"," + written(rest, "").removeprefix(b"{"))
    return [begun + one for one in draw(st.lists(st.one_of(for_rest, for_rest, *others), min_size=3, max_size=8))]


class Whole(msgspec.Struct):
    """A private part as one object for the encoder."""

    actor: str
    at: datetime
    day: date
    evidence: msgspec.Raw | str | None
    id: UUID
    kind: str
    lots: list[tuple[str, int]]
    memo: str
    reverses: UUID | None
    transfers: list[tuple[str, str, str, int, str, str, str]]
    v: int


def evidence_of(raw: bytes | None) -> tuple[msgspec.Raw | str | None, Any]:
    """What the private part shows, and the rules."""
    if not raw:
        return None, None
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b64encode(raw).decode(), None
    return msgspec.Raw(raw), found.get("rules") if isinstance(found, dict) else None


def whole(posting: FeedPosting) -> bytes:
    lots = zip(posting.lots or (), posting.deltas or (), strict=True)
    return msgspec.json.encode(Whole(
        posting.actor, posting.at.astimezone(UTC), posting.day, evidence_of(posting.evidence)[0], posting.id,
        posting.kind, [(str(lot), delta) for lot, delta in lots], posting.memo, posting.reverses,
        [
            (str(leg), str(way.debit), str(way.credit), amount, way.asset, way.giver, way.taker)
            for leg, amount, way in posting.legs
        ], 2,
    ))  # fmt: skip


def entry(posting: FeedPosting, salt: bytes) -> bytes:
    sums: dict[tuple[str, str, str], int] = {}
    for _, amount, way in posting.legs:
        flow = (way.asset, way.giver, way.taker)
        sums[flow] = sums.get(flow, 0) + amount
    rules = evidence_of(posting.evidence)[1]
    public: dict[str, Any] = {
        "assets": sorted({flow[0] for flow in sums}), "commit": b64(commitment(salt, whole(posting))),
        "day": posting.day, "kind": "posting", "type": posting.kind, "v": 2,
    }  # fmt: skip
    if isinstance(rules, dict) and rules:
        public["rules"] = [f"{name}@{version}" for name, version in sorted(rules.items())]
    if sums and all(way.city for _, _, way in posting.legs):
        public["flows"] = [(*flow, amount) for flow, amount in sorted(sums.items())]
    return canonical(public)


class TestPrivatePart:
    @settings(max_examples=200, deadline=None)
    @given(postings())
    def test_is_what_an_encoder_writes_of_the_whole(self, posting: FeedPosting) -> None:
        assert private_of(posting) == whole(posting)


class TestEntry:
    @settings(max_examples=200, deadline=None)
    @given(neighbours())
    def test_is_the_same_whatever_was_drafted_before(self, page: list[FeedPosting]) -> None:
        drafter, salt = Drafter(), bytes(16)
        drafts = [drafter.draft(one, salt) for one in page]
        assert [one.leaf for one in drafts] == [entry(one, salt) for one in page]
        today = date(2026, 11, 27)
        together, apart = Totals({}, today), Totals({}, today)
        together.add(drafts, today)
        for one in page:
            apart.add([Drafter().draft(one, salt)], today)
        assert together.plain() == apart.plain()

    @settings(max_examples=200, deadline=None)
    @given(alike(), st.booleans())
    @example(evidence=[b'{,"a":1}'] * 3, known=False)
    @example(evidence=[b'{"\xe8":1,"a":2}'] * 3, known=False)
    def test_is_the_same_after_evidence_that_began_alike(self, evidence: list[bytes], known: bool) -> None:
        way = Between(UUID(int=1), UUID(int=2), "credit", "wallet", "revenue", False)
        at, day, subject, salt = datetime(2026, 11, 27, tzinfo=UTC), date(2026, 11, 27), UUID(int=3), bytes(16)
        usual = b'{"rules":{"C12":"1"},"a":1,"b":2}'
        drafter = Drafter()
        for raw in [usual, usual, *evidence] if known else evidence:
            one = FeedPosting(subject, 1, at, day, "call", "", "", None, raw, None, None, [(subject, 1, way)])
            assert drafter.draft(one, salt).leaf == entry(one, salt)
