"""Sections of bench.md that other benches than the gateway's write: found by their marks, replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

FIRST: Final = "<!-- section "
"""What begins the first of them; everything before it is the gateway's."""


def kept(page: Path) -> str:
    """All sections of a page as they are; empty where there are none."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    at = text.find(FIRST)
    return "" if at < 0 else "\n" + text[at:]


def pages(docs_dir: Path) -> tuple[tuple[bool, Path], ...]:
    """The English page and the Chinese one, each with whether it is the Chinese one."""
    return (False, docs_dir / "bench.md"), (True, docs_dir / "zh" / "bench.md")


def put(page: Path, name: str, lines: Sequence[str]) -> None:
    """Write or replace one section of a page."""
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.exists() else "# Bench\n"
    begin, end = f"{FIRST}{name} -->", f"<!-- end {name} -->"
    section = "\n".join([begin, "", *lines, "", end, ""])
    if begin in text:
        before, _, rest = text.partition(begin)
        text = before + section + rest.partition(f"{end}\n")[2]
    else:
        text = text.rstrip("\n") + "\n\n" + section
    page.write_text(text, encoding="utf-8")
