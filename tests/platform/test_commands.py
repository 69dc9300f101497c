"""Commands of operators, each through the real parser and the real services over a fresh database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from shanhe.cli import app
from shanhe.cli.common import guarded, out, pairs
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.errors import Conflict
from stage.nursery import program

Call = Callable[..., Any]
LIMIT_S = 60.0
SOME = "00000000-0000-7000-8000-000000000001"
ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(one for one in (ROOT / "docs").rglob("*.md") if one.parent.name != "adr")]
NAMED = re.compile(r"(?:^|`)shanhe((?: [a-z][a-z-]*)+)", re.M)


@pytest.fixture
def call(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs `shanhe WORDS… --json` and returns what it printed."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("DATA", str(tmp_path))

    def run(*words: object) -> Any:
        result = CliRunner().invoke(app, [*(str(word) for word in words), "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


@pytest.fixture
def refused(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Call:
    """Runs `shanhe WORDS… --json`, which is refused, and returns the error."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("DATA", str(tmp_path))

    def run(*words: object) -> dict[str, str]:
        monkeypatch.setattr(sys, "argv", ["shanhe", *(str(word) for word in words), "--json"])
        with pytest.raises(SystemExit) as ended:
            guarded(app)
        assert ended.value.code == 1
        return dict(json.loads(capsys.readouterr().err)["error"])

    return run


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, click.Command]]:
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        return [(" ".join(path), command)]
    return [leaf for name, one in subcommands.items() for leaf in leaves(one, (*path, name))]


class TestCommands:
    def test_all_speak_json(self) -> None:
        mute = [
            name for name, command in leaves(get_command(app)) if not any("--json" in p.opts for p in command.params)
        ]
        assert mute == ["up", "bench gateway"]  # one serves until it is stopped, the other writes docs/bench.json

    def test_named_on_pages_exist(self) -> None:
        """`shanhe credits codes fund` in a page is a path of commands, as far as its words are names of any."""
        wrong, root = [], get_command(app)
        for page in PAGES:
            for words in NAMED.findall(page.read_text(encoding="utf-8")):
                command: click.Command | None = root
                for word in words.split():
                    if command is None or not getattr(command, "commands", {}):
                        break
                    command = command.commands.get(word)  # type: ignore[attr-defined]
                if command is None:
                    wrong.append((page.name, words))
        assert wrong == []

    def test_open_books_close_a_period_and_reverse(self, call: Call, tmp_path: Path) -> None:
        owner = call("orgs", "create", "Qingshan Robotics")["id"]
        call("credits", "top-up", owner, "10")
        (wallet,) = [
            a["account"]["id"]
            for a in call("ledger", "accounts", "--owner", owner)
            if a["account"]["asset"] == "credit"
        ]
        lot = {"provenance": "purchased", "amount": 2_000_000}
        opening = {"id": str(uuid4()), "entries": [{"account": wallet, "amount": 2_000_000, "lots": [lot]}]}
        file = tmp_path / "opening.json"
        file.write_text(json.dumps(opening), encoding="utf-8")
        assert call("ledger", "open-books", file)["id"] == opening["id"]
        assert call("credits", "balance", owner)["balance_micro"] == 12_000_000
        assert call("ledger", "postings", "--account", wallet)["items"][0]["kind"] == "opening"
        mirror = call("ledger", "reverse", opening["id"], "--reason", "taken over twice")["id"]
        assert call("ledger", "posting", mirror)["reverses"] == opening["id"]
        assert call("credits", "balance", owner)["balance_micro"] == 10_000_000
        assert call("ledger", "close-period", "2020-01-01") == {"closed_through": "2020-01-01"}
        assert call("ledger", "opening-balances") == []
        assert call("ledger", "verify")["clean"]
        assert call("audit", "--limit", 5)[0]["action"]

    def test_publish_a_price_by_the_rule(self, call: Call) -> None:
        call("engines", "add", "up", "--url", "http://127.0.0.1:9/v1", "--model", "small-model=m")
        preview = call("prices", "preview", "small-model")
        published = call("prices", "publish", "small-model")
        assert published["list_micro"] == preview["list_micro"]
        assert published["version"] in [one["version"] for one in call("prices", "list", "small-model")]
        assert call("prices", "trace", published["version"])


