"""`/api/receipts`, `/api/calls` and `/api/usage`: what calls cost, for their organisation."""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from shanhe.gateway.api import WINDOWS, Gateway, UsageRow, complete
from shanhe.kernel.clock import Clock
from shanhe.kernel.days import days_asked
from shanhe.kernel.documents import BOM, csv_line
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter

GROUPS = (*WINDOWS, "model", "key", "org", "tag")
CSV_COLUMNS = (
    "day",
    "org_id",
    "key_id",
    "model",
    "calls",
    "input",
    "cached_input",
    "output",
    "reasoning",
    "tool",
    "credits",
    "tag",
    "cache_write",
)


class Reader(Protocol):
    """Who asks."""

    @property
    def org_id(self) -> UUID | None: ...
    @property
    def key_id(self) -> UUID | None: ...
    @property
    def permissions(self) -> frozenset[str]: ...


ReaderOf = Callable[[Request], Awaitable[Reader]]


def router(gateway: Gateway, reader: ReaderOf, clock: Clock) -> APIRouter:
    """Routes over `gateway`; `reader` is identity's dependency that says who asks."""
    routes = APIRouter(prefix="/api", tags=["calls"])
    Asking = Annotated[Reader, Depends(reader)]

    @routes.get("/receipts/{receipt_id}")
    async def receipt(receipt_id: UUID, asking: Asking) -> Response:
        """One receipt: buckets, prices, rules with articles, postings, timings, and why this amount."""
        found = await gateway.receipt(receipt_id, None if "ledger" in asking.permissions else asking.org_id)
        return as_json(found)

    @routes.get("/calls")
    async def calls(
        asking: Asking,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: str | None = None,
        tag: str | None = None,
    ) -> Response:
        """The newest calls of your organisation, or those among them with a tag; a plain key sees its own."""
        return as_json(await gateway.recent(own(asking), limit, cursor, key_of(asking, None), tag))

    @routes.get("/usage")
    async def usage(
        asking: Asking,
        first: date | None = None,
        last: date | None = None,
        group: str = "day",
        key: UUID | None = None,
        model: str | None = None,
        format: str = "json",
        org: UUID | None = None,
        tag: str | None = None,
    ) -> Response:
        """Tokens and credits by window (day, week, month), model, key and tag; `format=csv` downloads them."""
        begin, end = days_asked(first, last, clock.today())
        rows = complete(
            await gateway.usage(
                whose(asking, org), begin, end, group=grouping(group), key_id=key_of(asking, key), model=model, tag=tag
            )
        )
        if format == "csv":
            name = f"usage-{begin}-{end}.csv"
            headers = {"content-disposition": f'attachment; filename="{name}"'}
            return Response(usage_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)
        return as_json({"first": begin, "last": end, "rows": rows})

    return routes


def own(asking: Reader) -> UUID:
    """The organisation of whoever asks; Invalid when there is none."""
    if asking.org_id is None:
        raise Invalid("no_organisation", "Choose an organisation first.", message_zh="请先选择机构。")
    return asking.org_id


def key_of(asking: Reader, key: UUID | None) -> UUID | None:
    """A key without the permission `usage` sees its own calls only, whatever it asks for."""
    return key if asking.key_id is None or "usage" in asking.permissions else asking.key_id


def whose(asking: Reader, org: UUID | None) -> UUID | None:
    """Operators may look at any organisation, or at all; everyone else sees their own."""
    return org if "ledger" in asking.permissions else own(asking)


def grouping(text: str) -> tuple[str, ...]:
    """`day,model` → groups; Invalid for others."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in GROUPS]:
        raise Invalid(
            "group_unknown",
            f"{', '.join(unknown)} can't be grouped by; use {', '.join(GROUPS)}.",
            message_zh=f"不能按 {', '.join(unknown)} 分组，可用：{', '.join(GROUPS)}。",
        )
    if len(windows := [name for name in names if name in WINDOWS]) > 1:
        raise Invalid(
            "windows_twice",
            f"{' and '.join(windows)} are windows of time; group by one of them.",
            message_zh=f"{'、'.join(windows)} 都是时间窗口，只能选一个。",
        )
    return names


def usage_csv(rows: list[UsageRow]) -> str:
    """Rows as CSV with a byte-order mark, so that spreadsheets read the Chinese in it."""
    lines = [csv_line(CSV_COLUMNS)]
    for row in rows:
        said: dict[str, Decimal | str] = {"credits": Decimal(row.amount_micro).scaleb(-6), "tag": str(row.tag or "")}
        lines.append(csv_line([said[name] if name in said else getattr(row, name) for name in CSV_COLUMNS]))
    return BOM + "".join(lines)
