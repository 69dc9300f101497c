"""What every part of identity stands on: database, clock, vault, options; sealing and opening of person's fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shanhe.identity.entry_model import Options
from shanhe.identity.model import Actor
from shanhe.kernel.asking import Announce
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import PersonErased, Vault

By = Actor | str
"""Who does something: an actor, or `cli`, `system`, … for trusted code without one."""


def ref(by: By) -> str:
    """How audit rows name who did it; never personal data."""
    return by.ref if isinstance(by, Actor) else by


@dataclass(frozen=True, slots=True)
class Ground:
    db: Database
    clock: Clock
    vault: Vault
    options: Options
    announce: Announce | None = None

    def now(self) -> datetime:
        return self.clock.now()

    def seal(self, person_id: UUID, field: str, text: str | None) -> bytes | None:
        return None if text is None else self.vault.encrypt(person_id, f"person.{field}", text)

    def open(self, person_id: UUID, field: str, sealed: bytes | None) -> str | None:
        """None for what isn't there or is erased; erasure may happen between reading the row and opening it."""
        if sealed is None:
            return None
        try:
            return self.vault.decrypt(person_id, f"person.{field}", sealed)
        except PersonErased:
            return None
