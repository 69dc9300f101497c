"""T15, T16, T17: a right is registered once, its holders consent to shares and rate, every call pays them by both."""

from __future__ import annotations

import asyncio
import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.ip import store
from shanhe.ip.api import (
    BadEntry,
    JudgesOwn,
    Kind,
    NewEntry,
    NotAlone,
    NotConsented,
    NotYourOffice,
    NumberTaken,
    State,
    TermsState,
    UnknownEntry,
    WrongState,
)
from shanhe.ip.model import CONTENT
from shanhe.ip.views import line_views
from shanhe.kernel import paging
from shanhe.programmes.api import AlreadyClaimed, Verdict
from shanhe.programmes.api import State as Applied

from .conftest import CREDIT, WHOLE, City, ways_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
THIRDS = (333_334, 333_333, 333_333)


class TestNumber:
    async def test_is_registered_once_and_the_refusal_says_nothing_of_the_other(self, city: City) -> None:
        number, other = city.number(), await city.company()
        await city.verified(await city.person("王小明"), number, title="王小明的发明")
        for written in ways_of(number):
            with pytest.raises(NumberTaken) as refused:
                await city.draft(other, written)
            said = str(refused.value.to_dict("zh")) + str(refused.value.to_dict("en"))
            assert "王小明" not in said
            assert "只能登记一次" in said

    async def test_goes_to_one_of_two_that_file_it_at_once(self, city: City) -> None:
        orgs = [await city.company(f"企业{n}") for n in range(4)]
        drafts = [await city.draft(org, way) for org, way in zip(orgs, ways_of(city.number()), strict=False)]
        filed = await asyncio.gather(
            *(city.rights.file(one.entry.id, org_id=one.entry.org_id, actor="test") for one in drafts),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in filed) == ["File", *["NumberTaken"] * 3]
        waiting = {one.entry.id for one in await city.rights.queue(city.officer)}
        assert len(waiting & {one.entry.id for one in drafts}) == 1

    async def test_is_free_again_after_a_refusal(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        number = city.number()
        made, waits = await city.draft(one, number), await city.draft(two, number)
        await city.rights.file(made.entry.id, org_id=one, actor="test")
        with pytest.raises(NumberTaken):
            await city.rights.file(waits.entry.id, org_id=two, actor="test")
        await city.rights.decide(made.entry.id, verify=False, reason="证书与登记人不符", person_id=city.officer)
        filed = await city.rights.file(waits.entry.id, org_id=two, actor="test")
        assert filed.entry.state is State.FILED


class TestShares:
    @pytest.mark.parametrize("shares", [(500_000, 499_999), (500_000, 500_001), (WHOLE, 0), ()])
    async def test_that_are_no_whole_are_refused(self, city: City, shares: tuple[int, ...]) -> None:
        parties = [await city.company(f"企业{n}") for n in range(len(shares))] or [await city.company()]
        with pytest.raises(BadEntry):
            city.rights._desk.check_terms(tuple(zip(parties, shares, strict=False)), None)

    @pytest.mark.parametrize(("parties", "fits"), [(32, True), (33, False)])
    async def test_are_of_thirty_two_holders_at_most(self, city: City, parties: int, fits: bool) -> None:
        each, rest = divmod(WHOLE, parties)
        shares = tuple((uuid4(), each + (n < rest)) for n in range(parties))
        with nullcontext() if fits else pytest.raises(BadEntry, match="1 to 32 holders"):
            city.rights._desk.check_terms(shares, None)

    async def test_are_read_with_every_entry_of_a_list_however_long(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        org = await city.company()
        entries = [(await city.verified(org)).entry.id for _ in range(3)]
        for entry in entries:
            await city.rights.propose(entry, ((org, WHOLE),), 5_000, org_id=org, actor="test")
        monkeypatch.setattr(store, "ROWS_MAX", 3)
        monkeypatch.setattr(store, "TERMS_MAX", 1)
        found = (await city.rights.mine(org)).rows
        assert [one.in_force.rate_ppm for one in found if one.in_force] == [5_000] * 3

    async def test_are_found_in_all_of_the_register(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        org = await city.company()
        first = (await city.verified(org)).entry
        for _ in range(3):
            await city.verified(org)
        monkeypatch.setattr(store, "ROWS_MAX", 2)
        assert [one.entry.id for one in (await city.rights.shown(find=first.number)).rows] == [first.id]

    async def test_are_shown_a_page_at_a_time_until_the_last(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        org = await city.company()
        made = [(await city.verified(org, title=f"翻页 {n}")).entry.id for n in range(5)]
        monkeypatch.setattr(store, "ROWS_MAX", 2)
        seen, before = [], None
        while True:
            leaf = await city.rights.shown(find="翻页", before=before, most=2)
            assert len(leaf.rows) <= 2
            seen += [one.entry.id for one in leaf.rows]
            if (before := leaf.following) is None:
                break
        assert seen == made[::-1]

    async def test_that_fit_are_looked_for_page_after_page_and_a_long_way_is_gone_in_parts(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        org = await city.company()
        sought = (await city.verified(org, title="远处的权利")).entry.id
        for _ in range(4):
            await city.verified(org)
        monkeypatch.setattr(store, "ROWS_MAX", 1)
        monkeypatch.setattr(paging, "LOOKED_PAGES", 2)
        first = await city.rights.shown(find="远处的权利")
        assert first.rows == []
        assert first.following is not None
        found = await paging.leaves(partial(city.rights.shown, find="远处的权利"))
        assert [one.entry.id for one in found] == [sought]

    async def test_that_are_no_whole_are_refused_by_the_database_too(self, city: City) -> None:
        made = await city.draft(await city.company())
        with pytest.raises(asyncpg.CheckViolationError, match="not a whole"):
            async with city.services.db.transaction() as conn:
                await conn.execute(
                    """INSERT INTO ip.terms (entry, n, state, proposed_by, proposed_at)
                       VALUES ($1, 9, 'open', $2, now())""",
                    made.entry.id, made.entry.org_id,
                )  # fmt: skip
                await conn.execute(
                    "INSERT INTO ip.share (entry, n, at, party, share_ppm) VALUES ($1, 9, 1, $2, 999999)",
                    made.entry.id, made.entry.org_id,
                )  # fmt: skip

    @pytest.mark.parametrize(("rate", "fits"), [(999, False), (1_000, True), (100_000, True), (100_001, False)])
    async def test_come_with_a_rate_from_a_thousandth_to_a_tenth(self, city: City, rate: int, fits: bool) -> None:
        org = await city.company()
        if fits:
            assert (await city.draft(org, rate_ppm=rate)).in_force is not None
        else:
            with pytest.raises(BadEntry, match=r"rate: 0\.1 to 10 %"):
                await city.draft(org, rate_ppm=rate)

    async def test_change_only_when_all_who_hold_and_would_hold_consent(self, city: City) -> None:
        one, two, three = [await city.company(name) for name in ("甲", "乙", "丙")]
        made = await city.draft(one, shares=((one, 600_000), (two, 400_000)))
        with pytest.raises(NotConsented, match="乙"):
            await city.rights.file(made.entry.id, org_id=one, actor="test")
        await city.rights.answer(made.entry.id, org_id=two, accept=True, actor="test")
        await city.rights.file(made.entry.id, org_id=one, actor="test")
        await city.rights.decide(made.entry.id, verify=True, reason="属实", person_id=city.officer)
        with pytest.raises(NotAlone):
            await city.rights.withdraw(made.entry.id, org_id=two, actor="test")

        sold = ((three, WHOLE),)
        found = await city.rights.propose(made.entry.id, sold, 10_000, org_id=two, actor="test")
        assert found.waiting == {one, three}
        await city.rights.answer(made.entry.id, org_id=three, accept=True, actor="test")
        found = await city.rights.answer(made.entry.id, org_id=one, accept=False, actor="test")
        assert (found.open, found.holders) == (None, {one, two})

        await city.rights.propose(made.entry.id, sold, 10_000, org_id=two, actor="test")
        for party in (three, one):
            found = await city.rights.answer(made.entry.id, org_id=party, accept=True, actor="test")
        assert found.holders == {three}
        assert [terms.state for terms in found.terms] == [TermsState.IN_FORCE, TermsState.DECLINED, TermsState.ENDED]
        with pytest.raises(UnknownEntry):  # who sold has no word any more
            await city.rights.propose(made.entry.id, ((one, WHOLE),), None, org_id=one, actor="test")

    async def test_are_consented_to_once_on_record_however_often_it_is_said(self, city: City) -> None:
        one, two, three = [await city.company(name) for name in ("甲", "乙", "丙")]
        made = await city.draft(one, shares=((one, 500_000), (two, 300_000), (three, 200_000)))
        for _ in range(2):
            found = await city.rights.answer(made.entry.id, org_id=two, accept=True, actor="test")
            assert found.waiting == {three}
        told = [one.event for one in await city.rights.history(made.entry.id)]
        assert told.count("consented") == 1

    async def test_are_consented_to_as_they_were_read(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        made = await city.verified(one)
        read = await city.rights.propose(made.entry.id, ((one, 600_000), (two, 400_000)), None, org_id=one, actor="t")
        assert read.open is not None
        await city.rights.answer(made.entry.id, org_id=one, accept=False, actor="test")
        less = ((one, 999_000), (two, 1_000))
        found = await city.rights.propose(made.entry.id, less, None, org_id=one, actor="test")
        assert found.open is not None
        async with await city.browser(two) as client:
            page = (await client.get(f"/ip/{made.entry.id}")).text
            assert f'name="n" value="{found.open.n}"' in page
            csrf = {"csrf": client.headers["x-csrf-token"]}
            late = await client.post(f"/ip/{made.entry.id}/accept", data={"n": str(read.open.n), **csrf})
            assert late.status_code == 409
            assert "已被新的提议取代" in late.text
            path = f"/api/ip/entries/{made.entry.id}/answer"
            late = await client.post(path, json={"accept": True, "n": read.open.n})
            assert late.json()["error"]["code"] == "terms_changed"
            assert (await city.rights.get(made.entry.id, one)).holders == {one}
            assert (await client.post(path, json={"accept": True, "n": found.open.n})).json()["in_force"]
        held = (await city.rights.get(made.entry.id, one)).in_force
        assert held is not None
        assert held.shares == less

    @pytest.mark.parametrize(
        "other",
        [{"title": "另一项发明"}, {"number": "ZL 2026 1 7654321.0"}, {"kind": Kind.OTHER}, {"abstract": "他用"},
         {"document_sha256": "b" * 64}],
    )  # fmt: skip
    async def test_are_consented_to_for_what_the_entry_said_and_for_nothing_else(
        self, city: City, other: dict[str, Any]
    ) -> None:
        """A registrant could put another right under shares that a holder had agreed to, and hand it in."""
        one, two = await city.company("甲"), await city.company("乙")
        made = await city.draft(one, shares=((one, 600_000), (two, 400_000)))
        await city.rights.answer(made.entry.id, org_id=two, accept=True, actor="test")
        new = NewEntry(made.entry.id, *(getattr(made.entry, name) for name in CONTENT), made.terms[0].shares)
        same = await city.rights.change(new, org_id=one, actor="test")
        assert same.waiting == frozenset()  # nothing changed, and nobody is asked again
        changed = await city.rights.change(replace(new, **other), org_id=one, actor="test")
        assert changed.waiting == {two}
        assert "重新同意" in (await city.services.notifier.inbox(city.officer, [two]))[0].body.zh
        with pytest.raises(NotConsented):
            await city.rights.file(made.entry.id, org_id=one, actor="test")
        await city.rights.answer(made.entry.id, org_id=two, accept=False, actor="test")
        with pytest.raises(WrongState):  # what they agreed to before is no consent to this
            await city.rights.file(made.entry.id, org_id=one, actor="test")
        await city.rights.change(replace(new, **other), org_id=one, actor="test")
        await city.rights.answer(made.entry.id, org_id=two, accept=True, actor="test")
        assert (await city.rights.file(made.entry.id, org_id=one, actor="test")).entry.state is State.FILED

    async def test_that_wait_for_somebody_who_was_erased_are_off_and_what_was_agreed_stays(self, city: City) -> None:
        firm, gone = await city.company(), await city.person()
        made = await city.verified(firm, shares=((firm, 600_000), (gone, 400_000)))
        asked = await city.draft(firm, shares=((firm, 600_000), (gone, 400_000)))
        await city.rights.propose(made.entry.id, ((firm, WHOLE),), 10_000, org_id=firm, actor="test")
        for _ in range(2):
            await city.rights.forget(gone)
        found = await city.rights.get(made.entry.id, firm)
        assert (found.open, found.holders, found.entry.state) == (None, {firm, gone}, State.VERIFIED)
        assert (await city.rights.get(asked.entry.id, firm)).open is None
        assert [one.event for one in await city.rights.history(made.entry.id)].count("declined") == 1

    async def test_that_would_take_the_share_of_somebody_who_was_erased_never_come_into_force(self, city: City) -> None:
        firm, other, person = await city.company("甲"), await city.company("乙"), await city.someone()
        gone = (await city.services.identity.orgs.create_personal(person, by="test")).id
        made = await city.verified(firm, shares=((firm, 600_000), (gone, 400_000)))
        taken = ((firm, 600_000), (other, 400_000))
        await city.rights.propose(made.entry.id, taken, 10_000, org_id=firm, actor="test")
        await city.services.identity.people.erase(person, by="test")
        found = await city.rights.answer(made.entry.id, org_id=other, accept=True, actor="test")
        assert (found.holders, found.waiting) == ({firm, gone}, {gone})
        await city.rights.forget(gone)
        found = await city.rights.get(made.entry.id, firm)
        assert (found.open, found.holders) == (None, {firm, gone})

    async def test_that_only_waited_for_somebody_who_was_erased_and_keep_their_share_come_into_force(
        self, city: City
    ) -> None:
        firm, person = await city.company(), await city.someone()
        gone = (await city.services.identity.orgs.create_personal(person, by="test")).id
        shares = ((firm, 600_000), (gone, 400_000))
        made = await city.verified(firm, shares=shares)
        await city.rights.propose(made.entry.id, shares, 20_000, org_id=firm, actor="test")
        await city.services.identity.people.erase(person, by="test")
        await city.rights.forget(gone)
        found = await city.rights.get(made.entry.id, firm)
        assert found.in_force is not None
        assert (found.open, found.in_force.rate_ppm, found.holders) == (None, 20_000, {firm, gone})

    async def test_go_on_changing_around_the_share_of_somebody_who_was_erased(self, city: City) -> None:
        firm, other, person = await city.company("甲"), await city.company("乙"), await city.someone()
        gone = (await city.services.identity.orgs.create_personal(person, by="test")).id
        made = await city.verified(firm, shares=((firm, 600_000), (gone, 400_000)))
        await city.services.identity.people.erase(person, by="test")
        await city.rights.forget(gone)
        for taken in (((firm, WHOLE),), ((firm, 700_000), (gone, 300_000)), ((firm, 500_000), (gone, 500_000))):
            with pytest.raises(BadEntry, match="erased"):
                await city.rights.propose(made.entry.id, taken, 10_000, org_id=firm, actor="test")
        wanted = ((firm, 100_000), (other, 500_000), (gone, 400_000))
        found = await city.rights.propose(made.entry.id, wanted, 10_000, org_id=firm, actor="test")
        assert found.waiting == {other}
        found = await city.rights.answer(made.entry.id, org_id=other, accept=True, actor="test")
        assert (found.open, found.holders) == (None, {firm, other, gone})

    async def test_stay_where_their_holder_finds_them_though_whoever_registered_them_was_erased(
        self, city: City
    ) -> None:
        firm, person = await city.company("甲"), await city.someone()
        own = (await city.services.identity.orgs.create_personal(person, by="test")).id
        made = await city.verified(own, shares=((own, 600_000), (firm, 400_000)))
        alone = await city.verified(own)
        await city.services.identity.people.erase(person, by="test")
        await city.rights.forget(own)
        (found,) = (await city.rights.mine(firm)).rows
        assert found.entry.id == made.entry.id
        (line,) = await line_views(city.rights, [found], firm)
        assert line["title"] == made.entry.name, "what the register calls it is left"
        shown = {one.entry.id for one in (await city.rights.shown()).rows}
        assert made.entry.id in shown
        assert alone.entry.id not in shown

    async def test_stay_in_force_however_often_others_are_proposed_and_declined(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.ip.store.TERMS_MAX", 2)
        one, two = await city.company("甲"), await city.company("乙")
        made = await city.verified(one, shares=((one, 600_000), (two, 400_000)))
        for _ in range(3):
            await city.rights.propose(made.entry.id, ((one, WHOLE),), 10_000, org_id=one, actor="test")
            await city.rights.answer(made.entry.id, org_id=two, accept=False, actor="test")
        assert (await city.rights.get(made.entry.id)).holders == {one, two}

    async def test_tell_whoever_must_act_next_and_lead_to_the_entry(self, city: City) -> None:
        one, two = await city.company("甲方公司"), await city.company("乙方公司")

        async def newest(org: UUID) -> tuple[str, str, str]:
            notice = (await city.services.notifier.inbox(city.officer, [org]))[0]
            return notice.title.zh, notice.body.zh, notice.link

        made = await city.draft(one, shares=((one, 600_000), (two, 400_000)))
        name, page = made.entry.name, f"/ip/{made.entry.id}"
        assert await newest(two) == (f"请确认知识产权 {name} 的份额", "须经全部权利人同意方能生效。", page)
        await city.rights.answer(made.entry.id, org_id=two, accept=True, actor="test")
        assert await newest(one) == (f"{name} 的份额与费率已获全部同意", "现在可以提交核验。", page)
        await city.rights.file(made.entry.id, org_id=one, actor="test")
        await city.rights.decide(made.entry.id, verify=False, reason="证书不清", person_id=city.officer)
        assert (await newest(one))[2] == page
        other = await city.draft(one, shares=((one, 600_000), (two, 400_000)))
        await city.rights.answer(other.entry.id, org_id=two, accept=False, actor="test")
        assert "再次提出" in (await newest(one))[1]  # nothing was in force that could stay

    async def test_are_spoken_of_in_percent_to_whoever_wrote_percent(self, city: City) -> None:
        holder = await city.company("青禾")
        for wrong in ({"rate_ppm": 200_000}, {"shares": ((holder, 900_000),)}):
            with pytest.raises(BadEntry) as refused:
                await city.draft(holder, city.number(), **wrong)
            said = refused.value.to_dict("zh")["error"]["message"]
            assert "%" in said
            for engineers_word in ("ppm", "百万分之", "_"):
                assert engineers_word not in said


class TestOffice:
    async def test_decides_with_a_reason_and_never_about_its_own(self, city: City) -> None:
        org = await city.company()
        made = await city.draft(org)
        await city.rights.file(made.entry.id, org_id=org, actor="test")
        with pytest.raises(NotYourOffice):
            await city.rights.decide(made.entry.id, verify=True, reason="x", person_id=await city.someone())
        own = await city.reviewer("ip_office")
        await city.signed_in(org, own)
        with pytest.raises(JudgesOwn):
            await city.rights.decide(made.entry.id, verify=True, reason="x", person_id=own)
        with pytest.raises(BadEntry, match="say why"):
            await city.rights.decide(made.entry.id, verify=False, reason=" ", person_id=city.officer)
        found = await city.rights.decide(made.entry.id, verify=False, reason="证书不清", person_id=city.officer)
        assert (found.entry.state, found.entry.reason) == (State.REFUSED, "证书不清")
        with pytest.raises(WrongState):
            await city.rights.decide(made.entry.id, verify=True, reason="改判", person_id=city.officer)

    async def test_alone_sees_what_waits_and_with_the_parties_what_is_no_right_yet(self, city: City) -> None:
        org, other, stranger = await city.company(), await city.company("乙"), await city.company("路人")
        made = await city.draft(org, shares=((org, 600_000), (other, 400_000)))
        path = f"/ip/{made.entry.id}"
        for party, status in ((org, 200), (other, 200), (stranger, 404)):
            async with await city.browser(party) as client:
                assert (await client.get(path)).status_code == status
                assert (await client.get("/api/ip/queue")).status_code == 403
        async with city.visitor() as visitor:
            assert (await visitor.get(path)).status_code == 404
        async with await city.signed_in(stranger, city.officer) as client:
            assert (await client.get(path)).status_code == 200
            assert (await client.get("/api/ip/queue")).status_code == 200

    async def test_verifies_what_it_read_and_not_what_was_handed_in_since(self, city: City) -> None:
        org, other = await city.company(), await city.reviewer("ip_office")
        made = await city.draft(org)
        read = await city.rights.file(made.entry.id, org_id=org, actor="test")
        await city.rights.decide(made.entry.id, verify=False, reason="证书不清", person_id=other)
        changed = NewEntry(
            made.entry.id, Kind.OTHER, "", "另一项权利", "", "", None, None, "", ((org, WHOLE),)
        )  # fmt: skip
        await city.rights.change(changed, org_id=org, actor="test")
        city.clock.advance(minutes=1)
        await city.rights.file(made.entry.id, org_id=org, actor="test")
        async with await city.signed_in(await city.company("处室"), city.officer) as client:
            path, said = f"/api/ip/entries/{made.entry.id}/verdict", {"verify": True, "reason": "属实"}
            late = await client.post(path, json=said | {"filed_at": str(read.entry.filed_at)})
            assert late.json()["error"]["code"] == "filed_anew"
            page = (await client.get(f"/ip/{made.entry.id}")).text
            form = said | {"filed_at": str(read.entry.filed_at), "csrf": client.headers["x-csrf-token"]}
            assert "已修改并重新提交" in (await client.post(f"/ip/{made.entry.id}/verify", data=form)).text
            now = re.search(r'name="filed_at" value="([^"]+)"', page)
            assert now is not None
            assert (await city.rights.get(made.entry.id, org)).entry.state is State.FILED
            done = await client.post(f"/ip/{made.entry.id}/verify", data=form | {"filed_at": now[1]})
        assert done.status_code == 303
        assert (await city.rights.get(made.entry.id, org)).entry.state is State.VERIFIED

    async def test_leaves_a_history_that_nobody_changes_and_the_log_proves(self, city: City) -> None:
        found = await city.verified(await city.person())
        events = [one.event for one in await city.rights.history(found.entry.id)]
        assert events == ["drafted", "proposed", "agreed", "filed", "verified"]
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await city.services.db.execute("UPDATE ip.history SET event = 'x'")
        await city.services.log.seal()
        last = (await city.rights.history(found.entry.id))[-1]
        entry = await city.services.log.store.entry_of(last.id)
        assert entry is not None
        assert entry.kind == "ip.changed"

    async def test_shows_everybody_what_is_verified_and_no_persons_name(self, city: City) -> None:
        person, firm = await city.person("王小明"), await city.company()
        shares = ((person, 500_000), (firm, 500_000))
        await city.verified(person, shares=shares, rate_ppm=10_000, title="一种激光清洗方法")
        await city.draft(firm, title="草稿")
        async with await city.browser(firm) as client:
            listed = (await client.get("/api/ip", params={"find": "激光", "pooled": True})).json()["data"]
            assert [one["title"] for one in listed] == ["一种激光清洗方法"]
            assert [one["name"] for one in listed[0]["holders"]] == ["", "青山机器人"]
            mine = (await client.get("/api/ip/mine")).json()["data"]
            assert {one["title"] for one in mine} == {"一种激光清洗方法", "草稿"}
            draft = next(one["id"] for one in mine if one["state"] == "draft")
            assert (await client.get(f"/api/ip/entries/{draft}")).status_code == 404
            whole = (await client.get(f"/api/ip/entries/{listed[0]['id']}/file")).json()
            assert [one["event"] for one in whole["history"]][-1] == "verified"
        async with await city.browser(await city.company("路人")) as stranger:  # neither names nor what it earned
            path = f"/api/ip/entries/{listed[0]['id']}"
            assert (await stranger.get(path)).status_code == 200
            assert (await stranger.get(f"{path}/file")).status_code == 404


class TestWithdrawal:
    async def test_of_what_is_no_right_yet_is_its_registrants(self, city: City) -> None:
        one, two, number = await city.company("甲"), await city.company("乙"), city.number()
        made = await city.draft(one, number, shares=((one, 600_000), (two, 400_000)))
        await city.rights.answer(made.entry.id, org_id=two, accept=True, actor="test")
        await city.rights.file(made.entry.id, org_id=one, actor="test")
        with pytest.raises(UnknownEntry):
            await city.rights.withdraw(made.entry.id, org_id=two, actor="test")
        for _ in range(2):
            found = await city.rights.withdraw(made.entry.id, org_id=one, actor="test")
        assert found.entry.state is State.WITHDRAWN
        assert [each.event for each in await city.rights.history(made.entry.id)].count("withdrawn") == 1
        await city.rights.file((await city.draft(one, number)).entry.id, org_id=one, actor="test")  # it is free again

    async def test_of_a_right_is_its_only_holders_and_ends_what_calls_pay(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        found = await city.verified(one, rate_ppm=10_000)
        await city.rights.propose(found.entry.id, ((two, WHOLE),), 10_000, org_id=one, actor="test")
        await city.rights.answer(found.entry.id, org_id=two, accept=True, actor="test")
        with pytest.raises(WrongState):  # who registered it, and sold it
            await city.rights.withdraw(found.entry.id, org_id=one, actor="test")
        with pytest.raises(UnknownEntry):
            await city.rights.withdraw(found.entry.id, org_id=await city.company("路人"), actor="test")
        missing = city.services.gateway.charges.missing
        assert await missing([found.entry.name]) == []
        done = await city.rights.withdraw(found.entry.id, org_id=two, actor="test")
        assert done.entry.state is State.WITHDRAWN
        assert await missing([found.entry.name]) == [found.entry.name]
        assert found.entry.id not in [each.entry.id for each in (await city.rights.shown()).rows]

    async def test_follows_the_erasure_of_who_held_it_alone_and_takes_nobody_elses(self, city: City) -> None:
        gone, firm = await city.person(), await city.company()
        alone, shared = (
            await city.verified(gone, rate_ppm=10_000),
            await city.verified(gone, shares=((gone, 500_000), (firm, 500_000)), rate_ppm=10_000),
        )
        draft, theirs = await city.draft(gone), await city.draft(firm, shares=((firm, 500_000), (gone, 500_000)))
        assert await city.rights.forget(gone) == 2
        states = [(await city.rights.get(each.entry.id, firm, officer=True)).entry.state
                  for each in (alone, draft, shared, theirs)]  # fmt: skip
        assert states == [State.WITHDRAWN, State.WITHDRAWN, State.VERIFIED, State.DRAFT]
        missing = city.services.gateway.charges.missing
        assert await missing([alone.entry.name, shared.entry.name]) == [alone.entry.name]


class TestPool:
    async def test_pays_every_call_to_the_holders_by_their_shares(self, city: City) -> None:
        holders = [await city.company(name) for name in ("甲", "乙", "丙")]
        found = await city.verified(
            holders[0], shares=tuple(zip(holders, THIRDS, strict=True)), rate_ppm=100_000
        )  # fmt: skip
        maker, payer = await city.company("制作方"), await city.rich(await city.company("买方"))
        await city.sell("mcp/thirds", maker, found.entry.name, fee_micro=1_000_000)
        receipt = await city.call(payer, "mcp/thirds")
        paid = [await city.income(one) for one in holders]
        assert paid == [33_334, 33_333, 33_333]  # a tenth, by the largest remainder (T17)
        earned = await city.rights.earned(found, date(2026, 11, 1), date(2026, 11, 20))
        assert [(one.calls, one.amount_micro) for one in earned if one.party == holders[0]] == [(1, 33_334)]
        seen = await city.services.gateway.receipt(receipt, payer)
        assert {rule.id for rule in seen.rules} >= {"T16", "T17"}
        assert (await city.services.ledger.verify()).clean

    async def test_follows_a_change_of_holders_and_ends_when_the_right_lapses(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        found = await city.verified(one, rate_ppm=10_000)
        payer = await city.rich(await city.company("买方"))
        await city.sell("mcp/checker", await city.company("制作方"), found.entry.name)
        await city.call(payer, "mcp/checker")
        await city.rights.propose(found.entry.id, ((two, WHOLE),), 20_000, org_id=one, actor="test")
        await city.rights.answer(found.entry.id, org_id=two, accept=True, actor="test")
        await city.call(payer, "mcp/checker")
        assert [await city.income(org) for org in (one, two)] == [10_000, 20_000]
        await city.rights.lapse(found.entry.id, reason="专利权终止", person_id=city.officer)
        await city.call(payer, "mcp/checker")
        assert [await city.income(org) for org in (one, two)] == [10_000, 20_000]
        assert await city.services.gateway.charges.missing([found.entry.name]) == [found.entry.name]

    async def test_pays_a_holder_nothing_for_calls_of_their_own(self, city: City) -> None:
        one, payer = await city.company("甲"), await city.rich(await city.company("买方"))
        found = await city.verified(one, shares=((one, 500_000), (payer, 500_000)), rate_ppm=100_000)
        await city.sell("mcp/own", await city.company("制作方"), found.entry.name)
        await city.call(payer, "mcp/own")
        assert [await city.income(org) for org in (one, payer)] == [50_000, 0]

    async def test_is_named_by_a_listing_only_while_the_right_is_offered(self, city: City) -> None:
        from shanhe.store.api import BadListing, ChecksFailed, NewListing, Terms
        from shanhe.store.api import Kind as Goods

        holder, maker = await city.company("甲"), await city.company("制作方")
        found, store = await city.verified(holder), city.services.store
        new = NewListing(UUID(int=7), Goods.PROMPT, "checker", "质检", "Checker", "简介")
        await store.open(new, owner=maker, actor="t")
        terms = Terms(100, 0, rights=(found.entry.name,))
        await store.draft("prompt/checker", {"text": "x"}, terms, owner=maker, actor="t")
        with pytest.raises(ChecksFailed):
            await store.submit("prompt/checker", owner=maker)
        await city.rights.propose(found.entry.id, ((holder, WHOLE),), 10_000, org_id=holder, actor="test")
        await store.submit("prompt/checker", owner=maker)
        await city.rights.propose(found.entry.id, ((holder, WHOLE),), None, org_id=holder, actor="test")
        with pytest.raises(BadListing, match="not offered any more"):
            await store.review("prompt/checker", 1, approve=True, note="ok", reviewer="t", reviewer_org=None)
        await city.rights.propose(found.entry.id, ((holder, WHOLE),), 10_000, org_id=holder, actor="test")
        await store.review("prompt/checker", 1, approve=True, note="ok", reviewer="t", reviewer_org=None)
        assert await city.rights.used_by(found.entry) == ["prompt/checker"]


class TestAward:
    async def test_is_for_a_verified_right_of_that_kind_and_for_its_holder(self, city: City) -> None:
        holder, other = await city.company("甲"), await city.company("乙")
        await city.services.programmes.budgets.fund(
            "ip_credit", 10_000 * CREDIT, reason="预算", actor="test", funding_id=UUID(int=5)
        )
        number = city.number()
        answers = {"registration_number": number.replace(" ", ""), "granted_on": "2026-01-20"}

        async def apply(org: UUID, ref: str = "a") -> Applied:
            made = await city.services.programmes.applying.apply(
                "invention_patent", org, answers=answers, evidence={"certificate": "c"}, client_ref=ref, actor="test"
            )
            return made.state

        entitled = await city.services.programmes.applying.entitlements(holder)
        standing = next(one for one in entitled if one.programme == "invention_patent")
        assert (standing.standing, standing.outcome.missing) == ("needs_answers", ("registration_number",))
        assert await apply(holder) is Applied.REFUSED  # not registered
        made = await city.draft(holder, number)
        await city.rights.file(made.entry.id, org_id=holder, actor="test")
        assert await apply(holder, ref="b") is Applied.REFUSED  # not verified
        await city.rights.decide(made.entry.id, verify=True, reason="属实", person_id=city.officer)
        assert await apply(other) is Applied.REFUSED  # somebody else's
        app = await city.services.programmes.applying.apply(
            "invention_patent", holder, answers=answers, evidence={"certificate": "c"}, client_ref="d", actor="test"
        )
        paid = await city.services.programmes.reviewing.decide(app.id, city.officer, Verdict.PASS)
        assert paid.state is Applied.COMPLETED
        assert await city.income(holder, kind="wallet") == 1_000 * CREDIT
        with pytest.raises(AlreadyClaimed):
            await apply(holder, ref="e")

    async def test_reads_a_number_only_as_the_registry_writes_it(self, city: City) -> None:
        holder = await city.company("甲")
        await city.verified(holder, "2026SR0123456", kind=Kind.SOFTWARE_COPYRIGHT)
        standing = city.rights.standing
        assert await standing(" 2026sr-0123456 ", holder) == "software_copyright"
        assert await standing("2026SR/0123456", holder) == "none"  # a claim would count it as another number
        assert await standing("2026SR0123457", holder) == "none"
        assert await standing("2026SR0123456", await city.company("乙")) == "not_holder"
