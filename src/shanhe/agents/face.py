"""`model="agent/<name>"`, `clone/…` and `alliance/…` on `/v1/chat/completions`: the gateway hands such calls over."""

from __future__ import annotations

import base64
from collections.abc import Awaitable
from typing import Any, Final

import msgspec

from shanhe.agents.asked import purpose_of
from shanhe.agents.model import Contribution, Outcome
from shanhe.agents.service import FACE_OPENAI, Agents
from shanhe.gateway.api import Call, CallError, Client, Metadata, Parsed, tags_of, under
from shanhe.identity.api import Caller
from shanhe.retrieval.api import Hit

PREFIXES: Final = ("agent/", "clone/", "alliance/")
MARKS: Final = (b'"agent/', b'"clone/', b'"alliance/')
FACE: Final = "openai.chat"
SPEECH: Final = "openai.speech"
JSON_TYPE: Final = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class AgentMetadata(Metadata):
    """`purpose`: what a clone is asked for; `inputs`: what an agent is told first."""

    purpose: Any = None
    inputs: Any = None


class AgentRequest(msgspec.Struct):
    """The fields of a chat request that an agent acts on; the rest is the agent's own business."""

    model: str
    messages: list[dict[str, Any]] = []
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: AgentMetadata | None = None


class SpeechRequest(msgspec.Struct):
    """The fields of a request for speech that a clone acts on; the voice is its own."""

    model: str
    input: str
    response_format: str = "wav"
    metadata: AgentMetadata | None = None


_request = msgspec.json.Decoder(AgentRequest)
_speech = msgspec.json.Decoder(SpeechRequest)


class OpenAiFace:
    """Answers chat completions that name an agent."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def delegate(self, call: Call, client: Client, body: bytes) -> Awaitable[None] | None:
        """The work of a call that names an agent; None for every other."""
        if not any(mark in body for mark in MARKS):
            return None
        if call.face.name == SPEECH:
            return self._spoken(call, client, body)
        if call.face.name != FACE:
            return None
        try:
            request = _request.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # the gateway says what is wrong with it
        return self._serve(call, client, request) if request.model.startswith(PREFIXES) else None

    def _spoken(self, call: Call, client: Client, body: bytes) -> Awaitable[None] | None:
        try:
            request = _speech.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return self._speak(call, client, request) if request.model.startswith(PREFIXES) else None

    async def _speak(self, call: Call, client: Client, request: SpeechRequest) -> None:
        """`/v1/audio/speech`: a text in a clone's voice, as WAV."""
        clone = await self._agents.published(request.model)
        if call.caller.models is not None and request.model not in call.caller.models:
            raise CallError(404, "model_not_found", f"This key may not use {request.model}.", param="model")
        if request.response_format != "wav":
            raise CallError(400, "bad_format", "A clone speaks WAV, which holds its label.", param="response_format")
        caller, purpose = _asked(call.caller, request.metadata)
        sound, said = await self._agents.speak(clone, caller, request.input, purpose=purpose)
        headers = [(b"content-type", b"audio/wav"), (b"x-request-id", call.receipt.encode()),
                   (b"x-shanhe-receipt", str(said.receipt_id).encode())]  # fmt: skip
        await client.answer(200, sound, headers)

    async def _serve(self, call: Call, client: Client, request: AgentRequest) -> None:
        caller = call.caller
        agent = await self._agents.published(request.model)
        if caller.models is not None and request.model not in caller.models:
            raise CallError(404, "model_not_found", f"This key may not use {request.model}.", param="model")
        caller, purpose = _asked(caller, request.metadata)
        inputs = None if request.metadata is None else request.metadata.inputs
        named = (b"x-request-id", call.receipt.encode())
        if request.stream:
            call.parsed = Parsed(request.model, {}, stream=True)
            client.heartbeat(call.face.heartbeat, lambda: [named])
        outcome = await self._agents.run(
            agent, caller, request.messages, face=FACE_OPENAI, purpose=purpose, inputs=inputs
        )
        created = int(call.receipt_id.int >> 80) // 1000
        run = [(b"x-shanhe-run", str(outcome.run_id).encode()), named]
        if outcome.label is not None:
            run.append((b"x-aigc-label", base64.b64encode(_encode({"AIGC": outcome.label}))))
        if outcome.receipt_id is not None:
            run.append((b"x-shanhe-receipt", str(outcome.receipt_id).encode()))
        if not request.stream:
            await client.answer(200, _encode(whole(request.model, outcome, created)), [JSON_TYPE, *run])
            return
        wants_usage = bool(request.stream_options and request.stream_options.include_usage)
        await client.start(run)
        await client.write(events(request.model, outcome, created, wants_usage=wants_usage), last=True)


