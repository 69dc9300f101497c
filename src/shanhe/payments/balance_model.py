"""The bank's balance against the books' (银行存款余额调节表): what one side has and the other has not. Pure; in fen.

Lines of statements and postings are tied by what they belong to: an order, a refund, a payout, an item in suspense.
Whatever of a tie moved the same on both sides by an evening is settled; the rest is in transit, and explains the
difference of the two balances to the fen. What it doesn't explain no statement shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from shanhe.payments.bank_model import Gap

Node = Hashable
"""A line, a posting, or what ties them."""
Tie = tuple[Node, Node]


class Side(StrEnum):
    """Who has it, and which way it went: the other side has not (yet)."""

    BANK_IN = "bank_in"
    BANK_OUT = "bank_out"
    BOOKS_IN = "books_in"
    BOOKS_OUT = "books_out"


@dataclass(frozen=True)
class Entry:
    """A movement of the account as the bank or as the books have it; `fen` is below zero where money left."""

    node: Node
    day: date
    fen: int
    what: str = ""
    """The posting's kind, `line` of a statement, or `opening`."""
    reference: str = ""
    line: tuple[str, int] | None = None
    posting: UUID | None = None


@dataclass(frozen=True)
class Transit:
    """Something that one side has. `since`: the day there; `cleared`: when the other had it, too, as known now."""

    side: Side
    amount_fen: int
    since: date
    age_days: int
    what: str = ""
    reference: str = ""
    line: tuple[str, int] | None = None
    posting: UUID | None = None
    cleared: date | None = None


@dataclass(frozen=True)
class BankBalance:
    """Both balances on the evening of a day, and what explains their difference.

    `bank_fen`: by the bank's statements where they say it (`stated`), else what their lines come to. `until`: the last
    day that a statement covers, at most `day`. `unread`: rows of these statements that could not be read."""

    day: date
    bank_fen: int
    ledger_fen: int
    items: tuple[Transit, ...] = ()
    stated: bool = True
    until: date | None = None
    gaps: tuple[Gap, ...] = ()
    unread: int = 0

    def total_fen(self, side: Side) -> int:
        return sum(item.amount_fen for item in self.items if item.side is side)

    @property
    def adjusted_bank_fen(self) -> int:
        """As if the bank had what the books have."""
        return self.bank_fen + self.total_fen(Side.BOOKS_IN) - self.total_fen(Side.BOOKS_OUT)

    @property
    def adjusted_ledger_fen(self) -> int:
        """As if the books had what the bank has."""
        return self.ledger_fen + self.total_fen(Side.BANK_IN) - self.total_fen(Side.BANK_OUT)

    @property
    def unexplained_fen(self) -> int:
        """By how much the bank's balance is above what all lines and postings lead to."""
        return self.adjusted_bank_fen - self.adjusted_ledger_fen


@dataclass(frozen=True)
class Kept:
    """A sheet as it stood when somebody asked for a second person's signature; that of both, once it was given."""

    id: UUID
    day: date
    bank_fen: int
    ledger_fen: int
    unexplained_fen: int
    made_by: str
    made_at: datetime
    signed_by: str | None = None
    signed_at: datetime | None = None
    sheet: Mapping[str, object] = field(default_factory=dict)


