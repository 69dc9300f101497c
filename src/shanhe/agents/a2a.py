"""A2A 1.0 over JSON-RPC: agent cards, and one message in, one finished task out.

Tasks are runs. Answers are not kept, so a task that is asked for again shows its state and cost, not its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from shanhe.agents.asked import purpose_of
from shanhe.agents.errors import BadInputs, BadRequest, UnknownRun
from shanhe.agents.face import citation, labels
from shanhe.agents.inputs import schema_of
from shanhe.agents.model import Outcome, Published, Run, RunState
from shanhe.agents.service import FACE_A2A, Agents
from shanhe.gateway.api import CallError
from shanhe.identity.api import Caller
from shanhe.kernel.errors import ShanheError

PROTOCOL: Final = "1.0"
PARTS_MAX: Final = 32
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32600, -32601, -32602, -32603
TASK_NOT_FOUND, NOT_CANCELABLE, UNSUPPORTED, VERSION_UNSUPPORTED = -32001, -32002, -32004, -32009
STATES: Final = {
    RunState.RUNNING: "TASK_STATE_WORKING", RunState.DONE: "TASK_STATE_COMPLETED", RunState.FAILED: "TASK_STATE_FAILED",
}  # fmt: skip
TEXT_MODES: Final = ["text/plain"]


class RpcError(Exception):
    """An error in the words of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def card(agent: Published, maker: str, url: str, city: str) -> dict[str, Any]:
    """What an agent says of itself to other agents."""
    about = agent.summary_en or agent.summary_zh or agent.title_en
    skill = {
        "id": agent.name, "name": agent.title_en, "description": about, "tags": ["agent"],
        "inputModes": TEXT_MODES, "outputModes": TEXT_MODES,
        **({"examples": list(agent.definition.questions)} if agent.definition.questions else {}),
    }  # fmt: skip
    made = _card(agent.title_en, about, f"{url}/a2a/{address_of(agent.name)}",
                 str(agent.version), [skill], {"organization": maker, "url": url}, city)  # fmt: skip
    if inputs := agent.definition.inputs:
        made["capabilities"]["extensions"] = [{
            "uri": f"{url}/api/agents/{address_of(agent.name)}/inputs", "params": schema_of(inputs),
            "description": "What message.metadata.inputs holds, as a JSON Schema.",
            "required": any(one.required for one in inputs),
        }]  # fmt: skip
    return made


def city_card(agents: Sequence[tuple[str, str, str]], url: str, city: str, version: str) -> dict[str, Any]:
    """The city's own card: each published agent (name, title, what it does) is a skill with a card of its own."""
    skills = [
        {"id": name, "name": title, "tags": ["agent"], "inputModes": TEXT_MODES, "outputModes": TEXT_MODES,
         "description": f"{about} Card: {url}/a2a/{address_of(name)}/.well-known/agent-card.json"}
        for name, title, about in agents
    ]  # fmt: skip
    about = "Agents of the city. Name one in the message's metadata (`agent`), or use the agent's own card."
    return _card(city, about, f"{url}/a2a", version, skills, {"organization": city, "url": url}, city)


def address_of(name: str) -> str:
    """Where one is spoken to: agents by their short name, others by their whole one."""
    return name.removeprefix("agent/")


def _card(
    name: str, about: str, address: str, version: str, skills: list[dict[str, Any]], provider: dict[str, Any], city: str
) -> dict[str, Any]:
    bearer = {"httpAuthSecurityScheme": {"scheme": "Bearer", "description": f"An API key of {city}."}}
    return {
        "name": name, "description": about, "version": version, "provider": provider, "skills": skills,
        "supportedInterfaces": [{"url": address, "protocolBinding": "JSONRPC", "protocolVersion": PROTOCOL}],
        "capabilities": {"streaming": False, "pushNotifications": False, "extendedAgentCard": False},
        "securitySchemes": {"key": bearer}, "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        "defaultInputModes": TEXT_MODES, "defaultOutputModes": TEXT_MODES,
    }  # fmt: skip


