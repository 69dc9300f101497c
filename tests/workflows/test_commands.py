"""`shanhe workflows …` and `shanhe evaluations …` through the real parser over a fresh database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.platform.test_commands import Call, call
from typer.testing import CliRunner

from shanhe.cli import app
from workflows.house import ask, flow, says

__all__ = ["call"]
pytestmark = pytest.mark.prove


class TestCommand:
    def test_writes_publishes_starts_and_follows(self, call: Call, tmp_path: Path) -> None:
        owner = call("orgs", "create", "Qingshan Robotics")["id"]
        good, bad = tmp_path / "good.json", tmp_path / "bad.json"
        good.write_text(json.dumps(flow(says("x", "{{input.x}}"), inputs=["x"])))
        bad.write_text(json.dumps(flow(ask("a", "x", "a"))))
        assert call("workflows", "check", good) == []
        refused: Any = CliRunner().invoke(app, ["workflows", "check", str(bad), "--json"])
        assert (refused.exit_code, json.loads(refused.stdout)[0]["code"]) == (1, "unbounded_loop")
        saved = call("workflows", "save", "echo", good, "--org", owner)
        assert (saved["slug"], saved["draft"]) == ("echo", 1)
        assert call("workflows", "show", "echo", "--org", owner)["nodes"][0]["values"] == {"x": "{{input.x}}"}
        late: Any = CliRunner().invoke(
            app, ["workflows", "save", "echo", str(bad), "--org", owner, "--base", "older", "--json"]
        )
        assert late.exit_code != 0
        call("workflows", "save", "echo", good, "--org", owner, "--base", saved["mark"])
        assert call("workflows", "publish", "echo", "--org", owner) == {"slug": "echo", "published": 1}
        assert [one["published"] for one in call("workflows", "list", "--org", owner)] == [1]
        started = call("workflows", "start", "echo", "--org", owner, "--input", '{"x": 5}', "--ref", "1")
        assert call("workflows", "start", "echo", "--org", owner, "--input", '{"x": 5}', "--ref", "1") == started
        assert [one["id"] for one in call("workflows", "runs", "--org", owner)] == [started["run"]]
        assert call("workflows", "cancel", started["run"], "--org", owner)["state"] == "cancelled"
        assert call("workflows", "trace", started["run"], "--org", owner)["step_list"] == []
        at = ("schedule", "echo", "--org", owner, "--at", "09:30", "--days", "1,5")
        assert call("workflows", *at, "--input", '{"x": 5}')["input"] == {"x": 5}
        assert call("workflows", "schedule", "echo", "--org", owner, "--stop") == {"next_at": None}
        assert call("evaluations", "show", "agent/none", "--org", owner) == {"cases": [], "reports": []}
