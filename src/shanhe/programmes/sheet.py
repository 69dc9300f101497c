"""Applications as a sheet: where each stands. What was written in them stays in the city."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from shanhe.kernel.asking import Names
from shanhe.kernel.documents import BOM, csv_cut, csv_line
from shanhe.programmes.service import LIST_ROWS_MAX, Programmes
from shanhe.programmes.views import application_view

HEAD: Final = ("id", "programme", "applicant", "org_id", "state", "round", "step", "steps", "with", "due", "overdue",
               "applied_on", "changed_at")  # fmt: skip
SHEET_ROWS_MAX: Final = 100_000
"""How many applications a sheet holds at most; more are asked for by programme or state."""


async def applications_csv(
    programmes: Programmes, *, programme: str | None = None, state: str | None = None,
    orgs: Sequence[UUID] | None = None, names: Names | None = None,
) -> AsyncIterator[str]:  # fmt: skip
    """Applications that fit, newest first, as CSV with a byte-order mark; read page by page while it is sent.

    `names`: who calls applicants by name, for those who see them so; else the column is empty.
    """
    yield BOM + csv_line(HEAD)
    before, left = None, SHEET_ROWS_MAX
    while left > 0:
        page = await programmes.applications(orgs=orgs, programme=programme, state=state, before=before)
        called = await names({one.org_id for one in page}) if names is not None else {}
        for one in page:
            row = application_view(one, programmes.programme(one.programme), programmes.catalogue)
            yield csv_line((
                str(one.id), one.programme, called.get(one.org_id, ""), str(one.org_id), one.state, one.round,
                row["step"], row["steps"],
                row["with"]["en"] if row["with"] else "", row["due"], row["overdue"], one.applied_on, one.changed_at,
            ))  # fmt: skip
        if len(page) < LIST_ROWS_MAX:
            return
        before, left = page[-1].id, left - len(page)
    if await programmes.applications(orgs=orgs, programme=programme, state=state, before=before, limit=1):
        yield csv_cut(SHEET_ROWS_MAX, "请按项目或状态导出", "ask for it by programme or state")
