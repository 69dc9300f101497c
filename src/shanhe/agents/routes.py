"""HTTP of agents: runs and their steps, trying a draft, and the A2A face. The OpenAI face is the gateway's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.agents.a2a import A2aFace, card, city_card
from shanhe.agents.api import Agents, Published
from shanhe.agents.asked import purpose_of
from shanhe.agents.exports import labelled_file
from shanhe.agents.inputs import schema_of
from shanhe.agents.service import FACE_TRY
from shanhe.agents.thumbs import ANSWER_MAX_CHARS, QUESTION_MAX_CHARS, WORD_MAX_CHARS
from shanhe.identity.api import Actor, Caller, Identity, PermissionMissing, org_of, require
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.asking import Named, asked_view
from shanhe.kernel.errors import Invalid, Unauthorized
from shanhe.kernel.http import as_json, bearer
from shanhe.kernel.labelling import check_picture, check_sound, check_text
from shanhe.kernel.provenance import state_of
from shanhe.kernel.routing import APIRouter, Body

BODY_MAX_BYTES = 1024 * 1024
SOUND_MAX_BYTES = 32 * 1024 * 1024
PICTURE_MAX_BYTES = 32 * 1024 * 1024
MESSAGES_MAX = 100
TEXT_MAX = 200_000
CARD_CACHE = {"cache-control": "public, max-age=60"}
CARD_UNKEPT = {"cache-control": "no-store"}
Asking = Annotated[Actor, Depends(actor_of)]
Maker = Annotated[Actor, Depends(require("publish"))]
Payer = Annotated[Actor, Depends(require("usage"))]
Directory = Callable[[], Awaitable[list[tuple[str, str, str]]]]
"""(name, title, what it does) of every agent that is offered."""
DraftOf = Callable[[str, UUID], Awaitable[Published]]


class TryBody(Body):
    messages: list[dict[str, Any]] = Field(min_length=1, max_length=MESSAGES_MAX)
    purpose: str = Field("", max_length=32)
    inputs: dict[str, Any] = Field(default_factory=dict)


class ThumbBody(Body):
    """`share`: the maker may read `question` and `answer`, which are kept for that alone."""

    up: bool
    word: str = Field("", max_length=WORD_MAX_CHARS)
    share: bool = False
    question: str = Field("", max_length=QUESTION_MAX_CHARS)
    answer: str = Field("", max_length=ANSWER_MAX_CHARS)


class RefundBody(Body):
    reason: str = Field(min_length=1, max_length=500)


class LabelBody(Body):
    text: str = Field(min_length=1, max_length=TEXT_MAX)
    label: dict[str, Any]


class FileBody(LabelBody):
    title: str = Field("", max_length=100)
    format: Literal["txt", "md", "docx", "pdf"]


class CheckBody(Body):
    definition: dict[str, Any]
    kind: Literal["agent", "clone", "alliance"] = "agent"


AskRefund = Callable[..., Awaitable[Any]]
"""(run, reason, by): asks a second person to agree; the request."""


def router(
    agents: Agents, identity: Identity, *, url: str, city: str, version: str, directory: Directory, draft: DraftOf,
    named: Named, ask_refund: AskRefund,
) -> APIRouter:  # fmt: skip
    """Everything under /api/agents, /a2a and the well-known card."""
    routes = APIRouter(tags=["agents"])
    _runs(routes, agents, ask_refund)
    _thumbs(routes, agents, draft)
    _drafts(routes, agents, identity, draft)
    _cards(routes, agents, url, city, version, directory, named)
    _rpc(routes, A2aFace(agents), identity)
    _labels(routes, agents)
    return routes


def _runs(routes: APIRouter, agents: Agents, ask_refund: AskRefund) -> None:
    @routes.get("/api/agents/runs")
    async def runs(actor: Asking, before: UUID | None = None) -> Response:
        """Your organisation's runs, newest first."""
        return as_json({"data": [asdict(run) for run in await agents.runs(org_of(actor), before)]})

    @routes.get("/api/agents/costs")
    async def costs(
        actor: Payer, first: Annotated[date, Query(alias="from")], last: Annotated[date, Query(alias="to")]
    ) -> Response:  # fmt: skip
        """What your organisation paid for agents by day, agent and key, from the receipts of their runs."""
        return as_json({"data": [asdict(one) for one in await agents.costs(org_of(actor), first, last)]})

    @routes.get("/api/agents/runs/{run_id}")
    async def run(run_id: UUID, actor: Asking) -> Response:
        """A run with each step, what it cost, and the receipts; no texts are kept."""
        found, steps = await agents.trace(run_id, None if "ledger" in actor.permissions else org_of(actor))
        return as_json({**asdict(found), "steps": [asdict(step) for step in steps]})

    @routes.post("/api/agents/runs/{run_id}/refund", status_code=202)
    async def refund(run_id: UUID, body: RefundBody, actor: Annotated[Actor, Depends(require("accounts"))]) -> Response:
        """Ask to take back everything a run cost and paid, that of an alliance's clones included; another operator
        agrees, then it is done."""
        await agents.trace(run_id, None)
        asked = await ask_refund(run_id, body.reason, by=actor.ref)
        return as_json(asked_view(asked), 202)


