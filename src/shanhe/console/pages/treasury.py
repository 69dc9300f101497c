"""Money in and out: a maker's income, bank statements, payouts, reconciliation."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.model_credits import QUEUE_ROWS
from shanhe.console.pages.base import Room, day_in, one_of, queue_in, uuid_in
from shanhe.console.pages.till import parse_amount
from shanhe.console.render import form_with_file, go
from shanhe.kernel.documents import BOM
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

HASH_CHARS = 64
FIND_CHARS_MAX = 120
AMOUNT_CHARS_MAX = 24
WRITTEN_OFF = "written_off"
SUSPENSE_ACTIONS = ("assign", "apply", "return", "explain", "resend", "book", "accept")
PAYOUT_ACTIONS = ("review", "approve", "refuse", "confirm", "fail")


class TreasuryRoom(Room):
    """`/income` for members; `/city/bank`, `/city/payouts` and `/city/reconcile` for operators."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/income", self.income, methods=["GET"])
        add("/income", self.ask, methods=["POST"])
        add("/income/quote", self.quote, methods=["GET"])
        add("/income/payee", self.payee, methods=["POST"])
        add("/income/{payout_id}/cancel", self.cancel, methods=["POST"])
        add("/city/bank", self.bank, methods=["GET"])
        add("/city/bank", self.upload, methods=["POST"])
        add("/city/bank/held/{file_hash}", self.held, methods=["GET"])
        add("/city/bank/balance", self.balance, methods=["GET"])
        add("/city/bank/balance", self.sign, methods=["POST"])
        add("/city/bank/balance/{sheet}", self.kept_balance, methods=["GET"])
        add("/city/bank/{item}/{action}", self.suspense, methods=["POST"])
        add("/city/payouts", self.payouts, methods=["GET"])
        add("/city/payouts.csv", self.payouts_sheet, methods=["GET"])
        add("/city/payouts/file", self.file, methods=["POST"])
        add("/city/payouts/payees/{payee}", self.check, methods=["POST"])
        add("/city/payouts/{payout_id}/{action}", self.decide, methods=["POST"])
        add("/city/reconcile", self.reconcile, methods=["GET"])
        add("/city/reconcile", self.run, methods=["POST"])
        add("/city/reconcile/bill", self.bill, methods=["POST"])
        add("/city/reconcile/{item}/{action}", self.difference, methods=["POST"])
        return routes

    # -- a maker's income ---------------------------------------------------------------------------------------------

    async def income(self, request: Request) -> Response:
        return await self._income(request, await self.allowed(request, "topup"))

    async def _income(self, request: Request, who: m.Who, **values: Any) -> Response:
        view = await self.desk.treasury.income(who)
        return self.show(request, "income.html", who, income=view, client_ref=str(new_id()), **values)

    async def ask(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            micro = parse_amount(fields.get("amount", ""))
            reference = fields.get("client_ref", "") or str(new_id())
            subsidy = fields.get("subsidy") == "1"
            await self.desk.treasury.payout_ask(who, micro, reference, with_subsidy=subsidy)
        except ShanheError as error:
            return await self._income(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/income", "payout_asked")

    async def quote(self, request: Request) -> Response:
        """What credits come to in cash, with the rule's trace; a fragment for htmx, the whole page otherwise."""
        who = await self.allowed(request, "topup")
        amount = request.query_params.get("amount", "")[:AMOUNT_CHARS_MAX].strip()
        values: dict[str, Any] = {"amount": amount}
        try:
            if amount:
                values["quote"] = await self.desk.treasury.payout_quote(who, parse_amount(amount))
        except ShanheError as error:
            values["mistake"] = self.view.mistake(request, error)
        if "hx-request" in request.headers:
            return self.show(request, "parts/payout_quote.html", who, **values)
        return await self._income(request, who, **values)

    async def payee(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            await self.desk.treasury.payee_set(who, fields)
        except ShanheError as error:
            return await self._income(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/income", "payee_saved")

    async def cancel(self, request: Request, payout_id: UUID) -> Response:
        who, _ = await self.posted(request, "topup")
        await self.desk.treasury.payout_cancel(who, payout_id)
        return go("/income", "payout_cancelled")

    # -- bank statements ----------------------------------------------------------------------------------------------

    async def bank(self, request: Request) -> Response:
        return await self._bank(request, await self.allowed(request, "ledger"))

    async def _bank(self, request: Request, who: m.Who, **values: Any) -> Response:
        query = request.query_params
        find = query.get("find", "")[:FIND_CHARS_MAX].strip()
        view = await self.desk.treasury.bank(who, query.get("file", "")[:HASH_CHARS], find, uuid_in(query, "past"))
        return self.show(request, "bank.html", who, bank=view, find=find, **{"fields": {}, **values})

    async def upload(self, request: Request) -> Response:
        who = await self.allowed(request, "accounts")
        _, name, data = await form_with_file(request, who)
        try:
            found, known = await self.desk.treasury.statement_upload(who, name, data)
        except ShanheError as error:
            return await self._bank(request, who, mistake=self.view.mistake(request, error), status=error.status)
        if known:
            return go(f"/city/bank?file={found}", "statement_known")
        return go(f"/city/bank/held/{found}", "statement_held")

    async def held(self, request: Request, file_hash: str) -> Response:
        """A statement that waits for a second person, and what it would do."""
        who = await self.allowed(request, "ledger")
        view = await self.desk.treasury.statement_held(who, file_hash[:HASH_CHARS])
        return self.show(request, "bank_held.html", who, page=view, held=view.held)

    async def suspense(self, request: Request, item: UUID, action: str) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            asked = await self.desk.treasury.suspense_decide(who, item, one_of(action, SUSPENSE_ACTIONS), fields)
        except ShanheError as error:
            values = {"mistake": self.view.mistake(request, error), "fields": fields | {"row": f"{item}/{action}"}}
            return await self._bank(request, who, status=error.status, **values)
        return go("/city/bank", "payment_asked" if asked else "decided")

    # -- the bank's balance against the books' ------------------------------------------------------------------------

    async def balance(self, request: Request) -> Response:
        return await self._balance(request, await self.allowed(request, "ledger"))

    async def _balance(self, request: Request, who: m.Who, sheet: UUID | None = None, **values: Any) -> Response:
        day = day_in(request.query_params, "day") or day_in(values.get("fields", {}), "day")
        try:
            view = await self.desk.treasury.balance(who, day, sheet)
        except Invalid as error:  # a day to come
            values = {"mistake": self.view.mistake(request, error), "status": error.status}
            view = await self.desk.treasury.balance(who, None, None)
        return self.show(request, "bank_balance.html", who, sheet=view, **values)

    async def kept_balance(self, request: Request, sheet: UUID) -> Response:
        return await self._balance(request, await self.allowed(request, "ledger"), sheet)

    async def sign(self, request: Request) -> Response:
        """Ask for a second person's signature."""
        who, fields = await self.posted(request, "accounts")
        try:
            await self.desk.treasury.balance_sign(who, date.fromisoformat(fields.get("day", "")))
        except (ShanheError, ValueError) as error:
            mistake = self.view.mistake(request, error)
            return await self._balance(request, who, fields=fields, mistake=mistake, status=422)
        return go("/city/second", "payment_asked")

    # -- payouts ------------------------------------------------------------------------------------------------------

    async def payouts(self, request: Request) -> Response:
        return await self._payouts(request, await self.allowed(request, "ledger"))

    async def payouts_sheet(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        lines = await self.desk.treasury.payout_sheet(who, everything=queue_in(request.query_params).everything)
        return self.long_sheet(request, lines, "payouts")

    async def _payouts(self, request: Request, who: m.Who, **values: Any) -> Response:
        queue = queue_in(request.query_params)
        rows = await self.desk.treasury.payouts(who, queue)
        more = len(rows) == QUEUE_ROWS
        files = await self.desk.treasury.payout_files(who)
        shown = {"rows": rows, "queue": queue, "more": more, "files": files}
        return self.show(request, "payouts.html", who, **shown, **values)

    async def decide(self, request: Request, payout_id: UUID, action: str) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            asked = await self.desk.treasury.payout_decide(who, payout_id, one_of(action, PAYOUT_ACTIONS), fields)
        except ShanheError as error:
            return await self._payouts(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/payouts", "payment_asked" if asked else "decided")

    async def check(self, request: Request, payee: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        passed, reference = fields.get("passed") == "1", fields.get("reference", "")
        try:
            await self.desk.treasury.payee_check(who, payee, passed=passed, reference=reference)
        except ShanheError as error:
            return await self._payouts(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/payouts", "decided")

    async def file(self, request: Request) -> Response:
        """The bank's batch file, a new one or one that was made before; never cached."""
        who, fields = await self.posted(request, "accounts")
        try:
            name, text = await self.desk.treasury.payout_file(who, uuid_in(fields, "batch"))
        except ShanheError as error:
            return await self._payouts(request, who, mistake=self.view.mistake(request, error), status=error.status)
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response((BOM + text).encode(), media_type="text/csv; charset=utf-8", headers=headers)

    # -- reconciliation -----------------------------------------------------------------------------------------------

    async def reconcile(self, request: Request) -> Response:
        return await self._reconcile(request, await self.allowed(request, "ledger"))

    async def _reconcile(self, request: Request, who: m.Who, **values: Any) -> Response:
        everything = request.query_params.get("all") == "1"
        view = await self.desk.treasury.reconcile(who, everything=everything)
        return self.show(request, "reconcile.html", who, view=view, everything=everything, **values)

    async def run(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            day = fields.get("day", "")
            await self.desk.treasury.reconcile_run(who, date.fromisoformat(day) if day else None)
        except (ShanheError, ValueError) as error:
            return await self._reconcile(request, who, mistake=self.view.mistake(request, error), status=422)
        return go("/city/reconcile", "reconciled")

    async def bill(self, request: Request) -> Response:
        who = await self.allowed(request, "accounts")
        fields, name, data = await form_with_file(request, who)
        try:
            await self.desk.treasury.bill_upload(who, fields.get("provider", ""), name, data)
        except ShanheError as error:
            return await self._reconcile(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/reconcile#bills", "statement_read")

    async def difference(self, request: Request, item: UUID, action: str) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            action = one_of(action, ("assign", "resolve"))
            await self.desk.treasury.difference_decide(who, item, action, fields)
        except ShanheError as error:
            return await self._reconcile(request, who, mistake=self.view.mistake(request, error), status=error.status)
        asked = fields.get("outcome") == WRITTEN_OFF
        return go("/city/reconcile", "payment_asked" if asked else "decided")
