"""Apps that act for a person at `/mcp`: the official SDK's client finds its way alone; tokens do what they say."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mcp_gateway.test_gateway import FORECAST, offer

from shanhe.identity.api import Actor, NewPerson, Role
from shanhe.identity.service.passwords import FREE_FAILURES
from shanhe.oauth import store
from shanhe.oauth.api import OAuth, OAuthError, UnknownApp
from shanhe.oauth.model import covers, is_document, redirect_problem, resource_of, same_redirect
from stage.market import Market, Party
from stage.tools import Workshop

pytestmark = pytest.mark.asyncio(loop_scope="package")
BACK = "http://127.0.0.1:33418/callback"
BUDGET = 1_000_000


async def person(market: Market, payer: Party) -> Actor:
    made = await market.services.identity.people.create(NewPerson("人", login=f"u{uuid4().hex[:8]}"), by="tests")
    await market.services.identity.orgs.set_member(payer.org, made.id, by="tests")
    return Actor(made.id, None, payer.org, frozenset(), frozenset({"keys"}))


def web(market: Market) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=market.url, trust_env=False)


async def consent(market: Market, payer: Party, where: str) -> str:
    """What the browser does: the app's way in, the person's yes, the way back."""
    async with web(market) as http:
        answer = await http.get(where)
    assert answer.status_code == 302, answer.text
    request_id = UUID(answer.headers["location"].rsplit("/", 1)[1])
    return await market.services.oauth.allow(request_id, await person(market, payer), payer.org, BUDGET)


class App:
    """An app of a few lines, to see each step."""

    def __init__(self, market: Market, payer: Party, resource: str) -> None:
        self.market, self.payer, self.resource = market, payer, resource
        self.verifier = secrets.token_urlsafe(48)
        self.id = ""

    async def tokens(self) -> dict[str, Any]:
        async with web(self.market) as http:
            made = await http.post("/oauth/register", json={"client_name": "App", "redirect_uris": [BACK]})
            self.id = made.json()["client_id"]
            digest = hashlib.sha256(self.verifier.encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            asked = httpx.QueryParams(
                response_type="code", client_id=self.id, redirect_uri=BACK, state="s", code_challenge=challenge,
                code_challenge_method="S256", resource=self.resource,
            )  # fmt: skip
            back = await consent(self.market, self.payer, f"/oauth/authorize?{asked}")
            found = parse_qs(urlsplit(back).query)
            assert found["iss"] == [self.market.url]
            assert found["state"] == ["s"]
            self.code = found["code"][0]
            return (await self.post(self.exchange())).json()

    def exchange(self, **changes: str) -> dict[str, str]:
        return {"grant_type": "authorization_code", "client_id": self.id, "code": self.code, "redirect_uri": BACK,
                "code_verifier": self.verifier, "resource": self.resource, **changes}  # fmt: skip

    async def refresh(self, token: str) -> httpx.Response:
        return await self.post({"grant_type": "refresh_token", "client_id": self.id, "refresh_token": token})

    async def post(self, fields: Mapping[str, str], path: str = "/oauth/token") -> httpx.Response:
        async with web(self.market) as http:
            return await http.post(path, data=dict(fields))

    async def status(self, token: str, slug: str = "") -> int:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
        async with web(self.market) as http:
            return (await http.post(f"/mcp{slug}", json=asked, headers=headers)).status_code


class TestSdk:
    async def test_finds_its_way_from_the_address_alone(self, market: Market, workshop: Workshop) -> None:
        import httpx2
        from mcp import Client
        from mcp.client.auth import OAuthClientProvider
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared.auth import OAuthClientMetadata

        await offer(market, workshop, "for-apps", fee_micro=5_000)
        payer = await market.party("person with an app")
        address, kept, answered = f"{market.url}/mcp/for-apps", dict[str, Any](), list[str]()

        class Storage:
            async def get_tokens(self) -> Any:
                return kept.get("tokens")

            async def set_tokens(self, tokens: Any) -> None:
                kept["tokens"] = tokens

            async def get_client_info(self) -> Any:
                return kept.get("client")

            async def set_client_info(self, client_info: Any) -> None:
                kept["client"] = client_info

        async def browser(url: str) -> None:
            answered.append(await consent(market, payer, url))

        async def returned() -> Any:
            from mcp.client.auth import AuthorizationCodeResult

            found = parse_qs(urlsplit(answered[-1]).query)
            return AuthorizationCodeResult(code=found["code"][0], state=found["state"][0], iss=found["iss"][0])

        about = OAuthClientMetadata(client_name="SDK", redirect_uris=[BACK])  # type: ignore[list-item]
        auth = OAuthClientProvider(address, about, Storage(), browser, returned)  # type: ignore[arg-type]
        before = await market.wallet(payer.org)
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            result = await client.call_tool("forecast", FORECAST)
        assert not result.is_error
        assert before - await market.wallet(payer.org) == 5_000
        assert len(answered) == 1
        keys = await market.services.identity.keys.list(payer.org)
        assert {key.name for key in keys} == {"person with an app", "SDK"}
        await self.shows_what_it_cost(market, payer)

    async def shows_what_it_cost(self, market: Market, payer: Party) -> None:
        """To its organisation what it cost there, to the city's own people what each app cost whom."""
        today = market.services.clock.today()
        days = {"from": f"{today - timedelta(days=1)}", "to": f"{today}"}
        (cost,) = (await payer.http.get("/api/apps/costs", params=days)).json()["data"]
        assert (cost["name"], cost["calls"], cost["paid_micro"]) == ("SDK", 1, 5_000)
        assert cost["org_id"] == str(payer.org)
        other = await market.party("person without an app")
        assert (await other.http.get("/api/apps/costs", params=days)).json()["data"] == []
        assert (await other.http.get("/api/apps/costs", params=days | {"everybody": "true"})).status_code == 403
        far = {"from": "2020-01-01", "to": f"{today}"}
        assert (await other.http.get("/api/apps/costs", params=far)).status_code == 422
        everybody = await market.services.oauth.costs(None, today - timedelta(days=1), today)
        assert (payer.org, "SDK", 5_000) in {(one.org_id, one.name, one.paid_micro) for one in everybody}


class TestPageOfAnApp:
    """A client that is a page in a browser, which asks before it sends what no form could."""

    @pytest.mark.parametrize(
        "path",
        [
            "/mcp", "/mcp/any", "/oauth/register", "/oauth/token", "/oauth/revoke",
            "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server",
        ],
    )  # fmt: skip
    async def test_may_ask_from_its_persons_own_machine(self, market: Market, path: str) -> None:
        headers = {
            "origin": "http://localhost:6274", "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,mcp-protocol-version",
        }  # fmt: skip
        async with web(market) as http:
            answer = await http.options(path, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == headers["access-control-request-headers"]

    async def test_of_anybody_else_is_refused_at_the_tools_before_it_asks(self, market: Market) -> None:
        async with web(market) as http:
            answer = await http.options("/mcp", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403


class TestBracket:
    """An address with a bracket alone is none; Python's own parser raises there, and anybody may send one."""

    @pytest.mark.parametrize(("path", "headers", "status"), [
        ("/mcp", {"origin": "http://["}, 403),
        ("/api/identity/sign-in", {"origin": "http://["}, 403),
        ("/oauth/register", {}, 400),
    ])  # fmt: skip
    async def test_that_is_none_is_refused_like_a_strange_one(
        self, market: Market, path: str, headers: dict[str, str], status: int
    ) -> None:
        body = {"client_name": "a", "redirect_uris": ["http://["]}
        async with web(market) as http:
            answer = await http.post(path, json=body, headers=headers)
            asked = await http.get("/oauth/authorize", params={"client_id": "https://[/a", "response_type": "code"})
        assert (answer.status_code, asked.status_code) == (status, 401)


class TestToken:
    async def test_is_good_for_its_address_only(self, market: Market, workshop: Workshop) -> None:
        await offer(market, workshop, "bound-one")
        await offer(market, workshop, "bound-two")
        app = App(market, await market.party("bound"), f"{market.url}/mcp/bound-one")
        access = (await app.tokens())["access_token"]
        assert await app.status(access, "/bound-one") == 200
        assert await app.status(access, "/bound-two") == 401
        assert await app.status(access) == 401
        async with web(market) as http:  # nor is it a key for models
            answer = await http.get("/v1/models", headers={"authorization": f"Bearer {access}"})
        assert answer.status_code == 401

    async def test_is_renewed_once_and_a_copy_ends_it_all(self, market: Market) -> None:
        app = App(market, await market.party("renewing"), f"{market.url}/mcp")
        first = await app.tokens()
        second = (await app.refresh(first["refresh_token"])).json()
        assert await app.status(second["access_token"]) == 200
        copied = await app.refresh(first["refresh_token"])
        assert copied.json()["error"] == "invalid_grant"
        assert await app.status(second["access_token"]) == 401
        assert (await app.refresh(second["refresh_token"])).status_code == 400

    async def test_ends_when_it_is_revoked(self, market: Market) -> None:
        app = App(market, await market.party("revoking"), f"{market.url}/mcp")
        made = await app.tokens()
        assert await app.status(made["access_token"]) == 200
        stranger = await app.post({"client_id": "another", "token": made["refresh_token"]}, "/oauth/revoke")
        assert stranger.status_code == 200
        assert await app.status(made["access_token"]) == 200
        await app.post({"client_id": app.id, "token": made["refresh_token"]}, "/oauth/revoke")
        assert await app.status(made["access_token"]) == 401

    async def test_acts_no_longer_than_its_person_may(self, market: Market) -> None:
        payer, identity = await market.party("owner with a member"), market.services.identity
        app = App(market, payer, f"{market.url}/mcp")
        made = await app.tokens()
        assert await app.status(made["access_token"]) == 200
        member = next(iter(await identity.orgs.members(payer.org)))
        owner = await person(market, payer)
        assert owner.person_id is not None
        await identity.orgs.set_member(payer.org, owner.person_id, Role.OWNER, by="tests")
        await identity.people.suspend(member.person_id, by="tests")
        renewed = (await app.refresh(made["refresh_token"])).json()
        assert await app.status(renewed["access_token"]) == 401
        await identity.people.resume(member.person_id, by="tests")
        await identity.orgs.remove_member(payer.org, member.person_id, by="tests")
        await market.services.leavings.end_own(payer.org, member.person_id)  # as the event has it done
        assert (await app.refresh(renewed["refresh_token"])).status_code == 400
        await identity.orgs.set_member(payer.org, member.person_id, by="tests")
        assert await app.status(renewed["access_token"]) == 401  # whoever comes back is asked again

    async def test_of_ones_apps_is_seen_and_ended_by_its_person_alone(self, market: Market) -> None:
        app = App(market, await market.party("seeing"), f"{market.url}/mcp")
        made = await app.tokens()
        oauth, people = market.services.oauth, market.services.identity.people
        row = await market.services.db.fetchrow("SELECT * FROM oauth.grant WHERE client_id = $1", app.id)
        (mine,) = await oauth.apps(row["person_id"])
        assert (mine.name, mine.org_id, mine.budget_day_micro) == ("App", app.payer.org, BUDGET)
        assert mine.acts(oauth.now())
        stranger = await people.create(NewPerson("旁人", login=f"u{uuid4().hex[:8]}"), by="tests")
        assert await oauth.apps(stranger.id) == []
        with pytest.raises(UnknownApp):
            await oauth.end(mine.id, stranger.id)
        assert await app.status(made["access_token"]) == 200
        for _ in range(2):
            await oauth.end(mine.id, row["person_id"])
        assert await app.status(made["access_token"]) == 401
        assert (await app.refresh(made["refresh_token"])).status_code == 400
        (ended,) = await oauth.apps(row["person_id"])
        assert not ended.acts(oauth.now())
        assert (await app.payer.http.get("/api/apps")).status_code == 403  # a key is nobody's

    async def test_is_not_given_for_a_used_code_or_another_verifier(self, market: Market) -> None:
        app = App(market, await market.party("guessing"), f"{market.url}/mcp")
        made = await app.tokens()
        again = await app.post(app.exchange())
        assert again.json()["error"] == "invalid_grant"
        assert await app.status(made["access_token"]) == 401  # who used it twice gets nothing from it
        other = App(market, app.payer, app.resource)
        await other.tokens()
        wrong = await other.post(other.exchange(code_verifier="x" * 43))
        assert wrong.status_code == 400


class TestAuthorize:
    async def test_answers_strangers_here_and_apps_there(self, market: Market) -> None:
        async with web(market) as http:
            made = (await http.post("/oauth/register", json={"redirect_uris": [BACK]})).json()
            base = {"response_type": "code", "client_id": made["client_id"], "redirect_uri": BACK}
            nobody = await http.get("/oauth/authorize", params={**base, "client_id": "nobody"})
            astray = await http.get("/oauth/authorize", params={**base, "redirect_uri": "https://evil.example/"})
            plain = await http.get("/oauth/authorize", params={**base, "code_challenge": "x" * 43})
            far = {**base, "code_challenge": "x" * 43, "code_challenge_method": "S256", "resource": "https://a.example"}
            elsewhere = await http.get("/oauth/authorize", params=far)
        assert (nobody.status_code, astray.status_code) == (401, 400)
        assert "error=invalid_request" in plain.headers["location"]
        assert plain.headers["location"].startswith(BACK)
        assert "error=invalid_target" in elsewhere.headers["location"]

    async def test_keeps_no_more_of_strangers_than_some(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """Apps and their questions are rows that nobody signed in for."""
        services, kept = market.services, "SELECT (SELECT count(*) FROM oauth.client) + count(*) FROM oauth.request"
        for kind in ("app", "begun"):
            monkeypatch.setitem(FREE_FAILURES, kind, 2)
        await services.db.execute("DELETE FROM identity.attempt")
        async with web(market) as http:
            made = [await http.post("/oauth/register", json={"redirect_uris": [BACK]}) for _ in range(2)]
            asked = {"client_id": made[0].json()["client_id"], "code_challenge": "x" * 43,
                     "code_challenge_method": "S256", "response_type": "code"}  # fmt: skip
            for _ in range(2):
                assert (await http.get("/oauth/authorize", params=asked)).status_code == 302
            before = await services.db.fetchval(kept)
            refused = [
                await http.post("/oauth/register", json={"redirect_uris": [BACK]}),
                await http.get("/oauth/authorize", params=asked),
            ]
        assert [one.status_code for one in refused] == [429, 429]
        assert await services.db.fetchval(kept) == before
        await services.db.execute("DELETE FROM identity.attempt")

    async def test_forgets_every_question_that_nobody_answers(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services = market.services
        monkeypatch.setattr(store, "PURGE_ROWS", 2)
        await services.db.execute(
            """INSERT INTO oauth.request (id, client_id, client_name, redirect_uri, challenge, resource, expires_at)
               SELECT gen_random_uuid(), 'x', 'x', $1, 'x', $1, $2 FROM generate_series(1, 9)""",
            BACK, services.clock.now() - timedelta(seconds=1),
        )  # fmt: skip
        assert await services.oauth.purge() >= 9
        assert await services.db.fetchval("SELECT count(*) FROM oauth.request WHERE client_id = 'x'") == 0

    async def test_tells_where_everything_is(self, market: Market) -> None:
        async with web(market) as http:
            refused = await http.post("/mcp/anything", json={})
            told = refused.headers["www-authenticate"].partition('resource_metadata="')[2].rstrip('"')
            resource = (await http.get(told)).json()
            server = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert resource["resource"] == f"{market.url}/mcp/anything"
        assert resource["authorization_servers"] == [server["issuer"]] == [market.url]
        assert server["code_challenge_methods_supported"] == ["S256"]
        assert server["client_id_metadata_document_supported"]


class TestDocument:
    async def test_describes_an_app_at_its_own_address(self, market: Market) -> None:
        where = "https://app.example/oauth.json"
        told = {"client_id": where, "client_name": "文档应用", "redirect_uris": [BACK]}
        import json

        async def read(url: str) -> bytes:
            return json.dumps({**told, "client_id": url if url == where else where}).encode()

        services = market.services
        oauth = OAuth(
            services.db,
            services.clock,
            services.identity,
            url=market.url,
            fetch=read,
            spent=services.gateway.usage_of_keys,
        )
        assert (await oauth.client(where)).name == "文档应用"
        with pytest.raises(OAuthError):
            await oauth.client("https://app.example/another.json")
        with pytest.raises(OAuthError):  # the city itself asks for public addresses only
            await services.oauth.client("https://localhost/oauth.json")


class TestAddress:
    @pytest.mark.parametrize(
        "uri", ["https://a.example/b", "http://127.0.0.1:1/c", "http://localhost/c", "cursor://x/y", "com.a.b:/z"]
    )
    async def test_may_be_returned_to(self, uri: str) -> None:
        assert redirect_problem(uri) is None

    @pytest.mark.parametrize(
        "uri",
        ["http://a.example/", "javascript:alert(1)", "data:text/html,x", "https://a.example/#f", "https://u@a.example/",
         "", "https://a b/", "//a.example/", "https:///x"],
    )  # fmt: skip
    async def test_may_not_be_returned_to(self, uri: str) -> None:
        assert redirect_problem(uri) is not None

    @given(st.integers(1, 65535), st.integers(1, 65535))
    async def test_on_the_persons_own_machine_has_any_port(self, one: int, other: int) -> None:
        assert same_redirect(f"http://127.0.0.1:{one}/c", f"http://127.0.0.1:{other}/c")
        assert not same_redirect(f"http://127.0.0.1:{one}/c", f"http://127.0.0.1:{other}/d")
        assert not same_redirect(f"https://a.example:{one}/c", f"https://a.example:{one}0/c")

    async def test_that_a_browser_reads_otherwise_is_never_the_same(self) -> None:
        for wrong in ("http://evil.example\\@127.0.0.1/c", "http://a@127.0.0.1/c", "http://127.0.0.1/c#x"):
            assert not same_redirect("http://127.0.0.1:33418/c", wrong)

    async def test_of_a_resource_lies_below_mcp(self) -> None:
        url = "https://ai.example"
        assert resource_of(None, url) == f"{url}/mcp"
        assert resource_of(f"{url}/mcp/weather/", url) == f"{url}/mcp/weather"
        for wrong in ("https://b.example/mcp", f"{url}/v1", f"{url}/mcp/a/b", f"{url}/mcp?x", f"{url}/mcpx"):
            assert resource_of(wrong, url) is None
        assert covers(f"{url}/mcp", f"{url}/mcp/weather")
        assert not covers(f"{url}/mcp/weather", f"{url}/mcp/weather2")

    async def test_of_a_document_is_one(self) -> None:
        assert is_document("https://app.example/client.json")
        for wrong in (
            "https://app.example/",
            "http://app.example/c",
            "https://127.0.0.1/c",
            "abc",
            "https://a.example/../c",
        ):
            assert not is_document(wrong)
