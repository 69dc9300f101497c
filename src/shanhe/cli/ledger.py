"""`shanhe ledger`: recompute every invariant from the transfers; the trial balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from shanhe.cli.common import REFUSED, Data, Json, city, rows, run, show

if TYPE_CHECKING:
    from shanhe.ledger.api import TrialRow, VerifyReport

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(data: Data = None, as_json: Json = False) -> None:
    """Recompute balances, lots and holds from the transfers; exit code 1 when anything is off."""

    async def work() -> VerifyReport:
        async with city(data) as services:
            return await services.ledger.verify()

    report = run(work())
    plain = {"clean": report.clean, "accounts": report.accounts, "transfers": report.transfers, "lots": report.lots,
             "findings": report.findings}  # fmt: skip
    show(as_json, plain, lambda: _shown(report))
    if not report.clean:
        raise SystemExit(REFUSED)


def _shown(report: VerifyReport) -> object:
    if report.clean:
        return f"✓ 账目无误 · clean: {report.accounts} accounts, {report.transfers} transfers, {report.lots} lots"
    lines = [(f.invariant, f.subject, f.expected, f.found) for f in report.findings]
    return rows(("✗ invariant", "subject", "expected", "found"), lines, right=("expected", "found"))


@app.command("trial-balance")
def trial_balance(data: Data = None, as_json: Json = False) -> None:
    """Debits, credits and balance of every account."""

    async def work() -> list[TrialRow]:
        async with city(data) as services:
            return list(await services.ledger.trial_balance())

    found = run(work())
    show(as_json, found, lambda: rows(("asset", "kind", "name", "debits", "credits", "balance"), [
        (r.account.asset, r.account.kind, r.account.name, r.debits, r.credits, r.balance) for r in found
    ], right=("debits", "credits", "balance")))  # fmt: skip