class TestStore:
    def test_takes_a_listing_from_its_draft_to_the_window_and_out_of_it(self, call: Call, tmp_path: Path) -> None:
        call("orgs", "create", "Yunlu Software")
        name, org = "prompt/letters", ("--org", "Yunlu Software")
        words = ("--title", "公文", "--title-en", "Letters", "--summary", "写公文")
        assert call("store", "open", name, *org, *words)["state"] == "draft"
        file = tmp_path / "letters.json"
        file.write_text('{"text": "Dear {name}"}', encoding="utf-8")
        made = call("store", "draft", name, file, *org, "--markup", 2000, "--fee", 1000, "--submit")
        assert (made["n"], made["state"]) == (1, "submitted")
        assert call("store", "recall", name, *org)["state"] == "draft"
        call("store", "draft", name, file, *org, "--markup", 3000, "--submit")
        assert [one["name"] for one in call("store", "queue")] == [name]
        assert call("store", "review", name, 2, "--note", "fine")["state"] == "approved"
        assert [one["markup_bps"] for one in call("store", "list")] == [3000]
        assert call("store", "judge", name, 80, "--note", "new")["jury_bps"] == 8000
        assert call("store", "show", name)["said"] == []
        assert call("store", "income", *org) == []
        assert call("store", "deprecate", name)["state"] == "deprecated"
        assert call("store", "relist", name, *org)["state"] == "listed"
        assert call("store", "remove", name, "--note", "imitates another")["state"] == "removed"
        assert call("store", "restore", name, "--note", "its own after all")["state"] == "listed"
        moves = call("store", "case", name)["moves"]
        assert [one["becomes"] for one in moves] == ["listed", "removed", "listed", "deprecated", "listed"]
        assert call("store", "withdraw", name, *org)["state"] == "withdrawn"
        assert [one["state"] for one in call("store", "known", "--find", "公文")] == ["withdrawn"]
        assert call("store", "list") == []

    def test_shows_no_runs_and_no_calls_of_tools_before_there_are_any(self, call: Call, tmp_path: Path) -> None:
        call("orgs", "create", "Qingshan Robotics")
        assert call("agents", "runs", "--org", "Qingshan Robotics") == []
        assert call("tools", "calls") == []
        assert call("tools", "secret", "token", "--org", "Qingshan Robotics", "--drop")["dropped"] is False


class TestCompanies:
    @pytest.mark.prove
    def test_ally_book_and_stand_behind_loans(self, call: Call) -> None:
        for name in ("Qingshan Robotics", "Yunlu Software"):
            call("orgs", "create", name)
        (mine,) = call("alliances", "found", "Qingshan Robotics", "Makers", "--purpose", "quality control")
        call("alliances", "invite", mine["id"], "Qingshan Robotics", "Yunlu Software")
        (theirs,) = call("alliances", "answer", mine["id"], "Yunlu Software", "accept")
        assert (theirs["parties"], theirs["open"]) == (2, False)
        assert call("alliances", "leave", mine["id"], "Yunlu Software") == []
        assert [one["mine"] for one in call("alliances", "show", "Qingshan Robotics")] == ["member"]
        room = call("incubator", "offer", "training", "讲堂", "二楼", "--seats", 2)
        call("programmes", "know", "Qingshan Robotics", "incubated", "true", "--from", "2024-01-01")
        left = {one["service"]: one["left"] for one in call("incubator", "quota", "Qingshan Robotics")}
        assert (left["training"], left["adviser"]) == (16, 0)
        when = (SystemClock().today() + timedelta(days=1)).strftime("%Y-%m-%dT10:00+08:00")
        made = call("incubator", "book", "Qingshan Robotics", room["id"], when, "--units", 2)
        assert [one["units"] for one in call("incubator", "bookings")] == [2]
        assert call("incubator", "cancel", "Qingshan Robotics", made["id"])["state"] == "cancelled"
        assert call("incubator", "close", room["id"])["closed_at"]
        assert call("incubator", "resources") == []
        assert call("programmes", "guarantees") == []
        assert call("programmes", "index", "Qingshan Robotics")["data"] == []
        report = call("programmes", "site", "shanghai", "--from", "2026-01-01", "--to", "2026-12-31")
        assert [row["closing"]["amount"] for row in report["budgets"]] == [0, 0, 0]


