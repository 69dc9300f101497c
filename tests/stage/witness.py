"""Whether what was changed is written down: of each watched row, each change once, from what it was to what it became.

The record is compared with the rows themselves. For every column of a row the values it was changed from and to have to
close the way from its first value to its last one, in whatever order the changes came: one that was written down twice,
or not at all, leaves an end open.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from shanhe.kernel.db import Database

Row = Mapping[str, Any]
WATCHED = """
  SELECT tgrelid::regclass::text AS place, split_part(encode(tgargs, 'escape'), E'\\\\000', 1) AS key
    FROM pg_trigger WHERE tgname = 'acts' ORDER BY 1"""
ROWS = """
  SELECT '{place}:' || concat_ws('/', {key}) AS object, jsonb_strip_nulls(to_jsonb(t)) AS said FROM {place} t"""
SHORT = """
  SELECT object, coalesce((SELECT jsonb_object_agg(key, kernel.short(value)) FROM jsonb_each(said)), '{{}}') AS said
    FROM ({rows}) x"""
WRITTEN = "SELECT object, details FROM kernel.act WHERE actor = $1 AND action ~ '[.](add|change|remove)$'"


class Witness:
    """Sees the watched rows before and after something that `who` did."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._asks = ""

    async def look(self) -> dict[str, Row]:
        """Every watched row, by the name that its acts have."""
        if not self._asks:
            asked = [
                ROWS.format(place=row["place"], key=", ".join(f"t.{one}" for one in row["key"].split(",")))
                for row in await self._db.fetch(WATCHED)
            ]
            self._asks = SHORT.format(rows=" UNION ALL ".join(asked))
        return {row["object"]: row["said"] for row in await self._db.fetch(self._asks)}

    async def wrong(self, was: Mapping[str, Row], who: str) -> list[str]:
        """What was changed since and not written down as it was; empty where all of it was."""
        now, acts = await self.look(), dict[str, list[Row]]()
        for row in await self._db.fetch(WRITTEN, who):
            acts.setdefault(row["object"], []).append(row["details"])
        found = list[str]()
        for name in sorted(was.keys() | now.keys() | acts.keys()):
            found += [f"{name}.{one}" for one in _open(was.get(name, {}), now.get(name, {}), acts.get(name, ()))]
        return found


def _open(was: Row, now: Row, acts: Sequence[Row]) -> list[str]:
    """Columns whose changes do not lead from what was to what is."""
    columns = {name for act in acts for side in ("before", "after") for name in act.get(side, {})}
    hidden = {name for act in acts for name in act.get("hidden", ())}
    changed = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
    found = changed - columns - hidden
    for name in columns:
        told = [act for act in acts if name in act.get("before", {}) or name in act.get("after", {})]
        left, come = Counter([_value(was, name)]), Counter([_value(now, name)])
        for act in told:
            left[_value(act.get("after", {}), name)] += 1
            come[_value(act.get("before", {}), name)] += 1
        if left != come:
            found.add(name)
    return sorted(found)


def _value(row: Row, name: str) -> str:
    return json.dumps(row.get(name), sort_keys=True)
