"""JSON that is nested deeper than anybody reads is refused as what it is, wherever somebody may send it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.console.double_ground import TOKEN, ident

from shanhe.console.live import nomads
from shanhe.console.live.clones import LiveClones
from shanhe.console.live.governance import _facts, _value
from shanhe.console.live.nomads import LiveNomads
from shanhe.kernel.errors import Invalid

DEEP = '{"a": ' + "[" * 20_000 + "]" * 20_000 + "}"


class Venues:
    async def mine(self, venue: Any, by: Any) -> None: ...


class TestDeep:
    async def test_is_nothing_that_a_script_sends(self, member: httpx.AsyncClient) -> None:
        head = {"x-csrf-token": TOKEN["csrf"], "accept": "application/json"}
        answer = await member.post("/settings/second-factor/passkey/options", content=DEEP, headers=head)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")

    def test_is_no_matter_of_a_proposal(self) -> None:
        with pytest.raises(Invalid, match="JSON object"):
            _facts(DEEP)
        parameter: Any = SimpleNamespace(unit="", type="list")
        assert _value(parameter, DEEP) == DEEP  # the rulebook says what is wrong

    async def test_is_no_feedback_and_no_scan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nomads, "actor_of", lambda who: None)
        modules: Any = SimpleNamespace(clones=None, teaching=None, identity=None, store=None, venues=Venues())
        who: Any = None
        with pytest.raises(Invalid, match="answer"):
            await LiveClones(modules).say(who, {"run": str(ident(1)), "label": DEEP})
        with pytest.raises(Invalid, match="scans"):
            await LiveNomads(modules, modules).report(who, ident(1), DEEP)
