"""HTTP of the pool: tokens, joining, nodes and their states; the tunnel."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec
from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response
from starlette.websockets import WebSocket

from shanhe.identity.api import Actor, PermissionMissing, org_or_all, org_with, require
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.asking import asked_view
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.pool.errors import BadReport
from shanhe.pool.figures import figures
from shanhe.pool.model import Node, Report, Verdict
from shanhe.pool.service import TOKEN_HOURS_MAX, Pool

plainly = partial(as_json, enc_hook=str)
owner_of = partial(org_or_all, everything="engines", missing="engines")
"""None for operators, who see everything; else the organisation."""
HOURS_MAX = 24 * 92
DAYS_MAX = 92
NAME_MAX = 40
FIGURES_HOURS = 24
TEXT_MAX = 200


class TokenBody(Body):
    name: str = Field(min_length=1, max_length=NAME_MAX)
    owner: UUID | None = None
    hours: int = Field(24, ge=1, le=TOKEN_HOURS_MAX)
    local: bool = False
    new_models: bool = False
    city_owned: bool = False


class JoinBody(Body):
    token: str = Field(min_length=1, max_length=100)
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    report: dict[str, Any]


class ReasonBody(Body):
    reason: str = Field("", max_length=TEXT_MAX)


class ModelBody(Body):
    model: str = Field(min_length=1, max_length=120)


class ReleaseBody(ReasonBody):
    restore: bool = False


class WithheldBody(Body):
    give_back: bool
    reason: str = Field(min_length=1, max_length=TEXT_MAX)


Operator = Annotated[Actor, Depends(require("engines"))]
Asking = Annotated[Actor, Depends(actor_of)]


def changer_of(actor: Actor) -> UUID | None:
    """None for operators, who may change every node; else the organisation whose own nodes the caller may change."""
    return None if "engines" in actor.permissions else org_with(actor, "keys")


class Deciding(Protocol):
    """Who ends what is withheld, or asks a second person to agree."""

    async def decide(self, name: str, *, give_back: bool, reason: str, by: str) -> Any: ...
    async def release(self, name: str, *, reason: str, by: str) -> Any: ...


def router(pool: Pool, withheld: Deciding, city: str) -> APIRouter:
    """Everything under /api/pool."""
    routes = APIRouter(prefix="/api/pool", tags=["pool"])
    _joining(routes, pool, city)
    _reading(routes, pool)
    _states(routes, pool, withheld)
    _placing(routes, pool)

    @routes.websocket("/tunnel")
    async def tunnel(socket: WebSocket) -> None:
        await pool.tunnels.serve(socket)

    return routes


def _joining(routes: APIRouter, pool: Pool, city: str) -> None:
    @routes.post("/tokens", status_code=201)
    async def token(body: TokenBody, actor: Asking) -> Response:
        """Leave for one machine to join; the token is shown once. Members make them for their own organisation."""
        owner = body.owner or actor.org_id
        if "engines" not in actor.permissions:
            if "keys" not in actor.permissions or owner != actor.org_id:
                raise PermissionMissing("engines")
            if body.local or body.new_models or body.city_owned:
                raise PermissionMissing("engines")
        if owner is None:
            raise Invalid("no_owner", "A node belongs to an organisation.", message_zh="节点须属于某个机构。")
        secret, until = await pool.make_token(
            body.name, owner, hours=body.hours, local=body.local, new_models=body.new_models,
            city_owned=body.city_owned, actor=actor.ref,
        )  # fmt: skip
        return plainly({"token": secret, "name": body.name, "expires_at": until}, 201)

    @routes.post("/join")
    async def join(body: JoinBody) -> Response:
        """A machine shows its token and its public key and becomes a node."""
        try:
            report = msgspec.convert(body.report, Report)
        except msgspec.ValidationError as error:
            raise BadReport(str(error)[:TEXT_MAX]) from error
        node = await pool.join(body.token, bytes.fromhex(body.public_key), report)
        return plainly({"node_id": node.id, "name": node.name, "city": city, "state": node.state})


def _reading(routes: APIRouter, pool: Pool) -> None:
    @routes.get("/nodes")
    async def nodes(actor: Asking) -> Response:
        """Operators see every node, members those of their organisation."""
        return plainly(await node_list(pool, owner_of(actor)))

    @routes.get("/nodes/{name}")
    async def node(name: str, actor: Asking) -> Response:
        """One node: report, measured speed, the last events."""
        found = await pool.node(name, owner_of(actor))
        return plainly(await node_page(pool, found))

    @routes.get("/nodes/{name}/earnings")
    async def earnings(name: str, actor: Asking, days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 30) -> Response:
        """What it earned by day, whole days `since` one, and the receipts of its latest calls."""
        found = await pool.node(name, owner_of(actor))
        since = pool.now() - timedelta(days=days)
        income, proofs = await pool.earnings.days(found, since), await pool.earnings.proofs(found, 50)
        return plainly({"since": income.since, "days": income.days, "proofs": proofs})

    @routes.get("/nodes/{name}/hours")
    async def hours(name: str, actor: Asking, last: Annotated[int, Query(ge=1, le=HOURS_MAX)] = 48) -> Response:
        """What it did by hour and model."""
        found = await pool.node(name, owner_of(actor))
        return plainly(await pool.hours(pool.now() - timedelta(hours=last), found))


def _states(routes: APIRouter, pool: Pool, desk: Deciding) -> None:
    async def changed(name: str, actor: Actor) -> tuple[Node, bool]:
        """The node, and whether its owner changes it rather than the city."""
        org = changer_of(actor)
        return await pool.node(name, org), org is not None

    @routes.post("/nodes/{name}/drain")
    async def drain(name: str, body: ReasonBody, actor: Asking) -> Response:
        """Nothing new; what runs is finished. Owners may drain their own."""
        node, own = await changed(name, actor)
        return plainly(node_view(await pool.drain(node.name, actor=actor.ref, reason=body.reason, own=own)))

    @routes.post("/nodes/{name}/restart", status_code=202)
    async def restart(name: str, actor: Asking) -> Response:
        """Finish what runs and start again with the version that is installed there. Owners may restart their own."""
        node, _ = await changed(name, actor)
        return plainly(node_view(await pool.restart(node.name, actor=actor.ref)), 202)

    @routes.post("/nodes/{name}/quarantine")
    async def quarantine(name: str, body: ReasonBody, actor: Operator) -> Response:
        """Nothing new, and its recent income is withheld."""
        return plainly(node_view(await pool.quarantine(name, actor=actor.ref, reason=body.reason)))

    @routes.post("/nodes/{name}/release")
    async def release(name: str, body: ReleaseBody, actor: Asking) -> Response:
        """Back to work: measured again; `restore` gives back the income that was withheld, from the smallest payout on
        when another operator agrees (202). Owners may end a drain of their own."""
        node, own = await changed(name, actor)
        if own and body.restore:
            raise PermissionMissing("engines")
        if body.restore:
            asked = await desk.release(node.name, reason=body.reason, by=actor.ref)
            if asked is not None:
                return plainly(asked_view(asked), 202)
            return plainly(node_view(await pool.node(node.name)))
        return plainly(node_view(await pool.release(node.name, actor=actor.ref, reason=body.reason, own=own)))

    @routes.post("/nodes/{name}/withheld")
    async def withheld(name: str, body: WithheldBody, actor: Operator) -> Response:
        """What is withheld of a node, a removed one too, is its owner's again or the city's; how much it was. From the
        smallest payout on another operator agrees first (202)."""
        done = await desk.decide(name, give_back=body.give_back, reason=body.reason, by=actor.ref)
        if not isinstance(done, int):
            return plainly(asked_view(done), 202)
        return plainly({"name": name, "amount_micro": done, "given_back": body.give_back})

    @routes.delete("/nodes/{name}")
    async def remove(name: str, actor: Asking) -> Response:
        """Gone for good; receipts and income stay. Owners may take out their own, unless it is in quarantine."""
        node, own = await changed(name, actor)
        return plainly(node_view(await pool.remove(node.name, actor=actor.ref, own=own)))


def _placing(routes: APIRouter, pool: Pool) -> None:
    @routes.post("/nodes/{name}/load")
    async def load(name: str, body: ModelBody, actor: Operator) -> Response:
        """Tell a node to load a model; it reports when that is done."""
        await pool.planner.move(await pool.node(name), body.model, load=True, actor=actor.ref)
        return plainly({"name": name, "model": body.model, "asked": "load"}, 202)

    @routes.post("/nodes/{name}/unload")
    async def unload(name: str, body: ModelBody, actor: Operator) -> Response:
        """Tell a node to unload a model."""
        await pool.planner.move(await pool.node(name), body.model, load=False, actor=actor.ref)
        return plainly({"name": name, "model": body.model, "asked": "unload"}, 202)

    @routes.get("/plan")
    async def plan(actor: Operator) -> Response:
        """Where models should be in the coming hour, the moves that lead there, and the demand behind it."""
        return plainly({"plan": await pool.planner.plan(), "demand": await pool.planner.demand()})

    @routes.post("/plan")
    async def apply(actor: Operator) -> Response:
        """Make the moves of the plan."""
        return plainly({"moves": await pool.planner.apply(actor=actor.ref)}, 202)


async def node_list(pool: Pool, owner: UUID | None = None) -> list[dict[str, Any]]:
    """Every node, or those of an organisation."""
    nodes = await pool.nodes(owner)
    verdicts = await pool.verdicts(nodes)
    return [node_view(node, verdicts.get(node.id)) for node in nodes]


def node_view(node: Node, verdict: Verdict | None = None) -> dict[str, Any]:
    """A node for lists; `verdict`: what the inspector found, where that is why it stands still."""
    return {
        "id": node.id,
        "name": node.name,
        "owner": node.owner,
        "state": node.state,
        "cause": node.cause,
        "verdict": verdict,
        "own_drain": node.own_drain,
        "flag": node.flag,
        "connected": node.session is not None,
        "seen_at": node.seen_at,
        "local": node.local,
        "city_owned": node.city_owned,
        "engine": node.engine,
        "chips": node.report.chips,
        "chip_class": node.report.chip_class,
        "location": node.report.location,
        "models": [offer.model for offer in node.report.offers if offer.loaded],
        "version": node.report.version,
    }


async def node_page(pool: Pool, node: Node) -> dict[str, Any]:
    """A node with everything."""
    speeds = await pool.speeds()
    measured = {model: speed for (node_id, model), speed in speeds.items() if node_id == node.id}
    hours = await pool.hours(pool.now() - timedelta(hours=FIGURES_HOURS), node)
    found = {offer.model: pool.cost(node, offer.model) for offer in node.report.offers}
    costs = {model: cost for model, cost in found.items() if cost is not None}
    verdicts = await pool.verdicts([node])
    return node_view(node, verdicts.get(node.id)) | {
        "report": node.report,
        "measured": measured,
        "figures": figures(node, hours, costs),
        "costs": costs,
        "checks": {kind: {"checks": n, "failures": f, "evidence": s}
                   for kind, (n, f, s) in (await pool.suspicions(node)).items()},
        "withheld": await pool.withheld(node),
        "unserved": pool.unserved(node),
        "events": await pool.events(node),
    }  # fmt: skip
