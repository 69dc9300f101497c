"""Wiring of what the city knows and who made it: the registry of rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.ip.api import Rights

if TYPE_CHECKING:
    from shanhe.books import Books
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.kernel.vault import Vault
    from shanhe.ledger.api import Ledger
    from shanhe.log.api import Log
    from shanhe.promises import Promises
    from shanhe.relatives import Relatives
    from shanhe.rulebook.api import Rulebook

IP_OFFICE: Final = "ip_office"


@dataclass(frozen=True)
class Commons:
    """Registries of what was made."""

    rights: Rights


def open_commons(
    db: Database, clock: Clock, vault: Vault, *, ledger: Ledger, gateway: Gateway, rulebook: Rulebook,
    identity: Identity, notifier: Notifier, log: Log, relatives: Relatives, books: Books, promises: Promises,
) -> Commons:  # fmt: skip
    """Connect them, and let awards rely on what they say."""
    reviewing = promises.programmes.reviewing

    async def officer(person_id: UUID) -> bool:
        return IP_OFFICE in await reviewing.departments(person_id)

    rights = Rights(
        db, clock, vault, ledger=ledger, gateway=gateway, rulebook=rulebook, notifier=notifier, named=books.org_name,
        officer=officer, akin=relatives.akin, record=log.record, seals=identity.seals,
    )  # fmt: skip
    promises.measures.registered = rights.standing
    return Commons(rights)
