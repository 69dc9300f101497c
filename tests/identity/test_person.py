from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import msgspec
import pytest

from shanhe.identity.api import (
    AUTOMATED,
    ActsAsked,
    BadText,
    Category,
    CategoryName,
    Client,
    ConsentNeedsMore,
    InvalidKey,
    KeyRevoked,
    LastOfItsKind,
    NewKey,
    NewPerson,
    OrgKind,
    OwnsAlone,
    PersonState,
    Purpose,
    PurposeNotice,
    PurposeRefused,
    Role,
    SessionMissing,
    SignInFailed,
    Taken,
    Unknown,
    UnknownPurpose,
)
from shanhe.kernel.errors import Conflict

from .conftest import PASSWORD, City

TELLTALES = ("张伟", "zhang.wei", "wei@example.cn", "13800138000", "138 0013 8000", "手机浏览器", "203.0.113.7")


async def everything(city: City) -> bytes:
    """Each row of each table of the schema as text, as a dump would show it."""
    tables = await city.db.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = 'identity'")
    rows = []
    for table in tables:
        found = await city.db.fetch(f"SELECT t::text AS row FROM identity.{table['table_name']} t")
        rows += [row["row"] for row in found]
        # bytea prints as hex; look inside too
        rows += [bytes.fromhex(part[3:].split('"')[0].split(",")[0]).decode("latin-1") for part in _hex(rows[-1:])]
    return "\n".join(rows).encode("utf-8", "replace")


def _hex(rows: list[str]) -> list[str]:
    return [part for row in rows for part in row.split('"') if part.startswith("\\\\x")]


