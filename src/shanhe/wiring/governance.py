"""What governance is told by other modules: what the city counts for its targets, and work that has a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.approvals.api import BreakGlass
from shanhe.facts.api import Facts, NewFact, Standing, Use
from shanhe.filings.api import Filings
from shanhe.gateway.api import Gateway, UsageRow
from shanhe.governance.api import BudgetCard, Duty, Measure, Outcome, ProgrammeCard, Proposal
from shanhe.identity.api import Identity
from shanhe.kernel.clock import Clock, add_months, city_date
from shanhe.privacy.api import Privacy
from shanhe.programmes.api import Catalogue, Programmes
from shanhe.rulebook.api import Rulebook

YEAR_MONTHS: Final = 12
BREAK_GLASS: Final = "P4_break_glass"
INTERNAL_FIRST: Final = "P5_internal_first"
DESK: Final = {"zh": "市数字办", "en": "Digital office"}


class Counts:
    """Measures of the scorecard (S1) and the profit lock (P3), read from where they are booked."""

    def __init__(self, facts: Facts, gateway: Gateway) -> None:
        self._facts = facts
        self._gateway = gateway

    def all(self) -> Mapping[str, Measure]:
        return {
            "nomads": self.nomads, "jobs": self.jobs, "active_orgs": self.active_orgs,
            "served_credit_micro": self.served_credit_micro,
        }  # fmt: skip

    async def nomads(self, on: date) -> int:
        """People whose nomad ID is valid."""
        return (await self._facts.tally("nomad_id", on=on))[0]

    async def jobs(self, on: date) -> int:
        """Insured local staff of all companies."""
        return (await self._facts.tally("insured_jobs", on=on))[1]

    async def active_orgs(self, on: date) -> int:
        """Organisations that called a model within a year."""
        return len(await self._gateway.usage_of_all(_year_before(on), on, ("org",)))

    async def served_credit_micro(self, on: date) -> int:
        """Credits served within a year."""
        return sum(row.amount_micro for row in await self._gateway.usage_of_all(_year_before(on), on, ()))


def _year_before(on: date) -> date:
    """The first day of the year that ends on a day."""
    return add_months(on, -YEAR_MONTHS) + timedelta(days=1)


class Deadlines:
    """Work with a day: applications in review, people's requests about their data."""

    def __init__(self, clock: Clock, programmes: Programmes, privacy: Privacy, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._clock = clock
        self._programmes = programmes
        self._privacy = privacy
        self.glass: BreakGlass | None = None
        """Whose reviews have a day; set once it is there."""
        self.filings: Filings | None = None
        """Whose complaints have one; likewise."""

    async def applications(self) -> Sequence[Duty]:
        found = []
        for app in await self._programmes.reviewing.queue(None):
            programme = self._programmes.programme(app.programme)
            owner = self._programmes.catalogue.departments[programme.path(app.round)[app.step].by]
            if app.step_due is not None:
                found.append(Duty(
                    {"zh": owner.zh, "en": owner.en}, "application",
                    {"zh": programme.title.zh, "en": programme.title.en}, city_date(app.step_due),
                    app.step_due < self._clock.now(), f"/review/{app.id}",
                ))  # fmt: skip
        return found

    async def requests(self) -> Sequence[Duty]:
        now, title = self._clock.now(), {"zh": "个人信息请求", "en": "Request about personal data"}
        open_ = await self._privacy.requests(open_only=True)
        return [Duty(DESK, "privacy", title, city_date(one.due_at), one.overdue(now), "/city/privacy") for one in open_]

    async def complaints(self) -> Sequence[Duty]:
        """Complaints about outputs that wait for a decision."""
        waiting = [] if self.filings is None else await self.filings.complaints.list(waiting=True)
        now, title = self._clock.now(), {"zh": "内容投诉", "en": "Complaint about an output"}
        return [Duty(DESK, "complaint", title, city_date(one.due_at), one.overdue(now), "/city/moderation")
                for one in waiting]  # fmt: skip

    async def openings(self) -> Sequence[Duty]:
        """Reviews of break-glass, of the department that owns its rule."""
        now = self._clock.now()
        waiting = [] if self.glass is None else await self.glass.list(waiting=True)
        owner = self._rulebook.rule(BREAK_GLASS).department
        title = {"zh": "紧急授权复核", "en": "Review of break-glass"}
        return [
            Duty({"zh": owner.zh, "en": owner.en}, "break_glass", title, city_date(one.review_due), one.overdue(now),
                 f"/city/break-glass/{one.id}") for one in waiting
        ]  # fmt: skip


class Trialled:
    """What experiments (P13) may be judged by: of companies, between two days."""

    def __init__(self, facts: Facts, gateway: Gateway, identity: Identity) -> None:
        self._facts = facts
        self._gateway = gateway
        self._identity = identity

    def all(self) -> Mapping[str, Outcome]:
        return {"captured_micro": self.captured_micro, "calls": self.calls, "insured_jobs": self.insured_jobs}

    async def captured_micro(self, first: date, last: date) -> Mapping[UUID, int]:
        """Credits that each company's calls captured."""
        return {row.org_id: row.amount_micro for row in await self._used(first, last) if row.org_id is not None}

    async def calls(self, first: date, last: date) -> Mapping[UUID, int]:
        """Calls of each company."""
        return {row.org_id: row.calls for row in await self._used(first, last) if row.org_id is not None}

    async def insured_jobs(self, first: date, last: date) -> Mapping[UUID, int]:
        """Insured local staff on the last day, of each company that called in the time."""
        companies = [row.org_id for row in await self._used(first, last) if row.org_id is not None]
        async with self._facts.reading(Use("oversight", "governance")) as reader:
            known = await reader.sound_of_many(companies, on=last, wanted=["insured_jobs"])
        return {one: next((int(fact.value or 0) for fact in known[one] if not fact.key), 0) for one in companies}

    async def _used(self, first: date, last: date) -> list[UsageRow]:
        rows = await self._gateway.usage_of_all(first, last, ("org",))
        companies = await self._identity.orgs.companies_among([row.org_id for row in rows if row.org_id is not None])
        return [row for row in rows if row.org_id in companies]


async def members_of_lab(facts: Facts, proposal: UUID, on: date) -> frozenset[UUID]:
    """Who took part in an experiment, as operators recorded it."""
    async with facts.reading(Use("oversight", "governance")) as reader:
        return frozenset(await reader.subjects_with("lab_member", str(proposal), on=on))


def budget_cards(catalogue: Catalogue) -> Mapping[str, BudgetCard]:
    """Budgets as the dilution index names them."""
    return {
        name: BudgetCard({"zh": one.zh, "en": one.en}, _both(catalogue.departments[one.department]), one.asset)
        for name, one in catalogue.budgets.items()
    }


def programme_cards(catalogue: Catalogue) -> Mapping[str, ProgrammeCard]:
    return {name: ProgrammeCard(_both(one.title), one.rules[0]) for name, one in catalogue.programmes.items()}


def _both(text: Any) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


class Accepted:
    """What an accepted matter of governance sets in motion elsewhere."""

    def __init__(self, clock: Clock, facts: Facts, programmes: Programmes, rulebook: Rulebook) -> None:
        self._clock = clock
        self._facts = facts
        self._programmes = programmes
        self._rulebook = rulebook

    async def infeasibility(self, conn: Any, found: Proposal) -> None:
        """An accepted infeasibility report (P5): while it is valid, use of the other platform is no breach (C2) and
        does not cost the incubatees' price (I6); awards suspended for it go on."""
        org_id, today = UUID(str(found.content["org_id"])), self._clock.today()
        facts = {"body": "other", "approved_on": today, "asked_on": today}
        lapses = self._rulebook.evaluate(INTERNAL_FIRST, facts, on=today).outputs["lapses_on"]
        fact = NewFact(found.id, org_id, "infeasibility_report", True, today, lapses - timedelta(days=1),
                       standing=Standing.MEASURED, source=INTERNAL_FIRST, evidence=str(found.id))  # fmt: skip
        await self._facts.publish(fact, actor="governance", conn=conn)
        await self._programmes.awards.excuse(conn, org_id, actor="governance")
