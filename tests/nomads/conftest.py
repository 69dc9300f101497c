"""A town with venues and nomads: everything real but the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.programmes.conftest import RULEBOOK, City

from shanhe.credentials.api import Credentials
from shanhe.facts.api import Use
from shanhe.identity.api import Actor, NewOrganisation, NewPerson, OrgKind
from shanhe.kernel.clock import CITY_TZ, FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger
from shanhe.nomads import store
from shanhe.nomads.api import NewVenue, Nomad, Nomads, Venue, VenueKind, Verdict
from shanhe.wiring.certificates import Certificates
from shanhe.wiring.relatives import Relatives

URL = "https://city.example"
START = datetime(2026, 3, 2, 10, tzinfo=CITY_TZ)


class Town(City):
    """`logged` is what would stand in the transparency log."""

    def __init__(self, db: Database, clock: FixedClock, vault: Vault, ledger: Ledger) -> None:
        super().__init__(db, clock, vault, ledger)
        self.logged: list[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]] = []
        self.credentials = Credentials(db, clock, vault, url=URL)
        self.nomads = Nomads(
            db, clock, vault, ledger=ledger, rulebook=RULEBOOK, facts=self.facts, identity=self.identity,
            credentials=self.credentials, notifier=self.notifier, announce=self.outbox.emit, record=self._record,
            akin=(akin := Relatives(self.identity, self.facts, clock).akin),
            url=URL, city="山河 Shanhe",
        )  # fmt: skip
        Certificates(clock, self.approvals, self.nomads.venues, akin)

    async def _record(
        self, connection: Any, kind: str, public: Mapping[str, Any], private: Mapping[str, Any] | None = None
    ) -> UUID:
        self.logged.append((kind, public, private))
        return uuid4()

    async def nomad(self, name: str = "林晓", *, insured: str = "上海") -> UUID:
        """A person who agreed to have presence recorded and said where the social insurance is."""
        made = await self.identity.people.create(NewPerson(name, login=f"n{uuid4().hex[:12]}"), by="test")
        await self.nomads.presence.consent(made.id, given=True)
        if insured:
            await self.nomads.cards.declare(made.id, insured, actor="test")
        return made.id

    async def venue(self, name: str = "湖畔共享空间", kind: VenueKind = VenueKind.SPACE, **more: Any) -> Venue:
        org = await self.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, f"{name}运营"), by="test")
        made = await self.nomads.venues.add(NewVenue(name, kind, org.id, **more), actor="test")
        return await self.nomads.venues.certify(made.id) if more.get("certified") else made

    async def clerk(self, venue: Venue) -> Actor:
        """A key of the venue's organisation, as its gate has one."""
        return Actor(None, uuid4(), venue.org_id, frozenset(), frozenset({"apply"}))

    async def here(self, person: UUID, days: int, venue: Venue | None = None) -> None:
        """A day after the other that count, the last one, today, by a venue's code."""
        place = venue or await self.venue(f"空间 {uuid4().hex[:6]}")
        nomad = await self.nomads.presence.nomad(person)
        async with self.db.transaction() as conn:
            for _ in range(days - 1):
                await seeded(self.nomads, conn, nomad, self.today())
                self.clock.advance(days=1)
        await self.nomads.presence.check_in(person, self.nomads.venues.code(place))

    async def ask(self, person: UUID) -> Verdict:
        return await self.nomads.apply(person, client_ref=uuid4().hex, actor="test")

    async def carded(self, days: int = 90) -> UUID:
        """A nomad with a card."""
        person = await self.nomad()
        await self.here(person, days)
        assert (await self.ask(person)).granted
        return person

    async def fact(self, person: UUID, name: str) -> Any:
        async with self.facts.reading(Use("own_access", "test")) as reader:
            return await reader.value(person, name)

    async def pass_of(self, person: UUID) -> str:
        return self.nomads.presence.pass_code(await self.nomads.presence.nomad(person))

    async def money(self, org: UUID, asset: str) -> int:
        return (await self.ledger.balance((await self.ledger.ensure_account(org, Asset(asset), "wallet")).id)).balance

    def day(self, day: date) -> None:
        self.clock.set(datetime(day.year, day.month, day.day, 10, tzinfo=CITY_TZ))

    def today(self) -> date:
        return self.clock.today()


async def seeded(nomads: Nomads, conn: Any, nomad: Nomad, day: date) -> None:
    """A day that counts, written as `Presence.record` does, without the evidence of the moment."""
    presence = nomads.presence
    sealed = presence._seal(nomad.person_id, "nomad.day", {"d": day.isoformat(), "p": "code", "s": ""})
    await store.insert_day(conn, presence._day_key(nomad.person_id, day), nomad.person_id, sealed)


@pytest.fixture
async def town(database: Database, tmp_path: Path) -> AsyncIterator[Town]:
    clock = FixedClock(START)
    ledger = Ledger(database, clock, worker="test", workers=1)
    yield Town(database, clock, Vault(tmp_path / "keys"), ledger)
    await ledger.stop()


def days(count: int) -> timedelta:
    return timedelta(days=count)
