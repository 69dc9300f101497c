"""SQL of the usage sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib import resources
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway import parted_store
from shanhe.gateway.parted_store import Earned, PartedSums, ResourceDay, ResourceUse, RightDay
from shanhe.kernel.db import Database

ROWS_MAX: Final = 10_000
"""Most rows of a page of usage."""
GROUPS: Final = {"day": "day", "model": "model", "key": "key_id", "org": "org_id"}


class UsageKey(msgspec.Struct, frozen=True):
    day: date
    org_id: UUID
    key_id: UUID
    model: str


class UsageRow(msgspec.Struct, frozen=True):
    """Sums of one group; fields not grouped by are None. Amount in µ."""

    day: date | None
    org_id: UUID | None
    key_id: UUID | None
    model: str | None
    calls: int
    input: int
    cached_input: int
    output: int
    reasoning: int
    tool: int
    amount_micro: int

    @property
    def tokens(self) -> int:
        return self.input + self.cached_input + self.output + self.reasoning + self.tool


class UsageStore:
    """Reads and writes `gateway.usage_day`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._add = (resources.files("shanhe.gateway") / "sql" / "add_usage.sql").read_text(encoding="utf-8")

    async def add(self, sums: dict[UsageKey, list[int]]) -> None:
        """Add sums: [calls, input, cached_input, output, reasoning, tool, amount] by key."""
        keys = list(sums)
        columns: list[list[Any]] = [
            [key.day for key in keys],
            [key.org_id for key in keys],
            [key.key_id for key in keys],
            [key.model for key in keys],
        ]
        columns += [[sums[key][at] for key in keys] for at in range(7)]
        await self._db.execute(self._add, *columns)

    async def replace_day(self, day: date, sums: dict[UsageKey, list[int]]) -> None:
        """Put recomputed sums in the place of a finished day's."""
        async with self._db.transaction() as connection:
            await connection.execute("DELETE FROM gateway.usage_day WHERE day = $1", day)
            rows = [(key.day, key.org_id, key.key_id, key.model, *values) for key, values in sums.items()]
            await connection.copy_records_to_table("usage_day", schema_name="gateway", records=rows)

    async def add_parted(self, sums: PartedSums) -> None:
        """Add sums by listing and by party."""
        await parted_store.add(self._db, sums)

    async def replace_parted(self, day: date, sums: PartedSums) -> None:
        """Put recomputed sums in the place of a finished day's."""
        await parted_store.replace_day(self._db, day, sums)

    async def resources(
        self, names: Sequence[str] | None, first: date, last: date, org_id: UUID | None
    ) -> list[ResourceUse]:
        """See `parted_store.resources`."""
        return await parted_store.resources(self._db, names, first, last, org_id)

    async def payers(self, names: Sequence[str], first: date, last: date) -> list[ResourceUse]:
        """See `parted_store.payers`."""
        return await parted_store.payers(self._db, names, first, last)

    async def resource_days(self, names: Sequence[str], first: date, last: date) -> list[ResourceDay]:
        """See `parted_store.resource_days`."""
        return await parted_store.resource_days(self._db, names, first, last)

    async def earned(self, account: UUID, first: date, last: date) -> list[Earned]:
        """See `parted_store.earned`."""
        return await parted_store.earned(self._db, account, first, last)

    async def right_days(self, right: str, first: date, last: date) -> list[RightDay]:
        """See `parted_store.right_days`."""
        return await parted_store.right_days(self._db, right, first, last)

    async def read(
        self,
        org_id: UUID | None,
        first: date,
        last: date,
        group: tuple[str, ...],
        key_id: UUID | None = None,
        model: str | None = None,
        most: int = ROWS_MAX,
    ) -> list[UsageRow]:
        """Sums between two dates (both included) by the named groups, newest day first; `most` of them."""
        columns = [GROUPS[name] for name in group]
        chosen = ", ".join(f"{name}" if name in columns else f"NULL AS {name}" for name in GROUPS.values())
        rows = await self._db.fetch(
            f"""SELECT {chosen}, sum(calls)::bigint AS calls, sum(input)::bigint AS input,
                       sum(cached_input)::bigint AS cached_input, sum(output)::bigint AS output,
                       sum(reasoning)::bigint AS reasoning, sum(tool)::bigint AS tool,
                       sum(amount_micro)::bigint AS amount_micro
                  FROM gateway.usage_day
                 WHERE ($1::uuid IS NULL OR org_id = $1) AND day BETWEEN $2 AND $3
                   AND ($4::uuid IS NULL OR key_id = $4) AND ($5::text IS NULL OR model = $5)
                 {"GROUP BY " + ", ".join(columns) if columns else ""}
                 ORDER BY {", ".join(f"{name} DESC" for name in columns) or "1"} LIMIT $6""",
            org_id, first, last, key_id, model, most,
        )  # fmt: skip
        return [UsageRow(**dict(row)) for row in rows if row["calls"] is not None]
