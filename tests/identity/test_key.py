from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

import shanhe.identity
from shanhe.identity.api import (
    Actor,
    BadText,
    Caller,
    DataClass,
    Identity,
    InvalidKey,
    KeyExpired,
    KeyMade,
    KeyRevoked,
    LeakReport,
    NewKey,
    OrgFrozen,
    PermissionMissing,
    Role,
    TooManyOfThem,
    Unknown,
)
from shanhe.identity.service import keys as key_service
from shanhe.identity.service.callers import CHANNEL
from shanhe.identity.service.keys import GRACE_MAX_S
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault
from shanhe.wiring.payers import Payers

from .conftest import City

LIMIT_S = 1.0
MAKERS = Path(shanhe.identity.__file__).parent / "migrations/0940_makers_of_keys.sql"
POLL_S = 0.01
PATIENCE_S = 20.0
TRIES = 10


async def bites_within(limit_s: float, identity: Identity, token: str, error: type[ShanheError]) -> None:
    """Call as the gateway does until `error` comes; fails when it takes longer. A machine that stands still meanwhile
    counts once."""
    for _ in range(round(limit_s / POLL_S)):
        try:
            identity.caller_cached(token) or await identity.caller(token)
        except error:
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{error.__name__} did not come within {limit_s} s")


async def heard(identity: Identity, db: Database) -> None:
    """Until notices reach `identity`, and all that were sent before have."""
    marks, mark = identity._callers._refused, secrets.token_bytes(32)
    marks[mark] = (InvalidKey, math.inf)
    async with asyncio.timeout(PATIENCE_S):
        while mark in marks:
            await db.execute("SELECT pg_notify($1, $2)", CHANNEL, f"key:{mark.hex()}")
            await asyncio.sleep(POLL_S)


async def remembered(identity: Identity, token: str) -> Caller:
    """Called, and in memory; a machine that stands still may forget at once."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            caller = await identity.caller(token)
            if identity.caller_cached(token) is not None:
                return caller


@pytest.fixture
async def elsewhere(dsn: str, city: City, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Another process's identity: its own pool, its own memory, the same database and keys."""
    db = await Database.open(dsn)
    identity = Identity(db, city.clock, Vault(tmp_path / "keys"), city.identity.options)
    await identity.start()
    await heard(identity, db)
    yield identity
    await identity.stop()
    await db.close()


