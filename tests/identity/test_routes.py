from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pyotp
import pytest
from fastapi import Depends, FastAPI, Response

from shanhe.identity.api import (
    Client,
    Identity,
    Issued,
    NewKey,
    NewPerson,
    Options,
    Role,
    SecondFactor,
    Stage,
    cookie_name,
    require,
    seat,
)
from shanhe.identity.service.signin import JUST_S
from shanhe.kernel import http
from shanhe.kernel.ids import new_id

from .conftest import PASSWORD, URL, City
from .test_passkey import Authenticator

INJECTIONS = [
    "'; DROP TABLE identity.person; --",
    "' OR '1'='1",
    "$1; SELECT pg_sleep(5)",
    "{{ 7 * 7 }} ${7*7} <script>alert(1)</script>",
    "%s %(x)s \\'; \\x00 \\",
    'Robert"); DELETE FROM identity.api_key; --',
]


def optional(city: City) -> None:
    """Let operators in by password, so that a test about something else stays short."""
    options = Options(url=URL, second_factor=SecondFactor.OPTIONAL)
    city.identity = Identity(city.db, city.clock, city.vault, options)


async def operator(city: City, *roles: Role) -> Issued:
    optional(city)
    await city.person("operator", *(roles or (Role.OPERATOR,)))
    return await city.sign_in("operator")


class TestSignInRoute:
    async def test_leads_through_both_steps(self, city: City) -> None:
        person = await city.person("zhang.wei", Role.OPERATOR)
        async with city.browser() as browser:
            first = await browser.post("/api/identity/sign-in", json={"login": "zhang.wei", "password": PASSWORD})
            assert first.json()["stage"] == "enrol"
            assert "token" not in first.json()
            cookie = first.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
            assert (await browser.get("/api/identity/me")).status_code == 401
            browser.headers["x-csrf-token"] = first.json()["csrf"]
            secret = (await browser.post("/api/identity/me/totp")).json()["secret"]
            code = pyotp.TOTP(secret).at(city.clock.now())
            done = await browser.post("/api/identity/me/totp/confirm", json={"code": code})
            assert len(done.json()["recovery_codes"]) == 10
            me = (await browser.get("/api/identity/me")).json()
            assert me["person"]["id"] == str(person.id)
            assert me["second_factors"] == ["totp", "recovery"]
            browser.headers["x-csrf-token"] = me["csrf"]
            out = await browser.post("/api/identity/sign-out")
            assert out.status_code == 200
            assert (await browser.get("/api/identity/me")).status_code == 401

    async def test_takes_the_password_once_more_for_a_new_factor(self, city: City) -> None:
        """Or whoever finds a browser signed in keeps the account, and has the code that break-glass asks for."""
        await city.person()
        async with city.browser(await city.sign_in()) as browser:
            secret = (await browser.post("/api/identity/me/totp")).json()["secret"]
            code = pyotp.TOTP(secret).at(city.clock.now())
            for path, body in (("totp/confirm", {"code": code}), ("passkeys/options", {}), ("passkeys/options", None)):
                refused = await browser.post(f"/api/identity/me/{path}", json=body)
                assert (refused.status_code, refused.json()["error"]["code"]) == (401, "password_wrong")
            begun = await browser.post("/api/identity/me/passkeys/options", json={"password": PASSWORD})
            assert begun.json()["options"]["challenge"]
            done = await browser.post("/api/identity/me/totp/confirm", json={"code": code, "password": PASSWORD})
            assert done.status_code == 200

    async def test_takes_the_password_once_more_to_take_a_passkey_off(self, city: City) -> None:
        person = await city.person()
        device = Authenticator()
        ceremony = await city.identity.passkeys.begin_registration(person.id)
        await city.identity.passkeys.register(
            person.id, ceremony.id, device.create(ceremony.options), name="laptop", by="test"
        )
        begun = await city.identity.signin.passkey_options()
        issued = await city.identity.signin.passkey(begun.id, device.get(begun.options))
        async with city.browser(issued) as browser:
            (mine,) = (await browser.get("/api/identity/me/passkeys")).json()["data"]
            off = f"/api/identity/me/passkeys/{mine['id']}/remove"
            refused = await browser.post(off, json={})
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "password_wrong")
            assert (await browser.post(off, json={"password": PASSWORD})).status_code == 200
            assert (await browser.get("/api/identity/me/passkeys")).json()["data"] == []

    async def test_of_a_person_without_a_password_confirms_for_a_while_only(self, city: City) -> None:
        """Whoever comes by a provider or a passkey has nothing to type once more, and has just signed in."""
        person = await city.identity.people.create(NewPerson("王芳", login="wang.fang"), by="test")
        issued = await city.identity.sessions.open(person.id, Stage.FULL, ("oidc",), Client())
        async with city.browser(issued) as browser:
            assert (await browser.post("/api/identity/me/passkeys/options", json={})).status_code == 200
            city.clock.advance(seconds=JUST_S + 1)
            for path, body in (
                ("passkeys/options", {}), ("totp/remove", {}), ("recovery-codes", {}), ("erase", {}),
                ("password", {"current": "", "new": "another long password"}),
            ):  # fmt: skip
                refused = await browser.post(f"/api/identity/me/{path}", json=body)
                assert (refused.status_code, refused.json()["error"]["code"]) == (401, "sign_in_again"), path

    async def test_sets_nothing_up_after_somebody_has(self, city: City) -> None:
        """Two sign-ins wait for a first factor; once one has set it up the other has proved too little."""
        await city.person("zhang.wei", Role.OPERATOR)
        async with city.browser(await city.sign_in()) as late, city.browser(await city.sign_in()) as first:
            secret = (await first.post("/api/identity/me/totp")).json()["secret"]
            code = pyotp.TOTP(secret).at(city.clock.now())
            assert (await first.post("/api/identity/me/totp/confirm", json={"code": code})).status_code == 200
            assert (await late.post("/api/identity/me/passkeys/options")).status_code == 401

    async def test_answers_429_with_a_wait(self, city: City) -> None:
        await city.person()
        async with city.browser() as browser:
            for _ in range(5):
                wrong = await browser.post("/api/identity/sign-in", json={"login": "zhang.wei", "password": "x"})
                assert wrong.status_code == 401
            locked = await browser.post("/api/identity/sign-in", json={"login": "zhang.wei", "password": PASSWORD})
            assert (locked.status_code, locked.json()["error"]["code"]) == (429, "sign_in_locked")
            assert int(locked.headers["retry-after"]) > 0

    @pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
    async def test_refuses_other_sites_pages(self, city: City, headers: dict[str, str]) -> None:
        await city.person()
        async with city.browser() as browser:
            body = {"login": "zhang.wei", "password": PASSWORD}
            answer = await browser.post("/api/identity/sign-in", json=body, headers=headers)
            assert answer.status_code == 403

    async def test_over_https_pins_the_cookie_to_the_host(self, city: City) -> None:
        await city.person()
        city.identity = Identity(city.db, city.clock, city.vault, Options(url="https://ai.example.cn"))
        made = Response()
        seat(made, city.identity, await city.sign_in())
        cookie = made.headers["set-cookie"]
        assert cookie.startswith("__Host-shanhe_session=")
        assert "Secure" in cookie


class TestPersonal:
    async def test_opens_ones_own_organisation_once_and_acts_for_it(self, city: City) -> None:
        person = await city.person()
        issued = await city.sign_in()
        async with city.browser(issued) as browser:
            before = (await browser.get("/api/identity/me")).json()
            assert (before["org_id"], before["permissions"]) == (None, [])
            made = [(await browser.post("/api/identity/me/personal")).json() for _ in range(2)]
            assert made[0]["id"] == made[1]["id"]
            assert (made[0]["kind"], made[0]["person_id"]) == ("person", str(person.id))
            await browser.post("/api/identity/me/organisation", json={"org_id": made[0]["id"]})
            after = (await browser.get("/api/identity/me")).json()
            assert after["org_id"] == made[0]["id"]
            assert "apply" in after["permissions"]


class TestCsrf:
    async def test_is_needed_for_every_change_under_a_cookie(self, city: City) -> None:
        await city.member()
        issued, other = await city.sign_in(), await city.sign_in()
        async with city.browser(issued) as browser:
            assert (await browser.post("/api/keys", json={"name": "k"})).status_code == 201
            for wrong in ("", "x", other.csrf, issued.csrf[:-1]):
                browser.headers["x-csrf-token"] = wrong
                answer = await browser.post("/api/keys", json={"name": "k"})
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_failed")
            del browser.headers["x-csrf-token"]
            for method, path in (
                ("POST", "/api/keys"),
                ("PATCH", "/api/identity/me"),
                ("DELETE", f"/api/keys/{uuid4()}"),
                ("POST", "/api/identity/sign-out"),
                ("POST", "/api/identity/me/totp"),
                ("POST", "/api/identity/me/erase"),
            ):
                answer = await browser.request(method, path, json={})
                assert answer.status_code == 403, path
            assert (await browser.get("/api/keys")).status_code == 200

    async def test_may_come_as_a_form_field(self, city: City) -> None:
        await city.member()
        issued = await city.sign_in()
        app = city.app()

        @app.post("/form")
        async def form(actor: Any = Depends(require("keys"))) -> dict[str, str]:  # noqa: B008
            return {"name": actor.name}

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as browser:
            browser.cookies.set(cookie_name(city.identity), issued.token)
            good = await browser.post("/form", data={"csrf": issued.csrf, "x": "1"})
            assert good.json() == {"name": "张伟"}
            assert (await browser.post("/form", data={"csrf": "no"})).status_code == 403
            assert (await browser.post("/form", json={"csrf": issued.csrf})).status_code == 403

    async def test_is_not_asked_of_keys(self, city: City) -> None:
        org = await city.org()
        new = NewKey("admin", permissions=frozenset({"keys"}))
        _, token = await city.identity.create_key(org.id, new, by="cli")
        async with city.browser() as client:
            client.headers["authorization"] = f"Bearer {token}"
            assert (await client.post("/api/keys", json={"name": "k"})).status_code == 201


class TestPermission:
    async def test_is_checked_at_each_door(self, city: City) -> None:
        await city.member()
        async with city.browser(await city.sign_in()) as browser:
            for path in ("/api/orgs", "/api/people", "/api/audit"):
                answer = await browser.get(path)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_missing"), path
        async with city.browser() as nobody:
            for path in ("/api/keys", "/api/orgs", "/api/people", "/api/audit", "/api/identity/me"):
                assert (await nobody.get(path)).status_code == 401, path

    async def test_of_a_plain_key_reaches_receipts_only(self, city: City) -> None:
        org = await city.org()
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="cli")
        app = FastAPI()
        app.state.identity = city.identity
        http.install(app)

        @app.get("/receipts", dependencies=[Depends(require("receipts"))])
        async def receipts() -> str:
            return "yes"

        async with city.browser() as client:
            client.headers["authorization"] = f"Bearer {token}"
            assert (await client.get("/api/keys")).status_code == 403
            assert (await client.get("/api/identity/me")).status_code == 401
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
            assert (await client.get("/receipts", headers={"authorization": f"Bearer {token}"})).status_code == 200

    async def test_of_operators_does_not_reach_administrators(self, city: City) -> None:
        issued = await operator(city)
        admin = await city.person("admin", Role.ADMIN)
        async with city.browser(issued) as browser:
            for method, path in (
                ("PATCH", f"/api/people/{admin.id}"),
                ("POST", f"/api/people/{admin.id}/suspend"),
                ("POST", f"/api/people/{admin.id}/erase"),
                ("PUT", f"/api/people/{issued.person_id}/roles/admin"),
            ):
                answer = await browser.request(method, path, json={"name": "x"})
                assert answer.status_code == 403, path
            for step in ("suspend", "erase"):
                assert (await browser.post(f"/api/people/{issued.person_id}/{step}")).status_code == 403


class TestTenant:
    async def test_sees_no_other(self, city: City) -> None:
        await city.member("zhang.wei", "mine")
        _, theirs = await city.member("other", "theirs")
        key, token = await city.identity.create_key(theirs.id, NewKey("k"), by="test")
        async with city.browser(await city.sign_in()) as browser:
            for method, path in (
                ("GET", f"/api/keys/{key.id}"),
                ("PATCH", f"/api/keys/{key.id}"),
                ("DELETE", f"/api/keys/{key.id}"),
                ("POST", f"/api/keys/{key.id}/rotate"),
                ("GET", f"/api/keys/{key.id}?org={theirs.id}"),
                ("GET", f"/api/keys?org={theirs.id}"),
                ("POST", f"/api/keys?org={theirs.id}"),
                ("GET", f"/api/orgs/{theirs.id}"),
                ("GET", f"/api/orgs/{theirs.id}/members"),
                ("POST", f"/api/orgs/{theirs.id}/departments"),
                ("PUT", f"/api/orgs/{theirs.id}/members/{uuid4()}"),
            ):
                answer = await browser.request(method, path, json={"name": "k"} if "rotate" not in path else {})
                assert answer.status_code in (404, 422), (path, answer.text)
                assert answer.status_code == 404 or "members/" in path
            leak = await browser.post("/api/keys/leaks", json={"key": token[:12]})
            assert leak.status_code == 404
        await city.identity.caller(token)

    async def test_is_managed_by_operators(self, city: City) -> None:
        _, theirs = await city.member("other", "theirs")
        async with city.browser(await operator(city)) as browser:
            key, token = await city.identity.keys.create(theirs.id, NewKey("k"), by="test")
            for path, body in ((f"/api/keys?org={theirs.id}", {"name": "k"}), (f"/api/keys/{key.id}/rotate", {})):
                refused = await browser.post(path, json=body)
                assert (refused.status_code, refused.json()["error"]["code"]) == (409, "has_an_owner"), path
            await city.identity.caller(token)  # as it was
            key_id = key.id
            assert (await browser.patch(f"/api/keys/{key_id}", json={"budget_day_micro": 5})).status_code == 200
            assert (await browser.get("/api/orgs", params={"find": "THEI"})).json()["data"][0]["id"] == str(theirs.id)
            frozen = await browser.post(f"/api/orgs/{theirs.id}/freeze", json={"reason": "unpaid"})
            assert frozen.json()["state"] == "frozen"
            assert (await browser.delete(f"/api/keys/{key_id}")).json()["state"] == "revoked"


