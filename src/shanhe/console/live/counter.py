"""Statements, refunds, codes, invoices, disputes and agreements from credits, for members and operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console.live.modules import Modules, Names, actor_of, receipt_id
from shanhe.credits.api import (
    Agreement,
    Dispute,
    EstateDocument,
    Invoice,
    LapseDay,
    RedLetter,
    Refund,
    Successor,
    code_sheet,
    end_of,
    invoice_paper,
    month_of,
    statement_document,
)
from shanhe.kernel.documents import MEDIA, Document, Format, render, save_headers
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_credits

MONTHS_SHOWN = 24
DAYS_AHEAD = 366
LOTS_ROWS = 100
Col = c.Col
REFUNDS = (
    Col("refunds.at", "minute"),
    Col("refunds.amount", "yuan"),
    Col("refunds.taken", "credits"),
    Col("refunds.cancelled", "credits"),
    Col("refunds.state", "state:refund_state"),
)
REFUND_ACTS = {"failed": ("retry", "payout"), "posted": ("payout",)}
"""What an operator may do about one, by its state."""
REFUND_HANDS = (Col("hand.retried", "note"), Col("hand.paid", "note"))
BATCH_HANDS = (Col("hand.made", "note"), Col("hand.funded", "note"), Col("hand.exported", "note"),
               Col("hand.ended", "note"))  # fmt: skip
RED_LETTERS = (Col("red_letters.at", "day"), Col("red_letters.invoice"), Col("invoices.kind", "word:invoice_kind"),
               Col("invoices.amount", "yuan"), Col("invoices.state", "state:red_letter_state"),
               Col("red_letters.sheet"), Col("red_letters.number"))  # fmt: skip
INVOICES = (Col("invoices.at", "day"), Col("invoices.title"), Col("invoices.kind", "word:invoice_kind"),
            Col("invoices.amount", "yuan"), Col("invoices.state", "state:invoice_state"),
            Col("invoices.number"))  # fmt: skip
DISPUTES = (Col("disputes.at", "minute"), Col("disputes.receipt", "link"), Col("disputes.reason"),
            Col("disputes.state", "state:dispute_state"), Col("disputes.answer"))  # fmt: skip
INSTALMENTS = (Col("agreements.year"), Col("agreements.number"), Col("agreements.due", "day"),
               Col("agreements.amount", "yuan"), Col("agreements.state", "state:instalment_state"))  # fmt: skip
OF = Col("agreements.org", "link")
"""Whose a row of the operators' is."""
ESTATES = (Col("estates.at", "minute"), Col("estates.org"), Col("estates.kind", "word:estate_kind"),
           Col("estates.successors"), Col("estates.documents"), Col("estates.reason"),
           Col("estates.state", "state:estate_state"),
           Col("estates.passes", "credits"), Col("estates.lapses", "credits"))  # fmt: skip
LAPSES = (Col("lapses.day", "day"), Col("lapses.amount", "credits"), Col("lapses.held", "credits"))