class TestKey:
    async def test_is_stored_as_a_hash_only(self, city: City) -> None:
        org = await city.org()
        key, token = await city.identity.create_key(org.id, NewKey("ci"), by="test")
        assert token.startswith("sk-sh-")
        assert len(token) == 49
        row = await city.db.fetchrow("SELECT * FROM identity.api_key")
        assert token not in str(dict(row))
        assert row["token_sha256"] == hashlib.sha256(token.encode()).digest()
        assert (key.prefix, key.last4) == (token[:12], token[-4:])

    async def test_tells_the_gateway_its_scope_and_budgets(self, city: City) -> None:
        org = await city.org()
        expires = city.clock.now() + timedelta(days=30)
        new = NewKey("ci", frozenset({"qwen"}), frozenset(), 5_000_000, 90_000_000, 60, 100_000, expires)
        key, token = await city.identity.create_key(org.id, new, by="test")
        assert city.identity.caller_cached(token) is None
        caller = await city.identity.caller(token)
        assert (caller.key_id, caller.org_id, caller.key_name) == (key.id, org.id, "ci")
        assert (caller.models, caller.budget_day_micro, caller.budget_month_micro) == ({"qwen"}, 5_000_000, 90_000_000)
        assert (caller.rpm, caller.tpm, caller.expires_at) == (60, 100_000, expires)
        assert city.identity.caller_cached(token) == caller

    async def test_is_never_laxer_with_data_than_its_organisation(self, city: City) -> None:
        org = await city.org()
        await city.identity.orgs.edit(org.id, {"data_class": DataClass.GOVERNMENT}, by="test")
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        assert (await city.identity.caller(token)).data_class == "government"

    @pytest.mark.parametrize(
        "token",
        ["", "sk-sh-", "sk-sh-" + "0" * 43, "Bearer x", "sk-sh-" + "é" * 43, "\ud800", "sk-sh-" + "0" * 43 + "\n"],
    )
    async def test_of_nobody_is_refused(self, city: City, token: str) -> None:
        assert city.identity.caller_cached(token) is None
        with pytest.raises(InvalidKey):
            await city.identity.caller(token)

    async def test_expires(self, city: City) -> None:
        org = await city.org()
        new = NewKey("k", expires_at=city.clock.now() + timedelta(seconds=10))
        _, token = await city.identity.create_key(org.id, new, by="test")
        await city.identity.caller(token)
        city.clock.advance(seconds=11)
        await bites_within(LIMIT_S, city.identity, token, KeyExpired)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": "a\x00"},
            {"budget_day_micro": -1},
            {"rpm": 0},
            {"tpm": 10**18},
            {"models": frozenset()},
            {"models": frozenset({"a\r\nx-evil: 1"})},
            {"permissions": frozenset({"root"})},
        ],
    )
    async def test_refuses_a_senseless_scope(self, city: City, wrong: dict[str, object]) -> None:
        org = await city.org()
        with pytest.raises((Invalid, BadText)):
            await city.identity.create_key(org.id, NewKey(**({"name": "k"} | wrong)), by="test")  # type: ignore[arg-type]

    async def test_can_do_no_more_than_its_maker(self, city: City) -> None:
        person, org = await city.member()
        issued = await city.sign_in()
        maker = await city.identity.sessions.actor(issued.token)
        with pytest.raises(PermissionMissing):
            await city.identity.create_key(org.id, NewKey("k", permissions=frozenset({"ledger"})), by=maker)
        new = NewKey("k", permissions=frozenset({"keys", "usage"}))
        _, token = await city.identity.create_key(org.id, new, by=maker)
        actor = await city.identity.sessions.key_actor(token)
        assert actor.permissions == {"keys", "usage", "receipts"}
        await city.identity.people.suspend(person.id, by="test")
        assert (await city.identity.sessions.key_actor(token)).permissions == {"receipts"}

    async def test_that_a_key_made_or_rotated_can_do_no_more_than_the_person_behind(self, city: City) -> None:
        _, org = await city.member("owner")
        person = await city.person("leaver")
        await city.identity.orgs.set_member(org.id, person.id, Role.OWNER, by="test")
        maker = await city.identity.sessions.actor((await city.sign_in("leaver")).token)
        new = NewKey("k", permissions=frozenset({"keys", "members"}))
        _, first = await city.identity.create_key(org.id, new, by=maker)
        robot = await city.identity.sessions.key_actor(first)
        made, second = await city.identity.create_key(org.id, new, by=robot)
        turned, third = await city.identity.keys.rotate(made.id, org.id, grace_s=60, by=robot)
        assert made.created_by == turned.created_by == person.id
        await city.identity.orgs.remove_member(org.id, person.id, by="test")
        for token in (first, second, third):
            assert (await city.identity.sessions.key_actor(token)).permissions == {"receipts"}

    async def test_of_before_is_given_the_maker_that_the_record_knows(self, city: City) -> None:
        person, org = await city.member()
        maker = await city.identity.sessions.actor((await city.sign_in()).token)
        new = NewKey("k", permissions=frozenset({"keys"}))
        first, token = await city.identity.create_key(org.id, new, by=maker)
        robot = await city.identity.sessions.key_actor(token)
        second, _ = await city.identity.create_key(org.id, new, by=robot)
        third, _ = await city.identity.keys.rotate(second.id, org.id, by=replace(robot, key_id=second.id))
        trusted, _ = await city.identity.create_key(org.id, new, by="cli")
        await city.db.execute("UPDATE identity.api_key SET created_by = NULL WHERE id <> $1", first.id)
        await city.db.execute(MAKERS.read_text())
        found = {key.id: key.created_by for key in await city.identity.keys.list(org.id)}
        assert found == {first.id: person.id, second.id: person.id, third.id: person.id, trusted.id: None}

    async def test_of_another_tenant_does_not_exist(self, city: City) -> None:
        mine, theirs = await city.org("a"), await city.org("b")
        key, _ = await city.identity.create_key(theirs.id, NewKey("k"), by="test")
        keys = city.identity.keys
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: keys.get(key.id, mine.id),
            lambda: keys.edit(key.id, mine.id, {"name": "x"}, by="test"),
            lambda: keys.rotate(key.id, mine.id, by="test"),
            lambda: keys.revoke(key.id, mine.id, by="test"),
            lambda: keys.get(uuid4(), mine.id),
        ]
        for step in steps:
            with pytest.raises(Unknown):
                await step()
        assert await keys.list(mine.id) == []

    async def test_edits_what_is_named_and_keeps_the_rest(self, city: City) -> None:
        org = await city.org()
        key, token = await city.identity.create_key(org.id, NewKey("k", rpm=5, budget_day_micro=7), by="test")
        await city.identity.caller(token)
        edited = await city.identity.keys.edit(key.id, org.id, {"budget_day_micro": None, "name": "n"}, by="test")
        assert (edited.name, edited.rpm, edited.budget_day_micro) == ("n", 5, None)
        assert await city.identity.keys.get(key.id, org.id) == edited
        with pytest.raises(Invalid, match="past"):
            await city.identity.keys.edit(key.id, org.id, {"expires_at": city.clock.now()}, by="test")

    async def test_is_counted_to_a_department_of_its_own_organisation(self, city: City) -> None:
        mine, theirs = await city.org(), await city.org("别家")
        department = await city.identity.orgs.add_department(theirs.id, "财务", by="test")
        with pytest.raises(Unknown):
            await city.identity.create_key(mine.id, NewKey("k", department_id=department.id), by="test")
        key, _ = await city.identity.create_key(mine.id, NewKey("k"), by="test")
        with pytest.raises(Unknown):
            await city.identity.keys.edit(key.id, mine.id, {"department_id": department.id}, by="test")

    async def test_that_ended_leaves_its_place_to_another(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(key_service, "KEYS_MAX", 2)
        org, soon = await city.org(), city.clock.now() + timedelta(minutes=1)
        first, _ = await city.identity.create_key(org.id, NewKey("a"), by="test")
        await city.identity.create_key(org.id, NewKey("b", expires_at=soon), by="test")
        with pytest.raises(TooManyOfThem):
            await city.identity.create_key(org.id, NewKey("c"), by="test")
        await city.identity.keys.revoke(first.id, org.id, by="test")
        await city.identity.create_key(org.id, NewKey("c"), by="test")
        with pytest.raises(TooManyOfThem):
            await city.identity.create_key(org.id, NewKey("d"), by="test")
        city.clock.advance(minutes=1)
        await city.identity.create_key(org.id, NewKey("d"), by="test")


class TestRotation:
    async def test_lets_the_old_key_live_through_its_grace_on_the_same_budget(self, city: City) -> None:
        org = await city.org()
        key, old = await city.identity.create_key(org.id, NewKey("k", rpm=5), by="test")
        successor, new = await city.identity.keys.rotate(key.id, org.id, grace_s=60, by="test")
        first, second = await city.identity.caller(old), await city.identity.caller(new)
        assert first.limit_scope == second.limit_scope == key.id
        assert (second.key_id, second.rpm) == (successor.id, 5)
        with pytest.raises(Conflict):
            await city.identity.keys.rotate(key.id, org.id, by="test")
        city.clock.advance(seconds=61)
        await bites_within(LIMIT_S, city.identity, old, KeyExpired)
        await city.identity.caller(new)

    async def test_without_grace_ends_the_old_key(self, city: City) -> None:
        org = await city.org()
        key, old = await city.identity.create_key(org.id, NewKey("k"), by="test")
        await city.identity.keys.rotate(key.id, org.id, by="test")
        with pytest.raises(KeyRevoked):
            await city.identity.caller(old)

    async def test_lengthens_no_life_whatever_the_grace(self, city: City) -> None:
        org, ends = await city.org(), city.clock.now() + timedelta(minutes=1)
        key, _ = await city.identity.create_key(org.id, NewKey("k", expires_at=ends), by="test")
        for grace_s in (-1, GRACE_MAX_S + 1):
            with pytest.raises(Invalid, match="grace"):
                await city.identity.keys.rotate(key.id, org.id, grace_s=grace_s, by="test")
        await city.identity.keys.rotate(key.id, org.id, grace_s=GRACE_MAX_S, by="test")
        assert (await city.identity.keys.get(key.id, org.id)).expires_at == ends

    async def test_hands_nobody_a_key_that_can_do_more_than_they_can(self, city: City) -> None:
        _, org = await city.member()
        strong, _ = await city.identity.create_key(
            org.id, NewKey("k", permissions=frozenset({"keys", "members"})), by="test"
        )
        weak = Actor(None, None, org.id, frozenset(), frozenset({"keys"}))
        with pytest.raises(PermissionMissing):
            await city.identity.keys.rotate(strong.id, org.id, by=weak)
        assert (await city.identity.keys.get(strong.id, org.id)).successor_id is None


class TestRevocation:
    async def test_bites_within_a_second_in_another_process(self, city: City, elsewhere: Identity) -> None:
        org = await city.org()
        key, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        await heard(elsewhere, city.db)
        assert (await remembered(elsewhere, token)).key_id == key.id
        await city.identity.keys.revoke(key.id, org.id, by="test")
        await bites_within(LIMIT_S, elsewhere, token, KeyRevoked)

    async def test_bites_within_a_second_even_when_no_notice_comes(self, city: City, elsewhere: Identity) -> None:
        org = await city.org()
        key, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        await city.db.execute("ALTER TABLE identity.api_key DISABLE TRIGGER key_changed")
        await heard(elsewhere, city.db)
        await elsewhere.caller(token)
        await city.identity.keys.revoke(key.id, org.id, by="test")
        await bites_within(LIMIT_S, elsewhere, token, KeyRevoked)

    async def test_leaves_a_busy_key_in_memory_without_a_query_of_its_own(
        self, city: City, elsewhere: Identity
    ) -> None:
        org = await city.org()
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        await heard(elsewhere, city.db)
        for _ in range(TRIES):  # a machine that stands still for half a second lets it run out
            await remembered(elsewhere, token)
            entry = elsewhere._callers._entries[hashlib.sha256(token.encode()).digest()]
            first = entry.valid_until
            while elsewhere.caller_cached(token) is not None:
                if entry.valid_until > first:
                    return
                await asyncio.sleep(POLL_S)
        raise AssertionError("it ran out each time")

    async def test_runs_out_when_nobody_refreshes(self, city: City) -> None:
        org = await city.org()
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        await city.identity.caller(token)
        await asyncio.sleep(LIMIT_S)
        assert city.identity.caller_cached(token) is None

    async def test_of_a_frozen_organisation_bites_and_thaws(self, city: City, elsewhere: Identity) -> None:
        org = await city.org()
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        await elsewhere.caller(token)
        await city.identity.orgs.freeze(org.id, "unpaid", by="test")
        await bites_within(LIMIT_S, elsewhere, token, OrgFrozen)
        await city.identity.orgs.unfreeze(org.id, by="test")
        await asyncio.sleep(LIMIT_S)
        await elsewhere.caller(token)

    async def test_memory_stays_bounded(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        from shanhe.identity.service import callers

        monkeypatch.setattr(callers, "KEPT_MAX", 3)
        monkeypatch.setattr(callers, "REFUSED_MAX", 3)
        org = await city.org()
        memory = city.identity._callers
        for number in range(6):
            _, token = await city.identity.create_key(org.id, NewKey(f"k{number}"), by="test")
            await city.identity.caller(token)
            with pytest.raises(InvalidKey):
                await city.identity.caller("sk-sh-" + str(number) * 43)
        assert len(memory._entries) == len(memory._refused) == 3
        assert sum(map(len, memory._by_org.values())) == 3


class TestHouseKey:
    async def test_is_one_for_each_purpose_whichever_process_needs_it(self, city: City, elsewhere: Identity) -> None:
        _, org = await city.member()
        payers = [Payers(one, name) for one in (city.identity, elsewhere) for name in ("~studio", "~workflows")]
        found = await asyncio.gather(*(one.key_of(org.id) for one in (*payers, *payers)))
        assert len(set(found)) == 2
        assert sorted(key.name for key in await city.identity.keys.list(org.id)) == ["~studio", "~workflows"]

    async def test_that_was_revoked_is_used_nowhere_any_more(self, city: City, elsewhere: Identity) -> None:
        _, org = await city.member()
        here, there = Payers(city.identity, "~studio"), Payers(elsewhere, "~studio")
        first = await here.key_of(org.id)
        assert await there.key_of(org.id) == first
        await city.identity.keys.revoke(first, org.id, by="test")
        with pytest.raises(KeyRevoked):
            await elsewhere.caller_of(first)
        second = await there.key_of(org.id)
        assert second != first
        assert await here.key_of(org.id) == second
        assert (await elsewhere.caller_of(second)).org_id == org.id

    async def test_of_a_city_that_knew_it_by_its_name_stays(self, city: City) -> None:
        _, org = await city.member()
        key, _ = await city.identity.keys.create(org.id, NewKey("~studio"), by="studio", own=True)
        assert await Payers(city.identity, "~studio").key_of(org.id) == key.id

    async def test_is_no_key_that_a_member_called_so(self, city: City) -> None:
        person, org = await city.member()
        member = Actor(person.id, None, org.id, frozenset(), frozenset({"keys"}))
        before, _ = await city.identity.create_key(org.id, NewKey("~studio"), by=member, own=True)
        assert await Payers(city.identity, "~studio").key_of(org.id) != before.id
        with pytest.raises(Invalid, match="does not begin with ~"):
            await city.identity.create_key(org.id, NewKey("~workflows"), by=member)
        named, _ = await city.identity.create_key(org.id, NewKey("mine"), by=member)
        with pytest.raises(Invalid, match="does not begin with ~"):
            await city.identity.keys.edit(named.id, org.id, {"name": "~mine"}, by=member)
        edited = await city.identity.keys.edit(before.id, org.id, {"name": "~studio", "rpm": 5}, by=member)
        assert edited.rpm == 5, "what was called so before can be changed still"


class TestLeak:
    async def test_revokes_freezes_traces_and_tells(self, city: City) -> None:
        org = await city.org()
        key, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        told: list[LeakReport] = []

        async def trace(key_id: UUID) -> list[dict[str, object]]:
            with pytest.raises(KeyRevoked):  # revoked before anything slow happens
                await city.identity.caller(token)
            return [{"receipt": "r1", "key": str(key_id)}]

        async def tell(report: LeakReport) -> None:
            told.append(report)

        city.identity.keys.on_leak(trace=trace, tell=tell)
        report = await city.identity.report_leak(token, "scanner", freeze=True, note="found in a public repository")
        assert report is not None
        assert told == [report]
        assert report.trace == ({"receipt": "r1", "key": str(key.id)},)
        assert (await city.identity.orgs.get(org.id)).state == "frozen"
        row = await city.db.fetchrow("SELECT * FROM identity.leak")
        assert (row["key_id"], row["frozen"], row["trace"]) == (key.id, True, [{"receipt": "r1", "key": str(key.id)}])
        assert token not in str(dict(row))

    async def test_by_its_start_is_for_its_own_organisation(self, city: City) -> None:
        org, other = await city.org("a"), await city.org("b")
        key, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        assert await city.identity.report_leak(token[:12], "x", org_id=other.id) is None
        await city.identity.caller(token)
        report = await city.identity.report_leak(token[:12], "x", org_id=org.id)
        assert report is not None
        assert report.key_id == key.id
        assert await city.identity.report_leak("sk-sh-" + "0" * 43, "x") is None
        with pytest.raises(BadText):
            await city.identity.report_leak("' OR 1=1 --", "x")

    async def test_is_revoked_even_when_it_cannot_be_traced(self, city: City) -> None:
        org = await city.org()
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="test")

        async def trace(_: UUID) -> list[dict[str, object]]:
            raise OSError("away")

        city.identity.keys.on_leak(trace=trace)
        report = await city.identity.report_leak(token, "x")
        assert report is not None
        assert report.trace == ({"error": "OSError"},)
        with pytest.raises(KeyRevoked):
            await city.identity.caller(token)


class TestActor:
    def test_is_named_without_personal_data(self) -> None:
        person = uuid4()
        actor = Actor(person, None, None, frozenset({Role.ADMIN}), frozenset(), name="张伟")
        assert actor.ref == f"person:{person}"


class TestSentTwice:
    async def test_makes_one_key(self, city: City) -> None:
        _, org = await city.member()
        made, _ = await city.identity.create_key(org.id, NewKey("robot"), by="test", key_id=new_id())
        with pytest.raises(KeyMade):
            await city.identity.create_key(org.id, NewKey("robot"), by="test", key_id=made.id)
        assert [key.id for key in await city.identity.keys.list(org.id)] == [made.id]