class TestRights:
    def test_are_agreed_to_as_they_were_read(self, call: Call, refused: Call) -> None:
        """Each command of somebody's word takes what its `--json` shows, and refuses it where that is another."""
        one, two = (call("orgs", "create", name)["id"] for name in ("Qingshan Robotics", "Yunlu Software"))
        call("people", "create", "clerk")
        call("programmes", "reviewer", "clerk", "ip_office")
        made = call("ip", "register", one, "other", "一种质检方法", "--holder", f"{one}=600000", "--holder",
                    f"{two}=400000")  # fmt: skip
        answer, n = ("ip", "answer", made["name"], two, "accept", "--n"), made["terms"][0]["n"]
        assert refused(*answer, n + 1)["code"] == "terms_changed"
        assert call(*answer, n)["waiting"] == []
        filed = call("ip", "file", made["name"], one)["filed_at"]
        decide = ("ip", "decide", made["name"], "verify", "--reason", "属实", "--by", "clerk", "--filed-at")
        assert refused(*decide, "2026-01-01T00:00:00+08:00")["code"] == "filed_anew"
        assert refused(*decide, "yesterday")["code"] == "bad_time"
        assert call(*decide, filed)["state"] == "verified"
        kept = call("science", "deposit", one, "code", "脚本", "--licence", "CC-BY-4.0", "--link",
                    "https://example.cn/x", "--author", f"{one}=600000", "--author", f"{two}=400000")  # fmt: skip
        agree = ("science", "agree", kept["name"], two, "--digest")
        assert refused(*agree, "0" * 64)["code"] == "draft_changed"
        assert call(*agree, kept["versions"][0]["digest"])["waiting"] == []

    @pytest.mark.parametrize(
        ("decide", "words", "told"),
        [
            ("filings.complaints.Complaints.decide",
             ("algorithms", "decide", SOME, "--as", "clerk", "--answer", "属实", "--state", "open"), ("state", "open")),
            ("programmes.reviewing.Reviewing.decide",
             ("programmes", "decide", SOME, "pass", "--by", "clerk", "--turn", "0"), ("turn", 0)),
        ],
    )  # fmt: skip
    def test_and_whatever_else_is_decided_says_what_was_read(
        self, call: Call, refused: Call, monkeypatch: pytest.MonkeyPatch, decide: str, words: tuple[object, ...],
        told: tuple[str, object],
    ) -> None:  # fmt: skip
        async def changed(*_: object, **named: object) -> None:
            assert named[told[0]] == told[1]
            raise Conflict("changed_since", "It was changed.", message_zh="已变更。")

        monkeypatch.setattr(f"shanhe.{decide}", changed)
        call("people", "create", "clerk")
        assert refused(*words)["code"] == "changed_since"

    @pytest.mark.prove
    def test_are_registered_by_consent_verified_and_offered(self, call: Call) -> None:
        one, two = (call("orgs", "create", name)["id"] for name in ("Qingshan Robotics", "Yunlu Software"))
        call("people", "create", "clerk")
        call("programmes", "reviewer", "clerk", "ip_office")
        made = call(
            "ip", "register", one, "invention_patent", "一种质检方法", "--number", "ZL 2026 1 0000001.2", "--granted",
            "2026-01-20", "--holder", f"{one}=600000", "--holder", f"{two}=400000",
        )  # fmt: skip
        assert [holder["name"] for holder in made["waiting"]] == ["Yunlu Software"]
        call("ip", "answer", made["name"], two, "accept")
        call("ip", "file", made["name"], one)
        assert [row["number"] for row in call("ip", "queue", "--by", "clerk")] == ["ZL2026100000012"]
        call("ip", "decide", made["name"], "verify", "--reason", "证书属实", "--by", "clerk")
        call("ip", "terms", made["name"], one, "--rate", 10_000)
        assert call("ip", "answer", made["name"], two, "accept")["rate_ppm"] == 10_000
        assert [row["name"] for row in call("ip", "list", "--pooled")] == [made["name"]]
        call("ip", "lapse", made["name"], "--reason", "专利权终止", "--by", "clerk")
        assert call("ip", "list") == []

    @pytest.mark.prove
    def test_are_given_to_others_and_reuse_is_counted(self, call: Call) -> None:
        one, two, three = (call("orgs", "create", name)["id"] for name in ("Qingshan", "Yunlu", "Lakeside"))
        made = call(
            "science", "deposit", one, "negative", "九种焊条均开裂", "--licence", "CC-BY-4.0", "--link",
            "https://example.cn/log", "--author", f"{one}=600000", "--author", f"{two}=400000",
        )  # fmt: skip
        assert made["waiting"] == ["Yunlu"]
        call("science", "agree", made["name"], two)
        assert call("science", "publish", made["name"], one)["state"] == "published"
        said = call("science", "declare", made["name"], three, "paper", "10.1234/abcd")
        assert [row["by"] for row in call("science", "reuses")] == ["Lakeside"]
        assert call("science", "confirm", said["id"], two)["earns"] is True
        assert [row["reused"] for row in call("science", "list")] == [1]
        assert call("programmes", "points", one)["points"] == 3
        assert "九种焊条均开裂" in call("science", "cite", made["name"], "--form", "bibtex")["text"]
        assert call("science", "retract", made["name"], "--reason", "记录有误")["state"] == "retracted"
        assert call("science", "list") == []