def _thumbs(routes: APIRouter, agents: Agents, draft: DraftOf) -> None:
    thumbs = agents.thumbs

    @routes.get("/api/agents/runs/{run_id}/thumb")
    async def thumb(run_id: UUID, actor: Asking) -> Response:
        """What you think of an answer, as it is kept; `null` where nothing is."""
        found = await thumbs.of_run(run_id, org_of(actor), actor.person_id)
        return as_json({"thumb": None if found is None else asdict(found)})

    @routes.put("/api/agents/runs/{run_id}/thumb")
    async def give(run_id: UUID, body: ThumbBody, actor: Asking) -> Response:
        """Rate an answer, or change what you said. Its maker reads the word, and question and answer if you share them;
        never who you are."""
        said = body.model_dump()
        return as_json({"thumb": asdict(await thumbs.give(run_id, org_of(actor), actor.person_id, **said))})

    @routes.delete("/api/agents/runs/{run_id}/thumb")
    async def withdraw(run_id: UUID, actor: Asking) -> Response:
        """Take it back, with everything that is kept of it."""
        return as_json({"withdrawn": await thumbs.withdraw(run_id, org_of(actor), actor.person_id)})

    @routes.get("/api/agents/{slug}/thumbs")
    async def told(slug: str, actor: Maker) -> Response:
        """Of your own agent: thumbs by version and day, the words, and what was shared."""
        name = (await draft(f"agent/{slug}", org_of(actor))).name
        return as_json(asdict(await thumbs.of_maker(name)))


def _drafts(routes: APIRouter, agents: Agents, identity: Identity, draft: DraftOf) -> None:
    @routes.get("/api/agents/{slug}/inputs")
    async def inputs(slug: str) -> Response:
        """What an agent has to be told before it is asked, in its page's words and as a JSON Schema; public."""
        told = (await agents.published(f"agent/{slug}")).definition.inputs
        return as_json({"data": msgspec.to_builtins(told), "schema": schema_of(told)})

    @routes.post("/api/agents/check")
    async def check(body: CheckBody, _: Maker) -> Response:
        """What is wrong with a definition, before it is saved."""
        found = await agents.check(body.definition, kind=body.kind)
        return as_json({"data": [{"name": n, "passed": ok, "zh": zh, "en": en} for n, ok, zh, en in found]})

    @routes.post("/api/agents/{slug}/try")
    async def attempt(slug: str, body: TryBody, request: Request, actor: Maker) -> Response:
        """Run your own draft with your API key: the models are paid at list price, your markup is not due."""
        return await tried("agent", slug, body, request, actor)

    @routes.post("/api/agents/{kind}/{slug}/try")
    async def attempt_kind(
        kind: Literal["agent", "clone", "alliance"], slug: str, body: TryBody, request: Request, actor: Maker
    ) -> Response:
        """The same for a clone or an alliance; a clone's consent is asked for as ever."""
        return await tried(kind, slug, body, request, actor)

    async def tried(kind: str, slug: str, body: TryBody, request: Request, actor: Actor) -> Response:
        caller = await _caller(request, identity)
        if caller.org_id != org_of(actor):
            raise PermissionMissing("publish")
        agent = await draft(f"{kind}/{slug}", caller.org_id)
        done = await agents.run(
            agent, caller, body.messages, face=FACE_TRY, charged=False, purpose=purpose_of(body.purpose),
            inputs=body.inputs,
        )  # fmt: skip
        return as_json({**asdict(done), "steps": [asdict(step) for step in done.steps]})


def _cards(
    routes: APIRouter, agents: Agents, url: str, city: str, version: str, directory: Directory, named: Named
) -> None:
    @routes.get("/.well-known/agent-card.json")
    async def root_card() -> Response:
        """The city's A2A card."""
        return as_json(city_card(await directory(), url, city, version), headers=CARD_UNKEPT)

    @routes.get("/a2a/{slug}/.well-known/agent-card.json")
    async def agent_card(slug: str) -> Response:
        """One agent's A2A card."""
        agent = await agents.published(f"agent/{slug}")
        return as_json(card(agent, await named(agent.owner), url, city), headers=CARD_CACHE)

    @routes.get("/a2a/{kind}/{slug}/.well-known/agent-card.json")
    async def clone_card(kind: Literal["clone", "alliance"], slug: str) -> Response:
        """The card of a clone or an alliance; nobody keeps it, since a consent may end at any moment."""
        agent = await agents.published(f"{kind}/{slug}")
        return as_json(card(agent, await named(agent.owner), url, city), headers=CARD_UNKEPT)


