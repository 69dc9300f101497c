"""Bank statements, payouts and reconciliation from payments and reconcile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.approvals.api import Request
from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console import model_treasury as mt
from shanhe.console.live.modules import Modules, Names, actor_of, hands
from shanhe.identity.api import OrgKind, Role
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import id_in
from shanhe.kernel.money import parse_yuan
from shanhe.payments.api import (
    RESEND,
    BankFile,
    BankLine,
    BookAs,
    Ending,
    Kept,
    LineState,
    Outgoing,
    Payee,
    PayeeKind,
    PayeeState,
    Payout,
    PayoutState,
    Report,
    Side,
    Suspense,
    SuspenseKind,
    SuspenseState,
    Would,
    balance_view,
    payouts_csv,
    what,
)
from shanhe.reconcile.api import Difference, Outcome

ONE_DAY: Final = timedelta(days=1)
Called = Callable[[str], Awaitable[str]]
"""The name of an actor."""
SUSPENSE_ROWS = 50
REPORT_ROWS = 200
LOOKED_AT = (
    LineState.REFUSED, LineState.SUSPENSE, LineState.PARTIAL, LineState.NEW, LineState.MATCHED, LineState.DUPLICATE
)  # fmt: skip
WOULD = (
    Would.PAYS, Would.PART, Would.SENT, Would.BACK, Would.ELSEWHERE, Would.REFUSED, Would.SUSPENSE, Would.DUPLICATE
)  # fmt: skip
BILLED = ("wechat", "alipay")
OPEN_PAYOUTS = frozenset({PayoutState.REVIEW, PayoutState.REQUESTED, PayoutState.FIRST})
ENDINGS = {
    "apply": SuspenseState.APPLIED, "accept": SuspenseState.APPLIED, "return": SuspenseState.RETURNED,
    "explain": SuspenseState.EXPLAINED, "resend": SuspenseState.RESENT, "book": SuspenseState.BOOKED,
}  # fmt: skip


class LiveTreasury:
    """See `ports.Treasury`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._bank = modules.bank
        self._bills = modules.bills
        self._clock = modules.clock
        self._moves = modules.moves
        self._rulings = modules.rulings
        self._taking_in = modules.taking_in
        self._by_hand = modules.by_hand
        self._names = names
        self._identity = modules.identity
        self._pool = modules.pool
        self._payouts = modules.payouts
        self._payments = modules.payments
        self._reconciliation = modules.reconciliation

    # -- bank ---------------------------------------------------------------------------------------------------------

    async def bank(self, who: m.Who, file_hash: str, find: str = "", past: UUID | None = None) -> mt.BankView:
        files, outgoing = await self._bank.statements.files(), await self._sending(who)
        waiting = await self._bank.waiting(find, before=past, limit=SUSPENSE_ROWS)
        fits: dict[int, list[tuple[str, str]]] = {}
        awaited = await self._bank.awaited({item.amount_fen for item, _ in waiting if not item.outgoing})
        payers = await self._names.owners(order.org_id for order in awaited)
        for order in awaited:
            if order.provider_ref:
                fits.setdefault(order.amount_fen, []).append((order.provider_ref, payers[order.org_id]))
        report = await self._bank.statements.report(file_hash) if file_hash else None
        called = self._names.actors()
        return mt.BankView(
            [
                replace(_statement(file), hands=await hands(called, uploaded=file.uploaded_by, agreed=file.agreed_by))
                for file in files
            ],
            [
                mt.SuspenseRow(
                    item.id, str(item.kind), item.amount_fen, item.outgoing, item.owner, item.order_id, item.posting_id,
                    line.at or item.created_at, item.file_hash, item.row, line.party, line.remark,
                    () if item.outgoing else fits.get(item.amount_fen, ()),
                    await hands(called, assigned=item.assigned_by),
                    await self._came_from(who, item, line), item.wanted_back_at is not None,
                )
                for item, line in waiting
            ],
            outgoing,
            _lines(report) if report else (),
            report.file.name if report else "",
            {state: count for state, count in report.counts.items() if count} if report else {},
            len(waiting) == SUSPENSE_ROWS,
            [
                mt.GapRow(_statement(gap.before), _statement(gap.after), gap.since, gap.until, gap.missing_fen)
                for gap in await self._bank.statements.gaps()
            ],
            [await self._held(who, asked, called) for asked in await self._taking_in.held()],
            await self._alone(),
        )  # fmt: skip

    async def _came_from(self, who: m.Who, item: Suspense, line: BankLine) -> mt.OutgoingRow | None:
        """What the bank returned, where it says so."""
        if item.kind is not SuspenseKind.CAME_BACK or (sent := await self._bank.came_from(line)) is None:
            return None
        return await self._outgoing(who, sent)

    async def _sending(self, who: m.Who) -> Sequence[mt.OutgoingRow]:
        """What is to be sent at the bank; asked for all at once, but for what is sent again."""
        found = await self._bank.sending()
        whose = await self._names.owners({org for _, org, _ in found if org is not None})
        return [
            await self._outgoing(who, item) if org is None else replace(
                _paid(_row(item), line), whose=whose[org], org=org
            )
            for item, org, line in found
        ]  # fmt: skip

    async def _outgoing(self, who: m.Who, item: Outgoing) -> mt.OutgoingRow:
        """With whom it goes to; what is sent again, to the account that its payee gives now, once that was checked."""
        row = _row(item)
        if item.kind == RESEND:
            first = await self._outgoing(who, await self._bank.origin(item))
            known = await self._payouts.payees.of(first.org) if first.org is not None else None
            shown = None if known is None else (await self._opened([known], sending=who.may("accounts")))[known.id]
            return replace(row, whose=first.whose, org=first.org, account=shown)
        if item.kind != "refund":
            payout = await self._payouts.get(item.subject_id)
            return replace(row, whose=await self._names.owner(payout.org_id), org=payout.org_id)
        order = await self._payments.order((await self._payments.refund_of(item.subject_id)).order_id)
        row = replace(row, whose=await self._names.owner(order.org_id), org=order.org_id)
        return _paid(row, await self._bank.statements.paid_by(order.id))

    async def balance(self, who: m.Who, day: date | None, sheet: UUID | None) -> mt.BalanceView:
        balances, called = self._bank.balances, self._names.actors()
        kept = None if sheet is None else await balances.get(sheet)
        today = self._clock.today()
        found: dict[str, Any] = (
            dict(kept.sheet) if kept is not None else balance_view(await balances.on(day or today - ONE_DAY))
        )
        items = [_transit(one) for one in found.pop("items")]
        gaps = [(_day(gap["since"]), _day(gap["until"]), int(gap["missing_fen"])) for gap in found.pop("gaps")]
        on, until = _day(found.pop("day")), found.pop("until")
        return mt.BalanceView(
            **found, day=on, until=until and _day(until), items=items, gaps=gaps, over=on < today,
            totals={side: sum(one.amount_fen for one in items if one.side == side) for side in Side},
            kept=None if kept is None else await self._kept(kept, called),
            sheets=[await self._kept(one, called) for one in await balances.kept()],
        )  # fmt: skip

    async def _kept(self, one: Kept, called: Called) -> mt.BalanceRow:
        made, signed = one.made_by, (one.signed_by or "").removeprefix(f"{one.made_by} + ")
        return mt.BalanceRow(
            one.id, one.day, one.bank_fen, one.ledger_fen, one.unexplained_fen, one.made_at, one.signed_at,
            await hands(called, made=made, signed=signed),
        )  # fmt: skip

    async def balance_sign(self, who: m.Who, day: date) -> None:
        await self._rulings.sign_balance(day, by=actor_of(who).ref)

    async def statement_upload(self, who: m.Who, name: str, data: bytes) -> tuple[str, bool]:
        found = await self._taking_in.ask(data, name=name, by=actor_of(who).ref)
        return (found.file.hash, True) if isinstance(found, Report) else (found[1].file.hash, False)

    async def statement_held(self, who: m.Who, file_hash: str) -> mt.HeldView:
        asked, outlook = await self._taking_in.look(file_hash)
        counts = {would: count for would, count in outlook.counts.items() if count}
        rows = [
            mt.BankLineRow(
                line.row, line.direction or "", line.amount_fen, str(line.would), line.why, line.remark, line.party
            )
            for line in sorted(outlook.lines, key=lambda line: WOULD.index(line.would))[:REPORT_ROWS]
        ]
        held = await self._held(who, asked, self._names.actors())
        held = replace(held, in_fen=outlook.in_fen, out_fen=outlook.out_fen, pays=outlook.pays,
                       pays_fen=outlook.pays_fen)  # fmt: skip
        return mt.HeldView(held, rows, counts, await self._alone())

    async def _held(self, who: m.Who, asked: Request, called: Called) -> mt.HeldRow:
        told = asked.payload
        return mt.HeldRow(
            asked.id, str(told["hash"]), asked.subject, await called(asked.requested_by), asked.requested_at,
            asked.expires_at, told["since"], told["until"], told["lines"], told["in_fen"], told["out_fen"],
            told["opening_fen"], told["closing_fen"], told["orders"], told["amount_fen"],
            asked.requested_by == actor_of(who).ref,
        )  # fmt: skip

    async def _alone(self) -> bool:
        """Whether only one person could agree to what another one asked for."""
        return len(await self._identity.people.holders(Role.ADMIN, Role.OPERATOR)) < 2

    async def waiting(self, who: m.Who) -> Sequence[mt.WaitingRow]:
        items = await self._bank.waiting_of(who.org_id)
        orders = await self._bank.payable_by(who.org_id) if items else []
        return [
            mt.WaitingRow(
                item.id, str(item.kind), item.amount_fen, item.created_at, item.wanted_back_at is not None,
                [(one.id, one.provider_ref or "", one.amount_fen) for one in orders
                 if one.amount_fen <= item.amount_fen],
            )
            for item in items
        ]  # fmt: skip

    async def waiting_decide(self, who: m.Who, item: UUID, order: UUID | None) -> None:
        by = actor_of(who).ref
        if order is None:
            await self._bank.want_back(item, who.org_id, actor=by)
        else:
            await self._bank.use(item, order, who.org_id, actor=by)

    async def suspense_decide(self, who: m.Who, item: UUID, action: str, fields: Mapping[str, str]) -> bool:
        if action == "assign":
            await self._bank.assign(item, fields.get("owner", ""), actor=actor_of(who).ref)
            return False
        order = await self._bank.order_named(fields.get("order", "")) if action == "apply" else None
        as_ = fields.get("as", "") if action == "book" else ""
        postings = _ids(fields.get("posting", "")) if action == "explain" else ()
        ending = Ending(
            ENDINGS[action], fields.get("note", ""), order, postings,
            BookAs(as_) if as_ in tuple(BookAs) else None,
            parse_yuan(fee) if (fee := fields.get("fee", "").strip()) else 0,
        )  # fmt: skip
        asked = await self._rulings.close(item, ending, by=actor_of(who).ref)
        return asked is not None

    # -- payouts ------------------------------------------------------------------------------------------------------

    async def income(self, who: m.Who) -> mt.IncomeView:
        earned, payee = await self._payouts.earnings(who.org_id), await self._payouts.payees.of(who.org_id)
        payouts = await self._payouts.list(org_id=who.org_id)
        org = await self._identity.orgs.get(who.org_id)
        return mt.IncomeView(
            earned.available_micro,
            earned.subsidy_micro,
            earned.pending_micro,
            earned.related_micro,
            _payee(payee) if payee else None,
            [await self._payout(one, who.org_name, payee) for one in payouts],
            earned.requested_micro,
            str(PayeeKind.PERSON if org.kind is OrgKind.PERSON else PayeeKind.ORGANISATION),
            await self._pool.held_back(who.org_id),
        )

    async def _payout(self, one: Payout, org: str, payee: Payee | None) -> mt.PayoutRow:
        """With the reason of its amounts: of those that stand, or of those that an approval today would fix."""
        row = _payout(one, org)
        if one.gross_fen is not None:
            return replace(row, trace=one.trace, posting_id=one.posting_id)
        if one.state not in OPEN_PAYOUTS or payee is None or payee.id != one.payee_id:
            return row
        foreseen = await self._quote(one.org_id, one.amount_micro, payee.kind)
        return replace(row, foreseen=foreseen, trace=foreseen.trace)

    async def _quote(self, org_id: UUID, micro: int, kind: PayeeKind) -> mt.PayoutQuote:
        found = await self._payouts.quote(org_id, micro, kind)
        gross, withheld, net = (int(found.outputs[name]) for name in ("gross_fen", "withheld_fen", "net_fen"))
        return mt.PayoutQuote(gross, withheld, net, found.trace)

    async def payout_quote(self, who: m.Who, micro: int) -> mt.PayoutQuote:
        payee = await self._payouts.payees.of(who.org_id)
        if payee is not None:
            return await self._quote(who.org_id, micro, payee.kind)
        org = await self._identity.orgs.get(who.org_id)
        kind = PayeeKind.PERSON if org.kind is OrgKind.PERSON else PayeeKind.ORGANISATION
        return await self._quote(who.org_id, micro, kind)

    async def payee_set(self, who: m.Who, fields: Mapping[str, str]) -> None:
        kind = PayeeKind.PERSON if fields.get("kind") == "person" else PayeeKind.ORGANISATION
        await self._payouts.payees.set(
            who.org_id,
            person_id=who.person_id,
            kind=kind,
            holder=fields.get("holder", ""),
            account=fields.get("account", ""),
            bank=fields.get("bank", ""),
        )

    async def payout_ask(self, who: m.Who, micro: int, client_ref: str, *, with_subsidy: bool) -> None:
        by = actor_of(who).ref
        await self._payouts.request(who.org_id, micro, client_ref=client_ref, actor=by, with_subsidy=with_subsidy)

    async def payout_cancel(self, who: m.Who, payout: UUID) -> None:
        await self._payouts.cancel(who.org_id, payout, by=actor_of(who).ref)

    async def payouts(self, who: m.Who, queue: c.Queue) -> Sequence[mt.PayoutRow]:
        found, called = [], self._names.actors()
        asked = await self._payouts.list(waiting=not queue.everything, before=queue.past, limit=c.QUEUE_ROWS)
        payees = await self._payouts.payees.of_all({one.org_id for one in asked})
        whose = await self._names.owners(one.org_id for one in asked)
        opened = await self._opened(payees.values()) if who.may("accounts") else {}
        for one in asked:
            payee = payees.get(one.org_id)
            shown = None
            if payee is not None and payee.id == one.payee_id:
                shown = opened.get(payee.id) or _payee(payee)
            row = replace(await self._payout(one, whose[one.org_id], payee), payee=shown)
            by = await hands(
                called, asked=one.requested_by, reviewed=one.reviewed_by, first=one.first_by, second=one.second_by,
                sent=one.sent_by, ended=one.ended_by,
            )  # fmt: skip
            found.append(replace(row, hands=by))
        return found

    async def _opened(self, payees: Collection[Payee], *, sending: bool = False) -> Mapping[UUID, mt.PayeeRow]:
        """With name and number while somebody has to compare them, or to send to them."""
        wanted = [one.id for one in payees if sending or one.state is PayeeState.UNCHECKED]
        plain = await self._payouts.payees.open_all(wanted)
        return {
            one.id: replace(_payee(one), holder=plain[one.id].holder, account=plain[one.id].account)
            if one.id in plain
            else _payee(one)
            for one in payees
        }

    async def payout_decide(self, who: m.Who, payout: UUID, action: str, fields: Mapping[str, str]) -> bool:
        by, note = actor_of(who).ref, fields.get("note", "")
        if action == "review":
            await self._payouts.review(payout, by=by, note=note)
        elif action == "approve":
            await self._payouts.approve(payout, by=by, channel=fields.get("channel", ""))
        elif action == "confirm":
            return await self._by_hand.confirm_payout(payout, by=by) is not None
        elif action == "fail":
            return await self._by_hand.fail_payout(payout, by=by, reason=note) is not None
        else:
            await self._payouts.refuse(payout, by=by, reason=note)
        return False

    async def payee_check(self, who: m.Who, payee: UUID, *, passed: bool, reference: str) -> None:
        await self._payouts.payees.record_check(payee, passed=passed, reference=reference, by=actor_of(who).ref)

    async def payout_sheet(self, who: m.Who, *, everything: bool) -> AsyncIterator[str]:
        return payouts_csv(self._payouts, waiting=not everything, named=self._names.owners)

    async def payout_files(self, who: m.Who) -> Sequence[mt.BatchRow]:
        called = self._names.actors()
        return [
            mt.BatchRow(one.id, await called(one.by or ""), one.payouts, one.net_fen, one.waiting, one.at)
            for one in await self._payouts.files.batches()
        ]

    async def payout_file(self, who: m.Who, batch: UUID | None = None) -> tuple[str, str]:
        made = await self._payouts.files.export(batch, by=actor_of(who).ref)
        return f"payouts-{made.id}.csv", made.text

    # -- reconciliation -----------------------------------------------------------------------------------------------

    async def reconcile(self, who: m.Who, *, everything: bool) -> mt.ReconcileView:
        found = await self._reconciliation.differences(everything=everything)
        runs = [
            mt.RunRow(
                run.day, run.by, run.ended_at, run.differences,
                [mt.CheckRow(name, one["compared"], one["differences"], ", ".join(one["skipped"]))
                 for name, one in run.checks.items()],
            )
            for run in await self._reconciliation.runs()
        ]  # fmt: skip
        called = self._names.actors()
        rows = [
            replace(_difference(one), hands=await hands(called, assigned=one.assigned_by, decided=one.decided_by))
            for one in found
        ]
        bills = [
            mt.BillRow(
                one.provider, one.name, one.lines, one.uploaded_at,
                [(problem.row, problem.why) for problem in one.problems],
            )
            for one in await self._bills.reports()
        ]  # fmt: skip
        return mt.ReconcileView(rows, runs, BILLED, bills)

    async def reconcile_run(self, who: m.Who, day: date | None) -> None:
        await self._reconciliation.run(day, by=actor_of(who).ref)

    async def bill_upload(self, who: m.Who, provider: str, name: str, data: bytes) -> None:
        await self._bills.upload(provider, data, name=name or "bill.csv", actor=actor_of(who).ref)

    async def difference_decide(self, who: m.Who, item: UUID, action: str, fields: Mapping[str, str]) -> None:
        if action == "assign":
            await self._reconciliation.assign(item, fields.get("owner", ""), by=actor_of(who).ref)
            return
        outcome = fields.get("outcome", "")
        if outcome not in tuple(Outcome):
            raise Invalid("bad_outcome", "Choose how it ended.", message_zh="请选择处理方式。")
        by, note = actor_of(who).ref, fields.get("note", "")
        if outcome == Outcome.WRITTEN_OFF:
            await self._moves.ask_write_off(item, note, by=by)
        else:
            await self._reconciliation.resolve(item, Outcome(outcome), by=by, note=note)


