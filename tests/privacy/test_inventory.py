"""Every column that can hold text is on one list with the reason why nothing of an erased person can be read in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shanhe.kernel import yaml
from shanhe.kernel.db import Database
from shanhe.wiring.personal_columns import PLACES

INVENTORY: dict[str, Any] = yaml.read((Path(__file__).parent / "columns.yaml").read_text(encoding="utf-8"))
TEXTUAL = """
  SELECT c.table_schema || '.' || c.table_name AS place, c.column_name AS name, c.udt_name AS type
    FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
   WHERE t.table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
     AND c.udt_name IN ('text', '_text', 'jsonb', 'json', 'bytea', 'varchar', '_varchar', 'bpchar', 'xml', 'name')
"""


def listed() -> dict[tuple[str, str], str]:
    """Kind by table and column."""
    return {
        (place, column): kind
        for place, kinds in INVENTORY["tables"].items()
        for kind, columns in kinds.items()
        for column in columns
    }


class TestInventory:
    async def test_names_every_column_that_can_hold_text(self, database: Database) -> None:
        there = {(row["place"], row["name"]) for row in await database.fetch(TEXTUAL)}
        assert sorted(there - set(listed())) == [], "say in columns.yaml why nothing of a person can be read there"
        assert sorted(set(listed()) - there) == [], "columns.yaml names columns that are not there"

    def test_gives_a_reason_for_each(self) -> None:
        assert set(listed().values()) == set(INVENTORY["kinds"])
        columns = [(place, c) for place, kinds in INVENTORY["tables"].items() for cs in kinds.values() for c in cs]
        assert len(columns) == len(set(columns))

    async def test_agrees_with_what_seals_rows_from_before(self, database: Database) -> None:
        """Texts that share a column with those of organisations; what was made as bytes was sealed from the start."""
        kinds = {(row["place"], row["name"]): row["type"] for row in await database.fetch(TEXTUAL)}
        mixed = {one for one, kind in listed().items() if kind == "sealed" and kinds[one] != "bytea"}
        assert mixed == {(one.table, column) for one in PLACES for column in (*one.texts, *(one.values or {}))}