class TestPerson:
    async def test_is_named_among_others_by_one_question(self, city: City) -> None:
        person, company = await city.person(), await city.org()
        own = await city.identity.orgs.create_personal(person.id, by="test")
        called = await city.identity.orgs.names([own.id, company.id, uuid4()])
        assert called == {own.id: person.name, company.id: company.name}
        await city.identity.people.erase(person.id, by="test")
        assert await city.identity.orgs.names([own.id]) == {own.id: ""}

    async def test_never_lies_in_plain_text_in_the_database(self, city: City) -> None:
        person = await city.person(email="wei@example.cn")
        await city.identity.orgs.create_personal(person.id, by="test")
        await city.identity.sign_in("wei@example.cn", PASSWORD, Client("203.0.113.7", "手机浏览器"))
        with pytest.raises(SignInFailed):
            await city.identity.sign_in("zhang.wei", "wrong", Client("203.0.113.7", "手机浏览器"))
        await city.identity.factors.begin_totp(person.id)
        dump = await everything(city)
        assert str(person.id).encode() in dump
        for telltale in TELLTALES:
            assert telltale.encode() not in dump, telltale
            assert telltale.encode().hex().encode() not in dump, telltale
        assert PASSWORD.encode() not in dump

    async def test_is_found_by_exact_values_however_written(self, city: City) -> None:
        person = await city.person("Zhang.Wei", email="Wei@Example.cn")
        people = city.identity.people
        for wanted in (
            {"login": "zhang.wei"},
            {"login": "ＺＨＡＮＧ.ＷＥＩ"},
            {"email": "wei@example.CN"},
            {"phone": "+8613800138000"},
            {"phone": "0086-138-0013-8000"},
        ):
            assert [found.id for found in await people.find(**wanted)] == [person.id], wanted
        assert await people.find(login="zhang") == []
        assert (await people.get(person.id)).name == "张伟"

    async def test_has_a_login_of_its_own(self, city: City) -> None:
        await city.person("zhang.wei", email="wei@example.cn")
        with pytest.raises(Taken):
            await city.person("ZHANG.WEI")
        with pytest.raises(Taken):
            await city.person("other", email="WEI@example.cn")

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": ""},
            {"name": "x" * 101},
            {"name": "a\x00b"},
            {"name": "line\nbreak"},
            {"name": "evil\u202etxt"},
            {"name": "half \ud800"},
            {"login": "has space"},
            {"login": "a@b"},
            {"email": "nobody"},
            {"phone": "call me"},
            {"password": "short"},
            {"login": None},
        ],
    )
    async def test_refuses_text_that_cannot_be_a_name(self, city: City, fields: dict[str, str]) -> None:
        with pytest.raises(BadText):
            await city.identity.people.create(replace(NewPerson(name="李娜", login="li.na"), **fields), by="test")
        assert await city.db.fetchval("SELECT count(*) FROM identity.person") == 0

    async def test_composes_names_as_one_form(self, city: City) -> None:
        new = NewPerson(name="Rene\u0301", login="rene")
        assert (await city.identity.people.create(new, by="test")).name == "Ren\u00e9"

    async def test_corrects_its_data_and_is_found_by_the_new_only(self, city: City) -> None:
        person = await city.person(email="old@example.cn")
        people = city.identity.people
        edited = await people.edit(person.id, {"email": "new@example.cn", "phone": None}, by="test")
        assert (edited.email, edited.phone, edited.email_verified) == ("new@example.cn", None, False)
        assert await people.find(email="old@example.cn") == []
        with pytest.raises(BadText):
            await people.edit(person.id, {"email": None, "login": None}, by="test")

    async def test_has_benefit_grounds_only_while_verified_and_in_force(self, city: City) -> None:
        person = await city.person()
        org = await city.identity.orgs.create_personal(person.id, by="test")
        first, last = date(2026, 1, 1), date(2026, 6, 30)
        people, orgs = city.identity.people, city.identity.orgs
        await people.set_category(person.id, Category(CategoryName.NOMAD, False, first, last), by="test")
        assert (await orgs.payer_facts(org.id, first)).categories == ()
        await people.set_category(person.id, Category(CategoryName.NOMAD, True, first, last), by="test")
        days = (first - timedelta(days=1), first, last, last + timedelta(days=1))
        assert [(await orgs.payer_facts(org.id, day)).categories for day in days] == [(), ("nomad",), ("nomad",), ()]

    async def test_shares_a_cap_with_its_household(self, city: City) -> None:
        person, household = await city.person(), uuid4()
        org = await city.identity.orgs.create_personal(person.id, by="test")
        assert (await city.identity.orgs.payer_facts(org.id)).beneficiary == person.id
        await city.identity.people.set_cap_group(person.id, household, by="test")
        assert (await city.identity.orgs.payer_facts(org.id)).beneficiary == household
        assert (await city.identity.orgs.payer_facts(org.id)).kind == OrgKind.PERSON


class TestOrganisation:
    async def test_has_a_name_and_may_lose_its_registration(self, city: City) -> None:
        org = await city.org()
        for nothing in ("", "  ", None):
            with pytest.raises(BadText):
                await city.identity.orgs.edit(org.id, {"name": nothing}, by="test")
        await city.identity.orgs.edit(org.id, {"registration": "91110000"}, by="test")
        assert (await city.identity.orgs.edit(org.id, {"registration": ""}, by="test")).registration is None


