"""`kill -9` of a gateway worker or of PostgreSQL under load: nothing a client saw finished is lost or charged twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
import pytest

from shanhe.bench.processes import descendants
from stage.fixtures import Stage, Tenant, chat, open_stage

if TYPE_CHECKING:
    from shanhe.app import Services

CALLERS = 12
ENOUGH = 12
"""Calls that were answered, before the load ends."""
SWEEP_GRACE_S = 30
QUIET_S = 0.5
RECOVERY_S = 60.0
CALL_TIMEOUT_S = 30.0
PACE_S = 0.2
"""A caller's pause between two calls: what is proved needs calls at every moment, not all that a machine can do."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 1.5
UNHEARD_KILLS = 6
BUDGET_MICRO = 9_000_000_000
GIVEN_BACK_WITHIN_S = 150.0
"""What a dead process left is looked for over a minute where it isn't in the books, and by a job every minute."""

KEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE gateway.repeat%'"


@dataclass
class Load:
    """Callers that call until told to stop and remember which receipts they saw finished."""

    stage: Stage
    tenant: Tenant
    finished: list[str] = field(default_factory=list)
    started: int = 0
    stopping: bool = False
    streams: bool = True

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {self.tenant.token}"}
        async with httpx.AsyncClient(
            base_url=self.stage.url, headers=headers, timeout=CALL_TIMEOUT_S, trust_env=False
        ) as client:
            await asyncio.gather(*(self._caller(client, number) for number in range(CALLERS)))

    async def _caller(self, client: httpx.AsyncClient, number: int) -> None:
        while not self.stopping:
            self.started += 1
            try:
                await (self._stream(client) if number % 2 and self.streams else self._whole(client))
            except httpx.HTTPError:
                await asyncio.sleep(0.05)

    async def _whole(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/chat/completions", json=chat("good"))
        if answer.status_code == 200:
            self.finished.append(answer.headers["x-shanhe-receipt"])
        await asyncio.sleep(PACE_S)

    async def _stream(self, client: httpx.AsyncClient) -> None:
        async with client.stream("POST", "/v1/chat/completions", json=chat("slow", stream=True)) as answer:
            async for line in answer.aiter_lines():
                if '"finish_reason": "stop"' in line or '"finish_reason":"stop"' in line:
                    self.finished.append(answer.headers["x-shanhe-receipt"])
        if answer.status_code != 200:
            await asyncio.sleep(0.02)


def victims(stage: Stage, kind: str) -> list[int]:
    """Processes of the city of one kind: its gateway workers, or its PostgreSQL postmaster."""
    if kind == "gateway":
        return stage.city.worker_pids()
    below = descendants(stage.city.child.process.pid)
    folder = stage.city.data
    postmaster = next(folder.rglob("postmaster.pid"))
    pid = int(postmaster.read_text(encoding="ascii").splitlines()[0])
    return [pid] if any(pid == known for known, _ in below) or os.path.exists(f"/proc/{pid}") else []


async def kill_and_recover(stage: Stage, kind: str, dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(PAUSE_MIN_S, PAUSE_MAX_S))
    pid = dice.choice(victims(stage, kind))
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + RECOVERY_S
    await asyncio.sleep(QUIET_S)
    while not await asyncio.to_thread(stage.city.ready):
        assert time.monotonic() < until, (
            f"not ready {RECOVERY_S} s after {kind} was killed\n{stage.city.child.tail(40)}"
        )
        await asyncio.sleep(0.1)


@contextmanager
def silent(postmaster: int) -> Iterator[None]:
    """A PostgreSQL that reads what it is sent and answers nothing, until it is left alone again."""
    pids = [postmaster, *(pid for pid, _ in descendants(postmaster))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def kill_unheard(stage: Stage, tenant: Tenant) -> Load:
    """Gateways are killed whose bookings are with the database, which has not answered: nobody knows of them."""
    load = Load(stage, tenant, streams=False)
    task = asyncio.create_task(load.run())
    (postmaster,) = victims(stage, "postgres")
    try:
        for _ in range(UNHEARD_KILLS):
            await asyncio.sleep(2.0)
            with silent(postmaster):
                await asyncio.sleep(QUIET_S)
                for pid in victims(stage, "gateway"):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(QUIET_S)
            async with asyncio.timeout(RECOVERY_S):
                while not await asyncio.to_thread(stage.city.ready):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
    finally:
        load.stopping = True
        await asyncio.wait_for(task, CALL_TIMEOUT_S * 2)
    async with asyncio.timeout(GIVEN_BACK_WITHIN_S):
        while len(list((stage.city.data / "run" / "fees").glob("*.slate"))) > 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.5)
    return load


async def torment(stage: Stage, tenant: Tenant, kinds: list[str], seed: int) -> Load:
    load = Load(stage, tenant)
    task = asyncio.create_task(load.run())
    dice = random.Random(seed)
    try:
        for kind in kinds:
            await kill_and_recover(stage, kind, dice)
        async with asyncio.timeout(RECOVERY_S):
            while len(load.finished) < ENOUGH:  # noqa: ASYNC110 - callers have no event for it
                await asyncio.sleep(QUIET_S)
    finally:
        load.stopping = True
        await asyncio.wait_for(task, CALL_TIMEOUT_S * 2)
    return load


def assert_nothing_lost(stage: Stage, tenant: Tenant, load: Load) -> None:
    """Each receipt seen finished exists once, the balance is what the receipts say, the ledger is sound."""
    assert len(load.finished) >= ENOUGH, "too little load to prove anything"
    assert len(set(load.finished)) == len(load.finished)
    with stage.client(tenant) as client:
        for receipt_id in load.finished:
            answer = client.get(f"/api/receipts/{receipt_id}")
            assert answer.status_code == 200, (receipt_id, answer.text)
    stand, back, overdue = stage.run(lambda services: looked_up(services, tenant))
    assert len(load.finished) <= len(stand | back) <= load.started, "a call was lost or charged twice"
    assert {UUID(receipt) for receipt in load.finished} <= stand, "a call that was answered was given back"
    assert overdue == []
    report = stage.verify()
    assert report["clean"] is True, json.dumps(report, ensure_ascii=False)


async def looked_up(services: Services, tenant: Tenant) -> tuple[set[UUID], set[UUID], list[str]]:
    """(calls charged to the tenant that stand, those that were given back, holds and leases that outlived their expiry
    by more than a sweep)."""
    wallet = await services.credits.wallet(tenant.org_id)
    calls = await services.db.fetch(
        "SELECT DISTINCT p.id, r.id AS back FROM ledger.transfer t JOIN ledger.posting p ON p.id = t.posting"
        " JOIN ledger.account a ON a.id = t.debit LEFT JOIN ledger.posting r ON r.reverses = p.id"
        " WHERE a.owner = $1 AND p.kind = 'call'",
        tenant.org_id,
    )
    since = services.clock.now() - timedelta(seconds=SWEEP_GRACE_S)
    rows = await services.db.fetch(
        "SELECT 'hold ' || id AS name FROM ledger.hold WHERE state = 'open' AND expires_at < $1"
        " UNION ALL SELECT 'lease ' || epoch FROM ledger.lease WHERE expires_at < $1",
        since,
    )
    assert 0 <= wallet.held_micro <= wallet.balance_micro
    stand, back = ({row["id"] for row in calls if bool(row["back"]) is gone} for gone in (False, True))
    return stand, back, [str(row["name"]) for row in rows]


async def budget_used(services: Services, tenant: Tenant) -> int:
    """What counts as used of the key's month, µ: of what the two living workers have, a quarter of it at most."""
    return int(await services.db.fetchval("SELECT used FROM ledger.counter WHERE scope = $1", tenant.key_id))


async def asked(stage: Stage, tenant: Tenant, *, streamed: bool) -> httpx.Response | None:
    """A call that names itself; None where it broke off."""
    headers = {"authorization": f"Bearer {tenant.token}", "idempotency-key": f"a-try-{streamed}"}
    async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=CALL_TIMEOUT_S, trust_env=False) as http:
        try:
            return await http.post("/v1/chat/completions", json=chat("slow", stream=streamed))
        except httpx.HTTPError:
            return None


