"""What the city promises, over programmes: entitlements, applications, review, budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from shanhe.approvals.api import RequestState
from shanhe.console import model as m
from shanhe.console.live.modules import Names, actor_of
from shanhe.identity.api import Identity, Unknown
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_fen, parse_credits, parse_yuan, said_credits
from shanhe.ledger.api import CITY_OWNER
from shanhe.programmes.api import (
    Application,
    Ask,
    File,
    Payment,
    Programmes,
    UnknownApplication,
    Verdict,
    amount_text,
    answer_from_text,
    application_view,
    applications_csv,
    budget_view,
    checked_view,
    entitlement_view,
    file_view,
    fund_view,
    import_view,
    outcome_view,
    plan_text,
    programme_view,
    request_view,
)

ANSWER, PAPER, DIGEST = "a_", "e_", "s_"
"""How a form names answers, documents and their digests."""
PERCENT_BPS = 100
WRITTEN = {"fen": format_fen, "micro": said_credits}
QUEUE_ROWS = 50
AWARDED = ("active", "suspended", "completed")
ALL_ROWS = 50
OTHERS = 20
APPLICANTS_SEARCHED = 100


class LivePromises:
    """See `ports.Promises`."""

    def __init__(self, programmes: Programmes, identity: Identity, names: Names) -> None:
        self._programmes = programmes
        self._identity = identity
        self._names = names

    # -- applicants ---------------------------------------------------------------------------------------------------

    async def entitlements(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        known = self._programmes.catalogue
        found = await self._programmes.applying.entitlements(who.org_id)
        return [entitlement_view(known.programmes[item.programme], item, known) for item in found]

    async def programme(self, programme_id: str) -> Mapping[str, Any]:
        return programme_view(self._programmes.programme(programme_id), self._programmes.catalogue)

    async def apply(self, who: m.Who, programme_id: str, fields: Mapping[str, str]) -> UUID:
        asks = self._asks(programme_id)
        made = await self._programmes.applying.apply(
            programme_id, who.org_id, answers=answers_of(asks, fields), evidence=papers_of(fields),
            client_ref=fields.get("client_ref") or str(new_id()), actor=actor_of(who).ref,
        )  # fmt: skip
        return made.id

    def _asks(self, programme_id: str) -> dict[str, Ask]:
        """What the applicant fills in."""
        asks = self._programmes.programme(programme_id).asks
        return {name: ask for name, ask in asks.items() if ask.by == "applicant"}

    async def check(self, who: m.Who, programme_id: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        asks = self._asks(programme_id)
        found = await self._programmes.checking.check(
            programme_id, who.org_id, answers=answers_of(asks, fields), evidence=papers_of(fields)
        )
        return checked_view(found, self._programmes.catalogue)

    async def applications(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [self._row(item) for item in await self._programmes.applications(org_id=who.org_id, limit=50)]

    async def file(self, who: m.Who, application: UUID) -> Mapping[str, Any]:
        file, mine = await self._seen(who, application)
        programme = self._programmes.programme(file.application.programme)
        view = file_view(file, programme, self._programmes.catalogue)
        view["papers"] = programme_view(programme, self._programmes.catalogue)["evidence"]
        view["shown"] = _shown(programme.asks, view["answers"])
        plan = view["answers"].get(programme.schedule.plan) or ()
        for tranche in view["tranches"]:
            tranche["title"] = plan[tranche["n"] - 1]["title"] if tranche["n"] <= len(plan) else ""
        called = self._names.actors()
        view["decisions"] = [{**one, "by": "" if mine else await called(one["actor"])} for one in view["decisions"]]
        standing = view["state"] in AWARDED and who.may("programmes")
        city = ["claw_back", *(["breach"] if programme.bound else [])] if standing else []
        view["history"] = [{**row, "said": brought_back(row["details"])} for row in view["history"]]
        applicant = "" if mine else await self._names.owner(view["org_id"])
        view["given"] = given(programme.asks, view["answers"], by="applicant") if mine else {}
        return {**view, "mine": mine, "can": view["can"] if mine else [], "city": city, "applicant": applicant,
                "request_id": str(new_id())}  # fmt: skip

    async def _seen(self, who: m.Who, application: UUID) -> tuple[File, bool]:
        """For its applicant (True); reviewers, operators and auditors see it too."""
        file = await self._programmes.file(application)
        mine = who.may("apply") and file.application.org_id == who.org_id
        city = who.may("programmes") or who.may("audit")
        if not (mine or city or await self._programmes.reviewing.may_see(application, who.person_id)):
            raise UnknownApplication
        return file, mine

    async def withdraw(self, who: m.Who, application: UUID) -> None:
        await self._programmes.applying.withdraw(application, who.org_id, actor=actor_of(who).ref)

    async def appeal(self, who: m.Who, application: UUID, why: str) -> None:
        await self._programmes.applying.appeal(application, who.org_id, why=why, actor=actor_of(who).ref)

    async def supplement(self, who: m.Who, application: UUID, fields: Mapping[str, str]) -> None:
        app = await self._programmes.applying.own(application, who.org_id)
        asks = self._asks(app.programme)
        await self._programmes.applying.supplement(
            application, who.org_id, answers=answers_of(asks, fields),
            evidence=papers_of(fields, {name: one.reference for name, one in app.evidence.items()}),
            actor=actor_of(who).ref,
        )  # fmt: skip

    # -- reviewers ----------------------------------------------------------------------------------------------------

    async def reviews(self, who: m.Who) -> bool:
        return bool(await self._programmes.reviewing.departments(who.person_id))

    async def queue(self, who: m.Who, programme: str, find: str, page: int, *, overdue: bool) -> Mapping[str, Any]:
        reviewing, known = self._programmes.reviewing, self._programmes.catalogue
        orgs = await self._applicants(find)
        counts = await reviewing.queued(who.person_id, orgs=orgs, overdue=overdue)
        found = await reviewing.queue(
            who.person_id, programme=programme or None, orgs=orgs, overdue=overdue, limit=QUEUE_ROWS + 1,
            offset=page * QUEUE_ROWS,
        )  # fmt: skip
        kinds = [(name, programme_view(known.programmes[name], known)["title"], n) for name, n in counts.items()]
        return {
            "rows": await self._named(found[:QUEUE_ROWS]), "more": len(found) > QUEUE_ROWS,
            "kinds": kinds, "total": sum(counts.values()),
            "waiting": counts.get(programme, 0) if programme else sum(counts.values()),
            "milestones": await self._named(await self._by_milestones(who, orgs)),
        }  # fmt: skip

    async def _by_milestones(self, who: m.Who, orgs: list[UUID] | None) -> list[Application]:
        """Awards that go on as milestones are accepted, of programmes whose last step this person's department has."""
        mine, found = await self._programmes.reviewing.departments(who.person_id), list[Application]()
        for name, programme in self._programmes.catalogue.programmes.items():
            if programme.schedule.kind == "milestones" and programme.path(1)[-1].by in mine:
                found += await self._programmes.applications(
                    state="active", programme=name, orgs=orgs, limit=QUEUE_ROWS
                )
        return found

    async def _named(self, items: Sequence[Application]) -> Sequence[Mapping[str, Any]]:
        called = await self._names.owners(item.org_id for item in items)
        return [{**self._row(item), "applicant": called[item.org_id]} for item in items]

    async def next_case(self, who: m.Who, after: UUID, due: datetime | None) -> UUID | None:
        """The next most urgent after one that was due then; the first again behind the last."""
        found = [one for one in await self._programmes.reviewing.queue(who.person_id) if one.id != after]
        later = [one for one in found if due and one.step_due and (one.step_due, one.id) > (due, after)]
        return next((one.id for one in (*later, *found)), None)

    async def case(self, who: m.Who, application: UUID) -> Mapping[str, Any]:
        """An application with what the rules say of it now and what a reviewer fills in."""
        view = dict(await self.file(who, application))
        programme = self._programmes.programme(view["programme"])
        outcome = await self._programmes.reviewing.preview(application)
        asks = {
            name: ask
            for name, ask in programme_view(programme, self._programmes.catalogue)["asks"].items()
            if ask["by"] == "reviewer"
        }
        party = await self._programmes.party(view["org_id"])
        view["milestones"] = []
        asked = programme.schedule.kind == "milestones" and view["state"] == "active"
        if asked and programme.path(1)[-1].by in await self._programmes.reviewing.departments(who.person_id):
            view["milestones"] = [one for one in view["tranches"] if one["state"] == "committed" and not one["met_on"]]
        file = (await self._seen(who, application))[0]
        view["given"] = given(programme.asks, file.application.answers, by="reviewer")
        view["spoken"] = await self._programmes.reviewing.spoken(file.application, file.turn, who.person_id)
        return {**view, "outcome": outcome_view(programme, outcome), "asks": asks, "applicant": party.name,
                "others": await self._others(who, view["org_id"], application)}  # fmt: skip

    async def _others(self, who: m.Who, org_id: UUID, shown: UUID) -> Sequence[Mapping[str, Any]]:
        """What the same applicant has before this person's departments besides."""
        mine = await self._programmes.reviewing.departments(who.person_id)

        def ours(programme: str) -> bool:
            known = self._programmes.programme(programme)
            return any(step.by in mine for step in (*known.path(1), *known.path(2)))

        found = await self._programmes.applications(org_id=org_id, limit=OTHERS)
        return [self._row(item) for item in found if item.id != shown and ours(item.programme)]

    async def decide(self, who: m.Who, application: UUID, verdict: str, reason: str, fields: Mapping[str, str]) -> None:
        app = (await self._seen(who, application))[0].application
        asks = {n: a for n, a in self._programmes.programme(app.programme).asks.items() if a.by == "reviewer"}
        last = app.step + 1 == len(self._programmes.programme(app.programme).path(app.round))
        assessed = answers_of(asks, fields, partly=not last)
        await self._programmes.reviewing.decide(
            application, who.person_id, Verdict(verdict), reason=reason, assessed=assessed,
            turn=int(fields["turn"]) if "turn" in fields else None,
        )  # fmt: skip

    async def met(self, who: m.Who, application: UUID, n: int, on: date) -> None:
        await self._seen(who, application)
        await self._programmes.reviewing.met(application, who.person_id, n, on=on)

    # -- operators ----------------------------------------------------------------------------------------------------

    async def budgets(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [budget_view(item, self._programmes.catalogue) for item in await self._programmes.budgets.list()]

    async def funds(self) -> Sequence[Mapping[str, Any]]:
        catalogue = self._programmes.catalogue
        return [fund_view(*one, catalogue) for one in await self._programmes.budgets.public()]

    async def fund(self, who: m.Who, name: str, amount: str, reason: str, funding_id: UUID) -> None:
        asset = self._programmes.catalogue.budgets[name].asset if name in self._programmes.catalogue.budgets else ""
        units = (
            parse_credits(amount)
            if asset == "credit"
            else parse_yuan(amount)
            if asset in ("cny", "voucher")
            else int(amount)
        )
        await self._programmes.second.fund(name, units, reason=reason, by=actor_of(who).ref, request_id=funding_id)

    async def claw_back(self, who: m.Who, application: UUID, fields: Mapping[str, str]) -> None:
        await self._programmes.second.claw_back(
            application, note=fields.get("note", ""), by=actor_of(who).ref, request_id=UUID(fields.get("id", ""))
        )

    async def breach(self, who: m.Who, application: UUID, note: str) -> None:
        await self._programmes.awards.breach(application, note=note, actor=actor_of(who).ref)

    async def waiting(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        """Money moves that wait for a second operator; `mine` are those this one asked for."""
        own = actor_of(who).ref
        asked = [request_view(one) for one in await self._programmes.second.requests(RequestState.OPEN)]
        budgets = self._programmes.catalogue.budgets
        files = await self._programmes.files([UUID(s) for one in asked if (s := one["subject"]) not in budgets])
        apps = {str(one.application.id): one.application for one in files}
        whose = await self._names.owners(one.org_id for one in apps.values())
        return [
            {**one, "mine": one["asked_by"] == own, "amount_text": self._amount(one),
             **self._about(one["subject"], apps, whose)}
            for one in asked
        ]  # fmt: skip

    def _about(
        self, subject: str, apps: Mapping[str, Application], names: Mapping[UUID, str]
    ) -> dict[str, Any]:  # fmt: skip
        """What a money move is about: a budget by its title, an award by its programme and applicant."""
        known = self._programmes.catalogue
        if subject in known.budgets:
            return {"what": {"zh": known.budgets[subject].zh, "en": known.budgets[subject].en}, "href": ""}
        app = apps[subject]
        title, whose = known.programmes[app.programme].title, names[app.org_id]
        what = {"zh": f"{title.zh}（{whose}）", "en": f"{title.en} ({whose})"}
        return {"what": what, "href": f"/applications/{subject}"}

    def _amount(self, request: Mapping[str, Any]) -> str:
        budget = self._programmes.catalogue.budgets.get(request["subject"])
        if budget is None or request["amount"] is None:
            return ""
        if budget.asset == "credit":
            return said_credits(request["amount"])
        return format_fen(request["amount"]) if budget.asset in ("cny", "voucher") else str(request["amount"])

    async def agree(self, who: m.Who, request_id: UUID, *, yes: bool, reason: str) -> None:
        if yes:
            await self._programmes.second.approve(request_id, by=actor_of(who).ref)
        else:
            await self._programmes.second.reject(request_id, by=actor_of(who).ref, reason=reason)

    async def imported(self, who: m.Who, programme: str, batch: str, table: bytes, *, check: bool) -> Mapping[str, Any]:
        importing, by = self._programmes.importing, actor_of(who).ref
        return import_view(await importing.run(programme, table, batch=batch.strip(), actor=by, check=check))

    async def reviewers(self, who: m.Who) -> Mapping[str, Any]:
        found, known = await self._programmes.reviewing.reviewers(), self._programmes.catalogue.departments
        called = await self._identity.people.names([row["person_id"] for row in found])
        places = {name: (text.zh, text.en) for name, text in known.items()}
        return {
            "rows": [{**row, "name": called.get(row["person_id"], ""), "called": places.get(row["department"])}
                     for row in found],
            "departments": list(places.items()),
        }  # fmt: skip

    async def assign(self, who: m.Who, name: str, department: str) -> None:
        person = await self._identity.people.by_name(name.strip()) if name.strip() else None
        if person is None:
            raise Unknown("person", "人员")
        await self._programmes.reviewing.assign(person, department, actor=actor_of(who).ref)

    async def dismiss(self, who: m.Who, person_id: UUID, department: str) -> None:
        await self._programmes.reviewing.dismiss(person_id, department)

    async def everything(
        self, who: m.Who, state: str, programme: str, find: str, before: UUID | None
    ) -> Sequence[Mapping[str, Any]]:
        found = await self._programmes.applications(
            state=state or None, programme=programme or None, orgs=await self._applicants(find), before=before,
            limit=ALL_ROWS,
        )  # fmt: skip
        return await self._named(found)

    async def sheet(self, who: m.Who, state: str, programme: str, find: str) -> AsyncIterator[str]:
        return applications_csv(
            self._programmes, state=state or None, programme=programme or None, orgs=await self._applicants(find),
            names=self._names.owners,
        )  # fmt: skip

    def kinds(self) -> Sequence[tuple[str, tuple[str, str]]]:
        return [(name, (one.title.zh, one.title.en)) for name, one in self._programmes.catalogue.programmes.items()]

    async def _applicants(self, find: str) -> list[UUID] | None:
        """Organisations whose name has this; None where nothing is looked for."""
        if not find:
            return None
        return [org.id for org in await self._identity.orgs.list(find=find, limit=APPLICANTS_SEARCHED)]

    def _row(self, item: Application) -> Mapping[str, Any]:
        return application_view(item, self._programmes.programme(item.programme), self._programmes.catalogue)


def answers_of(asks: Mapping[str, Ask], fields: Mapping[str, str], *, partly: bool = False) -> dict[str, Any]:
    """A form's texts as answers; an unticked box is a no."""
    found: dict[str, Any] = {}
    for name, ask in asks.items():
        text = fields.get(ANSWER + name, "")
        if ask.type == "flag":
            if text or not partly:
                found[name] = text == "on"
        elif text:
            found[name] = answer_from_text(ask, text)
    return found


def as_text(ask: Ask, value: Any) -> str:
    """An answer as its field of a form shows it, so that whoever sends the form as it stands changes nothing."""
    if ask.type == "flag":
        return "on" if value else ""
    if value is None:
        return ""
    text = plan_text(value) if ask.type == "plan" else WRITTEN.get(ask.unit, str)(value)
    return text if answer_from_text(ask, text) == value else ""


def given(asks: Mapping[str, Ask], answers: Mapping[str, Any], *, by: str) -> dict[str, str]:
    """What one side of a form has answered, as its fields show it."""
    said = {ANSWER + name: as_text(ask, answers.get(name)) for name, ask in asks.items() if ask.by == by}
    return {name: text for name, text in said.items() if text}


def papers_of(fields: Mapping[str, str], held: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Documents that a form names; a digest alone is of the one that is held already, by its reference."""
    digests = {name.removeprefix(DIGEST): text for name, text in fields.items() if name.startswith(DIGEST) and text}
    named = {name.removeprefix(PAPER): text for name, text in fields.items() if name.startswith(PAPER) and text}
    named = {name: held[name] for name in digests if name in held} | named
    return {name: {"reference": text, "sha256": digests.get(name, "")} for name, text in named.items()}


def brought_back(details: Mapping[str, Any]) -> list[tuple[str, tuple[str, str]]]:
    """What an event moved back, and what it left owed: (`recovered` or `owed`, amount in both languages)."""
    return [
        (part, amount_text(Payment(CITY_OWNER, asset, "", 0), amount))
        for part in ("recovered", "owed")
        for asset, amount in (details.get(part) or {}).items()
        if amount
    ]


def _shown(asks: Mapping[str, Ask], answers: Mapping[str, Any]) -> list[tuple[Mapping[str, str], Any]]:
    """Answers with their titles, as people read them."""
    return [({"zh": ask.zh, "en": ask.en}, _plain(ask, answers[name])) for name, ask in asks.items() if name in answers]


def _plain(ask: Ask, value: Any) -> Any:
    if ask.type == "choice" and value in ask.options:
        return {"zh": ask.options[value].zh, "en": ask.options[value].en}
    if ask.type == "number" and ask.unit == "fen":
        return f"¥ {format_fen(value)}"
    if ask.type == "number" and ask.unit == "micro":
        return said_credits(value)
    if ask.type == "plan":
        return [f"{item['title']} · {item['due_on']} · {item['share_bps'] // PERCENT_BPS} %" for item in value]
    return value
