"""Statements, refunds, codes, invoices, disputes, agreements: `/credits` for members, `/city/credits` for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.model_credits import File
from shanhe.console.pages.base import Room, queue_in, uuid_in
from shanhe.console.pages.till import parse_amount
from shanhe.console.render import go, local_path
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

FORMATS = ("pdf", "xlsx", "csv")


class CreditsRoom(Room):
    """`/credits/…`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/credits", self.statement, methods=["GET"])
        add("/credits/statement.{fmt}", self.statement_file, methods=["GET"])
        add("/credits/refunds", self.refunds, methods=["GET"])
        add("/credits/refunds/{purchase_id}", self.refund_offer, methods=["GET"])
        add("/credits/refunds/{purchase_id}", self.refund, methods=["POST"])
        add("/credits/redeem", self.redeem_page, methods=["GET"])
        add("/credits/redeem", self.redeem, methods=["POST"])
        add("/credits/invoices", self.invoices, methods=["GET"])
        add("/credits/invoices", self.invoice_request, methods=["POST"])
        add("/credits/invoices/{invoice_id}.pdf", self.invoice_file, methods=["GET"])
        add("/credits/disputes", self.disputes, methods=["GET"])
        add("/credits/disputes", self.dispute_open, methods=["POST"])
        add("/credits/disputes/{dispute_id}/withdraw", self.dispute_withdraw, methods=["POST"])
        add("/credits/agreements", self.agreements, methods=["GET"])
        add("/credits/agreements/{agreement_id}/{number}/pay", self.instalment_pay, methods=["POST"])
        return routes

    async def statement(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        asked = request.query_params
        page = await self.desk.counter.statement(who, asked.get("month", "")[:7], uuid_in(asked, "past"))
        return self.show(request, "credits_statement.html", who, page=page, formats=FORMATS)

    async def statement_file(self, request: Request, fmt: str) -> Response:
        who = await self.allowed(request, "topup")
        shape = fmt if fmt in FORMATS else "pdf"
        month = request.query_params.get("month", "")[:7]
        return download(await self.desk.counter.statement_file(who, month, shape, language(request)))

    async def refunds(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        return await self._refunds(request, who)

    async def _refunds(self, request: Request, who: m.Who, **values: Any) -> Response:
        shown = {
            "table": await self.desk.counter.refunds(who),
            "purchases": [row for row in await self.desk.till.purchases(who) if row.state == "posted"],
            "offer": None,
            "client_ref": str(new_id()),
            **values,
        }
        return self.show(request, "credits_refunds.html", who, **shown)

    async def refund_offer(self, request: Request, purchase_id: UUID) -> Response:
        """What R3 gives for one purchase, before anything is done."""
        who = await self.allowed(request, "topup")
        try:
            offer = await self.desk.counter.refund_offer(who, purchase_id)
        except ShanheError as error:
            return await self._refunds(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return await self._refunds(request, who, offer=offer)

    async def refund(self, request: Request, purchase_id: UUID) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            reference = fields.get("client_ref") or str(new_id())
            await self.desk.counter.refund(who, purchase_id, fields.get("reason", ""), reference)
        except (ShanheError, ValueError) as error:
            return await self._refunds(request, who, mistake=self.view.mistake(request, error), status=status_of(error))
        return go("/credits/refunds", "refund_asked")

    async def redeem_page(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        return self.show(request, "credits_redeem.html", who, table=await self.desk.counter.redeemed(who), code="")

    async def redeem(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            await self.desk.counter.redeem(who, fields.get("code", ""))
        except (ShanheError, ValueError) as error:
            sheet = await self.desk.counter.redeemed(who)
            return self.again(request, "credits_redeem.html", who, error, table=sheet, code=fields.get("code", "")[:64])
        return go("/credits/redeem", "redeemed")

    async def invoices(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        return await self._invoices(request, who)

    async def _invoices(self, request: Request, who: m.Who, **values: Any) -> Response:
        left_fen, sheet = await self.desk.counter.invoices(who)
        red = await self.desk.counter.red_letters(who)
        shown = {"left_fen": left_fen, "table": sheet, "red": red, "fields": {}, "client_ref": str(new_id()), **values}
        return self.show(request, "credits_invoices.html", who, **shown)

    async def invoice_request(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            amount_fen = parse_amount(fields.get("amount", ""), yuan=True)
            await self.desk.counter.invoice_request(who, fields, amount_fen)
        except (ShanheError, ValueError) as error:
            mistake = self.view.mistake(request, error)
            return await self._invoices(request, who, mistake=mistake, fields=fields, status=status_of(error))
        return go("/credits/invoices", "invoice_asked")

    async def invoice_file(self, request: Request, invoice_id: UUID) -> Response:
        who = await self.allowed(request, "topup")
        return download(await self.desk.counter.invoice_file(who, invoice_id, language(request)))

    async def disputes(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        fields = {"receipt": request.query_params.get("receipt", "")[:36]}
        sheet = await self.desk.counter.disputes(who)
        return self.show(request, "credits_disputes.html", who, table=sheet, fields=fields)

    async def dispute_open(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            await self.desk.counter.dispute_open(
                who, fields.get("receipt", ""), fields.get("reason", ""), fields.get("evidence", "")
            )
        except (ShanheError, ValueError) as error:
            sheet = await self.desk.counter.disputes(who)
            return self.again(request, "credits_disputes.html", who, error, table=sheet, fields=fields)
        return go("/credits/disputes", "dispute_opened")

    async def dispute_withdraw(self, request: Request, dispute_id: UUID) -> Response:
        who, _ = await self.posted(request, "topup")
        await self.desk.counter.dispute_withdraw(who, dispute_id)
        return go("/credits/disputes", "done")

    async def agreements(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        return await self._agreements(request, who)

    async def _agreements(self, request: Request, who: m.Who, **values: Any) -> Response:
        methods, table = self.desk.till.methods(), await self.desk.counter.agreements(who)
        return self.show(request, "credits_agreements.html", who, table=table, methods=methods, **values)

    async def instalment_pay(self, request: Request, agreement_id: UUID, number: int) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            method = fields.get("method", "") or self.desk.till.methods()[0]
            return go(local_path(await self.desk.counter.instalment_pay(who, agreement_id, number, method)))
        except (ShanheError, IndexError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            return await self._agreements(request, who, mistake=self.view.mistake(request, error), status=status)


class CreditsDesk(Room):
    """`/city/credits/…`, for operators."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/credits", self.calendar, methods=["GET"])
        add("/city/credits/batches", self.batches, methods=["GET"])
        add("/city/credits/batches", self.batch_create, methods=["POST"])
        add("/city/credits/budgets", self.budget_fund, methods=["POST"])
        add("/city/credits/batches/{batch_id}/fund", self.batch_fund, methods=["POST"])
        add("/city/credits/batches/{batch_id}/export", self.batch_export, methods=["POST"])
        add("/city/credits/batches/{batch_id}/revoke", self.batch_revoke, methods=["POST"])
        add("/city/credits/agreements", self.agreements, methods=["GET"])
        add("/city/credits/agreements", self.agreement_sign, methods=["POST"])
        add("/city/credits/agreements/{agreement_id}/{number}/book", self.instalment_book, methods=["POST"])
        add("/city/credits/invoices", self.invoices, methods=["GET"])
        add("/city/credits/invoices/{invoice_id}/decide", self.invoice_decide, methods=["POST"])
        add("/city/credits/red-letters", self.red_letters, methods=["GET"])
        add("/city/credits/red-letters/{letter_id}/record", self.red_letter_record, methods=["POST"])
        add("/city/credits/disputes", self.disputes, methods=["GET"])
        add("/city/credits/disputes/{dispute_id}/decide", self.dispute_decide, methods=["POST"])
        add("/city/credits/estates", self.estates, methods=["GET"])
        add("/city/credits/estates", self.estate_ask, methods=["POST"])
        add("/city/credits/estates/{estate_id}/decide", self.estate_decide, methods=["POST"])
        add("/city/credits/refunds", self.refunds, methods=["GET"])
        add("/city/credits/refunds/{refund_id}/retry", self.refund_retry, methods=["POST"])
        add("/city/credits/refunds/{refund_id}/payout", self.refund_payout, methods=["POST"])
        return routes

    async def _tab(self, request: Request, who: m.Who, tab: str, **values: Any) -> Response:
        counter = self.desk.counter
        sheets = {
            "calendar": counter.calendar,
            "batches": counter.batches,
            "agreements": counter.all_agreements,
            "estates": counter.estates,
        }
        queues = {
            "invoices": counter.all_invoices,
            "red-letters": counter.all_red_letters,
            "disputes": counter.all_disputes,
            "refunds": counter.all_refunds,
        }
        queue = queue_in(request.query_params) if tab in queues else None
        table = await (sheets[tab](who) if queue is None else queues[tab](who, queue))
        shown = {"tab": tab, "table": table, "queue": queue, "client_ref": str(new_id()), "fields": {}, **values}
        return self.show(request, "city_credits.html", who, **shown)

    async def calendar(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "calendar")

    async def batches(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "batches")

    async def agreements(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "agreements")

    async def invoices(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "invoices")

    async def disputes(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "disputes")

    async def refunds(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "refunds")

    async def estates(self, request: Request) -> Response:
        who = await self.allowed(request, "accounts")
        return await self._tab(request, who, "estates", fields={"org": request.query_params.get("org", "")[:36]})

    async def estate_ask(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.estate_ask(who, fields)
        return await self._done(request, who, "estates", work, done="payment_asked", fields=fields)

    async def estate_decide(self, request: Request, estate_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        yes, reason = fields.get("decision") == "approve", fields.get("reason", "")
        return await self._done(request, who, "estates", self.desk.counter.estate_decide(who, estate_id, yes, reason))

    async def batch_create(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        return await self._done(request, who, "batches", self.desk.counter.batch_create(who, fields), fields=fields)

    async def budget_fund(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.budget_fund(who, fields)
        return await self._done(request, who, "batches", work, done="payment_asked", fields=fields)

    async def batch_fund(self, request: Request, batch_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        return await self._done(request, who, "batches", self.desk.counter.batch_fund(who, batch_id))

    async def batch_export(self, request: Request, batch_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        return download(await self.desk.counter.batch_export(who, batch_id))

    async def batch_revoke(self, request: Request, batch_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.batch_revoke(who, batch_id, fields.get("reason", ""))
        return await self._done(request, who, "batches", work, fields=_of_row(fields, batch_id))

    async def agreement_sign(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        org, year, reference = (fields.get(name, "") for name in ("org", "year", "reference"))
        work = self.desk.counter.agreement_sign(who, org, year, reference)
        return await self._done(request, who, "agreements", work, fields=fields)

    async def instalment_book(self, request: Request, agreement_id: UUID, number: int) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.instalment_book(who, agreement_id, number, fields.get("reference", ""))
        kept = _of_row(fields, f"{agreement_id}/{number}")
        return await self._done(request, who, "agreements", work, done="payment_asked", fields=kept)

    async def invoice_decide(self, request: Request, invoice_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.invoice_decide(who, invoice_id, fields.get("number", ""), fields.get("reason", ""))
        return await self._done(request, who, "invoices", work, fields=_of_row(fields, invoice_id))

    async def red_letters(self, request: Request) -> Response:
        return await self._tab(request, await self.allowed(request, "accounts"), "red-letters")

    async def red_letter_record(self, request: Request, letter_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.red_letter_record(who, letter_id, fields.get("sheet", ""), fields.get("number", ""))
        return await self._done(request, who, "red-letters", work, fields=_of_row(fields, letter_id))

    async def dispute_decide(self, request: Request, dispute_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        granted = fields.get("decision") == "grant"
        work = self.desk.counter.dispute_decide(who, dispute_id, granted, fields.get("answer", ""))
        return await self._ruled(request, who, "disputes", work, _of_row(fields, dispute_id))

    async def refund_retry(self, request: Request, refund_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        return await self._done(request, who, "refunds", self.desk.counter.refund_retry(who, refund_id))

    async def refund_payout(self, request: Request, refund_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        work = self.desk.counter.refund_payout(who, refund_id, fields.get("reference", ""))
        return await self._ruled(request, who, "refunds", work, _of_row(fields, refund_id))

    async def _ruled(
        self, request: Request, who: m.Who, tab: str, work: Awaitable[bool], fields: Mapping[str, str]
    ) -> Response:
        """Done at once, or asked of a second person, which `work` says."""
        try:
            asked = await work
        except ShanheError as error:
            values = {"mistake": self.view.mistake(request, error), "fields": fields}
            return await self._tab(request, who, tab, status=error.status, **values)
        return go(f"/city/credits/{tab}", "payment_asked" if asked else "done")

    async def _done(
        self, request: Request, who: m.Who, tab: str, work: Any, *, done: str = "done", **values: Any
    ) -> Response:
        try:
            await work
        except (ShanheError, ValueError) as error:
            return await self._tab(
                request, who, tab, mistake=self.view.mistake(request, error), status=status_of(error), **values
            )
        return go(f"/city/credits/{tab}", done)


def _of_row(fields: Mapping[str, str], row: object) -> dict[str, str]:
    """What was typed into the form of one row, for that row to show again."""
    return {"row": str(row)} | {f"row_{name}": value for name, value in fields.items()}


def download(file: File) -> Response:
    """A file as an answer that the browser saves."""
    return Response(file.content, media_type=file.media, headers=file.headers)


def status_of(error: Exception) -> int:
    return error.status if isinstance(error, ShanheError) else 422
