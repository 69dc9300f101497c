"""Entries that other modules hand in, inside their own transactions."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from tests.log.conftest import Town
from tests.log.test_sealing import published

from shanhe.approvals.api import Approvals, NewLicence, Scope
from shanhe.kernel.ids import new_id
from shanhe.log.proof import verify


class TestRecord:
    async def test_that_is_rolled_back_is_never_sealed(self, town: Town) -> None:
        log = town.log()
        with pytest.raises(RuntimeError):
            async with town.db.transaction() as connection:
                await log.record(connection, "decision", {"rule": "P1"})
                raise RuntimeError
        await log.seal()
        assert published(log)[0] == 0

    async def test_of_approvals_shows_what_is_public_and_hides_who_asked(self, town: Town) -> None:
        log = town.log()
        approvals = Approvals(town.db, town.clock, entry=log.record)
        day = date(2026, 1, 1)
        new = NewLicence(Scope.EXCHANGE, "金融管理局", "No. 7", day, day + timedelta(days=400), False)
        licence = await approvals.record(new, by="person:1")
        await approvals.record(new, by="person:1")
        await approvals.revoke(licence.id, reason="withdrawn", by="person:2")
        town.clock.advance(minutes=1)
        await approvals.revoke(licence.id, reason="withdrawn", by="person:2")
        ends = town.clock.now() + timedelta(days=1)
        asked = await approvals.request("payout", "org:1", {"fen": 5}, by="person:1", expires_at=ends)
        await approvals.approve(asked.id, by="person:2")
        await approvals.approve(asked.id, by="person:2")
        await log.seal()
        entries = [json.loads(entry) for entry in published(log)[2]]
        assert [entry["kind"] for entry in entries] == ["approval.recorded", "approval.revoked", "request.decided"]
        assert entries[0]["number"] == "No. 7"
        assert (entries[2]["request"], entries[2]["decision"]) == ("payout", "approved")
        assert "person" not in json.dumps(entries)

    async def test_can_be_proved_by_its_id(self, town: Town) -> None:
        log, subject = town.log(), new_id()
        async with town.db.transaction() as connection:
            await log.record(connection, "rule.change", {"rule": "P1"}, {"by": "person:1"}, id=subject)
        await log.seal()
        found = verify(str(await log.prove(subject)).encode(), log.verifiers())
        assert (found.entry["kind"], found.private) == ("rule.change", {"by": "person:1"})
