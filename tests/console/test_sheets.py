"""A table of the API has JSON's names as heads, for programs, or the words of a language that is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from shanhe.console.render import words
from shanhe.console.sheets import HEAD_MAX_BYTES, Sheets
from shanhe.exchange.routes import CSV_HEAD as TRADES
from shanhe.filings.views import COLUMNS as MODERATION
from shanhe.gateway.routes import CSV_COLUMNS as USAGE
from shanhe.governance.dilution_views import COLUMNS as DILUTION
from shanhe.governance.simulation_views import COLUMNS as SIMULATION
from shanhe.identity.acts_sheet import HEAD as ACTS
from shanhe.ledger.routes import CSV_HEAD as STATEMENT
from shanhe.ledger.routes import TRIAL_HEAD
from shanhe.payments.payout_sheet import HEAD as PAYOUTS
from shanhe.programmes.sheet import HEAD as APPLICATIONS

HEADS = {
    "trades": TRADES, "moderation": MODERATION, "usage": USAGE, "dilution": DILUTION, "simulation": SIMULATION,
    "audit": ACTS, "statement": STATEMENT, "trial-balance": TRIAL_HEAD, "applications": APPLICATIONS,
    "payouts": PAYOUTS,
}  # fmt: skip


async def drop_by_drop(text: str) -> AsyncIterator[bytes]:
    for byte in text.encode():
        yield bytes([byte])


async def whole(request: Request) -> Response:
    return Response("\ufeffcalls,model,of no word\r\n1,calls,x\r\n", media_type="text/csv; charset=utf-8")


async def streamed(request: Request) -> Response:
    return StreamingResponse(drop_by_drop("debits,credits\r\n1,2\r\n"), media_type="text/csv")


async def endless(request: Request) -> Response:
    return StreamingResponse(drop_by_drop("x" * (HEAD_MAX_BYTES + 10)), media_type="text/csv")


async def plain(request: Request) -> Response:
    return Response("calls\n")


@pytest.fixture
async def asked() -> AsyncIterator[httpx.AsyncClient]:
    routes = {"/api/usage": whole, "/api/trial-balance.csv": streamed, "/api/endless": endless, "/api/plain": plain,
              "/usage.csv": whole}  # fmt: skip
    app = Sheets(Starlette(routes=[Route(path, answer) for path, answer in routes.items()]), words().get)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city") as client:
        yield client


class TestSheet:
    async def test_has_the_names_of_json_for_programs_whatever_language_they_accept(
        self, asked: httpx.AsyncClient
    ) -> None:
        for query in ("", "?language=fr", "?language="):
            answer = await asked.get(f"/api/usage{query}", headers={"accept-language": "zh-CN"})
            assert answer.text == "\ufeffcalls,model,of no word\r\n1,calls,x\r\n"

    async def test_has_the_words_of_a_language_that_is_asked_for_and_its_rows_as_they_are(
        self, asked: httpx.AsyncClient
    ) -> None:
        for language, head in (("zh", "调用数,模型"), ("zh-CN", "调用数,模型"), ("en", "Calls,Model")):
            answer = await asked.get(f"/api/usage?language={language}")
            assert answer.text == f"\ufeff{head},of no word\r\n1,calls,x\r\n"
        assert (await asked.get("/api/trial-balance.csv?language=zh")).text == "\ufeff借方,贷方\r\n1,2\r\n"

    async def test_is_nothing_else_than_a_csv_of_the_api(self, asked: httpx.AsyncClient) -> None:
        assert (await asked.get("/api/plain?language=zh")).text == "calls\n"
        assert (await asked.get("/usage.csv?language=zh")).text.startswith("\ufeffcalls")
        assert len((await asked.get("/api/endless?language=zh")).text) == HEAD_MAX_BYTES + 10

    @pytest.mark.parametrize("name", HEADS)
    def test_has_a_word_for_each_of_its_columns(self, name: str) -> None:
        known = words().entries
        assert [one for one in HEADS[name] if f"sheet.{one}" not in known and f"sheet_{name}.{one}" not in known] == []
