"""The books as operators see them: accounts, postings and what is behind them, closes, verification, who did what."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.console import model_postings as mp
from shanhe.console.explain import traces
from shanhe.console.live.acts import Acts
from shanhe.console.live.modules import Modules, Names, actor_of
from shanhe.kernel.clock import midnight
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.ids import id_in
from shanhe.ledger.api import Account, AccountView, Asset, Lot, PostingView, VerifyReport

ROWS_SHOWN = 50
STATEMENT_ROWS = 100
DAY = timedelta(days=1)
ACCOUNTS_SHOWN = 100
OWNERS_SEARCHED = 100
_AWARD: Final = re.compile(r"Award ([0-9a-f-]{36})(?![0-9a-f-])")


class LiveBooks:
    """See `ports.Books`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._of = modules
        self._names = names
        self._verifying = _Verification()
        self._acts = Acts(modules.identity, names)

    async def accounts(
        self, who: m.Who, asset: str, kind: str, find: str, after: str
    ) -> tuple[Sequence[mc.AccountRow], str]:
        ledger, wanted, named = self._of.ledger, Asset(asset) if asset else None, kind or None
        if find:
            number = id_in(find.strip())  # persons' names are sealed: they are found by their number alone
            found = [
                view
                for owner in ([number] if number else await self._called(find))
                for view in await ledger.accounts(owner=owner, asset=wanted, kind=named, limit=ACCOUNTS_SHOWN)
            ]
            return await self._account_rows(found), ""
        found = await ledger.accounts(after=id_in(after), asset=wanted, kind=named, limit=ACCOUNTS_SHOWN)
        following = str(found[-1].account.id) if len(found) == ACCOUNTS_SHOWN else ""
        return await self._account_rows(found), following

    async def _called(self, find: str) -> Sequence[UUID]:
        return [org.id for org in await self._of.identity.orgs.list(find=find, limit=OWNERS_SEARCHED)]

    async def unfinished(self, who: m.Who, through: date) -> Sequence[mc.UnfinishedRow]:
        found = await self._of.moves.unfinished(through)
        return [mc.UnfinishedRow(one.kind, one.count, one.since, one.page) for one in found]

    async def closed_through(self, who: m.Who) -> date | None:
        return await self._of.ledger.closed_through()

    async def _account_rows(self, found: Sequence[AccountView]) -> Sequence[mc.AccountRow]:
        called = await self._names.owners(view.account.owner for view in found)
        return [self._account_row(view.account, view.balance, view.held, called) for view in found]

    def _account_row(
        self, account: Account, balance: int, held: int, called: Mapping[UUID, str]
    ) -> mc.AccountRow:  # fmt: skip
        budget = self._of.programmes.catalogue.budgets.get(account.name)
        name = (budget.zh, budget.en) if budget else account.name
        return mc.AccountRow(
            account.id, called[account.owner], str(account.asset), account.kind, name, balance, held,
            account.floor, account.lots,
        )  # fmt: skip

    async def trial(self, who: m.Who) -> Sequence[mc.TrialLine]:
        return [
            mc.TrialLine(str(one.asset), one.kind, one.accounts, one.debits, one.credits, one.balance)
            for one in await self._of.ledger.trial_sums()
        ]

    async def account_named(self, who: m.Who, text: str) -> tuple[UUID, str]:
        number = id_in(text.strip())
        if number is None:
            org = await self._names.organisation(text)
            wallets = await self._of.ledger.accounts(owner=org, asset=Asset.CREDIT, kind="wallet", limit=1)
            if not wallets:
                raise NotFound("no_wallet", "It has no wallet yet.", message_zh="该机构还没有积分钱包。")
            number = wallets[0].account.id
        account = await self._of.ledger.account(number)
        return number, await self._names.owner(account.owner)

    async def postings(
        self, who: m.Who, kind: str, account: UUID | None, days: mc.Days, before: str
    ) -> Sequence[mc.PostingRow]:
        page = await self._of.ledger.postings(
            account=account, kind=kind or None, since=midnight(days.since) if days.since else None,
            until=midnight(days.until + DAY) if days.until else None, cursor=before or None, limit=ROWS_SHOWN,
        )  # fmt: skip
        called = self._names.actors()
        labels = await self._names.labels(
            end for one in page.items for line in one.transfers[:1] for end in (line.debit, line.credit)
        )
        return [await self._posting_row(one, page.next or "", await called(one.actor), labels) for one in page.items]

    async def _posting_row(
        self, posting: PostingView, cursor: str, actor: str, labels: Mapping[UUID, str]
    ) -> mc.PostingRow:  # fmt: skip
        """The asset of the first transfer, and how much of it moved."""
        assets = [str((await self._of.ledger.account(line.debit)).asset) for line in posting.transfers]
        asset = "credit" if "credit" in assets else assets[0] if assets else "credit"
        amount = sum(line.amount for line, of in zip(posting.transfers, assets, strict=True) if of == asset)
        sides = [labels[end] for line in posting.transfers[:1] for end in (line.debit, line.credit)]
        return mc.PostingRow(
            posting.id, posting.at, posting.kind, actor, self._memo(posting.memo), amount, asset, cursor, sides
        )

    def _memo(self, memo: str) -> str:
        """A memo without the program's name of a budget, which the accounts beside it are called by."""
        name, colon, said = memo.partition(": ")
        return said if colon and name in self._of.programmes.catalogue.budgets else memo

    async def statement(self, who: m.Who, account: UUID, days: mc.Days, after: str) -> mc.AccountPage:
        ledger, today = self._of.ledger, self._of.clock.today()
        known, balance = await ledger.account(account), await ledger.balance(account)
        row = self._account_row(known, balance.balance, balance.held, await self._names.owners([known.owner]))
        until = days.until or today
        since = days.since or until.replace(month=1, day=1)
        page = await ledger.statement(account, since, until, cursor=after or None, limit=STATEMENT_ROWS)
        labels = await self._names.labels(line.counterpart for line in page.lines)
        rows = [
            mc.StatementRow(
                line.posting, line.at, line.kind, self._memo(line.memo), labels[line.counterpart], line.counterpart,
                line.amount, line.balance,
            )
            for line in page.lines
        ]  # fmt: skip
        return mc.AccountPage(row, since, until, page.opening, page.closing, rows, page.next or "")

    async def posting(self, who: m.Who, posting_id: UUID) -> mp.PostingPage:
        ledger = self._of.ledger
        found = await ledger.posting(posting_id)
        labels = await self._names.labels(end for line in found.transfers for end in (line.debit, line.credit))
        transfers = [
            mp.TransferLine(
                line.id,
                labels[line.debit],
                labels[line.credit],
                line.amount,
                str((await ledger.account(line.debit)).asset),
                line.debit,
                line.credit,
            )
            for line in found.transfers
        ]
        known = await ledger.lots_by_id([change.lot for change in found.lots])
        evidence = _evidence(found.evidence)
        return mp.PostingPage(
            found.id,
            found.at,
            found.day,
            found.kind,
            await self._names.actors()(found.actor),
            self._memo(found.memo),
            found.reverses,
            transfers,
            [_lot(change.lot, change.amount, known.get(change.lot)) for change in found.lots],
            evidence,
            [self._rule(rule, version) for rule, version in _rules(evidence)],
            (await ledger.reversed_among([posting_id])).get(posting_id),
            await self._of.log.sealed(posting_id),
            await self._of.log.erased(posting_id),
            application_of(evidence, found.memo),
        )

    def _rule(self, rule_id: str, version: str) -> mp.RuleLine:
        """A rule that decided, called as it is now; by its id alone where it is no longer in the book."""
        try:
            rule = self._of.rulebook.rule(rule_id)
        except ShanheError:
            return mp.RuleLine(rule_id, ("", ""), "", version)
        return mp.RuleLine(rule.id, (rule.title.zh, rule.title.en), rule.article, version)

    async def verify(self, who: m.Who) -> mc.VerifyView:
        return self._verifying.view

    async def verify_start(self, who: m.Who) -> None:
        await self._of.identity.record(actor_of(who), "ledger.verify", "ledger")
        self._verifying.start(self._of)

    async def audit(self, who: m.Who, wanted: mc.ActsWanted, before: str) -> Sequence[mc.AuditRow]:
        return await self._acts.rows(wanted, id_in(before))

    async def audit_sheet(self, who: m.Who, wanted: mc.ActsWanted) -> AsyncIterator[str]:
        return await self._acts.sheet(wanted)


