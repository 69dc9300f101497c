"""Structured logs: where they go and what they never carry."""

import io
import sys

import pytest
import structlog

from shanhe.kernel import logs


@pytest.fixture
def configured():
    before = structlog.get_config()
    logs.configure("info")
    yield structlog.get_logger()
    structlog.configure(**before)


class TestLogs:
    def test_survive_that_the_error_stream_of_the_start_was_closed(self, monkeypatch):
        before = structlog.get_config()
        gone, now = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stderr", gone)
        logs.configure("info")
        gone.close()
        monkeypatch.setattr(sys, "stderr", now)
        try:
            structlog.get_logger().info("still here")
        finally:
            structlog.configure(**before)
        assert "still here" in now.getvalue()

    def test_never_carry_what_people_wrote(self, configured, capsys):
        configured.info("asked", prompt="my secret illness", phone="13800000000", model="demo")
        line = capsys.readouterr().err
        assert "asked" in line
        assert "demo" in line
        assert "illness" not in line
        assert "13800000000" not in line


class TestChildsLog:
    def test_is_begun_anew_while_it_is_written_and_keeps_what_was_said_before(self, tmp_path):
        """A city that runs for months: neither its models nor its database fill the disk with what they say."""
        said = tmp_path / "engine.log"
        with said.open("ab", buffering=0) as child:
            child.write(b"old " * 30)
            logs.keep_short(said, 200)
            assert said.stat().st_size == 120
            logs.keep_short(said, 100)
            child.write(b"new")
        assert said.read_bytes() == b"new"
        assert (tmp_path / "engine.log.1").read_bytes() == b"old " * 30
        logs.keep_short(tmp_path / "none.log", 1)

    def test_is_begun_anew_where_nothing_can_be_kept(self, tmp_path):
        said = tmp_path / "engine.log"
        said.write_bytes(b"old " * 30)
        (tmp_path / "engine.log.1").mkdir()
        (tmp_path / "engine.log.1" / "engine.log").mkdir()
        logs.keep_short(said, 100)
        assert said.read_bytes() == b""
