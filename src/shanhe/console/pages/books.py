"""The ledger explorer: accounts, postings, trial balance, verification with progress."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.routing import APIRouter

ASSETS = ("credit", "cny", "voucher", "ticket", "point")
WORD_CHARS_MAX = 64


class BooksRoom(Room):
    """Everything below `/city/ledger`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/ledger", self.postings, methods=["GET"])
        add("/city/ledger/accounts", self.accounts, methods=["GET"])
        add("/city/ledger/trial", self.trial, methods=["GET"])
        add("/city/ledger/verify", self.verify, methods=["GET"])
        add("/city/ledger/verify", self.verify_start, methods=["POST"])
        add("/city/ledger/postings/{posting_id}", self.posting, methods=["GET"])
        return routes

    async def postings(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        query = request.query_params
        kind, account = query.get("kind", "")[:WORD_CHARS_MAX], query.get("account", "")[:WORD_CHARS_MAX]
        rows = await self.desk.city.postings(who, kind, account, query.get("before", "")[:WORD_CHARS_MAX])
        return self.show(request, "postings.html", who, rows=rows, kind=kind, account=account)

    async def posting(self, request: Request, posting_id: UUID) -> Response:
        who = await self.allowed(request, "ledger")
        return self.show(request, "posting.html", who, posting=await self.desk.city.posting(who, posting_id))

    async def accounts(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        query = request.query_params
        asset, kind = query.get("asset", ""), query.get("kind", "")[:WORD_CHARS_MAX]
        rows = await self.desk.city.accounts(who, asset if asset in ASSETS else "", kind)
        return self.show(request, "accounts.html", who, rows=rows, asset_name=asset, kind=kind, assets=ASSETS)

    async def trial(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        return self.show(request, "trial.html", who, rows=await self.desk.city.trial(who))

    async def verify(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        template = "parts/verify.html" if "hx-request" in request.headers else "verify.html"
        return self.show(request, template, who, report=await self.desk.city.verify(who))

    async def verify_start(self, request: Request) -> Response:
        who, _ = await self.posted(request, "ledger")
        await self.desk.city.verify_start(who)
        if "hx-request" in request.headers:
            return self.show(request, "parts/verify.html", who, report=await self.desk.city.verify(who))
        return go("/city/ledger/verify")
