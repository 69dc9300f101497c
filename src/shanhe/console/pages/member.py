"""Home, usage, receipts, notices: what a member looks at."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import chart
from shanhe.console import model as m
from shanhe.console import model_postings as mp
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.documents import csv_line
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.routing import APIRouter

HOME_DAYS = 30
HOME_CALLS = 8
HOME_NOTICES = 3
FRONT_TALK = 4
NO_ORG_PATH = "/settings#organisations"
RANGE_DAYS_MAX = 366
NOTICES_MAX = 100
CALLS_A_PAGE = 50
TAG_CHARS_MAX = 64
CURSOR_CHARS_MAX = 200
GROUPS = ("day", "week", "month", "model", "key", "tag")
RANGES = (7, 30, 90)
ORGS_FOUND = 10

COSTS: Final = ("agent", "workflow", "app")
"""What an organisation's costs are shown of."""
CITY_APPS: Final = "city_app"
"""What apps cost every organisation, for the city's own people."""


class MemberRoom(Room):
    """`/`, `/usage`, `/usage.csv`, `/usage/calls`, `/receipts/{id}`, `/notices`, `/models`, `/search`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/", self.home, methods=["GET"])
        add("/usage", self.usage, methods=["GET"])
        add("/usage/calls", self.calls, methods=["GET"])
        add("/usage.csv", self.usage_csv, methods=["GET"])
        add("/usage/costs", self.costs, methods=["GET"])
        add("/usage/costs.csv", self.costs_csv, methods=["GET"])
        add("/receipts/{receipt_id}", self.receipt, methods=["GET"])
        add("/notices", self.notices, methods=["GET"])
        add("/notices/read", self.notices_read, methods=["POST"])
        add("/search", self.search, methods=["GET"])
        return routes

    async def home(self, request: Request) -> Response:
        if await self.desk.gate.who(request) is None:
            return await self._front(request)
        who = await self.who(request)
        if not who.has_org:
            return go(_desk_of(who))
        member = self.desk.member
        wallet = await member.wallet(who)
        spend = await member.spend(who, HOME_DAYS)
        values = {
            "wallet": wallet,
            "strip": chart.strip(wallet.by_provenance),
            "spend": spend,
            "broad": chart.columns(spend, width=720, height=200, every=5),
            "narrow": chart.columns(spend[-14:], width=330, height=180, every=4),
            "calls": (await member.calls(who, HOME_CALLS))[0],
            "notices": [notice for notice in await member.notices(who, HOME_NOTICES) if not notice.read],
            "keys": (await member.keys(who)).rows,
        }
        if request.headers.get("hx-target") == "wallet":
            return self.show(request, "parts/wallet.html", who, **values)
        return self.show(request, "home.html", who, **values)

    async def _front(self, request: Request) -> Response:
        """What a visitor meets first: what is here, what is new, and how one gets in."""
        issue = await self.desk.bulletin.issue(None)
        shown = {"oidc": self.desk.gate.oidc, "registers": mode if (mode := self.desk.arrivals.mode) != "off" else ""}
        return self.show(request, "front.html", None, issue=issue, talk_max=FRONT_TALK, **shown)

    async def usage(self, request: Request) -> Response:
        who = await self.allowed(request, "usage")
        start, end, by = period(request)
        rows = await self.desk.member.usage(who, start, end, by)
        days = rows if by == "day" else await self.desk.member.usage(who, start, end, "day")
        spend = by_day(days, start, end)
        every = max(len(spend) // 8, 1)
        return self.show(
            request,
            "usage.html",
            who,
            rows=rows,
            by=by,
            start=start,
            end=end,
            ranges=RANGES,
            today=SystemClock().today(),
            groups=GROUPS,
            total=total(days),
            broad=chart.columns(spend, width=1120, height=200, every=every),
            narrow=chart.columns(spend[-14:], width=330, height=180, every=4),
            most=max((row.micro for row in rows), default=0),
        )

    async def calls(self, request: Request) -> Response:
        """Every call with its receipt, the newest first."""
        who = await self.allowed(request, "usage")
        after = request.query_params.get("after", "")[:CURSOR_CHARS_MAX] or None
        tag = request.query_params.get("tag", "").strip()[:TAG_CHARS_MAX]
        rows, following = await self.desk.member.calls(who, CALLS_A_PAGE, after, tag or None)
        return self.show(request, "calls.html", who, rows=rows, after=after, following=following, tag=tag)

    async def usage_csv(self, request: Request) -> Response:
        who = await self.allowed(request, "usage")
        start, end, by = period(request)
        rows = await self.desk.member.usage(who, start, end, by)
        buckets = (f"{bucket}_tokens" for bucket in m.BUCKETS)
        lines = [csv_line((by, "calls", *buckets, "tokens", "credits", "micro_credits"))]
        for row in rows:
            tokens = [row.tokens.get(bucket, 0) for bucket in m.BUCKETS]
            credits = Decimal(row.micro).scaleb(-6)
            lines.append(csv_line((row.label, row.calls, *tokens, row.tokens_total, credits, row.micro)))
        name = f"shanhe-usage-{start:%Y%m%d}-{end:%Y%m%d}-{by}.csv"
        return self.sheet(request, "".join(lines), name)

    async def costs(self, request: Request) -> Response:
        """What each agent and each workflow cost, from the receipts of their runs."""
        who = await self.allowed(request, "usage")
        start, end, _ = period(request)
        kinds = (*COSTS, *([CITY_APPS] if who.may("ledger") else []))
        kind = asked if (asked := request.query_params.get("kind", "")) in kinds else kinds[0]
        rows = await self.desk.member.costs(who, start, end, kind)
        shown = {"rows": rows, "names": costs_by(rows, "name"), "users": costs_by(rows, "who")}
        about = {"start": start, "end": end, "kind": kind, "kinds": kinds, "today": SystemClock().today()}
        return self.show(request, "usage_costs.html", who, **about, **shown)

    async def costs_csv(self, request: Request) -> Response:
        who = await self.allowed(request, "usage")
        start, end, _ = period(request)
        lines = [csv_line(("day", "kind", "name", "user", "runs", "credits", "micro_credits"))]
        city = request.query_params.get("kind") == CITY_APPS and who.may("ledger")
        for kind in (CITY_APPS,) if city else COSTS:
            for row in await self.desk.member.costs(who, start, end, kind):
                credits = Decimal(row.micro).scaleb(-6)
                lines.append(csv_line((row.day, kind, row.name, row.who, row.runs, credits, row.micro)))
        return self.sheet(request, "".join(lines), f"shanhe-costs-{start:%Y%m%d}-{end:%Y%m%d}.csv")

    async def receipt(self, request: Request, receipt_id: UUID) -> Response:
        who = await self.who(request)
        receipt = await self.desk.member.receipt(who, receipt_id)
        burned = chart.strip({line.provenance: 0 for line in receipt.burned} | _sum(receipt.burned))
        part = "hx-request" in request.headers
        template = "parts/receipt_card.html" if part else "receipt.html"
        sealed = await self.desk.proofs.sealed(who, receipt_id)
        erased = await self.desk.proofs.erased(receipt_id)
        values = {"receipt": receipt, "strip": burned, "sealed": sealed, "erased": erased, "receipt_id": receipt_id}
        return self.show(request, template, who, **values)

    async def notices(self, request: Request) -> Response:
        who = await self.who(request)
        return self.show(request, "notices.html", who, notices=await self.desk.member.notices(who, NOTICES_MAX))

    async def notices_read(self, request: Request) -> Response:
        who, _ = await self.posted(request)
        unread = [notice.id for notice in await self.desk.member.notices(who, NOTICES_MAX) if not notice.read]
        await self.desk.member.notices_read(who, unread)
        return go("/notices", "notices_read")

    async def _numbered(self, who: m.Who, number: UUID) -> str:
        """Where the thing with this number is shown to somebody: an application, a posting, a receipt."""
        if who.may("programmes") or who.may("audit"):
            with suppress(ShanheError):
                await self.desk.promises.file(who, number)
                return f"/applications/{number}"
        return f"/city/ledger/postings/{number}" if who.may("ledger") else f"/receipts/{number}"

    async def search(self, request: Request) -> Response:
        """A receipt by its id, else the keys, models and rules whose name holds the text; for who runs the city any
        posting by its id, and organisations."""
        who = await self.who(request)
        text = request.query_params.get("q", "").strip()[:80]
        wanted = text.casefold()
        try:
            return go(await self._numbered(who, UUID(text)))
        except ValueError:
            pass
        found: list[tuple[str, str, str]] = []
        if wanted:
            if who.may("accounts"):
                orgs = (await self.desk.city.orgs(who, text))[:ORGS_FOUND]
                found += [("nav.accounts", org.name, f"/city/accounts/{org.id}") for org in orgs]
            found += [
                ("nav.keys", key.name, "/keys")
                for key in ((await self.desk.member.keys(who)).rows if who.may("keys") else ())
                if wanted in key.name.casefold()
            ]
            for model in await self.desk.member.models():
                if any(wanted in one.casefold() for one in (model.id, *model.title)):
                    found.append(("nav.models", model.id, "/models"))
            title = 0 if language(request).startswith("zh") else 1
            for rule in await self.desk.rules.list():
                if wanted in f"{rule.id} {rule.title[0]} {rule.title[1]}".casefold():
                    found.append(("nav.rules", f"{rule.short} {rule.title[title]}", f"/rules/{rule.id}"))
        return self.show(request, "search.html", who, text=text, found=found)


def _desk_of(who: m.Who) -> str:
    """Where somebody's work is who acts for no organisation."""
    if who.may("accounts"):
        return "/city/accounts"
    if who.may("ledger"):
        return "/city/ledger"
    return "/review" if who.reviews else NO_ORG_PATH


