"""A city with programmes on a real ledger, facts that the test states, and people who review."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.approvals.api import Approvals
from shanhe.facts.api import Facts, NewFact, RelationTerms, Standing
from shanhe.identity.api import Identity, NewOrganisation, NewPerson, Options, OrgKind
from shanhe.kernel.clock import CITY_TZ, FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.outbox import Outbox
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger, Lot, Posting, Transfer
from shanhe.programmes.api import Application, Catalogue, Counted, Party, Programmes, Verdict, load_catalogue
from shanhe.rulebook.api import Rulebook
from shanhe.wiring.measures import Measures

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
CREDIT = 1_000_000
RULEBOOK = Rulebook.load()
CATALOGUE = load_catalogue(RULEBOOK)


class City:
    """Everything real but the clock; `measured` is what the city would have measured, of one thing or of all."""

    def __init__(
        self, db: Database, clock: FixedClock, vault: Vault, ledger: Ledger, catalogue: Catalogue = CATALOGUE
    ) -> None:
        self.db, self.clock, self.vault, self.ledger = db, clock, vault, ledger
        self.identity = Identity(db, clock, vault, Options())
        self.facts = Facts(db, clock, vault, lambda _: RelationTerms(ownership_bps=2500, referral_months=24))
        self.measured: dict[tuple[str, UUID | str], Any] = {}
        self.outbox = Outbox(db, clock)
        self.approvals = Approvals(db, clock)
        self.measures = _Measures(self)
        self.notifier = Notifier(db, clock)
        self.entries: list[tuple[str, Mapping[str, Any], Mapping[str, Any], UUID, Any]] = []
        self.programmes = Programmes(
            db, clock, vault, ledger=ledger, rulebook=RULEBOOK, facts=self.facts, identity=self.identity,
            notifier=self.notifier, announce=self.outbox.emit, measures=self.measures,
            catalogue=catalogue,
            entry=self._entry,
            approvals=self.approvals,
            count=self._count,
        )  # fmt: skip
        self.books = Measures(clock, ledger, None, self.facts)  # type: ignore[arg-type]
        self.books.subsidised = partial(self.programmes.since, "incubator_subsidy")
        self.counted: dict[UUID, Counted] = {}
        self._reviewers: dict[str, list[UUID]] = {}

    async def _count(self, first: date, last: date) -> Mapping[UUID, Counted]:
        """What the test says that companies did, whenever it was."""
        return dict(self.counted)

    async def _entry(
        self, conn: Any, kind: str, public: Mapping[str, Any], private: Mapping[str, Any], *, id: UUID, about: Any
    ) -> None:
        self.entries.append((kind, public, private, id, about))

    # -- people -------------------------------------------------------------------------------------------------------

    async def person(self, name: str = "林晓") -> UUID:
        """The organisation of one of a new person."""
        made = await self.identity.people.create(NewPerson(name, login=f"u{uuid4().hex[:12]}"), by="test")
        return (await self.identity.orgs.create_personal(made.id, by="test")).id

    async def company(self, name: str = "青山机器人", kind: OrgKind = OrgKind.COMPANY) -> UUID:
        new = NewOrganisation(kind, name, registration=uuid4().hex[:18], locally_registered=True)
        return (await self.identity.orgs.create(new, by="test")).id

    async def subject(self, org: UUID) -> UUID:
        return (await self.identity.orgs.get(org)).person_id or org

    async def reviewer(self, department: str, index: int = 0) -> UUID:
        """A person of a department; another index is another person."""
        known = self._reviewers.setdefault(department, [])
        while len(known) <= index:
            made = await self.identity.people.create(NewPerson("审核员", login=f"r{uuid4().hex[:12]}"), by="test")
            await self.programmes.reviewing.assign(made.id, department, actor="test")
            known.append(made.id)
        return known[index]

    async def know(self, org: UUID, name: str, value: Any, *, on: date | None = None, to: date | None = None,
                   key: UUID | str = "", standing: Standing = Standing.CHECKED) -> None:  # fmt: skip
        """A register says something about a party from a day on (default: long ago)."""
        fact = NewFact(
            new_id(), await self.subject(org), name, value, on or date(2024, 1, 1), to, str(key), standing, "register"
        )
        await self.facts.publish(fact, actor="test")

    # -- programmes ---------------------------------------------------------------------------------------------------

    async def fund(self, budget: str, amount: int = 10**13) -> None:
        await self.programmes.budgets.fund(budget, amount, reason="yearly budget", actor="test", funding_id=new_id())

    async def apply(self, programme: str, org: UUID, answers: Mapping[str, Any] | None = None, ref: str = "a",
                    evidence: Mapping[str, Any] | None = None) -> Application:  # fmt: skip
        asked = self.programmes.catalogue.programmes[programme].evidence
        papers = {name: f"{name}-1" for name in asked} if evidence is None else evidence
        return await self.programmes.applying.apply(
            programme, org, answers=answers or {}, evidence=papers, client_ref=ref, actor=f"org:{org}"
        )

    async def approve(self, app: Application, assessed: Mapping[str, Any] | None = None) -> Application:
        """Every step of the path passed by as many people as it needs."""
        path = self.programmes.catalogue.programmes[app.programme].path(app.round)
        for index, step in enumerate(path):
            for eye in range(step.eyes):
                last = index + 1 == len(path)
                app = await self.programmes.reviewing.decide(
                    app.id, await self.reviewer(step.by, eye + 3 * (app.round - 1)), Verdict.PASS,
                    assessed=assessed if last else None,
                )  # fmt: skip
        return app

    async def later(self, **parts: float) -> None:
        """Time passes, and the jobs worker does its round."""
        self.clock.advance(**parts)
        await self.programmes.tick()

    async def at(self, day: date) -> None:
        self.clock.set(datetime(day.year, day.month, day.day, 12, tzinfo=CITY_TZ))
        await self.programmes.tick()

    # -- money --------------------------------------------------------------------------------------------------------

    async def balance(self, org: UUID, asset: str = "credit") -> int:
        return (await self.ledger.balance(await self.wallet(org, asset))).balance

    async def wallet(self, org: UUID, asset: str = "credit") -> UUID:
        return (await self.ledger.ensure_account(org, Asset(asset), "wallet")).id

    async def lots(self, org: UUID) -> list[Lot]:
        return await self.ledger.lots(await self.wallet(org))

    async def spend(self, org: UUID, amount: int) -> None:
        platform = await self.ledger.system_account("platform", Asset.CREDIT)
        transfer = Transfer(new_id(), await self.wallet(org), platform.id, amount)
        await self.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), actor="test", memo="spend"))

    async def budget(self, name: str) -> tuple[int, int]:
        """What a budget has free and what it has promised, on the ledger."""
        view = next(view for view in await self.programmes.budgets.list() if view.name == name)
        return view.free, view.committed

    async def sound(self) -> bool:
        """Every invariant of the ledger holds, and the accounts of commitments hold exactly what is promised."""
        for view in await self.programmes.budgets.list():
            account = await self.programmes.budgets._books.committed(view.name)
            assert (await self.ledger.balance(account.id)).balance == view.committed, view.name
        return (await self.ledger.verify()).clean


class _Measures(dict[str, Any]):
    """Answers from what the test said, whatever the measure's name."""

    def __init__(self, city: City) -> None:
        super().__init__()
        self._city = city

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        if name in ("capital_once_fen", "ai_training_hours"):
            return getattr(self._city.books, name)

        async def measure(party: Party, day: date, thing: str = "") -> Any:
            found = self._city.measured.get((name, party.org_id), self._city.measured.get((name, thing)))
            return "none" if found is None and name == "ip_standing" else found  # what the registry says is a word

        return measure


@pytest.fixture
async def city(database: Database, tmp_path: Path) -> AsyncIterator[City]:
    clock = FixedClock(NOON)
    ledger = Ledger(database, clock, worker="test", workers=1)
    yield City(database, clock, Vault(tmp_path / "keys"), ledger)
    await ledger.stop()


def days(count: int) -> timedelta:
    return timedelta(days=count)
