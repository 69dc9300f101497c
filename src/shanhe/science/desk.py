"""What both sides of open science stand on: deposits and reuses as people wrote them, and what happened."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.asking import Named, Names, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Notifier, Text
from shanhe.kernel.sealing import Seal, Seals
from shanhe.kernel.vault import Vault
from shanhe.science import store
from shanhe.science.errors import UnknownDeposit
from shanhe.science.model import Deposit, How, NewVersion, Reuse

WORDS: Final = ("title", "abstract", "link")
VERSION, DEPOSIT, REUSE = "science.version", "science.deposit", "science.reuse"
INDEX: Final = "science-reuse"
LOG_KIND: Final = "science.changed"
PAGE: Final = "/science"


@dataclass(frozen=True)
class Desk:
    db: Database
    clock: Clock
    vault: Vault
    notifier: Notifier
    named: Named
    names: Names
    seals: Seals
    record: Record | None = None

    # -- reading ------------------------------------------------------------------------------------------------------

    async def opened(self, found: Sequence[Deposit]) -> list[Deposit]:
        """Deposits with their words; empty where their person was erased."""
        seals = await self.seals.of_all(one.org_id for one in found)
        return [_opened(seals[one.org_id], one) for one in found]

    async def all_opened(self, found: Sequence[Deposit]) -> list[Deposit]:
        """The same without those of erased people."""
        return [one for one in await self.opened(found) if one.versions and one.versions[0].title]

    async def sealed(self, new: NewVersion, org_id: UUID) -> NewVersion:
        seal = await self.seals.of(org_id)
        words: dict[str, Any] = {name: seal.text(f"{VERSION}.{name}", getattr(new, name)) for name in WORDS}
        return replace(new, **words)

    async def load(self, identifier: UUID, *, conn: Any = None) -> Deposit:
        """A deposit; locked where a transaction is given. UnknownDeposit."""
        found = await store.deposit(conn or self.db, identifier, lock=conn is not None)
        if found is None:
            raise UnknownDeposit
        return (await self.opened([found]))[0]

    async def said(self, found: Sequence[Reuse]) -> list[Reuse]:
        """Reuses with what their declarers wrote."""
        seals = await self.seals.of_all(one.org_id for one in found)
        return [_said(seals[one.org_id], one) for one in found]

    def key(self, how: How, ref: str) -> bytes:
        """The keyed hash by which a thing reuses a deposit once."""
        return self.vault.blind_index(INDEX, f"{how}\x1f{ref.casefold()}")

    # -- what happened ------------------------------------------------------------------------------------------------

    async def note(self, conn: Any, found: Deposit, event: str, actor: str, *, about: Sequence[UUID] = ()) -> None:
        """A line of the history, and an entry of the log: that it happened is public, what exactly is committed to."""
        number, version = new_id(), found.versions[0].n if found.versions else None
        await store.note(conn, number, found.id, event, version, actor, self.clock.now())
        if self.record is None:
            return
        # No text that people wrote: what the log keeps beside its leaf is plain until it is shredded.
        public = {"deposit": found.name, "of_kind": str(found.kind), "event": event}
        content = msgspec.json.encode(asdict(found), order="sorted", enc_hook=_plain)
        private = {"id": str(number), "by": actor, "content_sha256": hashlib.sha256(content).hexdigest()}
        await self.record(
            conn, LOG_KIND, public, private, id=number, about=sorted(found.parties | set(about))
        )  # fmt: skip

    async def tell(self, conn: Any, place: str, parties: Sequence[UUID], key: str, title: Text, body: Text) -> None:
        """A notice for each organisation, once, that leads to a `place` of the register."""
        for party in parties:
            link = f"{PAGE}/{place}"
            notice = Notice("science.changed", title, body, org_id=party, link=link, dedupe=f"science:{key}:{party}")
            await self.notifier.notify(notice, conn)


def _opened(seal: Seal, one: Deposit) -> Deposit:
    versions = []
    for version in one.versions:
        words: dict[str, Any] = {name: seal.open(f"{VERSION}.{name}", getattr(version, name)) for name in WORDS}
        versions.append(replace(version, **words))
    return replace(one, versions=tuple(versions), retraction=seal.open(f"{DEPOSIT}.retraction", one.retraction))


def _said(seal: Seal, one: Reuse) -> Reuse:
    return replace(one, ref=seal.open(f"{REUSE}.ref", one.ref), reason=seal.open(f"{REUSE}.reason", one.reason))


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, frozenset) else str(value)
