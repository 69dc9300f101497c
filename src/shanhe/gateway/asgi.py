"""The hot path's own ASGI application: `/v1/*`, without a framework between the socket and the pipeline."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from shanhe.compute.api import cards
from shanhe.gateway.admission import PRIVATE, understood
from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.anthropic import CountTokens, Messages
from shanhe.gateway.faces.base import Face
from shanhe.gateway.faces.completions import TextCompletions
from shanhe.gateway.faces.embeddings import Embeddings
from shanhe.gateway.faces.images import Edits, Generations
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.faces.rerank import Marks, Rerank
from shanhe.gateway.faces.responses import Responses
from shanhe.gateway.faces.scenes import Forecast, Ocr, Speech
from shanhe.gateway.faces.transcription import Transcriptions
from shanhe.gateway.http import JSON_TYPE, AsgiClient, Client, ClientGone, Headers, Receive, Scope, Send, preflight
from shanhe.gateway.pipeline import told
from shanhe.gateway.repeats import HEADER, REPLAYED, Recorder, Said
from shanhe.kernel.ids import new_id

if TYPE_CHECKING:
    from uuid import UUID

    from shanhe.compute.api import Compute, ModelInfo
    from shanhe.gateway.admission import Admitter
    from shanhe.gateway.dispatch import Dispatcher
    from shanhe.gateway.express import Express, WholeClient
    from shanhe.gateway.pipeline import Pipeline
    from shanhe.gateway.repeats import Repeats
    from shanhe.identity.api import Caller

Desk = Callable[[Client, "Caller"], Awaitable[None]]
"""Answers a request of a known caller, or raises CallError or ShanheError."""
Door = Callable[[Client], Awaitable[None]]
TOOLS_PATH: Final = "/mcp"
COUNT_TOKENS_PATH: Final = "/v1/messages/count_tokens"
INPUT_TOKENS_PATH: Final = "/v1/responses/input_tokens"
MODELS_PATH: Final = "/v1/models"
PREFIX: Final = "/v1/"
KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"access-control-request-method"})
"""Where programs show a key, or a browser asks for a page's program."""
GEMINI_PATH: Final = "/v1beta/"
GEMINI_CALL: Final = re.compile(r"^/v1(beta)?/models/[^/]+:[a-zA-Z]+$")
GEMINI: Final = (
    "Gemini's protocol is not spoken here; use a client of OpenAI's protocol with the base URL {home}/v1."
    " 此处不支持 Gemini 协议：请使用 OpenAI 协议的客户端，base URL 设为 {home}/v1。"
)
SHOWN_MAX: Final = 200
_encode = msgspec.json.Encoder().encode


