"""Programmes and applications as plain data with words in both languages: for HTTP, CLI and pages alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import msgspec

from shanhe.kernel.errors import Field
from shanhe.ledger.api import PostingView
from shanhe.programmes.cases import Application, BudgetView, DecisionRow, Entitlement, File, Outcome, Payment, Tranche
from shanhe.programmes.checking import Checked
from shanhe.programmes.forms import fields, lacking
from shanhe.programmes.guarantees import Guarantee
from shanhe.programmes.importing import ImportReport
from shanhe.programmes.messages import amount_text
from shanhe.programmes.model import Catalogue, Programme, Text
from shanhe.programmes.sites import Report
from shanhe.programmes.standings import Index

PARTS = ("opening", "funded", "set_aside", "given_back", "closing")
"""What a base's report says of each budget."""


def text(item: Text) -> dict[str, str]:
    return {"zh": item.zh, "en": item.en}


def programme_view(programme: Programme, catalogue: Catalogue) -> dict[str, Any]:
    """A programme for everybody to read."""
    return {
        "id": programme.id, "title": text(programme.title), "summary": text(programme.summary),
        "department": text(catalogue.departments[programme.department]), "opens": programme.opens,
        "closes": programme.closes,
        "for": programme.for_, "rules": programme.rules, "schedule": programme.schedule.kind,
        "assets": [catalogue.budgets[grant.budgets(programme.asks)[0]].asset for grant in programme.grants],
        "asks": {name: msgspec.to_builtins(ask) for name, ask in programme.asks.items()},
        "evidence": {name: msgspec.to_builtins(proof) for name, proof in programme.evidence.items()},
        "conditions": [{name: getattr(item, name) for name in ("rule", "zh", "en", "page")}
                       for item in programme.conditions],
        "review": [{"zh": step.zh, "en": step.en, "by": text(catalogue.departments[step.by]), "days": step.days,
                    "eyes": step.eyes} for step in programme.review],
        "clawback": text(programme.clawback) if programme.clawback else None,
    }  # fmt: skip


def payment_view(payment: Payment, amount: int) -> dict[str, Any]:
    zh, en = amount_text(payment, amount)
    return {"to": payment.to_org, "asset": payment.asset, "provenance": payment.provenance, "budget": payment.budget,
            "amount": amount, "text": {"zh": zh, "en": en}}  # fmt: skip


def outcome_view(programme: Programme, outcome: Outcome) -> dict[str, Any]:
    """What the rules say, why, and what would change it."""
    return {
        "entitled": outcome.entitled,
        "reasons": [reason.to_dict() for reason in outcome.reasons],
        "missing": [{"name": name, "zh": one.zh, "en": one.en} for name, one in lacking(programme, outcome.missing)],
        "payments": [payment_view(item, item.amount) for item in outcome.payments],
        "instalments": outcome.count,
        "versions": outcome.versions,
        "traces": outcome.traces,
    }


def entitlement_view(programme: Programme, item: Entitlement, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "programme": programme.id, "title": text(programme.title), "summary": text(programme.summary),
        "department": text(catalogue.departments[programme.department]), "standing": item.standing,
        "application": item.application, **outcome_view(programme, item.outcome),
    }  # fmt: skip


def checked_view(checked: Checked, catalogue: Catalogue) -> dict[str, Any]:
    """What a form would meet if it was sent now: what to mend, what stands against it, what it would give."""
    programme = checked.programme
    form = fields(programme)
    pairs = {"closed": checked.closed, "taken": checked.taken}
    return {
        "programme": programme.id, "title": text(programme.title), "standing": checked.standing,
        "problems": [(form.get(name) or Field(pointer=f"/answers/{name}", zh=name, en=name)).wrong(zh, en)
                     for name, zh, en in checked.problems],
        **{name: dict(zip(("zh", "en"), pair, strict=True)) if pair else None for name, pair in pairs.items()},
        "short": [{"budget": name, "zh": catalogue.budgets[name].zh, "en": catalogue.budgets[name].en}
                  for name in checked.short],
        "review": [{"zh": step.zh, "en": step.en, "by": text(catalogue.departments[step.by]), "days": step.days}
                   for step in programme.review],
        **outcome_view(programme, checked.outcome),
    }  # fmt: skip


def application_view(app: Application, programme: Programme, catalogue: Catalogue) -> dict[str, Any]:
    """An application for lists: where it stands and who has it."""
    steps = programme.path(app.round)
    step = steps[app.step] if app.state == "in_review" and app.step < len(steps) else None
    return {
        "id": app.id, "programme": app.programme, "title": text(programme.title), "org_id": app.org_id,
        "state": app.state,
        "round": app.round, "step": app.step + 1 if step else None, "steps": len(steps),
        "step_title": {"zh": step.zh, "en": step.en} if step else None,
        "with": text(catalogue.departments[step.by]) if step else None, "due": app.step_due,
        "overdue": app.overdue_at is not None, "applied_on": app.applied_on, "changed_at": app.changed_at,
        "client_ref": app.client_ref,
    }  # fmt: skip


