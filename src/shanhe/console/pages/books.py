"""The ledger explorer: accounts, postings, trial balance, closing a period, verification with progress."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.pages.base import Room, day_in, days_in
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.routing import APIRouter

ASSETS = ("credit", "cny", "voucher", "ticket", "point")
WORD_CHARS_MAX = 64
CURSOR_CHARS_MAX = 128
FIND_CHARS_MAX = 100
REASON_CHARS_MAX = 500


class BooksRoom(Room):
    """Everything below `/city/ledger`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/ledger", self.postings, methods=["GET"])
        add("/city/ledger/accounts", self.accounts, methods=["GET"])
        add("/city/ledger/trial", self.trial, methods=["GET"])
        add("/city/ledger/verify", self.verify, methods=["GET"])
        add("/city/ledger/verify", self.verify_start, methods=["POST"])
        add("/city/ledger/close", self.close, methods=["POST"])
        add("/city/ledger/postings/{posting_id}", self.posting, methods=["GET"])
        add("/city/ledger/postings/{posting_id}/reverse", self.reverse, methods=["POST"])
        return routes

    async def postings(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        query = request.query_params
        kind, account = query.get("kind", "")[:WORD_CHARS_MAX], query.get("account", "")[:FIND_CHARS_MAX].strip()
        shown: dict[str, Any] = {
            "kind": kind,
            "account": account,
            "days": (days := days_in(query)),
            "rows": (),
            "page": None,
            "number": None,
        }
        shown["kinds"] = self.view.words.below("posting_kind")
        try:
            if account:
                shown["number"], shown["owner"] = await self.desk.books.account_named(who, account)
            number = shown["number"]
            if number is not None and not kind:
                after = query.get("after", "")[:CURSOR_CHARS_MAX]
                shown["page"] = await self.desk.books.statement(who, number, days, after)
            else:
                before = query.get("before", "")[:CURSOR_CHARS_MAX]
                shown["rows"] = await self.desk.books.postings(who, kind, number, days, before)
        except ShanheError as error:
            return self.show(
                request, "postings.html", who, mistake=self.view.mistake(request, error), status=error.status, **shown
            )
        return self.show(request, "postings.html", who, **shown)

    async def posting(self, request: Request, posting_id: UUID) -> Response:
        who = await self.allowed(request, "ledger")
        return await self._posting(request, who, posting_id)

    async def _posting(self, request: Request, who: Who, posting_id: UUID, **values: Any) -> Response:
        posting = await self.desk.books.posting(who, posting_id)
        return self.show(request, "posting.html", who, posting=posting, **values)

    async def reverse(self, request: Request, posting_id: UUID) -> Response:
        """Ask for a posting's mirror image; a second person agrees."""
        who, fields = await self.posted(request, "accounts")
        try:
            reason = fields.get("reason", "")[:REASON_CHARS_MAX]
            if not reason:
                raise ValueError(reason)
            await self.desk.second.ask_reversal(who, posting_id, reason)
        except (ShanheError, ValueError) as error:
            mistake = self.view.mistake(request, error)
            return await self._posting(request, who, posting_id, mistake=mistake, status=422)
        return go("/city/second", "payment_asked")

    async def accounts(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        query = request.query_params
        asset, kind = query.get("asset", ""), query.get("kind", "")[:WORD_CHARS_MAX]
        asset = asset if asset in ASSETS else ""
        find, after = query.get("find", "")[:FIND_CHARS_MAX].strip(), query.get("after", "")[:WORD_CHARS_MAX]
        rows, following = await self.desk.books.accounts(who, asset, kind, find, after)
        shown = {"rows": rows, "following": following, "asset_name": asset, "kind": kind, "find": find, "after": after}
        kinds = self.view.words.below("account_kind")
        return self.show(request, "accounts.html", who, assets=ASSETS, kinds=kinds, **shown)

    async def trial(self, request: Request) -> Response:
        return await self._trial(request, await self.allowed(request, "ledger"))

    async def _trial(self, request: Request, who: Who, **values: Any) -> Response:
        rows, closed = await self.desk.books.trial(who), await self.desk.books.closed_through(who)
        through = day_in(request.query_params, "through") or day_in(values.get("fields", {}), "through")
        unfinished = await self.desk.books.unfinished(who, through) if through else ()
        shown = {"rows": rows, "closed": closed, "through": through, "unfinished": unfinished}
        return self.show(request, "trial.html", who, **shown, **values)

    async def close(self, request: Request) -> Response:
        """Ask that the books be closed through a day; a second person agrees."""
        who, fields = await self.posted(request, "accounts")
        try:
            await self.desk.second.ask_close(who, date.fromisoformat(fields.get("through", "")))
        except (ShanheError, ValueError) as error:
            mistake = self.view.mistake(request, error)
            return await self._trial(request, who, fields=fields, mistake=mistake, status=422)
        return go("/city/second", "payment_asked")

    async def verify(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        template = "parts/verify.html" if "hx-request" in request.headers else "verify.html"
        return self.show(request, template, who, report=await self.desk.books.verify(who))

    async def verify_start(self, request: Request) -> Response:
        who, _ = await self.posted(request, "ledger")
        await self.desk.books.verify_start(who)
        if "hx-request" in request.headers:
            return self.show(request, "parts/verify.html", who, report=await self.desk.books.verify(who))
        return go("/city/ledger/verify")
