"""Pages of digital clones, over a desk without modules."""

from __future__ import annotations

import httpx
import pytest
from tests.console.double_clones import JOB, MANDATE
from tests.console.double_ground import TOKEN, ident

from shanhe.console.ports import Desk

ONE, PIECE = "/my-clones/teacher", {"feedback": str(ident(1))}
REVIEWED, OFFERED = f"{ONE}?done=clone_reviewed", "/makers/clone/teacher?done=listing_submitted"


class TestConsent:
    async def test_link_is_shown_once(self, member: httpx.AsyncClient, desk: Desk) -> None:
        form = TOKEN | {"slug": "teacher", "until": "2027-06-30", "use_consultation": "on", "use_training": "on"}
        answer = await member.post("/my-clones", data=form)
        assert answer.headers["location"] == "/my-clones"
        assert "/my-clones/consent/one-time-code" in (await member.get("/my-clones")).text
        assert "/my-clones/consent/one-time-code" not in (await member.get("/my-clones")).text
        done = ("ask", "teacher", ("consultation", "training"), "2027-06-30")
        assert desk.clones.done == [done]  # type: ignore[attr-defined]
        assert "one-time-code" not in (await member.get("/my-clones")).text
        refused = await member.post("/my-clones", data=form | {"slug": "taken"})
        assert refused.status_code == 422
        assert 'value="taken"' in refused.text

    async def test_is_granted_for_what_is_ticked(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = await member.get("/my-clones/consent/abc")
        assert "分身以您的身份作答" in page.text
        form = TOKEN | {"version": "1", "until": "2027-01-31", "use_teaching": "on", "do": "grant"}
        refused = await member.post("/my-clones/consent/abc", data=form)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
        assert 'name="use_consultation"> ' in refused.text  # what was unticked stays so
        answer = await member.post("/my-clones/consent/abc", data=form | {"called": "张老师"})
        assert answer.headers["location"] == "/my-clones?done=clone_granted"
        await member.post("/my-clones/consent/abc", data=TOKEN | {"do": "decline"})
        assert desk.clones.done == [  # type: ignore[attr-defined]
            ("grant", "abc", "张老师", ("teaching",), "2027-01-31", "1"), ("decline", "abc"),
        ]  # fmt: skip
        assert "该请求已有结果" in (await member.get("/my-clones/consent/decided")).text


class TestActions:
    @pytest.mark.parametrize(
        ("path", "fields", "done", "to"),
        [
            (f"/my-clones/revoke/{MANDATE}", {}, ("revoke", MANDATE), "/my-clones?done=clone_revoked"),
            (f"/my-clones/drop/{MANDATE}", {}, ("drop", MANDATE), "/my-clones?done=clone_dropped"),
            (ONE, {"do": "accept", **PIECE}, ("decide", ident(1), True), REVIEWED),
            (ONE, {"do": "reject", **PIECE}, ("decide", ident(1), False), REVIEWED),
            (ONE, {"do": "lessons"}, ("collect", "teacher"), f"{ONE}?done=clone_lessons"),
            (ONE, {"do": "train", "version": "v", "epochs": "3"}, ("train", "teacher", "v", "3"),
             f"/studio/jobs/{JOB}?done=job_ordered"),
            (ONE, {"do": "next", "number": "1"}, ("offer", "teacher", 1), OFFERED),
            ("/my-clones/say", {"name": "clone/teacher", "good": "0", "correction": "先列提纲"},
             ("say", "clone/teacher", "0", "先列提纲"), "/my-clones?done=clone_said"),
        ],
    )  # fmt: skip
    async def test_reach_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object, to: str
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == to
        assert desk.clones.done == [done]  # type: ignore[attr-defined]

    async def test_say_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        trained = {"do": "train", "version": "v", "epochs": "many"}
        for fields in ({"do": "next", "number": "2"}, trained, {"do": "accept"}):
            answer = await member.post(ONE, data=TOKEN | fields)
            assert answer.status_code == 422
            assert 'role="alert"' in answer.text

    async def test_have_empty_states(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.clones.known = False  # type: ignore[attr-defined]
        assert "还没有请求授权" in (await member.get("/my-clones")).text
        assert "没有待审核的反馈" in (await member.get(ONE)).text


class TestTrying:
    async def test_a_clone_shows_its_label_and_takes_a_correction(self, member: httpx.AsyncClient) -> None:
        form = TOKEN | {"question": "怎么写开头？", "purpose": "teaching"}
        asked = await member.post("/store/clone/teacher/try", data=form)
        answer = await member.get(asked.headers["location"])
        assert (asked.status_code, answer.status_code) == (303, 200)
        assert str(ident(61)) in answer.text
        assert 'action="/my-clones/say"' in answer.text
        assert '<option value="teaching" selected>' in answer.text
        plain = await member.post("/store/agent/letters/try", data=TOKEN | {"question": "Hi"}, follow_redirects=True)
        assert 'id="answer"' in plain.text
        assert 'action="/my-clones/say"' not in plain.text

    async def test_an_alliance_shows_who_answered_and_why(self, member: httpx.AsyncClient) -> None:
        form = TOKEN | {"question": "怎么写开头？"}
        answer = await member.post("/store/alliance/school/try", data=form, follow_redirects=True)
        assert "作文、开头" in answer.text
        assert "已作答" in answer.text
        assert 'action="/my-clones/say"' not in answer.text
        assert "咨询答问、教学辅导" in (await member.get("/my-clones")).text