class A2aFace:
    """Answers JSON-RPC requests."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def answer(self, request: Any, caller: Caller, slug: str | None, version: str) -> dict[str, Any]:
        """The response to one request; failures are JSON-RPC errors, with what to do next in their message."""
        number = request.get("id") if isinstance(request, dict) else None
        try:
            if version not in ("", PROTOCOL):
                raise RpcError(VERSION_UNSUPPORTED, f"A2A {version[:10]} is not spoken here; use {PROTOCOL}.")
            if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
                raise RpcError(INVALID_REQUEST, "Send a JSON-RPC 2.0 request.")
            result = await self._result(str(request.get("method")), request.get("params"), caller, slug)
        except RpcError as error:
            return _error(number, error.code, error.message)
        except UnknownRun:
            return _error(number, TASK_NOT_FOUND, "There is no such task of yours.")
        except (BadRequest, BadInputs) as error:
            return _error(number, INVALID_PARAMS, error.message)
        except (ShanheError, CallError) as error:
            text = error.whole_text if isinstance(error, ShanheError) else error.message
            return _error(number, INTERNAL, text, {"code": error.code, "status": error.status})
        return {"jsonrpc": "2.0", "id": number, "result": result}

    async def _result(self, method: str, params: Any, caller: Caller, slug: str | None) -> dict[str, Any]:
        if not isinstance(params, dict):
            raise RpcError(INVALID_PARAMS, "params must be an object.")
        if method == "SendMessage":
            return await self._send(params, caller, slug)
        if method in ("GetTask", "CancelTask"):
            run, _ = await self._agents.trace(_uuid(params.get("id")), caller.org_id)
            if method == "CancelTask":
                raise RpcError(NOT_CANCELABLE, "A task is over when its message is answered.")
            return task_of_run(run)
        if method in ("SendStreamingMessage", "SubscribeToTask"):
            raise RpcError(UNSUPPORTED, "Streaming is not offered; use SendMessage.")
        raise RpcError(METHOD_NOT_FOUND, f"There is no method {method[:60]!r}.")

    async def _send(self, params: Mapping[str, Any], caller: Caller, slug: str | None) -> dict[str, Any]:
        message = params.get("message")
        if not isinstance(message, dict):
            raise RpcError(INVALID_PARAMS, "params.message must be an object.")
        name = slug
        for metadata in (message.get("metadata"), params.get("metadata")):
            if name is None and isinstance(metadata, dict) and isinstance(metadata.get("agent"), str):
                name = metadata["agent"]
        if name is None:
            raise RpcError(INVALID_PARAMS, "Name an agent in the message's metadata (`agent`), or use its own address.")
        agent = await self._agents.published(full_name(name))
        if caller.models is not None and agent.name not in caller.models:
            raise RpcError(INVALID_PARAMS, f"This key may not use {agent.name}.")
        asked = [{"role": "user", "content": text_of(message)}]
        metadata = message.get("metadata")
        told = metadata if isinstance(metadata, dict) else {}
        outcome = await self._agents.run(
            agent, caller, asked, face=FACE_A2A, purpose=purpose_of(told.get("purpose")), inputs=told.get("inputs")
        )
        return {"task": task_of(outcome, str(message.get("contextId") or outcome.run_id))}


def full_name(name: str) -> str:
    """The name callers use: an agent's may be said without its kind."""
    return name if name.startswith(("agent/", "clone/", "alliance/")) else f"agent/{name}"


def text_of(message: Mapping[str, Any]) -> str:
    """The text parts of a message; other parts are refused, since no agent reads them."""
    parts = message.get("parts")
    if not isinstance(parts, list) or not 1 <= len(parts) <= PARTS_MAX:
        raise RpcError(INVALID_PARAMS, f"message.parts must hold 1 to {PARTS_MAX} parts.")
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    found = [text for text in texts if isinstance(text, str)]
    if len(found) < len(parts):
        raise RpcError(INVALID_PARAMS, "Only text parts are understood.")
    return "\n".join(found)


def task_of(outcome: Outcome, context: str) -> dict[str, Any]:
    """A finished run as a task: its answer is the artifact, its cost the metadata."""
    receipts = [str(step.receipt_id) for step in outcome.steps if step.receipt_id is not None]
    part = {"text": outcome.text, "mediaType": "text/plain"}
    return {
        "id": str(outcome.run_id), "contextId": context, "status": {"state": "TASK_STATE_COMPLETED"},
        "artifacts": [{"artifactId": "answer", "name": "answer", "parts": [part]}],
        "metadata": {"paid_micro": outcome.paid_micro, "receipts": receipts, "declined": outcome.declined,
                     "citations": [citation(hit) for hit in outcome.citations], **labels(outcome)},
    }  # fmt: skip


def task_of_run(run: Run) -> dict[str, Any]:
    """A run as its record has it."""
    return {
        "id": str(run.id), "contextId": str(run.id), "status": {"state": STATES[run.state]},
        "metadata": {"paid_micro": run.paid_micro, "error": run.error},
    }  # fmt: skip


def _uuid(text: Any) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise UnknownRun() from None


def _error(number: Any, code: int, message: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    error = {"code": code, "message": message, **({"data": data} if data else {})}
    return {"jsonrpc": "2.0", "id": number, "error": error}