class TestRole:
    async def test_leaves_the_city_one_administrator(self, city: City) -> None:
        admin = await city.person("admin", Role.ADMIN)
        people = city.identity.people
        for step in (people.withdraw(admin.id, Role.ADMIN, by="test"), people.suspend(admin.id, by="test")):
            with pytest.raises(LastOfItsKind):
                await step
        with pytest.raises(LastOfItsKind):
            await people.erase(admin.id, by="test")
        await city.person("second", Role.ADMIN)
        await people.withdraw(admin.id, Role.ADMIN, by="test")
        assert (await people.get(admin.id)).city_roles == frozenset()

    async def test_leaves_an_organisation_one_owner(self, city: City) -> None:
        person, org = await city.member()
        with pytest.raises(LastOfItsKind) as refused:
            await city.identity.orgs.remove_member(org.id, person.id, by="test")
        assert "机构本身终止的，请联系运营方" in refused.value.hint_zh
        with pytest.raises(LastOfItsKind):
            await city.identity.orgs.set_member(org.id, person.id, Role.MEMBER, by="test")

    async def test_of_the_only_owner_is_passed_on_before_they_are_erased(self, city: City) -> None:
        person, org = await city.member()
        other = await city.person("other")
        people, orgs = city.identity.people, city.identity.orgs
        await orgs.set_member(org.id, other.id, by="test")
        with pytest.raises(OwnsAlone, match="山河数据"):
            await people.erase(person.id, by="test")
        assert (await people.get(person.id)).name == "张伟"
        await people.suspend(other.id, by="test")  # nobody is there to take over
        await people.erase(person.id, by="test")
        assert [one.person_id for one in await orgs.members(org.id)] == [other.id]

    async def test_of_one_of_two_owners_may_go_and_two_at_once_leave_one(self, city: City) -> None:
        person, org = await city.member()
        people, orgs = city.identity.people, city.identity.orgs
        other, third = await city.person("other"), await city.person("third")
        await orgs.set_member(org.id, other.id, Role.OWNER, by="test")
        await orgs.set_member(org.id, third.id, by="test")
        done = await asyncio.gather(
            *(people.erase(one.id, by="test") for one in (person, other)), return_exceptions=True
        )  # fmt: skip
        assert sorted(str(type(one).__name__) for one in done) == ["OwnsAlone", "bool"]
        assert Role.OWNER in {one.role for one in await orgs.members(org.id)}

    async def test_ends_with_the_next_request(self, city: City) -> None:
        person, org = await city.member()
        other = await city.person("other")
        await city.identity.orgs.set_member(org.id, other.id, Role.OWNER, by="test")
        issued = await city.sign_in()
        assert "keys" in (await city.identity.sessions.actor(issued.token)).permissions
        await city.identity.orgs.remove_member(org.id, person.id, by="test")
        actor = await city.identity.sessions.actor(issued.token)
        assert (actor.org_id, actor.permissions) == (None, frozenset())


class TestErasure:
    async def test_is_done_again_in_a_database_that_is_older_than_it(self, city: City) -> None:
        """Restored, or set back to a moment before: they were nameless, active, and their keys went on paying."""
        person = await city.person(email="wei@example.cn")
        await city.identity.orgs.create_personal(person.id, by="test")
        issued = await city.sign_in()
        team = await city.org()  # since then somebody else became its owner
        await city.identity.orgs.set_member(team.id, person.id, Role.OWNER, by="test")
        other = await city.person("other")
        await city.identity.orgs.set_member(team.id, other.id, Role.MEMBER, by="test")
        city.vault.destroy(person.id)  # the folder of keys knows of the erasure, the rows do not
        assert await city.identity.people.finish_erasures() == 1
        left = await city.identity.people.get(person.id)
        assert (left.state, left.login, left.email) == (PersonState.ERASED, None, None)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)
        assert await city.identity.people.finish_erasures() == 0
        assert (await city.identity.people.get(other.id)).state == PersonState.ACTIVE

    async def test_ends_the_keys_of_their_own_account_and_no_others(self, city: City) -> None:
        """Whoever had one went on spending what was left, in the name of nobody."""
        person = await city.person()
        own = await city.identity.orgs.create_personal(person.id, by="test")
        team = await city.org()
        made = [(await city.identity.keys.create(org.id, NewKey("laptop"), by="test"))[1] for org in (own, team)]
        await city.identity.people.erase(person.id, by="test")
        with pytest.raises(KeyRevoked):
            await city.identity.caller(made[0])
        assert (await city.identity.caller(made[1])).org_id == team.id

    async def test_leaves_nothing_that_can_be_read(self, city: City) -> None:
        person = await city.person(email="wei@example.cn")
        org = await city.identity.orgs.create_personal(person.id, by="test")
        issued = await city.sign_in()
        sealed = await city.db.fetchval("SELECT name_sealed FROM identity.person WHERE id = $1", person.id)
        await city.identity.consents.give(person.id, "newsletter", notice_version="1")
        await city.identity.people.erase(person.id, by="test")
        await city.identity.people.erase(person.id, by="test")  # again changes nothing
        left = await city.identity.people.get(person.id)
        assert (left.state, left.name, left.login, left.email) == (PersonState.ERASED, "", None, None)
        assert not city.vault.exists(person.id)
        assert city.identity.people._ground.open(person.id, "name", sealed) is None  # a row out of the WAL
        assert (await city.identity.orgs.get(org.id)).name == ""
        assert await city.identity.people.find(email="wei@example.cn") == []
        with pytest.raises(SignInFailed):
            await city.sign_in()
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)
        with pytest.raises(Conflict):
            await city.identity.people.edit(person.id, {"name": "back"}, by="test")
        assert (await city.identity.consents.of(person.id))[0].withdrawn_at is not None
        # the login is free again, for somebody else
        assert (await city.person()).id != person.id

    async def test_is_finished_after_a_crash_between_its_steps(self, city: City) -> None:
        from shanhe.identity.store import people as store

        person = await city.person()
        await store.erase(city.db, person.id, city.clock.now())
        assert city.vault.exists(person.id)
        assert await city.identity.people.finish_erasures() == 1
        assert not city.vault.exists(person.id)
        assert await city.identity.people.finish_erasures() == 0


