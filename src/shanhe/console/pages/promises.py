"""What the city promises: what I am entitled to and why, applying, following; reviewing; budgets."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room, day_in, uuid_in
from shanhe.console.render import form_with_file, go
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

STATES = (
    "in_review",
    "returned",
    "waiting_budget",
    "active",
    "suspended",
    "completed",
    "refused",
    "stopped",
    "withdrawn",
)
DESKS = {"rights": ("/ip/queue", "ip.queue_of"), "reuses": ("/science/queue", "science.queue_of")}
NEAREST_FIRST = ("entitled", "needs_answers", "applied", "not_yet")
WORD_CHARS = 64
FIND_CHARS = 100
PAGES_MAX = 1_000


class PromisesRoom(Room):
    """`/programmes`, `/applications/{id}`, `/review`, `/city/programmes`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/programmes", self.entitlements, methods=["GET"])
        add("/programmes/{programme_id}", self.programme, methods=["GET"])
        add("/programmes/{programme_id}", self.apply, methods=["POST"])
        add("/programmes/{programme_id}/check", self.check, methods=["POST"])
        add("/applications/{application}", self.application, methods=["GET"])
        add("/applications/{application}/withdraw", self.withdraw, methods=["POST"])
        add("/applications/{application}/appeal", self.appeal, methods=["POST"])
        add("/applications/{application}/supplement", self.supplement, methods=["POST"])
        add("/applications/{application}/clawback", self.claw_back, methods=["POST"])
        add("/applications/{application}/breach", self.breach, methods=["POST"])
        add("/review", self.queue, methods=["GET"])
        add("/review/{application}", self.case, methods=["GET"])
        add("/review/{application}", self.decide, methods=["POST"])
        add("/review/{application}/milestones/{n}", self.met, methods=["POST"])
        add("/funds", self.funds, methods=["GET"])
        add("/city/programmes", self.city, methods=["GET"])
        add("/city/programmes.csv", self.applications_sheet, methods=["GET"])
        add("/city/programmes/reviewers", self.reviewers, methods=["GET"])
        add("/city/programmes/reviewers", self.reviewer, methods=["POST"])
        add("/city/programmes/import", self.list_form, methods=["GET"])
        add("/city/programmes/import", self.imported, methods=["POST"])
        add("/city/programmes/fund", self.fund, methods=["POST"])
        add("/city/programmes/requests/{request_id}", self.agree, methods=["POST"])
        return routes

    async def entitlements(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        desk = self.desk.promises
        found, applications = await desk.entitlements(who), await desk.applications(who)
        rows = sorted(found, key=lambda row: NEAREST_FIRST.index(row["standing"]))
        reviews = await desk.reviews(who)
        return self.show(request, "programmes.html", who, rows=rows, applications=applications, reviews=reviews)

    async def programme(self, request: Request, programme_id: str) -> Response:
        """What it promises and asks, for everybody who is signed in; the form for who may apply."""
        who = await self.who(request)
        return self.show(request, "programme.html", who, **await self._form(programme_id, {}))

    async def _form(self, programme_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
        programme = await self.desk.promises.programme(programme_id)
        rules = [rule for rule in await self.desk.rules.list() if rule.id in programme["rules"]]
        reference = fields.get("client_ref") or str(new_id())
        return {"programme": programme, "rules": rules, "fields": fields, "client_ref": reference}

    async def apply(self, request: Request, programme_id: str) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            made = await self.desk.promises.apply(who, programme_id, fields)
        except ShanheError as error:
            return self.again(request, "programme.html", who, error, **await self._form(programme_id, fields))
        return go(f"/applications/{made}", "applied")

    async def check(self, request: Request, programme_id: str) -> Response:
        """The form again, with what sending it would meet; nothing is sent."""
        who, fields = await self.posted(request, "apply")
        checked = await self.desk.promises.check(who, programme_id, fields)
        form = await self._form(programme_id, fields)
        return self.show(request, "programme.html", who, **form, checked=checked)

    async def application(self, request: Request, application: UUID) -> Response:
        who = await self.who(request)
        return self.show(request, "application.html", who, **await self._file(who, application))

    async def _file(self, who: Any, application: UUID) -> dict[str, Any]:
        file = await self.desk.promises.file(who, application)
        programme = await self.desk.promises.programme(file["programme"]) if file["mine"] else None
        return {"file": file, "programme": programme, "fields": file["given"]}

    async def withdraw(self, request: Request, application: UUID) -> Response:
        who, _ = await self.posted(request, "apply")
        await self.desk.promises.withdraw(who, application)
        return go(f"/applications/{application}", "withdrawn")

    async def appeal(self, request: Request, application: UUID) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.promises.appeal(who, application, fields.get("why", ""))
        except ShanheError as error:
            return self.again(request, "application.html", who, error, **await self._file(who, application))
        return go(f"/applications/{application}", "appealed")

    async def supplement(self, request: Request, application: UUID) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.promises.supplement(who, application, fields)
        except ShanheError as error:
            shown = await self._file(who, application) | {"fields": fields}
            return self.again(request, "application.html", who, error, **shown)
        return go(f"/applications/{application}", "supplemented")

    async def claw_back(self, request: Request, application: UUID) -> Response:
        """Ask for an award to end and to come back; a second operator agrees."""
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.promises.claw_back(who, application, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "application.html", who, error, **await self._file(who, application))
        return go(f"/applications/{application}", "payment_asked")

    async def breach(self, request: Request, application: UUID) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.promises.breach(who, application, fields.get("note", ""))
        except ShanheError as error:
            return self.again(request, "application.html", who, error, **await self._file(who, application))
        return go(f"/applications/{application}", "decided")

    async def queue(self, request: Request) -> Response:
        who, query = await self.who(request), request.query_params
        find = query.get("find", "")[:FIND_CHARS].strip()
        wanted = {"programme": query.get("programme", "")[:WORD_CHARS], "find": find}
        overdue, page = query.get("overdue") == "1", _page(query.get("page", ""))
        found = dict(await self.desk.promises.queue(who, page=page, overdue=overdue, **wanted))
        same = urlencode(wanted | ({"overdue": "1"} if overdue else {}))
        waiting = await self.desk.commons.waiting(who)
        found["desks"] = [(*DESKS[name], n) for name, n in waiting.items()]
        return self.show(request, "review.html", who, overdue=overdue, page=page, same=same, **wanted, **found)

    async def case(self, request: Request, application: UUID) -> Response:
        who = await self.who(request)
        case = await self.desk.promises.case(who, application)
        return self.show(request, "case.html", who, case=case, fields=case["given"])

    async def decide(self, request: Request, application: UUID) -> Response:
        who, fields = await self.posted(request)
        verdict, reason = fields.get("verdict", ""), fields.get("reason", "")
        try:
            await self.desk.promises.decide(who, application, verdict, reason, fields)
        except (ShanheError, ValueError) as error:
            case = await self.desk.promises.case(who, application)
            return self.again(request, "case.html", who, error, case=case, fields=fields)
        following = await self.desk.promises.next_case(who, application, _instant(fields.get("due", "")))
        return go(f"/review/{following}" if following else "/review", "decided")

    async def met(self, request: Request, application: UUID, n: int) -> Response:
        """A reviewer accepts a milestone as reached on a day; what it unlocks is paid."""
        who, fields = await self.posted(request)
        case = await self.desk.promises.case(who, application)
        try:
            if (on := day_in(fields, "on")) is None:
                raise Invalid("bad_day", "Give the day on which it was reached.", message_zh="请填写达成日。")
            await self.desk.promises.met(who, application, n, on)
        except ShanheError as error:
            return self.again(request, "case.html", who, error, case=case, fields=fields)
        return go(f"/review/{application}", "decided")

    async def funds(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "funds.html", who, funds=await self.desk.promises.funds())

    async def city(self, request: Request) -> Response:
        who = await self.allowed(request, "programmes", "audit")
        return self.show(request, "city_programmes.html", who, **await self._city(request, who))

    async def _city(self, request: Request, who: Any) -> dict[str, Any]:
        query, desk = request.query_params, self.desk.promises
        wanted, kinds, before = self._wanted(request), desk.kinds(), uuid_in(query, "before")
        budgets, waiting = await desk.budgets(who), await desk.waiting(who)
        rows = await desk.everything(who, **wanted, before=before)
        return {"budgets": budgets, "waiting": waiting, "rows": rows, "kinds": kinds, **wanted,
                "states": STATES, "before": before, "same": urlencode(wanted),
                "funding_id": str(new_id()), "fields": {}}  # fmt: skip

    def _wanted(self, request: Request) -> dict[str, str]:
        """Which applications an address asks for."""
        query = request.query_params
        state, programme = query.get("state", ""), query.get("programme", "")
        return {
            "state": state if state in STATES else "",
            "programme": programme if programme in dict(self.desk.promises.kinds()) else "",
            "find": query.get("find", "")[:FIND_CHARS].strip(),
        }

    async def applications_sheet(self, request: Request) -> Response:
        who = await self.allowed(request, "programmes", "audit")
        lines = await self.desk.promises.sheet(who, **self._wanted(request))
        return self.long_sheet(request, lines, "applications")

    async def reviewers(self, request: Request) -> Response:
        """Who reviews for which department."""
        who = await self.allowed(request, "programmes")
        found = await self.desk.promises.reviewers(who)
        return self.show(request, "reviewers.html", who, found=found, fields={})

    async def reviewer(self, request: Request) -> Response:
        who, fields = await self.posted(request, "programmes")
        department = fields.get("department", "")
        try:
            if fields.get("do") == "dismiss":
                await self.desk.promises.dismiss(who, UUID(fields.get("person", "")), department)
            else:
                await self.desk.promises.assign(who, fields.get("name", ""), department)
        except (ShanheError, ValueError) as error:
            found = await self.desk.promises.reviewers(who)
            return self.again(request, "reviewers.html", who, error, found=found, fields=fields)
        return go("/city/programmes/reviewers", "reviewer_gone" if fields.get("do") == "dismiss" else "reviewer_there")

    async def list_form(self, request: Request) -> Response:
        """An office's list of many who apply: what it has to say for a programme, and the file."""
        who = await self.allowed(request, "programmes")
        wanted = request.query_params.get("programme", "")
        return self.show(request, "import.html", who, **await self._list(wanted, {"batch": str(SystemClock().today())}))

    async def _list(self, wanted: str, fields: Mapping[str, str]) -> dict[str, Any]:
        kinds = self.desk.promises.kinds()
        programme = await self.desk.promises.programme(wanted if wanted in dict(kinds) else kinds[0][0])
        return {"kinds": kinds, "programme": programme, "fields": fields, "report": None, "table": ""}

    async def imported(self, request: Request) -> Response:
        """First what each row would become, with the list in the page; then, all or none, what that said."""
        who = await self.allowed(request, "programmes")
        fields, _, data = await form_with_file(request, who)
        shown = await self._list(fields.get("programme", ""), fields)
        programme, check = shown["programme"]["id"], fields.get("do") != "record"
        try:
            table = data or b64decode(fields.get("table", ""), validate=True)
            report = await self.desk.promises.imported(who, programme, fields.get("batch", ""), table, check=check)
        except (ShanheError, ValueError) as error:
            return self.again(request, "import.html", who, error, **shown)
        if report["recorded"]:
            return go(f"/city/programmes?programme={programme}", "imported")
        again = {"report": report, "table": b64encode(table).decode()}
        return self.view.page(request, "import.html", who, status=422 if report["bad"] else 200, **shown | again)

    async def fund(self, request: Request) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.promises.fund(
                who,
                fields.get("budget", ""),
                fields.get("amount", ""),
                fields.get("reason", ""),
                UUID(fields.get("id", "")),
            )
        except (ShanheError, ValueError) as error:
            shown = await self._city(request, who) | {"fields": fields}
            return self.again(request, "city_programmes.html", who, error, **shown)
        return go("/city/programmes", "payment_asked")

    async def agree(self, request: Request, request_id: UUID) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            yes = fields.get("do") == "approve"
            await self.desk.promises.agree(who, request_id, yes=yes, reason=fields.get("reason", ""))
        except ShanheError as error:
            return self.again(request, "city_programmes.html", who, error, **await self._city(request, who))
        return go("/city/programmes", "decided")


def _page(text: str) -> int:
    return min(int(text), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) <= len(str(PAGES_MAX)) else 0


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
