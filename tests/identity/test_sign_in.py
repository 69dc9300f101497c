from __future__ import annotations

import asyncio

import pyotp
import pytest

from shanhe.identity.api import (
    Client,
    Identity,
    Options,
    Role,
    SecondFactor,
    SecondFactorNeeded,
    SessionMissing,
    SignInFailed,
    SignInLocked,
    Stage,
    Unknown,
)
from shanhe.identity.errors import PasswordWrong
from shanhe.identity.service.passwords import FREE_FAILURES
from shanhe.kernel.errors import Conflict

from .conftest import PASSWORD, City

HERE = Client("203.0.113.7", "Firefox")


async def with_totp(city: City, *roles: Role) -> tuple[pyotp.TOTP, tuple[str, ...]]:
    """A person with a confirmed authenticator application; and its recovery codes."""
    person = await city.person("zhang.wei", *roles)
    enrolment = await city.identity.factors.begin_totp(person.id)
    totp = pyotp.TOTP(enrolment.secret)
    codes = await city.identity.factors.confirm_totp(person.id, totp.at(city.clock.now()), by="test")
    city.clock.advance(seconds=60)
    return totp, codes


class TestPassword:
    async def test_signs_in_by_login_or_address_and_is_stored_as_argon2id(self, city: City) -> None:
        person = await city.person(email="wei@example.cn")
        for login in ("zhang.wei", " ZHANG.WEI ", "wei@example.cn"):
            issued = await city.identity.sign_in(login, PASSWORD, HERE)
            assert (issued.person_id, issued.stage) == (person.id, Stage.FULL)
        stored = await city.db.fetchval("SELECT hash FROM identity.password")
        assert stored.startswith("$argon2id$")

    async def test_is_hashed_at_the_cost_that_rfc_9106_asks_of_small_machines(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        city.identity = Identity(city.db, city.clock, city.vault, Options())
        await city.person()
        stored = await city.db.fetchval("SELECT hash FROM identity.password")
        assert stored.startswith("$argon2id$v=19$m=19456,t=3,p=1$")
        assert await city.sign_in()

    @pytest.mark.parametrize(
        ("login", "password"),
        [
            ("zhang.wei", "wrong"),
            ("zhang.wei", ""),
            ("nobody", PASSWORD),
            ("", ""),
            ("x" * 10_000, PASSWORD),
            ("zhang.wei", "x" * 100_000),
            ("zhang.wei\x00", PASSWORD),
            ("' OR '1'='1", "' OR '1'='1"),
        ],
    )
    async def test_refuses_everything_else_alike(self, city: City, login: str, password: str) -> None:
        await city.person()
        with pytest.raises(SignInFailed):
            await city.identity.sign_in(login, password, HERE)

    async def test_is_not_enough_for_a_suspended_person(self, city: City) -> None:
        person = await city.person()
        issued = await city.sign_in()
        await city.identity.people.suspend(person.id, by="test")
        with pytest.raises(SignInFailed):
            await city.sign_in()
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)
        await city.identity.people.resume(person.id, by="test")
        await city.sign_in()

    async def test_changed_ends_the_other_sessions(self, city: City) -> None:
        person = await city.person()
        mine, other = await city.sign_in(), await city.sign_in()
        await city.identity.passwords.set(person.id, "another good one", by="test", keep_session=mine.session_id)
        await city.identity.sessions.actor(mine.token)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(other.token)
        with pytest.raises(SignInFailed):
            await city.sign_in()


