"""Plain calls to engines off the hot path: tests, health, tokens. Bounded in time and size, redirects not followed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from shanhe.compute import counting
from shanhe.compute.errors import EngineFailed, NoTokenizer
from shanhe.compute.model import BOUND, EngineKind, Kind, TestReport
from shanhe.compute.target import Target
from shanhe.compute.trouble import Why, no_success, why
from shanhe.kernel.calling import authorities, over_socket

CONNECT_TIMEOUT_S: Final = 3.0
PROBE_TIMEOUT_S: Final = 5.0
TEST_TIMEOUT_S: Final = 60.0
TOKENIZE_TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
TEST_TOKENS: Final = 8
TEST_TEXT: Final = "Say OK."
TEST_PICTURE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
"""A picture of one point."""
TESTS: Final[dict[Kind, tuple[str, dict[str, Any]]]] = {
    Kind.CHAT: (
        "/chat/completions", {"messages": [{"role": "user", "content": TEST_TEXT}], "max_tokens": TEST_TOKENS}
    ),
    Kind.EMBEDDING: ("/embeddings", {"input": TEST_TEXT}),
    Kind.RERANK: ("/rerank", {"query": TEST_TEXT, "documents": [TEST_TEXT, "No."]}),
    Kind.OCR: ("/ocr", {"image": TEST_PICTURE, "fields": ""}),
    Kind.FORECAST: ("/forecast", {"series": [[1.0, 2.0, 3.0, 4.0]], "horizon": 1, "season_length": 1, "levels": []}),
}  # fmt: skip
"""By kind of model, where a tiny call goes and what it asks."""
ANSWERS: Final = {
    Kind.CHAT: "choices", Kind.EMBEDDING: "data", Kind.RERANK: "results", Kind.OCR: "lines", Kind.FORECAST: "forecasts",
}  # fmt: skip
"""The field in which an answer is."""
NO_USAGE: Final = Why(
    "it reports no usage; tokens will be counted by the model's tokenizer or estimated",
    "未报告用量；将由模型的分词器计数或估算",
)


class EngineClient:
    """Clients by address, kept open. One for each process; close it at the end."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str | None, str, int, bool], httpx.AsyncClient] = {}
        self._mute: set[tuple[str, int, str]] = set()
        """Engines that answer no question about their health."""

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def probe(self, target: Target) -> Why | None:
        """Why the engine does not answer; None where it does. Costs no tokens."""
        try:
            status, body = await self._health(target)
        except (httpx.HTTPError, EngineFailed) as error:
            return why(error)
        if status in (401, 403):
            return Why(f"the key was refused (status {status})", f"密钥被拒绝（状态 {status}）")
        if status >= 500:
            return no_success(status, body[:100].decode(errors="replace"))
        return None  # a 404 means that it lives but lists no models

    async def _health(self, target: Target) -> tuple[int, bytes]:
        """An engine's own word where it has one: vLLM and SGLang list models long after their engine died."""
        if target.kind == EngineKind.LLAMA:
            return await self._request("GET", target, "/health", None, PROBE_TIMEOUT_S)
        key = (target.host, target.port, target.path_prefix)
        if target.kind == EngineKind.OPENAI and key not in self._mute:
            root = target.path_prefix.removesuffix("/v1")
            status, body = await self._request("GET", target, f"{root}/health", None, PROBE_TIMEOUT_S)
            if status >= 500:
                return status, body
            if status >= 300:
                self._mute.add(key)  # it has no such route
        return await self._request("GET", target, f"{target.path_prefix}/models", None, PROBE_TIMEOUT_S)

    async def test(self, target: Target) -> TestReport:
        """One tiny real call; reports what came back instead of raising."""
        began = time.perf_counter()
        if target.model_kind not in TESTS:  # of sounds and pictures there is no tiny call that says anything
            problem = await self.probe(target)
            return _report(target, 0 if problem else 200, began, "", None, [problem] if problem else [])
        path, fields = TESTS[target.model_kind]
        path, asked = target.path_prefix + path, {"model": target.upstream_model, **fields}
        if BOUND in target.features and (most := asked.pop("max_tokens", None)):
            asked[BOUND] = most
        try:
            status, answer = await self._json("POST", target, path, asked, TEST_TIMEOUT_S)
        except (httpx.HTTPError, EngineFailed) as error:
            return _report(target, 0, began, "", None, [why(error)])
        usage = answer.get("usage") if isinstance(answer.get("usage"), dict) else None
        text = _answer_text(answer, target.model_kind)
        return _report(target, status, began, text, usage, _problems(status, answer, target.model_kind, usage))

    async def greedy(self, target: Target, messages: Sequence[Mapping[str, Any]], max_tokens: int) -> str:
        """The greedy answer to a conversation; EngineFailed where there is none."""
        asked = {
            "model": target.upstream_model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0,
        }  # fmt: skip
        status, answer = await self._json(
            "POST", target, f"{target.path_prefix}/chat/completions", asked, TEST_TIMEOUT_S
        )
        message = _first(answer.get("choices")).get("message")
        if status != 200 or not isinstance(message, dict):
            raise EngineFailed(target.engine_name, f"status {status} without an answer")
        return str(message.get("content") or "")

    async def tokenize(self, target: Target, text: str) -> int:
        """Tokens of a text, without a template; NoTokenizer where the engine has none."""
        if target.kind != EngineKind.LLAMA and "tokenize" not in target.features:
            raise NoTokenizer(target.engine_name)
        if target.kind == EngineKind.LLAMA:
            answer = await self._control(target, "/tokenize", {"content": text, "add_special": False})
            return len(answer["tokens"])
        root = target.path_prefix.removesuffix("/v1")
        answer = await self._control(target, f"{root}/tokenize", {"model": target.upstream_model, "prompt": text})
        return int(answer["count"])

    async def count_chat(self, target: Target, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = ()) -> int:
        """Tokens of a conversation in the model's own template, its tools and the generation prompt included."""
        conversation: dict[str, Any] = {"messages": list(messages), **({"tools": list(tools)} if tools else {})}
        if target.kind == EngineKind.LLAMA:
            prompt = await self._control(target, "/apply-template", conversation)
            asked = {"content": prompt["prompt"], "add_special": True, "parse_special": True}
            return len((await self._control(target, "/tokenize", asked))["tokens"])
        if "tokenize" not in target.features:
            raise NoTokenizer(target.engine_name)
        root = target.path_prefix.removesuffix("/v1")
        asked = {"model": target.upstream_model, **conversation}
        return int((await self._control(target, f"{root}/tokenize", asked))["count"])

    async def counters(self, target: Target) -> tuple[int, int] | None:
        """(prompt, completion) tokens since the engine started, as it counts them; None where it publishes none."""
        root = "" if target.kind == EngineKind.LLAMA else target.path_prefix.removesuffix("/v1")
        try:
            status, body = await self._request("GET", target, f"{root}/metrics", None, PROBE_TIMEOUT_S)
        except (httpx.HTTPError, EngineFailed):
            return None
        return counting.parse(body.decode(errors="replace")) if status == 200 else None

    async def _control(self, target: Target, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            status, answer = await self._json("POST", target, path, asked, TOKENIZE_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise EngineFailed(target.engine_name, *why(error)) from error
        if status != 200:
            raise EngineFailed(target.engine_name, f"{path} answered with status {status}")
        return answer

    async def _json(
        self, method: str, target: Target, path: str, asked: Mapping[str, Any] | None, timeout_s: float
    ) -> tuple[int, dict[str, Any]]:
        status, body = await self._request(method, target, path, asked, timeout_s)
        try:
            answer = httpx.Response(status, content=body).json()
        except ValueError as error:
            told = f"status {status} without JSON", f"状态 {status}，不是 JSON"
            raise EngineFailed(target.engine_name, *told) from error
        if not isinstance(answer, dict):
            raise EngineFailed(target.engine_name, "the answer is not a JSON object", "应答不是 JSON 对象")
        return status, answer

    async def _request(
        self, method: str, target: Target, path: str, asked: Mapping[str, Any] | None, timeout_s: float
    ) -> tuple[int, bytes]:
        headers = {"accept-encoding": "identity"}
        if target.auth_header is not None:
            headers["authorization"] = target.auth_header.decode("ascii")
        client = self._client(target)
        parts: list[bytes] = []
        size = 0
        async with client.stream(method, path, json=asked, headers=headers, timeout=_timeout(timeout_s)) as answer:
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > ANSWER_MAX_BYTES:
                    raise EngineFailed(
                        target.engine_name,
                        f"the answer is larger than {ANSWER_MAX_BYTES} bytes",
                        f"应答超过 {ANSWER_MAX_BYTES} 字节",
                    )
                parts.append(piece)
            return answer.status_code, b"".join(parts)

    def _client(self, target: Target) -> httpx.AsyncClient:
        key = (target.uds_path, target.host, target.port, target.tls)
        client = self._clients.get(key)
        if client is None:
            transport = over_socket(target.uds_path) if target.uds_path else None
            scheme = "https" if target.tls else "http"
            client = self._clients[key] = httpx.AsyncClient(
                base_url=f"{scheme}://{_netloc(target)}", transport=transport, follow_redirects=False, trust_env=False,
                verify=authorities() if target.tls else False,
            )  # fmt: skip
        return client


def _netloc(target: Target) -> str:
    if target.uds_path:
        return "engine"
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _timeout(timeout_s: float) -> httpx.Timeout:
    return httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)


def _first(items: Any) -> dict[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _answer_text(answer: Mapping[str, Any], kind: Kind) -> str:
    if kind is Kind.EMBEDDING:
        return f"{len(_first(answer.get('data')).get('embedding', ()))} numbers"
    if kind is Kind.RERANK:
        return f"score {_first(answer.get('results')).get('relevance_score')}"
    message = _first(answer.get("choices")).get("message")
    text = message.get("content") if isinstance(message, dict) else None
    return str(text or "")[:200]


def _problems(
    status: int, answer: Mapping[str, Any], kind: Kind, usage: Mapping[str, Any] | None
) -> list[Why]:  # fmt: skip
    if status != 200:
        error = answer.get("error")
        said = error.get("message") if isinstance(error, dict) else error
        return [no_success(status, str(said)[:200])]
    found: list[Why] = []
    rows = answer.get(ANSWERS[kind])
    if not (isinstance(rows, list) if kind is Kind.OCR else _first(rows)):
        found.append(Why(f"the answer holds no {ANSWERS[kind]}", f"应答中没有 {ANSWERS[kind]}"))
    if usage is None and kind not in (Kind.OCR, Kind.FORECAST):
        found.append(NO_USAGE)
    return found


def _report(
    target: Target, status: int, began: float, text: str, usage: Mapping[str, Any] | None, problems: Sequence[Why]
) -> TestReport:
    return TestReport(
        engine=target.engine_name,
        model=target.model,
        ok=status == 200 and all(problem is NO_USAGE for problem in problems),
        status=status,
        latency_ms=round((time.perf_counter() - began) * 1000, 1),
        answer=text,
        usage=usage,
        problems=tuple(problem.en for problem in problems),
        problems_zh=tuple(problem.zh for problem in problems),
        thinks=tuple(sorted(target.thinks)) if target.model_kind is Kind.CHAT else (),
    )
