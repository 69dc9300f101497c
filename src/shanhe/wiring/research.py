"""Wiring of what the city knows and who made it: the registry of rights, and open science."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.ip.api import Rights
from shanhe.science.api import How, Science
from shanhe.store.api import UnknownListing
from shanhe.studio.api import UnknownJob

if TYPE_CHECKING:
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.kernel.vault import Vault
    from shanhe.ledger.api import Ledger
    from shanhe.log.api import Log
    from shanhe.rulebook.api import Rulebook
    from shanhe.science.api import Award, Title, Uses
    from shanhe.wiring.books import Books
    from shanhe.wiring.programmes import Promises
    from shanhe.wiring.relatives import Relatives
    from shanhe.wiring.store import Bazaar
    from shanhe.wiring.studio import Workshop

IP_OFFICE, SCIENCE_OFFICE = "ip_office", "science"
REUSE_AWARD, REUSE_RULE = "open_science_reuse", "T11_authors"
TRAINING: Final = "train"


@dataclass(frozen=True)
class Commons:
    """Registries of what was made."""

    rights: Rights
    science: Science


def open_commons(
    db: Database, clock: Clock, vault: Vault, *, ledger: Ledger, gateway: Gateway, rulebook: Rulebook,
    identity: Identity, notifier: Notifier, log: Log, relatives: Relatives, books: Books, promises: Promises,
    bazaar: Bazaar, workshop: Workshop,
) -> Commons:  # fmt: skip
    """Connect them, and let awards rely on what they say."""
    reviewing = promises.programmes.reviewing

    async def officer(person_id: UUID) -> bool:
        return IP_OFFICE in await reviewing.departments(person_id)

    async def reviewer(person_id: UUID) -> bool:
        return SCIENCE_OFFICE in await reviewing.departments(person_id)

    rights = Rights(
        db, clock, vault, ledger=ledger, gateway=gateway, rulebook=rulebook, notifier=notifier, named=books.org_name,
        names=identity.orgs.names, officer=officer, akin=relatives.akin, record=log.record, seals=identity.seals,
    )  # fmt: skip
    titles = {
        How.LISTING: _listing(bazaar), How.MODEL: workshop.model_title, How.DATASET: workshop.dataset_title,
    }  # fmt: skip
    science = Science(
        db, clock, vault, rulebook=rulebook, notifier=notifier, named=books.org_name,
        names=identity.orgs.names, related=relatives.related, akin=relatives.akin,
        reviewer=reviewer, titles=titles, uses=_uses(workshop), record=log.record,
        seals=identity.seals,
    )  # fmt: skip
    science.award = _award(promises, science, rulebook, clock)
    promises.measures.registered, promises.measures.reused = rights.standing, science.counted
    return Commons(rights, science)


def _listing(bazaar: Bazaar) -> Title:
    """What an organisation's listing on sale is called."""

    async def title(org_id: UUID, name: str) -> str | None:
        try:
            offer = await bazaar.store.offer(name)
        except UnknownListing:
            return None
        return offer.listing.title_zh if offer.listing.owner == org_id else None

    return title


def _uses(workshop: Workshop) -> Uses:
    """Who trained which model with a data set of this city."""

    async def uses(dataset: UUID) -> Sequence[tuple[UUID, str]]:
        found = []
        for use in await workshop.datasets.uses(await workshop.datasets.dataset(str(dataset), None)):
            try:
                job = await workshop.studio.job(UUID(use.ref), None) if use.purpose == TRAINING else None
            except (ValueError, UnknownJob):
                job = None
            if job is not None:
                found.append((job.org_id, job.name))
        return found

    return uses


def _award(promises: Promises, science: Science, rulebook: Rulebook, clock: Clock) -> Award:
    """An author's points are applied for like any other promise; whose share comes to nothing asks for nothing."""

    async def award(author: UUID, reuse: UUID) -> None:
        found = await science.counted(reuse, author)
        if found is None:
            return
        facts = {"counts": found.counts, "shares": list(found.shares), "place": found.place}
        if not rulebook.evaluate(REUSE_RULE, facts, on=clock.today()).outputs["points"]:
            return
        await promises.programmes.applying.on_behalf(REUSE_AWARD, author, "reuse", reuse, actor="science")

    return award
