"""The log's public files over HTTP, as a stranger and as a witness in another process see them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from tests.log.conftest import ORIGIN, Town

from shanhe.kernel import http
from shanhe.kernel.errors import NotFound, Unauthorized
from shanhe.log.note import Note, open_checkpoint
from shanhe.log.proof import verify
from shanhe.log.remote import open_source, submit
from shanhe.log.routes import router
from shanhe.log.service import Log
from shanhe.log.tiles import TileReader
from shanhe.log.witness import Witness, open_signer

MINE = "mine"


def application(log: Log) -> FastAPI:
    def require(permission: str) -> Any:
        def nobody() -> None:
            raise Unauthorized("sign_in", permission)

        return nobody

    async def own(request: Request, receipt_id: UUID) -> object:
        if request.headers.get("authorization") != MINE:
            raise NotFound("receipt_not_found", str(receipt_id))
        return None

    app = FastAPI()
    http.install(app)
    http.take(app, router(log, require, own))
    return app


@pytest.fixture
async def client(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    log = town.log()
    await town.post(300)
    await log.seal()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application(log)), base_url="http://city") as opened:
        yield opened


class TestPublic:
    async def test_files_can_be_read_and_cached_by_anybody(self, town: Town, client: httpx.AsyncClient) -> None:
        head = await client.get("/log/checkpoint")
        checkpoint, _ = open_checkpoint(head.text, town.opened[0].verifiers())
        assert (checkpoint.origin, head.headers["cache-control"]) == (ORIGIN, "public, max-age=2")
        tile = await client.get("/log/tile/0/000")
        assert len(tile.content) == 8192
        assert "immutable" in tile.headers["cache-control"]
        assert (await client.get("/log/tile/entries/000")).status_code == 200
        page = (await client.get("/log/entries", params={"first": 250, "count": 50})).json()
        assert [item["index"] for item in page["items"]] == list(range(250, 256))
        assert page["next"] == 256
        assert ORIGIN in (await client.get("/log/keys")).text
        assert (await client.get("/api/log/status")).json()["state"] == "up"

    @pytest.mark.parametrize("path", ["0/999", "0/..%2f..%2fcheckpoint", "0/000.p/256", "entries/1", "0/.lock"])
    async def test_paths_that_name_no_tile_are_refused(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.get(f"/log/tile/{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] in ("no_such_tile", "not_found")


class TestGuarded:
    async def test_proofs_are_for_those_whose_receipts_they_are(self, town: Town, client: httpx.AsyncClient) -> None:
        (receipt,) = await town.post(1)
        await town.opened[0].seal()
        assert (await client.get(f"/api/receipts/{receipt}/proof")).status_code == 404
        answer = await client.get(f"/api/receipts/{receipt}/proof", headers={"authorization": MINE})
        assert verify(answer.content, town.opened[0].verifiers()).private is not None
        assert answer.headers["content-disposition"].endswith('.tlog-proof"')
        for method, path in (
            ("GET", f"/api/log/proofs/{receipt}"),
            ("POST", "/api/log/rotate"),
            ("POST", "/api/log/witnesses"),
            ("POST", "/api/log/shred"),
        ):
            assert (await client.request(method, path, json={})).status_code == 401


@contextmanager
def served(log: Log) -> Iterator[str]:
    """The routes on a port, in a thread of their own. The port listens before the thread runs: who asks early waits."""
    server = uvicorn.Server(uvicorn.Config(application(log), log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/log"
        finally:
            server.should_exit = True
            thread.join()


class TestRemote:
    async def test_witness_reads_over_http(self, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = town.log()

        async def files_alone() -> None:
            """The pool of connections belongs to the test's own loop, the server's thread has another."""

        monkeypatch.setattr(log, "presentable", files_alone)
        await town.post(3)
        await log.seal()
        signer = open_signer(tmp_path, "witness.example/w1", lambda: bytes(range(2, 34)))
        with served(log) as url:
            watch = Witness(tmp_path, signer, log.verifiers(), open_source(url))
            step = await asyncio.to_thread(watch.step, 1_800_000_000)
            assert step.size == 4
            fetch = open_source(url)
            assert await asyncio.to_thread(TileReader(fetch, 4).entries, 0)
            refused = await asyncio.to_thread(submit, url, "nonsense")
            assert "no signature" in refused

    async def test_cosignature_arrives_in_the_checkpoint(
        self, town: Town, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        log = town.opened[0]
        signer = open_signer(tmp_path, "witness.example/w1", lambda: bytes(range(2, 34)))
        cosigned = Witness(tmp_path, signer, log.verifiers(), log.folder.read).step(1_800_000_000).cosigned
        unknown = await client.post("/log/cosignatures", content=cosigned.encode())
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (403, "unknown_witness")
        await log.add_witness(str(signer.verifier), by="tests")
        taken = await client.post("/log/cosignatures", content=cosigned.encode())
        assert taken.json() == {"cosigned": 1}
        note = Note.parse((await client.get("/log/checkpoint")).text)
        assert note.signed_by([signer.verifier]) == (signer.verifier,)