def _statement(file: BankFile) -> mt.StatementRow:
    return mt.StatementRow(
        file.hash, file.name, file.lines, file.uploaded_at, file.since, file.until, file.opening_fen, file.closing_fen
    )


def _row(item: Outgoing) -> mt.OutgoingRow:
    return mt.OutgoingRow(item.reference, item.kind, item.amount_fen, item.created_at, filed=item.batch is not None)


def _paid(row: mt.OutgoingRow, line: BankLine | None) -> mt.OutgoingRow:
    """With who paid, where it goes back to whoever that was."""
    if line is None:
        return row
    payee = " ".join(part for part in (line.party, line.party_account) if part)
    return replace(row, payee=payee, line=(line.file_hash, line.row))


def _ids(text: str) -> tuple[UUID, ...]:
    """The ids that a text lists; none where one of them is no id."""
    found = [id_in(one) for one in re.split(r"[\s,，、;；]+", text.strip())]
    return tuple(one for one in found if one is not None) if None not in found else ()


def _transit(one: Mapping[str, Any]) -> mt.TransitRow:
    """An item of a sheet, live or as JSON."""
    kind, line, posting, cleared = one["what"], one["line"], one["posting"], one["cleared"]
    return mt.TransitRow(
        str(one["side"]), one["amount_fen"], _day(one["since"]), one["age_days"],
        (what(kind, zh=True), what(kind, zh=False)), one["reference"], line and (line[0], line[1]),
        posting and UUID(str(posting)), cleared and _day(cleared),
    )  # fmt: skip


