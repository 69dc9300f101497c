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
TEMPLATES_MAX: Final = 4096
"""Public parts kept but for their commitments: those of one kind of posting, day and set of rules are one."""

_encoder: Final = msgspec.json.Encoder(order="sorted")
_plain: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


def canonical(value: object) -> bytes:
    """Compact JSON with sorted keys, in UTF-8."""
    return _encoder.encode(value)


def commitment(salt: bytes, private: bytes) -> bytes:
    return sha256(DOMAIN + salt + private).digest()


Leg = tuple[str, str, str, int, str, str, str]
"""A transfer: its id, the accounts that gave and got, the amount, the asset, the kinds of the two accounts."""


class PostingLike(Protocol):
    """A booked posting as the ledger's feed gives it; (`born`, `id`) is its place in the feed.

    `city`: every account that it moves something between is the city's own.
    """

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
    def legs(self) -> Sequence[Leg]: ...
    @property
    def city(self) -> bool: ...
    @property
    def lots(self) -> Sequence[tuple[str, int]]: ...


Flow = tuple[str, str, str]
"""Asset, kind of the account that gave, kind of the one that got."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An entry before it has a place: `flows` are the amounts that its batch's totals take in."""

    subject: UUID
    kind: str
    leaf: bytes
    salt: bytes | None = None
    private: bytes | None = None
    flows: tuple[tuple[Flow, int], ...] = ()
    type: str = ""


class _Private(msgspec.Struct, frozen=True, gc=False):
    """A posting's private part. Fields in the order of their names, which makes it canonical but for its evidence."""

    actor: str
    at: datetime
    day: date
    evidence: msgspec.Raw | bytes | None
    id: UUID
    kind: str
    lots: Sequence[tuple[str, int]]
    memo: str
    reverses: UUID | None
    transfers: Sequence[Leg]
    v: int


class _FirstPrivate(msgspec.Struct, frozen=True, gc=False):
    """As version 1 wrote it: all of it canonical."""

    actor: str
    at: str
    day: date
    evidence: Any
    id: UUID
    kind: str
    lots: Sequence[tuple[str, int]]
    memo: str
    reverses: UUID | None
    transfers: Sequence[Leg]
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


class _Evidence(msgspec.Struct, frozen=True, gc=False):
    """What of the evidence is public; the rest is skipped, and seen to be JSON."""

    rules: msgspec.Raw = msgspec.Raw(b"")


_rules_of: Final = msgspec.json.Decoder(_Evidence)


def private_of(posting: PostingLike, version: int = POSTING_VERSION) -> bytes:
    """A posting's private part as that version wrote it: the same bytes whenever it is read again."""
    if version == VERSION:
        at = posting.at.astimezone(UTC).isoformat(timespec="microseconds")
        return _encoder.encode(_FirstPrivate(
            posting.actor, at, posting.day, _first_evidence(posting.evidence), posting.id, posting.kind, posting.lots,
            posting.memo, posting.reverses, posting.legs, version,
        ))  # fmt: skip
    return _private(posting, _evidence(posting.evidence)[0])


def _private(posting: PostingLike, evidence: msgspec.Raw | bytes | None) -> bytes:
    return _plain.encode(_Private(
        posting.actor, posting.at.astimezone(UTC), posting.day, evidence, posting.id, posting.kind, posting.lots,
        posting.memo, posting.reverses, posting.legs, POSTING_VERSION,
    ))  # fmt: skip


class Drafter:
    """Makes postings' entries. Remembers public parts: those of one day and kind differ in their commitments alone."""

    def __init__(self) -> None:
        self._templates: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}

    def draft(self, posting: PostingLike, salt: bytes) -> Draft:
        """Public: type, day, assets, rule versions; amounts only where nobody but the city is concerned."""
        evidence, rules = _evidence(posting.evidence)
        sums: dict[Flow, int] = {}
        for leg in posting.legs:
            flow = leg[4:]
            sums[flow] = sums.get(flow, 0) + leg[3]
        if posting.city:
            before, after = _template(posting, sums, rules)
        else:
            key = (posting.kind, posting.day, rules, *sums)
            found = self._templates.get(key)
            if found is None:
                if len(self._templates) >= TEMPLATES_MAX:
                    self._templates.clear()
                found = self._templates[key] = _template(posting, sums, rules)
            before, after = found
        commit = b2a_base64(commitment(salt, _private(posting, evidence)), newline=False)
        return Draft(posting.id, POSTING, before + commit + after, salt, None, tuple(sums.items()), posting.kind)


def _template(posting: PostingLike, sums: Mapping[Flow, int], rules: bytes) -> tuple[bytes, bytes]:
    """A posting's public part before and after its commitment."""
    versions = _versions(rules)
    public = _Public(
        assets=sorted({flow[0] for flow in sums}),
        commit="",
        day=posting.day,
        flows=[(*flow, amount) for flow, amount in sorted(sums.items())] if posting.city else [],
        kind=POSTING,
        rules=[f"{name}@{version}" for name, version in sorted(versions.items())],
        type=posting.kind,
        v=POSTING_VERSION,
    )
    before, after = _plain.encode(public).split(COMMIT, 1)
    return before + COMMIT, after


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


def _evidence(raw: bytes | None) -> tuple[msgspec.Raw | bytes | None, bytes]:
    """The evidence as it was booked, in base64 where it is no JSON, and the JSON of its rules."""
    if not raw:
        return None, b""
    try:
        if not raw.isascii():
            raw.decode()
        return msgspec.Raw(raw), bytes(_rules_of.decode(raw).rules)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return (raw if isinstance(_first_evidence(raw), bytes) else msgspec.Raw(raw)), b""


def _versions(rules: bytes) -> dict[str, str]:
    found = _decoder.decode(rules) if rules else None
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def _first_evidence(raw: bytes | None) -> Any:
    try:
        return _decoder.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw
