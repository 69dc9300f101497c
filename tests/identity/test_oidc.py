from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.responses import JSONResponse, Response

from shanhe.identity.api import (
    Client,
    Identity,
    NewPerson,
    OidcFailed,
    OidcSettings,
    Options,
    Role,
    SignInLocked,
    Stage,
)
from shanhe.identity.service.passwords import FREE_FAILURES

from .conftest import URL, City

ISSUER = "https://login.example.cn"
HERE = Client("203.0.113.7", "Firefox")


@dataclass
class Provider:
    """An OpenID Connect provider in this process, which checks what a real one would."""

    clock: Any
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1", "use": "sig"}))
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "ES256", "kid": "k1"})
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    published: list[ECKey] | None = None

    def authorize(self, url: str) -> dict[str, str]:
        """What the browser brings back after the person agreed."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == "shanhe"
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"], "iss": ISSUER}

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        async def metadata() -> dict[str, str]:
            return {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize?prompt=login",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
            }

        @app.get("/keys")
        async def keys() -> dict[str, Any]:
            return {"keys": [key.as_dict(private=False) for key in self.published or [self.key]]}

        @app.post("/token")
        async def token(request: Request) -> Response:
            return self.token(request.headers.get("authorization", ""), dict(await request.form()))

        return app

    def token(self, authorization: str, form: dict[str, Any]) -> Response:
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if (
            asked is None
            or authorization != "Basic " + base64.b64encode(b"shanhe:s3cret").decode()
            or challenge.rstrip("=") != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(self.clock.now().timestamp())
        claims = {"iss": ISSUER, "aud": "shanhe", "sub": "u-1", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= {"name": "王芳", "email": "fang@example.cn", "email_verified": True} | self.claims
        token = jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])
        return JSONResponse({"access_token": "at", "token_type": "Bearer", "id_token": token})


@pytest.fixture
def provider(city: City) -> Provider:
    provider = Provider(city.clock)
    settings = OidcSettings(ISSUER, "shanhe", "s3cret")
    options = replace(city.identity.options, oidc=settings)
    transport = httpx.ASGITransport(provider.app())
    city.identity = Identity(city.db, city.clock, city.vault, options, oidc_transport=transport)
    return provider


async def round_trip(city: City, provider: Provider, **changes: str) -> Any:
    assert city.identity.oidc is not None
    departure = await city.identity.oidc.begin("/keys")
    return await city.identity.oidc.finish(provider.authorize(departure.url) | changes, departure.state, HERE)


class TestFlood:
    async def test_of_flows_that_nobody_ends_stops_one_network_and_no_other(
        self, city: City, provider: Provider
    ) -> None:
        oidc, crowd = city.identity.oidc, Client("2001:db8:1:2::7")
        assert oidc is not None
        for _ in range(2):
            departure = await oidc.begin("/", crowd)
            await oidc.finish(provider.authorize(departure.url), departure.state, crowd)
        for n in range(FREE_FAILURES["begun"]):
            await oidc.begin("/", Client(f"2001:db8:1:2:{n:x}::"))
        rows = await city.db.fetchval("SELECT count(*) FROM identity.oidc_flow")
        with pytest.raises(SignInLocked):
            await oidc.begin("/", Client("2001:db8:1:2:ffff::"))
        with pytest.raises(SignInLocked):
            await city.identity.signin.passkey_options(client=crowd)
        assert await city.db.fetchval("SELECT count(*) FROM identity.oidc_flow") == rows
        assert await city.db.fetchval("SELECT count(*) FROM identity.challenge") == 0
        await oidc.begin("/", Client("2001:db8:1:3::7"))


class TestOidc:
    async def test_makes_a_person_once_and_knows_it_again(self, city: City, provider: Provider) -> None:
        issued, path = await round_trip(city, provider)
        assert (issued.stage, path) == (Stage.FULL, "/keys")
        person = await city.identity.people.get(issued.person_id)
        assert (person.name, person.email, person.email_verified) == ("王芳", "fang@example.cn", True)
        assert len(await city.identity.orgs.of_person(person.id)) == 1
        provider.claims = {"email": "new@example.cn"}
        again, _ = await round_trip(city, provider)
        assert again.person_id == person.id

    async def test_links_by_an_address_that_both_sides_verified(self, city: City, provider: Provider) -> None:
        new = NewPerson("王芳", login="fang", email="fang@example.cn", email_verified=True)
        person = await city.identity.people.create(new, by="test")
        assert (await round_trip(city, provider))[0].person_id == person.id

    async def test_does_not_hand_over_an_account_by_an_unproved_address(self, city: City, provider: Provider) -> None:
        await city.identity.people.create(NewPerson("王芳", login="fang", email="fang@example.cn"), by="test")
        with pytest.raises(OidcFailed):
            await round_trip(city, provider)

    async def test_ignores_an_address_that_the_provider_did_not_verify(self, city: City, provider: Provider) -> None:
        new = NewPerson("王芳", login="fang", email="fang@example.cn", email_verified=True)
        person = await city.identity.people.create(new, by="test")
        provider.claims = {"email_verified": False}
        issued, _ = await round_trip(city, provider)
        assert issued.person_id != person.id

    async def test_still_asks_operators_for_a_second_factor(self, city: City, provider: Provider) -> None:
        issued, _ = await round_trip(city, provider)
        await city.identity.people.grant(issued.person_id, Role.OPERATOR, by="test")
        assert (await round_trip(city, provider))[0].stage == Stage.ENROL
        for amr in (["otp"], ["hwk"], ["sms", "otp"], ["pwd"], [["mfa"]]):
            provider.claims = {"amr": amr}
            assert (await round_trip(city, provider))[0].stage == Stage.ENROL, amr
        for amr in (["pwd", "mfa"], ["mfa"], ["pwd", "otp"], ["fpt", "hwk"]):
            provider.claims = {"amr": amr}
            assert (await round_trip(city, provider))[0].stage == Stage.FULL, amr

    @pytest.mark.parametrize(
        "claims",
        [
            {"nonce": "another"},
            {"aud": "somebody-else"},
            {"aud": ["shanhe", "other"], "azp": "other"},
            {"iss": "https://evil.example"},
            {"exp": 1},
            {"sub": None},
        ],
    )
    async def test_refuses_claims_that_do_not_fit(self, city: City, provider: Provider, claims: dict[str, Any]) -> None:
        provider.claims = claims
        with pytest.raises(OidcFailed):
            await round_trip(city, provider)
        assert await city.db.fetchval("SELECT count(*) FROM identity.session") == 0

    async def test_refuses_a_token_of_another_key(self, city: City, provider: Provider) -> None:
        provider.published = [ECKey.generate_key("P-256", {"kid": "k1"})]
        with pytest.raises(OidcFailed):
            await round_trip(city, provider)

    async def test_refuses_an_unsigned_token(self, city: City, provider: Provider) -> None:
        assert city.identity.oidc is not None
        departure = await city.identity.oidc.begin("/")
        provider.authorize(departure.url)
        head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        body = base64.urlsafe_b64encode(b'{"sub":"u-1"}').decode().rstrip("=")
        with pytest.raises(OidcFailed):
            await city.identity.oidc._claims(f"{head}.{body}.", "n", "")

    async def test_refuses_another_browser_a_second_use_and_a_late_answer(self, city: City, provider: Provider) -> None:
        oidc = city.identity.oidc
        assert oidc is not None
        departure = await oidc.begin("/")
        answer = provider.authorize(departure.url)
        with pytest.raises(OidcFailed):
            await oidc.finish(answer, "another", HERE)
        with pytest.raises(OidcFailed):
            await oidc.finish(answer, "", HERE)
        await oidc.finish(answer, departure.state, HERE)
        with pytest.raises(OidcFailed):
            await oidc.finish(answer, departure.state, HERE)
        late = await oidc.begin("/")
        city.clock.advance(minutes=11)
        with pytest.raises(OidcFailed):
            await oidc.finish(provider.authorize(late.url), late.state, HERE)

    async def test_refuses_an_answer_of_another_issuer(self, city: City, provider: Provider) -> None:
        with pytest.raises(OidcFailed):
            await round_trip(city, provider, iss="https://evil.example")

    @pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil", "/a\r\nset-cookie: x", ""])
    async def test_returns_to_this_site_only(self, city: City, provider: Provider, path: str) -> None:
        assert city.identity.oidc is not None
        departure = await city.identity.oidc.begin(path)
        _, back = await city.identity.oidc.finish(provider.authorize(departure.url), departure.state, HERE)
        assert back == "/"

    async def test_works_over_http_with_a_cookie_for_the_way(self, city: City, provider: Provider) -> None:
        async with city.browser() as browser:
            left = await browser.get("/api/identity/oidc/start", params={"next": "/usage"})
            assert left.status_code == 303
            assert "httponly" in left.headers["set-cookie"].lower()
            back = await browser.get("/api/identity/oidc/callback", params=provider.authorize(left.headers["location"]))
            assert (back.status_code, back.headers["location"]) == (303, "/usage")
            assert (await browser.get("/api/identity/me")).json()["person"]["name"] == "王芳"

    def test_keeps_its_redirect_under_the_citys_address(self, city: City, provider: Provider) -> None:
        assert city.identity.oidc is not None
        assert city.identity.oidc.redirect_uri == f"{URL}/api/identity/oidc/callback"
        assert Options().oidc is None
