"""SQL of the sums by listing and by party."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from shanhe.gateway.errors import TooMuchUsage
from shanhe.kernel.db import Database

Key = TypeVar("Key")
ROWS_MAX = 50_000
"""Most rows one question returns; a sum of a part of them would mislead, so of more none is."""

_ADD_RESOURCE = """INSERT INTO gateway.resource_day AS k (day, resource, org_id, calls, tokens, amount_micro)
  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (resource, day, org_id) DO UPDATE
  SET calls = k.calls + EXCLUDED.calls, tokens = k.tokens + EXCLUDED.tokens,
      amount_micro = k.amount_micro + EXCLUDED.amount_micro"""
_ADD_SHARE = """INSERT INTO gateway.share_day AS k (day, account, role, resource, calls, amount_micro)
  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, day, role, resource) DO UPDATE
  SET calls = k.calls + EXCLUDED.calls, amount_micro = k.amount_micro + EXCLUDED.amount_micro"""


class ResourceUse(msgspec.Struct, frozen=True):
    """What came through a listing: over all its payers, or (with `org_id`) for one. Amount in µ, as paid."""

    resource: str
    org_id: UUID | None
    calls: int
    tokens: int
    amount_micro: int
    payers: int = 1


class ResourceDay(msgspec.Struct, frozen=True):
    """What came through a listing on a day, of all its payers. Amount in µ, as paid."""

    day: date
    resource: str
    calls: int
    tokens: int
    amount_micro: int


class Earned(msgspec.Struct, frozen=True):
    """What one account earned on a day in one role through one listing, µ."""

    day: date
    role: str
    resource: str
    calls: int
    amount_micro: int


class RightDay(msgspec.Struct, frozen=True):
    """What one holder's account earned from a registered right on a day, µ; `calls` are those that paid it."""

    day: date
    account: UUID
    calls: int
    amount_micro: int


class PartedSums:
    """Sums in memory: by (day, resource, payer) and by (day, account, role, resource)."""

    def __init__(self) -> None:
        self.resources: dict[tuple[date, str, UUID], list[int]] = {}
        self.shares: dict[tuple[date, UUID, str, str], list[int]] = {}

    def add(self, other: PartedSums) -> None:
        _merge(self.resources, other.resources)
        _merge(self.shares, other.shares)


def _merge(mine: dict[Key, list[int]], theirs: dict[Key, list[int]]) -> None:
    for key, values in theirs.items():
        known = mine.setdefault(key, [0] * len(values))
        for at, value in enumerate(values):
            known[at] += value


async def add(db: Database, sums: PartedSums) -> None:
    """Add a batch; sorted, so that two workers never wait for each other in a circle."""
    async with db.transaction() as conn:
        await conn.executemany(_ADD_RESOURCE, [(*key, *sums.resources[key]) for key in sorted(sums.resources)])
        await conn.executemany(_ADD_SHARE, [(*key, *sums.shares[key]) for key in sorted(sums.shares)])


async def replace_day(db: Database, day: date, sums: PartedSums) -> None:
    """Put recomputed sums in the place of a finished day's."""
    async with db.transaction() as conn:
        await conn.execute("DELETE FROM gateway.resource_day WHERE day = $1", day)
        await conn.execute("DELETE FROM gateway.share_day WHERE day = $1", day)
        await conn.executemany(_ADD_RESOURCE, [(*key, *values) for key, values in sums.resources.items()])
        await conn.executemany(_ADD_SHARE, [(*key, *values) for key, values in sums.shares.items()])


def _whole(rows: list[Any]) -> list[Any]:
    """All that were asked for. TooMuchUsage where there are more."""
    if len(rows) > ROWS_MAX:
        raise TooMuchUsage(ROWS_MAX)
    return rows


async def resources(
    db: Database, names: Sequence[str] | None, first: date, last: date, org_id: UUID | None
) -> list[ResourceUse]:
    """Use between two dates, both included; of one payer when `org_id` is given."""
    rows: list[Any] = await db.fetch(
        """SELECT resource, $4::uuid AS org_id, sum(calls)::bigint AS calls, sum(tokens)::bigint AS tokens,
                  sum(amount_micro)::bigint AS amount_micro,
                  count(DISTINCT org_id) FILTER (WHERE amount_micro > 0) AS payers
             FROM gateway.resource_day
            WHERE ($1::text[] IS NULL OR resource = ANY($1)) AND day BETWEEN $2 AND $3
              AND ($4::uuid IS NULL OR org_id = $4)
            GROUP BY resource ORDER BY resource LIMIT $5""",
        None if names is None else list(names), first, last, org_id, ROWS_MAX,
    )  # fmt: skip
    return [ResourceUse(**dict(row)) for row in rows]


async def payers(db: Database, names: Sequence[str], first: date, last: date) -> list[ResourceUse]:
    """Use of listings by payer between two dates, both included: of each the largest first, a bounded page."""
    rows: list[Any] = await db.fetch(
        """SELECT resource, org_id, calls, tokens, amount_micro FROM (
             SELECT resource, org_id, sum(calls)::bigint AS calls, sum(tokens)::bigint AS tokens,
                    sum(amount_micro)::bigint AS amount_micro,
                    row_number() OVER (PARTITION BY resource ORDER BY sum(amount_micro) DESC, org_id) AS place
               FROM gateway.resource_day WHERE resource = ANY($1) AND day BETWEEN $2 AND $3
              GROUP BY resource, org_id) summed
            WHERE place <= $4 ORDER BY resource, place""",
        list(names), first, last, ROWS_MAX,
    )  # fmt: skip
    return [ResourceUse(**dict(row)) for row in rows]


async def resource_days(db: Database, names: Sequence[str], first: date, last: date) -> list[ResourceDay]:
    """Use by day between two dates, both included, newest day first."""
    rows: list[Any] = await db.fetch(
        """SELECT day, resource, sum(calls)::bigint AS calls, sum(tokens)::bigint AS tokens,
                  sum(amount_micro)::bigint AS amount_micro
             FROM gateway.resource_day WHERE resource = ANY($1) AND day BETWEEN $2 AND $3
            GROUP BY day, resource ORDER BY day DESC, resource LIMIT $4""",
        list(names), first, last, ROWS_MAX + 1,
    )  # fmt: skip
    return [ResourceDay(**dict(row)) for row in _whole(rows)]


async def earned(db: Database, account: UUID, first: date, last: date) -> list[Earned]:
    """What an account earned between two dates, both included, newest day first."""
    rows: list[Any] = await db.fetch(
        """SELECT day, role, resource, calls, amount_micro FROM gateway.share_day
            WHERE account = $1 AND day BETWEEN $2 AND $3 ORDER BY day DESC, resource, role LIMIT $4""",
        account, first, last, ROWS_MAX + 1,
    )  # fmt: skip
    return [Earned(**dict(row)) for row in _whole(rows)]


async def right_days(db: Database, right: str, first: date, last: date) -> list[RightDay]:
    """What a registered right earned by day and account between two dates, both included, newest day first."""
    rows: list[Any] = await db.fetch(
        """SELECT day, account, calls, amount_micro FROM gateway.share_day
            WHERE role = 'ip_holder' AND resource = $1 AND day BETWEEN $2 AND $3
            ORDER BY day DESC, account LIMIT $4""",
        right, first, last, ROWS_MAX + 1,
    )  # fmt: skip
    return [RightDay(**dict(row)) for row in _whole(rows)]
