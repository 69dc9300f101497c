"""HTTP of the bank's balance against the books': any day's, and the sheets that two people signed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends
from starlette.responses import Response

from shanhe.identity.api import Actor, require
from shanhe.kernel.asking import asked_view
from shanhe.kernel.documents import MEDIA, Format, render, save_headers
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.payments.balance import view
from shanhe.payments.balance_paper import document
from shanhe.payments.bank import BankDesk

Operator = Annotated[Actor, Depends(require("accounts"))]
Reader = Annotated[Actor, Depends(require("ledger"))]
Shape = Literal["json", "pdf", "xlsx", "csv"]
Language = Literal["zh", "zh-CN", "en"]
AskSign = Callable[..., Awaitable[Any]]
"""(day, by): the request that a second person decides."""


class DayBody(Body):
    day: date


def balance_router(bank: BankDesk, sign: AskSign, city_name: str) -> APIRouter:
    """Everything under /api/bank/balance."""
    routes = APIRouter(prefix="/api/bank/balance", tags=["bank"])

    async def answer(sheet: Mapping[str, Any], shape: Shape, language: Language, made: str, signed: str) -> Response:
        fmt = Format(shape)
        paper = document(
            sheet,
            city_name=city_name,
            account=bank.statements.account_number,
            language=language,
            made=made,
            signed=signed,
        )
        headers = save_headers(f"{paper.title}-{sheet['day']}", fmt)
        return Response(await render(paper, fmt), media_type=MEDIA[fmt], headers=headers)

    @routes.get("")
    async def balance(day: date, _: Reader, format: Shape = "json", language: Language = "zh") -> Response:
        """The bank's balance against the books' on the evening of a day, with what explains the difference."""
        found = view(await bank.balances.on(day))
        return as_json(found) if format == "json" else await answer(found, format, language, "", "")

    @routes.get("/sheets")
    async def sheets(_: Reader) -> Response:
        """Sheets as they stood when a second person was asked to sign, the newest day first."""
        found = [asdict(one) for one in await bank.balances.kept()]
        return as_json({"data": [{name: one[name] for name in one if name != "sheet"} for one in found]})

    @routes.post("/sheets", status_code=202)
    async def ask(body: DayBody, actor: Operator) -> Response:
        """Keep the sheet of a day as it stands and ask a second person to sign it."""
        return as_json(asked_view(await sign(body.day, by=actor.ref)), 202)

    @routes.get("/sheets/{sheet_id}")
    async def sheet(sheet_id: UUID, _: Reader, format: Shape = "json", language: Language = "zh") -> Response:
        """One of them, whole."""
        kept = await bank.balances.get(sheet_id)
        if format == "json":
            return as_json(asdict(kept))
        return await answer(kept.sheet, format, language, kept.made_by, kept.signed_by or "")

    return routes
