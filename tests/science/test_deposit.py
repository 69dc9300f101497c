"""T11, T17: what is deposited has authors who agreed; a reuse that is confirmed earns them points once, by shares."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from shanhe.datasets.api import NewDataset
from shanhe.identity.api import Role
from shanhe.kernel import yaml
from shanhe.kernel.ids import new_id
from shanhe.science import store
from shanhe.science.api import (
    AlreadyDeclared,
    BadDeposit,
    Deposit,
    DraftChanged,
    How,
    JudgesOwn,
    Kind,
    NewVersion,
    NotAgreed,
    NotYours,
    OwnDeposit,
    Reuse,
    ReuseState,
    Science,
    State,
    UnknownDeposit,
    UnknownReuse,
    WrongState,
    reuse_view,
)
from shanhe.studio import store as studio_store
from shanhe.studio.model import Job

from .conftest import City

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHOLE = 1_000_000
THIRDS = (333_334, 333_333, 333_333)


def science_of(city: City) -> Science:
    return city.services.commons.science


def version(*authors: tuple[UUID, int], title: str = "焊缝缺陷图像", licence: str = "CC-BY-4.0") -> NewVersion:
    return NewVersion(title, "两千张标注图像", licence, "b" * 64, "https://example.cn/data", tuple(authors))


async def published(
    city: City, *authors: UUID, shares: Sequence[int] = (WHOLE,), title: str = "焊缝缺陷图像"
) -> Deposit:
    """Deposited by the first author, agreed to by the others, public."""
    science, number = science_of(city), new_id()
    new = version(*zip(authors, shares, strict=True), title=title)
    await science.deposit(number, Kind.DATASET, new, org_id=authors[0], actor="test")
    for party in authors[1:]:
        await science.agree(number, org_id=party, actor="test")
    return await science.publish(number, org_id=authors[0], actor="test")


async def reused(city: City, found: Deposit, by: UUID, ref: str = "") -> Reuse:
    """Somebody says that a paper of theirs reused it."""
    doi = ref or f"10.1234/{uuid4().hex}"
    return await science_of(city).declare(new_id(), found.id, How.PAPER, doi, org_id=by, actor="test")


async def points(city: City, *orgs: UUID) -> list[int]:
    return [await city.income(org, "point", "wallet") for org in orgs]


class TestDeposit:
    async def test_is_public_once_every_author_has_agreed_and_keeps_its_name(self, city: City) -> None:
        one, two = await city.company("甲所"), await city.person("乙")
        science, number = science_of(city), new_id()
        made = await science.deposit(
            number, Kind.NEGATIVE, version((one, 600_000), (two, 400_000)), org_id=one, actor="test"
        )
        with pytest.raises(NotAgreed):
            await science.publish(number, org_id=one, actor="test")
        with pytest.raises(UnknownDeposit):
            await science.get(number, await city.company("路人"))
        await science.agree(number, org_id=two, actor="test")
        found = await science.publish(number, org_id=one, actor="test")
        assert (found.state, found.name) == (State.PUBLISHED, made.name)
        await science.revise(number, version((one, WHOLE), title="第二版"), org_id=one, actor="test")
        assert (await science.get(number)).current == found.current  # a draft changes nothing
        again = await science.publish(number, org_id=one, actor="test")
        assert again.name == found.name
        assert again.current is not None
        assert (again.current.n, again.current.title) == (2, "第二版")

    async def test_is_agreed_to_as_it_was_read(self, city: City) -> None:
        one, two = await city.company("甲所"), await city.company("乙所")
        science, number = science_of(city), new_id()
        first = version((one, 500_000), (two, 500_000))
        read = await science.deposit(number, Kind.DATASET, first, org_id=one, actor="test")
        less = version((one, 999_000), (two, 1_000), title="另一批数据")
        await science.revise(number, less, org_id=one, actor="test")
        with pytest.raises(DraftChanged):
            await science.agree(number, org_id=two, actor="test", digest=read.versions[0].digest)
        assert (await science.get(number, two)).versions[0].waiting == [two]
        told = "SELECT count(*) FROM kernel.notice WHERE org_id = $1 AND kind = 'science.changed'"
        assert await city.services.db.fetchval(told, two) == 2  # of each that was not the one before
        async with await city.browser(two) as client:
            now = (await client.get("/api/science/mine")).json()["data"][0]["versions"][0]["digest"]
            path = f"/api/science/deposits/{number}/agree"
            late = await client.post(path, json={"digest": read.versions[0].digest})
            assert late.json()["error"]["code"] == "draft_changed"
            assert (await client.post(path, json={"digest": now})).status_code == 200
        await science.revise(number, less, org_id=one, actor="test")  # the same: nobody has to agree again
        assert await city.services.db.fetchval(told, two) == 2
        for draft in (first, less):  # back and forth: each time anew
            await science.revise(number, draft, org_id=one, actor="test")
        assert (await science.get(number, two)).versions[0].waiting == [two]
        assert await city.services.db.fetchval(told, two) == 4
        await science.agree(number, org_id=two, actor="test")
        assert (await science.publish(number, org_id=one, actor="test")).state is State.PUBLISHED

    async def test_shows_an_author_the_draft_and_not_what_is_public_of_it(self, city: City) -> None:
        one, two = await city.company("甲所"), await city.company("乙所")
        found = await published(city, one)
        next_one = version((one, 750_000), (two, 250_000), title="第二版的名称")
        await science_of(city).revise(found.id, next_one, org_id=one, actor="test")
        async with await city.browser(two) as client:
            page = await read(client, f"/science/{found.id}")
            assert "第二版的名称" in page
            assert "25 %" in page
            shown = re.search(r'name="digest" value="([0-9a-f]{64})"', page)
            assert shown is not None
            late = await post(client, f"/science/{found.id}/agree", {"digest": "0" * 64})
            assert "已修改" in late.text
            assert (await post(client, f"/science/{found.id}/agree", {"digest": shown[1]})).status_code == 303
        assert (await science_of(city).get(found.id, two)).versions[0].waiting == []

    @pytest.mark.parametrize(
        ("field", "given"),
        [("licence", {"licence": "all rights reserved"}), ("title", {"title": " "})],
    )
    async def test_names_the_field_that_is_not_in_order(self, city: City, field: str, given: dict[str, str]) -> None:
        org = await city.company()
        with pytest.raises(BadDeposit, match=field):
            await science_of(city).deposit(
                new_id(), Kind.CODE, version((org, WHOLE), **given), org_id=org, actor="test"
            )

    async def test_has_shares_that_sum_to_a_whole(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        for shares in ((500_000, 499_999), (500_000, 500_001)):
            with pytest.raises(BadDeposit, match="authors"):
                await published(city, one, two, shares=shares)

    async def test_that_is_retracted_stays_to_be_seen_and_earns_no_more(self, city: City) -> None:
        author, user = await city.company("甲"), await city.company("乙")
        science, found = science_of(city), await published(city, author)
        waiting = await reused(city, found, user)
        with pytest.raises(BadDeposit, match="say why"):
            await science.retract(found.id, reason=" ", org_id=author, actor="test")
        gone = await science.retract(found.id, reason="标注有误", org_id=author, actor="test")
        assert (gone.state, gone.retraction) == (State.RETRACTED, "标注有误")
        assert (await science.get(found.id)).retraction == "标注有误"
        assert found.id not in {one.id for one in (await science.shown()).rows}
        with pytest.raises(WrongState):
            await reused(city, found, user)
        decided = await science.confirm(waiting.id, org_id=author, actor="test")
        assert (decided.earns, decided.why_not) == (False, "retracted")
        assert await points(city, author) == [0]
        notices = await city.services.notifier.inbox(new_id(), [user])
        assert any("撤回" in one.title.zh for one in notices)
        with pytest.raises(WrongState):
            await science.revise(found.id, version((author, WHOLE)), org_id=author, actor="test")

    async def test_of_many_reuses_counts_them_all_and_tells_every_user_that_it_is_retracted(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        author, users = await city.company("甲"), [await city.company(f"乙{n}") for n in range(3)]
        science, found = science_of(city), await published(city, author)
        for user in users:
            await science.confirm((await reused(city, found, user)).id, org_id=author, actor="test")
        monkeypatch.setattr(store.reuses, "__kwdefaults__", (store.reuses.__kwdefaults__ or {}) | {"most": 1})
        async with city.visitor() as anybody:
            assert (await anybody.get(f"/api/science/deposits/{found.id}")).json()["reused"] == len(users)
        await science.retract(found.id, reason="标注有误", org_id=author, actor="test")
        for user in users:
            assert any("撤回" in one.title.zh for one in await city.services.notifier.inbox(new_id(), [user]))

    async def test_is_retracted_by_who_deposited_it_and_once(self, city: City) -> None:
        one, two = await city.company("甲所"), await city.company("乙所")
        science, found = science_of(city), await published(city, one, two, shares=(500_000, 500_000))
        for other in (two, await city.company("路人")):
            with pytest.raises(UnknownDeposit):
                await science.retract(found.id, reason="不是我的", org_id=other, actor="test")
        draft = await science.deposit(new_id(), Kind.CODE, version((one, WHOLE)), org_id=one, actor="test")
        with pytest.raises(WrongState):
            await science.retract(draft.id, reason="草稿", org_id=one, actor="test")
        with pytest.raises(UnknownDeposit):  # whose draft it is not
            await science.agree(draft.id, org_id=two, actor="test")
        await science.retract(found.id, reason="有误", org_id=None, actor="test")  # the department
        again = await science.retract(found.id, reason="另一理由", org_id=one, actor="test")
        assert again.retraction == "有误"
        assert [each.event for each in await science.history(found.id)].count("retracted") == 1

    async def test_leaves_a_history_that_nobody_changes_and_the_log_proves(self, city: City) -> None:
        found = await published(city, await city.person("丙"))
        past = await science_of(city).history(found.id)
        assert [one.event for one in past] == ["drafted", "published"]
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await city.services.db.execute("DELETE FROM science.history")
        await city.services.log.seal()
        assert await city.services.log.store.entry_of(past[-1].id) is not None

    async def test_is_cited_as_cff_bibtex_and_datacite(self, city: City) -> None:
        author = await city.company("青山 & 研究所")
        found = await published(city, author, title="质检：100 % 的 {失败}")
        async with await city.browser(author) as client:
            cff, bib, datacite = [
                (await client.get(f"/api/science/deposits/{found.id}/cite/{form}")).text
                for form in ("cff", "bibtex", "datacite")
            ]
            assert (await client.get(f"/api/science/deposits/{found.id}/cite/ris")).status_code == 404
        read = yaml.read(cff)
        assert (read["title"], read["license"]) == ("质检：100 % 的 {失败}", "CC-BY-4.0")
        assert read["authors"] == [{"name": "青山 & 研究所"}]
        assert r"{质检：100 \% 的 \{失败\}}" in bib
        assert r"青山 \& 研究所" in bib
        made = json.loads(datacite)
        assert made["identifiers"] == [{"identifier": found.name, "identifierType": "local"}]
        assert made["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"


class TestReuse:
    async def test_that_an_author_confirms_earns_five_points_once_by_shares(self, city: City) -> None:
        authors = [await city.company(name) for name in ("甲", "乙", "丙")]
        found = await published(city, *authors, shares=THIRDS)
        science, one = science_of(city), await reused(city, found, await city.company("丁"))
        assert await points(city, *authors) == [0, 0, 0]
        for _ in range(2):
            decided = await science.confirm(one.id, org_id=authors[1], actor="test")
        assert (decided.state, decided.earns) == (ReuseState.CONFIRMED, True)
        assert await points(city, *authors) == [2, 2, 1]  # the largest remainder; ties to the earlier author
        assert (await science.tick())["paid"] == 0
        assert await points(city, *authors) == [2, 2, 1]
        assert (await city.services.ledger.verify()).clean

    async def test_is_paid_after_a_crash_between_the_word_and_the_points(self, city: City) -> None:
        author = await city.company("甲")
        science = science_of(city)
        one = await reused(city, await published(city, author), await city.company("乙"))
        award, science.award = science.award, None
        await science.confirm(one.id, org_id=author, actor="test")
        science.award = award
        assert await points(city, author) == [0]
        assert (await science.tick())["paid"] == 1
        assert await points(city, author) == [5]

    async def test_of_one_thing_counts_once_though_it_is_declared_at_once(self, city: City) -> None:
        found, user = await published(city, await city.company("甲")), await city.company("乙")
        doi = f"10.5555/{uuid4().hex}"
        tries = (doi, f"https://doi.org/{doi}", f"DOI:{doi.upper()}")
        said = await asyncio.gather(*(reused(city, found, user, each) for each in tries), return_exceptions=True)
        assert sorted(type(one).__name__ for one in said) == ["AlreadyDeclared", "AlreadyDeclared", "Reuse"]
        with pytest.raises(AlreadyDeclared):
            await reused(city, found, await city.company("丙"), doi)

    async def test_of_ones_own_or_a_relatives_or_in_a_circle_earns_nothing(self, city: City) -> None:
        science, author = science_of(city), await city.company("甲")
        found = await published(city, author)
        with pytest.raises(OwnDeposit):
            await reused(city, found, author)
        relative, shared = await city.company("甲的关联公司"), await city.someone("共同成员")
        for org in (author, relative):
            await city.services.identity.orgs.set_member(org, shared, Role.MEMBER, by="test")
        one = await reused(city, found, relative)
        decided = await science.confirm(one.id, org_id=author, actor="test")
        assert (decided.earns, decided.why_not) == (False, "related")

        other = await city.company("丙")
        back = await published(city, other)
        first = await science.declare(new_id(), found.id, How.DEPOSIT, back.name, org_id=other, actor="test")
        await science.confirm(first.id, org_id=author, actor="test")
        assert await points(city, author) == [5]
        circle = await science.declare(new_id(), back.id, How.DEPOSIT, found.name, org_id=author, actor="test")
        decided = await science.confirm(circle.id, org_id=other, actor="test")
        assert (decided.earns, decided.why_not) == (False, "mutual")
        assert await points(city, other) == [0]

    async def test_names_a_thing_that_is_the_declarers(self, city: City) -> None:
        science, found = science_of(city), await published(city, await city.company("甲"))
        user, other = await city.company("乙"), await published(city, await city.company("丙"))
        for how, ref in ((How.DEPOSIT, other.name), (How.LISTING, "agent/none"), (How.MODEL, "none"),
                         (How.DATASET, str(new_id()))):  # fmt: skip
            with pytest.raises(NotYours):
                await science.declare(new_id(), found.id, how, ref, org_id=user, actor="test")
        mine = await published(city, user)
        draft = await science.deposit(new_id(), Kind.CODE, version((user, WHOLE)), org_id=user, actor="test")
        await science.retract(mine.id, reason="有误", org_id=user, actor="test")
        for own in (mine, draft):  # neither what was taken back, nor what is not public
            with pytest.raises(NotYours):
                await science.declare(new_id(), found.id, How.DEPOSIT, own.name, org_id=user, actor="test")
        with pytest.raises(BadDeposit, match="DOI"):
            await reused(city, found, user, "my paper")

    async def test_is_refused_with_a_reason_and_may_be_declared_again(self, city: City) -> None:
        author, user = await city.company("甲"), await city.company("乙")
        science, found = science_of(city), await published(city, author)
        one = await reused(city, found, user, doi := f"10.1234/{uuid4().hex}")
        with pytest.raises(UnknownReuse):
            await science.confirm(one.id, org_id=user, actor="test")  # nobody confirms what they declared
        decided = await science.refuse(one.id, reason="文中未引用", org_id=author, actor="test")
        assert (decided.state, decided.reason) == (ReuseState.REFUSED, "文中未引用")
        again = await reused(city, found, user, doi)
        reviewer = await city.reviewer("science")
        with pytest.raises(UnknownReuse):
            await science.review(again.id, confirm=True, reason="", person_id=await city.someone())
        confirmed = await science.review(again.id, confirm=True, reason="", person_id=reviewer)
        assert confirmed.earns
        third = await reused(city, found, user)
        await city.signed_in(user, reviewer)
        with pytest.raises(JudgesOwn):
            await science.review(third.id, confirm=True, reason="", person_id=reviewer)

    async def test_that_the_studio_knows_of_needs_nobodys_word(self, city: City) -> None:
        author, user = await city.company("甲"), await city.company("乙")
        services, science = city.services, science_of(city)
        rows = b'{"question": "q1", "answer": "a1"}\n{"question": "q2", "answer": "a2"}\n'
        datasets = services.workshop.datasets
        new = NewDataset("焊缝问答", "pairs", "CC-BY-4.0", "own")
        kept = await datasets.bring(author, new, "q.jsonl", rows, by="test")
        number = new_id()
        await science.deposit(number, Kind.DATASET, version((author, WHOLE)), org_id=author, actor="test")
        with pytest.raises(NotYours):
            await science.publish(number, org_id=author, actor="test", dataset=str(new_id()))
        await science.publish(number, org_id=author, actor="test", dataset=str(kept.dataset_id))
        job = Job(
            id=new_id(), org_id=user, name=f"tuned-{user.hex[-6:]}", dataset_id=kept.dataset_id, version_id=kept.id,
            recipe={}, rubric="", state="waiting", steps=1, budget_micro=1, spent_micro=0, core_ms=0, hold_id=new_id(),
            worker=None, cancel_asked=False, error=None, made_by="t", made_at=services.clock.now(), started_at=None,
            ended_at=None, settled_at=None,
        )  # fmt: skip
        async with services.db.transaction() as conn:
            await studio_store.insert_job(conn, job, None, ())
        await datasets.used(kept.id, "train", str(job.id), job.name)
        for expected in (1, 0):
            assert (await science.tick())["measured"] == expected
        (one,) = await science.reuses(number)
        assert (one.source, one.state, one.org_id, one.ref) == ("measured", ReuseState.CONFIRMED, user, job.name)
        assert (await reuse_view(science, one))["ref"] == ""  # what a model is called that nobody declared
        assert await points(city, author) == [5]
        await science.retract(number, reason="有误", org_id=author, actor="test")
        await datasets.used(kept.id, "train", str(new_id()), "another")
        assert (await science.tick())["measured"] == 0

    async def test_is_found_however_many_were_published_after_it(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        author, science = await city.company("甲所"), science_of(city)
        sought = await published(city, author, title="地磁观测记录")
        for n in range(4):
            await published(city, author, title=f"水文观测 {n}")
        monkeypatch.setattr(store, "ROWS_MAX", 2)
        assert [one.id for one in (await science.shown(find="地磁")).rows] == [sought.id]
        assert len((await science.shown(find="水文")).rows) == 4

    async def test_is_seen_by_everybody_over_http(self, city: City) -> None:
        author, user = await city.company("甲所"), await city.company("乙所")
        async with await city.browser(author) as mine, await city.browser(user) as theirs:
            body = {"kind": "protocol", "title": "超声检测步骤", "licence": "CC0-1.0", "link": "https://example.cn/p"}
            made = (await mine.post("/api/science", json=body)).json()
            assert (await theirs.get(f"/api/science/deposits/{made['id']}")).status_code == 404
            assert (await mine.post(f"/api/science/deposits/{made['id']}/publish", json={})).status_code == 200
            reuse = {"deposit": made["name"], "how": "paper", "ref": "10.1234/超声"}
            said = await theirs.post("/api/science/reuses", json=reuse)
            assert said.status_code == 201, said.text
            path = f"/api/science/reuses/{said.json()['id']}/verdict"
            assert (await theirs.post(path, json={"confirm": True})).status_code == 404
            waiting = (await mine.get("/api/science/reuses")).json()["of_mine"]
            assert [one["by"] for one in waiting] == ["乙所"]
            assert (await mine.post(path, json={"confirm": True})).json()["earns"] is True
            shown = (await theirs.get(f"/api/science/deposits/{made['id']}")).json()
            assert (shown["reused"], [one["by"] for one in shown["reuses"]]) == (1, ["乙所"])
            listed = (await theirs.get("/api/science", params={"find": "超声"})).json()["data"]
            assert [(one["name"], one["reused"]) for one in listed] == [(made["name"], 1)]


class TestConsole:
    async def test_registers_offers_and_verifies_a_right_from_page_to_page(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        officer = await city.reviewer("ip_office")
        async with (
            await city.browser(one) as mine, await city.browser(two) as theirs,
            await city.signed_in(await city.company("局"), officer) as desk,
        ):  # fmt: skip
            number = str(uuid4())
            form = {
                "id": number, "kind": "ai_invention_patent", "number": city.number(), "title": "一种声学检漏方法",
                "granted_on": "2026-01-20", "shares": f"{one} 66.6667\n{two} 33.3333%", "rate": "1.5",
            }  # fmt: skip
            made = await post(mine, "/ip/mine", form)
            assert made.headers["location"] == f"/ip/{number}?done=right_registered"
            assert "本单位 66.6667" in await read(mine, f"/ip/{number}")  # as one can send it again
            nobody = await post(mine, f"/ip/{number}/change", form | {"shares": "本单位 50\n无此公司 50"})
            assert nobody.status_code == 422
            assert "没有找到“无此公司”" in nobody.text
            changed = form | {"abstract": "听声辨漏", "shares": f"{one} 66.6667\n{two} 33.3333"}
            assert (await post(mine, f"/ip/{number}/change", changed)).status_code == 303
            assert "听声辨漏" in await read(mine, f"/ip/{number}")
            assert "等您确认" in await read(theirs, "/ip/mine")
            assert "33.3333 %" in await read(theirs, f"/ip/{number}")
            assert (await post(theirs, f"/ip/{number}/accept")).status_code == 303
            assert (await post(mine, f"/ip/{number}/file")).status_code == 303
            assert "一种声学检漏方法" in await read(desk, "/ip/queue")
            for place in ("/review", "/ip"):  # where a clerk finds it
                assert 'href="/ip/queue"' in await read(desk, place)
            assert 'href="/ip/queue"' not in await read(mine, "/ip")
            refused = await post(mine, f"/ip/{number}/verify", {"reason": "自己核验"})
            assert refused.status_code == 403
            assert (await post(desk, f"/ip/{number}/verify", {"reason": "属实"})).status_code == 303
            assert "1.5 %" in await read(mine, "/ip?pooled=1&find=声学")
            assert "核验通过" in await read(theirs, f"/ip/{number}")
            wrong = await post(mine, f"/ip/{number}/terms", {"shares": f"{one} 50\n{two} 49", "rate": ""})
            assert wrong.status_code == 422
            assert "合计恰为" in wrong.text
        async with city.visitor() as visitor:
            assert "一种声学检漏方法" in await read(visitor, f"/ip/{number}")
            assert "调用与收入" not in await read(visitor, f"/ip/{number}")

    async def test_publishes_cites_and_answers_a_reuse_from_page_to_page(self, city: City) -> None:
        author, user = await city.company("甲所"), await city.company("乙所")
        async with await city.browser(author) as mine, await city.browser(user) as theirs:
            number, said = str(uuid4()), str(uuid4())
            form = {"id": number, "kind": "negative", "licence": "CC-BY-4.0", "title": "声学检漏失败记录"}
            again = await post(mine, "/science/mine", form)
            assert again.status_code == 422
            assert "声学检漏失败记录" in again.text
            assert (await post(mine, "/science/mine", form | {"link": "https://example.cn/log"})).status_code == 303
            assert (await post(mine, f"/science/{number}/publish", {"dataset": ""})).status_code == 303
            second = {"title": "声学检漏失败记录（补）", "licence": "CC-BY-4.0", "link": "https://example.cn/log2"}
            assert (await post(mine, f"/science/{number}/revise", second)).status_code == 303
            assert "声学检漏失败记录" in await read(theirs, "/science?find=声学&kind=negative")
            reuse = {"id": said, "how": "paper", "ref": "doi:10.1234/LEAK"}
            assert (await post(theirs, f"/science/{number}/declare", reuse)).status_code == 303
            assert "10.1234/leak" in await read(mine, "/science/mine")
            assert (await post(mine, f"/science/reuses/{said}/confirm")).status_code == 303
            assert "已确认 1 次" in await read(theirs, f"/science/{number}")
            assert "@misc" in await read(theirs, f"/science/{number}/cite/bibtex")
            assert (await post(mine, f"/science/{number}/retract", {"reason": "标注有误"})).status_code == 303
        async with city.visitor() as visitor:
            assert "标注有误" in await read(visitor, f"/science/{number}")
            assert "声学检漏失败记录" not in await read(visitor, "/science")


async def read(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def post(client: httpx.AsyncClient, path: str, fields: dict[str, str] | None = None) -> httpx.Response:
    return await client.post(path, data={"csrf": client.headers["x-csrf-token"], **(fields or {})})
