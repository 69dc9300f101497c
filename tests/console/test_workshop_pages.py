"""Pages of data sets, the studio and lent machines, over a desk without modules."""

from __future__ import annotations

from typing import Any, cast
from unittest.mock import AsyncMock

import httpx
import pytest
from tests.console import double_workshop
from tests.console.double_ground import TOKEN, ident

from shanhe.console.ports import Desk


class TestWorkshop:
    """Forms about data sets and the studio reach the desk, and say what was wrong."""

    async def test_reads_a_data_file(self, member: httpx.AsyncClient, desk: Desk) -> None:
        files = {"file": ("a.csv", "题目".encode(), "text/csv")}
        fields = {"name": "错题集", "form": "errors", "licence": "CC0-1.0", "consent": "own"}
        answer = await member.post("/studio/data", data=TOKEN | fields, files=files)
        assert answer.headers["location"] == f"/studio/data/{double_workshop.VERSION}?done=dataset_imported"
        assert desk.workshop.done == [("bring", ("错题集", "a.csv", "题目".encode()))]  # type: ignore[attr-defined]
        refused = await member.post("/studio/data", data=TOKEN | fields, files={"file": ("e.csv", b"", "text/csv")})
        assert refused.status_code == 422
        assert "文件为空" in refused.text
        assert 'value="错题集"' in refused.text

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            (f"/studio/data/{ident(1)}/clean", {"personal": "drop"}, ("clean", "drop")),
            (f"/studio/data/{ident(1)}/forget", {}, ("forget", ident(1))),
            (f"/studio/data/{ident(1)}/train", {"name": "helper", "epochs": "2"}, ("order", ("helper", 2))),
            (f"/studio/jobs/{ident(1)}/cancel", {}, ("cancel", ident(1))),
            (f"/studio/jobs/{ident(1)}/resume", {}, ("resume", ident(1))),
            ("/studio/models/helper/2/deploy", {}, ("deploy", ("helper", 2, 100))),
            ("/studio/models/helper/2/deploy", {"share": "10"}, ("deploy", ("helper", 2, 10))),
            ("/studio/templates/quality", {}, ("begin", "quality")),
            ("/studio/models/helper/rollback", {}, ("rollback", "helper")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303
        assert desk.workshop.done == [done]  # type: ignore[attr-defined]

    async def test_runs_a_flow_without_a_script(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = await member.get("/studio/flow")
        assert page.status_code == 200
        assert 'name="with_prune"' in page.text
        assert 'name="judge"' in page.text
        fields = {"version": str(ident(1)), "name": "helper", "epochs": "2", "drop_layers": "4", "quantum": "Q4_K"}
        await member.post("/studio/flow", data=TOKEN | fields)
        ordered = desk.workshop.ordered  # type: ignore[attr-defined]
        assert (ordered["adapter"], ordered["drop_layers"], ordered["deploy"]) == ("1", "0", "")
        uses = {"with_prune": "1", "with_quantize": "1", "with_deploy": "1"}
        answer = await member.post("/studio/flow", data=TOKEN | fields | uses)
        assert answer.headers["location"].startswith(f"/studio/jobs/{double_workshop.JOB}")
        ordered = desk.workshop.ordered  # type: ignore[attr-defined]
        assert (ordered.get("adapter"), ordered["drop_layers"], ordered["deploy"]) == (None, "4", "1")
        wrong = await member.post("/studio/flow", data=TOKEN | fields | {"version": "none"})
        assert wrong.status_code == 422

    async def test_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        for fields in ({"name": "taken", "epochs": "2"}, {"name": "ok", "epochs": "many"}):
            answer = await member.post(f"/studio/data/{ident(1)}/train", data=TOKEN | fields)
            assert answer.status_code == 422
            assert 'role="alert"' in answer.text

    async def test_draws_the_curve_until_the_job_has_ended(self, member: httpx.AsyncClient, desk: Desk) -> None:
        running = await member.get(f"/studio/jobs/{ident(1)}/now")
        assert running.status_code == 200
        assert 'd="M' in running.text
        desk.workshop.ended = True  # type: ignore[attr-defined]
        ended = await member.get(f"/studio/jobs/{ident(1)}/now")
        assert ended.status_code == 286  # htmx asks no more
        assert "预算已用完" in ended.text
        assert "2.5 → 8.5</span> 与参考一致" in ended.text
        assert "17 题更好" in ended.text
        assert "&lt;span" not in ended.text


class TestPool:
    """Machines are lent and changed through the desk."""

    async def test_shows_a_token_once(self, member: httpx.AsyncClient) -> None:
        answer = await member.post("/nodes", data=TOKEN | {"name": "lab-9"})
        assert answer.headers["location"] == "/nodes"
        shown = (await member.get("/nodes")).text
        assert f"shanhe node join {str(member.base_url).rstrip('/')} --token shn-secret --model " in shown
        assert "--token shn-secret" not in (await member.get("/nodes")).text
        assert (await member.post("/nodes", data=TOKEN | {"name": "lab-1"})).status_code == 422

    async def test_tells_its_owner_what_happened_why_and_when_income_is_paid(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/nodes/lab-1")).text
        assert "风扇更换" in page
        assert "核验未通过（词元计数）：40 次中 7 次不合格" in page
        assert "待结算" in page

    async def test_tells_on_the_list_in_the_readers_words_why_a_machine_stands_still(
        self, member: httpx.AsyncClient
    ) -> None:
        page = (await member.get("/nodes")).text
        assert "核验未通过（词元计数）：40 次中 7 次不合格" in page
        assert "checks failed" not in page

    async def test_is_not_quarantined_without_a_reason(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = await member.get("/nodes/lab-1")
        assert 'name="reason" maxlength="200" required' in page.text
        assert 'action="/nodes/lab-1/remove"' in page.text
        refused = await member.post("/nodes/lab-1/quarantine", data=TOKEN)
        assert refused.status_code == 422
        assert "须写明隔离原因" in refused.text
        await member.post("/nodes/lab-1/quarantine", data=TOKEN | {"reason": "答案不符"})
        assert desk.pool.done == [("lab-1", "quarantine", "答案不符")]  # type: ignore[attr-defined]

    async def test_lets_a_decision_on_withheld_income_be_gone_on_with_that_was_interrupted(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        """Decided on is not done: the rest stayed withheld, and no page said so."""
        row = {"amount_micro": 700, "decided": "kept", "waits": True}
        node = {**await desk.pool.node(cast(Any, None), "lab-1"), "withheld": [row]}
        desk.pool.node = AsyncMock(return_value=node)  # type: ignore[method-assign]
        assert 'action="/nodes/lab-1/withheld"' in (await member.get("/nodes/lab-1")).text
        row["waits"] = False
        assert 'action="/nodes/lab-1/withheld"' not in (await member.get("/nodes/lab-1")).text

    async def test_changes_a_machine(self, member: httpx.AsyncClient, desk: Desk) -> None:
        answer = await member.post("/nodes/lab-1/drain", data=TOKEN)
        assert answer.headers["location"] == "/nodes/lab-1?done=node_changed"
        assert desk.pool.done == [("lab-1", "drain", "")]  # type: ignore[attr-defined]
        assert (await member.post("/nodes/lab-1/nonsense", data=TOKEN)).status_code == 404
