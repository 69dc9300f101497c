"""Programmes of one city, put together: applying, reviewing, awards, budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shanhe.approvals.api import Approvals
from shanhe.facts.api import Facts
from shanhe.identity.api import Identity
from shanhe.kernel.asking import Announce, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.programmes import award_store, store
from shanhe.programmes.applying import Applying
from shanhe.programmes.awards import Awards
from shanhe.programmes.booking import Books
from shanhe.programmes.budgets import Budgets
from shanhe.programmes.cases import Application, File
from shanhe.programmes.checking import Checking
from shanhe.programmes.errors import CatalogueInvalid, UnknownApplication
from shanhe.programmes.ground import Ground
from shanhe.programmes.guarantees import Guarantees
from shanhe.programmes.importing import Importing
from shanhe.programmes.judging import Judge, Measure
from shanhe.programmes.loading import load_catalogue, measured
from shanhe.programmes.model import Catalogue
from shanhe.programmes.paying import Paying
from shanhe.programmes.points import Points
from shanhe.programmes.recorded import Recorded
from shanhe.programmes.reviewing import Reviewing
from shanhe.programmes.second import Second
from shanhe.programmes.sites import Sites
from shanhe.programmes.standings import Count, Standings
from shanhe.rulebook.api import Rulebook

LIST_ROWS_MAX = 100


class Programmes:
    """`applying` is the applicant's side, `checking` looks its forms over, `reviewing` is the reviewers', `budgets`,
    `second` and `sites` the operators'; `awards`, `points` and `guarantees` give, `standings` rank companies. `count`
    counts what they did.

    `entry` takes every decision into the transparency log.
    """

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, ledger: Ledger, rulebook: Rulebook, facts: Facts,
        identity: Identity, notifier: Notifier, announce: Announce, measures: Mapping[str, Measure],
        approvals: Approvals, count: Count, catalogue: Catalogue | None = None, entry: Record | None = None,
    ) -> None:  # fmt: skip
        found = catalogue if catalogue is not None else load_catalogue(rulebook)
        for name in measured(found):
            if name not in measures:
                raise CatalogueInvalid("programmes", f"nobody measures {name!r}")
        ground = Ground(db, clock, vault, ledger, rulebook, facts, identity, notifier, found, announce, entry)
        books = Books(ledger, rulebook, found)
        judge = Judge(
            db, rulebook=rulebook, facts=facts, catalogue=found, party=ground.party, free=books.free, measures=measures
        )
        self._ground = ground
        self.catalogue = found
        paying = Paying(ground, judge, books)
        self.awards = Awards(paying)
        self.guarantees = Guarantees(paying)
        self.standings = Standings(ground, count)
        self.applying = Applying(ground, judge, self.awards)
        self.checking = Checking(ground, judge, self.awards, self.applying, books.free)
        self.reviewing = Reviewing(ground, judge, self.applying, self.awards, approvals)
        self.budgets = Budgets(ground, books)
        self.points = Points(ground, books)
        self.sites = Sites(ground, self.budgets)
        self.second = Second(ground, approvals, self.budgets, self.awards, self.guarantees)
        self.importing = Importing(ground, self.applying)
        self.recorded = Recorded(ground)
        self.find = ground.find
        self.programme = ground.programme
        self.party = ground.party

    async def file(self, application: UUID) -> File:
        """Everything about an application; the caller has checked who asks."""
        if not (found := await self.files([application])):
            raise UnknownApplication
        return found[0]

    async def files(self, applications: Sequence[UUID]) -> list[File]:
        """The same of each of these, in their order; asked of the database for all at once."""
        db, vault, wanted = self._ground.db, self._ground.vault, list(applications)
        turns, rows = await store.turns(db, wanted), await store.rows(db, wanted)
        apps = [store.application_of(rows[one], vault) for one in wanted if one in rows]
        tranches, histories = await award_store.tranches_of(db, wanted), await store.histories(db, wanted)
        decisions = await store.decisions(db, apps, vault)
        return [
            File(
                turns.get(one.id, 0), one, tranches.get(one.id, ()), decisions.get(one.id, ()),
                histories.get(one.id, ()),
            )
            for one in apps
        ]  # fmt: skip

    async def applications(
        self, *, org_id: UUID | None = None, orgs: Sequence[UUID] | None = None, programme: str | None = None,
        state: str | None = None, before: UUID | None = None, limit: int = LIST_ROWS_MAX,
    ) -> list[Application]:  # fmt: skip
        """Newest first, a bounded page; of one applicant, of several (`orgs`), or of all."""
        rows = await store.page(
            self._ground.db,
            org_id=org_id,
            orgs=orgs,
            programme=programme,
            state=state,
            before=before,
            limit=min(limit, LIST_ROWS_MAX),
        )
        return [store.application_of(row, self._ground.vault) for row in rows]

    async def since(self, programme: str, org_id: UUID) -> datetime | None:
        """When a party asked for the award of a programme that it has or had; None when it never was granted one."""
        return await award_store.since(self._ground.db, programme, org_id)

    async def tick(self) -> dict[str, int]:
        """What repeats: deadlines that passed, awards that have something to do."""
        ranked = await self.standings.tick()
        return {"overdue": await self.reviewing.escalate(), "awards": await self.awards.tick(), "ranked": ranked}
