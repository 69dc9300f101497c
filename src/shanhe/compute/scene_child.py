"""One algorithm of one purpose in one process: OCR, forecasts, speech to text, text to speech, on a UNIX socket.

`python -m shanhe.compute.scene_child --kind ocr --socket PATH --alias ID …`, started and watched by `runner` like a
llama.cpp child. What it computes with comes as an extra and is loaded before the socket appears.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shanhe.kernel.errors import ShanheError
from shanhe.kernel.process import die_with_parent

BODY_MAX_BYTES: Final = 32 * 1024 * 1024
CHUNK_BYTES: Final = 1024 * 1024


class Algorithm(Protocol):
    """What a scene does with a request; raises Invalid (or another ShanheError) for what it can't take."""

    path: str

    def run(self, asked: dict[str, Any]) -> Any:
        """JSON for the answer, or (bytes, media type)."""
        ...


def loaded(kind: str, model: Path | None, threads: int) -> Algorithm:
    """The algorithm of a kind, ready to run; ModuleNotFoundError without its extra."""
    if kind == "forecast":
        from shanhe.compute.scenes.forecast import Forecaster

        return Forecaster()
    if kind == "ocr":
        from shanhe.compute.scenes.ocr import Reader

        return Reader(threads)
    if model is None:
        raise ValueError(f"a model for {kind} needs its file")
    if kind == "speech":
        from shanhe.compute.scenes.speaking import Speaker

        return Speaker(model, threads)
    from shanhe.compute.scenes.hearing import Listener

    return Listener(model, threads)


def application(algorithm: Algorithm, alias: str, slots: int) -> Starlette:
    """The server: `/health`, `/v1/models`, and the algorithm's own path; `slots` requests at a time."""
    pool = ThreadPoolExecutor(slots, thread_name_prefix="scene")

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": alias, "object": "model"}]})

    async def work(request: Request) -> Response:
        if int(request.headers.get("content-length") or 0) > BODY_MAX_BYTES:
            return _refused(413, "the request is too large")
        try:
            asked = await asked_of(request)
            found = await asyncio.get_running_loop().run_in_executor(pool, partial(algorithm.run, asked))
        except ShanheError as error:
            return _refused(400, error.message)
        except (ValueError, KeyError, TypeError) as error:
            return _refused(400, f"the request can't be read: {error}"[:300])
        if isinstance(found, tuple):
            return Response(found[0], media_type=found[1])
        return JSONResponse(found)

    handlers: list[tuple[str, Callable[[Request], Awaitable[Response]], str]] = [
        ("/health", health, "GET"), ("/v1/models", models, "GET"), (f"/v1{algorithm.path}", work, "POST"),
    ]  # fmt: skip
    return Starlette(routes=[Route(path, handler, methods=[method]) for path, handler, method in handlers])


async def asked_of(request: Request) -> dict[str, Any]:
    """The fields of a request: JSON, or a form whose file is read into memory."""
    if "multipart/form-data" in request.headers.get("content-type", ""):
        async with request.form(max_part_size=BODY_MAX_BYTES) as form:
            return {name: value if isinstance(value, str) else await value.read() for name, value in form.multi_items()}
    asked = json.loads(await request.body())
    if not isinstance(asked, dict):
        raise ValueError("it is no object")
    return asked


def unpacked(model: Path, layout: str, folder: Path) -> Path:
    """The files that a model's one file holds, in a folder."""
    with model.open("rb") as file:
        for word in layout.split(","):
            name, _, size = word.partition("=")
            left = int(size)
            with (folder / name).open("wb") as target:
                while left and (piece := file.read(min(left, CHUNK_BYTES))):
                    left -= target.write(piece)
            if left:
                raise ValueError(f"{model.name} is too short for {name}")
    return folder


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="shanhe.compute.scene_child", description=__doc__)
    parser.add_argument("--kind", required=True, choices=("forecast", "ocr", "transcription", "speech"))
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--layout", default="", help="NAME=SIZE,… of the files that the model's file holds")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--parent", type=int, default=0)
    given = parser.parse_args(argv)
    if given.parent:
        die_with_parent(given.parent)
    os.umask(0o077)
    threads = given.threads or max(1, (os.cpu_count() or 1) - 1)
    with tempfile.TemporaryDirectory(prefix="shanhe-scene-") as folder:
        model = unpacked(given.model, given.layout, Path(folder)) if given.model else None
        algorithm = loaded(given.kind, model, threads)  # has read its files by then
    config = uvicorn.Config(
        application(algorithm, given.alias, given.slots), uds=str(given.socket), log_level="warning", lifespan="off"
    )
    sys.stderr.write(f"serving {given.alias} on {given.socket}\n")
    sys.stderr.flush()
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
