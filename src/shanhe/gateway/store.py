"""SQL of the usage sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from importlib import resources
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway import parted_store
from shanhe.gateway.meter import BUCKETS
from shanhe.gateway.parted_store import Earned, PartedSums, ResourceDay, ResourceUse, RightDay
from shanhe.kernel.db import Database

ROWS_MAX: Final = 10_000
"""Most rows of a page of usage."""
GROUPS: Final = {
    "day": ("day", "day"), "week": ("day", "date_trunc('week', day)::date"),
    "month": ("day", "date_trunc('month', day)::date"), "model": ("model", "model"), "key": ("key_id", "key_id"),
    "org": ("org_id", "org_id"), "tag": ("tag", "tag"),
}  # fmt: skip
"""What sums are grouped by: the column that says the group, and what it is made of. A week begins on a Monday; a window
is named by its first day."""
WINDOWS: Final = ("day", "week", "month")


class UsageKey(msgspec.Struct, frozen=True):
    day: date
    org_id: UUID
    key_id: UUID
    model: str


class TagKey(msgspec.Struct, frozen=True):
    day: date
    org_id: UUID
    tag: UUID
    key_id: UUID
    model: str


class KeyDay(msgspec.Struct, frozen=True):
    """Calls by one key on a day, and what they cost in µ."""

    day: date
    key_id: UUID
    calls: int
    amount_micro: int


SUMMED: Final = ("calls", *BUCKETS, "amount_micro")


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
    cache_write: int
    amount_micro: int
    tag: UUID | str | None = None

    @property
    def tokens(self) -> int:
        return self.input + self.cached_input + self.output + self.reasoning + self.tool + self.cache_write


class UsageStore:
    """Reads and writes `gateway.usage_day`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        sql = resources.files("shanhe.gateway") / "sql"
        self._add = (sql / "add_usage.sql").read_text(encoding="utf-8")
        self._add_tagged = (sql / "add_tag_days.sql").read_text(encoding="utf-8")

    async def add(self, sums: dict[UsageKey, list[int]]) -> None:
        """Add sums: [calls, buckets in their order, amount] by key."""
        await self._db.execute(self._add, *_columns(sums))

    async def add_tagged(self, sums: dict[TagKey, list[int]]) -> None:
        """The same by tag."""
        await self._db.execute(self._add_tagged, *_columns(sums), [key.tag for key in sums])

    async def replace_day(self, day: date, sums: dict[UsageKey, list[int]]) -> None:
        """Put recomputed sums in the place of a finished day's."""
        async with self._db.transaction() as connection:
            await connection.execute("DELETE FROM gateway.usage_day WHERE day = $1", day)
            rows = [(key.day, key.org_id, key.key_id, key.model, *values) for key, values in sums.items()]
            columns = ["day", "org_id", "key_id", "model", *SUMMED]
            await connection.copy_records_to_table("usage_day", schema_name="gateway", columns=columns, records=rows)

    async def replace_tagged(self, day: date, sums: dict[TagKey, list[int]]) -> None:
        """The same by tag."""
        async with self._db.transaction() as connection:
            await connection.execute("DELETE FROM gateway.tag_day WHERE day = $1", day)
            rows = [(key.day, key.org_id, key.tag, key.key_id, key.model, *values) for key, values in sums.items()]
            columns = ["day", "org_id", "tag", "key_id", "model", *SUMMED]
            await connection.copy_records_to_table("tag_day", schema_name="gateway", columns=columns, records=rows)

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

    async def of_keys(self, keys: Sequence[UUID], first: date, last: date, most: int) -> list[KeyDay]:
        """What calls by some keys cost between two dates (both included), by day, newest first; `most` rows."""
        rows = await self._db.fetch(
            """SELECT day, key_id, sum(calls)::bigint AS calls, sum(amount_micro)::bigint AS amount_micro
                 FROM gateway.usage_day WHERE key_id = ANY($1) AND day BETWEEN $2 AND $3
                GROUP BY day, key_id ORDER BY day DESC, amount_micro DESC, key_id LIMIT $4""",
            list(keys), first, last, most,
        )  # fmt: skip
        return [KeyDay(**row) for row in rows]

    async def read(
        self,
        org_id: UUID | None,
        first: date,
        last: date,
        group: tuple[str, ...],
        key_id: UUID | None = None,
        model: str | None = None,
        most: int | None = None,
        tag: UUID | None = None,
    ) -> list[UsageRow]:
        """Sums between two dates (both included) by the named groups, newest day first: `most` of them, else a page and
        one more, by which `complete` knows. By tag, or of one, only what has tags counts, and what has two counts in
        both."""
        made = dict(GROUPS[name] for name in group)
        chosen = ", ".join(
            f"{made.get(name, 'NULL')} AS {name}" for name in dict.fromkeys(name for name, _ in GROUPS.values())
        )
        table = "gateway.tag_day" if tag is not None or "tag" in group else "gateway.usage_day"
        of_tag = "" if tag is None else "AND tag = $7"
        rows = await self._db.fetch(
            f"""SELECT {chosen}, sum(calls)::bigint AS calls, sum(input)::bigint AS input,
                       sum(cached_input)::bigint AS cached_input, sum(output)::bigint AS output,
                       sum(reasoning)::bigint AS reasoning, sum(tool)::bigint AS tool,
                       sum(cache_write)::bigint AS cache_write,
                       sum(amount_micro)::bigint AS amount_micro
                  FROM {table}
                 WHERE ($1::uuid IS NULL OR org_id = $1) AND day BETWEEN $2 AND $3
                   AND ($4::uuid IS NULL OR key_id = $4) AND ($5::text IS NULL OR model = $5) {of_tag}
                 {"GROUP BY " + ", ".join(made.values()) if made else ""}
                 ORDER BY {", ".join(f"{name} DESC" for name in made.values()) or "1"} LIMIT $6""",
            org_id, first, last, key_id, model, most or ROWS_MAX + 1, *(() if tag is None else (tag,)),
        )  # fmt: skip
        return [UsageRow(**dict(row)) for row in rows if row["calls"] is not None]


def _columns(sums: Mapping[Any, list[int]]) -> list[list[Any]]:
    """Sums as columns: days, organisations, keys, models, then the sums."""
    keys = list(sums)
    columns: list[list[Any]] = [
        [key.day for key in keys],
        [key.org_id for key in keys],
        [key.key_id for key in keys],
        [key.model for key in keys],
    ]
    return columns + [[values[at] for values in sums.values()] for at in range(len(SUMMED))]
