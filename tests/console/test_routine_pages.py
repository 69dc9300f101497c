"""Pages of workflows: the editor is a form that says the same definition again; words reach the desk."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest
from tests.console.double_ground import TOKEN
from tests.console.double_routines import CONTENT, RUN, WAITING

from shanhe.console.pages.routines import FIRST, FRESH, added, framed, meant, read, shown, spelt
from shanhe.console.pages.trials import cases_of, line_of
from shanhe.console.ports import Desk
from shanhe.workflows.api import KINDS
from shanhe.workflows.checking import shaped

AT = "/workflows/weekly"


def typed(page: str) -> dict[str, str]:
    """What the editor's form would send as it stands."""
    form = page[page.index('<form id="steps"') :]
    form = form[: form.index("</form>")]
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        names = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if "name" in names and names.get("type") != "checkbox":
            fields[names["name"]] = unescape(names.get("value", ""))
    for name, text in re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        fields[name] = unescape(text)
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        fields[name] = "" if chosen is None else (chosen.group(1) or chosen.group(2))
    return fields


class TestEditor:
    async def test_says_the_same_definition_again_without_a_script(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text)
        answer = await member.post(AT, data=TOKEN | fields | {"do": "save"})
        assert answer.headers["location"] == f"{AT}?done=workflow_saved", answer.text
        ((_, kept),) = desk.routines.done  # type: ignore[attr-defined]
        assert (kept["start"], kept["inputs"], kept["hosts"]) == ("look", ["topic"], ["data.example.cn"])
        for node, wanted in zip(kept["nodes"], CONTENT["nodes"], strict=True):
            assert {name: node[name] for name in wanted} == wanted

    async def test_offers_the_variables_known_at_a_node_and_the_tools_that_are_for_sale(
        self, member: httpx.AsyncClient
    ) -> None:
        page = (await member.get(AT)).text
        node = page[page.index('id="node-write"') : page.index('id="node-fork"')]
        assert re.findall(r'data-name="([^"]+)"', node) == ["found.body", "found.status", "input.topic"]
        assert re.findall(r'<option value="(weather/forecast|maps/find)">([^<]+)', page) == [
            ("weather/forecast", "天气 · 每次 0.012 积分"), ("maps/find", "地图 · 免费"),
        ]  # fmt: skip

    async def test_adds_and_takes_away_nodes(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text)
        await member.post(AT, data=TOKEN | fields | {"do": "add_loop"})
        await member.post(AT, data=TOKEN | fields | {"do": "save", "n2_away": "1"})
        (_, more), (_, fewer) = desk.routines.done  # type: ignore[attr-defined]
        assert [node["id"] for node in more["nodes"]][-1] == "loop_1"
        assert [node["id"] for node in fewer["nodes"]] == ["look", "write", "sign", "out", "both", "short", "long"]
        assert fewer["nodes"][1]["next"] == ""

    async def test_leads_to_what_is_wrong_and_to_what_was_added(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(AT)).text
        assert '<a href="#node-look">' in page
        look = page[page.index('id="node-look"') :]
        assert "<details open data-wrong>" in look[: look.index("</fieldset>")]
        added = await member.post(AT, data=TOKEN | typed(page) | {"do": "add_knowledge"})
        assert added.headers["location"].endswith("#node-knowledge_1")

    async def test_offers_bases_and_people_by_their_names(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = {"n0_kind": "knowledge", "n0_id": "look", "n0_save": "found", "n0_question": "?", "start": "look",
                  "n0_bases": "政策", "n0_tries": "x"}  # fmt: skip
        page = (await member.post(AT, data=TOKEN | fields | {"do": "save"})).text
        assert "邻县资料" in page
        assert re.search(r'<textarea id="n0-bases"[^>]*>政策</textarea>', page)  # one that the person can't see stays
        page = (await member.get(AT)).text
        assert '<option value="owner" selected>负责人</option>' in page

    async def test_joins_branches_each_by_a_line_of_its_own(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text)
        assert [fields[f"n5_branches_{n}"] for n in range(3)] == ["short", "long", ""]
        more = {"n5_branches_0": "", "n5_branches_2": "sign", "n6_away": "1"}
        await member.post(AT, data=TOKEN | fields | {"do": "save"} | more)
        await member.post(AT, data=TOKEN | fields | {"do": "save", "n6_away": "1", "n7_id": "tall"})
        (_, one), (_, other) = desk.routines.done  # type: ignore[attr-defined]
        assert [node["branches"] for node in (one["nodes"][5], other["nodes"][5])] == [["long", "sign"], ["tall"]]

    async def test_keeps_the_lines_of_a_node_that_gets_another_id(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text)
        await member.post(AT, data=TOKEN | fields | {"do": "save", "n0_id": "ask_news", "n4_id": "end"})
        ((_, kept),) = desk.routines.done  # type: ignore[attr-defined]
        assert kept["start"] == "ask_news"
        assert [(node["id"], node["next"]) for node in kept["nodes"]] == [
            ("ask_news", "write"), ("write", "fork"), ("fork", "end"), ("sign", "both"), ("end", ""),
            ("both", "end"), ("short", "end"), ("long", ""),
        ]  # fmt: skip

    @pytest.mark.parametrize("text", ["一行\n另一行 = 二", " 前后有空 ", '"引号"', '"', "a = b", "{{input.topic}}"])
    def test_changes_no_value_that_it_shows(self, text: str) -> None:
        content = {**FIRST, "budget_micro": 500_000, "hours_max": 700, "nodes": [
            {"kind": "output", "id": "out", "values": {"one": text, "two": "x"}, "x": 3, "y": 3},
        ], "start": "out"}  # fmt: skip
        again = read({
            **framed(content),
            **{f"n0_{name}": str(shown(content)[0][name]) for name in ("kind", "id", "was", "title", "next", "x", "y")},
            **{f"n0_{name}": said for name, _, said, _ in shown(content)[0]["fields"]},
        })  # fmt: skip
        assert again["nodes"][0]["values"] == {"one": text, "two": "x"}
        assert (again["budget_micro"], again["hours_max"]) == (500_000, 700)

    async def test_writes_over_nobody_who_saved_meanwhile_unasked(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text) | {"n1_prompt": "我的提示"}
        desk.routines.mark = "m2"  # type: ignore[attr-defined]
        refused = await member.post(AT, data=TOKEN | fields | {"do": "publish"})
        assert (refused.status_code, desk.routines.done) == (409, [])  # type: ignore[attr-defined]
        again = typed(refused.text)
        assert again["n1_prompt"] == "我的提示"
        await member.post(AT, data=TOKEN | again | {"do": "save"})
        assert desk.routines.done[0][1]["nodes"][1]["prompt"] == "我的提示"  # type: ignore[attr-defined]

    async def test_publishes_runs_and_sets_times(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text)
        published = await member.post(AT, data=TOKEN | fields | {"do": "publish"})
        assert published.headers["location"] == f"{AT}?done=workflow_published"
        started = await member.post(AT, data=TOKEN | fields | {"do": "run", "given_topic": "春天"})
        assert started.headers["location"] == f"/workflows/runs/{RUN}"
        await member.post(f"{AT}/schedule", data=TOKEN | {"at": "09:30", "days": "1 5", "given_topic": "养老"})
        await member.post(f"{AT}/schedule", data=TOKEN | {"do": "stop"})
        done = [one for one in desk.routines.done if one[0] != "save"]  # type: ignore[attr-defined]
        assert done == [
            ("publish", "weekly"), ("start", {"topic": "春天"}),
            ("schedule", {"at": "09:30", "days": [1, 5]}, {"topic": "养老"}), ("schedule", None, {}),
        ]  # fmt: skip

    async def test_shows_a_webhooks_secret_once(self, member: httpx.AsyncClient, desk: Desk) -> None:
        sent = await member.post(f"{AT}/hooks", data=TOKEN)
        assert "whsec_secret" in (await member.get(sent.headers["location"])).text
        assert "whsec_secret" not in (await member.get(AT)).text
        page = (await member.get(AT)).text
        assert "whsec_secret" not in page
        await member.post(f"{AT}/hooks/{RUN}/revoke", data=TOKEN)
        assert desk.routines.done == [("revoke", RUN)]  # type: ignore[attr-defined]

    @pytest.mark.parametrize("wrong", [{"steps_max": "many"}, {"n1_schema": "{"}, {"budget": "much"}])
    async def test_says_what_was_wrong_and_keeps_what_was_typed(
        self, member: httpx.AsyncClient, desk: Desk, wrong: dict[str, str]
    ) -> None:
        sent = typed((await member.get(AT)).text) | {"n1_prompt": "另一段提示", "hosts": "other.example.cn"} | wrong
        answer = await member.post(AT, data=TOKEN | sent | {"do": "save"})
        assert answer.status_code == 422
        assert "不是整数" in answer.text or "steps_max" not in wrong
        kept = typed(answer.text)
        assert {name: kept[name] for name in sent if name != "ref"} == {
            name: text for name, text in sent.items() if name != "ref"
        }
        assert desk.routines.done == []  # type: ignore[attr-defined]
        assert (await member.get("/workflows/none")).status_code == 404

    @pytest.mark.parametrize("kind", KINDS)
    def test_shows_every_kind_as_a_form(self, kind: str) -> None:
        content: dict[str, Any] = added({**FIRST, "nodes": [dict(node) for node in FIRST["nodes"]]}, kind)  # type: ignore[attr-defined]
        assert shaped(content)
        fields = {"start": "ask_1", "inputs": "topic"}
        for at, node in enumerate(shown(content)):
            names = ("kind", "id", "title", "next", "x", "y")
            fields |= {f"n{at}_{name}": str(node[name]) for name in names}
            fields |= {f"n{at}_{name}": text for name, _, text, _ in node["fields"]}
        last = read(fields)["nodes"][-1]
        assert {name: last[name] for name in FRESH[kind]} == FRESH[kind]


class TestVersion:
    async def test_goes_out_as_a_file_and_comes_in_as_a_workflow(self, member: httpx.AsyncClient, desk: Desk) -> None:
        file = await member.get(f"{AT}/versions/1")
        assert file.headers["content-disposition"] == 'attachment; filename="weekly-1.json"'
        assert file.json() == CONTENT
        fields = TOKEN | {"slug": "copy", "title": "副本"}
        made = await member.post("/workflows", data=fields, files={"file": ("weekly-1.json", file.content)})
        assert made.headers["location"] == "/workflows/copy?done=workflow_made", made.text
        await member.post("/workflows", data=fields, files={"file": ("", b"")})
        assert desk.routines.done == [("make", "copy", "副本", 8), ("make", "copy", "副本", 2)]  # type: ignore[attr-defined]
        for wrong in (b"[]", b'{"nodes": 5}', b"\xff\xfe"):
            refused = await member.post("/workflows", data=fields, files={"file": ("x.json", wrong)})
            assert refused.status_code == 422
            assert 'value="副本"' in refused.text

    async def test_becomes_the_draft_again(self, member: httpx.AsyncClient, desk: Desk) -> None:
        sent = await member.post(f"{AT}/versions/1", data=TOKEN | {"base": "m1"})
        assert sent.headers["location"] == f"{AT}?done=workflow_saved"
        assert desk.routines.done == [("save", CONTENT)]  # type: ignore[attr-defined]
        assert (await member.post(f"{AT}/versions/1", data=TOKEN | {"base": "m0"})).status_code == 409


class TestDeleted:
    async def test_says_what_refers_to_it_before_it_is_gone(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get(AT)).text
        uses = page[page.index('id="uses"') :]
        for said in ('href="/workflows/monthly"', "定时启动", "1 个 Webhook", "2 个运行"):
            assert said in uses
        refused = await member.post(f"{AT}/delete", data=TOKEN)
        assert (refused.status_code, "monthly" in refused.text) == (409, True)
        done = await member.post(f"{AT}/delete", data=TOKEN | {"anyway": "1"})
        assert done.headers["location"] == "/workflows?done=workflow_deleted"
        assert desk.routines.done == [("delete", "weekly")]  # type: ignore[attr-defined]


class TestNode:
    async def test_is_tried_alone_on_what_the_newest_run_left(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = typed((await member.get(AT)).text)
        answer = await member.post(AT, data=TOKEN | fields | {"do": "try_write"})
        assert answer.headers["location"] == f"{AT}/nodes/write"
        page = (await member.get(f"{AT}/nodes/write")).text
        assert ">养老</textarea>" in page
        assert unescape(page).count('{"status": 200, "body": "新政策"}') == 1
        sent = {"v_found": '{"status": 404}', "v_topic": "老人 7", "ref": "r"}
        tried = await member.post(f"{AT}/nodes/write", data=TOKEN | sent)
        assert tried.headers["location"] == f"/workflows/runs/{RUN}"
        assert desk.routines.done[-1] == ("try", {"found": {"status": 404}, "topic": "老人 7"})  # type: ignore[attr-defined]

    @pytest.mark.parametrize("value", ["text", "7", "", "[1]", 7, [1], {"a": "7"}, True])
    def test_variable_is_meant_as_it_was_spelt(self, value: Any) -> None:
        assert meant(spelt(value)) == value


class TestInbox:
    async def test_takes_a_word(self, member: httpx.AsyncClient, desk: Desk) -> None:
        assert "本周新增政策三条" in (await member.get("/workflows/inbox")).text
        answer = await member.post(f"/workflows/inbox/{WAITING}", data=TOKEN | {"verdict": "approve", "note": "可以"})
        assert answer.headers["location"] == "/workflows/inbox?done=workflow_decided"
        assert desk.routines.done == [("decide", True, "可以")]  # type: ignore[attr-defined]


class TestRunPage:
    async def test_follows_a_run(self, member: httpx.AsyncClient) -> None:
        page = await member.get(f"/workflows/runs/{RUN}")
        assert f'hx-get="/workflows/runs/{RUN}/now"' in page.text
        assert (await member.get(f"/workflows/runs/{RUN}/now")).status_code == 200


class TestEvaluation:
    @pytest.mark.parametrize("case", [
        ("几点", "contains", "九点|9点"), ("甲|乙", "regex", "a|b"), ("两行\n问题", "exact", "x"),
        ('["a","b","c"]', "exact", "y"),
        (" 空格 ", "contains", "z"),
    ])  # fmt: skip
    def test_case_is_read_as_it_was_written(self, case: tuple[str, str, str]) -> None:
        (found,) = cases_of(line_of(*case))
        assert tuple(found.values()) == case

    def test_case_may_say_what_the_agent_is_told_first(self) -> None:
        line = line_of("几点", "contains", "九点", inputs={"city": "山河市"})
        assert cases_of(line) == [
            {"question": "几点", "form": "contains", "expected": "九点", "inputs": {"city": "山河市"}}
        ]

    async def test_keeps_measures_and_excuses(self, member: httpx.AsyncClient, desk: Desk) -> None:
        at = "/makers/agent/letters/evaluation"
        page = (await member.get(at)).text
        for said in ("几点开门 | contains | 九点", "1/2", "低于现行版本", "先行试用", "2 · 电话", "0571"):
            assert said in page
        assert page.index("2 · 电话") < page.index("1 · 几点开门")  # what got worse comes first
        assert "&lt;i&gt;不知道&lt;/i&gt;" in page
        lines = "几点开门 | 九点\n电话 | regex | a|b"
        assert (await member.post(at, data=TOKEN | {"do": "set", "cases": lines})).status_code == 303
        assert (await member.post(at, data=TOKEN | {"do": "run"})).headers["location"] == f"{at}?done=evaluation_run"
        excused = {"do": "excuse", "reason": "换了更省的模型，先行试用"}
        assert (await member.post(at, data=TOKEN | excused)).status_code == 303
        cases = [{"question": "几点开门", "form": "contains", "expected": "九点"},
                 {"question": "电话", "form": "regex", "expected": "a|b"}]  # fmt: skip
        assert desk.routines.done == [  # type: ignore[attr-defined]
            ("cases", "agent/letters", cases), ("evaluate", "agent/letters"),
            ("excuse", "agent/letters", "换了更省的模型，先行试用"),
        ]  # fmt: skip
        for wrong in ({"do": "set", "cases": "只有问题"}, {"do": "excuse", "reason": "快"}):
            assert (await member.post(at, data=TOKEN | wrong)).status_code == 422
