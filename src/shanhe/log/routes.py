"""The log over HTTP. Public and cacheable: checkpoint, tiles, keys, entries. Guarded: proofs.

/log/checkpoint             signed, changes with every sealing
/log/tile/<L>/<N>[.p/<W>]   Merkle tiles; /log/tile/entries/<N>[.p/<W>] entry bundles; both never change
/log/keys                   the key list, signed
/log/entries?first=&count=  the same entries as JSON, for people
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request
from fastapi.responses import Response

from shanhe.kernel.errors import NotFound
from shanhe.kernel.routing import APIRouter
from shanhe.log.api import SUFFIX, Log, ProofRefused
from shanhe.log.note import NOTE_BYTES_MAX
from shanhe.log.tiles import WIDTH

READER: Final = "ledger"
CHANGER: Final = "accounts"
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"
FRESH: Final = {"cache-control": "public, max-age=2", "access-control-allow-origin": "*"}
FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable", "access-control-allow-origin": "*"}


Own = Callable[[Request, UUID], Awaitable[object]]
"""Raises unless the caller may see the receipt."""


def router(log: Log, require: Callable[[str], Any], own: Own) -> APIRouter:
    """Routes under `/log` (public), `/api/log` and `/api/receipts`; `require(permission)` is a FastAPI dependency."""
    routes = APIRouter(tags=["log"])
    _public(routes, log)
    _guarded(routes, log, require(READER), require(CHANGER), own)
    return routes


def _public(routes: APIRouter, log: Log) -> None:
    @routes.get("/log/checkpoint")
    async def checkpoint() -> Response:
        await log.presentable()
        return Response(await _file(log, "checkpoint"), media_type=TEXT, headers=FRESH)

    @routes.get("/log/tile/{path:path}")
    async def tile(path: str) -> Response:
        return Response(await _file(log, f"tile/{path}"), media_type=BYTES, headers=FOR_EVER)

    @routes.get("/log/keys")
    async def keys() -> Response:
        return Response(await asyncio.to_thread(log.key_list), media_type=TEXT, headers=FRESH)

    @routes.get("/log/entries")
    async def entries(
        first: Annotated[int, Query(ge=0, lt=2**62)] = 0, count: Annotated[int, Query(ge=1, le=WIDTH)] = WIDTH
    ) -> Response:
        """Public parts from `first` on, at most to the end of their bundle; `next` continues."""
        found = await asyncio.to_thread(log.entries, first, count)
        items = [{"index": first + n, "entry": msgspec.Raw(entry)} for n, entry in enumerate(found)]
        body = {"items": items, "next": first + len(found) if found else None}
        return Response(msgspec.json.encode(body), media_type="application/json", headers=FRESH)

    @routes.post("/log/cosignatures")
    async def cosign(request: Request) -> Response:
        """A checkpoint with the cosignature of a listed witness; how many witnesses have cosigned it."""
        body = await request.body()
        if len(body) > NOTE_BYTES_MAX:
            raise ProofRefused("the note is too long", "签名文本过长")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise ProofRefused("the note is no text", "签名文本无法读取") from error
        count = await log.cosign(text)
        return Response(msgspec.json.encode({"cosigned": count}), media_type="application/json")

    @routes.get("/api/log/status")
    async def status() -> Response:
        """How far the log is sealed and signed."""
        return Response(msgspec.json.encode(await log.status()), media_type="application/json")


def _guarded(routes: APIRouter, log: Log, reader: Any, changer: Any, own: Own) -> None:
    @routes.get("/api/log/proofs/{subject}", dependencies=[Depends(reader)])
    async def proof(subject: UUID) -> Response:
        """The `.tlog-proof` of any receipt, posting or recorded entry, for operators and auditors."""
        return proof_file(subject, str(await log.prove(subject)))

    @routes.post("/api/log/witnesses", status_code=201)
    async def add_witness(body: dict[str, str], who: Any = Depends(changer)) -> Response:
        """List a witness by its `key`; its cosignatures are taken from then on."""
        await log.add_witness(body.get("key", ""), by=who.ref)
        return Response(msgspec.json.encode({"key": body["key"]}), 201, media_type="application/json")

    @routes.post("/api/log/witnesses/remove")
    async def remove_witness(body: dict[str, str], who: Any = Depends(changer)) -> Response:
        """List a witness no more."""
        removed = await log.remove_witness(body.get("key", ""), by=who.ref)
        return Response(msgspec.json.encode({"removed": removed}), media_type="application/json")

    @routes.post("/api/log/rotate", status_code=201)
    async def rotate(who: Any = Depends(changer)) -> Response:
        """A new signing key; the one before signs beside it."""
        made = await log.rotate(actor=who.ref)
        return Response(msgspec.json.encode(made), 201, media_type="application/json")

    @routes.post("/api/log/shred")
    async def shred(body: dict[str, list[UUID]], who: Any = Depends(changer)) -> Response:
        """Destroy what the entries of `ids` hide."""
        done = await log.shred(body.get("ids", []), by=who.ref)
        return Response(msgspec.json.encode({"shredded": done}), media_type="application/json")

    @routes.get("/api/receipts/{receipt_id}/proof")
    async def own_proof(request: Request, receipt_id: UUID) -> Response:
        """The `.tlog-proof` of a receipt of your organisation; 404 `not_sealed_yet` in its first seconds."""
        await own(request, receipt_id)
        return proof_file(receipt_id, str(await log.prove(receipt_id)))


def proof_file(subject: UUID, text: str) -> Response:
    """A proof as a download."""
    headers = {"content-disposition": f'attachment; filename="{subject}{SUFFIX}"', "cache-control": "no-store"}
    return Response(text, media_type=TEXT, headers=headers)


async def _file(log: Log, path: str) -> bytes:
    data = await asyncio.to_thread(log.resource, path)
    if data is None:
        raise NotFound(
            "no_such_tile",
            f"The log has no {path}.",
            message_zh="日志中没有该文件。",
            hint="Read /log/checkpoint for the size, and the tile paths from C2SP tlog-tiles.",
            hint_zh="请先读取 /log/checkpoint 获取大小，再按 C2SP tlog-tiles 计算路径。",
        )
    return data
