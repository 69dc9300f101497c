"""Governance over HTTP in a whole city: who takes part and what came of it is for all, names are for operators."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import httpx

from shanhe.app import open_services
from shanhe.facts.api import NewFact, Standing
from shanhe.governance.api import NewProposal
from shanhe.identity.api import Client, NewOrganisation, NewPerson, OrgKind, Role, Stage
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.settings import Settings
from shanhe.web import create_app

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
USED = """INSERT INTO gateway.usage_day (day, org_id, key_id, model, calls, input, cached_input, output, reasoning,
          tool, amount_micro) VALUES ($1, $2, $3, 'm', 1, 1, 0, 1, 0, 0, $4)"""


async def test_a_sample_is_for_everybody_and_the_companies_in_it_for_operators(dsn: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    async with open_services(settings, "cli", FixedClock(NOON)) as services:
        site, identity, deciding = create_app(services), services.identity, services.governance.deciding

        async def browser(login: str, *roles: Role) -> tuple[UUID, httpx.AsyncClient]:
            person = await identity.people.create(NewPerson("委员", login=login), by="test")
            for role in roles:
                await identity.people.grant(person.id, role, by="test")
            issued = await identity.sessions.open(person.id, stage=Stage.FULL, methods=("password",), client=Client())
            headers = {"cookie": f"shanhe_session={issued.token}", "x-csrf-token": issued.csrf}
            transport = httpx.ASGITransport(site)
            return person.id, httpx.AsyncClient(transport=transport, base_url="http://localhost:8600", headers=headers)

        clerk, member = await browser("clerk")
        _, operator = await browser("operator", Role.OPERATOR)
        await deciding.seat(clerk, "digital", by="test")
        content = {"instrument": "data_sandbox", "started_on": "2025-06-01", "rule_id": "H7_data_exchange",
                   "outcome": "captured_micro"}  # fmt: skip
        new = NewProposal(new_id(), "policy_lab", "数据流通沙盒", "试一试", date(2026, 4, 1), content)
        made = await deciding.propose(new, person_id=clerk)
        path = f"/api/governance/proposals/{made.id}/sample"
        assert (await member.get(path)).json() == {"sample": None}
        firms = []
        for name, during in (("甲", 150), ("乙", 110)):
            org = await identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by="test")
            firms.append(org.id)
            await services.db.execute(USED, date(2025, 3, 1), org.id, new_id(), 100)
            await services.db.execute(USED, date(2025, 7, 1), org.id, new_id(), during)
        fact = NewFact(new_id(), firms[0], "lab_member", True, date(2025, 6, 1), key=str(made.id),
                       standing=Standing.CHECKED, source="register")  # fmt: skip
        await services.facts.publish(fact, actor="test")
        assert await services.governance.sampling.draw(
            made.id, "captured_micro", date(2025, 6, 1), date(2025, 12, 1)
        )
        seen = (await member.get(path)).json()["sample"]
        assert (seen["treated"], seen["untreated"], seen["effect"]) == (1, 1, 40)
        assert str(firms[0]) not in str(seen)
        assert (await member.get(f"{path}/cases")).status_code == 403
        cases = (await operator.get(f"{path}/cases")).json()["sample"]["cases"]
        assert [(one["org_id"], one["treated"]) for one in cases] == [(str(firms[0]), True), (str(firms[1]), False)]
        for client in (member, operator):
            await client.aclose()
