"""The playground: a chat that runs through the gateway like anybody's call, with the receipt beside the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from shanhe.console import model as m
from shanhe.console import model_postings as mp
from shanhe.console import once
from shanhe.console.pages.base import Room
from shanhe.console.render import check_token, go
from shanhe.gateway.api import CallError
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.routing import APIRouter

PROMPT_CHARS_MAX = 32_000
REFUSED = 400
TURNS_MAX = 60
TOKENS_DEFAULT = 512
TOKENS_MAX = 8_192
AGENTS_SHOWN_MAX = 50
"""The best ranked agents, beside the models; the rest are tried on their own pages."""
TALK: dict[str, Any] = {"draft": False, "prompt": "", "answer": "", "found": None, "told": {}}
PASSED_HEADERS = ("content-type", "x-shanhe-receipt", "x-shanhe-run", "x-request-id", "retry-after")
TOLD: Final = "told_"
"""What the fields of an agent's inputs are called, before their own names."""
ROLES = ("system", "user", "assistant")


class Turn(msgspec.Struct):
    role: str
    content: str


class Ask(msgspec.Struct):
    """What the page sends; everything else a chat request may carry is for API callers."""

    model: str
    messages: list[Turn]
    max_tokens: int = TOKENS_DEFAULT
    temperature: float = 0.7
    inputs: dict[str, str] = {}


class Choice(msgspec.Struct):
    message: Turn


class Answer(msgspec.Struct):
    choices: list[Choice]


