"""`shanhe content …` through the real parser over a fresh database."""

from __future__ import annotations

from typing import Any

import pytest
from tests.platform.test_commands import Call, call
from typer.testing import CliRunner

from shanhe.cli import app

__all__ = ["call"]
pytestmark = pytest.mark.prove


class TestCommand:
    def test_names_who_pays_agrees_and_shows(self, call: Call) -> None:
        company = call("orgs", "create", "Qingshan Robotics")["id"]
        bureau = call("orgs", "create", "Economy Bureau", "--kind", "government")["id"]
        assert "product_text" in {one["id"] for one in call("content", "kinds")["kinds"]}
        assert call("content", "city", "--org", bureau)["name"] == "Economy Bureau"
        assert call("content", "standing", "--org", company)["free_left"] == 100
        assert call("content", "own", "always", "--org", company)["own"] == "always"
        assert call("content", "drafts", "--org", company) == []
        refused: Any = CliRunner().invoke(app, ["content", "city", "--org", company, "--json"])
        assert refused.exit_code == 1
        assert call("content", "city", "--close")["org_id"] == ""
        assert call("content", "standing", "--org", company)["free_left"] == 0
