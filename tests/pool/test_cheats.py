"""Nodes that cheat, each through the whole path: calls, checks, quarantine, income. And one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from shanhe.compute.api import NewEngine, Rates
from shanhe.identity.api import Actor, NewKey, NewPerson, Role
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, LotDelta, NewLot, Posting, Provenance, Transfer
from shanhe.pool import store
from shanhe.pool.errors import ReasonMissing
from shanhe.pool.model import NodeState
from shanhe.pool.synthetic import Character, Engine
from shanhe.pool.withholding import Withholding

from .conftest import MODEL, Machine, Town, ask, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CALLS_MAX = 200
AT_ONCE = 4
LOTS = 501
"""More than a page of the ledger's."""
DEAR = Rates.of({"input": 400_000, "output": 900_000})
HARD = "请逐步推算并说明每一步的依据，最后把结论翻译成英文：" + "水库在汛期的调度需要兼顾上下游的安全与发电。" * 5


@pytest_asyncio.fixture(loop_scope="module")
async def judged(town: Town) -> AsyncIterator[Town]:
    """The city with an engine that it trusts, dearer than any node so that calls go to nodes."""
    trusted = Engine(Character(slots=64))
    url = await trusted.start()
    features = frozenset({"tools", "tokenize"})
    new = NewEngine("trusted", url, {MODEL: MODEL}, DEAR, local=True, features=features, price_class="small")
    await town.services.compute.add_engine(new, actor="tests")
    yield town
    await town.services.compute.remove_engine("trusted", actor="tests")
    await trusted.stop()


async def used(town: Town, name: str, client: Any, most: int) -> int:
    """Call until the node is quarantined or `most` calls were made; how many were."""
    made = 0
    while made < most and (await town.services.pool.node(name)).state is NodeState.ACTIVE:
        bodies = [
            ask(f"{HARD if at % 2 else '问题'} {at}", temperature=0 if at % 4 < 2 else 0.7, max_tokens=24)
            for at in range(made, made + AT_ONCE)
        ]
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for body in bodies))
        assert {answer.status_code for answer in answers} == {200}
        made += AT_ONCE
    return made


