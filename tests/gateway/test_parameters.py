"""Every parameter of the protocols does what `docs/parameters.md` says of it."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.gateway.test_scenes import png, says, wav

from shanhe.gateway.faces.transcription import form_parts
from shanhe.kernel.ids import new_id
from stage.later import Later

from .conftest import Desk, target_for
from .engine import raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOCS = Path(__file__).parents[2] / "docs"
USED, TAKEN, REFUSED = "used", "taken", "refused"
CLASSES: Final = {USED: "生效", TAKEN: "收下", REFUSED: "拒绝"}
NAME = re.compile(r"`([a-z_]+)`")
chat_types: Any = Later("openai.types.chat.completion_create_params")
text_types: Any = Later("openai.types.completion_create_params")
response_types: Any = Later("openai.types.responses.response_create_params")
embedding_types: Any = Later("openai.types.embedding_create_params")
speech_types: Any = Later("openai.types.audio.speech_create_params")
sound_types: Any = Later("openai.types.audio.transcription_create_params")
image_types: Any = Later("openai.types.image_generate_params")
edit_types: Any = Later("openai.types.image_edit_params")
message_types: Any = Later("anthropic.types.message_create_params")
beta_types: Any = Later("anthropic.types.beta.message_create_params")

HELLO = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
BASE: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"model": "syn", "messages": HELLO},
    "/v1/completions": {"model": "syn", "prompt": "Hi"},
    "/v1/responses": {"model": "syn", "input": "Hi"},
    "/v1/embeddings": {"model": "syn", "input": "Hi"},
    "/v1/audio/speech": {"model": "syn", "input": "Hi"},
    "/v1/audio/transcriptions": {"model": "syn"},
    "/v1/images/generations": {"model": "syn", "prompt": "Hi"},
    "/v1/images/edits": {"model": "syn", "prompt": "Hi"},
    "/v1/messages": {"model": "syn", "max_tokens": 8, "messages": HELLO},
}
KIND: Final = {
    "/v1/embeddings": "embedding", "/v1/audio/speech": "speech", "/v1/audio/transcriptions": "transcription",
    "/v1/images/generations": "image", "/v1/images/edits": "image",
}  # fmt: skip
VALUES: Final[dict[str, Any]] = {
    "audio": {"voice": "alloy", "format": "wav"}, "background": True, "best_of": 3, "betas": ["x-2026-01-01"],
    "billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}, "cache_control": {"type": "ephemeral"},
    "chunking_strategy": "auto", "compaction": {"type": "enabled"}, "container": "c",
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}, "conversation": "conv_1",
    "diagnostics": {"previous_message_id": "m"}, "echo": True, "fallback_credit_token": "t",
    "fallbacks": [{"model": "other"}], "function_call": "auto", "functions": [{"name": "f"}], "include": ["logprobs"],
    "inference_geo": "us", "instructions": "Whisper.", "keywords": ["Shanhe"], "known_speaker_names": ["A"],
    "known_speaker_references": ["data:"], "languages": ["zh"], "max_tool_calls": 2,
    "mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}], "modalities": ["text", "audio"],
    "moderation": {"model": "m"}, "partial_images": 2, "prediction": {"type": "content", "content": "x"},
    "previous_response_id": "resp_1",
    "prompt": {"id": "p"}, "prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h", "safety_identifier": "s", "service_tier": "priority", "speed": "fast",
    "store": True, "stream": True, "stream_format": "sse", "stream_options": {"include_obfuscation": False},
    "suffix": "x", "thread": {"type": "create"}, "timestamp_granularities": ["word"], "top_logprobs": 3,
    "truncation": "auto", "user": "u1", "user_profile_id": "u", "web_search_options": {}, "workspace_id": "w",
}  # fmt: skip
HARMLESS: Final[dict[str, list[Any]]] = {
    "audio": [None], "background": [False, None], "best_of": [1], "billing_policy": [None, {
        "type": "billing_policy", "bill_to": "self"}], "compaction": [None], "container": [None],
    "conversation": [None], "echo": [False], "fallbacks": ["default", None], "function_call": [None],
    "functions": [None], "inference_geo": ["global", None], "instructions": [""], "mcp_servers": [[], None],
    "modalities": [["text"], None], "moderation": [None], "previous_response_id": [None], "prompt": [None],
    "stream_format": ["audio"], "suffix": [None], "thread": [None], "timestamp_granularities": [["segment"]],
    "partial_images": [0], "top_logprobs": [0],
    "truncation": ["disabled", None], "web_search_options": [None], "stream": [False],
}  # fmt: skip
SEEN: Final[dict[str, Any]] = {
    "/v1/chat/completions": {
        "frequency_penalty": 0.5, "presence_penalty": 0.5, "temperature": 0.5, "top_p": 0.5, "seed": 3, "stop": "x",
        "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "n": 2, "user": "u", "max_tokens": 7,
        "max_completion_tokens": 7, "tools": [TOOL], "response_format": {"type": "json_object"}, "verbosity": "low",
        "reasoning_effort": "low", "reasoning": {"effort": "none"}, "thinking": {"type": "disabled"},
        "enable_thinking": False, "thinking_budget": 0, "chat_template_kwargs": {"enable_thinking": False},
        "stream": True,
    },
    "/v1/completions": {
        "frequency_penalty": 0.5, "presence_penalty": 0.5, "temperature": 0.5, "top_p": 0.5, "seed": 3, "stop": "x",
        "logit_bias": {"5": 1}, "logprobs": 2, "n": 2, "user": "u", "max_tokens": 7, "stream": True,
    },
    "/v1/responses": {
        "temperature": 0.5, "top_p": 0.5, "max_output_tokens": 7, "instructions": "Be kind.", "stream": True,
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}], "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
    },
    "/v1/embeddings": {"user": "u"},
    "/v1/audio/speech": {"voice": "a", "speed": 2, "response_format": "flac"},
    "/v1/audio/transcriptions": {"language": "zh", "prompt": "Shanhe", "temperature": 0.5},
    "/v1/images/generations": {
        "n": 2, "size": "64x64", "quality": "low", "style": "vivid", "background": "opaque", "output_format": "jpeg",
        "output_compression": 50, "user": "u",
    },
    "/v1/images/edits": {
        "n": 2, "size": "64x64", "quality": "low", "background": "opaque", "output_format": "jpeg",
        "output_compression": 50, "input_fidelity": "high", "user": "u",
    },
    "/v1/messages": {
        "temperature": 0.5, "top_p": 0.5, "top_k": 5, "system": "Be kind.", "stop_sequences": ["x"], "max_tokens": 7,
        "tools": [{"name": "f", "input_schema": SCHEMA}], "output_config": {"effort": "low"}, "stream": True,
        "output_format": {"type": "json_schema", "schema": SCHEMA},
    },
}  # fmt: skip
"""Parameters whose use the engine sees."""


@cache
def table(path: Path) -> dict[str, dict[str, str]]:
    """What the page says: the class of each parameter by its endpoint."""
    found: dict[str, dict[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## `"):
            rows = found[line.split("`")[1]] = {}
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows.update(dict.fromkeys(NAME.findall(cells[0]), cells[1]))
    return found


TABLE: Final = table(DOCS / "parameters.md")


def rows(kind: str) -> list[tuple[str, str]]:
    return [(path, name) for path, found in TABLE.items() for name, its in found.items() if its == kind]


async def ask(desk: Desk, path: str, **changes: Any) -> httpx.Response:
    """The least call of an endpoint, changed; what the engine was asked before is forgotten."""
    desk.engines.kind = KIND.get(path, "chat")
    desk.engine.requests.clear()
    if path == "/v1/embeddings":
        row = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
        desk.engine.scripts = [says({"data": [row], "usage": {"prompt_tokens": 1, "total_tokens": 1}})]
    elif path == "/v1/audio/speech":
        desk.engine.scripts = [raw(200, b"RIFF")]
    elif path == "/v1/audio/transcriptions":
        desk.engine.scripts = [says({"text": "a", "duration": 1.0, "segments": []})]
        desk.engine.decode = lambda body: {name: data.decode() for name, (_, data) in form_parts(body).items()
                                           if name != "file"}  # fmt: skip
        fields = {f"{k}[]" if isinstance(v, list) else k: v for k, v in {**BASE[path], **changes}.items()}
        sent: dict[str, Any] = {name: str(v).lower() if isinstance(v, bool) else v for name, v in fields.items()}
        return await desk.http.post(path, data=sent, files={"file": ("a.wav", wav(1))})
    elif path.startswith("/v1/images/"):
        paint(desk)
        if path.endswith("edits"):
            return await edited(desk, {**BASE[path], **changes})
    return await desk.http.post(path, json={**BASE[path], **changes})


def paint(desk: Desk) -> None:
    """Let the engine make and change pictures."""
    desk.engine.scripts, desk.engines.price_class = [says({"data": [{"b64_json": png(2, 2)}]})], "image"
    desk.engines.targets = (
        target_for(desk.engine, "first", contributor=new_id(), idle_ms=300, price_class="image",
                   features=frozenset({"picture_edits"})),
    )  # fmt: skip


async def edited(desk: Desk, fields: dict[str, Any]) -> httpx.Response:
    """A form with a picture."""
    desk.engine.decode = lambda body: {name: data.decode() for name, (_, data) in form_parts(body).items()
                                       if name != "image"}  # fmt: skip
    sent = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
    return await desk.http.post("/v1/images/edits", data=sent, files={"image": ("a.png", b64decode(png(2, 2)))})


def asked(desk: Desk) -> str:
    """What the engine was asked, for comparing."""
    return json.dumps(desk.engine.requests, sort_keys=True)


class TestTable:
    @pytest.mark.parametrize("path", TABLE)
    async def test_names_every_parameter_that_the_protocols_packages_know(self, path: str) -> None:
        known: dict[str, list[Any]] = {
            "/v1/chat/completions": [chat_types.CompletionCreateParamsBase],
            "/v1/completions": [text_types.CompletionCreateParamsBase],
            "/v1/responses": [response_types.ResponseCreateParamsBase],
            "/v1/embeddings": [embedding_types.EmbeddingCreateParams],
            "/v1/audio/speech": [speech_types.SpeechCreateParams],
            "/v1/audio/transcriptions": [sound_types.TranscriptionCreateParamsBase],
            "/v1/images/generations": [image_types.ImageGenerateParamsBase],
            "/v1/images/edits": [edit_types.ImageEditParamsBase],
            "/v1/messages": [message_types.MessageCreateParamsBase, beta_types.MessageCreateParamsBase],
        }
        names = {name for one in known[path] for name in one.__annotations__}
        assert names - set(TABLE[path]) == set()

    async def test_says_the_same_in_chinese(self) -> None:
        said = {path: {name: CLASSES[its] for name, its in found.items()} for path, found in TABLE.items()}
        assert table(DOCS / "zh" / "parameters.md") == said


class TestParameter:
    @pytest.mark.parametrize(("path", "name"), rows(REFUSED))
    async def test_that_is_refused_is_named_and_reaches_no_engine(self, desk: Desk, path: str, name: str) -> None:
        answer = await ask(desk, path, **{name: VALUES[name]})
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert name in (error["message"] if path == "/v1/messages" else error["param"] or error["message"])
        assert desk.engine.requests == []

    @pytest.mark.parametrize(("path", "name"), rows(REFUSED))
    async def test_that_is_refused_is_taken_where_it_asks_for_nothing(self, desk: Desk, path: str, name: str) -> None:
        for value in HARMLESS.get(name, []):
            answer = await ask(desk, path, **{name: value})
            assert answer.status_code == 200, (value, answer.text)

    @pytest.mark.parametrize(("path", "name"), rows(TAKEN))
    async def test_that_is_taken_changes_nothing_for_the_engine(self, desk: Desk, path: str, name: str) -> None:
        await ask(desk, path)
        before = asked(desk)
        answer = await ask(desk, path, **{name: VALUES[name]})
        assert answer.status_code == 200, answer.text
        assert asked(desk) == before

    @pytest.mark.parametrize(("path", "name"), [(path, name) for path, found in SEEN.items() for name in found])
    async def test_that_is_used_reaches_the_engine(self, desk: Desk, path: str, name: str) -> None:
        assert TABLE[path][name] == USED or name == "top_logprobs"
        await ask(desk, path)
        before = asked(desk)
        await ask(desk, path, **{name: SEEN[path][name]})
        assert asked(desk) not in ("[]", before)

    @pytest.mark.parametrize(
        ("path", "name", "value"),
        [
            ("chat/completions", "tools", "x"),
            ("chat/completions", "tools", [7]),
            ("chat/completions", "response_format", "json"),
            ("responses", "tools", [{"type": "namespace", "name": "n", "tools": 7}]),
            ("responses", "tool_choice", 7),
            ("responses", "tool_choice", {"type": "allowed_tools", "tools": [7]}),
            ("responses", "text", {"format": "x"}),
            ("responses", "text", {"format": {"type": "xml"}}),
        ],
    )
    async def test_of_a_wrong_form_is_named(self, desk: Desk, path: str, name: str, value: Any) -> None:
        answer = await ask(desk, f"/v1/{path}", **{name: value})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"].startswith(name)
        assert desk.engine.requests == []
