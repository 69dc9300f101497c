"""Looking for plain values byte by byte: in every table, and in every file of a folder, in every usual writing."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from shanhe.kernel.db import Database

BLOCK = 8 * 1024 * 1024
OVERLAP = 4_096
SCHEMAS_NOT_OURS = ("pg_catalog", "information_schema")


def writings(value: str) -> dict[str, bytes]:
    """How a value may lie in bytes: UTF-8, hex of it, base64 at each of the three alignments, JSON, UTF-16, GBK."""
    plain = value.encode()
    found = {"utf-8": plain, "hex": plain.hex().encode(), "HEX": plain.hex().upper().encode(),
             "json": json.dumps(value)[1:-1].encode(), "utf-16": value.encode("utf-16-le")}  # fmt: skip
    with contextlib.suppress(UnicodeEncodeError):
        found["gb18030"] = value.encode("gb18030")
    for shift in range(3):
        whole = base64.b64encode(b"\x00" * shift + plain).decode().rstrip("=")
        start, end = (0, 2, 3)[shift], len(whole) - (1 if (len(plain) + shift) % 3 else 0)
        found[f"base64+{shift}"] = whole[start:end].encode()
    return found


class Haystack:
    """The values to look for; `found` names each by place and writing.

    Every offset is looked at: two bytes by a table, four by a set, and only what is left byte by byte.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._needles: dict[int, list[tuple[str, bytes]]] = {}
        self._pairs = np.zeros(1 << 16, dtype=bool)
        for name, value in values.items():
            for how, needle in writings(value).items():
                key = int.from_bytes(needle[:4], "little")
                self._needles.setdefault(key, []).append((f"{name} as {how}", needle))
                self._pairs[key & 0xFFFF] = True
        self._keys = np.array(sorted(self._needles), dtype=np.uint32)

    def in_bytes(self, place: str, data: bytes) -> list[str]:
        if len(data) < 4:
            return []
        plain = np.frombuffer(data, dtype=np.uint8).astype(np.uint16)
        pairs = plain[:-1] | (plain[1:] << 8)
        near = np.flatnonzero(self._pairs[pairs[:-2]])
        keys = pairs[near].astype(np.uint32) | (pairs[near + 2].astype(np.uint32) << 16)
        found = set()
        for at, key in zip(near[hit := np.isin(keys, self._keys)], keys[hit], strict=True):
            for name, needle in self._needles[int(key)]:
                if data.startswith(needle, int(at)):
                    found.add(f"{place}: {name}")
        return sorted(found)

    def in_files(self, folders: Iterable[Path], *, database: int | None = None) -> list[str]:
        """In every file under the folders, however large; a needle is never cut by a block's edge.

        `database` is the number of ours: the folders of others, which never saw the values, are left out.
        """
        found: list[str] = []
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink() and not _of_another(path, database):
                    found += self._in_file(path)
        return found

    def _in_file(self, path: Path) -> list[str]:
        found: set[str] = set()
        with path.open("rb") as file:
            kept = b""
            while block := file.read(BLOCK):
                if block.strip(b"\x00"):
                    found |= set(self.in_bytes(str(path), kept + block))
                kept = block[-OVERLAP:]
        return sorted(found)

    async def in_tables(self, db: Database) -> list[str]:
        """In every row of every table as text, as a dump would show it; bytea and jsonb decoded, too."""
        tables = await db.fetch(
            "SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE' AND table_schema <> ALL($1) ORDER BY 1, 2",
            list(SCHEMAS_NOT_OURS),
        )
        found: list[str] = []
        for table in tables:
            name = f"{table['s']}.{table['t']}"
            rows = await db.fetch(f'SELECT t::text AS row FROM "{table["s"]}"."{table["t"]}" t')
            found += self.in_bytes(name, "\n".join(row["row"] for row in rows).encode())
        return sorted(set(found))


def _of_another(path: Path, database: int | None) -> bool:
    """Whether a file lies in the folder of another database of the server."""
    parent = path.parent
    return database is not None and parent.parent.name == "base" and parent.name != str(database)
