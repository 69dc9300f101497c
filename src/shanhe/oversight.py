"""What governance is told by other modules: what the city counts for its targets, and work that has a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from shanhe.facts.api import Facts
from shanhe.gateway.api import Gateway
from shanhe.governance.api import Duty, Measure
from shanhe.kernel.clock import Clock, city_date
from shanhe.privacy.api import Privacy
from shanhe.programmes.api import Programmes

YEAR: Final = timedelta(days=365)
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
        return len(await self._gateway.usage(None, on - YEAR, on, ("org",)))

    async def served_credit_micro(self, on: date) -> int:
        """Credits served within a year."""
        return sum(row.amount_micro for row in await self._gateway.usage(None, on - YEAR, on, ("org",)))


class Deadlines:
    """Work with a day: applications in review, people's requests about their data."""

    def __init__(self, clock: Clock, programmes: Programmes, privacy: Privacy) -> None:
        self._clock = clock
        self._programmes = programmes
        self._privacy = privacy

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
