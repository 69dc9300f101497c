"""Data sets and the studio: bring data in, look at it, clean it, train on it, put what came out into service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import form_with_file, go
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

WIDTH, HEIGHT = 640, 180
MARGIN: Final = 28
MAY: Final = "usage"
WHOLE_PERCENT: Final = 100
STOP_POLLING: Final = 286
"""The status by which htmx is told to ask no more."""


class WorkshopRoom(Room):
    """`/studio` and what is below it."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/studio", self.overview, methods=["GET"])
        add("/studio/data", self.bring, methods=["POST"])
        add("/studio/data/{version}", self.version, methods=["GET"])
        add("/studio/data/{version}/clean", self.clean, methods=["POST"])
        add("/studio/data/{version}/forget", self.forget, methods=["POST"])
        add("/studio/data/{version}/train", self.train, methods=["POST"])
        add("/studio/templates/{name}", self.begin, methods=["POST"])
        add("/studio/flow", self.flow, methods=["GET"])
        add("/studio/flow", self.run_flow, methods=["POST"])
        add("/studio/jobs/{job}", self.job, methods=["GET"])
        add("/studio/jobs/{job}/resume", self.resume, methods=["POST"])
        add("/studio/jobs/{job}/now", self.now, methods=["GET"])
        add("/studio/jobs/{job}/cancel", self.cancel, methods=["POST"])
        add("/studio/models/{name}/{number}/deploy", self.deploy, methods=["POST"])
        add("/studio/models/{name}/rollback", self.roll_back, methods=["POST"])
        return routes

    async def may(self, request: Request) -> m.Who:
        who = await self.who(request)
        return who if who.may("models") else await self.allowed(request, MAY)

    # -- data ---------------------------------------------------------------------------------------------------------

    async def overview(self, request: Request) -> Response:
        return await self._overview(request, await self.may(request))

    async def _overview(self, request: Request, who: m.Who, **values: Any) -> Response:
        values.setdefault("typed", {})
        values["templates"] = self.desk.workshop.templates()
        return self.show(request, "studio.html", who, studio=await self.desk.workshop.overview(who), **values)

    async def begin(self, request: Request, name: str) -> Response:
        """A template's sample as a data set, and the flow editor with its recipe filled in."""
        who, _ = await self.posted(request)
        version, recipe = await self.desk.workshop.begin(who, name)
        return go(f"/studio/flow?{urlencode({'version': str(version), **recipe})}", "dataset_imported")

    async def bring(self, request: Request) -> Response:
        who = await self.may(request)
        fields, name, data = await form_with_file(request, who)
        try:
            version = await self.desk.workshop.bring(who, fields, name, data)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._overview(request, who, typed=fields, mistake=mistake, status=error.status)
        return go(f"/studio/data/{version}", "dataset_imported")

    async def version(self, request: Request, version: UUID) -> Response:
        return await self._version(request, await self.may(request), version)

    async def _version(self, request: Request, who: m.Who, version: UUID, **values: Any) -> Response:
        found = await self.desk.workshop.version(who, version)
        values = {"typed": {}, "client_ref": str(new_id())} | values
        return self.show(request, "studio_data.html", who, data=found, **values)

    async def clean(self, request: Request, version: UUID) -> Response:
        who, fields = await self.posted(request)
        try:
            cleaner = await self.desk.workshop.clean(who, version, fields)
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._version(request, who, version, mistake=mistake, status=error.status)
        return go(f"/studio/data/{cleaner}", "dataset_cleaned")

    async def forget(self, request: Request, version: UUID) -> Response:
        who, _ = await self.posted(request)
        await self.desk.workshop.forget(who, version)
        return go("/studio", "dataset_forgotten")

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def train(self, request: Request, version: UUID) -> Response:
        who, fields = await self.posted(request)
        try:
            job = await self.desk.workshop.order(who, version, fields)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._version(request, who, version, typed=fields, mistake=mistake, status=status)
        return go(f"/studio/jobs/{job}", "job_ordered")

    async def flow(self, request: Request) -> Response:
        """The flow editor: a form whose groups its script puts on a canvas."""
        who = await self.may(request)
        return await self._flow(request, who, typed=dict(request.query_params))

    async def _flow(self, request: Request, who: m.Who, **values: Any) -> Response:
        values.setdefault("client_ref", str(new_id()))
        return self.show(request, "studio_flow.html", who, flow=await self.desk.workshop.flow(who), **values)

    async def run_flow(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            job = await self.desk.workshop.order(who, UUID(fields.get("version", "")), flow_recipe(fields))
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._flow(request, who, typed=fields, mistake=mistake, status=status)
        return go(f"/studio/jobs/{job}", "job_ordered")

    async def resume(self, request: Request, job: UUID) -> Response:
        who, _ = await self.posted(request)
        return go(f"/studio/jobs/{await self.desk.workshop.resume(who, job)}", "job_ordered")

    async def job(self, request: Request, job: UUID) -> Response:
        who = await self.may(request)
        found = await self.desk.workshop.job(who, job)
        return self.show(request, "studio_job.html", who, job=found, curves=curves(found))

    async def now(self, request: Request, job: UUID) -> Response:
        """The part of the page that changes, for htmx."""
        who = await self.may(request)
        found = await self.desk.workshop.job(who, job)
        status = STOP_POLLING if found["ended_at"] else 200
        return self.show(
            request, "parts/studio_job.html", who, status=status, job=found, curves=curves(found), swapped=True
        )  # fmt: skip

    async def cancel(self, request: Request, job: UUID) -> Response:
        who, _ = await self.posted(request)
        await self.desk.workshop.cancel(who, job)
        return go(f"/studio/jobs/{job}", "job_cancelled")

    # -- models -------------------------------------------------------------------------------------------------------

    async def deploy(self, request: Request, name: str, number: int) -> Response:
        who, fields = await self.posted(request)
        share = fields.get("share", "100")
        if not share.isdigit() or not 1 <= int(share) <= WHOLE_PERCENT:
            raise Invalid("bad_share", "A share is from 1 to 100 percent.", message_zh="灰度比例须在 1% 至 100% 之间。")
        await self.desk.workshop.deploy(who, name, number, int(share))
        return go("/studio", "model_deployed" if int(share) == WHOLE_PERCENT else "model_on_trial")

    async def roll_back(self, request: Request, name: str) -> Response:
        who, _ = await self.posted(request)
        await self.desk.workshop.roll_back(who, name)
        return go("/studio", "model_rolled_back")


def flow_recipe(fields: Mapping[str, str]) -> dict[str, str]:
    """The form's fields, without those of groups that are not used; weights left as they are make an adapter."""
    found = dict(fields)
    if fields.get("with_prune") != "1":
        found["drop_layers"] = "0"
    if fields.get("with_quantize") != "1":
        found |= {"adapter": "1", "quantum": ""}
    return found | {"deploy": "1" if fields.get("with_deploy") == "1" else ""}


def curves(job: Any) -> list[dict[str, Any]]:
    """The loss curves of a job as paths of one drawing each."""
    found = []
    for step in job["steps"]:
        points = job["curves"].get(step["at"], [])
        if not points:
            continue
        most = max(loss for _, _, loss in points) or 1.0
        of = max(1, points[-1][1])
        wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
        places = [(MARGIN + wide * n / of, HEIGHT - MARGIN - high * loss / most) for n, _, loss in points]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        n, of, loss = points[-1]
        found.append(
            {
                "title": step["title"], "path": path, "most": most, "last": loss, "n": n, "of": of,
                "x": round(places[-1][0], 1), "y": round(places[-1][1], 1),
            }
        )  # fmt: skip
    return found
