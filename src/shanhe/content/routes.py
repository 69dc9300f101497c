"""HTTP of the content hub: `/api/content/…`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.content.errors import BadForm, UnknownContent
from shanhe.content.labels import FORMATS, exported
from shanhe.content.model import Draft
from shanhe.content.service import Content
from shanhe.content.views import draft_view, job_view, kinds_view, profile_view, standing_view
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json, private_json
from shanhe.kernel.labelling import Labels
from shanhe.kernel.routing import APIRouter, Body

Writer = Annotated[Actor, Depends(require("chat"))]
Operator = Annotated[Actor, Depends(require("programmes"))]
ReceiptOf = Callable[[UUID, UUID | None], Awaitable[Any]]
"""(receipt, organisation or anybody's): the receipt of a call."""


class OwnBody(Body):
    own: Literal["none", "month", "always"]


class ProfileBody(Body):
    name: str
    fields: dict[str, str] = Field(default_factory=dict)


class JobBody(Body):
    id: UUID | None = None
    kind: str
    fields: dict[str, str]
    tone: str = "plain"
    length: str = "medium"
    language: Literal["zh", "en"] = "zh"
    drafts: int = 1
    model: str = ""


class AgainBody(Body):
    id: UUID | None = None
    drafts: int = 1


class EditBody(Body):
    title: str = ""
    text: str


class CityBody(Body):
    org_id: UUID | None
    model: str = ""


def router(content: Content, labels: Labels, receipt_of: ReceiptOf) -> APIRouter:
    """Everything under /api/content."""
    routes = APIRouter(prefix="/api/content", tags=["content"])
    _city(routes, content)
    _profiles(routes, content)
    _jobs(routes, content)
    _drafts(routes, content, labels, receipt_of)
    return routes


async def shown(content: Content, org_id: UUID, drafts: list[Draft]) -> list[dict[str, Any]]:
    """Drafts with what was found in each."""
    views = []
    for one in drafts:
        form = (await content.job(org_id, one.job))[0].form
        views.append(draft_view(one, content.checked(one, form)))
    return views


def _city(routes: APIRouter, content: Content) -> None:
    @routes.get("/kinds")
    async def kinds(actor: Writer) -> Response:
        """What the hub writes and what each form asks."""
        return as_json(kinds_view())

    @routes.get("/standing")
    async def standing(actor: Writer) -> Response:
        """Free drafts left this month, by which rule, and who pays beyond them."""
        return private_json(standing_view(await content.standing(org_of(actor))))

    @routes.put("/own")
    async def agree(body: OwnBody, actor: Writer) -> Response:
        """Say whether own credits pay beyond the free tier: not, this month, or until it is said otherwise."""
        await content.agree(org_of(actor), body.own, by=actor.ref)
        return private_json(standing_view(await content.standing(org_of(actor))))

    @routes.get("/city")
    async def city(actor: Operator) -> Response:
        """Who pays the free tier, and what it took this month; for operators."""
        return private_json(await content.city())

    @routes.put("/city")
    async def set_city(body: CityBody, actor: Operator) -> Response:
        """Say which government body pays the free tier, and of which model; null closes it. For operators."""
        await content.set_city(body.org_id, by=actor.ref, model=body.model)
        return private_json(await content.city())


def _profiles(routes: APIRouter, content: Content) -> None:
    @routes.get("/profiles")
    async def profiles(actor: Writer) -> Response:
        """Saved profiles of products."""
        return private_json({"data": [profile_view(one) for one in await content.profiles(org_of(actor))]})

    @routes.put("/profiles/{profile}")
    async def save_profile(profile: UUID, body: ProfileBody, actor: Writer) -> Response:
        """Keep a profile under an id; the same id again changes it."""
        made = await content.save_profile(org_of(actor), body.name, body.fields, by=actor.ref, profile_id=profile)
        return private_json(profile_view(made))

    @routes.delete("/profiles/{profile}")
    async def drop_profile(profile: UUID, actor: Writer) -> Response:
        """Delete a profile."""
        await content.drop_profile(org_of(actor), profile)
        return Response(status_code=204)


def _jobs(routes: APIRouter, content: Content) -> None:
    @routes.post("/jobs")
    async def ask(body: JobBody, actor: Writer) -> Response:
        """Have 1 to 3 drafts written; the same id again is the same request. They come one by one: see the request."""
        form = {"fields": body.fields, "tone": body.tone, "length": body.length, "language": body.language}
        job, drafts = await content.ask(
            org_of(actor), body.kind, form, by=actor.ref, drafts=body.drafts, model=body.model, job_id=body.id,
            key_id=actor.key_id,
        )  # fmt: skip
        return private_json(job_view(job, [draft_view(one) for one in drafts]), 202)

    @routes.get("/jobs/{job_id}")
    async def one(job_id: UUID, actor: Writer) -> Response:
        """A request with its drafts; `open` while one is being written."""
        job, drafts = await content.job(org_of(actor), job_id)
        return private_json(job_view(job, [draft_view(one, content.checked(one, job.form)) for one in drafts]))

    @routes.post("/jobs/{job_id}/again")
    async def again(job_id: UUID, body: AgainBody, actor: Writer) -> Response:
        """The same form once more, as a request of its own."""
        job, drafts = await content.again(
            org_of(actor), job_id, by=actor.ref, drafts=body.drafts, new=body.id, key_id=actor.key_id
        )
        return private_json(job_view(job, [draft_view(one) for one in drafts]), 202)


def _drafts(routes: APIRouter, content: Content, labels: Labels, receipt_of: ReceiptOf) -> None:
    @routes.get("/drafts")
    async def drafts(actor: Writer, find: str = "", kind: str = "", before: UUID | None = None) -> Response:
        """Drafts, newest first, a page; `find` in titles and texts."""
        rows = await content.drafts(org_of(actor), find=find, kind=kind, before=before)
        return private_json({"data": [draft_view(one) for one in rows]})

    @routes.get("/drafts/{draft}")
    async def one(draft: UUID, actor: Writer) -> Response:
        """A draft with what was found in it."""
        found = await content.draft(org_of(actor), draft)
        return private_json((await shown(content, org_of(actor), [found]))[0])

    @routes.put("/drafts/{draft}")
    async def edit(draft: UUID, body: EditBody, actor: Writer) -> Response:
        """Change a finished draft; it is checked again, and its label stays."""
        found = await content.edit(org_of(actor), draft, body.title, body.text)
        return private_json((await shown(content, org_of(actor), [found]))[0])

    @routes.delete("/drafts/{draft}")
    async def drop(draft: UUID, actor: Writer) -> Response:
        """Delete a draft; its receipt stays."""
        await content.drop(org_of(actor), draft)
        return Response(status_code=204)

    @routes.get("/drafts/{draft}/export")
    async def export(draft: UUID, actor: Writer, format: str = "txt") -> Response:
        """A draft as a labelled file: txt, md, docx or json."""
        found = await content.draft(org_of(actor), draft)
        return exported_response(labels, found, format)

    @routes.get("/drafts/{draft}/receipt")
    async def receipt(draft: UUID, actor: Writer) -> Response:
        """What the draft cost, who paid it, and why: the rule's decision and the call's receipt."""
        found = await content.draft(org_of(actor), draft)
        return private_json(await receipt_view(content, found, receipt_of))


async def receipt_view(content: Content, draft: Draft, receipt_of: ReceiptOf) -> dict[str, Any]:
    """Who paid a draft, by which decision, and the receipt; UnknownContent before there is one."""
    if draft.state != "done" or draft.receipt_id is None:
        raise UnknownContent("receipt", "凭据")
    receipt = await receipt_of(draft.receipt_id, draft.payer_org)
    return {"payer": draft.payer, "payer_name": await content.payer_name(draft), "decision": content.why_paid(draft),
            "receipt": receipt}  # fmt: skip


def exported_response(labels: Labels, draft: Draft, form: str) -> Response:
    """A file to save; BadForm for another format or a draft that is no text yet."""
    if form not in FORMATS:
        raise BadForm(f"Formats are {', '.join(FORMATS)}", f"格式可选：{'、'.join(FORMATS)}")
    if draft.state != "done":
        raise UnknownContent("finished draft", "已完成的文稿")
    data = exported(labels, form, str(draft.id), draft.title, draft.text, draft.model)
    headers = {"content-disposition": f'attachment; filename="draft-{draft.id}.{form}"', "cache-control": "no-store"}
    return Response(data, media_type=FORMATS[form], headers=headers)