class TestAccounts:
    def test_are_corrected_and_take_what_was_given_back(self, call: Call) -> None:
        """What operators could change over HTTP alone."""
        call("orgs", "create", "Qingshan Robotics")
        call("people", "create", "lin")
        call("people", "grant", "lin", "operator")
        assert call("people", "revoke", "lin", "operator")["withdrawn"] is True
        assert call("people", "edit", "lin", "--name", "林晓", "--login", "linxiao")["changed"] == ["login", "name"]
        assert call("people", "ground", "linxiao", "resident", "--from", "2026-01-01")["verified"] is True
        assert [one["name"] for one in call("orgs", "departments", "Qingshan Robotics", "--add", "研发")] == ["研发"]
        call("orgs", "member", "Qingshan Robotics", "linxiao", "owner", "--department", "研发")
        call("orgs", "member", "Qingshan Robotics", "linxiao", "owner")
        assert [one["role"] for one in call("orgs", "members", "Qingshan Robotics")] == ["owner"]
        call("people", "create", "zhao")
        call("orgs", "member", "Qingshan Robotics", "zhao")
        call("orgs", "remove", "Qingshan Robotics", "zhao")
        assert [one["name"] for one in call("orgs", "members", "Qingshan Robotics")] == ["林晓"]
        done = call("orgs", "edit", "Qingshan Robotics", "--local", "--verified", "--data-class", "government")
        assert done["changed"] == ["data_class", "local_verified", "locally_registered"]

    def test_let_limits_of_a_key_be_set_and_lifted(self, call: Call) -> None:
        call("orgs", "create", "Qingshan Robotics")
        key = call("keys", "create", "--org", "Qingshan Robotics", "--rpm", 5, "--budget-day", 1)
        changed = call("keys", "edit", key["id"], "--name", "night", "--rpm", 9, "--lift", "budget-day")
        assert (changed["name"], changed["rpm"], changed["budget_day_micro"]) == ("night", 9, None)
        assert changed["budget_month_micro"] is None


