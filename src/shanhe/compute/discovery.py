"""What a server that speaks OpenAI's protocol is and serves, before it is registered: name, health, models, context.

`/v1/models` is common to all; beside it each has routes of its own by which it is known: vLLM and SGLang tell context
lengths there, Ollama and Xinference kinds of models elsewhere. Only what a server says is believed, within bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx

from shanhe.compute.address import MODEL_ID, parse_url
from shanhe.compute.errors import EngineFailed
from shanhe.compute.model import Kind
from shanhe.compute.trouble import key_refused, no_list, unreachable
from shanhe.kernel.calling import authorities

TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
MODELS_MAX: Final = 200
CONTEXT_MAX_TOKENS: Final = 100_000_000
FLAVOURS: Final = (
    # (name, route of its own below the root, field that its answer has, field of the version)
    ("sglang", "/get_server_info", "tokenizer_path", "version"),
    ("ollama", "/api/version", "version", "version"),
    ("xinference", "/v1/cluster/version", "full-revisionid", "version"),
    ("llama.cpp", "/props", "default_generation_settings", "build_info"),
    ("vllm", "/version", "version", "version"),
)
"""How servers are told apart, the more particular first."""
CONTEXT_FIELDS: Final = ("max_model_len", "context_length", "context_window", "n_ctx_train", "meta.n_ctx_train")
KINDS: Final = {"llm": Kind.CHAT, "chat": Kind.CHAT, "embedding": Kind.EMBEDDING, "rerank": Kind.RERANK,
                "image": Kind.IMAGE, "text-to-image": Kind.IMAGE}  # fmt: skip
MISPLACED: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
"""Statuses of a server that is asked in the wrong place; some show a page for any path."""
ENDINGS: Final = ("/chat/completions", "/completions", "/embeddings", "/models")
"""What is often copied along with a base address."""
WORDS: Final = (
    (Kind.RERANK, ("rerank",)),
    (Kind.EMBEDDING, ("embed", "bge-", "e5-", "gte-", "m3e")),
    (Kind.TRANSCRIPTION, ("whisper", "sensevoice", "-asr", "asr-")),
    (Kind.SPEECH, ("-tts", "tts-", "kokoro", "cosyvoice")),
    (Kind.OCR, ("-ocr", "ocr-")),
    (
        Kind.IMAGE,
        ("dall-e", "gpt-image", "-image", "stable-diffusion", "sdxl", "flux.", "cogview", "kolors", "seedream"),
    ),
)
"""Parts of names that give a kind away where a server does not tell it."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that a server offers. `context_tokens` 0 = it does not say."""

    id: str
    kind: Kind
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """A server as it describes itself. `flavour` empty = none that is known here."""

    url: str
    flavour: str
    version: str
    healthy: bool
    latency_ms: float
    models: tuple[FoundModel, ...]


async def discover(
    url: str, key: str = "", key_env: str = "", *, transport: httpx.AsyncBaseTransport | None = None
) -> Discovery:
    """Ask a server; BadEngine for an address that may not be asked, EngineFailed where it lists no models.

    `key_env`: the name of the variable that its key is from, to be told where the key is refused.
    """
    address = parse_url(url)
    scheme, prefix = "https" if address.tls else "http", address.prefix
    root = prefix.removesuffix("/v1")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    host = f"[{address.host}]" if ":" in address.host else address.host
    async with httpx.AsyncClient(
        base_url=f"{scheme}://{host}:{address.port}", headers=headers, timeout=TIMEOUT_S, follow_redirects=False,
        trust_env=False, transport=transport, verify=authorities() if address.tls else False,
    ) as client:  # fmt: skip
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, listed = await _asked(client, f"{prefix}/models", url)
        latency_ms = (loop.time() - began) * 1000
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise key_refused(url, status, key_env)
        if status != HTTPStatus.OK or not isinstance(listed, Mapping):
            better = await _better(client, prefix, url) if status in MISPLACED else ""
            raise no_list(url, f"{prefix}/models", status, better)
        flavour, version = await _flavour(client, root, url)
        health, _ = await _asked(client, f"{root}/health", url)
    return Discovery(url, flavour, version, health < 500, round(latency_ms, 1), models_of(listed))


def models_of(listed: Mapping[str, Any]) -> tuple[FoundModel, ...]:
    """The models of a list; entries that can't be models are left out."""
    rows = listed.get("data")
    found: dict[str, FoundModel] = {}
    for row in rows[:MODELS_MAX] if isinstance(rows, list) else ():
        name = row.get("id") if isinstance(row, dict) else None
        if isinstance(name, str) and MODEL_ID.match(name):
            found[name] = FoundModel(name, _kind(name, row), _context(row))
    return tuple(found.values())


def _kind(name: str, row: Mapping[str, Any]) -> Kind:
    said = str(row.get("model_type") or row.get("kind") or row.get("task") or "").lower()
    if said in KINDS:
        return KINDS[said]
    return next((kind for kind, words in WORDS if any(word in name.lower() for word in words)), Kind.CHAT)


def _context(row: Mapping[str, Any]) -> int:
    for path in CONTEXT_FIELDS:
        value: Any = row
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= CONTEXT_MAX_TOKENS:
            return value
    return 0


async def _better(client: httpx.AsyncClient, prefix: str, url: str) -> str:
    """The address under which a server does list models, if one of the likely; empty otherwise."""
    base = next((prefix.removesuffix(end) for end in ENDINGS if prefix.endswith(end)), prefix)
    for likely in dict.fromkeys((base, f"{base}/v1", "/v1")):
        if likely and likely != prefix:
            status, listed = await _asked(client, f"{likely}/models", url)
            if status == HTTPStatus.OK and isinstance(listed, Mapping) and isinstance(listed.get("data"), list):
                return str(client.base_url).rstrip("/") + likely
    return ""


async def _flavour(client: httpx.AsyncClient, root: str, url: str) -> tuple[str, str]:
    for name, route, mark, version in FLAVOURS:
        status, answer = await _asked(client, root + route, url)
        if status == 200 and isinstance(answer, Mapping) and mark in answer:
            return name, str(answer.get(version) or "")[:100]
    return "", ""


async def _asked(client: httpx.AsyncClient, path: str, url: str) -> tuple[int, Any]:
    """(status, JSON or None) of a GET; EngineFailed where nobody answers or far too much is said."""
    size, parts = 0, []
    try:
        async with client.stream("GET", path) as answer:
            async for piece in answer.aiter_bytes():
                size += len(piece)
                if size > ANSWER_MAX_BYTES:
                    raise EngineFailed(url, f"{path} answers more than {ANSWER_MAX_BYTES} bytes")
                parts.append(piece)
    except httpx.HTTPError as error:
        raise unreachable(url, error) from error
    try:
        return answer.status_code, httpx.Response(200, content=b"".join(parts)).json()
    except ValueError:
        return answer.status_code, None