class TestKeyRoute:
    async def test_shows_a_token_once(self, city: City) -> None:
        await city.member()
        async with city.browser(await city.sign_in()) as browser:
            made = (await browser.post("/api/keys", json={"name": "k", "models": ["qwen"], "rpm": 5})).json()
            token, key_id = made["token"], made["key"]["id"]
            seen = await browser.get(f"/api/keys/{key_id}")
            assert seen.headers["cache-control"] == "no-store"
            assert token not in seen.text + (await browser.get("/api/keys")).text
            changed = await browser.patch(f"/api/keys/{key_id}", json={"rpm": None, "tpm": 9})
            assert (changed.json()["rpm"], changed.json()["tpm"], changed.json()["models"]) == (None, 9, ["qwen"])
            rotated = (await browser.post(f"/api/keys/{key_id}/rotate", json={"grace_s": 60})).json()
            assert rotated["key"]["models"] == ["qwen"]
            assert rotated["token"] != token

    async def test_lets_whoever_holds_a_leaked_key_end_it(self, city: City) -> None:
        org = await city.org()
        _, token = await city.identity.create_key(org.id, NewKey("k"), by="test")
        async with city.browser() as stranger:
            assert (await stranger.post("/api/keys/leaks", json={"key": token[:12]})).status_code == 401
            unknown = await stranger.post("/api/keys/leaks", json={"key": "sk-sh-" + "0" * 43, "freeze": True})
            known = await stranger.post("/api/keys/leaks", json={"key": token, "freeze": True})
            assert (
                (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (202, {"received": True})
            )
        assert (await city.identity.keys.list(org.id))[0].revoked_reason == "leaked"
        assert (await city.identity.orgs.get(org.id)).state == "active"  # strangers revoke; freezing is for the city


class TestFreeText:
    @pytest.mark.parametrize("text", INJECTIONS)
    async def test_is_text_and_nothing_else(self, city: City, text: str) -> None:
        async with city.browser(await operator(city, Role.ADMIN)) as browser:
            person = (await browser.post("/api/people", json={"name": text, "login": "x" + uuid4().hex})).json()
            assert person["name"] == text.strip()
            org = (await browser.post("/api/orgs", json={"name": text, "kind": "company", "registration": text})).json()
            assert (org["name"], org["registration"]) == (text, text)
            place = f"/api/orgs/{org['id']}"
            department = await browser.post(f"{place}/departments", json={"name": text})
            assert department.json()["name"] == text
            frozen = await browser.post(f"{place}/freeze", json={"reason": text})
            assert frozen.json()["frozen_reason"] == text
            made = await browser.post(f"/api/keys?org={org['id']}", json={"name": text, "models": [text]})
            assert (made.json()["key"]["name"], made.json()["key"]["models"]) == (text, [text])
            for answer in (
                await browser.get("/api/orgs", params={"find": text}),
                await browser.get("/api/audit", params={"object": text}),
                await browser.post("/api/people/find", json={"phone": "12345"}),
            ):
                assert answer.status_code in (200, 201), answer.text
            for body in ({"login": text}, {"email": text}, {"phone": text}):
                answer = await browser.post("/api/people/find", json=body)
                assert answer.status_code in (200, 422)
        assert await city.db.fetchval("SELECT count(*) FROM identity.person") == 2
        assert await city.db.fetchval("SELECT count(*) FROM identity.api_key") == 1

    @pytest.mark.parametrize("text", ["", "a\x00b", "x" * 501, "x" * 100_000, "a\u202eb", "tab\tbed"])
    async def test_is_bounded_and_without_control_characters(self, city: City, text: str) -> None:
        await city.member()
        async with city.browser(await city.sign_in()) as browser:
            assert (await browser.post("/api/keys", json={"name": text})).status_code == 422
            assert (await browser.patch("/api/identity/me", json={"name": text})).status_code == 422

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"name": 5}', b'{"nom": "k"}', b"\xff\xfe"])
    async def test_malformed_is_refused_with_the_typed_error(self, city: City, body: bytes) -> None:
        await city.member()
        async with city.browser(await city.sign_in()) as browser:
            answer = await browser.post("/api/keys", content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 422)
            assert "error" in answer.json()


