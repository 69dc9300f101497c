"""Many at once: holders register, change, propose and answer, the office decides, some die.

Whatever came first: a number is one entry's, calls pay a right by the terms to which all its holders consented, and
what happened to it is written down once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from shanhe.gateway.charges import ChargeBook
from shanhe.ip.api import Kind, NewEntry, Rights
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.rulebook.api import Rulebook
from stage import crowds

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 30, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.004
WHOLE = 1_000_000
RULEBOOK = Rulebook.load()
TWICE = (
    "SELECT number_key FROM ip.entry WHERE state IN ('filed', 'verified', 'lapsed') AND number_key IS NOT NULL "
    "GROUP BY 1 HAVING count(*) > 1",
    "SELECT entry FROM ip.terms WHERE state = 'in_force' GROUP BY 1 HAVING count(*) > 1",
    "SELECT entry FROM ip.terms WHERE state = 'open' GROUP BY 1 HAVING count(*) > 1",
    "SELECT entry, terms FROM ip.history WHERE event IN ('agreed', 'proposed') GROUP BY 1, 2, event "
    "HAVING count(*) > 1",
)
AGREED = """
  SELECT t.entry FROM ip.terms t JOIN ip.share s ON (s.entry, s.n) = (t.entry, t.n)
   WHERE t.state = 'in_force' AND NOT EXISTS (SELECT FROM ip.consent c
     WHERE (c.entry, c.n, c.party) = (t.entry, t.n, s.party) AND c.accept)"""
SAID = """
  SELECT x.entry, x.n FROM (SELECT c.entry, c.n, count(*) FILTER (WHERE c.accept) AS said FROM ip.consent c
    GROUP BY 1, 2) x LEFT JOIN (SELECT entry, terms, count(*) AS told FROM ip.history
    WHERE event IN ('consented', 'proposed') GROUP BY 1, 2) h ON (h.entry, h.terms) = (x.entry, x.n)
   WHERE x.said <> coalesce(h.told, 0)"""
PAID = """
  SELECT e.n, e.state, t.rate_ppm, coalesce(r.open, false) AS open, r.rate_ppm AS paid,
         (SELECT array_agg((s.party, s.share_ppm)::text ORDER BY s.at) FROM ip.share s
           WHERE (s.entry, s.n) = (t.entry, t.n)) AS shares,
         (SELECT array_agg((p.party, p.share_ppm)::text ORDER BY p.n) FROM gateway.royalty_party p
           WHERE p.royalty = r.name) AS parts
    FROM ip.entry e LEFT JOIN ip.terms t ON t.entry = e.id AND t.state = 'in_force'
    LEFT JOIN gateway.royalty r ON r.name = 'ip/' || lpad(e.n::text, 6, '0')"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, clock: FixedClock, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.clock, self.ledger = clock, Ledger(db, clock, worker="one", workers=1)
        vault = Vault(folder)
        self.desks = [self.desk(vault) for _ in range(2)]
        self.holders, self.officer = [uuid4() for _ in range(3)], uuid4()
        self.entries: list[tuple[UUID, UUID]] = []
        self.draws = [
            (self.draft, 8), (self.change, 4), (self.file, 10), (self.answer, 20), (self.decide, 10),
            (self.propose, 10), (self.withdraw, 2), (self.lapse, 1),
        ]  # fmt: skip

    def desk(self, vault: Vault) -> Rights:
        async def no(*_: Any) -> bool:
            return False

        async def yes(*_: Any) -> bool:
            return True

        async def nobody(payer: UUID) -> None:
            return None

        async def named(org: UUID) -> str:
            return f"firm {org}"

        async def names(orgs: Collection[UUID]) -> dict[UUID, str]:
            return {org: f"firm {org}" for org in orgs}

        book = ChargeBook(self.db, self.clock, self.ledger, RULEBOOK, no, nobody)
        return Rights(
            self.db, self.clock, vault, ledger=self.ledger, gateway=cast("Any", SimpleNamespace(charges=book)),
            rulebook=RULEBOOK, notifier=Notifier(self.db, self.clock), named=named, names=names, officer=yes, akin=no,
        )  # fmt: skip

    async def live(self, rounds: int) -> None:
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 90_000)))
            await self.round(AT_ONCE, dies=DIES)
            await self.compare()
        await self.ledger.stop()

    @property
    def rights(self) -> Rights:
        return self.rng.choice(self.desks)

    def entry(self) -> tuple[UUID, UUID]:
        return self.rng.choice(self.entries[-4:] or [(uuid4(), self.holders[0])])

    def shares(self, org: UUID) -> tuple[tuple[UUID, int], ...]:
        others = self.rng.sample([one for one in self.holders if one != org], self.rng.randint(0, 2))
        parts = [200_000 for _ in others]
        return ((org, WHOLE - sum(parts)), *zip(others, parts, strict=True))

    def new(self, identifier: UUID, org: UUID) -> NewEntry:
        number = f"ZL 2026 1 000000{self.rng.randint(1, 3)}.2"
        rate = self.rng.choice((None, 10_000, 20_000))
        return NewEntry(
            identifier, Kind.INVENTION_PATENT, number, "一种质检方法", "用于检测", "国家知识产权局", date(2025, 3, 1),
            date(2026, 1, 20), "a" * 64, self.shares(org), rate,
        )  # fmt: skip

    async def draft(self) -> None:
        org = self.rng.choice(self.holders)
        self.entries.append((uuid4(), org))
        await self.rights.draft(self.new(*self.entries[-1]), org_id=org, actor="test")

    async def change(self) -> None:
        identifier, org = self.entry()
        await self.rights.change(self.new(identifier, org), org_id=org, actor="test")

    async def file(self) -> None:
        identifier, org = self.entry()
        await self.rights.file(identifier, org_id=org, actor="test")

    async def answer(self) -> None:
        await self.rights.answer(
            self.entry()[0], org_id=self.rng.choice(self.holders), accept=self.rng.random() < 0.9, actor="test"
        )

    async def propose(self) -> None:
        org = self.rng.choice(self.holders)
        rate = self.rng.choice((None, 10_000, 30_000))
        await self.rights.propose(self.entry()[0], self.shares(org), rate, org_id=org, actor="test")

    async def decide(self) -> None:
        verify = self.rng.random() < 0.8
        await self.rights.decide(self.entry()[0], verify=verify, reason="属实", person_id=self.officer)

    async def lapse(self) -> None:
        await self.rights.lapse(self.entry()[0], reason="到期", person_id=self.officer)

    async def withdraw(self) -> None:
        await self.rights.withdraw(self.entry()[0], org_id=self.rng.choice(self.holders), actor="test")

    async def compare(self) -> None:
        for query in (*TWICE, AGREED, SAID):
            assert await self.db.fetch(query) == [], query
        for row in await self.db.fetch(PAID):
            pays = row["state"] == "verified" and row["rate_ppm"] is not None
            assert row["open"] == pays
            if pays:
                assert (row["rate_ppm"], row["shares"]) == (row["paid"], row["parts"])


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_pays_by_what_all_agreed_to(
        self, database: Database, clock: FixedClock, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, clock, seed, tmp_path / "keys").live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_pays_by_what_all_agreed_to_whoever_is_first(
        self, database: Database, clock: FixedClock, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, clock, seed, tmp_path / "keys").live(ROUNDS_PROVED)
