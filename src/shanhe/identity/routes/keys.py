"""API keys over HTTP. Operators name an organisation with `org`; everybody else has one's own, and 404 beyond it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from shanhe.identity.api import (
    Actor,
    Identity,
    Key,
    NewKey,
    PermissionMissing,
    SessionMissing,
    Unknown,
    actor,
    client_of,
    maybe_actor,
)
from shanhe.identity.routes.forms import KeyBody, KeyChange, LeakBody, RotateBody
from shanhe.kernel.http import private_json
from shanhe.kernel.routing import APIRouter

Acting = Annotated[Actor, Depends(actor)]
Org = Annotated[UUID | None, Query()]


def view(key: Key, now: datetime) -> dict[str, Any]:
    """A key as it may be shown."""
    return asdict(key) | {"state": key.state(now), "shown_as": f"{key.prefix}…{key.last4}"}


def scope(acting: Actor, org: UUID | None) -> UUID:
    """The organisation whose keys are meant: one's own, or for operators any."""
    if org is not None and org != acting.org_id:
        if "accounts" not in acting.permissions:
            raise Unknown("organisation", "机构")
        return org
    if "keys" not in acting.permissions and "accounts" not in acting.permissions:
        raise PermissionMissing("keys")
    if acting.org_id is None:
        raise Unknown("organisation", "机构")
    return acting.org_id


async def acts_for(identity: Identity, acting: Actor, org: UUID) -> UUID:
    """The organisation, whose token this person may have: their own, or one that has no owner; HasAnOwner."""
    if org != acting.org_id:
        await identity.orgs.no_owner(org)
    return org


def owner_of(acting: Actor, org: UUID | None) -> UUID | None:
    """Whose keys one may touch by id: any for operators, one's organisation's for the rest."""
    if "accounts" in acting.permissions and org is None and "keys" not in acting.permissions:
        return None
    return scope(acting, org)


def router(identity: Identity) -> APIRouter:
    routes = APIRouter(prefix="/api/keys", tags=["keys"])
    _keys(routes, identity)
    _leaks(routes, identity)
    return routes


def _keys(routes: APIRouter, identity: Identity) -> None:
    def shown(key: Key) -> dict[str, Any]:
        return view(key, identity.now())

    @routes.get("")
    async def keys(
        acting: Acting, org: Org = None, before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 200
    ) -> Response:
        """Keys of the organisation, newest first; never a token."""
        found = await identity.keys.list(scope(acting, org), before=before, limit=limit)
        return private_json({"data": [shown(key) for key in found]})

    @routes.post("")
    async def create(body: KeyBody, acting: Acting, org: Org = None) -> Response:
        """Make a key; `token` is in this answer and nowhere else. An organisation that has an owner makes its own."""
        of = await acts_for(identity, acting, scope(acting, org))
        values = body.model_dump(exclude={"id"})
        values["models"] = None if body.models is None else frozenset(body.models)
        values["permissions"] = frozenset(body.permissions)
        key, token = await identity.create_key(of, NewKey(**values), by=acting, key_id=body.id)
        return private_json({"key": shown(key), "token": token}, 201)

    @routes.get("/{key_id}")
    async def get(key_id: UUID, acting: Acting, org: Org = None) -> Response:
        return private_json(shown(await identity.keys.get(key_id, owner_of(acting, org))))

    @routes.patch("/{key_id}")
    async def edit(key_id: UUID, body: KeyChange, acting: Acting, org: Org = None) -> Response:
        """Change what the request names; `null` lifts a limit."""
        changes = body.given()
        for name in ("models", "permissions"):
            if changes.get(name) is not None:
                changes[name] = frozenset(changes[name])
        return private_json(shown(await identity.keys.edit(key_id, owner_of(acting, org), changes, by=acting)))

    @routes.post("/{key_id}/rotate")
    async def rotate(key_id: UUID, body: RotateBody, acting: Acting, org: Org = None) -> Response:
        """A successor with the same scope and the same budgets; the old key still works for `grace_s` seconds."""
        owner = owner_of(acting, org)
        await acts_for(identity, acting, (await identity.keys.get(key_id, owner)).org_id)
        key, token = await identity.keys.rotate(key_id, owner, grace_s=body.grace_s, by=acting)
        return private_json({"key": shown(key), "token": token}, 201)

    @routes.delete("/{key_id}")
    async def revoke(key_id: UUID, acting: Acting, org: Org = None) -> Response:
        """End a key for good, in every process within a second."""
        return private_json(shown(await identity.keys.revoke(key_id, owner_of(acting, org), by=acting)))


def _leaks(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/leaks")
    async def leak(body: LeakBody, request: Request) -> Response:
        """Report a leaked key. Whoever holds the whole token may: it is revoked at once.

        With only its start (`sk-sh-` and six characters) one must be of its organisation or an operator. The answer
        to strangers is the same whether the key exists or not.
        """
        acting = await maybe_actor(request)
        if acting is not None and {"keys", "accounts"} & acting.permissions:
            operator = "accounts" in acting.permissions
            report = await identity.report_leak(
                body.key, acting.ref, freeze=body.freeze, note=body.note, org_id=None if operator else acting.org_id
            )
            if report is None:
                raise Unknown("API key", "API 密钥")
            return private_json(report)
        await identity.attempts.begin([identity.attempts.bucket("report", client_of(request).network)])
        if len(body.key.strip()) < len("sk-sh-") + 43:
            raise SessionMissing()
        await identity.report_leak(body.key, "public", note=body.note)
        return private_json({"received": True}, 202)
