"""Texts from before their column was sealed: each module names its places, one loop seals what people left.

A place is gone through once, page by page, from where the last run stopped. What a sealed row replaced would lie in the
table's dead rows until they are used again, so a table that changed is written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.kernel.sealing import MARK, Seals

PAGE_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A table with texts of parties: `keys` by name with type, `owner` as SQL over the table `t`, `texts` and `values`
    (JSON) by column with the field they are sealed as."""

    table: str
    keys: Mapping[str, str]
    owner: str
    texts: Mapping[str, str]
    values: Mapping[str, str] | None = None
    of_person: bool = False
    """The owner is a person, not the organisation of one."""


async def reseal_page(
    db: Database, seals: Seals, place: Place, after: Sequence[str] | None
) -> tuple[int, Sequence[str] | None]:
    """Seal what is a person's in one page of a place: (rows changed, where to go on; None at the end)."""
    keys, columns = list(place.keys), [*place.texts, *(place.values or {})]
    marks = ", ".join(f"${n}::text::{kind}" for n, kind in enumerate(place.keys.values(), 1))
    shown = ", ".join(f"t.{key}::text AS k_{key}" for key in keys)
    texts = ", ".join(f"t.{column}" for column in columns)
    order = ", ".join(f"t.{key}" for key in keys)
    beyond = f"WHERE ({order}) > ({marks})" if after else ""
    rows = await db.fetch(
        f"SELECT {shown}, {place.owner} AS owner, {texts} FROM {place.table} t {beyond} ORDER BY {order} "
        f"LIMIT {PAGE_ROWS}",
        *(after or ()),
    )
    changed = 0
    for row in rows:
        changed += await _reseal_row(db, seals, place, row)
    return changed, [rows[-1][f"k_{key}"] for key in keys] if len(rows) == PAGE_ROWS else None


async def _reseal_row(db: Database, seals: Seals, place: Place, row: Any) -> bool:
    owner: UUID | None = row["owner"]
    if owner is None:
        return False
    seal, new = seals.of_person(owner) if place.of_person else await seals.of(owner), dict[str, Any]()
    if not seal.personal:
        return False
    for column, field in place.texts.items():
        if row[column] and not row[column].startswith(MARK):
            new[column] = seal.text(field, row[column])
    for column, field in (place.values or {}).items():
        if row[column] and not (isinstance(row[column], dict) and set(row[column]) == {MARK}):
            new[column] = seal.json(field, row[column])
    if not new:
        return False
    sets = ", ".join(f"{column} = ${n}" for n, column in enumerate(new, 1))
    where = " AND ".join(
        f"{key} = ${n}::text::{kind}" for n, (key, kind) in enumerate(place.keys.items(), len(new) + 1)
    )
    async with db.transaction() as conn:
        await conn.execute("SELECT set_config('shanhe.resealing', 'on', true)")
        await conn.execute(
            f"UPDATE {place.table} SET {sets} WHERE {where}", *new.values(), *(row[f"k_{key}"] for key in place.keys)
        )
    return True


async def rewrite(db: Database, table: str) -> None:
    """Write a table anew, so that nothing of replaced rows is left in its file."""
    await db.execute(f"VACUUM (FULL) {table}")