class TestLockOut:
    async def test_follows_five_failures_and_grows(self, city: City) -> None:
        await city.person()
        for _ in range(5):
            with pytest.raises(SignInFailed):
                await city.identity.sign_in("zhang.wei", "wrong", HERE)
        with pytest.raises(SignInLocked) as locked:
            await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        assert locked.value.status == 429
        assert 1 <= locked.value.retry_after_s <= 31
        city.clock.advance(seconds=31)
        with pytest.raises(SignInFailed):
            await city.identity.sign_in("zhang.wei", "wrong", HERE)
        city.clock.advance(seconds=31)
        with pytest.raises(SignInLocked) as locked:
            await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        assert locked.value.retry_after_s > 20
        city.clock.advance(seconds=31)
        await city.identity.sign_in("zhang.wei", PASSWORD, HERE)  # and forgets
        for _ in range(4):
            with pytest.raises(SignInFailed):
                await city.identity.sign_in("zhang.wei", "wrong", HERE)
        await city.identity.sign_in("zhang.wei", PASSWORD, HERE)

    @pytest.mark.parametrize("there", [True, False])
    async def test_tells_nobody_whether_there_is_a_person(self, city: City, there: bool) -> None:
        if there:
            await city.person(email="wei@example.cn")
        told = []
        for login in (
            "zhang.wei",
            "ｚｈａｎｇ．ｗｅｉ",
            " ZHANG.wei",
            "wei@example.cn",
            "zhang.wei",
            "zhang.wei",
            "zhang.wei",
        ):
            with pytest.raises((SignInFailed, SignInLocked)) as refused:
                await city.identity.sign_in(login, "wrong", HERE)
            told.append(refused.type)
        assert told == [SignInFailed] * 6 + [SignInLocked]

    async def test_keeps_nobody_who_is_signed_in_from_confirming(self, city: City) -> None:
        person = await city.person()
        for _ in range(6):
            with pytest.raises((SignInFailed, SignInLocked)):
                await city.identity.sign_in("zhang.wei", "wrong", HERE)
        await city.identity.signin.confirm(person.id, PASSWORD, None)

    async def test_bounds_the_guesses_of_who_is_signed_in(self, city: City) -> None:
        person = await city.person()
        for _ in range(2):  # what was right is forgotten
            for _ in range(4):
                with pytest.raises(PasswordWrong):
                    await city.identity.signin.confirm(person.id, "wrong", None)
            await city.identity.signin.confirm(person.id, PASSWORD, None)
        for _ in range(5):
            with pytest.raises(PasswordWrong):
                await city.identity.signin.confirm(person.id, "wrong", None)
        with pytest.raises(SignInLocked):
            await city.identity.signin.confirm(person.id, PASSWORD, None)

    async def test_counts_guesses_made_at_once(self, city: City) -> None:
        await city.person()
        guesses = [city.identity.sign_in("zhang.wei", f"guess {number}", HERE) for number in range(12)]
        errors = [type(error) for error in await asyncio.gather(*guesses, return_exceptions=True)]
        assert errors.count(SignInFailed) == 5
        assert errors.count(SignInLocked) == 7

    async def test_follows_an_address_that_tries_many_logins(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FREE_FAILURES, "address", 8)
        await city.person()
        for number in range(8):
            with pytest.raises(SignInFailed):
                await city.identity.sign_in(f"somebody{number}", "x", HERE)
        with pytest.raises(SignInLocked):
            await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        await city.identity.sign_in("zhang.wei", PASSWORD, Client("198.51.100.1"))

    async def test_counts_against_an_address_what_was_wrong_and_nothing_else(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(FREE_FAILURES, "address", 4)
        await city.person()
        for _ in range(6):
            await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        for number in range(3):
            with pytest.raises(SignInFailed):
                await city.identity.sign_in(f"somebody{number}", "x", HERE)
        await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        with pytest.raises(SignInFailed):
            await city.identity.sign_in("somebody", "x", HERE)
        with pytest.raises(SignInLocked):
            await city.identity.sign_in("zhang.wei", PASSWORD, HERE)


class TestTotp:
    async def test_completes_a_sign_in_with_a_fresh_session(self, city: City) -> None:
        totp, _ = await with_totp(city)
        waiting = await city.sign_in()
        assert (waiting.stage, waiting.methods) == (Stage.SECOND_FACTOR, ("totp", "recovery"))
        with pytest.raises(SecondFactorNeeded):
            await city.identity.sessions.actor(waiting.token)
        full = await city.identity.signin.code(waiting.token, totp.at(city.clock.now()))
        assert full.stage == Stage.FULL
        assert full.token != waiting.token
        await city.identity.sessions.actor(full.token)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.row(waiting.token)

    async def test_code_is_good_once(self, city: City) -> None:
        totp, _ = await with_totp(city)
        code = totp.at(city.clock.now())
        first, second = await city.sign_in(), await city.sign_in()
        await city.identity.signin.code(first.token, code)
        with pytest.raises(SignInFailed):
            await city.identity.signin.code(second.token, code)
        older = totp.at(city.clock.now(), counter_offset=-1)
        with pytest.raises(SignInFailed):  # nor one from before the last used
            await city.identity.signin.code(second.token, older)

    async def test_code_used_twice_at_once_counts_once(self, city: City) -> None:
        totp, _ = await with_totp(city)
        sessions = [await city.sign_in() for _ in range(4)]
        code = totp.at(city.clock.now())
        tries = [city.identity.signin.code(issued.token, code) for issued in sessions]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(result, BaseException) for result in results) == 1

    @pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "000000\n"])
    async def test_refuses_what_is_no_code(self, city: City, code: str) -> None:
        await with_totp(city)
        waiting = await city.sign_in()
        with pytest.raises(SignInFailed):
            await city.identity.signin.code(waiting.token, code)

    async def test_says_what_is_wrong_to_whoever_has_proved_the_rest(self, city: City) -> None:
        """Only a login and its password are one secret; the code, and one's own password asked once more, are not."""
        await with_totp(city)
        waiting = await city.sign_in()
        with pytest.raises(SignInFailed) as code:
            await city.identity.signin.code(waiting.token, "no code")
        person = await city.identity.people.by_name("zhang.wei")
        assert person is not None
        with pytest.raises(SignInFailed) as password:
            await city.identity.signin.confirm(person, "wrong", None)
        assert (code.value.code, password.value.code) == ("code_wrong", "password_wrong")

    async def test_guessing_is_bounded(self, city: City) -> None:
        totp, _ = await with_totp(city)
        waiting = await city.sign_in()
        right = totp.at(city.clock.now())
        wrong = "000000" if right != "000000" else "000001"
        for _ in range(5):
            with pytest.raises(SignInFailed):
                await city.identity.signin.code(waiting.token, wrong)
        with pytest.raises(SignInLocked):
            await city.identity.signin.code((await city.sign_in()).token, right)

    async def test_secret_is_replaced_only_before_it_is_confirmed(self, city: City) -> None:
        person = await city.person()
        first = await city.identity.factors.begin_totp(person.id)
        second = await city.identity.factors.begin_totp(person.id)
        with pytest.raises(SignInFailed):
            code = pyotp.TOTP(first.secret).at(city.clock.now())
            await city.identity.factors.confirm_totp(person.id, code, by="test")
        code = pyotp.TOTP(second.secret).at(city.clock.now())
        await city.identity.factors.confirm_totp(person.id, code, by="test")
        with pytest.raises(Conflict):
            await city.identity.factors.begin_totp(person.id)
        assert "zhang.wei" in second.uri

    async def test_is_confirmed_once_and_good_for_nothing_before(self, city: City) -> None:
        person, factors = await city.person(), city.identity.factors
        totp = pyotp.TOTP((await factors.begin_totp(person.id)).secret)
        assert not await factors.use_totp(person.id, totp.at(city.clock.now()))
        codes = await factors.confirm_totp(person.id, totp.at(city.clock.now()), by="test")
        city.clock.advance(seconds=60)
        with pytest.raises(SignInFailed):
            await factors.confirm_totp(person.id, totp.at(city.clock.now()), by="test")
        await city.identity.signin.code((await city.sign_in()).token, codes[0])  # the first ones stand

    async def test_taken_off_signs_nobody_in_nor_do_its_recovery_codes(self, city: City) -> None:
        totp, codes = await with_totp(city)
        ((person,),) = await city.db.fetch("SELECT id FROM identity.person")
        waiting = await city.sign_in()
        await city.identity.factors.remove_totp(person, by="test")
        for code in (totp.at(city.clock.now()), codes[0]):
            with pytest.raises(SignInFailed):
                await city.identity.signin.code(waiting.token, code)
        assert (await city.sign_in()).stage == Stage.FULL
        assert await city.identity.factors.of(person) == ()


