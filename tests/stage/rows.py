"""Every row of a module's tables, to see afterwards which of them somebody has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shanhe.kernel.db import Database

LOOKED_AT = {"checked_at"}
"""When somebody looked last is nobody's."""


async def all_rows(db: Database, *schemas: str) -> dict[str, Mapping[str, Any]]:
    """What is there, by the table and the row's key."""
    tables = await db.fetch(
        """SELECT c.oid::regclass::text AS name, array_agg(a.attname ORDER BY a.attnum) AS key FROM pg_index i
           JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
           WHERE i.indisprimary AND c.relnamespace::regnamespace::text = ANY($1) GROUP BY c.oid""",
        list(schemas),
    )
    found = {}
    for table in tables:
        for row in await db.fetch(f"SELECT to_jsonb(t) AS row FROM {table['name']} t"):
            kept = {name: value for name, value in row["row"].items() if name not in LOOKED_AT}
            found[f"{table['name']} {[row['row'][name] for name in table['key']]}"] = kept
    return found


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Which rows that were there are not as they were."""
    return [name for name, row in before.items() if after.get(name) != row]