class TestCheat:
    @pytest.mark.parametrize(
        ("cheat", "check"),
        [
            ("inflate", "count"),
            ("replay", "replay"),
            pytest.param("smaller", "answer", marks=pytest.mark.prove),
            pytest.param("refuse", "refusal", marks=pytest.mark.prove),
        ],
    )
    async def test_is_quarantined_within_200_calls_and_paid_nothing_for_them(
        self, judged: Town, cheat: str, check: str
    ) -> None:
        name = f"bad-{cheat}"
        machine = await judged.machine(name, Character(cheat=cheat))
        _, client = await judged.tenant(name)
        made = await used(judged, name, client, CALLS_MAX)
        await judged.services.pool.inspector.settle()
        node = await judged.services.pool.node(name)
        assert node.state is NodeState.QUARANTINED, await judged.services.pool.suspicions(node)
        assert made <= CALLS_MAX
        assert node.cause.startswith(check) or cheat in ("replay", "refuse")
        event = next(e for e in await judged.services.pool.events(node) if e.event == "quarantined")
        assert event.detail is not None
        assert event.detail["calls"] <= CALLS_MAX
        (told,) = await judged.services.notifier.inbox(uuid4(), [machine.owner])
        assert f"{event.detail['checks']} 次中 {event.detail['failures']} 次不合格" in told.body.zh
        await judged.services.pool.sweep()
        proofs = await judged.services.pool.earnings.proofs(node)
        assert sum(proof.amount_micro for proof in proofs) > 0
        assert await judged.income(machine.owner) == 0
        assert (await judged.services.ledger.verify()).clean

    async def test_gets_nothing_more_and_its_customers_are_served_by_others(self, judged: Town) -> None:
        await judged.machine("caught")
        _, client = await judged.tenant("caught")
        await judged.services.pool.quarantine("caught", actor="tests", reason="seen cheating")
        answer = await client.post("/v1/chat/completions", json=ask())
        assert answer.status_code == 200
        assert await judged.services.pool.earnings.proofs(await judged.services.pool.node("caught")) == []

    async def test_that_is_removed_from_quarantine_keeps_none_of_its_recent_income(self, judged: Town) -> None:
        machine = await judged.machine("removed")
        _, client = await judged.tenant("removed")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        pool = judged.services.pool
        assert await judged.income(machine.owner) > 0
        await pool.quarantine("removed", actor="tests", reason="seen cheating")
        await pool.remove("removed", actor="tests")
        await pool.sweep()
        assert await judged.income(machine.owner) == 0

    async def test_loses_the_income_of_a_call_that_was_reversed_only_once(self, judged: Town) -> None:
        machine = await judged.machine("reversed")
        _, client = await judged.tenant("reversed")
        answers = [await client.post("/v1/chat/completions", json=ask(f"question {at}")) for at in range(2)]
        older, newer = (UUID(answer.headers["x-shanhe-receipt"]) for answer in answers)
        pool = judged.services.pool
        await judged.services.ledger.reverse(newer, actor="tests", reason="a dispute")
        node, income = await pool.node("reversed"), await judged.income(machine.owner)
        (proof,) = await pool.earnings.proofs(node)
        assert (proof.receipt_id, proof.amount_micro) == (older, income)
        await pool.quarantine("reversed", actor="tests", reason="seen cheating")
        await pool.sweep()
        assert await judged.income(machine.owner) == 0
        assert [row["receipt_id"] for row in await pool.withheld(node)] == [older]
        assert "spent" not in [event.event for event in await pool.events(node)]

    async def test_loses_what_its_calls_brought_and_no_older_income(self, judged: Town) -> None:
        machine = await judged.machine("old")
        _, client = await judged.tenant("old")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        services, earned = judged.services, await judged.income(machine.owner)
        account = await services.ledger.ensure_account(machine.owner, Asset.CREDIT, "income")
        (minted,) = await services.ledger.lots(account.id)
        issuance = await services.ledger.system_account("issuance", Asset.CREDIT)
        soon = services.clock.now() + timedelta(days=1)
        older = tuple(NewLot(account=account.id, provenance=Provenance.REWARD, amount=1, expires_at=soon)
                      for _ in range(LOTS))  # fmt: skip
        transfer = Transfer(new_id(), issuance.id, account.id, LOTS)
        await services.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=older))
        await services.pool.quarantine("old", actor="tests", reason="seen cheating")
        assert await services.pool.sweep() == earned
        assert (await services.ledger.lots_by_id([minted.id]))[minted.id].remaining == 0

    async def test_that_spent_what_its_calls_brought_is_told_of_once_and_pays_when_it_has_it_again(
        self, judged: Town
    ) -> None:
        """What is set aside for something else when the verdict comes may be free a minute later."""
        machine = await judged.machine("spender")
        _, client = await judged.tenant("spender")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        services = judged.services
        account = await services.ledger.ensure_account(machine.owner, Asset.CREDIT, "income")
        earned, (minted,) = await judged.income(machine.owner), await services.ledger.lots(account.id)
        platform = await services.ledger.system_account("platform", Asset.CREDIT)
        spent = Posting(id=new_id(), kind="test", transfers=(Transfer(new_id(), account.id, platform.id, earned),),
                        deltas=(LotDelta(minted.id, -earned),))  # fmt: skip
        await services.ledger.post(spent)
        await services.pool.quarantine("spender", actor="tests", reason="seen cheating")
        for _ in range(3):
            assert await services.pool.sweep() == 0
        node = await services.pool.node("spender")
        assert [event.event for event in await services.pool.events(node)].count("spent") == 1
        await services.ledger.reverse(spent.id, actor="tests", reason="not bought")
        assert await services.pool.sweep() == earned

    async def test_whose_owner_took_it_out_before_the_verdict_keeps_none_of_its_recent_income_either(
        self, judged: Town
    ) -> None:
        machine = await judged.machine("fled")
        _, client = await judged.tenant("fled")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        pool = judged.services.pool
        node = await pool.node("fled")
        assert await judged.income(machine.owner) > 0
        await pool.remove("fled", actor="tests", own=True)
        await pool._condemned(node, "count: 8 of 8 checks failed", {"check": "count", "checks": 8, "failures": 8})
        assert await judged.income(machine.owner) == 0
        assert (await pool.node("fled")).state is NodeState.GONE

    async def test_is_looked_at_again_where_its_verdict_could_not_be_written(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await judged.machine("lucky", Character(cheat="inflate"))
        _, client = await judged.tenant("lucky")
        inspector = judged.services.pool.inspector
        verdict, told = inspector._verdict, []

        async def first_fails(*said: Any) -> None:
            told.append(said)
            if len(told) == 1:
                raise ConnectionRefusedError
            await verdict(*said)

        monkeypatch.setattr(inspector, "_verdict", first_fails)
        await used(judged, "lucky", client, CALLS_MAX)
        await inspector.settle()
        assert len(told) == 2
        assert (await judged.services.pool.node("lucky")).state is NodeState.QUARANTINED

    @pytest.mark.prove
    async def test_that_was_blamed_wrongly_gets_back_what_was_withheld(self, judged: Town) -> None:
        machine = await judged.machine("wronged")
        _, client = await judged.tenant("wronged")
        for at in range(6):
            await client.post("/v1/chat/completions", json=ask(f"question {at}"))
        earned = await judged.income(machine.owner)
        assert earned > 0
        pool = judged.services.pool
        await pool.quarantine("wronged", actor="tests", reason="a mistake")
        await pool.sweep()
        assert await judged.income(machine.owner) == 0
        await pool.release("wronged", actor="tests", reason="cleared", restore=True)
        assert await judged.income(machine.owner) == earned
        await until(lambda: judged.serves("wronged"))
        assert await pool.sweep() == 0

    async def test_that_was_cleared_is_not_blamed_for_what_a_process_found_before_and_wrote_down_late(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine, pool = await judged.machine("cleared"), judged.services.pool
        before = await pool.node("cleared")
        pool.inspector.know(before, {"count": (40, 30, 1e9)})
        pool.inspector._wards[before.id].dirty = True
        await pool._flush()
        assert await store.suspicion(judged.services.db, before.id) == {"count": (40, 30, 1e9)}
        pool.inspector._wards[before.id].dirty = True
        late = pool.inspector.figures()
        await pool.quarantine("cleared", actor="tests", reason="a mistake")
        await pool.release("cleared", actor="tests", reason="cleared")
        monkeypatch.setattr(pool.inspector, "figures", lambda: late)
        await pool._flush()
        assert await store.suspicion(judged.services.db, before.id) == {}
        await until(lambda: judged.serves("cleared"))
        monkeypatch.undo()
        assert pool.inspector._wards[before.id].cleared == (await pool.node("cleared")).cleared == 1
        await machine.stop()

    async def test_that_was_cleared_before_its_process_heard_of_the_quarantine_begins_anew(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else what it has in mind of the node counts on, and nothing that it finds from then on is written down."""

        async def unheard(_: object) -> None: ...

        machine, pool = await judged.machine("quickly"), judged.services.pool
        node = await pool.node("quickly")
        pool.inspector.know(node, {"count": (40, 30, 1e9)})
        monkeypatch.setattr(pool, "_follow", unheard)
        await pool.quarantine("quickly", actor="tests", reason="a mistake")
        await pool.release("quickly", actor="tests", reason="cleared")
        monkeypatch.undo()
        await pool._follow(pool.tunnels.sessions[node.id])
        ward = pool.inspector._wards[node.id]
        assert (ward.cleared, [test.checks for test in ward.tests.values() if test.checks]) == (1, [])
        await machine.stop()

    async def test_that_was_blamed_wrongly_gets_the_rest_back_after_an_interruption(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Wherever it stopped: after a reversal that was not written down, and before the next one."""
        machine = await judged.machine("halfway")
        _, client = await judged.tenant("halfway")
        for at in range(3):
            await client.post("/v1/chat/completions", json=ask(f"question {at}"))
        earned, pool = await judged.income(machine.owner), judged.services.pool
        await pool.quarantine("halfway", actor="tests", reason="a mistake")
        await pool.sweep()
        mark = store.mark_restored

        async def lost(*values: Any) -> None:
            monkeypatch.setattr(store, "mark_restored", mark)
            raise ConnectionResetError

        monkeypatch.setattr(store, "mark_restored", lost)
        with pytest.raises(ConnectionResetError):
            await pool.release("halfway", actor="tests", reason="cleared", restore=True)
        assert (await pool.node("halfway")).state is NodeState.QUARANTINED, "it can be released once more"
        assert 0 < await judged.income(machine.owner) < earned
        assert await pool.held_back(machine.owner) > 0, "what is not given back yet is still held"
        await pool.release("halfway", actor="tests", reason="cleared", restore=True)
        assert await judged.income(machine.owner) == earned
        assert all(row["restored_by"] for row in await pool.withheld(await pool.node("halfway")))
        assert await pool.held_back((await pool.node("halfway")).owner) == 0

    async def test_loses_each_call_once_though_that_was_not_written_down_and_others_ended_since(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine = await judged.machine("noted")
        _, client = await judged.tenant("noted")
        pool = judged.services.pool
        assert (await client.post("/v1/chat/completions", json=ask("one"))).status_code == 200
        note, node = store.add_withheld, await pool.node("noted")

        async def lost(*values: Any) -> None:
            monkeypatch.setattr(store, "add_withheld", note)
            raise ConnectionResetError

        monkeypatch.setattr(store, "add_withheld", lost)
        with pytest.raises(ConnectionResetError):
            await pool.withholding.withhold(node, 10)
        assert (await client.post("/v1/chat/completions", json=ask("two"))).status_code == 200
        await pool.quarantine("noted", actor="tests", reason="seen cheating")
        await pool.sweep()
        assert await judged.income(machine.owner) == 0
        assert len(await pool.withheld(node)) == 2
        earned = sum(row["amount_micro"] for row in await pool.withheld(node))
        assert await pool.held_back(node.owner) == earned > 0
        await pool.release("noted", actor="tests", reason="cleared", restore=True)
        assert await judged.income(machine.owner) == earned

    async def test_that_is_caught_again_while_a_sweep_takes_it_for_cleared_gets_nothing_back(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine = await judged.machine("twice")
        _, client = await judged.tenant("twice")
        pool, cleared = judged.services.pool, store.cleared_since
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        earned, node = await judged.income(machine.owner), await pool.node("twice")

        async def late(*values: Any) -> Any:
            monkeypatch.setattr(store, "cleared_since", cleared)
            await pool.quarantine("twice", actor="tests", reason="seen cheating")
            await pool.sweep()
            return [node]

        monkeypatch.setattr(store, "cleared_since", late)
        await pool.sweep()
        assert await judged.income(machine.owner) == 0
        assert await pool.held_back(machine.owner) == earned > 0

    async def test_loses_the_part_of_each_call_that_the_rule_says(self, judged: Town) -> None:
        """An amendment may withhold less than all: lots give as much as the posting takes."""
        machine = await judged.machine("partly")
        _, client = await judged.tenant("partly")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        services, earned = judged.services, await judged.income(machine.owner)

        def half(facts: Mapping[str, object], on: date) -> Any:
            return SimpleNamespace(outputs={"withheld_micro": earned // 2}, trace={}, version="half")

        withholding = Withholding(services.db, services.clock, services.ledger, services.pool.earnings, half)
        node = await services.pool.node("partly")
        assert await withholding.withhold(node, 10) == earned // 2
        assert await judged.income(machine.owner) == earned - earned // 2


class TestWithheld:
    """What becomes of it."""

    async def held(self, judged: Town, name: str, calls: int = 1) -> tuple[Machine, list[UUID], int, int]:
        """A node in quarantine: its machine, the receipts of its calls, what they brought and cost."""
        machine, (org, client) = await judged.machine(name), await judged.tenant(name)
        receipts = []
        for at in range(calls):
            answer = await client.post("/v1/chat/completions", json=ask(f"question {at}"))
            receipts.append(UUID(answer.headers["x-shanhe-receipt"]))
        earned, spent = await judged.income(machine.owner), await judged.spent(org)
        await judged.services.pool.quarantine(name, actor="tests", reason="seen cheating")
        assert await judged.services.pool.sweep() == earned > 0
        return machine, receipts, earned, spent

    async def system(self, judged: Town, kind: str, label: str = "") -> int:
        ledger = judged.services.ledger
        return (await ledger.balance((await ledger.system_account(kind, Asset.CREDIT, label)).id)).balance

    async def owed(self, judged: Town, owner: UUID) -> int:
        account = await judged.services.ledger.ensure_account(owner, Asset.CREDIT, "income")
        return await self.system(judged, "receivable", str(account.id))

    @pytest.mark.parametrize("decision", [None, False, True])
    async def test_pays_the_refund_of_its_call_and_nobody_owes_or_gains_by_it(
        self, judged: Town, decision: bool | None
    ) -> None:
        """Whatever was decided on the rest before, or will be."""
        name = f"refunded-{decision}".lower()
        machine, (receipt, _), earned, _ = await self.held(judged, name, 2)
        pool, revenue = judged.services.pool, await self.system(judged, "revenue")
        if decision is not None:
            assert await pool.decide_withheld(name, give_back=decision, actor="tests", reason="so") == earned
        await judged.services.ledger.reverse(receipt, actor="tests", reason="a dispute")
        node = await pool.node(name)
        (row,) = [row for row in await pool.withheld(node) if row["receipt_id"] == receipt]
        await pool.withholding.refunds()
        assert await pool.withholding.refunds() == 0
        left = earned - row["amount_micro"]
        assert await self.owed(judged, machine.owner) == 0
        assert await judged.income(machine.owner) == (left if decision else 0)
        assert await self.system(judged, "withheld", node.engine) == (left if decision is None else 0)
        shares = await judged.services.ledger.posting(receipt)
        city = sum(one.amount for one in shares.transfers) - row["amount_micro"]
        kept = left if decision is False else 0
        assert await self.system(judged, "revenue") == revenue + kept - city
        assert await pool.decide_withheld(name, give_back=True, actor="tests", reason="so") == (
            left if decision is None else 0
        )
        assert (await judged.services.ledger.verify()).clean

    async def test_pays_the_refund_of_a_call_however_many_others_are_withheld_since(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "WITHHELD_MAX", 1)
        machine, receipts, earned, _ = await self.held(judged, "long-ago", 3)
        assert await judged.services.pool.sweep() == 0, "each is taken once"
        await judged.services.ledger.reverse(min(receipts), actor="tests", reason="a dispute")
        assert await judged.services.pool.withholding.refunds() == 1
        assert await self.owed(judged, machine.owner) == 0
        given = await judged.services.pool.decide_withheld("long-ago", give_back=True, actor="tests", reason="so")
        assert given == await judged.income(machine.owner) < earned

    async def test_pays_a_refund_that_comes_while_it_is_given_back(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine, (receipt, _), earned, _ = await self.held(judged, "meanwhile", 2)
        ledger, pool, decide = judged.services.ledger, judged.services.pool, store.decide

        async def refunded(*values: Any, **named: bool) -> list[dict[str, Any]]:
            found = await decide(*values, **named)
            await ledger.reverse(receipt, actor="tests", reason="a dispute")
            return found

        monkeypatch.setattr(store, "decide", refunded)
        given = await pool.decide_withheld("meanwhile", give_back=True, actor="tests", reason="it did not")
        assert 0 < given < earned
        assert await self.owed(judged, machine.owner) == 0
        assert await judged.income(machine.owner) == given

    async def test_is_its_owners_again_where_the_refund_took_other_income(self, judged: Town) -> None:
        """One lot of a day has the income of all calls: the refund finds enough in it."""
        machine, (receipt,), earned, _ = await self.held(judged, "twofold")
        await judged.machine("twofold-good", owner=machine.owner)
        _, client = await judged.tenant("twofold-good")
        for at in range(2):
            await client.post("/v1/chat/completions", json=ask(f"another {at}"))
        other = await judged.income(machine.owner)
        assert other > earned
        await judged.services.ledger.reverse(receipt, actor="tests", reason="a dispute")
        assert await judged.income(machine.owner) == other - earned
        await judged.services.pool.withholding.refunds()
        assert await judged.income(machine.owner) == other
        assert await self.owed(judged, machine.owner) == 0

    async def test_of_a_removed_node_is_decided_on_and_its_owner_told(self, judged: Town) -> None:
        pool = judged.services.pool
        machines, brought = {}, {}
        for name in ("gone-kept", "gone-back"):
            machines[name], _, brought[name], _ = await self.held(judged, name)
            await pool.remove(name, actor="tests")
        (kept, back), revenue = brought.values(), await self.system(judged, "revenue")
        with pytest.raises(ReasonMissing):
            await pool.decide_withheld("gone-kept", give_back=False, actor="tests", reason=" ")
        assert await pool.decide_withheld("gone-kept", give_back=False, actor="tests", reason="it cheated") == kept
        assert await pool.decide_withheld("gone-kept", give_back=True, actor="tests", reason="after all") == 0
        assert await self.system(judged, "revenue") == revenue + kept
        assert await pool.decide_withheld("gone-back", give_back=True, actor="tests", reason="it did not") == back
        assert [await judged.income(machine.owner) for machine in machines.values()] == [0, back]
        for name, machine in machines.items():
            node = await pool.node(name)
            assert await self.system(judged, "withheld", node.engine) == 0
            told = (await judged.services.notifier.inbox(uuid4(), [machine.owner]))[0]
            assert ("不予退还" in told.title.zh) == (name == "gone-kept")
        events = [event.event for event in await pool.events(await pool.node("gone-kept"))]
        assert events.count("income_kept") == 1

    async def test_goes_one_way_only_where_a_decision_was_interrupted(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine, _, earned, _ = await self.held(judged, "between", 2)
        pool, mark = judged.services.pool, store.mark_kept

        async def lost(*values: Any) -> None:
            monkeypatch.setattr(store, "mark_kept", mark)
            raise ConnectionResetError

        monkeypatch.setattr(store, "mark_kept", lost)
        with pytest.raises(ConnectionResetError):
            await pool.decide_withheld("between", give_back=False, actor="tests", reason="it cheated")
        waiting = [row["waits"] for row in await pool.withheld(await pool.node("between"))]
        assert waiting == [True, True], "what is not done is shown, and can be gone on with"
        assert await pool.decide_withheld("between", give_back=True, actor="tests", reason="it did not") == 0
        assert await pool.decide_withheld("between", give_back=False, actor="tests", reason="it cheated") == earned
        assert await judged.income(machine.owner) == 0
        node = await pool.node("between")
        assert not any(row["waits"] for row in await pool.withheld(node))
        assert await self.system(judged, "withheld", node.engine) == 0

    @pytest.mark.parametrize("path", ["withheld", "release"])
    async def test_is_given_back_by_two_from_the_smallest_payout_on(
        self, judged: Town, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        name = f"two-{path}"
        machine, _, earned, _ = await self.held(judged, name, 2)
        rulings, approvals, pool = judged.services.rulings, judged.services.approvals, judged.services.pool
        alone = rulings.alone_micro

        async def as_of_much(subject: str, micro: int, by: str) -> bool:
            return await alone(subject, micro * 10_000_000, by)

        monkeypatch.setattr(rulings, "alone_micro", as_of_much)
        first, second = await self.operator(judged), await self.operator(judged)
        body = {"reason": "it did not cheat", "give_back": True} | ({"restore": True} if path == "release" else {})
        if path == "release":
            del body["give_back"]
        times = 1 if path == "release" else 2  # who is at work again can't be released once more
        asked = [await first.post(f"/api/pool/nodes/{name}/{path}", json=body) for _ in range(times)]
        assert {one.status_code for one in asked} == {202}, asked[0].text
        assert len({one.json()["id"] for one in asked}) == 1
        assert await judged.income(machine.owner) == 0, "one word moves nothing"
        assert ((await pool.node(name)).state is NodeState.QUARANTINED) == (path == "withheld")
        agree = f"/api/approvals/requests/{asked[0].json()['id']}/approve"
        assert (await first.post(agree, json={})).status_code == 403
        owner = await self.operator(judged, org=machine.owner)
        said = await owner.post(agree, json={})
        assert (said.status_code, said.json()["error"]["code"]) == (403, "party_to_it")
        done = await second.post(agree, json={})
        assert done.json()["state"] == "done", done.text
        assert await judged.income(machine.owner) == earned
        told = (await judged.services.notifier.inbox(uuid4(), [machine.owner]))[0]
        assert "已退还" in told.title.zh
        assert (await approvals.get(UUID(asked[0].json()["id"]))).payload["amount_micro"] == earned

    async def operator(self, judged: Town, org: UUID | None = None) -> httpx.AsyncClient:
        """A person with a key for nodes; of an organisation, one of its owners."""
        identity = judged.services.identity
        person = await identity.people.create(NewPerson("赵六", login=f"u{uuid4().hex[:10]}"), by="tests")
        await identity.people.grant(person.id, Role.OPERATOR, by="tests")
        if org is not None:
            await identity.orgs.set_member(org, person.id, Role.OWNER, by="tests")
        issuer = await judged.org(f"运营 {person.id}")
        permissions = frozenset({"engines", "accounts"})
        maker = Actor(person.id, None, None, frozenset({Role.OPERATOR}), permissions)
        _, token = await identity.keys.create(issuer, NewKey("k", permissions=permissions), by=maker)
        return httpx.AsyncClient(base_url=judged.url, headers={"authorization": f"Bearer {token}"}, trust_env=False)


class TestHonestNode:
    async def test_that_rounds_differently_now_and_then_keeps_serving(self, judged: Town) -> None:
        machine = await judged.machine("honest", Character(drift_bps=300))
        _, client = await judged.tenant("honest")
        assert await used(judged, "honest", client, 60) == 60
        await judged.services.pool.inspector.settle()
        figures = await judged.services.pool.suspicions(await judged.services.pool.node("honest"))
        assert figures["answer"][0] > 3
        assert await judged.income(machine.owner) > 0
