"""`shanhe log …` through the real parser over a fresh database, and a verification that has nothing but a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.platform.test_commands import Call, call
from typer.testing import CliRunner

from shanhe.cli import app
from stage.nursery import program

__all__ = ["call"]
LIMIT_S = 60


class TestProof:
    def test_is_written_and_verifies_where_there_is_no_city(
        self, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = call("orgs", "create", "Qingshan Robotics")["id"]
        call("credits", "top-up", owner, "10")
        top_up = call("ledger", "postings")["items"][0]["id"]
        assert call("log", "seal")["added"] >= 1
        file = tmp_path / "mine.tlog-proof"
        call("log", "prove", top_up, "-o", file)
        listed = call("log", "keys")
        key = listed["keys"][0]["vkey"]
        status = call("log", "status")
        assert (status["state"], status["waiting"], status["key"]) == ("up", 0, key)

        monkeypatch.delenv("DATABASE_URL")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        command = ["log", "verify", str(file), "--key", key, "--json"]
        done = program().run(command, elsewhere, {}, LIMIT_S)
        found = json.loads(done.stdout)
        assert found["valid"]
        assert found["private"]["id"] == top_up
        assert "10 AI credits" in found["en"]
        assert found["took_ms"] > 0
        assert list(elsewhere.iterdir()) == []

        file.write_bytes(file.read_bytes().replace(b"index ", b"index 1", 1))
        refused = program().run(command, elsewhere, {}, LIMIT_S)
        assert refused.returncode == 1
        assert json.loads(refused.stderr)["error"]["code"] == "proof_refused"

    @pytest.mark.prove
    def test_of_what_was_shredded_is_refused(self, call: Call, tmp_path: Path) -> None:
        owner = call("orgs", "create", "Qingshan Robotics")["id"]
        call("credits", "top-up", owner, "10")
        top_up = call("ledger", "postings")["items"][0]["id"]
        call("log", "seal")
        assert call("log", "shred", top_up) == {"shredded": 1}
        result: Any = CliRunner().invoke(app, ["log", "prove", top_up, "-o", str(tmp_path / "x")])
        assert result.exception.code == "opening_erased"


class TestKeys:
    @pytest.mark.prove
    def test_verify_before_and_after_a_rotation(self, call: Call, tmp_path: Path) -> None:
        owner = call("orgs", "create", "Qingshan Robotics")["id"]
        call("credits", "top-up", owner, "10")
        top_up = call("ledger", "postings")["items"][0]["id"]
        call("log", "seal")
        old = call("log", "keys")["keys"][0]["vkey"]
        new = call("log", "rotate")["vkey"]
        call("log", "seal")
        file = tmp_path / "mine.tlog-proof"
        call("log", "prove", top_up, "-o", file)
        listed = tmp_path / "key-list.txt"
        listed.write_text(call("log", "keys")["note"], encoding="utf-8")
        for key in (old, new):
            assert call("log", "verify", file, "--key", key)["valid"]
        call("log", "rotate")
        listed.write_text(call("log", "keys")["note"], encoding="utf-8")
        town = call("log", "keys")["keys"]
        assert [key["state"] for key in town] == ["current", "previous", "retired"]
        assert len(call("log", "verify", file, "--key", new, "--list", listed)["signed_by"]) == 2
        refused = CliRunner().invoke(app, ["log", "verify", str(file), "--key", old, "--list", str(listed)])
        assert refused.exception is not None


class TestWitness:
    def test_cosigns_and_alarms_with_an_exit_code(self, call: Call, tmp_path: Path) -> None:
        call("orgs", "create", "Qingshan Robotics")
        call("log", "seal")
        key = call("log", "keys")["keys"][0]["vkey"]
        published, state = tmp_path / "log", tmp_path / "witness"
        watching = ("log", "witness", published, "--state", state, "--key", key, "--once")
        seen = call(*watching)
        assert seen["size"] == call("log", "status")["signed"]
        assert call("log", "witnesses", "--add", seen["key"]) == [seen["key"]]
        assert call("log", "witnesses", "--remove", seen["key"]) == []

        # The log published anew from another history, signed by the very same key.
        (published / "checkpoint").rename(tmp_path / "kept")
        other = json.loads((state / "state.json").read_text(encoding="utf-8"))
        forged = other["note"].split("\n")
        (state / "state.json").write_text(
            json.dumps({**other, "note": "\n".join([forged[0], str(seen["size"] + 9), *forged[2:]])}), encoding="utf-8"
        )
        (tmp_path / "kept").rename(published / "checkpoint")
        result = CliRunner().invoke(app, [str(word) for word in watching])
        assert result.exit_code == 4
        assert list(state.glob("alarm-rollback-*.json"))

    @pytest.mark.prove
    def test_recovery_of_a_sound_log_changes_nothing(self, call: Call) -> None:
        owner = call("orgs", "create", "Qingshan Robotics")["id"]
        call("credits", "top-up", owner, "10")
        call("log", "seal")
        signed = call("log", "status")["signed"]
        assert call("log", "recover") == {"adopted": 0, "sealed": 0, "signed": signed}