class LiveCounter:
    """See `ports.Counter`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._credits = modules.credits
        self._moves = modules.moves
        self._rulings = modules.rulings
        self._by_hand = modules.by_hand
        self._names = names
        self._clock = modules.clock

    # -- statements ---------------------------------------------------------------------------------------------------

    async def statement(self, who: m.Who, month: str, past: UUID | None) -> c.StatementPage:
        found = await self._credits.statements.month(who.org_id, month_of(month))
        first = next((n for n, lot in enumerate(found.lots, 1) if lot.id == past), 0)
        standing = await self._credits.loyalty.standing(who.org_id)
        lots = [
            c.Row(lot.id, (lot.id, lot.provenance, lot.issued_at, lot.expires_at, lot.opening_micro,
                           lot.closing_micro - lot.opening_micro, lot.closing_micro, lot.cost_fen, lot.value_fen))
            for lot in found.lots[first : first + LOTS_ROWS]
        ]  # fmt: skip
        columns = (
            Col("statement.lot", "short"), Col("wallet.provenance", "word:provenance"), Col("statement.issued", "day"),
            Col("wallet.expires", "day"), Col("statement.opening", "credits"), Col("statement.change", "credits"),
            Col("statement.closing", "credits"), Col("statement.cost", "yuan"), Col("statement.value", "yuan"),
        )  # fmt: skip
        total = ("", "", "", "", found.opening_micro, found.closing_micro - found.opening_micro, found.closing_micro,
                 found.cost_fen, found.value_fen)  # fmt: skip
        moves = [c.Row(kind, (kind, amount)) for kind, amount in found.moves.items()]
        return c.StatementPage(
            month=found.month,
            months=_months(self._clock.today()),
            complete=found.complete,
            opening_micro=found.opening_micro,
            closing_micro=found.closing_micro,
            opening_cost_fen=found.opening_cost_fen,
            added_cost_fen=found.added_cost_fen,
            taken_cost_fen=found.taken_cost_fen,
            cost_fen=found.cost_fen,
            value_fen=found.value_fen,
            lots=c.Sheet(
                "statement.lots", columns, lots, "statement.none", total, more=len(found.lots) > first + LOTS_ROWS
            ),
            moves=c.Sheet(
                "statement.moves", (Col("statement.kind", "word:posting_kind"), Col("statement.change", "credits")),
                moves, "statement.no_moves",
            ),
            lapses=_lapses(await self._credits.lapses.of(who.org_id, days=DAYS_AHEAD)),
            quarters=standing.quarters,
            fee_bps=standing.fee_bps,
            queue_weight=standing.queue_weight,
        )  # fmt: skip

    async def statement_file(self, who: m.Who, month: str, fmt: str, language: str) -> c.File:
        found = await self._credits.statements.month(who.org_id, month_of(month))
        name = await self._credits.named(who.org_id)
        made = statement_document(found, org_name=name, city_name=self._credits.city_name, language=language)
        return await _file(made, f"{made.title}-{name}-{found.month:%Y-%m}", fmt)

    # -- refunds and codes --------------------------------------------------------------------------------------------

    async def refunds(self, who: m.Who) -> c.Sheet:
        return _refunds(await self._credits.refunds.list(who.org_id))

    async def refund_offer(self, who: m.Who, purchase_id: UUID) -> c.OfferView:
        found = await self._credits.refunds.offer(who.org_id, purchase_id)
        out = found.decision.outputs
        return c.OfferView(
            purchase_id, found.purchase.priced.paid_fen, found.refund_fen, out["consumed_micro"], out["taken_micro"],
            out["cancelled_micro"], out["restored_fen"], dict(found.decision.trace),
        )  # fmt: skip

    async def refund(self, who: m.Who, purchase_id: UUID, reason: str, client_ref: str) -> None:
        await self._credits.refunds.refund(
            who.org_id, purchase_id, client_ref=client_ref, reason=reason, actor=actor_of(who).ref
        )

    async def redeemed(self, who: m.Who) -> c.Sheet:
        rows = [
            c.Row(row["posting_id"], (row["claimed_at"], row["name"], row["value_micro"], row["provenance"]))
            for row in await self._credits.codes.redeemed(who.org_id)
        ]
        columns = (Col("redeem.at", "minute"), Col("redeem.from"), Col("redeem.credits", "credits"),
                   Col("wallet.provenance", "word:provenance"))  # fmt: skip
        return c.Sheet("redeem.list", columns, rows, "redeem.none")

    async def redeem(self, who: m.Who, code: str) -> None:
        await self._credits.codes.redeem(who.org_id, code[:64], actor=actor_of(who).ref)

    # -- invoices, disputes, agreements -------------------------------------------------------------------------------

    async def invoices(self, who: m.Who) -> tuple[int, c.Sheet]:
        rows = await self._credits.invoices.list(who.org_id)
        return await self._credits.invoices.invoiceable_fen(who.org_id), _invoices(rows)

    async def red_letters(self, who: m.Who) -> c.Sheet:
        found = await self._credits.refunds.red_letters.list(who.org_id)
        return c.Sheet("red_letters.list", RED_LETTERS, [c.Row(one.id, _red_letter(one)) for one in found], "")

    async def invoice_request(self, who: m.Who, fields: Mapping[str, str], amount_fen: int) -> None:
        await self._credits.invoices.request(
            who.org_id, client_ref=fields.get("client_ref") or str(new_id()), kind=fields.get("kind", "ordinary"),
            title=fields.get("title", ""), tax_number=fields.get("tax_number", ""), amount_fen=amount_fen,
            email=fields.get("email", ""), actor=actor_of(who).ref,
        )  # fmt: skip

    async def invoice_file(self, who: m.Who, invoice_id: UUID, language: str) -> c.File:
        found = await self._credits.invoices.get(who.org_id, invoice_id)
        name = await self._credits.named(who.org_id)
        made = invoice_paper(found, org_name=name, city_name=self._credits.city_name, language=language)
        return await _file(made, f"{made.title}-{name}", "pdf")

    async def disputes(self, who: m.Who) -> c.Sheet:
        return _disputes(await self._credits.disputes.list(who.org_id))

    async def dispute_open(self, who: m.Who, receipt: str, reason: str, evidence: str) -> None:
        await self._credits.disputes.open(
            who.org_id, receipt_id(receipt), reason=reason, evidence=evidence, actor=actor_of(who).ref
        )

    async def dispute_withdraw(self, who: m.Who, dispute_id: UUID) -> None:
        await self._credits.disputes.withdraw(who.org_id, dispute_id, by=actor_of(who).ref)

    async def agreements(self, who: m.Who) -> c.Sheet:
        return _agreements(await self._credits.agreements.list(who.org_id), ("pay",))

    async def instalment_pay(self, who: m.Who, agreement_id: UUID, number: int, method: str) -> str:
        made = await self._credits.agreements.pay(
            who.org_id, agreement_id, number, method=method, actor=actor_of(who).ref
        )
        return made.redirect_url or f"/topup/{made.id}"

    # -- operators ----------------------------------------------------------------------------------------------------

    async def batches(self, who: m.Who) -> c.Sheet:
        acts = {"draft": ("fund",), "funded": ("export", "revoke"), "issued": ("revoke",)}
        called = self._names.actors()
        rows = [
            c.Row(b.id, (b.name, b.budget, f"{b.redeemed} / {b.codes}", b.value_micro, b.provenance,
                         b.expires_at - timedelta(microseconds=1), str(b.state),
                         *[await called(by or "") for by in (b.actor, b.funded_by, b.exported_by, b.ended_by)]),
                  acts.get(str(b.state), ()))
            for b in await self._credits.codes.batches()
        ]  # fmt: skip
        columns = (
            Col("batches.name"), Col("batches.budget"), Col("batches.redeemed"), Col("batches.value", "credits"),
            Col("wallet.provenance", "word:provenance"), Col("batches.through", "day"),
            Col("batches.state", "state:batch_state"), *BATCH_HANDS,
        )  # fmt: skip
        return c.Sheet("batches.list", columns, rows, "batches.none")

    async def batch_create(self, who: m.Who, fields: Mapping[str, str]) -> None:
        await self._credits.codes.create(
            client_ref=fields.get("client_ref") or str(new_id()), name=fields.get("name", ""),
            budget=fields.get("budget", ""), codes=int(fields.get("codes", "0")),
            value_micro=parse_credits(fields.get("value", "")), provenance=fields.get("provenance", "subsidy"),
            expires_at=end_of(date.fromisoformat(fields.get("through", ""))), actor=actor_of(who).ref,
        )  # fmt: skip

    async def budget_fund(self, who: m.Who, fields: Mapping[str, str]) -> None:
        await self._moves.ask_budget(
            fields.get("budget", ""), parse_credits(fields.get("amount", "")), fields.get("reason", ""),
            posting_id=UUID(fields.get("client_ref", "")), by=actor_of(who).ref,
        )  # fmt: skip

    async def batch_fund(self, who: m.Who, batch_id: UUID) -> None:
        await self._credits.codes.set_aside(batch_id, by=actor_of(who).ref)

    async def batch_export(self, who: m.Who, batch_id: UUID) -> c.File:
        batch, codes = await self._credits.codes.export(batch_id, by=actor_of(who).ref)
        return await _file(code_sheet(batch, codes), f"codes-{batch.name}", "csv")

    async def batch_revoke(self, who: m.Who, batch_id: UUID, reason: str) -> None:
        await self._credits.codes.revoke(batch_id, by=actor_of(who).ref, reason=reason)

    async def calendar(self, who: m.Who) -> c.Sheet:
        days = await self._credits.lapses.calendar(days=DAYS_AHEAD)
        rows = [c.Row(str(day.on), (day.on, day.amount_micro, day.held_micro, day.owners, day.lots)) for day in days]
        columns = (*LAPSES, Col("lapses.owners"), Col("lapses.lots"))
        return c.Sheet("lapses.calendar", columns, rows, "lapses.none")

    async def all_agreements(self, who: m.Who) -> c.Sheet:
        sheet = _agreements(await self._credits.agreements.list(), ("book",), named=True)
        called = await self._names.owners(row.cells[0] for row in sheet.rows)
        rows = [c.Row(row.id, (called[row.cells[0]], *row.cells[1:]), row.acts) for row in sheet.rows]
        return c.Sheet(sheet.key, sheet.columns, rows, sheet.empty)

    async def agreement_sign(self, who: m.Who, org: str, year: str, reference: str) -> None:
        owner = await self._names.organisation(org)
        await self._credits.agreements.sign(owner, int(year), reference=reference, actor=actor_of(who).ref)

    async def instalment_book(self, who: m.Who, agreement_id: UUID, number: int, reference: str) -> None:
        await self._moves.ask_instalment(agreement_id, number, reference=reference, by=actor_of(who).ref)

    async def _of(self, org_ids: Iterable[UUID]) -> Mapping[UUID, tuple[str, str]]:
        return {org: (name, f"/city/accounts/{org}") for org, name in (await self._names.owners(org_ids)).items()}

    async def all_invoices(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        """With whose it is, and what the clerk types into the tax bureau's form."""
        found = await self._credits.invoices.list(waiting=not queue.everything, before=queue.past, limit=c.QUEUE_ROWS)
        whose = await self._of(i.org_id for i in found)
        rows = [
            c.Row(i.id, (i.created_at, whose[i.org_id], i.title, i.tax_number, i.email, i.kind, i.amount_fen,
                         i.state, i.number or i.reason), ("decide",) if i.state == "requested" else ())
            for i in found
        ]  # fmt: skip
        at, title, *rest = INVOICES
        columns = (at, OF, title, Col("invoices.tax", "note"), Col("invoices.email", "note"), *rest)
        return c.Sheet("invoices.list", columns, rows, "invoices.none", more=len(rows) == c.QUEUE_ROWS)

    async def all_red_letters(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        """With whose it is and what may be recorded now: a special one's sheet first."""
        letters = self._credits.refunds.red_letters
        found = await letters.list(waiting=not queue.everything, before=queue.past, limit=c.QUEUE_ROWS)
        acts = {"due": ("sheet",), "confirmed": ("number",), "issued": ()}
        whose = await self._of(one.org_id for one in found)
        rows = [
            c.Row(one.id, (*_red_letter(one), whose[one.org_id]),
                  ("sheet", "number") if (one.kind, one.state) == ("ordinary", "due") else acts[one.state])
            for one in found
        ]  # fmt: skip
        return c.Sheet("red_letters.list", (*RED_LETTERS, OF), rows, "red_letters.none", more=len(rows) == c.QUEUE_ROWS)

    async def red_letter_record(self, who: m.Who, letter_id: UUID, sheet: str, number: str) -> None:
        letters, by = self._credits.refunds.red_letters, actor_of(who).ref
        if sheet:
            await letters.confirm(letter_id, sheet=sheet, by=by)
        else:
            await letters.issue(letter_id, number=number, by=by)

    async def invoice_decide(self, who: m.Who, invoice_id: UUID, number: str, reason: str) -> None:
        by = actor_of(who).ref
        if number:
            await self._credits.invoices.issue(invoice_id, number=number, by=by)
        else:
            await self._credits.invoices.reject(invoice_id, reason=reason, by=by)

    async def all_disputes(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        """With whose it is, what was charged, and the way to the receipt: what has to be looked at to decide."""
        found = await self._credits.disputes.list(waiting=not queue.everything, before=queue.past, limit=c.QUEUE_ROWS)
        rows, called, charged = [], self._names.actors(), await self._credits.disputes.charges(found)
        whose = await self._of(d.org_id for d in found)
        for d in found:
            cells = (
                d.created_at, whose[d.org_id], (d.receipt_id, f"/receipts/{d.receipt_id}"),
                charged.get(d.receipt_id), d.reason, d.evidence, d.state, d.answer,
                await called(d.decided_by) if d.decided_by else "",
            )  # fmt: skip
            rows.append(c.Row(d.id, cells, ("decide",) if d.state == "open" else ()))
        at, _, reason, state, answer = DISPUTES
        columns = (at, OF, Col("disputes.receipt", "link"), Col("disputes.charged", "credits"), reason,
                   Col("disputes.evidence", "note"), state, answer, Col("disputes.by", "note"))  # fmt: skip
        return c.Sheet("disputes.list", columns, rows, "disputes.none", more=len(rows) == c.QUEUE_ROWS)

    async def dispute_decide(self, who: m.Who, dispute_id: UUID, granted: bool, answer: str) -> bool:
        by = actor_of(who).ref
        if granted:
            return await self._rulings.grant(dispute_id, answer=answer, by=by) is not None
        await self._credits.disputes.refuse(dispute_id, answer=answer, by=by)
        return False

    async def all_refunds(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        found = await self._credits.refunds.list(
            None, waiting=not queue.everything, before=queue.past, limit=c.QUEUE_ROWS
        )
        rows, called, whose = [], self._names.actors(), await self._of(one.org_id for one in found)
        for one in found:
            at, *cells = _refund_cells(one)
            by = [await called(by or "") for by in (one.retried_by, one.paid_by)]
            rows.append(c.Row(one.id, (at, whose[one.org_id], *cells, *by), REFUND_ACTS.get(str(one.state), ())))
        at, *rest = REFUNDS
        columns = (at, OF, *rest, *REFUND_HANDS)
        return c.Sheet("refunds.list", columns, rows, "refunds.none", more=len(rows) == c.QUEUE_ROWS)

    async def refund_retry(self, who: m.Who, refund_id: UUID) -> None:
        await self._credits.refunds.retry(refund_id, by=actor_of(who).ref)

    async def refund_payout(self, who: m.Who, refund_id: UUID, reference: str) -> bool:
        return await self._by_hand.pay_refund(refund_id, reference, by=actor_of(who).ref) is not None

    async def estates(self, who: m.Who) -> c.Sheet:
        rows, found = [], await self._credits.estates.list()
        called = await self._names.owners(
            org for one in found for org in (one.org_id, *(heir.org_id for heir in one.successors))
        )
        for one in found:
            successors = "、".join(called[heir.org_id] for heir in one.successors)
            lines = one.lines
            if one.state == "open":
                lines = await self._credits.estates.offer(one.org_id)
            sums = [
                sum(getattr(line, name) for line in lines if line.asset == "credit") for name in ("passes", "lapses")
            ]
            papers = "；".join(document.reference for document in one.documents)
            cells = (one.asked_at, called[one.org_id], one.kind, successors, papers, one.reason, one.state, *sums)
            rows.append(c.Row(one.id, cells, ("decide",) if one.state == "open" else ()))
        return c.Sheet("estates.list", ESTATES, rows, "estates.none")

    async def estate_ask(self, who: m.Who, fields: Mapping[str, str]) -> None:
        await self._credits.estates.ask(
            await self._names.organisation(fields.get("org", "")),
            kind=fields.get("kind", ""),
            successors=[Successor(await self._names.organisation(fields.get("successor", "")))],
            documents=[
                EstateDocument("end", fields.get("end", "")),
                EstateDocument("right", fields.get("right", "")),
            ],
            reason=fields.get("reason", ""),
            by=actor_of(who).ref,
        )

    async def estate_decide(self, who: m.Who, estate_id: UUID, yes: bool, reason: str) -> None:
        estates, by = self._credits.estates, actor_of(who).ref
        await (estates.approve(estate_id, by=by) if yes else estates.reject(estate_id, by=by, reason=reason))


def _months(today: date) -> list[date]:
    found = [today.replace(day=1)]
    while len(found) < MONTHS_SHOWN:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found


def _lapses(days: Sequence[LapseDay]) -> c.Sheet:
    rows = [c.Row(str(day.on), (day.on, day.amount_micro, day.held_micro)) for day in days]
    return c.Sheet("lapses.mine", LAPSES, rows, "lapses.none")


def _refunds(refunds: Sequence[Refund]) -> c.Sheet:
    return c.Sheet("refunds.list", REFUNDS, [c.Row(r.id, _refund_cells(r)) for r in refunds], "refunds.none")


def _refund_cells(refund: Refund) -> tuple[object, ...]:
    """A row under `REFUNDS`."""
    return refund.created_at, refund.refund_fen, refund.taken_micro, refund.cancelled_micro, str(refund.state)


def _red_letter(one: RedLetter) -> tuple[object, ...]:
    return (one.created_at, one.invoice, one.kind, one.amount_fen, one.state, one.sheet, one.number)


def _invoices(invoices: Sequence[Invoice]) -> c.Sheet:
    rows = [
        c.Row(i.id, (i.created_at, i.title, i.kind, i.amount_fen, i.state, i.number or i.reason), ("paper",))
        for i in invoices
    ]  # fmt: skip
    return c.Sheet("invoices.list", INVOICES, rows, "invoices.none")


def _disputes(disputes: Sequence[Dispute]) -> c.Sheet:
    rows = [
        c.Row(d.id, (d.created_at, (d.receipt_id, f"/receipts/{d.receipt_id}"), d.reason, d.state, d.answer),
              ("withdraw",) if d.state == "open" else ())
        for d in disputes
    ]  # fmt: skip
    return c.Sheet("disputes.list", DISPUTES, rows, "disputes.none")


def _agreements(agreements: Sequence[Agreement], acts: tuple[str, ...], *, named: bool = False) -> c.Sheet:
    rows = [
        c.Row(
            f"{a.id}/{i.number}",
            (*((a.org_id,) if named else ()), a.year, i.number, i.due_on, i.amount_fen, i.state),
            acts if i.state != "paid" else (),
        )
        for a in agreements
        for i in a.instalments
    ]  # fmt: skip
    columns = (*((Col("agreements.org"),) if named else ()), *INSTALMENTS)
    return c.Sheet("agreements.list", columns, rows, "agreements.none")


async def _file(document: Document, stem: str, fmt: str) -> c.File:
    shape = Format(fmt)
    return c.File(await render(document, shape), MEDIA[shape], save_headers(stem, shape))
