"""Governance over HTTP in a whole city: who takes part and what came of it is for all, names are for operators."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import httpx

from shanhe.app import open_services
from shanhe.facts.api import NewFact, Standing
from shanhe.governance.api import NewProposal
from shanhe.identity.api import NewKey, NewOrganisation, NewPerson, OrgKind, Role
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.settings import Settings
from shanhe.web import create_app
from stage.browsing import signed_in, visitor

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
            return person.id, await signed_in(identity, site, person.id)

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
        assert await services.governance.sampling.draw(made.id, "captured_micro", date(2025, 6, 1), date(2025, 12, 1))
        seen = (await member.get(path)).json()["sample"]
        assert (seen["treated"], seen["untreated"], seen["effect"]) == (1, 1, 40)
        assert str(firms[0]) not in str(seen)
        assert (await member.get(f"{path}/cases")).status_code == 403
        cases = (await operator.get(f"{path}/cases")).json()["sample"]["cases"]
        assert [(one["org_id"], one["treated"]) for one in cases] == [(str(firms[0]), True), (str(firms[1]), False)]
        for client in (member, operator):
            await client.aclose()


async def test_a_change_is_simulated_over_real_awards_and_everybody_reads_what_it_would_have_cost(
    dsn: str, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    clock = FixedClock(datetime(2026, 2, 10, 4, 0, tzinfo=UTC))
    async with open_services(settings, "cli", clock) as services:
        site, identity, deciding = create_app(services), services.identity, services.governance.deciding
        await services.programmes.budgets.fund("nomad_credit", 10**13, reason="t", actor="t", funding_id=new_id())
        for n in range(6):
            person = await identity.people.create(NewPerson(f"欧阳{n}", login=f"nomad{n}"), by="test")
            org = await identity.orgs.create_personal(person.id, by="test")
            fact = NewFact(new_id(), person.id, "nomad_id", True, date(2026, 1, 1), standing=Standing.CHECKED,
                           source="register")  # fmt: skip
            await services.facts.publish(fact, actor="test")
            await services.programmes.applying.apply(
                "nomad_credits", org.id, answers={}, evidence={}, client_ref="a", actor="t"
            )
        clock.set(NOON)
        clerk = await identity.people.create(NewPerson("委员", login="clerk"), by="test")
        await deciding.seat(clerk.id, "culture", by="test")
        row = {"from": "2026-05-01", "announced": "2026-04-01", "value": 800, "given": True}
        new = NewProposal(new_id(), "rulebook_change", "年度积分降为 800 元", "控制支出", date(2026, 4, 1),
                          {"parameters": {"value_fen": [row]}}, rule_id="N5_credits")  # fmt: skip
        made = await deciding.propose(new, person_id=clerk.id)
        async with visitor(site) as anybody:
            path = f"/api/governance/proposals/{made.id}/simulations"
            (waiting,) = (await anybody.get(path)).json()["data"]
            assert (waiting["state"], waiting["first"], waiting["report"]) == ("waiting", "2026-02-01", None)
            assert await services.governance.simulating.tick() == 1
            one = (await anybody.get(f"/api/governance/simulations/{waiting['id']}")).json()
            (section,) = one["report"]["sections"]
            assert section["key"] == "programme:nomad_credits"
            (amount,) = section["amounts"]
            assert (amount["before"], amount["after"], amount["unit"]) == (6_000_000_000, 4_800_000_000, "micro")
            assert (section["people"], section["lose"], section["checked"]) == (6, 6, 12)
            table = await anybody.get(f"/api/governance/simulations/{waiting['id']}.csv")
            assert table.text.startswith("\ufeffrule,section,what")
            assert "credit_micro,micro,,6000000000,4800000000,-1200000000" in table.text
            page = await anybody.get(f"/governance/{made.id}", headers={"accept-language": "zh"})
            assert "按已发生的事实测算" in page.text
            whole = await anybody.get(f"/governance/{made.id}/simulations/{waiting['id']}")
            assert one["report_sha256"] in whole.text
            for text in (one, table.text, page.text, whole.text):
                assert "欧阳" not in str(text)
            assert (await anybody.post(path, json={"id": str(new_id())})).status_code == 401
        draft = await services.governance.simulating.draft(new_id(), "N5", new.content, by="t")
        async with visitor(site) as anybody:
            assert (await anybody.get(f"/api/governance/simulations/{draft.id}")).status_code == 404
        assert await services.governance.simulating.tick() == 1
        city = await identity.orgs.create(NewOrganisation(OrgKind.GOVERNMENT, "规则处"), by="test")
        for rights in ({"rules"}, {"rules", "ledger"}):  # sums over few people are for who reads the books
            _, token = await identity.keys.create(city.id, NewKey("k", permissions=frozenset(rights)), by="test")
            headers = {"authorization": f"Bearer {token}"}
            async with visitor(site, **headers) as office:
                listed = (await office.get("/api/governance/simulations")).json()["data"]
                again = {"id": str(draft.id), "rule": "N5", "content": new.content}
                asked = (await office.post("/api/governance/simulations", json=again)).json()
            assert {one["report"]["whole"] for one in (*listed, asked)} == {"ledger" in rights}, (listed, asked)
