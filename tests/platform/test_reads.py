"""What is asked of a database as a read does not write: the server refuses it (ADR 0095), this says so before."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[2] / "src/shanhe"
READS: Final = ("fetch", "fetchrow", "fetchval")
WRITES: Final = re.compile(r"\b(INSERT INTO|UPDATE \w+\.\w+|DELETE FROM|FOR UPDATE SKIP LOCKED)\b")
DATABASE: Final = re.compile(r"(^|[._])db$")


def asked(path: Path) -> list[str]:
    """`file:line` of each statement that writes and is asked of a whole database as one that reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS and node.args
        and DATABASE.search(ast.unparse(node.func.value)) and WRITES.search(ast.unparse(node.args[0]))
    ]  # fmt: skip


class TestReads:
    """A function that may be given a database names it `db`; one that is always inside a transaction, `conn`."""

    def test_never_write(self) -> None:
        found = [place for path in sorted(SOURCE.rglob("*.py")) for place in asked(path)]
        assert found == [], "ask it through `writes` (kernel.db)"
