"""Governance: proposals with what they change, votes, the board of targets, projects and overdue work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room, uuid_in
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

VOTES = ("for", "against", "veto")
WORD_CHARS = 80


class GovernanceRoom(Room):
    """`/governance`, `/governance/new`, `/governance/board`, `/governance/{id}` with its simulations."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/governance", self.list, methods=["GET"])
        add("/governance/board", self.board, methods=["GET"])
        add("/governance/board/{what}", self.record, methods=["POST"])
        add("/governance/new", self.new, methods=["GET"])
        add("/governance/new", self.propose, methods=["POST"])
        add("/governance/drafts/{simulation}", self.draft, methods=["GET"])
        add("/governance/drafts/{simulation}/csv", self.draft_csv, methods=["GET"])
        add("/governance/amendments/{amendment}/set-aside", self.set_aside, methods=["POST"])
        add("/governance/{proposal}", self.proposal, methods=["GET"])
        add("/governance/{proposal}/comment", self.comment, methods=["POST"])
        add("/governance/{proposal}/vote", self.vote, methods=["POST"])
        add("/governance/{proposal}/withdraw", self.withdraw, methods=["POST"])
        add("/governance/{proposal}/simulations", self.simulate, methods=["POST"])
        add("/governance/{proposal}/simulations/{simulation}", self.simulation, methods=["GET"])
        add("/governance/{proposal}/simulations/{simulation}/csv", self.simulation_csv, methods=["GET"])
        return routes

    async def list(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        desk, before = self.desk.governance, uuid_in(request.query_params, "before")
        found, may = await desk.proposals(who, before), await desk.may_propose(who)
        shown = {"rows": found.rows, "before": before, "following": found.following}
        return self.show(request, "governance.html", who, **shown, may_propose=may)

    async def new(self, request: Request) -> Response:
        who = await self.who(request)
        fields = {name: request.query_params.get(name, "")[:WORD_CHARS] for name in ("rule", "parameter", "value")}
        return self.show(request, "governance_new.html", who, **await self._form(fields))

    async def _form(self, fields: dict[str, str]) -> dict[str, Any]:
        form = await self.desk.governance.form(fields.get("rule", ""))
        return {
            "form": form,
            "fields": fields,
            "proposal_id": fields.get("id") or str(new_id()),
            "try_id": str(new_id()),
        }

    async def propose(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        if fields.get("look"):  # the same form, with what the chosen rule has; nothing is written
            return self.show(request, "governance_new.html", who, **await self._form(fields))
        try:
            if fields.get("try") and who.may("rules"):
                return go(f"/governance/drafts/{await self.desk.governance.draft(who, fields)}", "simulating")
            made = await self.desk.governance.propose(who, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "governance_new.html", who, error, **await self._form(fields))
        return go(f"/governance/{made}", "proposed")

    async def proposal(self, request: Request, proposal: UUID) -> Response:
        who = await self.desk.gate.who(request)
        past = uuid_in(request.query_params, "past")
        return self.show(request, "governance_proposal.html", who, **await self._proposal(who, proposal, past))

    async def _proposal(self, who: Any, proposal: UUID, past: UUID | None = None) -> dict[str, Any]:
        numbers = {"comment_id": str(new_id()), "simulation_id": str(new_id())}
        return {"one": await self.desk.governance.proposal(who, proposal, past), "fields": {}, **numbers}

    async def comment(self, request: Request, proposal: UUID) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.governance.comment(who, proposal, fields.get("text", ""), UUID(fields.get("id", "")))
        except (ShanheError, ValueError) as error:
            shown = await self._proposal(who, proposal) | {"fields": fields}
            return self.again(request, "governance_proposal.html", who, error, **shown)
        return go(f"/governance/{proposal}", "said")

    async def vote(self, request: Request, proposal: UUID) -> Response:
        who, fields = await self.posted(request)
        word = fields.get("vote", "")
        try:
            if word not in VOTES:
                raise ValueError(word)
            await self.desk.governance.vote(who, proposal, word, fields.get("reason", ""))
        except (ShanheError, ValueError) as error:
            shown = await self._proposal(who, proposal) | {"fields": fields}
            return self.again(request, "governance_proposal.html", who, error, **shown)
        return go(f"/governance/{proposal}", "decided")

    async def withdraw(self, request: Request, proposal: UUID) -> Response:
        who, _ = await self.posted(request)
        await self.desk.governance.withdraw(who, proposal)
        return go(f"/governance/{proposal}", "withdrawn")

    async def set_aside(self, request: Request, amendment: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        reason, number = fields.get("reason", ""), uuid_in(fields, "id") or new_id()
        rule = await self.desk.governance.set_aside(who, amendment, reason, number)
        return go(f"/rules/{rule}", "aside_asked")

    async def simulate(self, request: Request, proposal: UUID) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.governance.simulate(who, proposal, fields)
        except (ShanheError, ValueError) as error:
            shown = await self._proposal(who, proposal) | {"fields": fields}
            return self.again(request, "governance_proposal.html", who, error, **shown)
        return go(f"/governance/{proposal}", "simulating")

    async def simulation(self, request: Request, proposal: UUID, simulation: UUID) -> Response:
        who = await self.desk.gate.who(request)
        found = await self.desk.governance.simulation(who, proposal, simulation)
        place = f"/governance/{proposal}"
        shown = {"sim": found, "file": f"{place}/simulations/{simulation}", "back": place}
        return self.show(request, "governance_simulation.html", who, **shown)

    async def draft(self, request: Request, simulation: UUID) -> Response:
        """A change that nobody proposed yet, tried on what happened."""
        who = await self.allowed(request, "rules")
        found = await self.desk.governance.simulation(who, None, simulation)
        shown = {"sim": found, "file": f"/governance/drafts/{simulation}", "back": "/governance/new"}
        return self.show(request, "governance_simulation.html", who, **shown)

    async def draft_csv(self, request: Request, simulation: UUID) -> Response:
        who = await self.allowed(request, "rules")
        text = await self.desk.governance.simulation_csv(who, None, simulation)
        return self.sheet(request, text, "simulation.csv")

    async def simulation_csv(self, request: Request, proposal: UUID, simulation: UUID) -> Response:
        who = await self.desk.gate.who(request)
        text = await self.desk.governance.simulation_csv(who, proposal, simulation)
        return self.sheet(request, text, "simulation.csv")

    async def board(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "governance_board.html", who, **await self._board(who))

    async def _board(self, who: Any) -> dict[str, Any]:
        board = await self.desk.governance.board(who)
        return {"board": board, "numbers": [str(new_id()), str(new_id())], "fields": {}}

    async def record(self, request: Request, what: str) -> Response:
        who, fields = await self.posted(request, "rules")
        try:
            await self.desk.governance.record(who, what, fields)
        except (ShanheError, ValueError) as error:
            shown = await self._board(who) | {"fields": fields}
            return self.again(request, "governance_board.html", who, error, **shown)
        return go("/governance/board", "done")
