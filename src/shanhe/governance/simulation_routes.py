"""HTTP of simulations: everybody reads a proposal's, seats and operators ask; drafts are for operators."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.governance.errors import BadSimulation, UnknownSimulation
from shanhe.governance.simulating import Simulating, Simulation
from shanhe.governance.simulation_views import simulation_csv, simulation_view
from shanhe.identity.api import Actor, maybe_actor, person_actor, person_of, require
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Anybody = Annotated[Actor | None, Depends(maybe_actor)]
Me = Annotated[Actor, Depends(person_actor)]
Operator = Annotated[Actor, Depends(require("rules"))]
WHOLE, RULES = "ledger", "rules"
"""The permissions of those who see sums of few people, and of those who may ask without a seat."""
ASKED = 202


class SimulationBody(Body):
    """Without days it is the calendar month before."""

    id: UUID
    first: date | None = None
    last: date | None = None


class DraftBody(SimulationBody):
    rule: str = Field(max_length=80)
    content: dict[str, Any] = Field(max_length=8)


def router(simulating: Simulating) -> APIRouter:
    """/api/governance/…simulations."""
    routes = APIRouter(prefix="/api/governance", tags=["governance"])
    _reading(routes, simulating)

    @routes.post("/proposals/{proposal}/simulations", status_code=ASKED)
    async def ask(proposal: UUID, body: SimulationBody, who: Me) -> Response:
        """What the change would have cost over other days; worked out aside. Idempotent by `id`."""
        person = None if RULES in who.permissions else person_of(who)
        made = await simulating.ask(body.id, proposal, days=_days(body), by=who.ref, person_id=person)
        return as_json(simulation_view(made, whole=sees_all(who)), ASKED)

    @routes.post("/simulations", status_code=ASKED)
    async def draft(body: DraftBody, who: Operator) -> Response:
        """The same of rows that nobody proposed yet; over any days for those who see sums of few people anyway."""
        whole = sees_all(who)
        made = await simulating.draft(
            body.id, body.rule, body.content, days=_days(body), by=who.ref, months=not whole
        )  # fmt: skip
        return as_json(simulation_view(made, whole=whole), ASKED)

    @routes.get("/simulations")
    async def drafts(who: Operator) -> Response:
        """Drafts, newest first."""
        found = await simulating.of(None)
        return as_json({"data": [simulation_view(one, whole=sees_all(who), traces=False) for one in found]})

    return routes


def _reading(routes: APIRouter, simulating: Simulating) -> None:
    @routes.get("/proposals/{proposal}/simulations")
    async def of(proposal: UUID, who: Anybody) -> Response:
        """A proposal's simulations, newest first, without traces."""
        found = await simulating.of(proposal)
        return as_json({"data": [simulation_view(one, whole=sees_all(who), traces=False) for one in found]})

    @routes.get("/simulations/{simulation}.csv")
    async def table(simulation: UUID, who: Anybody) -> Response:
        """The report as CSV (UTF-8 with a mark, for spreadsheets)."""
        report = simulation_view(await _seen(simulating, simulation, who), whole=sees_all(who))["report"]
        if report is None:
            raise UnknownSimulation()
        headers = {"content-disposition": 'attachment; filename="simulation.csv"', "cache-control": "no-store"}
        return Response(simulation_csv(report).encode(), media_type="text/csv; charset=utf-8", headers=headers)

    @routes.get("/simulations/{simulation}")
    async def one(simulation: UUID, who: Anybody) -> Response:
        """A simulation: how far it is, or its report with typical cases and their traces."""
        return as_json(simulation_view(await _seen(simulating, simulation, who), whole=sees_all(who)))


async def _seen(simulating: Simulating, simulation: UUID, who: Actor | None) -> Simulation:
    """A simulation that this one may see; UnknownSimulation for somebody else's draft."""
    found = await simulating.get(simulation)
    if found.proposal is None and (who is None or RULES not in who.permissions):
        raise UnknownSimulation()
    return found


def sees_all(who: Actor | None) -> bool:
    return who is not None and WHOLE in who.permissions


def _days(body: SimulationBody) -> tuple[date, date] | None:
    if body.first is None and body.last is None:
        return None
    if body.first is None or body.last is None:
        raise BadSimulation("it names both days or neither", "起止日期须同时给出")
    return body.first, body.last