class _Verification:
    """One verification at a time in this process, with how far it is."""

    def __init__(self) -> None:
        self.view = mc.VerifyView("never")
        self._task: asyncio.Task[None] | None = None

    def start(self, modules: Modules) -> None:
        if self._task is None or self._task.done():
            self.view = mc.VerifyView("running")
            self._task = asyncio.create_task(self._run(modules))

    async def _run(self, modules: Modules) -> None:
        started = time.monotonic()
        try:
            report = await modules.ledger.verify()
        except (OSError, TimeoutError):
            self.view = mc.VerifyView("never")
            return
        took_ms = int((time.monotonic() - started) * 1000)
        self.view = _verified(report, modules, took_ms)


def _verified(report: VerifyReport, modules: Modules, took_ms: int) -> mc.VerifyView:
    return mc.VerifyView(
        "clean" if report.clean else "broken",
        accounts=report.accounts,
        transfers=report.transfers,
        lots=report.lots,
        took_ms=took_ms,
        at=modules.clock.now(),
        findings=[(one.invariant, one.subject, one.expected, one.found) for one in report.findings],
    )


def _lot(lot_id: UUID, change: int, lot: Lot | None) -> mp.LotLine:
    if lot is None:
        return mp.LotLine(lot_id, change)
    return mp.LotLine(lot_id, change, str(lot.provenance), lot.expires_at, lot.account)


def _evidence(kept: bytes | None) -> Mapping[str, Any]:
    """What a posting was made by; empty where nothing, or nothing that is data, was kept."""
    try:
        found = msgspec.json.decode(kept or b"{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def application_of(evidence: Mapping[str, Any], memo: str) -> str:
    """The application that a posting moves money for: its evidence names it, or where it decides nothing its memo."""
    named = _AWARD.match(memo)
    return str(evidence.get("application", "")) or (named[1] if named else "")


def _rules(found: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Rules that a posting's evidence names, as a table, as a list of `rule@version`, or by their traces."""
    said = found.get("rules")
    if isinstance(said, dict):
        return [(str(rule), str(version)) for rule, version in said.items()]
    if isinstance(said, list):
        pairs = [str(one).partition("@") for one in said if isinstance(one, str)]
        return [(rule, version) for rule, _, version in pairs]
    decided = {str(one["rule"]): str(one.get("version", "")) for one in traces(found)}
    return list(decided.items())
