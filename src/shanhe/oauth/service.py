"""Decides which app may do what for whom, and for how long."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from shanhe.identity.api import OWN_NAME, Actor, NewKey
from shanhe.kernel.clock import Clock
from shanhe.kernel.days import checked_days
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.oauth import model, store
from shanhe.oauth.errors import OAuthError, UnknownApp, UnknownRequest, bad_client, bad_grant
from shanhe.oauth.model import (
    ACCESS_TTL,
    CLIENTS_MAX,
    CODE_TTL,
    COSTS_MAX,
    REFRESH_TTL,
    REQUEST_TTL,
    App,
    AppCost,
    Asking,
    Client,
    Tokens,
)

if TYPE_CHECKING:
    from shanhe.gateway.api import KeyDay
    from shanhe.identity.api import Caller, Identity
    from shanhe.identity.api import Client as Visitor

KNOWN_FOR_S: Final = 0.9
"""How long a token is believed without asking: a revocation bites within a second."""
KNOWN_MAX: Final = 20_000
DOCUMENT_FOR_S: Final = 300.0
DOCUMENTS_MAX: Final = 1_000
CHALLENGE_CHARS: Final = 43
Fetch = Callable[[str], Awaitable[bytes]]
"""The bytes at a public https address, bounded; ShanheError when they can't be had."""

Spent = Callable[[Sequence[UUID], date, date, int], Awaitable["Sequence[KeyDay]"]]
"""What calls by some keys cost, by day, newest first; at most so many rows."""