class TestConsent:
    async def test_is_a_ledger_that_is_closed_never_changed(self, city: City) -> None:
        person = await city.person()
        consents = city.identity.consents
        first = await consents.give(person.id, "newsletter", notice_version="1")
        assert await consents.give(person.id, "newsletter", notice_version="1") == first
        city.clock.advance(days=1)
        assert (await consents.withdraw(person.id, "newsletter")).withdrawn_at == city.clock.now()
        assert not await consents.has(person.id, "newsletter")
        with pytest.raises(Unknown):
            await consents.withdraw(person.id, "newsletter")
        second = await consents.give(person.id, "newsletter", notice_version="1")
        assert [row.id for row in await consents.of(person.id)] == [first.id, second.id]

    async def test_is_to_the_notice_in_force_and_apart_for_what_is_sensitive(self, city: City) -> None:
        person, consents = await city.person(), city.identity.consents
        for name, version, apart in (
            ("newsletter", "0", False),  # another notice
            ("nomad_presence", "1", False),  # sensitive, not apart
            ("programmes", "1", True),  # rests on the law
        ):
            with pytest.raises(ConsentNeedsMore):
                await consents.give(person.id, name, notice_version=version, apart=apart)
        with pytest.raises(UnknownPurpose):
            await consents.give(person.id, "anything", notice_version="1")
        given = await consents.give(person.id, "nomad_presence", notice_version="1", apart=True)
        assert (given.apart, given.basis, given.article) == (True, "consent", "PIPL 13(1), 29")

    async def test_carries_a_use_until_it_is_withdrawn(self, city: City) -> None:
        person, consents = await city.person(), city.identity.consents
        with pytest.raises(PurposeRefused):
            await consents.lawful(person.id, "nomad_presence", ["nomad_id"])
        given = await consents.give(person.id, "nomad_presence", notice_version="1", apart=True)
        assert (await consents.lawful(person.id, "nomad_presence", ["nomad_id"])).consent == given.id
        with pytest.raises(PurposeRefused, match="not for reading residence"):
            await consents.lawful(person.id, "nomad_presence", ["residence"])
        await consents.withdraw(person.id, "nomad_presence")
        with pytest.raises(PurposeRefused):
            await consents.lawful(person.id, "nomad_presence", ["nomad_id"])
        assert (await consents.lawful(person.id, "programmes", ["residence"])).consent is None

    def test_counts_until_a_later_notice_asks_again(self) -> None:
        first = {"version": "1", "from_": date(2026, 1, 1), "zh": "甲", "en": "a", "notice_zh": "甲", "notice_en": "a"}
        mild, hard = first | {"version": "2", "from_": date(2026, 6, 1)}, first | {"version": "3", "again": True}
        versions = tuple(PurposeNotice(**one) for one in (first, mild, hard | {"from_": date(2026, 9, 1)}))
        purpose = Purpose(basis="consent", article="", versions=versions)
        assert [purpose.notice(date(2026, month, 1)).version for month in (1, 5, 6, 9)] == ["1", "1", "2", "3"]
        assert purpose.counts("1", date(2026, 8, 31))
        assert not purpose.counts("1", date(2026, 9, 1))
        assert purpose.counts("3", date(2027, 1, 1))

    async def test_may_be_an_objection_where_the_law_needs_no_consent(self, city: City) -> None:
        person, consents = await city.person(), city.identity.consents
        assert not await consents.refused(person.id, AUTOMATED)
        await consents.refuse(person.id, AUTOMATED)
        await consents.refuse(person.id, AUTOMATED)
        assert await consents.refused(person.id, AUTOMATED)
        with pytest.raises(PurposeRefused):
            await consents.lawful(person.id, AUTOMATED)
        await consents.accept(person.id, AUTOMATED)
        assert not await consents.refused(person.id, AUTOMATED)
        assert len(await consents.objections(person.id)) == 1
        with pytest.raises(ConsentNeedsMore):
            await consents.refuse(person.id, "programmes")


class TestExport:
    async def test_tells_a_person_everything_in_plain_text(self, city: City) -> None:
        person, _ = await city.member()
        await city.identity.consents.give(person.id, "newsletter", notice_version="1")
        text = msgspec.json.encode(await city.identity.people.export(person.id)).decode()
        for part in ("张伟", "zhang.wei", "138 0013 8000", "newsletter", "PIPL 13(1)", "owner"):
            assert part in text
        assert "argon2" not in text


class TestAudit:
    async def test_cannot_be_changed(self, city: City) -> None:
        import asyncpg

        await city.identity.record("cli", "model.pull", "model:x", {"size": 1})
        for statement in (
            "UPDATE kernel.act SET actor = 'x'",
            "DELETE FROM kernel.act",
            "TRUNCATE kernel.act",
        ):
            with pytest.raises(asyncpg.PostgresError, match="append-only"):
                await city.db.execute(statement)
        row = (await city.identity.audit())[0]
        assert (row.actor, row.action, row.object, row.details) == ("cli", "model.pull", "model:x", {"size": 1})

    async def test_is_looked_through_by_action_and_days(self, city: City) -> None:
        start = city.clock.now()
        await city.identity.record("cli", "model.pull", "model:x")
        city.clock.advance(days=2)
        await city.identity.record("cli", "model.pull", "model:y")
        await city.identity.record("cli", "person.list", "people")
        pulled = await city.identity.audit(ActsAsked(action="model_pull"))
        assert [row.object for row in pulled] == ["model:y", "model:x"]
        early = await city.identity.audit(ActsAsked(action="model.pull", since=start, until=start + timedelta(days=1)))
        assert [row.object for row in early] == ["model:x"]

    async def test_names_nobody(self, city: City) -> None:
        person, org = await city.member()
        await city.identity.keys.create(org.id, NewKey("k"), by="test")
        with pytest.raises(InvalidKey):
            await city.identity.caller("sk-sh-" + "0" * 43)
        text = msgspec.json.encode(await city.identity.audit(limit=500)).decode()
        assert f"person:{person.id}" in text
        for telltale in TELLTALES:
            assert telltale not in text
