"""Reviewers, applicants and operators at once: no decision is lost or doubled, no budget exceeded by one fen."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.programmes.api import Application, State, Verdict

from .conftest import CREDIT, City

SHORT_ACTORS, SHORT_S, SHORT_VOICES = 24, 30.0, 60
"""By default the crowd goes home when so many voices were heard: how long that takes is the machine's affair."""
LONG_ACTORS, LONG_S = 200, 300.0
AWARD: Final = 500 * CREDIT
FUNDING: Final = 7 * AWARD + 1  # never a whole number of awards
NUMBERS: Final = 5
"""Registration numbers an actor knows at a time: others want the same ones."""
PAUSE_S = 0.05
TICK_S = 1.0
AT_ONCE: Final = 32
"""Whom the house answers at a time, four to a connection: on a busy machine nobody waits for one for half a minute."""
REFUSED_BY_RULE: Final = {
    "already_claimed", "already_judged", "wrong_state", "judges_itself", "application_conflict",
    "not_your_desk",  # refused and appealed since the reviewer looked at the queue
}  # fmt: skip


@dataclass
class Crowd:
    """What the actors saw happen, to be compared with what the books say."""

    city: City
    until: float
    enough: float = inf
    spoken: int = 0
    applied: set[UUID] = field(default_factory=set)
    funded: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    door: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def on(self) -> bool:
        return time.monotonic() < self.until and self.spoken < self.enough

    async def tried(self, work: Any) -> Any:
        """The answer, or None when a rule of the house refused; anything else fails the test."""
        try:
            async with self.door:
                return await work
        except ShanheError as error:
            if error.code not in REFUSED_BY_RULE:
                raise
            self.codes[error.code] += 1
            return None

    async def applicant(self, org: UUID, luck: random.Random, numbers: list[str]) -> None:
        """Applies, twice at once; adds what is missing; appeals; takes back."""
        applying = self.city.programmes.applying
        while self.on:
            answers = {"registration_number": luck.choice(numbers), "registered_on": "2026-02-10"}
            ref = uuid4().hex
            both = [self.tried(self.city.apply("software_copyright", org, answers, ref)) for _ in range(2)]
            made = [app for app in await asyncio.gather(*both) if app is not None]
            assert len({app.id for app in made}) <= 1
            self.applied |= {app.id for app in made}
            numbers[luck.randrange(len(numbers))] = f"2026SR{luck.randrange(10**9)}"
            for app in await self.tried(self.city.programmes.applications(org_id=org, limit=5)):
                if app.state is State.RETURNED:
                    await self.tried(applying.supplement(app.id, org, answers={}, evidence={}, actor="test"))
                elif app.state is State.REFUSED and app.round == 1 and luck.random() < 0.3:
                    await self.tried(applying.appeal(app.id, org, why="请复核", actor="test"))
                elif app.state is State.IN_REVIEW and luck.random() < 0.05:
                    await self.tried(applying.withdraw(app.id, org, actor="test"))
            await asyncio.sleep(luck.random() * PAUSE_S)

    async def reviewer(self, person: UUID, luck: random.Random) -> None:
        """Decides what waits; many look at the same one."""
        reviewing = self.city.programmes.reviewing
        while self.on:
            waiting = await self.tried(reviewing.queue(person))
            if waiting:
                app = luck.choice(waiting[:4])
                verdict = luck.choices(list(Verdict), (7, 2, 1))[0]
                reason = "" if verdict is Verdict.PASS else "理由"
                done = await self.tried(reviewing.decide(app.id, person, verdict, reason=reason))
                self.spoken += done is not None
            await asyncio.sleep(luck.random() * PAUSE_S)

    async def operator(self) -> None:
        """Puts money in by four eyes, each agreement sent twice at once; and the jobs worker's rounds."""
        second = self.city.programmes.second
        while self.on:
            number = new_id()
            await second.fund("ip_credit", FUNDING, reason="追加", by="person:1", request_id=number)
            await asyncio.gather(*(second.approve(number, by="person:2") for _ in range(2)))
            self.funded += FUNDING
            await self.city.programmes.tick()
            await asyncio.sleep(TICK_S)


async def run(city: City, actors: int, length_s: float, voices: float = inf) -> Crowd:
    orgs = [await city.company(f"企业{n}") for n in range(actors // 2)]
    people = [await city.reviewer("ip_office" if n % 3 else "appeals", n) for n in range(actors - len(orgs))]
    crowd = Crowd(city, time.monotonic() + length_s, voices)
    shared = [f"2026SR{n}" for n in range(NUMBERS)]
    await asyncio.gather(
        crowd.operator(),
        *(crowd.applicant(org, random.Random(n), shared) for n, org in enumerate(orgs)),
        *(crowd.reviewer(person, random.Random(1_000 + n)) for n, person in enumerate(people)),
    )
    await city.later(hours=7)
    return crowd


async def settled(city: City, crowd: Crowd) -> None:
    """Everything that was said is there once, and every µ is accounted for."""
    apps = [app for page in [await everything(city)] for app in page]
    assert {app.id for app in apps} == crowd.applied
    assert await city.db.fetchval("SELECT count(*) FROM programmes.verdict") == crowd.spoken
    grants = await city.db.fetch(
        "SELECT application, count(*) AS n FROM programmes.decision WHERE kind = 'grant' GROUP BY application"
    )
    waited = await city.db.fetch("SELECT application FROM programmes.history WHERE event = 'waiting_budget'")
    taken_back = {row["application"] for row in waited}  # who waits for a budget may still take an application back
    granted = {
        app.id for app in apps
        if app.state in (State.COMPLETED, State.WAITING_BUDGET, State.ACTIVE)
        or (app.state is State.WITHDRAWN and app.id in taken_back)
    }  # fmt: skip
    assert {row["application"]: row["n"] for row in grants} == dict.fromkeys(granted, 1)
    paid = [app for app in apps if app.state is State.COMPLETED]
    free, committed = await city.budget("ip_credit")
    assert free >= 0
    assert free + committed + len(paid) * AWARD == crowd.funded
    postings = await city.db.fetchval("SELECT count(*) FROM ledger.posting WHERE kind = 'grant'")
    assert postings == len(paid)
    live = [app.answers["registration_number"] for app in apps
            if app.state not in (State.REFUSED, State.WITHDRAWN)]  # fmt: skip
    assert len(live) == len(set(live))
    assert await city.sound()
    assert len(paid) > 0
    assert crowd.spoken > len(paid)


async def everything(city: City) -> list[Application]:
    found: list[Application] = []
    while page := await city.programmes.applications(before=found[-1].id if found else None):
        found += page
    return found


class TestCrowd:
    async def test_of_two_dozen_loses_and_doubles_nothing(self, city: City) -> None:
        await settled(city, await run(city, SHORT_ACTORS, SHORT_S, SHORT_VOICES))

    @pytest.mark.prove
    async def test_of_two_hundred_loses_and_doubles_nothing_in_five_minutes(self, city: City) -> None:
        crowd = await run(city, LONG_ACTORS, LONG_S)
        await settled(city, crowd)
        print(f"{LONG_ACTORS} actors, {LONG_S:.0f} s: {len(crowd.applied)} applications, {crowd.spoken} voices, "
              f"{dict(crowd.codes)}")  # fmt: skip
