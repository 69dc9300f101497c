"""Workers of a run in several processes: forked with the tests collected, and otherwise what xdist's are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shanhe.nursery.api import possible

pytestmark = pytest.mark.skipif(not possible(), reason="nothing is forked on this system")
TESTS = """
import os, sys, warnings
import pytest

COLLECTED_BY = os.getpid()
warnings.warn("said while collecting")


@pytest.mark.parametrize("name", ["a", "b"])
def test_(name, worker_id, tmp_path, capfd):
    print("heard")
    os.system("echo from a child")
    assert capfd.readouterr().out.split() == ["heard", "from", "a", "child"]
    assert os.getppid() == COLLECTED_BY != os.getpid()
    assert os.environ["PYTEST_XDIST_WORKER"] == worker_id and f"popen-{worker_id}" in str(tmp_path)
    print("seen by", worker_id)
    assert name == "b", name
"""
END_EARLY = """
import os

def pytest_sessionstart(session):
    if getattr(session.config, "workerinput", {}).get("workerid") == "brood":
        os._exit(1)
"""


OF_ITS_OWN = """
COLLECTED_BY = os.getpid()

def test_it():
    assert os.getpid() == COLLECTED_BY
"""
GO_LATE = """
import os

def pytest_sessionfinish(session):
    if getattr(session.config, "workerinput", {}).get("workerid", "").startswith("gw"):
        os._exit(0)
"""
GO_ON = """
import os, pathlib, threading, time

def test_it():
    pathlib.Path("number").write_text(str(os.getpid()))
    threading.Thread(target=time.sleep, args=(60,)).start()
"""


def run(folder: Path, workers: int, *more: str) -> str:
    """What a run in several processes says, and how it ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SHANHE_"))}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "xdist.plugin", "-p", "stage.brood", "-n", str(workers)]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder), *more, "."]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    return f"{done.stdout}ended with {done.returncode}"


class TestWorker:
    def test_is_forked_from_the_process_that_collected(self, tmp_path: Path) -> None:
        (tmp_path / "test_it.py").write_text(TESTS)
        said = run(tmp_path, 2)
        assert "1 failed, 1 passed" in said
        assert "AssertionError: a" in said
        assert "seen by gw" in said
        assert "said while collecting" in said

    @pytest.mark.prove
    @pytest.mark.parametrize("early", [False, True])
    def test_tells_what_could_not_be_collected_or_collects_for_itself(self, early: bool, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text(END_EARLY if early else "")
        (tmp_path / "test_it.py").write_text("import module_that_is_not_there\n")
        said = run(tmp_path, 1)
        assert "ModuleNotFoundError" in said
        assert "1 error" in said

    @pytest.mark.prove
    @pytest.mark.parametrize("left", ["asyncio.new_event_loop()", "socket.socketpair()"])
    def test_shares_no_loop_and_no_socket_that_an_import_left(self, left: str, tmp_path: Path) -> None:
        (tmp_path / "test_it.py").write_text(f"import asyncio, os, socket\n\nLEFT = {left}\n{OF_ITS_OWN}")
        assert "1 passed" in run(tmp_path, 1)

    @pytest.mark.prove
    def test_that_goes_after_its_last_test_fails_the_run(self, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text(GO_LATE)
        (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
        said = run(tmp_path, 1, "--max-worker-restart=0")
        assert "1 passed" in said
        assert said.endswith(f"ended with {int(pytest.ExitCode.INTERNAL_ERROR)}")

    @pytest.mark.prove
    def test_ends_with_the_run(self, tmp_path: Path) -> None:
        (tmp_path / "test_it.py").write_text(GO_ON)
        assert "1 passed" in run(tmp_path, 1)
        number, until = int((tmp_path / "number").read_text()), time.monotonic() + 10
        while Path(f"/proc/{number}").exists():
            assert time.monotonic() < until
            time.sleep(0.05)


class TestRun:
    def test_is_forked_with_all_that_the_tests_import(self, pytestconfig: pytest.Config) -> None:
        """A thread that an import leaves would make every process collect for itself, and nobody would notice."""
        if not hasattr(pytestconfig, "workerinput"):
            pytest.skip("one process runs everything")
        assert "Collected" in {type(plugin).__name__ for plugin in pytestconfig.pluginmanager.get_plugins()}
