"""The record of acts as a sheet: one line an act, or one a column that it changed. Ids, never names: a file outlives an
erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from shanhe.identity.model import ActsAsked, AuditRow
from shanhe.identity.service import AUDIT_PAGE_MAX, Identity
from shanhe.kernel.documents import BOM, csv_cut, csv_line

HEAD: Final = ("at", "id", "actor", "door", "action", "object", "org_id", "what", "from", "to")
SHEET_ROWS_MAX: Final = 200_000
"""How many acts a sheet holds at most; what is older is asked for by its days."""


async def acts_csv(identity: Identity, asked: ActsAsked) -> AsyncIterator[str]:
    """Acts that fit, newest first, as CSV with a byte-order mark; read page by page while it is sent."""
    yield BOM + csv_line(HEAD)
    before, left = None, SHEET_ROWS_MAX
    while left > 0:
        rows = await identity.audit(asked, before=before, limit=AUDIT_PAGE_MAX)
        yield "".join(_lines(rows))
        if len(rows) < AUDIT_PAGE_MAX:
            return
        before, left = rows[-1].id, left - len(rows)
    if await identity.audit(asked, before=before, limit=1):
        yield csv_cut(SHEET_ROWS_MAX, "请按日期导出", "ask for it by its days")


def _lines(rows: list[AuditRow]) -> Iterator[str]:
    for row in rows:
        head = (row.at.isoformat(), str(row.id), row.actor, row.door, row.action, row.object, str(row.org_id or ""))
        yield from (csv_line((*head, *told)) for told in _told(row))


def _told(row: AuditRow) -> Iterator[tuple[str, str, str]]:
    """(column, before, after) of each column that changed; of an act in words of its own, what they say."""
    changes = list(row.changes())
    others = [(name, "", text_of(value)) for name, value in row.details.items() if name not in AuditRow.OF_CHANGES]
    yield from ((name, text_of(was), text_of(is_)) for name, was, is_ in changes)
    yield from others
    yield from ((name, "…", "…") for name in row.details.get("hidden", ()))
    if not changes and not row.details:
        yield "", "", ""


def text_of(value: Any) -> str:
    """A value of the record on one line, as JSON has it; nothing for none."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return ", ".join(map(text_of, value)) if isinstance(value, list) else str(value)
