"""The scorecard, the profit lock (P3), internal first (P5), paybacks (S3), reviews (P9) and overdue work."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, timedelta
from uuid import uuid4

import pytest

from shanhe.governance.api import BadProposal, Duty, State, Vote
from shanhe.kernel.errors import Conflict

from .conftest import Hall, change

YUAN = 100


class TestScorecard:
    async def test_shows_targets_counts_and_time_side_by_side(self, hall: Hall) -> None:
        hall.counted["nomads"] = 1_000
        await hall.governance.watching.record(
            "exposure", 60_000_000, on=date(2026, 3, 1), evidence="审计报告 7", figure_id=uuid4(), by="person:1"
        )
        found = {score.name: score for score in await hall.governance.watching.scorecard()}
        assert (found["nomads"].target, found["nomads"].actual, found["nomads"].reached_bps) == (10_000, 1_000, 1_000)
        assert (found["exposure"].actual, found["exposure"].source) == (60_000_000, "审计报告 7")
        assert found["apps"].actual is None
        assert found["nomads"].elapsed_bps == 60 * 10_000 // (date(2029, 1, 1) - date(2026, 1, 1)).days
        assert not found["nomads"].behind
        hall.later(days=365)
        assert {s.name: s for s in await hall.governance.watching.scorecard()}["nomads"].behind

    async def test_takes_no_figure_for_what_is_measured_or_unknown(self, hall: Hall) -> None:
        for name in ("nomads", "luck", "city_start"):
            with pytest.raises(BadProposal):
                await hall.governance.watching.record(
                    name, 1, on=date(2026, 3, 1), evidence="x", figure_id=uuid4(), by="person:1"
                )
        number = uuid4()
        for value, error in ((5, None), (5, None), (6, Conflict)):
            recorded = hall.governance.watching.record(
                "apps", value, on=date(2026, 3, 1), evidence="名单", figure_id=number, by="person:1"
            )
            if error is None:
                await recorded
            else:
                with pytest.raises(error):
                    await recorded


class TestProfitLock:
    async def open(self, hall: Hall, profit_fen: int, availability_bps: int = 9950) -> None:
        for name, value in (("cumulative_profit_fen", profit_fen), ("availability_bps", availability_bps)):
            await hall.governance.watching.record(
                name, value, on=hall.clock.today(), evidence="审计", figure_id=uuid4(), by="person:1"
            )
        hall.counted |= {"active_orgs": 200, "served_credit_micro": 5_000_000_000_000}

    async def test_names_what_is_missing(self, hall: Hall) -> None:
        decision, missing = await hall.governance.watching.profit_lock()
        assert decision is None
        assert missing == ["cumulative_profit_fen", "availability_bps"]

    async def test_opens_no_further_than_the_profit(self, hall: Hall) -> None:
        person = await hall.person("data_group")
        deciding = hall.governance.deciding
        await self.open(hall, 0)
        for amount in (1, 0, None):
            with pytest.raises(BadProposal):
                await deciding.propose(
                    change({"amount_fen": amount}, matter="profit_share", rule_id=None), person_id=person
                )
        await self.open(hall, 1_000)
        with pytest.raises(BadProposal):
            await deciding.propose(change({"amount_fen": 1_001}, matter="profit_share", rule_id=None), person_id=person)
        made = await deciding.propose(
            change({"amount_fen": 1_000}, matter="profit_share", rule_id=None), person_id=person
        )
        voters = [await hall.person("data_group"), await hall.person("finance")]
        await self.open(hall, 999)  # the profit fell before it took effect
        assert (await hall.adopt(made, voters)).state is State.FAILED

    async def test_opens_each_fen_once(self, hall: Hall) -> None:
        person = await hall.person("data_group")
        voters = [await hall.person("data_group"), await hall.person("finance")]
        await self.open(hall, 1_000)
        deciding, new = hall.governance.deciding, {"amount_fen": 600}
        made = [
            await deciding.propose(change(new, matter="profit_share", rule_id=None), person_id=person) for _ in range(2)
        ]
        await hall.until(made[0].discuss_until + timedelta(days=1))
        for one in made:
            for voter in voters:
                await deciding.vote(one.id, voter, Vote.FOR)
        await hall.until(made[0].veto_until + timedelta(days=1))
        assert [(await deciding.get(one.id)).state for one in made] == [State.ADOPTED, State.FAILED]
        decision, _ = await hall.governance.watching.profit_lock()
        assert decision is not None
        assert decision.outputs == {"may_share": True, "shareable_fen": 400}
        for amount, fits in ((401, False), (400, True)):
            with nullcontext() if fits else pytest.raises(BadProposal, match="P3"):
                await hall.governance.watching.check_profit_share({"amount_fen": amount}, hall.clock.today())


class TestInternalFirst:
    async def test_lets_a_body_go_elsewhere_by_a_report_that_both_offices_approved(self, hall: Hall) -> None:
        org, watching, deciding = uuid4(), hall.governance.watching, hall.governance.deciding
        assert not (await watching.may_use_other("government", org)).outputs["may_use_other"]
        assert (await watching.may_use_other("other", org)).outputs["may_use_other"]
        proposer, own = await hall.person("education"), await hall.person("education")
        office = await hall.person("digital")
        report = {"org_id": str(org), "platform": "外部平台", "reason": "本地没有语音评测模型"}
        with pytest.raises(BadProposal):
            await deciding.propose(
                change(report | {"reason": ""}, matter="infeasibility", rule_id=None), person_id=proposer
            )
        made = await deciding.propose(change(report, matter="infeasibility", rule_id=None), person_id=proposer)
        assert not made.veto
        assert (await hall.adopt(made, [own, office])).state is State.ADOPTED
        day = hall.clock.today()
        found = await watching.may_use_other("government", org)
        assert found.outputs["may_use_other"]
        await hall.governance.watching._db.execute(  # a hundred reports of others since
            """INSERT INTO governance.proposal SELECT (jsonb_populate_record(p, jsonb_build_object(
                 'id', gen_random_uuid(), 'content', jsonb_build_object('org_id', gen_random_uuid())))).*
               FROM governance.proposal p, generate_series(1, 100) WHERE p.id = $1""",
            made.id,
        )
        assert (await watching.may_use_other("government", org)).outputs["may_use_other"]
        lapses = found.outputs["lapses_on"]
        assert (lapses.year, lapses.month) == (day.year + 1, day.month)
        assert not (await watching.may_use_other("government", org, lapses)).outputs["may_use_other"]
        assert not (await watching.may_use_other("government", uuid4())).outputs["may_use_other"]


class TestProject:
    async def test_that_does_not_repay_in_time_goes_to_the_watch_list(self, hall: Hall) -> None:
        watching, number = hall.governance.watching, uuid4()
        await watching.add_project(
            number, name_zh="智慧路灯", name_en="Lamps", department="industry", started_on=date(2026, 3, 2),
            by="person:1",
        )  # fmt: skip
        flow = uuid4()
        for _ in range(2):
            made = await watching.flow(
                number, "invested", 600 * YUAN, on=date(2026, 3, 2), evidence="合同 1", flow_id=flow, by="person:1"
            )
        made = await watching.flow(
            number, "invested", 400 * YUAN, on=date(2026, 3, 2), evidence="合同 2", flow_id=uuid4(), by="person:1"
        )
        assert (made.invested_fen, made.watched, made.deadline) == (100_000, False, date(2027, 9, 2))
        hall.later(days=(date(2027, 9, 3) - date(2026, 3, 2)).days)
        assert (await watching.project(number)).watched
        for kind, amount, evidence in (
            ("lent", 1, "x"),
            ("returned", 0, "x"),
            ("returned", -1, "x"),
            ("returned", 1, " "),
        ):
            with pytest.raises(BadProposal, match="an amount and evidence"):
                await watching.flow(
                    number, kind, amount, on=date(2027, 9, 3), evidence=evidence, flow_id=uuid4(), by="person:1"
                )
        with pytest.raises(BadProposal, match="by today"):  # what is promised for tomorrow has not come back
            await watching.flow(
                number, "returned", 100_000, on=date(2027, 9, 4), evidence="承诺", flow_id=uuid4(), by="person:1"
            )
        with pytest.raises(BadProposal, match="no day to come"):
            await watching.record(
                "cumulative_profit_fen", 1, on=date(2027, 9, 4), evidence="预计", figure_id=uuid4(), by="person:1"
            )
        for part, missing in ((30_000, 70_000), (70_000, 0)):
            done = await watching.flow(
                number, "returned", part, on=date(2027, 9, 3), evidence="凭证 9", flow_id=uuid4(), by="person:1"
            )
            assert (done.watched, done.missing_fen) == (missing > 0, missing)


class TestDuties:
    async def test_list_votes_and_reviews_with_their_days(self, hall: Hall) -> None:
        proposer = await hall.person("finance")
        made = await hall.governance.deciding.propose(change(), person_id=proposer)
        await hall.until(made.discuss_until + timedelta(days=1))
        found = await hall.governance.watching.duties()
        assert [duty.kind for duty in found] == ["vote"]
        assert found[0].department["zh"] == "市数字办"
        assert await hall.governance.watching.duties(overdue_only=True) == []
        await hall.until(date(2026, 4, 2))  # three months after the city's first day every rule wants a review
        overdue = await hall.governance.watching.duties(overdue_only=True)
        rules = [duty for duty in overdue if duty.kind == "review"]
        assert len(rules) == len(hall.rulebook.ids())
        await hall.governance.watching.review(
            "P1", on=date(2026, 4, 2), finding="优惠有效", review_id=uuid4(), by="person:1"
        )
        left = [duty for duty in await hall.governance.watching.duties(overdue_only=True) if duty.kind == "review"]
        assert len(left) == len(rules) - 1
        assert [row["finding"] for row in await hall.governance.watching.reviews("P1")] == ["优惠有效"]
        assert await hall.governance.watching.reviews("P3") == []
        for finding, on in ((" ", date(2026, 4, 2)), ("将会有效", date(2026, 4, 3))):
            with pytest.raises(BadProposal, match="not later than today"):
                await hall.governance.watching.review("P3", on=on, finding=finding, review_id=uuid4(), by="person:1")

    async def test_list_the_work_of_other_modules(self, hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
        late, title = hall.clock.today() - timedelta(days=1), {"zh": "投诉", "en": "Complaint"}
        waits = [Duty(title, "complaint", title, late, True, "/x"), Duty(title, "complaint", title, late, False, "/y")]

        async def work() -> list[Duty]:
            return waits

        monkeypatch.setattr(hall.governance.watching, "_work", {"complaints": work})
        assert await hall.governance.watching.duties() == waits
        assert await hall.governance.watching.duties(overdue_only=True) == waits[:1]