class TestOwnCase:
    async def test_is_decided_by_somebody_else(self, city: City) -> None:
        """Or one clerk alone verifies their own grounds for cheap credits, or owns any company and spends for it."""
        issued = await operator(city)
        me, theirs, mine = issued.person_id, await city.org(), await city.org("我的公司", issued.person_id)
        ground = {"category": "resident", "verified": True, "valid_from": "2026-01-01"}
        async with city.browser(issued) as browser:
            made = await browser.post(f"/api/keys?org={theirs.id}", json={"name": "k", "permissions": ["accounts"]})
            assert made.status_code == 201, made.text
            for headers in ({}, {"authorization": f"Bearer {made.json()['token']}"}):
                for method, path, body in (
                    ("PUT", f"/api/orgs/{theirs.id}/members/{me}", {"role": "owner"}),
                    ("PATCH", f"/api/orgs/{mine.id}", {"locally_registered": True, "local_verified": True}),
                ):
                    refused = await browser.request(method, path, json=body, headers=headers)
                    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "own_case"), path
            refused = await browser.post(f"/api/people/{me}/categories", json=ground)
            assert refused.json()["error"]["code"] == "own_case"
            other = await city.person("li.na")
            assert (await browser.post(f"/api/people/{other.id}/categories", json=ground)).status_code == 200
            assert (await browser.put(f"/api/orgs/{theirs.id}/members/{other.id}", json={})).status_code == 200

    async def test_names_nobody_in_an_organisation_that_has_an_owner(self, city: City) -> None:
        """Or one clerk alone has an accomplice, who is somebody else, spend for any company."""
        issued = await operator(city)
        owner, theirs = await city.member("boss", "theirs")
        friend, ownerless = await city.person("friend"), await city.org("nobody's")
        named = {"role": "owner"}
        async with city.browser(issued) as browser:
            for method, path, body in (
                ("PUT", f"/api/orgs/{theirs.id}/members/{friend.id}", named),
                ("PUT", f"/api/orgs/{theirs.id}/members/{owner.id}", {"role": "member"}),
                ("DELETE", f"/api/orgs/{theirs.id}/members/{owner.id}?left=take", None),
                ("POST", f"/api/orgs/{theirs.id}/left/key/{uuid4()}", {"fate": "take"}),
                ("POST", f"/api/orgs/{theirs.id}/invitations",
                 {"id": str(new_id()), "person_id": str(friend.id)} | named),
            ):  # fmt: skip
                refused = await browser.request(method, path, json=body)
                assert (refused.status_code, refused.json()["error"]["code"]) == (409, "has_an_owner"), path
            asked = await browser.post(
                f"/api/orgs/{ownerless.id}/invitations", json={"id": str(new_id()), "person_id": str(friend.id)} | named
            )
            assert asked.status_code == 201, asked.text
            first = await browser.put(f"/api/orgs/{ownerless.id}/members/{owner.id}", json=named)
            assert first.status_code == 200, "its first owner, whom a court or a register names"
        async with city.browser(await city.sign_in("friend")) as browser:
            late = await browser.post(f"/api/identity/me/invitations/{asked.json()['id']}/accept")
            assert (late.status_code, late.json()["error"]["code"]) == (409, "invitation_over"), (
                "it has an owner by now"
            )

    async def test_of_a_suspended_officer_is_an_administrator_s(self, city: City) -> None:
        issued = await operator(city)
        rogue = await city.person("rogue", Role.OPERATOR)
        await city.identity.people.suspend(rogue.id, by="test")
        async with city.browser(issued) as browser:
            assert (await browser.post(f"/api/people/{rogue.id}/resume")).status_code == 403
