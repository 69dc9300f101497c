"""A nomad's days, card and tickets; a venue's screen and gate; the city's desk for both."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from shanhe.console.model import Who
from shanhe.console.pages.base import Room
from shanhe.console.qr import qr_path
from shanhe.console.render import form_with_file, go
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.http import as_json, language
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

CAMERA: Final = "camera=(self), geolocation=(), microphone=()"
"""The two pages that scan may use the camera; no other page of the city may."""
WORKER: Final = files("shanhe.console") / "static" / "gate-worker.js"
OFFLINE_WORDS: Final = (
    "count", "waits", "online", "offline", "admitted", "card", "used", "forged", "not_today", "other_kind",
    "unreadable", "companions", "holder", "ready", "not_kept", "sign_in", "refused", "later",
)  # fmt: skip
SAVE: Final = {"content-disposition": 'attachment; filename="nomad-card.sd-jwt"', "cache-control": "no-store"}


class NomadRoom(Room):
    """`/nomad`, `/nomad/check-in`, `/nomad/card`, `/nomad/tickets`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/nomad", self.home, methods=["GET"])
        add("/nomad/consent", self.consent, methods=["POST"])
        add("/nomad/insurance", self.insurance, methods=["POST"])
        add("/nomad/membership", self.membership, methods=["POST"])
        add("/nomad/apply", self.apply, methods=["POST"])
        add("/nomad/appeal", self.appeal, methods=["POST"])
        add("/nomad/check-in", self.check_in, methods=["GET"])
        add("/nomad/check-in", self.checked_in, methods=["POST"])
        add("/nomad/card", self.card, methods=["GET"])
        add("/nomad/card/file", self.card_file, methods=["GET"])
        add("/nomad/tickets", self.tickets, methods=["GET"])
        return routes

    async def home(self, request: Request) -> Response:
        return await self._home(request, await self.allowed(request, "apply"))

    async def _home(self, request: Request, who: Who, **values: Any) -> Response:
        mine = await self.desk.nomads.mine(who)
        status = values.pop("status", 200)
        return self.view.page(request, "nomad.html", who, status=status, mine=mine, client_ref=str(new_id()), **values)

    async def _did(self, request: Request, who: Who, error: ShanheError) -> Response:
        return await self._home(request, who, mistake=self.view.mistake(request, error), status=error.status)

    async def consent(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        given = fields.get("given") == "yes"
        await self.desk.nomads.consent(who, given)
        return go("/nomad", "consent_given" if given else "consent_withdrawn")

    async def insurance(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.nomads.declare(who, fields.get("city", ""))
        except ShanheError as error:
            return await self._did(request, who, error)
        return go("/nomad", "declared")

    async def membership(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.nomads.membership(who, fields.get("proof", ""))
        except ShanheError as error:
            return await self._did(request, who, error)
        return go("/nomad", "membership_known")

    async def apply(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            granted = await self.desk.nomads.apply(who, fields.get("client_ref", ""))
        except ShanheError as error:
            return await self._did(request, who, error)
        if granted:
            return go("/nomad/card", "card_issued")
        return await self._home(request, who, refused=True)

    async def appeal(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.nomads.appeal(who, fields)
        except (ShanheError, ValueError) as error:
            wrong = error if isinstance(error, ShanheError) else Invalid(
                "bad_days", "Write days like 2026-03-02.", message_zh="日期须形如 2026-03-02。"
            )  # fmt: skip
            return await self._did(request, who, wrong)
        return go("/nomad", "appeal_sent")

    async def check_in(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        code, places = request.query_params.get("c", "")[:700], await self.desk.nomads.places()
        return _may_scan(self.show(request, "nomad_check_in.html", who, code=code, places=places))

    async def checked_in(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            seen = await self.desk.nomads.check_in(who, fields.get("code", ""))
        except ShanheError as error:
            places = await self.desk.nomads.places()
            return _may_scan(self.again(request, "nomad_check_in.html", who, error, code="", places=places))
        return go("/nomad", "checked_in" if seen["counted"] else "checked_in_before")

    async def card(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        found = await self.desk.nomads.card(who)
        shown = qr_path(found["shown"], "l") if found["card"] is not None else None
        return self.show(request, "nomad_card.html", who, found=found, shown=shown, door=qr_path(found["pass_code"]))

    async def card_file(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        found = await self.desk.nomads.card(who)
        if found["card"] is None:
            return go("/nomad")
        token = found["token"] if request.query_params.get("all") else found["shown"]
        return PlainTextResponse(token + "\n", headers=SAVE)

    async def tickets(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        purse = await self.desk.nomads.purse(who)
        codes = {item["number"]: qr_path(item["code"]) for item in purse["tickets"] if item["code"]}
        return self.show(request, "nomad_tickets.html", who, purse=purse, codes=codes)


class VenueRoom(Room):
    """`/venues`, a venue's screen and its gate."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/venues", self.list, methods=["GET"])
        add("/venues/{venue_id}/screen", self.screen, methods=["GET"])
        add("/venues/{venue_id}/gate", self.gate, methods=["GET"])
        add("/venues/{venue_id}/gate", self.scanned, methods=["POST"])
        add("/venues/{venue_id}/days", self.feed, methods=["POST"])
        add("/venues/gate-worker.js", self.worker, methods=["GET"])
        add("/venues/{venue_id}/offline", self.offline, methods=["GET"])
        add("/venues/{venue_id}/offline", self.reported, methods=["POST"])
        return routes

    async def list(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "venues.html", who, venues=await self.desk.nomads.venues(who))

    async def screen(self, request: Request, venue_id: UUID) -> Response:
        who = await self.allowed(request, "apply")
        screen = await self.desk.nomads.screen(who, venue_id)
        template = "parts/venue_code.html" if "hx-request" in request.headers else "venue_screen.html"
        return self.show(request, template, who, screen=screen, code=qr_path(screen["link"]))

    async def gate(self, request: Request, venue_id: UUID) -> Response:
        who = await self.allowed(request, "apply")
        venue = await self.desk.nomads.venue(who, venue_id)
        return _may_scan(self.show(request, "venue_gate.html", who, venue=venue, fields={}, done=None, report=None))

    async def scanned(self, request: Request, venue_id: UUID) -> Response:
        who, fields = await self.posted(request, "apply")
        shown: dict[str, Any] = {"done": None, "report": None, "fields": {}}
        try:
            shown["done"] = await self.desk.nomads.gate(who, venue_id, fields)
        except (ShanheError, ValueError) as error:
            shown |= {"fields": fields, "venue": await self.desk.nomads.venue(who, venue_id)}
            return _may_scan(self.again(request, "venue_gate.html", who, error, **shown))
        shown["venue"] = await self.desk.nomads.venue(who, venue_id)
        return _may_scan(self.show(request, "venue_gate.html", who, **shown))

    async def offline(self, request: Request, venue_id: UUID) -> Response:
        """The gate that works without a network once it was opened."""
        who = await self.allowed(request, "apply")
        venue, kit = await self.desk.nomads.venue(who, venue_id), await self.desk.nomads.kit(who, venue_id)
        lang = language(request)  # the script fills what the words leave open
        said = {name: self.view.words.text(f"nomads.off_{name}", lang) for name in OFFLINE_WORDS}
        return _may_scan(self.show(request, "venue_offline.html", who, venue=venue, kit=kit, said=said))

    async def reported(self, request: Request, venue_id: UUID) -> Response:
        """What a gate let in while it was cut off; JSON for its script."""
        who, fields = await self.posted(request, "apply")
        return as_json({"data": await self.desk.nomads.report(who, venue_id, fields.get("scans", ""))})

    async def worker(self) -> Response:
        """The script that keeps the page; it stands here because a worker serves only what lies below it."""
        return Response(WORKER.read_bytes(), media_type="text/javascript", headers={"cache-control": "no-cache"})

    async def feed(self, request: Request, venue_id: UUID) -> Response:
        who = await self.allowed(request, "apply")
        _, _, data = await form_with_file(request, who)
        shown: dict[str, Any] = {"done": None, "report": None, "fields": {}}
        try:
            shown["report"] = await self.desk.nomads.feed(who, venue_id, data)
        except ShanheError as error:
            shown["venue"] = await self.desk.nomads.venue(who, venue_id)
            return _may_scan(self.again(request, "venue_gate.html", who, error, **shown))
        shown["venue"] = await self.desk.nomads.venue(who, venue_id)
        return _may_scan(self.show(request, "venue_gate.html", who, **shown))


class NomadDeskRoom(Room):
    """`/city/nomads`: venues, recognised organisations, sums."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/nomads", self.city, methods=["GET"])
        add("/city/nomads/venues", self.venue_add, methods=["POST"])
        add("/city/nomads/venues/{venue_id}/close", self.venue_close, methods=["POST"])
        add("/city/nomads/venues/{venue_id}/certificate", self.certificate, methods=["POST"])
        add("/city/nomads/organisations", self.recognise, methods=["POST"])
        add("/city/nomads/appeals/{appeal_id}", self.appeal, methods=["POST"])
        return routes

    async def city(self, request: Request) -> Response:
        return await self._city(request, await self.allowed(request, "programmes"))

    async def _city(self, request: Request, who: Who, **values: Any) -> Response:
        status, fields = values.pop("status", 200), values.pop("fields", {})
        found = await self.desk.nomads.operations(who)
        return self.view.page(
            request,
            "city_nomads.html",
            who,
            status=status,
            found=found,
            fields=fields,
            venue_id=str(new_id()),
            **values,
        )

    async def appeal(self, request: Request, appeal_id: UUID) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.nomads.decide_appeal(
                who, appeal_id, uphold=fields.get("do") == "uphold", answer=fields.get("answer", "")
            )
        except ShanheError as error:
            return await self._city(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/nomads", "appeal_decided")

    async def venue_add(self, request: Request) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.nomads.venue_add(who, fields)
        except (ShanheError, ValueError) as error:
            return await self._wrong(request, who, error, fields)
        return go("/city/nomads", "venue_asked" if fields.get("certified") == "on" else "venue_added")

    async def venue_close(self, request: Request, venue_id: UUID) -> Response:
        who, _ = await self.posted(request, "programmes")
        await self.desk.nomads.venue_close(who, venue_id)
        return go("/city/nomads", "venue_closed")

    async def certificate(self, request: Request, venue_id: UUID) -> Response:
        """Asked for, or taken back with a reason."""
        who, fields = await self.posted(request, "programmes")
        try:
            if fields.get("do") == "end":
                await self.desk.nomads.venue_uncertify(who, venue_id, fields.get("reason", ""))
            else:
                await self.desk.nomads.venue_certify(who, venue_id)
        except ShanheError as error:
            return await self._city(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/nomads", "venue_uncertified" if fields.get("do") == "end" else "certificate_asked")

    async def recognise(self, request: Request) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.nomads.recognise(who, fields.get("org", ""), fields.get("public_key", ""))
        except (ShanheError, ValueError) as error:
            return await self._wrong(request, who, error, fields)
        return go("/city/nomads", "organisation_recognised")

    async def _wrong(self, request: Request, who: Who, error: Exception, fields: dict[str, str]) -> Response:
        status = error.status if isinstance(error, ShanheError) else 422
        return await self._city(request, who, mistake=self.view.mistake(request, error), status=status, fields=fields)


def _may_scan(response: Response) -> Response:
    response.headers["permissions-policy"] = CAMERA
    return response
