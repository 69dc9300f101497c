"""Several machines that share a database, each with `shanhe up`."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shanhe.settings import Settings
from shanhe.supervisor import Role, Supervisor


def names(settings: Settings) -> list[str]:
    reporter: object = None
    supervisor = Supervisor(settings, Role.ALL, reporter)  # type: ignore[arg-type]
    with socket.socket() as listener:
        children = supervisor._children(settings.on_own_server("postgresql://x"), listener)
    return [child._work.environment.get("SHANHE_WORKER", Settings(data=settings.data).worker) for child in children]


def test_processes_of_machines_that_share_a_database_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who starts takes up what the process of its name left, and copies its figures under that name."""
    shared = Settings(data=tmp_path, workers=2, database_url="postgresql://x")
    found = []
    for machine in ("one", "two"):
        monkeypatch.setattr(socket, "gethostname", lambda machine=machine: machine)
        found += names(shared)
    assert found == ["jobs@one", "w0@one", "w1@one", "jobs@two", "w0@two", "w1@two"]
    assert names(Settings(data=tmp_path, workers=2)) == ["jobs", "w0", "w1"]
