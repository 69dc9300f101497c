"""Many at once: owners invite and remove, people answer and leave, keys are made, changed, rotated, revoked and
reported, some die.

Whatever came first: an organisation keeps an owner, a key has one successor, one that was ended never works again, and
each of it is written down once.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.identity.api import Identity, NewKey, NewOrganisation, NewPerson, Options, OrgKind, Role, SecondFactor
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.vault import Vault
from stage import crowds

from .conftest import URL

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 30, 8
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.004
OWNERLESS = """
  SELECT o.id FROM identity.organisation o WHERE NOT EXISTS
    (SELECT FROM identity.membership m WHERE m.org_id = o.id AND m.role = 'owner')"""
TWICE = (
    "SELECT successor_id FROM identity.api_key WHERE successor_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1",
    "SELECT k.id FROM identity.api_key k JOIN identity.api_key s ON s.id = k.successor_id "
    "WHERE s.limit_scope <> k.limit_scope OR s.org_id <> k.org_id",
    "SELECT org_id, person_id FROM identity.invitation WHERE state = 'pending' GROUP BY 1, 2 HAVING count(*) > 1",
    "SELECT i.id FROM identity.invitation i JOIN identity.membership m USING (org_id, person_id) "
    "WHERE i.state = 'pending'",
)
ACTS = "SELECT action, object, count(*) AS n FROM kernel.act WHERE action LIKE 'key.%' GROUP BY 1, 2"
KEYS = """
  SELECT k.id, k.revoked_at, k.revoked_reason, k.successor_id,
         EXISTS (SELECT FROM identity.api_key p WHERE p.successor_id = k.id) AS succeeds FROM identity.api_key k"""
ANSWERS = """
  SELECT 'member.' || state AS action, count(*) AS n FROM identity.invitation
   WHERE state IN ('accepted', 'declined') GROUP BY 1"""
TOLD = """
  SELECT action, count(*) AS n FROM kernel.act
   WHERE action IN ('member.accepted', 'member.declined') GROUP BY 1"""
"""Of those that ended with whoever gave them nobody says more than of that."""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, clock: FixedClock, vault: Vault, seed: int) -> None:
        super().__init__(db, seed)
        self.clock = clock
        options = Options(url=URL, second_factor=SecondFactor.REQUIRED)
        self.processes = [Identity(self.db, clock, vault, options) for _ in range(2)]
        self.tokens: dict[UUID, str] = {}
        self.invited: list[tuple[UUID, UUID, UUID]] = []
        self.number = 0
        self.draws = [
            (self.make, 10), (self.edit, 8), (self.rotate, 10), (self.revoke, 6), (self.report, 2), (self.thaw, 3),
            (self.invite, 10), (self.answer, 14), (self.appoint, 5), (self.remove, 4), (self.leave, 4),
            (self.suspend, 1), (self.resume, 2), (self.call, 8),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        one = self.processes[0]
        self.people = [
            (await one.people.create(NewPerson("张伟", login=f"p{n}{uuid4().hex[:8]}"), by="test")).id for n in range(4)
        ]
        self.orgs = [
            (await one.orgs.create(NewOrganisation(OrgKind.COMPANY, f"山河 {n}"), owner=self.people[n], by="test")).id
            for n in range(2)
        ]
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 90_000)))
            await self.round(AT_ONCE, dies=DIES)
            await self.compare()

    @property
    def identity(self) -> Identity:
        return self.rng.choice(self.processes)

    def org(self) -> UUID:
        return self.rng.choice(self.orgs)

    def person(self) -> UUID:
        return self.rng.choice(self.people)

    def key(self) -> UUID:
        return self.rng.choice(list(self.tokens)[-4:]) if self.tokens else uuid4()

    # -- keys ---------------------------------------------------------------------------------------------------------

    async def make(self) -> None:
        number, org = self.rng.choice((uuid4(), self.key())), self.org()
        key, token = await self.identity.keys.create(org, NewKey("ci"), by="test", key_id=number)
        self.tokens[key.id] = token

    async def edit(self) -> None:
        changes: dict[str, Any] = self.rng.choice(
            ({"budget_day_micro": self.rng.randrange(1_000)}, {"rpm": self.rng.randint(1, 9)}, {"name": "other"})
        )
        await self.identity.keys.edit(self.key(), None, changes, by="test")

    async def rotate(self) -> None:
        key, token = await self.identity.keys.rotate(self.key(), None, grace_s=self.rng.choice((0, 0, 600)), by="test")
        self.tokens[key.id] = token

    async def revoke(self) -> None:
        await self.identity.keys.revoke(self.key(), None, reason="old", by="test")

    async def report(self) -> None:
        token = self.tokens.get(self.key())
        if token is not None:
            await self.identity.keys.report_leak(token, "somebody", freeze=self.rng.random() < 0.5)

    async def thaw(self) -> None:
        await self.identity.orgs.unfreeze(self.org(), by="test")

    async def call(self) -> None:
        """What another process says of a key, whatever it remembers: one that was ended before is refused."""
        key = self.key()
        before = await self.db.fetchval("SELECT revoked_at IS NOT NULL FROM identity.api_key WHERE id = $1", key)
        found = await self.identity.caller_of(key)
        assert found.key_id == key
        assert not before

    # -- people -------------------------------------------------------------------------------------------------------

    async def invite(self) -> None:
        org, person = self.org(), self.person()
        number = uuid4()
        self.invited.append((number, org, person))
        role = self.rng.choice((Role.MEMBER, Role.OWNER))
        await self.identity.invitations.invite(number, org, person, role, by=f"person:{self.person()}")

    async def answer(self) -> None:
        if self.invited:
            number, org, person = self.rng.choice(self.invited[-4:])
            how = self.rng.choice(("accept", "accept", "decline", "withdraw"))
            if how == "withdraw":
                await self.identity.invitations.withdraw(number, org, by="test")
            else:
                await getattr(self.identity.invitations, how)(number, person, by=f"person:{person}")

    async def appoint(self) -> None:
        await self.identity.orgs.set_member(
            self.org(), self.person(), self.rng.choice((Role.MEMBER, Role.OWNER)), by="test"
        )

    async def remove(self) -> None:
        await self.identity.orgs.remove_member(self.org(), self.person(), by="test")

    async def leave(self) -> None:
        person = self.person()
        await self.identity.orgs.leave(self.org(), person, by=f"person:{person}")

    async def suspend(self) -> None:
        await self.identity.people.suspend(self.person(), by="test")

    async def resume(self) -> None:
        await self.identity.people.resume(self.person(), by="test")

    # -- between rounds -----------------------------------------------------------------------------------------------

    async def compare(self) -> None:
        for query in (OWNERLESS, *TWICE):
            assert await self.db.fetch(query) == [], query
        acts = Counter({(row["action"], row["object"]): row["n"] for row in await self.db.fetch(ACTS)})
        for row in await self.db.fetch(KEYS):
            name = f"key:{row['id']}"
            assert acts["key.create", name] == (not row["succeeds"])
            assert acts["key.rotate", name] == (row["successor_id"] is not None)
            ended = row["revoked_at"] is not None and row["revoked_reason"] not in ("rotated", "leaked")
            assert acts["key.revoke", name] == ended
        told = {row["action"]: row["n"] for row in await self.db.fetch(TOLD)}
        assert told == {row["action"]: row["n"] for row in await self.db.fetch(ANSWERS)}
        for process in self.processes:
            for key, token in list(self.tokens.items())[-4:]:
                ended = await self.db.fetchval("SELECT revoked_at IS NOT NULL FROM identity.api_key WHERE id = $1", key)
                if ended:
                    with pytest.raises(ShanheError):
                        await process.caller(token)


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_writes_down_once_what_was_done(
        self, database: Database, clock: FixedClock, vault: Vault, seed: int
    ) -> None:
        await Crowd(database, clock, vault, seed).live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_writes_down_once_what_was_done_whoever_is_first(
        self, database: Database, clock: FixedClock, vault: Vault, seed: int
    ) -> None:
        await Crowd(database, clock, vault, seed).live(ROUNDS_PROVED)