def _day(said: date | str) -> date:
    return date.fromisoformat(str(said))


def _lines(report: Report) -> list[mt.BankLineRow]:
    """What a statement did, as many rows as a page bears: those first that somebody must look at."""
    return [
        mt.BankLineRow(
            line.row, line.direction or "", line.amount_fen, str(line.state), line.why, line.remark, line.party
        )
        for line in sorted(report.lines, key=lambda line: LOOKED_AT.index(line.state))[:REPORT_ROWS]
    ]


def _payee(payee: Payee) -> mt.PayeeRow:
    return mt.PayeeRow(payee.id, payee.last4, payee.bank, str(payee.state))


def _payout(one: Payout, org: str, payee: mt.PayeeRow | None = None) -> mt.PayoutRow:
    return mt.PayoutRow(
        one.id, org, one.amount_micro, one.subsidy_micro, one.gross_fen, one.withheld_fen, one.net_fen, str(one.state),
        one.reference or "", one.channel or "", one.reason, one.created_at, payee,
    )  # fmt: skip


def _difference(one: Difference) -> mt.DifferenceRow:
    return mt.DifferenceRow(
        one.id, one.day, str(one.check), one.subject, one.kind, one.unit, one.left_name, one.left, one.right_name,
        one.right, one.owner, str(one.state), str(one.outcome or ""), one.note, one.money_fen, one.posting_id,
    )  # fmt: skip