class Walk:
    """Goes through the movements of both sides, some days at a time, and forgets what was settled: what comes to it
    later moves one side as much as if all was known."""

    def __init__(self, day: date) -> None:
        self._day = day
        self._groups = _Groups()
        self._bank: list[Entry] = []
        self._books: list[Entry] = []

    def add(self, bank: Iterable[Entry], books: Iterable[Entry], ties: Iterable[Tie]) -> None:
        for one, other in ties:
            self._groups.join(one, other)
        self._bank += bank
        self._books += books

    def forget(self) -> None:
        """Leave out what both sides have alike, on the evening of the day as now."""
        kept = {
            node: (theirs, ours) for node, (theirs, ours) in self._by_group().items()
            if not (_even(theirs, ours) and _even(_until(self._day, theirs), _until(self._day, ours)))
        }  # fmt: skip
        self._bank = [entry for theirs, _ in kept.values() for entry in theirs]
        self._books = [entry for _, ours in kept.values() for entry in ours]
        self._groups = self._groups.only(kept)

    def in_transit(self) -> tuple[Transit, ...]:
        """What one side has on the evening of the day and the other has not; the oldest first. The differences of both
        sides' sums and of these items are the same."""
        found: list[Transit] = []
        for theirs, ours in self._by_group().values():
            found += _of_group(self._day, theirs, ours)
        return tuple(sorted(found, key=lambda item: (item.side, item.since, -item.amount_fen, item.reference)))

    def _by_group(self) -> Mapping[Node, tuple[list[Entry], list[Entry]]]:
        found: dict[Node, tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
        for place, entries in enumerate((self._bank, self._books)):
            for entry in entries:
                found[self._groups.of(entry.node)][place].append(entry)
        return found


def _until(day: date, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.day <= day]


def _even(one: Iterable[Entry], other: Iterable[Entry]) -> bool:
    return sum(entry.fen for entry in one) == sum(entry.fen for entry in other)


def _of_group(day: date, theirs: Sequence[Entry], ours: Sequence[Entry]) -> list[Transit]:
    one, other = _until(day, theirs), _until(day, ours)
    if _even(one, other):
        return []
    one, other = _without_pairs(one, other)
    theirs_fen, ours_fen = sum(e.fen for e in one), sum(e.fen for e in other)
    if theirs_fen * ours_fen > 0:  # the same matter on both sides, of which one has more
        theirs_fen, ours_fen = (
            (theirs_fen - ours_fen, 0) if abs(theirs_fen) > abs(ours_fen) else (0, ours_fen - theirs_fen)
        )
    cleared = _cleared(day, theirs, ours)
    sides = ((Side.BANK_IN, Side.BANK_OUT, theirs_fen, one), (Side.BOOKS_IN, Side.BOOKS_OUT, ours_fen, other))
    return [
        _transit(came if fen > 0 else left, fen, min(left_over, key=lambda e: e.day), day, cleared)
        for came, left, fen, left_over in sides if fen
    ]  # fmt: skip


def _without_pairs(one: Sequence[Entry], other: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What is left when each movement that both sides have was struck out, the oldest first."""
    rest = sorted(other, key=lambda e: e.day)
    left = []
    for entry in sorted(one, key=lambda e: e.day):
        same = next((each for each in rest if each.fen == entry.fen), None)
        if same is None:
            left.append(entry)
        else:
            rest.remove(same)
    return left, rest


def _cleared(day: date, theirs: Sequence[Entry], ours: Sequence[Entry]) -> date | None:
    """The day on which both sides had the same, after `day`."""
    if not _even(theirs, ours):
        return None
    return max((e.day for e in (*theirs, *ours) if e.day > day), default=None)


def _transit(side: Side, fen: int, entry: Entry, day: date, cleared: date | None) -> Transit:
    return Transit(
        side, abs(fen), entry.day, (day - entry.day).days, entry.what, entry.reference, entry.line, entry.posting,
        cleared,
    )  # fmt: skip


class _Groups:
    """What hangs together."""

    def __init__(self) -> None:
        self._above: dict[Node, Node] = {}

    def of(self, node: Node) -> Node:
        while (above := self._above.get(node, node)) != node:
            self._above[node] = self._above.get(above, above)
            node = above
        return node

    def only(self, roots: Collection[Node]) -> _Groups:
        """These groups, without the others."""
        found = _Groups()
        found._above = {node: root for node in self._above if (root := self.of(node)) in roots}
        return found

    def join(self, one: Node, other: Node) -> None:
        one, other = self.of(one), self.of(other)
        if one != other:
            self._above[one] = other
