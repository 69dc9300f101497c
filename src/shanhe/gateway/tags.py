"""Tags that callers give their calls, so that an organisation sees what its teams and projects spend.

On a receipt, which nothing can change, a tag is a keyed hash; its name stands in a table, sealed where the organisation
is one person. Names are written with the usage sums, so a call waits for none of it, and one without tags does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote
from uuid import UUID

import msgspec

from shanhe.gateway.faces.base import tags_named
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.sealing import Seals

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.http import Client
    from shanhe.identity.api import Caller

PAGE_MAX: Final = 1_000
KNOWN_MAX: Final = 50_000
NAME: Final = "gateway.tag.name"
TAGS_HEADER: Final = b"x-shanhe-tags"
"""Names tags for any call, whatever its body is."""
Hash = Callable[[str, str], bytes]
"""A keyed hash: (domain, value)."""


def unkeyed(domain: str, value: str) -> bytes:
    """A hash without a key, for trying the module alone."""
    return sha256(f"{domain}\x00{value}".encode()).digest()


def tags_in(call: Call) -> Sequence[str]:
    """The tags of a call: its own, and those that its caller works under."""
    own, given = call.parsed.tags, call.caller.tags
    return own if not given else tuple(sorted({*given, *own}))


def under(caller: Caller, tags: Sequence[str]) -> Caller:
    """The caller, all of whose calls are counted under these tags too."""
    return msgspec.structs.replace(caller, tags=tuple(sorted({*caller.tags, *tags}))) if tags else caller


def under_header(caller: Caller, client: Client) -> Caller:
    """The caller, whose call is counted under what its header names, commas between, percent-encoded where a client
    can't send signs as they are; CallError 400."""
    value = client.header(TAGS_HEADER)
    if value is None:
        return caller
    return under(caller, tags_named(unquote(value.decode("utf-8", "replace")), TAGS_HEADER.decode()))


class TagBook:
    """Ids of tags in memory, and their names in the database."""

    def __init__(self, db: Database, clock: Clock, seals: Seals, keyed_hash: Hash) -> None:
        self._db = db
        self._clock = clock
        self._seals = seals
        self._hash = keyed_hash
        self._known: dict[tuple[UUID, str], UUID] = {}
        self._fresh: dict[tuple[UUID, UUID], str] = {}

    def ids(self, org_id: UUID, names: Sequence[str]) -> tuple[UUID, ...]:
        """The ids of tags that a call carries; a name that is new here is written with the next sums."""
        found = []
        for name in names:
            known = self._known.get((org_id, name))
            if known is None:
                if len(self._known) >= KNOWN_MAX:
                    self._known.clear()
                known = self._known[org_id, name] = self.id_of(org_id, name)
                self._fresh[org_id, known] = name
            found.append(known)
        return tuple(found)

    def id_of(self, org_id: UUID, name: str) -> UUID:
        """The id that a name has or would have."""
        return UUID(bytes=self._hash("gateway.tag", f"{org_id}|{name}")[:16])

    async def flush(self) -> None:
        """Write the names that are new. What can't be written is raised, and kept for the next time."""
        fresh = dict(self._fresh)
        if not fresh:
            return
        seals = {org_id: await self._seals.of(org_id) for org_id in {org_id for org_id, _ in fresh}}
        await self._db.execute(
            """INSERT INTO gateway.tag (org_id, id, name, made_at)
               SELECT fresh.org_id, fresh.id, fresh.name, $4
                 FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS fresh (org_id, id, name)
                ORDER BY 1, 2 ON CONFLICT DO NOTHING""",
            [org_id for org_id, _ in fresh],
            [tag for _, tag in fresh],
            [seals[org_id].text(NAME, name) for (org_id, _), name in fresh.items()],
            self._clock.now(),
        )
        for key in fresh:
            self._fresh.pop(key, None)  # whoever reads meanwhile writes them, too

    async def of(self, org_id: UUID, *, most: int = PAGE_MAX) -> list[str]:
        """An organisation's tags, the newest first, a page."""
        await self.flush()
        rows = await self._db.fetch(
            "SELECT name FROM gateway.tag WHERE org_id = $1 ORDER BY made_at DESC, id LIMIT $2", org_id, most
        )
        seal = await self._seals.of(org_id)
        return [seal.open(NAME, row["name"]) for row in rows]

    async def names(self, org_id: UUID, tags: Collection[UUID]) -> dict[UUID, str]:
        """What tags are called; one whose name was forgotten goes by the beginning of its id."""
        if not tags:
            return {}
        await self.flush()
        rows = await self._db.fetch(
            "SELECT id, name FROM gateway.tag WHERE org_id = $1 AND id = ANY($2)", org_id, list(tags)
        )
        seal = await self._seals.of(org_id)
        known = {row["id"]: seal.open(NAME, row["name"]) for row in rows}
        return {tag: known.get(tag) or f"…{str(tag)[:8]}" for tag in tags}