class OAuth:
    """Connected apps, for one process."""

    def __init__(self, db: Database, clock: Clock, identity: Identity, *, url: str, fetch: Fetch, spent: Spent) -> None:
        self.url = url
        self._db = db
        self._clock = clock
        self._identity = identity
        self._fetch = fetch
        self._spent = spent
        self._known: dict[bytes, tuple[float, Caller, str]] = {}
        self._documents: dict[str, tuple[float, Client]] = {}

    async def count(self, kind: str, who: Visitor) -> None:
        """Count what somebody unknown leaves here for a while: an `app`, or a question `begun`; SignInLocked (429)
        where one network leaves too much."""
        await self._identity.attempts.begin(self._identity.attempts.by_network(kind, who))

    # -- apps ---------------------------------------------------------------------------------------------------------

    async def register(self, name: str, redirect_uris: Sequence[str]) -> Client:
        """An app that describes itself; OAuthError for one that can't be."""
        made = _client(secrets.token_urlsafe(24), name, redirect_uris)
        if not await store.add_client(self._db, made, self._clock.now()):
            raise OAuthError("temporarily_unavailable", "Too many apps are registered; try tomorrow.",
                             "登记的应用过多，请明日再试。", status=503)  # fmt: skip
        return made

    async def client(self, client_id: str) -> Client:
        """An app by its id: registered here, or described by a document at that address; OAuthError."""
        if not model.is_document(client_id):
            found = await store.client(self._db, client_id[: model.URI_MAX_CHARS])
            if found is None:
                raise OAuthError("invalid_client", "There is no such app here.", "没有该应用。", status=401)
            return found
        known = self._documents.get(client_id)
        if known is not None and time.monotonic() - known[0] < DOCUMENT_FOR_S:
            return known[1]
        try:
            told = msgspec.json.decode(await self._fetch(client_id), type=dict[str, Any])
        except (ShanheError, msgspec.MsgspecError) as error:
            raise OAuthError(
                "invalid_client", f"Its document can't be read: {error}", "应用说明文档无法读取。"
            ) from error
        uris = told.get("redirect_uris")
        if told.get("client_id") != client_id or not isinstance(uris, list):
            raise OAuthError("invalid_client", "Its document is about another app.", "应用说明文档与标识不符。")
        made = _client(client_id, str(told.get("client_name") or client_id), uris)
        if len(self._documents) >= DOCUMENTS_MAX:
            self._documents.clear()
        self._documents[client_id] = time.monotonic(), made
        return made

    # -- a person's consent -------------------------------------------------------------------------------------------

    async def ask(self, client: Client, asked: Mapping[str, str]) -> Asking:
        """Keep what an app asks for until its person answers; OAuthError.

        The address to return to was checked by `returns_to`.
        """
        challenge = asked.get("code_challenge", "")
        if asked.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "Only `code` is offered.", "仅支持授权码方式。")
        if asked.get("code_challenge_method") != "S256" or len(challenge) != CHALLENGE_CHARS:
            raise OAuthError("invalid_request", "PKCE with S256 is required.", "须使用 S256 方式的 PKCE。")
        resource = model.resource_of(asked.get("resource"), self.url)
        if resource is None:
            raise OAuthError(
                "invalid_target", "A token can be for this city's /mcp only.", "令牌仅可用于本城市的 /mcp。"
            )
        state = asked.get("state")
        if state is not None and len(state) > model.STATE_MAX_CHARS:
            raise OAuthError("invalid_request", "`state` is too long.", "state 过长。")
        until = self._clock.now() + REQUEST_TTL
        made = Asking(new_id(), client.id, client.name, asked["redirect_uri"], state, challenge, resource, until)
        await store.ask(self._db, made)
        return made

    async def asked(self, request_id: UUID) -> Asking:
        """What a person is asked; UnknownRequest."""
        found = await store.asked(self._db, request_id, self._clock.now())
        if found is None:
            raise UnknownRequest()
        return found

    async def allow(self, request_id: UUID, actor: Actor, org_id: UUID, budget_day_micro: int) -> str:
        """Let the app act for an organisation, within a budget a day; where the browser goes next."""
        asking = await self.asked(request_id)
        if not await store.answer(self._db, request_id, self._clock.now()):
            raise UnknownRequest()
        slug = asking.resource.removeprefix(self.url + model.RESOURCE_PATH).strip("/")
        scope = frozenset({f"mcp/{slug}"}) if slug else None
        new = NewKey(asking.client_name[:60], models=scope, budget_day_micro=budget_day_micro)
        key, _ = await self._identity.create_key(org_id, new, by=actor)
        code, now = secrets.token_urlsafe(32), self._clock.now()
        assert actor.person_id is not None
        await store.grant(
            self._db, new_id(), asking, key.id, org_id, actor.person_id, _digest(code), now, now + CODE_TTL
        )
        return self._return(asking, {"code": code})

    async def refuse(self, request_id: UUID) -> str:
        """Where the browser goes after a no."""
        asking = await self.asked(request_id)
        await store.answer(self._db, request_id, self._clock.now())
        return self._return(asking, {"error": "access_denied"})

    def _return(self, asking: Asking, values: dict[str, str]) -> str:
        return self.back(asking.redirect_uri, asking.state, values)

    def back(self, redirect_uri: str, state: str | None, values: Mapping[str, str]) -> str:
        """An app's address with an answer: its state, and who says so (RFC 9207)."""
        answer = {**values, **({} if state is None else {"state": state}), "iss": self.url}
        return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(answer)}"

    # -- tokens -------------------------------------------------------------------------------------------------------

    async def exchange(
        self, client_id: str, code: str, verifier: str, redirect_uri: str, resource: str | None
    ) -> Tokens:
        """Tokens for a code, once; a second use ends what the first one gave."""
        async with self._db.transaction() as conn:
            row = await store.token(conn, _digest(code))
            if row is None or row["kind"] != "code":
                raise bad_grant()
            if row["used_at"] is not None:
                stolen: Any = row
            else:
                stolen = None
                self._check(row, client_id, resource)
                fits = hmac.compare_digest(create_s256_code_challenge(verifier), row["challenge"])
                if not fits or row["redirect_uri"] != redirect_uri:
                    raise bad_grant("The verifier or the address to return to is another one")
                await store.use(conn, row["digest"], self._clock.now())
                made = await self._make(conn, row["grant_id"])
        if stolen is not None:
            await self._end(stolen)
            raise bad_grant()
        return made

    async def refresh(self, client_id: str, token: str, resource: str | None) -> Tokens:
        """New tokens for a refresh token, which is used up; a second use ends the grant."""
        async with self._db.transaction() as conn:
            row = await store.token(conn, _digest(token))
            if row is None or row["kind"] != "refresh":
                raise bad_grant()
            stolen: Any = row if row["used_at"] is not None else None
            if stolen is None:
                self._check(row, client_id, resource)
                await store.use(conn, row["digest"], self._clock.now())
                made = await self._make(conn, row["grant_id"])
        if stolen is not None:
            await self._end(stolen)
            raise bad_grant()
        return made

    async def _still(self, row: Any) -> bool:
        """Whether who allowed it may act for the organisation today: an app has no more of a right than its person."""
        return "keys" in await self._identity.sessions.permissions_in(row["person_id"], row["org_id"])

    def _check(self, row: Any, client_id: str, resource: str | None) -> None:
        if row["client_id"] != client_id or row["ended_at"] is not None or row["expires_at"] <= self._clock.now():
            raise bad_grant()
        if resource and resource.rstrip("/") != row["resource"]:
            raise OAuthError("invalid_target", "It was granted for another address.", "该授权用于其他地址。")

    async def _make(self, conn: Any, grant_id: UUID) -> Tokens:
        now = self._clock.now()
        access = model.ACCESS_PREFIX + secrets.token_urlsafe(32)
        renew = model.REFRESH_PREFIX + secrets.token_urlsafe(32)
        await store.add_token(conn, _digest(access), "access", grant_id, now + ACCESS_TTL)
        await store.add_token(conn, _digest(renew), "refresh", grant_id, now + REFRESH_TTL)
        return Tokens(access, renew, int(ACCESS_TTL.total_seconds()))

    async def revoke(self, client_id: str, token: str) -> None:
        """End the grant that a token is of; nothing happens for an unknown one (RFC 7009)."""
        async with self._db.transaction() as conn:
            row = await store.token(conn, _digest(token))
        if row is not None and row["client_id"] == client_id:
            await self._end(row)

    async def _end(self, row: Any) -> None:
        """Nothing of a grant is good any more, its key least of all."""
        async with self._db.transaction() as conn:
            await store.end(conn, row["grant_id"], self._clock.now())
        self._known.clear()
        if row["ended_at"] is None:
            await self._identity.keys.revoke(row["key_id"], row["org_id"], by="oauth")

    async def apps(self, person_id: UUID) -> list[App]:
        """Apps that a person let act, newest first, ended ones too."""
        found = []
        for row in await store.allowed(self._db, person_id):
            key = await self._identity.keys.get(row["key_id"])
            ended = row["ended_at"] or key.revoked_at
            found.append(
                App(row["id"], row["client_id"], row["client_name"] or row["client_id"], row["org_id"],
                    row["resource"], row["made_at"], ended, row["good_until"], key.budget_day_micro)
            )  # fmt: skip
        return found

    async def costs(self, org_id: UUID | None, first: date, last: date) -> list[AppCost]:
        """What apps cost an organisation, or (None) each of them, by day, both days included, newest first; ended apps
        too, the newest COSTS_MAX."""
        checked_days(first, last)
        rows = {row["key_id"]: row for row in await store.allowed_in(self._db, org_id, CLIENTS_MAX)}
        return [
            AppCost(one.day, row["client_name"] or row["client_id"], row["client_id"], row["org_id"], row["person_id"],
                    one.calls, one.amount_micro)
            for one in await self._spent(list(rows), first, last, COSTS_MAX) for row in (rows[one.key_id],)
        ]  # fmt: skip

    async def end(self, grant_id: UUID, person_id: UUID) -> None:
        """An app acts for this person no more, at once; UnknownApp. Ending twice changes nothing."""
        row = await store.granted(self._db, grant_id, person_id)
        if row is None:
            raise UnknownApp()
        await self._end(row)

    async def keys_in(self, org_id: UUID) -> set[UUID]:
        """The keys by which apps act for an organisation."""
        return {row["key_id"] for row in await store.allowed_in(self._db, org_id, CLIENTS_MAX)}

    async def end_all(self, person_id: UUID, org_id: UUID) -> None:
        """No app acts for an organisation any more by this person's word."""
        for row in await store.granted_in(self._db, person_id, org_id):
            await self._end(row)

    def now(self) -> datetime:
        return self._clock.now()

    async def caller(self, token: str, at: str) -> Caller | None:
        """Whose key an access token stands for at an address of the city; None for nobody's."""
        digest, now = _digest(token), time.monotonic()
        known = self._known.get(digest)
        if known is None or now > known[0]:
            row = await store.access(self._db, digest, self._clock.now())
            if row is None or not await self._still(row):
                self._known.pop(digest, None)
                return None
            left = (row["expires_at"] - self._clock.now()).total_seconds()
            caller = await self._identity.caller_of(row["key_id"])
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[digest] = now + min(KNOWN_FOR_S, left), caller, row["resource"]
        return known[1] if model.covers(known[2], at) else None

    async def purge(self) -> int:
        """Forget what is over; how much that was."""
        now: datetime = self._clock.now()
        forgotten = 0
        before = {"tokens_before": now - model.KEPT_AFTER, "unused_before": now - model.UNUSED_CLIENT_TTL}
        while some := await store.purge(self._db, now, **before):
            forgotten += some
        return forgotten


def returns_to(client: Client, redirect_uri: str) -> bool:
    """Whether an app may be answered at this address: nothing is sent anywhere else, errors included."""
    return any(model.same_redirect(known, redirect_uri) for known in client.redirect_uris)


def _client(client_id: str, name: str, uris: Sequence[Any]) -> Client:
    if not 1 <= len(uris) <= model.REDIRECTS_MAX or not all(isinstance(uri, str) for uri in uris):
        raise bad_client(f"1 to {model.REDIRECTS_MAX} redirect_uris", f"redirect_uris 为 1–{model.REDIRECTS_MAX} 个")
    for uri in uris:
        if (why := model.redirect_problem(uri)) is not None:
            raise OAuthError("invalid_redirect_uri", f"{uri[:80]!r}: {why}.", f"回调地址不可用：{uri[:80]}")
    shown = "".join(sign for sign in name if sign.isprintable()).strip().lstrip(OWN_NAME)[: model.NAME_MAX_CHARS]
    return Client(client_id, shown or "app", tuple(uris))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