class TestRecoveryCode:
    async def test_is_good_once_and_stored_as_a_hash(self, city: City) -> None:
        _, codes = await with_totp(city)
        assert len(set(codes)) == 10
        rows = await city.db.fetch("SELECT * FROM identity.recovery_code")
        assert not any(codes[0] in str(dict(row)) for row in rows)
        await city.identity.signin.code((await city.sign_in()).token, codes[0].upper())
        with pytest.raises(SignInFailed):
            await city.identity.signin.code((await city.sign_in()).token, codes[0])

    async def test_ends_when_new_ones_are_made(self, city: City) -> None:
        _, codes = await with_totp(city)
        ((person,),) = await city.db.fetch("SELECT id FROM identity.person")
        renewed = await city.identity.factors.renew_recovery_codes(person, by="test")
        with pytest.raises(SignInFailed):
            await city.identity.signin.code((await city.sign_in()).token, codes[1])
        for code in renewed:
            await city.identity.signin.code((await city.sign_in()).token, code)
        assert await city.identity.factors.of(person) == ("totp",)  # and says that none is left


class TestSecondFactor:
    async def test_must_be_set_up_by_operators_before_anything_else(self, city: City) -> None:
        person = await city.person("zhang.wei", Role.OPERATOR)
        waiting = await city.sign_in()
        assert waiting.stage == Stage.ENROL
        with pytest.raises(SecondFactorNeeded):
            await city.identity.sessions.actor(waiting.token)
        with pytest.raises(SignInFailed):
            await city.identity.signin.enrolled(waiting.token)
        enrolment = await city.identity.factors.begin_totp(person.id)
        code = pyotp.TOTP(enrolment.secret).at(city.clock.now())
        await city.identity.factors.confirm_totp(person.id, code, by="test")
        full = await city.identity.signin.enrolled(waiting.token)
        assert "accounts" in (await city.identity.sessions.actor(full.token)).permissions
        with pytest.raises(Conflict):
            await city.identity.factors.remove_totp(person.id, by="test")

    async def test_is_asked_of_whoever_becomes_an_operator_while_signed_in(self, city: City) -> None:
        person = await city.person()
        issued = await city.sign_in()
        await city.identity.people.grant(person.id, Role.OPERATOR, by="test")
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)
        assert (await city.sign_in()).stage == Stage.ENROL

    async def test_is_optional_where_the_setting_says_so(self, city: City) -> None:
        await city.person("zhang.wei", Role.OPERATOR)
        demo = Identity(city.db, city.clock, city.vault, Options(second_factor=SecondFactor.OPTIONAL))
        assert (await demo.sign_in("zhang.wei", PASSWORD)).stage == Stage.FULL

    async def test_once_set_up_is_asked_of_everybody(self, city: City) -> None:
        await with_totp(city)
        demo = Identity(city.db, city.clock, city.vault, Options(second_factor=SecondFactor.OPTIONAL))
        assert (await demo.sign_in("zhang.wei", PASSWORD)).stage == Stage.SECOND_FACTOR