def file_view(file: File, programme: Programme, catalogue: Catalogue) -> dict[str, Any]:
    """An application with everything about it."""
    app = file.application
    return {
        **application_view(app, programme, catalogue),
        "turn": file.turn,
        "answers": app.answers,
        "evidence": {name: asdict(item) for name, item in app.evidence.items()},
        "tranches": [tranche_view(tranche) for tranche in file.tranches],
        "decisions": [decision_view(row) for row in file.decisions],
        "history": [asdict(row) for row in file.history],
        "can": actions(app),
    }


def tranche_view(tranche: Tranche) -> dict[str, Any]:
    paid = tranche.state == "released"
    return {
        "n": tranche.n, "state": tranche.state, "due_on": tranche.due_on, "planned_on": tranche.planned_on,
        "met_on": tranche.met_on, "posting_id": tranche.posting, "reason": tranche.reason,
        "payments": [payment_view(item, item.released if paid else item.amount) for item in tranche.payments],
    }  # fmt: skip


def decision_view(row: DecisionRow) -> dict[str, Any]:
    return {"id": row.id, "kind": row.kind, "at": row.at, "actor": row.actor, "reasons": row.reasons, "note": row.note,
            "versions": row.versions, "traces": row.traces}  # fmt: skip


def actions(app: Application) -> list[str]:
    """What the applicant can do now."""
    found = []
    if app.state in ("in_review", "returned", "waiting_budget"):
        found.append("withdraw")
    if app.state == "returned":
        found.append("supplement")
    if app.state == "refused" and app.round == 1:
        found.append("appeal")
    return found


def budget_view(view: BudgetView, catalogue: Catalogue) -> dict[str, Any]:
    budget = catalogue.budgets[view.name]
    texts = {
        part: dict(zip(("zh", "en"), amount_text(Payment(view.account, view.asset, view.name, 0), amount), strict=True))
        for part, amount in (("free_text", view.free), ("committed_text", view.committed), ("spent_text", view.spent))
    }
    return {
        **asdict(view), "title": {"zh": budget.zh, "en": budget.en}, "unlimited": budget.unlimited,
        "public": budget.public, "department": text(catalogue.departments[budget.department]), **texts,
    }  # fmt: skip


def fund_view(
    view: BudgetView, postings: Sequence[PostingView], committed: UUID, catalogue: Catalogue
) -> dict[str, Any]:
    """A public account with its newest movements; what it is spent on has an application, which is nobody else's.
    `promised`: what left it is set aside for an award, and paid when that is due."""
    moved = [(one, one.moved(view.account)) for one in postings]
    unit = Payment(view.account, view.asset, view.name, 0)
    return budget_view(view, catalogue) | {
        "moves": [
            {
                "id": one.id, "at": one.at, "kind": one.kind, "amount": amount,
                "promised": amount < 0 and one.moved(committed) > 0,
                "text": dict(zip(("zh", "en"), amount_text(unit, amount), strict=True)),
            }
            for one, amount in moved
        ]
    }  # fmt: skip


def import_view(report: ImportReport) -> dict[str, Any]:
    """An import, row by row."""
    rows = [
        {"row": row.row, "party": row.party, "known": row.known, "becomes": row.becomes,
         "application": row.application if row.known or report.recorded else None,
         "problem": dict(zip(("zh", "en"), row.problem, strict=True)) if row.problem else None,
         "why": [dict(zip(("zh", "en"), one, strict=True)) for one in row.why]}
        for row in report.rows
    ]  # fmt: skip
    bad = sum(1 for row in report.rows if row.problem)
    return {"recorded": report.recorded, "rows": rows, "good": len(rows) - bad, "bad": bad}


def guarantee_view(item: Guarantee, names: Mapping[UUID, str]) -> dict[str, Any]:
    """A guarantee with whom it is between, in fen."""
    return {**asdict(item), "borrower_name": names.get(item.borrower, ""), "bank_name": names.get(item.bank, "")}


def index_view(item: Index) -> dict[str, Any]:
    """A value index with what was counted, how many companies stood below and beside, and the rule's trace."""
    return {**asdict(item), "points": f"{item.index_bps / 100:.2f}"}


def site_view(report: Report, catalogue: Catalogue) -> dict[str, Any]:
    """A base's report: of each budget what it had, got, set aside, got back and has."""
    return {
        "site": report.site, "title": text(report.title), "first": report.first, "last": report.last,
        "awards": report.awards, "companies": report.companies,
        "budgets": [
            {**budget_view(flow.budget, catalogue), **{part: _sum(flow.budget, getattr(flow, part)) for part in PARTS}}
            for flow in report.flows
        ],
    }  # fmt: skip


def _sum(view: BudgetView, amount: int) -> dict[str, Any]:
    zh, en = amount_text(Payment(view.account, view.asset, view.name, 0), amount)
    return {"amount": amount, "zh": zh, "en": en}


def request_view(request: Any) -> dict[str, Any]:
    """A money move that waits for a second person, or was decided. Notes about people stay where they are sealed."""
    return {
        "id": request.id, "kind": request.kind, "subject": request.subject, "state": request.state,
        "amount": request.payload.get("amount"), "reason": request.payload.get("reason", ""),
        "asked_by": request.requested_by, "asked_at": request.requested_at, "expires_at": request.expires_at,
        "decided_by": request.decided_by, "decided_at": request.decided_at, "break_glass": request.glass,
    }  # fmt: skip
