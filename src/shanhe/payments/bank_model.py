"""Bank transfers: references, statement lines, suspense. Frozen, pure; amounts in fen."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without 0, O, 1 and I, which people confuse."""
REFERENCE_CHARS = 8
REFERENCE = re.compile(rf"(?=(S[HRP][{ALPHABET}]{{{REFERENCE_CHARS}}}))")


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class LineState(StrEnum):
    """new → matched | partial | suspense; duplicates and unreadable lines are only reported."""

    NEW = "new"
    MATCHED = "matched"
    PARTIAL = "partial"
    SUSPENSE = "suspense"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class SuspenseKind(StrEnum):
    UNKNOWN_REFERENCE = "unknown_reference"
    LATE = "late"
    OVER = "over"
    UNDER = "under"
    OUTGOING = "outgoing"
    CAME_BACK = "came_back"
    """The bank returned what we sent with one of our references, or a part of it."""
    ELSEWHERE = "elsewhere"
    """It left with one of our references, to another account than its payee's."""


class SuspenseState(StrEnum):
    OPEN = "open"
    APPLIED = "applied"
    RETURNED = "returned"
    EXPLAINED = "explained"
    RESENT = "resent"
    BOOKED = "booked"
    """As the bank's charge, or its interest."""


class BookAs(StrEnum):
    """What a line of the bank's is where no order, refund or payout is behind it."""

    CHARGES = "charges"
    INTEREST = "interest"
    TAX = "tax"
    """Tax that was withheld from makers, paid to the tax office."""
    WECHAT = "wechat"
    ALIPAY = "alipay"
    """What a payment institution settles to the bank, or is given for refunds."""
    CASH_DESK = "cash_desk"
    """What the cash desk took and brought to the bank, or was given for change."""
    OWN = "own"
    """From or to another account of the city's own company."""


LEAVING: Final = frozenset({BookAs.CHARGES, BookAs.TAX})
COMING: Final = frozenset({BookAs.INTEREST})
"""What only leaves, and what only comes; the others do both."""
SETTLED: Final = frozenset({BookAs.WECHAT, BookAs.ALIPAY})
"""Of which a commission may have been kept."""


@dataclass(frozen=True)
class BankAccount:
    """The city's own account that payers transfer to."""

    holder: str
    account: str
    bank: str


@dataclass(frozen=True)
class Parsed:
    """One row of a statement as read. `why` says what could not be read, empty for a good line."""

    row: int
    direction: Direction | None = None
    amount_fen: int | None = None
    at: datetime | None = None
    party: str = ""
    party_account: str = ""
    remark: str = ""
    serial: str = ""
    balance_fen: int | None = None
    """Of the account after it, where the bank says so."""
    why: str = ""


@dataclass(frozen=True)
class BankLine:
    file_hash: str
    row: int
    direction: Direction | None
    amount_fen: int | None
    at: datetime | None
    party: str
    party_account: str
    remark: str
    state: LineState
    why: str
    order_id: UUID | None
    reference: str | None
    confirmed_at: datetime | None
    elsewhere: bool = False
    """It left for another account than that of whom its reference is for."""


@dataclass(frozen=True)
class BankFile:
    hash: str
    name: str
    encoding: str
    lines: int
    uploaded_by: str
    uploaded_at: datetime
    since: date | None = None
    until: date | None = None
    """The days that it says it covers, else those of its lines."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    opening_fen: int | None = None
    closing_fen: int | None = None
    """None for both where it has no balances."""
    repeats: Sequence[str] = ()
    """The statements, by hash, that brought some of its lines before."""
    agreed_by: str | None = None
    """The second person who stands for it; None of those that one person took in, before two were asked."""


@dataclass(frozen=True)
class Gap:
    """One statement doesn't go on where the one before ends: what lies between is missing, or one of them is another
    account's. `since` and `until`: the days to ask the bank for; `missing_fen`: what they come to, in less out."""

    before: BankFile
    after: BankFile
    since: date
    until: date
    missing_fen: int


@dataclass(frozen=True)
class Report:
    """What a statement did, row by row. `known`: this very file had been uploaded before."""

    file: BankFile
    known: bool
    lines: tuple[BankLine, ...]
    gaps: tuple[Gap, ...] = ()
    """Beside this statement."""

    @property
    def counts(self) -> dict[str, int]:
        found = dict.fromkeys(map(str, LineState), 0)
        for line in self.lines:
            found[line.state] += 1
        return found


