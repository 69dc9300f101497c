"""What an entry says in public and what it only commits to (ADR 0025). Pure.

An entry is canonical JSON: `v`, `kind`, `day`, public fields, and `commit` = SHA-256(domain, salt, private part). The
salt is 128 random bits in an erasable row: without it the commitment says nothing, and cannot be guessed at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.log.errors import BadEntry
from shanhe.log.note import b64

VERSION: Final = 1
DOMAIN: Final = b"shanhe-commit/v1\n"
SALT_BYTES: Final = 16
PUBLIC_BYTES_MAX: Final = 8 * 1024
PRIVATE_BYTES_MAX: Final = 256 * 1024
RESERVED: Final = frozenset({"v", "kind", "day", "commit"})
POSTING: Final = "posting"
TOTALS: Final = "totals"
RECOVERED: Final = "recovered"
OWN_KINDS: Final = frozenset({POSTING, TOTALS, RECOVERED})
"""Kinds that the log itself writes."""

_encoder: Final = msgspec.json.Encoder(order="sorted")
_plain: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


def canonical(value: object) -> bytes:
    """Compact JSON with sorted keys, in UTF-8."""
    return _encoder.encode(value)


def commitment(salt: bytes, private: bytes) -> bytes:
    return hashlib.sha256(DOMAIN + salt + private).digest()


class LegLike(Protocol):
    """A transfer with what its two accounts are; `city` = both belong to the city."""

    @property
    def id(self) -> UUID: ...
    @property
    def debit(self) -> UUID: ...
    @property
    def credit(self) -> UUID: ...
    @property
    def amount(self) -> int: ...
    @property
    def asset(self) -> str: ...
    @property
    def from_kind(self) -> str: ...
    @property
    def to_kind(self) -> str: ...
    @property
    def city(self) -> bool: ...


class PostingLike(Protocol):
    """A booked posting as the ledger's feed gives it; (`born`, `id`) is its place in the feed."""

    @property
    def born(self) -> int: ...
    @property
    def id(self) -> UUID: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def day(self) -> date: ...
    @property
    def actor(self) -> str: ...
    @property
    def memo(self) -> str: ...
    @property
    def reverses(self) -> UUID | None: ...
    @property
    def evidence(self) -> bytes | None: ...
    @property
    def legs(self) -> Sequence[LegLike]: ...
    @property
    def lots(self) -> Sequence[tuple[UUID, int]]: ...


Flow = tuple[str, str, str]
"""Asset, kind of the account that gave, kind of the one that got."""


class Draft(msgspec.Struct, frozen=True):
    """An entry before it has a place: `flows` are the amounts that its batch's totals take in."""

    subject: UUID
    kind: str
    leaf: bytes
    salt: bytes | None = None
    private: bytes | None = None
    flows: tuple[tuple[Flow, int], ...] = ()
    type: str = ""


class _Private(msgspec.Struct, frozen=True, gc=False):
    """A posting's private part. Fields in the order of their names, which makes it canonical."""

    actor: str
    at: str
    day: date
    evidence: Any
    id: UUID
    kind: str
    lots: Sequence[tuple[UUID, int]]
    memo: str
    reverses: UUID | None
    transfers: list[tuple[UUID, UUID, UUID, int, str, str, str]]
    v: int


class _Public(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A posting's public part; likewise."""

    assets: list[str]
    commit: str
    day: date
    flows: list[tuple[str, str, str, int]] = []
    kind: str
    rules: list[str] = []
    type: str
    v: int


def private_of(posting: PostingLike) -> tuple[bytes, dict[str, str]]:
    """A posting's private part, and its evidence's rules (id → version). The same bytes whenever it is read again."""
    evidence, rules = _evidence(posting.evidence)
    transfers = [
        (leg.id, leg.debit, leg.credit, leg.amount, leg.asset, leg.from_kind, leg.to_kind) for leg in posting.legs
    ]
    at = posting.at.astimezone(UTC).isoformat(timespec="microseconds")
    value = _Private(
        posting.actor, at, posting.day, evidence, posting.id, posting.kind, posting.lots, posting.memo,
        posting.reverses, transfers, VERSION,
    )  # fmt: skip
    return _encoder.encode(value), rules


def draft_posting(posting: PostingLike, salt: bytes) -> Draft:
    """Public: type, day, assets, rule versions; amounts only where nobody but the city is concerned."""
    private, rules = private_of(posting)
    sums: dict[Flow, int] = {}
    city = True
    for leg in posting.legs:
        flow = (leg.asset, leg.from_kind, leg.to_kind)
        sums[flow] = sums.get(flow, 0) + leg.amount
        city = city and leg.city
    flows = tuple(sums.items()) if len(sums) == 1 else tuple(sorted(sums.items()))
    public = _Public(
        assets=sorted({flow[0] for flow in sums}),
        commit=b64(commitment(salt, private)),
        day=posting.day,
        flows=[(*flow, amount) for flow, amount in flows] if city else [],
        kind=POSTING,
        rules=[f"{name}@{version}" for name, version in sorted(rules.items())] if rules else [],
        type=posting.kind,
        v=VERSION,
    )
    return Draft(posting.id, POSTING, _plain.encode(public), salt, None, flows, posting.kind)


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


def _evidence(raw: bytes | None) -> tuple[Any, dict[str, str]]:
    if not raw:
        return None, {}
    try:
        found = _decoder.decode(raw)
    except msgspec.DecodeError:
        return raw, {}
    rules = found.get("rules") if isinstance(found, dict) else None
    if not isinstance(rules, dict):
        return found, {}
    return found, {str(name): str(version) for name, version in rules.items()}
