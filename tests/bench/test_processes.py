"""What a bench starts finds its place still free."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shanhe.bench import processes
from shanhe.bench.processes import free_port


class TestFreePort:
    def test_is_none_that_the_system_gives_to_others_until_the_server_has_started(self) -> None:
        lowest = int(processes.ANY_PORT.read_text().split()[0])
        if lowest <= processes.PORT_MIN:
            pytest.skip("this system hands out all of them")
        assert {free_port() < lowest for _ in range(20)} == {True}

    def test_is_taken_by_nobody(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The only one below is in use: it is one of the others."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", free_port()))
            port = taken.getsockname()[1]
            monkeypatch.setattr(processes, "PORT_MIN", port)
            (tmp_path / "range").write_text(f"{port + 1}\t60999\n")
            monkeypatch.setattr(processes, "ANY_PORT", tmp_path / "range")
            assert free_port() != port
