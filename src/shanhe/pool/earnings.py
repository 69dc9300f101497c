"""Income of nodes: what a day brought, with the receipts that prove it.

The ledger is the truth: each call's posting says which engine served it and what its contributor got.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from shanhe.kernel.clock import city_date, midnight
from shanhe.ledger.api import Asset, Ledger, PostingView
from shanhe.pool.model import Node

CALL: Final = "call"
PAGE: Final = 200
PAGES_MAX: Final = 50


class _Evidence(msgspec.Struct):
    engine: str = ""
    model: str = ""
    buckets: dict[str, int] = {}


class Proof(msgspec.Struct, frozen=True):
    """One served call: its receipt, and what the contributor got."""

    receipt_id: UUID
    at: datetime
    model: str
    tokens: int
    amount_micro: int


class Day(msgspec.Struct, frozen=True):
    """Earnings of a day of the city."""

    day: date
    calls: int
    tokens: int
    amount_micro: int


_evidence = msgspec.json.Decoder(_Evidence)


class Income(msgspec.Struct, frozen=True):
    """Earnings by day, newest first, and the day since which every call is in them: later than asked where a
    contributor's calls are more than are read at once."""

    since: date
    days: Sequence[Day]


class Earnings:
    """Reads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def proofs(self, node: Node, limit: int = PAGE, since: datetime | None = None) -> list[Proof]:
        """Calls that a node served and that were not reversed, newest first, as the ledger has them."""
        return [proof for _, proof in (await self.served(node, limit, since))[0]]

    async def days(self, node: Node, since: datetime) -> Income:
        """Earnings by day; where PAGES_MAX pages do not hold them all, of the days that these hold whole."""
        sums: dict[date, list[int]] = {}
        first = city_date(since)
        found, cut = await self.served(node, PAGE * PAGES_MAX, midnight(first))
        whole = first if cut is None else city_date(cut) + timedelta(days=1)
        for _, proof in found:
            if (on := city_date(proof.at)) < whole:
                continue
            day = sums.setdefault(on, [0, 0, 0])
            for at, value in enumerate((1, proof.tokens, proof.amount_micro)):
                day[at] += value
        return Income(whole, [Day(day, *values) for day, values in sorted(sums.items(), reverse=True)])

    async def served(
        self, node: Node, limit: int, since: datetime | None
    ) -> tuple[list[tuple[PostingView, Proof]], datetime | None]:
        """At most `limit`, newest first; and the moment before which nothing was looked at, where there is more."""
        if node.contributor is None:
            return [], None
        account = await self._ledger.ensure_account(node.contributor, Asset.CREDIT, "income")
        found: list[tuple[PostingView, Proof]] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._ledger.postings(account=account.id, kind=CALL, since=since, cursor=cursor, limit=PAGE)
            undone = await self._ledger.reversed_among([posting.id for posting in page.items])
            for posting in page.items:
                proof = None if posting.id in undone else _proof(posting, node, account.id)
                if proof is not None:
                    found.append((posting, proof))
                if len(found) >= limit:
                    return found, posting.at
            cursor = page.next
            if cursor is None:
                return found, None
        return found, page.items[-1].at


def _proof(posting: PostingView, node: Node, income: UUID) -> Proof | None:
    seen = _evidence.decode(posting.evidence or b"{}")
    if seen.engine != node.engine:
        return None
    amount = sum(transfer.amount for transfer in posting.transfers if transfer.credit == income)
    return Proof(posting.id, posting.at, seen.model, sum(seen.buckets.values()), amount)
