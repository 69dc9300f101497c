"""Proofs: download one's own, and a page where anybody verifies one in the browser."""

from __future__ import annotations

import json
from typing import Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.kernel.http import language
from shanhe.kernel.routing import APIRouter
from shanhe.kernel.words import ENTRIES

WORDS: Final = "proof.word."


class ProofRoom(Room):
    """`/verify`, `/receipts/{id}/proof`, `/receipts/{id}/sealed`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/verify", self.page, methods=["GET"])
        add("/receipts/{receipt_id}/proof", self.download, methods=["GET"])
        add("/receipts/{receipt_id}/sealed", self.sealed, methods=["GET"])
        return routes

    async def page(self, request: Request) -> Response:
        """The page with everything the check needs in it: from then on it asks nobody."""
        who = await self.desk.gate.who(request)
        keys = list(await self.desk.proofs.keys())
        lang, catalogue = language(request), self.view.words
        words = {
            key.removeprefix(WORDS): catalogue.text(key, lang) for key in catalogue.entries if key.startswith(WORDS)
        }
        words |= {
            f"type_{kind}": catalogue.text(f"posting_kind.{kind}", lang) for kind in catalogue.below("posting_kind")
        }
        words |= {f"type_{kind}": zh if lang.startswith("zh") else en for kind, (zh, en) in ENTRIES.items()}
        return self.show(request, "proof.html", who, keys=keys, keys_json=json.dumps(keys), words=json.dumps(words))

    async def download(self, request: Request, receipt_id: UUID) -> Response:
        who = await self.who(request)
        name = f"{receipt_id}.tlog-proof"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        content = await self.desk.proofs.proof(who, receipt_id)
        return Response(content, media_type="text/plain; charset=utf-8", headers=headers)

    async def sealed(self, request: Request, receipt_id: UUID) -> Response:
        who = await self.who(request)
        sealed = await self.desk.proofs.sealed(who, receipt_id)
        erased = await self.desk.proofs.erased(receipt_id)
        return self.show(request, "parts/sealed.html", who, sealed=sealed, erased=erased, receipt_id=receipt_id)