async def killed_when_charged(services: Services, stage: Stage, tenant: Tenant, *, streamed: bool) -> UUID:
    """Kill the gateway when a call is in the books and its answer is about to be kept; the call's receipt."""
    call = asyncio.create_task(asked(stage, tenant, streamed=streamed))
    receipt = None
    async with asyncio.timeout(CALL_TIMEOUT_S), services.db.transaction() as conn:
        while receipt is None:
            receipt = await conn.fetchval(
                "SELECT attempt FROM gateway.repeat WHERE org_id = $1 AND answered_at IS NULL FOR UPDATE", tenant.org_id
            )
        while not (keeping := await services.db.fetchval(KEEPING)):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)
        for pid in victims(stage, "gateway"):
            os.kill(pid, signal.SIGKILL)
        await services.db.fetchval("SELECT pg_terminate_backend($1)", keeping)  # PostgreSQL would write it all the same
        assert await call is None
    await services.db.execute(  # a minute passes
        "UPDATE gateway.repeat SET alive_until = $1 WHERE org_id = $2", services.clock.now(), tenant.org_id
    )
    return UUID(str(receipt))


@pytest.fixture
def own_stage() -> Iterator[Stage]:
    with open_stage(workers=2) as opened:
        yield opened


class TestKill:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_between_a_charge_and_the_row_that_keeps_its_answer_charges_no_repeat(
        self, stage: Stage, streamed: bool
    ) -> None:
        tenant = stage.tenant(f"Repeats {streamed}")
        receipt = stage.run(lambda services: killed_when_charged(services, stage, tenant, streamed=streamed))
        paid_micro = stage.balance_micro(tenant)
        until = time.monotonic() + RECOVERY_S
        while not stage.city.ready():
            assert time.monotonic() < until
            time.sleep(0.1)
        for _ in range(2):
            told = asyncio.run(asked(stage, tenant, streamed=streamed))
            assert told is not None
            assert (told.status_code, told.json()["error"]["code"]) == (409, "answer_not_kept"), told.text
            assert str(receipt) in told.json()["error"]["message"]
        assert stage.balance_micro(tenant) == paid_micro < 100_000_000
        assert stage.receipt(tenant, str(receipt))["status"] == "completed"

    def test_of_a_gateway_loses_and_doubles_nothing(self, stage: Stage) -> None:
        """The last act of the common city: everybody else has been on its stage before. What becomes of calls when
        PostgreSQL falls is in `tests/ledger/test_outage.py`, and here in `make prove`."""
        tenant = stage.tenant("Chaos", credits="1000")
        load = asyncio.run(torment(stage, tenant, ["gateway"], seed=2))
        assert_nothing_lost(stage, tenant, load)
        stage.end()

    @pytest.mark.prove
    def test_at_thirty_random_moments_loses_and_doubles_nothing(self, own_stage: Stage) -> None:
        tenant = own_stage.tenant("Chaos", credits="10000", budget_month_micro=BUDGET_MICRO)
        dice = random.Random(30)
        kinds = [dice.choice(["gateway", "postgres"]) for _ in range(30)]
        load = asyncio.run(torment(own_stage, tenant, kinds, seed=31))
        assert_nothing_lost(own_stage, tenant, load)
        used = own_stage.run(lambda services: budget_used(services, tenant))
        assert used < BUDGET_MICRO / 3, "what killed gateways had borrowed of the key's budget counts as used"

    @pytest.mark.prove
    def test_of_gateways_whose_bookings_nobody_heard_of_gives_them_back(self, own_stage: Stage) -> None:
        tenant = own_stage.tenant("Chaos", credits="10000")
        load = asyncio.run(kill_unheard(own_stage, tenant))
        assert_nothing_lost(own_stage, tenant, load)
        stand, back, _ = own_stage.run(lambda services: looked_up(services, tenant))
        unseen = stand - {UUID(receipt) for receipt in load.finished}
        print(f"{load.started} calls, {len(load.finished)} answered, {len(back)} given back, {len(unseen)} unseen")
        assert len(back) > UNHEARD_KILLS, "nothing was under way at any kill"
        assert len(unseen) <= UNHEARD_KILLS, "a call is charged whose answer nobody got"
