"""What a ledger says of itself, as plain data: read by the release that wrote it and by the one that took it over."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from shanhe.ledger.api import Ledger

FIRST_DAY = date(2026, 1, 1)
PAGE = 500


async def books(ledger: Ledger, holds: list[UUID], last_day: date) -> dict[str, Any]:
    """Accounts with balances, their lots (spent ones too) and statements; the named holds; the trial balance."""
    accounts: dict[str, Any] = {}
    for view in await ledger.accounts(limit=PAGE):
        account = view.account
        found = await ledger.balance(account.id)
        page = await ledger.statement(account.id, FIRST_DAY, last_day, limit=PAGE)
        accounts[str(account.id)] = {
            "owner": str(account.owner), "asset": str(account.asset), "kind": account.kind, "name": account.name,
            "floor": account.floor, "lots_borne": account.lots, "opened_at": view.opened_at.isoformat(),
            "balance": [found.balance, found.available, found.held, found.leased],
            "by_provenance": {str(key): value for key, value in sorted(found.by_provenance.items())},
            "lots": [_lot(lot) for lot in await ledger.lots(account.id, spent=True, limit=PAGE)],
            "statement": [page.opening, page.closing, *[_line(line) for line in page.lines]],
        }  # fmt: skip
    trial = await ledger.trial_balance()
    return {
        "accounts": accounts,
        "holds": {str(one): _hold(await ledger.find_hold(one)) for one in holds},
        "trial": sorted([str(row.account.id), row.debits, row.credits, row.balance] for row in trial),
    }


def _lot(lot: Any) -> list[Any]:
    moments = (lot.issued_at, lot.spendable_at, lot.unlock_at, lot.expires_at)
    return [
        str(lot.id), str(lot.provenance), str(lot.parent) if lot.parent else None, lot.issued, lot.remaining, lot.held,
        *[moment.isoformat() if moment else None for moment in moments], lot.earmark, lot.cost_fen,
    ]  # fmt: skip


def _hold(hold: Any) -> list[Any]:
    lots = [[str(lot.lot), lot.amount] for lot in hold.lots]
    return [str(hold.account), hold.amount, hold.purpose, str(hold.state), hold.expires_at.isoformat(), lots]


def _line(line: Any) -> list[Any]:
    names = [str(line.transfer), str(line.posting), line.at.isoformat(), line.kind, line.memo]
    return [*names, line.amount, line.balance]
