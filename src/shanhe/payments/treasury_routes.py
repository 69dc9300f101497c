"""HTTP of the treasury: bank statements, suspense, payouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.documents import BOM
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import as_json, sheet
from shanhe.kernel.money import format_credits, format_fen
from shanhe.kernel.routing import APIRouter, Body
from shanhe.payments.bank import EXPLAIN_MAX, BankDesk
from shanhe.payments.bank_errors import StatementUnreadable
from shanhe.payments.bank_model import BookAs, Ending, Outlook, Report, Suspense, SuspenseState
from shanhe.payments.bank_statements import FILE_LIMIT_BYTES
from shanhe.payments.payout_model import PayeeKind, Payout, PayoutState
from shanhe.payments.payout_sheet import payouts_csv
from shanhe.payments.payouts import Payouts

TEXT_LIMIT_CHARS = 200
Operator = Annotated[Actor, Depends(require("accounts"))]
Member = Annotated[Actor, Depends(require("topup"))]
Reader = Annotated[Actor, Depends(require("ledger"))]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT_CHARS)]


class AssignBody(Body):
    owner: Text


class NoteBody(Body):
    note: Text


class ApplyBody(NoteBody):
    order_id: UUID


class ExplainBody(NoteBody):
    posting_id: UUID | Annotated[list[UUID], Field(min_length=1, max_length=EXPLAIN_MAX)]


class ResendBody(NoteBody):
    fee_fen: Annotated[int, Field(ge=0, lt=2**53, strict=True)] = 0


class BookBody(ResendBody):
    booked_as: BookAs | None = None


class Taking(Protocol):
    """How a statement is taken in: one uploads it, another agrees."""

    async def ask(self, data: bytes, *, name: str, by: str) -> tuple[Any, Outlook] | Report: ...
    async def held(self) -> Sequence[Any]: ...
    async def look(self, file_hash: str) -> tuple[Any, Outlook]: ...


def bank_router(bank: BankDesk, close: AskSecond, taking: Taking) -> APIRouter:
    """Everything under /api/bank. `close` ends an item in suspense: (item, ending, by)."""
    routes = APIRouter(prefix="/api/bank", tags=["bank"])

    @routes.post("/statements", status_code=202)
    async def upload(
        request: Request, actor: Operator, name: Annotated[str, Query(max_length=TEXT_LIMIT_CHARS)] = "statement.csv"
    ) -> Response:
        """The bytes of a CSV statement (UTF-8 or GB18030) as the body: kept sealed until another operator agrees (202,
        with what it would do), which takes it in. 200 and what each row did where that was done before."""
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > FILE_LIMIT_BYTES:
                raise StatementUnreadable(f"it is larger than {FILE_LIMIT_BYTES} bytes", "文件过大")
            chunks.append(chunk)
        found = await taking.ask(b"".join(chunks), name=name, by=actor.ref)
        if isinstance(found, Report):
            return as_json(report_view(found))
        return as_json(held_view(*found), 202)

    @routes.get("/held")
    async def held(_: Reader) -> Response:
        """Statements that wait for a second operator, oldest first, as they were when they were uploaded."""
        return as_json({"data": [asked_view(one) | {"statement": one.payload} for one in await taking.held()]})

    @routes.get("/held/{file_hash}")
    async def look(file_hash: str, _: Reader) -> Response:
        """One of them, and what each row would do if it was taken in now."""
        return as_json(held_view(*await taking.look(file_hash)))

    @routes.get("/statements")
    async def statements(_: Reader) -> Response:
        """Uploaded statements, newest first."""
        return as_json({"data": [asdict(file) for file in await bank.statements.files()]})

    @routes.get("/gaps")
    async def missing(_: Reader) -> Response:
        """Where a statement doesn't begin with the balance that the one before ends with, oldest first: the days to ask
        the bank for."""
        return as_json({"data": [asdict(gap) for gap in await bank.statements.gaps()]})

    @routes.get("/statements/{file_hash}")
    async def statement(file_hash: str, _: Reader) -> Response:
        """What a statement did, row by row."""
        return as_json(report_view(await bank.statements.report(file_hash)))

    @routes.get("/outgoing")
    async def outgoing(_: Reader) -> Response:
        """Refunds and payouts that somebody still has to send, with the reference for the remark."""
        return as_json({"data": [asdict(item) for item in await bank.outgoing()]})

    _suspense(routes, bank, close)
    return routes


def _suspense(routes: APIRouter, bank: BankDesk, close: AskSecond) -> None:
    """Above a sum the endings are asked for (202): another operator agrees, then they are done."""

    async def closed(item: UUID, actor: Actor, ending: Ending) -> Response:
        asked = await close(item, ending, by=actor.ref)
        return as_json(asked_view(asked), 202) if asked is not None else as_json(suspense_view(await bank.get(item)))

    @routes.get("/suspense")
    async def suspense(
        _: Reader, state: SuspenseState | None = SuspenseState.OPEN, before: UUID | None = None
    ) -> Response:
        """Money that no order accounts for, newest first; `before`: the last one seen."""
        return as_json({"data": [suspense_view(item) for item in await bank.suspense(state, before=before)]})

    @routes.post("/suspense/{suspense_id}/assign")
    async def assign(suspense_id: UUID, body: AssignBody, actor: Operator) -> Response:
        """Name who looks after an item."""
        return as_json(suspense_view(await bank.assign(suspense_id, body.owner, actor=actor.ref)))

    @routes.post("/suspense/{suspense_id}/apply")
    async def apply(suspense_id: UUID, body: ApplyBody, actor: Operator) -> Response:
        """Pay a waiting order with it."""
        return await closed(suspense_id, actor, Ending(SuspenseState.APPLIED, body.note, body.order_id))

    @routes.post("/suspense/{suspense_id}/accept")
    async def accept(suspense_id: UUID, body: NoteBody, actor: Operator) -> Response:
        """Say that what left for another account did go to its payee; another operator always agrees."""
        return await closed(suspense_id, actor, Ending(SuspenseState.APPLIED, body.note))

    @routes.post("/suspense/{suspense_id}/return")
    async def give_back(suspense_id: UUID, body: NoteBody, actor: Operator) -> Response:
        """Say that it was sent back."""
        return await closed(suspense_id, actor, Ending(SuspenseState.RETURNED, body.note))

    @routes.post("/suspense/{suspense_id}/explain")
    async def explain(suspense_id: UUID, body: ExplainBody, actor: Operator) -> Response:
        """Name the posting that has its money already, those that have it together, or the bank's file of payouts that
        it sent in one sum."""
        named = (body.posting_id,) if isinstance(body.posting_id, UUID) else tuple(body.posting_id)
        ending = Ending(SuspenseState.EXPLAINED, body.note, postings=named)
        return await closed(suspense_id, actor, ending)

    @routes.post("/suspense/{suspense_id}/resend")
    async def resend(suspense_id: UUID, body: ResendBody, actor: Operator) -> Response:
        """Send what the bank returned of a refund or payout once more; `fee_fen`: what the bank kept of it."""
        return await closed(suspense_id, actor, Ending(SuspenseState.RESENT, body.note, fee_fen=body.fee_fen))

    @routes.post("/suspense/{suspense_id}/book")
    async def book(suspense_id: UUID, body: BookBody, actor: Operator) -> Response:
        """Book it as what it is where no order, refund or payout is behind it; default: the bank's charge, or its
        interest. `fee_fen`: what an institution kept of what it settled."""
        ending = Ending(SuspenseState.BOOKED, body.note, booked_as=body.booked_as, fee_fen=body.fee_fen)
        return await closed(suspense_id, actor, ending)


class UseBody(Body):
    order_id: UUID


def waiting_router(bank: BankDesk) -> APIRouter:
    """Everything under /api/payments/waiting: money that came for the caller's orders and that no order took."""
    routes = APIRouter(prefix="/api/payments/waiting", tags=["payments"])

    @routes.get("")
    async def waiting(actor: Member) -> Response:
        """What waits for the caller's organisation, newest first."""
        return as_json({"data": [_waiting_view(item) for item in await bank.waiting_of(org_of(actor))]})

    @routes.post("/{item}/want-back")
    async def want_back(item: UUID, actor: Member) -> Response:
        """Ask for it back; an operator sends it."""
        return as_json(_waiting_view(await bank.want_back(item, org_of(actor), actor=actor.ref)))

    @routes.post("/{item}/use")
    async def use(item: UUID, body: UseBody, actor: Member) -> Response:
        """Pay an own order by bank transfer with it."""
        return as_json(_waiting_view(await bank.use(item, body.order_id, org_of(actor), actor=actor.ref)))

    return routes


