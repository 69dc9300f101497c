"""Records of interventions and complaints about outputs."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.filings.api import (
    AppealedSince,
    BadComplaint,
    ComplaintClosed,
    ComplaintTaken,
    Decision,
    Grievance,
    Intervention,
    NewComplaint,
    NotYourComplaint,
    UnknownComplaint,
    purge,
    tick,
)
from shanhe.kernel.errors import NotFound

from .conftest import COMPANY, LISTING, MAKER, PERSON, PERSONAL_ORG, RECEIPT, Desk

TEXT = "我的身份证号是 330102199003078888"
CLERK, OTHER = UUID(int=11), UUID(int=12)


def removed(org: UUID = COMPANY, text: str = TEXT) -> Intervention:
    return Intervention("agent/guide", "good", "personal_removed", "personal", Decision.REMOVED, org, uuid4(), text)


async def stored(desk: Desk) -> list[str]:
    return [row["text"] for row in await desk.db.fetch("SELECT text FROM filings.event WHERE text IS NOT NULL")]


class TestRecord:
    async def test_keeps_the_text_sealed_and_shows_it_meanwhile(self, desk: Desk) -> None:
        moderation = desk.filings.moderation
        for org in (COMPANY, PERSONAL_ORG):
            await moderation.record(removed(org))
        assert [one.text for one in await moderation.events()] == [TEXT, TEXT]
        assert all("330102" not in text and TEXT not in text for text in await stored(desk))
        macs = await desk.db.fetch("SELECT DISTINCT text_mac FROM filings.event")
        assert len(macs) == 1  # the same text is found again by its keyed hash

    async def test_of_a_label_keeps_no_text(self, desk: Desk) -> None:
        await desk.filings.moderation.record(
            Intervention("clone/expert", "good", "ai_label", "generated", Decision.LABELLED, COMPANY)
        )
        assert await stored(desk) == []

    async def test_loses_its_text_when_the_days_are_over_and_itself_when_the_months_are(self, desk: Desk) -> None:
        moderation = desk.filings.moderation
        await moderation.record(removed())
        kept = (await stored(desk))[0]
        desk.clock.advance(days=30)
        assert await purge(desk.filings) == 0
        desk.clock.advance(days=1)
        await moderation.record(removed(text="另一段"))
        assert await purge(desk.filings) == 1
        assert [one.text for one in await moderation.events()] == ["另一段", ""]
        await desk.db.execute("DELETE FROM filings.event WHERE text IS NOT NULL")
        # What an old backup still has can be opened by nobody: the key of its day is gone.
        await desk.db.execute("UPDATE filings.event SET text = $1", kept)
        assert base64.b64decode(kept)
        assert [one.text for one in await moderation.events()] == [""]
        desk.clock.advance(days=3 * 366)
        await purge(desk.filings)
        assert await moderation.events() == []

    async def test_of_an_erased_person_says_nothing_of_them(self, desk: Desk) -> None:
        await desk.filings.moderation.record(removed(PERSONAL_ORG))
        desk.vault.destroy(PERSON)
        assert [one.text for one in await desk.filings.moderation.events()] == [""]

    async def test_counts_by_the_month_and_hides_small_counts(self, desk: Desk) -> None:
        moderation = desk.filings.moderation
        for _ in range(5):
            await moderation.record(removed())
        for surface in ("agent/a", "agent/b"):
            await moderation.record(
                Intervention(surface, "good", "unsupported", "unsupported", Decision.DECLINED, COMPANY)
            )
        whole = {(one.surface, one.category): one.count for one in await moderation.months()}
        assert whole == {("agent/guide", "personal"): 5, ("agent/a", "unsupported"): 1, ("agent/b", "unsupported"): 1}
        assert [(one.month, one.surface, one.category, one.count) for one in await moderation.public_months()] == [
            ("2026-11", "", "personal", 5)
        ]


class TestComplaint:
    async def make(self, desk: Desk, org: UUID = PERSONAL_ORG) -> UUID:
        new = NewComplaint(uuid4(), RECEIPT, Grievance.FALSE, "该回答捏造了判决书")
        made = await desk.filings.complaints.make(new, org_id=org, by=f"person:{UUID(int=9)}")
        assert (made.state, made.model) == ("open", "good")
        return made.id

    async def test_that_is_due_first_stands_first_among_those_that_wait(self, desk: Desk) -> None:
        made = []
        for _ in range(4):
            made.append(await self.make(desk))
            desk.clock.advance(hours=1)
        complaints = desk.filings.complaints
        assert [one.id for one in await complaints.list(waiting=True)] == made
        assert [one.id for one in await complaints.list()] == made[::-1], "by time: their numbers are the makers'"

    async def test_is_about_a_listing_too_and_not_decided_by_its_maker(self, desk: Desk) -> None:
        complaints, clerk, other = desk.filings.complaints, uuid4(), uuid4()
        new = NewComplaint(uuid4(), None, Grievance.RIGHTS, "冒用本公司名称", LISTING)
        made = await complaints.make(new, org_id=COMPANY, by="person:9")
        assert (made.model, made.receipt_id) == (LISTING, None)
        desk.kin.add((clerk, MAKER))
        with pytest.raises(NotYourComplaint):
            await complaints.decide(made.id, uphold=False, answer="不成立", person_id=clerk)
        refused = await complaints.make(replace(new, id=uuid4()), org_id=COMPANY, by="person:9")
        await complaints.decide(refused.id, uphold=False, answer="不成立", person_id=other)
        assert (desk.told, await desk.notifier.inbox(uuid4(), [MAKER])) == ([], [])
        done = await complaints.decide(made.id, uphold=True, answer="成立", person_id=other)
        assert (done.state, desk.told) == ("upheld", [("removed", LISTING)])
        with pytest.raises(ComplaintTaken):
            await complaints.make(replace(new, receipt_id=RECEIPT, listing=""), org_id=COMPANY, by="person:9")
        told = await desk.notifier.inbox(uuid4(), [MAKER])
        assert [one.kind for one in told] == ["filings.upheld"]
        await desk.db.execute("UPDATE filings.complaint SET model = 'agent/another' WHERE id = $1", made.id)
        with pytest.raises(ComplaintTaken):
            await complaints.make(new, org_id=COMPANY, by="person:9")

    async def test_is_about_one_thing_that_is_there(self, desk: Desk) -> None:
        complaints = desk.filings.complaints
        for receipt, listing in ((None, ""), (RECEIPT, LISTING)):
            with pytest.raises(BadComplaint):
                new = NewComplaint(uuid4(), receipt, Grievance.FALSE, "x", listing)
                await complaints.make(new, org_id=COMPANY, by="person:9")
        with pytest.raises(NotFound):
            new = NewComplaint(uuid4(), None, Grievance.FALSE, "x", "agent/nothing")
            await complaints.make(new, org_id=COMPANY, by="person:9")

    async def test_names_a_receipt_that_exists_and_is_made_once(self, desk: Desk) -> None:
        complaints = desk.filings.complaints
        new = NewComplaint(uuid4(), RECEIPT, Grievance.PERSONAL, "泄露他人电话")
        for _ in range(2):
            await complaints.make(new, org_id=COMPANY, by="person:9")
        assert len(await complaints.list(org_id=COMPANY)) == 1
        with pytest.raises(NotFound):
            await complaints.make(NewComplaint(uuid4(), uuid4(), Grievance.FALSE, "x"), org_id=COMPANY, by="person:9")
        with pytest.raises(BadComplaint):
            await complaints.make(NewComplaint(uuid4(), RECEIPT, Grievance.FALSE, " "), org_id=COMPANY, by="person:9")
        with pytest.raises(UnknownComplaint):  # somebody else's id
            await complaints.make(new, org_id=PERSONAL_ORG, by="person:8")

    async def test_is_decided_with_reasons_and_appealed_to_somebody_else(self, desk: Desk) -> None:
        complaints, number = desk.filings.complaints, await self.make(desk)
        desk.kin.add((OTHER, PERSONAL_ORG))
        with pytest.raises(NotYourComplaint):
            await complaints.decide(number, uphold=False, answer="与本人有关", person_id=OTHER)
        with pytest.raises(NotYourComplaint):  # who complained
            await complaints.decide(number, uphold=True, answer="属实", person_id=UUID(int=9))
        desk.kin.clear()
        for _ in range(2):
            done = await complaints.decide(number, uphold=False, answer="经核对原文，未见捏造", person_id=CLERK)
        assert (done.state, done.answer) == ("rejected", "经核对原文，未见捏造")
        told = [one.kind for one in await desk.notifier.inbox(uuid4(), [PERSONAL_ORG])]
        assert told == ["filings.decided"], "the same again tells nobody once more"
        with pytest.raises(ComplaintClosed):
            await complaints.decide(number, uphold=True, answer="改主意了", person_id=CLERK)
        with pytest.raises(UnknownComplaint):
            await complaints.appeal(number, "请再看一次", org_id=COMPANY)
        asked = await complaints.appeal(number, "判决书编号不存在", org_id=PERSONAL_ORG)
        assert (asked.state, asked.due_at) == ("appealed", desk.clock.now() + timedelta(days=15))
        with pytest.raises(NotYourComplaint):
            await complaints.decide(number, uphold=False, answer="维持", person_id=CLERK)
        done = await complaints.decide(number, uphold=True, answer="编号确不存在", person_id=OTHER)
        assert (done.state, done.final_answer) == ("reversed", "编号确不存在")
        with pytest.raises(ComplaintClosed):
            await complaints.appeal(number, "再来", org_id=PERSONAL_ORG)
        assert "判决" not in str(list(await desk.db.fetch("SELECT * FROM filings.complaint")))

    async def test_is_decided_as_it_was_read_and_an_appeal_by_who_read_it(self, desk: Desk) -> None:
        complaints, number = desk.filings.complaints, await self.make(desk)
        await complaints.decide(number, uphold=False, answer="未见捏造", person_id=CLERK, state="open")
        await complaints.appeal(number, "判决书编号不存在", org_id=PERSONAL_ORG)
        with pytest.raises(AppealedSince):  # whose page was loaded before the first decision
            await complaints.decide(number, uphold=False, answer="未见捏造", person_id=OTHER, state="open")
        assert (await complaints.get(number)).state == "appealed"
        done = await complaints.decide(number, uphold=True, answer="编号确不存在", person_id=OTHER, state="appealed")
        assert done.state == "reversed"

    async def test_is_appealed_in_time_or_not_at_all(self, desk: Desk) -> None:
        number = await self.make(desk)
        await desk.filings.complaints.decide(number, uphold=False, answer="不成立", person_id=CLERK)
        desk.clock.advance(days=16)
        with pytest.raises(ComplaintClosed):
            await desk.filings.complaints.appeal(number, "迟了", org_id=PERSONAL_ORG)

    async def test_that_waits_too_long_is_told_once(self, desk: Desk) -> None:
        number, made_at = await self.make(desk), desk.clock.now()
        assert (await desk.filings.complaints.get(number)).due_at == made_at + timedelta(days=10)
        desk.clock.advance(days=10)
        assert await tick(desk.filings) == 0
        desk.clock.advance(seconds=1)
        assert (await desk.filings.complaints.get(number)).overdue(desk.clock.now())
        assert (await tick(desk.filings), await tick(desk.filings)) == (1, 0)
        kinds = [one.kind for one in await desk.notifier.inbox(PERSON, [], operator=True)]
        assert sorted(kinds) == ["filings.complaint", "filings.overdue"]
        decided = await self.make(desk)
        await desk.filings.complaints.decide(decided, uphold=False, answer="不成立", person_id=CLERK)
        desk.clock.advance(days=30)
        assert await tick(desk.filings) == 0

    async def test_is_never_decided_twice_by_one_person_whoever_writes_it(self, desk: Desk) -> None:
        await self.make(desk)
        with pytest.raises(asyncpg.CheckViolationError):
            await desk.db.execute(
                """UPDATE filings.complaint SET state = 'confirmed', decided_by = 'p', decided_at = made_at,
                     final_by = 'p', final_at = made_at"""
            )