def period(request: Request) -> tuple[date, date, str]:
    """The wanted days (both included, at most a year) and grouping; the last 30 days when nothing is said."""
    today = SystemClock().today()
    query = request.query_params
    by = query.get("by", "day")
    try:
        end = date.fromisoformat(query["to"]) if query.get("to") else today
        start = date.fromisoformat(query["from"]) if query.get("from") else end - timedelta(days=HOME_DAYS - 1)
    except ValueError:
        start, end = today, today - timedelta(days=1)
    if by not in GROUPS or start > end or (end - start).days > RANGE_DAYS_MAX:
        raise Invalid(
            "bad_period",
            "The period or grouping cannot be shown.",
            message_zh="无法显示所选的日期或分组。",
            hint="Choose at most a year, first day before last day.",
            hint_zh="请选择不超过一年的区间，且开始日期不晚于结束日期。",
        )
    return start, end, by


def by_day(rows: Sequence[m.UsageRow], start: date, end: date) -> list[m.DaySpend]:
    """Every day of a period, also those without calls."""
    known = {row.label: row for row in rows}
    days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
    return [
        m.DaySpend(day, known[str(day)].micro, known[str(day)].calls) if str(day) in known else m.DaySpend(day, 0, 0)
        for day in days
    ]


def costs_by(rows: Sequence[m.CostRow], what: str) -> list[m.CostRow]:
    """Sums by name or user, the dearest first."""
    sums: dict[str, tuple[int, int]] = {}
    for row in rows:
        runs, micro = sums.get(label := getattr(row, what), (0, 0))
        sums[label] = (runs + row.runs, micro + row.micro)
    found = [m.CostRow(None, *((label, "") if what == "name" else ("", label)), *sums[label]) for label in sums]
    return sorted(found, key=lambda row: -row.micro)


def total(rows: Sequence[m.UsageRow]) -> m.UsageRow:
    tokens = {bucket: sum(row.tokens.get(bucket, 0) for row in rows) for bucket in m.BUCKETS}
    return m.UsageRow("", sum(row.calls for row in rows), tokens, sum(row.micro for row in rows))


def _sum(lines: Sequence[mp.BurnLine]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.provenance] = sums.get(line.provenance, 0) + line.micro
    return sums
