"""Redeem codes: funded first, shown once, used once, and what is left goes back to its budget."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.credits.conftest import City

from shanhe.credits import code_store
from shanhe.credits import codes as code_rooms
from shanhe.credits.api import (
    BatchClosed,
    BatchConflict,
    BatchState,
    BudgetShort,
    CodeBatch,
    CodesShown,
    CodeUsed,
    TooManyTries,
    UnknownCode,
)
from shanhe.credits.codes import FAILURES_MAX_PER_HOUR, digest_of, new_code
from shanhe.credits.errors import OwnCodes
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import InsufficientCredit, LedgerUnavailable, Posting

CLERK, OTHER = "person:clerk", "person:other"
BUDGET = "contest 2026"


async def batch(city: City, count: int = 3, ref: str = "b1", provenance: str = "subsidy", **rest: object) -> CodeBatch:
    return await city.credits.codes.create(
        client_ref=ref, name="Contest", budget=BUDGET, codes=count, value_micro=5 * MICRO, provenance=provenance,
        expires_at=city.clock.now() + timedelta(days=30), actor="person:o", **rest,
    )  # fmt: skip


async def issued(city: City, **rest: object) -> tuple[CodeBatch, list[str]]:
    await city.credits.codes.fund(BUDGET, 100 * MICRO, posting_id=new_id(), reason="council", actor="person:o")
    return await city.credits.codes.export((await batch(city, **rest)).id, by=OTHER)


async def left(city: City) -> int:
    return (await city.ledger.balance((await city.credits.codes.budget(BUDGET)).id)).balance


class TestBatch:
    async def test_takes_its_money_from_the_budget_before_a_code_exists(self, city: City) -> None:
        with pytest.raises(InsufficientCredit):
            await batch(city)
        await city.credits.codes.fund(BUDGET, 20 * MICRO, posting_id=new_id(), reason="council", actor="person:o")
        made = await batch(city)
        assert (made.state, await left(city)) == ("funded", 5 * MICRO)
        assert (await batch(city)).id == made.id
        with pytest.raises(BatchConflict):
            await batch(city, count=4)
        with pytest.raises(InsufficientCredit):
            await batch(city, ref="b2")

    async def test_that_its_budget_could_not_pay_is_set_aside_once_it_can(self, city: City) -> None:
        with pytest.raises(BudgetShort) as told:
            await batch(city)
        assert "注入预算" in told.value.hint_zh, "it says what an operator can do, not a caller of models"
        (draft,) = await city.credits.codes.batches()
        await city.credits.codes.fund(BUDGET, 20 * MICRO, posting_id=new_id(), reason="council", actor="person:o")
        for _ in range(2):
            funded = await city.credits.codes.set_aside(draft.id, by=CLERK)
            assert (funded.state, funded.funded_by) == ("funded", CLERK)
        assert await left(city) == 5 * MICRO

    async def test_shows_its_codes_to_nobody_who_sets_its_value_aside_at_the_same_time(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        codes = city.credits.codes
        with pytest.raises(BudgetShort):
            await batch(city)
        (draft,) = await codes.batches()
        await codes.fund(BUDGET, 20 * MICRO, posting_id=new_id(), reason="council", actor="person:o")
        real = code_store.batch

        async def meanwhile(*args: Any, lock: bool = False) -> CodeBatch | None:
            found = await real(*args, lock=lock)
            if lock:
                return found
            monkeypatch.undo()
            await codes.set_aside(draft.id, by=CLERK)
            return found

        monkeypatch.setattr(code_store, "batch", meanwhile)
        with pytest.raises((OwnCodes, BatchClosed)):
            await codes.export(draft.id, by=CLERK)
        monkeypatch.undo()
        await codes.set_aside(draft.id, by=CLERK)
        with pytest.raises(OwnCodes):
            await codes.export(draft.id, by=CLERK)

    async def test_shows_its_codes_once_and_keeps_only_hashes(self, city: City) -> None:
        made, codes = await issued(city)
        assert len(set(codes)) == 3
        with pytest.raises(CodesShown):
            await city.credits.codes.export(made.id, by=OTHER)
        kept = {row["hash"] for row in await city.db.fetch("SELECT hash FROM credits.code")}
        assert kept == {digest_of(code) for code in codes}

    async def test_revoked_codes_are_worth_nothing_and_their_value_returns(self, city: City) -> None:
        made, codes = await issued(city)
        await city.credits.codes.redeem(city.org, codes[0], actor="t")
        await city.credits.codes.revoke(made.id, by=CLERK, reason="printed wrongly")
        ended = await city.credits.codes.revoke(made.id, by="person:another", reason="again")
        assert (ended.exported_by, ended.ended_by, ended.end_reason) == (OTHER, CLERK, "printed wrongly")
        assert (await city.ledger.posting(ended.return_posting)).actor == CLERK
        assert await left(city) == 95 * MICRO
        with pytest.raises(BatchClosed):
            await city.credits.codes.redeem(city.org, codes[1], actor="t")
        assert (await city.ledger.verify()).clean

    async def test_ends_by_itself(self, city: City) -> None:
        _, codes = await issued(city)
        city.clock.advance(days=31)
        with pytest.raises(BatchClosed):
            await city.credits.codes.redeem(city.org, codes[0], actor="t")
        await city.tick()
        assert await left(city) == 100 * MICRO


class TestCode:
    async def test_gives_a_lot_by_rule_once(self, city: City) -> None:
        _, codes = await issued(city, earmark={"department": "edu"})
        await city.credits.codes.redeem(city.org, codes[0].lower().replace("-", " "), actor="t")
        await city.credits.codes.redeem(city.org, codes[0], actor="t")
        (lot,) = (await city.credits.wallet(city.org)).lots
        assert (lot.provenance, lot.remaining_micro, lot.tradeable_at) == ("subsidy", 5 * MICRO, None)
        assert lot.expires_at is not None
        assert lot.expires_at.year == 2027
        row = await city.db.fetchrow("SELECT earmark, cost_fen FROM ledger.lot WHERE id = $1", lot.id)
        assert (row["earmark"], row["cost_fen"]) == ({"department": "edu"}, 0)
        with pytest.raises(CodeUsed):
            await city.credits.codes.redeem(new_id(), codes[0], actor="t")
        assert await city.notices("redeemed") == 1

    async def test_a_reward_code_gives_a_reward_that_unlocks(self, city: City) -> None:
        _, codes = await issued(city, provenance="reward")
        await city.credits.codes.redeem(city.org, codes[0], actor="t")
        (lot,) = (await city.credits.wallet(city.org)).lots
        assert lot.tradeable_at is not None
        assert (lot.provenance, lot.expires_at.year if lot.expires_at else 0) == ("reward", 2028)

    async def test_guessing_is_stopped(self, city: City) -> None:
        _, codes = await issued(city)
        for _ in range(FAILURES_MAX_PER_HOUR):
            with pytest.raises(UnknownCode):
                await city.credits.codes.redeem(city.org, new_code(), actor="t")
        with pytest.raises(TooManyTries) as refused:
            await city.credits.codes.redeem(city.org, codes[0], actor="t")
        assert refused.value.retry_after_s <= 3600
        await city.credits.codes.redeem(new_id(), codes[1], actor="t")
        city.clock.advance(hours=1)
        await city.credits.codes.redeem(city.org, codes[0], actor="t")

    async def test_a_crash_after_the_claim_is_repaired(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        made, codes = await issued(city)
        real = city.ledger.post

        async def away(posting: Posting) -> None:
            raise LedgerUnavailable("gone")

        monkeypatch.setattr(city.ledger, "post", away)
        with pytest.raises(LedgerUnavailable):
            await city.credits.codes.redeem(city.org, codes[0], actor="t")
        monkeypatch.setattr(city.ledger, "post", real)
        await city.credits.codes.revoke(made.id, by=CLERK, reason="meanwhile")
        await city.tick()
        assert await city.balance() == 5 * MICRO, "claimed before the end: it still pays"
        assert await left(city) == 95 * MICRO


class TestDraft:
    async def test_whose_money_was_set_aside_before_a_crash_has_it(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await city.credits.codes.fund(BUDGET, 100 * MICRO, posting_id=new_id(), reason="council", actor="person:o")
        real = city.ledger.post

        async def lost(posting: Posting) -> None:
            await real(posting)
            raise LedgerUnavailable("gone after it")

        with monkeypatch.context() as patch:
            patch.setattr(city.ledger, "post", lost)
            with pytest.raises(LedgerUnavailable):
                await batch(city)
        city.clock.advance(seconds=10)
        await city.credits.codes.run()
        (made,) = await city.credits.codes.batches()
        assert (made.state, await left(city)) == (BatchState.FUNDED, 85 * MICRO)

    async def test_that_never_had_money_keeps_no_batch_from_ending(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(code_rooms, "BATCH_ROWS", 1)
        with pytest.raises(BudgetShort):
            await batch(city, ref="poor")
        await issued(city)
        city.clock.advance(days=31)
        await city.credits.codes.run()
        monkeypatch.undo()
        assert {one.state for one in await city.credits.codes.batches()} == {BatchState.ENDED}
        assert await left(city) == 100 * MICRO
