"""People's rights over HTTP and in pages: see, copy, correct, refuse, ask; and what the desk owes them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

import shanhe.wiring
from shanhe.console.api import words
from shanhe.filings.api import Decision, Intervention
from shanhe.identity.api import AUTOMATED, ConsentNeedsMore, NewKey, Role, purposes
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Text
from shanhe.privacy.api import (
    Conclusion,
    NewAssessment,
    RequestClosed,
    RequestKind,
    RequestState,
)
from shanhe.privacy.errors import BadText
from shanhe.privacy.model import Copy
from shanhe.privacy.paper import copy_paper
from shanhe.programmes.api import file_view
from shanhe.rulebook.api import Rulebook
from shanhe.wiring.erasure import follow_erasures
from shanhe.wiring.personal_copy import drawers_of
from stage.reading import asked

from .conftest import House

ERASED_BEFORE = Path(shanhe.wiring.__file__).parent / "migrations/1140_requests_of_the_erased.sql"
ANSWERS = {"registration_number": "2026SR1", "registered_on": "2026-02-10"}


async def assess(house: House, purpose: str = "nomad_presence") -> None:
    new = NewAssessment(new_id(), purpose, ("sensitive",), "needed", "small", "sealed", Conclusion.WITH_MEASURES)
    await house.services.privacy.assess(new, by="person:1")


class TestCopy:
    async def test_holds_everything_from_everywhere_in_plain_text(self, house: House) -> None:
        person = await house.person(phone="138 0013 8000")
        org = await house.own(person)
        await house.know(person, "residence", "青川县某路 7 号")
        await house.services.programmes.applying.apply(
            "software_copyright", org, answers=ANSWERS, evidence={"certificate": "软著登字第 1 号"}, client_ref="a",
            actor=f"person:{person}",
        )  # fmt: skip
        async with await house.browser(person) as browser:
            answer = await browser.get("/api/privacy/me/copy.json")
            paper = await browser.get("/api/privacy/me/copy.pdf")
        found = json.loads(answer.text)
        drawers = {"identity", "facts", "programmes", "credits", "ledger", "payments", "exchange", "keys"}
        assert set(found) == drawers | {
            "governance", "notices", "requests", "readings", "nomads", "store", "agents", "workshop", "estates",
            "organisation", "clones", "board", "workflows", "evaluations", "content", "break_glass", "works", "filings",
            "tags", "thumbs", "webhooks",
        }  # fmt: skip
        for part in ("林晓", "138 0013 8000", "青川县某路 7 号", "2026SR1", "软著登字第 1 号"):
            assert part in answer.text, part
        assert paper.content.startswith(b"%PDF")

    async def test_of_many_applications_asks_the_database_as_often_as_of_few(self, house: House) -> None:
        person = await house.person()
        org, programmes = await house.own(person), house.services.programmes
        draw, counts, made = drawers_of(house.services)["programmes"], list[int](), list[UUID]()
        for many in (2, 6):
            for n in range(many):
                answers = ANSWERS | {"registration_number": f"2026SR{many}00{n}"}
                made.append((await programmes.applying.apply(
                    "software_copyright", org, answers=answers, evidence={"certificate": f"软著登字第 {many}{n} 号"},
                    client_ref=f"{many}-{n}", actor=f"person:{person}",
                )).id)  # fmt: skip
            with asked() as said:
                drawn = await draw(person, [org])
            counts.append(len(said))
        assert counts[0] == counts[1]
        alone = [file_view(await programmes.file(one), programmes.programme("software_copyright"),
                           programmes.catalogue) for one in reversed(made)]  # fmt: skip
        assert drawn == alone

    async def test_is_ones_own(self, house: House) -> None:
        mine, other = await house.person("mine"), await house.person("other", name="别人")
        await house.know(other, "residence", "别处")
        async with await house.browser(mine) as browser:
            text = (await browser.get("/api/privacy/me/copy.json")).text
        assert "别人" not in text
        assert "别处" not in text


MANY = 205
"""More than any page of a list."""


async def many(house: House, person: UUID, org: UUID) -> None:
    """As many rows of each kind as `MANY`."""
    services, now = house.services, house.clock.now()
    for n in range(MANY):
        told = Notice("city.told", Text("通知", "Told"), Text("内容", "Words"), person_id=person, dedupe=str(n))
        await services.notifier.notify(told)
        await services.privacy.ask(person, RequestKind.EXPLANATION, f"why {n}", request_id=new_id())
        await services.identity.keys.create(org, NewKey(f"key {n}"), by="test")
        await services.filings.moderation.record(
            Intervention("chat", "model", "ai_label", "generated", Decision.LABELLED, org, None, f"text {n}")
        )
    ids = [new_id() for _ in range(MANY)]
    for statement in (
        """INSERT INTO agents.run (id, agent, version, org_id, key_id, face, state, budget_micro, started_at, ended_at)
           SELECT id, 'guide', 1, $2, id, 'try', 'done', 1, $3, $3 FROM unnest($1::uuid[]) id""",
        """INSERT INTO exchange.withdrawal (id, org_id, amount_fen, payee, state, actor, created_at)
           SELECT id, $2, 1, 'x', 'open', 'test', $3 FROM unnest($1::uuid[]) id""",
        """INSERT INTO privacy.reading (id, at, person_id, purpose, ground, by, about, names)
           SELECT id, $3, $2, 'benefits', 'contract', 'test', '', '{residence}' FROM unnest($1::uuid[]) id""",
    ):
        await services.db.execute(statement, ids, person if "privacy.reading" in statement else org, now)


class TestACopyOfMuch:
    async def test_holds_every_row_of_lists_that_pages_show_in_parts(self, house: House) -> None:
        person = await house.person()
        org = await house.own(person)
        await many(house, person, org)
        found = (await house.services.privacy.copy(person)).data
        assert len(found["keys"]) == MANY
        assert len(found["agents"]) == MANY
        assert len(found["notices"]) >= MANY
        assert len(found["requests"]) == MANY
        assert len(found["readings"]) >= MANY
        assert len(found["exchange"][0]["withdrawals"]) == MANY
        assert len(found["filings"][0]["moderation"]) == MANY


class TestPaper:
    """The copy that people read: in words, where the JSON beside it has the names of fields."""

    @staticmethod
    def lines(language: str, data: dict[str, Any]) -> dict[str, str]:
        copy = Copy(uuid4(), datetime(2026, 11, 27, tzinfo=UTC), data)
        paper = copy_paper(copy, city_name="山河", word=words().get, language=language)
        return {str(row[0]): str(row[1]) for table in paper.tables for row in table.rows}

    @pytest.mark.parametrize(
        ("language", "said"), [("zh", ["登录", "设置成员", "new.act"]), ("en", ["Signed in", "Member set", "new.act"])]
    )
    def test_calls_what_was_done_what_the_record_of_acts_calls_it(self, language: str, said: list[str]) -> None:
        done = [{"action": act} for act in ("sign_in", "member.set", "new.act")]
        assert list(self.lines(language, {"identity": {"actions": done}}).values()) == said
        assert [one["action"] for one in done] == ["sign_in", "member.set", "new.act"]

    def test_says_what_is_known_in_words(self) -> None:
        person = {
            "name": "林晓",
            "email_verified": False,
            "created_at": "2026-11-27T02:08:28.018860Z",
            "state": "active",
        }
        found = self.lines("zh", {"identity": {"person": person, "consents": [{"purpose": "own_access"}]}})
        assert found == {
            "本人 · 姓名或名称": "林晓", "本人 · 邮箱已验证": "否", "本人 · 创建时间": "2026-11-27 10:08:28",
            "本人 · 状态": "生效中", "同意 · 1 · 用途": "本人查阅",
        }  # fmt: skip

    def test_says_sums_with_their_unit_and_lists_on_one_line(self) -> None:
        data = {
            "credits": {"paid_fen": 123_450, "quantity_micro": 2_000_000},
            "readings": [{"names": ["born_on", "role"]}],
        }
        zh, en = self.lines("zh", data), self.lines("en", data)
        assert zh == {"已付": "1,234.50 元", "数量": "2.000000 积分", "1 · 读取的事实": "出生日期、人才岗位"}
        assert en == {"paid": "CNY 1,234.50", "quantity": "2.000000 credits", "1 · names": "Date of birth, Talent role"}

    def test_says_what_a_rule_decided_without_its_arithmetic_and_in_one_language(self) -> None:
        trace = Rulebook.load().evaluate("N1", {"days_present": 91, "resident": False, "insured_here": False,
                                          "applied_on": date(2026, 11, 28)},
                                         on=date(2026, 11, 28)).trace  # fmt: skip
        data = {"nomads": {"decisions": [{"title": {"zh": "身份卡", "en": "ID"}, "traces": {"N1_qualify": trace}}],
                           "role": "owner"}}  # fmt: skip
        zh, en = self.lines("zh", data), self.lines("en", data)
        assert len(zh) == 3
        assert zh["决定 · 1 · 标题"] == "身份卡"
        assert zh["决定 · 1 · 规则判断 · N1_qualify"].startswith("数字游民认定 2026-11-28 ")
        assert "是否符合：是；还差天数：0" in zh["决定 · 1 · 规则判断 · N1_qualify"]  # in words, as on the pages
        assert "Qualifies: yes" in en["decisions · 1 · traces · N1 qualify"]
        assert en["decisions · 1 · title"] == "ID"
        assert zh["角色"] == "负责人"


class TestRequest:
    async def test_is_asked_once_answered_in_time_and_told(self, house: House) -> None:
        person, clerk = await house.person(), await house.person("clerk", Role.OPERATOR)
        body = {"id": str(uuid4()), "kind": "correction", "text": "我已搬到青川"}
        async with await house.browser(person) as mine, await house.browser(clerk) as desk:
            for _ in range(2):
                assert (await mine.post("/api/privacy/me/requests", json=body)).status_code == 201
            other = await mine.post("/api/privacy/me/requests", json=body | {"text": "别的"})
            assert other.status_code == 409
            (asked,) = (await desk.get("/api/privacy/requests")).json()["data"]
            assert asked["asked"] == "我已搬到青川"
            path = f"/api/privacy/requests/{asked['id']}/answer"
            assert (await mine.post(path, json={"done": True, "answer": "x"})).status_code == 403
            for _ in range(2):
                assert (await desk.post(path, json={"done": True, "answer": "已更正"})).status_code == 200
            assert (await desk.post(path, json={"done": False, "answer": "不"})).status_code == 409
            standing = (await mine.get("/api/privacy/me")).json()
        assert [(one["state"], one["answer"]) for one in standing["requests"]] == [("done", "已更正")]
        notices = await house.services.notifier.inbox(person, [])
        assert [(notice.kind, notice.title.zh) for notice in notices] == [
            ("privacy.answered", "您的个人信息请求已办理")
        ]
        assert "更正" not in notices[0].body.zh  # what was answered stays sealed

    async def test_that_nobody_answers_is_told_to_the_operators_once(self, house: House) -> None:
        person, privacy = await house.person(), house.services.privacy
        made = await privacy.ask(person, RequestKind.EXPLANATION, "why?", request_id=uuid4())
        assert made.due_at - made.asked_at == timedelta(days=15)
        assert await privacy.escalate() == 0
        house.clock.advance(days=15, seconds=1)
        assert (await privacy.escalate(), await privacy.escalate()) == (1, 0)
        told = await house.services.notifier.inbox(uuid4(), [], operator=True)
        assert [one.kind for one in told].count("privacy.overdue") == 1
        decided = await privacy.decide(made.id, done=False, answer="it is the law", by="person:1")
        assert decided.state is RequestState.REFUSED
        (said,) = await house.services.notifier.inbox(person, [])
        assert said.title.zh == "您的个人信息请求已答复"
        with pytest.raises(RequestClosed):
            await privacy.decide(made.id, done=True, answer="well", by="person:1")

    async def test_that_nobody_answered_goes_with_its_person(self, house: House) -> None:
        services, stays = house.services, await house.person()
        follow_erasures(services.outbox, services)
        goes, before = await house.person("goes"), await house.person("before")
        asked = [await services.privacy.ask(one, RequestKind.OTHER, "?", request_id=uuid4()) for one in (goes, goes)]
        await services.privacy.decide(asked[0].id, done=True, answer="!", by="person:1")
        for one in (stays, before):
            await services.privacy.ask(one, RequestKind.OTHER, "?", request_id=uuid4())
        await services.identity.people.erase(goes, by="person:1")
        while await services.outbox.deliver_due():
            pass
        assert await self.waiting(house) == {stays, before}
        assert [one.state for one in await services.privacy.requests(person_id=goes)] == [RequestState.DONE]
        await services.identity.people.erase(before, by="person:1")
        assert before in await self.waiting(house)  # as an earlier release left it
        await services.db.execute(ERASED_BEFORE.read_text())
        assert await self.waiting(house) == {stays}

    async def waiting(self, house: House) -> set[UUID]:
        return {one.person_id for one in await house.services.privacy.requests(open_only=True)}


class TestStanding:
    async def test_says_what_is_used_and_on_which_consent(self, house: House) -> None:
        person, other, consents = await house.person(), await house.person("other"), house.services.identity.consents

        async def stands(name: str) -> tuple[bool, str]:
            found = {one.purpose: one for one in await house.services.privacy.standings(person)}
            return found[name].used, found[name].consented

        version = purposes()["nomad_presence"].notice(house.clock.today()).version
        await consents.give(other, "nomad_presence", notice_version=version, apart=True)
        assert await stands("nomad_presence") == (False, "")
        for _ in range(2):
            await consents.give(person, "nomad_presence", notice_version=version, apart=True)
            assert await stands("nomad_presence") == (True, version)
            assert await stands("clone_likeness") == (False, "")
            await consents.withdraw(person, "nomad_presence")
            assert await stands("nomad_presence") == (False, "")
        await consents.refuse(person, AUTOMATED)
        assert await stands(AUTOMATED) == (False, "")
        await consents.accept(person, AUTOMATED)
        assert await stands(AUTOMATED) == (True, "")
        nobody = await house.services.privacy.standings(None)
        assert not any(one.used or one.consented for one in nobody)


class TestAssessment:
    async def test_is_due_for_what_is_sensitive_and_kept_three_years(self, house: House) -> None:
        privacy = house.services.privacy
        assert await privacy.unassessed() == [AUTOMATED, "nomad_presence", "clone_likeness"]
        await assess(house)
        assert await privacy.unassessed() == [AUTOMATED, "clone_likeness"]
        with pytest.raises(BadText):
            empty = NewAssessment(new_id(), AUTOMATED, ("automated",), " ", "x", "x", Conclusion.ACCEPTABLE)
            await privacy.assess(empty, by="person:1")
        (made,) = await privacy.assessments()
        assert str(made.keep_until) == "2029-03-02"
        house.clock.advance(days=3 * 365)
        await privacy.retain()
        assert len(await privacy.assessments()) == 1
        house.clock.advance(days=2)
        await privacy.retain()
        assert await privacy.assessments() == []


class TestChild:
    async def test_consents_through_its_guardian_only(self, house: House) -> None:
        child, guardian = await house.person("child"), await house.person("mother")
        stranger = await house.person("stranger")
        await house.know(child, "born_on", "2015-06-01")
        await house.know(child, "guardian", True, key=guardian)
        with pytest.raises(ConsentNeedsMore, match="guardian"):
            await house.services.identity.consents.give(child, "newsletter", notice_version="1")
        body = {"purpose": "newsletter", "notice_version": "1"}
        for person, status in ((stranger, 403), (guardian, 201)):
            async with await house.browser(person) as browser:
                answer = await browser.post(f"/api/privacy/children/{child}/consents", json=body)
                assert answer.status_code == status, answer.text
        (given,) = await house.services.identity.consents.of(child)
        assert given.given_by == guardian
        house.clock.advance(days=4 * 365)  # fourteen by then
        await house.services.identity.consents.give(child, "policy_research", notice_version="1")


class TestRefusal:
    async def test_takes_decisions_from_rules_to_people_and_back(self, house: House) -> None:
        person = await house.person()
        await house.own(person)
        await house.know(person, "role", "data_analyst")
        await house.services.programmes.budgets.fund(
            "talent_credit", 10**13, reason="yearly", actor="test", funding_id=new_id()
        )
        async with await house.browser(person) as browser:
            assert (await browser.put(f"/api/privacy/me/refusals/{AUTOMATED}")).status_code == 200
            assert (await browser.put("/api/privacy/me/refusals/programmes")).status_code == 422
            body = {"programme": "role_grant", "client_ref": "a", "answers": {}, "evidence": {}}
            made = (await browser.post("/api/programmes/applications", json=body)).json()
            assert made["state"] == "in_review"
            programme = house.services.programmes.programme("role_grant")
            clerk = await house.person("clerk")
            await house.services.programmes.reviewing.assign(clerk, programme.appeal[0].by, actor="test")
            async with await house.browser(clerk) as desk:
                queue = (await desk.get("/api/programmes/queue")).json()["data"]
                assert [row["id"] for row in queue] == [made["id"]]
                verdict = {"verdict": "pass", "assessed": {}}
                path = f"/api/programmes/applications/{made['id']}/verdicts"
                done = (await desk.post(path, json=verdict)).json()
            assert done["state"] == "active"
            await browser.delete(f"/api/privacy/me/refusals/{AUTOMATED}")
            assert not await house.services.identity.consents.refused(person, AUTOMATED)

    async def test_keeps_a_refusal_by_rules_alone_from_standing(self, house: House) -> None:
        person = await house.person()
        org = await house.own(person)
        await house.services.identity.consents.refuse(person, AUTOMATED)
        app = await house.services.programmes.applying.apply(
            "role_grant", org, answers={}, evidence={}, client_ref="a", actor=f"person:{person}"
        )
        assert app.state == "in_review"  # nothing is known of a role: rules alone would have said no, or nothing


class TestPage:
    async def test_leads_through_every_right(self, house: House) -> None:
        person = await house.person()
        await house.own(person)
        async with await house.browser(person) as browser:
            page = await browser.get("/my-data", headers={"accept": "text/html"})
            assert page.status_code == 200
            token = {"csrf": browser.headers["x-csrf-token"]}
            agree = token | {"do": "consent", "version": "1", "apart": "on"}
            kept = await browser.post("/my-data/purposes/nomad_presence", data=agree)
            assert kept.headers["location"] == "/my-data?done=choice_kept"
            assert await house.services.identity.consents.has(person, "nomad_presence")
            await browser.post("/my-data/purposes/nomad_presence", data=token | {"do": "withdraw"})
            assert not await house.services.identity.consents.has(person, "nomad_presence")
            await browser.post(f"/my-data/purposes/{AUTOMATED}", data=token | {"do": "refuse"})
            assert await house.services.identity.consents.refused(person, AUTOMATED)
            fields = {"name": "林小晓", "email": "lin@example.cn", "phone": ""}
            assert (await browser.post("/my-data/correct", data=token | fields)).status_code == 303
            assert (await house.services.identity.people.get(person)).name == "林小晓"
            ask = {"kind": "explanation", "text": "为什么", "id": str(uuid4())}
            assert (await browser.post("/my-data/ask", data=token | ask)).status_code == 303
            page = (await browser.get("/my-data", headers={"accept": "text/html"})).text
            assert "为什么" in page
            assert "own_access" in page  # looking at one's facts is a reading, too
            wrong = await browser.post("/my-data/erase", data=token | {"password": "no"})
            assert wrong.status_code == 401
            gone = await browser.post("/my-data/erase", data=token | {"password": "correct horse 电池"})
            assert gone.headers["location"] == "/sign-in?done=erased"
        assert not house.services.vault.exists(person)

    async def test_of_the_desk_answers_and_assesses(self, house: House) -> None:
        person, clerk = await house.person(), await house.person("clerk", Role.OPERATOR)
        asked = await house.services.privacy.ask(person, RequestKind.CORRECTION, "地址有误", request_id=uuid4())
        async with await house.browser(clerk) as browser:
            page = (await browser.get("/city/privacy", headers={"accept": "text/html"})).text
            assert "地址有误" in page
            token = {"csrf": browser.headers["x-csrf-token"]}
            path = f"/city/privacy/requests/{asked.id}"
            assert (await browser.post(path, data=token | {"do": "done", "answer": "已改"})).status_code == 303
            fields = {"purpose": "nomad_presence", "ground_sensitive": "on", "necessity": "a", "impact": "b",
                      "safeguards": "c", "conclusion": "acceptable"}  # fmt: skip
            assert (await browser.post("/city/privacy/assessments", data=token | fields)).status_code == 303
        assert (await house.services.privacy.requests(person_id=person))[0].answer == "已改"
        assert (await house.services.privacy.assessments())[0].purpose == "nomad_presence"
