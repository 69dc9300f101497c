"""Somebody's word on what a run waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from shanhe.workflows import run_store
from shanhe.workflows.errors import (
    AlreadyDecided,
    BadTrigger,
    NotYourApproval,
    UnknownWork,
)
from shanhe.workflows.model import ROLES, Waiting
from shanhe.workflows.running import Running
from shanhe.workflows.walker import NOTE, SHOWS

NOTE_MAX_CHARS: Final = 500
OWNER: Final = ROLES[0]


class Deciding(Running):
    """Approvals."""

    async def inbox(self, org_id: UUID, person: UUID, roles: Sequence[str]) -> list[Waiting]:
        """What waits for a person's word."""
        seal, mine = await self._seals.of(org_id), [*roles, str(person)]
        mine += [who for who in await run_store.awaited(self._db, org_id) if await self._falls_to(who, org_id, roles)]
        return [
            msgspec.structs.replace(one, shows=seal.open(SHOWS, one.shows))
            for one in await run_store.inbox(self._db, org_id, mine)
        ]

    async def _falls_to(self, who: str, org_id: UUID, roles: Sequence[str]) -> bool:
        """Whether an owner decides for somebody who has left the organisation."""
        return OWNER in roles and who not in ROLES and not await self._is_member(org_id, UUID(who))

    async def decide(
        self, approval: UUID, *, org_id: UUID, person: UUID, roles: Sequence[str], approve: bool, note: str = ""
    ) -> Waiting:
        """Say yes or no; the run goes on. The same word of the same person again changes nothing."""
        if len(note) > NOTE_MAX_CHARS:
            raise BadTrigger(f"A note has at most {NOTE_MAX_CHARS} signs", f"意见不超过 {NOTE_MAX_CHARS} 字")
        seal, verdict, by = await self._seals.of(org_id), "approved" if approve else "refused", f"person:{person}"
        now = self._clock.now()
        asked = await run_store.waiting(self._db, approval)
        if asked is None or asked.org_id != org_id:
            raise UnknownWork("approval", "审批")
        if asked.who not in (*roles, str(person)) and not await self._falls_to(asked.who, org_id, roles):
            raise NotYourApproval()
        async with self._db.transaction() as conn:
            found = await run_store.waiting(conn, approval, lock=True)
            if found is None:
                raise UnknownWork("approval", "审批")
            if found.verdict:
                if (found.verdict, found.decided_by) == (verdict, by):
                    return msgspec.structs.replace(found, shows=seal.open(SHOWS, found.shows))
                raise AlreadyDecided()
            if found.expires_at <= now:
                raise AlreadyDecided()
            await run_store.decide(conn, found, verdict, seal.text(NOTE, note), by, now)
            done = await run_store.waiting(conn, approval)
        assert done is not None
        return msgspec.structs.replace(done, shows=seal.open(SHOWS, done.shows), note=note)
