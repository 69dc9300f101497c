"""Who acts for the city, as long as a request or a command lasts: what is changed meanwhile is written down with it.

A door (a page, a route, a command) says who came in by `begin`. Each transaction of that task carries it into the
database, where a trigger (`kernel.note_act`) writes a row of `kernel.act` beside every change of a row of a table that
is watched: in the same transaction, so that neither is there without the other. Nothing else has to hand a name on.
A task that works for many (a group of postings, a job) carries nobody, whoever's request started it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.ids import new_id

CARRY: Final = "SELECT set_config('shanhe.act', $1, true)"
"""Says who acts to the rest of a transaction."""
OBJECT_MAX, DOOR_MAX = 200, 200
_NOTE: Final = """INSERT INTO kernel.act (id, at, actor, action, object, org_id, details, door)
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts (`person:<id>`, `key:<id>`, `cli:<login>`), through which door, since when. No names of people."""

    who: str
    door: str
    at: datetime
    task: asyncio.Task[Any] | None = field(default_factory=asyncio.current_task)

    def carried(self) -> str:
        """What a transaction is told; the id is where the ids of its rows begin."""
        told = {"id": new_id(), "at": self.at, "who": self.who, "door": self.door}
        return msgspec.json.encode(told, enc_hook=str).decode()


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


def begin(who: str, door: str, at: datetime) -> None:
    """From here on this task acts for the city, in the name of `who`, until `end`."""
    _acting.set(Acting(who, door[:DOOR_MAX], at))


def end() -> None:
    _acting.set(None)


def acting() -> Acting | None:
    """Who acts in this task; None in a task that was only started by one who does."""
    found = _acting.get()
    return found if found is not None and found.task is asyncio.current_task() else None


async def note(
    conn: Any, actor: str, action: str, object_: str, details: Mapping[str, Any] | None, at: datetime,
    *, org_id: UUID | None = None,
) -> UUID:  # fmt: skip
    """Write down an act of which no row of a table tells: a reading, a sign-in, a download. `conn`: a connection inside
    a transaction, or the Database. Ids, never names: the record outlives an erasure."""
    standing, row_id = acting(), new_id()
    door = standing.door if standing is not None else ""
    if standing is not None and standing.who.startswith(f"{actor}:"):
        actor = standing.who  # a command says `cli`; the door knows whose terminal it is
    await conn.execute(_NOTE, row_id, at, actor, action, object_[:OBJECT_MAX], org_id, dict(details or {}), door)
    return row_id