class PlayRoom(Room):
    """`/playground`, and the page of each agent, offered or a draft."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/playground", self.page, methods=["GET"])
        add("/playground", self.ask, methods=["POST"])
        add("/playground/chat", self.chat, methods=["POST"])
        add("/playground/runs/{run}", self.run, methods=["GET"])
        add("/playground/runs/{run}/thumb", self.rate, methods=["POST"])
        add("/makers/agent/{slug}/thumbs", self.thumbs, methods=["GET"])
        add("/store/{kind}/{slug}/talk", self.talk, methods=["GET"])
        add("/makers/{kind}/{slug}/talk", self.talk_draft, methods=["GET"])
        add("/makers/{kind}/{slug}/talk", self.ask_draft, methods=["POST"])
        add("/makers/{kind}/{slug}/chat", self.chat_draft, methods=["POST"])
        return routes

    async def page(self, request: Request) -> Response:
        who = await self.allowed(request, "chat")
        kept = await self.answer_of(request, who)
        if not kept:
            return await self._page(request, who, lapsed=kept is not None)
        receipt = await self._receipt(who, str(kept.pop("receipt", "")))
        return await self._page(request, who, **kept, receipt=receipt)

    async def _page(self, request: Request, who: m.Who, **values: Any) -> Response:
        every = await self.desk.member.models()
        models = [model for model in every if model.kind == "chat"]
        offered, _ = await self.desk.shop.window("agent", "", most=AGENTS_SHOWN_MAX)
        agents = [row["name"] for row in offered]
        shown = {"prompt": "", "answer": "", "receipt": None, "chosen": "", "strip": [], "lapsed": False, **values}
        shown["paints"] = any(model.kind == "image" for model in every)
        return self.show(request, "playground.html", who, models=models, agents=agents, tokens=TOKENS_DEFAULT, **shown)

    async def chat(self, request: Request) -> Response:
        """Pass a chat to the gateway as this person's session and stream what comes back."""
        who = await self.allowed(request, "chat")
        check_token(request, who, request.headers.get("x-csrf-token", ""))
        ask = _read(await request.body())
        answer = self.desk.talk.stream(who, body_of(ask, stream=True))
        status, headers, first = await anext(answer, (502, {}, b""))
        passed = {name: value for name, value in headers.items() if name in PASSED_HEADERS}
        if status >= REFUSED:
            data = first + b"".join([piece async for _, _, piece in answer])
            body = {"error": {"message": self.view.refusal(request, data)}}
            return JSONResponse(body, status_code=status, headers={"cache-control": "no-store"})
        return StreamingResponse(
            _rest(first, answer),
            status_code=status,
            headers={**passed, "cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def ask(self, request: Request) -> Response:
        """The same without scripts: one question, one answer, one receipt; on a page of their own, which a reload shows
        again and asks nothing."""
        who, fields = await self.posted(request, "chat")
        prompt, model = fields.get("prompt", "")[:PROMPT_CHARS_MAX], fields.get("model", "")
        body = body_of(Ask(model, [Turn("user", prompt)]), stream=False)
        head: dict[str, str] = {}
        status, data = 502, b""
        async for code, headers, piece in self.desk.talk.stream(who, body):
            status, head, data = code or status, dict(headers) or head, data + piece
        try:
            text = msgspec.json.decode(data, type=Answer).choices[0].message.content
        except (msgspec.MsgspecError, IndexError):
            mistake = self.view.refusal(request, data)
            status = max(status, REFUSED)
            return await self._page(request, who, prompt=prompt, chosen=model, mistake=mistake, status=status)
        kept = {"prompt": prompt, "answer": text[: once.ANSWER_CHARS_MAX], "chosen": model}
        return await self.answered(request, who, "/playground", kept | {"receipt": head.get("x-shanhe-receipt", "")})

    # -- one agent's page ---------------------------------------------------------------------------------------------

    async def talk(self, request: Request, kind: str, slug: str) -> Response:
        """An agent's own page: the address that its maker hands on. Whoever asks pays."""
        who, name = await self.allowed(request, "chat"), f"{kind}/{slug}"
        return self.show(request, "talk.html", who, face=await self.desk.talk.face(name), **TALK)

    async def talk_draft(self, request: Request, kind: str, slug: str) -> Response:
        """The same of a maker's draft, beside what it costs."""
        who, name = await self.allowed(request, "publish"), f"{kind}/{slug}"
        kept = await self.answer_of(request, who) or {}
        if kept.get("run"):
            kept |= {"found": await self.desk.talk.run(who, UUID(str(kept["run"])))}
        face = await self.desk.talk.face(name, who.org_id)
        return self.show(request, "talk.html", who, face=face, **TALK | {"draft": True} | kept)

    async def chat_draft(self, request: Request, kind: str, slug: str) -> Response:
        """Ask the draft; the answer comes in one piece, as an agent's always does."""
        who = await self.allowed(request, "publish")
        check_token(request, who, request.headers.get("x-csrf-token", ""))
        ask = _read(await request.body())
        try:
            run, data = await self.desk.talk.draft(who, f"{kind}/{slug}", messages_of(ask), ask.inputs)
        except (ShanheError, CallError) as error:
            body = {"error": {"message": self._refusal(request, error)}}
            return JSONResponse(body, status_code=error.status, headers={"cache-control": "no-store"})
        headers = {"x-shanhe-run": str(run), "cache-control": "no-store"}
        return StreamingResponse(iter((data,)), media_type="text/event-stream", headers=headers)

    async def ask_draft(self, request: Request, kind: str, slug: str) -> Response:
        """The same without scripts."""
        who, fields = await self.posted(request, "publish")
        name, prompt = f"{kind}/{slug}", fields.get("question", "")[:PROMPT_CHARS_MAX]
        told = inputs_of(fields)
        try:
            run, data = await self.desk.talk.draft(who, name, messages_of(Ask(name, [Turn("user", prompt)])), told)
        except (ShanheError, CallError) as error:
            shown = TALK | {"draft": True, "prompt": prompt, "told": told, "mistake": self._refusal(request, error)}
            face = await self.desk.talk.face(name, who.org_id)
            return self.show(request, "talk.html", who, status=error.status, face=face, **shown)
        kept = {"prompt": prompt, "answer": text_of(data)[: once.ANSWER_CHARS_MAX], "run": str(run), "told": told}
        return await self.answered(request, who, f"/makers/{name}/talk", kept)

    def _refusal(self, request: Request, error: ShanheError | CallError) -> str:
        if isinstance(error, ShanheError):
            return self.view.mistake(request, error)
        return self.view.refusal(
            request, msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
        )

    async def run(self, request: Request, run: UUID) -> Response:
        """What a run of an agent cost, step by step."""
        who = await self.allowed(request, "chat")
        return self.show(request, "parts/agent_run.html", who, found=await self.desk.talk.run(who, run))

    async def rate(self, request: Request, run: UUID) -> Response:
        """Thumbs up or down on its answer, with a word; without a script, back to the agent's page."""
        who, fields = await self.posted(request, "chat")
        try:
            await self.desk.talk.thumb(who, run, fields)
        except ShanheError as error:
            if "hx-request" not in request.headers:
                raise
            shown = {"found": await self.desk.talk.run(who, run), "mistake": self.view.mistake(request, error)}
            return self.show(request, "parts/agent_run.html", who, status=error.status, **shown)
        found = await self.desk.talk.run(who, run)
        if "hx-request" in request.headers:
            return self.show(request, "parts/agent_run.html", who, found=found)
        return go(f"/store/{found['run'].agent}", "thumb_withdrawn" if found["thumb"] is None else "thumb_given")

    async def thumbs(self, request: Request, slug: str) -> Response:
        """What is thought of an agent, for its maker."""
        who, name = await self.allowed(request, "publish"), f"agent/{slug}"
        return self.show(request, "thumbs.html", who, agent=name, told=await self.desk.talk.thumbs(who, name))

    async def _receipt(self, who: m.Who, receipt_id: str) -> mp.Receipt | None:
        try:
            return await self.desk.member.receipt(who, UUID(receipt_id))
        except (ShanheError, ValueError):
            return None


def _read(body: bytes) -> Ask:
    try:
        return msgspec.json.decode(body, type=Ask)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid("bad_chat", str(error), message_zh="对话请求格式不正确。") from error


def text_of(events: bytes) -> str:
    """The words of an answer that came as an event stream."""
    lines = [line.removeprefix(b"data: ") for line in events.splitlines() if line.startswith(b"data: {")]
    chunks = [msgspec.json.decode(line)["choices"] for line in lines]
    return "".join(choices[0]["delta"].get("content", "") for choices in chunks if choices)


def inputs_of(fields: Mapping[str, str]) -> dict[str, str]:
    """What an agent is told first, out of a form: what was left empty is not said."""
    told = {name.removeprefix(TOLD): text for name, text in fields.items() if name.startswith(TOLD)}
    return {name: text.replace("\r\n", "\n") for name, text in told.items() if text.strip()}


def messages_of(ask: Ask) -> list[dict[str, str]]:
    """A conversation that the page may send; `Invalid` for anything beyond its bounds."""
    size = sum(len(turn.content) for turn in ask.messages)
    if not ask.messages or len(ask.messages) > TURNS_MAX or size > PROMPT_CHARS_MAX:
        raise Invalid(
            "chat_too_long",
            "The conversation is empty or too long for the playground.",
            message_zh="对话为空，或超出体验区的长度上限。",
            hint="Start a new conversation, or use the API for long contexts.",
            hint_zh="请新建对话；长文本请使用 API。",
        )
    if any(turn.role not in ROLES for turn in ask.messages) or not 0 < ask.max_tokens <= TOKENS_MAX:
        raise Invalid("bad_chat", "A role or a limit is not one the playground knows.", message_zh="对话参数不正确。")
    return [{"role": turn.role, "content": turn.content} for turn in ask.messages]


def body_of(ask: Ask, *, stream: bool) -> bytes:
    """A chat request from what the page may say; `Invalid` for anything beyond its bounds."""
    body: dict[str, Any] = {
        "model": ask.model,
        "messages": messages_of(ask),
        "max_tokens": ask.max_tokens,
        "temperature": min(max(ask.temperature, 0.0), 2.0),
        "stream": stream,
    }
    if ask.inputs:
        body["metadata"] = {"inputs": ask.inputs}
    if stream:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


async def _rest(first: bytes, answer: AsyncIterator[tuple[int, Any, bytes]]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for _, _, piece in answer:
        yield piece
