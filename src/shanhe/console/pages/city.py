"""For operators: organisations, model downloads, engines, audit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.compute.api import IMAGE_TOKENS, Kind
from shanhe.console import chart
from shanhe.console.model import Who
from shanhe.console.model_city import ActsWanted
from shanhe.console.pages.base import Room, days_in, uuid_in
from shanhe.console.pages.entrance import LOGIN_CHARS_MAX
from shanhe.console.pages.till import parse_amount
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

NAME_CHARS_MAX = 120
REASON_CHARS_MAX = 200
OBJECT_CHARS_MAX = 120
MANUAL = ("bank_transfer", "cash_desk")
ORG_KINDS = ("company", "government", "institution")
"""A person's own comes with the person."""


class CityRoom(Room):
    """`/city/accounts…`, `/city/models/pull`, `/city/engines…`, `/city/audit`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/accounts", self.orgs, methods=["GET"])
        add("/city/accounts", self.org_create, methods=["POST"])
        add("/city/accounts/{org_id}", self.org, methods=["GET"])
        add("/city/accounts/{org_id}/freeze", self.org_freeze, methods=["POST"])
        add("/city/accounts/{org_id}/unfreeze", self.org_unfreeze, methods=["POST"])
        add("/city/accounts/{org_id}/owner", self.org_invite, methods=["POST"])
        add("/city/accounts/{org_id}/invitations/{invitation_id}", self.org_uninvite, methods=["POST"])
        add("/city/accounts/{org_id}/topup", self.org_top_up, methods=["POST"])
        add("/city/models/aliases", self.alias, methods=["POST"])
        add("/city/models/pull", self.pull, methods=["POST"])
        add("/city/engines", self.engines, methods=["GET"])
        add("/city/engines", self.engine_add, methods=["POST"])
        add("/city/engines/{engine_id}", self.engine, methods=["GET"])
        add("/city/engines/{engine_id}", self.engine_set, methods=["POST"])
        add("/city/engines/{engine_id}/test", self.engine_test, methods=["POST"])
        add("/city/engines/{engine_id}/switch", self.engine_switch, methods=["POST"])
        add("/city/audit", self.audit, methods=["GET"])
        add("/city/audit.csv", self.audit_sheet, methods=["GET"])
        return routes

    # -- organisations -----------------------------------------------------------------------------------------------

    async def orgs(self, request: Request) -> Response:
        who = await self.allowed(request, "accounts")
        return await self._orgs(request, who)

    async def _orgs(self, request: Request, who: Who, **values: Any) -> Response:
        find = request.query_params.get("q", "")[:NAME_CHARS_MAX]
        rows = await self.desk.city.orgs(who, find, request.query_params.get("before", "")[:OBJECT_CHARS_MAX])
        if request.headers.get("hx-target") == "orgs":
            return self.show(request, "parts/orgs.html", who, orgs=rows, find=find)
        setup = await self.desk.city.setup(who)
        shown = {"fields": {}, "setup": setup if not all(step.done for step in setup) else (), **values}
        return self.show(request, "orgs.html", who, orgs=rows, find=find, kinds=ORG_KINDS, **shown)

    async def org_create(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            kind = fields.get("kind", "")
            if kind not in ORG_KINDS:
                raise ValueError(kind)
            org_id = await self.desk.city.org_create(who, fields.get("name", "")[:NAME_CHARS_MAX], kind)
        except (ShanheError, ValueError) as error:
            mistake = self.view.mistake(request, error)
            return await self._orgs(request, who, fields=fields, mistake=mistake, status=422)
        return go(f"/city/accounts/{org_id}", "org_created")

    async def org(self, request: Request, org_id: UUID) -> Response:
        return await self._org(request, await self.allowed(request, "accounts"), org_id)

    async def _org(self, request: Request, who: Who, org_id: UUID, **values: Any) -> Response:
        org = await self.desk.city.org(who, org_id)
        before = uuid_in(request.query_params, "before")
        keys = await self.desk.city.org_keys(who, org_id, before)
        shown: dict[str, Any] = {"before": before, "following": keys.following, "fields": {}, "methods": MANUAL}
        shown |= {"strip": chart.strip(org.by_provenance), "client_ref": str(new_id())}
        people = await self.desk.city.org_people(who, org_id)
        return self.show(request, "org.html", who, org=org, keys=keys.rows, people=people, **shown | values)

    async def org_invite(self, request: Request, org_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            await self.desk.city.org_invite(who, org_id, fields.get("login", "")[:LOGIN_CHARS_MAX])
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._org(request, who, org_id, fields=fields, mistake=mistake, status=error.status)
        return go(f"/city/accounts/{org_id}", "member_invited")

    async def org_uninvite(self, request: Request, org_id: UUID, invitation_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        await self.desk.city.org_uninvite(who, org_id, invitation_id)
        return go(f"/city/accounts/{org_id}", "invitation_withdrawn")

    async def org_freeze(self, request: Request, org_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            await self.desk.city.org_freeze(who, org_id, fields.get("reason", "")[:REASON_CHARS_MAX])
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._org(request, who, org_id, mistake=mistake, status=error.status)
        return go(f"/city/accounts/{org_id}", "org_frozen")

    async def org_unfreeze(self, request: Request, org_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        await self.desk.city.org_unfreeze(who, org_id)
        return go(f"/city/accounts/{org_id}", "org_unfrozen")

    async def org_top_up(self, request: Request, org_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            micro = parse_amount(fields.get("amount", ""))
            reason = fields.get("reason", "")[:REASON_CHARS_MAX]
            method, reference = fields.get("method") or MANUAL[0], fields.get("client_ref", "")
            await self.desk.city.org_top_up(who, org_id, micro, reason, method=method, client_ref=reference)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._org(request, who, org_id, fields=fields, mistake=mistake, status=error.status)
        return go(f"/city/accounts/{org_id}", "payment_asked")

    # -- models and engines --------------------------------------------------------------------------------------------

    async def pull(self, request: Request) -> Response:
        who, fields = await self.posted(request, "models")
        await self.desk.city.pull(who, fields.get("model", ""))
        if "hx-request" in request.headers:
            return self.show(request, "parts/cards.html", who, cards=await self.desk.city.cards(who))
        return go("/models", "pull_started")

    async def alias(self, request: Request) -> Response:
        """A further name given, or taken back with the button that says so."""
        who, fields = await self.posted(request, "models")
        name, drop = fields.get("name", "").strip(), fields.get("do") == "drop"
        try:
            await self.desk.city.alias(who, name, None if drop else fields.get("model", ""))
        except ShanheError as error:
            cards, models = await self.desk.city.cards(who), await self.desk.member.models()
            shown = {"models": models, "cards": cards, "operator": True, "typed": fields}
            return self.again(request, "models.html", who, error, **shown)
        return go("/models", "alias_dropped" if drop else "alias_given")

    async def engines(self, request: Request) -> Response:
        who = await self.allowed(request, "engines")
        return await self._engines(request, who, report=await self.answer_of(request, who) or None)

    async def _engines(self, request: Request, who: Who, **values: Any) -> Response:
        shown = {"fields": {}, "report": None, "kinds": (*map(str, Kind), IMAGE_TOKENS), **values}
        engines = await self.desk.city.engines(who)
        if request.headers.get("hx-target") == "engines":
            return self.show(request, "parts/engines.html", who, engines=engines)
        return self.show(request, "engines.html", who, engines=engines, **shown)

    async def engine_add(self, request: Request) -> Response:
        who, fields = await self.posted(request, "engines")
        try:
            await self.desk.city.engine_add(who, fields)
        except (ShanheError, ValueError) as error:
            return await self._engines(
                request, who, fields=fields, mistake=self.view.mistake(request, error), status=422
            )
        return go("/city/engines", "engine_added")

    async def engine(self, request: Request, engine_id: UUID) -> Response:
        who = await self.allowed(request, "engines")
        return self.show(request, "engine.html", who, engine=await self.desk.city.engine(who, engine_id), fields={})

    async def engine_set(self, request: Request, engine_id: UUID) -> Response:
        who, fields = await self.posted(request, "engines")
        try:
            await self.desk.city.engine_set(who, engine_id, fields)
        except (ShanheError, ValueError) as error:
            engine = await self.desk.city.engine(who, engine_id)
            return self.again(request, "engine.html", who, error, engine=engine, fields=fields)
        return go("/city/engines", "engine_set")

    async def engine_test(self, request: Request, engine_id: UUID) -> Response:
        who, _ = await self.posted(request, "engines")
        report = await self.desk.city.engine_test(who, engine_id)
        if "hx-request" in request.headers:
            return self.show(request, "parts/engine_test.html", who, report=report)
        return await self.answered(request, who, "/city/engines", asdict(report))

    async def engine_switch(self, request: Request, engine_id: UUID) -> Response:
        who, fields = await self.posted(request, "engines")
        on = fields.get("enabled") == "1"
        await self.desk.city.engine_switch(who, engine_id, on)
        return go("/city/engines", "engine_on" if on else "engine_off")

    async def audit(self, request: Request) -> Response:
        who, wanted = await self.allowed(request, "audit"), self._wanted(request)
        shown = {
            "wanted": wanted, "acts": self.view.words.below("audit_action"), "rows": (),
            "things": self.view.words.below("audit_thing"),
        }  # fmt: skip
        try:
            shown["rows"] = await self.desk.books.audit(who, wanted, request.query_params.get("before", ""))
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return self.show(request, "audit.html", who, mistake=mistake, status=error.status, **shown)
        return self.show(request, "audit.html", who, **shown)

    async def audit_sheet(self, request: Request) -> Response:
        who = await self.allowed(request, "audit")
        return self.long_sheet(request, await self.desk.books.audit_sheet(who, self._wanted(request)), "audit")

    def _wanted(self, request: Request) -> ActsWanted:
        """Which acts an address asks for. A kind of thing is written with `_` for the dot in its table's name."""
        query = request.query_params
        by, about = (query.get(name, "")[:OBJECT_CHARS_MAX].strip() for name in ("by", "about"))
        action = query.get("action", "")
        if action in self.view.words.below("audit_thing"):
            action = action.replace("_", ".", 1)
        elif action.replace(".", "_", 1) not in (
            *self.view.words.below("audit_action"), *self.view.words.below("audit_thing"),
        ):  # fmt: skip
            action = ""
        return ActsWanted(by, about, action, days_in(query))
