"""What an entry says in public and what it only commits to (ADR 0025). Pure.

An entry is canonical JSON: `v`, `kind`, `day`, public fields, and `commit` = SHA-256(domain, salt, private part). The
salt is 128 random bits in an erasable row: without it the commitment says nothing, and cannot be guessed at.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.log.errors import BadEntry
from shanhe.log.note import b64

VERSION: Final = 1
POSTING_VERSION: Final = 2
"""How a posting is written now. Version 1 wrote its evidence anew, with sorted keys; proofs of both are made."""
DOMAIN: Final = b"shanhe-commit/v1\n"
SALT_BYTES: Final = 16
COMMIT: Final = b'"commit":"'
PUBLIC_BYTES_MAX: Final = 8 * 1024
PRIVATE_BYTES_MAX: Final = 256 * 1024
RESERVED: Final = frozenset({"v", "kind", "day", "commit"})
POSTING: Final = "posting"
TOTALS: Final = "totals"
RECOVERED: Final = "recovered"
OWN_KINDS: Final = frozenset({POSTING, TOTALS, RECOVERED})
"""Kinds that the log itself writes."""
FAMILIES_MAX: Final = 16
SHAPES_MAX: Final = 2048
"""What is remembered of postings, some 2 kB for each of a family's shapes."""
ALIKE_BYTES_MAX: Final = 4096
"""Evidence that is longer is not compared with others."""
BEGUN: Final = b'{"'

_encoder: Final = msgspec.json.Encoder(order="sorted")
_plain: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


def canonical(value: object) -> bytes:
    """Compact JSON with sorted keys, in UTF-8."""
    return _encoder.encode(value)


def commitment(salt: bytes, private: bytes) -> bytes:
    return sha256(DOMAIN + salt + private).digest()


class BetweenLike(Protocol):
    """Two accounts that something moved between: the asset, and what the accounts are."""

    @property
    def debit(self) -> UUID: ...
    @property
    def credit(self) -> UUID: ...
    @property
    def asset(self) -> str: ...
    @property
    def giver(self) -> str: ...
    @property
    def taker(self) -> str: ...
    @property
    def city(self) -> bool: ...