def _rpc(routes: APIRouter, face: A2aFace, identity: Identity) -> None:
    async def serve(request: Request, slug: str | None) -> Response:
        caller = await _caller(request, identity)
        try:
            asked = msgspec.json.decode(await _body(request))
        except (msgspec.DecodeError, RecursionError):
            error = {"code": -32700, "message": "The body is no JSON."}
            return as_json({"jsonrpc": "2.0", "id": None, "error": error})
        return as_json(await face.answer(asked, caller, slug, request.headers.get("a2a-version", "")))

    @routes.post("/a2a")
    async def any_agent(request: Request) -> Response:
        """A2A JSON-RPC; the message's metadata names the agent."""
        return await serve(request, None)

    @routes.post("/a2a/{kind}/{slug}")
    async def one_clone(kind: Literal["clone", "alliance"], slug: str, request: Request) -> Response:
        """A2A JSON-RPC to a clone or an alliance; the message's metadata may name the purpose."""
        return await serve(request, f"{kind}/{slug}")

    @routes.post("/a2a/{slug}")
    async def one_agent(slug: str, request: Request) -> Response:
        """A2A JSON-RPC to one agent."""
        return await serve(request, slug)


def _labels(routes: APIRouter, agents: Agents) -> None:
    key = agents.labels.public_key

    @routes.get("/api/labels/key")
    async def label_key() -> Response:
        """What the labels of this city's generated content are checked with (Ed25519, base64); public."""
        return as_json({"algorithm": "Ed25519", "public_key": key, "c2pa_root": agents.provenance.root})

    @routes.post("/api/labels/check")
    async def check_label(body: LabelBody) -> Response:
        """Whether a text carries the mark and a genuine `AIGC` label of this city; public, nothing is kept."""
        label = body.label.get("AIGC", body.label)
        return as_json(asdict(check_text(body.text, label if isinstance(label, dict) else {}, key)))

    @routes.post("/api/labels/check-sound")
    async def check_a_sound(request: Request) -> Response:
        """The same of a WAV or MP3 file, sent as the body, with what its C2PA manifest comes to."""
        sound = await _body(request, SOUND_MAX_BYTES)
        try:
            found = await asyncio.to_thread(check_sound, sound, key)
            return as_json({**asdict(found), "c2pa": await asyncio.to_thread(state_of, sound)})
        except ValueError as error:
            raise Invalid("no_sound", f"{error}.", message_zh="不是 WAV 或 MP3 文件。") from error

    @routes.post("/api/labels/check-picture")
    async def check_a_picture(request: Request) -> Response:
        """The same of a PNG, JPEG or WebP file, sent as the body."""
        picture = await _body(request, PICTURE_MAX_BYTES)
        try:
            return as_json(asdict(await asyncio.to_thread(check_picture, picture, key)))
        except ValueError as error:
            raise Invalid("no_picture", f"{error}.", message_zh="不是完整的 PNG、JPEG 或 WebP 图片。") from error

    @routes.post("/api/labels/file")
    async def labelled(body: FileBody, actor: Asking) -> Response:
        """A labelled text as a file that keeps its mark and its label: txt, md, docx or pdf. Nothing is kept."""
        content, media, headers = await labelled_file(
            key, body.title, body.text, body.label, body.format, agents.today(), language=actor.language
        )
        return Response(content, media_type=media, headers=headers)


async def _body(request: Request, most: int = BODY_MAX_BYTES) -> bytes:
    parts, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise Invalid("body_too_large", f"The body is larger than {most} bytes.",
                          message_zh=f"请求体超过 {most} 字节。", status=413)  # fmt: skip
        parts.append(piece)
    return b"".join(parts)


async def _caller(request: Request, identity: Identity) -> Caller:
    """The caller behind the request's API key: runs are paid by a key's organisation."""
    token = bearer(request)
    if token is None:
        raise Unauthorized(
            "key_missing", "Runs are paid by an API key: send it as `Authorization: Bearer sk-sh-…`.",
            message_zh="运行由 API 密钥付费：请以 `Authorization: Bearer sk-sh-…` 提供。",
        )  # fmt: skip
    return identity.caller_cached(token) or await identity.caller(token)
