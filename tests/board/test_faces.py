"""The board over HTTP and at the command line: from a post to the reward, and what strangers see."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from shanhe.cli import app
from shanhe.kernel.clock import SystemClock

from .conftest import CREDIT, NEED, SOLUTION, TERMS, City, balance, company, fund

UNTIL = SystemClock().today() + timedelta(days=22)
"""Commands live in our time."""


def body(words: Any, **more: Any) -> dict[str, Any]:
    told = {name: getattr(words, name) for name in words.__slots__}
    return {name: str(value) if name == "until" else value for name, value in told.items()} | more


class TestHttp:
    async def test_leads_from_a_need_to_the_reward_of_both(self, city: City) -> None:
        identity = city.services.identity
        firm, lab = await company(identity, "云雾茶厂"), await company(identity, "农机所")
        await fund(city.services.programmes)
        async with (
            await city.browser(firm) as buyer, await city.browser(lab) as maker, await city.browser(None) as nobody
        ):  # fmt: skip
            need, solution, match = (str(uuid4()) for _ in range(3))
            refused = await buyer.post("/api/board/posts", json=body(NEED, id=need, title="茶"))
            assert (refused.status_code, refused.json()["error"]["details"]) == (422, {"field": "title"})
            made = await buyer.post("/api/board/posts", json=body(NEED, id=need, publish=False))
            assert (made.status_code, made.json()["state"]) == (201, "draft")
            assert (await nobody.get(f"/api/board/posts/{need}")).status_code == 404
            changed = body(NEED, shows_name=False)
            assert (await buyer.put(f"/api/board/posts/{need}", json=changed)).json()["revision"] == 2
            assert (await maker.put(f"/api/board/posts/{need}", json=changed)).status_code == 404
            assert (await buyer.post(f"/api/board/posts/{need}/publish")).json()["state"] == "open"
            assert (await maker.post("/api/board/posts", json=body(SOLUTION, id=solution))).status_code == 201
            (shown,) = (await nobody.get("/api/board/posts?kind=need&q=杀青")).json()["data"]
            assert (shown["id"], shown["name"], "shows_name" in shown) == (need, "", False)
            fits = (await nobody.get(f"/api/board/posts/{need}/fits")).json()
            (fit,) = fits["data"]
            assert (fits["way"], fit["post"]["name"], fit["meaning"]["cosine"]) == ("words", "农机所", None)
            assert "杀青" in [part["piece"] for part in fit["words"]["matched"]]
            assert {one["code"]: one["good"] for one in fit["reasons"]}["money"] is True
            assert (await nobody.post("/api/board/matches", json={})).status_code == 401
            opened = {"id": match, "need": need, "solution": solution, "note": "能试机吗？"}
            assert (await maker.post("/api/board/matches", json=opened)).status_code == 201
            at = f"/api/board/matches/{match}"
            assert (await maker.post(f"{at}/offer", json={"text": TERMS, "fee_fen": 8, "after": 0})).json()[
                "round"
            ] == 1
            stale = await buyer.post(f"{at}/accept", json={"round": 2})
            assert (stale.status_code, stale.json()["error"]["code"]) == (409, "offer_changed")
            done = (await buyer.post(f"{at}/accept", json={"round": 1})).json()
            assert (done["state"], done["reward"]["state"]) == ("agreed", "completed")
            assert {one["side"]: one["paid_micro"] for one in done["reward"]["payments"]} == {
                "need": 500 * CREDIT, "solution": 500 * CREDIT,
            }  # fmt: skip
            assert (await nobody.get("/api/board/terms")).json()["reward_micro"] == 500 * CREDIT
            seen = (await maker.get("/api/board/matches")).json()["data"]
            assert [one["id"] for one in seen] == [match]
            assert [one["state"] for one in (await buyer.get("/api/board/mine")).json()["data"]] == ["matched"]
            assert (await nobody.get("/api/board/posts?kind=need")).json()["data"] == []
        assert await balance(city.services.ledger, lab) == 500 * CREDIT


class Shell:
    """`shanhe WORDS… --json` on one database, for two organisations."""

    def __init__(self) -> None:
        self.firm, self.lab = (self("orgs", "create", name)["id"] for name in ("茶厂", "农机所"))

    def __call__(self, *words: object) -> Any:
        result = CliRunner().invoke(app, [*(str(word) for word in words), "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def put(self, org: str, words: Any, *more: object) -> str:
        return str(self("board", "post", words.kind, "--org", org, "--title", words.title, "--text", words.text,
                        "--sector", words.sector, "--until", UNTIL, *more)["id"])  # fmt: skip


class TestCommands:
    @pytest.fixture
    def shell(self, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
        monkeypatch.setenv("DATABASE_URL", dsn)
        monkeypatch.setenv("DATA", str(tmp_path))
        return Shell()

    def test_lead_to_terms_that_both_accept(self, shell: Shell) -> None:
        need = shell.put(shell.firm, NEED, "--budget-fen", "100-200")
        solution = shell.put(shell.lab, SOLUTION, "--readiness", 8, "--price-fen", 150, "--anonymous")
        assert shell("board", "fits", need)["data"][0]["post"]["id"] == solution
        told = ("--need", need, "--solution", solution, "--note", "谈谈")
        match = shell("board", "interest", "--org", shell.firm, *told)["id"]
        assert shell("board", "offer", match, "--org", shell.lab, "--text", TERMS, "--after", 0)["partner"] == "茶厂"
        done = shell("board", "accept", match, 1, "--org", shell.firm)
        assert (done["state"], done["reward"]["state"]) == ("agreed", "waiting_budget")

    @pytest.mark.prove
    def test_change_end_and_remove_posts(self, shell: Shell) -> None:
        need, solution = shell.put(shell.firm, NEED), shell.put(shell.lab, SOLUTION, "--readiness", 8)
        edited = shell("board", "edit", solution, "--org", shell.lab, "--price-fen", 250)
        assert (edited["price_fen"], edited["revision"]) == (250, 2)
        told = ("--need", need, "--solution", solution, "--note", "谈谈")
        match = shell("board", "interest", "--org", shell.firm, *told)["id"]
        assert shell("board", "leave", match, "--org", shell.firm)["state"] == "withdrawn"
        assert shell("board", "withdraw", need, "--org", shell.firm)["state"] == "withdrawn"
        assert [one["id"] for one in shell("board", "list", "--find", "杀青")] == [solution]
        assert shell("board", "list", "--org", shell.firm)[0]["state"] == "withdrawn"
        assert shell("board", "publish", need, "--org", shell.firm)["state"] == "open"
        assert shell("board", "remove", solution, "--why", "并非方案")["state"] == "removed"
        assert shell("board", "show", need)["title"] == NEED.title
        assert shell("board", "matches", "--org", shell.lab)[0]["id"] == match