class Would(StrEnum):
    """What a line of a statement that waits would do, as far as can be said now."""

    PAYS = "pays"
    PART = "part"
    SENT = "sent"
    """It shows that a refund or payout of ours has left."""
    BACK = "back"
    """What we had sent came back."""
    ELSEWHERE = "elsewhere"
    SUSPENSE = "suspense"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True)
class Foreseen:
    """One line, and what it would do. `order_id`: the order that it is for."""

    row: int
    direction: Direction | None
    amount_fen: int | None
    at: datetime | None
    party: str
    party_account: str
    remark: str
    would: Would
    why: str = ""
    order_id: UUID | None = None


@dataclass(frozen=True)
class Outlook:
    """A statement that waits for a second person, and what it would do if it was taken in now. The sums are of lines
    that no earlier statement brought; `pays_fen`: of the orders that they would complete."""

    file: BankFile
    in_fen: int
    out_fen: int
    pays_fen: int
    pays: int
    lines: tuple[Foreseen, ...]

    @property
    def counts(self) -> dict[str, int]:
        found = dict.fromkeys(map(str, Would), 0)
        for line in self.lines:
            found[line.would] += 1
        return found


@dataclass(frozen=True)
class Suspense:
    """Money on the bank account that no order accounts for. `outgoing`: it left the account."""

    id: UUID
    file_hash: str
    row: int
    kind: SuspenseKind
    order_id: UUID | None
    amount_fen: int
    outgoing: bool
    owner: str
    state: SuspenseState
    posted_at: datetime | None
    note: str
    decided_by: str | None
    decided_at: datetime | None
    released_at: datetime | None
    created_at: datetime
    assigned_by: str | None = None
    fee_fen: int = 0
    """What the bank kept of a transfer that came back, or an institution of what it settled: the city bears it."""
    wanted_back_by: str | None = None
    wanted_back_at: datetime | None = None
    explained_by: Sequence[UUID] = ()
    """The postings that have its money already."""
    booked_as: BookAs | None = None

    @property
    def posting_id(self) -> UUID:
        """The posting that put it there; the one that took it away differs in one bit."""
        return self.id

    @property
    def release_id(self) -> UUID:
        return UUID(int=self.id.int ^ 1)

    @property
    def resend_id(self) -> UUID:
        """The posting of its being sent again, once a statement shows it."""
        return resend_id(self.id)


@dataclass(frozen=True)
class Ending:
    """How an item in suspense ends. `order_id`: what it is applied to; `postings`: what has its money already, where
    that explains it; `booked_as`: what it is booked as; `fee_fen`: what the bank or an institution kept of it."""

    to: SuspenseState
    note: str
    order_id: UUID | None = None
    postings: tuple[UUID, ...] = ()
    booked_as: BookAs | None = None
    fee_fen: int = 0


@dataclass(frozen=True)
class Outgoing:
    """Money that somebody at the bank has to send with this reference in the remark."""

    reference: str
    kind: str
    subject_id: UUID
    amount_fen: int
    created_at: datetime
    done_at: datetime | None
    batch: UUID | None = None
    """The bank's file with which it was sent again."""
    payee_id: UUID | None = None
    """Whose account stands in that file."""


def resend_id(suspense_id: UUID) -> UUID:
    """The posting that books that an item was sent again; and the item of such a posting."""
    return UUID(int=suspense_id.int ^ 2)


def new_reference(kind: str) -> str:
    """`SH…` to pay in, `SR…` for a refund, `SP…` for a payout; the last letter checks the others."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(REFERENCE_CHARS - 1))
    return f"S{kind}{body}{_check(kind + body)}"


def references(text: str) -> list[str]:
    """Every reference in a remark, whatever stands around it and between its letters."""
    plain = re.sub(r"[^0-9A-Z]", "", unicodedata.normalize("NFKC", text).upper())
    found = [match.group(1) for match in REFERENCE.finditer(plain)]
    return [one for one in dict.fromkeys(found) if one[-1] == _check(one[1:-1])]


def _check(text: str) -> str:
    """Any one wrong letter changes it: weights are odd, and the alphabet has 32 letters."""
    return ALPHABET[sum((2 * place + 1) * ALPHABET.index(letter) for place, letter in enumerate(text)) % 32]


def masked(account: str) -> str:
    """The last four digits of an account number, the rest hidden."""
    digits = re.sub(r"\s", "", account)
    return f"…{digits[-4:]}" if len(digits) > 4 else digits
