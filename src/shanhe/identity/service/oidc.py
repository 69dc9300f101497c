"""Sign-in through one OpenID Connect provider (authorization code flow with PKCE, state and nonce).

Authlib makes the request and checks the claims, joserfc the signature. The operator's settings name the provider;
still its answers are bounded in time and size, and its endpoints must be https (or loopback, for trials).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shanhe.identity.entry_model import Client, Issued, OidcSettings
from shanhe.identity.errors import OidcFailed, Taken
from shanhe.identity.model import NewPerson
from shanhe.identity.names import safe_path
from shanhe.identity.service.base import Ground
from shanhe.identity.service.orgs import Organisations
from shanhe.identity.service.passwords import Attempts
from shanhe.identity.service.people import People
from shanhe.identity.service.signin import NOWHERE, SignIn
from shanhe.identity.store import sessions as store
from shanhe.kernel.calling import authorities

CALLBACK_PATH = "/api/identity/oidc/callback"
SCOPE = "openid profile email"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
KNOWN_OR_BORN = frozenset({"pwd", "pin", "kba", "fpt", "face", "iris", "retina", "vbm"})
HELD = frozenset({"otp", "hwk", "swk", "sc", "sms", "tel", "pop"})
"""Methods of RFC 8176: what one knows or is, and what one has. One of each are two factors, one alone is one."""
FLOW_S = 600
FETCH_LIMIT_S = 8.0
BODY_MAX_BYTES = 256 * 1024
METADATA_KEPT_S = 3_600.0
KEYS_AGAIN_S = 60.0
LEEWAY_S = 60
CODE_MAX = 4_096
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send the browser, and the value for the cookie that ties its return to this browser."""

    url: str
    state: str


