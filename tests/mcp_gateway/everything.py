"""A publisher's server with everything that the protocol's conformance suite asks of one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
PASSES = ("resources", "prompts", "completions", "logging", "sampling", "elicitation")
OBJECT: dict[str, Any] = {"type": "object", "properties": {}}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": False,
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
}  # fmt: skip
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
STATUS = {"type": "string", "enum": ["active", "inactive", "pending"]}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"}, "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5}, "status": {**STATUS, "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}  # fmt: skip
TITLED = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {"type": "string", "enum": ["a", "b", "c"], "enumNames": ["A", "B", "C"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
    },
}  # fmt: skip
ASKING = {
    "test_elicitation": {"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]},
    "test_elicitation_sep1034_defaults": DEFAULTS,
    "test_elicitation_sep1330_enums": ENUMS,
}
RESOURCES = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched."},
}
PROMPTS = {
    "test_simple_prompt": (), "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",), "test_prompt_with_image": (),
}  # fmt: skip


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def resource(uri: str, kind: str, words: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


ANSWERS: dict[str, list[dict[str, Any]]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"), IMAGE,
        resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
    "test_error_handling": [text("This tool intentionally returns an error for testing")],
    "json_schema_2020_12_tool": [text("ok")],
}  # fmt: skip
DOING = ("test_tool_with_logging", "test_tool_with_progress", "test_sampling", "test_reconnection", *ASKING)
TOOLS = (*ANSWERS, *DOING)


async def log(ctx: Any, words: str) -> None:
    await ctx.session.send_log_message(level="info", data=words, related_request_id=ctx.request_id)


async def do(ctx: Any, name: str, arguments: dict[str, Any]) -> str:
    """What a tool with a life of its own does, and says in the end."""
    import mcp_types as types

    if name == "test_tool_with_logging":
        for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await log(ctx, words)
            await asyncio.sleep(0.05)
    elif name == "test_tool_with_progress":
        for done in (0, 50, 100):
            await ctx.session.report_progress(done, 100)
            await asyncio.sleep(0.05)
    elif name == "test_sampling":
        asked = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=arguments["prompt"]))
        found = await ctx.session.create_message([asked], max_tokens=100, related_request_id=ctx.request_id)
        return f"LLM response: {found.content.text}"
    elif name == "test_reconnection":
        await log(ctx, "Before disconnect")
        if ctx.close_sse_stream is not None:
            await ctx.close_sse_stream()
        await asyncio.sleep(0.2)
    else:
        asking = arguments.get("message", "Please choose")
        found = await ctx.session.elicit_form(asking, ASKING[name], related_request_id=ctx.request_id)
        return f"Elicitation completed: action={found.action}, content={json.dumps(found.content or {})}"
    return f"{name} completed"


def prompt(name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    if name == "test_prompt_with_arguments":
        return [text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'")]
    if name == "test_prompt_with_embedded_resource":
        uri = arguments["resourceUri"]
        return [resource(uri, "text/plain", "Embedded resource content for testing."),
                text("Please process the embedded resource above.")]  # fmt: skip
    if name == "test_prompt_with_image":
        return [IMAGE, text("Please analyze the image above.")]
    return [text("This is a simple prompt for testing.")]


def everything() -> Any:
    """The server."""
    import mcp_types as types
    from mcp.server.lowlevel.server import Server

    async def tools(ctx: Any, params: Any) -> Any:
        schema = {"json_schema_2020_12_tool": SCHEMA}
        listed = [{"name": name, "description": name, "inputSchema": schema.get(name, OBJECT)} for name in TOOLS]
        return types.ListToolsResult.model_validate({"tools": listed})

    async def call(ctx: Any, params: Any) -> Any:
        content = ANSWERS.get(params.name) or [text(await do(ctx, params.name, dict(params.arguments or {})))]
        return types.CallToolResult.model_validate(
            {"content": content, "isError": params.name == "test_error_handling"}
        )

    async def resources(ctx: Any, params: Any) -> Any:
        listed = [{"uri": uri, "name": uri, "description": uri, "mimeType": one["mimeType"]}
                  for uri, one in RESOURCES.items()]  # fmt: skip
        return types.ListResourcesResult.model_validate({"resources": listed})

    async def templates(ctx: Any, params: Any) -> Any:
        one = {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}
        return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": [one]})

    async def read(ctx: Any, params: Any) -> Any:
        uri = str(params.uri)
        number = uri.split("/")[3] if uri.startswith("test://template/") else ""
        data = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        found = RESOURCES.get(uri) or {"mimeType": "application/json", "text": data}
        return types.ReadResourceResult.model_validate({"contents": [{"uri": uri, **found}]})

    async def prompts(ctx: Any, params: Any) -> Any:
        listed = [{"name": name, "description": name, "arguments": [{"name": one, "required": True} for one in named]}
                  for name, named in PROMPTS.items()]  # fmt: skip
        return types.ListPromptsResult.model_validate({"prompts": listed})

    async def get_prompt(ctx: Any, params: Any) -> Any:
        said = prompt(params.name, dict(params.arguments or {}))
        return types.GetPromptResult.model_validate({"messages": [{"role": "user", "content": one} for one in said]})

    async def complete(ctx: Any, params: Any) -> Any:
        return types.CompleteResult.model_validate({"completion": {"values": ["paris", "park"], "total": 2}})

    async def nothing(ctx: Any, params: Any) -> Any:
        return types.EmptyResult()

    return Server(
        "everything", version="1", on_list_tools=tools, on_call_tool=call, on_list_resources=resources,
        on_list_resource_templates=templates, on_read_resource=read, on_list_prompts=prompts, on_get_prompt=get_prompt,
        on_completion=complete, on_set_logging_level=nothing, on_subscribe_resource=nothing,
        on_unsubscribe_resource=nothing,
    )  # fmt: skip


def memory() -> Any:
    """Events by stream, so that a client may ask for those it missed."""
    from mcp.server.streamable_http import EventMessage, EventStore

    class Memory(EventStore):
        def __init__(self) -> None:
            self.events: list[tuple[str, Any]] = []

        async def store_event(self, stream_id: str, message: Any) -> str:
            self.events.append((stream_id, message))
            return str(len(self.events))

        async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
            seen = int(last_event_id)
            if not 1 <= seen <= len(self.events):
                return None
            stream = self.events[seen - 1][0]
            for number, (where, message) in enumerate(self.events[seen:], seen + 1):
                if where == stream and message is not None:
                    await send_callback(EventMessage(message, str(number)))
            return stream

    return Memory()
