"""Payouts as a sheet: who asked, who approved, what left and where it is booked. No account of anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from shanhe.kernel.asking import Names
from shanhe.kernel.documents import BOM, csv_cut, csv_line
from shanhe.kernel.money import format_credits, format_fen
from shanhe.payments.payout_model import PayoutState
from shanhe.payments.payouts import PAGE_ROWS, Payouts

HEAD: Final = ("id", "maker", "org_id", "state", "channel", "credits", "gross_cny", "withheld_cny", "net_cny",
               "reference", "posting", "requested_by", "reviewed_by", "first_by", "second_by", "created_at",
               "decided_at", "ended_at")  # fmt: skip
SHEET_ROWS_MAX: Final = 100_000
"""How many payouts a sheet holds at most, the newest first; those that wait are fewer."""


async def payouts_csv(
    payouts: Payouts, *, state: PayoutState | None = None, waiting: bool = False, named: Names | None = None
) -> AsyncIterator[str]:
    """Payouts that fit, in the order of the list, as CSV with a byte-order mark; read page by page while it is sent.

    `named`: who calls makers by name, a page of them at once, for those who see them so; else the column is empty."""
    yield BOM + csv_line(HEAD)
    before, left = None, SHEET_ROWS_MAX
    while left > 0:
        page = await payouts.list(state=state, waiting=waiting, before=before)
        whose = await named({one.org_id for one in page}) if named is not None else {}
        for one in page:
            amounts_fen = (one.gross_fen, one.withheld_fen, one.net_fen)
            sums = ["" if fen is None else format_fen(fen) for fen in amounts_fen]
            yield csv_line((
                str(one.id), whose.get(one.org_id, ""), str(one.org_id), one.state,
                one.channel, format_credits(one.amount_micro), *sums, one.reference,
                str(one.posting_id) if one.decided_at else "", one.requested_by, one.reviewed_by, one.first_by,
                one.second_by, one.created_at, one.decided_at, one.ended_at,
            ))  # fmt: skip
        if len(page) < PAGE_ROWS:
            return
        before, left = page[-1].id, left - len(page)
    if await payouts.list(state=state, waiting=waiting, before=before, limit=1):
        yield csv_cut(SHEET_ROWS_MAX, "请按状态导出", "ask for it by state")