class GatewayApp:
    """ASGI 3 application for everything below `/v1/`."""

    def __init__(
        self, pipeline: Pipeline, express: Express, admitter: Admitter, dispatcher: Dispatcher, compute: Compute,
        repeats: Repeats,
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._express = express
        self._admitter = admitter
        self._dispatcher = dispatcher
        self._compute = compute
        self._repeats = repeats
        self._openai = Chat()
        self._counts: dict[str, Face] = {COUNT_TOKENS_PATH: CountTokens(), INPUT_TOKENS_PATH: Responses()}
        self._faces: dict[str, Face] = {
            "/v1/chat/completions": self._openai,
            "/v1/completions": TextCompletions(),
            "/v1/embeddings": Embeddings(),
            "/v1/rerank": Rerank(marks_of(compute)),
            "/v1/ocr": Ocr(),
            "/v1/forecast": Forecast(),
            "/v1/audio/speech": Speech(),
            "/v1/audio/transcriptions": Transcriptions(),
            "/v1/images/generations": Generations(),
            "/v1/images/edits": Edits(),
            "/v1/responses": Responses(),
            "/v1/messages": Messages(),
        }
        self._desks: dict[str, Desk] = {}
        self.home = ""
        """The city's public address, for whoever asks at a wrong one."""
        self.tools: Door | None = None
        """Answers what is posted to `/mcp`; None where no tools are offered."""

    def mount(self, word: str, desk: Desk) -> None:
        """Hand `/v1/WORD` and what is below it to `desk`."""
        self._desks[word] = desk

    def face(self, path: str) -> Face | None:
        """The protocol spoken at a path that calls a model."""
        return self._faces.get(path)

    def strays(self, path: str, headers: Headers) -> bool:
        """Whether a request is a program's with a wrong base URL: people's pages are asked for without a key."""
        if path.startswith(GEMINI_PATH):
            return True
        if self._meant(path) is None:
            return False
        return path.startswith("//") or any(name in KEY_HEADERS for name, _ in headers)

    def _meant(self, path: str) -> str | None:
        """The call that a path names but for its `/v1`, which may lack or stand there twice, and its slashes."""
        words = [word for word in path.split("/") if word]
        while words and words[0] == "v1":
            del words[0]
        meant = PREFIX + "/".join(words)
        known = meant in self._faces or meant in self._counts or meant == MODELS_PATH or "/".join(words) in self._desks
        return meant if known else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(AsgiClient(scope, receive, send))

    def begin(self, client: WholeClient, token: str, body: bytes) -> bool:
        """Take a POST that is here as a whole the short way; False = `serve` it."""
        face = self._faces.get(client.path)
        return face is not None and self._express.begin(face, client, token, body)

    async def serve(self, client: Client) -> None:
        """Serve one request, whatever server it came through."""
        if self.tools is not None and client.path.startswith(TOOLS_PATH):
            await self.tools(client)
            return
        named = client.method == "POST" and client.header(HEADER) is not None
        await self._answered(client, self._once(client) if named else self._serve(client))

    async def _answered(self, client: Client, work: Coroutine[Any, Any, None]) -> None:
        """Do what answers a request; what goes wrong before is told in the protocol that it speaks."""
        try:
            await work
        except ClientGone:
            return
        except Exception as error:
            if client.started:
                raise
            await self._pipeline.refuse(self._speaks(client), new_id(), told(error), client)

    async def _once(self, client: Client) -> None:
        """Serve a request that names itself, unless it was served before."""
        caller = await self._admitter.authenticate(client)
        body = await client.body()
        found = await self._repeats.take(caller, client, body)
        if isinstance(found, Said):
            await client.answer(found.status, found.body, [*found.headers, REPLAYED])
            return
        recorder = Recorder(client, body, partial(self._repeats.end, found))
        try:
            await self._answered(recorder, self._serve(recorder, found.attempt))
        except BaseException:
            self._repeats.drop(found)
            raise
        await self._repeats.end(found, recorder)

    def _speaks(self, client: Client) -> Face:
        """Whose words an error is told in that belongs to no call."""
        anthropic = client.path.startswith("/v1/messages") or client.header(b"anthropic-version") is not None
        return self._counts[COUNT_TOKENS_PATH] if anthropic else self._openai

    async def _serve(self, client: Client, receipt_id: UUID | None = None) -> None:
        face = self._faces.get(client.path)
        if face is not None and client.method == "POST":
            await self._pipeline.run(face, client, receipt_id)
            return
        if client.method == "OPTIONS":
            await client.answer(200, b"", preflight(client.header(b"access-control-request-headers")))
            return
        desk = self._desks.get("".join(client.path.split("/", 3)[2:3]))
        if desk is not None:
            await desk(client, await self._admitter.authenticate(client))
            return
        answer = await self._look_up(client, known=face is not None or client.path in self._counts)
        await client.answer(200, _encode(answer), [JSON_TYPE])

    async def _look_up(self, client: Client, *, known: bool) -> dict[str, Any]:
        path = client.path
        if client.method == "POST" and (face := self._counts.get(path)) is not None:
            tokens = await self._count_tokens(client, face)
            kind = {} if path == COUNT_TOKENS_PATH else {"object": "response.input_tokens"}
            return {**kind, "input_tokens": tokens}
        if path.startswith(GEMINI_PATH) or GEMINI_CALL.match(path):
            raise CallError(404, "unknown_url", GEMINI.format(home=self.home))
        if path == MODELS_PATH or path.startswith(MODELS_PATH + "/"):
            return await self._models(client, unquote(path[len(MODELS_PATH) + 1 :]))
        raise self._unknown(client, known=known)

    def _unknown(self, client: Client, *, known: bool, method: str = "POST") -> CallError:
        if known:
            return CallError(405, "method_not_allowed", f"{client.method} is not for this path; use {method}.")
        if (meant := self._meant(client.path)) is not None:
            return CallError(404, "unknown_url", elsewhere(client.path, meant, self.home))
        if client.path.startswith("/v1/responses/"):
            text = "Answers are not stored here, so none can be fetched, cancelled or deleted; send the whole input."
            return CallError(404, "response_not_found", text)
        offered = sorted([*self._faces, *self._counts, MODELS_PATH, *(PREFIX + word for word in self._desks)])
        return CallError(404, "unknown_url", f"There is nothing here. What there is: {', '.join(offered)}.")

    async def _models(self, client: Client, name: str) -> dict[str, Any]:
        if client.method != "GET":
            raise self._unknown(client, known=True, method="GET")
        caller = await self._admitter.authenticate(client)
        anthropic = client.header(b"anthropic-version") is not None
        shape = anthropic_model if anthropic else openai_model
        if name:
            return shape(self._admitter.model(caller, name))
        allowed = [
            shape(model)
            for model in self._compute.models()
            if not model.id.startswith(PRIVATE) and (caller.models is None or model.id in caller.models)
        ]
        if anthropic:
            edge = {"first_id": allowed[0]["id"], "last_id": allowed[-1]["id"]} if allowed else {}
            return {"data": allowed, "has_more": False, "first_id": None, "last_id": None, **edge}
        return {"object": "list", "data": allowed}

    async def _count_tokens(self, client: Client, face: Face) -> int:
        caller = await self._admitter.authenticate(client)
        parsed = understood(face, await client.body())
        model = self._admitter.model(caller, parsed.model)
        if model.kind != "chat":
            raise invalid(f"{model.id} takes no messages.", "model", "wrong_endpoint")
        target = self._compute.route(model.id, data_class=caller.data_class, exclude=frozenset(), needs=frozenset())
        count = None if target is None else await self._dispatcher.count_prompt(target, parsed)
        if count is None:
            raise CallError(503, "no_tokenizer", f"The tokenizer of {model.id} is away; try again.", retry_after_s=5)
        return count


def elsewhere(path: str, meant: str, home: str) -> str:
    """Where the call is that was asked for with a wrong base URL, in both languages: people read it in programs."""
    shown = "".join(sign for sign in path[:SHOWN_MAX] if sign.isprintable())
    return (
        f"There is nothing at {shown}; this call is {meant}. Set the base URL to {home}/v1 in clients of OpenAI's"
        f" protocol, to {home} in clients of Anthropic's. {shown} 没有内容，该接口是 {meant}："
        f"使用 OpenAI 协议的客户端请把 base URL 设为 {home}/v1，使用 Anthropic 协议的设为 {home}。"
    )


def marks_of(compute: Compute) -> Marks:
    """What `Rerank` asks about a model: of its kind the registry knows, of marks before texts its card."""
    known = {card.id: (card.query_mark, card.text_mark) for card in cards()}

    def found(name: str) -> tuple[str, str, str] | None:
        model = compute.model(name)
        return None if model is None else (model.kind, *known.get(model.id, ("", "")))

    return found


def openai_model(model: ModelInfo) -> dict[str, Any]:
    """A model in the OpenAI protocol's words; how much it reads in those of Groq, OpenRouter and vLLM, which clients
    know."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owner,
        "context_window": model.context_tokens,
        "context_length": model.context_tokens,
        "max_model_len": model.context_tokens,
        "name": model.title_en,
        "kind": model.kind,
    }


def anthropic_model(model: ModelInfo) -> dict[str, Any]:
    """A model in the Anthropic protocol's words."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.title_en,
        "created_at": f"{model.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens,
    }
