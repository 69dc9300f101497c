"""Many at once: companies book and give back the same seats, resources close, two jobs workers repair, some die.

Whatever came first: a seat is given once, a quota is never passed, and the books say what stands.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.facts.api import Facts, RelationTerms
from shanhe.incubator.api import Incubator, Resource, at
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.rulebook.api import Decision
from stage import crowds

from .test_booking import DAY, RULEBOOK, House

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 30, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.01
SERVICES = ("training", "mentoring", "desk")
QUOTA = {"training": 16, "mentoring": 4, "desk": 10}
BROKEN = (
    "SELECT s.booking FROM incubator.seat s JOIN incubator.booking b ON b.id = s.booking WHERE b.state <> 'booked'",
    "SELECT b.id FROM incubator.booking b WHERE b.state = 'booked' AND NOT EXISTS "
    "(SELECT FROM incubator.seat s WHERE s.booking = b.id)",
    "SELECT b.id FROM incubator.booking b JOIN incubator.resource r ON r.id = b.resource "
    "WHERE b.state = 'booked' AND r.closed_at < b.booked_at",
)
UNSETTLED = """
  SELECT b.id FROM incubator.booking b LEFT JOIN ledger.posting p ON p.id = b.id
    LEFT JOIN ledger.posting r ON r.reverses = b.id
   WHERE p.id IS NULL OR (r.id IS NOT NULL) <> (b.state = 'cancelled')"""
USED = """
  SELECT service, max(units) AS units FROM (SELECT service, sum(units) AS units FROM incubator.booking
    WHERE state = 'booked' GROUP BY service, org_id, month) x GROUP BY service"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.clock = FixedClock(datetime(2026, 3, 2, 4, 0, tzinfo=UTC))
        self.ledger = Ledger(db, self.clock, worker="one", workers=1)
        facts = Facts(self.db, self.clock, Vault(folder), lambda _: RelationTerms(2500, 24))

        async def adviser(org_id: UUID) -> Decision:
            return RULEBOOK.evaluate("T13_benefits", {"index_bps": 0}, on=self.clock.today())

        notifier = Notifier(self.db, self.clock)
        self.desk = Incubator(
            self.db, self.clock, ledger=self.ledger, rulebook=RULEBOOK, facts=facts, notifier=notifier, adviser=adviser,
        )  # fmt: skip
        self.house = House(self.desk, facts, self.ledger, self.clock, notifier)
        self.resources: list[Resource] = []
        self.sent: list[tuple[UUID, Resource, datetime, int, UUID]] = []
        self.draws = [
            (self.book, 20), (self.again, 6), (self.cancel, 10), (self.close, 1), (self.add, 1), (self.leave, 1),
            (self.tick, 6),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        self.firms = [await self.house.firm() for _ in range(3)]
        for service in SERVICES:
            self.resources.append(await self.house.resource(service, 12 if service == "desk" else 2))
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 9_000)))
            await self.round(AT_ONCE, dies=DIES)
            await self.compare()
        for _ in range(3):
            await self.desk.tick()
        await self.compare()
        assert await self.db.fetch(UNSETTLED) == []
        for firm in self.firms:
            for service in SERVICES:
                standing = await self.db.fetchval(
                    "SELECT coalesce(sum(units), 0)::int FROM incubator.booking "
                    "WHERE state = 'booked' AND org_id = $1 AND service = $2", firm, service,
                )  # fmt: skip
                assert await self.house.units(firm, service) == standing
        assert (await self.ledger.verify()).findings == ()
        await self.ledger.stop()

    async def compare(self) -> None:
        for query in BROKEN:
            assert await self.db.fetch(query) == [], query
        for row in await self.db.fetch(USED):
            assert row["units"] <= QUOTA[row["service"]]

    async def book(self) -> None:
        resource = self.rng.choice(self.resources)
        if resource.service == "desk":
            start, units = at(date(2026, self.rng.choice((3, 4)), 1)), self.rng.choice((1, 4, 7))
        else:
            start, units = at(DAY + timedelta(days=self.rng.choice((0, 0, 1))), 9), self.rng.choice((1, 2, 3))
        self.sent.append((self.rng.choice(self.firms), resource, start, units, uuid4()))
        await self._send(-1)

    async def again(self) -> None:
        """The same once more: whoever was told nothing, or too late."""
        if self.sent:
            await self._send(-self.rng.randint(1, min(3, len(self.sent))))

    async def _send(self, at_: int) -> None:
        firm, resource, start, units, number = self.sent[at_]
        made = await self.desk.book(firm, resource.id, start, units, booking_id=number, by="person:t")
        assert made.id == number

    async def cancel(self) -> None:
        if self.sent:
            firm, _, _, _, number = self.rng.choice(self.sent[-6:])
            await self.desk.cancel(number, firm, by="person:t")

    async def close(self) -> None:
        await self.desk.close(self.rng.choice(self.resources).id)

    async def add(self) -> None:
        self.resources.append(await self.house.resource(self.rng.choice(("training", "mentoring"))))

    async def leave(self) -> None:
        firm, inside = self.rng.choice(self.firms), self.rng.random() < 0.6
        await self.house.know(firm, inside=inside, on=self.clock.today())

    async def tick(self) -> None:
        await self.desk.tick()


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_gives_each_seat_once(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path / "keys").live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_gives_each_seat_once_whoever_is_first(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path / "keys").live(ROUNDS_PROVED)
