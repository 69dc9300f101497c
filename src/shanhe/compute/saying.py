"""What is kept of what an engine says.

Until it says that it serves, everything: there it says why it can't. From then on it also quotes requests, a schema
that it can't follow, arguments that are no JSON. So only how a line begins is kept, which is the program's own words,
and a line that begins as none of its own does, which goes on with what another one quotes, not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from pathlib import Path
from typing import Final

READ_BYTES: Final = 65_536
LINE_MAX_BYTES: Final = 4_096
SERVES: Final = b"serving "
"""How the line begins that a child says before anybody can ask it."""
OWN: Final = re.compile(
    rb"""\d+(?:\.\d{2,3}){3}\ [A-Z]\ [^:]*(?::[^:{"'`\x80-\xff]*)?  # llama.cpp: time, level, who says it: what
      | WARNING:[^:]*
      | /\S+:\d+:\ \w+\(.*                                          # an assertion, with the line that makes it
      | Traceback\ .* | \ \ File\ .* | [\w.]+(?:Error|Exception)(?=:|$)
    """,
    re.VERBOSE,
)


def own(line: bytes) -> bytes:
    """What a line says in its program's own words; nothing of one that is none of its own."""
    found = OWN.match(line)
    return found[0].rstrip() if found is not None else b""


async def keep(said: asyncio.StreamReader, path: Path) -> None:
    """Append what a child says to its log until it says no more; what a full disk has no room for is left out."""
    rest, serves = b"", False
    while part := await said.read(READ_BYTES):
        *lines, rest = (rest + part).split(b"\n")
        rest = rest[:LINE_MAX_BYTES]
        kept = []
        for line in lines:
            kept.append(own(line) if serves else line)
            serves = serves or line.startswith(SERVES)
        _append(path, kept)
    _append(path, [own(rest) if serves else rest])


def _append(path: Path, lines: list[bytes]) -> None:
    text = b"".join(line[:LINE_MAX_BYTES] + b"\n" for line in lines if line)
    with contextlib.suppress(OSError), open(path, "ab", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