def _waiting_view(item: Suspense) -> dict[str, Any]:
    """An item as its payer sees it: nothing of the operators' side."""
    names = ("id", "kind", "amount_fen", "order_id", "state", "created_at", "wanted_back_at")
    return {name: getattr(item, name) for name in names}


def held_view(asked: Any, outlook: Outlook) -> dict[str, Any]:
    """A statement that waits as JSON: the request that another operator decides, and what it would do."""
    return asked_view(asked) | {
        "file": asdict(outlook.file), "in_fen": outlook.in_fen, "out_fen": outlook.out_fen, "pays": outlook.pays,
        "pays_fen": outlook.pays_fen, "counts": outlook.counts, "lines": [asdict(line) for line in outlook.lines],
    }  # fmt: skip


def report_view(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    return {
        "file": asdict(report.file),
        "known": report.known,
        "counts": report.counts,
        "lines": [asdict(line) for line in report.lines],
        "gaps": [asdict(gap) for gap in report.gaps],
    }


def suspense_view(item: Any) -> dict[str, Any]:
    """An item in suspense as JSON, with its two postings."""
    view = {**asdict(item), "amount": format_fen(item.amount_fen), "posting_id": item.posting_id}
    return {**view, "release_id": item.release_id if item.released_at else None}


# -- payouts ----------------------------------------------------------------------------------------------------------


class PayeeBody(Body):
    kind: PayeeKind
    holder: Text
    account: Annotated[str, Field(min_length=8, max_length=64)]
    bank: Text


class PayoutBody(Body):
    client_ref: Annotated[str, Field(min_length=1, max_length=128)]
    amount_micro: Annotated[int, Field(gt=0, lt=2**53, strict=True)]
    with_subsidy: bool = False


class CheckBody(Body):
    passed: bool
    reference: Text


class ApproveBody(Body):
    channel: str = Field("", max_length=32)


class ReasonBody(Body):
    reason: Text


def payout_router(payouts: Payouts, confirm: AskSecond, fail: AskSecond) -> APIRouter:
    """Everything under /api/payouts: a maker's own, and the operators' side. `confirm` says that one arrived, `fail`
    that it did not: (payout, reason, by)."""
    routes = APIRouter(prefix="/api/payouts", tags=["payouts"])
    _own_payouts(routes, payouts)
    _reading_payouts(routes, payouts)
    _deciding_payouts(routes, payouts)
    _said_of_payouts(routes, payouts, confirm, fail)
    _bank_files(routes, payouts)
    return routes


def _own_payouts(routes: APIRouter, payouts: Payouts) -> None:
    @routes.get("/earnings")
    async def earnings(actor: Member) -> Response:
        """What the caller's organisation may turn into cash, and where it is paid."""
        org_id = org_of(actor)
        found, payee = await payouts.earnings(org_id), await payouts.payees.of(org_id)
        return as_json({**asdict(found), "available_micro": found.available_micro, "payee": payee and asdict(payee)})

    @routes.put("/payee")
    async def payee(body: PayeeBody, actor: Member) -> Response:
        """Say where the organisation is paid; a signed-in person, whose key seals it."""
        if actor.person_id is None:
            raise Invalid(
                "person_needed", "A person gives the account, not a key.", message_zh="收款账户须由本人登录后填写。"
            )
        made = await payouts.payees.set(org_of(actor), person_id=actor.person_id, **body.model_dump())
        return as_json(asdict(made))

    @routes.post("", status_code=201)
    async def ask(body: PayoutBody, actor: Member) -> Response:
        """Ask for cash."""
        made = await payouts.request(org_of(actor), actor=actor.ref, **body.model_dump())
        return as_json(payout_view(made), 201)

    @routes.get("")
    async def own(actor: Member) -> Response:
        """The organisation's payouts, newest first."""
        return as_json({"data": [payout_view(item) for item in await payouts.list(org_id=org_of(actor))]})

    @routes.post("/{payout_id}/cancel")
    async def cancel(payout_id: UUID, actor: Member) -> Response:
        """Take a request back."""
        return as_json(payout_view(await payouts.cancel(org_of(actor), payout_id, by=actor.ref)))


def _reading_payouts(routes: APIRouter, payouts: Payouts) -> None:
    @routes.get("/all")
    async def everything(
        _: Reader, state: PayoutState | None = None, waiting: bool = False, before: UUID | None = None
    ) -> Response:
        """Payouts of everybody, newest first; `waiting`: those that have not ended, oldest first.

        `before`: the last one seen."""
        found = await payouts.list(state=state, waiting=waiting, before=before)
        return as_json({"data": [payout_view(item) for item in found]})

    @routes.get("/all.csv")
    async def as_sheet(_: Reader, state: PayoutState | None = None, waiting: bool = False) -> Response:
        """The same as a sheet, all that fit: who asked and approved, what left and its posting; makers by id."""
        return sheet(payouts_csv(payouts, state=state, waiting=waiting), "payouts")

    @routes.get("/all/{payout_id}")
    async def one(payout_id: UUID, _: Reader) -> Response:
        """A payout with its decision's trace."""
        return as_json(payout_view(await payouts.get(payout_id), trace=True))


def _deciding_payouts(routes: APIRouter, payouts: Payouts) -> None:
    @routes.post("/payees/{payee_id}/check")
    async def check(payee_id: UUID, body: CheckBody, actor: Operator) -> Response:
        """Record that name and account belong together, or don't."""
        done = await payouts.payees.record_check(payee_id, passed=body.passed, reference=body.reference, by=actor.ref)
        return as_json(asdict(done))

    @routes.post("/all/{payout_id}/review")
    async def review(payout_id: UUID, body: NoteBody, actor: Operator) -> Response:
        """Say that its subsidy income is of unrelated payers."""
        return as_json(payout_view(await payouts.review(payout_id, by=actor.ref, note=body.note)))

    @routes.post("/all/{payout_id}/approve")
    async def approve(payout_id: UUID, body: ApproveBody, actor: Operator) -> Response:
        """The first approval, or the second, by another operator, which books it."""
        return as_json(payout_view(await payouts.approve(payout_id, by=actor.ref, channel=body.channel)))

    @routes.post("/all/{payout_id}/refuse")
    async def refuse(payout_id: UUID, body: ReasonBody, actor: Operator) -> Response:
        """Say no before the second approval."""
        return as_json(payout_view(await payouts.refuse(payout_id, by=actor.ref, reason=body.reason)))


def _said_of_payouts(routes: APIRouter, payouts: Payouts, confirm: AskSecond, fail: AskSecond) -> None:
    @routes.post("/all/{payout_id}/confirm")
    async def confirmed(payout_id: UUID, actor: Operator) -> Response:
        """The money arrived, though no statement says so yet: another operator agrees (202)."""
        asked = await confirm(payout_id, by=actor.ref)
        if asked is not None:
            return as_json(asked_view(asked), 202)
        return as_json(payout_view(await payouts.get(payout_id)))

    @routes.post("/all/{payout_id}/fail")
    async def failed(payout_id: UUID, body: ReasonBody, actor: Operator) -> Response:
        """The money came back: the posting is reversed. Of one in a file for the bank another operator agrees first
        (202)."""
        asked = await fail(payout_id, reason=body.reason, by=actor.ref)
        if asked is not None:
            return as_json(asked_view(asked), 202)
        return as_json(payout_view(await payouts.get(payout_id)))


def _bank_files(routes: APIRouter, payouts: Payouts) -> None:
    @routes.get("/batches")
    async def batches(_: Reader) -> Response:
        """The bank's files that were made, newest first."""
        return as_json({"data": [{**asdict(one), "at": one.at} for one in await payouts.files.batches()]})

    @routes.post("/batches", status_code=201)
    async def export(actor: Operator, batch: UUID | None = None) -> Response:
        """A CSV for the bank of everything approved for it; with `batch` that one again."""
        made = await payouts.files.export(batch, by=actor.ref)
        headers = {"content-disposition": f'attachment; filename="payouts-{made.id}.csv"', "x-batch": str(made.id)}
        status = 200 if batch is not None else 201
        return Response((BOM + made.text).encode(), status, headers, media_type="text/csv; charset=utf-8")


def payout_view(item: Payout, *, trace: bool = False) -> dict[str, Any]:
    """A payout as JSON, without its lots; name and account stay sealed."""
    view = {**asdict(item), "amount": format_credits(item.amount_micro), "net": format_fen(item.net_fen or 0)}
    for name in ("lots", "lot_amounts") if trace else ("lots", "lot_amounts", "trace"):
        del view[name]
    return view
