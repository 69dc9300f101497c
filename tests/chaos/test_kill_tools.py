"""`kill -9` of a gateway while tools work whose fees are booked already: what was answered is paid, nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from tests.chaos.test_kill import kill_and_recover

from stage.fixtures import Stage, Tenant, open_stage
from stage.publisher import HEADERS, Publisher, asked, open_publisher

if TYPE_CHECKING:
    from shanhe.app import Services

CALLERS, WORK_MS, FEE_MICRO, KILLS = 12, 80, 5_000, 12
WARM_S = 2.0
SETTLED_WITHIN_S = 150.0
"""What a dead process left is looked for over a minute where it isn't in the books, and by a job every minute."""


@pytest.fixture
def own_stage() -> Iterator[Stage]:
    with open_stage(workers=2, environment={"SHANHE_PRIVATE_TOOLS": "true"}) as opened:
        yield opened


async def furnish(services: Services, content: dict[str, Any]) -> None:
    from shanhe.identity.api import NewOrganisation, OrgKind
    from shanhe.kernel.ids import new_id
    from shanhe.store.api import Kind, NewListing, Terms

    maker = (await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "Maker"), by="tests")).id
    store, name = services.store, "mcp/slow"
    await store.open(NewListing(new_id(), Kind.MCP, "slow", "慢", "Slow", "用于测试"), owner=maker, actor="tests")
    await store.draft(name, content, Terms(markup_bps=100, fee_micro=FEE_MICRO), owner=maker, actor="tests")
    version = await store.submit(name, owner=maker)
    await store.review(name, version.n, approve=True, note="fine", reviewer="tests", reviewer_org=None)


class Load:
    """Callers in a closed loop; every eighth call comes to nothing, so that its tool is not always trusted."""

    def __init__(self, stage: Stage, tenant: Tenant) -> None:
        self.stage, self.tenant = stage, tenant
        self.finished: list[UUID] = []
        self.started = 0
        self.stopping = False

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {self.tenant.token}", **HEADERS}
        async with httpx.AsyncClient(base_url=self.stage.url, headers=headers, timeout=30, trust_env=False) as client:
            await asyncio.gather(*(self._caller(client) for _ in range(CALLERS)))

    async def _caller(self, client: httpx.AsyncClient) -> None:
        while not self.stopping:
            self.started += 1
            ends = "no" if self.started % 97 == 0 else "paid"
            try:
                answer = (await client.post("/mcp/slow", json=asked(ends, work_ms=WORK_MS))).json()
            except (httpx.HTTPError, ValueError):
                await asyncio.sleep(0.05)
                continue
            meta = answer.get("result", {}).get("_meta", {})
            if "shanhe/receipt" in meta:
                self.finished.append(UUID(meta["shanhe/receipt"]))


async def looked_up(services: Services, tenant: Tenant) -> tuple[set[UUID], set[UUID], int]:
    """(paid calls that stand, those that were given back, what was spent in µ)."""
    rows = await services.db.fetch(
        "SELECT DISTINCT p.id, r.id AS back FROM ledger.transfer t JOIN ledger.posting p ON p.id = t.posting"
        " JOIN ledger.account a ON a.id = t.debit LEFT JOIN ledger.posting r ON r.reverses = p.id"
        " WHERE a.owner = $1 AND p.kind = 'call'",
        tenant.org_id,
    )
    spent = 10_000_000_000 - (await services.credits.wallet(tenant.org_id)).balance_micro
    return {row["id"] for row in rows if not row["back"]}, {row["id"] for row in rows if row["back"]}, spent


async def torment(stage: Stage, tenant: Tenant, publisher: Publisher) -> Load:
    load, dice = Load(stage, tenant), random.Random(66)
    task = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(WARM_S)
        for _ in range(KILLS):
            await kill_and_recover(stage, "gateway", dice)
    finally:
        load.stopping = True
        await asyncio.wait_for(task, 60)
    folder = stage.city.data / "run" / "fees"
    async with asyncio.timeout(SETTLED_WITHIN_S):
        while len(list(folder.glob("*.slate"))) > 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.5)
    return load


class TestKill:
    @pytest.mark.prove
    def test_of_a_gateway_while_tools_work_leaves_paid_what_was_answered(
        self, own_stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHANHE_PRIVATE_TOOLS", "true")  # for what is done beside the city
        tenant = own_stage.tenant("Chaos", credits="10000")

        async def act() -> Load:
            async with open_publisher() as publisher:
                await asyncio.to_thread(own_stage.run, lambda services: furnish(services, publisher.content))
                return await torment(own_stage, tenant, publisher)

        load = asyncio.run(act())
        kept, back, spent = own_stage.run(lambda services: looked_up(services, tenant))
        assert len(load.finished) > 20 * KILLS, "too little load to prove anything"
        assert len(set(load.finished)) == len(load.finished)
        assert set(load.finished) <= kept, "a call that was answered is not in the books"
        unseen = kept - set(load.finished)
        print(f"{load.started} calls, {len(load.finished)} answered, {len(back)} given back, {len(unseen)} unseen")
        # An answer that was just written when its process was killed may not arrive; without reversals nearly every
        # kill would leave what half of the callers had under way.
        assert len(unseen) <= KILLS
        assert len(back) > KILLS, "nothing was under way at any kill"
        assert spent == FEE_MICRO * len(kept)
        assert own_stage.verify()["clean"] is True