def _asked(caller: Caller, metadata: AgentMetadata | None) -> tuple[Caller, str]:
    """Who calls, with the tags that every step is counted under, and for which purpose."""
    return under(caller, tags_of(metadata)), purpose_of(None if metadata is None else metadata.purpose)


def whole(model: str, outcome: Outcome, created: int) -> dict[str, Any]:
    """A chat completion; `shanhe` names the run and what each of its steps cost."""
    message = {"role": "assistant", "content": outcome.text, "refusal": None}
    return {
        "id": f"chatcmpl-{outcome.run_id.hex}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage_of(outcome),
        **labels(outcome),
        "shanhe": account_of(outcome),
    }  # fmt: skip


def account_of(outcome: Outcome) -> dict[str, Any]:
    """What an answer rests on, and what each of its steps cost."""
    return {
        "run_id": outcome.run_id,
        "paid_micro": outcome.paid_micro,
        "citations": [citation(hit) for hit in outcome.citations],
        "declined": outcome.declined,
        **({"clones": [contribution(one) for one in outcome.parts]} if outcome.parts else {}),
        "steps": [
            {"n": step.n, "kind": step.kind, "name": step.name, "state": step.state, "paid_micro": step.paid_micro,
             "receipt_id": step.receipt_id} for step in outcome.steps
        ],
    }  # fmt: skip


def events(model: str, outcome: Outcome, created: int, *, wants_usage: bool) -> bytes:
    """The same as a stream: an answer exists only when the run is over, so it comes in one piece."""
    head = {"id": f"chatcmpl-{outcome.run_id.hex}", "object": "chat.completion.chunk", "created": created,
            "model": model}  # fmt: skip
    first = {"index": 0, "delta": {"role": "assistant", "content": outcome.text}, "finish_reason": None}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [first]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **labels(outcome),
         "shanhe": account_of(outcome)},
    ]  # fmt: skip
    if wants_usage:
        chunks.append({**head, "choices": [], "usage": usage_of(outcome)})
    return b"".join(b"data: " + _encode(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def labels(outcome: Outcome) -> dict[str, Any]:
    """The metadata that says that a model made it (GB 45438), where it is a clone that spoke."""
    return {} if outcome.label is None else {"AIGC": outcome.label}


def contribution(one: Contribution) -> dict[str, Any]:
    """A clone's part in an alliance's answer."""
    return {"clone": one.clone, "called": one.called, "score": one.score, "words": one.words, "state": one.state,
            "tokens": one.tokens, "paid_micro": one.paid_micro, "run_id": one.run_id}  # fmt: skip


def citation(hit: Hit) -> dict[str, Any]:
    """Where a passage stands, and what it says."""
    passage = hit.passage
    return {"document": passage.document, "page": passage.page, "box": passage.box, "place": passage.place,
            "heading": passage.heading, "text": passage.text}  # fmt: skip


def usage_of(outcome: Outcome) -> dict[str, int]:
    """Tokens of all steps together."""
    prompt, completion = outcome.prompt_tokens, outcome.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