class TestMistakes:
    """Whatever is written wrongly is said in three lines, with what to do next, and exit code 1."""

    @pytest.mark.parametrize(
        ("address", "why"),
        [
            ("mysql://city", "mysql"),
            ("postgresql://shanhe@127.0.0.1:1/city", "Connect call failed"),
            ("", "no_such_city"),
        ],
    )
    def test_a_database_that_lets_nobody_in_is_away(self, dsn: str, tmp_path: Path, address: str, why: str) -> None:
        """Exit code 3, for a command and for the start of a city alike; never a traceback."""
        environment = {"DATABASE_URL": address or re.sub(r"/\w+(?=\?|$)", "/no_such_city", dsn, count=1)}
        for words in (["orgs", "list"], ["up", "--no-model", "--port", "0"]):
            done = program().run([*words, "--data", str(tmp_path / words[0])], tmp_path, environment, LIMIT_S)
            assert (done.returncode, why in done.stderr, "Traceback" in done.stderr) == (3, True, False)

    def test_amounts_that_nobody_can_read(self, refused: Call) -> None:
        said = refused("credits", "top-up", "Qingshan", "much")
        assert said["code"] == "bad_amount"
        assert "12.5" in said["message"]

    def test_files_that_are_no_json(self, refused: Call, tmp_path: Path) -> None:
        file = tmp_path / "agent.json"
        file.write_text("{", encoding="utf-8")
        for words in (("agents", "check", file), ("tools", "check", file, "--org", "x"),
                      ("store", "draft", "agent/a", file, "--org", "x", "--markup", 1),
                      ("evaluations", "set", "agent/a", file, "--org", "x")):  # fmt: skip
            said = refused(*words)
            assert said["code"] == "bad_json"
            assert str(file) in said["message"]

    def test_folders_that_are_not_there(self, refused: Call, tmp_path: Path) -> None:
        said = refused("rules", "table", "--docs", tmp_path / "none" / "rules.md")
        assert said["code"] == "file_refused"
        assert "none/rules.md" in said["message"]

    def test_a_list_of_codes_that_could_not_be_made_leaves_no_file(self, refused: Call, tmp_path: Path) -> None:
        """The same command, mended, would find it and be refused."""
        refused("credits", "codes", "export", uuid4(), "--save", tmp_path / "codes.csv")
        assert not (tmp_path / "codes.csv").exists()


class TestMigrate:
    @pytest.mark.prove
    def test_says_what_it_applied_to_the_server_that_comes_along(self, tmp_path: Path) -> None:
        """A server that is started for the command is not migrated before the command counts."""
        command = ["migrate", "--json", "--data", str(tmp_path / "city")]
        first, again = (program().run(command, tmp_path, {"SHANHE_FSYNC": "false"}, LIMIT_S) for _ in range(2))
        assert len(json.loads(first.stdout)) > 100
        assert json.loads(again.stdout) == []


class TestPrinting:
    """What a command prints is copied and piped; a broken key or number is none."""

    LONG = "city.example/log+f7a329a9+" + "A" * 200

    def test_of_names_and_values_breaks_no_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        out.print(pairs({"公钥": self.LONG, "to run": "two\nlines [here]"}))
        assert capsys.readouterr().out == f"公钥   {self.LONG}\nto run two\n       lines [here]\n"

    def test_of_a_table_that_is_piped_keeps_each_row_in_a_line(self) -> None:
        words = "from shanhe.cli.common import out, rows; out.print(rows(('id', 'key'), [(1, 'A' * 300), (2, 'b')]))"
        done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
        assert [line.split() for line in done.stdout.splitlines()] == [["id", "key"], ["1", "A" * 300], ["2", "b"]]