class PostingLike(Protocol):
    """A booked posting as the ledger's feed gives it; (`born`, `id`) is its place in the feed."""

    @property
    def id(self) -> UUID: ...
    @property
    def born(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def day(self) -> date: ...
    @property
    def kind(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def memo(self) -> str: ...
    @property
    def reverses(self) -> UUID | None: ...
    @property
    def evidence(self) -> bytes | None: ...
    @property
    def lots(self) -> Sequence[UUID] | None: ...
    @property
    def deltas(self) -> Sequence[int] | None: ...
    @property
    def legs(self) -> Sequence[tuple[UUID, int, BetweenLike]]: ...


Flow = tuple[str, str, str]
"""Asset, kind of the account that gave, kind of the one that got."""


class Form(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An entry without its commitment, which goes between the halves. All calls of a day under the same rules have one.

    `flows`: between what kinds of accounts its postings move something.
    """

    before: bytes
    after: bytes
    type: str
    flows: tuple[Flow, ...]


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An entry before it has a place. Of a posting: its form and commitment, and how much moved in each flow."""

    subject: UUID
    kind: str
    leaf: bytes
    salt: bytes | None = None
    private: bytes | None = None
    form: Form | None = None
    commit: bytes = b""
    moved: tuple[int, ...] = ()


class _FirstPrivate(msgspec.Struct, frozen=True, gc=False):
    """A posting's private part as version 1 wrote it: all of it canonical."""

    actor: str
    at: str
    day: date
    evidence: Any
    id: UUID
    kind: str
    lots: Sequence[tuple[str, int]]
    memo: str
    reverses: UUID | None
    transfers: Sequence[tuple[str, str, str, int, str, str, str]]
    v: int


class _Public(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A posting's public part. Fields in the order of their names, which makes it canonical."""

    assets: list[str]
    commit: str
    day: date
    flows: list[tuple[str, str, str, int]] = []
    kind: str
    rules: list[str] = []
    type: str
    v: int


class _Evidence(msgspec.Struct, frozen=True, gc=False):
    """What of the evidence is public; the rest is skipped, and seen to be JSON."""

    rules: msgspec.Raw = msgspec.Raw(b"")


_rules_of: Final = msgspec.json.Decoder(_Evidence)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def private_of(posting: PostingLike, version: int = POSTING_VERSION) -> bytes:
    """A posting's private part as that version wrote it: the same bytes whenever it is read again."""
    if version == VERSION:
        at = posting.at.astimezone(UTC).isoformat(timespec="microseconds")
        legs = [
            (str(leg), str(way.debit), str(way.credit), amount, way.asset, way.giver, way.taker)
            for leg, amount, way in posting.legs
        ]
        lots = [(str(lot), delta) for lot, delta in zip(posting.lots or (), posting.deltas or (), strict=True)]
        return _encoder.encode(_FirstPrivate(
            posting.actor, at, posting.day, _first_evidence(posting.evidence), posting.id, posting.kind, lots,
            posting.memo, posting.reverses, legs, version,
        ))  # fmt: skip
    setting = _Setting(posting, _Family())
    return setting.head + _evidence(posting.evidence)[0] + setting.shape(posting)[1]


class _Shape:
    """Postings of a family that move something between the same accounts: a text with places for ids and amounts."""

    __slots__ = ("city", "first", "flows", "forms", "stem", "text", "tried")

    def __init__(self, posting: PostingLike) -> None:
        lots, legs = ['["%s",%s]'] * len(posting.lots or ()), []
        for _, _, between in posting.legs:
            kinds = _text([between.asset, between.giver, between.taker])[1:].replace("%", "%%")
            legs.append(f'["%s","{between.debit}","{between.credit}",%s,{kinds}')
        kind, memo, reverses = [_text(one).replace("%", "%%") for one in (posting.kind, posting.memo, posting.reverses)]
        self.text = (
            f',"id":"%s","kind":{kind},"lots":[{",".join(lots)}],"memo":{memo},"reverses":{reverses},'
            f'"transfers":[{",".join(legs)}],"v":{POSTING_VERSION}}}'
        )
        self.flows = tuple([(way.asset, way.giver, way.taker) for _, _, way in posting.legs])
        self.city = all(way.city for _, _, way in posting.legs)
        self.forms: dict[bytes, Form] = {}
        self.first: bytes | None = None
        self.stem: tuple[bytes, bytes] | None = None
        self.tried = False

    def evidence(self, raw: bytes | None) -> tuple[bytes, bytes]:
        """As `_evidence`. Calls of one key and model begin alike, so only what follows is looked through."""
        if not raw or len(raw) > ALIKE_BYTES_MAX or (self.tried and self.stem is None):
            return _evidence(raw)
        if self.stem is None:
            if self.first is None:
                self.first = raw
            else:
                self.stem, self.tried = _stem(self.first, raw), True
                self.first = None
        elif raw.startswith(self.stem[0]) and raw.isascii():
            try:
                rules = _rules_of.decode(BEGUN + raw[len(self.stem[0]) :]).rules
            except msgspec.DecodeError:
                return _evidence(raw)
            return raw, bytes(rules) or self.stem[1]
        return _evidence(raw)


class _Family:
    """Postings of one kind and day, and of one memo."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[int | BetweenLike, ...], _Shape] = {}
        self.forms: dict[tuple[bytes, tuple[Flow, ...]], Form] = {}


class _Setting:
    """What the calls of a batch have in common. Their private part up to its evidence is the same."""

    __slots__ = ("family", "head", "of")

    def __init__(self, posting: PostingLike, family: _Family) -> None:
        self.of = _common(posting)
        self.family = family
        at = _text(posting.at.astimezone(UTC))
        self.head = f'{{"actor":{_text(posting.actor)},"at":{at},"day":{_text(posting.day)},"evidence":'.encode()

    def shape(self, posting: PostingLike) -> tuple[_Shape, bytes]:
        """Its shape, and the private part after its evidence."""
        told: list[object] = [posting.id]
        route: list[int | BetweenLike] = [0]
        if posting.lots:
            route[0] = len(posting.lots)
            for lot in zip(posting.lots, posting.deltas or (), strict=True):
                told += lot
        for leg, amount, between in posting.legs:
            told += leg, amount
            route.append(between)
        key = tuple(route)
        shapes = self.family.shapes
        shape = shapes.get(key)
        if shape is None:
            if len(shapes) >= SHAPES_MAX:
                shapes.clear()
                self.family.forms.clear()
            shape = shapes[key] = _Shape(posting)
        return shape, (shape.text % tuple(told)).encode()


class Drafter:
    """Makes postings' entries. Remembers what it wrote for others like them.

    A private part has its fields in the order of their names, which makes it canonical but for its evidence. All of
    it but ids and numbers comes from an encoder.
    """

    def __init__(self) -> None:
        self._setting: _Setting | None = None
        self._families: dict[tuple[str, date], _Family] = {}

    def draft(self, posting: PostingLike, salt: bytes) -> Draft:
        """Public: type, day, assets, rule versions; amounts only where nobody but the city is concerned."""
        setting = self._setting
        if setting is None or setting.of != _common(posting):
            setting = self._setting = _Setting(posting, self._family(posting))
        shape, tail = setting.shape(posting)
        evidence, rules = shape.evidence(posting.evidence)
        hashed = sha256(DOMAIN + salt + setting.head)
        hashed.update(evidence)
        hashed.update(tail)
        commit = hashed.digest()
        form = shape.forms.get(rules)
        if form is None:
            form = _form(posting, setting.family, shape, rules)
        if len(form.flows) == 1:
            moved: tuple[int, ...] = (sum([leg[1] for leg in posting.legs]),)
        else:
            moved = tuple(_sums(posting, shape).values())
        leaf = form.before + b2a_base64(commit, newline=False) + form.after
        return Draft(posting.id, POSTING, leaf, salt, None, form, commit, moved)

    def _family(self, posting: PostingLike) -> _Family:
        """Where it has a memo of its own it has few relatives, and they are not remembered."""
        if posting.memo or posting.reverses is not None:
            return _Family()
        if len(self._families) >= FAMILIES_MAX:
            self._families.clear()
        return self._families.setdefault((posting.kind, posting.day), _Family())


def _common(posting: PostingLike) -> tuple[object, ...]:
    return posting.at, posting.kind, posting.day, posting.actor, posting.memo, posting.reverses


def _form(posting: PostingLike, family: _Family, shape: _Shape, rules: bytes) -> Form:
    """Postings of one kind, day and set of rules share it; one that says amounts is nobody else's."""
    sums = _sums(posting, shape)
    if shape.city:
        return _formed(posting, sums, rules, shown=True)
    key = (rules, tuple(sums))
    if key not in family.forms:
        family.forms[key] = _formed(posting, sums, rules, shown=False)
    found = shape.forms[rules] = family.forms[key]
    return found


def _stem(one: bytes, other: bytes) -> tuple[bytes, bytes] | None:
    """How two pieces of evidence begin, up to the quote of a name, and the JSON of the rules in it; None where they
    share nothing.

    What is before the comma is an object but for its end. So whatever goes on after the quote makes JSON exactly when
    it is JSON with `{"` in front.
    """
    at = next((n for n, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), len(one))
    while (at := one.rfind(b',"', 0, at)) > 0:
        try:
            found = _members.decode(one[:at] + b"}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if found:
            return one[: at + 2], bytes(found.get("rules", b""))
    return None


def _sums(posting: PostingLike, shape: _Shape) -> dict[Flow, int]:
    """How much moved between accounts of which kinds."""
    found: dict[Flow, int] = {}
    for flow, leg in zip(shape.flows, posting.legs, strict=True):
        found[flow] = found.get(flow, 0) + leg[1]
    return found


def _formed(posting: PostingLike, sums: Mapping[Flow, int], rules: bytes, *, shown: bool) -> Form:
    versions = _versions(rules)
    public = _Public(
        assets=sorted({flow[0] for flow in sums}),
        commit="",
        day=posting.day,
        flows=[(*flow, amount) for flow, amount in sorted(sums.items())] if shown else [],
        kind=POSTING,
        rules=[f"{name}@{version}" for name, version in sorted(versions.items())],
        type=posting.kind,
        v=POSTING_VERSION,
    )
    before, after = _plain.encode(public).split(COMMIT, 1)
    return Form(before + COMMIT, after, posting.kind, tuple(sums))


def _text(value: object) -> str:
    return _plain.encode(value).decode()


def public_bytes(kind: str, day: date, public: Mapping[str, Any]) -> bytes:
    """The public part of a recorded entry, without its commitment; BadEntry when it can't be one."""
    if RESERVED & set(public) or not kind or kind in OWN_KINDS:
        raise BadEntry(f"its kind is {kind!r} or it uses a reserved name ({', '.join(sorted(RESERVED))})")
    try:
        found = canonical({**public, "v": VERSION, "kind": kind, "day": day})
    except TypeError as error:
        raise BadEntry("it is not plain data") from error
    if len(found) > PUBLIC_BYTES_MAX:
        raise BadEntry(f"its public part takes more than {PUBLIC_BYTES_MAX} bytes")
    return found


def private_bytes(private: Mapping[str, Any] | None) -> bytes | None:
    if private is None:
        return None
    try:
        found = canonical(private)
    except TypeError as error:
        raise BadEntry("its private part is not plain data") from error
    if len(found) > PRIVATE_BYTES_MAX:
        raise BadEntry(f"its private part takes more than {PRIVATE_BYTES_MAX} bytes")
    return found


def draft_record(subject: UUID, kind: str, public: bytes, private: bytes | None, salt: bytes) -> Draft:
    """A recorded entry; without a private part there is nothing to commit to."""
    if private is None:
        return Draft(subject, kind, public)
    leaf = canonical({**_decoder.decode(public), "commit": b64(commitment(salt, private))})
    return Draft(subject, kind, leaf, salt, private)


def _evidence(raw: bytes | None) -> tuple[bytes, bytes]:
    """The evidence as it was booked, in base64 where it is no JSON, and the JSON of its rules."""
    if not raw:
        return b"null", b""
    try:
        if not raw.isascii():
            raw.decode()
        return raw, bytes(_rules_of.decode(raw).rules)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return (_plain.encode(raw) if isinstance(_first_evidence(raw), bytes) else raw), b""


def _versions(rules: bytes) -> dict[str, str]:
    found = _decoder.decode(rules) if rules else None
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def _first_evidence(raw: bytes | None) -> Any:
    try:
        return _decoder.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw
