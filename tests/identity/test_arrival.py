"""Residents who register, and people who are asked into organisations."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import httpx
import pytest

from shanhe.identity.api import (
    BadText,
    Client,
    ConsentNeedsMore,
    DeclineGround,
    Identity,
    InvitationOver,
    NewRegistration,
    Options,
    PersonState,
    Registering,
    RegistrationKnown,
    RegistrationOff,
    RegistrationState,
    RegistrationWaiting,
    Role,
    SecondFactor,
    SignInFailed,
    SignInLocked,
    Unknown,
)
from shanhe.identity.service.invitations import VALID_DAYS
from shanhe.identity.service.passwords import FREE_FAILURES
from shanhe.identity.service.registrations import DRAWS_MAX, WAIT_DAYS
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.ids import new_id

from .conftest import PASSWORD, URL, City

HERE = Client("203.0.113.9")


def opened(city: City, mode: Registering = Registering.ON) -> Identity:
    options = Options(url=URL, second_factor=SecondFactor.OPTIONAL, registering=mode)
    city.identity = Identity(city.db, city.clock, city.vault, options)
    return city.identity


def form(login: str = "li.wei", **given: Any) -> NewRegistration:
    return NewRegistration(**{
        "id": new_id(), "name": "李伟", "login": login, "password": PASSWORD, "notice_version": "1", "agreed": True,
    } | given)  # fmt: skip


class TestRegistration:
    async def test_opens_an_account_with_no_right_but_ones_own(self, city: City) -> None:
        identity = opened(city)
        made = await identity.registrations.register(form(), HERE)
        assert re.fullmatch(r"li\.wei-\d{5}", made.login)
        issued = await identity.sign_in(made.login, PASSWORD)
        actor = await identity.sessions.actor(issued.token)
        ((org, role),) = await identity.orgs.of_person(made.person_id)
        assert (org.person_id, role, actor.org_id) == (made.person_id, Role.OWNER, org.id)
        assert not actor.permissions & {"accounts", "people", "ledger", "rules", "audit", "roles"}
        assert (await identity.people.get(made.person_id)).city_roles == frozenset()
        assert (await identity.orgs.payer_facts(org.id)).categories == ()

    async def test_is_one_account_however_often_the_form_is_sent(self, city: City) -> None:
        identity, sent = opened(city), form()
        first = await identity.registrations.register(sent, HERE)
        assert await identity.registrations.register(sent, HERE) == first
        with pytest.raises(RegistrationKnown):
            await identity.registrations.register(form(id=sent.id, password="another password"), HERE)
        assert await city.db.fetchval("SELECT count(*) FROM identity.person") == 1

    async def test_tells_nobody_which_names_there_are(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever asks for a name that somebody has is answered as if nobody had it."""
        identity = opened(city)
        await city.person("li.wei")
        made = await identity.registrations.register(form("li.wei"), HERE)
        draws = [int(made.login[-5:])] * (DRAWS_MAX - 1) + [7]
        monkeypatch.setattr("secrets.randbelow", lambda most: draws.pop(0))
        other = await identity.registrations.register(form("li.wei"), HERE)
        assert other.login == "li.wei-00007"

    async def test_is_refused_where_the_city_opens_accounts_itself(self, city: City) -> None:
        with pytest.raises(RegistrationOff):
            await opened(city, Registering.OFF).registrations.register(form(), HERE)

    async def test_wants_the_notice_in_force_and_a_good_password(self, city: City) -> None:
        register = opened(city).registrations.register
        for wrong in ({"agreed": False}, {"notice_version": "0"}):
            with pytest.raises(ConsentNeedsMore):
                await register(form(**wrong), HERE)
        for wrong in ({"password": "short"}, {"login": "a b"}, {"login": "x" * 41}, {"name": "a\u202eb"}):
            with pytest.raises(BadText):
                await register(form(**wrong), HERE)
        assert await city.db.fetchval("SELECT count(*) FROM identity.attempt") == 0  # a typing error counts nowhere

    async def test_is_counted_by_address_and_the_address_is_not_kept(self, city: City) -> None:
        identity = opened(city)
        for number in range(FREE_FAILURES["register"]):
            await identity.registrations.register(form(f"robot{number}"), HERE)
        with pytest.raises(SignInLocked):
            await identity.registrations.register(form("one.more"), HERE)
        await identity.registrations.register(form("neighbour"), Client("203.0.113.10"))
        for table in ("attempt", "registration", "person", "audit"):
            rows = await city.db.fetch(f"SELECT t::text AS row FROM identity.{table} t")
            assert not any("203.0.113" in row["row"] for row in rows), table

    async def test_leaves_nothing_once_erased(self, city: City) -> None:
        identity = opened(city)
        made = await identity.registrations.register(form(), HERE)
        assert (await identity.people.export(made.person_id))["registration"]["notice_version"] == "1"
        await identity.people.erase(made.person_id, by="test")
        assert await city.db.fetchval("SELECT count(*) FROM identity.registration") == 0
        assert (await identity.people.get(made.person_id)).name == ""
        with pytest.raises(SignInFailed):
            await identity.sign_in(made.login, PASSWORD)


class TestApproval:
    async def test_lets_nobody_in_before_an_officer_looked(self, city: City) -> None:
        identity = opened(city, Registering.APPROVAL)
        made = await identity.registrations.register(form(), HERE)
        assert made.state is RegistrationState.WAITING
        with pytest.raises(RegistrationWaiting):
            await identity.sign_in(made.login, PASSWORD)
        with pytest.raises(SignInFailed):  # who doesn't know the password learns nothing
            await identity.sign_in(made.login, "wrong password")
        assert await identity.orgs.of_person(made.person_id) == []
        done = await identity.registrations.approve(made.id, by="test")
        assert (done.state, done.person_state) == (RegistrationState.OPEN, PersonState.ACTIVE)
        assert await identity.registrations.approve(made.id, by="test") == done
        await identity.sign_in(made.login, PASSWORD)
        with pytest.raises(Conflict):
            await identity.registrations.decline(made.id, DeclineGround.NAME, by="test")

    async def test_makes_up_for_a_crash_in_the_middle_when_asked_again(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identity = opened(city, Registering.APPROVAL)
        made = await identity.registrations.register(form(), HERE)

        async def crash(*_: object, **__: object) -> None:
            raise OSError("the power is gone")

        with monkeypatch.context() as broken:
            broken.setattr(identity.orgs, "create_personal", crash)
            with pytest.raises(OSError, match="power"):
                await identity.registrations.approve(made.id, by="test")
        assert await identity.orgs.of_person(made.person_id) == []
        await identity.registrations.approve(made.id, by="test")
        assert len(await identity.orgs.of_person(made.person_id)) == 1

    async def test_erases_whom_it_declines_or_forgets(self, city: City) -> None:
        identity = opened(city, Registering.APPROVAL)
        first = await identity.registrations.register(form("first"), HERE)
        second = await identity.registrations.register(form("second"), HERE)
        await identity.registrations.decline(first.id, DeclineGround.NAME, by="test")
        city.clock.advance(days=WAIT_DAYS, seconds=1)
        third = await identity.registrations.register(form("third"), HERE)
        await identity.purge()
        states = [(await identity.people.get(one.person_id)).state for one in (first, second, third)]
        assert states == [PersonState.ERASED, PersonState.ERASED, PersonState.SUSPENDED]
        assert [one.id for one in await identity.registrations.list()] == [third.id]

    async def test_is_given_too_by_resuming_the_person(self, city: City) -> None:
        identity = opened(city, Registering.APPROVAL)
        made = await identity.registrations.register(form(), HERE)
        await identity.people.resume(made.person_id, by="test")
        assert (await identity.registrations.get(made.id)).state is RegistrationState.OPEN


class TestRegistrationRoute:
    async def test_registers_and_officers_decide(self, city: City) -> None:
        opened(city, Registering.APPROVAL)
        await city.person("operator", Role.OPERATOR)
        issued = await city.sign_in("operator")
        async with city.browser() as visitor, city.browser(issued) as officer:
            shown = (await visitor.get("/api/identity/registration")).json()
            assert shown["mode"] == "approval"
            assert "注销" in shown["notice"]["notice_zh"]
            body = {"id": str(new_id()), "name": "李伟", "login": "li", "password": PASSWORD, "agreed": True,
                    "notice_version": shown["notice"]["version"]}  # fmt: skip
            elsewhere = {"sec-fetch-site": "cross-site"}
            assert (await visitor.post("/api/identity/register", json=body, headers=elsewhere)).status_code == 403
            made = await visitor.post("/api/identity/register", json=body)
            assert (made.status_code, made.json()["state"]) == (201, "waiting")
            assert "set-cookie" not in made.headers
            assert (await visitor.get("/api/registrations")).status_code == 401
            (row,) = (await officer.get("/api/registrations?state=waiting")).json()["data"]
            assert (row["name"], row["login"]) == ("李伟", made.json()["login"])
            done = await officer.post(f"/api/registrations/{row['id']}/approve")
            assert done.json()["state"] == "open"
            assert (
                await officer.post(f"/api/registrations/{row['id']}/decline", json={"ground": "name"})
            ).status_code == 409
        wanted = {"registration.list", "registration.approve"}
        assert wanted <= {row.action for row in await city.identity.audit()}


class TestOutcome:
    async def test_is_told_to_who_has_the_number_of_the_registration(self, city: City) -> None:
        """A declined name signs in no more than one that never was; the number is its sender's alone."""
        identity = opened(city, Registering.APPROVAL)
        made = [await identity.registrations.register(form(f"n{n}"), HERE) for n in range(4)]
        await identity.registrations.approve(made[1].id, by="test")
        await identity.registrations.decline(made[2].id, DeclineGround.NAME, by="test")
        said = [str(await identity.registrations.outcome(one.id)) for one in made]
        assert said == ["waiting", "open", "declined", "waiting"]
        grounds = [await identity.registrations.ground(one.id) for one in made]
        assert grounds == [None, None, DeclineGround.NAME, None]
        city.clock.advance(days=WAIT_DAYS, seconds=1)
        await identity.purge()
        async with city.browser() as visitor:
            answer = await visitor.get(f"/api/identity/register/{made[0].id}")
            assert answer.json() == {"id": str(made[0].id), "state": "lapsed", "ground": None}
            assert (await visitor.get(f"/api/identity/register/{new_id()}")).status_code == 404


class TestInvitation:
    async def invited(self, city: City) -> tuple[UUID, UUID, UUID]:
        """Organisation, invited person, invitation."""
        _, org = await city.member()
        guest = await city.person("guest")
        asked = await city.identity.invitations.invite(new_id(), org.id, guest.id, called="guest", by="test")
        return org.id, guest.id, asked.id

    async def test_grants_nothing_before_it_is_accepted(self, city: City) -> None:
        org, guest, asked = await self.invited(city)
        identity = city.identity
        assert await identity.orgs.of_person(guest) == []
        (mine,) = await identity.invitations.of_person(guest)
        assert (mine.org_name, mine.role, mine.called) == ("山河数据", Role.MEMBER, "guest")
        await identity.invitations.accept(asked, guest, by="test")
        await identity.invitations.accept(asked, guest, by="test")  # again changes nothing
        ((joined, role),) = await identity.orgs.of_person(guest)
        assert (joined.id, role) == (org, Role.MEMBER)
        assert await identity.invitations.of_org(org) == []

    async def test_is_answered_once_and_by_the_invited_only(self, city: City) -> None:
        org, guest, asked = await self.invited(city)
        identity = city.identity
        other = await city.person("other")
        with pytest.raises(Unknown):
            await identity.invitations.accept(asked, other.id, by="test")
        with pytest.raises(Unknown):
            await identity.invitations.withdraw(asked, new_id(), by="test")
        await identity.invitations.decline(asked, guest, by="test")
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(asked, guest, by="test")
        again = await identity.invitations.invite(new_id(), org, guest, by="test")
        await identity.invitations.withdraw(again.id, org, by="test")
        with pytest.raises(InvitationOver):
            await identity.invitations.accept(again.id, guest, by="test")
        assert await identity.orgs.of_person(guest) == []

    async def test_runs_out(self, city: City) -> None:
        org, guest, asked = await self.invited(city)
        city.clock.advance(days=VALID_DAYS)
        with pytest.raises(InvitationOver):
            await city.identity.invitations.accept(asked, guest, by="test")
        assert await city.identity.invitations.of_person(guest) == []
        await city.identity.purge()
        assert await city.db.fetchval("SELECT state FROM identity.invitation") == "lapsed"
        await city.identity.invitations.invite(new_id(), org, guest, by="test")

    async def test_is_one_at_a_time(self, city: City) -> None:
        org, guest, asked = await self.invited(city)
        again = await city.identity.invitations.invite(new_id(), org, guest, Role.OWNER, by="test")
        assert (again.id, again.role) == (asked, Role.MEMBER)
        await city.identity.invitations.accept(asked, guest, by="test")
        with pytest.raises(Conflict):
            await city.identity.invitations.invite(new_id(), org, guest, by="test")

    async def test_leads_into_nobodys_own_account(self, city: City) -> None:
        guest, owner = await city.person("guest"), await city.person("owner")
        own = await city.identity.orgs.create_personal(owner.id, by="test")
        with pytest.raises(Invalid):
            await city.identity.invitations.invite(new_id(), own.id, guest.id, by="test")

    async def test_leaves_nothing_of_an_erased_person(self, city: City) -> None:
        org, guest, _ = await self.invited(city)
        assert (await city.identity.people.export(guest))["invitations"][0]["called"] == "guest"
        await city.identity.people.erase(guest, by="test")
        assert await city.identity.invitations.of_org(org) == []


class TestInvitationRoute:
    async def test_asks_and_answers(self, city: City) -> None:
        opened(city)
        _, org = await city.member("owner")
        guest = await city.person("guest")
        async with city.browser(await city.sign_in("owner")) as owner:
            asked = await owner.put(f"/api/orgs/{org.id}/members/{guest.id}", json={"role": "member"})
            assert (asked.status_code, asked.json()["state"]) == (202, "pending")
            names = [row["person_id"] for row in (await owner.get(f"/api/orgs/{org.id}/members")).json()["data"]]
            assert str(guest.id) not in names
            body = {"id": str(new_id()), "login": "nobody"}
            unknown = await owner.post(f"/api/orgs/{org.id}/invitations", json=body)
            assert unknown.status_code == 404
            (pending,) = (await owner.get(f"/api/orgs/{org.id}/invitations")).json()["data"]
        async with city.browser(await city.sign_in("guest")) as browser:
            assert (await browser.get(f"/api/orgs/{org.id}/members")).status_code == 404
            assert (await self.answer(browser, pending["id"], "accept")).json()["state"] == "accepted"
            assert (await self.answer(browser, pending["id"], "decline")).status_code == 409
        async with city.browser(await city.sign_in("owner")) as owner:
            path = f"/api/orgs/{org.id}/members/{guest.id}"
            assert (await owner.put(path, json={"role": "owner"})).status_code == 200  # now a change of role

    async def answer(self, browser: httpx.AsyncClient, invitation: str, word: str) -> httpx.Response:
        return await browser.post(f"/api/identity/me/invitations/{invitation}/{word}")

    async def test_lets_names_be_tried_no_more_often_than_at_the_door(self, city: City) -> None:
        opened(city)
        _, org = await city.member("owner")
        async with city.browser(await city.sign_in("owner")) as owner:
            answers = [
                (await owner.post(f"/api/orgs/{org.id}/invitations", json={"id": str(new_id()), "login": f"n{n}"}))
                for n in range(FREE_FAILURES["member"] + 1)
            ]
            assert [one.status_code for one in answers][-2:] == [404, 429]
            changed = await owner.patch("/api/identity/me", json={"email": "somebody@example.cn"})
            assert changed.status_code == 429
            kept = await owner.patch("/api/identity/me", json={"login": "owner", "email": "", "name": "王芳"})
            assert kept.status_code == 200  # tells nobody anything