class Oidc:
    """`transport` replaces the network in tests."""

    def __init__(
        self,
        ground: Ground,
        settings: OidcSettings,
        people: People,
        organisations: Organisations,
        sign_in: SignIn,
        attempts: Attempts,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._ground = ground
        self._settings = settings
        self._people = people
        self._organisations = organisations
        self._sign_in = sign_in
        self._attempts = attempts
        self._transport = transport
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def redirect_uri(self) -> str:
        return self._ground.options.url.rstrip("/") + CALLBACK_PATH

    async def begin(self, return_path: str = "/", client: Client = NOWHERE) -> Departure:
        """Start a flow; the browser comes back to CALLBACK_PATH within FLOW_S. SignInLocked where more were begun from
        one network than ever come back."""
        await self._attempts.begin(self._attempts.by_network("begun", client))
        metadata = await self._discover()
        state, nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        now = self._ground.now()
        await store.add_flow(
            self._ground.db, _digest(state), nonce, verifier, safe_path(return_path), now + timedelta(seconds=FLOW_S)
        )
        url = prepare_grant_uri(
            _endpoint(metadata, "authorization_endpoint"),
            self._settings.client_id,
            "code",
            redirect_uri=self.redirect_uri,
            scope=SCOPE,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Departure(url, state)

    async def finish(self, query: Mapping[str, str], cookie_state: str, client: Client) -> tuple[Issued, str]:
        """The session and the path to go on to; OidcFailed for anything that doesn't fit."""
        state = query.get("state", "")
        if not state or not hmac.compare_digest(state.encode(), cookie_state.encode()):
            raise OidcFailed("the answer belongs to another browser")
        flow = await store.take_flow(self._ground.db.writes, _digest(state), self._ground.now())
        if flow is None:
            raise OidcFailed("the answer is late or was used already")
        issuer = query.get("iss")
        if issuer is not None and issuer != self._settings.issuer:  # RFC 9207
            raise OidcFailed("the answer names another issuer")
        code = query.get("code", "")
        if not code or len(code) > CODE_MAX:
            raise OidcFailed("the provider gave no code")
        claims = await self._exchange(code, flow["verifier"], flow["nonce"])
        person_id = await self._person(claims)
        strong = _two_factors(claims.get("amr"))
        issued = await self._sign_in.proved(person_id, "oidc", client, strong=strong)
        await self._attempts.succeeded(self._attempts.by_network("begun", client))
        return issued, str(flow["return_path"])

    # -- the provider ------------------------------------------------------------------------------------------------

    async def _exchange(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        metadata = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        secret = self._settings.client_secret
        auth = httpx.BasicAuth(self._settings.client_id, secret) if secret else None
        answer = await self._fetch("POST", _endpoint(metadata, "token_endpoint"), data=form, auth=auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcFailed("the provider gave no identity token")
        return await self._claims(token, nonce, str(answer.get("access_token") or ""))

    async def _claims(self, token: str, nonce: str, access_token: str) -> dict[str, Any]:
        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError) as error:
            raise OidcFailed("the identity token is malformed") from error
        for again in (False, True):  # an unknown key id may mean that the provider has changed keys
            try:
                signed = jws.deserialize_compact(token, await self._key_set(again), algorithms=ALGORITHMS)
                break
            except (JoseError, ValueError) as error:
                if again:
                    raise OidcFailed("the identity token's signature does not hold") from error
        try:
            payload = msgspec.json.decode(signed.payload, type=dict[str, Any])
            claims = CodeIDToken(
                payload,
                header,
                {
                    "iss": {"essential": True, "value": self._settings.issuer},
                    "aud": {"essential": True, "value": self._settings.client_id},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": self._settings.client_id, "access_token": access_token},
            )
            claims.validate(now=int(self._ground.now().timestamp()), leeway=LEEWAY_S)
        except (JoseError, ValueError, msgspec.DecodeError) as error:
            raise OidcFailed("the identity token's claims do not hold") from error
        return payload

    async def _discover(self) -> dict[str, Any]:
        now = time.monotonic()
        if self._metadata is None or self._metadata[0] < now - METADATA_KEPT_S:
            url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            metadata = await self._fetch("GET", _safe(url))
            if metadata.get("issuer") != self._settings.issuer:
                raise OidcFailed("the provider calls itself otherwise than the settings do", status=503)
            self._metadata = (now, metadata)
        return self._metadata[1]

    async def _key_set(self, again: bool) -> KeySet:
        now = time.monotonic()
        old = self._keys
        if old is None or old[0] < now - METADATA_KEPT_S or (again and old[0] < now - KEYS_AGAIN_S):
            answer = await self._fetch("GET", _endpoint(await self._discover(), "jwks_uri"))
            try:
                self._keys = (now, KeySet.import_key_set(answer))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise OidcFailed("the provider's keys cannot be read", status=503) from error
        assert self._keys is not None
        return self._keys[1]

    async def _fetch(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        """A JSON object from the provider, within FETCH_LIMIT_S and BODY_MAX_BYTES; no redirects."""
        try:
            async with (
                httpx.AsyncClient(
                    timeout=FETCH_LIMIT_S,
                    transport=self._transport,
                    trust_env=False,
                    verify=authorities(),
                ) as client,  # fmt: skip
                client.stream(method, url, headers={"accept": "application/json"}, **request) as response,
            ):
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > BODY_MAX_BYTES:
                        raise OidcFailed("the provider's answer is too large", status=503)
                if response.status_code != 200:
                    raise OidcFailed(f"the provider answered {response.status_code}")
            return msgspec.json.decode(body, type=dict[str, Any])
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise OidcFailed("the provider cannot be reached or understood", status=503) from error

    # -- whom the claims mean ----------------------------------------------------------------------------------------

    async def _person(self, claims: Mapping[str, Any]) -> UUID:
        """The person linked to the subject; else whoever has the verified address; else, if permitted, a new one."""
        subject = f"{self._settings.issuer}\x00{claims['sub']}"
        index = self._ground.vault.blind_index("oidc", subject)
        person_id = await store.person_of_subject(self._ground.db, index)
        if person_id is not None:
            return await self._standing(person_id)
        email = claims.get("email") if claims.get("email_verified") is True else None
        if email:
            for person in await self._people.find(email=str(email)):
                # An address nobody proved here could have been typed in by somebody else.
                if person.email_verified:
                    person_id = await self._standing(person.id)
                    break
        if person_id is None:
            person_id = await self._new_person(claims, email)
        await store.link_subject(self._ground.db, index, person_id, self._ground.now())
        return person_id

    async def _new_person(self, claims: Mapping[str, Any], email: Any) -> UUID:
        if not self._settings.sign_up:
            raise OidcFailed("nobody here is linked to this account", status=403)
        name = str(claims.get("name") or claims.get("preferred_username") or "—")
        login = f"oidc-{secrets.token_hex(8)}"
        new = NewPerson(name=name[:100], login=login, email=str(email) if email else None, email_verified=bool(email))
        try:
            person = await self._people.create(new, by="oidc")
        except Taken as error:
            raise OidcFailed("the e-mail address belongs to an account that is not linked yet", status=409) from error
        await self._organisations.create_personal(person.id, by="oidc")
        return person.id

    async def _standing(self, person_id: UUID) -> UUID:
        person = await self._people.get(person_id)
        if person.state != "active":
            raise OidcFailed("this account is suspended", status=403)
        return person_id


def _two_factors(amr: object) -> bool:
    """Whether a provider says that it saw two factors."""
    said = {one for one in amr if isinstance(one, str)} if isinstance(amr, list) else set[str]()
    return "mfa" in said or bool(said & KNOWN_OR_BORN and said & HELD)


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str):
        raise OidcFailed(f"the provider names no {name}", status=503)
    return _safe(url)


def _safe(url: str) -> str:
    address = urlsplit(url)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        raise OidcFailed("the provider's addresses must be https", status=503)
    return url
