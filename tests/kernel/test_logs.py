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
