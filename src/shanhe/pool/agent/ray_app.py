"""One model of ours as a Ray Serve application: each replica keeps a llama.cpp child and passes HTTP through to it.

Ray imports this on the cluster's machines (`import_path: shanhe.pool.agent.ray_app:build`); the city never does.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from shanhe.compute.api import DEFAULT_SOURCES, LlamaSupervisor, private_folder, socket_path

BODY_MAX_BYTES: Final = 32 * 1024 * 1024
IDLE_S: Final = 600.0
CONNECT_S: Final = 5.0
PATHS: Final = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})


class Replica:
    """A llama.cpp child in a folder of its own, for as long as the replica lives."""

    def __init__(self, model: str, threads: int, cache: str) -> None:
        self._model = model
        self._folder = tempfile.TemporaryDirectory(prefix="shanhe-ray-")
        folder = Path(self._folder.name)
        private_folder(socket_path(folder, model).parent)
        self._llama = LlamaSupervisor(
            folder, sources=DEFAULT_SOURCES, threads=threads, cache=Path(cache) if cache else None
        )
        transport = httpx.AsyncHTTPTransport(uds=str(socket_path(folder, model)))
        self._client = httpx.AsyncClient(
            transport=transport, timeout=httpx.Timeout(IDLE_S, connect=CONNECT_S), trust_env=False
        )
        self._ready = False

    async def begin(self) -> None:
        """Load the model unless it is there."""
        if not self._ready:
            await self._llama.start(self._model)
            self._ready = True

    async def check_health(self) -> None:
        """Ray asks now and then; an exception has the replica replaced. The first time loads the model."""
        await self.begin()
        (await self._client.get("http://engine/health")).raise_for_status()

    async def __call__(self, request: Request) -> Response:
        await self.begin()
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        if request.method == "GET" and path == "/v1/models":
            return JSONResponse({"object": "list", "data": [{"id": self._model, "object": "model"}]})
        if request.method != "POST" or path not in PATHS:
            return JSONResponse({"error": {"message": "no such path"}}, 404)
        body = await request.body()
        if len(body) > BODY_MAX_BYTES:
            return JSONResponse({"error": {"message": "the request is too large"}}, 413)
        sent = self._client.build_request(
            "POST", f"http://engine{path}", content=body, headers={"content-type": "application/json"}
        )
        answer = await self._client.send(sent, stream=True)
        media = answer.headers.get("content-type", "application/json")
        return StreamingResponse(_pieces(answer), answer.status_code, media_type=media)

    async def __del__(self) -> None:
        await self._client.aclose()
        await self._llama.stop()
        self._folder.cleanup()


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def build(args: dict[str, Any]) -> Any:
    """The application: `model`, and of its replicas `replicas`, `threads`, `cpus`, `slots`, `cache`."""
    model = str(args["model"])
    deployment = serve.deployment(
        name="engine",
        num_replicas=int(args.get("replicas", 1)),
        max_ongoing_requests=int(args.get("slots", 8)),
        ray_actor_options={"num_cpus": float(args.get("cpus", 1))},
        health_check_timeout_s=120,
        graceful_shutdown_timeout_s=60,
    )(Replica)
    return deployment.bind(model, int(args.get("threads", 0)), str(args.get("cache", "")))
