"""Servers of several makes, known by what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from shanhe.compute.discovery import discover, models_of
from shanhe.compute.errors import BadEngine, EngineFailed
from shanhe.compute.model import Kind

VLLM = {
    "/v1/models": {"object": "list", "data": [{"id": "Qwen/Qwen3-8B", "object": "model", "max_model_len": 40_960}]},
    "/version": {"version": "0.19.1"},
    "/health": {},
}
SGLANG = {
    "/v1/models": {"data": [{"id": "deepseek", "max_model_len": 65_536}]},
    "/get_server_info": {"tokenizer_path": "x", "version": "0.6.0"},
    "/health": {},
}
OLLAMA = {
    "/v1/models": {"data": [{"id": "qwen3:8b", "owned_by": "library"}, {"id": "nomic-embed-text:latest"}]},
    "/api/version": {"version": "0.12.3"},
}
XINFERENCE = {
    "/v1/models": {"data": [
        {"id": "qwen3", "model_type": "LLM", "context_length": 32_768}, {"id": "bge", "model_type": "embedding"},
        {"id": "ranker", "model_type": "rerank"},
    ]},
    "/v1/cluster/version": {"version": "1.9", "full-revisionid": "abc"},
}  # fmt: skip
PLAIN = {"/v1/models": {"data": [{"id": "m"}]}}


def server(routes: Mapping[str, Any], seen: list[httpx.Request] | None = None, **status: int) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        path = request.url.path
        code = status.get(path.strip("/").replace("/", "_"), 200 if path in routes else 404)
        return httpx.Response(code, json=routes.get(path, {}))

    return httpx.MockTransport(answer)


class TestServer:
    @pytest.mark.parametrize(
        ("routes", "flavour", "version", "models"),
        [
            (VLLM, "vllm", "0.19.1", [("Qwen/Qwen3-8B", Kind.CHAT, 40_960)]),
            (SGLANG, "sglang", "0.6.0", [("deepseek", Kind.CHAT, 65_536)]),
            (OLLAMA, "ollama", "0.12.3", [("qwen3:8b", Kind.CHAT, 0), ("nomic-embed-text:latest", Kind.EMBEDDING, 0)]),
            (XINFERENCE, "xinference", "1.9", [
                ("qwen3", Kind.CHAT, 32_768), ("bge", Kind.EMBEDDING, 0), ("ranker", Kind.RERANK, 0)]),
            (PLAIN, "", "", [("m", Kind.CHAT, 0)]),
        ],
    )  # fmt: skip
    async def test_is_known_by_its_own_routes(
        self, routes: Mapping[str, Any], flavour: str, version: str, models: list[tuple[str, Kind, int]]
    ) -> None:
        found = await discover("http://gpu:8000/v1", transport=server(routes))
        assert (found.flavour, found.version, found.healthy) == (flavour, version, True)
        assert [(one.id, one.kind, one.context_tokens) for one in found.models] == models

    async def test_whose_engine_died_lists_models_and_is_not_healthy(self) -> None:
        assert not (await discover("http://gpu:8000", transport=server(VLLM, health=503))).healthy

    async def test_gets_its_key_and_no_redirect_is_followed(self) -> None:
        seen: list[httpx.Request] = []
        with pytest.raises(EngineFailed):
            await discover("http://gpu:8000/v1", "secret", transport=server({}, seen, v1_models=302))
        assert [request.headers["authorization"] for request in seen] == ["Bearer secret"]

    async def test_that_may_not_be_asked_is_not(self) -> None:
        with pytest.raises(BadEngine):
            await discover("http://169.254.169.254/latest", transport=server(PLAIN))

    async def test_that_says_far_too_much_is_cut_off(self) -> None:
        big = {"/v1/models": {"data": ["x" * 5_000_000]}}
        with pytest.raises(EngineFailed):
            await discover("http://gpu:8000/v1", transport=server(big))


class TestPlace:
    @pytest.mark.parametrize(
        "path", ["", "/api", "/v1/chat/completions", "/v1/models", "/openai/chat/completions", "/v1/embeddings/"]
    )
    async def test_that_is_wrong_is_told_with_the_right_one(self, path: str) -> None:
        routes = {"/openai/v1/models": {"data": [{"id": "m"}]}} if "openai" in path or not path else PLAIN
        url = "http://gpu:8000/openai" if not path else f"http://gpu:8000{path}"
        with pytest.raises(EngineFailed) as told:
            await discover(url, transport=server(routes))
        right = "http://gpu:8000" + next(iter(routes)).removesuffix("/models")
        assert told.value.hint == f"Models are listed under {right}: give that address."
        assert right in told.value.hint_zh

    async def test_that_lists_nowhere_asks_for_the_models_by_name(self) -> None:
        with pytest.raises(EngineFailed) as told:
            await discover("http://gpu:8000/v1", transport=server({}))
        assert "--model LOCAL=UPSTREAM" in told.value.hint
        assert "404" in told.value.message

    async def test_that_shows_a_page_for_every_path_is_no_list(self) -> None:
        pages = httpx.MockTransport(lambda _: httpx.Response(200, html="<h1>Hello</h1>"))
        with pytest.raises(EngineFailed, match="no list of models"):
            await discover("http://gpu:8000/v1", transport=pages)


class TestKey:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_that_is_refused_is_told_apart_from_one_that_is_missing(self, status: int) -> None:
        with pytest.raises(EngineFailed, match=f"wants a key \\(status {status}") as missing:
            await discover("http://gpu:8000/v1", transport=server(PLAIN, v1_models=status))
        assert "--key-env" in missing.value.hint
        with pytest.raises(EngineFailed, match="refuses the key in GPU_KEY") as refused:
            await discover("http://gpu:8000/v1", "bad", "GPU_KEY", transport=server(PLAIN, v1_models=status))
        assert "bad" not in refused.value.message + refused.value.hint


class TestList:
    @pytest.mark.parametrize("listed", [{}, {"data": None}, {"data": "x"}, {"data": [1, {"id": 2}, {"id": "a b"}]}])
    def test_that_is_none_holds_no_models(self, listed: Mapping[str, Any]) -> None:
        assert models_of(listed) == ()

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("bge-reranker-v2", Kind.RERANK), ("bge-m3", Kind.EMBEDDING), ("whisper-large-v3", Kind.TRANSCRIPTION),
            ("cosyvoice2", Kind.SPEECH), ("deepseek-ocr", Kind.OCR), ("qwen3-32b", Kind.CHAT),
        ],
    )  # fmt: skip
    def test_guesses_a_kind_by_name_where_none_is_told(self, name: str, kind: Kind) -> None:
        assert [one.kind for one in models_of({"data": [{"id": name}]})] == [kind]

    def test_does_not_believe_a_context_that_is_no_number(self) -> None:
        [one] = models_of({"data": [{"id": "m", "max_model_len": True, "context_length": "8k", "meta": {}}]})
        assert one.context_tokens == 0