class TestSession:
    async def test_is_stored_as_a_hash_and_ends_when_idle(self, city: City) -> None:
        await city.person()
        issued = await city.sign_in()
        row = await city.db.fetchrow("SELECT * FROM identity.session")
        assert issued.token not in str(dict(row))
        for _ in range(3):
            city.clock.advance(hours=7)
            await city.identity.sessions.actor(issued.token)
        city.clock.advance(hours=8, seconds=1)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)

    async def test_ends_absolutely_however_busy(self, city: City) -> None:
        await city.person()
        issued = await city.sign_in()
        for _ in range(10):
            city.clock.advance(hours=7)
            await city.identity.sessions.actor(issued.token)
        city.clock.advance(hours=3)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)
        await city.identity.purge()
        assert await city.db.fetchval("SELECT count(*) FROM identity.session") == 0

    async def test_waiting_for_a_factor_does_not_wait_long(self, city: City) -> None:
        await with_totp(city)
        waiting = await city.sign_in()
        city.clock.advance(minutes=11)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.row(waiting.token)

    async def test_is_listed_with_its_device_and_revoked(self, city: City) -> None:
        person = await city.person()
        other = await city.person("other")
        issued = await city.identity.sign_in("zhang.wei", PASSWORD, HERE)
        listed = await city.identity.sessions.list(person.id)
        assert [(row.id, row.device) for row in listed] == [(issued.session_id, "Firefox · 203.0.113.7")]
        with pytest.raises(Unknown):
            await city.identity.sessions.revoke(other.id, issued.session_id)
        await city.identity.sessions.revoke(person.id, issued.session_id)
        with pytest.raises(SessionMissing):
            await city.identity.sessions.actor(issued.token)
        assert await city.identity.sessions.list(person.id) == []

    async def test_is_listed_as_long_as_it_lasts(self, city: City) -> None:
        person = await city.person()
        await city.sign_in()
        city.clock.advance(hours=8)  # nobody called with it
        assert await city.identity.sessions.list(person.id) == []

    async def test_acts_for_the_organisation_it_is_switched_to(self, city: City) -> None:
        person, first = await city.member()
        second, stranger = await city.org("second", person.id), await city.org("stranger")
        issued = await city.sign_in()
        actor = await city.identity.sessions.actor(issued.token)
        assert actor.org_id == first.id
        await city.identity.sessions.switch(actor, second.id)
        assert (await city.identity.sessions.actor(issued.token)).org_id == second.id
        with pytest.raises(Unknown):
            await city.identity.sessions.switch(actor, stranger.id)
